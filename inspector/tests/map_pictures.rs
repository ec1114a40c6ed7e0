//! Pictures of the maps as text: what is painted, in its order, with place and colour, and each texture as letters. Without
//! a graphics card they are the same from run to run, and a change to a map can be read as a difference of lines.

use std::cell::Cell;
use std::collections::BTreeMap;
use std::fmt::Write as _;

use egui::{Color32, Context, RawInput, Rect, Shape, pos2, vec2};
use pagescope::model::{BandKind, Selection, Sign, Stretch, fixture};
use pagescope::session::Connection;
use pagescope::views::camera::{CameraStep, MapId};
use pagescope::views::derived::Derived;
use pagescope::views::page_tables::PageTables;
use pagescope::views::paint::Patterns;
use pagescope::views::physical_map::PhysicalMap;
use pagescope::views::scene::{Anchors, Scene};
use pagescope::views::state::State;
use pagescope::views::theme::{self, DARK, Palette};
use pagescope::views::virtual_map::VirtualMap;
use pagescope_protocol::snapshot::RegionSpace;
use pagescope_protocol::{Level, VirtAddr};

/// The three maps, and what they are drawn from.
struct Maps {
    ctx: Context,
    state: State,
    derived: Derived,
    patterns: Option<Patterns>,
    virt: VirtualMap,
    tables: PageTables,
    phys: PhysicalMap,
    textures: BTreeMap<egui::TextureId, egui::ImageData>,
}

impl Maps {
    fn new() -> Self {
        let ctx = Context::default();
        theme::install(&ctx);
        ctx.set_theme(egui::Theme::Dark);
        let mut state = State::new("pictures".into(), fixture::history(4), Connection::None);
        state.selection = Selection::Virtual(VirtAddr::new(0x87ff_3000));
        Self {
            ctx,
            state,
            derived: Derived::default(),
            patterns: None,
            virt: VirtualMap::default(),
            tables: PageTables::default(),
            phys: PhysicalMap::default(),
            textures: BTreeMap::new(),
        }
    }

    /// Draws one map, and gives its picture.
    fn picture(&mut self, map: MapId, steps: &[CameraStep]) -> String {
        // Textures and places settle in the first frame.
        self.frame(map, None);
        for step in steps {
            self.frame(map, Some(*step));
        }
        let shapes = self.frame(map, None);
        let mut text = String::new();
        for clipped in &shapes {
            self.describe(&clipped.shape, clipped.clip_rect, &mut text);
        }
        text
    }

    fn frame(&mut self, map: MapId, step: Option<CameraStep>) -> Vec<egui::epaint::ClippedShape> {
        let size = match map {
            MapId::Tables => vec2(460.0, 560.0),
            _ => vec2(260.0, 560.0),
        };
        let input = RawInput {
            screen_rect: Some(Rect::from_min_size(pos2(0.0, 0.0), size + vec2(20.0, 20.0))),
            ..RawInput::default()
        };
        let mut output = self.ctx.clone().run_ui(input, |ui| {
            self.derived.refresh(&self.state, ui.ctx());
            let patterns = self.patterns.get_or_insert_with(|| Patterns::new(ui.ctx()));
            let pointed = Cell::new(Selection::Nothing);
            let scene = Scene {
                state: &self.state,
                derived: &self.derived,
                palette: &DARK,
                patterns,
                pointed: &pointed,
                camera: step.map(|step| (map, step)),
                is_picture: false,
            };
            let rect = Rect::from_min_size(pos2(10.0, 10.0), size);
            let (mut anchors, mut out) = (Anchors::default(), Vec::new());
            match map {
                MapId::Virtual => self.virt.show(ui, rect, &scene, &mut anchors, &mut out),
                MapId::Tables => self.tables.show(ui, rect, &scene, &mut anchors, &mut out),
                _ => self.phys.show(ui, rect, &scene, &mut anchors, &mut out),
            }
        });
        let delta = std::mem::take(&mut output.textures_delta);
        for (id, parts) in &delta.set {
            for part in parts.iter().filter(|part| part.pos.is_none()) {
                self.textures.insert(*id, part.image.clone());
            }
        }
        let mut delta = delta;
        delta.clear();
        std::mem::take(&mut output.shapes)
    }

    fn describe(&self, shape: &Shape, clip: Rect, text: &mut String) {
        let place = |rect: Rect| {
            let rect = rect.intersect(clip);
            format!(
                "{:4} {:4} {:4} {:4}",
                rect.left().round(),
                rect.top().round(),
                rect.width().round(),
                rect.height().round()
            )
        };
        let _ = match shape {
            Shape::Vec(shapes) => {
                for shape in shapes {
                    self.describe(shape, clip, text);
                }
                Ok(())
            }
            Shape::Rect(rect) if rect.fill_texture_id() != egui::TextureId::default() => {
                let image = self.textures.get(&rect.fill_texture_id());
                writeln!(text, "cells {}\n{}", place(rect.rect), letters(image))
            }
            Shape::Rect(rect) => {
                let fill = color(rect.fill);
                let stroke = match rect.stroke.width > 0.0 {
                    true => format!(" edge {}", color(rect.stroke.color)),
                    false => String::new(),
                };
                writeln!(text, "box   {} {fill}{stroke}", place(rect.rect))
            }
            Shape::Text(told) if told.galley.text().is_empty() => Ok(()),
            Shape::Text(told) => {
                let rect = told.galley.rect.translate(told.pos.to_vec2());
                writeln!(text, "text  {} {:?}", place(rect), told.galley.text())
            }
            Shape::Mesh(mesh) => {
                let is_text = mesh.texture_id == egui::TextureId::default();
                let image = self.textures.get(&mesh.texture_id).filter(|_| !is_text);
                match image.is_some_and(|image| image.width() > 8) {
                    true => writeln!(
                        text,
                        "cells {}\n{}",
                        place(mesh.calc_bounds()),
                        letters(image)
                    ),
                    false => writeln!(text, "dots  {}", place(mesh.calc_bounds())),
                }
            }
            // Lines of a grid or a hatching: where they are follows from the boxes.
            _ => Ok(()),
        };
    }
}

/// A colour's name where it has a meaning.
fn color(color: Color32) -> String {
    let palette: &Palette = &DARK;
    let names = [
        (palette.background, "background"),
        (palette.panel, "panel"),
        (palette.raised, "raised"),
        (palette.edge, "edge"),
        (palette.text, "text"),
        (palette.dim, "dim"),
        (palette.fresh, "fresh"),
        (palette.selection, "selection"),
        (Color32::TRANSPARENT, "none"),
    ];
    let kinds = [
        (BandKind::Code, "code"),
        (BandKind::ReadOnly, "read-only"),
        (BandKind::Data, "data"),
        (BandKind::Stack, "stack"),
        (BandKind::Device, "device"),
        (BandKind::Machine, "machine"),
        (BandKind::HeapCounter, "counter"),
        (BandKind::Table(Level::L0), "L0"),
        (BandKind::Table(Level::L1), "L1"),
        (BandKind::Table(Level::L2), "L2"),
        (BandKind::Free, "free"),
        (BandKind::Ram, "ram"),
    ];
    let named = names.into_iter().find(|(known, _)| *known == color);
    if let Some((_, name)) = named {
        return name.into();
    }
    let kind = kinds
        .into_iter()
        .find(|(kind, _)| palette.band_fill(*kind) == color || palette.band(*kind) == color);
    match kind {
        Some((_, name)) => name.into(),
        None => format!("{:02x?}", color.to_array()).replace(", ", ""),
    }
}

/// A texture's cells, a letter each: what the legend calls them.
fn letters(image: Option<&egui::ImageData>) -> String {
    let Some(egui::ImageData::Color(image)) = image else {
        return "      (not known)".into();
    };
    let palette: &Palette = &DARK;
    let letter = |pixel: &Color32| {
        let kinds = [
            (palette.empty, '.'),
            (palette.fresh, '+'),
            (palette.code, 'X'),
            (palette.read_only, 'R'),
            (palette.data, 'W'),
            (palette.stack, 'S'),
            (palette.device, 'D'),
            (palette.machine, 'm'),
            (palette.counter, 'c'),
            (palette.unknown, '-'),
            (palette.level(Level::L0), '0'),
            (palette.level(Level::L1), '1'),
            (palette.level(Level::L2), '2'),
            (palette.background, ' '),
        ];
        let found = kinds.into_iter().find(|(known, _)| known == pixel);
        found.map_or('~', |(_, letter)| letter)
    };
    let rows = image.pixels.chunks(image.width().max(1));
    let rows: Vec<String> = rows
        .map(|row| {
            format!(
                "      {}",
                row.iter().map(letter).collect::<String>().trim_end()
            )
        })
        .collect();
    rows.join("\n")
}

#[test]
fn the_virtual_map_with_all_of_it_in_view() {
    insta::assert_snapshot!(Maps::new().picture(MapId::Virtual, &[]));
}

#[test]
fn the_virtual_map_zoomed_to_the_pages_of_a_selected_stretch() {
    let mut maps = Maps::new();
    maps.state.selection = Selection::Range(Stretch {
        space: RegionSpace::Virtual,
        start: 0x8021_7000,
        size: 0x8000,
    });
    insta::assert_snapshot!(maps.picture(MapId::Virtual, &[CameraStep::ToSelection]));
}

#[test]
fn the_tables_on_the_way_to_a_page() {
    insta::assert_snapshot!(Maps::new().picture(MapId::Tables, &[]));
}

#[test]
fn the_physical_map_with_only_stacks_bright() {
    let mut maps = Maps::new();
    maps.state.look.filter = Some(Sign::Stack);
    insta::assert_snapshot!(maps.picture(MapId::Physical, &[CameraStep::Fit]));
}

#[test]
fn a_picture_is_the_same_each_time_and_shows_what_changed() {
    let picture = |address: u64| {
        let mut maps = Maps::new();
        maps.state.selection = Selection::Virtual(VirtAddr::new(address));
        maps.picture(MapId::Physical, &[])
    };
    assert_eq!(picture(0x87ff_3000), picture(0x87ff_3000));
    assert_ne!(picture(0x87ff_3000), picture(0x87ff_4000));
}

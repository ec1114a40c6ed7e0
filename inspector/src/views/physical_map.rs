//! The physical map: devices, RAM by section, tables, heap and free memory as a stack; the frames
//! one by one as a grid; and the heap counter, large.

mod frame_grid;
mod heap_card;

use egui::{Rect, RichText, Ui, vec2};
use pagescope_protocol::PhysAddr;
use pagescope_protocol::snapshot::RegionSpace;

use super::band_column::{BandColumn, BarSide, Clicked, ColumnCache, Label};
use super::camera::MapId;
use super::command::UiCommand;
use super::legend::{self, Words};
use super::paint;
use super::scene::{Anchors, PhysicalAnchor, Scene};
use crate::model::{Band, BandKind, Selection, Stretch, size_text};

/// Below this height the legend and the heap counter make room for the map itself.
const LOW: f32 = 380.0;

/// What the physical map keeps from frame to frame.
#[derive(Default)]
pub struct PhysicalMap {
    /// The column.
    pub stack: ColumnCache,
    grid: frame_grid::FrameGrid,
}

impl PhysicalMap {
    /// Whether the grid of frames lies at `at`.
    pub fn is_grid_at(&self, at: egui::Pos2) -> bool {
        self.grid.is_at(at)
    }

    /// Draws the physical map into `rect`.
    pub fn show(
        &mut self,
        ui: &mut Ui,
        rect: Rect,
        scene: &Scene<'_>,
        anchors: &mut Anchors,
        out: &mut Vec<UiCommand>,
    ) {
        let body = paint::column_title(ui, rect, "Physical", scene.remark("where bytes live"));
        // From the bottom up: heap counter, legend, grid. The stack gets what is left.
        let is_low = body.height() < LOW;
        let (card_height, gap, words) = match body.height() {
            height if height > 520.0 => (84.0, 10.0, Words::Beside),
            _ if is_low => (26.0, 6.0, Words::OnHover),
            _ => (50.0, 10.0, Words::Beside),
        };
        let card = body.with_min_y(body.bottom() - card_height);
        let legend_height = legend::height(ui, body.width(), words, scene);
        let legend = body
            .with_max_y(card.top() - gap)
            .with_min_y(card.top() - gap - legend_height);
        let grid_room = match is_low {
            true => 88.0,
            false => (body.height() * 0.42).max(96.0),
        };
        let grid_height = self.grid.height(body.width(), grid_room);
        let grid = body
            .with_max_y(legend.top() - 8.0)
            .with_min_y(legend.top() - 8.0 - grid_height);
        let stack = body.with_max_y(grid.top() - 12.0);
        if stack.height() > 40.0 {
            self.show_stack(ui, stack, scene, anchors, out);
        }
        self.grid.show(ui, grid, scene, anchors, out);
        legend::show(ui, legend, words, scene, out);
        heap_card::show(ui, card, scene, out);
    }

    /// Draws the grid of all frames alone, with its legend: for a picture.
    pub fn show_frames(
        &mut self,
        ui: &mut Ui,
        rect: Rect,
        scene: &Scene<'_>,
        out: &mut Vec<UiCommand>,
    ) {
        let body = paint::column_title(ui, rect, "Frames", scene.remark("all of RAM"));
        let below = legend::height(ui, body.width(), Words::Beside, scene);
        let room = (body.height() - below - 8.0).max(40.0);
        let grid = body.with_max_y(body.top() + room);
        let bottom = grid.top() + self.grid.show_all(ui, grid, scene);
        let legend = body
            .with_min_y(bottom + 8.0)
            .with_max_y(bottom + 8.0 + below);
        legend::show(ui, legend, Words::Beside, scene, out);
    }

    fn show_stack(
        &mut self,
        ui: &mut Ui,
        rect: Rect,
        scene: &Scene<'_>,
        anchors: &mut Anchors,
        out: &mut Vec<UiCommand>,
    ) {
        let bands = &scene.derived.physical_bands;
        let label = |band: &Band| label(band, scene);
        let page_label = |_: &Band, page: u64| page_label(page, scene);
        let hover = |band: &Band, page: u64, ui: &mut Ui| hover(band, page, scene, ui);
        let column = BandColumn {
            map: MapId::Physical,
            name: format!("Physical map, {} bands", bands.len()),
            bands,
            side: BarSide::Left,
            bar: (rect.width() * 0.32).clamp(48.0, 150.0),
            row_min: 15.0,
            selected: scene.derived.focus.phys.map(PhysAddr::as_u64),
            marked: &scene.derived.marks.phys,
            hovered: scene.derived.hover.phys.map(PhysAddr::as_u64),
            hover_marked: &scene.derived.hover_marks.phys,
            label: &label,
            page_label: &page_label,
            hover: &hover,
        };
        let outcome = column.show(ui, rect, scene, &mut self.stack);
        anchors.physical = outcome.anchor.map(PhysicalAnchor::Band);
        if let Some(page) = outcome.pointed {
            scene.point(Selection::Physical(PhysAddr::new(page)));
        }
        match outcome.clicked {
            Some(Clicked::Page(page)) => {
                out.push(UiCommand::Select(Selection::Physical(PhysAddr::new(page))));
            }
            Some(Clicked::Whole(start, size)) => {
                out.push(UiCommand::Select(Selection::Range(Stretch {
                    space: RegionSpace::Physical,
                    start,
                    size,
                })));
            }
            None => {}
        }
    }
}

/// Which address leads to a frame.
fn page_label(page: u64, scene: &Scene<'_>) -> String {
    let aliases = scene.derived.index.aliases_of(PhysAddr::new(page), 3);
    match aliases.as_slice() {
        [] => "not mapped".into(),
        [one] => format!("← {}", one.virt),
        [first, ..] => format!("← {} and more", first.virt),
    }
}

fn label(band: &Band, scene: &Scene<'_>) -> Label {
    let palette = scene.palette;
    let (name, is_thing) = match band.kind {
        BandKind::Nothing => (format!("{} nothing", size_text(band.size)), false),
        BandKind::Free => (band.name.clone(), false),
        BandKind::Ram if band.name.is_empty() => ("RAM".into(), false),
        _ if band.name.is_empty() => (size_text(band.size), true),
        _ => (band.name.clone(), true),
    };
    let detail = match band.kind {
        BandKind::Nothing => String::new(),
        BandKind::Free | BandKind::Ram | BandKind::Heap => band.amount(),
        BandKind::Table(_) if band.size > pagescope_protocol::PAGE_SIZE => {
            format!("{} frames", band.size / pagescope_protocol::PAGE_SIZE)
        }
        _ => format!("{:#010x}", band.start),
    };
    let color = match band.kind {
        BandKind::Guard => palette.danger,
        _ if is_thing => palette.text,
        _ => palette.dim,
    };
    Label {
        name,
        short: None,
        detail,
        color,
        is_thing,
    }
}

fn hover(band: &Band, page: u64, scene: &Scene<'_>, ui: &mut Ui) {
    let what = match band.kind {
        BandKind::Nothing => "Nothing answers here",
        BandKind::Reserved => "Kept free for something",
        BandKind::Free => "RAM that the allocator has not handed out",
        BandKind::Ram => "RAM of which nothing more is known",
        BandKind::Device => "A device's registers",
        BandKind::Table(_) => "A page table",
        BandKind::Heap => "Pages that the allocator handed out",
        BandKind::Machine => "The machine-mode program",
        BandKind::Guard => "Never mapped, so that an overflow faults",
        BandKind::HeapCounter => "The page with the heap counter",
        BandKind::Code => "Code",
        BandKind::ReadOnly => "Constants",
        BandKind::Stack => "A stack",
        BandKind::Data | BandKind::WriteExecute => "Data",
        // Neither is in a physical map.
        BandKind::NonCanonical | BandKind::Unread => "Unknown",
    };
    let title = if band.name.is_empty() {
        what.to_owned()
    } else {
        band.name.clone()
    };
    ui.label(RichText::new(title).strong());
    if !band.name.is_empty() {
        ui.label(what);
    }
    super::band_column::about(band, scene, ui);
    ui.monospace(format!("{:#x} – {:#x}", band.start, band.last()));
    ui.label(size_text(band.size));
    if band.kind != BandKind::Nothing && band.size > pagescope_protocol::PAGE_SIZE {
        ui.label(format!(
            "A click selects the frame at {page:#x}, with Shift all of it; a double click zooms there."
        ));
    }
}

/// A strip under `rect`'s top, `height` high.
fn head_of(rect: Rect, height: f32) -> Rect {
    Rect::from_min_size(rect.min, vec2(rect.width(), height))
}

//! What is drawn: model, then layout, then paint.
//!
//! ```text
//!  ┌ toolbar ──────────────────────────────────────────────────────────┐
//!  ├──────────────┬───────────────────────────┬────────────┬───────────┤
//!  │ virtual_map  │ page_tables               │physical_map│ detail    │
//!  │      ────────┼──▶ L2 ──▶ L1 ──▶ L0 ──────┼──▶ frame   │           │
//!  ├──────────────┴───────────────────────────┴────────────┼───────────┤
//!  │ bottom: timeline, console, registers, regions, log    │ changes   │
//!  └ status_bar ───────────────────────────────────────────────────────┘
//! ```
//!
//! Views read [`state::State`] and what [`derived::Derived`] worked out from it,
//! and emit [`UiCommand`]s. They change no state, and know no socket, file or thread.

pub mod actions;
pub mod address_box;
pub mod band_column;
pub mod band_stack;
pub mod bottom;
pub mod camera;
pub mod columns;
pub mod command;
pub mod compare;
pub mod derived;
pub mod detail;
mod dialog;
pub mod edges;
pub mod export_picture;
pub mod first_run;
pub mod help;
mod leave_question;
pub mod lecture;
pub mod legend;
pub mod minimap;
pub mod notices;
pub mod page_tables;
pub mod paint;
pub mod palette;
mod part;
pub mod path_line;
pub mod physical_map;
pub mod prompt;
pub mod ribbons;
pub mod run_until;
pub mod scene;
pub mod state;
pub mod status_bar;
pub mod theme;
pub mod toolbar;
pub mod virtual_map;

use std::cell::Cell;

use egui::{CentralPanel, Frame, Margin, Panel, Rect, Sense, Stroke, Ui, vec2};
use pagescope_protocol::{Level, PhysPage};

use camera::{CameraStep, MapId};
use columns::{Columns, MARGIN};
use derived::Derived;
use paint::Patterns;
use scene::{Anchors, Scene};
use state::State;
use theme::Palette;

use crate::model::Selection;

pub use command::{FilePurpose, LookCommand, Tab, UiCommand};
pub use part::ViewPart;

/// What the views keep from frame to frame: caches and what is being typed.
#[derive(Default)]
pub struct Views {
    derived: Derived,
    patterns: Option<Patterns>,
    toolbar: toolbar::Toolbar,
    virtual_map: virtual_map::VirtualMap,
    page_tables: page_tables::PageTables,
    physical_map: physical_map::PhysicalMap,
    bottom: bottom::Bottom,
    detail: detail::Detail,
    first_run: first_run::FirstRun,
    prompt: prompt::Prompt,
    /// A step of the camera that the next frame makes.
    step: Option<CameraStep>,
    palette: palette::CommandPalette,
    run_until: run_until::RunUntil,
    export_picture: export_picture::ExportPicture,
}

impl Views {
    /// Puts the keyboard into the address box.
    pub fn focus_address(&mut self) {
        self.toolbar.focus_address();
    }

    /// Hands over what is being typed in a note, a caption or a title, as if it were left.
    pub fn keep_typed(&mut self, state: &State, out: &mut Vec<UiCommand>) {
        self.bottom.keep_typed(state, out);
    }

    /// Moves or zooms the map under the mouse, in the next frame.
    pub const fn move_map(&mut self, step: CameraStep) {
        self.step = Some(step);
    }

    /// What the selection means at the moment that was drawn last.
    pub const fn focus(&self) -> &crate::model::Focus {
        &self.derived.focus
    }

    /// The tables on the way that is selected, from the root down.
    pub fn tables(&self) -> Vec<(Level, PhysPage)> {
        self.derived.chain_tables()
    }

    /// Draws everything, and returns what was asked for.
    pub fn show(&mut self, ui: &mut Ui, state: &State) -> Vec<UiCommand> {
        let is_picture = state.lecture.show.is_some();
        let mut out = self.with_scene(ui, state, is_picture, |views, ui, scene, out| {
            views.draw(ui, scene, out);
            // Who draws without a scene asks for the mark; it is asked for once, however long the mouse rests there.
            out.retain(|command| match command {
                UiCommand::Look(LookCommand::Hover(selection)) => {
                    scene.point(*selection);
                    false
                }
                _ => true,
            });
            let pointed = scene.pointed.get();
            if pointed != state.look.hover {
                out.push(UiCommand::Look(LookCommand::Hover(pointed)));
            }
        });
        for (button, command) in [
            (egui::PointerButton::Extra1, LookCommand::Back),
            (egui::PointerButton::Extra2, LookCommand::Forward),
        ] {
            if ui.input(|input| input.pointer.button_pressed(button)) {
                out.push(UiCommand::Look(command));
            }
        }
        out
    }

    /// Works out what follows from `state`, and has `draw` draw it; returns what was asked for.
    fn with_scene(
        &mut self,
        ui: &mut Ui,
        state: &State,
        is_picture: bool,
        draw: impl FnOnce(&mut Self, &mut Ui, &Scene<'_>, &mut Vec<UiCommand>),
    ) -> Vec<UiCommand> {
        self.derived.refresh(state, ui.ctx());
        let patterns = self
            .patterns
            .get_or_insert_with(|| Patterns::new(ui.ctx()))
            .clone();
        let derived = std::mem::take(&mut self.derived);
        let pointed = Cell::new(Selection::Nothing);
        let scene = Scene {
            state,
            derived: &derived,
            palette: Palette::of(ui),
            patterns: &patterns,
            pointed: &pointed,
            camera: None,
            is_picture,
        };
        let mut out = Vec::new();
        draw(self, ui, &scene, &mut out);
        self.derived = derived;
        out
    }

    fn draw(&mut self, ui: &mut Ui, scene: &Scene<'_>, out: &mut Vec<UiCommand>) {
        let palette = scene.palette;
        if let Some(show) = &scene.state.lecture.show {
            return self.lecture(ui, show, scene, out);
        }
        let size = ui.max_rect().size();
        let panels = scene.state.desk.panels;
        let columns = Columns::with_detail(size.x, size.y, panels.detail);
        let bar = |vertical: i8| {
            Frame::NONE
                .fill(palette.panel)
                .inner_margin(Margin::symmetric(MARGIN as i8, vertical))
        };
        Panel::top("toolbar")
            .exact_size(toolbar::height(size.x))
            .frame(bar(0))
            .show(ui, |ui| {
                self.toolbar.show(ui, scene, out);
            });
        let has_warning = (scene.state.snapshot()).is_some_and(|it| !it.warnings.is_empty());
        let has_strip = scene.state.notice.is_some()
            || has_warning
            || (scene.state.is_stale() && scene.state.snapshot().is_some());
        if has_strip {
            Panel::top("notices")
                .frame(Frame::NONE)
                .show(ui, |ui| notices::strips(ui, scene, out));
        }
        Panel::bottom("status")
            .exact_size(24.0)
            .frame(bar(0))
            .show(ui, |ui| status_bar::show(ui, scene, out));
        if scene.state.snapshot().is_none() {
            CentralPanel::default().show(ui, |ui| {
                if !notices::welcome(ui, scene, out) {
                    self.first_run.show(ui, scene, out);
                }
            });
        } else {
            let bottom = match panels.bottom {
                Some(made) => Columns::bottom_made(size.y, made),
                None => columns.bottom_of(scene.state.tab, size.y),
            };
            let lower = Panel::bottom("bottom")
                .exact_size(bottom)
                .frame(bar(10))
                .show(ui, |ui| {
                    let side = columns.detail - 2.0 * MARGIN;
                    self.bottom.show(ui, side, scene, out);
                });
            let side = Panel::right("detail")
                .exact_size(columns.detail)
                .resizable(false)
                .frame(
                    Frame::NONE
                        .fill(palette.background)
                        .inner_margin(Margin::symmetric(MARGIN as i8, 10)),
                )
                .show(ui, |ui| self.detail.show(ui, scene, out));
            CentralPanel::no_frame()
                .frame(Frame::NONE.fill(palette.background))
                .show(ui, |ui| self.picture(ui, &columns, scene, out));
            edges::show(ui, scene, side.response.rect, lower.response.rect, out);
        }
        edges::drop_hint(ui, scene);
        self.prompt.show(ui, scene, out);
        leave_question::show(ui, scene, out);
        self.palette.show(ui, scene, out);
        self.run_until.show(ui, scene, out);
        self.export_picture.show(ui, scene, out);
        if scene.state.help {
            help::show(ui.ctx(), out);
        }
    }

    /// A lecture: the picture and the caption, and nothing else.
    fn lecture(
        &mut self,
        ui: &mut Ui,
        show: &state::Show,
        scene: &Scene<'_>,
        out: &mut Vec<UiCommand>,
    ) {
        let large = show.slide().and_then(|slide| slide.view);
        let columns = Columns::lecture(ui.max_rect().width(), large);
        lecture::show(ui, show, scene, out);
        CentralPanel::no_frame()
            .frame(Frame::NONE.fill(scene.palette.background))
            .show(ui, |ui| {
                let mut asked = Vec::new();
                self.picture(ui, &columns, scene, &mut asked);
                lecture::turn_pages(ui, asked, out);
                if show.is_blank {
                    lecture::blank(ui);
                }
            });
    }

    /// The map that a key means: the one under the mouse, else the virtual one.
    fn map_under(&self, ui: &Ui, [_, tables, physical]: [Rect; 3]) -> MapId {
        match ui.ctx().pointer_hover_pos() {
            Some(at) if tables.contains(at) => MapId::Tables,
            Some(at) if self.physical_map.is_grid_at(at) => MapId::Frames,
            Some(at) if physical.contains(at) => MapId::Physical,
            _ => MapId::Virtual,
        }
    }

    /// The three columns, and the line through them.
    fn picture(
        &mut self,
        ui: &mut Ui,
        columns: &Columns,
        scene: &Scene<'_>,
        out: &mut Vec<UiCommand>,
    ) {
        let all = ui.max_rect();
        ui.advance_cursor_after_rect(all);
        if scene.state.is_stale() {
            ui.set_opacity(0.55);
            // Behind everything: what is read through it stays clear.
            paint::hatch(ui.painter(), all, scene.palette.edge, 26.0);
        }
        let inner = all.shrink2(vec2(MARGIN, 10.0));
        let at = |left: f32, width: f32| {
            Rect::from_min_size(
                inner.min + vec2(left.round(), 0.0),
                vec2(width.round(), inner.height()),
            )
        };
        if let Some(difference) = &scene.derived.comparison {
            return compare::show(ui, inner, difference, scene, out);
        }
        let mut anchors = Anchors::default();
        let left = at(0.0, columns.virtual_map);
        let middle = at(columns.virtual_map + columns.gap, columns.tables);
        let x = columns.virtual_map + columns.tables + 2.0 * columns.gap;
        let right = at(x, columns.physical.min(inner.width() - x));
        let step = self.step.take();
        let under = self.map_under(ui, [left, middle, right]);
        let scene = &Scene {
            camera: step.map(|step| (under, step)),
            ..*scene
        };
        self.virtual_map.show(ui, left, scene, &mut anchors, out);
        self.physical_map.show(ui, right, scene, &mut anchors, out);
        let ends = ribbons::Ends {
            virt: &self.virtual_map.column,
            phys: &self.physical_map.stack,
        };
        // Behind the cards.
        let found = ribbons::ribbons(&ends, scene);
        let gap = all.with_min_x(left.right()).with_max_x(right.left());
        let ends = [left.right(), right.left()];
        let station = right
            .with_max_x(right.left())
            .with_min_x(middle.right())
            .with_min_y(right.top() + 34.0);
        ribbons::paint(&ui.painter_at(gap), &found, ends, station, scene);
        ribbons::paint_stations(ui, station, &ribbons::stations(&found), scene);
        let strip = left.with_min_x(left.right()).with_max_x(middle.left());
        let response = ui.interact(strip, ui.scope_id().with("ribbons"), Sense::hover());
        paint::name_canvas(&response, || match found.len() {
            0 => "No ribbon".into(),
            1 => "1 ribbon to its frames".into(),
            count => format!("{count} ribbons to their frames"),
        });
        self.page_tables.show(ui, middle, scene, &mut anchors, out);
        let painter = ui.painter_at(all);
        let edge = Stroke::new(1.0, scene.palette.edge);
        painter.vline(all.right() - 0.5, all.y_range(), edge);
        painter.hline(all.x_range(), all.bottom() - 0.5, edge);
        path_line::paint(&painter, &anchors, end_color(scene), scene.palette);
        outline_cells(&painter, &anchors, scene);
        path_line::paint_window(&painter, &anchors.window, scene.palette);
    }
}

/// The colour of what the selection leads to.
fn end_color(scene: &Scene<'_>) -> egui::Color32 {
    let focus = &scene.derived.focus;
    let is_fresh = focus
        .frame()
        .is_some_and(|frame| scene.derived.fresh_frames.binary_search(&frame).is_ok());
    if is_fresh {
        return scene.palette.fresh;
    }
    let part = focus
        .phys
        .and_then(|phys| scene.derived.part_of(phys.as_u64()));
    match part {
        Some(band) if band.is_something() => scene.palette.band(band.kind),
        _ => scene.palette.selection,
    }
}

/// The selected cells of the tables stand on top of the line.
fn outline_cells(painter: &egui::Painter, anchors: &Anchors, scene: &Scene<'_>) {
    let steps = &scene.derived.focus.steps;
    for anchor in &anchors.cells {
        let step = steps.iter().find(|step| step.level == anchor.level);
        let fill = step
            .and_then(|step| {
                let is_fresh = scene
                    .derived
                    .is_fresh_entry(step.table, step.index, step.pte);
                if is_fresh {
                    return Some(scene.palette.fresh);
                }
                let space = scene.state.space()?;
                let table = space.table_at(step.table, step.level)?;
                if scene.derived.is_own_window(table, step.index, step.pte) {
                    return Some(scene.palette.level(step.level));
                }
                let kind = scene.derived.kind_of_entry(step.level, step.pte)?;
                Some(scene.palette.band(kind))
            })
            .unwrap_or(scene.palette.empty);
        paint::selected_cell(painter, anchor.cell, fill, scene.palette);
    }
}

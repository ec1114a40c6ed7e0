//! The frames of RAM as a grid: 2 MiB with one cell a frame, all of RAM with several frames a
//! cell, and every step between and beyond.

mod cells;
mod hover;
mod view;

use std::ops::Range;

use egui::{
    Align, Button, CornerRadius, Rect, RichText, Sense, Stroke, StrokeKind, Ui, UiBuilder, pos2,
    vec2,
};
use pagescope_protocol::snapshot::RegionSpace;
use pagescope_protocol::{PAGE_SIZE, PhysPage};

use self::view::{COLUMNS, ROWS, View, cell_side, ram, whole};
use super::head_of;
use crate::model::{Selection, Stretch, size_text};
use crate::views::camera::{CameraStep, MapId, gesture};
use crate::views::command::UiCommand;
use crate::views::paint::{self, CellGrid};
use crate::views::scene::{Anchors, PhysicalAnchor, Scene};
use crate::views::theme;

const HEAD: f32 = 24.0;
/// What a cell is zoomed by in one turn of the wheel: a step of the zoom doubles or halves.
const TURN: f64 = 1.4;

/// What the grid keeps from frame to frame.
#[derive(Default)]
pub(super) struct FrameGrid {
    /// How far it is zoomed out from 2 MiB, in steps of two; below 0 it is zoomed in.
    zoom: i32,
    /// What the wheel has turned without a step being whole.
    turned: f64,
    /// What was dragged without a row being whole.
    dragged: f32,
    /// The first frame of the window, where somebody has moved it.
    moved_to: Option<u64>,
    selection_generation: u64,
    texture: cells::Texture,
    rect: Option<Rect>,
}

impl FrameGrid {
    /// Whether it lies at `at`.
    pub(super) fn is_at(&self, at: egui::Pos2) -> bool {
        self.rect.is_some_and(|rect| rect.contains(at))
    }

    /// The height that the grid takes in `width`, with at most `room` for it.
    pub(super) fn height(&self, width: f32, room: f32) -> f32 {
        HEAD + cell_side(width, room - HEAD) * ROWS as f32
    }

    /// Draws the grid into `rect`.
    pub(super) fn show(
        &mut self,
        ui: &mut Ui,
        rect: Rect,
        scene: &Scene<'_>,
        anchors: &mut Anchors,
        out: &mut Vec<UiCommand>,
    ) {
        if self.selection_generation != scene.derived.selection_generation {
            self.selection_generation = scene.derived.selection_generation;
            self.moved_to = None;
        }
        let selected = scene.derived.focus.frame();
        let Some(ram) = ram(scene, selected) else {
            return no_ram(ui, rect, scene);
        };
        let side = cell_side(rect.width(), rect.height() - HEAD);
        let area = vec2(side * COLUMNS as f32, side * ROWS as f32);
        self.rect = Some(rect);
        let origin = pos2(rect.left(), rect.top() + HEAD).round();
        let place = Rect::from_min_size(origin, area);
        let id = ui.scope_id().with("frame grid");
        let response = ui.interact(place, id, Sense::click_and_drag());
        let most = whole(&ram, side, area);
        self.zoom = self.zoom.min(most);
        let before = self.view(&ram, selected, side, area);
        self.move_camera(ui, &response, &ram, &before, most, selected, scene);
        let view = self.view(&ram, selected, side, area);
        self.head(ui, head_of(rect, HEAD), &ram, &view, most, scene);
        let view = self.view(&ram, selected, side, area);
        let grid = self.paint(ui, origin, &view, selected, scene, anchors);
        self.pointer(ui, response, &grid, &view, scene, out);
    }

    /// Draws all of RAM into `rect`, as large as there is room: for a picture. Gives the height that it took.
    pub(super) fn show_all(&mut self, ui: &Ui, rect: Rect, scene: &Scene<'_>) -> f32 {
        let selected = scene.derived.focus.frame();
        let Some(ram) = ram(scene, selected) else {
            no_ram(ui, rect, scene);
            return HEAD;
        };
        let view = View::filling(&ram, rect.size() - vec2(0.0, HEAD));
        let font = theme::words(theme::BODY);
        let words = format!(
            "{} from {:#x} · {} · {} a row",
            size_text((ram.end - ram.start) * PAGE_SIZE),
            ram.start * PAGE_SIZE,
            scale_words(&view),
            size_text(view.row() * PAGE_SIZE)
        );
        let head = head_of(rect, HEAD);
        let ink = scene.palette.dim;
        paint::line(ui.painter(), head, Align::Min, &words, font, ink);
        let origin = pos2(rect.left(), rect.top() + HEAD).round();
        let mut anchors = Anchors::default();
        let grid = self.paint(ui, origin, &view, selected, scene, &mut anchors);
        HEAD + grid.rect().height()
    }

    /// Paints the cells of `view`, and what is over them.
    fn paint(
        &mut self,
        ui: &Ui,
        origin: egui::Pos2,
        view: &View,
        selected: Option<PhysPage>,
        scene: &Scene<'_>,
        anchors: &mut Anchors,
    ) -> CellGrid {
        let grid = CellGrid {
            origin,
            columns: view.columns,
            rows: (view.frames.end - view.frames.start)
                .div_ceil(view.row())
                .max(1) as usize,
            cell: view.cell,
        };
        let handle = self.texture.of(ui, view, scene);
        grid.paint(ui.painter(), &handle, scene.palette.background);
        let cell_of = |frame: PhysPage| {
            let number = frame.number();
            view.frames.contains(&number).then(|| {
                let index = (number - view.frames.start) / view.per_cell;
                grid.cell_rect(index as usize)
            })
        };
        cells::letters(ui, &grid, view, scene);
        cells::marks(ui, &grid, view, scene);
        if let Some(cell) = selected.and_then(cell_of) {
            let frame = selected.unwrap_or_default();
            let fill = cells::fill_of(frame, scene);
            paint::selected_cell(ui.painter(), cell, fill, scene.palette);
            anchors.physical = Some(PhysicalAnchor::Cell {
                grid: grid.rect(),
                cell,
            });
        }
        grid
    }

    /// What is in view: what somebody moved to, else the 2 MiB, or as much as there is room for, around what is selected.
    fn view(
        &self,
        ram: &Range<u64>,
        selected: Option<PhysPage>,
        side: f32,
        area: egui::Vec2,
    ) -> View {
        let scale = View::scale(self.zoom, side, area);
        let room = scale.room().max(1);
        let around = selected
            .map(PhysPage::number)
            .filter(|frame| ram.contains(frame))
            .map(|frame| ram.start + (frame - ram.start) / room * room);
        let start = self.moved_to.or(around).unwrap_or(ram.end);
        scale.from(ram, start)
    }

    #[expect(clippy::too_many_arguments, reason = "all say what is in view")]
    fn move_camera(
        &mut self,
        ui: &Ui,
        response: &egui::Response,
        ram: &Range<u64>,
        view: &View,
        most: i32,
        selected: Option<PhysPage>,
        scene: &Scene<'_>,
    ) {
        let mut steps = 0;
        let mut rows = 0.0;
        let mut at = view.rows as f32 / 2.0;
        if let Some(gesture) = gesture(ui, response) {
            self.turned += gesture.zoom.ln() / TURN.ln();
            let whole = self.turned.trunc();
            self.turned -= whole;
            steps -= whole as i32;
            self.dragged += gesture.pan.y / view.cell;
            at = (gesture.at.y - response.rect.top()) / view.cell;
        }
        let key = scene.step_of(MapId::Frames);
        match key {
            Some(CameraStep::Fit) => {
                self.zoom = most;
                self.moved_to = None;
                return;
            }
            Some(CameraStep::ToSelection) => {
                self.zoom = 0;
                self.moved_to = None;
                return;
            }
            Some(step) => {
                steps -= step.zoom().ln().signum() as i32 * i32::from(step.zoom() != 1.0);
                rows -= step.pan().y / 20.0;
                if let Some(pointer) = response.hover_pos() {
                    at = (pointer.y - response.rect.top()) / view.cell;
                }
            }
            None => {}
        }
        let whole = self.dragged.trunc();
        self.dragged -= whole;
        rows -= whole;
        let first = view.frames.start;
        if rows != 0.0 {
            let by = rows.abs() as u64 * view.row();
            let to = match rows < 0.0 {
                true => first.saturating_sub(by).max(ram.start),
                false => first.saturating_add(by),
            };
            self.moved_to = Some(view.clone().from(ram, to).frames.start);
        }
        let zoom = (self.zoom + steps).clamp(-3, most);
        if zoom != self.zoom {
            // What is under the pointer stays there: its row, as near as rows allow.
            let (column, row) = match response.hover_pos() {
                Some(pointer) => (
                    ((pointer.x - response.rect.left()) / view.cell).max(0.0) as u64,
                    at.max(0.0) as u64,
                ),
                None => (0, at.max(0.0) as u64),
            };
            let inside = column.min(view.columns as u64 - 1);
            let mut under = first + row * view.row() + inside * view.per_cell;
            // With keys and nothing under the mouse, what is selected stays in view.
            if response.hover_pos().is_none()
                && let Some(frame) = selected
            {
                under = frame.number();
            }
            self.zoom = zoom;
            let area = response.rect.size();
            let side = cell_side(area.x, area.y);
            let scale = View::scale(zoom, side, area);
            let above = (at.max(0.0) * view.cell / scale.cell) as u64 * scale.row();
            let under = under.clamp(ram.start, ram.end - 1);
            let start = ram.start + (under - ram.start) / scale.row() * scale.row();
            self.moved_to = Some(start.saturating_sub(above).max(ram.start));
        }
    }

    fn head(
        &mut self,
        ui: &mut Ui,
        head: Rect,
        ram: &Range<u64>,
        view: &View,
        most: i32,
        scene: &Scene<'_>,
    ) {
        let palette = scene.palette;
        let bytes = |frames: u64| size_text(frames * PAGE_SIZE);
        let mut child = ui.new_child(
            UiBuilder::new()
                .max_rect(head)
                .id_salt("frame grid head")
                .layout(egui::Layout::right_to_left(Align::Center)),
        );
        child.spacing_mut().item_spacing.x = 3.0;
        child.spacing_mut().button_padding = vec2(5.0, 1.0);
        child.spacing_mut().interact_size.y = 18.0;
        let shows_all = view.frames == *ram;
        if !scene.is_picture {
            self.buttons(&mut child, ram, view, most);
        }
        let words = match scene.is_picture {
            true => head,
            false => head.with_max_x(child.min_rect().left() - 6.0),
        };
        let title = if shows_all {
            format!("RAM, all {}", bytes(ram.end - ram.start))
        } else if view.frames.end == ram.end {
            format!("RAM, top {}", bytes(view.frames.end - view.frames.start))
        } else {
            format!("RAM from {:#x}", view.frames.start * PAGE_SIZE)
        };
        let strong = theme::strong(12.0);
        let taken = paint::line(
            ui.painter(),
            words,
            Align::Min,
            &title,
            strong,
            palette.text,
        );
        let scale = scale_words(view);
        let rest = words.with_min_x(taken.right() + 10.0);
        let font = theme::words(theme::SMALL);
        if paint::width(ui.painter(), &scale, font.clone()) <= rest.width() {
            paint::line(ui.painter(), rest, Align::Min, &scale, font, palette.dim);
        }
    }

    /// All of RAM or 2 MiB of it, and the neighbours of what is in view.
    fn buttons(&mut self, ui: &mut Ui, ram: &Range<u64>, view: &View, most: i32) {
        let small = |text: &str| RichText::new(text).size(11.0);
        let shows_all = view.frames == *ram;
        let all = ui.add(Button::new(small("All")).selected(shows_all));
        all.widget_info(|| named("All RAM"));
        if all
            .on_hover_text("All of RAM, or 2 MiB of it with one cell a frame")
            .clicked()
        {
            self.zoom = if shows_all { 0 } else { most };
            self.moved_to = None;
        }
        if !shows_all {
            let room = size_text(view.room() * PAGE_SIZE);
            let up = ui.add_enabled(view.frames.end < ram.end, Button::new(small("▶")));
            up.widget_info(|| named(&format!("Next {room} of RAM")));
            let up = up.on_hover_text(format!("The next {room}"));
            if up
                .on_disabled_hover_text("This is the end of RAM.")
                .clicked()
            {
                self.moved_to = Some(view.frames.start + view.room());
            }
            let down = ui.add_enabled(view.frames.start > ram.start, Button::new(small("◀")));
            down.widget_info(|| named(&format!("Previous {room} of RAM")));
            let down = down.on_hover_text(format!("The {room} before"));
            let why_not = "This is where RAM begins.";
            if down.on_disabled_hover_text(why_not).clicked() {
                let to = view.frames.start.saturating_sub(view.room());
                self.moved_to = Some(to.max(ram.start));
            }
        }
    }

    fn pointer(
        &mut self,
        ui: &Ui,
        response: egui::Response,
        grid: &CellGrid,
        view: &View,
        scene: &Scene<'_>,
        out: &mut Vec<UiCommand>,
    ) {
        paint::name_canvas(&response, || {
            let bytes = (view.frames.end - view.frames.start) * PAGE_SIZE;
            format!("Frames of RAM, {} shown", size_text(bytes))
        });
        let Some(index) = response.hover_pos().and_then(|at| grid.index_at(at)) else {
            return;
        };
        let first = view.frames.start + index as u64 * view.per_cell;
        if first >= view.frames.end {
            return;
        }
        let frame = PhysPage::from_truncated(first);
        scene.point(match view.per_cell {
            1 => Selection::Physical(frame.start()),
            many => Selection::Range(Stretch {
                space: RegionSpace::Physical,
                start: frame.start().as_u64(),
                size: many * PAGE_SIZE,
            }),
        });
        let stroke = Stroke::new(1.0, scene.palette.text);
        let cell = grid.cell_rect(index);
        ui.painter()
            .rect_stroke(cell, CornerRadius::ZERO, stroke, StrokeKind::Outside);
        if !scene.is_picture && (response.clicked() || response.double_clicked()) {
            if view.per_cell > 1 || response.double_clicked() {
                self.zoom = if view.per_cell > 1 { 0 } else { -1 };
                self.moved_to = None;
            }
            out.push(UiCommand::Select(Selection::Physical(frame.start())));
        }
        if !response.dragged() {
            response.on_hover_ui_at_pointer(|ui| hover::hover(ui, frame, view, scene));
        }
    }
}

fn named(name: &str) -> egui::WidgetInfo {
    egui::WidgetInfo::labeled(egui::Role::Button, true, name)
}

fn no_ram(ui: &Ui, rect: Rect, scene: &Scene<'_>) {
    let text = "This snapshot does not say where RAM is.";
    let font = theme::words(theme::SMALL);
    let head = head_of(rect, HEAD);
    paint::line(
        ui.painter(),
        head,
        Align::Min,
        text,
        font,
        scene.palette.dim,
    );
}

fn scale_words(view: &View) -> String {
    match view.per_cell {
        1 => "one cell a frame".to_owned(),
        many => format!("{many} frames a cell"),
    }
}

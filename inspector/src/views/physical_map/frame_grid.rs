//! The frames of RAM as a grid: 2 MiB with one cell a frame, all of RAM with several frames a
//! cell, and every step between and beyond. One texture, made again only when what it shows is another.

use std::ops::Range;

use egui::{
    Align, Button, CornerRadius, Rect, RichText, Sense, Stroke, StrokeKind, TextureHandle,
    TextureOptions, Ui, UiBuilder, epaint::ColorImage, pos2, vec2,
};
use pagescope_protocol::snapshot::RegionSpace;
use pagescope_protocol::{PAGE_SIZE, PhysPage, PhysRange};

use super::head_of;
use crate::model::frame_cells::frame_cells;
use crate::model::{BandKind, Seen, Selection, Sign, Stretch, size_text};
use crate::views::camera::{CameraStep, MapId, gesture};
use crate::views::command::UiCommand;
use crate::views::paint::{self, CellGrid};
use crate::views::scene::{Anchors, PhysicalAnchor, Scene};
use crate::views::theme;

const HEAD: f32 = 24.0;
const COLUMNS: usize = 32;
const ROWS: usize = 16;
/// The side of a cell where many are drawn: whole points, or some cells would vanish.
const SMALL_CELL: f32 = 3.0;
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
    texture: Option<(Key, TextureHandle)>,
    rect: Option<Rect>,
}

#[derive(Clone, PartialEq)]
struct Key {
    generation: u64,
    is_dark: bool,
    filter: Option<Sign>,
    view: View,
}

/// Which frames are drawn, and how many to a cell.
#[derive(Clone, PartialEq, Debug)]
struct View {
    frames: Range<u64>,
    per_cell: u64,
    columns: usize,
    rows: usize,
    cell: f32,
}

impl View {
    /// Frames in a row of cells.
    const fn row(&self) -> u64 {
        self.per_cell * self.columns as u64
    }

    /// All that it has room for.
    const fn room(&self) -> u64 {
        self.row() * self.rows as u64
    }

    /// The size of cells at `zoom`, how many frames each has, and how many there are.
    fn scale(zoom: i32, side: f32, area: egui::Vec2) -> Self {
        let (cell, per_cell) = match zoom {
            ..0 => ((side * (1 << (-zoom).min(4)) as f32).min(area.y), 1),
            0 => (side, 1),
            1 if side >= 2.0 * SMALL_CELL => ((side / 2.0).floor(), 1),
            zoom => {
                let doubled = zoom - if side >= 2.0 * SMALL_CELL { 2 } else { 1 };
                (SMALL_CELL, 1u64 << doubled.clamp(0, 52))
            }
        };
        let count = |room: f32| ((room / cell) as usize).clamp(1, 1024);
        Self {
            frames: 0..0,
            per_cell,
            columns: count(area.x),
            rows: count(area.y),
            cell,
        }
    }

    /// The same scale with the frames from about `start` on, in whole rows.
    fn from(mut self, ram: &Range<u64>, start: u64) -> Self {
        let row = self.row();
        let rows = (ram.end - ram.start).div_ceil(row);
        let last = ram.start + rows.saturating_sub(self.rows as u64) * row;
        let start = ram.start + start.saturating_sub(ram.start) / row * row;
        let start = start.min(last);
        self.frames = start..start.saturating_add(self.room()).min(ram.end);
        self
    }
}

/// The zoom at which all of `ram` is in view.
fn whole(ram: &Range<u64>, side: f32, area: egui::Vec2) -> i32 {
    let frames = ram.end - ram.start;
    (0..60)
        .find(|zoom| View::scale(*zoom, side, area).room() >= frames)
        .unwrap_or(60)
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
            let font = theme::words(theme::SMALL);
            let text = "This snapshot does not say where RAM is.";
            paint::line(
                ui.painter(),
                head_of(rect, HEAD),
                Align::Min,
                text,
                font,
                scene.palette.dim,
            );
            return;
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
        let grid = CellGrid {
            origin,
            columns: view.columns,
            rows: (view.frames.end - view.frames.start)
                .div_ceil(view.row())
                .max(1) as usize,
            cell: view.cell,
        };
        let handle = self.texture(ui, &view, scene);
        grid.paint(ui.painter(), &handle, scene.palette.background);
        let cell_of = |frame: PhysPage| {
            let number = frame.number();
            view.frames.contains(&number).then(|| {
                let index = (number - view.frames.start) / view.per_cell;
                grid.cell_rect(index as usize)
            })
        };
        self.letters(ui, &grid, &view, scene);
        self.marks(ui, &grid, &view, scene);
        self.pointer(ui, response, &grid, &view, scene, out);
        if let Some(cell) = selected.and_then(cell_of) {
            let frame = selected.unwrap_or_default();
            let fill = fill_of(frame, scene);
            paint::selected_cell(ui.painter(), cell, fill, scene.palette);
            anchors.physical = Some(PhysicalAnchor::Cell {
                grid: grid.rect(),
                cell,
            });
        }
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

    /// Letters on cells that are large enough for one, so that a colour never speaks alone.
    fn letters(&self, ui: &Ui, grid: &CellGrid, view: &View, scene: &Scene<'_>) {
        if grid.cell < 15.0 || view.per_cell > 1 {
            return;
        }
        for (index, number) in view.frames.clone().enumerate() {
            let frame = PhysPage::from_truncated(number);
            let seen = seen_of(frame, scene);
            let letter = match Sign::ALL.into_iter().find(|sign| sign.takes(&seen)) {
                Some(sign) if seen.is_shared => format!("{}=", sign.letter().trim_matches('=')),
                Some(sign) => sign.letter().to_owned(),
                None => continue,
            };
            let fill = scene.filtered(fill_of(frame, scene), &seen);
            ui.painter().text(
                grid.cell_rect(index).center(),
                egui::Align2::CENTER_CENTER,
                letter,
                theme::numbers((grid.cell * 0.55).min(13.0)),
                scene.palette.ink_on(fill),
            );
        }
    }

    /// What is selected as a stretch, and what the mouse rests on in any view.
    fn marks(&self, ui: &Ui, grid: &CellGrid, view: &View, scene: &Scene<'_>) {
        let derived = scene.derived;
        let hovered = derived.hover.frame();
        let hovered = match derived.hover_marks.phys.is_empty() {
            true => hovered.map(|frame| {
                let start = frame.start().as_u64();
                vec![(start, start + PAGE_SIZE - 1)]
            }),
            false => Some(derived.hover_marks.phys.clone()),
        };
        let (first, end) = (view.frames.start * PAGE_SIZE, view.frames.end * PAGE_SIZE);
        for (pieces, color) in [
            (hovered.as_deref().unwrap_or(&[]), scene.palette.text),
            (derived.marks.phys.as_slice(), scene.palette.selection),
        ] {
            let from = pieces.partition_point(|(_, last)| *last < first);
            let mut painted = None;
            for (start, last) in pieces[from..].iter().take_while(|(start, _)| *start < end) {
                let cell = |address: u64| {
                    let frame = (address / PAGE_SIZE).clamp(view.frames.start, view.frames.end - 1);
                    ((frame - view.frames.start) / view.per_cell) as usize
                };
                let (mut at, until) = (cell(*start), cell(*last));
                if let Some(painted) = painted {
                    at = at.max(painted);
                }
                // Row by row: a run of cells is one mark.
                while at <= until {
                    let row_end = (at / grid.columns + 1) * grid.columns - 1;
                    let stop = until.min(row_end);
                    let run = grid.cell_rect(at).union(grid.cell_rect(stop));
                    ui.painter().rect(
                        run,
                        CornerRadius::ZERO,
                        theme::mix(color, egui::Color32::TRANSPARENT, 0.75),
                        Stroke::new(1.0, color),
                        StrokeKind::Inside,
                    );
                    at = stop + 1;
                }
                painted = Some(at);
            }
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
        let small = |text: &str| RichText::new(text).size(11.0);
        let shows_all = view.frames == *ram;
        let all = child.add(Button::new(small("All")).selected(shows_all));
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
            let up = child.add_enabled(view.frames.end < ram.end, Button::new(small("▶")));
            up.widget_info(|| named(&format!("Next {room} of RAM")));
            if up.on_hover_text(format!("The next {room}")).clicked() {
                self.moved_to = Some(view.frames.start + view.room());
            }
            let down = child.add_enabled(view.frames.start > ram.start, Button::new(small("◀")));
            down.widget_info(|| named(&format!("Previous {room} of RAM")));
            if down.on_hover_text(format!("The {room} before")).clicked() {
                let to = view.frames.start.saturating_sub(view.room());
                self.moved_to = Some(to.max(ram.start));
            }
        }
        let words = head.with_max_x(child.min_rect().left() - 6.0);
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
        let scale = match view.per_cell {
            1 => "one cell a frame".to_owned(),
            many => format!("{many} frames a cell"),
        };
        let rest = words.with_min_x(taken.right() + 10.0);
        let font = theme::words(theme::SMALL);
        if paint::width(ui.painter(), &scale, font.clone()) <= rest.width() {
            paint::line(ui.painter(), rest, Align::Min, &scale, font, palette.dim);
        }
    }

    fn texture(&mut self, ui: &Ui, view: &View, scene: &Scene<'_>) -> TextureHandle {
        let key = Key {
            generation: scene.derived.generation,
            is_dark: scene.palette.is_dark,
            filter: scene.state.look.filter,
            view: view.clone(),
        };
        if let Some((old, handle)) = &self.texture
            && *old == key
        {
            return handle.clone();
        }
        let cells = frame_cells(
            &scene.derived.partition,
            &scene.derived.fresh_frames,
            view.frames.clone(),
            view.per_cell,
        );
        let rows = (view.frames.end - view.frames.start)
            .div_ceil(view.row())
            .max(1);
        let size = [view.columns, rows as usize];
        let mut image = ColorImage::filled(size, scene.palette.background);
        let bytes = view.per_cell * PAGE_SIZE;
        let mut at = view.frames.start * PAGE_SIZE;
        for (pixel, cell) in image.pixels.iter_mut().zip(cells) {
            let color = if cell.fresh {
                scene.palette.fresh
            } else {
                scene.palette.band(cell.kind)
            };
            let is_filtered = scene.state.look.filter.is_some();
            let seen = Seen {
                kind: cell.kind,
                is_mapped: false,
                is_fresh: cell.fresh,
                is_shared: is_filtered && scene.derived.is_shared(at, at + bytes - 1),
                is_unsure: false,
            };
            *pixel = scene.filtered(color, &seen);
            at += bytes;
        }
        let handle = ui
            .ctx()
            .load_texture("frames", image, TextureOptions::NEAREST);
        self.texture = Some((key, handle.clone()));
        handle
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
        if response.clicked() || response.double_clicked() {
            if view.per_cell > 1 || response.double_clicked() {
                self.zoom = if view.per_cell > 1 { 0 } else { -1 };
                self.moved_to = None;
            }
            out.push(UiCommand::Select(Selection::Physical(frame.start())));
        }
        if !response.dragged() {
            response.on_hover_ui_at_pointer(|ui| hover(ui, frame, view, scene));
        }
    }
}

fn hover(ui: &mut Ui, frame: PhysPage, view: &View, scene: &Scene<'_>) {
    if view.per_cell > 1 {
        let last = frame.number() + view.per_cell - 1;
        let last = last.min(view.frames.end - 1);
        ui.label(RichText::new(format!("{} frames from {frame}", view.per_cell)).strong());
        let inside = scene.derived.partition.iter().filter(|band| {
            band.start / PAGE_SIZE <= last && band.last() / PAGE_SIZE >= frame.number()
        });
        for band in inside.take(8) {
            let name = if band.name.is_empty() {
                "RAM"
            } else {
                &band.name
            };
            ui.label(name);
        }
        ui.label("A click shows them one by one.");
        return;
    }
    ui.label(RichText::new(format!("Frame {frame}")).strong());
    let band = scene.derived.part_of(frame.start().as_u64());
    let name = band.map_or("", |band| band.name.as_str());
    if !name.is_empty() {
        ui.label(name);
    }
    let heap = scene.state.snapshot().and_then(|snapshot| snapshot.heap);
    if let (Some(BandKind::Heap | BandKind::Table(_)), Some(heap)) =
        (band.map(|band| band.kind), heap)
        && let Some(number) = heap.index_of(frame.start())
    {
        ui.label(format!("kalloc({number}) returned it."));
    }
    let aliases = scene.derived.index.aliases(frame, 4);
    for alias in &aliases {
        ui.monospace(format!("{} {}", alias.virt, alias.flags));
    }
    if aliases.is_empty() && scene.state.is_translating() {
        ui.label("No address of this space leads here.");
    }
    if scene.derived.fresh_frames.binary_search(&frame).is_ok() {
        ui.label("New in this step.");
    }
}

fn named(name: &str) -> egui::WidgetInfo {
    egui::WidgetInfo::labeled(egui::Role::Button, true, name)
}

/// What is known of a frame.
fn seen_of(frame: PhysPage, scene: &Scene<'_>) -> Seen {
    let start = frame.start().as_u64();
    let part = scene.derived.part_of(start);
    Seen {
        kind: part.map_or(BandKind::Nothing, |band| band.kind),
        is_mapped: false,
        is_fresh: scene.derived.fresh_frames.binary_search(&frame).is_ok(),
        is_shared: scene.derived.is_shared(start, start + PAGE_SIZE - 1),
        is_unsure: scene.is_torn(frame),
    }
}

/// The colour of a selected frame's cell.
fn fill_of(frame: PhysPage, scene: &Scene<'_>) -> egui::Color32 {
    if scene.derived.fresh_frames.binary_search(&frame).is_ok() {
        return scene.palette.fresh;
    }
    match scene.derived.part_of(frame.start().as_u64()) {
        Some(band) => scene.palette.band(band.kind),
        None => scene.palette.empty,
    }
}

/// The RAM to draw: the one with the selected frame, else the largest.
fn ram(scene: &Scene<'_>, selected: Option<PhysPage>) -> Option<Range<u64>> {
    let snapshot = scene.state.snapshot()?;
    let whole = |range: PhysRange| {
        let start = range.start().as_u64() / PAGE_SIZE;
        start..start + range.size() / PAGE_SIZE
    };
    let selected = selected.map(PhysPage::number);
    let all = || {
        snapshot
            .ram()
            .map(whole)
            .filter(|frames| !frames.is_empty())
    };
    all()
        .find(|frames| selected.is_some_and(|frame| frames.contains(&frame)))
        .or_else(|| all().max_by_key(|frames| frames.end - frames.start))
}

fn cell_side(width: f32, height: f32) -> f32 {
    (width / COLUMNS as f32)
        .min(height / ROWS as f32)
        .floor()
        .clamp(4.0, 16.0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Band;
    use crate::model::bands::physical_partition;
    use crate::model::fixture;

    const AREA: egui::Vec2 = vec2(256.0, 128.0);
    const SIDE: f32 = 8.0;

    #[test]
    fn all_of_ram_fits_however_much_there_is() {
        for mebibytes in [1u64, 128, 4096, 1 << 20] {
            let ram = 0x80000..0x80000 + mebibytes * 256;
            let zoom = whole(&ram, SIDE, AREA);
            let view = View::scale(zoom, SIDE, AREA).from(&ram, ram.end);
            assert_eq!(view.frames, ram, "{view:?}");
            assert!(view.rows as f32 * view.cell <= AREA.y, "{view:?}");
            assert!(view.columns as f32 * view.cell <= AREA.x, "{view:?}");
        }
    }

    #[test]
    fn the_window_follows_the_selection_and_ends_at_the_top() {
        let grid = FrameGrid::default();
        let ram = 0x80000..0x88000;
        let frames = |ram: &Range<u64>, page| grid.view(ram, page, SIDE, AREA).frames;
        assert_eq!(frames(&ram, None), 0x87e00..0x88000);
        assert_eq!(frames(&ram, PhysPage::new(0x80201)), 0x80200..0x80400);
        assert_eq!(frames(&(0x80000..0x80300), None), 0x80100..0x80300);
    }

    #[test]
    fn a_rare_frame_among_four_million_is_seen_at_every_zoom() {
        let ram: Range<u64> = 0x80000..0x80000 + (4 << 20);
        let band = physical_partition(&fixture::pseudos(1))
            .into_iter()
            .find(|band| band.kind == BandKind::Free)
            .unwrap();
        let rare = ram.start + 2_345_678;
        let part = |frames: Range<u64>, kind: BandKind| Band {
            start: frames.start * PAGE_SIZE,
            size: (frames.end - frames.start) * PAGE_SIZE,
            kind,
            ..band.clone()
        };
        let partition = [
            part(ram.start..rare, BandKind::Free),
            part(rare..rare + 1, BandKind::Stack),
            part(rare + 1..ram.end, BandKind::Free),
        ];
        for zoom in -3..=whole(&ram, SIDE, AREA) {
            let scale = View::scale(zoom, SIDE, AREA);
            let view = scale
                .clone()
                .from(&ram, rare.saturating_sub(scale.room() / 2));
            assert!(view.frames.contains(&rare), "{zoom}: {view:?}");
            let cells = frame_cells(&partition, &[], view.frames.clone(), view.per_cell);
            assert!(cells.len() <= view.columns * view.rows);
            let place = ((rare - view.frames.start) / view.per_cell) as usize;
            for (index, cell) in cells.iter().enumerate() {
                let wanted = match index == place {
                    true => BandKind::Stack,
                    false => BandKind::Free,
                };
                assert_eq!(cell.kind, wanted, "zoom {zoom}, cell {index}");
            }
        }
    }
}

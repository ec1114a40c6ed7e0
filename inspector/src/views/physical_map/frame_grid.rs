//! The frames of RAM as a grid: 2 MiB with one cell a frame, or all of RAM with several frames a
//! cell. One texture, made again only when what it shows is another.

use std::ops::Range;

use egui::{
    Align, Button, CornerRadius, Rect, RichText, Sense, Stroke, StrokeKind, TextureHandle,
    TextureOptions, Ui, UiBuilder, epaint::ColorImage, pos2, vec2,
};
use pagescope_protocol::{PAGE_SIZE, PhysPage, PhysRange};

use super::head_of;
use crate::model::frame_cells::frame_cells;
use crate::model::{BandKind, Selection, size_text};
use crate::views::command::UiCommand;
use crate::views::paint::{self, CellGrid};
use crate::views::scene::{Anchors, PhysicalAnchor, Scene};
use crate::views::theme;

/// Frames of the smaller window: what one L0 table covers.
const WINDOW_FRAMES: u64 = 512;
const HEAD: f32 = 24.0;
const COLUMNS: usize = 32;
const ROWS: usize = 16;
/// The side of a cell where all of RAM is drawn: whole points, or some cells would vanish.
const SMALL_CELL: f32 = 3.0;

/// What the grid keeps from frame to frame.
#[derive(Default)]
pub(super) struct FrameGrid {
    shows_all: bool,
    /// The first frame of the window, where somebody has moved it.
    moved_to: Option<u64>,
    selection_generation: u64,
    texture: Option<(Key, TextureHandle)>,
}

#[derive(Clone, PartialEq)]
struct Key {
    generation: u64,
    is_dark: bool,
    view: View,
}

/// Which frames are drawn, and how many to a cell.
#[derive(Clone, PartialEq, Debug)]
struct View {
    frames: Range<u64>,
    per_cell: u64,
    columns: usize,
    rows: usize,
}

impl FrameGrid {
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
        let view = if self.shows_all {
            whole(&ram, area)
        } else {
            self.window(&ram, selected)
        };
        self.head(ui, head_of(rect, HEAD), &ram, &view, scene);
        let cell = if self.shows_all { SMALL_CELL } else { side };
        let grid = CellGrid {
            origin: pos2(rect.left(), rect.top() + HEAD).round(),
            columns: view.columns,
            rows: view.rows,
            cell,
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
        self.pointer(ui, &grid, &view, scene, out);
        if let Some(cell) = selected.and_then(cell_of) {
            let frame = selected.unwrap_or_default();
            let fill = fill_of(frame, scene);
            paint::selected_cell(ui.painter(), cell, fill, scene.palette);
            anchors.physical = Some(PhysicalAnchor::Cell(cell));
        }
    }

    fn window(&self, ram: &Range<u64>, selected: Option<PhysPage>) -> View {
        let last = last_window(ram);
        let around = selected
            .map(PhysPage::number)
            .filter(|frame| ram.contains(frame))
            .map(|frame| ram.start + (frame - ram.start) / WINDOW_FRAMES * WINDOW_FRAMES);
        let start = self
            .moved_to
            .or(around)
            .unwrap_or(last)
            .clamp(ram.start, last);
        View {
            frames: start..(start + WINDOW_FRAMES).min(ram.end),
            per_cell: 1,
            columns: COLUMNS,
            rows: ROWS,
        }
    }

    fn head(&mut self, ui: &mut Ui, head: Rect, ram: &Range<u64>, view: &View, scene: &Scene<'_>) {
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
        let all = child.add(Button::new(small("All")).selected(self.shows_all));
        all.widget_info(|| named("All RAM"));
        if all
            .on_hover_text("All of RAM, several frames a cell")
            .clicked()
        {
            self.shows_all = !self.shows_all;
        }
        if !self.shows_all {
            let up = child.add_enabled(view.frames.end < ram.end, Button::new(small("▶")));
            up.widget_info(|| named("Next 2 MiB of RAM"));
            if up.on_hover_text("The next 2 MiB").clicked() {
                self.moved_to = Some(view.frames.start + WINDOW_FRAMES);
            }
            let down = child.add_enabled(view.frames.start > ram.start, Button::new(small("◀")));
            down.widget_info(|| named("Previous 2 MiB of RAM"));
            if down.on_hover_text("The 2 MiB before").clicked() {
                self.moved_to = Some(view.frames.start.saturating_sub(WINDOW_FRAMES));
            }
        }
        let words = head.with_max_x(child.min_rect().left() - 6.0);
        let title = if self.shows_all {
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
        let size = [view.columns, view.rows];
        let mut image = ColorImage::filled(size, scene.palette.background);
        for (pixel, cell) in image.pixels.iter_mut().zip(cells) {
            *pixel = if cell.fresh {
                scene.palette.fresh
            } else {
                scene.palette.band(cell.kind)
            };
        }
        let handle = ui
            .ctx()
            .load_texture("frames", image, TextureOptions::NEAREST);
        self.texture = Some((key, handle.clone()));
        handle
    }

    fn pointer(
        &mut self,
        ui: &mut Ui,
        grid: &CellGrid,
        view: &View,
        scene: &Scene<'_>,
        out: &mut Vec<UiCommand>,
    ) {
        let id = ui.scope_id().with("frame grid");
        let response = ui.interact(grid.rect(), id, Sense::click());
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
        let stroke = Stroke::new(1.0, scene.palette.text);
        let cell = grid.cell_rect(index);
        ui.painter()
            .rect_stroke(cell, CornerRadius::ZERO, stroke, StrokeKind::Outside);
        if response.clicked() {
            if view.per_cell > 1 {
                self.shows_all = false;
            }
            out.push(UiCommand::Select(Selection::Physical(frame.start())));
        }
        response.on_hover_ui_at_pointer(|ui| hover(ui, frame, view, scene));
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

fn last_window(ram: &Range<u64>) -> u64 {
    ram.start + (ram.end - 1 - ram.start) / WINDOW_FRAMES * WINDOW_FRAMES
}

fn cell_side(width: f32, height: f32) -> f32 {
    (width / COLUMNS as f32)
        .min(height / ROWS as f32)
        .floor()
        .clamp(4.0, 16.0)
}

/// All of RAM in small cells.
fn whole(ram: &Range<u64>, area: egui::Vec2) -> View {
    let columns = ((area.x / SMALL_CELL) as usize).clamp(1, 512);
    let rows = ((area.y / SMALL_CELL) as usize).clamp(1, 512);
    let frames = ram.end - ram.start;
    let per_cell = frames
        .div_ceil((columns * rows) as u64)
        .max(1)
        .next_power_of_two();
    let cells = frames.div_ceil(per_cell) as usize;
    let rows = cells.div_ceil(columns).max(1);
    View {
        frames: ram.clone(),
        per_cell,
        columns,
        rows,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_of_ram_fits_however_much_there_is() {
        for mebibytes in [1u64, 128, 4096, 1 << 20] {
            let ram = 0x80000..0x80000 + mebibytes * 256;
            let view = whole(&ram, vec2(256.0, 128.0));
            let cells = (view.columns * view.rows) as u64;
            assert!(cells * view.per_cell >= mebibytes * 256, "{view:?}");
            assert!(view.rows as f32 * 3.0 <= 131.0, "{view:?}");
        }
    }

    #[test]
    fn the_window_follows_the_selection_and_ends_at_the_top() {
        let grid = FrameGrid::default();
        let ram = 0x80000..0x88000;
        assert_eq!(grid.window(&ram, None).frames, 0x87e00..0x88000);
        let page = PhysPage::new(0x80201);
        assert_eq!(grid.window(&ram, page).frames, 0x80200..0x80400);
        let odd = 0x80000..0x80300;
        assert_eq!(grid.window(&odd, None).frames, 0x80200..0x80300);
    }
}

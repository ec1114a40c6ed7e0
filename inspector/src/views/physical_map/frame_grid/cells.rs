//! What is painted on the grid: the cells as one texture, and letters and marks over them.

use egui::epaint::ColorImage;
use egui::{CornerRadius, Stroke, StrokeKind, TextureHandle, TextureOptions, Ui};
use pagescope_protocol::{PAGE_SIZE, PhysPage};

use super::view::View;
use crate::model::frame_cells::frame_cells;
use crate::model::{BandKind, Seen, Sign};
use crate::views::paint::CellGrid;
use crate::views::scene::Scene;
use crate::views::theme;

/// The cells as a texture, made again only when what it shows is another.
#[derive(Default)]
pub(super) struct Texture(Option<(Key, TextureHandle)>);

#[derive(Clone, PartialEq)]
struct Key {
    generation: u64,
    is_dark: bool,
    filter: Option<Sign>,
    view: View,
}

impl Texture {
    /// The texture of `view`, a pixel a cell.
    pub(super) fn of(&mut self, ui: &Ui, view: &View, scene: &Scene<'_>) -> TextureHandle {
        let key = Key {
            generation: scene.derived.generation,
            is_dark: scene.palette.is_dark,
            filter: scene.state.look.filter,
            view: view.clone(),
        };
        if let Some((old, handle)) = &self.0
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
                is_unsure: is_filtered && scene.is_torn(PhysPage::from_truncated(at / PAGE_SIZE)),
                is_unread: is_filtered && scene.derived.has_unread(at, at + bytes - 1),
            };
            *pixel = scene.filtered(color, &seen);
            at += bytes;
        }
        let handle = ui
            .ctx()
            .load_texture("frames", image, TextureOptions::NEAREST);
        self.0 = Some((key, handle.clone()));
        handle
    }
}

/// Letters on cells that are large enough for one, so that a colour never speaks alone.
pub(super) fn letters(ui: &Ui, grid: &CellGrid, view: &View, scene: &Scene<'_>) {
    if grid.cell < 15.0 || view.per_cell > 1 {
        return;
    }
    for (index, number) in view.frames.clone().enumerate() {
        let frame = PhysPage::from_truncated(number);
        let seen = seen_of(frame, scene);
        let letter = match Sign::OF_ONE.iter().find(|sign| sign.takes(&seen)) {
            _ if seen.is_unread => Sign::Unread.letter().to_owned(),
            _ if seen.is_unsure => Sign::Unsure.letter().to_owned(),
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
pub(super) fn marks(ui: &Ui, grid: &CellGrid, view: &View, scene: &Scene<'_>) {
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
        is_unread: scene.derived.has_unread(start, start + PAGE_SIZE - 1),
    }
}

/// The colour of a selected frame's cell.
pub(super) fn fill_of(frame: PhysPage, scene: &Scene<'_>) -> egui::Color32 {
    if scene.derived.fresh_frames.binary_search(&frame).is_ok() {
        return scene.palette.fresh;
    }
    match scene.derived.part_of(frame.start().as_u64()) {
        Some(band) => scene.palette.band(band.kind),
        None => scene.palette.empty,
    }
}

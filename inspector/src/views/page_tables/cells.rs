//! The cells of a card: one texture, letters where there is room, and marks over them.

use egui::{
    Color32, CornerRadius, Stroke, StrokeKind, TextureHandle, TextureOptions, Ui,
    epaint::ColorImage,
};
use pagescope_protocol::snapshot::Table;
use pagescope_protocol::walk::entry_address;
use pagescope_protocol::{Level, PhysPage, Pte, PteKind};

use super::folds::{self, Alike, Fold};
use crate::model::{BandKind, Seen, Sign};
use crate::views::paint::CellGrid;
use crate::views::scene::Scene;
use crate::views::theme;

/// What a card's cells depend on.
pub(super) type Key = (u64, Level, PhysPage, bool, usize, Option<Sign>);

/// A card's cells, kept as long as they show the same.
pub(super) struct CardTexture {
    pub(super) key: Key,
    pub(super) handle: TextureHandle,
    pub(super) valid: usize,
    /// What its rows are, where all entries of one are alike.
    pub(super) rows: Vec<Option<Alike>>,
}

/// Draws the cells of `table`.
pub(super) fn make_texture(ui: &Ui, key: Key, table: &Table, scene: &Scene<'_>) -> CardTexture {
    let columns = key.4;
    let mode = scene.derived.mode();
    let size = [columns, mode.entries(table.level) / columns];
    let mut image = ColorImage::filled(size, scene.palette.empty);
    let mut valid = 0;
    let facts = scene.derived.table_facts(table.frame);
    let is_role = facts.is_some_and(|facts| facts.level() != table.level);
    for (pixel, (index, pte)) in image.pixels.iter_mut().zip(table.iter()) {
        let kind = if scene.derived.is_own_window(table, index, pte) {
            Some(BandKind::Table(table.level))
        } else {
            scene.derived.kind_of_entry(table.level, pte)
        };
        let Some(kind) = kind else { continue };
        valid += 1;
        // What an entry looks like at a level that is not its table's own hurts nobody.
        if is_role && matches!(mode.classify(pte, table.level), PteKind::Reserved(_)) {
            *pixel = theme::mix(scene.palette.dim, scene.palette.empty, 0.5);
            continue;
        }
        let seen = seen_of(table, index, pte, kind, scene);
        let color = match seen.is_fresh {
            true => scene.palette.fresh,
            false => cell_color(kind, scene),
        };
        *pixel = scene.filtered(color, &seen);
    }
    let handle = ui
        .ctx()
        .load_texture("table cells", image, TextureOptions::NEAREST);
    CardTexture {
        key,
        handle,
        valid,
        rows: folds::rows_alike(table, columns, scene),
    }
}

/// What is known of an entry that is valid.
fn seen_of(table: &Table, index: usize, pte: Pte, kind: BandKind, scene: &Scene<'_>) -> Seen {
    let leaf = match scene.derived.mode().classify(pte, table.level) {
        PteKind::Leaf(leaf) => Some(leaf),
        _ => None,
    };
    Seen {
        kind,
        is_mapped: leaf.is_some(),
        is_fresh: scene.derived.is_fresh_entry(table.frame, index, pte),
        is_shared: leaf.is_some_and(|leaf| {
            let start = leaf.page.start().as_u64();
            scene.derived.is_shared(start, start + leaf.size - 1)
        }),
        is_unsure: scene.is_torn(table.frame),
        is_unread: scene.derived.leads_to_unread(table.level, pte),
    }
}

/// Letters on cells that are large enough for one, so that a colour never speaks alone.
pub(super) fn letters(ui: &Ui, grid: &CellGrid, folds: &[Fold], table: &Table, scene: &Scene<'_>) {
    if grid.cell < 15.0 {
        return;
    }
    let is_folded = |index: usize| {
        let row = index / grid.columns;
        folds.iter().any(|fold| fold.rows.contains(&row))
    };
    let window = ui.clip_rect();
    for (index, pte) in table.iter() {
        let cell = grid.cell_rect(index);
        if !window.intersects(cell) || is_folded(index) {
            continue;
        }
        let kind = match scene.derived.is_own_window(table, index, pte) {
            true => Some(BandKind::Table(table.level)),
            false => scene.derived.kind_of_entry(table.level, pte),
        };
        let Some(kind) = kind else { continue };
        let seen = seen_of(table, index, pte, kind, scene);
        let mut text = String::new();
        // What could not be read is said before anything else.
        if seen.is_unread {
            text.push_str(Sign::Unread.letter());
        }
        let signs = Sign::OF_ONE.iter().filter(|sign| sign.takes(&seen));
        for sign in signs.take(2 - text.len()) {
            text.push_str(sign.letter());
        }
        let fill = match seen.is_fresh {
            true => scene.palette.fresh,
            false => cell_color(kind, scene),
        };
        ui.painter().text(
            cell.center(),
            egui::Align2::CENTER_CENTER,
            text,
            theme::numbers((grid.cell * 0.5).min(13.0)),
            scene.palette.ink_on(scene.filtered(fill, &seen)),
        );
    }
}

/// What is selected as a stretch, and what the mouse rests on in any view.
pub(super) fn marks(ui: &Ui, grid: &CellGrid, table: &Table, scene: &Scene<'_>) {
    let derived = scene.derived;
    let mode = derived.mode();
    let painter = ui.painter();
    for (marks, color) in [
        (&derived.hover_marks, scene.palette.text),
        (&derived.marks, scene.palette.selection),
    ] {
        if marks.virt.is_empty() {
            continue;
        }
        let rest = mode.entry_size(table.level) - 1;
        for (index, pte) in table.iter().filter(|(_, pte)| pte.is_valid()) {
            let first = entry_address(mode, table.covers_from, table.level, index).as_u64();
            if pte.is_valid() && marks.has_virt(first, first.saturating_add(rest)) {
                let stroke = Stroke::new(1.0, color);
                let inside = StrokeKind::Inside;
                painter.rect_stroke(grid.cell_rect(index), CornerRadius::ZERO, stroke, inside);
            }
        }
    }
    let hovered = derived.hover.step_at(table.level);
    if let Some(step) = hovered.filter(|step| step.table == table.frame) {
        let stroke = Stroke::new(1.5, scene.palette.text);
        let cell = grid.cell_rect(step.index);
        painter.rect_stroke(cell, CornerRadius::ZERO, stroke, StrokeKind::Outside);
    }
}

pub(super) fn cell_color(kind: BandKind, scene: &Scene<'_>) -> Color32 {
    match kind {
        // Mapped, whatever the frame is used for: it must not look like an empty cell.
        BandKind::Free | BandKind::Ram | BandKind::Nothing => scene.palette.data,
        kind => scene.palette.band(kind),
    }
}

//! Rows of a card whose entries are all alike stand as one, and say in words what they are. A press opens them.
//!
//! ```text
//!  ■ □ □ □ □ □ □ □
//!  · · · · · · · ·
//!  ·  496 empty  ·      ▶   a press draws them one by one
//!  · · · · · · · ·
//!  □ □ □ □ □ □ □ ■
//! ```

use std::ops::Range;

use egui::{Align2, CornerRadius, Rect, Sense, Ui, vec2};
use pagescope_protocol::snapshot::{RegionSpace, Table};
use pagescope_protocol::walk::entry_address;
use pagescope_protocol::{LeafFlags, PteKind};

use crate::model::{BandKind, Selection, Stretch};
use crate::views::paint::{self, CellGrid};
use crate::views::scene::Scene;
use crate::views::theme;

/// Fewer rows than this stay as they are.
const LEAST_ROWS: usize = 3;
/// Words need so much height.
const LEAST_HEIGHT: f32 = 15.0;

/// What all entries of a row are.
#[derive(Clone, Copy, PartialEq, Debug)]
pub(super) enum Alike {
    /// All zeros.
    Empty,
    /// Not valid, with something in them.
    Invalid,
    /// Valid.
    Valid {
        kind: BandKind,
        flags: Option<LeafFlags>,
    },
}

/// Rows that stand as one.
#[derive(Clone, PartialEq, Debug)]
pub(super) struct Fold {
    pub(super) rows: Range<usize>,
    alike: Alike,
}

/// What each row of `table` is, where its entries are all alike, and none is new.
pub(super) fn rows_alike(table: &Table, columns: usize, scene: &Scene<'_>) -> Vec<Option<Alike>> {
    let mode = scene.derived.mode();
    let alike = |index, pte: pagescope_protocol::Pte| {
        if scene.derived.is_fresh_entry(table.frame, index, pte)
            || scene.derived.is_own_window(table, index, pte)
        {
            return None;
        }
        match mode.classify(pte, table.level) {
            PteKind::Invalid if pte.bits() == 0 => Some(Alike::Empty),
            PteKind::Invalid => Some(Alike::Invalid),
            PteKind::Reserved(_) => None,
            kind => Some(Alike::Valid {
                kind: scene.derived.kind_of_entry(table.level, pte)?,
                flags: match kind {
                    PteKind::Leaf(leaf) => Some(leaf.flags),
                    _ => None,
                },
            }),
        }
    };
    let entries: Vec<Option<Alike>> = table.iter().map(|(index, pte)| alike(index, pte)).collect();
    let rows = entries.chunks(columns.max(1));
    rows.map(|row| {
        let first = *row.first()?;
        row.iter().all(|other| *other == first).then_some(first)?
    })
    .collect()
}

/// The runs of at least [`LEAST_ROWS`] rows alike; those with an entry of `keep` stay as they are, and so do those that
/// `is_open` says to be.
pub(super) fn folds(
    rows: &[Option<Alike>],
    keep: &[usize],
    is_open: impl Fn(usize) -> bool,
) -> Vec<Fold> {
    let mut found: Vec<Fold> = Vec::new();
    for (row, alike) in rows.iter().enumerate() {
        let Some(alike) = alike.filter(|_| !keep.contains(&row)) else {
            continue;
        };
        match found.last_mut() {
            Some(last) if last.rows.end == row && last.alike == alike => last.rows.end += 1,
            _ => found.push(Fold {
                rows: row..row + 1,
                alike,
            }),
        }
    }
    found.retain(|fold| fold.rows.len() >= LEAST_ROWS && !fold.rows.clone().any(&is_open));
    found
}

impl Fold {
    /// Where it stands.
    fn rect(&self, grid: &CellGrid) -> Rect {
        let all = grid.rect();
        let y = |row: usize| all.top() + row as f32 * grid.cell;
        all.with_min_y(y(self.rows.start))
            .with_max_y(y(self.rows.end))
    }

    /// Its first and last entry.
    const fn entries(&self, columns: usize) -> (usize, usize) {
        (self.rows.start * columns, self.rows.end * columns - 1)
    }

    /// `496 empty`, `480 leaves rw-`.
    fn words(&self, columns: usize) -> String {
        let count = self.rows.len() * columns;
        match self.alike {
            Alike::Empty => format!("{count} empty"),
            Alike::Invalid => format!("{count} not valid"),
            Alike::Valid { flags: None, .. } => format!("{count} pointers"),
            Alike::Valid {
                flags: Some(flags), ..
            } => {
                let letters: String = flags.to_string().chars().take(3).collect();
                format!("{count} leaves {letters}")
            }
        }
    }
}

/// Leaves out what there is no room to say.
pub(super) fn keep_sayable(ui: &Ui, grid: &CellGrid, folds: &mut Vec<Fold>) {
    folds.retain(|fold| {
        let rect = fold.rect(grid);
        let words = fold.words(grid.columns);
        let wide = paint::width(ui.painter(), &words, theme::words(theme::SMALL));
        rect.height() >= LEAST_HEIGHT + 1.0 && wide + 10.0 <= rect.width()
    });
}

/// Draws the folds over the cells.
pub(super) fn paint(ui: &Ui, grid: &CellGrid, folds: &[Fold], scene: &Scene<'_>) {
    let (painter, palette) = (ui.painter(), scene.palette);
    for fold in folds {
        let rect = fold.rect(grid).shrink2(vec2(0.0, 0.5));
        match fold.alike {
            Alike::Valid { kind, .. } => {
                painter.rect_filled(rect, 0.0, super::cells::cell_color(kind, scene));
            }
            _ => {
                painter.rect_filled(rect, 0.0, palette.panel);
                let dots = theme::mix(palette.dim, palette.panel, 0.45);
                scene.patterns.dots(painter, rect, dots);
            }
        }
        let words = fold.words(grid.columns);
        let font = theme::words(theme::SMALL);
        let wide = paint::width(painter, &words, font.clone());
        let place = Rect::from_center_size(rect.center(), vec2(wide + 10.0, LEAST_HEIGHT));
        painter.rect_filled(place, CornerRadius::same(3), palette.panel);
        let center = Align2::CENTER_CENTER;
        painter.text(place.center(), center, words, font, palette.text);
    }
}

/// What the mouse does to the folds; the first row of the one that is to be opened.
pub(super) fn interact(
    ui: &Ui,
    grid: &CellGrid,
    folds: &[Fold],
    table: &Table,
    scene: &Scene<'_>,
) -> Option<usize> {
    let mode = scene.derived.mode();
    let mut opened = None;
    for fold in folds {
        let (first, last) = fold.entries(grid.columns);
        let start = entry_address(mode, table.covers_from, table.level, first).as_u64();
        let size = mode.entry_size(table.level);
        let size = size.saturating_mul((last - first + 1) as u64);
        let id = (table.level, table.frame.number(), fold.rows.start);
        let id = ui.scope_id().with(("fold", id));
        let response = ui.interact(fold.rect(grid), id, Sense::click());
        let words = format!("Entries {first} to {last}: {}", fold.words(grid.columns));
        response.widget_info(|| egui::WidgetInfo::labeled(egui::Role::Button, true, &words));
        if response.hovered() {
            scene.point(Selection::Range(Stretch {
                space: RegionSpace::Virtual,
                start,
                size,
            }));
        }
        if response.clicked() {
            opened = Some(fold.rows.start);
        }
        response.on_hover_ui_at_pointer(|ui| {
            ui.label(&words);
            let end = start.saturating_add(size - 1);
            ui.monospace(format!("{start:#x} – {end:#x}"));
            if !scene.is_picture {
                ui.label("A click draws them one by one; Fit folds them again.");
            }
        });
    }
    opened
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn runs_of_rows_alike_are_folded_but_for_what_is_looked_at() {
        let leaf = Some(Alike::Valid {
            kind: BandKind::Data,
            flags: LeafFlags::from_letters("rw---ad"),
        });
        let empty = Some(Alike::Empty);
        let mut rows = vec![None, None];
        rows.extend([empty; 10]);
        rows.extend([leaf; 4]);
        rows.extend([empty; 2]);
        let shown = |keep: &[usize], open: usize| -> Vec<(Range<usize>, String)> {
            let found = folds(&rows, keep, |row| row == open);
            let found = found.into_iter();
            found
                .map(|fold| (fold.rows.clone(), fold.words(16)))
                .collect()
        };
        let all = [
            (2..12, "160 empty".to_owned()),
            (12..16, "64 leaves rw-".to_owned()),
        ];
        assert_eq!(shown(&[], 99), all);
        assert_eq!(shown(&[], 2), all[1..]);
        // A row that is looked at parts a run.
        assert_eq!(shown(&[4], 99)[0], (5..12, "112 empty".to_owned()));
        assert_eq!(shown(&[13], 99), all[..1]);
    }
}

//! The tables of the chain: for each level a card with a cell for each entry, and the address of its
//! window.

use pagescope_protocol::snapshot::{Space, Table};
use pagescope_protocol::translate::{Step, Translation};
use pagescope_protocol::{Level, PhysPage, PteKind, TranslationMode};

use super::palette::Palette;
use super::paper::{Anchor, Ink, Paper};
use crate::model::bands::{Band, leaf_kind};
use crate::model::{BandKind, Difference, SpaceTables, size_text};

/// Cells in a row of a card; a root of 2048 entries or more has more of them.
const COLUMNS: usize = 16;

/// Cells in a row of the cards of a space that is translated so.
pub(super) fn columns(mode: TranslationMode) -> usize {
    match mode.root_level().map_or(0, |root| mode.entries(root)) {
        0..=1024 => COLUMNS,
        2048 => 2 * COLUMNS,
        _ => 4 * COLUMNS,
    }
}

/// Rows of the card of a table at `level`.
fn rows(mode: TranslationMode, level: Level) -> usize {
    mode.entries(level) / columns(mode)
}
/// Above a card's cells: level and frame, and lines to windows.
const HEAD: f64 = 46.0;
/// Below them: lines to windows, how full the table is, and its window.
const FOOT: f64 = 50.0;

/// Where the cards stand.
pub(super) struct Place {
    pub(super) left: f64,
    pub(super) top: f64,
    pub(super) width: f64,
}

/// What the cards draw from.
pub(super) struct Tables<'a> {
    pub(super) space: &'a Space,
    pub(super) difference: &'a Difference,
    pub(super) partition: &'a [Band],
    pub(super) chain: &'a Translation,
    pub(super) facts: &'a SpaceTables,
}

/// Where a card was drawn.
pub(super) struct Card {
    pub(super) level: Level,
    pub(super) frame: PhysPage,
    pub(super) area: [f64; 4],
    /// The cell that the chain passes.
    pub(super) passed: [f64; 4],
    origin: [f64; 2],
    cell: f64,
    /// Cells in a row.
    pub(super) columns: usize,
    rows: usize,
}

impl Card {
    /// The cell of an entry.
    pub(super) fn cell_at(&self, index: usize) -> [f64; 4] {
        cell_at(self.origin, self.cell, self.columns, index)
    }

    /// Where a line that is number `lane` of `lanes` passes above the cells.
    pub(super) fn above(&self, lane: f64, lanes: f64) -> f64 {
        self.area[1] + HEAD - 14.0 + lane * 12.0 / lanes
    }

    /// Where such a line passes below an entry: beside its neighbours, or below all cells.
    pub(super) fn below(&self, index: usize, lane: f64, lanes: f64) -> f64 {
        let row = index / self.columns;
        let end = self.origin[1] + (row + 1) as f64 * self.cell;
        if row + 1 == self.rows {
            end + 5.0 + lane * 12.0 / lanes
        } else {
            end - 0.5
        }
    }
}

impl Tables<'_> {
    /// Draws the cards of the chain from the root down. Returns those of tables, and where all end.
    pub(super) fn cards(
        &self,
        paper: &mut Paper,
        colours: &'static Palette,
        place: &Place,
    ) -> (Vec<Card>, f64) {
        let levels: Vec<Level> =
            std::iter::successors(self.space.mode.root_level(), |level| level.next()).collect();
        let count = levels.len().max(1) as f64;
        let gap = gap(levels.len());
        let width = ((place.width - gap * (count - 1.0)) / count).floor();
        // Whole units keep the cells' edges sharp.
        let mode = self.space.mode;
        let cell = ((width - 20.0) / columns(mode) as f64).floor().max(1.0);
        let most_rows = levels.iter().map(|level| rows(mode, *level)).max();
        let height = HEAD + FOOT + cell * most_rows.unwrap_or(0) as f64;
        let mut cards = Vec::new();
        let mut steps = self.chain.trail.iter();
        for (number, level) in levels.into_iter().enumerate() {
            let left = place.left + number as f64 * (width + gap);
            let area = [left, place.top, width, height];
            match steps.next() {
                Some(step) => cards.push(self.card(paper, colours, area, cell, step)),
                None => unreached(paper, colours, area, level),
            }
        }
        (cards, place.top + height)
    }

    /// One card.
    fn card(
        &self,
        paper: &mut Paper,
        colours: &'static Palette,
        area: [f64; 4],
        cell: f64,
        step: &Step,
    ) -> Card {
        let [left, top, width, height] = area;
        let colour = colours.level(step.level);
        let number = step.level.number();
        let index = format!("va[{number}] = {}", step.index);
        paper.text(
            left + 10.0,
            top - 10.0,
            Ink::numbers(14.0, colour).bold(),
            &index,
        );
        paper.card(area, colours.panel, colours.edge);
        paper.rect([left, top + 3.0, 4.0, height - 6.0], colour);
        let baseline = top + 25.0;
        let is_root =
            step.table == self.space.root && Some(step.level) == self.space.mode.root_level();
        let address = step.table.to_string();
        let numbers = Ink::numbers(12.5, colours.text).at(Anchor::End);
        paper.text(left + width - 10.0, baseline, numbers, &address);
        let title = Ink::words(16.0, colour).bold();
        let room = width - 30.0 - numbers.width(&address);
        let name = if is_root {
            format!("{} root", step.level)
        } else {
            step.level.to_string()
        };
        let name = if title.width(&name) > room {
            step.level.to_string()
        } else {
            name
        };
        paper.text(left + 14.0, baseline, title, &name);

        let mode = self.space.mode;
        let (columns, rows) = (columns(mode), rows(mode, step.level));
        let grid = cell * columns as f64;
        let cells = [(left + (width + 4.0 - grid) / 2.0).floor(), top + HEAD];
        let whole = [cells[0], cells[1], grid, cell * rows as f64];
        paper.rect(whole, colours.empty);
        let table = self
            .space
            .table_at(step.table, step.level)
            .or_else(|| self.space.table(step.table));
        if let Some(table) = table {
            self.cells(paper, colours, cells, cell, table);
        }
        paper.lattice(cells, cell, [columns, rows], colours.panel);

        let foot = top + height - 22.0;
        let dim = Ink::words(12.0, colours.dim);
        let used = match table {
            Some(table) if table.entries.is_some() => {
                format!("{} of {}", table.valid_entries(), mode.entries(step.level))
            }
            _ => "unreadable".into(),
        };
        paper.text(left + 14.0, foot, dim, &used);
        let covers = size_text(mode.table_size(step.level));
        if dim.width(&used) + dim.width(&covers) + 34.0 <= width {
            paper.text(left + width - 10.0, foot, dim.at(Anchor::End), &covers);
        }
        let last = [left + 14.0, foot + 14.5, width - 22.0];
        self.window_line(paper, colours, last, step);
        Card {
            level: step.level,
            frame: step.table,
            area,
            passed: cell_at(cells, cell, columns, step.index),
            origin: cells,
            cell,
            columns,
            rows,
        }
    }

    /// Where the table is written, as much of it as there is room for; or which table this is, where
    /// a recursive root makes the walk read it at another level.
    fn window_line(
        &self,
        paper: &mut Paper,
        colours: &'static Palette,
        [left, baseline, room]: [f64; 3],
        step: &Step,
    ) {
        let Some(facts) = self.facts.get(step.table) else {
            return;
        };
        let dim = Ink::words(12.0, colours.dim);
        if let Some(role) = facts.role_at(step.level) {
            paper.text(left, baseline, dim, &dim.fit(&role, room));
            return;
        }
        let Some(window) = facts.window() else {
            paper.text(left, baseline, dim, &dim.fit("no window", room));
            return;
        };
        let address = window.virt.to_string();
        let tail = address.len().saturating_sub(8);
        let ink = Ink::numbers(11.0, colours.text);
        let says = [format!("window at {address}"), format!("at {address}")];
        let short = format!("at …{}", &address[tail..]);
        let says = says.into_iter().find(|says| ink.width(says) <= room);
        paper.text(left, baseline, ink, &says.unwrap_or(short));
    }

    /// The cells that are not empty, neighbours of one colour as one.
    fn cells(
        &self,
        paper: &mut Paper,
        colours: &'static Palette,
        origin: [f64; 2],
        cell: f64,
        table: &Table,
    ) {
        let columns = columns(self.space.mode);
        let fresh: Vec<usize> = self.fresh_entries(table.frame, table.level);
        let is_new = self
            .difference
            .new_tables()
            .any(|new| new == (table.level, table.frame));
        let mut run: Option<(usize, usize, &str)> = None;
        let mut flush = |run: Option<(usize, usize, &str)>| {
            if let Some((first, last, colour)) = run {
                let [x, y, ..] = cell_at(origin, cell, columns, first);
                let width = cell * (last - first + 1) as f64;
                paper.rect([x, y, width, cell], colour);
            }
        };
        for (index, pte) in table.iter() {
            let colour = match self.space.mode.classify(pte, table.level) {
                PteKind::Invalid => continue,
                _ if is_new || fresh.binary_search(&index).is_ok() => colours.fresh,
                _ if self.facts.is_own_window(table, index, pte) => colours.level(table.level),
                PteKind::Pointer(_) => colours.level(table.level.next().unwrap_or(Level::L0)),
                PteKind::Reserved(_) => colours.alarm,
                PteKind::Leaf(leaf) => {
                    let (kind, _) = leaf_kind(self.partition, leaf.page.start(), leaf.flags);
                    match kind {
                        BandKind::Guard => colours.alarm,
                        kind => colours.kind(kind),
                    }
                }
            };
            match &mut run {
                Some((_, last, same))
                    if *same == colour && *last + 1 == index && !index.is_multiple_of(columns) =>
                {
                    *last = index;
                }
                _ => flush(run.replace((index, index, colour))),
            }
        }
        flush(run);
    }

    fn fresh_entries(&self, frame: PhysPage, level: Level) -> Vec<usize> {
        use crate::model::Change;
        let changes = self.difference.changes.iter();
        let mut fresh: Vec<usize> = changes
            .filter_map(|change| match change {
                Change::Entry {
                    table,
                    level: l,
                    index,
                    ..
                } if (*table, *l) == (frame, level) => Some(*index),
                _ => None,
            })
            .collect();
        fresh.sort_unstable();
        fresh
    }
}

/// Between two of so many cards.
pub(super) const fn gap(cards: usize) -> f64 {
    if cards > 3 { 22.0 } else { 38.0 }
}

fn cell_at([left, top]: [f64; 2], cell: f64, columns: usize, index: usize) -> [f64; 4] {
    let (column, row) = ((index % columns) as f64, (index / columns) as f64);
    [
        left + column * cell,
        top + row * cell,
        cell - 1.0,
        cell - 1.0,
    ]
}

/// A level that the chain does not come to.
fn unreached(paper: &mut Paper, colours: &'static Palette, area: [f64; 4], level: Level) {
    let [left, top, width, height] = area;
    paper.card(area, "url(#nothing)", colours.edge);
    let ink = Ink::words(14.0, colours.dim).at(Anchor::Middle);
    paper.text(
        left + width / 2.0,
        top + height / 2.0 - 8.0,
        ink,
        &level.to_string(),
    );
    paper.text(
        left + width / 2.0,
        top + height / 2.0 + 12.0,
        ink,
        "not reached",
    );
}

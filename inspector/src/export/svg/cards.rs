//! The tables: a card with 512 cells for each level of the chain, and a list of all.

use std::collections::BTreeMap;

use pagescope_protocol::snapshot::{Space, Table};
use pagescope_protocol::translate::{Step, Translation};
use pagescope_protocol::{ENTRIES_PER_TABLE, Level, PhysPage, PteKind};

use super::palette::Palette;
use super::paper::{Anchor, Ink, Paper};
use crate::model::bands::{Band, leaf_kind};
use crate::model::{BandKind, Difference, size_text};

/// Cells in a row of a card.
const COLUMNS: usize = 16;
/// Above and below a card's cells.
const HEAD: f64 = 38.0;
const FOOT: f64 = 28.0;
/// Tables in the list.
const LISTED: usize = 9;

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
}

impl Tables<'_> {
    /// Draws the cards of the chain from the root down. Returns the cells that it passes, and where
    /// the cards end.
    pub(super) fn cards(
        &self,
        paper: &mut Paper,
        colours: &'static Palette,
        place: &Place,
    ) -> (Vec<[f64; 4]>, f64) {
        let levels: Vec<Level> =
            std::iter::successors(self.space.mode.root_level(), |level| level.next()).collect();
        let count = levels.len().max(1) as f64;
        let gap = if levels.len() > 3 { 22.0 } else { 38.0 };
        let width = ((place.width - gap * (count - 1.0)) / count).floor();
        // Whole units keep the cells' edges sharp.
        let cell = ((width - 20.0) / COLUMNS as f64).floor();
        let height = HEAD + FOOT + cell * (ENTRIES_PER_TABLE / COLUMNS) as f64;
        let mut passed = Vec::new();
        let mut steps = self.chain.trail.iter();
        for (number, level) in levels.into_iter().enumerate() {
            let left = place.left + number as f64 * (width + gap);
            let area = [left, place.top, width, height];
            match steps.next() {
                Some(step) => passed.push(self.card(paper, colours, area, cell, step)),
                None => unreached(paper, colours, area, level),
            }
        }
        (passed, place.top + height)
    }

    /// One card. Returns the cell that the chain passes.
    fn card(
        &self,
        paper: &mut Paper,
        colours: &'static Palette,
        area: [f64; 4],
        cell: f64,
        step: &Step,
    ) -> [f64; 4] {
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

        let grid = cell * COLUMNS as f64;
        let cells = [(left + (width + 4.0 - grid) / 2.0).floor(), top + HEAD];
        let rows = ENTRIES_PER_TABLE / COLUMNS;
        let whole = [cells[0], cells[1], grid, cell * rows as f64];
        paper.rect(whole, colours.empty);
        let table = self
            .space
            .table_at(step.table, step.level)
            .or_else(|| self.space.table(step.table));
        if let Some(table) = table {
            self.cells(paper, colours, cells, cell, table);
        }
        paper.lattice(cells, cell, [COLUMNS, rows], colours.panel);

        let foot = top + height - 10.0;
        let dim = Ink::words(12.0, colours.dim);
        let used = match table {
            Some(table) if table.entries.is_some() => {
                format!("{} of {ENTRIES_PER_TABLE}", table.valid_entries())
            }
            _ => "unreadable".into(),
        };
        paper.text(left + 14.0, foot, dim, &used);
        let covers = size_text(step.level.table_size());
        paper.text(left + width - 10.0, foot, dim.at(Anchor::End), &covers);
        cell_at(cells, cell, step.index)
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
        let fresh: Vec<usize> = self.fresh_entries(table.frame, table.level);
        let is_new = self
            .difference
            .new_tables()
            .any(|new| new == (table.level, table.frame));
        let mut run: Option<(usize, usize, &str)> = None;
        let mut flush = |run: Option<(usize, usize, &str)>| {
            if let Some((first, last, colour)) = run {
                let [x, y, ..] = cell_at(origin, cell, first);
                let width = cell * (last - first + 1) as f64;
                paper.rect([x, y, width, cell], colour);
            }
        };
        for (index, pte) in table.iter() {
            let colour = match pte.classify(table.level) {
                PteKind::Invalid => continue,
                _ if is_new || fresh.binary_search(&index).is_ok() => colours.fresh,
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
                    if *same == colour && *last + 1 == index && !index.is_multiple_of(COLUMNS) =>
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

    /// All tables of the space, those of the chain first.
    pub(super) fn list(&self, paper: &mut Paper, colours: &'static Palette, place: &Place) {
        // Each frame once, at its highest level: a recursive root lets the walk meet it at others.
        let mut highest: BTreeMap<PhysPage, Level> = BTreeMap::new();
        for table in &self.space.tables {
            let level = highest.entry(table.frame).or_insert(table.level);
            *level = table.level.max(*level);
        }
        let all: Vec<&Table> = self
            .space
            .tables
            .iter()
            .map(AsRef::as_ref)
            .filter(|table: &&Table| highest.get(&table.frame) == Some(&table.level))
            .collect();
        let title = Ink::words(14.0, colours.text).bold();
        paper.text(place.left, place.top, title, "All tables of this space");
        let amount = match all.len() {
            1 => "1 frame, 4 KiB".to_owned(),
            count => format!("{count} frames, {}", size_text(4096 * count as u64)),
        };
        let dim = Ink::words(13.0, colours.dim);
        paper.text(place.left + 196.0, place.top, dim, &amount);

        let in_chain = |table: &Table| {
            let mut steps = self.chain.trail.iter();
            steps.any(|step| (step.table, step.level) == (table.frame, table.level))
        };
        let is_new = |table: &Table| {
            self.difference
                .new_tables()
                .any(|new| new == (table.level, table.frame))
        };
        let mut order: Vec<&Table> = all.iter().copied().take(20_000).collect();
        order.sort_by_key(|table| match (in_chain(table), is_new(table)) {
            (true, _) => 0,
            (_, true) => 1,
            _ => 2,
        });
        let shown = if all.len() > LISTED {
            LISTED - 1
        } else {
            all.len()
        };
        let gap = 14.0;
        let width = (place.width - 2.0 * gap) / 3.0;
        let chip = |number: usize| {
            let (column, row) = ((number % 3) as f64, (number / 3) as f64);
            [
                place.left + column * (width + gap),
                place.top + 12.0 + row * 36.0,
                width,
                29.0,
            ]
        };
        for (number, table) in order.iter().take(shown).enumerate() {
            let area = chip(number);
            let colour = colours.level(table.level);
            let edge = if in_chain(table) {
                colour
            } else {
                colours.edge
            };
            paper.card(area, colours.panel, edge);
            paper.rect([area[0], area[1] + 3.0, 4.0, area[3] - 6.0], colour);
            let baseline = area[1] + 19.5;
            paper.text(
                area[0] + 14.0,
                baseline,
                Ink::words(13.5, colour).bold(),
                &table.level.to_string(),
            );
            let frame = table.frame.to_string();
            paper.text(
                area[0] + 44.0,
                baseline,
                Ink::numbers(12.5, colours.text),
                &frame,
            );
            let state = match (is_new(table), table.entries.is_some()) {
                (true, _) => "new".to_owned(),
                (_, false) => "unreadable".into(),
                _ => format!("{} used", table.valid_entries()),
            };
            paper.text(
                area[0] + width - 10.0,
                baseline,
                dim.at(Anchor::End),
                &state,
            );
        }
        if all.len() > shown {
            let [x, y, ..] = chip(shown);
            paper.text(
                x + 14.0,
                y + 19.5,
                dim,
                &format!("… and {} more", all.len() - shown),
            );
        }
    }
}

fn cell_at([left, top]: [f64; 2], cell: f64, index: usize) -> [f64; 4] {
    let (column, row) = ((index % COLUMNS) as f64, (index / COLUMNS) as f64);
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

//! The page tables as a tree, entries that go on alike as one line:
//!
//! ```text
//! L2 0x87ffc000   root, covers 512 GiB, 2 of 512 entries used
//! |
//! +-- [2] → L1 0x87ffd000   0x80000000, covers 1 GiB, 1 entry used
//! |    |
//! |    +-- [63] → L0 0x87ffe000   0x87e00000, covers 2 MiB, 5 entries used
//! |         [507..511]  0x87ffb000 → same address  rw---ad  heap
//! ```

use std::collections::BTreeSet;
use std::fmt::Write as _;

use pagescope_protocol::snapshot::{Snapshot, Space, Table};
use pagescope_protocol::walk::entry_address;
use pagescope_protocol::{Level, PhysAddr, PhysPage, Pte, PteKind, VirtAddr};

use super::{WIDTH, plain};
use crate::model::bands::{Band, BandKind, physical_partition};
use crate::model::size_text;
use crate::model::space_tables::{SpaceTables, TableFacts, is_self_leaf};

/// The most lines of a tree.
const LINE_LIMIT: usize = 200;

/// Draws the tree of `space`.
pub(super) fn draw(snapshot: &Snapshot, space: &Space, text: &mut String) {
    let Some(level) = space.mode.root_level() else {
        return;
    };
    let mut drawing = Drawing {
        space,
        partition: physical_partition(snapshot),
        text,
        lines: 0,
        drawn: BTreeSet::new(),
        tables: SpaceTables::new(space),
    };
    drawing.table(
        "",
        level.to_string() + " ",
        space.root,
        level,
        VirtAddr::new(0),
    );
    if drawing.lines >= LINE_LIMIT {
        let _ = writeln!(
            drawing.text,
            "  … and more: this space has {} tables …",
            drawing.tables.tables.len()
        );
    }
    let tables = drawing.tables;
    teach(&tables, text);
}

/// What the picture is there to show: can the kernel write its own tables?
fn teach(tables: &SpaceTables, text: &mut String) {
    let all = tables.tables.len();
    let reached = tables.tables.iter();
    let writable = |facts: &&TableFacts| facts.window().is_some_and(|window| window.is_writable());
    let reached = reached.filter(writable).count();
    let _ = match (reached, all) {
        (_, 0) => writeln!(text, "\n  The root table could not be read."),
        (0, _) => writeln!(
            text,
            "\n  No table can be written in this space: it cannot change its own tables."
        ),
        (reached, all) if reached >= all => writeln!(
            text,
            "\n  Self-map: every one of the {all} tables can be written through a leaf (marked *).",
        ),
        _ => writeln!(
            text,
            "\n  Self-map: {reached} of {all} tables can be written through a leaf (marked *).",
        ),
    };
}

struct Drawing<'a> {
    space: &'a Space,
    partition: Vec<Band>,
    text: &'a mut String,
    lines: usize,
    /// Tables that have been drawn: a second path to one, or a cycle, is only named.
    drawn: BTreeSet<PhysPage>,
    tables: SpaceTables,
}

/// Entries that stand side by side and go on alike.
struct Run {
    first: usize,
    last: usize,
    pte: Pte,
    what: What,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum What {
    Pointer(PhysPage),
    Leaf { phys: PhysAddr, step: u64 },
    Reserved,
}

impl Drawing<'_> {
    fn line(&mut self, line: &str) {
        self.lines += 1;
        let _ = writeln!(self.text, "  {}", plain(line, WIDTH - 2).trim_end());
    }

    /// Recursion is as deep as there are levels: five at most.
    fn table(&mut self, indent: &str, head: String, frame: PhysPage, level: Level, from: VirtAddr) {
        let table = self.space.table_at(frame, level).cloned();
        let used = match table
            .as_ref()
            .map(|table| (table.entries.is_some(), table.valid_entries()))
        {
            None => "not in this snapshot".to_owned(),
            Some((false, _)) => "could not be read".into(),
            Some((true, 1)) => "1 entry used".into(),
            Some((true, used)) => format!("{used} entries used"),
        };
        let again = !self.drawn.insert(frame);
        let facts = self.tables.get(frame);
        let mark = match facts.and_then(TableFacts::window) {
            Some(_) => " *",
            None => "",
        };
        let used = match facts.and_then(|facts| facts.role_at(level)) {
            Some(role) => role,
            None if again => "drawn above".to_owned(),
            None => used,
        };
        let covers = size_text(self.space.mode.table_size(level));
        self.line(&format!(
            "{head}{frame}{mark}   covers {covers} from {from}, {used}"
        ));
        let Some(table) = table.filter(|_| !again) else {
            return;
        };
        let runs = self.runs(&table);
        for (place, run) in runs.iter().enumerate() {
            if self.lines >= LINE_LIMIT {
                return;
            }
            let is_last = place + 1 == runs.len();
            self.run(indent, &table, run, from, is_last);
        }
    }

    fn run(&mut self, indent: &str, table: &Table, run: &Run, from: VirtAddr, is_last: bool) {
        let places = if run.first == run.last {
            format!("[{}]", run.first)
        } else {
            format!("[{}..{}]", run.first, run.last)
        };
        let virt = entry_address(self.space.mode, from, table.level, run.first);
        match (run.what, table.level.next()) {
            (What::Pointer(next), Some(next_level)) => {
                let head = format!("{indent}+-- {places} → {next_level} ");
                let below = format!("{indent}{}   ", if is_last { " " } else { "|" });
                self.table(&below, head, next, next_level, virt);
            }
            (What::Leaf { phys, .. }, _) => {
                let target = if phys.as_u64() == virt.as_u64() {
                    "itself   ".to_owned()
                } else {
                    phys.to_string()
                };
                let flags = run.pte.flags();
                let count = (run.last - run.first + 1) as u64;
                let size = size_text(count * self.space.mode.entry_size(table.level));
                let name = self.name_at(phys);
                self.line(&format!(
                    "{indent}+-- {places:<11} {virt} → {target}  {flags}  {size:<8} {name}"
                ));
            }
            _ => {
                let why = match self.space.mode.classify(run.pte, table.level) {
                    PteKind::Reserved(_) if is_self_leaf(table.frame, run.pte) => {
                        "leaf to itself: its window, read as L0".into()
                    }
                    PteKind::Reserved(why) => why.to_string(),
                    _ => "not valid".into(),
                };
                self.line(&format!("{indent}+-- {places:<11} {virt}: reserved, {why}"));
            }
        }
    }

    /// What the physical map says of `phys`.
    fn name_at(&self, phys: PhysAddr) -> String {
        let after = self
            .partition
            .partition_point(|band| band.start <= phys.as_u64());
        let band = after.checked_sub(1).map(|index| &self.partition[index]);
        band.filter(|band| band.contains(phys.as_u64()))
            .map_or(String::new(), |band| match band.kind {
                BandKind::Table(_) => format!("{} table", band.name),
                _ => band.name.clone(),
            })
    }

    /// The table's valid entries; leaves that go on with the next page and the same flags, into the
    /// same named stretch, are one run.
    fn runs(&self, table: &Table) -> Vec<Run> {
        let mut runs: Vec<Run> = Vec::new();
        for (index, pte) in table.iter() {
            let what = match self.space.mode.classify(pte, table.level) {
                PteKind::Invalid => continue,
                PteKind::Pointer(next) => What::Pointer(next),
                PteKind::Reserved(_) => What::Reserved,
                PteKind::Leaf(leaf) => What::Leaf {
                    phys: leaf.page.start(),
                    step: self.space.mode.entry_size(table.level),
                },
            };
            if let Some(last) = runs.last_mut()
                && last.last + 1 == index
                && self.goes_on(last, what, pte)
            {
                last.last = index;
            } else {
                runs.push(Run {
                    first: index,
                    last: index,
                    pte,
                    what,
                });
            }
        }
        runs
    }

    fn goes_on(&self, run: &Run, what: What, pte: Pte) -> bool {
        match (run.what, what) {
            (What::Leaf { phys, step }, What::Leaf { phys: next, .. }) => {
                let count = (run.last - run.first + 1) as u64;
                run.pte.flags() == pte.flags()
                    && phys.checked_add(count * step) == Some(next)
                    && self.name_at(phys) == self.name_at(next)
            }
            (What::Pointer(to), What::Pointer(next)) => to == next,
            (What::Reserved, What::Reserved) => run.pte == pte,
            _ => false,
        }
    }
}

//! What changed from one snapshot to the next, entry by entry and in words.

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::fmt;
use std::sync::Arc;

use pagescope_protocol::snapshot::{Snapshot, Space, Table, TableList};
use pagescope_protocol::{Level, PhysPage, Pte, PteKind, TranslationMode, VirtAddr};
use serde::Serialize;

/// How a thing changed.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum ChangeKind {
    /// It is new.
    Added,
    /// It is gone.
    Removed,
    /// It is another than before.
    Changed,
}

impl ChangeKind {
    /// `+`, `−` or `~`.
    pub const fn sign(self) -> char {
        match self {
            Self::Added => '+',
            Self::Removed => '−',
            Self::Changed => '~',
        }
    }
}

/// One thing that changed.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Change {
    /// A whole page table came or went.
    Table {
        /// How.
        kind: ChangeKind,
        /// Its level.
        level: Level,
        /// Its frame.
        frame: PhysPage,
        /// The first address that it translates.
        covers_from: VirtAddr,
    },
    /// An entry of a table that was there before and is there now.
    Entry {
        /// How: added and removed speak of its V bit.
        kind: ChangeKind,
        /// How the table's space is translated.
        mode: TranslationMode,
        /// The table's level.
        level: Level,
        /// The table's frame.
        table: PhysPage,
        /// The entry's place.
        index: usize,
        /// The entry before.
        before: Pte,
        /// The entry now.
        after: Pte,
        /// The first address that the entry covers.
        virt: VirtAddr,
    },
    /// The heap counter moved.
    HeapCounter {
        /// The pages handed out before.
        before: Option<u64>,
        /// The pages handed out now.
        after: Option<u64>,
    },
    /// A hart now runs in another space.
    Root {
        /// The space's name.
        space: String,
        /// The root before.
        before: PhysPage,
        /// The root now.
        after: PhysPage,
    },
}

impl Change {
    /// How it changed.
    pub const fn kind(&self) -> ChangeKind {
        match self {
            Self::Table { kind, .. } | Self::Entry { kind, .. } => *kind,
            Self::HeapCounter { .. } | Self::Root { .. } => ChangeKind::Changed,
        }
    }
}

impl fmt::Display for Change {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Table {
                kind,
                level,
                frame,
                covers_from,
            } => {
                write!(f, "{} {level} table {frame} for {covers_from}", kind.sign())
            }
            Self::Entry {
                kind,
                mode,
                level,
                table,
                index,
                before,
                after,
                ..
            } => {
                let shown = if *kind == ChangeKind::Removed {
                    before
                } else {
                    after
                };
                let sign = kind.sign();
                match mode.classify(*shown, *level) {
                    PteKind::Pointer(to) => write!(f, "{sign} pointer {level}[{index}] → {to}"),
                    PteKind::Leaf(leaf) => {
                        write!(
                            f,
                            "{sign} leaf {level}[{index}] → {}, {}",
                            leaf.page, leaf.flags
                        )
                    }
                    PteKind::Reserved(why) => write!(f, "{sign} reserved {level}[{index}], {why}"),
                    PteKind::Invalid => write!(f, "{sign} invalid {level}[{index}] = {shown}"),
                }?;
                write!(f, " in {table}")
            }
            Self::HeapCounter { before, after } => {
                write!(f, "heap counter {} → {}", number(*before), number(*after))
            }
            Self::Root {
                space,
                before,
                after,
            } => write!(f, "{space}: root {before} → {after}"),
        }
    }
}

fn number(value: Option<u64>) -> String {
    value.map_or_else(|| "unknown".into(), |value| value.to_string())
}

/// What changed between two snapshots.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Difference {
    /// The changes: heap counter, roots, then tables from the root down, each with its entries.
    pub changes: Vec<Change>,
}

impl Difference {
    /// From `before` to `after`. A space is known again by its root, else by its name, which
    /// changes with the harts that run in it.
    pub fn between(before: &Snapshot, after: &Snapshot) -> Self {
        let mut changes = Vec::new();
        let counter = |snapshot: &Snapshot| snapshot.heap.map(|heap| heap.counter);
        if counter(before) != counter(after) {
            let (before, after) = (counter(before), counter(after));
            changes.push(Change::HeapCounter { before, after });
        }
        // Harts that share their tables share a space; each space is compared once.
        let mut old: Vec<&Space> = before.spaces.iter().collect();
        for (new, known) in pair_spaces(&mut old, &after.spaces) {
            match known {
                Some(known) => space_changes(known, new, &mut changes),
                None => changes.extend(new.tables.iter().map(|table| came(table))),
            }
        }
        for gone in old {
            changes.extend(gone.tables.iter().map(|table| went(table)));
        }
        say_once(before, after, &mut changes);
        Self { changes }
    }

    /// Whether nothing changed.
    pub fn is_empty(&self) -> bool {
        self.changes.is_empty()
    }

    /// The page tables that came.
    pub fn new_tables(&self) -> impl Iterator<Item = (Level, PhysPage)> + '_ {
        self.changes.iter().filter_map(|change| match change {
            Change::Table {
                kind: ChangeKind::Added,
                level,
                frame,
                ..
            } => Some((*level, *frame)),
            _ => None,
        })
    }

    /// Whether entry `index` of `table` as used at `level` is new or changed.
    pub fn touches(&self, table: PhysPage, level: Level, index: usize) -> bool {
        self.changes.iter().any(|change| {
            matches!(change, Change::Entry { table: t, level: l, index: i, .. }
                if (*t, *l, *i) == (table, level, index))
        })
    }

    /// All in one line: "+1 leaf in L0 0x87ffe000; +1 L0 table 0x87dfe000".
    pub fn summary(&self) -> String {
        let mut leaves: BTreeMap<(ChangeKindOrder, Level, PhysPage), usize> = BTreeMap::new();
        let mut parts = Vec::new();
        for change in &self.changes {
            match change {
                Change::Table {
                    kind, level, frame, ..
                } => {
                    parts.push(format!("{}1 {level} table {frame}", kind.sign()));
                }
                Change::Entry {
                    kind, level, table, ..
                } => {
                    *leaves
                        .entry((ChangeKindOrder(*kind), *level, *table))
                        .or_default() += 1;
                }
                Change::HeapCounter { .. } | Change::Root { .. } => {}
            }
        }
        for ((kind, level, table), count) in leaves {
            let noun = self.noun(kind.0, level, table, count);
            parts.push(format!(
                "{}{count} {noun} in {level} {table}",
                kind.0.sign()
            ));
        }
        parts.join("; ")
    }

    /// What the entries that changed in one table are called together.
    fn noun(&self, kind: ChangeKind, level: Level, table: PhysPage, count: usize) -> &'static str {
        let mut leaves = 0;
        let mut pointers = 0;
        for change in &self.changes {
            if let Change::Entry {
                kind: k,
                mode,
                level: l,
                table: t,
                before,
                after,
                ..
            } = change
                && (*k, *l, *t) == (kind, level, table)
            {
                let shown = if kind == ChangeKind::Removed {
                    before
                } else {
                    after
                };
                match mode.classify(*shown, level) {
                    PteKind::Leaf(_) => leaves += 1,
                    PteKind::Pointer(_) => pointers += 1,
                    PteKind::Invalid | PteKind::Reserved(_) => {}
                }
            }
        }
        match (leaves == count, pointers == count, count) {
            (true, _, 1) => "leaf",
            (true, ..) => "leaves",
            (_, true, 1) => "pointer",
            (_, true, _) => "pointers",
            (.., 1) => "entry",
            _ => "entries",
        }
    }
}

/// Additions are said before changes, and changes before removals.
#[derive(Clone, Copy, PartialEq, Eq)]
struct ChangeKindOrder(ChangeKind);

impl PartialOrd for ChangeKindOrder {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for ChangeKindOrder {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        let place = |kind: &Self| match kind.0 {
            ChangeKind::Added => 0,
            ChangeKind::Changed => 1,
            ChangeKind::Removed => 2,
        };
        place(self).cmp(&place(other))
    }
}

/// Spaces share tables. What changed in one of those changed once; and it has not come where one space more
/// links it, nor gone where one fewer does.
fn say_once(before: &Snapshot, after: &Snapshot, changes: &mut Vec<Change>) {
    let has = |snapshot: &Snapshot, frame: PhysPage, level: Level| {
        let mut spaces = snapshot.spaces.iter();
        spaces.any(|space| space.table_at(frame, level).is_some())
    };
    let mut said = BTreeSet::new();
    changes.retain(|change| match change {
        Change::Table {
            kind, level, frame, ..
        } => {
            let is_elsewhere = match kind {
                ChangeKind::Added => has(before, *frame, *level),
                ChangeKind::Removed => has(after, *frame, *level),
                ChangeKind::Changed => false,
            };
            !is_elsewhere && said.insert((*level, *frame, None))
        }
        Change::Entry {
            level,
            table,
            index,
            ..
        } => said.insert((*level, *table, Some(*index))),
        Change::HeapCounter { .. } | Change::Root { .. } => true,
    });
}

/// Each of `new` with the one of `old` that it was, which leaves `old`.
fn pair_spaces<'a>(
    old: &mut Vec<&'a Space>,
    new: &'a [Space],
) -> Vec<(&'a Space, Option<&'a Space>)> {
    let mut pairs: Vec<(&Space, Option<&Space>)> = new.iter().map(|new| (new, None)).collect();
    let same_root = |a: &Space, b: &Space| a.mode == b.mode && a.root == b.root;
    let same_name = |a: &Space, b: &Space| a.name == b.name;
    for same in [same_root as fn(&Space, &Space) -> bool, same_name] {
        for (new, known) in pairs.iter_mut().filter(|(_, known)| known.is_none()) {
            if let Some(place) = old.iter().position(|old| same(old, new)) {
                *known = Some(old.remove(place));
            }
        }
    }
    pairs
}

fn came(table: &Table) -> Change {
    let Table {
        level,
        frame,
        covers_from,
        ..
    } = *table;
    Change::Table {
        kind: ChangeKind::Added,
        level,
        frame,
        covers_from,
    }
}

fn went(table: &Table) -> Change {
    let Table {
        level,
        frame,
        covers_from,
        ..
    } = *table;
    Change::Table {
        kind: ChangeKind::Removed,
        level,
        frame,
        covers_from,
    }
}

fn space_changes(before: &Space, after: &Space, changes: &mut Vec<Change>) {
    if before.root != after.root {
        let (space, before, after) = (after.name.clone(), before.root, after.root);
        changes.push(Change::Root {
            space,
            before,
            after,
        });
    }
    // A recursive root makes the walk read tables at levels below their own: what changed there is
    // told once, at the highest. Only frames whose tables are not shared can tell anything.
    let mut here: Vec<(&Table, Option<&Table>)> = Vec::new();
    let mut gone: Vec<&Table> = Vec::new();
    for frame in frames_apart(&before.tables, &after.tables) {
        match [&before.tables, &after.tables].map(|tables| own_table(tables, frame)) {
            [Some(old), Some(new)] if old.level == new.level => {
                if !Arc::ptr_eq(old, new) {
                    here.push((new, Some(old)));
                }
            }
            [old, new] => {
                here.extend(new.map(|new| (&**new, None)));
                gone.extend(old.map(|old| &**old));
            }
        }
    }
    let order = |table: &Table| (std::cmp::Reverse(table.level), table.frame);
    here.sort_by_key(|(table, _)| order(table));
    gone.sort_by_key(|table| order(table));
    for (table, old) in here {
        match old {
            None => changes.push(came(table)),
            Some(old) => entry_changes(after, old, table, changes),
        }
    }
    changes.extend(gone.into_iter().map(went));
}

/// The frames with tables that only one of the two lists has.
fn frames_apart(one: &TableList, other: &TableList) -> BTreeSet<PhysPage> {
    if one.is_shared_with(other) {
        return BTreeSet::new();
    }
    let frame = |table: &Arc<Table>| table.frame;
    if one.len() == other.len() {
        // Mostly each stands where it stood.
        let both = one.iter().zip(other);
        let apart = both.filter(|(one, other)| !Arc::ptr_eq(one, other));
        return apart
            .flat_map(|(one, other)| [frame(one), frame(other)])
            .collect();
    }
    let pointers =
        |list: &TableList| -> HashSet<*const Table> { list.iter().map(Arc::as_ptr).collect() };
    let (ones, others) = (pointers(one), pointers(other));
    let only = |list: &TableList, known: &HashSet<*const Table>| -> Vec<PhysPage> {
        let tables = list.iter();
        tables
            .filter(|table| !known.contains(&Arc::as_ptr(table)))
            .map(frame)
            .collect()
    };
    let mut frames: BTreeSet<PhysPage> = only(one, &others).into_iter().collect();
    frames.extend(only(other, &ones));
    frames
}

/// The table in `frame` at the highest level that it is read at. A file that says a table twice is taken by its first
/// word.
fn own_table(tables: &TableList, frame: PhysPage) -> Option<&Arc<Table>> {
    tables.all_in_frame(frame).reduce(|highest, table| {
        if table.level > highest.level {
            table
        } else {
            highest
        }
    })
}

/// A table that could not be read at one of the two moments says nothing of its entries.
fn entry_changes(space: &Space, before: &Table, after: &Table, changes: &mut Vec<Change>) {
    for ((index, old), (_, new)) in before.iter().zip(after.iter()) {
        if old == new {
            continue;
        }
        let kind = match (old.is_valid(), new.is_valid()) {
            (false, true) => ChangeKind::Added,
            (true, false) => ChangeKind::Removed,
            _ => ChangeKind::Changed,
        };
        changes.push(Change::Entry {
            kind,
            mode: space.mode,
            level: after.level,
            table: after.frame,
            index,
            before: old,
            after: new,
            virt: pagescope_protocol::walk::entry_address(
                space.mode,
                after.covers_from,
                after.level,
                index,
            ),
        });
    }
}

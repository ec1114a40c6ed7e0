//! Counting page tables: every one of an address space, with what it covers and how full it is.

use pagescope_protocol::{ENTRIES_PER_TABLE, Pte, PteKind};

use crate::mapper::MODE;
use crate::memory::Memory;
use crate::self_map::Table;
use crate::space::Space;

/// One table.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct TableUse {
    /// The table.
    pub table: Table,
    /// Its entries that point to tables.
    pub pointers: usize,
    /// Its entries that map something.
    pub leaves: usize,
}

/// Tells `visit` of every table of `space`, each before the tables that it points to. A pointer that
/// leads back to the root is counted, and not followed.
pub fn census<M: Memory>(space: &Space, memory: &M, visit: &mut impl FnMut(TableUse)) {
    visit_table(space, memory, Table::root(space.root()), visit);
}

/// As deep as there are levels.
fn visit_table<M: Memory>(
    space: &Space,
    memory: &M,
    table: Table,
    visit: &mut impl FnMut(TableUse),
) {
    if !space.is_table(table.frame) {
        return;
    }
    let address = space.window_of(table);
    let kind = |index: usize| {
        let entry = memory.load(address.wrapping_add(index as u64 * 8));
        Pte::from_bits(entry).classify(table.level)
    };
    let count =
        |wanted: fn(&PteKind) -> bool| (0..ENTRIES_PER_TABLE).map(kind).filter(wanted).count();
    visit(TableUse {
        table,
        pointers: count(|kind| matches!(kind, PteKind::Pointer(_))),
        leaves: count(|kind| matches!(kind, PteKind::Leaf(_))),
    });
    for index in 0..ENTRIES_PER_TABLE {
        if let (PteKind::Pointer(next), Some(level)) = (kind(index), table.level.next())
            && next != space.root()
        {
            let offset = index as u64 * table.level.entry_size();
            let covers = MODE.canonical(table.covers_from.as_u64().wrapping_add(offset));
            visit_table(space, memory, Table::covering(next, level, covers), visit);
        }
    }
}

/// How many frames are tables of `space`.
pub fn table_frames<M: Memory>(space: &Space, memory: &M) -> u64 {
    let mut frames = 0;
    census(space, memory, &mut |_| frames += 1);
    frames
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{HIGH, booted};
    use crate::self_map::STRATEGIES;
    use crate::window::Window;
    use std::collections::BTreeMap;

    #[test]
    fn the_census_finds_what_a_walk_finds() {
        for self_map in STRATEGIES {
            for window in [Window::IDENTITY, HIGH] {
                let (machine, space) = booted(self_map, window);
                let mut counted = BTreeMap::new();
                census(&space, &machine, &mut |found| {
                    let used = found.pointers + found.leaves;
                    let Table {
                        frame,
                        level,
                        covers_from,
                    } = found.table;
                    counted.insert(frame, (level, covers_from, used));
                });
                // The walk meets a table of a recursive space at several levels; what it is, it
                // is at the highest.
                let mut walked = BTreeMap::new();
                for table in &machine.walk().tables {
                    let meaningful =
                        |kind: PteKind| matches!(kind, PteKind::Pointer(_) | PteKind::Leaf(_));
                    let used = table
                        .entries()
                        .filter(|(_, pte)| meaningful(pte.classify(table.level)))
                        .count();
                    walked
                        .entry(table.page)
                        .or_insert((table.level, table.covers_from, used));
                }
                assert_eq!(counted, walked, "{}", self_map.name());
            }
        }
    }
}

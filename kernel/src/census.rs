//! Counting page tables: every one of an address space, with what it covers and how full it is.

use pagescope_protocol::translate::pte_address;
use pagescope_protocol::{ENTRIES_PER_TABLE, Level, PhysPage, Pte, PteKind, VirtAddr};

use crate::mapper::{MODE, ROOT_LEVEL};
use crate::memory::Memory;
use crate::window::Window;

/// One table.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct TableUse {
    /// Its frame.
    pub frame: PhysPage,
    /// Its level.
    pub level: Level,
    /// The first address that it covers.
    pub covers_from: VirtAddr,
    /// Its entries that point to tables.
    pub pointers: usize,
    /// Its entries that map something.
    pub leaves: usize,
}

/// Address spaces that can be counted: how tables are reached, and which frames are some.
#[derive(Debug)]
pub struct Census<'a, M, F> {
    /// The program's memory.
    pub memory: &'a M,
    /// Where tables are reached.
    pub window: Window,
    /// Whether a frame is a table; others are not looked into.
    pub is_table: F,
}

impl<M: Memory, F: Fn(PhysPage) -> bool> Census<'_, M, F> {
    /// Tells `visit` of every table under `root`, each before the tables it points to.
    pub fn visit(&self, root: PhysPage, visit: &mut impl FnMut(TableUse)) {
        self.visit_table(root, ROOT_LEVEL, VirtAddr::new(0), visit);
    }

    /// As deep as there are levels.
    fn visit_table(
        &self,
        frame: PhysPage,
        level: Level,
        covers_from: VirtAddr,
        visit: &mut impl FnMut(TableUse),
    ) {
        if !(self.is_table)(frame) {
            return;
        }
        let kind = |index| self.entry(frame, index).classify(level);
        let count =
            |wanted: fn(&PteKind) -> bool| (0..ENTRIES_PER_TABLE).map(kind).filter(wanted).count();
        visit(TableUse {
            frame,
            level,
            covers_from,
            pointers: count(|kind| matches!(kind, PteKind::Pointer(_))),
            leaves: count(|kind| matches!(kind, PteKind::Leaf(_))),
        });
        for index in 0..ENTRIES_PER_TABLE {
            if let (PteKind::Pointer(next), Some(next_level)) = (kind(index), level.next()) {
                let offset = index as u64 * level.entry_size();
                let covers = MODE.sign_extend(covers_from.as_u64().wrapping_add(offset));
                self.visit_table(next, next_level, covers, visit);
            }
        }
    }

    fn entry(&self, frame: PhysPage, index: usize) -> Pte {
        let offset = pte_address(frame, index).page_offset();
        let address = self.window.address_of(frame).wrapping_add(offset);
        Pte::from_bits(self.memory.load(address))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{HIGH, booted};
    use std::collections::BTreeMap;

    #[test]
    fn the_census_finds_what_a_walk_finds() {
        for window in [Window::IDENTITY, HIGH] {
            let (machine, pool, map) = booted(window);
            let mut counted = BTreeMap::new();
            let census = Census {
                memory: &machine,
                window,
                is_table: |frame| pool.is_table(frame),
            };
            census.visit(map.root, &mut |table| {
                let used = table.pointers + table.leaves;
                counted.insert(table.frame, (table.level, table.covers_from, used));
            });
            let walked: BTreeMap<_, _> = machine
                .walk()
                .tables
                .iter()
                .map(|table| {
                    let used = table.entries().filter(|(_, pte)| pte.is_valid()).count();
                    (table.page, (table.level, table.covers_from, used))
                })
                .collect();
            assert_eq!(counted, walked);
        }
    }
}

//! Which leaf makes which page table reachable: the answer to "how does the kernel write them?".
//!
//! A pointer entry ends no walk, so the entry that links a table cannot be the one that gives
//! access to it. Every table frame that the kernel wants to write needs a leaf of its own.

use pagescope_protocol::snapshot::Space;
use pagescope_protocol::{LeafFlags, Level, PhysPage, PteKind, VirtAddr};

use super::ReverseIndex;

/// How one table can be reached.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct TableWindow {
    /// The table's level.
    pub level: Level,
    /// The table's frame.
    pub frame: PhysPage,
    /// The leaf that leads to it, if one does.
    pub window: Option<Window>,
}

/// A leaf that leads to a table's frame.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Window {
    /// The address at which the table is seen.
    pub virt: VirtAddr,
    /// What may be done there.
    pub flags: LeafFlags,
    /// The level of the leaf.
    pub leaf_level: Level,
    /// The leaf's place in its table.
    pub leaf_index: usize,
    /// Further addresses that lead to the same frame.
    pub others: usize,
}

impl TableWindow {
    /// Whether the kernel can write this table, in one word.
    pub fn verdict(&self) -> &'static str {
        match self.window {
            None => "no window",
            Some(window) if window.flags.contains(LeafFlags::USER) => "user can reach",
            Some(window) if !window.flags.contains(LeafFlags::WRITE) => "read-only",
            Some(_) => "sound",
        }
    }

    /// Whether supervisor code can write the table, and user code cannot reach it.
    pub fn is_sound(&self) -> bool {
        self.verdict() == "sound"
    }
}

/// The windows onto the first `limit` tables of `space`, root first.
pub fn self_map(space: &Space, index: &ReverseIndex, limit: usize) -> Vec<TableWindow> {
    let tables = space.tables.iter().take(limit);
    tables
        .map(|table| {
            let aliases = index.aliases(table.frame, 16);
            // Writable ways count before the others.
            let best = aliases
                .iter()
                .max_by_key(|alias| alias.flags.contains(LeafFlags::WRITE));
            let window = best.and_then(|alias| {
                let step = *space.translate(alias.virt).trail.last()?;
                // A mapping whose table could not be read has no leaf to show.
                if !matches!(step.kind, PteKind::Leaf(_)) {
                    return None;
                }
                Some(Window {
                    virt: alias.virt,
                    flags: alias.flags,
                    leaf_level: step.level,
                    leaf_index: step.index,
                    others: aliases.len() - 1,
                })
            });
            TableWindow {
                level: table.level,
                frame: table.frame,
                window,
            }
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::fixture;

    /// S0.6: L0 holds leaves for the frames of L0, L1 and L2.
    #[test]
    fn s0_6_the_pool_layout_reaches_all_its_tables() {
        let snapshot = fixture::pseudos(3);
        let space = &snapshot.spaces[0];
        let windows = self_map(space, &ReverseIndex::new(space), 100);
        assert_eq!(windows.len(), 6);
        assert!(windows.iter().all(TableWindow::is_sound));
        let root = windows[0].window.unwrap();
        assert_eq!(windows[0].level, Level::L2);
        assert_eq!((root.leaf_level, root.leaf_index), (Level::L0, 508));
        assert_eq!(root.virt, VirtAddr::new(0x87ff_c000));
    }
}

//! From tables to mappings: leaves in address order, neighbours merged.
//!
//! Two leaves are one mapping where both addresses go on without a gap and page size and flags
//! are the same. The lower half of the space comes first, then the upper half: the order of
//! unsigned addresses.

use alloc::collections::BTreeMap;
use alloc::sync::Arc;
use alloc::vec::Vec;

use crate::addr::{PhysAddr, PhysPage, VirtAddr};
use crate::level::Level;
use crate::pte::{LeafFlags, Pte, PteKind};
use crate::walk::{SpaceWalk, entry_address};

/// A run of leaves.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct MappedRange {
    /// Its first virtual address.
    pub virt: VirtAddr,
    /// What that address leads to.
    pub phys: PhysAddr,
    /// Its length in bytes.
    pub size: u64,
    /// Bytes of each leaf.
    pub page_size: u64,
    /// The leaves' flags, G included where a pointer on the path has it.
    pub flags: LeafFlags,
}

impl MappedRange {
    fn continues_with(&self, next: &Self) -> bool {
        self.virt.checked_add(self.size) == Some(next.virt)
            && self.phys.checked_add(self.size) == Some(next.phys)
            && self.page_size == next.page_size
            && self.flags == next.flags
    }
}

/// How many ranges and table visits [`coalesce`] gives before it stops: cyclic tables can make
/// three frames map 512 GiB.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Limits {
    /// Most ranges.
    pub ranges: usize,
    /// Most visits of a table, one for each path that leads to it.
    pub visits: usize,
}

impl Default for Limits {
    /// A million ranges, 300,000 visits (a full Sv39 space has 262,657 tables).
    fn default() -> Self {
        Self {
            ranges: 1 << 20,
            visits: 300_000,
        }
    }
}

/// A space's mappings.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Mappings {
    /// The ranges in address order.
    pub ranges: Vec<MappedRange>,
    /// Whether a limit cut the list short.
    pub truncated: bool,
}

/// The mappings of a walked space.
pub fn coalesce(walk: &SpaceWalk, limits: Limits) -> Mappings {
    let Some(root_level) = walk.mode.root_level() else {
        return Mappings::default();
    };
    let words = walk
        .tables
        .iter()
        .filter_map(|table| Some((table.page, table.words.clone()?)))
        .collect();
    let mut visitor = Visitor {
        walk,
        words,
        limits,
        visits: 0,
        found: Mappings::default(),
    };
    visitor.visit(walk.root, root_level, VirtAddr::new(0), LeafFlags::empty());
    visitor.found
}

struct Visitor<'a> {
    walk: &'a SpaceWalk,
    words: BTreeMap<PhysPage, Arc<[u64]>>,
    limits: Limits,
    visits: usize,
    found: Mappings,
}

impl Visitor<'_> {
    /// Recursion is as deep as there are levels: five at most.
    fn visit(&mut self, table: PhysPage, level: Level, base: VirtAddr, inherited: LeafFlags) {
        if self.visits == self.limits.visits {
            self.found.truncated = true;
            return;
        }
        self.visits += 1;
        let Some(words) = self.words.get(&table).cloned() else {
            return;
        };
        for (index, bits) in words.iter().enumerate() {
            if self.found.truncated {
                return;
            }
            let pte = Pte::from_bits(*bits);
            let virt = entry_address(self.walk.mode, base, level, index);
            match (self.walk.mode.classify(pte, level), level.next()) {
                (PteKind::Pointer(next), Some(next_level)) => {
                    let inherited = inherited | (pte.flags() & LeafFlags::GLOBAL);
                    self.visit(next, next_level, virt, inherited);
                }
                (PteKind::Leaf(leaf), _) => {
                    // Each of a NAPOT group's sixteen entries maps its own 4 KiB.
                    let inside = virt.as_u64() & (leaf.size - 1);
                    self.push(MappedRange {
                        virt,
                        phys: leaf.page.start().wrapping_add(inside),
                        size: self.walk.mode.entry_size(level),
                        page_size: leaf.size,
                        flags: leaf.flags | inherited,
                    });
                }
                _ => {}
            }
        }
    }

    fn push(&mut self, range: MappedRange) {
        if let Some(last) = self.found.ranges.last_mut()
            && last.continues_with(&range)
        {
            last.size += range.size;
        } else if self.found.ranges.len() == self.limits.ranges {
            self.found.truncated = true;
        } else {
            self.found.ranges.push(range);
        }
    }
}

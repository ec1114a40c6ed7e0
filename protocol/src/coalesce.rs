//! From tables to mappings: leaves in address order, neighbours merged.
//!
//! Two leaves are one mapping where both addresses go on without a gap and page size and flags
//! are the same. The lower half of the space comes first, then the upper half: the order of
//! unsigned addresses.

use alloc::collections::BTreeMap;
use alloc::sync::Arc;
use alloc::vec::Vec;

use crate::addr::{PhysAddr, PhysPage, VirtAddr};
use crate::decode::{DecodedTable, Decoder, Place};
use crate::level::Level;
use crate::pte::LeafFlags;
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
    /// Whether `next` begins where this one ends, and maps the same way.
    pub fn continues_with(&self, next: &Self) -> bool {
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
    /// Two million ranges, 300,000 visits (a full Sv39 space has 262,657 tables).
    fn default() -> Self {
        Self {
            ranges: 1 << 21,
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
    let mut ranges = Vec::new();
    let truncated = visit_leaves(walk, limits, &mut Decoder::default(), &mut ranges);
    Mappings { ranges, truncated }
}

/// Some of a table's runs, in a space.
#[derive(Clone, Debug)]
pub(crate) struct RunBlock {
    pub(crate) table: Arc<DecodedTable>,
    /// The first of them.
    pub(crate) from: u16,
    /// The first after them.
    pub(crate) to: u16,
    pub(crate) place: Place,
}

// Only snapshots hold lists of them.
#[cfg_attr(not(feature = "snapshot"), allow(dead_code))]
impl RunBlock {
    pub(crate) fn len(&self) -> usize {
        usize::from(self.to - self.from)
    }

    /// The range at `place`, from 0.
    pub(crate) fn get(&self, place: usize) -> Option<MappedRange> {
        let place = place + usize::from(self.from);
        let run = self.table.runs().get(place)?;
        (place < usize::from(self.to)).then(|| run.range(self.table.entries(), self.place))
    }

    /// Whether both are the same runs in the same place.
    pub(crate) fn is_shared_with(&self, other: &Self) -> bool {
        let ends = |block: &Self| (block.from, block.to, block.place);
        Arc::ptr_eq(&self.table, &other.table) && ends(self) == ends(other)
    }

    /// Its first range, those between, and its last range; `None` where it has fewer than three.
    pub(crate) fn split_ends(self) -> Option<(MappedRange, Self, MappedRange)> {
        let first = self.get(0)?;
        let last = self.get(self.len().checked_sub(1)?)?;
        let inner = Self {
            from: self.from + 1,
            to: self.to - 1,
            ..self
        };
        (inner.from < inner.to).then_some((first, inner, last))
    }

    /// Its ranges, in address order.
    pub(crate) fn ranges(&self) -> impl DoubleEndedIterator<Item = MappedRange> {
        let runs = self.table.runs();
        let runs = runs.get(usize::from(self.from)..usize::from(self.to));
        let entries = self.table.entries();
        runs.into_iter()
            .flatten()
            .map(|run| run.range(entries, self.place))
    }
}

/// What becomes of the leaves that [`visit_leaves`] meets, in address order.
pub(crate) trait LeafSink {
    /// Takes some runs of one table.
    fn block(&mut self, block: RunBlock);

    /// How many ranges it has, neighbours merged.
    fn len(&self) -> usize;

    /// Says that the visit has come to entry `index` of a table that links others.
    fn entry_of_links(&mut self, _index: usize) {}
}

impl LeafSink for Vec<MappedRange> {
    fn block(&mut self, block: RunBlock) {
        for range in block.ranges() {
            match self.last_mut() {
                Some(last) if last.continues_with(&range) => last.size += range.size,
                _ => self.push(range),
            }
        }
    }

    fn len(&self) -> usize {
        Self::len(self)
    }
}

/// Gives `sink` all leaves of a walked space. Whether a limit ended the visit before it had seen all.
pub(crate) fn visit_leaves(
    walk: &SpaceWalk,
    limits: Limits,
    decoder: &mut Decoder,
    sink: &mut impl LeafSink,
) -> bool {
    let Some(level) = walk.mode.root_level() else {
        return false;
    };
    let tables = walk.tables.iter().filter_map(|table| {
        let words = table.words.as_ref()?;
        let decoded = decoder.decode(walk.mode, table.level, table.page, words);
        Some(((table.page, table.level), decoded))
    });
    let mut visitor = Visitor {
        tables: tables.collect(),
        limits,
        visits: 0,
        truncated: false,
        sink,
    };
    let root = Place {
        mode: walk.mode,
        level,
        covers_from: VirtAddr::new(0),
        inherited: LeafFlags::empty(),
    };
    visitor.visit(walk.root, root);
    visitor.truncated
}

struct Visitor<'a, S> {
    tables: BTreeMap<(PhysPage, Level), Arc<DecodedTable>>,
    limits: Limits,
    visits: usize,
    truncated: bool,
    sink: &'a mut S,
}

impl<S: LeafSink> Visitor<'_, S> {
    /// Recursion is as deep as there are levels: five at most.
    fn visit(&mut self, table: PhysPage, place: Place) {
        if self.visits == self.limits.visits {
            self.truncated = true;
            return;
        }
        self.visits += 1;
        let Some(decoded) = self.tables.get(&(table, place.level)).map(Arc::clone) else {
            return;
        };
        let runs = decoded.runs();
        let mut done = 0;
        for link in decoded.links() {
            let before = done + runs[done..].partition_point(|run| run.first < link.index);
            self.leaves(&decoded, done, before, place);
            done = before;
            let index = usize::from(link.index);
            self.sink.entry_of_links(index);
            if let Some(level) = place.level.next()
                && !self.truncated
            {
                let below = Place {
                    level,
                    covers_from: entry_address(place.mode, place.covers_from, place.level, index),
                    inherited: place.inherited | (link.flags & LeafFlags::GLOBAL),
                    ..place
                };
                self.visit(link.table, below);
            }
        }
        self.leaves(&decoded, done, runs.len(), place);
    }

    /// Gives the runs from `from` to before `to`, as far as there is room.
    fn leaves(&mut self, table: &Arc<DecodedTable>, from: usize, to: usize, place: Place) {
        if from == to || self.truncated {
            return;
        }
        let room = self.limits.ranges.saturating_sub(self.sink.len());
        // The first one may go on a range that is there already, and so takes no room.
        let end = to.min(from + room);
        self.truncated = end < to;
        self.sink.block(RunBlock {
            table: Arc::clone(table),
            // A table has at most 4096 entries.
            from: from as u16,
            to: end as u16,
            place,
        });
    }
}

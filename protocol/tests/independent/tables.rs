//! One stage's tables: entries set by address and level.

use super::{Memory, Mode, Why};

/// What was put at a spot.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub(crate) enum What {
    Leaf,
    /// A leaf whose memory type is NC or IO (Svpbmt).
    TypedLeaf,
    /// One entry of sixteen that map 64 KiB (Svnapot).
    Napot,
    /// V clear, other bits set.
    Garbage,
    /// A valid entry that faults, for this one reason.
    Broken(Why),
    /// A pointer to where no memory is.
    Nowhere,
    /// A pointer back to the root.
    Cycle,
}

/// An entry that was set.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Spot {
    /// The first address it translates.
    pub(crate) address: u64,
    pub(crate) level: u32,
    pub(crate) what: What,
}

#[derive(Clone, Debug)]
pub(crate) struct Tables {
    pub(crate) mode: &'static Mode,
    /// The root table's address, as satp or hgatp has it.
    pub(crate) root: u64,
    pub(crate) spots: Vec<Spot>,
}

impl Tables {
    pub(crate) fn new(mode: &'static Mode, memory: &mut impl Memory) -> Self {
        let root = memory.take(mode.entries(mode.levels - 1) * mode.entry_bytes);
        Self {
            mode,
            root,
            spots: Vec::new(),
        }
    }

    /// Sets the entry for `address` at `level`, with the tables that it needs; not where that place is
    /// taken, or a leaf or a broken entry is in the way.
    pub(crate) fn set(
        &mut self,
        memory: &mut impl Memory,
        address: u64,
        level: u32,
        what: What,
        entry: u64,
    ) -> bool {
        let Some(at) = self.place(memory, address, level) else {
            return false;
        };
        memory.write(at, self.mode.entry_bytes, entry);
        let size = self.mode.page_size(level);
        self.spots.push(Spot {
            address: self.mode.address(address) & !(size - 1),
            level,
            what,
        });
        true
    }

    /// Where that entry lies, if it is free; makes the tables above it.
    fn place(&self, memory: &mut impl Memory, address: u64, level: u32) -> Option<u64> {
        let bytes = self.mode.entry_bytes;
        let mut table = self.root;
        for above in (level + 1..self.mode.levels).rev() {
            let at = table + self.mode.index(above, address) * bytes;
            let entry = memory.read(at, bytes)?;
            if entry == 0 {
                table = memory.take(4096);
                memory.write(at, bytes, table >> 12 << 10 | 1);
            } else if entry & 0xff == 1 && entry >> 54 == 0 && entry >> 10 << 12 != self.root {
                table = entry >> 10 << 12;
            } else {
                return None;
            }
        }
        let at = table + self.mode.index(level, address) * bytes;
        (memory.read(at, bytes)? == 0).then_some(at)
    }
}

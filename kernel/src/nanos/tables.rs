//! The page tables: `map_range`, `unmap_range`, `physical_from_virtual`.
//!
//! ```text
//!  map_range(virt, phys, length)
//!     4 KiB │ 4 KiB … │      2 MiB      │      2 MiB      │ 4 KiB │
//!           └ until both addresses are aligned ┘            └ the rest (S4.8)
//! ```
//!
//! 2 MiB leaves wherever both addresses are aligned and as much is left; else 4 KiB ones.
//!
//! Invariants:
//! - A call that fails has changed nothing: everything is looked at before the first store.
//! - A table comes from the [`TablePool`], zeroed and mapped; the pool is not filled in here, so no
//!   call is inside another.
//! - `unmap_range` takes whole leaves only: it splits none, and a hole is an error.
//! - A table that has become empty goes back to the pool.
//! - A new pointer, or one that is gone, is followed by a fence of everything; a leaf by one of its page (privileged
//!   specification, section "Supervisor Memory-Management Fence Instruction").

use core::convert::Infallible;

use pagescope_protocol::translate::{Outcome, Translation, TranslationFault, translate};
use pagescope_protocol::{
    ENTRIES_PER_TABLE, LeafFlags, Level, PAGE_SIZE, PhysAddr, PhysPage, Pte, PteKind, VirtAddr,
    VirtRange,
};
use thiserror::Error;

use super::table_pool::TablePool;
use crate::mapper::{MODE, ROOT_LEVEL};
use crate::memory::Memory;

/// Tables that a caller leaves in the pool: the next chunk of the pool is mapped with them, an L1 and
/// an L0 at most.
pub const KEPT_FOR_POOL: u64 = 2;

/// Bytes of a large leaf.
const LARGE: u64 = Level::L1.entry_size();

/// Why nothing was mapped.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Error)]
pub enum MapError {
    /// No bytes, or addresses that wrap.
    #[error("{0:#x} bytes at {1} are no range")]
    Range(u64, VirtAddr),
    /// Sv39 cannot represent the address.
    #[error("{0:#018x} is not an Sv39 address: bits 63..39 must all equal bit 38")]
    NonCanonical(VirtAddr),
    /// An address or a length that is not pages'.
    #[error("{0} to {1}, {2:#x} bytes, is not on page bounds")]
    Misaligned(VirtAddr, PhysAddr, u64),
    /// Flags that make no leaf.
    #[error("no leaf has the flags {0}")]
    Flags(LeafFlags),
    /// Something is mapped there.
    #[error("{0} is mapped already")]
    AlreadyMapped(VirtAddr),
    /// An entry that is none of ours.
    #[error("the entries on the way to {0} are damaged")]
    Damaged(VirtAddr),
    /// The pool has too few pages.
    #[error("{0} tables are needed and the pool has {1} to give")]
    NoTables(u64, u64),
}

/// Why nothing was unmapped.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Error)]
pub enum UnmapError {
    /// No bytes, addresses that wrap, or not on page bounds.
    #[error("{0:#x} bytes at {1} are no range of pages")]
    Range(u64, VirtAddr),
    /// Nothing is mapped there.
    #[error("{0} is not mapped")]
    NotMapped(VirtAddr),
    /// A leaf of which a part lies outside.
    #[error("the leaf at {0} has {1:#x} bytes, and is not split")]
    WouldSplit(VirtAddr, u64),
}

/// What a range was mapped with.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Leaves {
    /// 2 MiB leaves.
    pub large: u64,
    /// 4 KiB leaves.
    pub small: u64,
    /// Tables that were needed for them.
    pub tables: u64,
}

/// One address space's tables.
#[derive(Debug)]
pub struct Tables {
    root: PhysPage,
    pool: TablePool,
}

impl Tables {
    /// An empty root table, from `pool`; `None` where that has nothing.
    pub fn new<M: Memory>(mut pool: TablePool, memory: &mut M) -> Option<Self> {
        let root = pool.take(memory)?;
        Some(Self { root, pool })
    }

    /// The root table.
    pub const fn root(&self) -> PhysPage {
        self.root
    }

    /// Where tables come from.
    pub const fn pool(&self) -> &TablePool {
        &self.pool
    }

    /// Where tables come from.
    pub const fn pool_mut(&mut self) -> &mut TablePool {
        &mut self.pool
    }

    /// Maps `size_bytes` from `virt` on to those from `phys` on. A and D are preset: a machine without
    /// hardware A/D updates faults otherwise. `kept` pages of the pool are not touched.
    ///
    /// # Errors
    /// [`MapError`]; nothing has changed then.
    pub fn map_range<M: Memory>(
        &mut self,
        memory: &mut M,
        (virt, phys, size_bytes): (VirtAddr, PhysAddr, u64),
        flags: LeafFlags,
        kept: u64,
    ) -> Result<Leaves, MapError> {
        let last = pages(virt, size_bytes).ok_or(MapError::Range(size_bytes, virt))?;
        for address in [virt, last] {
            if !MODE.is_canonical(address) {
                return Err(MapError::NonCanonical(address));
            }
        }
        let on_pages = virt.is_aligned(PAGE_SIZE) && phys.is_aligned(PAGE_SIZE);
        let phys_end = phys.checked_add(size_bytes);
        if !on_pages || phys_end.and_then(PhysAddr::page).is_none() {
            return Err(MapError::Misaligned(virt, phys, size_bytes));
        }
        let flags = flags | LeafFlags::VALID | LeafFlags::ACCESSED | LeafFlags::DIRTY;
        let leaf = Pte::leaf(PhysPage::default(), flags);
        if !matches!(leaf.classify(Level::L0), PteKind::Leaf(_)) {
            return Err(MapError::Flags(flags));
        }
        let leaves = self.plan(memory, virt, phys, size_bytes)?;
        let free = self.pool.free().saturating_sub(kept);
        if leaves.tables > free {
            return Err(MapError::NoTables(leaves.tables, free));
        }
        let mut offset = 0;
        while offset < size_bytes {
            let (virt, phys) = (virt.wrapping_add(offset), phys.wrapping_add(offset));
            let level = leaf_level(virt, phys, size_bytes - offset);
            self.store_leaf(memory, virt, phys, level, flags)?;
            offset += level.entry_size();
        }
        Ok(leaves)
    }

    /// Takes the leaves away that map `size_bytes` from `virt` on, and tables that are empty then; gives
    /// how many tables.
    ///
    /// # Errors
    /// [`UnmapError`]; nothing has changed then.
    pub fn unmap_range<M: Memory>(
        &mut self,
        memory: &mut M,
        virt: VirtAddr,
        size_bytes: u64,
    ) -> Result<u64, UnmapError> {
        let range = pages(virt, size_bytes).and_then(|_| VirtRange::new(virt, size_bytes));
        let range = range.ok_or(UnmapError::Range(size_bytes, virt))?;
        let mut address = virt;
        while range.contains(address) {
            let size = self.leaf_size(memory, address)?;
            let start = address.align_down(size);
            let leaf = VirtRange::new(start, size);
            if leaf.is_none_or(|leaf| !range.contains_range(leaf)) {
                return Err(UnmapError::WouldSplit(start, size));
            }
            address = address.wrapping_add(size);
        }
        let used = self.pool.used();
        let mut address = virt;
        while range.contains(address) {
            // It was looked at above.
            let size = self.leaf_size(memory, address)?;
            self.clear_leaf(memory, address);
            address = address.wrapping_add(size);
        }
        Ok(used - self.pool.used())
    }

    /// Translates `virt` as the hardware would, without ever faulting: every table is seen in the
    /// pool's window.
    pub fn lookup<M: Memory>(&self, memory: &M, virt: VirtAddr) -> Translation {
        let read = |entry: PhysAddr| Ok::<_, Infallible>(self.load_entry(memory, entry));
        match translate(MODE, self.root, virt, read) {
            Ok(translation) => translation,
        }
    }

    /// The physical address that `virt` is mapped to, if it is: the frames of an allocation are known from
    /// the tables, and nobody keeps a list of them.
    pub fn physical_from_virtual<M: Memory>(&self, memory: &M, virt: VirtAddr) -> Option<PhysAddr> {
        Some(self.lookup(memory, virt).mapped()?.address)
    }

    /// The first address of `range` that is mapped. Where a table is missing, all that it would cover is
    /// passed over at once.
    pub fn first_mapped<M: Memory>(&self, memory: &M, range: VirtRange) -> Option<VirtAddr> {
        let mut address = range.start();
        while range.contains(address) {
            let translation = self.lookup(memory, address);
            if translation.mapped().is_some() {
                return Some(address);
            }
            let level = translation.trail.last()?.level;
            let size = level.entry_size();
            address = address.align_down(size).checked_add(size)?;
        }
        None
    }

    /// Looks at every place of the range: nothing is mapped there; how many tables are missing.
    fn plan<M: Memory>(
        &self,
        memory: &M,
        virt: VirtAddr,
        phys: PhysAddr,
        size_bytes: u64,
    ) -> Result<Leaves, MapError> {
        let mut leaves = Leaves::default();
        // Addresses ascend: a table that is missing is counted where the range enters what it covers.
        let mut counted = [None; 2];
        let mut offset = 0;
        while offset < size_bytes {
            let (virt, phys) = (virt.wrapping_add(offset), phys.wrapping_add(offset));
            let level = leaf_level(virt, phys, size_bytes - offset);
            let translation = self.lookup(memory, virt);
            let at = match (translation.outcome, translation.trail.last()) {
                (Outcome::Fault(TranslationFault::Invalid(at)), _) if at >= level => at,
                (Outcome::Fault(TranslationFault::Invalid(_)) | Outcome::Mapped(_), _) => {
                    return Err(MapError::AlreadyMapped(virt));
                }
                _ => return Err(MapError::Damaged(virt)),
            };
            for (missing, counted) in [Level::L1, Level::L0].into_iter().zip(&mut counted) {
                let covers = virt.align_down(missing.table_size());
                if missing >= level && missing < at && *counted != Some(covers) {
                    leaves.tables += 1;
                    *counted = Some(covers);
                }
            }
            match level {
                Level::L1 => leaves.large += 1,
                _ => leaves.small += 1,
            }
            offset += level.entry_size();
        }
        Ok(leaves)
    }

    fn store_leaf<M: Memory>(
        &mut self,
        memory: &mut M,
        virt: VirtAddr,
        phys: PhysAddr,
        level: Level,
        flags: LeafFlags,
    ) -> Result<(), MapError> {
        // What can go wrong here was looked at before.
        let damaged = MapError::Damaged(virt);
        let (mut table, mut at) = (self.root, ROOT_LEVEL);
        while at > level {
            let place = self.place_of(table, at, virt).ok_or(damaged)?;
            table = match Pte::from_bits(memory.load(place)).classify(at) {
                PteKind::Pointer(next) => next,
                _ => {
                    let next = self.pool.take(memory).ok_or(damaged)?;
                    memory.store(place, Pte::pointer(next).bits());
                    memory.fence_all();
                    next
                }
            };
            at = at.next().ok_or(damaged)?;
        }
        let place = self.place_of(table, level, virt).ok_or(damaged)?;
        let page = phys.page().ok_or(damaged)?;
        memory.store(place, Pte::leaf(page, flags).bits());
        memory.fence_page(virt);
        Ok(())
    }

    fn clear_leaf<M: Memory>(&mut self, memory: &mut M, virt: VirtAddr) {
        let translation = self.lookup(memory, virt);
        let mut steps = translation.trail.iter().rev();
        let Some(leaf) = steps.next() else {
            return;
        };
        if let Some(place) = self.place_of(leaf.table, leaf.level, virt) {
            memory.store(place, Pte::INVALID.bits());
            memory.fence_page(virt);
        }
        let mut table = leaf.table;
        for step in steps {
            if !self.is_empty(memory, table) {
                return;
            }
            if let Some(place) = self.place_of(step.table, step.level, virt) {
                memory.store(place, Pte::INVALID.bits());
                memory.fence_all();
            }
            self.pool.give_back(table);
            table = step.table;
        }
    }

    fn leaf_size<M: Memory>(&self, memory: &M, virt: VirtAddr) -> Result<u64, UnmapError> {
        let mapped = self.lookup(memory, virt).mapped();
        let mapped = mapped.ok_or(UnmapError::NotMapped(virt))?;
        Ok(mapped.page_size)
    }

    fn is_empty<M: Memory>(&self, memory: &M, table: PhysPage) -> bool {
        let window = self.pool.window_of(table);
        window.is_some_and(|window| {
            let mut places = (0..ENTRIES_PER_TABLE as u64).map(|index| index * 8);
            places.all(|offset| memory.load(window.wrapping_add(offset)) == 0)
        })
    }

    /// Where the entry for `virt` of the table in `table` is seen.
    fn place_of(&self, table: PhysPage, level: Level, virt: VirtAddr) -> Option<VirtAddr> {
        let window = self.pool.window_of(table)?;
        Some(window.wrapping_add(level.index_of(virt) as u64 * 8))
    }

    fn load_entry<M: Memory>(&self, memory: &M, entry: PhysAddr) -> Option<Pte> {
        let window = self.pool.window_of(entry.page()?)?;
        let place = window.wrapping_add(entry.page_offset());
        Some(Pte::from_bits(memory.load(place)))
    }
}

/// The last address of a range of whole pages; `None` for one that is empty, wraps, or is no such.
fn pages(virt: VirtAddr, size_bytes: u64) -> Option<VirtAddr> {
    let is_sound = virt.is_aligned(PAGE_SIZE) && size_bytes.is_multiple_of(PAGE_SIZE);
    let last = size_bytes.checked_sub(1).filter(|_| is_sound)?;
    virt.checked_add(last)
}

/// The largest leaf that fits: 2 MiB where both addresses are aligned and as much is left.
fn leaf_level(virt: VirtAddr, phys: PhysAddr, left_bytes: u64) -> Level {
    if virt.is_aligned(LARGE) && phys.is_aligned(LARGE) && left_bytes >= LARGE {
        Level::L1
    } else {
        Level::L0
    }
}

//! Mapping, unmapping, looking up: the mechanism, for every strategy and every size of leaf.
//!
//! ```text
//!  map(va, pa)   root ──▶ L1 ──▶ L0 ──▶ leaf(pa)
//!                     └ missing: take a zeroed frame, make it reachable, link it, fence all
//! ```
//!
//! Where a table is reached, and where the leaf lies that makes it so, the strategy says
//! ([`SelfMap`]); every entry holds physical addresses, whatever virtual address its table was
//! written through (S0.9). The machine program builds the first tables with this same code, by
//! physical addresses ([`Reach::Physical`]).
//!
//! Invariants:
//! - A failed call has changed nothing: what it needs is counted before the first store.
//! - A table is zeroed, and reachable through its window, before it is linked.
//! - A new or removed pointer is followed by a fence of everything, a new, changed or cleared leaf by
//!   a fence of its page (and of everything, where the leaf has a second address): an invalid entry
//!   may be cached, too.
//! - A table that has become empty is unlinked, zero, and given back.

mod link;

use core::convert::Infallible;

use pagescope_protocol::translate::{Outcome, Translation, TranslationFault, translate};
use pagescope_protocol::{LeafFlags, Level, PhysAddr, PhysPage, Pte, PteKind, TranslationMode};
use pagescope_protocol::{VirtAddr, pte::ReservedReason};
use thiserror::Error;

use crate::memory::Memory;
use crate::self_map::{SelfMap, Table};
use crate::window::Window;

pub use link::Released;

/// The translation mode of all our tables.
pub const MODE: TranslationMode = TranslationMode::Sv39;

/// The level of the root table.
pub const ROOT_LEVEL: Level = Level::L2;

/// Where tables come from, and which frames may be read as one.
pub trait Supply {
    /// How many frames [`take`](Self::take) can give.
    fn available(&self) -> usize;

    /// A zeroed frame to become a table.
    fn take<M: Memory>(&mut self, memory: &mut M) -> Option<PhysPage>;

    /// Whether `frame` is a table of ours. Others are never touched, so that a damaged entry does not
    /// lead a lookup into whatever else there is.
    fn is_table(&self, frame: PhysPage) -> bool;
}

/// By which addresses tables are reached.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Reach {
    /// Their physical ones: M-mode, where there is no translation.
    Physical,
    /// Their windows, as the strategy says: S-mode.
    Windows,
}

/// Why an address was not mapped.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Error)]
pub enum MapError {
    /// Sv39 cannot represent the address (S1.3).
    #[error("{0:#018x} is not an Sv39 address: bits 63..39 must all equal bit 38")]
    NonCanonical(VirtAddr),
    /// The virtual address is not a multiple of the leaf's size.
    #[error("virtual address {0} is not a multiple of {1:#x}, the size of the mapping")]
    VirtMisaligned(VirtAddr, u64),
    /// The physical address is not a multiple of the leaf's size, or has more than 56 bits.
    #[error("physical address {0} is not a multiple of {1:#x} below 2^56")]
    PhysMisaligned(PhysAddr, u64),
    /// Flags that the specification reserves, or that make no leaf.
    #[error("no leaf has the flags {0}")]
    Flags(LeafFlags),
    /// Something is mapped there.
    #[error("{0} is mapped already, to {1}")]
    AlreadyMapped(VirtAddr, PhysAddr),
    /// A table hangs where a superpage's leaf would go.
    #[error("a table is linked at {0}, where the superpage would go")]
    TableInTheWay(VirtAddr),
    /// An entry on the way is valid and reserved.
    #[error("the {1} entry on the way to {0} is reserved ({2})")]
    Reserved(VirtAddr, Level, ReservedReason),
    /// A pointer on the way leads to a frame that is no table of ours.
    #[error("the entry at physical {0} cannot be reached")]
    Unreachable(PhysAddr),
    /// The address belongs to the kernel itself, or to the window through which heap and tables
    /// are reached (S1.5): which of these, is the second field.
    #[error("{0} lies in {1}, which the kernel maps itself")]
    ReservedRegion(VirtAddr, &'static str),
    /// More frames are needed for tables than there are in reserve.
    #[error(
        "{needed} pages are needed for new tables and {available} are in reserve: memory is used up"
    )]
    NoTables {
        /// Frames needed.
        needed: usize,
        /// Frames in reserve.
        available: usize,
    },
}

/// Why a mapping was not removed or changed.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Error)]
pub enum UnmapError {
    /// Nothing is mapped there.
    #[error("{0} is not mapped")]
    NotMapped(VirtAddr),
    /// Flags that the specification reserves, or that make no leaf.
    #[error("no leaf has the flags {0}")]
    Flags(LeafFlags),
    /// The address belongs to the kernel itself, or to the window through which heap and tables
    /// are reached: which of these, is the second field.
    #[error("{0} lies in {1}, which stays as it is")]
    ReservedRegion(VirtAddr, &'static str),
}

/// What a call of [`Mapper::map`] did.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct MapReport {
    /// Levels that were missing on the way, and are there now: 0, 1 or 2.
    pub new_tables: usize,
    /// Frames that became tables: with a mirror, an L1 takes two.
    pub frames: usize,
}

/// What a call of [`Mapper::unmap`] did.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Unmapped {
    /// The size of the leaf, in bytes.
    pub size: u64,
    /// The tables that became empty.
    pub released: Released,
}

/// One address space's tables, as one program reaches them.
#[derive(Debug)]
pub struct Mapper<'a, M, S> {
    /// The program's memory.
    pub memory: &'a mut M,
    /// Where new tables come from.
    pub supply: S,
    /// The strategy.
    pub self_map: &'static dyn SelfMap,
    /// How tables are reached.
    pub reach: Reach,
    /// Where the heap's frames are seen.
    pub heap: Window,
    /// The root table.
    pub root: PhysPage,
}

impl<M: Memory, S: Supply> Mapper<'_, M, S> {
    /// Translates `address` as the hardware would, without ever faulting.
    pub fn lookup(&self, address: VirtAddr) -> Translation {
        let mut level = ROOT_LEVEL;
        let read = |entry: PhysAddr| {
            let pte = self.load_entry(entry, level, address);
            level = level.next().unwrap_or(Level::L0);
            Ok::<_, Infallible>(pte)
        };
        match translate(MODE, self.root, address, read) {
            Ok(translation) => translation,
        }
    }

    /// Maps the leaf of `level` at `virt` to `phys`. A and D are preset: a machine without
    /// hardware A/D updates faults otherwise.
    ///
    /// # Errors
    /// [`MapError`]; nothing has changed then.
    pub fn map(
        &mut self,
        virt: VirtAddr,
        phys: PhysAddr,
        level: Level,
        flags: LeafFlags,
    ) -> Result<MapReport, MapError> {
        let size = level.entry_size();
        if !MODE.is_canonical(virt) {
            return Err(MapError::NonCanonical(virt));
        }
        if !virt.is_aligned(size) {
            return Err(MapError::VirtMisaligned(virt, size));
        }
        let page = match phys.page() {
            Some(page) if phys.is_aligned(size) => page,
            _ => return Err(MapError::PhysMisaligned(phys, size)),
        };
        let leaf = leaf(page, flags);
        if !matches!(leaf.classify(level), PteKind::Leaf(_)) {
            return Err(MapError::Flags(flags));
        }

        let mut table = self.lowest_table(virt, level)?;
        let new_tables = usize::from(table.level.number() - level.number());
        let needed = self.frames_for(table.level, level, virt);
        let available = self.supply.available();
        if needed > available {
            return Err(MapError::NoTables { needed, available });
        }
        if self.reach == Reach::Windows && self.self_map.is_served_by_machine_mode() {
            // The store below faults at each missing level, and M-mode makes it.
            table = Table::covering(self.root, level, virt);
        }
        while table.level > level {
            table = self.link_next(table, virt)?;
        }
        self.store_entry(table, virt, leaf);
        self.fence_leaf(level, virt);
        Ok(MapReport {
            new_tables,
            frames: needed,
        })
    }

    /// Clears the leaf that maps `virt`, whatever its size, and unlinks the tables that are empty
    /// then.
    ///
    /// # Errors
    /// [`UnmapError::NotMapped`].
    pub fn unmap(&mut self, virt: VirtAddr) -> Result<Unmapped, UnmapError> {
        let (translation, leaf) = self.leaf_of(virt)?;
        self.store_entry(leaf, virt, Pte::INVALID);
        self.fence_leaf(leaf.level, virt);
        Ok(Unmapped {
            size: leaf.level.entry_size(),
            released: self.unlink_empty(virt, &translation),
        })
    }

    /// Clears the leaf that maps `virt` and leaves its tables as they are.
    pub fn clear_leaf(&mut self, virt: VirtAddr) {
        if let Ok((_, table)) = self.leaf_of(virt) {
            self.store_entry(table, virt, Pte::INVALID);
            self.memory.fence_page(virt);
        }
    }

    /// Gives the leaf that maps `virt`, whatever its size, these flags. A and D stay preset.
    ///
    /// # Errors
    /// [`UnmapError`]; nothing has changed then.
    pub fn protect(&mut self, virt: VirtAddr, flags: LeafFlags) -> Result<u64, UnmapError> {
        self.rewrite(virt, |pte, level| {
            let rsw = u64::from(pte.rsw()) << RSW_SHIFT;
            let changed = Pte::from_bits(leaf(pte.page(), flags).bits() | rsw);
            match changed.classify(level) {
                PteKind::Leaf(_) => Ok(changed),
                _ => Err(UnmapError::Flags(flags)),
            }
        })
    }

    /// Changes the bits of the leaf that maps `virt` which the hardware ignores (RSW), by exclusive
    /// or: a change that has no effect but to be seen.
    ///
    /// # Errors
    /// [`UnmapError::NotMapped`].
    pub fn flip_rsw(&mut self, virt: VirtAddr, bits: u8) -> Result<u64, UnmapError> {
        let bits = u64::from(bits & 0b11) << RSW_SHIFT;
        self.rewrite(virt, |pte, _| Ok(Pte::from_bits(pte.bits() ^ bits)))
    }

    /// Replaces the leaf that maps `virt`; gives its size.
    fn rewrite(
        &mut self,
        virt: VirtAddr,
        change: impl FnOnce(Pte, Level) -> Result<Pte, UnmapError>,
    ) -> Result<u64, UnmapError> {
        let (translation, table) = self.leaf_of(virt)?;
        let found = translation
            .trail
            .last()
            .map_or(Pte::INVALID, |step| step.pte);
        let changed = change(found, table.level)?;
        self.store_entry(table, virt, changed);
        self.fence_leaf(table.level, virt);
        Ok(table.level.entry_size())
    }

    /// The table with the leaf that maps `virt`, and the way there.
    fn leaf_of(&self, virt: VirtAddr) -> Result<(Translation, Table), UnmapError> {
        let translation = self.lookup(virt);
        let last = translation.trail.last().copied();
        match (translation.mapped(), last) {
            (Some(_), Some(step)) => {
                let table = Table::covering(step.table, step.level, virt);
                Ok((translation, table))
            }
            _ => Err(UnmapError::NotMapped(virt)),
        }
    }

    /// The lowest table on the way to `virt` whose entry for it is free, at or above `level`.
    fn lowest_table(&self, virt: VirtAddr, level: Level) -> Result<Table, MapError> {
        let translation = self.lookup(virt);
        let last = translation.trail.last().copied();
        match (translation.outcome, last) {
            (Outcome::Fault(TranslationFault::Invalid(_)), Some(step)) if step.level >= level => {
                Ok(Table::covering(step.table, step.level, virt))
            }
            (Outcome::Fault(TranslationFault::Invalid(_)), Some(_)) => {
                Err(MapError::TableInTheWay(virt))
            }
            (Outcome::Fault(TranslationFault::Reserved(at, reason)), _) => {
                Err(MapError::Reserved(virt, at, reason))
            }
            (Outcome::Mapped(_), Some(step)) if step.level < level => {
                Err(MapError::TableInTheWay(virt))
            }
            (Outcome::Mapped(mapped), _) => Err(MapError::AlreadyMapped(virt, mapped.address)),
            (Outcome::Unreadable(entry), _) => Err(MapError::Unreachable(entry)),
            // The address was checked and the mode is Sv39.
            (Outcome::Fault(_), _) => Err(MapError::NonCanonical(virt)),
        }
    }

    /// Fences a leaf that has changed. With a root that points to itself a superpage has a second address,
    /// in the tables' region, and so everything is fenced.
    fn fence_leaf(&mut self, level: Level, virt: VirtAddr) {
        if level > Level::L0 && self.self_map.recursive_slot().is_some() {
            self.memory.fence_all();
        } else {
            self.memory.fence_page(virt);
        }
    }

    /// Where this program reaches `table`.
    fn address_of(&self, table: Table) -> VirtAddr {
        match self.reach {
            Reach::Physical => VirtAddr::new(table.frame.start().as_u64()),
            Reach::Windows => self.self_map.window_of(table, self.heap),
        }
    }

    /// The entry at `entry`, in a table of `level` that covers `virt`.
    fn load_entry(&self, entry: PhysAddr, level: Level, virt: VirtAddr) -> Option<Pte> {
        let frame = entry.page().filter(|frame| self.supply.is_table(*frame))?;
        let table = self.address_of(Table::covering(frame, level, virt));
        let address = table.wrapping_add(entry.page_offset());
        Some(Pte::from_bits(self.memory.load(address)))
    }

    fn store_entry(&mut self, table: Table, virt: VirtAddr, entry: Pte) {
        let offset = table.level.index_of(virt) as u64 * 8;
        let address = self.address_of(table).wrapping_add(offset);
        self.memory.store(address, entry.bits());
    }
}

/// RSW, the bits of an entry that are software's: 9 and 8.
const RSW_SHIFT: u32 = 8;

/// A leaf as all of ours are.
fn leaf(page: PhysPage, flags: LeafFlags) -> Pte {
    Pte::leaf(page, flags | LeafFlags::ACCESSED | LeafFlags::DIRTY)
}

#[cfg(test)]
mod tests;

//! Mapping, unmapping, looking up: the mechanism, without a policy on where tables come from.
//!
//! ```text
//!  map(va, pa)   root ──▶ L1 ──▶ L0 ──▶ leaf(pa)
//!                     └ missing: take a zeroed, already reachable frame, link it, fence all
//! ```
//!
//! Every table is reached through a [`Window`], never by its physical address; every entry holds
//! physical addresses, never the window's (S0.9).
//!
//! Invariants:
//! - A failed call has changed nothing: what it needs is counted before the first store.
//! - A table is zeroed before it is linked.
//! - A new pointer is followed by a fence of everything, a new or cleared leaf by a fence of its
//!   page: an invalid entry may be cached, too.

use core::convert::Infallible;

use pagescope_protocol::translate::{Outcome, Translation, TranslationFault, translate};
use pagescope_protocol::{LeafFlags, Level, PhysAddr, PhysPage, Pte, PteKind, TranslationMode};
use pagescope_protocol::{VirtAddr, pte::ReservedReason};
use thiserror::Error;

use crate::memory::Memory;
use crate::window::Window;

/// The translation mode of all our tables.
pub const MODE: TranslationMode = TranslationMode::Sv39;

/// The level of the root table.
pub const ROOT_LEVEL: Level = Level::L2;

/// Where tables come from, and which frames may be read as one.
pub trait Tables {
    /// How many tables [`take`](Self::take) can give.
    fn available(&self) -> usize;

    /// A zeroed frame to become a table, reachable through the window already.
    fn take<M: Memory>(&mut self, memory: &mut M) -> Option<PhysPage>;

    /// Whether `frame` is a table of ours and reachable. Others are never touched, so that a
    /// damaged entry cannot lead a lookup into a fault.
    fn is_table(&self, frame: PhysPage) -> bool;
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
    /// More tables are needed than there are in reserve.
    #[error("{needed} new tables are needed and {available} are in reserve: memory is used up")]
    NoTables {
        /// Tables needed.
        needed: usize,
        /// Tables in reserve.
        available: usize,
    },
}

/// Why an address was not unmapped.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Error)]
pub enum UnmapError {
    /// Nothing is mapped there.
    #[error("{0} is not mapped")]
    NotMapped(VirtAddr),
    /// The address belongs to the kernel itself, or to the window through which heap and tables
    /// are reached: which of these, is the second field.
    #[error("{0} lies in {1}, which stays as it is")]
    ReservedRegion(VirtAddr, &'static str),
}

/// What a call of [`Mapper::map`] did.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct MapReport {
    /// Tables that it linked: 0, 1 or 2.
    pub new_tables: usize,
}

/// One address space's tables, as one program reaches them.
#[derive(Debug)]
pub struct Mapper<'a, M, T> {
    /// The program's memory.
    pub memory: &'a mut M,
    /// Where new tables come from.
    pub tables: T,
    /// Where tables are reached.
    pub window: Window,
    /// The root table.
    pub root: PhysPage,
}

impl<M: Memory, T: Tables> Mapper<'_, M, T> {
    /// Translates `address` as the hardware would, through the window, and without ever faulting.
    pub fn lookup(&self, address: VirtAddr) -> Translation {
        let read = |entry: PhysAddr| Ok::<_, Infallible>(self.load_entry(entry));
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
        let leaf = Pte::leaf(page, flags | LeafFlags::ACCESSED | LeafFlags::DIRTY);
        if !matches!(leaf.classify(level), PteKind::Leaf(_)) {
            return Err(MapError::Flags(flags));
        }

        let (mut table, mut table_level) = self.lowest_table(virt, level)?;
        let needed = usize::from(table_level.number() - level.number());
        let available = self.tables.available();
        if needed > available {
            return Err(MapError::NoTables { needed, available });
        }
        while table_level > level {
            let (Some(next), Some(next_level)) =
                (self.tables.take(self.memory), table_level.next())
            else {
                return Err(MapError::NoTables { needed, available });
            };
            self.store_entry(table, table_level, virt, Pte::pointer(next));
            self.memory.fence_all();
            (table, table_level) = (next, next_level);
        }
        self.store_entry(table, level, virt, leaf);
        self.memory.fence_page(virt);
        Ok(MapReport { new_tables: needed })
    }

    /// Clears the leaf that maps `virt`, whatever its size. Its tables stay.
    ///
    /// # Errors
    /// [`UnmapError::NotMapped`].
    pub fn unmap(&mut self, virt: VirtAddr) -> Result<(), UnmapError> {
        let translation = self.lookup(virt);
        let last = translation.trail.last().copied();
        let (Some(_), Some(step)) = (translation.mapped(), last) else {
            return Err(UnmapError::NotMapped(virt));
        };
        self.store_entry(step.table, step.level, virt, Pte::INVALID);
        self.memory.fence_page(virt);
        Ok(())
    }

    /// The lowest table on the way to `virt` whose entry for it is free, at or above `level`.
    fn lowest_table(&self, virt: VirtAddr, level: Level) -> Result<(PhysPage, Level), MapError> {
        let translation = self.lookup(virt);
        let last = translation.trail.last().copied();
        match (translation.outcome, last) {
            (Outcome::Fault(TranslationFault::Invalid(_)), Some(step)) if step.level >= level => {
                Ok((step.table, step.level))
            }
            (Outcome::Fault(TranslationFault::Invalid(_)), Some(_)) => {
                Err(MapError::TableInTheWay(virt))
            }
            (Outcome::Fault(TranslationFault::Reserved(at, reason)), _) => {
                Err(MapError::Reserved(virt, at, reason))
            }
            (Outcome::Mapped(mapped), _) => Err(MapError::AlreadyMapped(virt, mapped.address)),
            (Outcome::Unreadable(entry), _) => Err(MapError::Unreachable(entry)),
            // The address was checked and the mode is Sv39.
            (Outcome::Fault(_), _) => Err(MapError::NonCanonical(virt)),
        }
    }

    fn load_entry(&self, entry: PhysAddr) -> Option<Pte> {
        let frame = entry.page().filter(|frame| self.tables.is_table(*frame))?;
        let address = self
            .window
            .address_of(frame)
            .wrapping_add(entry.page_offset());
        Some(Pte::from_bits(self.memory.load(address)))
    }

    fn store_entry(&mut self, table: PhysPage, level: Level, virt: VirtAddr, entry: Pte) {
        let offset = level.index_of(virt) as u64 * 8;
        let address = self.window.address_of(table).wrapping_add(offset);
        self.memory.store(address, entry.bits());
    }
}

#[cfg(test)]
mod tests;

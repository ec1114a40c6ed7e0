//! Random maps and unmaps, each checked against a shadow of what should be there.
//!
//! ```text
//!  marker   a page from kalloc whose first word is its own physical address
//!  leaf     of any size, anywhere in the space, over RAM in which a marker lies
//!  check    the tables say what the shadow says; a load through the leaf finds the marker; a store
//!           works where the leaf may be written, and only there; unmapped, a load faults
//! ```
//!
//! Leaves above 4 KiB are read-only: they show page tables too, and nobody may write those through
//! an alias.

use pagescope_protocol::translate::Translation;
use pagescope_protocol::{ENTRIES_PER_TABLE, LeafFlags, Level, PhysAddr, VirtAddr};
use thiserror::Error;

use crate::mapper::{MODE, MapError, MapReport, UnmapError};

/// Mappings that are there at a time, at most.
pub const SLOTS: usize = 96;

/// Pages that are mapped again and again.
pub const MARKERS: usize = 8;

/// What is stressed.
pub trait Subject {
    /// Maps a leaf, and fills the reserve.
    ///
    /// # Errors
    /// [`MapError`].
    fn map(
        &mut self,
        virt: VirtAddr,
        phys: PhysAddr,
        level: Level,
        flags: LeafFlags,
    ) -> Result<MapReport, MapError>;

    /// Unmaps a leaf, and fills the reserve.
    ///
    /// # Errors
    /// [`UnmapError`].
    fn unmap(&mut self, virt: VirtAddr) -> Result<u64, UnmapError>;

    /// Changes a leaf's flags.
    ///
    /// # Errors
    /// [`UnmapError`].
    fn protect(&mut self, virt: VirtAddr, flags: LeafFlags) -> Result<u64, UnmapError>;

    /// What the tables say.
    fn lookup(&mut self, virt: VirtAddr) -> Translation;

    /// The word that the hardware finds; `None` for a page fault.
    fn load(&mut self, virt: VirtAddr) -> Option<u64>;

    /// Stores a word; whether the hardware lets it.
    fn store(&mut self, virt: VirtAddr, word: u64) -> bool;
}

/// A mapping that should be there.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
struct Slot {
    virt: VirtAddr,
    marker: PhysAddr,
    level: Level,
    flags: LeafFlags,
}

impl Slot {
    fn phys(&self) -> PhysAddr {
        self.marker.align_down(self.level.entry_size())
    }

    /// Where the marker is seen.
    fn sees_marker_at(&self) -> VirtAddr {
        let offset = self.marker.as_u64() - self.phys().as_u64();
        self.virt.wrapping_add(offset)
    }

    fn overlaps(&self, virt: VirtAddr, level: Level) -> bool {
        let size = level.entry_size().max(self.level.entry_size());
        self.virt.align_down(size) == virt.align_down(size)
    }
}

/// What has been done.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Tally {
    /// Leaves mapped, by level.
    pub mapped: [u64; 3],
    /// Leaves unmapped.
    pub unmapped: u64,
    /// Leaves whose flags were changed.
    pub protected: u64,
    /// Maps refused because memory was used up.
    pub no_memory: u64,
    /// Maps refused for another reason, each the right one.
    pub refused: u64,
    /// Tables that were linked.
    pub tables: u64,
}

/// What went wrong.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Error)]
pub enum StressError {
    /// The tables say something else.
    #[error("{0} is translated to {1:?}, expected {2:?}")]
    Translation(VirtAddr, Option<PhysAddr>, Option<PhysAddr>),
    /// The leaf has other flags, or another size.
    #[error("{0} has a leaf {1} of {2:#x} bytes, expected {3} of {4:#x}")]
    Leaf(VirtAddr, LeafFlags, u64, LeafFlags, u64),
    /// The hardware finds something else.
    #[error("a load from {0} found {1:#x?}, expected {2:#x?}")]
    Load(VirtAddr, Option<u64>, Option<u64>),
    /// The hardware lets a store through, or does not.
    #[error("a store to {0} was let through: {1}")]
    Store(VirtAddr, bool),
    /// A map was refused, and should not have been.
    #[error("map was refused: {0}")]
    Map(MapError),
    /// A map was allowed over what is there.
    #[error("{0} was mapped over another mapping")]
    Overmapped(VirtAddr),
    /// What was mapped could not be unmapped or changed.
    #[error("{0}")]
    Unmap(UnmapError),
}

/// Pseudo-random numbers: the same for the same seed, on any machine (Marsaglia's xorshift64).
#[derive(Clone, Copy, Debug)]
pub struct Random(u64);

impl Random {
    /// Numbers from `seed`.
    pub const fn new(seed: u64) -> Self {
        Self(seed | 1)
    }

    /// The next number.
    pub const fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    /// The next number below `end`, which is not 0.
    pub const fn below(&mut self, end: u64) -> u64 {
        (self.next() >> 11) % end
    }

    /// Any page of the address space.
    pub const fn page(&mut self) -> VirtAddr {
        MODE.canonical((self.next() >> 25) << 12)
    }
}

/// The shadow.
#[derive(Debug)]
pub struct Stress {
    random: Random,
    markers: [PhysAddr; MARKERS],
    slots: [Option<Slot>; SLOTS],
    /// The GiB in which something was mapped before, a bit each.
    occupied: [u64; ENTRIES_PER_TABLE / 64],
    /// What has been done.
    pub tally: Tally,
}

impl Stress {
    /// Nothing mapped. Each of `markers` is a frame whose first word is its own address.
    pub const fn new(seed: u64, markers: [PhysAddr; MARKERS]) -> Self {
        Self {
            random: Random::new(seed),
            markers,
            slots: [None; SLOTS],
            occupied: [0; ENTRIES_PER_TABLE / 64],
            tally: Tally {
                mapped: [0; 3],
                unmapped: 0,
                protected: 0,
                no_memory: 0,
                refused: 0,
                tables: 0,
            },
        }
    }

    /// Notes where something is mapped already, before the first step: a superpage may be refused
    /// there.
    pub fn look_around(&mut self, subject: &mut impl Subject) {
        for index in 0..ENTRIES_PER_TABLE {
            let gib = MODE.canonical(index as u64 * Level::L2.entry_size());
            let translation = subject.lookup(gib);
            let is_free = translation.trail.len() == 1 && translation.mapped().is_none();
            if !is_free {
                self.occupied[index / 64] |= 1 << (index % 64);
            }
        }
    }

    fn is_occupied(&self, virt: VirtAddr) -> bool {
        let index = Level::L2.index_of(virt);
        self.occupied[index / 64] >> (index % 64) & 1 != 0
    }

    /// One map, unmap or change of flags, and the checks after it.
    ///
    /// # Errors
    /// [`StressError`].
    pub fn step(&mut self, subject: &mut impl Subject) -> Result<(), StressError> {
        let index = self.random.below(SLOTS as u64) as usize;
        match self.slots[index] {
            None => self.map(subject, index)?,
            Some(slot) if self.random.below(4) == 0 => self.protect(subject, index, slot)?,
            Some(slot) => self.unmap(subject, index, slot)?,
        }
        let other = self.random.below(SLOTS as u64) as usize;
        self.slots[other].map_or(Ok(()), |slot| check(subject, &slot))
    }

    /// Checks all that is mapped.
    ///
    /// # Errors
    /// [`StressError`].
    pub fn check_all(&self, subject: &mut impl Subject) -> Result<(), StressError> {
        let mut slots = self.slots.iter().flatten();
        slots.try_for_each(|slot| check(subject, slot))
    }

    /// Unmaps all that is mapped.
    ///
    /// # Errors
    /// [`StressError`].
    pub fn clear(&mut self, subject: &mut impl Subject) -> Result<(), StressError> {
        for index in 0..SLOTS {
            if let Some(slot) = self.slots[index] {
                self.unmap(subject, index, slot)?;
            }
        }
        Ok(())
    }

    /// A leaf to map: anywhere, or near another, so that tables are shared.
    fn choose(&mut self) -> Slot {
        let level = match self.random.below(8) {
            0 => Level::L2,
            1 | 2 => Level::L1,
            _ => Level::L0,
        };
        let near = self.slots[self.random.below(SLOTS as u64) as usize];
        let page = match (near, self.random.below(4)) {
            (Some(near), 0) => near.virt.wrapping_add(self.random.below(512) << 12),
            (Some(near), 1) => near.virt.wrapping_add(self.random.below(512) << 21),
            _ => self.random.page(),
        };
        let page = MODE.canonical(page.as_u64());
        let writable = level == Level::L0 && self.random.below(2) == 0;
        Slot {
            virt: page.align_down(level.entry_size()),
            marker: self.markers[self.random.below(MARKERS as u64) as usize],
            level,
            flags: flags(writable),
        }
    }

    fn map(&mut self, subject: &mut impl Subject, index: usize) -> Result<(), StressError> {
        let slot = self.choose();
        let Slot {
            virt, level, flags, ..
        } = slot;
        let mut slots = self.slots.iter().flatten();
        let taken = slots.any(|other| other.overlaps(virt, level));
        let before = subject.lookup(virt).mapped();
        match subject.map(virt, slot.phys(), level, flags) {
            Ok(_) if taken || before.is_some() => return Err(StressError::Overmapped(virt)),
            Ok(report) => {
                self.tally.mapped[usize::from(level.number())] += 1;
                self.tally.tables += report.new_tables as u64;
                self.slots[index] = Some(slot);
                return check(subject, &slot);
            }
            Err(MapError::NoTables { .. }) => self.tally.no_memory += 1,
            Err(MapError::ReservedRegion(..)) => self.tally.refused += 1,
            // Something is there: one of ours, or what the kernel has mapped for itself.
            Err(MapError::AlreadyMapped(..)) if before.is_some() => self.tally.refused += 1,
            Err(MapError::TableInTheWay(_)) if taken || self.is_occupied(virt) => {
                self.tally.refused += 1;
            }
            Err(error) => return Err(StressError::Map(error)),
        }
        Ok(())
    }

    fn protect(
        &mut self,
        subject: &mut impl Subject,
        index: usize,
        slot: Slot,
    ) -> Result<(), StressError> {
        let writable = slot.level == Level::L0 && !slot.flags.contains(LeafFlags::WRITE);
        let changed = Slot {
            flags: flags(writable),
            ..slot
        };
        subject
            .protect(slot.sees_marker_at(), changed.flags)
            .map_err(StressError::Unmap)?;
        self.tally.protected += 1;
        self.slots[index] = Some(changed);
        check(subject, &changed)
    }

    fn unmap(
        &mut self,
        subject: &mut impl Subject,
        index: usize,
        slot: Slot,
    ) -> Result<(), StressError> {
        let at = slot.sees_marker_at();
        subject.unmap(at).map_err(StressError::Unmap)?;
        self.tally.unmapped += 1;
        self.slots[index] = None;
        if let Some(mapped) = subject.lookup(at).mapped() {
            return Err(StressError::Translation(at, Some(mapped.address), None));
        }
        match subject.load(at) {
            None => Ok(()),
            found => Err(StressError::Load(at, found, None)),
        }
    }
}

/// The flags of a leaf.
const fn flags(writable: bool) -> LeafFlags {
    if writable {
        LeafFlags::READ.union(LeafFlags::WRITE)
    } else {
        LeafFlags::READ
    }
}

fn check(subject: &mut impl Subject, slot: &Slot) -> Result<(), StressError> {
    let at = slot.sees_marker_at();
    let found = subject.lookup(at).mapped();
    let address = found.map(|mapped| mapped.address);
    if address != Some(slot.marker) {
        return Err(StressError::Translation(at, address, Some(slot.marker)));
    }
    let preset = LeafFlags::VALID | LeafFlags::ACCESSED | LeafFlags::DIRTY;
    let flags = slot.flags | preset;
    let size = slot.level.entry_size();
    if let Some(found) = found.filter(|found| (found.flags, found.page_size) != (flags, size)) {
        let error = StressError::Leaf(at, found.flags, found.page_size, flags, size);
        return Err(error);
    }
    let marker = Some(slot.marker.as_u64());
    let loaded = subject.load(at);
    if loaded != marker {
        return Err(StressError::Load(at, loaded, marker));
    }
    let stored = subject.store(at, slot.marker.as_u64());
    if stored != slot.flags.contains(LeafFlags::WRITE) {
        return Err(StressError::Store(at, stored));
    }
    Ok(())
}

#[cfg(test)]
mod tests;

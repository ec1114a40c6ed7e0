//! Id heaps: they hand out pure address space, with nothing mapped (S4.6).
//!
//! ```text
//!  range     [start …………………………………………………………… )     counted in units: 4 KiB, 2 MiB, 2^32 bytes
//!  used       1 1 1 1 0 0 1 0 0 0 1 1 1 1 0 …       handed out
//!  first      1 0 0 0 0 0 1 0 0 0 1 0 1 0 0 …       an allocation begins here
//!             └──4──┘     1       └2┘ └2┘
//! ```
//!
//! - **Alignment is natural**: an allocation of n units begins at a multiple of n, rounded up to a
//!   power of two. So 2 MiB of pages are aligned to 2 MiB, in `physical` as in `virtual_page`, and one
//!   leaf can map them.
//! - **Ranges can be added**, and those that are free whole can be taken away. One that begins where
//!   the last one ends makes it longer.
//! - **Freeing is exact**: what was not handed out, or not like that, is refused with the reason. The
//!   bits of what is free say nothing of what it was, and so neighbours need not be coalesced.

mod bits;

use thiserror::Error;

use bits::{WORD_BITS, bit, first_one, last_one, mask, next_zero, word, zeros_end};

/// The memory that an [`IdHeap`] keeps its accounts in: `RANGES` ranges of at most 64 · `WORDS` units. All
/// zeros, so that it costs nothing in an image.
#[derive(Debug)]
pub struct Accounts<const RANGES: usize, const WORDS: usize> {
    ranges: [Range; RANGES],
    used: [[u64; WORDS]; RANGES],
    first: [[u64; WORDS]; RANGES],
}

impl<const RANGES: usize, const WORDS: usize> Accounts<RANGES, WORDS> {
    /// No range.
    pub const EMPTY: Self = Self {
        ranges: [Range::VACANT; RANGES],
        used: [[0; WORDS]; RANGES],
        first: [[0; WORDS]; RANGES],
    };
}

/// A range of addresses; with no units, a place for one.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
struct Range {
    /// Its first address, in units.
    start: u64,
    /// Units.
    units: usize,
    /// Units that are handed out.
    taken: usize,
}

impl Range {
    const VACANT: Self = Self {
        start: 0,
        units: 0,
        taken: 0,
    };

    /// The index of unit `number`, where it lies in here.
    fn index_of(&self, number: u64) -> Option<usize> {
        let index = usize::try_from(number.checked_sub(self.start)?).ok()?;
        (index < self.units).then_some(index)
    }
}

/// From which end of a range addresses are handed out.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum End {
    /// The lowest that fits.
    Bottom,
    /// The highest that fits.
    Top,
}

/// Why an id heap refuses.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Error)]
pub enum IdError {
    /// No bytes.
    #[error("an allocation of no bytes")]
    Empty,
    /// A range whose bounds are not units'.
    #[error("{0:#x} up to {1:#x} is not on bounds of {2:#x} bytes")]
    Misaligned(u64, u64, u64),
    /// A range of which something is there already.
    #[error("{0:#x} up to {1:#x} overlaps a range that is there")]
    Overlap(u64, u64),
    /// A range too many, or one that is too long for its place.
    #[error("no place for a range of {0:#x} bytes")]
    NoPlace(u64),
    /// Nothing as large is free.
    #[error("{0:#x} bytes are not free in one piece")]
    Exhausted(u64),
    /// An address in none of the ranges.
    #[error("{0:#x} is none of this heap's addresses")]
    Foreign(u64),
    /// An address that is free.
    #[error("{0:#x} is free already")]
    Free(u64),
    /// An address within an allocation.
    #[error("{0:#x} is in the middle of an allocation")]
    Middle(u64),
    /// Another size than was handed out.
    #[error("the allocation at {0:#x} has {1:#x} bytes, not {2:#x}")]
    Size(u64, u64, u64),
    /// A range of which something is handed out.
    #[error("the range at {0:#x} is in use")]
    InUse(u64),
}

/// A heap of addresses.
#[derive(Debug)]
pub struct IdHeap<'a> {
    unit: u64,
    from: End,
    ranges: &'a mut [Range],
    used: &'a mut [u64],
    first: &'a mut [u64],
    words: usize,
}

impl<'a> IdHeap<'a> {
    /// A heap without ranges. `unit_bytes` is a power of two.
    pub fn new<const RANGES: usize, const WORDS: usize>(
        unit_bytes: u64,
        from: End,
        accounts: &'a mut Accounts<RANGES, WORDS>,
    ) -> Self {
        Self {
            unit: unit_bytes,
            from,
            ranges: &mut accounts.ranges,
            used: accounts.used.as_flattened_mut(),
            first: accounts.first.as_flattened_mut(),
            words: WORDS,
        }
    }

    /// Bytes of a unit.
    pub const fn unit(&self) -> u64 {
        self.unit
    }

    /// Adds the addresses from `start` up to `end`, all free. Those that begin where a range ends make
    /// it longer, as far as there is room in its accounts.
    ///
    /// # Errors
    /// [`IdError`]; nothing has changed then.
    pub fn add_range(&mut self, start: u64, end: u64) -> Result<(), IdError> {
        let size = end.checked_sub(start).filter(|size| *size != 0);
        let size = size.ok_or(IdError::Empty)?;
        if !start.is_multiple_of(self.unit) || !size.is_multiple_of(self.unit) {
            return Err(IdError::Misaligned(start, end, self.unit));
        }
        let (number, units) = (start / self.unit, (size / self.unit) as usize);
        let overlaps = |range: &Range| {
            number < range.start + range.units as u64 && range.start < number + units as u64
        };
        if self.ranges.iter().any(overlaps) {
            return Err(IdError::Overlap(start, end));
        }
        let room = self.words * WORD_BITS;
        let goes_on = |range: &&mut Range| {
            range.units != 0
                && range.start + range.units as u64 == number
                && range.units + units <= room
        };
        if let Some(range) = self.ranges.iter_mut().find(goes_on) {
            range.units += units;
            return Ok(());
        }
        let vacant = self.ranges.iter_mut().find(|range| range.units == 0);
        let place = vacant.filter(|_| units <= room);
        *place.ok_or(IdError::NoPlace(size))? = Range {
            start: number,
            units,
            taken: 0,
        };
        Ok(())
    }

    /// Takes the range that begins at `start` away; gives its bytes.
    ///
    /// # Errors
    /// [`IdError::InUse`] where anything of it is handed out, [`IdError::Foreign`] where there is none.
    pub fn remove_range(&mut self, start: u64) -> Result<u64, IdError> {
        let unit = self.unit;
        let is_it = |range: &&mut Range| range.units != 0 && range.start * unit == start;
        let found = self.ranges.iter_mut().find(is_it);
        let range = found.ok_or(IdError::Foreign(start))?;
        if range.taken != 0 {
            return Err(IdError::InUse(start));
        }
        let size = range.units as u64 * unit;
        *range = Range::VACANT;
        Ok(size)
    }

    /// Hands out `size_bytes`, rounded up to units and naturally aligned.
    ///
    /// # Errors
    /// [`IdError::Empty`], [`IdError::Exhausted`].
    pub fn alloc(&mut self, size_bytes: u64) -> Result<u64, IdError> {
        let (number, slot, index) = self.best(size_bytes)?;
        self.mark(slot, index, self.units_of(size_bytes)?, true);
        Ok(number * self.unit)
    }

    /// What [`alloc`](Self::alloc) would hand out now.
    ///
    /// # Errors
    /// Those of `alloc`.
    pub fn next(&self, size_bytes: u64) -> Result<u64, IdError> {
        let (number, _, _) = self.best(size_bytes)?;
        Ok(number * self.unit)
    }

    /// Where `size_bytes` are handed out next: in units, and slot and index of that.
    fn best(&self, size_bytes: u64) -> Result<(u64, usize, usize), IdError> {
        let units = self.units_of(size_bytes)?;
        let exhausted = IdError::Exhausted(size_bytes);
        let alignment = units.checked_next_power_of_two().ok_or(exhausted)?;
        let found = (0..self.ranges.len()).filter_map(|slot| {
            let index = self.find(slot, units, alignment)?;
            Some((self.ranges.get(slot)?.start + index as u64, slot, index))
        });
        let best = match self.from {
            End::Bottom => found.min(),
            End::Top => found.max(),
        };
        best.ok_or(exhausted)
    }

    /// Takes `size_bytes` at `start` back, which were handed out together.
    ///
    /// # Errors
    /// [`IdError`], which says what is there instead; nothing has changed then.
    pub fn free(&mut self, start: u64, size_bytes: u64) -> Result<(), IdError> {
        let (slot, index, units) = self.allocation(start)?;
        if self.units_of(size_bytes)? != units {
            let held = units as u64 * self.unit;
            return Err(IdError::Size(start, held, size_bytes));
        }
        self.mark(slot, index, units, false);
        Ok(())
    }

    /// The size in bytes of what was handed out at `start`.
    ///
    /// # Errors
    /// [`IdError::Foreign`], [`IdError::Free`], [`IdError::Middle`].
    pub fn size_of(&self, start: u64) -> Result<u64, IdError> {
        let (_, _, units) = self.allocation(start)?;
        Ok(units as u64 * self.unit)
    }

    /// Whether `address` is handed out.
    pub fn is_used(&self, address: u64) -> bool {
        let found = self.place_of(address / self.unit);
        found.is_some_and(|(slot, index)| bit(self.used_of(slot), index))
    }

    /// Whether `address` lies in one of the ranges.
    pub fn contains(&self, address: u64) -> bool {
        self.place_of(address / self.unit).is_some()
    }

    /// The ranges, first address and bytes, in no order.
    pub fn ranges(&self) -> impl Iterator<Item = (u64, u64)> {
        let there = self.ranges.iter().filter(|range| range.units != 0);
        there.map(|range| (range.start * self.unit, range.units as u64 * self.unit))
    }

    /// The first address of a range that is free whole, if there is one.
    pub fn unused_range(&self) -> Option<u64> {
        let is_unused = |range: &&Range| range.units != 0 && range.taken == 0;
        let range = self.ranges.iter().find(is_unused)?;
        Some(range.start * self.unit)
    }

    /// Units that are handed out.
    pub fn used_units(&self) -> u64 {
        self.ranges.iter().map(|range| range.taken as u64).sum()
    }

    /// Units that there are.
    pub fn units(&self) -> u64 {
        self.ranges.iter().map(|range| range.units as u64).sum()
    }

    /// Everything that is handed out, address and bytes, range by range.
    pub fn allocations(&self) -> impl Iterator<Item = (u64, u64)> {
        let slots = self.ranges.iter().enumerate();
        slots.flat_map(move |(slot, range)| {
            let first = self.first_of(slot);
            let begins = (0..range.units).filter(move |index| bit(first, *index));
            begins.map(move |index| {
                let units = self.length(slot, index) as u64;
                ((range.start + index as u64) * self.unit, units * self.unit)
            })
        })
    }

    fn units_of(&self, size_bytes: u64) -> Result<usize, IdError> {
        match size_bytes.div_ceil(self.unit) {
            0 => Err(IdError::Empty),
            units => usize::try_from(units).map_err(|_| IdError::Exhausted(size_bytes)),
        }
    }

    fn used_of(&self, slot: usize) -> &[u64] {
        let words = slot * self.words..(slot + 1) * self.words;
        self.used.get(words).unwrap_or(&[])
    }

    fn first_of(&self, slot: usize) -> &[u64] {
        let words = slot * self.words..(slot + 1) * self.words;
        self.first.get(words).unwrap_or(&[])
    }

    fn place_of(&self, number: u64) -> Option<(usize, usize)> {
        let mut slots = self.ranges.iter().enumerate();
        slots.find_map(|(slot, range)| Some((slot, range.index_of(number)?)))
    }

    /// The allocation that begins at `start`: slot, index and units.
    fn allocation(&self, start: u64) -> Result<(usize, usize, usize), IdError> {
        let place = self.place_of(start / self.unit);
        let (slot, index) = place.ok_or(IdError::Foreign(start))?;
        if !bit(self.used_of(slot), index) {
            return Err(IdError::Free(start));
        }
        if !start.is_multiple_of(self.unit) || !bit(self.first_of(slot), index) {
            return Err(IdError::Middle(start));
        }
        Ok((slot, index, self.length(slot, index)))
    }

    /// Units of the allocation that begins at `index`: up to the next that is free, or another's first.
    fn length(&self, slot: usize, index: usize) -> usize {
        let units = self.ranges.get(slot).map_or(0, |range| range.units);
        let (used, first) = (self.used_of(slot), self.first_of(slot));
        let mut end = index + 1;
        while end < units {
            let place = end / WORD_BITS;
            let (used, first) = (word(used, place), word(first, place));
            let ends = (!used | first) >> (end % WORD_BITS);
            if ends != 0 {
                return (end + ends.trailing_zeros() as usize).min(units) - index;
            }
            end = (place + 1) * WORD_BITS;
        }
        units - index
    }

    /// Where `units` are free, at a multiple of `alignment`.
    fn find(&self, slot: usize, units: usize, alignment: usize) -> Option<usize> {
        let range = self.ranges.get(slot)?;
        let used = self.used_of(slot);
        if units > range.units {
            return None;
        }
        // Alignment is of addresses; ranges may begin anywhere.
        let start = range.start as usize;
        let up = |index: usize| (start + index).next_multiple_of(alignment) - start;
        match self.from {
            End::Bottom => {
                let mut index = up(0);
                while index + units <= range.units {
                    match last_one(used, index, index + units) {
                        None => return Some(index),
                        Some(last) => index = up(next_zero(used, last, range.units)),
                    }
                }
                None
            }
            End::Top => {
                let down = |end: usize| {
                    let highest = start + end.checked_sub(units)?;
                    (highest / alignment * alignment).checked_sub(start)
                };
                let mut index = down(range.units)?;
                while let Some(first) = first_one(used, index, index + units) {
                    index = down(zeros_end(used, first))?;
                }
                Some(index)
            }
        }
    }

    /// Marks `units` from `index` on as one allocation, or as free.
    fn mark(&mut self, slot: usize, index: usize, units: usize, is_used: bool) {
        let words = slot * self.words..(slot + 1) * self.words;
        let (Some(used), Some(first), Some(range)) = (
            self.used.get_mut(words.clone()),
            self.first.get_mut(words),
            self.ranges.get_mut(slot),
        ) else {
            return;
        };
        for place in index / WORD_BITS..=(index + units - 1) / WORD_BITS {
            let mask = mask(place, index, index + units);
            if let Some(word) = used.get_mut(place) {
                *word = if is_used { *word | mask } else { *word & !mask };
            }
        }
        if let Some(word) = first.get_mut(index / WORD_BITS) {
            let bit = 1 << (index % WORD_BITS);
            *word = if is_used { *word | bit } else { *word & !bit };
        }
        range.taken = if is_used {
            range.taken + units
        } else {
            range.taken - units
        };
    }
}

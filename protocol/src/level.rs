//! Levels of a page table.
//!
//! Shift and sizes here are those of RV64, where all first-stage modes have the same; a
//! [`Scheme`](crate::Scheme) has them for every mode.
//!
//! ```text
//!  Sv39 virtual address          level   one entry covers   one table covers
//!  38      30 29      21 20      12 11      0
//!  [  va[2]  ][  va[1]  ][  va[0]  ][ offset ]
//!                                  L2      1 GiB            512 GiB
//!                                  L1      2 MiB              1 GiB
//!                                  L0      4 KiB              2 MiB
//! ```
//!
//! Source: privileged specification, chapter "Supervisor-level ISA", sections Sv39, Sv48, Sv57.

use core::fmt;

use crate::addr::VirtAddr;
use crate::scheme::RV64;

/// Entries of a page table on RV64: 512 of eight bytes.
pub const ENTRIES_PER_TABLE: usize = 512;

/// A level of a page table. The last one, whose leaves are 4 KiB pages, is [`Level::L0`].
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Level {
    /// 4 KiB leaves.
    L0,
    /// 2 MiB leaves; Sv39 and up.
    L1,
    /// 1 GiB leaves; Sv39's root.
    L2,
    /// 512 GiB leaves; Sv48's root.
    L3,
    /// 256 TiB leaves; Sv57's root.
    L4,
}

impl Level {
    /// All levels, from the last to the highest.
    pub const ALL: [Self; 5] = [Self::L0, Self::L1, Self::L2, Self::L3, Self::L4];

    /// Its number: 0 for L0.
    pub const fn number(self) -> u8 {
        self as u8
    }

    /// The level with this number.
    pub fn from_number(number: u8) -> Option<Self> {
        Self::ALL.get(usize::from(number)).copied()
    }

    /// Bits of a virtual address below this level's index, on RV64.
    pub const fn shift(self) -> u32 {
        RV64.shift(self)
    }

    /// Bytes that one entry of a table at this level covers on RV64: the size of a leaf here.
    pub const fn entry_size(self) -> u64 {
        RV64.entry_size(self)
    }

    /// Bytes that a whole table at this level covers, on RV64.
    pub const fn table_size(self) -> u64 {
        RV64.table_size(self)
    }

    /// The level that a pointer at this level leads to; `None` at L0.
    pub const fn next(self) -> Option<Self> {
        match self {
            Self::L0 => None,
            Self::L1 => Some(Self::L0),
            Self::L2 => Some(Self::L1),
            Self::L3 => Some(Self::L2),
            Self::L4 => Some(Self::L3),
        }
    }

    /// Which entry of a table at this level translates `address` on RV64, 0 to 511: `va[level]`.
    pub const fn index_of(self, address: VirtAddr) -> usize {
        RV64.index_of(self, address)
    }
}

impl fmt::Display for Level {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "L{}", self.number())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// S1.1: an address splits 9/9/9/12; L0 covers 2 MiB, L1 1 GiB, the root 512 GiB.
    #[test]
    fn s1_1_sv39_splits_9_9_9_12() {
        let address = VirtAddr::new((5 << 30) | (6 << 21) | (7 << 12) | 8);
        assert_eq!(Level::L2.index_of(address), 5);
        assert_eq!(Level::L1.index_of(address), 6);
        assert_eq!(Level::L0.index_of(address), 7);
        assert_eq!(address.page_offset(), 8);
        assert_eq!(Level::L0.table_size(), 2 << 20);
        assert_eq!(Level::L1.table_size(), 1 << 30);
        assert_eq!(Level::L2.table_size(), 512 << 30);
    }

    /// S1.2: addresses in different 4 KiB, 2 MiB, 1 GiB units use different entries.
    #[test]
    fn s1_2_different_units_use_different_entries() {
        for level in [Level::L0, Level::L1, Level::L2] {
            let low = VirtAddr::new(0x4000_0000);
            let high = low.wrapping_add(level.entry_size());
            assert_ne!(level.index_of(low), level.index_of(high));
            assert_eq!(
                level.index_of(low),
                level.index_of(low.wrapping_add(level.entry_size() - 1))
            );
        }
    }
}

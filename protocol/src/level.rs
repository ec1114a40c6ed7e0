//! Levels of a page table, and the translation modes that use them.
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

use crate::addr::{PAGE_SHIFT, VirtAddr};

/// Entries of a page table on RV64: 512 of eight bytes.
pub const ENTRIES_PER_TABLE: usize = 512;

/// Bits of a virtual address that select one entry of a table.
const INDEX_BITS: u32 = 9;

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

    /// Bits of a virtual address below this level's index.
    pub const fn shift(self) -> u32 {
        PAGE_SHIFT + INDEX_BITS * self as u32
    }

    /// Bytes that one entry of a table at this level covers: the size of a leaf here.
    pub const fn entry_size(self) -> u64 {
        1 << self.shift()
    }

    /// Bytes that a whole table at this level covers.
    pub const fn table_size(self) -> u64 {
        self.entry_size() << INDEX_BITS
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

    /// Which entry of a table at this level translates `address`, 0 to 511: `va[level]`.
    pub const fn index_of(self, address: VirtAddr) -> usize {
        ((address.as_u64() >> self.shift()) & (ENTRIES_PER_TABLE as u64 - 1)) as usize
    }
}

impl fmt::Display for Level {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "L{}", self.number())
    }
}

/// How satp's MODE field says that addresses are translated (RV64).
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum TranslationMode {
    /// MODE 0: no translation, virtual is physical.
    Bare,
    /// MODE 8: three levels, 39 bits.
    Sv39,
    /// MODE 9: four levels, 48 bits.
    Sv48,
    /// MODE 10: five levels, 57 bits.
    Sv57,
    /// An encoding that the specification reserves; kept to be shown.
    Reserved(u8),
}

impl TranslationMode {
    /// The mode that satp's MODE field (bits 63..60) encodes.
    pub const fn from_satp_mode(mode: u8) -> Self {
        match mode {
            0 => Self::Bare,
            8 => Self::Sv39,
            9 => Self::Sv48,
            10 => Self::Sv57,
            other => Self::Reserved(other),
        }
    }

    /// The MODE field's value.
    pub const fn satp_mode(self) -> u8 {
        match self {
            Self::Bare => 0,
            Self::Sv39 => 8,
            Self::Sv48 => 9,
            Self::Sv57 => 10,
            Self::Reserved(other) => other,
        }
    }

    /// The level of its root table; `None` where it has no tables or they are not known.
    pub const fn root_level(self) -> Option<Level> {
        match self {
            Self::Sv39 => Some(Level::L2),
            Self::Sv48 => Some(Level::L3),
            Self::Sv57 => Some(Level::L4),
            Self::Bare | Self::Reserved(_) => None,
        }
    }

    /// Bits of a virtual address that it translates.
    pub const fn address_bits(self) -> u32 {
        match self.root_level() {
            Some(root) => root.shift() + INDEX_BITS,
            None => 64,
        }
    }

    /// Whether all bits of `address` above the translated ones equal the highest translated one.
    /// Any other address faults before a table is looked at.
    pub const fn is_canonical(self, address: VirtAddr) -> bool {
        self.sign_extend(address.as_u64()).as_u64() == address.as_u64()
    }

    /// The canonical address with the low bits of `bits`.
    pub const fn sign_extend(self, bits: u64) -> VirtAddr {
        let unused = 64 - self.address_bits();
        VirtAddr::new((((bits << unused) as i64) >> unused) as u64)
    }
}

impl fmt::Display for TranslationMode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Bare => f.write_str("Bare"),
            Self::Sv39 => f.write_str("Sv39"),
            Self::Sv48 => f.write_str("Sv48"),
            Self::Sv57 => f.write_str("Sv57"),
            Self::Reserved(mode) => write!(f, "reserved mode {mode}"),
        }
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

    /// S1.3: bits 63..39 must all equal bit 38.
    #[test]
    fn s1_3_canonical_addresses() {
        let mode = TranslationMode::Sv39;
        for (address, canonical) in [
            (0, true),
            (0x3f_ffff_ffff, true),
            (0x40_0000_0000, false),
            (0x80_0000_0000, false),
            (0xffff_ffbf_ffff_ffff, false),
            (0xffff_ffc0_0000_0000, true),
            (u64::MAX, true),
        ] {
            assert_eq!(
                mode.is_canonical(VirtAddr::new(address)),
                canonical,
                "{address:#x}"
            );
        }
    }
}

//! Translation modes as data: one [`Scheme`] says everything in which a mode differs from another.
//!
//! Decoder, walker, files and views read it; nothing is written once for each mode.
//!
//! ```text
//!            register  MODE  address bits        index bits, root first   an entry
//!  Sv32      satp      1     32                  10 10                    4 bytes, PPN of 22 bits
//!  Sv39      satp      8     39, sign-extended    9  9  9                 8 bytes, PPN of 44 bits
//!  Sv48      satp      9     48, sign-extended    9  9  9  9
//!  Sv57      satp      10    57, sign-extended    9  9  9  9  9
//!  Sv32x4    hgatp     1     34                  12 10                    as Sv32
//!  Sv39x4    hgatp     8     41, zero-extended   11  9  9                 as Sv39
//!  Sv48x4    hgatp     9     50, zero-extended   11  9  9  9
//!  Sv57x4    hgatp     10    59, zero-extended   11  9  9  9  9
//! ```
//!
//! vsatp has the modes of satp. A G-stage root is four frames long and aligned to 16 KiB.
//!
//! Source: privileged specification, chapter "Supervisor-level ISA", sections satp, Sv32 to Sv57;
//! chapter "H extension", sections hgatp and "Guest physical address translation".

use core::fmt;

use crate::addr::{PAGE_SHIFT, PAGE_SIZE, VirtAddr};
use crate::level::Level;

/// The width of an integer register.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default)]
pub enum Xlen {
    /// RV32.
    Rv32,
    /// RV64.
    #[default]
    Rv64,
}

impl Xlen {
    /// 32 or 64.
    pub const fn bits(self) -> u32 {
        match self {
            Self::Rv32 => 32,
            Self::Rv64 => 64,
        }
    }
}

/// Which of the two translations of a hart with the hypervisor extension.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Stage {
    /// From virtual addresses, by satp or vsatp.
    First,
    /// From guest physical addresses, by hgatp: the G-stage.
    Guest,
}

/// Which bits above the translated ones an address may have. Any other faults before a table is
/// looked at.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum HighBits {
    /// All equal to the highest translated bit.
    SignExtended,
    /// All zero. On RV32 no register has any.
    Zero,
}

/// What one translation mode is.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Scheme {
    /// Its name in the specification: `Sv39`, `Sv39x4`.
    pub name: &'static str,
    /// The width of the machine it is for.
    pub xlen: Xlen,
    /// What it translates.
    pub stage: Stage,
    /// Its number in the MODE field of satp and vsatp, or of hgatp.
    pub code: u8,
    /// The level of its root table.
    pub root_level: Level,
    /// Bits of an address that select an entry, below the root.
    pub index_bits: u32,
    /// How many more of them select an entry of the root.
    pub root_extra_bits: u32,
    /// Bytes of an entry.
    pub entry_bytes: u64,
    /// What is asked of the bits above the translated ones.
    pub high_bits: HighBits,
}

const fn rv64(name: &'static str, code: u8, root_level: Level) -> Scheme {
    Scheme {
        name,
        xlen: Xlen::Rv64,
        stage: Stage::First,
        code,
        root_level,
        index_bits: 9,
        root_extra_bits: 0,
        entry_bytes: 8,
        high_bits: HighBits::SignExtended,
    }
}

/// The G-stage mode that widens `first` by two bits.
const fn times_four(name: &'static str, first: Scheme) -> Scheme {
    Scheme {
        name,
        stage: Stage::Guest,
        root_extra_bits: 2,
        high_bits: HighBits::Zero,
        ..first
    }
}

pub(crate) static SV32: Scheme = SV32_DATA;
pub(crate) static SV39: Scheme = SV39_DATA;
pub(crate) static SV48: Scheme = SV48_DATA;
pub(crate) static SV57: Scheme = SV57_DATA;
pub(crate) static SV32X4: Scheme = times_four("Sv32x4", SV32_DATA);
pub(crate) static SV39X4: Scheme = times_four("Sv39x4", SV39_DATA);
pub(crate) static SV48X4: Scheme = times_four("Sv48x4", SV48_DATA);
pub(crate) static SV57X4: Scheme = times_four("Sv57x4", SV57_DATA);

const SV32_DATA: Scheme = Scheme {
    xlen: Xlen::Rv32,
    index_bits: 10,
    entry_bytes: 4,
    high_bits: HighBits::Zero,
    ..rv64("Sv32", 1, Level::L1)
};
const SV39_DATA: Scheme = rv64("Sv39", 8, Level::L2);
const SV48_DATA: Scheme = rv64("Sv48", 9, Level::L3);
const SV57_DATA: Scheme = rv64("Sv57", 10, Level::L4);

/// What [`Level`]'s own shift and sizes mean: the levels of RV64, which are alike in all its first-stage modes.
pub(crate) const RV64: Scheme = SV57_DATA;

impl Scheme {
    /// Bits of an address below the index of `level`.
    pub const fn shift(&self, level: Level) -> u32 {
        PAGE_SHIFT + self.index_bits * level.number() as u32
    }

    /// Bits of an address that select an entry of a table at `level`.
    pub const fn index_bits_at(&self, level: Level) -> u32 {
        if level.number() == self.root_level.number() {
            self.index_bits + self.root_extra_bits
        } else {
            self.index_bits
        }
    }

    /// Entries of a table at `level`: 512 or 1024, four times as many in a G-stage root.
    pub const fn entries(&self, level: Level) -> usize {
        1 << self.index_bits_at(level)
    }

    /// Bytes that one entry of a table at `level` covers: the size of a leaf there.
    pub const fn entry_size(&self, level: Level) -> u64 {
        1 << self.shift(level)
    }

    /// Bytes that a whole table at `level` covers.
    pub const fn table_size(&self, level: Level) -> u64 {
        self.entry_size(level) << self.index_bits_at(level)
    }

    /// Frames that a table at `level` fills: one, or four for a G-stage root.
    pub const fn frames(&self, level: Level) -> u64 {
        self.entries(level) as u64 * self.entry_bytes / PAGE_SIZE
    }

    /// Which entry of a table at `level` translates `address`: `va[level]`.
    pub const fn index_of(&self, level: Level, address: VirtAddr) -> usize {
        (address.as_u64() >> self.shift(level)) as usize & (self.entries(level) - 1)
    }

    /// Bits of an address that are translated.
    pub const fn address_bits(&self) -> u32 {
        self.shift(self.root_level) + self.index_bits_at(self.root_level)
    }

    /// Bits of the physical addresses that its entries can hold: 34 or 56.
    pub const fn physical_bits(&self) -> u32 {
        match self.xlen {
            Xlen::Rv32 => 34,
            Xlen::Rv64 => 56,
        }
    }

    /// The address with the low bits of `bits` whose bits above those are as they have to be.
    pub const fn canonical(&self, bits: u64) -> VirtAddr {
        let unused = 64 - self.address_bits();
        VirtAddr::new(match self.high_bits {
            HighBits::SignExtended => (((bits << unused) as i64) >> unused) as u64,
            HighBits::Zero => (bits << unused) >> unused,
        })
    }

    /// Whether the bits of `address` above the translated ones are as they have to be.
    pub const fn is_canonical(&self, address: VirtAddr) -> bool {
        self.canonical(address.as_u64()).as_u64() == address.as_u64()
    }
}

impl fmt::Display for Scheme {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The numbers of the drawing above, from the specification's own tables.
    #[test]
    fn schemes_are_as_the_specification_has_them() {
        for (scheme, bits, root_entries, leaves) in [
            (&SV32, 32, 1024, &[4 << 10, 4 << 20][..]),
            (&SV39, 39, 512, &[4 << 10, 2 << 20, 1 << 30]),
            (&SV48, 48, 512, &[4 << 10, 2 << 20, 1 << 30, 512 << 30]),
            (
                &SV57,
                57,
                512,
                &[4 << 10, 2 << 20, 1 << 30, 512 << 30, 256 << 40],
            ),
            (&SV32X4, 34, 4096, &[4 << 10, 4 << 20]),
            (&SV39X4, 41, 2048, &[4 << 10, 2 << 20, 1 << 30]),
            (&SV48X4, 50, 2048, &[4 << 10, 2 << 20, 1 << 30, 512 << 30]),
            (
                &SV57X4,
                59,
                2048,
                &[4 << 10, 2 << 20, 1 << 30, 512 << 30, 256 << 40],
            ),
        ] {
            let root = scheme.root_level;
            assert_eq!(scheme.address_bits(), bits, "{scheme}");
            assert_eq!(scheme.entries(root), root_entries, "{scheme}");
            let is_guest = scheme.stage == Stage::Guest;
            assert_eq!(scheme.frames(root), if is_guest { 4 } else { 1 });
            assert_eq!(scheme.table_size(root), 1 << bits);
            let sizes = Level::ALL[..leaves.len()].iter();
            for (level, size) in sizes.zip(leaves) {
                assert_eq!(scheme.entry_size(*level), *size, "{scheme} {level}");
            }
        }
    }

    #[test]
    fn high_bits_are_signs_or_zeros() {
        for (scheme, address, is_canonical) in [
            (&SV39, 0x40_0000_0000, false),
            (&SV39, 0xffff_ffc0_0000_0000, true),
            (&SV39X4, 0x1ff_ffff_ffff, true),
            (&SV39X4, 0x200_0000_0000, false),
            (&SV39X4, 0xffff_ffc0_0000_0000, false),
            (&SV32, 0xffff_ffff, true),
            (&SV32, 0x1_0000_0000, false),
            (&SV32X4, 0x3_ffff_ffff, true),
            (&SV57X4, 1 << 59, false),
        ] {
            let address = VirtAddr::new(address);
            assert_eq!(
                scheme.is_canonical(address),
                is_canonical,
                "{scheme} {address}"
            );
        }
    }
}

//! Page tables of every mode as plain numbers, and a translator for them, both written from the
//! privileged specification alone.
//!
//! Nothing here uses Pagescope's decoder, walker or description of modes: that is what they are
//! compared with. Offline by `modes.rs`, live by the inspector's `live_modes.rs`, which puts the same
//! bytes into a QEMU's RAM.
//!
//! ```text
//!  Arena    bytes at physical addresses; tables are taken from it
//!  Tables   one stage's tables: entries are set by address and level, and each spot is remembered
//!  Guest    guest-physical memory: tables of a first stage live in it, a G-stage says where that is
//!  look_up  the specification's numbered algorithm, one stage
//!  look_up_both   the same for two stages
//! ```
#![allow(dead_code, unused_imports, reason = "each test uses its part")]

mod arena;
mod fill;
mod guest;
mod reference;
mod tables;

pub(crate) use arena::{Arena, Memory};
pub(crate) use fill::{Loops, fill, probe};
pub(crate) use guest::{Guest, TwoStage};
pub(crate) use reference::{
    Access, Answer, BothAnswer, Found, GAccess, Why, look_up, look_up_both,
};
pub(crate) use tables::{Spot, Tables, What};

/// A translation mode in numbers (privileged specification, sections Sv32, Sv39, Sv48, Sv57 and
/// "Guest Physical Address Translation").
#[derive(Debug)]
pub(crate) struct Mode {
    pub(crate) name: &'static str,
    /// MODE in satp, or in hgatp.
    pub(crate) number: u64,
    pub(crate) levels: u32,
    /// Bits of an index below the root.
    pub(crate) index_bits: u32,
    /// How many more the root's index has: 2 in a G-stage.
    pub(crate) root_extra_bits: u32,
    pub(crate) entry_bytes: u64,
    /// Bits of PPN in an entry.
    pub(crate) ppn_bits: u32,
}

pub(crate) const SV32: Mode = mode("Sv32", 1, 2, 10, 0);
pub(crate) const SV39: Mode = mode("Sv39", 8, 3, 9, 0);
pub(crate) const SV48: Mode = mode("Sv48", 9, 4, 9, 0);
pub(crate) const SV57: Mode = mode("Sv57", 10, 5, 9, 0);
pub(crate) const SV32X4: Mode = mode("Sv32x4", 1, 2, 10, 2);
pub(crate) const SV39X4: Mode = mode("Sv39x4", 8, 3, 9, 2);
pub(crate) const SV48X4: Mode = mode("Sv48x4", 9, 4, 9, 2);
pub(crate) const SV57X4: Mode = mode("Sv57x4", 10, 5, 9, 2);

/// All of them.
pub(crate) const MODES: [&Mode; 8] = [
    &SV32, &SV39, &SV48, &SV57, &SV32X4, &SV39X4, &SV48X4, &SV57X4,
];

const fn mode(
    name: &'static str,
    number: u64,
    levels: u32,
    index_bits: u32,
    root_extra_bits: u32,
) -> Mode {
    let rv32 = index_bits == 10;
    Mode {
        name,
        number,
        levels,
        index_bits,
        root_extra_bits,
        entry_bytes: if rv32 { 4 } else { 8 },
        ppn_bits: if rv32 { 22 } else { 44 },
    }
}

impl Mode {
    /// Bits of an address that it translates.
    pub(crate) const fn address_bits(&self) -> u32 {
        12 + self.levels * self.index_bits + self.root_extra_bits
    }

    /// Bytes of a leaf at `level`.
    pub(crate) const fn page_size(&self, level: u32) -> u64 {
        1 << (12 + level * self.index_bits)
    }

    pub(crate) const fn is_g_stage(&self) -> bool {
        self.root_extra_bits != 0
    }

    pub(crate) const fn is_rv32(&self) -> bool {
        self.entry_bytes == 4
    }

    /// Entries of a table at `level`.
    pub(crate) const fn entries(&self, level: u32) -> u64 {
        let extra = if level + 1 == self.levels {
            self.root_extra_bits
        } else {
            0
        };
        1 << (self.index_bits + extra)
    }

    /// Which entry of a table at `level` translates `address`.
    pub(crate) const fn index(&self, level: u32, address: u64) -> u64 {
        (address / self.page_size(level)) % self.entries(level)
    }

    /// The register that selects `root`.
    pub(crate) const fn register(&self, root: u64) -> u64 {
        let mode_shift = if self.is_rv32() { 31 } else { 60 };
        (self.number << mode_shift) | (root >> 12)
    }

    /// The address with these low bits: its first-stage form is sign-extended (not in RV32, where an
    /// address has 32 bits), a guest-physical one has zeros above.
    pub(crate) const fn address(&self, low_bits: u64) -> u64 {
        let bits = self.address_bits();
        let low = low_bits & ((1 << bits) - 1);
        if self.is_g_stage() || self.is_rv32() || low >> (bits - 1) == 0 {
            low
        } else {
            low | (u64::MAX << bits)
        }
    }
}

/// Numbers that look random and are the same every time (SplitMix64).
#[derive(Clone, Debug)]
pub(crate) struct Random(u64);

impl Random {
    pub(crate) const fn new(seed: u64) -> Self {
        Self(seed)
    }

    pub(crate) const fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// A number below `end`.
    pub(crate) const fn below(&mut self, end: u64) -> u64 {
        self.next() % end
    }

    /// Whether a thing happens that happens `percent` times of a hundred.
    pub(crate) const fn percent(&mut self, percent: u64) -> bool {
        self.below(100) < percent
    }

    pub(crate) const fn pick<'a, T>(&mut self, of: &'a [T]) -> &'a T {
        &of[self.below(of.len() as u64) as usize]
    }
}

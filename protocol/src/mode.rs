//! Translation modes: what satp, vsatp and hgatp can say.

use core::fmt;

use crate::addr::{PhysAddr, PhysPage, VirtAddr};
use crate::level::Level;
use crate::pte::{Pte, PteKind};
use crate::scheme::{self, Scheme, Stage, Xlen};

/// How addresses are translated. What a mode is, is its [`Scheme`].
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum TranslationMode {
    /// MODE 0: no translation.
    Bare,
    /// Two levels, 32 bits; RV32.
    Sv32,
    /// Three levels, 39 bits.
    Sv39,
    /// Four levels, 48 bits.
    Sv48,
    /// Five levels, 57 bits.
    Sv57,
    /// G-stage, two levels, 34 bits; RV32.
    Sv32x4,
    /// G-stage, three levels, 41 bits.
    Sv39x4,
    /// G-stage, four levels, 50 bits.
    Sv48x4,
    /// G-stage, five levels, 59 bits.
    Sv57x4,
    /// An encoding that the specification reserves; kept to be shown.
    Reserved(u8),
}

impl TranslationMode {
    /// All modes that have tables.
    pub const WITH_TABLES: [Self; 8] = [
        Self::Sv32,
        Self::Sv39,
        Self::Sv48,
        Self::Sv57,
        Self::Sv32x4,
        Self::Sv39x4,
        Self::Sv48x4,
        Self::Sv57x4,
    ];

    /// What it is; `None` where it has no tables or they are not known.
    pub const fn scheme(self) -> Option<&'static Scheme> {
        match self {
            Self::Sv32 => Some(&scheme::SV32),
            Self::Sv39 => Some(&scheme::SV39),
            Self::Sv48 => Some(&scheme::SV48),
            Self::Sv57 => Some(&scheme::SV57),
            Self::Sv32x4 => Some(&scheme::SV32X4),
            Self::Sv39x4 => Some(&scheme::SV39X4),
            Self::Sv48x4 => Some(&scheme::SV48X4),
            Self::Sv57x4 => Some(&scheme::SV57X4),
            Self::Bare | Self::Reserved(_) => None,
        }
    }

    /// The mode that a MODE field encodes: of satp and vsatp for [`Stage::First`], of hgatp for
    /// [`Stage::Guest`].
    pub const fn from_code(code: u8, stage: Stage, xlen: Xlen) -> Self {
        if code == 0 {
            return Self::Bare;
        }
        let mut place = 0;
        while place < Self::WITH_TABLES.len() {
            let mode = Self::WITH_TABLES[place];
            if let Some(scheme) = mode.scheme()
                && scheme.code == code
                && scheme.stage as u8 == stage as u8
                && scheme.xlen as u8 == xlen as u8
            {
                return mode;
            }
            place += 1;
        }
        Self::Reserved(code)
    }

    /// The mode that satp's MODE field encodes on RV64 (bits 63..60).
    pub const fn from_satp_mode(code: u8) -> Self {
        Self::from_code(code, Stage::First, Xlen::Rv64)
    }

    /// The MODE field's value.
    pub const fn code(self) -> u8 {
        match (self, self.scheme()) {
            (_, Some(scheme)) => scheme.code,
            (Self::Reserved(other), None) => other,
            _ => 0,
        }
    }

    /// The mode of this name, as [`Display`](fmt::Display) writes it: `Bare`, `Sv39`, `Sv48x4`.
    pub fn from_name(name: &str) -> Option<Self> {
        let with_tables = Self::WITH_TABLES.into_iter();
        let mut named = with_tables.filter_map(|mode| Some((mode, mode.scheme()?.name)));
        match named.find(|(_, known)| *known == name) {
            Some((mode, _)) => Some(mode),
            None => (name == "Bare").then_some(Self::Bare),
        }
    }

    /// The level of its root table; `None` where it has no tables or they are not known.
    pub const fn root_level(self) -> Option<Level> {
        match self.scheme() {
            Some(scheme) => Some(scheme.root_level),
            None => None,
        }
    }

    /// Whether it is a mode of hgatp, which translates guest physical addresses.
    pub const fn is_guest_stage(self) -> bool {
        matches!(self.scheme(), Some(scheme) if matches!(scheme.stage, Stage::Guest))
    }

    /// What it, or RV64 where it has no tables, says about sizes.
    const fn sizes(self) -> &'static Scheme {
        match self.scheme() {
            Some(scheme) => scheme,
            None => &scheme::SV57,
        }
    }

    /// Bytes that one entry of a table at `level` covers: the size of a leaf there.
    pub const fn entry_size(self, level: Level) -> u64 {
        self.sizes().entry_size(level)
    }

    /// Bytes that a whole table at `level` covers.
    pub const fn table_size(self, level: Level) -> u64 {
        self.sizes().table_size(level)
    }

    /// Entries of a table at `level`.
    pub const fn entries(self, level: Level) -> usize {
        self.sizes().entries(level)
    }

    /// Bytes of an entry: 8, or 4 on RV32.
    pub const fn entry_bytes(self) -> u64 {
        self.sizes().entry_bytes
    }

    /// Which entry of a table at `level` translates `address`: `va[level]`.
    pub const fn index_of(self, level: Level, address: VirtAddr) -> usize {
        self.sizes().index_of(level, address)
    }

    /// Where entry `index` of the table in `table` lies.
    pub const fn entry_address(self, table: PhysPage, index: usize) -> PhysAddr {
        table
            .start()
            .wrapping_add(index as u64 * self.entry_bytes())
    }

    /// What `pte` is in a table at `level`.
    pub const fn classify(self, pte: Pte, level: Level) -> PteKind {
        pte.classify_as(level, self.entry_size(level))
    }

    /// Bits of an address that it translates.
    pub const fn address_bits(self) -> u32 {
        match self.scheme() {
            Some(scheme) => scheme.address_bits(),
            None => 64,
        }
    }

    /// Whether the bits of `address` above the translated ones are as the mode asks: equal to the
    /// highest translated one, or zero. Any other address faults before a table is looked at.
    pub const fn is_canonical(self, address: VirtAddr) -> bool {
        self.canonical(address.as_u64()).as_u64() == address.as_u64()
    }

    /// The canonical address with the low bits of `bits`.
    pub const fn canonical(self, bits: u64) -> VirtAddr {
        match self.scheme() {
            Some(scheme) => scheme.canonical(bits),
            None => VirtAddr::new(bits),
        }
    }
}

impl fmt::Display for TranslationMode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self, self.scheme()) {
            (_, Some(scheme)) => f.write_str(scheme.name),
            (Self::Reserved(mode), _) => write!(f, "reserved mode {mode}"),
            _ => f.write_str("Bare"),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::format;

    use super::*;

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

    #[test]
    fn names_and_codes_come_back() {
        for mode in TranslationMode::WITH_TABLES {
            let scheme = mode.scheme().unwrap();
            assert_eq!(TranslationMode::from_name(&format!("{mode}")), Some(mode));
            let from_code = TranslationMode::from_code(mode.code(), scheme.stage, scheme.xlen);
            assert_eq!(from_code, mode);
        }
        assert_eq!(
            TranslationMode::from_name("Bare"),
            Some(TranslationMode::Bare)
        );
        assert_eq!(TranslationMode::from_name("Sv64"), None);
        let rv32 = |code| TranslationMode::from_code(code, Stage::First, Xlen::Rv32);
        assert_eq!(
            (rv32(0), rv32(8)),
            (TranslationMode::Bare, TranslationMode::Reserved(8))
        );
    }
}

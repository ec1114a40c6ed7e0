//! The registers that select a root table: satp, vsatp, which has the same fields, and hgatp.
//!
//! ```text
//!  63   60 59            44 43                                    0
//!  [ MODE ][     ASID      ][                PPN                  ]   satp, vsatp on RV64
//!  [ MODE ][ 0 ][   VMID   ][                PPN                  ]   hgatp on RV64: VMID 57..44
//!
//!  31 30      22 21                  0
//!  [M][  ASID   ][        PPN        ]   satp, vsatp on RV32
//!  [M][0][ VMID ][        PPN        ]   hgatp on RV32: VMID 28..22
//! ```
//!
//! Source: privileged specification, section "Supervisor Address Translation and Protection (satp)
//! Register"; chapter "H extension", sections vsatp and hgatp.

use crate::addr::PhysPage;
use crate::mode::TranslationMode;
use crate::scheme::{Stage, Xlen};

/// satp or vsatp, every bit kept.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default)]
pub struct Satp {
    bits: u64,
    xlen: Xlen,
}

impl Satp {
    /// RV64's register with these bits.
    pub const fn from_bits(bits: u64) -> Self {
        Self::from_bits_of(bits, Xlen::Rv64)
    }

    /// The register with these bits on a machine of this width; only the low 32 count on RV32.
    pub const fn from_bits_of(bits: u64, xlen: Xlen) -> Self {
        match xlen {
            Xlen::Rv32 => Self {
                bits: bits & 0xffff_ffff,
                xlen,
            },
            Xlen::Rv64 => Self { bits, xlen },
        }
    }

    /// The register that selects `root` in `mode`, a mode of satp, for `asid`. Of a root or an ASID
    /// that has more bits than RV32's fields, those are dropped there.
    pub const fn new(mode: TranslationMode, asid: u16, root: PhysPage) -> Self {
        let code = mode.code() as u64;
        match mode.scheme() {
            Some(scheme) if matches!(scheme.xlen, Xlen::Rv32) => Self {
                bits: (code << 31) | ((asid as u64 & 0x1ff) << 22) | (root.number() & 0x3f_ffff),
                xlen: Xlen::Rv32,
            },
            _ => Self {
                bits: (code << 60) | ((asid as u64) << 44) | root.number(),
                xlen: Xlen::Rv64,
            },
        }
    }

    /// All its bits.
    pub const fn bits(self) -> u64 {
        self.bits
    }

    /// The width of the machine it is of.
    pub const fn xlen(self) -> Xlen {
        self.xlen
    }

    /// The translation mode.
    pub const fn mode(self) -> TranslationMode {
        TranslationMode::from_code(mode_code(self.bits, self.xlen), Stage::First, self.xlen)
    }

    /// The address-space identifier.
    pub const fn asid(self) -> u16 {
        match self.xlen {
            Xlen::Rv32 => (self.bits >> 22) as u16 & 0x1ff,
            Xlen::Rv64 => (self.bits >> 44) as u16,
        }
    }

    /// The root table's frame; without meaning in mode Bare.
    pub const fn root(self) -> PhysPage {
        root_page(self.bits, self.xlen)
    }
}

/// hgatp, every bit kept.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default)]
pub struct Hgatp {
    bits: u64,
    xlen: Xlen,
}

impl Hgatp {
    /// The register with these bits on a machine of this width; only the low 32 count on RV32.
    pub const fn from_bits_of(bits: u64, xlen: Xlen) -> Self {
        let Satp { bits, xlen } = Satp::from_bits_of(bits, xlen);
        Self { bits, xlen }
    }

    /// All its bits.
    pub const fn bits(self) -> u64 {
        self.bits
    }

    /// The width of the machine it is of.
    pub const fn xlen(self) -> Xlen {
        self.xlen
    }

    /// The translation mode of the G-stage.
    pub const fn mode(self) -> TranslationMode {
        TranslationMode::from_code(mode_code(self.bits, self.xlen), Stage::Guest, self.xlen)
    }

    /// The virtual machine's identifier.
    pub const fn vmid(self) -> u16 {
        match self.xlen {
            Xlen::Rv32 => (self.bits >> 22) as u16 & 0x7f,
            Xlen::Rv64 => (self.bits >> 44) as u16 & 0x3fff,
        }
    }

    /// The first of the root table's four frames. Its number's low two bits read as zero on hardware,
    /// so they count as zero here.
    pub const fn root(self) -> PhysPage {
        PhysPage::from_truncated(root_page(self.bits, self.xlen).number() & !0b11)
    }
}

const fn mode_code(bits: u64, xlen: Xlen) -> u8 {
    match xlen {
        Xlen::Rv32 => (bits >> 31) as u8 & 1,
        Xlen::Rv64 => (bits >> 60) as u8,
    }
}

const fn root_page(bits: u64, xlen: Xlen) -> PhysPage {
    PhysPage::from_truncated(match xlen {
        Xlen::Rv32 => bits & 0x3f_ffff,
        Xlen::Rv64 => bits,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_come_back() {
        let root = PhysPage::new(0x87ffc).unwrap();
        let satp = Satp::new(TranslationMode::Sv39, 0xabcd, root);
        assert_eq!(satp.bits(), 0x8abc_d000_0008_7ffc);
        assert_eq!(
            (satp.mode(), satp.asid(), satp.root()),
            (TranslationMode::Sv39, 0xabcd, root)
        );
        let satp = Satp::new(TranslationMode::Sv32, 0x155, root);
        assert_eq!(satp.bits(), 0xd548_7ffc);
        assert_eq!(
            (satp.mode(), satp.asid(), satp.root()),
            (TranslationMode::Sv32, 0x155, root)
        );
        assert_eq!(Satp::from_bits_of(satp.bits() | 1 << 63, Xlen::Rv32), satp);
    }

    #[test]
    fn hgatp_has_a_machine_and_an_aligned_root() {
        let hgatp = Hgatp::from_bits_of(0x8fff_f000_0008_7fff, Xlen::Rv64);
        assert_eq!(hgatp.mode(), TranslationMode::Sv39x4);
        assert_eq!(hgatp.vmid(), 0x3fff);
        assert_eq!(hgatp.root().number(), 0x87ffc);
        let hgatp = Hgatp::from_bits_of(0x8048_7ffc, Xlen::Rv32);
        assert_eq!((hgatp.mode(), hgatp.vmid()), (TranslationMode::Sv32x4, 1));
        let reserved = Hgatp::from_bits_of(7 << 60, Xlen::Rv64);
        assert_eq!(reserved.mode(), TranslationMode::Reserved(7));
    }
}

//! The satp register: which table translates, how, and for which address space.
//!
//! ```text
//!  63   60 59            44 43                                    0
//!  [ MODE ][     ASID      ][                PPN                  ]   RV64
//! ```

use crate::addr::PhysPage;
use crate::level::TranslationMode;

/// satp as RV64 has it, every bit kept.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
pub struct Satp(u64);

impl Satp {
    /// The register with these bits.
    pub const fn from_bits(bits: u64) -> Self {
        Self(bits)
    }

    /// The register that selects `root` in `mode` for `asid`.
    pub const fn new(mode: TranslationMode, asid: u16, root: PhysPage) -> Self {
        Self(((mode.satp_mode() as u64) << 60) | ((asid as u64) << 44) | root.number())
    }

    /// All its bits.
    pub const fn bits(self) -> u64 {
        self.0
    }

    /// The translation mode.
    pub const fn mode(self) -> TranslationMode {
        TranslationMode::from_satp_mode((self.0 >> 60) as u8)
    }

    /// The address-space identifier.
    pub const fn asid(self) -> u16 {
        (self.0 >> 44) as u16
    }

    /// The root table's frame; without meaning in mode Bare.
    pub const fn root(self) -> PhysPage {
        PhysPage::from_truncated(self.0)
    }
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
    }
}

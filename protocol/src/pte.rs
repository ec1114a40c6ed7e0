//! Page-table entries: every bit kept, each entry classified once.
//!
//! ```text
//!  63 62  61 60     54 53                    10 9  8 7 6 5 4 3 2 1 0
//!  [N][PBMT][reserved ][         PPN          ][RSW][D|A|G|U|X|W|R|V]   RV64
//!                      31                    10 9  8 7 6 5 4 3 2 1 0
//!                      [         PPN          ][RSW][D|A|G|U|X|W|R|V]   RV32: the low half of the same
//! ```
//!
//! Source: privileged specification, sections Sv32, Sv39, Svnapot, Svpbmt. N and PBMT are read as on a
//! machine that has those extensions; one without them faults where they are set.

use core::fmt;

use bitflags::bitflags;

use crate::addr::PhysPage;
use crate::level::Level;

bitflags! {
    /// The low eight bits of an entry.
    #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default)]
    pub struct LeafFlags: u8 {
        /// V: the entry means something.
        const VALID = 1 << 0;
        /// R: loads.
        const READ = 1 << 1;
        /// W: stores.
        const WRITE = 1 << 2;
        /// X: instruction fetches.
        const EXECUTE = 1 << 3;
        /// U: for U-mode (and for S-mode loads and stores only where sstatus.SUM is set).
        const USER = 1 << 4;
        /// G: in every address space.
        const GLOBAL = 1 << 5;
        /// A: accessed since A was last cleared.
        const ACCESSED = 1 << 6;
        /// D: written since D was last cleared.
        const DIRTY = 1 << 7;
    }
}

impl LeafFlags {
    /// The letters of [`fmt::Display`], with the flag each stands for.
    const LETTERS: [(char, Self); 7] = [
        ('r', Self::READ),
        ('w', Self::WRITE),
        ('x', Self::EXECUTE),
        ('u', Self::USER),
        ('g', Self::GLOBAL),
        ('a', Self::ACCESSED),
        ('d', Self::DIRTY),
    ];

    /// The flags that `rwxugad` letters say, `-` where off, V always on.
    /// `None` for any other text.
    pub fn from_letters(text: &str) -> Option<Self> {
        let mut flags = Self::VALID;
        let mut letters = text.chars();
        for (letter, flag) in Self::LETTERS {
            match letters.next()? {
                given if given == letter => flags |= flag,
                '-' => {}
                _ => return None,
            }
        }
        letters.next().is_none().then_some(flags)
    }
}

impl fmt::Display for LeafFlags {
    /// `rwxugad`, `-` where off.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        use fmt::Write as _;
        for (letter, flag) in Self::LETTERS {
            f.write_char(if self.contains(flag) { letter } else { '-' })?;
        }
        Ok(())
    }
}

/// PBMT, bits 62..61: the memory type that overrides the platform's (extension Svpbmt).
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum MemoryType {
    /// 0, PMA: what the platform says.
    Platform,
    /// 1, NC: non-cacheable, idempotent.
    NonCacheable,
    /// 2, IO: non-cacheable, strongly ordered.
    Io,
    /// 3: reserved.
    Reserved,
}

/// A page-table entry as it lies in memory.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Default)]
#[repr(transparent)]
pub struct Pte(u64);

impl Pte {
    /// The entry that means nothing: not valid, all bits clear.
    pub const INVALID: Self = Self(0);

    pub(crate) const PPN_SHIFT: u32 = 10;

    /// The entry with these bits.
    pub const fn from_bits(bits: u64) -> Self {
        Self(bits)
    }

    /// A pointer to the table in `table`.
    pub const fn pointer(table: PhysPage) -> Self {
        Self((table.number() << Self::PPN_SHIFT) | LeafFlags::VALID.bits() as u64)
    }

    /// A leaf for `page` with `flags`; V is set whether or not `flags` has it.
    pub const fn leaf(page: PhysPage, flags: LeafFlags) -> Self {
        Self((page.number() << Self::PPN_SHIFT) | (flags.bits() | LeafFlags::VALID.bits()) as u64)
    }

    /// All its bits.
    pub const fn bits(self) -> u64 {
        self.0
    }

    /// V.
    pub const fn is_valid(self) -> bool {
        self.0 & 1 != 0
    }

    /// Its low eight bits.
    pub const fn flags(self) -> LeafFlags {
        LeafFlags::from_bits_retain(self.0 as u8)
    }

    /// RSW, bits 9..8: free for the supervisor's own use.
    pub const fn rsw(self) -> u8 {
        ((self.0 >> 8) & 0b11) as u8
    }

    /// PPN, bits 53..10.
    pub const fn page(self) -> PhysPage {
        PhysPage::from_truncated(self.0 >> Self::PPN_SHIFT)
    }

    /// Bits 60..54, which must be zero.
    pub const fn reserved_bits(self) -> u8 {
        ((self.0 >> 54) & 0x7f) as u8
    }

    /// PBMT, bits 62..61.
    pub const fn memory_type(self) -> MemoryType {
        match (self.0 >> 61) & 0b11 {
            0 => MemoryType::Platform,
            1 => MemoryType::NonCacheable,
            2 => MemoryType::Io,
            _ => MemoryType::Reserved,
        }
    }

    /// N, bit 63: one of a naturally aligned power-of-two group of pages (extension Svnapot).
    pub const fn is_napot(self) -> bool {
        self.0 >> 63 != 0
    }

    /// What the hardware makes of this entry in a table at `level`, on RV64. For any mode:
    /// [`TranslationMode::classify`](crate::TranslationMode::classify).
    pub const fn classify(self, level: Level) -> PteKind {
        self.classify_as(level, level.entry_size())
    }

    /// What the hardware makes of this entry in a table at `level`, whose entries cover `entry_size` bytes.
    pub(crate) const fn classify_as(self, level: Level, entry_size: u64) -> PteKind {
        use ReservedReason as Why;
        if !self.is_valid() {
            return PteKind::Invalid;
        }
        let flags = self.flags();
        if self.reserved_bits() != 0 {
            return PteKind::Reserved(Why::HighBits);
        }
        if flags.contains(LeafFlags::WRITE) && !flags.contains(LeafFlags::READ) {
            return PteKind::Reserved(Why::WriteWithoutRead);
        }
        let is_pointer = !flags.intersects(LeafFlags::READ.union(LeafFlags::EXECUTE));
        if is_pointer {
            return self.classify_pointer(level);
        }
        if matches!(self.memory_type(), MemoryType::Reserved) {
            return PteKind::Reserved(Why::MemoryType);
        }
        let alignment_pages = entry_size / crate::PAGE_SIZE;
        if self.page().number() & (alignment_pages - 1) != 0 {
            return PteKind::Reserved(Why::MisalignedSuperpage);
        }
        if !self.is_napot() {
            return PteKind::Leaf(Leaf {
                page: self.page(),
                size: entry_size,
                flags,
            });
        }
        // Svnapot defines one encoding: 64 KiB, at level 0, with the PPN's low four bits 1000.
        if !matches!(level, Level::L0) || self.page().number() & 0xf != 0x8 {
            return PteKind::Reserved(Why::Napot);
        }
        let first = PhysPage::from_truncated(self.page().number() & !0xf);
        PteKind::Leaf(Leaf {
            page: first,
            size: 64 << 10,
            flags,
        })
    }

    const fn classify_pointer(self, level: Level) -> PteKind {
        use ReservedReason as Why;
        let flags = self.flags();
        if matches!(level, Level::L0) {
            return PteKind::Reserved(Why::PointerAtLastLevel);
        }
        let not_for_pointers = LeafFlags::ACCESSED
            .union(LeafFlags::DIRTY)
            .union(LeafFlags::USER);
        if flags.intersects(not_for_pointers) {
            return PteKind::Reserved(Why::PointerWithAccessedDirtyUser);
        }
        if self.is_napot() || !matches!(self.memory_type(), MemoryType::Platform) {
            return PteKind::Reserved(Why::PointerWithNapotOrMemoryType);
        }
        PteKind::Pointer(self.page())
    }
}

impl fmt::Debug for Pte {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Pte({:#018x})", self.0)
    }
}

impl fmt::Display for Pte {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:#018x}", self.0)
    }
}

/// What an entry is, decided once.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum PteKind {
    /// V is clear; the hardware ignores every other bit.
    Invalid,
    /// Leads to the table in this frame, one level down.
    Pointer(PhysPage),
    /// Ends the walk.
    Leaf(Leaf),
    /// V is set, and the walk faults all the same.
    Reserved(ReservedReason),
}

impl PteKind {
    /// One word for it: `invalid`, `pointer`, `leaf` or `reserved`.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Invalid => "invalid",
            Self::Pointer(_) => "pointer",
            Self::Leaf(_) => "leaf",
            Self::Reserved(_) => "reserved",
        }
    }
}

/// A leaf entry: memory that can be reached.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Leaf {
    /// The first page it maps.
    pub page: PhysPage,
    /// Bytes it maps: the level's entry size, or 64 KiB for a NAPOT leaf (which stands in sixteen
    /// entries).
    pub size: u64,
    /// Its own flags; G may also come from a pointer on the path.
    pub flags: LeafFlags,
}

/// Why a valid entry is reserved, and so faults.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum ReservedReason {
    /// Any of bits 60..54 is set.
    HighBits,
    /// W without R.
    WriteWithoutRead,
    /// R, W and X clear at level 0: a pointer where no level is left.
    PointerAtLastLevel,
    /// A pointer with A, D or U.
    PointerWithAccessedDirtyUser,
    /// A pointer with N or PBMT.
    PointerWithNapotOrMemoryType,
    /// A leaf above level 0 whose PPN is not a multiple of its size.
    MisalignedSuperpage,
    /// PBMT is 3.
    MemoryType,
    /// N with a size that Svnapot does not define, or above level 0.
    Napot,
}

impl fmt::Display for ReservedReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::HighBits => "reserved bits 60..54 are set",
            Self::WriteWithoutRead => "W without R",
            Self::PointerAtLastLevel => "a pointer at level 0",
            Self::PointerWithAccessedDirtyUser => "a pointer with A, D or U set",
            Self::PointerWithNapotOrMemoryType => "a pointer with N or PBMT set",
            Self::MisalignedSuperpage => "a misaligned superpage",
            Self::MemoryType => "PBMT is 3",
            Self::Napot => "N with an undefined size",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::string::ToString as _;

    const RW: u64 = 0b0111;

    fn kind(bits: u64, level: Level) -> PteKind {
        Pte::from_bits(bits).classify(level)
    }

    #[test]
    fn each_reserved_encoding_has_its_reason() {
        use ReservedReason::*;
        let ppn = |number: u64| number << 10;
        for (bits, level, reason) in [
            (RW | 1 << 54, Level::L0, HighBits),
            (RW | 1 << 60, Level::L0, HighBits),
            (0b0101, Level::L0, WriteWithoutRead),
            (0b1101, Level::L0, WriteWithoutRead),
            (0b0001, Level::L0, PointerAtLastLevel),
            (0b0001 | 1 << 6, Level::L1, PointerWithAccessedDirtyUser),
            (0b0001 | 1 << 7, Level::L2, PointerWithAccessedDirtyUser),
            (0b0001 | 1 << 4, Level::L1, PointerWithAccessedDirtyUser),
            (0b0001 | 1 << 63, Level::L1, PointerWithNapotOrMemoryType),
            (0b0001 | 1 << 61, Level::L1, PointerWithNapotOrMemoryType),
            (RW | ppn(1), Level::L1, MisalignedSuperpage),
            (RW | ppn(512), Level::L2, MisalignedSuperpage),
            (RW | 3 << 61, Level::L0, MemoryType),
            (RW | 1 << 63, Level::L0, Napot),
            (RW | 1 << 63 | ppn(512), Level::L1, Napot),
        ] {
            assert_eq!(
                kind(bits, level),
                PteKind::Reserved(reason),
                "{bits:#x} at {level}"
            );
        }
    }

    #[test]
    fn leaves_and_pointers() {
        let page = PhysPage::new(0x87ff3).unwrap();
        let flags = LeafFlags::from_letters("rw---ad").unwrap();
        assert_eq!(Pte::leaf(page, flags).bits(), 0x21ff_ccc7);
        assert_eq!(
            Pte::leaf(page, flags).classify(Level::L0),
            PteKind::Leaf(Leaf {
                page,
                size: 4096,
                flags
            })
        );
        assert_eq!(
            Pte::pointer(page).classify(Level::L1),
            PteKind::Pointer(page)
        );
        let global = Pte::from_bits(Pte::pointer(page).bits() | 1 << 5);
        assert_eq!(global.classify(Level::L1), PteKind::Pointer(page));
        assert_eq!(kind(u64::MAX - 1, Level::L0), PteKind::Invalid);
    }

    #[test]
    fn a_napot_leaf_maps_64_kib() {
        let PteKind::Leaf(leaf) = kind(RW | 1 << 63 | 0x18 << 10, Level::L0) else {
            panic!()
        };
        assert_eq!((leaf.page.number(), leaf.size), (0x10, 65536));
    }

    proptest! {
        #[test]
        fn every_bit_is_in_a_field(bits: u64) {
            let pte = Pte::from_bits(bits);
            let again = u64::from(pte.flags().bits())
                | u64::from(pte.rsw()) << 8
                | pte.page().number() << 10
                | u64::from(pte.reserved_bits()) << 54
                | (match pte.memory_type() {
                    MemoryType::Platform => 0,
                    MemoryType::NonCacheable => 1,
                    MemoryType::Io => 2,
                    MemoryType::Reserved => 3,
                }) << 61
                | u64::from(pte.is_napot()) << 63;
            prop_assert_eq!(again, bits);
        }

        #[test]
        fn classifying_never_panics_and_valid_decides(bits: u64, level in 0u8..5) {
            let kind = kind(bits, Level::from_number(level).unwrap());
            prop_assert_eq!(kind == PteKind::Invalid, bits & 1 == 0);
        }

        #[test]
        fn letters_round_trip(bits: u8) {
            let flags = LeafFlags::from_bits_retain(bits | 1);
            prop_assert_eq!(LeafFlags::from_letters(&flags.to_string()), Some(flags));
        }
    }
}

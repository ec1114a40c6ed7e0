//! Addresses, page numbers and ranges: no bare integer is any of these beyond the edge where
//! bytes are parsed.
//!
//! Invariants: a [`PhysPage`] is a page number of at most 44 bits (the PPN of satp and of a PTE on
//! RV64, privileged specification 12.1.11 and 12.3.1), so its address never overflows. Ranges are
//! half-open, and never wrap.

use core::fmt;

/// Bytes in a base page, and in a page table.
pub const PAGE_SIZE: u64 = 4096;

/// Bits of an address inside a base page.
pub const PAGE_SHIFT: u32 = 12;

/// Bits of a physical page number on RV64 (privileged specification, section "satp").
pub const PPN_BITS: u32 = 44;

macro_rules! address {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
        #[repr(transparent)]
        pub struct $name(u64);

        impl $name {
            /// The address with this value.
            pub const fn new(value: u64) -> Self {
                Self(value)
            }

            /// The plain number.
            pub const fn as_u64(self) -> u64 {
                self.0
            }

            /// Bytes from the start of its base page, 0 to 4095.
            pub const fn page_offset(self) -> u64 {
                self.0 & (PAGE_SIZE - 1)
            }

            /// This address rounded down to a multiple of `alignment_bytes`, a power of two.
            pub const fn align_down(self, alignment_bytes: u64) -> Self {
                Self(self.0 & !(alignment_bytes - 1))
            }

            /// Whether this address is a multiple of `alignment_bytes`, a power of two.
            pub const fn is_aligned(self, alignment_bytes: u64) -> bool {
                self.0 & (alignment_bytes - 1) == 0
            }

            /// The address `bytes` further up, unless that is past the last address.
            pub const fn checked_add(self, bytes: u64) -> Option<Self> {
                match self.0.checked_add(bytes) {
                    Some(sum) => Some(Self(sum)),
                    None => None,
                }
            }

            /// The address `bytes` further up, wrapping at 2^64 as the hardware's adder does.
            pub const fn wrapping_add(self, bytes: u64) -> Self {
                Self(self.0.wrapping_add(bytes))
            }

            /// Bytes from `lower` up to this address, unless `lower` is above it.
            pub const fn checked_offset_from(self, lower: Self) -> Option<u64> {
                self.0.checked_sub(lower.0)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, concat!(stringify!($name), "({:#x})"), self.0)
            }
        }

        impl fmt::Display for $name {
            /// Hexadecimal, at least eight digits: `0x80000000`.
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{:#010x}", self.0)
            }
        }

        impl fmt::LowerHex for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::LowerHex::fmt(&self.0, f)
            }
        }
    };
}

address! {
    /// A physical address: what the memory bus sees.
    PhysAddr
}
address! {
    /// A virtual address: what a program uses. Whether it is canonical depends on the
    /// translation mode, see [`TranslationMode::is_canonical`](crate::TranslationMode::is_canonical).
    VirtAddr
}

impl PhysAddr {
    /// The page that this address lies in; `None` where the address has more than 56 bits.
    pub const fn page(self) -> Option<PhysPage> {
        PhysPage::new(self.as_u64() >> PAGE_SHIFT)
    }
}

/// A physical page number: the PPN of satp and of a PTE, at most 44 bits.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
#[repr(transparent)]
pub struct PhysPage(u64);

impl PhysPage {
    /// The page with this number; `None` past 44 bits.
    pub const fn new(number: u64) -> Option<Self> {
        if number >> PPN_BITS == 0 {
            Some(Self(number))
        } else {
            None
        }
    }

    /// The page with the low 44 bits of `number` as its number.
    pub const fn from_truncated(number: u64) -> Self {
        Self(number & ((1 << PPN_BITS) - 1))
    }

    /// The page number.
    pub const fn number(self) -> u64 {
        self.0
    }

    /// The address of the page's first byte.
    pub const fn start(self) -> PhysAddr {
        PhysAddr::new(self.0 << PAGE_SHIFT)
    }

    /// The page's bytes.
    pub const fn range(self) -> PhysRange {
        PhysRange {
            start: self.start(),
            size: PAGE_SIZE,
        }
    }
}

impl fmt::Debug for PhysPage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PhysPage({:#x})", self.0)
    }
}

impl fmt::Display for PhysPage {
    /// The address of its first byte.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.start(), f)
    }
}

macro_rules! range {
    ($(#[$doc:meta])* $name:ident, $address:ident) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name {
            start: $address,
            size: u64,
        }

        impl $name {
            /// The range of `size_bytes` from `start`; `None` where its last byte would lie past
            /// 2^64 − 1.
            pub const fn new(start: $address, size_bytes: u64) -> Option<Self> {
                if size_bytes != 0 && start.as_u64().checked_add(size_bytes - 1).is_none() {
                    return None;
                }
                Some(Self { start, size: size_bytes })
            }

            /// The range from `start` up to and without `end`; `None` where `end` is below `start`.
            pub const fn from_bounds(start: $address, end: $address) -> Option<Self> {
                match end.checked_offset_from(start) {
                    Some(size) => Some(Self { start, size }),
                    None => None,
                }
            }

            /// Its first address.
            pub const fn start(self) -> $address {
                self.start
            }

            /// Its length in bytes.
            pub const fn size(self) -> u64 {
                self.size
            }

            /// How many pages it has a byte of. To go over them all, count these: an address that is
            /// compared with [`end`](Self::end) does not do.
            pub const fn pages_touched(self) -> u64 {
                if self.size == 0 {
                    return 0;
                }
                let rest = self.start.page_offset() + self.size % PAGE_SIZE;
                self.size / PAGE_SIZE + rest.div_ceil(PAGE_SIZE)
            }

            /// The first address after it; wraps to 0 where the range reaches the last address. So
            /// `address < range.end()` does not say whether `address` lies in the range, and no
            /// loop may end by it: [`contains`](Self::contains) does.
            pub const fn end(self) -> $address {
                self.start.wrapping_add(self.size)
            }

            /// Whether it has no bytes.
            pub const fn is_empty(self) -> bool {
                self.size == 0
            }

            /// Whether `address` lies in it.
            pub const fn contains(self, address: $address) -> bool {
                match address.checked_offset_from(self.start) {
                    Some(offset) => offset < self.size,
                    None => false,
                }
            }

            /// Whether all of `other` lies in it.
            pub const fn contains_range(self, other: Self) -> bool {
                match other.start.checked_offset_from(self.start) {
                    Some(offset) => offset <= self.size && other.size <= self.size - offset,
                    None => false,
                }
            }

            /// Whether it and `other` share a byte.
            pub const fn overlaps(self, other: Self) -> bool {
                !self.is_empty()
                    && !other.is_empty()
                    && (self.contains(other.start) || other.contains(self.start))
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, concat!(stringify!($name), "[{:#x}, +{:#x})"), self.start, self.size)
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "[{}, {})", self.start, self.end())
            }
        }
    };
}

range! {
    /// A half-open range of physical addresses.
    PhysRange, PhysAddr
}
range! {
    /// A half-open range of virtual addresses.
    VirtRange, VirtAddr
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_number_has_44_bits() {
        assert!(PhysPage::new(1 << 44).is_none());
        assert_eq!(PhysPage::from_truncated((1 << 44) | 5).number(), 5);
        assert_eq!(
            PhysAddr::new(0x8000_0fff).page().unwrap().start(),
            PhysAddr::new(0x8000_0000)
        );
    }

    #[test]
    fn ranges_are_half_open_and_do_not_wrap() {
        let range = VirtRange::new(VirtAddr::new(0x1000), 0x2000).unwrap();
        assert!(range.contains(VirtAddr::new(0x2fff)));
        assert!(!range.contains(VirtAddr::new(0x3000)));
        assert!(VirtRange::new(VirtAddr::new(u64::MAX), 2).is_none());
        let last = VirtRange::new(VirtAddr::new(u64::MAX - 0xfff), 0x1000).unwrap();
        assert!(last.contains(VirtAddr::new(u64::MAX)));
        assert_eq!(last.end(), VirtAddr::new(0));
        assert_eq!(last.pages_touched(), 1);
        assert!(!range.overlaps(VirtRange::new(VirtAddr::new(0x3000), 0x1000).unwrap()));
    }

    #[test]
    fn a_page_is_touched_by_one_byte() {
        for (start, size, pages) in [
            (0x1fff, 0, 0),
            (0x1fff, 1, 1),
            (0x1fff, 2, 2),
            (0x1000, 0x1000, 1),
            (0x1001, 0x1000, 2),
            (0x1001, 0x1fff, 2),
            (0x1fff, 0x1002, 3),
            (u64::MAX - 255, 256, 1),
            (u64::MAX - 0x1000, 0x1001, 2),
            (0, u64::MAX, 1 << 52),
        ] {
            let range = VirtRange::new(VirtAddr::new(start), size).unwrap();
            assert_eq!(range.pages_touched(), pages, "{range}");
        }
    }
}

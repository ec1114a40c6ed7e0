//! A pointer says by its address what it is (S2.11).

use core::fmt;

use pagescope_protocol::{Level, TranslationMode, VirtAddr};

use crate::board;

use super::{VAS_CPU_STRUCT, VAS_KERNEL_IMAGE, VAS_LINEAR_MAP};

/// The end of Sv39's lower half, where devices are at their own addresses.
const LOWER_HALF_END: u64 = 1 << 38;

/// The end of the devices of `virt`, wherever RAM begins.
const DEVICES_END: u64 = board::PCI_MMIO.end().as_u64();

/// The first page stays unmapped, so that null faults.
const NULL_PAGE_END: u64 = 0x1000;

/// What a pointer points into.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum PointerClass {
    /// Code, constants and variables: there from the start, the same on every hart.
    Image,
    /// This hart's own: its number, its stacks.
    Cpu,
    /// RAM: what kalloc hands out.
    Linear,
    /// A device's registers.
    Device,
    /// The lower half above the devices: for a guest's or a user's addresses; the kernel has nothing here
    /// by itself.
    User,
    /// Nothing can be there: null, a gap, or no Sv39 address at all.
    None,
}

/// Whether `address` lies in the GiB that begins at `start`: in one entry of the root table.
const fn is_in_gib(address: VirtAddr, start: VirtAddr) -> bool {
    match address.checked_offset_from(start) {
        Some(offset) => offset < Level::L2.entry_size(),
        None => false,
    }
}

impl PointerClass {
    /// The class of `address`.
    pub const fn of(address: VirtAddr) -> Self {
        let number = address.as_u64();
        if is_in_gib(address, VAS_KERNEL_IMAGE) {
            Self::Image
        } else if is_in_gib(address, VAS_CPU_STRUCT) {
            Self::Cpu
        } else if is_in_gib(address, VAS_LINEAR_MAP) {
            Self::Linear
        } else if number < NULL_PAGE_END || number >= LOWER_HALF_END {
            Self::None
        } else if number < DEVICES_END {
            Self::Device
        } else {
            Self::User
        }
    }

    /// Its name.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Image => "image",
            Self::Cpu => "cpu",
            Self::Linear => "linear",
            Self::Device => "device",
            Self::User => "user",
            Self::None => "none",
        }
    }
}

impl fmt::Display for PointerClass {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

const _: () = assert!(TranslationMode::Sv39.is_canonical(VirtAddr::new(LOWER_HALF_END - 1)));
const _: () = assert!(!TranslationMode::Sv39.is_canonical(VirtAddr::new(LOWER_HALF_END)));

//! What the two programs tell each other: a binary interface within one machine.
//!
//! ```text
//!  0x80200000  BootHeader    the supervisor program says where its sections are and how they are
//!                            to be mapped; the machine program believes what it has checked
//!                 └▶ HandOff the machine program fills this in, before S-mode starts: what the
//!                            device tree says, what it built, and how far kalloc has come
//!                 └▶ Reserve pages that wait to become tables: filled at boot, and shared ever after
//! ```
//!
//! All are `repr(C)` of `u64`s, so every bit pattern is a value, and reading one is always sound;
//! [`BootHeader::check`] decides whether it means anything.

use pagescope_protocol::info::{Name, name_text};
use pagescope_protocol::{LeafFlags, PAGE_SIZE, PhysAddr, PhysRange, VirtAddr, VirtRange};
use thiserror::Error;

use crate::reserve::Reserve;

/// The header's first eight bytes: two zeros and `PGBOOT`. Two zeros are defined to be no instruction
/// (unprivileged specification, section "Expanded Instruction-Length Encoding"), so a program that is mapped
/// at address 0 traps where null is called.
pub const BOOT_MAGIC: u64 = u64::from_le_bytes(*b"\0\0PGBOOT");

/// The version of both structures.
pub const BOOT_VERSION: u64 = 3;

/// How S-mode starts.
pub mod paging {
    /// The machine program builds the first tables, by what the header says, and S-mode starts under
    /// them (S1.4).
    pub const BUILT: u64 = 0;
    /// S-mode starts untranslated, and builds its tables itself: the entry is a physical address then,
    /// and there is no reserve.
    pub const BARE: u64 = 1;
}

/// What [`Services::kalloc`] answers instead of a page where it finds that it must not be called
/// just now.
pub const KALLOC_BUSY: u64 = 1;

/// Most sections that a header lists.
pub const MAX_SECTIONS: usize = 8;

/// Bytes of bootargs that are handed on.
pub const BOOTARGS_SIZE: usize = 512;

/// A section of the supervisor program. `A` is an address: `u64` to who reads the header, a
/// pointer that the linker fills in to who writes it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(C)]
pub struct BootSection<A = u64> {
    /// First virtual address, a multiple of 4096.
    pub start: A,
    /// First virtual address after it, a multiple of 4096.
    pub end: A,
    /// The physical address of its first byte.
    pub load: A,
    /// Bits of [`LeafFlags`]; 0 says that it is not mapped (the guard).
    pub flags: u64,
    /// One of [`region_kind`](pagescope_protocol::info::region_kind).
    pub kind: u64,
    /// Its name.
    pub name: Name,
}

/// What the supervisor program's image begins with.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(C)]
pub struct BootHeader<A = u64> {
    /// [`BOOT_MAGIC`].
    pub magic: u64,
    /// [`BOOT_VERSION`].
    pub version: u64,
    /// The layout that the program implements.
    pub layout: Name,
    /// One of [`paging`].
    pub paging: u64,
    /// Where S-mode starts, with the hart in a0 and the [`HandOff`]'s physical address in a1: a
    /// virtual address, or where it starts untranslated a physical one.
    pub entry: A,
    /// The physical address of the information block.
    pub info: A,
    /// The physical address of the [`HandOff`].
    pub hand_off: A,
    /// The physical address of the [`Reserve`]; nothing where S-mode starts untranslated.
    pub reserve: A,
    /// How many of `sections` count.
    pub section_count: u64,
    /// The sections, in ascending order.
    pub sections: [BootSection<A>; MAX_SECTIONS],
    /// What the debug channel may use.
    pub services: Services<A>,
}

/// How the debug channel has the supervisor program do something: virtual addresses. Zeros say
/// that a program offers nothing.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(C)]
pub struct Services<A = u64> {
    /// Jump here in S-mode, whatever the registers hold, to have a page handed out: it has a stack
    /// of its own, and ends at `kalloc_done`.
    pub kalloc: A,
    /// An ebreak, with the page in a0 (0: there is none), or [`KALLOC_BUSY`]. It is not to be passed.
    pub kalloc_done: A,
    /// A byte that is not 0 while heap and tables are being changed, when `kalloc` must not be
    /// jumped to.
    pub busy: A,
}

/// What the machine program tells the supervisor program.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(C)]
pub struct HandOff {
    /// [`BOOT_VERSION`]; 0 before the machine program has written it.
    pub version: u64,
    /// First byte of RAM, from the device tree.
    pub ram_start: u64,
    /// Bytes of RAM, from the device tree.
    pub ram_size: u64,
    /// The machine program's entry: the ELF's (S0.1).
    pub machine_entry: u64,
    /// Ticks of `time` in a second.
    pub timebase_hz: u64,
    /// Harts that the device tree lists.
    pub harts: u64,
    /// Physical address of the root table; 0 where S-mode starts untranslated.
    pub root: u64,
    /// Pages that kalloc has handed out so far.
    pub handed_out: u64,
    /// The lowest page that kalloc may hand out: the first one behind the image.
    pub heap_bottom: u64,
    /// How the tables are reached, as `tables=` says it; empty where S-mode starts untranslated.
    pub strategy: Name,
    /// How many bytes of `bootargs` count.
    pub bootargs_size: u64,
    /// The command line.
    pub bootargs: [u8; BOOTARGS_SIZE],
}

impl HandOff {
    /// Nothing said yet.
    pub const EMPTY: Self = Self {
        version: 0,
        ram_start: 0,
        ram_size: 0,
        machine_entry: 0,
        timebase_hz: 0,
        harts: 0,
        root: 0,
        handed_out: 0,
        heap_bottom: 0,
        strategy: [0; 24],
        bootargs_size: 0,
        bootargs: [0; BOOTARGS_SIZE],
    };

    /// The command line; what is not UTF-8 is left out.
    pub fn bootargs(&self) -> &str {
        let size = (self.bootargs_size as usize).min(BOOTARGS_SIZE);
        core::str::from_utf8(&self.bootargs[..size]).unwrap_or("")
    }

    /// Keeps `text`; `false` where it is too long.
    pub fn set_bootargs(&mut self, text: &str) -> bool {
        let Some(place) = self.bootargs.get_mut(..text.len()) else {
            return false;
        };
        place.copy_from_slice(text.as_bytes());
        self.bootargs_size = text.len() as u64;
        true
    }
}

/// Why a supervisor program is not started.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Error)]
pub enum HeaderError {
    /// No program was loaded, or another one.
    #[error("no supervisor program: its image begins with {0:#018x}")]
    Magic(u64),
    /// It was built for another machine program.
    #[error("the supervisor program's boot header has version {0}; this is {BOOT_VERSION}")]
    Version(u64),
    /// It lists more sections than fit.
    #[error("the boot header lists {0} sections; at most {MAX_SECTIONS} are possible")]
    SectionCount(u64),
    /// A section is empty, not on page boundaries, not in RAM, or below the one before it.
    #[error("section {0} of the boot header lies at {1:#x} up to {2:#x}, which cannot be")]
    Section(usize, u64, u64),
    /// Flags that are no [`LeafFlags`].
    #[error("section {0} of the boot header has the flags {1:#x}")]
    Flags(usize, u64),
    /// A way to start that does not exist.
    #[error("the boot header asks for paging {0}, which there is not")]
    Paging(u64),
    /// The entry lies in no section that can be executed.
    #[error("the entry {0} is in no section that can be executed")]
    Entry(VirtAddr),
    /// The information block, the hand-off or the reserve lies in no section that can be written.
    #[error("the boot header points to {0}, which is in no section that can be written")]
    Target(PhysAddr),
    /// A service's address is in no section of its kind.
    #[error("the boot header has a service at {0}, where there can be none")]
    Service(VirtAddr),
}

impl BootSection {
    /// Its virtual addresses.
    pub const fn range(&self) -> Option<VirtRange> {
        VirtRange::from_bounds(VirtAddr::new(self.start), VirtAddr::new(self.end))
    }

    /// Where it is loaded.
    pub const fn physical(&self) -> Option<PhysRange> {
        match self.range() {
            Some(range) => PhysRange::new(PhysAddr::new(self.load), range.size()),
            None => None,
        }
    }

    /// How it is mapped; `None` where it is not.
    pub fn leaf_flags(&self) -> Option<LeafFlags> {
        let flags = u8::try_from(self.flags).map(LeafFlags::from_bits_retain);
        flags.ok().filter(|flags| !flags.is_empty())
    }

    /// Its name.
    pub fn name(&self) -> &str {
        name_text(&self.name)
    }
}

impl BootHeader {
    /// The sections that count; none before [`check`](Self::check) has said that it is sound.
    pub fn sections(&self) -> &[BootSection] {
        self.sections
            .get(..self.section_count as usize)
            .unwrap_or(&[])
    }

    /// The layout's name.
    pub fn layout(&self) -> &str {
        name_text(&self.layout)
    }

    /// Whether S-mode starts untranslated.
    pub const fn starts_bare(&self) -> bool {
        self.paging == paging::BARE
    }

    /// The first physical address after the image.
    pub fn image_end(&self) -> Option<PhysAddr> {
        Some(self.sections().last()?.physical()?.end())
    }

    /// Whether a program may be started from this: every section in `ram`, in ascending order, on
    /// page boundaries; the targets of all pointers where they must be.
    ///
    /// # Errors
    /// [`HeaderError`].
    pub fn check(&self, ram: PhysRange) -> Result<(), HeaderError> {
        if self.magic != BOOT_MAGIC {
            return Err(HeaderError::Magic(self.magic));
        }
        if self.version != BOOT_VERSION {
            return Err(HeaderError::Version(self.version));
        }
        if self.section_count > MAX_SECTIONS as u64 {
            return Err(HeaderError::SectionCount(self.section_count));
        }
        let (mut lowest_virt, mut lowest_phys) = (0, ram.start().as_u64());
        for (index, section) in self.sections().iter().enumerate() {
            let wrong = HeaderError::Section(index, section.start, section.end);
            let (Some(virt), Some(phys)) = (section.range(), section.physical()) else {
                return Err(wrong);
            };
            let on_pages = virt.start().is_aligned(PAGE_SIZE)
                && virt.size().is_multiple_of(PAGE_SIZE)
                && phys.start().is_aligned(PAGE_SIZE);
            let ascends = section.start >= lowest_virt && section.load >= lowest_phys;
            if virt.is_empty() || !on_pages || !ascends || !ram.contains_range(phys) {
                return Err(wrong);
            }
            if u8::try_from(section.flags).is_err() {
                return Err(HeaderError::Flags(index, section.flags));
            }
            (lowest_virt, lowest_phys) = (section.end, phys.end().as_u64());
        }
        if self.paging > paging::BARE {
            return Err(HeaderError::Paging(self.paging));
        }
        let entry = VirtAddr::new(self.entry);
        let executable = |section: &BootSection| {
            let flags = section.leaf_flags().unwrap_or_default();
            let holds_entry = if self.starts_bare() {
                let entry = PhysAddr::new(self.entry);
                section
                    .physical()
                    .is_some_and(|range| range.contains(entry))
            } else {
                section.range().is_some_and(|range| range.contains(entry))
            };
            flags.contains(LeafFlags::EXECUTE) && holds_entry
        };
        if !self.sections().iter().any(executable) {
            return Err(HeaderError::Entry(entry));
        }
        self.check_target(self.info, size_of::<pagescope_protocol::info::InfoBlock>())?;
        self.check_target(self.hand_off, size_of::<HandOff>())?;
        if !self.starts_bare() {
            self.check_target(self.reserve, size_of::<Reserve>())?;
        }
        self.check_service(self.services.kalloc, LeafFlags::EXECUTE)?;
        self.check_service(self.services.kalloc_done, LeafFlags::EXECUTE)?;
        self.check_service(self.services.busy, LeafFlags::WRITE)
    }

    /// A service that is not offered is sound.
    fn check_service(&self, address: u64, flag: LeafFlags) -> Result<(), HeaderError> {
        let address = VirtAddr::new(address);
        let holds = |section: &BootSection| {
            let flags = section.leaf_flags().unwrap_or_default();
            flags.contains(flag) && section.range().is_some_and(|range| range.contains(address))
        };
        let sound = address.as_u64() == 0 || self.sections().iter().any(holds);
        sound.then_some(()).ok_or(HeaderError::Service(address))
    }

    fn check_target(&self, address: u64, size_bytes: usize) -> Result<(), HeaderError> {
        let address = PhysAddr::new(address);
        let target = PhysRange::new(address, size_bytes as u64);
        let holds = |section: &BootSection| {
            let flags = section.leaf_flags().unwrap_or_default();
            flags.contains(LeafFlags::WRITE)
                && target
                    .zip(section.physical())
                    .is_some_and(|(target, section)| section.contains_range(target))
        };
        let held = address.is_aligned(8) && self.sections().iter().any(holds);
        held.then_some(()).ok_or(HeaderError::Target(address))
    }
}

const _: () = assert!(size_of::<BootSection>() == 5 * 8 + 24);
const _: () = assert!(size_of::<BootHeader>() == 11 * 8 + 24 + MAX_SECTIONS * 64);

#[cfg(test)]
mod tests;

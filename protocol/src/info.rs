//! The kernel's information block: a binary interface between our kernel and the inspector.
//!
//! The machine program begins with an [`InfoPointer`] eight bytes after the ELF's entry, so that the
//! block is found without symbols; with them, it is the symbol [`INFO_SYMBOL`]. All numbers are
//! little-endian `u64`. Addresses are physical. A reader believes nothing before
//! [`InfoBlock::parse`] has checked magic, version and size, and treats every address in it as
//! a claim: it reads there only if it is RAM.
//!
//! ```text
//!  entry + 0   j _start
//!  entry + 8   InfoPointer { magic, block }
//!                                    │
//!  block + 0   InfoBlock { magic, version, size, layout, strategy, heap …, regions, spaces, trace }
//!                                                                            │       │       │
//!                          [Region; region_count] ◀──────────────────────────┘       │       │
//!                          [SpaceRecord; space_count] ◀──────────────────────────────┘       │
//!                          [TraceEvent; trace_capacity], a ring ◀────────────────────────────┘
//! ```
//!
//! A guest may be stopped while it changes its tables of regions and spaces: [`InfoBlock::changing`]
//! is not 0 then, and what was read may be half of the old and half of the new.

use core::mem::{offset_of, size_of};

use thiserror::Error;

/// The symbol that names the block in the kernel's ELF.
pub const INFO_SYMBOL: &str = "PAGESCOPE_INFO";

/// The block's first eight bytes: `PAGESCOP`.
pub const INFO_MAGIC: u64 = u64::from_le_bytes(*b"PAGESCOP");

/// The pointer's first eight bytes: `PAGEINFO`.
pub const POINTER_MAGIC: u64 = u64::from_le_bytes(*b"PAGEINFO");

/// The version of the block that this code writes and reads.
pub const INFO_VERSION: u64 = 3;

/// Bytes after the ELF's entry at which the [`InfoPointer`] lies.
pub const POINTER_OFFSET: u64 = 8;

/// Most regions that a reader accepts.
pub const MAX_REGIONS: u64 = 4096;

/// Most address spaces that a reader accepts.
pub const MAX_SPACES: u64 = 1024;

/// Most trace events that a reader accepts.
pub const MAX_TRACE: u64 = 1 << 16;

/// Byte that fills a page handed out by `kalloc`.
pub const FRESH_FILL: u8 = 0xa5;

/// Byte that fills a page taken back by `kfree`.
pub const FREED_FILL: u8 = 0x5a;

/// A text of at most 24 bytes of ASCII, ended by a zero byte where shorter.
pub type Name = [u8; 24];

/// A sentence of at most 48 bytes, as a [`Name`] is.
pub type Description = [u8; 48];

/// The [`Name`] with this text, cut to 24 bytes.
pub const fn name(text: &str) -> Name {
    text_bytes(text)
}

/// The [`Description`] with this text, cut to 48 bytes.
pub const fn description(text: &str) -> Description {
    text_bytes(text)
}

const fn text_bytes<const SIZE: usize>(text: &str) -> [u8; SIZE] {
    let mut bytes = [0; SIZE];
    let mut index = 0;
    while index < bytes.len() && index < text.len() {
        bytes[index] = text.as_bytes()[index];
        index += 1;
    }
    bytes
}

/// A name's text, up to its first zero byte or its first byte that is not printable ASCII.
pub fn name_text(name: &[u8]) -> &str {
    let end = name
        .iter()
        .position(|byte| !matches!(byte, b' '..=b'~'))
        .unwrap_or(name.len());
    core::str::from_utf8(&name[..end]).unwrap_or("")
}

/// Where the block is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(C)]
pub struct InfoPointer {
    /// [`POINTER_MAGIC`].
    pub magic: u64,
    /// The block's physical address; 0 before the supervisor program has been loaded.
    pub block: u64,
}

/// The facts themselves.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(C)]
pub struct InfoBlock {
    /// [`INFO_MAGIC`].
    pub magic: u64,
    /// [`INFO_VERSION`].
    pub version: u64,
    /// Bytes of the block.
    pub size: u64,
    /// The layout's name.
    pub layout: Name,
    /// The self-mapping strategy's name, as `tables=` says it.
    pub strategy: Name,
    /// First byte of RAM.
    pub ram_start: u64,
    /// Bytes of RAM.
    pub ram_size: u64,
    /// Where the heap counter lies: a u64 that counts pages handed out (S0.4).
    pub heap_counter: u64,
    /// The page that `kalloc(0)` returned: the heap grows down from here.
    pub heap_top: u64,
    /// The lowest page that `kalloc` may return.
    pub heap_bottom: u64,
    /// The page that `kalloc` takes next when nothing has been freed.
    pub heap_next: u64,
    /// Pages that were freed and wait to be handed out again.
    pub freed_pages: u64,
    /// Zeroed pages that wait to become tables; with `pool` they are mapped meanwhile.
    pub reserve: u64,
    /// The fewest that there ever were after the reserve had been filled again.
    pub reserve_low: u64,
    /// How many the strategy keeps, so that any one `map` can be served. `reserve_low` is never below it:
    /// what could not be replaced is not taken.
    pub reserve_mark: u64,
    /// The deepest that `kalloc` ever was inside itself: 1 is a plain call (S1.9).
    pub kalloc_depth_max: u64,
    /// Calls of `map()`.
    pub map_calls: u64,
    /// Traps that the machine program took for page tables (S1.6).
    pub machine_table_traps: u64,
    /// Traps of any other kind that the machine program took.
    pub machine_other_traps: u64,
    /// Where the [`Region`]s lie.
    pub regions: u64,
    /// How many there are.
    pub region_count: u64,
    /// Where the ring of [`TraceEvent`]s lies.
    pub trace: u64,
    /// How many the ring holds.
    pub trace_capacity: u64,
    /// How many events there have been; the next one goes to this, modulo the capacity.
    pub trace_count: u64,
    /// Where the [`SpaceRecord`]s lie.
    pub spaces: u64,
    /// How many there are.
    pub space_count: u64,
    /// How many harts are changing regions or spaces at this moment.
    pub changing: u64,
}

/// Where a [`Region`]'s address counts.
pub mod region_space {
    /// The address is physical.
    pub const PHYSICAL: u64 = 0;
    /// The address is virtual.
    pub const VIRTUAL: u64 = 1;
}

/// What a [`Region`] is for.
pub mod region_kind {
    /// Instructions.
    pub const TEXT: u64 = 1;
    /// Constants.
    pub const RODATA: u64 = 2;
    /// Variables.
    pub const DATA: u64 = 3;
    /// A stack.
    pub const STACK: u64 = 4;
    /// Never mapped, so that overflow faults.
    pub const GUARD: u64 = 5;
    /// Pages from `kalloc`.
    pub const HEAP: u64 = 6;
    /// The heap counter.
    pub const HEAP_COUNTER: u64 = 7;
    /// Page tables.
    pub const TABLES: u64 = 8;
    /// A device's registers.
    pub const DEVICE: u64 = 9;
    /// The machine program.
    pub const MACHINE: u64 = 10;
    /// A hart's own struct: its number, its state, its stack.
    pub const CPU: u64 = 11;
    /// RAM seen at an offset.
    pub const LINEAR_MAP: u64 = 12;
    /// Variables that every process has its own copy of.
    pub const SHARED_DATA: u64 = 13;
    /// Address space that is kept free for something: it may become mapped.
    pub const RESERVED: u64 = 14;
    /// A user program's own.
    pub const USER: u64 = 15;
    /// Anything else.
    pub const OTHER: u64 = 0;
}

/// A named stretch of memory.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(C)]
pub struct Region {
    /// First byte.
    pub address: u64,
    /// Bytes.
    pub size: u64,
    /// One of [`region_space`].
    pub space: u64,
    /// One of [`region_kind`].
    pub kind: u64,
    /// The [`SpaceRecord::id`] of the only address space in which it counts, or [`EVERY_SPACE`]. A
    /// physical region may have an owner, too: the space whose frames these are.
    pub owner: u64,
    /// Its name, as maps show it.
    pub name: Name,
    /// Which allocator it came from, where it came from one: `virtual_page`.
    pub tag: Name,
    /// What it is for.
    pub description: Description,
}

/// The owner of a [`Region`] that counts in every address space.
pub const EVERY_SPACE: u64 = 0;

/// Whose address space a [`SpaceRecord`] is.
pub mod space_kind {
    /// The kernel's own, of which there is one.
    pub const KERNEL: u64 = 1;
    /// A hart's.
    pub const HART: u64 = 2;
    /// A process's.
    pub const PROCESS: u64 = 3;
}

/// An address space that the kernel knows, whether a hart runs in it now or not.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(C)]
pub struct SpaceRecord {
    /// What [`Region::owner`] and [`TraceEvent::space`] call it: not 0, and never used again.
    pub id: u64,
    /// What satp is when a hart runs in it.
    pub satp: u64,
    /// One of [`space_kind`].
    pub kind: u64,
    /// Which hart, or which process.
    pub number: u64,
    /// Its name: `kernel`, `hart 2`, `process 3 init`.
    pub name: Name,
}

/// What happened, in a [`TraceEvent`].
pub mod trace_kind {
    /// `kalloc` returned `address`.
    pub const KALLOC: u64 = 1;
    /// `kfree` took `address` back.
    pub const KFREE: u64 = 2;
    /// `map` mapped `address` to `argument`.
    pub const MAP: u64 = 3;
    /// `unmap` unmapped `address`.
    pub const UNMAP: u64 = 4;
    /// The leaves of `address` have other flags now.
    pub const PROTECT: u64 = 5;
    /// The hart runs in `space` from now on.
    pub const SWITCH: u64 = 6;
    /// A fault at `address`; `argument` is scause, and `caller` sepc.
    pub const FAULT: u64 = 7;
    /// The process `argument` began, in `space`.
    pub const SPAWN: u64 = 8;
    /// The process `argument` ended, and `space` with it.
    pub const EXIT: u64 = 9;
    /// Address space was handed out, with nothing mapped there.
    pub const RESERVE: u64 = 10;
    /// Address space was given back.
    pub const RELEASE: u64 = 11;
}

/// One thing that the kernel did.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(C)]
pub struct TraceEvent {
    /// Its number, from 0; tells an overwritten slot from a fresh one.
    pub sequence: u64,
    /// One of [`trace_kind`].
    pub kind: u64,
    /// What it was done to.
    pub address: u64,
    /// What more there is to say: for `MAP` the physical address, for `KALLOC` the heap counter.
    pub argument: u64,
    /// Bytes.
    pub size: u64,
    /// Bits of [`LeafFlags`](crate::LeafFlags), where it is about leaves.
    pub flags: u64,
    /// The return address of the call.
    pub caller: u64,
    /// The hart that did it.
    pub hart: u64,
    /// The [`SpaceRecord::id`] of the space that was changed; [`EVERY_SPACE`] where it is about none,
    /// or about all.
    pub space: u64,
    /// `time` when it happened, in ticks.
    pub time: u64,
}

/// Why a block is not believed.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Error)]
pub enum InfoError {
    /// Fewer bytes than the block has.
    #[error("{given} bytes are too few for the kernel's information block of {needed}")]
    TooShort {
        /// Bytes given.
        given: usize,
        /// Bytes needed.
        needed: usize,
    },
    /// The first eight bytes are something else.
    #[error("no information block here: it begins with {0:#018x}")]
    Magic(u64),
    /// A version that this program does not read.
    #[error("the kernel's information block has version {0}; this program reads {INFO_VERSION}")]
    Version(u64),
    /// It says that it is smaller than its version is.
    #[error("the kernel's information block says that it has {0} bytes")]
    Size(u64),
    /// More regions or events than anybody has.
    #[error("the kernel's information block claims {0} entries in a table")]
    Count(u64),
}

fn word(bytes: &[u8], offset: usize) -> Option<u64> {
    let bytes = bytes.get(offset..offset.checked_add(8)?)?;
    Some(u64::from_le_bytes(bytes.try_into().ok()?))
}

fn text_at<const SIZE: usize>(bytes: &[u8], offset: usize) -> Option<[u8; SIZE]> {
    bytes
        .get(offset..offset.checked_add(SIZE)?)?
        .try_into()
        .ok()
}

impl InfoPointer {
    /// The pointer in the first sixteen of `bytes`; `None` without the magic, or where it is 0.
    pub fn parse(bytes: &[u8]) -> Option<Self> {
        let magic = word(bytes, offset_of!(Self, magic))?;
        let block = word(bytes, offset_of!(Self, block))?;
        (magic == POINTER_MAGIC && block != 0).then_some(Self { magic, block })
    }
}

impl InfoBlock {
    /// Bytes of the block.
    pub const SIZE: usize = size_of::<Self>();

    /// A block with everything but magic, version and size zero.
    pub const EMPTY: Self = Self {
        magic: INFO_MAGIC,
        version: INFO_VERSION,
        size: Self::SIZE as u64,
        layout: [0; 24],
        strategy: [0; 24],
        ram_start: 0,
        ram_size: 0,
        heap_counter: 0,
        heap_top: 0,
        heap_bottom: 0,
        heap_next: 0,
        freed_pages: 0,
        reserve: 0,
        reserve_low: 0,
        reserve_mark: 0,
        kalloc_depth_max: 0,
        map_calls: 0,
        machine_table_traps: 0,
        machine_other_traps: 0,
        regions: 0,
        region_count: 0,
        trace: 0,
        trace_capacity: 0,
        trace_count: 0,
        spaces: 0,
        space_count: 0,
        changing: 0,
    };

    /// The block in `bytes`, which may go on after it.
    ///
    /// # Errors
    /// [`InfoError`] where the bytes are not such a block.
    pub fn parse(bytes: &[u8]) -> Result<Self, InfoError> {
        let too_short = InfoError::TooShort {
            given: bytes.len(),
            needed: Self::SIZE,
        };
        let at = |offset| word(bytes, offset).ok_or(too_short);
        let name = |offset| text_at(bytes, offset).ok_or(too_short);
        let magic = at(offset_of!(Self, magic))?;
        if magic != INFO_MAGIC {
            return Err(InfoError::Magic(magic));
        }
        let version = at(offset_of!(Self, version))?;
        if version != INFO_VERSION {
            return Err(InfoError::Version(version));
        }
        let size = at(offset_of!(Self, size))?;
        if size < Self::SIZE as u64 {
            return Err(InfoError::Size(size));
        }
        let block = Self {
            magic,
            version,
            size,
            layout: name(offset_of!(Self, layout))?,
            strategy: name(offset_of!(Self, strategy))?,
            ram_start: at(offset_of!(Self, ram_start))?,
            ram_size: at(offset_of!(Self, ram_size))?,
            heap_counter: at(offset_of!(Self, heap_counter))?,
            heap_top: at(offset_of!(Self, heap_top))?,
            heap_bottom: at(offset_of!(Self, heap_bottom))?,
            heap_next: at(offset_of!(Self, heap_next))?,
            freed_pages: at(offset_of!(Self, freed_pages))?,
            reserve: at(offset_of!(Self, reserve))?,
            reserve_low: at(offset_of!(Self, reserve_low))?,
            reserve_mark: at(offset_of!(Self, reserve_mark))?,
            kalloc_depth_max: at(offset_of!(Self, kalloc_depth_max))?,
            map_calls: at(offset_of!(Self, map_calls))?,
            machine_table_traps: at(offset_of!(Self, machine_table_traps))?,
            machine_other_traps: at(offset_of!(Self, machine_other_traps))?,
            regions: at(offset_of!(Self, regions))?,
            region_count: at(offset_of!(Self, region_count))?,
            trace: at(offset_of!(Self, trace))?,
            trace_capacity: at(offset_of!(Self, trace_capacity))?,
            trace_count: at(offset_of!(Self, trace_count))?,
            spaces: at(offset_of!(Self, spaces))?,
            space_count: at(offset_of!(Self, space_count))?,
            changing: at(offset_of!(Self, changing))?,
        };
        if block.region_count > MAX_REGIONS {
            return Err(InfoError::Count(block.region_count));
        }
        if block.space_count > MAX_SPACES {
            return Err(InfoError::Count(block.space_count));
        }
        if block.trace_capacity > MAX_TRACE {
            return Err(InfoError::Count(block.trace_capacity));
        }
        Ok(block)
    }
}

impl Region {
    /// Nothing, everywhere: what unused places of a table hold.
    pub const EMPTY: Self = Self {
        address: 0,
        size: 0,
        space: region_space::PHYSICAL,
        kind: region_kind::OTHER,
        owner: EVERY_SPACE,
        name: [0; 24],
        tag: [0; 24],
        description: [0; 48],
    };

    /// Bytes of a region in the table.
    pub const SIZE: usize = size_of::<Self>();

    /// The region in the first bytes of `bytes`; `None` where there are too few.
    pub fn parse(bytes: &[u8]) -> Option<Self> {
        Some(Self {
            address: word(bytes, offset_of!(Self, address))?,
            size: word(bytes, offset_of!(Self, size))?,
            space: word(bytes, offset_of!(Self, space))?,
            kind: word(bytes, offset_of!(Self, kind))?,
            owner: word(bytes, offset_of!(Self, owner))?,
            name: text_at(bytes, offset_of!(Self, name))?,
            tag: text_at(bytes, offset_of!(Self, tag))?,
            description: text_at(bytes, offset_of!(Self, description))?,
        })
    }
}

impl SpaceRecord {
    /// No space: what unused places of a table hold.
    pub const EMPTY: Self = Self {
        id: 0,
        satp: 0,
        kind: 0,
        number: 0,
        name: [0; 24],
    };

    /// Bytes of a record in the table.
    pub const SIZE: usize = size_of::<Self>();

    /// The record in the first bytes of `bytes`; `None` where there are too few.
    pub fn parse(bytes: &[u8]) -> Option<Self> {
        Some(Self {
            id: word(bytes, offset_of!(Self, id))?,
            satp: word(bytes, offset_of!(Self, satp))?,
            kind: word(bytes, offset_of!(Self, kind))?,
            number: word(bytes, offset_of!(Self, number))?,
            name: text_at(bytes, offset_of!(Self, name))?,
        })
    }
}

impl TraceEvent {
    /// No event: what unused places of the ring hold. No event has its sequence.
    pub const EMPTY: Self = Self {
        sequence: u64::MAX,
        kind: 0,
        address: 0,
        argument: 0,
        size: 0,
        flags: 0,
        caller: 0,
        hart: 0,
        space: EVERY_SPACE,
        time: 0,
    };

    /// Bytes of an event in the ring.
    pub const SIZE: usize = size_of::<Self>();

    /// The event in the first bytes of `bytes`; `None` where there are too few.
    pub fn parse(bytes: &[u8]) -> Option<Self> {
        Some(Self {
            sequence: word(bytes, offset_of!(Self, sequence))?,
            kind: word(bytes, offset_of!(Self, kind))?,
            address: word(bytes, offset_of!(Self, address))?,
            argument: word(bytes, offset_of!(Self, argument))?,
            size: word(bytes, offset_of!(Self, size))?,
            flags: word(bytes, offset_of!(Self, flags))?,
            caller: word(bytes, offset_of!(Self, caller))?,
            hart: word(bytes, offset_of!(Self, hart))?,
            space: word(bytes, offset_of!(Self, space))?,
            time: word(bytes, offset_of!(Self, time))?,
        })
    }
}

// Both sides are built from this file; these keep an accidental change of the interface from
// going unnoticed.
const _: () = assert!(InfoBlock::SIZE == 3 * 8 + 2 * 24 + 22 * 8);
const _: () = assert!(Region::SIZE == 5 * 8 + 2 * 24 + 48);
const _: () = assert!(SpaceRecord::SIZE == 4 * 8 + 24);
const _: () = assert!(TraceEvent::SIZE == 10 * 8);

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::vec;
    use std::vec::Vec;

    fn bytes_of(words: &[(usize, u64)]) -> Vec<u8> {
        let mut bytes = vec![0; InfoBlock::SIZE];
        for (offset, word) in words {
            bytes[*offset..offset + 8].copy_from_slice(&word.to_le_bytes());
        }
        bytes
    }

    fn valid() -> Vec<u8> {
        bytes_of(&[
            (0, INFO_MAGIC),
            (8, INFO_VERSION),
            (16, InfoBlock::SIZE as u64),
        ])
    }

    #[test]
    fn a_plain_block_is_the_empty_one() {
        assert_eq!(InfoBlock::parse(&valid()), Ok(InfoBlock::EMPTY));
    }

    #[test]
    fn foreign_bytes_are_refused() {
        let mut newer = valid();
        newer[8] = 9;
        assert_eq!(InfoBlock::parse(&newer), Err(InfoError::Version(9)));
        assert_eq!(InfoBlock::parse(&[0; 300]), Err(InfoError::Magic(0)));
        assert!(matches!(
            InfoBlock::parse(&valid()[..40]),
            Err(InfoError::TooShort { .. })
        ));
        let mut absurd = valid();
        let offset = offset_of!(InfoBlock, region_count);
        absurd[offset..offset + 8].copy_from_slice(&u64::MAX.to_le_bytes());
        assert_eq!(InfoBlock::parse(&absurd), Err(InfoError::Count(u64::MAX)));
    }

    #[test]
    fn names_end_at_the_first_odd_byte() {
        assert_eq!(name_text(&name("pseudos")), "pseudos");
        assert_eq!(name_text(b"a\x1b[31m"), "a");
        assert_eq!(
            name_text(&name("a name of more than 24 bytes")),
            "a name of more than 24 b"
        );
    }

    proptest! {
        #[test]
        fn parsing_never_panics(bytes: Vec<u8>) {
            let _ = InfoBlock::parse(&bytes);
            let _ = Region::parse(&bytes);
            let _ = SpaceRecord::parse(&bytes);
            let _ = TraceEvent::parse(&bytes);
            let _ = InfoPointer::parse(&bytes);
        }
    }
}

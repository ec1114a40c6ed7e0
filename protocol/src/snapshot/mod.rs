//! A snapshot: everything that Pagescope knows about a guest's memory at one moment.
//!
//! Immutable once captured. Written as RON for people first (see [`text`]): addresses are
//! hexadecimal, mappings are coalesced and named, one line each. A [`Recording`] is a first
//! snapshot and what each later stop changed.
//!
//! Every field that may be missing in an older or smaller file has a default, and unknown fields
//! are passed over, so that old readers read new files.

mod entries;
mod hex;
mod lecture;
mod list_edit;
mod mapping_list;
mod names;
mod recording;
mod region;
mod shared;
mod staged;
mod table_list;
mod taken;
pub mod text;
mod trace;

use alloc::string::String;
use alloc::sync::Arc;
use alloc::vec::Vec;

use serde::{Deserialize, Serialize};

use crate::access::Extensions;
use crate::addr::{PhysAddr, PhysPage, PhysRange, VirtAddr};
use crate::coalesce::MappedRange;
use crate::level::Level;
use crate::mode::TranslationMode;
use crate::pte::{LeafFlags, Pte};
use crate::satp::Satp;
use crate::translate::{Translation, translate};
use crate::walk::TableWords;

pub use entries::{TableEntries, UnpackError};
pub use lecture::{
    Bookmark, LectureStep, LectureView, MAX_CAPTION_BYTES, MAX_LECTURE_STEPS, Pointed, PointedError,
};
pub use list_edit::ListEdit;
pub use mapping_list::MappingList;
pub use recording::{Recording, RecordingError, RecordingStep, SpaceChange};
pub use region::{Region, RegionKind, RegionSpace};
pub use shared::Shared;
pub use staged::{SpaceFault, SpaceOutcome, SpaceTranslation, TableIndex};
pub use table_list::TableList;
pub use taken::{Taken, Unsettled};
pub use trace::{MAX_TRACE_EVENTS, TraceEvent, TraceKind};

/// The version of the format that this code writes.
pub const FORMAT_VERSION: u32 = 1;

/// A guest's memory at one moment.
#[derive(Clone, PartialEq, Debug, Default, Serialize, Deserialize)]
pub struct Snapshot {
    /// Format version, [`FORMAT_VERSION`].
    pub version: u32,
    /// Where this comes from.
    pub provenance: Provenance,
    /// What the guest was doing, in words: "kalloc(7) → 0x87ff7000".
    #[serde(default)]
    pub stop: String,
    /// Whether the guest stood still, and what moved where it did not.
    #[serde(default, skip_serializing_if = "Taken::is_stopped")]
    pub taken: Taken,
    /// The lecturer's note.
    #[serde(default)]
    pub notes: String,
    /// What the capture could not find out or does not believe, a sentence each. Older files have these among
    /// the notes.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub warnings: Vec<String>,
    /// What the kernel says of itself; `None` where it says nothing.
    #[serde(default)]
    pub kernel: Option<KernelFacts>,
    /// The heap, where the kernel publishes one.
    #[serde(default)]
    pub heap: Option<Heap>,
    /// Every hart.
    #[serde(default)]
    pub harts: Vec<Hart>,
    /// The machine's physical address space, in address order: RAM and devices.
    #[serde(default)]
    pub physical: Shared<Vec<PhysicalRegion>>,
    /// Named stretches of memory: what the kernel published and what its ELF says.
    #[serde(default)]
    pub regions: Shared<Vec<Region>>,
    /// Numbers that were watched.
    #[serde(default)]
    pub watches: Vec<Watch>,
    /// The address spaces.
    #[serde(default)]
    pub spaces: Vec<Space>,
    /// Contents of frames, where they were asked for.
    #[serde(default)]
    pub frames: Shared<Vec<FrameContents>>,
    /// What the kernel did last, oldest first: at most [`MAX_TRACE_EVENTS`].
    #[serde(default)]
    pub trace: Shared<Vec<Arc<TraceEvent>>>,
}

/// Where a snapshot comes from.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct Provenance {
    /// The program that captured it, with its version.
    #[serde(default)]
    pub tool: String,
    /// The guest: the ELF's name or the kernel's own.
    #[serde(default)]
    pub guest: String,
    /// The machine: "QEMU 10.0.2, virt".
    #[serde(default)]
    pub machine: String,
    /// How the memory was read: "mapped RAM", "gdb port".
    #[serde(default)]
    pub link: String,
    /// When, in UTC: `2026-11-21T12:00:00Z`.
    #[serde(default)]
    pub captured_at: String,
    /// Which extensions of paging the machine has, as far as it could be asked.
    #[serde(default, skip_serializing_if = "Extensions::is_unknown")]
    pub extensions: Extensions,
}

/// What our kernel publishes about itself.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct KernelFacts {
    /// The layout: `pseudos`.
    pub layout: String,
    /// The self-mapping strategy: `pool`.
    pub strategy: String,
    /// The deepest that `kalloc` ever was inside itself; 1 is a plain call.
    #[serde(default)]
    pub kalloc_depth_max: u64,
    /// Pages that wait to become tables.
    #[serde(default)]
    pub reserve: u64,
    /// The fewest that there ever were after the reserve had been filled again.
    #[serde(default)]
    pub reserve_low: u64,
    /// The fewest that the strategy promises to keep; `None` in a file from before this was asked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reserve_mark: Option<u64>,
    /// Calls of `map()`; `None` in a file from before this was asked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub map_calls: Option<u64>,
    /// Traps that the machine program took for page tables.
    #[serde(default)]
    pub machine_table_traps: u64,
    /// How many harts were changing the tables of regions and spaces when the guest stood still: what
    /// is said of regions and spaces may be half old and half new where it is not 0.
    #[serde(default, skip_serializing_if = "is_zero_u64")]
    pub changing: u64,
}

/// The page allocator's state.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Heap {
    /// Pages handed out.
    pub counter: u64,
    /// Where that number lies.
    #[serde(with = "hex::phys_addr")]
    pub counter_address: PhysAddr,
    /// The page that `kalloc(0)` returned.
    #[serde(with = "hex::phys_addr")]
    pub top: PhysAddr,
    /// The lowest page that may be handed out.
    #[serde(with = "hex::phys_addr")]
    pub bottom: PhysAddr,
    /// The page that comes next when nothing has been freed.
    #[serde(with = "hex::phys_addr")]
    pub next: PhysAddr,
    /// Pages freed and waiting.
    #[serde(default)]
    pub freed: u64,
}

impl Heap {
    /// Which `kalloc` call returned `address` first, counted from 0; `None` outside of the pages
    /// that were ever handed out.
    pub fn index_of(&self, address: PhysAddr) -> Option<u64> {
        let from_next = address.checked_offset_from(self.next)?;
        let to_top = self
            .top
            .checked_offset_from(address.align_down(crate::PAGE_SIZE))?;
        (from_next >= crate::PAGE_SIZE).then_some(to_top / crate::PAGE_SIZE)
    }
}

/// One hart's registers.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Hart {
    /// Its number, from 0.
    pub id: u32,
    /// Program counter.
    #[serde(default, with = "hex::option_virt_addr")]
    pub pc: Option<VirtAddr>,
    /// What lies there, `kalloc+0x12, kernel/kalloc.c:71`; empty where it is not known.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub place: String,
    /// Privilege mode: `M`, `S`, `U`.
    #[serde(default)]
    pub privilege: Option<String>,
    /// satp, where the stub shows it.
    #[serde(default, with = "hex::option_satp")]
    pub satp: Option<Satp>,
    /// All registers that were read, by name.
    #[serde(default, with = "hex::registers")]
    pub registers: Vec<Register>,
}

/// A register's value.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Register {
    /// Its name in the target's description.
    pub name: String,
    /// Its value.
    pub value: u64,
}

/// What lies in the machine's physical address space.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct PhysicalRegion {
    /// First byte.
    #[serde(with = "hex::phys_addr")]
    pub start: PhysAddr,
    /// Bytes.
    #[serde(with = "hex::word")]
    pub size: u64,
    /// RAM, or a device.
    pub kind: PhysicalKind,
    /// Its name.
    pub name: String,
}

impl PhysicalRegion {
    /// Its addresses; `None` where a file claims a region past the last address.
    pub const fn range(&self) -> Option<PhysRange> {
        PhysRange::new(self.start, self.size)
    }
}

/// What answers at a physical address.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Serialize, Deserialize)]
pub enum PhysicalKind {
    /// Memory.
    Ram,
    /// Memory that is not written.
    Rom,
    /// A device's registers.
    Device,
}

/// A number that was watched.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Watch {
    /// Its name.
    pub name: String,
    /// Where it lies.
    #[serde(with = "hex::phys_addr")]
    pub address: PhysAddr,
    /// Its value; `None` where it could not be read.
    #[serde(default)]
    pub value: Option<u64>,
    /// How many bytes the number has: 1, 2, 4 or 8.
    #[serde(default = "whole_word", skip_serializing_if = "is_whole_word")]
    pub bytes: u8,
}

/// One address space.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Space {
    /// Its name: the kernel's for it, `process 3 init`, or the harts that run in it, `hart 0`.
    pub name: String,
    /// How it is translated.
    #[serde(with = "hex::mode")]
    pub mode: TranslationMode,
    /// Its identifier in satp.
    #[serde(default)]
    pub asid: u16,
    /// The root table's frame.
    #[serde(with = "hex::phys_page")]
    pub root: PhysPage,
    /// Whose it is, where the kernel says so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kind: Option<SpaceKind>,
    /// Which hart's or which process's, where the kernel says so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub number: Option<u64>,
    /// The harts that run in it now; none where the kernel published it and no hart does.
    #[serde(default)]
    pub harts: Vec<u32>,
    /// The space of the G-stage that its tables and results go through, by name: then its tables' frames
    /// and what its mappings lead to are guest physical.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub through: Option<String>,
    /// Whether a limit cut the tables or the mappings short.
    #[serde(default)]
    pub truncated: bool,
    /// Its tables, root first, then level by level.
    #[serde(default)]
    pub tables: TableList,
    /// Its mappings in address order.
    #[serde(default)]
    pub mappings: MappingList,
}

/// Whose address space it is.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
pub enum SpaceKind {
    /// The kernel's own.
    Kernel,
    /// A hart's.
    Hart,
    /// A process's.
    Process,
    /// One that a hart ran in at an earlier stop.
    Seen,
    /// One whose root somebody found: by a scan of RAM, or told it.
    Found,
    /// A hypervisor's guest's: the first stage, by vsatp.
    Guest,
    /// What a hypervisor's guest has for physical memory: the G-stage, by hgatp.
    GuestPhysical,
    /// Anything else, and what a newer version has a word for.
    #[serde(other)]
    Other,
}

/// One page table.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Table {
    /// Its level.
    #[serde(with = "hex::level")]
    pub level: Level,
    /// Its frame.
    #[serde(with = "hex::phys_page")]
    pub frame: PhysPage,
    /// The first address that it translates, on the first path that leads to it.
    #[serde(with = "hex::virt_addr")]
    pub covers_from: VirtAddr,
    /// The frame of the table that links it first; `None` for the root.
    #[serde(
        default,
        with = "hex::option_phys_page",
        skip_serializing_if = "Option::is_none"
    )]
    pub parent: Option<PhysPage>,
    /// The entry there.
    #[serde(default, skip_serializing_if = "is_zero_u16")]
    pub parent_index: u16,
    /// Further entries that lead to it.
    #[serde(default, skip_serializing_if = "is_zero_u32")]
    pub other_parents: u32,
    /// Its entries; `None` where the frame could not be read.
    #[serde(default)]
    pub entries: Option<TableEntries>,
}

// serde's `skip_serializing_if` hands a reference.
fn is_zero_u16(number: &u16) -> bool {
    *number == 0
}

fn is_zero_u32(number: &u32) -> bool {
    *number == 0
}

const fn whole_word() -> u8 {
    8
}

fn is_whole_word(bytes: &u8) -> bool {
    *bytes == whole_word()
}

fn is_zero_u64(number: &u64) -> bool {
    *number == 0
}

impl Table {
    /// Entry `index`; `None` where the frame could not be read, or past the last.
    pub fn entry(&self, index: usize) -> Option<Pte> {
        self.entries
            .as_ref()?
            .words()
            .get(index)
            .copied()
            .map(Pte::from_bits)
    }

    /// All entries in order; none where the frame could not be read.
    pub fn iter(&self) -> impl Iterator<Item = (usize, Pte)> + '_ {
        let words = self
            .entries
            .iter()
            .flat_map(|entries| entries.words().iter());
        words
            .enumerate()
            .map(|(index, bits)| (index, Pte::from_bits(*bits)))
    }

    /// How many entries are valid.
    pub fn valid_entries(&self) -> usize {
        self.iter().filter(|(_, pte)| pte.is_valid()).count()
    }
}

/// A run of leaves, with a name where one is known.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Mapping {
    /// First virtual address.
    #[serde(rename = "va", with = "hex::virt_addr")]
    pub virt: VirtAddr,
    /// What it leads to.
    #[serde(rename = "pa", with = "hex::phys_addr")]
    pub phys: PhysAddr,
    /// Bytes.
    #[serde(with = "hex::word")]
    pub size: u64,
    /// Bytes of each leaf.
    pub page_size: u64,
    /// The leaves' flags: `rw---ad`.
    #[serde(with = "hex::flags")]
    pub flags: LeafFlags,
    /// What it is; empty where nothing is known.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub name: String,
}

impl From<MappedRange> for Mapping {
    fn from(range: MappedRange) -> Self {
        let MappedRange {
            virt,
            phys,
            size,
            page_size,
            flags,
        } = range;
        Self {
            virt,
            phys,
            size,
            page_size,
            flags,
            name: String::new(),
        }
    }
}

impl From<&Mapping> for MappedRange {
    fn from(mapping: &Mapping) -> Self {
        let Mapping {
            virt,
            phys,
            size,
            page_size,
            flags,
            name: _,
        } = *mapping;
        Self {
            virt,
            phys,
            size,
            page_size,
            flags,
        }
    }
}

impl Mapping {
    /// The physical address that `address` leads to; `None` outside of this mapping.
    pub fn translate(&self, address: VirtAddr) -> Option<PhysAddr> {
        let offset = address.checked_offset_from(self.virt)?;
        (offset < self.size).then(|| self.phys.wrapping_add(offset))
    }
}

/// A frame's 4096 bytes.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct FrameContents {
    /// The frame.
    #[serde(with = "hex::phys_page")]
    pub frame: PhysPage,
    /// Its words, packed like a table's entries.
    pub words: TableEntries,
}

impl Snapshot {
    /// The space that hart `id` runs in.
    pub fn space_of_hart(&self, id: u32) -> Option<&Space> {
        self.spaces.iter().find(|space| space.harts.contains(&id))
    }

    /// The space of this name.
    pub fn space_named(&self, name: &str) -> Option<&Space> {
        self.spaces.iter().find(|space| space.name == name)
    }

    /// The machine's RAM.
    pub fn ram(&self) -> impl Iterator<Item = PhysRange> + '_ {
        let ram = self
            .physical
            .iter()
            .filter(|region| region.kind == PhysicalKind::Ram);
        ram.filter_map(PhysicalRegion::range)
    }
}

impl Space {
    /// The table in `frame`, at the highest level that it is used at.
    pub fn table(&self, frame: PhysPage) -> Option<&Arc<Table>> {
        self.tables.in_frame(frame)
    }

    /// The table in `frame` as it is used at `level`.
    pub fn table_at(&self, frame: PhysPage, level: Level) -> Option<&Arc<Table>> {
        self.tables.at_level(frame, level)
    }

    /// The entry that lies at the physical address `at`, in a table of this space.
    pub fn entry_at(&self, at: PhysAddr) -> Option<Pte> {
        let frame = at.page()?;
        let (table, offset) = match self.table(frame) {
            Some(table) => (table, at.page_offset()),
            // A G-stage root goes on for four frames.
            None => {
                let root = self.tables.first()?;
                (root, at.checked_offset_from(root.frame.start())?)
            }
        };
        table.entry(usize::try_from(offset / self.mode.entry_bytes()).ok()?)
    }

    /// The 512 words of `frame`, where a table of this space fills it or a part of a table does.
    pub fn frame_words(&self, frame: PhysPage) -> Option<TableWords> {
        let entry_bytes = self.mode.entry_bytes();
        let at = |offset: u64| {
            let at = frame.start().checked_add(offset)?;
            self.entry_at(at).map(Pte::bits)
        };
        let mut words = [0; crate::ENTRIES_PER_TABLE];
        for (word, offset) in words.iter_mut().zip((0..).step_by(8)) {
            *word = at(offset)?;
            if entry_bytes == 4 {
                *word |= at(offset + 4)? << 32;
            }
        }
        Some(words)
    }

    /// Its tables that could not be read: what they map is not known.
    pub fn unread_tables(&self) -> impl Iterator<Item = &Arc<Table>> {
        self.tables.iter().filter(|table| table.entries.is_none())
    }

    /// Translates `address` through the tables in this snapshot.
    pub fn translate(&self, address: VirtAddr) -> Translation {
        let read = |at: PhysAddr| Ok::<_, core::convert::Infallible>(self.entry_at(at));
        match translate(self.mode, self.root, address, read) {
            Ok(translation) => translation,
            Err(never) => match never {},
        }
    }

    /// The mapping that `address` lies in.
    pub fn mapping_of(&self, address: VirtAddr) -> Option<Mapping> {
        let candidate = self.mappings.last_begun_by(address)?;
        candidate.translate(address).map(|_| candidate)
    }
}

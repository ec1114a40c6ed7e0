//! The kernel's heaps, together.
//!
//! ```text
//!  physical       free RAM, by pages, from the top                      addresses only
//!  virtual_huge   0x100000000 and up, by 2^32 bytes                     addresses only
//!  virtual_page   child of virtual_huge, by pages; 2 units at most       addresses only
//!  kalloc's       child of virtual_page, by pages, 2 MiB at a time      addresses only
//!  backed         physical + virtual_page + map_range (S4.7)
//!  general        small objects in backed pages: file general.rs
//! ```
//!
//! Invariants:
//! - A call that fails has changed nothing that can be seen: what it took, it has given back.
//! - Whatever is handed out of virtual address space is tracked; kalloc's pages by the 2 MiB that they lie in.
//! - The table pool is filled up after each call, and never within `map_range`.

mod address_space;
mod backed;
mod mapping;

use pagescope_protocol::info::region_kind;
use pagescope_protocol::{LeafFlags, PAGE_SIZE, PhysAddr, PhysPage, PhysRange, VirtAddr};
use thiserror::Error;

use super::general::General;
use super::id_heap::{Accounts, End, IdError, IdHeap};
use super::table_pool::{CHUNK_SIZE, TablePool};
use super::tables::{MapError, Tables, UnmapError};
use super::tracking::{Record, Records, Tag, Tracking};
use crate::board;
use crate::memory::Memory;
use mapping::POOL;

/// Bytes of a unit of `virtual_huge`.
pub const HUGE: u64 = 1 << 32;

/// The first address of `virtual_huge` (S4.4).
pub const VIRTUAL_HUGE_START: VirtAddr = VirtAddr::new(0x1_0000_0000);

/// The application's heap. The document's 0x7000000000 is no Sv39 address; its unit is not `virtual_huge`'s.
pub const USER_HEAP_START: VirtAddr = VirtAddr::new(0x10_0000_0000);

/// The end of the lower half of Sv39's addresses.
const VIRTUAL_END: u64 = 0x40_0000_0000;

/// How memory of the kernel's is mapped.
pub const KERNEL_RW: LeafFlags = LeafFlags::READ.union(LeafFlags::WRITE);

const PAGES: usize = (board::RAM.size() / PAGE_SIZE) as usize;
const HUGE_PAGES: usize = (HUGE / PAGE_SIZE) as usize;

/// Units of `virtual_huge` that `virtual_page` can have at one time: its accounts take 256 KiB for each.
pub const VIRTUAL_PAGE_UNITS: usize = 2;

/// The memory that the heaps keep their accounts in. All zeros.
#[derive(Debug)]
pub struct Storage {
    physical: Accounts<2, { PAGES / 64 }>,
    virtual_huge: Accounts<2, 1>,
    virtual_page: Accounts<VIRTUAL_PAGE_UNITS, { HUGE_PAGES / 64 }>,
    kalloc: Accounts<64, 8>,
    records: Records,
}

impl Storage {
    /// Nothing.
    pub const EMPTY: Self = Self {
        physical: Accounts::EMPTY,
        virtual_huge: Accounts::EMPTY,
        virtual_page: Accounts::EMPTY,
        kalloc: Accounts::EMPTY,
        records: Records::EMPTY,
    };
}

/// Something that the heaps did.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Event<'e> {
    /// Address space was handed out.
    Reserved(&'e Record),
    /// It was given back.
    Released(&'e Record),
    /// `map_range` mapped bytes from an address on to those from another on.
    Mapped(VirtAddr, PhysAddr, u64, LeafFlags),
    /// `unmap_range` took so many bytes from an address on away.
    Unmapped(VirtAddr, u64),
}

/// Who wants to know what the heaps do.
pub trait Watch {
    /// It has happened, for whoever called from `caller`.
    fn saw(&mut self, event: Event<'_>, caller: u64);
}

/// What a call of the heaps needs of the world around them.
#[derive(Debug)]
pub struct Call<'c, M, W> {
    /// Memory, through the tables as they are.
    pub memory: &'c mut M,
    /// Who is told.
    pub watch: &'c mut W,
    /// The return address of the call: on whose behalf (S4.12).
    pub caller: u64,
}

/// Why a heap refuses.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Error)]
pub enum HeapError {
    /// Physical memory.
    #[error("physical: {0}")]
    Physical(IdError),
    /// Address space.
    #[error("virtual_huge: {0}")]
    VirtualHuge(IdError),
    /// Address space.
    #[error("virtual_page: {0}")]
    VirtualPage(IdError),
    /// More address space than `virtual_page` has accounts for.
    #[error(
        "virtual_page: it has accounts of {VIRTUAL_PAGE_UNITS} units of 2^32 bytes, and no place for {0:#x} bytes more"
    )]
    NoUnit(u64),
    /// Pages from kalloc.
    #[error("kalloc: {0}")]
    Kalloc(IdError),
    /// The tables.
    #[error("map_range: {0}")]
    Map(#[from] MapError),
    /// The tables.
    #[error("unmap_range: {0}")]
    Unmap(#[from] UnmapError),
    /// More allocations than can be tracked.
    #[error("too many allocations to track another")]
    Untracked,
    /// An address at which nothing was handed out, by this heap.
    #[error("nothing of this heap's begins at {0}")]
    NotAllocated(VirtAddr),
    /// Address space that is still mapped.
    #[error("{0} is still mapped")]
    StillMapped(VirtAddr),
    /// The first table could not be had.
    #[error("no page for the root table")]
    NoRoot,
}

/// The heaps, the tables, and what is known of every allocation.
#[derive(Debug)]
pub struct KernelHeaps<'a> {
    physical: IdHeap<'a>,
    virtual_huge: IdHeap<'a>,
    virtual_page: IdHeap<'a>,
    kalloc: IdHeap<'a>,
    tracking: Tracking<'a>,
    tables: Tables,
    pub(super) general: General,
}

impl<'a> KernelHeaps<'a> {
    /// The heaps over the RAM that is left, and tables that map nothing yet but the pool of tables. Until
    /// [`entered`](Self::entered), physical addresses are virtual ones to `call.memory`.
    ///
    /// # Errors
    /// [`HeapError`] where memory does not suffice.
    pub fn new<M: Memory, W: Watch>(
        storage: &'a mut Storage,
        free_ram: &[PhysRange],
        call: &mut Call<'_, M, W>,
    ) -> Result<Self, HeapError> {
        let mut physical = IdHeap::new(PAGE_SIZE, End::Top, &mut storage.physical);
        for region in free_ram {
            let (start, end) = (region.start().as_u64(), region.end().as_u64());
            physical
                .add_range(start, end)
                .map_err(HeapError::Physical)?;
        }
        let mut virtual_huge = IdHeap::new(HUGE, End::Bottom, &mut storage.virtual_huge);
        let user_heap = USER_HEAP_START.as_u64();
        for (start, end) in [
            (VIRTUAL_HUGE_START.as_u64(), user_heap),
            (user_heap + HUGE, VIRTUAL_END),
        ] {
            let added = virtual_huge.add_range(start, end);
            added.map_err(HeapError::VirtualHuge)?;
        }
        let frames = physical.alloc(CHUNK_SIZE).map_err(HeapError::Physical)?;
        let mut pool = TablePool::EMPTY;
        pool.add_chunk(frame(frames), VirtAddr::new(frames));
        let mut heaps = Self {
            physical,
            virtual_huge,
            virtual_page: IdHeap::new(PAGE_SIZE, End::Bottom, &mut storage.virtual_page),
            kalloc: IdHeap::new(PAGE_SIZE, End::Bottom, &mut storage.kalloc),
            tracking: Tracking::new(&mut storage.records),
            tables: Tables::new(pool, call.memory).ok_or(HeapError::NoRoot)?,
            general: General::EMPTY,
        };
        let window = heaps.alloc_virtual(call, CHUNK_SIZE, POOL)?;
        heaps.map(
            call,
            window,
            PhysAddr::new(frames),
            CHUNK_SIZE,
            KERNEL_RW,
            0,
        )?;
        Ok(heaps)
    }

    /// The hart runs under the tables from now on: those in the pool are seen where they are mapped.
    pub fn entered(&mut self) {
        let is_pool = |record: &&Record| record.kind == region_kind::TABLES;
        if let Some(record) = self.tracking.records().iter().find(is_pool) {
            let (root, window) = (self.tables.root(), VirtAddr::new(record.start));
            self.tables.pool_mut().move_window(root, window);
        }
    }

    /// Free RAM.
    pub const fn physical(&self) -> &IdHeap<'a> {
        &self.physical
    }

    /// Address space, by 2^32 bytes.
    pub const fn virtual_huge(&self) -> &IdHeap<'a> {
        &self.virtual_huge
    }

    /// Address space, by pages.
    pub const fn virtual_page(&self) -> &IdHeap<'a> {
        &self.virtual_page
    }

    /// Address space of kalloc's pages.
    pub const fn kalloc_pages(&self) -> &IdHeap<'a> {
        &self.kalloc
    }

    /// All virtual allocations.
    pub const fn tracking(&self) -> &Tracking<'a> {
        &self.tracking
    }

    /// The page tables.
    pub const fn tables(&self) -> &Tables {
        &self.tables
    }

    /// Adds RAM that something else had.
    ///
    /// # Errors
    /// [`HeapError::Physical`] where it is there already.
    pub fn give_physical(&mut self, range: PhysRange) -> Result<(), HeapError> {
        let (start, end) = (range.start().as_u64(), range.end().as_u64());
        let added = self.physical.add_range(start, end);
        added.map_err(HeapError::Physical)
    }

    /// Hands out frames, with nothing mapped to them.
    ///
    /// # Errors
    /// [`HeapError::Physical`].
    pub fn alloc_physical(&mut self, size_bytes: u64) -> Result<PhysAddr, HeapError> {
        let start = self.physical.alloc(size_bytes);
        let start = start.map_err(HeapError::Physical)?;
        Ok(PhysAddr::new(start))
    }

    /// Takes frames back.
    ///
    /// # Errors
    /// [`HeapError::Physical`].
    pub fn free_physical(&mut self, start: PhysAddr, size_bytes: u64) -> Result<(), HeapError> {
        let freed = self.physical.free(start.as_u64(), size_bytes);
        freed.map_err(HeapError::Physical)
    }

    /// Tracks address space that lies where the document puts it, and not where a heap does.
    ///
    /// # Errors
    /// [`HeapError::Untracked`].
    pub fn track<M: Memory, W: Watch>(
        &mut self,
        call: &mut Call<'_, M, W>,
        record: Record,
    ) -> Result<(), HeapError> {
        if !self.tracking.add(record) {
            return Err(HeapError::Untracked);
        }
        call.watch.saw(Event::Reserved(&record), call.caller);
        Ok(())
    }

    /// Forgets it again.
    pub fn untrack<M: Memory, W: Watch>(
        &mut self,
        call: &mut Call<'_, M, W>,
        start: VirtAddr,
        tag: Tag,
    ) {
        if let Some(record) = self.tracking.remove(start, tag) {
            call.watch.saw(Event::Released(&record), call.caller);
        }
    }

    fn tracked(&self, start: VirtAddr, tag: Tag) -> Result<Record, HeapError> {
        let found = self.tracking.find(start, tag).copied();
        found.ok_or(HeapError::NotAllocated(start))
    }

    fn check_unmapped<M: Memory>(&self, memory: &M, record: &Record) -> Result<(), HeapError> {
        let mapped = record
            .range()
            .and_then(|range| self.tables.first_mapped(memory, range));
        match mapped {
            Some(address) => Err(HeapError::StillMapped(address)),
            None => Ok(()),
        }
    }
}

fn frame(address: u64) -> PhysPage {
    PhysPage::from_truncated(address / PAGE_SIZE)
}

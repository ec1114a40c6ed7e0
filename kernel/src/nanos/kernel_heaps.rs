//! The kernel's heaps, together.
//!
//! ```text
//!  physical       free RAM, by pages, from the top                      addresses only
//!  virtual_huge   0x100000000 and up, by 2^32 bytes                     addresses only
//!  virtual_page   child of virtual_huge, by pages                       addresses only
//!  kalloc's       child of virtual_page, by pages, 2 MiB at a time      addresses only
//!  backed         physical + virtual_page + map_range (S4.7)
//!  general        small objects in backed pages: file general.rs
//! ```
//!
//! Invariants:
//! - A call that fails has changed nothing that can be seen: what it took, it has given back.
//! - Whatever is handed out of virtual address space is tracked; kalloc's pages by the 2 MiB that they lie in.
//! - The table pool is filled up after each call, and never within `map_range`.

use pagescope_protocol::info::{FREED_FILL, FRESH_FILL, region_kind};
use pagescope_protocol::{
    LeafFlags, PAGE_SIZE, PhysAddr, PhysPage, PhysRange, VirtAddr, VirtRange,
};
use thiserror::Error;

use super::general::General;
use super::id_heap::{Accounts, End, IdError, IdHeap};
use super::table_pool::{CHUNK_SIZE, LOW_MARK, TablePool};
use super::tables::{KEPT_FOR_POOL, MapError, Tables, UnmapError};
use super::tracking::{Label, Record, Records, Tag, Tracking};
use crate::board;
use crate::memory::Memory;

/// Bytes of a unit of `virtual_huge`.
pub const HUGE: u64 = 1 << 32;

/// The first address of `virtual_huge` (S4.4).
pub const VIRTUAL_HUGE_START: VirtAddr = VirtAddr::new(0x1_0000_0000);

/// The application's heap. The document's 0x7000000000 is no Sv39 address; its unit is not `virtual_huge`'s.
pub const USER_HEAP_START: VirtAddr = VirtAddr::new(0x10_0000_0000);

/// The end of the lower half of Sv39's addresses.
const VIRTUAL_END: u64 = 0x40_0000_0000;

/// Bytes by which kalloc's address space grows.
const KALLOC_GROWTH: u64 = 2 << 20;

/// How memory of the kernel's is mapped.
pub const KERNEL_RW: LeafFlags = LeafFlags::READ.union(LeafFlags::WRITE);

const PAGES: usize = (board::RAM.size() / PAGE_SIZE) as usize;
const HUGE_PAGES: usize = (HUGE / PAGE_SIZE) as usize;

/// The memory that the heaps keep their accounts in. All zeros.
#[derive(Debug)]
pub struct Storage {
    physical: Accounts<2, { PAGES / 64 }>,
    virtual_huge: Accounts<2, 1>,
    virtual_page: Accounts<2, { HUGE_PAGES / 64 }>,
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
    /// The lowest frame that `physical` has ever handed out.
    lowest_frame: u64,
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
            lowest_frame: frames,
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
            let root = self.tables.root();
            let first = root.number() - root.number() % (CHUNK_SIZE / PAGE_SIZE);
            let window = VirtAddr::new(record.start);
            let frame = PhysPage::from_truncated(first);
            self.tables.pool_mut().move_window(frame, window);
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

    /// The lowest frame that was ever handed out: below it, all are free and untouched.
    pub const fn lowest_frame(&self) -> PhysAddr {
        PhysAddr::new(self.lowest_frame)
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
        self.lowest_frame = self.lowest_frame.min(start);
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

    /// Hands out units of 2^32 addresses.
    ///
    /// # Errors
    /// [`HeapError`].
    pub fn alloc_huge<M: Memory, W: Watch>(
        &mut self,
        call: &mut Call<'_, M, W>,
        size_bytes: u64,
        label: Label<'_>,
    ) -> Result<VirtAddr, HeapError> {
        let start = self.virtual_huge.alloc(size_bytes);
        let start = VirtAddr::new(start.map_err(HeapError::VirtualHuge)?);
        let size = size_bytes.next_multiple_of(HUGE);
        let record = Record::new(start, size, Tag::VirtualHuge, label);
        if let Err(error) = self.track(call, record) {
            self.give_back_huge(start, size);
            return Err(error);
        }
        Ok(start)
    }

    /// Takes units back.
    ///
    /// # Errors
    /// [`HeapError`].
    pub fn free_huge<M: Memory, W: Watch>(
        &mut self,
        call: &mut Call<'_, M, W>,
        start: VirtAddr,
    ) -> Result<(), HeapError> {
        let record = self.tracked(start, Tag::VirtualHuge)?;
        let is_a_childs = self.virtual_page.contains(start.as_u64());
        if is_a_childs {
            return Err(HeapError::VirtualPage(IdError::InUse(start.as_u64())));
        }
        self.check_unmapped(call.memory, &record)?;
        self.untrack(call, start, Tag::VirtualHuge);
        self.give_back_huge(start, record.size);
        Ok(())
    }

    /// Hands out pages of address space, with nothing mapped there.
    ///
    /// # Errors
    /// [`HeapError`].
    pub fn alloc_virtual<M: Memory, W: Watch>(
        &mut self,
        call: &mut Call<'_, M, W>,
        size_bytes: u64,
        label: Label<'_>,
    ) -> Result<VirtAddr, HeapError> {
        self.alloc_pages(call, size_bytes, Tag::VirtualPage, label)
    }

    /// Takes pages of address space back, at which nothing is mapped.
    ///
    /// # Errors
    /// [`HeapError`].
    pub fn free_virtual<M: Memory, W: Watch>(
        &mut self,
        call: &mut Call<'_, M, W>,
        start: VirtAddr,
    ) -> Result<(), HeapError> {
        let record = self.tracked(start, Tag::VirtualPage)?;
        self.check_unmapped(call.memory, &record)?;
        self.free_pages(call, start, Tag::VirtualPage)
    }

    /// Hands out mapped memory: the backed heap (S4.7). Its frames lie together.
    ///
    /// # Errors
    /// [`HeapError`].
    pub fn alloc_backed<M: Memory, W: Watch>(
        &mut self,
        call: &mut Call<'_, M, W>,
        size_bytes: u64,
        label: Label<'_>,
    ) -> Result<VirtAddr, HeapError> {
        let phys = self.alloc_physical(size_bytes)?;
        let size = size_bytes.next_multiple_of(PAGE_SIZE);
        let result = self
            .alloc_pages(call, size, Tag::Backed, label)
            .and_then(|virt| {
                let mapped = self.map(call, virt, phys, size, KERNEL_RW, KEPT_FOR_POOL);
                if mapped.is_err() {
                    self.free_pages(call, virt, Tag::Backed)?;
                }
                mapped.map(|()| virt)
            });
        if result.is_err() {
            self.free_physical(phys, size)?;
        }
        self.refill(call);
        result
    }

    /// Takes memory of the backed heap's back. Which frames they are, the tables say.
    ///
    /// # Errors
    /// [`HeapError`].
    pub fn free_backed<M: Memory, W: Watch>(
        &mut self,
        call: &mut Call<'_, M, W>,
        start: VirtAddr,
    ) -> Result<(), HeapError> {
        let record = self.tracked(start, Tag::Backed)?;
        let phys = self.tables.physical_from_virtual(call.memory, start);
        let phys = phys.ok_or(HeapError::Unmap(UnmapError::NotMapped(start)))?;
        self.unmap(call, start, record.size)?;
        self.free_physical(phys, record.size)?;
        self.free_pages(call, start, Tag::Backed)
    }

    /// Hands out one page, mapped and filled with [`FRESH_FILL`]. Its address is from a heap of its
    /// own, a child of `virtual_page`.
    ///
    /// # Errors
    /// [`HeapError`].
    pub fn kalloc<M: Memory, W: Watch>(
        &mut self,
        call: &mut Call<'_, M, W>,
    ) -> Result<VirtAddr, HeapError> {
        let phys = self.alloc_physical(PAGE_SIZE)?;
        let result = self.kalloc_address(call).and_then(|virt| {
            let mapped = self.map(call, virt, phys, PAGE_SIZE, KERNEL_RW, KEPT_FOR_POOL);
            if mapped.is_err() {
                self.give_back_kalloc_address(call, virt)?;
            }
            mapped.map(|()| virt)
        });
        match result {
            Ok(virt) => call.memory.fill_page(virt, FRESH_FILL),
            Err(_) => self.free_physical(phys, PAGE_SIZE)?,
        }
        self.refill(call);
        result
    }

    /// Takes a page from [`kalloc`](Self::kalloc) back, filled with [`FREED_FILL`].
    ///
    /// # Errors
    /// [`HeapError`].
    pub fn kfree<M: Memory, W: Watch>(
        &mut self,
        call: &mut Call<'_, M, W>,
        page: VirtAddr,
    ) -> Result<(), HeapError> {
        let handed_out = self.kalloc.size_of(page.as_u64());
        handed_out.map_err(HeapError::Kalloc)?;
        let phys = self.tables.physical_from_virtual(call.memory, page);
        let phys = phys.ok_or(HeapError::Unmap(UnmapError::NotMapped(page)))?;
        call.memory.fill_page(page, FREED_FILL);
        self.unmap(call, page, PAGE_SIZE)?;
        self.free_physical(phys, PAGE_SIZE)?;
        self.give_back_kalloc_address(call, page)
    }

    /// Gives a device an address, and maps it there.
    ///
    /// # Errors
    /// [`HeapError`].
    pub fn map_device<M: Memory, W: Watch>(
        &mut self,
        call: &mut Call<'_, M, W>,
        device: PhysRange,
        label: Label<'_>,
    ) -> Result<VirtAddr, HeapError> {
        let virt = self.alloc_virtual(call, device.size(), label)?;
        let mapped = self.map_range(call, virt, device.start(), device.size(), KERNEL_RW);
        if mapped.is_err() {
            self.free_virtual(call, virt)?;
        }
        mapped.map(|()| virt)
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

    /// Maps bytes from `virt` on to those from `phys` on: see [`Tables::map_range`].
    ///
    /// # Errors
    /// [`HeapError::Map`].
    pub fn map_range<M: Memory, W: Watch>(
        &mut self,
        call: &mut Call<'_, M, W>,
        virt: VirtAddr,
        phys: PhysAddr,
        size_bytes: u64,
        flags: LeafFlags,
    ) -> Result<(), HeapError> {
        let mapped = self.map(call, virt, phys, size_bytes, flags, KEPT_FOR_POOL);
        self.refill(call);
        mapped
    }

    /// Takes the leaves away that map these bytes: see [`Tables::unmap_range`].
    ///
    /// # Errors
    /// [`HeapError::Unmap`].
    pub fn unmap_range<M: Memory, W: Watch>(
        &mut self,
        call: &mut Call<'_, M, W>,
        virt: VirtAddr,
        size_bytes: u64,
    ) -> Result<(), HeapError> {
        self.unmap(call, virt, size_bytes)
    }

    /// Maps a zeroed page at `virt`: what the first touch of the application's heap comes to. `call.memory`
    /// must reach pages with these `flags`.
    ///
    /// # Errors
    /// [`HeapError`].
    pub fn map_zeroed_page<M: Memory, W: Watch>(
        &mut self,
        call: &mut Call<'_, M, W>,
        virt: VirtAddr,
        flags: LeafFlags,
    ) -> Result<(), HeapError> {
        let phys = self.alloc_physical(PAGE_SIZE)?;
        if let Err(error) = self.map_range(call, virt, phys, PAGE_SIZE, flags) {
            self.free_physical(phys, PAGE_SIZE)?;
            return Err(error);
        }
        call.memory.fill_page(virt, 0);
        Ok(())
    }

    /// Unmaps the pages of a range that are mapped, and takes their frames back, each of which was handed
    /// out by itself; gives how many.
    ///
    /// # Errors
    /// [`HeapError`].
    pub fn release_pages<M: Memory, W: Watch>(
        &mut self,
        call: &mut Call<'_, M, W>,
        range: VirtRange,
    ) -> Result<u64, HeapError> {
        let mut released = 0;
        while let Some(page) = self.tables.first_mapped(call.memory, range) {
            let phys = self.tables.physical_from_virtual(call.memory, page);
            self.unmap(call, page, PAGE_SIZE)?;
            if let Some(phys) = phys {
                self.free_physical(phys, PAGE_SIZE)?;
            }
            released += 1;
        }
        Ok(released)
    }

    /// An address for kalloc's next page.
    fn kalloc_address<M: Memory, W: Watch>(
        &mut self,
        call: &mut Call<'_, M, W>,
    ) -> Result<VirtAddr, HeapError> {
        if let Ok(address) = self.kalloc.alloc(PAGE_SIZE) {
            return Ok(VirtAddr::new(address));
        }
        let label = Label {
            name: "kalloc pages",
            description: "512 pages, each mapped while it is handed out",
            kind: region_kind::HEAP,
        };
        let start = self.alloc_pages(call, KALLOC_GROWTH, Tag::Kalloc, label)?;
        let (first, end) = (start.as_u64(), start.as_u64() + KALLOC_GROWTH);
        if let Err(error) = self.kalloc.add_range(first, end) {
            self.free_pages(call, start, Tag::Kalloc)?;
            return Err(HeapError::Kalloc(error));
        }
        let address = self.kalloc.alloc(PAGE_SIZE).map_err(HeapError::Kalloc)?;
        Ok(VirtAddr::new(address))
    }

    /// Takes kalloc's address back; 2 MiB that are free then go back to `virtual_page`, but the last.
    fn give_back_kalloc_address<M: Memory, W: Watch>(
        &mut self,
        call: &mut Call<'_, M, W>,
        page: VirtAddr,
    ) -> Result<(), HeapError> {
        let freed = self.kalloc.free(page.as_u64(), PAGE_SIZE);
        freed.map_err(HeapError::Kalloc)?;
        let start = page.align_down(KALLOC_GROWTH);
        let is_last = self.kalloc.ranges().count() == 1;
        if !is_last && self.kalloc.remove_range(start.as_u64()).is_ok() {
            self.free_pages(call, start, Tag::Kalloc)?;
        }
        Ok(())
    }

    /// Takes pages from `virtual_page`, which asks its parent where it has too few.
    fn alloc_pages<M: Memory, W: Watch>(
        &mut self,
        call: &mut Call<'_, M, W>,
        size_bytes: u64,
        tag: Tag,
        label: Label<'_>,
    ) -> Result<VirtAddr, HeapError> {
        // Its own, and that of a unit of the parent's.
        if !self.tracking.has_place(2) {
            return Err(HeapError::Untracked);
        }
        let start = match self.virtual_page.alloc(size_bytes) {
            Err(IdError::Exhausted(_)) => {
                self.grow(call, size_bytes)?;
                self.virtual_page.alloc(size_bytes)
            }
            result => result,
        };
        let start = VirtAddr::new(start.map_err(HeapError::VirtualPage)?);
        let size = size_bytes.next_multiple_of(PAGE_SIZE);
        self.track(call, Record::new(start, size, tag, label))?;
        Ok(start)
    }

    fn free_pages<M: Memory, W: Watch>(
        &mut self,
        call: &mut Call<'_, M, W>,
        start: VirtAddr,
        tag: Tag,
    ) -> Result<(), HeapError> {
        let record = self.tracked(start, tag)?;
        let freed = self.virtual_page.free(start.as_u64(), record.size);
        freed.map_err(HeapError::VirtualPage)?;
        self.untrack(call, start, tag);
        self.shrink(call);
        Ok(())
    }

    /// `virtual_page` asks its parent for units.
    fn grow<M: Memory, W: Watch>(
        &mut self,
        call: &mut Call<'_, M, W>,
        size_bytes: u64,
    ) -> Result<(), HeapError> {
        let start = self.alloc_huge(call, size_bytes, CHILD)?;
        let size = size_bytes.next_multiple_of(HUGE);
        let first = start.as_u64();
        if let Err(error) = self.virtual_page.add_range(first, first + size) {
            self.untrack(call, start, Tag::VirtualHuge);
            self.give_back_huge(start, size);
            return Err(HeapError::VirtualPage(error));
        }
        Ok(())
    }

    /// `virtual_page` gives units back that it does not use, but its first.
    fn shrink<M: Memory, W: Watch>(&mut self, call: &mut Call<'_, M, W>) {
        let first = VIRTUAL_HUGE_START.as_u64();
        while let Some(start) = self.virtual_page.unused_range().filter(|it| *it != first) {
            let Ok(size) = self.virtual_page.remove_range(start) else {
                return;
            };
            let start = VirtAddr::new(start);
            self.untrack(call, start, Tag::VirtualHuge);
            self.give_back_huge(start, size);
        }
    }

    fn give_back_huge(&mut self, start: VirtAddr, size_bytes: u64) {
        // Both callers know that it was handed out like that.
        let _ = self.virtual_huge.free(start.as_u64(), size_bytes);
    }

    fn map<M: Memory, W: Watch>(
        &mut self,
        call: &mut Call<'_, M, W>,
        virt: VirtAddr,
        phys: PhysAddr,
        size_bytes: u64,
        flags: LeafFlags,
        kept: u64,
    ) -> Result<(), HeapError> {
        // As the leaves have them.
        let flags = flags | LeafFlags::VALID | LeafFlags::ACCESSED | LeafFlags::DIRTY;
        let range = (virt, phys, size_bytes);
        self.tables.map_range(call.memory, range, flags, kept)?;
        let event = Event::Mapped(virt, phys, size_bytes, flags);
        call.watch.saw(event, call.caller);
        Ok(())
    }

    fn unmap<M: Memory, W: Watch>(
        &mut self,
        call: &mut Call<'_, M, W>,
        virt: VirtAddr,
        size_bytes: u64,
    ) -> Result<(), HeapError> {
        self.tables.unmap_range(call.memory, virt, size_bytes)?;
        let event = Event::Unmapped(virt, size_bytes);
        call.watch.saw(event, call.caller);
        Ok(())
    }

    /// Fills the pool of tables up, as far as memory allows: each chunk is mapped with tables from
    /// those before it.
    fn refill<M: Memory, W: Watch>(&mut self, call: &mut Call<'_, M, W>) {
        let wants = |heaps: &Self| {
            let pool = heaps.tables.pool();
            pool.free() < LOW_MARK && pool.has_place()
        };
        while wants(self) {
            let Ok(frames) = self.alloc_physical(CHUNK_SIZE) else {
                return;
            };
            let window = self.alloc_virtual(call, CHUNK_SIZE, POOL);
            let mapped = window.and_then(|window| {
                let mapped = self.map(call, window, frames, CHUNK_SIZE, KERNEL_RW, 0);
                if mapped.is_err() {
                    self.free_pages(call, window, Tag::VirtualPage)?;
                }
                mapped.map(|()| window)
            });
            let Ok(window) = mapped else {
                // It was handed out like that.
                let _ = self.free_physical(frames, CHUNK_SIZE);
                return;
            };
            let frame = frame(frames.as_u64());
            self.tables.pool_mut().add_chunk(frame, window);
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

/// What the pool's address space is for.
const POOL: Label<'static> = Label {
    name: "page-table pool",
    description: "pages that become tables, mapped beforehand",
    kind: region_kind::TABLES,
};

/// What a unit of `virtual_huge` is for that `virtual_page` has.
const CHILD: Label<'static> = Label {
    name: "virtual_page",
    description: "addresses that virtual_page hands out",
    kind: region_kind::RESERVED,
};

fn frame(address: u64) -> PhysPage {
    PhysPage::from_truncated(address / PAGE_SIZE)
}

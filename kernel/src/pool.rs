//! The `pool` strategy: every page that `kalloc` returns is mapped already.
//!
//! A pointer entry read at level 0 faults, so on Sv39 the entry that links a table never gives
//! access to it: each table's frame needs a leaf of its own. Here that leaf is the one which
//! `kalloc` makes for every page of the heap. A table is a page of the heap like any other, and
//! so it is reachable before it is linked:
//!
//! ```text
//!   L0 of the top 2 MiB                              the next 2 MiB down
//!   ┌─────────────── … ──┬────┬────┬────┬─────┐      ┌──────────────────────┬─────┐
//!   │ kalloc(510)        │root│ L1 │ L0 │count│      │                      │ 511 │
//!   └─────────────── … ──┴────┴────┴────┴─────┘      └──────────────────────┴─────┘
//!        ▲ any page in here may become ───────────────▶ this table
//! ```
//!
//! When `kalloc` enters a fresh 2 MiB, a page in *reserve* (mapped, zeroed, not linked) becomes
//! the new L0. The reserve is filled again by plain calls of `kalloc`, made by its callers once it
//! has returned ([`Pool::wants_page`], [`Pool::stock`]), never from inside it (S1.9).
//!
//! [`RESERVE_MARK`] pages serve any one `map`: an L1 and an L0. One more is wanted while the next
//! untouched page lies in a 2 MiB without an L0, or a map could use up what that page needs.

use pagescope_protocol::info::{FREED_FILL, FRESH_FILL};
use pagescope_protocol::translate::Translation;
use pagescope_protocol::{LeafFlags, Level, PAGE_SIZE, PhysAddr, PhysPage, VirtAddr};
use thiserror::Error;

use crate::heap::{FreeError, Heap, HeapLayout, PageState};
use crate::mapper::{MODE, MapError, MapReport, Mapper, Tables, UnmapError};
use crate::memory::Memory;

/// Pages in reserve, so that one `map` can be served: an L1 and an L0.
pub const RESERVE_MARK: usize = 2;

/// Most pages that the reserve ever holds.
const RESERVE_MAX: usize = RESERVE_MARK + 1;

/// What a page of the heap may be used for.
pub const HEAP_FLAGS: LeafFlags = LeafFlags::READ.union(LeafFlags::WRITE);

/// Addresses that the kernel itself runs at, and that nobody maps or unmaps: a section of its
/// image (the guard, too, which is to stay unmapped), a device that it needs.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct OwnRegion {
    /// What lies there, for whoever is refused.
    pub name: &'static str,
    /// Its first byte.
    pub start: VirtAddr,
    /// The byte after its last.
    pub end: VirtAddr,
}

/// How many [`OwnRegion`]s there are: six sections and a device.
pub const OWN_REGIONS: usize = 7;

impl OwnRegion {
    /// None.
    pub const NONE: Self = Self {
        name: "",
        start: VirtAddr::new(0),
        end: VirtAddr::new(0),
    };
}

/// Why there is no page.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Error)]
pub enum AllocError {
    /// The heap has reached its bottom.
    #[error("out of memory: all {0} pages of the heap are handed out")]
    OutOfMemory(u64),
    /// The next page could not be mapped.
    #[error("the next page could not be mapped: {0}")]
    Map(#[from] MapError),
}

/// Mapped, zeroed pages that wait to become tables.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
struct Reserve {
    pages: [Option<PhysPage>; RESERVE_MAX],
    lowest: usize,
}

impl Reserve {
    fn len(&self) -> usize {
        self.pages.iter().flatten().count()
    }

    fn take(&mut self) -> Option<PhysPage> {
        self.pages.iter_mut().find_map(Option::take)
    }

    /// Puts `page` in; gives it back where there is no room.
    fn put(&mut self, page: PhysPage) -> Result<(), PhysPage> {
        let free = self.pages.iter_mut().find(|place| place.is_none());
        *free.ok_or(page)? = Some(page);
        Ok(())
    }
}

/// Tables come from the reserve, and are pages of the heap.
struct PoolTables<'a> {
    heap: &'a Heap,
    reserve: &'a mut Reserve,
}

impl Tables for PoolTables<'_> {
    fn available(&self) -> usize {
        self.reserve.len()
    }

    fn take<M: Memory>(&mut self, _memory: &mut M) -> Option<PhysPage> {
        self.reserve.take()
    }

    fn is_table(&self, frame: PhysPage) -> bool {
        self.heap.state(frame) == Some(PageState::Table)
    }
}

/// The heap and the address space of the pseudos layout.
#[derive(Debug)]
pub struct Pool {
    heap: Heap,
    root: PhysPage,
    reserve: Reserve,
    own: [OwnRegion; OWN_REGIONS],
    map_calls: u64,
}

impl Pool {
    /// Takes over from the program that built the tables under `root`: it has handed out
    /// `handed_out` pages, all of them tables or in `reserve`; and it has mapped what lies in
    /// `own`.
    pub fn resume(
        layout: HeapLayout,
        root: PhysPage,
        handed_out: u64,
        reserve: [PhysPage; RESERVE_MARK],
        own: [OwnRegion; OWN_REGIONS],
    ) -> Self {
        let [first, second] = reserve;
        Self {
            heap: Heap::resume(layout, handed_out),
            root,
            reserve: Reserve {
                pages: [Some(first), Some(second), None],
                lowest: RESERVE_MARK,
            },
            own,
            map_calls: 0,
        }
    }

    /// The frame allocator.
    pub const fn heap(&self) -> &Heap {
        &self.heap
    }

    /// The root table.
    pub const fn root(&self) -> PhysPage {
        self.root
    }

    /// Pages in reserve.
    pub fn reserve(&self) -> usize {
        self.reserve.len()
    }

    /// The fewest pages that were in reserve whenever it had been filled as far as there was
    /// memory for it ([`settle`](Self::settle)): below [`RESERVE_MARK`], memory was used up.
    pub const fn reserve_lowest(&self) -> usize {
        self.reserve.lowest
    }

    /// Calls of [`map`](Self::map).
    pub const fn map_calls(&self) -> u64 {
        self.map_calls
    }

    /// Whether `frame` is a page table, or in reserve to become one.
    pub fn is_table(&self, frame: PhysPage) -> bool {
        self.heap.state(frame) == Some(PageState::Table)
    }

    /// Hands out a page: mapped, and filled with [`FRESH_FILL`].
    ///
    /// # Errors
    /// [`AllocError`]; nothing has changed then.
    pub fn alloc<M: Memory>(&mut self, memory: &mut M) -> Result<VirtAddr, AllocError> {
        let out_of_memory = AllocError::OutOfMemory(self.heap.capacity());
        let window = self.heap.layout().window;
        if !self.heap.has_freed() {
            let page = self.heap.next_untouched().ok_or(out_of_memory)?;
            let address = window.address_of(page);
            self.mapper(memory)
                .map(address, page.start(), Level::L0, HEAP_FLAGS)?;
        }
        let page = self.heap.take(memory).ok_or(out_of_memory)?;
        let address = window.address_of(page);
        memory.fill_page(address, FRESH_FILL);
        Ok(address)
    }

    /// Takes the page at `address` back, filled with [`FREED_FILL`] but for the list's link in
    /// its first eight bytes. It stays mapped.
    ///
    /// # Errors
    /// [`FreeError`]; nothing has changed then.
    pub fn free<M: Memory>(&mut self, memory: &mut M, address: VirtAddr) -> Result<(), FreeError> {
        self.heap.give_back(memory, address, FREED_FILL)?;
        Ok(())
    }

    /// Whether the reserve wants a page: call `kalloc`, and [`stock`](Self::stock) what it
    /// returns, until this says no or there is no memory left.
    pub fn wants_page<M: Memory>(&mut self, memory: &mut M) -> bool {
        let wanted = RESERVE_MARK + usize::from(self.next_page_needs_table(memory));
        self.reserve.len() < wanted
    }

    /// Puts a page from [`alloc`](Self::alloc) in reserve, zeroed. One that is not wanted is
    /// freed.
    ///
    /// # Errors
    /// [`FreeError`], where the page was not handed out.
    pub fn stock<M: Memory>(&mut self, memory: &mut M, address: VirtAddr) -> Result<(), FreeError> {
        let foreign = FreeError::Foreign(address);
        let page = self.heap.layout().window.frame_at(address).ok_or(foreign)?;
        if address.page_offset() != 0 || self.heap.state(page) != Some(PageState::InUse) {
            return Err(foreign);
        }
        match self.reserve.put(page) {
            Ok(()) => {
                memory.fill_page(address, 0);
                self.heap.keep_as_table(page);
                Ok(())
            }
            Err(_) => self.free(memory, address),
        }
    }

    /// Says that the reserve has been filled as far as it can be.
    pub fn settle(&mut self) {
        self.reserve.lowest = self.reserve.lowest.min(self.reserve.len());
    }

    /// Maps the page at `virt` to `phys`.
    ///
    /// # Errors
    /// [`MapError`]; nothing has changed then.
    pub fn map<M: Memory>(
        &mut self,
        memory: &mut M,
        virt: VirtAddr,
        phys: PhysAddr,
        flags: LeafFlags,
    ) -> Result<MapReport, MapError> {
        self.map_calls += 1;
        if !MODE.is_canonical(virt) {
            return Err(MapError::NonCanonical(virt));
        }
        if let Some(name) = self.reserved_for(virt) {
            return Err(MapError::ReservedRegion(virt, name));
        }
        self.mapper(memory).map(virt, phys, Level::L0, flags)
    }

    /// Unmaps what `virt` is mapped by.
    ///
    /// # Errors
    /// [`UnmapError`]; nothing has changed then.
    pub fn unmap<M: Memory>(&mut self, memory: &mut M, virt: VirtAddr) -> Result<(), UnmapError> {
        if let Some(name) = self.reserved_for(virt) {
            return Err(UnmapError::ReservedRegion(virt, name));
        }
        self.mapper(memory).unmap(virt)
    }

    /// Translates `virt` without ever faulting.
    pub fn lookup<M: Memory>(&mut self, memory: &mut M, virt: VirtAddr) -> Translation {
        self.mapper(memory).lookup(virt)
    }

    /// What `virt` is reserved for, if it is: the window of heap, tables and heap counter (S1.5),
    /// or one of the kernel's own regions.
    pub fn reserved_for(&self, virt: VirtAddr) -> Option<&'static str> {
        let HeapLayout {
            top,
            bottom,
            window,
            counter,
        } = self.heap.layout();
        let frame = window.frame_at(virt);
        let in_heap = frame.is_some_and(|frame| frame >= bottom && frame <= top);
        if in_heap || virt.align_down(PAGE_SIZE) == counter.align_down(PAGE_SIZE) {
            return Some("the heap's own window");
        }
        let around = |region: &&OwnRegion| virt >= region.start && virt < region.end;
        Some(self.own.iter().find(around)?.name)
    }

    fn next_page_needs_table<M: Memory>(&mut self, memory: &mut M) -> bool {
        let window = self.heap.layout().window;
        let next = self
            .heap
            .next_untouched()
            .filter(|_| !self.heap.has_freed());
        next.is_some_and(|page| {
            let translation = self.lookup(memory, window.address_of(page));
            let last = translation.trail.last().map(|step| step.level);
            last != Some(Level::L0)
        })
    }

    fn mapper<'a, M: Memory>(&'a mut self, memory: &'a mut M) -> Mapper<'a, M, PoolTables<'a>> {
        Mapper {
            memory,
            window: self.heap.layout().window,
            root: self.root,
            tables: PoolTables {
                heap: &self.heap,
                reserve: &mut self.reserve,
            },
        }
    }
}

#[cfg(test)]
mod tests;

//! The heap and the address space of the pseudos layout, whatever strategy it was booted with.
//!
//! ```text
//!  alloc   maps the next page in the heap's window, and hands it out
//!  map     maps anything anywhere, with tables from the reserve
//!  stock   makes a page from alloc a page of the reserve: zero, and with most strategies
//!          unmapped, for a table's only address is its window
//!  unmap   gives tables that are empty back: to the reserve, or to the heap
//! ```
//!
//! The reserve is filled again by plain calls of `kalloc`, made by its callers once it has returned
//! ([`Space::wants_page`], [`Space::stock`]), never from inside it: so kalloc never calls itself
//! (S1.9). The strategy says how many pages serve any one `map`. One more is wanted while
//! the next untouched page lies in a 2 MiB without an L0, or a map could use up what that page needs.

use pagescope_protocol::info::{FREED_FILL, FRESH_FILL};
use pagescope_protocol::translate::Translation;
use pagescope_protocol::{LeafFlags, Level, PAGE_SIZE, PhysAddr, PhysPage, VirtAddr, VirtRange};
use thiserror::Error;

use crate::heap::{Audit, FreeError, Heap, HeapLayout, PageState};
use crate::mapper::{MODE, MapError, MapReport, Mapper, Reach, Supply, UnmapError};
use crate::memory::Memory;
use crate::reserve::Reserve;
use crate::self_map::{SelfMap, Table};

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

    fn overlaps(&self, first: VirtAddr, last: VirtAddr) -> bool {
        self.start < self.end && first < self.end && last >= self.start
    }
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

/// Tables come from the reserve, and are pages of the heap.
struct FromReserve<'a> {
    heap: &'a Heap,
    reserve: &'static Reserve,
    mark: usize,
}

impl Supply for FromReserve<'_> {
    /// As many as are in reserve, and as the heap can replace: so the reserve is never below its mark
    /// once it has been filled again.
    fn available(&self) -> usize {
        let in_reserve = self.reserve.len();
        let replaceable = in_reserve as u64 + self.heap.available();
        in_reserve.min(replaceable.saturating_sub(self.mark as u64) as usize)
    }

    fn take<M: Memory>(&mut self, _memory: &mut M) -> Option<PhysPage> {
        self.reserve.take()
    }

    fn is_table(&self, frame: PhysPage) -> bool {
        self.heap.state(frame) == Some(PageState::Table)
    }
}

/// What a space takes over from the program that built its first tables.
#[derive(Clone, Copy, Debug)]
pub struct Inherited {
    /// Where the heap lies.
    pub heap: HeapLayout,
    /// The root table.
    pub root: PhysPage,
    /// Pages handed out, all of them tables or in reserve.
    pub handed_out: u64,
    /// The pages in reserve.
    pub reserve: &'static Reserve,
    /// The strategy.
    pub self_map: &'static dyn SelfMap,
    /// What was mapped for the kernel itself.
    pub own: [OwnRegion; OWN_REGIONS],
}

/// The heap and the address space.
#[derive(Debug)]
pub struct Space {
    heap: Heap,
    root: PhysPage,
    reserve: &'static Reserve,
    reserve_lowest: usize,
    self_map: &'static dyn SelfMap,
    own: [OwnRegion; OWN_REGIONS],
    map_calls: u64,
}

impl Space {
    /// Takes over.
    pub fn resume(inherited: Inherited) -> Self {
        let Inherited {
            heap,
            root,
            handed_out,
            reserve,
            self_map,
            own,
        } = inherited;
        let layout = HeapLayout {
            passed_over: self_map.in_place_index(),
            ..heap
        };
        Self {
            heap: Heap::resume(layout, handed_out),
            root,
            reserve,
            reserve_lowest: self_map.reserve_mark(),
            self_map,
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

    /// Counts every page of the heap, and every table.
    pub fn audit<M: Memory>(&self, memory: &M) -> Audit {
        let linked = crate::census::table_frames(self, memory);
        self.heap.audit(memory, linked + self.reserve.len() as u64)
    }

    /// The strategy.
    pub const fn self_map(&self) -> &'static dyn SelfMap {
        self.self_map
    }

    /// Pages in reserve.
    pub fn reserve(&self) -> usize {
        self.reserve.len()
    }

    /// The fewest pages that were in reserve whenever it had been filled again
    /// ([`settle`](Self::settle)): never below the strategy's mark.
    pub const fn reserve_lowest(&self) -> usize {
        self.reserve_lowest
    }

    /// Calls of [`map`](Self::map).
    pub const fn map_calls(&self) -> u64 {
        self.map_calls
    }

    /// Whether `frame` is a page table, or in reserve to become one.
    pub fn is_table(&self, frame: PhysPage) -> bool {
        self.heap.state(frame) == Some(PageState::Table)
    }

    /// Where `table` is reached.
    pub fn window_of(&self, table: Table) -> VirtAddr {
        self.self_map.window_of(table, self.heap.layout().window)
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
            self.link_in_place(memory, address)?;
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
        let mark = self.self_map.reserve_mark();
        let wanted = mark + usize::from(self.next_page_needs_table(memory));
        self.reserve.len() < wanted
    }

    /// Whether the page at `address`, from [`alloc`](Self::alloc), can become any table. Where not,
    /// another is to be stocked instead.
    pub fn accepts(&self, address: VirtAddr) -> bool {
        let frame = self.heap.layout().window.frame_at(address);
        frame.is_some_and(|frame| self.self_map.accepts(frame))
    }

    /// Puts a page from [`alloc`](Self::alloc) in reserve, zeroed. One that is not wanted is
    /// freed.
    ///
    /// # Errors
    /// [`FreeError`], where the page was not handed out, or cannot become a table.
    pub fn stock<M: Memory>(&mut self, memory: &mut M, address: VirtAddr) -> Result<(), FreeError> {
        let foreign = FreeError::Foreign(address);
        let page = self.heap.layout().window.frame_at(address).ok_or(foreign)?;
        let handed_out = self.heap.state(page) == Some(PageState::InUse);
        if address.page_offset() != 0 || !handed_out || !self.self_map.accepts(page) {
            return Err(foreign);
        }
        if self.reserve.len() >= crate::reserve::RESERVE_MAX {
            return self.free(memory, address);
        }
        // Before it is in reserve: there it may be taken at once.
        memory.fill_page(address, 0);
        self.heap.keep_as_table(page);
        if self.hides_tables() {
            self.mapper(memory).clear_leaf(address);
        }
        // There is room, and nobody else puts pages in.
        let _ = self.reserve.put(page);
        Ok(())
    }

    /// Says that the reserve has been filled as far as it can be.
    pub fn settle(&mut self) {
        self.reserve_lowest = self.reserve_lowest.min(self.reserve.len());
    }

    /// Maps the leaf of `level` at `virt` to `phys`.
    ///
    /// # Errors
    /// [`MapError`]; nothing has changed then.
    pub fn map<M: Memory>(
        &mut self,
        memory: &mut M,
        virt: VirtAddr,
        phys: PhysAddr,
        level: Level,
        flags: LeafFlags,
    ) -> Result<MapReport, MapError> {
        self.map_calls += 1;
        if !MODE.is_canonical(virt) {
            return Err(MapError::NonCanonical(virt));
        }
        if let Some(name) = self.reserved_for(virt, level) {
            return Err(MapError::ReservedRegion(virt, name));
        }
        self.mapper(memory).map(virt, phys, level, flags)
    }

    /// Unmaps what `virt` is mapped by; gives its size. Tables that are empty then serve again.
    ///
    /// # Errors
    /// [`UnmapError`]; nothing has changed then.
    pub fn unmap<M: Memory>(&mut self, memory: &mut M, virt: VirtAddr) -> Result<u64, UnmapError> {
        self.refuse_reserved(virt)?;
        let unmapped = self.mapper(memory).unmap(virt)?;
        for frame in unmapped.released.iter() {
            self.take_back(memory, frame);
        }
        Ok(unmapped.size)
    }

    /// Gives the leaf that `virt` is mapped by these flags; gives its size.
    ///
    /// # Errors
    /// [`UnmapError`]; nothing has changed then.
    pub fn protect<M: Memory>(
        &mut self,
        memory: &mut M,
        virt: VirtAddr,
        flags: LeafFlags,
    ) -> Result<u64, UnmapError> {
        self.refuse_reserved(virt)?;
        self.mapper(memory).protect(virt, flags)
    }

    /// Flips these of the leaf's two bits that are software's (RSW): seen by whoever looks, and
    /// harmless anywhere, the kernel's own pages included.
    ///
    /// # Errors
    /// [`UnmapError::NotMapped`].
    pub fn flip_rsw<M: Memory>(
        &mut self,
        memory: &mut M,
        virt: VirtAddr,
        bits: u8,
    ) -> Result<u64, UnmapError> {
        self.mapper(memory).flip_rsw(virt, bits)
    }

    /// Translates `virt` without ever faulting.
    pub fn lookup<M: Memory>(&mut self, memory: &mut M, virt: VirtAddr) -> Translation {
        self.mapper(memory).lookup(virt)
    }

    /// What the leaf of `level` at `virt` would damage, if anything: the window of heap, tables and
    /// heap counter (S1.5), or one of the kernel's own regions.
    pub fn reserved_for(&self, virt: VirtAddr, level: Level) -> Option<&'static str> {
        let (first, last) = (virt, virt.wrapping_add(level.entry_size() - 1));
        let HeapLayout {
            top,
            bottom,
            window,
            counter,
            ..
        } = self.heap.layout();
        let lowest = window.address_of(bottom);
        let heap = OwnRegion {
            name: "the heap's own window",
            start: lowest,
            end: window.address_of(top).wrapping_add(PAGE_SIZE),
        };
        let counter = counter.align_down(PAGE_SIZE);
        let counter = OwnRegion {
            start: counter,
            end: counter.wrapping_add(PAGE_SIZE),
            ..heap
        };
        let all = [heap, counter].into_iter().chain(self.own);
        all.into_iter()
            .find(|region| region.overlaps(first, last))
            .map(|region| region.name)
            .or_else(|| self.self_map.reserved(virt, level))
    }

    /// The stretch of the heap's window, for whoever describes it.
    pub fn heap_window(&self) -> Option<VirtRange> {
        let HeapLayout {
            top,
            bottom,
            window,
            ..
        } = self.heap.layout();
        let end = window.address_of(top).wrapping_add(PAGE_SIZE);
        VirtRange::from_bounds(window.address_of(bottom), end)
    }

    fn refuse_reserved(&self, virt: VirtAddr) -> Result<(), UnmapError> {
        if !MODE.is_canonical(virt) {
            return Err(UnmapError::NotMapped(virt));
        }
        match self.reserved_for(virt, Level::L0) {
            Some(name) => Err(UnmapError::ReservedRegion(virt, name)),
            None => Ok(()),
        }
    }

    /// Whether a table, or a page in reserve, is not to be seen in the heap's window.
    fn hides_tables(&self) -> bool {
        self.self_map.window_leaf() != crate::self_map::WindowLeaf::InHeapWindow
    }

    /// Takes a table's frame, all zero, for the reserve, or where that is full for the heap.
    fn take_back<M: Memory>(&mut self, memory: &mut M, frame: PhysPage) {
        if self.self_map.accepts(frame) && self.reserve.put(frame).is_ok() {
            return;
        }
        let address = self.heap.layout().window.address_of(frame);
        let is_mapped = !self.hides_tables() || {
            let mut mapper = self.mapper(memory);
            let mapped = mapper.map(address, frame.start(), Level::L0, HEAP_FLAGS);
            mapped.is_ok()
        };
        // The page was mapped there when kalloc handed it out, so its L0 is there. Were it not,
        // the frame would stay a table that nobody uses; nothing else would break.
        if is_mapped {
            self.heap.release_table(frame);
            let _ = self.heap.give_back(memory, address, FREED_FILL);
        }
    }

    /// Where the strategy keeps the L0s of the heap's window in place, and `address` has none yet:
    /// claims the frame for it and links it.
    fn link_in_place<M: Memory>(
        &mut self,
        memory: &mut M,
        address: VirtAddr,
    ) -> Result<(), MapError> {
        let Some(index) = self.self_map.in_place_index() else {
            return Ok(());
        };
        let translation = self.lookup(memory, address);
        let Some(step) = translation.trail.last().copied() else {
            return Ok(());
        };
        let place = address
            .align_down(Level::L1.entry_size())
            .wrapping_add(index as u64 * PAGE_SIZE);
        let frame = self.heap.layout().window.frame_at(place);
        match frame {
            Some(frame) if step.level == Level::L1 && self.heap.claim(memory, frame) => {
                let parent = Table::covering(step.table, step.level, address);
                let table = Table::covering(frame, Level::L0, address);
                self.mapper(memory).link_frame(parent, table)
            }
            _ => Ok(()),
        }
    }

    fn next_page_needs_table<M: Memory>(&mut self, memory: &mut M) -> bool {
        if self.self_map.in_place_index().is_some() {
            return false;
        }
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

    fn mapper<'a, M: Memory>(&'a mut self, memory: &'a mut M) -> Mapper<'a, M, FromReserve<'a>> {
        Mapper {
            memory,
            supply: FromReserve {
                heap: &self.heap,
                reserve: self.reserve,
                mark: self.self_map.reserve_mark(),
            },
            self_map: self.self_map,
            reach: Reach::Windows,
            heap: self.heap.layout().window,
            root: self.root,
        }
    }
}

#[cfg(test)]
mod tests;

//! One process's address space.
//!
//! Every table that it may ever need is there from the start ([`UserLayout::table_frames`]), so that
//! growing takes a frame for the page and nothing else. Frames that the process owns are mapped writable;
//! .text and .rodata are the kernel's frames, seen a second time.

use pagescope_protocol::{
    LeafFlags, Level, PAGE_SIZE, PhysPage, Pte, Satp, TranslationMode, VirtAddr, VirtRange,
};

use super::kernel_map;
use super::layout::{HEAP_WINDOW, LOWER_WINDOW, USER_BASE, UserLayout};
use super::tables::{self, Frames, TableError};
use crate::mapper::{MODE, ROOT_LEVEL};
use crate::memory::Memory;

/// How users see .text. Execute-only, as the kernel sees it.
const USER_TEXT: LeafFlags = LeafFlags::EXECUTE.union(LeafFlags::USER);
/// How users see .rodata.
const USER_RODATA: LeafFlags = LeafFlags::READ.union(LeafFlags::USER);
/// How users see what is their own.
pub const USER_OWN: LeafFlags = LeafFlags::READ
    .union(LeafFlags::WRITE)
    .union(LeafFlags::USER);

/// The entry of the root table that is the users'.
const USER_ENTRY: usize = ROOT_LEVEL.index_of(USER_BASE);

/// What a new space is made from.
#[derive(Clone, Copy, Debug)]
pub struct Origin {
    /// The root of the kernel's own tables.
    pub kernel_root: PhysPage,
    /// Where the kernel can read the original of the shared data.
    pub original: VirtAddr,
    /// The identifier of the new space.
    pub asid: u16,
}

/// Why a heap does not become as large as it is to be.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum HeapError {
    /// More pages than this, its maximum.
    #[error("has {0} pages of heap at most")]
    Maximum(u64),
    /// A page cannot be had, or mapped.
    #[error("cannot have another page of heap: {0}")]
    Page(#[from] TableError),
}

/// An address space.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct UserSpace {
    layout: UserLayout,
    root: PhysPage,
    asid: u16,
    stack_pages: u64,
    heap_pages: u64,
}

impl UserSpace {
    /// Builds a space with .text, .rodata, a copy of the original of the shared data, one page of stack
    /// and no heap.
    ///
    /// # Errors
    /// [`TableError::OutOfMemory`]; every frame is given back then.
    pub fn build<M: Memory>(
        memory: &mut M,
        frames: &mut impl Frames,
        layout: UserLayout,
        origin: &Origin,
    ) -> Result<Self, TableError> {
        let root = tables::new_table(memory, frames).ok_or(TableError::OutOfMemory)?;
        let space = Self {
            layout,
            root,
            asid: origin.asid,
            stack_pages: 1,
            heap_pages: 0,
        };
        kernel_map::share(memory, origin.kernel_root, root);
        match space.fill(memory, frames, origin.original) {
            Ok(()) => Ok(space),
            Err(error) => {
                space.tear_down(memory, frames);
                Err(error)
            }
        }
    }

    fn fill<M: Memory>(
        &self,
        memory: &mut M,
        frames: &mut impl Frames,
        original: VirtAddr,
    ) -> Result<(), TableError> {
        let UserLayout { text, rodata, .. } = self.layout;
        self.see_image(memory, frames, text, USER_TEXT)?;
        self.see_image(memory, frames, rodata, USER_RODATA)?;
        let dynamic = self.layout.dynamic();
        let mut at = dynamic.start().align_down(Level::L0.table_size());
        while at < dynamic.end() {
            tables::table_for(memory, frames, self.root, at, Level::L0)?;
            at = at.wrapping_add(Level::L0.table_size());
        }
        let mut page = self.layout.meeting_page();
        while page < self.layout.shared.end() {
            self.add_page(memory, frames, page)?;
            page = tables::next_page(page);
        }
        self.copy_shared(memory, original)
    }

    /// Maps the kernel's frames where users see them.
    fn see_image<M: Memory>(
        &self,
        memory: &mut M,
        frames: &mut impl Frames,
        range: VirtRange,
        flags: LeafFlags,
    ) -> Result<(), TableError> {
        let mut at = range.start();
        while at < range.end() {
            let kernels = VirtAddr::new(at.as_u64() - USER_BASE.as_u64());
            let frame = LOWER_WINDOW.frame_at(kernels);
            let frame = frame.ok_or(TableError::NotMapped(kernels))?;
            tables::map(memory, frames, self.root, (at, Level::L0), frame, flags)?;
            at = tables::next_page(at);
        }
        Ok(())
    }

    /// Maps a zeroed page of the process's own.
    fn add_page<M: Memory>(
        &self,
        memory: &mut M,
        frames: &mut impl Frames,
        page: VirtAddr,
    ) -> Result<(), TableError> {
        let frame = frames.take().ok_or(TableError::OutOfMemory)?;
        memory.fill_page(HEAP_WINDOW.address_of(frame), 0);
        let place = (page, Level::L0);
        let mapped = tables::map(memory, frames, self.root, place, frame, USER_OWN);
        if mapped.is_err() {
            frames.give_back(frame);
        }
        memory.fence_page_of(page, self.asid);
        mapped
    }

    fn remove_page<M: Memory>(&self, memory: &mut M, frames: &mut impl Frames, page: VirtAddr) {
        if let Ok(frame) = tables::unmap(memory, self.root, page) {
            // Before the frame can be anybody else's.
            memory.fence_page_of(page, self.asid);
            frames.give_back(frame);
        }
    }

    fn copy_shared<M: Memory>(&self, memory: &mut M, original: VirtAddr) -> Result<(), TableError> {
        let shared = self.layout.shared;
        for offset in (0..shared.size()).step_by(8) {
            let target = shared.start().wrapping_add(offset);
            let place = self
                .kernels_view(memory, target)
                .ok_or(TableError::NotMapped(target))?;
            memory.store(place, memory.load(original.wrapping_add(offset)));
        }
        Ok(())
    }

    /// Where the kernel sees what users of this space see at `address`; `None` where nothing is mapped.
    pub fn kernels_view<M: Memory>(&self, memory: &M, address: VirtAddr) -> Option<VirtAddr> {
        let phys = tables::lookup(memory, self.root, address).mapped()?.address;
        let page = HEAP_WINDOW.address_of(phys.page()?);
        Some(page.wrapping_add(phys.page_offset()))
    }

    /// Gives the stack pages until it has so many, which is no more than its maximum.
    ///
    /// # Errors
    /// [`TableError::OutOfMemory`]; what was added stays.
    pub fn grow_stack<M: Memory>(
        &mut self,
        memory: &mut M,
        frames: &mut impl Frames,
        pages: u64,
    ) -> Result<(), TableError> {
        while self.stack_pages < pages.min(self.layout.limits.stack_pages) {
            let page = self.layout.stack_bottom(self.stack_pages + 1);
            self.add_page(memory, frames, page)?;
            self.stack_pages += 1;
        }
        Ok(())
    }

    /// Gives the heap so many pages, be it more or fewer than it has.
    ///
    /// # Errors
    /// [`HeapError`]; nothing has changed then.
    pub fn set_heap<M: Memory>(
        &mut self,
        memory: &mut M,
        frames: &mut impl Frames,
        pages: u64,
    ) -> Result<(), HeapError> {
        let most = self.layout.limits.heap_pages;
        if pages > most {
            return Err(HeapError::Maximum(most));
        }
        let before = self.heap_pages;
        while self.heap_pages < pages {
            let page = self.layout.heap(self.heap_pages).end();
            if let Err(error) = self.add_page(memory, frames, page) {
                self.shrink_heap(memory, frames, before);
                return Err(error.into());
            }
            self.heap_pages += 1;
        }
        self.shrink_heap(memory, frames, pages);
        Ok(())
    }

    fn shrink_heap<M: Memory>(&mut self, memory: &mut M, frames: &mut impl Frames, pages: u64) {
        while self.heap_pages > pages {
            self.heap_pages -= 1;
            let page = self.layout.heap(self.heap_pages).end();
            self.remove_page(memory, frames, page);
        }
    }

    /// Gives back every frame: pages of its own, tables, the root. No hart may run in it any more.
    pub fn tear_down<M: Memory>(self, memory: &mut M, frames: &mut impl Frames) {
        // Nothing of it may be remembered when its frames are somebody else's.
        memory.fence_space(self.asid);
        // A table's words are not needed once it has been visited: what it leads to came before.
        let mut visit = |_, frame, leaf: Option<Pte>| {
            let is_own = leaf.is_none_or(|leaf| leaf.flags().contains(LeafFlags::WRITE));
            if is_own {
                frames.give_back(frame);
            }
        };
        tables::visit_below(memory, self.root, USER_ENTRY, &mut visit);
        frames.give_back(self.root);
    }

    /// How many frames its tables take, counted where they are.
    pub fn table_frames<M: Memory>(&self, memory: &M) -> u64 {
        let mut count = 1;
        let mut visit = |_, _, leaf: Option<Pte>| count += u64::from(leaf.is_none());
        tables::visit_below(memory, self.root, USER_ENTRY, &mut visit);
        count
    }

    /// Where its parts lie.
    pub const fn layout(&self) -> &UserLayout {
        &self.layout
    }

    /// Its root table.
    pub const fn root(&self) -> PhysPage {
        self.root
    }

    /// What satp is while a hart runs in it.
    pub const fn satp(&self) -> Satp {
        const MODE_OF_ALL: TranslationMode = MODE;
        Satp::new(MODE_OF_ALL, self.asid, self.root)
    }

    /// Pages of its stack.
    pub const fn stack_pages(&self) -> u64 {
        self.stack_pages
    }

    /// Pages of its heap.
    pub const fn heap_pages(&self) -> u64 {
        self.heap_pages
    }

    /// Its stack.
    pub fn stack(&self) -> VirtRange {
        self.layout.stack(self.stack_pages)
    }

    /// Its heap.
    pub fn heap(&self) -> VirtRange {
        self.layout.heap(self.heap_pages)
    }

    /// How many pages of heap reach up to `address`; `None` below the heap.
    pub const fn heap_pages_up_to(&self, address: VirtAddr) -> Option<u64> {
        match address.checked_offset_from(self.layout.heap_base) {
            Some(bytes) => Some(bytes.div_ceil(PAGE_SIZE)),
            None => None,
        }
    }
}

#[cfg(test)]
mod tests;

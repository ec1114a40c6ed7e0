//! Address space: `virtual_huge`, its child `virtual_page`, and how the child grows.

use pagescope_protocol::info::region_kind;
use pagescope_protocol::{PAGE_SIZE, VirtAddr};

use super::{Call, HUGE, HeapError, KernelHeaps, VIRTUAL_HUGE_START, Watch};
use crate::memory::Memory;
use crate::nanos::id_heap::IdError;
use crate::nanos::tracking::{Label, Record, Tag};

/// What a unit of `virtual_huge` is for that `virtual_page` has.
const CHILD: Label<'static> = Label {
    name: "virtual_page",
    description: "addresses that virtual_page hands out",
    kind: region_kind::RESERVED,
};

impl KernelHeaps<'_> {
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

    /// Takes pages from `virtual_page`, which asks its parent where it has too few.
    pub(super) fn alloc_pages<M: Memory, W: Watch>(
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

    pub(super) fn free_pages<M: Memory, W: Watch>(
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
    pub(super) fn grow<M: Memory, W: Watch>(
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
            return Err(match error {
                IdError::NoPlace(_) => HeapError::NoUnit(size_bytes),
                error => HeapError::VirtualPage(error),
            });
        }
        Ok(())
    }

    /// `virtual_page` gives units back that it does not use, but its first.
    pub(super) fn shrink<M: Memory, W: Watch>(&mut self, call: &mut Call<'_, M, W>) {
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

    pub(super) fn give_back_huge(&mut self, start: VirtAddr, size_bytes: u64) {
        // Both callers know that it was handed out like that.
        let _ = self.virtual_huge.free(start.as_u64(), size_bytes);
    }
}

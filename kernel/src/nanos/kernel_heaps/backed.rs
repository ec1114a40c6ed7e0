//! Memory: frames and addresses together, by the backed heap, by kalloc, and where somebody wants it.

use pagescope_protocol::info::{FREED_FILL, FRESH_FILL, region_kind};
use pagescope_protocol::{LeafFlags, PAGE_SIZE, PhysRange, VirtAddr, VirtRange};

use super::{Call, HeapError, KERNEL_RW, KernelHeaps, Watch};
use crate::memory::Memory;
use crate::nanos::tables::{KEPT_FOR_POOL, UnmapError};
use crate::nanos::tracking::{Label, Record, Tag};

/// Bytes by which kalloc's address space grows.
const KALLOC_GROWTH: u64 = 2 << 20;

impl KernelHeaps<'_> {
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

    /// An address for kalloc's next page.
    pub(super) fn kalloc_address<M: Memory, W: Watch>(
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
    pub(super) fn give_back_kalloc_address<M: Memory, W: Watch>(
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

    /// Maps zeroed memory where `record` says, which the document places and no heap does, and tracks it. `call.memory`
    /// must reach pages with these `flags`.
    ///
    /// # Errors
    /// [`HeapError`].
    pub fn map_fixed<M: Memory, W: Watch>(
        &mut self,
        call: &mut Call<'_, M, W>,
        record: Record,
        flags: LeafFlags,
    ) -> Result<(), HeapError> {
        let (start, size) = (VirtAddr::new(record.start), record.size);
        let phys = self.alloc_physical(size)?;
        let mut result = self.track(call, record);
        if result.is_ok() {
            result = self.map_range(call, start, phys, size, flags);
            if result.is_err() {
                self.untrack(call, start, record.tag);
            }
        }
        if result.is_err() {
            self.free_physical(phys, size)?;
            return result;
        }
        for offset in (0..size).step_by(PAGE_SIZE as usize) {
            call.memory.fill_page(start.wrapping_add(offset), 0);
        }
        Ok(())
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
        let mut rest = range;
        while let Some(page) = self.tables.first_mapped(call.memory, rest) {
            // What lies before it is not mapped, and need not be looked at again.
            let passed = page.as_u64() - rest.start().as_u64();
            rest = VirtRange::new(page, rest.size() - passed).unwrap_or(rest);
            let phys = self.tables.physical_from_virtual(call.memory, page);
            self.unmap(call, page, PAGE_SIZE)?;
            if let Some(phys) = phys {
                self.free_physical(phys, PAGE_SIZE)?;
            }
            released += 1;
        }
        Ok(released)
    }
}

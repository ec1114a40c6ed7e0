//! `map_range` and `unmap_range` with their trace, and the filling of the table pool.

use pagescope_protocol::info::region_kind;
use pagescope_protocol::{LeafFlags, PhysAddr, VirtAddr};

use super::{Call, Event, HeapError, KERNEL_RW, KernelHeaps, Watch, frame};
use crate::memory::Memory;
use crate::nanos::table_pool::{CHUNK_SIZE, LOW_MARK};
use crate::nanos::tables::KEPT_FOR_POOL;
use crate::nanos::tracking::{Label, Tag};

/// What the pool's address space is for.
pub(super) const POOL: Label<'static> = Label {
    name: "page-table pool",
    description: "pages that become tables, mapped beforehand",
    kind: region_kind::TABLES,
};

impl KernelHeaps<'_> {
    /// Maps bytes from `virt` on to those from `phys` on: see [`Tables::map_range`](crate::nanos::tables::Tables::map_range).
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

    /// Takes the leaves away that map these bytes: see [`Tables::unmap_range`](crate::nanos::tables::Tables::unmap_range).
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

    pub(super) fn map<M: Memory, W: Watch>(
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

    pub(super) fn unmap<M: Memory, W: Watch>(
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
    pub(super) fn refill<M: Memory, W: Watch>(&mut self, call: &mut Call<'_, M, W>) {
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
}

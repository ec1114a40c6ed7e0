//! The page tables that exist before S-mode runs its first instruction (S1.4).
//!
//! The machine program builds them, where addresses are still physical and nothing can fault. The
//! order is the source document's, so that every frame is where it draws it (S0.6, S0.8). With
//! `pool`:
//!
//! ```text
//!  0x87fff000  the heap counter's page    ◀─ L0[511]
//!  0x87ffe000  kalloc(0)  L0, top 2 MiB   ◀─ L0[510]      L2[2] ──▶ L1, L1[63] ──▶ L0
//!  0x87ffd000  kalloc(1)  L1, RAM's GiB   ◀─ L0[509]
//!  0x87ffc000  kalloc(2)  root            ◀─ L0[508]      satp
//!  0x87ffb000  kalloc(3)  L1, devices     ◀─ L0[507]      root[0]; PCI ECAM as 2 MiB leaves
//!  0x87ffa000  kalloc(4)  L0, UART0       ◀─ L0[506]      L1[128]
//!  0x87ff9000  kalloc(5)  L0, the kernel  ◀─ L0[505]      L1[1]; text, rodata, data, bss, stack
//!  0x87ff8000  kalloc(6)  in reserve      ◀─ L0[504]
//!  0x87ff7000  kalloc(7)  in reserve      ◀─ L0[503]
//! ```
//!
//! There every table's leaf lies in the top L0, as the document draws it. With the other
//! strategies the first three tables are the same frames, linked the same way, and their leaves lie
//! where the strategy says; `mirror`'s own four tables come next (kalloc(3) to kalloc(6)). Whatever
//! the strategy, S-mode can write all tables without help.

use pagescope_protocol::{
    LeafFlags, Level, PAGE_SIZE, PhysAddr, PhysPage, PhysRange, Pte, VirtAddr,
};
use thiserror::Error;

use crate::board;
use crate::handoff::BootSection;
use crate::heap::{Heap, HeapLayout, PageState};
use crate::mapper::{MapError, Mapper, ROOT_LEVEL, Reach, Supply};
use crate::memory::Memory;
use crate::reserve::Reserve;
use crate::self_map::{SelfMap, Table, WindowLeaf};
use crate::space::HEAP_FLAGS;
use crate::window::Window;

/// Why the tables could not be built.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Error)]
pub enum BootMapError {
    /// The heap is too small for the tables.
    #[error("no memory is left for the first page tables")]
    OutOfMemory,
    /// Something could not be mapped.
    #[error(transparent)]
    Map(#[from] MapError),
}

/// What is to be built.
#[derive(Clone, Copy, Debug)]
pub struct BootPlan<'a> {
    /// Where S-mode will see its heap.
    pub window: Window,
    /// How S-mode will reach its tables.
    pub self_map: &'static dyn SelfMap,
    /// The supervisor program's sections.
    pub sections: &'a [BootSection],
    /// Devices, which are mapped where they are, and in leaves of which level.
    pub devices: &'a [(PhysRange, Level)],
}

/// What was built.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct BootMap {
    /// The root table, for satp.
    pub root: PhysPage,
    /// Pages handed out, and so the heap counter's value.
    pub handed_out: u64,
}

/// Builds the tables, and fills the reserve. `memory` is physical, `heap` untouched (its layout in
/// physical addresses).
///
/// # Errors
/// [`BootMapError`].
pub fn build<M: Memory>(
    memory: &mut M,
    heap: &mut Heap,
    reserve: &Reserve,
    plan: BootPlan<'_>,
) -> Result<BootMap, BootMapError> {
    let BootPlan {
        window, self_map, ..
    } = plan;
    memory.store(heap.layout().counter, 0);
    let l0 = take_zeroed(memory, heap)?;
    let l1 = take_zeroed(memory, heap)?;
    let root = take_zeroed(memory, heap)?;

    // The root leads to L1, L1 to L0, and the root to itself where the strategy says so.
    let top = window.address_of(l0);
    let root = Table::root(root);
    let l1 = Table::covering(l1, Level::L1, top);
    let l0 = Table::covering(l0, Level::L0, top);
    store_entry(
        memory,
        root,
        ROOT_LEVEL.index_of(top),
        Pte::pointer(l1.frame),
    );
    store_entry(memory, l1, Level::L1.index_of(top), Pte::pointer(l0.frame));
    if let Some(slot) = self_map.recursive_slot() {
        store_entry(memory, root, slot, Pte::pointer(root.frame));
    }

    let mut mapper = Mapper {
        memory,
        supply: FromHeap { heap },
        self_map,
        reach: Reach::Physical,
        heap: window,
        root: root.frame,
    };
    // Without their leaves at first, which lie in one another.
    let companion = self_map.companion(Level::L1, top);
    let companion = companion.map(|covers_from| (Level::L0, covers_from));
    let own_tables = || self_map.own_tables().iter().copied().chain(companion);
    for (level, covers_from) in own_tables() {
        mapper.link_unexposed(level, covers_from)?;
    }
    for table in [l0, l1, root] {
        mapper.expose(table)?;
    }
    for (level, covers_from) in own_tables() {
        let table = mapper.table_on_the_way(covers_from, level)?;
        mapper.expose(table)?;
    }
    let counter_page = board::HEAP_COUNTER_PAGE;
    let counter_address = window.address_of(counter_page);
    mapper.map(counter_address, counter_page.start(), Level::L0, HEAP_FLAGS)?;

    for (range, level) in plan.devices {
        let virt = VirtAddr::new(range.start().as_u64());
        map_range(&mut mapper, virt, *range, *level, HEAP_FLAGS)?;
    }
    for section in plan.sections {
        if let (Some(flags), Some(range)) = (section.leaf_flags(), section.physical()) {
            let virt = VirtAddr::new(section.start);
            map_range(&mut mapper, virt, range, Level::L0, flags)?;
        }
    }
    for _ in 0..self_map.reserve_mark() {
        let frame = mapper.supply.take(mapper.memory);
        let frame = frame.ok_or(BootMapError::OutOfMemory)?;
        if self_map.window_leaf() == WindowLeaf::InHeapWindow {
            let address = window.address_of(frame);
            mapper.map(address, frame.start(), Level::L0, HEAP_FLAGS)?;
        }
        reserve.put(frame).map_err(|_| BootMapError::OutOfMemory)?;
    }
    Ok(BootMap {
        root: root.frame,
        handed_out: heap.handed_out(),
    })
}

/// The devices that the pseudos layout maps, where they are (S0.5).
pub const PSEUDOS_DEVICES: [(PhysRange, Level); 2] =
    [(board::UART0, Level::L0), (board::PCI_ECAM, Level::L1)];

/// The heap of the boot map's builder: physical, from the first page on, down to `image_end`.
pub fn physical_heap(image_end: PhysAddr) -> HeapLayout {
    HeapLayout {
        top: board::HEAP_TOP,
        bottom: first_page_from(image_end),
        window: Window::IDENTITY,
        counter: VirtAddr::new(board::HEAP_COUNTER.as_u64()),
        passed_over: None,
    }
}

fn first_page_from(address: PhysAddr) -> PhysPage {
    PhysPage::from_truncated(address.as_u64().div_ceil(PAGE_SIZE))
}

fn take_zeroed<M: Memory>(memory: &mut M, heap: &mut Heap) -> Result<PhysPage, BootMapError> {
    let page = heap.take(memory).ok_or(BootMapError::OutOfMemory)?;
    memory.fill_page(heap.layout().window.address_of(page), 0);
    heap.keep_as_table(page);
    Ok(page)
}

/// Stores an entry of a table that is reached by its physical address.
fn store_entry<M: Memory>(memory: &mut M, table: Table, index: usize, pte: Pte) {
    let address = VirtAddr::new(table.frame.start().as_u64() + index as u64 * 8);
    memory.store(address, pte.bits());
}

/// Maps a stretch, but for what the strategy needs of its addresses.
fn map_range<M: Memory, S: Supply>(
    mapper: &mut Mapper<'_, M, S>,
    virt: VirtAddr,
    range: PhysRange,
    level: Level,
    flags: LeafFlags,
) -> Result<(), MapError> {
    let size = level.entry_size();
    for offset in (0..range.size()).step_by(size as usize) {
        let (virt, phys) = (
            virt.wrapping_add(offset),
            range.start().wrapping_add(offset),
        );
        if mapper.self_map.reserved(virt, level).is_none() {
            mapper.map(virt, phys, level, flags)?;
        }
    }
    Ok(())
}

/// Tables straight from the heap.
struct FromHeap<'a> {
    heap: &'a mut Heap,
}

impl Supply for FromHeap<'_> {
    fn available(&self) -> usize {
        // All first tables must lie in the 2 MiB that the top L0 covers.
        let top = self.heap.layout().top.number();
        let lowest = top & !(pagescope_protocol::ENTRIES_PER_TABLE as u64 - 1);
        let next = self.heap.next_untouched().map_or(0, PhysPage::number);
        (next + 1).saturating_sub(lowest) as usize
    }

    fn take<M: Memory>(&mut self, memory: &mut M) -> Option<PhysPage> {
        take_zeroed(memory, self.heap).ok()
    }

    fn is_table(&self, frame: PhysPage) -> bool {
        self.heap.state(frame) == Some(PageState::Table)
    }
}

#[cfg(test)]
mod tests;

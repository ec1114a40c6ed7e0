//! The page tables that exist before S-mode runs its first instruction (S1.4).
//!
//! The machine program builds them, where addresses are still physical and nothing can fault. The
//! order is the source document's, so that every frame is where it draws it (S0.6, S0.8):
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
//! Every frame of a table has its leaf in the top L0: S-mode can write them all without help.

use pagescope_protocol::{
    LeafFlags, Level, PAGE_SIZE, PhysAddr, PhysPage, PhysRange, Pte, VirtAddr,
};
use thiserror::Error;

use crate::board;
use crate::handoff::BootSection;
use crate::heap::{Heap, HeapLayout};
use crate::mapper::{MapError, Mapper, ROOT_LEVEL, Tables};
use crate::memory::Memory;
use crate::pool::{HEAP_FLAGS, RESERVE_MARK};
use crate::window::Window;

/// Flags of every leaf of the heap, its tables and the devices. No G: there is one address space,
/// and nothing to keep in the TLB across another.
const READ_WRITE: LeafFlags = HEAP_FLAGS
    .union(LeafFlags::ACCESSED)
    .union(LeafFlags::DIRTY);

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

/// What was built.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct BootMap {
    /// The root table, for satp.
    pub root: PhysPage,
    /// The reserve.
    pub reserve: [PhysPage; RESERVE_MARK],
    /// Pages handed out, and so the heap counter's value.
    pub handed_out: u64,
}

/// Builds the tables. `memory` is physical, `heap` untouched (its layout in physical addresses).
/// S-mode will see heap and tables through `window`, and `sections` and devices where they are.
///
/// # Errors
/// [`BootMapError`].
pub fn build<M: Memory>(
    memory: &mut M,
    heap: &mut Heap,
    window: Window,
    sections: &[BootSection],
    devices: &[(PhysRange, Level)],
) -> Result<BootMap, BootMapError> {
    memory.store(heap.layout().counter, 0);
    let l0 = take_zeroed(memory, heap)?;
    let l1 = take_zeroed(memory, heap)?;
    let root = take_zeroed(memory, heap)?;

    // The self-map: the root leads to L1, L1 to L0, and L0 holds leaves for all three.
    let top = window.address_of(l0);
    store_entry(memory, root, ROOT_LEVEL, top, Pte::pointer(l1));
    store_entry(memory, l1, Level::L1, top, Pte::pointer(l0));
    for page in [root, l1, l0, board::HEAP_COUNTER_PAGE] {
        store_entry(
            memory,
            l0,
            Level::L0,
            window.address_of(page),
            Pte::leaf(page, READ_WRITE),
        );
    }

    // From here on, a new table gets its leaf in L0 as it is taken.
    let tables = BootTables { heap, l0, window };
    let mut mapper = Mapper {
        memory,
        tables,
        window: Window::IDENTITY,
        root,
    };
    for (range, level) in devices {
        map_range(
            &mut mapper,
            VirtAddr::new(range.start().as_u64()),
            *range,
            *level,
            HEAP_FLAGS,
        )?;
    }
    for section in sections {
        if let (Some(flags), Some(range)) = (section.leaf_flags(), section.physical()) {
            map_range(
                &mut mapper,
                VirtAddr::new(section.start),
                range,
                Level::L0,
                flags,
            )?;
        }
    }
    let Mapper {
        memory, mut tables, ..
    } = mapper;
    let mut reserve = [root; RESERVE_MARK];
    for place in &mut reserve {
        *place = tables.take(memory).ok_or(BootMapError::OutOfMemory)?;
    }
    Ok(BootMap {
        root,
        reserve,
        handed_out: tables.heap.handed_out(),
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
fn store_entry<M: Memory>(memory: &mut M, table: PhysPage, level: Level, virt: VirtAddr, pte: Pte) {
    let offset = level.index_of(virt) as u64 * 8;
    let address = Window::IDENTITY.address_of(table).wrapping_add(offset);
    memory.store(address, pte.bits());
}

fn map_range<M: Memory, T: Tables>(
    mapper: &mut Mapper<'_, M, T>,
    virt: VirtAddr,
    range: PhysRange,
    level: Level,
    flags: LeafFlags,
) -> Result<(), MapError> {
    let mut offset = 0;
    while offset < range.size() {
        let (virt, phys) = (
            virt.wrapping_add(offset),
            range.start().wrapping_add(offset),
        );
        mapper.map(virt, phys, level, flags)?;
        offset += level.entry_size();
    }
    Ok(())
}

/// Tables straight from the heap, each with its leaf in the top L0.
struct BootTables<'a> {
    heap: &'a mut Heap,
    l0: PhysPage,
    window: Window,
}

impl Tables for BootTables<'_> {
    fn available(&self) -> usize {
        // All tables must lie in the 2 MiB that the top L0 covers.
        let top = self.l0.number();
        let lowest = top & !(pagescope_protocol::ENTRIES_PER_TABLE as u64 - 1);
        let next = self.heap.next_untouched().map_or(0, PhysPage::number);
        (next + 1).saturating_sub(lowest) as usize
    }

    fn take<M: Memory>(&mut self, memory: &mut M) -> Option<PhysPage> {
        let page = take_zeroed(memory, self.heap).ok()?;
        let virt = self.window.address_of(page);
        store_entry(
            memory,
            self.l0,
            Level::L0,
            virt,
            Pte::leaf(page, READ_WRITE),
        );
        Some(page)
    }

    fn is_table(&self, frame: PhysPage) -> bool {
        self.heap.state(frame) == Some(crate::heap::PageState::Table)
    }
}

#[cfg(test)]
mod tests;

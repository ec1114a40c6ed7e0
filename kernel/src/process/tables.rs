//! Page tables, reached through the kernel heap's window: every frame that can be a table is seen there,
//! so no table needs a mapping of its own first.

use pagescope_protocol::translate::{Translation, pte_address, translate};
use pagescope_protocol::{
    ENTRIES_PER_TABLE, LeafFlags, Level, PAGE_SIZE, PhysAddr, PhysPage, Pte, PteKind, VirtAddr,
};
use thiserror::Error;

use super::layout::HEAP_WINDOW;
use crate::board::RAM;
use crate::mapper::{MODE, ROOT_LEVEL};
use crate::memory::Memory;

/// Where frames come from.
pub trait Frames {
    /// A frame with anything in it.
    fn take(&mut self) -> Option<PhysPage>;

    /// Takes a frame back that [`take`](Self::take) gave.
    fn give_back(&mut self, frame: PhysPage);
}

/// Why nothing was mapped.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Error)]
pub enum TableError {
    /// No frame is left.
    #[error("out of memory")]
    OutOfMemory,
    /// Something is mapped there, or the entry is damaged.
    #[error("{0} is mapped already")]
    Occupied(VirtAddr),
    /// Nothing is mapped there.
    #[error("{0} is not mapped")]
    NotMapped(VirtAddr),
}

/// Where entry `index` of the table in `table` is seen.
fn place(table: PhysPage, index: usize) -> VirtAddr {
    HEAP_WINDOW.address_of(table).wrapping_add(index as u64 * 8)
}

/// The entry at `index` of the table in `table`.
pub fn entry<M: Memory>(memory: &M, table: PhysPage, index: usize) -> Pte {
    Pte::from_bits(memory.load(place(table, index)))
}

/// Writes the entry at `index` of the table in `table`. Fences are the caller's.
pub fn set_entry<M: Memory>(memory: &mut M, table: PhysPage, index: usize, entry: Pte) {
    memory.store(place(table, index), entry.bits());
}

/// A new table without entries.
pub fn new_table<M: Memory>(memory: &mut M, frames: &mut impl Frames) -> Option<PhysPage> {
    let frame = frames.take()?;
    memory.fill_page(HEAP_WINDOW.address_of(frame), 0);
    Some(frame)
}

/// How `address` is translated under `root`. An entry outside of RAM is out of reach.
pub fn lookup<M: Memory>(memory: &M, root: PhysPage, address: VirtAddr) -> Translation {
    let read = |entry: PhysAddr| {
        let page = entry.page().filter(|_| RAM.contains(entry));
        let at = page.map(|page| {
            HEAP_WINDOW
                .address_of(page)
                .wrapping_add(entry.page_offset())
        });
        Ok::<_, core::convert::Infallible>(at.map(|at| Pte::from_bits(memory.load(at))))
    };
    match translate(MODE, root, address, read) {
        Ok(translation) => translation,
        Err(never) => match never {},
    }
}

/// The table at `level` that covers `address`; missing ones on the way are made.
///
/// # Errors
/// [`TableError`]; what was made on the way stays, empty.
pub fn table_for<M: Memory>(
    memory: &mut M,
    frames: &mut impl Frames,
    root: PhysPage,
    address: VirtAddr,
    level: Level,
) -> Result<PhysPage, TableError> {
    let (mut table, mut at) = (root, ROOT_LEVEL);
    while at != level {
        let index = at.index_of(address);
        let Some(next) = at.next() else { break };
        table = match entry(memory, table, index).classify(at) {
            PteKind::Pointer(table) => table,
            PteKind::Invalid => {
                let new = new_table(memory, frames).ok_or(TableError::OutOfMemory)?;
                set_entry(memory, table, index, Pte::pointer(new));
                // What was invalid may be cached (privileged specification, section
                // "Supervisor Memory-Management Fence Instruction").
                memory.fence_all();
                new
            }
            PteKind::Leaf(_) | PteKind::Reserved(_) => return Err(TableError::Occupied(address)),
        };
        at = next;
    }
    Ok(table)
}

/// Maps the leaf of `level` at `address` to `frame`. The fence is the caller's.
///
/// # Errors
/// [`TableError`].
pub fn map<M: Memory>(
    memory: &mut M,
    frames: &mut impl Frames,
    root: PhysPage,
    (address, level): (VirtAddr, Level),
    frame: PhysPage,
    flags: LeafFlags,
) -> Result<(), TableError> {
    let table = table_for(memory, frames, root, address, level)?;
    let index = level.index_of(address);
    if entry(memory, table, index).is_valid() {
        return Err(TableError::Occupied(address));
    }
    // A and D are set in advance: a machine may fault instead of setting them itself (privileged
    // specification, section "Virtual Address Translation Process", step 9).
    let flags = flags | LeafFlags::ACCESSED | LeafFlags::DIRTY;
    set_entry(memory, table, index, Pte::leaf(frame, flags));
    Ok(())
}

/// The 4 KiB leaf that maps `address`: its table and its place there.
fn leaf_of<M: Memory>(
    memory: &M,
    root: PhysPage,
    address: VirtAddr,
) -> Result<(PhysPage, usize), TableError> {
    let translation = lookup(memory, root, address);
    let step = translation.trail.last();
    let step = step.filter(|step| step.level == Level::L0);
    step.map(|step| (step.table, step.index))
        .ok_or(TableError::NotMapped(address))
}

/// Takes away the 4 KiB leaf at `address` and gives its frame. The fence is the caller's.
///
/// # Errors
/// [`TableError::NotMapped`].
pub fn unmap<M: Memory>(
    memory: &mut M,
    root: PhysPage,
    address: VirtAddr,
) -> Result<PhysPage, TableError> {
    let (table, index) = leaf_of(memory, root, address)?;
    let leaf = entry(memory, table, index);
    if !leaf.is_valid() {
        return Err(TableError::NotMapped(address));
    }
    set_entry(memory, table, index, Pte::INVALID);
    Ok(leaf.page())
}

/// Calls `visit` with every table under entry `index` of `root`, and with every valid leaf: the level,
/// the frame, and the leaf. A table comes after what it leads to.
pub fn visit_below<M: Memory>(
    memory: &M,
    root: PhysPage,
    index: usize,
    visit: &mut impl FnMut(Level, PhysPage, Option<Pte>),
) {
    visit_entry(memory, entry(memory, root, index), ROOT_LEVEL, visit);
}

fn visit_entry<M: Memory>(
    memory: &M,
    found: Pte,
    level: Level,
    visit: &mut impl FnMut(Level, PhysPage, Option<Pte>),
) {
    match (found.classify(level), level.next()) {
        (PteKind::Pointer(table), Some(next)) if RAM.contains(table.start()) => {
            for index in 0..ENTRIES_PER_TABLE {
                visit_entry(memory, entry(memory, table, index), next, visit);
            }
            visit(next, table, None);
        }
        (PteKind::Leaf(leaf), _) => visit(level, leaf.page, Some(found)),
        _ => {}
    }
}

/// Where the entry that maps `address` lies physically, at level 0; for whoever watches it.
pub fn leaf_address<M: Memory>(memory: &M, root: PhysPage, address: VirtAddr) -> Option<PhysAddr> {
    let (table, index) = leaf_of(memory, root, address).ok()?;
    Some(pte_address(table, index))
}

/// The page at `address`, moved to the next.
pub(crate) const fn next_page(address: VirtAddr) -> VirtAddr {
    address.wrapping_add(PAGE_SIZE)
}

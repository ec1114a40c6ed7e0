//! The console's commands that change the address space.

use pagescope_kernel::board;
use pagescope_kernel::command::MapTo;
use pagescope_kernel::self_map::Table;
use pagescope_kernel::space::HEAP_FLAGS;
use pagescope_protocol::{ENTRIES_PER_TABLE, LeafFlags, Level, PhysAddr, VirtAddr};

use crate::kernel::{self, alloc_page, map_leaf};
use crate::{entry, println};

/// What would be damaged by whoever writes to any of this through a mapping of his own.
fn owner_of(phys: PhysAddr, size: u64) -> Option<&'static str> {
    let (first, last) = (phys.as_u64(), phys.as_u64().saturating_add(size - 1));
    let overlaps = |start: u64, end: u64| first < end && last >= start;
    let image_start = board::SUPERVISOR_START.as_u64();
    if overlaps(image_start, entry::__stack_end.address()) {
        return Some("a part of the kernel's image");
    }
    let counter = board::HEAP_COUNTER_PAGE.range();
    if overlaps(counter.start().as_u64(), counter.end().as_u64()) {
        return Some("the heap counter's page");
    }
    let (lowest, highest) = (board::SUPERVISOR_START, board::RAM.end());
    let pages = (first.max(lowest.as_u64())..last.min(highest.as_u64() - 1)).step_by(4096);
    let is_table = |address| {
        let frame = PhysAddr::new(address).page();
        frame.is_some_and(|frame| kernel::with(|kernel| kernel.space.is_table(frame)))
    };
    let tables = first <= last && (is_table(first) || pages.into_iter().any(is_table));
    tables.then_some("a page table, or in reserve to become one")
}

/// `map`
pub(crate) fn map(virt: VirtAddr, what: MapTo, level: Level) {
    match what {
        MapTo::Given(phys) => map_given(virt, phys, level),
        MapTo::Own(count) => map_own(virt, count, level),
    }
}

fn map_given(virt: VirtAddr, phys: PhysAddr, level: Level) {
    if let Some(owner) = owner_of(phys, level.entry_size()) {
        return println!("map: {phys} is {owner}, and is not mapped a second time");
    }
    match map_leaf(virt, phys, level, HEAP_FLAGS) {
        Ok(report) => println!("{virt} -> {phys}, {} new tables", report.new_tables),
        Err(error) => println!("map: {error}"),
    }
}

/// One after the other, as far as it goes.
fn map_own(virt: VirtAddr, count: u64, level: Level) {
    let (mut mapped, mut new_tables) = (0, 0);
    let mut first = None;
    for number in 0..count {
        let offset = number.wrapping_mul(level.entry_size());
        let Some((phys, new)) = map_one(virt.wrapping_add(offset), number, level) else {
            break;
        };
        mapped += 1;
        new_tables += new;
        first = first.or(Some(phys));
    }
    if let Some(phys) = first {
        match mapped {
            1 => println!("{virt} -> {phys}, {new_tables} new tables"),
            _ => println!("{virt} -> {phys} and so on, {mapped} leaves, {new_tables} new tables"),
        }
    }
}

/// A page from kalloc, or for larger leaves a stretch of RAM, read-only: it may show page tables.
fn map_one(virt: VirtAddr, number: u64, level: Level) -> Option<(PhysAddr, usize)> {
    let own = match level {
        Level::L0 => {
            let Some(page) = alloc_page() else {
                println!("map: out of memory");
                return None;
            };
            Some(page)
        }
        _ => None,
    };
    let ram = board::RAM.start().wrapping_add(number * level.entry_size());
    let (phys, flags) = match own {
        Some(page) => (kernel::physical(page)?, HEAP_FLAGS),
        None if board::RAM.contains(ram) => (ram, LeafFlags::READ),
        None => {
            println!("map: RAM ends before {ram}");
            return None;
        }
    };
    match map_leaf(virt, phys, level, flags) {
        Ok(report) => Some((phys, report.new_tables)),
        Err(error) => {
            println!("map: {error}");
            if let Some(page) = own {
                kernel::free_page(page);
            }
            None
        }
    }
}

/// `unmap`
pub(crate) fn unmap(virt: VirtAddr, count: u64) {
    let mut at = virt;
    for number in 0..count {
        match kernel::unmap_leaf(at) {
            Ok(size) => at = at.align_down(size).wrapping_add(size),
            Err(error) => {
                println!("unmap: {error}");
                if number > 0 {
                    println!("unmapped {number} leaves from {virt} on");
                }
                return;
            }
        }
    }
    match count {
        1 => println!("{virt} is not mapped any more"),
        _ => println!("unmapped {count} leaves from {virt} on"),
    }
}

/// `protect`
pub(crate) fn protect(virt: VirtAddr, flags: LeafFlags) {
    match kernel::protect(virt, flags) {
        Ok(size) => {
            let now = kernel::lookup(virt).mapped();
            let flags = now.map_or(flags, |mapped| mapped.flags);
            println!("{virt} is {flags} now, a leaf of {size:#x} bytes");
        }
        Err(error) => println!("protect: {error}"),
    }
}

/// `rsw`
pub(crate) fn flip_rsw(virt: VirtAddr) {
    let flipped = kernel::with(|kernel| kernel.space.flip_rsw(&mut kernel.memory, virt, 1));
    if let Err(error) = flipped {
        return println!("rsw: {error}");
    }
    let translation = kernel::lookup(virt);
    if let Some(step) = translation.trail.last() {
        let table = Table::covering(step.table, step.level, virt);
        let window = kernel::with(|kernel| kernel.space.window_of(table));
        println!(
            "{} {}[{}] = {:#018x}, RSW {}, written at {}",
            step.level,
            step.table,
            step.index,
            step.pte.bits(),
            step.pte.rsw(),
            window.wrapping_add(step.index as u64 * 8),
        );
    }
}

/// An address in the tables' own region at which no table is, and none can be made: where the mirror
/// of a GiB would be seen in which nothing is mapped; with `pool`, the page that comes next.
pub(crate) fn empty_window() -> Option<VirtAddr> {
    kernel::with(|kernel| {
        let (space, memory) = (&mut kernel.space, &mut kernel.memory);
        let heap = space.heap().layout().window;
        let next = space.heap().next_untouched();
        let region = VirtAddr::new(u64::MAX).align_down(Level::L2.entry_size());
        let mut candidates = (3..ENTRIES_PER_TABLE as u64 - 2).map(|gib| {
            let covers = region.wrapping_add(gib * Level::L1.entry_size());
            space.window_of(Table::covering(space.root(), Level::L0, covers))
        });
        if space.self_map().name() == "pool" {
            return next.map(|page| heap.address_of(page));
        }
        let windows: [VirtAddr; 8] = core::array::from_fn(|_| candidates.next().unwrap_or(region));
        let unmapped = |window: &VirtAddr| space.lookup(memory, *window).mapped().is_none();
        windows.into_iter().find(unmapped)
    })
}

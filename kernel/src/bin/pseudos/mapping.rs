//! The console's commands that change the address space.

use core::sync::atomic::{AtomicU64, Ordering};

use pagescope_kernel::board;
use pagescope_kernel::census::census;
use pagescope_kernel::command::MapTo;
use pagescope_kernel::heap::PageState;
use pagescope_kernel::memory::Memory as _;
use pagescope_kernel::println;
use pagescope_kernel::self_map::Table;
use pagescope_kernel::space::HEAP_FLAGS;
use pagescope_protocol::{ENTRIES_PER_TABLE, LeafFlags, Level, PAGE_SIZE, PhysAddr, Pte, VirtAddr};

use crate::entry;
use crate::kernel::{self, alloc_page, map_leaf};

/// Pages that RAM has.
const PAGES: usize = (board::RAM.size() / PAGE_SIZE) as usize;

/// A bit for each page of RAM: whether the console has ever mapped it a second time.
static MAPPED_TWICE: [AtomicU64; PAGES / 64] = [const { AtomicU64::new(0) }; PAGES / 64];

/// The word with the bit of the page at `phys`, and the bit.
fn place_of(phys: PhysAddr) -> Option<(&'static AtomicU64, u64)> {
    let offset = phys.checked_offset_from(board::RAM.start())?;
    let number = (offset / PAGE_SIZE) as usize;
    Some((MAPPED_TWICE.get(number / 64)?, 1 << (number % 64)))
}

/// Notes that the page at `phys` has been mapped beside its own address.
fn note_second_mapping(phys: PhysAddr) {
    if let Some((word, bit)) = place_of(phys) {
        word.fetch_or(bit, Ordering::Relaxed);
    }
}

/// What would be damaged by whoever writes to any of this through a mapping of his own: what the kernel
/// lives by; and in the heap everything but a page that is handed out, for it may become a table.
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
    let layout = kernel::with(|kernel| kernel.space.heap().layout());
    let heap_end = layout.top.start().as_u64() + PAGE_SIZE;
    if !overlaps(layout.bottom.start().as_u64(), heap_end) {
        return None;
    }
    let page = phys.page().filter(|_| size == PAGE_SIZE);
    let Some(page) = page else {
        return Some("a part of the heap");
    };
    match kernel::with(|kernel| kernel.space.heap().state(page)) {
        Some(PageState::InUse) | None => None,
        Some(PageState::Table) => Some("a page table, or in reserve to become one"),
        Some(PageState::Freed | PageState::Untouched) => {
            Some("a page of the heap that is not handed out")
        }
    }
}

/// The address at which a page of the heap is mapped beside its own, if it is: it may be handed out
/// again, or become a table, only when that is gone.
pub(crate) fn other_address_of(page: VirtAddr) -> Option<VirtAddr> {
    let phys = kernel::physical(page)?;
    let (word, bit) = place_of(phys)?;
    if word.load(Ordering::Relaxed) & bit == 0 {
        return None;
    }
    let mut found = None;
    kernel::with(|kernel| {
        let (space, memory) = (&kernel.space, &kernel.memory);
        census(space, memory, &mut |table| {
            let table = table.table;
            if table.level != Level::L0 {
                return;
            }
            let window = space.window_of(table);
            for index in 0..ENTRIES_PER_TABLE as u64 {
                let entry = Pte::from_bits(memory.load(window.wrapping_add(index * 8)));
                let virt = table.covers_from.wrapping_add(index * PAGE_SIZE);
                let leads_there = entry.is_valid() && Some(entry.page()) == phys.page();
                if leads_there && virt != page {
                    found = Some(virt);
                }
            }
        });
    });
    if found.is_none() {
        word.fetch_and(!bit, Ordering::Relaxed);
    }
    found
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
        Ok(report) => {
            note_second_mapping(phys);
            println!("{virt} -> {phys}, {} new tables", report.new_tables);
        }
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
    // 2 MiB leaves begin behind the machine program, which PMP closes; a GiB shows all of RAM.
    let first = match level {
        Level::L1 => board::SUPERVISOR_START,
        _ => board::RAM.start(),
    };
    let ram = first.wrapping_add(number * level.entry_size());
    let (phys, flags) = match own {
        Some(page) => (kernel::physical(page)?, HEAP_FLAGS),
        None if board::RAM.contains(ram) => (ram, LeafFlags::READ),
        None => {
            println!("map: RAM ends before {ram}");
            return None;
        }
    };
    match map_leaf(virt, phys, level, flags) {
        Ok(report) => {
            note_second_mapping(phys);
            Some((phys, report.new_tables))
        }
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
    if let Some(mapped) = kernel::lookup(virt).mapped()
        && flags.contains(LeafFlags::WRITE)
    {
        let start = mapped.address.align_down(mapped.page_size);
        if let Some(owner) = owner_of(start, mapped.page_size) {
            return println!("protect: {start} is {owner}, and stays as it is");
        }
    }
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
    let region = VirtAddr::new(u64::MAX).align_down(Level::L2.entry_size());
    kernel::with(|kernel| {
        let (space, memory) = (&mut kernel.space, &mut kernel.memory);
        let heap = space.heap().layout().window;
        if space.self_map().region().is_none() {
            let next = space.heap().next_untouched();
            return next.map(|page| heap.address_of(page));
        }
        (3..ENTRIES_PER_TABLE as u64 - 2).find_map(|gib| {
            let covers = region.wrapping_add(gib * Level::L1.entry_size());
            let table = Table::covering(space.root(), Level::L0, covers);
            let window = space.window_of(table);
            let unmapped = space.lookup(memory, window).mapped().is_none();
            unmapped.then_some(window)
        })
    })
}

//! S4: map_range, its trace, and the pool of tables.

use pagescope_kernel::arch;
use pagescope_kernel::ensure;
use pagescope_kernel::memory::Memory as _;
use pagescope_kernel::nanos::kernel_heaps::HeapError;
use pagescope_kernel::nanos::tables::UnmapError;
use pagescope_kernel::program::image::WRITABLE;
use pagescope_kernel::program::publish;
use pagescope_kernel::program::selftest::{Outcome, Reason};
use pagescope_protocol::info::{TraceEvent, region_kind, trace_kind};
use pagescope_protocol::{LeafFlags, PAGE_SIZE, PhysPage, VirtAddr};

use super::{LABEL, load_faults, mapped, refused};
use crate::{entry, kernel};

const LARGE: u64 = 2 << 20;

/// 2 MiB where both addresses are aligned and as much is left, 4 KiB else.
pub(crate) fn s4_8_leaves_of_two_sizes() -> Outcome {
    let here = s4_8_leaves_of_two_sizes as *const () as u64;
    // Two large leaves, and three pages.
    let size = 2 * LARGE + 3 * PAGE_SIZE;
    let start = kernel::alloc_backed(size, LABEL).map_err(refused)?;
    for (offset, leaf) in [
        (0, LARGE),
        (LARGE, LARGE),
        (2 * LARGE, PAGE_SIZE),
        (2 * LARGE + 2 * PAGE_SIZE, PAGE_SIZE),
    ] {
        let virt = start.wrapping_add(offset);
        let found = mapped(virt)?.page_size;
        ensure!(found == leaf, "the leaf at {virt} has {found:#x} bytes");
    }
    let phys = mapped(start)?.address;
    // The hardware agrees: a word at each end of each leaf, and the same word through small leaves.
    let window = kernel::alloc_virtual(size, LABEL).map_err(refused)?;
    let from = phys.wrapping_add(PAGE_SIZE);
    let mapped_again = kernel::with(here, |heaps, call| {
        heaps.map_range(call, window, from, size - PAGE_SIZE, WRITABLE)
    });
    mapped_again.map_err(refused)?;
    let found = mapped(window.wrapping_add(LARGE))?.page_size;
    ensure!(
        found == PAGE_SIZE,
        "misaligned, a leaf has {found:#x} bytes"
    );
    for offset in [
        PAGE_SIZE,
        LARGE - 8,
        LARGE,
        2 * LARGE - 8,
        2 * LARGE,
        size - 8,
    ] {
        let word = 0x5143_0000 + offset;
        let seen = kernel::with(here, |_, call| {
            call.memory.store(start.wrapping_add(offset), word);
            call.memory.load(window.wrapping_add(offset - PAGE_SIZE))
        });
        ensure!(seen == word, "the word at {offset:#x} is {seen:#x}");
    }
    // No leaf is split.
    let part = kernel::with(here, |heaps, call| {
        heaps.unmap_range(call, start, PAGE_SIZE)
    });
    let refused_as = HeapError::Unmap(UnmapError::WouldSplit(start, LARGE));
    ensure!(part == Err(refused_as), "unmapping a part: {part:?}");
    let unmapped = kernel::with(here, |heaps, call| {
        heaps.unmap_range(call, window, size - PAGE_SIZE)?;
        heaps.free_virtual(call, window)?;
        heaps.free_backed(call, start)
    });
    unmapped.map_err(refused)?;
    ensure!(load_faults(start) && load_faults(window), "still mapped");
    Ok(())
}

/// What was mapped, when, and by whom; and what was unmapped.
pub(crate) fn s4_12_the_trace() -> Outcome {
    let from = arch::time();
    let start = kernel::alloc_backed(2 * PAGE_SIZE, LABEL).map_err(refused)?;
    let to = arch::time();
    let event = newest(trace_kind::MAP)?;
    let phys = mapped(start)?.address.as_u64();
    ensure!(
        (event.address, event.argument, event.size) == (start.as_u64(), phys, 2 * PAGE_SIZE),
        "the last map_range: v {:#x} p {:#x} length {:#x}",
        event.address,
        event.argument,
        event.size
    );
    let flags = LeafFlags::from_bits_retain(event.flags as u8);
    ensure!(flags.contains(WRITABLE), "flags {flags}");
    ensure!((from..=to).contains(&event.time), "time {}", event.time);
    let text = entry::__text_start.address()..entry::__text_end.address();
    ensure!(text.contains(&event.caller), "caller {:#x}", event.caller);
    let handed_out = newest(trace_kind::RESERVE)?;
    ensure!(
        handed_out.address == start.as_u64(),
        "reserved: {:#x}",
        handed_out.address
    );
    kernel::free_backed(start).map_err(refused)?;
    let event = newest(trace_kind::UNMAP)?;
    ensure!(
        (event.address, event.size) == (start.as_u64(), 2 * PAGE_SIZE),
        "the last unmap_range: v {:#x} length {:#x}",
        event.address,
        event.size
    );
    Ok(())
}

fn newest(kind: u64) -> Result<TraceEvent, Reason> {
    let mut events = publish::traced().filter(|event| event.kind == kind);
    let none = || Reason::new(format_args!("no event of kind {kind}"));
    events.next().ok_or_else(none)
}

/// Hundreds of tables, and never one that waits for its own mapping: the pool is ahead, all of it is
/// mapped, and every table lies in it.
pub(crate) fn s4_13_the_table_pool() -> Outcome {
    const TABLES: u64 = 450;
    let here = s4_13_the_table_pool as *const () as u64;
    let used = || kernel::look(|heaps, _| heaps.tables().pool().used());
    let before = used();
    let page = kernel::alloc_backed(PAGE_SIZE, LABEL).map_err(refused)?;
    let phys = mapped(page)?.address;
    kernel::with(here, |_, call| call.memory.store(page, 0x7ab1e));
    let start = kernel::alloc_virtual(1 << 30, LABEL).map_err(refused)?;
    let mut least_free = u64::MAX;
    for number in 0..TABLES {
        let virt = start.wrapping_add(number * LARGE);
        kernel::with(here, |heaps, call| {
            heaps.map_range(call, virt, phys, PAGE_SIZE, WRITABLE)
        })
        .map_err(refused)?;
        least_free = least_free.min(kernel::look(|heaps, _| heaps.tables().pool().free()));
        let seen = kernel::look(|_, memory| memory.load(virt));
        ensure!(seen == 0x7ab1e, "{virt} holds {seen:#x}");
        ensure!(
            kernel::physical_from_virtual(virt) == Some(phys),
            "physical_from_virtual({virt}) is wrong"
        );
    }
    let more = used() - before;
    ensure!(more >= TABLES, "{more} tables for {TABLES} places");
    ensure!(
        least_free >= 64,
        "{least_free} pages were in the pool at least"
    );
    let chunks = check_chunks()?;
    ensure!(chunks >= 2, "the pool was not filled up");
    check_tables(start)?;
    kernel::with(here, |heaps, call| -> Result<(), HeapError> {
        for number in 0..TABLES {
            heaps.unmap_range(call, start.wrapping_add(number * LARGE), PAGE_SIZE)?;
        }
        heaps.free_virtual(call, start)?;
        heaps.free_backed(call, page)
    })
    .map_err(refused)?;
    // The second chunk's own mapping may have needed tables.
    let after = used();
    ensure!(after <= before + 2, "{before} tables before, {after} after");
    ensure!(
        kernel::physical_from_virtual(start).is_none(),
        "{start} is still mapped"
    );
    Ok(())
}

/// Every chunk of the pool is mapped by one large leaf; gives how many there are.
fn check_chunks() -> Result<u64, Reason> {
    let mut chunks = 0;
    let regions = publish::regions().filter(|region| region.kind == region_kind::TABLES);
    for region in regions {
        let leaf = mapped(VirtAddr::new(region.address))?;
        ensure!(
            leaf.page_size == LARGE && region.size == LARGE,
            "the chunk at {:#x} has leaves of {:#x} bytes",
            region.address,
            leaf.page_size
        );
        chunks += 1;
    }
    Ok(chunks)
}

/// Every table on the way to `virt` lies in the pool, and its window leads to it.
fn check_tables(virt: VirtAddr) -> Outcome {
    let translation = kernel::lookup(virt);
    ensure!(translation.trail.len() == 3, "{virt} has no three levels");
    for step in translation.trail.iter() {
        let frame: PhysPage = step.table;
        let window = kernel::look(|heaps, _| heaps.tables().pool().window_of(frame));
        let phys = window.and_then(kernel::physical_from_virtual);
        ensure!(
            phys == Some(frame.start()),
            "the table at {frame} is seen at {window:?}"
        );
    }
    Ok(())
}

//! S4: the heaps.

use pagescope_kernel::ensure;
use pagescope_kernel::memory::Memory as _;
use pagescope_kernel::nanos::tracking::Tag;
use pagescope_kernel::program::publish;
use pagescope_kernel::program::selftest::{Outcome, Reason};
use pagescope_protocol::info::{name_text, region_space};
use pagescope_protocol::{PAGE_SIZE, PhysAddr, VirtAddr};

use super::{LABEL, load_faults, mapped, no_object, refused};
use crate::{kernel, stress};

const FIRST_HUGE: u64 = 0x1_0000_0000;
const HUGE: u64 = 1 << 32;

/// It is the first, it is virtual_page's, and what virtual_page hands out first is its beginning.
pub(crate) fn s4_4_the_first_huge_unit() -> Outcome {
    let (first, page) = kernel::look(|heaps, _| {
        let first = heaps.virtual_huge().allocations().next();
        (first, heaps.virtual_page().allocations().next())
    });
    ensure!(first == Some((FIRST_HUGE, HUGE)), "the first: {first:x?}");
    let start = page.map(|(start, _)| start);
    ensure!(
        start == Some(FIRST_HUGE),
        "virtual_page's first: {start:x?}"
    );
    let is_child = kernel::look(|heaps, _| {
        let records = heaps.tracking().records().iter();
        let mut huge = records.filter(|record| record.tag == Tag::VirtualHuge);
        huge.next()
            .map(|record| (record.start, record.name() == "virtual_page"))
    });
    ensure!(
        is_child == Some((FIRST_HUGE, true)),
        "tracked: {is_child:x?}"
    );
    Ok(())
}

/// Units of 2^32; the child asks for one where it has too little, and gives it back.
pub(crate) fn s4_5_parent_and_child() -> Outcome {
    let here = s4_5_parent_and_child as *const () as u64;
    let units = || kernel::look(|heaps, _| heaps.virtual_huge().used_units());
    let before = units();
    let huge = kernel::with(here, |heaps, call| heaps.alloc_huge(call, 1, LABEL));
    let huge = huge.map_err(refused)?;
    let size = kernel::look(|heaps, _| heaps.virtual_huge().size_of(huge.as_u64()));
    ensure!(size == Ok(HUGE), "one byte of virtual_huge is {size:x?}");
    ensure!(huge.is_aligned(HUGE), "virtual_huge handed out {huge}");
    // Pages, and 3 GiB twice, which the first unit does not have.
    let page = kernel::alloc_virtual(1, LABEL).map_err(refused)?;
    let size = kernel::look(|heaps, _| heaps.virtual_page().size_of(page.as_u64()));
    ensure!(
        size == Ok(PAGE_SIZE),
        "one byte of virtual_page is {size:x?}"
    );
    let large = kernel::alloc_virtual(3 << 30, LABEL).map_err(refused)?;
    let parents = kernel::look(|heaps, _| heaps.virtual_huge().is_used(large.as_u64()));
    ensure!(
        parents && large.as_u64() >= FIRST_HUGE + HUGE && units() == before + 2,
        "3 GiB at {large}; {} units",
        units()
    );
    kernel::free_virtual(large).map_err(refused)?;
    kernel::free_virtual(page).map_err(refused)?;
    ensure!(units() == before + 1, "virtual_page keeps a unit");
    kernel::with(here, |heaps, call| heaps.free_huge(call, huge)).map_err(refused)?;
    ensure!(units() == before, "{} units, {before} before", units());
    Ok(())
}

/// No map_range, no table, and a fault where they are used.
pub(crate) fn s4_6_addresses_only() -> Outcome {
    let here = s4_6_addresses_only as *const () as u64;
    let state = || {
        let tables = kernel::look(|heaps, _| heaps.tables().pool().used());
        (publish::read().map_calls, tables)
    };
    let before = state();
    let pages = kernel::alloc_virtual(5 * PAGE_SIZE, LABEL).map_err(refused)?;
    let huge = kernel::with(here, |heaps, call| heaps.alloc_huge(call, HUGE, LABEL));
    let huge = huge.map_err(refused)?;
    let frames = kernel::with(here, |heaps, _| heaps.alloc_physical(3 * PAGE_SIZE));
    let frames = frames.map_err(refused)?;
    ensure!(state() == before, "something was mapped");
    ensure!(load_faults(pages), "{pages} is mapped");
    ensure!(load_faults(huge), "{huge} is mapped");
    for frame in 0..3 {
        let frame = frames.wrapping_add(frame * PAGE_SIZE);
        ensure!(!is_mapped_to(frame), "something is mapped to {frame}");
    }
    // Natural alignment, and exact frees.
    ensure!(pages.is_aligned(8 * PAGE_SIZE), "5 pages at {pages}");
    ensure!(frames.is_aligned(4 * PAGE_SIZE), "3 frames at {frames}");
    kernel::with(here, |heaps, call| {
        heaps.free_physical(frames, 3 * PAGE_SIZE)?;
        heaps.free_huge(call, huge)?;
        heaps.free_virtual(call, pages)
    })
    .map_err(refused)?;
    let again = kernel::with(here, |heaps, _| heaps.free_physical(frames, 3 * PAGE_SIZE));
    ensure!(again.is_err(), "{frames} was taken back twice");
    Ok(())
}

/// Whether anything that is tracked is mapped to `frame`.
fn is_mapped_to(frame: PhysAddr) -> bool {
    kernel::look(|heaps, memory| {
        heaps.tracking().records().iter().any(|record| {
            let Some(range) = record.range() else {
                return false;
            };
            let Some(mut at) = heaps.tables().first_mapped(memory, range) else {
                return false;
            };
            while range.contains(at) {
                let Some(found) = heaps.tables().lookup(memory, at).mapped() else {
                    return false;
                };
                let offset = frame.as_u64().wrapping_sub(found.address.as_u64());
                if offset < found.page_size {
                    return true;
                }
                at = at.wrapping_add(found.page_size);
            }
            false
        })
    })
}

/// Frames and addresses, as many of each, and a map_range: memory.
pub(crate) fn s4_7_backed() -> Outcome {
    let used = || {
        kernel::look(|heaps, _| {
            (
                heaps.physical().used_units(),
                heaps.virtual_page().used_units(),
            )
        })
    };
    let (before, calls) = (used(), publish::read().map_calls);
    let start = kernel::alloc_backed(6 * PAGE_SIZE, LABEL).map_err(refused)?;
    let now = used();
    ensure!(
        now == (before.0 + 6, before.1 + 6) && publish::read().map_calls == calls + 1,
        "6 pages: {before:?} before, {now:?} after"
    );
    let phys = mapped(start)?.address;
    for page in 0..6 {
        let virt = start.wrapping_add(page * PAGE_SIZE);
        let found = mapped(virt)?.address;
        ensure!(
            found == phys.wrapping_add(page * PAGE_SIZE),
            "{virt} -> {found}"
        );
        kernel::with(0, |_, call| call.memory.store(virt, page + 1));
    }
    for page in 0..6 {
        let virt = start.wrapping_add(page * PAGE_SIZE);
        let found = kernel::look(|_, memory| memory.load(virt));
        ensure!(found == page + 1, "{virt} holds {found}");
    }
    kernel::free_backed(start).map_err(refused)?;
    ensure!(used() == before && load_faults(start), "it is not all back");
    ensure!(kernel::free_backed(start).is_err(), "it was freed twice");
    // Small objects over it: two of a kind share a page.
    let here = s4_7_backed as *const () as u64;
    let object = || kernel::with(here, |heaps, call| heaps.alloc_object(call, 100));
    let (first, second) = (object().map_err(no_object)?, object().map_err(no_object)?);
    let same_page = first.align_down(PAGE_SIZE) == second.align_down(PAGE_SIZE);
    ensure!(
        same_page && first != second,
        "objects at {first} and {second}"
    );
    for object in [first, second] {
        let freed = kernel::with(here, |heaps, call| heaps.free_object(call, object));
        freed.map_err(no_object)?;
    }
    ensure!(used() == before, "an object's page is not back");
    Ok(())
}

/// The records are what the heaps have handed out, no more and no less, and what the inspector reads.
pub(crate) fn s4_11_everything_is_tracked() -> Outcome {
    let start = kernel::alloc_virtual(3 * PAGE_SIZE, LABEL).map_err(refused)?;
    same_as_published()?;
    let found = kernel::look(|heaps, _| {
        let record = heaps.tracking().innermost(start.wrapping_add(PAGE_SIZE))?;
        Some((record.start, record.tag, record.name() == LABEL.name))
    });
    let expected = Some((start.as_u64(), Tag::VirtualPage, true));
    ensure!(found == expected, "{start} is tracked as {found:x?}");
    kernel::look(|heaps, _| -> Outcome {
        for (heap, tags) in [
            (heaps.virtual_huge(), &[Tag::VirtualHuge][..]),
            (
                heaps.virtual_page(),
                &[Tag::VirtualPage, Tag::Backed, Tag::Kalloc][..],
            ),
        ] {
            let mut count = 0;
            for (start, size) in heap.allocations() {
                let mut records = heaps.tracking().records().iter();
                let known = records.any(|record| {
                    (record.start, record.size) == (start, size) && tags.contains(&record.tag)
                });
                ensure!(known, "{start:#x} + {size:#x} is not tracked");
                count += 1;
            }
            let records = heaps.tracking().records().iter();
            let tracked = records.filter(|record| tags.contains(&record.tag)).count();
            ensure!(count == tracked, "{count} allocations, {tracked} records");
        }
        for record in heaps.tracking().records() {
            let about = name_text(&record.description);
            ensure!(
                !about.is_empty() && !record.name().is_empty(),
                "{:#x} has no description",
                record.start
            );
        }
        Ok(())
    })?;
    kernel::free_virtual(start).map_err(refused)?;
    same_as_published()
}

/// Each record is published as it is, and nothing else that is virtual.
fn same_as_published() -> Outcome {
    let count = kernel::look(|heaps, _| -> Result<usize, Reason> {
        for record in heaps.tracking().records() {
            let region = record.region();
            let published = publish::regions().filter(|other| *other == region).count();
            ensure!(
                published == 1,
                "{} at {:#x} is published {published} times",
                record.name(),
                record.start
            );
        }
        Ok(heaps.tracking().records().len())
    })?;
    let published = publish::regions().filter(|region| region.space == region_space::VIRTUAL);
    let published = published.count();
    ensure!(published == count, "{count} tracked, {published} published");
    Ok(())
}

/// The page that is published as the next is the one that kalloc gives: at first, of those left between others,
/// and when it has come back.
fn the_next_page_is_the_published_one() -> Outcome {
    // So that kalloc needs no more tables or addresses, which take pages, too.
    let held = kernel::kalloc();
    let mut others = [VirtAddr::new(0); 3];
    for other in &mut others {
        let block = publish::read();
        let page = kernel::kalloc();
        let given = kernel::physical_from_virtual(VirtAddr::new(page as u64));
        kernel::kfree(page);
        ensure!(
            given.map(PhysAddr::as_u64) == Some(block.heap_next) && block.freed_pages == 0,
            "{given:x?} was given, and {:#x} published as next, with {} freed",
            block.heap_next,
            block.freed_pages
        );
        // The next that comes is another.
        *other = kernel::alloc_backed(PAGE_SIZE, LABEL).map_err(refused)?;
    }
    for other in others {
        kernel::free_backed(other).map_err(refused)?;
    }
    kernel::kfree(held);
    Ok(())
}

/// 1,000 over all heaps, against the accounts.
pub(crate) fn a_thousand_allocations_and_frees() -> Outcome {
    the_next_page_is_the_published_one()?;
    stress::check(1000)?;
    same_as_published()
}

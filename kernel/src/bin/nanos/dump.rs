//! What is shown on the console: every virtual allocation, the trace, the tables.

use pagescope_kernel::nanos::tracking::Tag;
use pagescope_kernel::println;
use pagescope_kernel::program::publish;
use pagescope_protocol::info::{Region, TraceEvent, name_text, region_space, trace_kind};
use pagescope_protocol::translate::Outcome;
use pagescope_protocol::{LeafFlags, VirtAddr};

use crate::{application, kernel, stage2, stage3};

/// Every virtual allocation with its tag and description, in ascending order (S4.11).
pub(crate) fn regions() {
    let count = kernel::look(|heaps, _| {
        for record in heaps.tracking().records() {
            line(&record.region());
        }
        heaps.tracking().records().len()
    });
    println!("{count} virtual allocations");
}

fn line(region: &Region) {
    println!(
        "{:#018x} + {:<#12x} {:<12} {:<18} {}",
        region.address,
        region.size,
        name_text(&region.tag),
        name_text(&region.name),
        name_text(&region.description),
    );
}

/// The address spaces.
pub(crate) fn spaces() {
    for space in publish::spaces() {
        println!(
            "{:3}  satp {:#018x}  {}",
            space.id,
            space.satp,
            name_text(&space.name)
        );
    }
}

/// The last `most` calls of `map_range` and `unmap_range`, oldest first (S4.12).
pub(crate) fn trace(most: u64) {
    let is_range = |event: &TraceEvent| matches!(event.kind, trace_kind::MAP | trace_kind::UNMAP);
    let ticks_per_us = (stage2::hand_off().timebase_hz / 1_000_000).max(1);
    let count = publish::traced().filter(is_range).count() as u64;
    let shown = most.min(count);
    for number in (0..shown).rev() {
        let Some(event) = publish::traced().filter(is_range).nth(number as usize) else {
            continue;
        };
        let us = event.time / ticks_per_us;
        let (seconds, us) = (us / 1_000_000, us % 1_000_000);
        if event.kind == trace_kind::MAP {
            println!(
                "{seconds}.{us:06} map_range: v {:#x} p {:#x} length {:#x} flags {} by {:#x}",
                event.address,
                event.argument,
                event.size,
                LeafFlags::from_bits_retain(event.flags as u8),
                event.caller,
            );
        } else {
            println!(
                "{seconds}.{us:06} unmap_range: v {:#x} length {:#x} by {:#x}",
                event.address, event.size, event.caller,
            );
        }
    }
    println!("{shown} of {count} that are still kept");
}

/// The root table, and how many tables and pages of the pool there are. What a table holds, `lookup` says.
pub(crate) fn tables() {
    kernel::look(|heaps, _| {
        let pool = heaps.tables().pool();
        println!("root table {}", heaps.tables().root());
        println!(
            "{} tables, {} pages of the pool wait to become some; all are mapped",
            pool.used(),
            pool.free()
        );
    });
}

/// How `virt` is translated, entry by entry.
pub(crate) fn lookup(virt: VirtAddr) {
    let translation = kernel::lookup(virt);
    for step in translation.trail.iter() {
        println!(
            "{} {}[{:3}] = {:#018x}  {}",
            step.level,
            step.table,
            step.index,
            step.pte.bits(),
            step.kind.name()
        );
    }
    match translation.outcome {
        Outcome::Mapped(mapped) => println!("{virt} -> {} {}", mapped.address, mapped.flags),
        Outcome::Fault(fault) => println!("{virt}: {fault}"),
        Outcome::Unreadable(entry) => println!("{virt}: the entry at {entry} is out of reach"),
    }
}

/// Every heap.
pub(crate) fn heap(held: u64) {
    kernel::look(|heaps, _| {
        for (name, heap) in [
            ("physical", heaps.physical()),
            ("virtual_huge", heaps.virtual_huge()),
            ("virtual_page", heaps.virtual_page()),
            ("kalloc", heaps.kalloc_pages()),
        ] {
            let (used, units, unit) = (heap.used_units(), heap.units(), heap.unit());
            println!("{name:<12} {used:>8} of {units:>8} units of {unit:#x} bytes");
            for (start, size) in heap.ranges() {
                println!("             {start:#018x} + {size:#x}");
            }
        }
        let backed = |tag: Tag| {
            let records = heaps.tracking().records().iter();
            records.filter(|record| record.tag == tag).count()
        };
        println!("backed       {} allocations", backed(Tag::Backed));
    });
    let (address, counter) = (kernel::heap_counter_address(), kernel::heap_counter());
    println!("heap counter {counter} at {address}; {held} pages held here");
    println!(
        "user heap    {} pages zeroed on their first touch",
        application::demand_zeroed()
    );
    let boot = stage3::dismantled();
    println!(
        "boot memory  {} frames, given to physical in stage 3",
        boot.after - boot.before
    );
}

/// What the inspector is told, physical regions included.
pub(crate) fn info() {
    let block = publish::read();
    println!(
        "layout {}, tables {}",
        name_text(&block.layout),
        name_text(&block.strategy)
    );
    for region in publish::regions().filter(|region| region.space == region_space::PHYSICAL) {
        line(&region);
    }
    println!(
        "{} regions, {} map_range calls, {} trace events",
        block.region_count, block.map_calls, block.trace_count
    );
}

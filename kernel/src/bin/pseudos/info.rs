//! What this layout publishes: see [`pagescope_kernel::program::publish`].

use pagescope_kernel::handoff::HandOff;
use pagescope_kernel::mapper::MODE;
use pagescope_kernel::program::image::Symbol;
use pagescope_kernel::program::publish::{self, Facts};
use pagescope_kernel::self_map::SelfMap;
use pagescope_kernel::space::Space;
use pagescope_kernel::{board, publish};
use pagescope_protocol::info::{
    Region, SpaceRecord, TraceEvent, description, name, name_text, region_kind, region_space,
    space_kind,
};
use pagescope_protocol::{LeafFlags, PAGE_SIZE, PhysPage, PhysRange, Satp, VirtAddr};

use crate::entry;

/// Fills in what does not change.
pub(crate) fn publish_facts(hand_off: &HandOff, self_map: &dyn SelfMap) {
    publish::facts(Facts {
        layout: entry::LAYOUT,
        strategy: name_text(&hand_off.strategy),
        heap_counter: board::HEAP_COUNTER.as_u64(),
        heap_top: board::HEAP_TOP.start().as_u64(),
        heap_bottom: hand_off.heap_bottom,
    });
    publish::add_region(Region {
        size: PAGE_SIZE,
        space: region_space::VIRTUAL,
        kind: region_kind::GUARD,
        name: name("zero page"),
        description: description("left unmapped: a null pointer faults"),
        ..Region::EMPTY
    });
    for region in regions(hand_off.heap_bottom) {
        publish::add_region(region);
    }
    if let Some(windows) = self_map.region() {
        publish::add_region(Region {
            address: windows.start().as_u64(),
            size: windows.size(),
            space: region_space::VIRTUAL,
            kind: region_kind::TABLES,
            name: name("table windows"),
            description: description("where the kernel reaches its page tables"),
            ..Region::EMPTY
        });
    }
    let satp = Satp::new(MODE, 0, PhysPage::from_truncated(hand_off.root / PAGE_SIZE));
    publish::add_space(SpaceRecord {
        satp: satp.bits(),
        kind: space_kind::KERNEL,
        name: name("kernel"),
        ..SpaceRecord::EMPTY
    });
}

/// Fills in how far heap and reserve have come.
pub(crate) fn publish_space(space: &Space) {
    let heap = space.heap();
    let bottom = heap.layout().bottom.number();
    // With nothing left, the page below the bottom: no page comes next.
    let next = heap
        .next_untouched()
        .map_or(bottom - 1, |page| page.number());
    publish!(
        heap_next = next * PAGE_SIZE,
        freed_pages = heap.freed(),
        reserve = space.reserve() as u64,
        reserve_low = space.reserve_lowest() as u64,
        reserve_mark = space.self_map().reserve_mark() as u64,
        map_calls = space.map_calls(),
    );
}

/// Notes how deep kalloc has ever been inside itself.
pub(crate) fn publish_depth(depth: u64) {
    if depth > publish::read().kalloc_depth_max {
        publish!(kalloc_depth_max = depth);
    }
}

/// Adds an event to the ring.
pub(crate) fn trace(kind: u64, address: u64, argument: u64, size: u64, caller: u64) {
    publish::trace(TraceEvent {
        kind,
        address,
        argument,
        size,
        caller,
        ..TraceEvent::EMPTY
    });
}

/// Adds an event about a leaf.
pub(crate) fn trace_leaf(
    kind: u64,
    virt: VirtAddr,
    argument: u64,
    size: u64,
    flags: LeafFlags,
    caller: u64,
) {
    publish::trace(TraceEvent {
        kind,
        address: virt.as_u64(),
        argument,
        size,
        flags: flags.bits().into(),
        caller,
        ..TraceEvent::EMPTY
    });
}

fn regions(heap_bottom: u64) -> [Region; 11] {
    let region = |address, size, kind, text, about| Region {
        address,
        size,
        space: region_space::PHYSICAL,
        kind,
        name: name(text),
        description: description(about),
        ..Region::EMPTY
    };
    let between = |start: &'static Symbol, end: &'static Symbol, kind, text, about| {
        let size = end.address() - start.address();
        region(start.address(), size, kind, text, about)
    };
    let at = |range: PhysRange, kind, text, about| {
        region(range.start().as_u64(), range.size(), kind, text, about)
    };
    let counter_page = board::HEAP_COUNTER_PAGE.start().as_u64();
    [
        at(
            board::UART0,
            region_kind::DEVICE,
            "UART0",
            "the console's registers",
        ),
        at(
            board::PCI_ECAM,
            region_kind::DEVICE,
            "PCI ECAM",
            "PCI's configuration space",
        ),
        at(
            board::MACHINE_RAM,
            region_kind::MACHINE,
            "machine program",
            "M-mode's, closed to S-mode by PMP",
        ),
        between(
            &entry::__text_start,
            &entry::__text_end,
            region_kind::TEXT,
            ".text",
            "the kernel's instructions",
        ),
        between(
            &entry::__rodata_start,
            &entry::__rodata_end,
            region_kind::RODATA,
            ".rodata",
            "the kernel's constants",
        ),
        between(
            &entry::__data_start,
            &entry::__data_end,
            region_kind::DATA,
            ".data",
            "variables with a first value",
        ),
        between(
            &entry::__bss_start,
            &entry::__bss_end,
            region_kind::DATA,
            ".bss",
            "variables that begin as zero",
        ),
        between(
            &entry::__guard_start,
            &entry::__guard_end,
            region_kind::GUARD,
            "guard",
            "never mapped: a stack that overflows faults",
        ),
        between(
            &entry::__stack_start,
            &entry::__stack_end,
            region_kind::STACK,
            "stack",
            "the kernel's, grows down",
        ),
        region(
            heap_bottom,
            counter_page - heap_bottom,
            region_kind::HEAP,
            "heap",
            "kalloc hands it out from the top down",
        ),
        region(
            counter_page,
            PAGE_SIZE,
            region_kind::HEAP_COUNTER,
            "heap counter",
            "how many pages are handed out",
        ),
    ]
}

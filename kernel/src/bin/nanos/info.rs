//! What this layout publishes beside its virtual allocations, which the heaps' calls publish themselves: see
//! [`pagescope_kernel::program::publish`].

use pagescope_kernel::board;
use pagescope_kernel::handoff::HandOff;
use pagescope_kernel::program::publish::{self, Facts};
use pagescope_protocol::info::{Region, description, name, region_kind, region_space};
use pagescope_protocol::{PAGE_SIZE, PhysAddr, PhysRange};

use crate::kernel;
use crate::layout::{KERNEL_LOAD, LAYOUT};
use crate::stage2::BootMemory;

/// Fills in what does not change.
pub(crate) fn publish_facts(hand_off: &HandOff) {
    publish::facts(Facts {
        layout: LAYOUT,
        strategy: "table pool",
        heap_counter: kernel::heap_counter_address().as_u64(),
        heap_top: board::RAM.end().as_u64() - PAGE_SIZE,
        heap_bottom: hand_off.heap_bottom,
    });
    physical(
        board::MACHINE_RAM,
        "machine program",
        "M-mode's, closed to S-mode by PMP",
        region_kind::MACHINE,
    );
    let bounds = |start, end| PhysRange::from_bounds(start, end);
    let heap_bottom = PhysAddr::new(hand_off.heap_bottom);
    if let Some(image) = bounds(KERNEL_LOAD, heap_bottom) {
        let about = "where it is loaded; linked at 0x7f000000";
        physical(image, "kernel image", about, region_kind::DATA);
    }
    if let Some(ram) = bounds(heap_bottom, board::RAM.end()) {
        let about = "frames, from the top down";
        physical(ram, "physical", about, region_kind::HEAP);
    }
}

/// What stage 2 has, until stage 3 dismantles it.
pub(crate) fn publish_boot_memory(boot: &BootMemory) {
    let about = "until stage 3";
    physical(boot.stack, "boot stack", about, region_kind::STACK);
    physical(
        boot.identity_heap,
        "identity heap",
        about,
        region_kind::TABLES,
    );
}

/// It is gone.
pub(crate) fn forget_boot_memory(boot: &BootMemory) {
    let ranges = [boot.stack, boot.identity_heap];
    publish::remove_regions(|region| {
        let is_it = |range: &PhysRange| {
            (range.start().as_u64(), range.size()) == (region.address, region.size)
        };
        region.space == region_space::PHYSICAL && ranges.iter().any(is_it)
    });
}

fn physical(range: PhysRange, text: &str, about: &str, kind: u64) {
    publish::add_region(Region {
        address: range.start().as_u64(),
        size: range.size(),
        space: region_space::PHYSICAL,
        kind,
        name: name(text),
        description: description(about),
        ..Region::EMPTY
    });
}

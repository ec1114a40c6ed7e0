//! What this layout publishes: the drawing's parts, by the document's names.

use pagescope_kernel::board;
use pagescope_kernel::process::layout::{IO_BASE, IO_PAGES};
use pagescope_kernel::process::space::UserSpace;
use pagescope_kernel::program::image::{self, Symbol};
use pagescope_kernel::program::publish::{self, Facts};
use pagescope_protocol::info::{EVERY_SPACE, Region, description, name, region_kind, region_space};
use pagescope_protocol::{PAGE_SIZE, PhysRange, VirtAddr, VirtRange};

use crate::entry::{self, LAYOUT};
use crate::{heap, spaces};

/// Fills in what does not change, and names the kernel's parts.
pub(crate) fn publish_kernel() {
    let lowest = heap::physical(VirtAddr::new(entry::__upper_end.address()));
    publish::facts(Facts {
        layout: LAYOUT,
        strategy: "kernel heap window",
        heap_counter: heap::physical(heap::counter()).as_u64(),
        heap_top: board::RAM.end().as_u64() - PAGE_SIZE,
        heap_bottom: lowest.as_u64(),
    });
    heap::with(|heap| heap::publish_state(heap));
    for (range, kind, text, about) in kernel_parts() {
        publish::add_region(virtual_region(range, EVERY_SPACE, kind, text, about));
    }
    for (range, kind, text, about) in kernel_parts() {
        let physical = match range.start().as_u64() {
            start if start < entry::__bss_end.address() => {
                image::physical(core::ptr::with_exposed_provenance::<u8>(start as usize))
            }
            _ => heap::physical(range.start()),
        };
        if range.start() != IO_BASE {
            let size = range.size();
            let physical = PhysRange::new(physical, size).unwrap_or(board::RAM);
            publish::add_region(physical_region(physical, kind, text, about));
        }
    }
    for (range, kind, text, about) in [
        (
            board::UART0,
            region_kind::DEVICE,
            "UART0",
            "the console's 16550",
        ),
        (
            board::MACHINE_RAM,
            region_kind::MACHINE,
            "machine program",
            "M-mode's, closed to S-mode by PMP",
        ),
    ] {
        publish::add_region(physical_region(range, kind, text, about));
    }
}

type Part = (VirtRange, u64, &'static str, &'static str);

fn between(start: u64, end: u64) -> VirtRange {
    let start = VirtAddr::new(start);
    VirtRange::from_bounds(start, VirtAddr::new(end)).unwrap_or_else(|| panic!("{start} wraps"))
}

/// The kernel's parts, from address 0 up: the document's drawing.
pub(crate) fn kernel_parts() -> [Part; 8] {
    let symbols =
        |start: &'static Symbol, end: &'static Symbol| between(start.address(), end.address());
    let heap_end = pagescope_kernel::process::layout::HEAP_WINDOW
        .address_of(pagescope_protocol::PhysPage::from_truncated(
            board::RAM.end().as_u64() / PAGE_SIZE,
        ))
        .as_u64();
    let io_end = IO_BASE.as_u64() + IO_PAGES * PAGE_SIZE;
    [
        (
            between(0, entry::__text_end.address()),
            region_kind::TEXT,
            ".text",
            "Kernel=X; users see it at user .text",
        ),
        (
            symbols(&entry::__rodata_start, &entry::__rodata_end),
            region_kind::RODATA,
            ".rodata",
            "Kernel=R; users see it at user .rodata",
        ),
        (
            symbols(&entry::__data_start, &entry::__bss_end),
            region_kind::DATA,
            ".data/.bss",
            "Kernel=RW, User=None",
        ),
        (
            symbols(&entry::__original_start, &entry::__original_end),
            region_kind::SHARED_DATA,
            "original shared data",
            "Kernel=R while a process is created, else None",
        ),
        (
            symbols(&entry::__kernel_stack_start, &entry::__kernel_stack_end),
            region_kind::STACK,
            "kernel stack",
            "grows down, towards the restricted region",
        ),
        (
            symbols(&entry::__shared_start, &entry::__shared_end),
            region_kind::SHARED_DATA,
            "kernel shared data",
            "the kernel's copy; the start is NOT aligned",
        ),
        (
            between(entry::__heap_start.address(), heap_end),
            region_kind::HEAP,
            "kernel heap",
            "begins with its counter; NOT aligned",
        ),
        (
            between(IO_BASE.as_u64(), io_end),
            region_kind::DEVICE,
            "device IO",
            "with unmapped pages, for plug and play",
        ),
    ]
}

fn virtual_region(range: VirtRange, owner: u64, kind: u64, text: &str, about: &str) -> Region {
    Region {
        address: range.start().as_u64(),
        size: range.size(),
        space: region_space::VIRTUAL,
        kind,
        owner,
        name: name(text),
        description: description(about),
        ..Region::EMPTY
    }
}

fn physical_region(range: PhysRange, kind: u64, text: &str, about: &str) -> Region {
    Region {
        address: range.start().as_u64(),
        size: range.size(),
        space: region_space::PHYSICAL,
        kind,
        name: name(text),
        description: description(about),
        ..Region::EMPTY
    }
}

/// A user space's parts, from its bottom up; those without a byte are left out by the caller.
pub(crate) fn user_parts(space: &UserSpace) -> [Part; 8] {
    let layout = space.layout();
    [
        (
            layout.text,
            region_kind::TEXT,
            "user .text",
            "User=X; the kernel's frames",
        ),
        (
            layout.rodata,
            region_kind::RODATA,
            "user .rodata",
            "User=R; the kernel's frames",
        ),
        (
            space.heap(),
            region_kind::USER,
            "user heap",
            "starts as 0 pages, grows by brk",
        ),
        (
            layout.heap_room(space.heap_pages()),
            region_kind::RESERVED,
            "user heap room",
            "unmapped user heap: the maximum is the OS's",
        ),
        (
            layout.guard,
            region_kind::GUARD,
            "user stack guard",
            "always unmapped",
        ),
        (
            layout.stack_room(space.stack_pages()),
            region_kind::RESERVED,
            "user stack room",
            "unmapped user dynamic stack",
        ),
        (
            space.stack(),
            region_kind::USER,
            "user stack",
            "starts as 1 page, grows when it is written to",
        ),
        (
            layout.shared,
            region_kind::SHARED_DATA,
            "user shared data",
            "the process's copy; the start is NOT aligned",
        ),
    ]
}

/// Names the parts of the space `id`, as they are now; not where there was no room to name the space.
pub(crate) fn publish_user(space: &UserSpace, id: u64) {
    if id == EVERY_SPACE {
        return;
    }
    forget_user(id);
    for (range, kind, text, about) in user_parts(space) {
        if !range.is_empty() {
            publish::add_region(virtual_region(range, id, kind, text, about));
        }
    }
}

/// Forgets the parts of the space `id`.
pub(crate) fn forget_user(id: u64) {
    publish::remove_regions(|region| region.owner == id && id != EVERY_SPACE);
}

/// Whether the original of the shared data is out of reach, in the space that the hart is in.
pub(crate) fn original_is_restricted() -> bool {
    spaces::lookup(spaces::original().start())
        .mapped()
        .is_none()
}

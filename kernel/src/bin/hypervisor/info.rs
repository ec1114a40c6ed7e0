//! What this layout publishes: see [`pagescope_kernel::program::publish`].

use core::sync::atomic::{AtomicU64, Ordering};

use pagescope_kernel::board;
use pagescope_kernel::hypervisor::VAS_LINEAR_MAP;
use pagescope_kernel::hypervisor::cpu_struct::{PIECES, Piece};
use pagescope_kernel::program::publish::{self, Facts};
use pagescope_protocol::info::{
    Description, EVERY_SPACE, Name, Region, SpaceRecord, description, name, name_text, region_kind,
    region_space, space_kind,
};
use pagescope_protocol::{PAGE_SIZE, PhysRange, VirtAddr};

use crate::vmem::{Built, sections};
use crate::{entry, kmem, linear};

/// The tags: which part of the document's map a region belongs to.
const KERNEL_IMAGE: &str = "kernel image";
const CPU_STRUCT: &str = "cpu struct";

/// The boot table's space, while it is published.
static BOOT_SPACE: AtomicU64 = AtomicU64::new(0);

/// Fills in what is the same on every hart.
pub(crate) fn publish_facts() {
    let heap_bottom = kmem::image().end().as_u64();
    let counter_page = kmem::counter_page().start().as_u64();
    publish::facts(Facts {
        layout: entry::LAYOUT,
        strategy: "linear map",
        heap_counter: counter_page + PAGE_SIZE - 8,
        heap_top: counter_page - PAGE_SIZE,
        heap_bottom,
    });
    let at = |range: PhysRange, kind, text, about| {
        physical(range.start().as_u64(), range.size(), kind, text, about)
    };
    for region in [
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
        physical(
            heap_bottom,
            counter_page - heap_bottom,
            region_kind::HEAP,
            "heap",
            "the free list; kalloc starts at the top",
        ),
        physical(
            counter_page,
            PAGE_SIZE,
            region_kind::HEAP_COUNTER,
            "heap counter",
            "how many pages are handed out",
        ),
        virt(
            VirtAddr::new(0),
            PAGE_SIZE,
            region_kind::GUARD,
            "null page",
            "never mapped: null faults",
        ),
        virt(
            VAS_LINEAR_MAP,
            linear::ram().size(),
            region_kind::LINEAR_MAP,
            "linear map",
            "all RAM that is used; the image in it is read-only",
        ),
    ] {
        publish::add_region(region);
    }
    for device in [board::UART0, board::PCI_ECAM] {
        let start = VirtAddr::new(device.start().as_u64());
        let is_uart = device == board::UART0;
        let text = if is_uart { "UART0" } else { "PCI ECAM" };
        let about = "a device with identity mapping";
        publish::add_region(virt(start, device.size(), region_kind::DEVICE, text, about));
    }
    publish_sections();
}

fn publish_sections() {
    let names = [
        (region_kind::TEXT, ".text", "the kernel's instructions"),
        (region_kind::RODATA, ".rodata", "the kernel's constants"),
        (region_kind::DATA, ".data", "variables with a first value"),
        (region_kind::DATA, ".bss", "variables that begin as zero"),
    ];
    for (section, (kind, text, about)) in sections().into_iter().zip(names) {
        let (start, size) = (section.virt.start(), section.virt.size());
        let tag = name(KERNEL_IMAGE);
        let seen = virt(start, size, kind, text, about);
        let lies = physical(section.phys.as_u64(), size, kind, text, about);
        publish::add_region(Region { tag, ..seen });
        publish::add_region(Region { tag, ..lies });
    }
}

/// Names the boot table's space, for as long as harts start in it.
pub(crate) fn publish_boot_space(satp: u64) {
    let boot = publish::add_space(SpaceRecord {
        satp,
        kind: space_kind::KERNEL,
        name: name("boot"),
        ..SpaceRecord::EMPTY
    });
    BOOT_SPACE.store(boot.unwrap_or(EVERY_SPACE), Ordering::Relaxed);
}

/// Every hart that starts has left it.
pub(crate) fn remove_boot_space() {
    publish::remove_space(BOOT_SPACE.load(Ordering::Relaxed));
}

/// Names a hart's space, and what is its own in it; gives the space's id.
pub(crate) fn publish_hart(hart: u64, built: &Built) -> u64 {
    let space = publish::add_space(SpaceRecord {
        satp: built.satp.bits(),
        kind: space_kind::HART,
        number: hart,
        name: numbered("hart ", hart),
        ..SpaceRecord::EMPTY
    });
    let owner = space.unwrap_or(EVERY_SPACE);
    for piece in &PIECES {
        let tag = name(CPU_STRUCT);
        let region = virt(
            piece.start(),
            piece.size,
            piece.kind,
            piece.name,
            piece.description,
        );
        publish::add_region(Region {
            owner,
            tag,
            ..region
        });
        publish_frames(hart, owner, piece, built);
    }
    owner
}

/// Names the frames of a piece, stretch by stretch.
fn publish_frames(hart: u64, owner: u64, piece: &Piece, built: &Built) {
    let first = (piece.offset / PAGE_SIZE) as usize;
    let count = (piece.size / PAGE_SIZE) as usize;
    let frames = built.cpu_struct[first..first + count].iter().flatten();
    let mut open: Option<(u64, u64)> = None;
    let publish = |(start, size)| {
        let region = physical(start, size, piece.kind, piece.name, "");
        publish::add_region(Region {
            owner,
            tag: name(CPU_STRUCT),
            description: about_hart(hart),
            ..region
        });
    };
    for frame in frames {
        let start = frame.start().as_u64();
        open = match open {
            Some((first, size)) if first + size == start => Some((first, size + PAGE_SIZE)),
            other => {
                other.map(publish);
                Some((start, PAGE_SIZE))
            }
        };
    }
    open.map(publish);
}

/// `text` and a number of one digit.
fn numbered(text: &str, number: u64) -> Name {
    let mut name = name(text);
    // There are fewer harts than digits.
    if let Some(place) = name.get_mut(text.len()) {
        *place = b'0' + (number % 10) as u8;
    }
    name
}

fn about_hart(hart: u64) -> Description {
    const WORDS: &str = "in the cpu struct of hart ";
    let mut text = description(WORDS);
    text[WORDS.len()] = b'0' + (hart % 10) as u8;
    text
}

/// A region's name.
pub(crate) fn name_of(region: &Region) -> &str {
    name_text(&region.name)
}

fn physical(address: u64, size: u64, kind: u64, text: &str, about: &str) -> Region {
    Region {
        address,
        size,
        space: region_space::PHYSICAL,
        kind,
        name: name(text),
        description: description(about),
        ..Region::EMPTY
    }
}

fn virt(start: VirtAddr, size: u64, kind: u64, text: &str, about: &str) -> Region {
    Region {
        space: region_space::VIRTUAL,
        ..physical(start.as_u64(), size, kind, text, about)
    }
}

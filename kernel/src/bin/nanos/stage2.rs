//! Stage 2: from the first instruction, untranslated, to the final tables.
//!
//! ```text
//!  region allocator   boot stack, identity heap      from the top of RAM, which shrinks (S4.9)
//!  identity heap      root, one L1                   the boot tables
//!  boot tables        0 … 2^32 is itself, but 0x7f000000 is the image
//!  what is left       `physical` ─▶ heaps ─▶ final tables
//! ```

use core::cell::UnsafeCell;

use pagescope_kernel::arch::live::LiveMemory;
use pagescope_kernel::handoff::{BOOT_VERSION, HandOff};
use pagescope_kernel::mapper::MODE;
use pagescope_kernel::nanos::kernel_heaps::{Call, KernelHeaps, Storage};
use pagescope_kernel::nanos::region_allocator::RegionAllocator;
use pagescope_kernel::program::image::{self, EXECUTABLE, READ_ONLY, Symbol, WRITABLE};
use pagescope_kernel::program::publish::{self, Facts};
use pagescope_kernel::{board, println};
use pagescope_protocol::info::{
    Region, SpaceRecord, description, name, region_kind, region_space, space_kind,
};
use pagescope_protocol::{
    LeafFlags, Level, PAGE_SIZE, PhysAddr, PhysPage, PhysRange, Pte, Satp, VirtAddr, VirtRange,
};

use pagescope_kernel::nanos::tracking::{Label, Record, Tag};

use crate::entry::{self, HAND_OFF};
use crate::kernel::{self, Publisher};
use crate::layout::{
    APPLICATION_GUARD, APPLICATION_SPACE, BOOT_STACK_SIZE, IDENTITY_HEAP_SIZE, KERNEL_BASE,
    KERNEL_LOAD, LAYOUT, USER_HEAP, USER_HEAP_LIMIT, ZERO_PAGE,
};
use crate::stage3;

/// What is used by one stage after the other.
#[repr(transparent)]
struct Staged<T>(UnsafeCell<T>);

// SAFETY: one hart runs, and one stage at a time.
unsafe impl<T> Sync for Staged<T> {}

/// What the boot tables and stage 2 lie in.
#[derive(Clone, Copy)]
pub(crate) struct BootMemory {
    /// The stack that stage 2 runs on.
    pub(crate) stack: PhysRange,
    /// What the identity heap has.
    pub(crate) identity_heap: PhysRange,
    /// The boot tables' root.
    pub(crate) root: PhysPage,
}

static REGIONS: Staged<RegionAllocator> = Staged(UnsafeCell::new(RegionAllocator::EMPTY));
static BOOT_MEMORY: Staged<Option<BootMemory>> = Staged(UnsafeCell::new(None));
static STORAGE: Staged<Storage> = Staged(UnsafeCell::new(Storage::EMPTY));

/// What the first instructions go on with: a0 and a1.
#[repr(C)]
pub(crate) struct Booted {
    satp: u64,
    stack_end: u64,
}

/// Bytes that a leaf of the boot root maps.
const GIB: u64 = Level::L2.entry_size();

/// Bytes that a leaf of the boot L1 maps.
const LARGE: u64 = Level::L1.entry_size();

/// How everything is mapped before the sections are.
const ALL: LeafFlags = EXECUTABLE
    .union(WRITABLE)
    .union(LeafFlags::ACCESSED)
    .union(LeafFlags::DIRTY);

/// What the machine program handed on.
pub(crate) fn hand_off() -> HandOff {
    // SAFETY: the machine program wrote it before this program started; nobody writes to it since.
    unsafe { (&raw const HAND_OFF).read_volatile() }
}

/// What stage 2 used.
pub(crate) fn boot_memory() -> Option<BootMemory> {
    // SAFETY: written before there was translation, and never again.
    unsafe { *BOOT_MEMORY.0.get() }
}

/// What the region allocator had left.
pub(crate) fn regions_left() -> &'static [PhysRange] {
    // SAFETY: as above.
    unsafe { (*REGIONS.0.get()).regions() }
}

/// Carves out boot stack and identity heap, and builds the boot tables in that. It runs untranslated, away
/// from where it is linked: no formatting, no panics, no function pointers.
pub(crate) extern "C" fn boot_tables() -> Booted {
    let free_start = hand_off().heap_bottom;
    let nothing = Booted {
        satp: 0,
        stack_end: 0,
    };
    let free = PhysRange::from_bounds(PhysAddr::new(free_start), board::RAM.end());
    // SAFETY: nothing else runs yet.
    let regions = unsafe { &mut *REGIONS.0.get() };
    let Some(free) = free.filter(|free| regions.add(*free)) else {
        return nothing;
    };
    let (stack, identity_heap) = (
        regions.allocate(BOOT_STACK_SIZE),
        regions.allocate(IDENTITY_HEAP_SIZE),
    );
    let (Some(stack), Some(identity_heap)) = (stack, identity_heap) else {
        return nothing;
    };
    let root = identity_heap.start();
    let l1 = root.wrapping_add(PAGE_SIZE);
    for index in 0..2 * PAGE_SIZE / 8 {
        store(root, index, Pte::INVALID);
    }
    let image_gib = KERNEL_BASE.as_u64() / GIB;
    for gib in 0..4 {
        let entry = if gib == image_gib {
            Pte::pointer(frame(l1.as_u64()))
        } else {
            Pte::leaf(frame(gib * GIB), ALL)
        };
        store(root, gib, entry);
    }
    let image = KERNEL_BASE.as_u64();
    let image_size = free.start().as_u64() - KERNEL_LOAD.as_u64();
    for index in 0..GIB / LARGE {
        let virt = image_gib * GIB + index * LARGE;
        let offset = virt.wrapping_sub(image);
        let phys = if offset < image_size {
            KERNEL_LOAD.as_u64() + offset
        } else {
            virt
        };
        store(l1, index, Pte::leaf(frame(phys), ALL));
    }
    let memory = BootMemory {
        stack,
        identity_heap,
        root: frame(root.as_u64()),
    };
    // SAFETY: nothing else runs yet.
    unsafe { *BOOT_MEMORY.0.get() = Some(memory) };
    Booted {
        satp: Satp::new(MODE, 0, memory.root).bits(),
        stack_end: stack.end().as_u64(),
    }
}

fn frame(address: u64) -> PhysPage {
    PhysPage::from_truncated(address / PAGE_SIZE)
}

/// Stores an entry by its physical address.
fn store(table: PhysAddr, index: u64, entry: Pte) {
    let place = table.as_u64() + index * 8;
    let place = core::ptr::with_exposed_provenance_mut::<u64>(place as usize);
    // SAFETY: the identity heap, which nobody else uses, and there is no translation.
    unsafe { place.write_volatile(entry.bits()) };
}

/// Under the boot tables, on the boot stack: makes the heaps and the final tables, and switches.
pub(crate) extern "C" fn stage2() -> ! {
    image::set_offset(KERNEL_BASE.as_u64(), KERNEL_LOAD);
    let hand_off = hand_off();
    assert!(hand_off.version == BOOT_VERSION, "nothing was handed over");
    let Some(boot) = boot_memory() else {
        panic!("no boot memory");
    };
    publish_facts(&hand_off);
    publish_boot_memory(&boot);
    println!(
        "stage 2: boot stack {}, identity heap {}, boot tables at {}",
        boot.stack, boot.identity_heap, boot.root
    );
    // SAFETY: under the boot tables physical addresses are virtual ones; the tables and free RAM are
    // the heaps' from here on.
    let mut memory = unsafe { LiveMemory::new() };
    let mut call = Call {
        memory: &mut memory,
        watch: &mut Publisher,
        caller: stage2 as *const () as u64,
    };
    // SAFETY: taken once, here.
    let storage = unsafe { &mut *STORAGE.0.get() };
    let heaps = KernelHeaps::new(storage, regions_left(), &mut call);
    let mut heaps = match heaps {
        Ok(heaps) => heaps,
        Err(error) => panic!("no heaps: {error}"),
    };
    if let Err(error) = map_image(&mut heaps, &mut call) {
        panic!("the image cannot be mapped: {error}");
    }
    let root = heaps.tables().root();
    heaps.entered();
    let satp = Satp::new(MODE, 0, root);
    let space = publish::add_space(SpaceRecord {
        satp: satp.bits(),
        kind: space_kind::KERNEL,
        name: name("kernel"),
        ..SpaceRecord::EMPTY
    });
    kernel::set_space(space.unwrap_or(0));
    println!("stage 2: {} RAM left, final tables at {root}", Left);
    stage3::keep(heaps);
    // SAFETY: the image was mapped above.
    unsafe { entry::switch_tables(satp, stage3::stage3) }
}

/// What the region allocator has left, in words.
struct Left;

impl core::fmt::Display for Left {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        regions_left()
            .iter()
            .try_for_each(|left| write!(f, "{left}"))
    }
}

type Heaps = KernelHeaps<'static>;
type StageCall<'c> = Call<'c, LiveMemory, Publisher>;
type Failed = pagescope_kernel::nanos::kernel_heaps::HeapError;

/// Everything that lies where the document puts it: tracked, and the image's sections mapped.
fn map_image(heaps: &mut Heaps, call: &mut StageCall<'_>) -> Result<(), Failed> {
    for (range, text, about, kind) in [
        (
            ZERO_PAGE,
            "zero page",
            "left unmapped: a null pointer faults",
            region_kind::GUARD,
        ),
        (
            APPLICATION_SPACE,
            "application space",
            "the application's, below the image",
            region_kind::RESERVED,
        ),
        (
            USER_HEAP,
            "user heap",
            "zeroed pages, each on its first touch",
            region_kind::USER,
        ),
        (
            APPLICATION_GUARD,
            "application guard",
            "never mapped: a stack that overflows faults",
            region_kind::GUARD,
        ),
        (
            USER_HEAP_LIMIT,
            "user heap limit",
            "never mapped: the user heap grows no further",
            region_kind::GUARD,
        ),
    ] {
        track(heaps, call, range, text, about, kind)?;
    }
    let sections: [(&'static Symbol, &'static Symbol, _, _, _, _); 6] = [
        (
            &entry::__text_start,
            &entry::__text_end,
            EXECUTABLE,
            ".text",
            "kernel image: instructions",
            region_kind::TEXT,
        ),
        (
            &entry::__rodata_start,
            &entry::__rodata_end,
            READ_ONLY,
            ".rodata",
            "kernel image: constants",
            region_kind::RODATA,
        ),
        (
            &entry::__data_start,
            &entry::__data_end,
            WRITABLE,
            ".data",
            "kernel image: variables with a first value",
            region_kind::DATA,
        ),
        (
            &entry::__bss_start,
            &entry::__bss_end,
            WRITABLE,
            ".bss",
            "kernel image: variables that begin as zero",
            region_kind::DATA,
        ),
        (
            &entry::__guard_start,
            &entry::__guard_end,
            LeafFlags::empty(),
            "guard",
            "never mapped: a stack that overflows faults",
            region_kind::GUARD,
        ),
        (
            &entry::__stack_start,
            &entry::__stack_end,
            WRITABLE,
            "stack",
            "the kernel's, grows down",
            region_kind::STACK,
        ),
    ];
    for (start, end, flags, text, about, kind) in sections {
        let virt = VirtAddr::new(start.address());
        let Some(range) = VirtRange::from_bounds(virt, VirtAddr::new(end.address())) else {
            continue;
        };
        track(heaps, call, range, text, about, kind)?;
        if !flags.is_empty() {
            let phys = image::physical(core::ptr::from_ref(start));
            heaps.map_range(call, virt, phys, range.size(), flags)?;
        }
    }
    Ok(())
}

fn track(
    heaps: &mut Heaps,
    call: &mut StageCall<'_>,
    range: VirtRange,
    text: &str,
    about: &str,
    kind: u64,
) -> Result<(), Failed> {
    let label = Label {
        name: text,
        description: about,
        kind,
    };
    let record = Record::new(range.start(), range.size(), Tag::Fixed, label);
    heaps.track(call, record)
}

fn publish_facts(hand_off: &HandOff) {
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
fn publish_boot_memory(boot: &BootMemory) {
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

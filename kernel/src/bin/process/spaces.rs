//! The kernel's tables, and which space the hart is in.

use core::sync::atomic::{AtomicU64, Ordering};

use pagescope_kernel::arch::csr::{MSTATUS_FS, MSTATUS_SUM};
use pagescope_kernel::arch::live::LiveMemory;
use pagescope_kernel::mapper::MODE;
use pagescope_kernel::memory::Memory as _;
use pagescope_kernel::process::kernel_map::{self, Stretch};
use pagescope_kernel::process::layout::{HEAP_WINDOW, IO_BASE, IO_PAGES, IO_PHYSICAL, Image};
use pagescope_kernel::process::tables;
use pagescope_kernel::program::image::{READ_ONLY, WRITABLE};
use pagescope_kernel::program::publish;
use pagescope_kernel::{csr_clear, csr_read, csr_write, return_address};
use pagescope_protocol::info::{SpaceRecord, TraceEvent, name, space_kind, trace_kind};
use pagescope_protocol::translate::Translation;
use pagescope_protocol::{
    LeafFlags, Level, PAGE_SIZE, PhysAddr, PhysPage, Pte, Satp, VirtAddr, VirtRange,
};

use crate::entry::{self, EXECUTE_ONLY};
use crate::heap::{self, HeapFrames};

/// The kernel's own satp, and what the information block calls its space.
static KERNEL_SATP: AtomicU64 = AtomicU64::new(0);
static KERNEL_SPACE: AtomicU64 = AtomicU64::new(0);

/// Memory as the kernel sees it.
pub(crate) fn memory() -> LiveMemory {
    // SAFETY: what is stored to are tables, pages of the heap and its counter, and copies of the shared
    // data of processes that do not run.
    unsafe { LiveMemory::new() }
}

/// The kernel's own satp.
pub(crate) fn kernel_satp() -> Satp {
    Satp::from_bits(KERNEL_SATP.load(Ordering::Relaxed))
}

/// Where the linker put what users see, too.
pub(crate) fn image() -> Image {
    let range = |start, end: u64| {
        let size = end - start;
        VirtRange::new(VirtAddr::new(start), size).unwrap_or_else(|| panic!("{start:#x} wraps"))
    };
    Image {
        text: range(0, entry::__text_end.address()),
        rodata: range(
            entry::__rodata_start.address(),
            entry::__rodata_end.address(),
        ),
        shared: range(
            entry::__shared_start.address(),
            entry::__shared_end.address(),
        ),
    }
}

/// Builds the kernel's tables, leaves the boot tables for them, and makes its copy of the shared data.
pub(crate) fn take_over() {
    let at = |symbol: u64| VirtAddr::new(symbol);
    let stretches = [
        Stretch::lower(at(0), at(entry::__text_end.address()), EXECUTE_ONLY),
        Stretch::lower(
            at(entry::__rodata_start.address()),
            at(entry::__rodata_end.address()),
            READ_ONLY,
        ),
        Stretch::lower(
            at(entry::__data_start.address()),
            at(entry::__bss_end.address()),
            WRITABLE,
        ),
        // From the original on, which is restricted below.
        Stretch::upper(at(entry::__original_start.address()), WRITABLE),
    ];
    let root = kernel_map::build(&mut memory(), &mut HeapFrames, &stretches);
    let root = root.unwrap_or_else(|error| panic!("the kernel's tables: {error}"));
    let satp = Satp::new(MODE, 0, root);
    KERNEL_SATP.store(satp.bits(), Ordering::Relaxed);
    // SAFETY: the new tables map this program where the boot tables do; users' pages are out of reach, and
    // so are floating-point registers, which nobody would keep for them.
    unsafe {
        csr_write!("satp", satp.bits());
        csr_clear!("sstatus", MSTATUS_SUM | MSTATUS_FS);
    }
    memory().fence_all();
    copy_to_kernel();
    restrict_original();
    plug_in(0);
    let record = SpaceRecord {
        satp: satp.bits(),
        kind: space_kind::KERNEL,
        name: name("kernel"),
        ..SpaceRecord::EMPTY
    };
    let id = publish::add_space(record).unwrap_or(0);
    KERNEL_SPACE.store(id, Ordering::Relaxed);
}

/// Has the hart run in the space whose satp is given. Not traced: it happens many times a second, and the ring
/// would soon hold nothing else.
pub(crate) fn switch_to(satp: Satp) {
    if csr_read!("satp") == satp.bits() {
        return;
    }
    // SAFETY: the kernel's part is the same in every space. No fence: each space has an identifier of its
    // own, and nothing is remembered of one that was used before (`UserSpace::tear_down`).
    unsafe { csr_write!("satp", satp.bits()) };
}

/// Has the hart run in the kernel's own space.
pub(crate) fn switch_to_kernel() {
    switch_to(kernel_satp());
}

/// How the hart's space translates `address` now.
pub(crate) fn lookup(address: VirtAddr) -> Translation {
    let root = Satp::from_bits(csr_read!("satp")).root();
    tables::lookup(&memory(), root, address)
}

/// Notes a change of leaves, of the kernel's or of the space `id`.
pub(crate) fn trace_leaves(
    kind: u64,
    range: VirtRange,
    phys: PhysAddr,
    flags: LeafFlags,
    (space, caller): (u64, u64),
) {
    publish::trace(TraceEvent {
        kind,
        address: range.start().as_u64(),
        argument: phys.as_u64(),
        size: range.size(),
        flags: flags.bits().into(),
        caller,
        space,
        ..TraceEvent::EMPTY
    });
}

// ---- the restricted region (S3.4) ----

/// The original of the shared data.
pub(crate) fn original() -> VirtRange {
    let start = VirtAddr::new(entry::__original_start.address());
    let size = entry::__original_end.address() - start.as_u64();
    VirtRange::new(start, size).unwrap_or_else(|| panic!("{start} wraps"))
}

/// Copies the original to where the kernel's instructions reach it.
fn copy_to_kernel() {
    let (from, to) = (original().start(), image().shared);
    let memory = &mut memory();
    for offset in (0..to.size()).step_by(8) {
        let word = memory.load(from.wrapping_add(offset));
        memory.store(to.start().wrapping_add(offset), word);
    }
}

/// Writes the leaf of the original's page.
fn set_original(leaf: impl FnOnce(PhysPage) -> Pte, flags: LeafFlags, caller: u64) {
    let range = original();
    let root = kernel_satp().root();
    let memory = &mut memory();
    let phys = heap::physical(range.start());
    let table = tables::table_for(memory, &mut HeapFrames, root, range.start(), Level::L0);
    if let (Ok(table), Some(frame)) = (table, phys.page()) {
        let index = Level::L0.index_of(range.start());
        tables::set_entry(memory, table, index, leaf(frame));
        // Of every space, for the leaf is global.
        memory.fence_page(range.start());
        trace_leaves(trace_kind::PROTECT, range, phys, flags, (0, caller));
    }
}

#[inline(never)]
fn restrict_original() {
    let caller = return_address!();
    set_original(|_| Pte::INVALID, LeafFlags::empty(), caller);
}

/// Runs `use_it` with the original readable by the kernel, and by nobody else.
#[inline(never)]
pub(crate) fn with_original<R>(use_it: impl FnOnce(VirtAddr) -> R) -> R {
    let caller = return_address!();
    let flags = READ_ONLY | LeafFlags::GLOBAL | LeafFlags::ACCESSED;
    set_original(|frame| Pte::leaf(frame, flags), flags, caller);
    let result = use_it(original().start());
    set_original(|_| Pte::INVALID, LeafFlags::empty(), caller);
    result
}

// ---- device IO (S3.10) ----

/// The device IO page of this number.
pub(crate) fn io_page(number: u64) -> VirtAddr {
    IO_BASE.wrapping_add(number * PAGE_SIZE)
}

/// Maps the device IO page of this number to its device; `false` where it is mapped, or there is none.
#[inline(never)]
pub(crate) fn plug_in(number: u64) -> bool {
    let caller = return_address!();
    let phys = PhysAddr::new(IO_PHYSICAL + number * PAGE_SIZE);
    let Some(frame) = phys.page().filter(|_| number < IO_PAGES) else {
        return false;
    };
    let (page, memory) = (io_page(number), &mut memory());
    let flags = WRITABLE | LeafFlags::GLOBAL;
    let place = (page, Level::L0);
    let root = kernel_satp().root();
    let mapped = tables::map(memory, &mut HeapFrames, root, place, frame, flags).is_ok();
    memory.fence_page(page);
    if mapped && let Some(range) = VirtRange::new(page, PAGE_SIZE) {
        trace_leaves(trace_kind::MAP, range, phys, flags, (0, caller));
    }
    mapped
}

/// Takes the device IO page of this number away; `false` where it is a hole already.
#[inline(never)]
pub(crate) fn unplug(number: u64) -> bool {
    let caller = return_address!();
    let (page, memory) = (io_page(number), &mut memory());
    let unmapped = number < IO_PAGES && tables::unmap(memory, kernel_satp().root(), page).is_ok();
    memory.fence_page(page);
    if unmapped && let Some(range) = VirtRange::new(page, PAGE_SIZE) {
        let flags = LeafFlags::empty();
        trace_leaves(
            trace_kind::UNMAP,
            range,
            PhysAddr::new(0),
            flags,
            (0, caller),
        );
    }
    unmapped
}

/// Where the kernel sees the byte that `satp`'s space has at `address`.
pub(crate) fn kernels_view(satp: Satp, address: VirtAddr) -> Option<VirtAddr> {
    let phys = tables::lookup(&memory(), satp.root(), address)
        .mapped()?
        .address;
    Some(
        HEAP_WINDOW
            .address_of(phys.page()?)
            .wrapping_add(phys.page_offset()),
    )
}

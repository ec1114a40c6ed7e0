//! The application below the image (S4.3): loaded, run in U-mode, stopped where it faults.
//!
//! ```text
//!  0x400000      program    r-xu   copied from the image
//!  0x401000      data       rw-u   one zeroed page
//!  0x7dff0000    stack      rw-u   64 KiB
//!  0x1000000000  user heap  rw-u   a zeroed page on each first touch
//! ```
//!
//! Its memory stays as it was when it ended, until it runs again: so one can look.

pub(crate) mod code;

use core::sync::atomic::{AtomicU64, Ordering};

use pagescope_kernel::arch::{self, sbi_call};
use pagescope_kernel::fault::Cause;
use pagescope_kernel::nanos::kernel_heaps::HeapError;
use pagescope_kernel::nanos::tracking::{Label, Record, Tag};
use pagescope_kernel::program::image::{EXECUTABLE, WRITABLE};
use pagescope_kernel::program::probe::Fault;
use pagescope_kernel::program::{console, publish};
use pagescope_kernel::{csr_clear, csr_set, print, println};
use pagescope_protocol::info::{TraceEvent, region_kind, trace_kind};
use pagescope_protocol::{LeafFlags, PAGE_SIZE, VirtAddr, VirtRange};

use crate::entry::{self, TrapFrame};
use crate::layout::{APPLICATION, APPLICATION_STACK, USER_HEAP};
use crate::{kernel, stage2, trap};
use code::{__application_end, __application_start, Task, call};

/// sstatus.SUM: the kernel may touch the application's pages (privileged specification, section
/// "Memory Privilege in sstatus Register").
pub(crate) const SSTATUS_SUM: u64 = 1 << 18;

/// Milliseconds that the application may run without touching its heap for the first time somewhere: so its end is sure,
/// and the machine may be as slow as it likes.
const SLICE_MS: u64 = 1000;

/// What [`run`] answers for an application that was stopped.
const STOPPED: u64 = u64::MAX;

/// Pages of the user heap that were touched for the first time.
static DEMAND_ZEROED: AtomicU64 = AtomicU64::new(0);

/// Pages of the user heap that were touched for the first time, ever.
pub(crate) fn demand_zeroed() -> u64 {
    DEMAND_ZEROED.load(Ordering::Relaxed)
}

/// How the application ended.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Ending {
    /// By itself, with this.
    Exit(u64),
    /// It was stopped, for what was reported.
    Stopped,
}

/// Where the application's data is.
pub(crate) fn data_page() -> VirtAddr {
    APPLICATION.wrapping_add(program_size())
}

fn program_size() -> u64 {
    let size = __application_end.address() - __application_start.address();
    size.next_multiple_of(PAGE_SIZE)
}

/// Runs `touch`, which may touch the application's pages.
fn with_user_pages<R>(touch: impl FnOnce() -> R) -> R {
    // SAFETY: permission to touch more; it is taken back below.
    unsafe { csr_set!("sstatus", SSTATUS_SUM) };
    let result = touch();
    // SAFETY: takes it back.
    unsafe { csr_clear!("sstatus", SSTATUS_SUM) };
    result
}

/// Maps program, data and stack, and copies the program.
pub(crate) fn load() -> Result<(), HeapError> {
    let user = LeafFlags::USER;
    let program = program_size();
    map(
        APPLICATION,
        program,
        WRITABLE | user,
        "application",
        "its program, copied from the image",
    )?;
    let source = __application_start.address() as usize;
    let size = (__application_end.address() as usize) - source;
    let source = core::ptr::with_exposed_provenance::<u8>(source);
    let target = core::ptr::with_exposed_provenance_mut::<u8>(APPLICATION.as_u64() as usize);
    // SAFETY: `map` has mapped as much, writable; the source is the image's.
    with_user_pages(|| unsafe { target.copy_from_nonoverlapping(source, size) });
    // From now on it is executed, and not written.
    let here = load as *const () as u64;
    kernel::with(here, |heaps, call| {
        let tables = heaps.tables();
        let phys = tables.physical_from_virtual(call.memory, APPLICATION);
        let unmapped = heaps.unmap_range(call, APPLICATION, program);
        unmapped?;
        match phys {
            Some(phys) => heaps.map_range(call, APPLICATION, phys, program, EXECUTABLE | user),
            None => Ok(()),
        }
    })?;
    // SAFETY: instructions were written; nothing else changes.
    unsafe { core::arch::asm!("fence.i", options(nostack)) };
    map(
        data_page(),
        PAGE_SIZE,
        WRITABLE | user,
        "application data",
        "its variables",
    )?;
    let (stack, size) = (APPLICATION_STACK.start(), APPLICATION_STACK.size());
    map(
        stack,
        size,
        WRITABLE | user,
        "application stack",
        "grows down; below it nothing is mapped",
    )
}

/// Maps zeroed memory of the application's, and tracks it.
fn map(
    start: VirtAddr,
    size_bytes: u64,
    flags: LeafFlags,
    name: &str,
    description: &str,
) -> Result<(), HeapError> {
    let here = load as *const () as u64;
    let label = Label {
        name,
        description,
        kind: region_kind::USER,
    };
    let record = Record::new(start, size_bytes, Tag::Application, label);
    with_user_pages(|| kernel::with(here, |heaps, call| heaps.map_fixed(call, record, flags)))
}

/// Takes the pages of its heap back.
pub(crate) fn release_heap() -> Result<u64, HeapError> {
    let here = release_heap as *const () as u64;
    kernel::with(here, |heaps, call| heaps.release_pages(call, USER_HEAP))
}

/// Runs the application with an empty heap, until it ends or is stopped.
pub(crate) fn run(task: Task, argument: u64) -> Result<Ending, HeapError> {
    release_heap()?;
    give_slice();
    let stack = APPLICATION_STACK.end().as_u64();
    // SAFETY: the program was copied there, and U-mode reaches nothing of the kernel's.
    let value = unsafe { entry::enter_user(APPLICATION.as_u64(), stack, task as u64, argument) };
    Ok(match value {
        STOPPED => Ending::Stopped,
        code => Ending::Exit(code),
    })
}

/// Lets the application run for a slice from now on.
fn give_slice() {
    let ticks_per_ms = (stage2::hand_off().timebase_hz / 1000).max(1);
    sbi_call::set_timer(arch::time() + SLICE_MS * ticks_per_ms);
}

/// Handles a trap that the application has taken.
pub(crate) fn handle(frame: &mut TrapFrame, fault: &Fault) {
    let Fault { cause, address, .. } = *fault;
    match cause {
        Cause::ECALL_FROM_U => system_call(frame, fault),
        Cause::SUPERVISOR_TIMER_INTERRUPT => {
            println!(
                "application: it has run for {SLICE_MS} ms without touching a new page, and is stopped"
            );
            stop()
        }
        Cause::LOAD_PAGE_FAULT | Cause::STORE_PAGE_FAULT if USER_HEAP.contains(address) => {
            if let Err(error) = first_touch(address) {
                println!("application: no page for {address}: {error}");
                report(fault);
            }
        }
        _ => report(fault),
    }
}

/// Maps a zeroed page where the user heap was touched.
fn first_touch(address: VirtAddr) -> Result<(), HeapError> {
    let page = address.align_down(PAGE_SIZE);
    let here = first_touch as *const () as u64;
    let flags = WRITABLE | LeafFlags::USER;
    with_user_pages(|| kernel::with(here, |heaps, call| heaps.map_zeroed_page(call, page, flags)))?;
    DEMAND_ZEROED.fetch_add(1, Ordering::Relaxed);
    give_slice();
    Ok(())
}

/// Says what the application did, and stops it. The kernel carries on.
fn report(fault: &Fault) -> ! {
    println!("application: {}", fault.cause);
    trap::say(fault, true);
    publish::trace(TraceEvent {
        kind: trace_kind::FAULT,
        address: fault.address.as_u64(),
        argument: fault.cause.bits(),
        caller: fault.instruction.as_u64(),
        space: kernel::space(),
        ..TraceEvent::EMPTY
    });
    stop()
}

fn stop() -> ! {
    // SAFETY: the application ran, so the kernel waits in `enter_user`.
    unsafe { entry::leave_user(STOPPED) }
}

fn system_call(frame: &mut TrapFrame, fault: &Fault) {
    let (first, second, number) = (frame.x[10], frame.x[11], frame.x[17]);
    match number {
        // SAFETY: as in `stop`.
        call::EXIT => unsafe { entry::leave_user(first.min(STOPPED - 1)) },
        call::WRITE => frame.x[10] = write(VirtAddr::new(first), second),
        _ => {
            println!("application: there is no system call {number}");
            stop()
        }
    }
    // Past the ecall, which is four bytes long.
    let after = fault.instruction.wrapping_add(4).as_u64();
    // SAFETY: where the application goes on.
    unsafe { pagescope_kernel::csr_write!("sepc", after) };
}

/// Most bytes of one write.
pub(crate) const WRITE_MOST: u64 = 256;

/// Prints what the application may read itself; gives how many bytes, or all ones.
fn write(start: VirtAddr, size_bytes: u64) -> u64 {
    let range = VirtRange::new(start, size_bytes.min(WRITE_MOST));
    let Some(range) = range.filter(|range| is_users(*range)) else {
        return u64::MAX;
    };
    let bytes = core::ptr::with_exposed_provenance::<u8>(start.as_u64() as usize);
    for offset in 0..range.size() as usize {
        // SAFETY: every page of it is mapped for the application to read, which does not run now.
        let byte = with_user_pages(|| unsafe { bytes.add(offset).read_volatile() });
        print!("{}", console::harmless(byte));
    }
    range.size()
}

/// Whether the application may read all of these bytes; what it has not touched yet of its heap is mapped.
fn is_users(range: VirtRange) -> bool {
    let may_read = LeafFlags::USER | LeafFlags::READ;
    let mut page = range.start().align_down(PAGE_SIZE);
    for _ in 0..range.pages_touched() {
        // Its heap is its own before it is touched.
        if USER_HEAP.contains(page) && kernel::physical_from_virtual(page).is_none() {
            let _ = first_touch(page);
        }
        let mapped = kernel::lookup(page).mapped();
        if !mapped.is_some_and(|mapped| mapped.flags.contains(may_read)) {
            return false;
        }
        page = page.wrapping_add(PAGE_SIZE);
    }
    true
}

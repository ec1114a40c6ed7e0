//! Processes: begin, run, end.

use pagescope_kernel::arch::{self, sbi_call};
use pagescope_kernel::fault::Cause;
use pagescope_kernel::lock::SpinLock;
use pagescope_kernel::process::layout::{USER_BASE, UserLayout};
use pagescope_kernel::process::space::{HeapError, Origin, USER_OWN, UserSpace};
use pagescope_kernel::process::syscall::End;
use pagescope_kernel::process::table::{MAX_PROCESSES, Process, ProcessTable, State};
use pagescope_kernel::process::tables::TableError;
use pagescope_kernel::program::publish;
use pagescope_kernel::return_address;
use pagescope_protocol::info::{Name, SpaceRecord, TraceEvent, name, space_kind, trace_kind};
use pagescope_protocol::{LeafFlags, PhysAddr, VirtAddr, VirtRange};

use crate::heap::HeapFrames;
use crate::trap::{self, Context};
use crate::users::Program;
use crate::{faults, regions, spaces, start, syscalls};

/// Milliseconds that a process runs before the timer lets the next one.
const SLICE_MS: u64 = 10;

static PROCESSES: SpinLock<ProcessTable> = SpinLock::new(ProcessTable::EMPTY);

/// Runs `use_it` on the table of processes.
pub(crate) fn with<R>(use_it: impl FnOnce(&mut ProcessTable) -> R) -> R {
    use_it(&mut PROCESSES.lock(0))
}

/// The process in `slot`.
pub(crate) fn get(slot: usize) -> Option<Process> {
    with(|table| table.get(slot).copied())
}

/// The process `pid`, and its slot.
pub(crate) fn find(pid: u64) -> Option<(usize, Process)> {
    with(|table| {
        let slot = table.slot_of(pid)?;
        Some((slot, *table.get(slot)?))
    })
}

/// Why there is no new process.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum SpawnError {
    /// All slots are taken.
    TooMany,
    /// No frame is left.
    OutOfMemory,
}

impl core::fmt::Display for SpawnError {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        match self {
            Self::TooMany => write!(f, "there are {MAX_PROCESSES} processes already"),
            Self::OutOfMemory => f.write_str("out of memory"),
        }
    }
}

/// `process 3 init`.
fn space_name(pid: u64, program: &str) -> Name {
    let mut bytes = [0; 24];
    let mut at = 0;
    let mut digits = [0; 20];
    let mut first = digits.len();
    let mut rest = pid;
    loop {
        first -= 1;
        digits[first] = b'0' + (rest % 10) as u8;
        rest /= 10;
        if rest == 0 {
            break;
        }
    }
    for part in [
        b"process ".as_slice(),
        &digits[first..],
        b" ",
        program.as_bytes(),
    ] {
        for byte in part {
            if let Some(place) = bytes.get_mut(at) {
                *place = *byte;
                at += 1;
            }
        }
    }
    bytes
}

/// Begins a process that runs `program`, and gives its number.
///
/// # Errors
/// [`SpawnError`]; no frame is lost.
#[inline(never)]
pub(crate) fn spawn(program: &Program, argument: u64) -> Result<u64, SpawnError> {
    let caller = return_address!();
    let (slot, pid) = with(|table| table.vacancy()).ok_or(SpawnError::TooMany)?;
    let layout = UserLayout::new(&spaces::image(), program.limits);
    // Every program's limits fit; a test of all of them says so.
    let layout = layout.unwrap_or_else(|error| panic!("{}: {error}", program.name));
    let built = spaces::with_original(|original| {
        let origin = Origin {
            kernel_root: spaces::kernel_satp().root(),
            original,
            asid: slot as u16 + 1,
        };
        UserSpace::build(&mut spaces::memory(), &mut HeapFrames, layout, &origin)
    });
    let space = match built {
        Ok(space) => space,
        Err(TableError::OutOfMemory) => return Err(SpawnError::OutOfMemory),
        Err(error) => panic!("{}: {error}", program.name),
    };
    let record = SpaceRecord {
        satp: space.satp().bits(),
        kind: space_kind::PROCESS,
        number: pid,
        name: space_name(pid, program.name),
        ..SpaceRecord::EMPTY
    };
    let space_id = publish::add_space(record).unwrap_or(0);
    regions::publish_user(&space, space_id);
    trace_life(trace_kind::SPAWN, pid, space_id, caller);
    let first = layout.meeting_page();
    for (range, of_kernel, flags) in [
        (layout.text, true, LeafFlags::EXECUTE | LeafFlags::USER),
        (layout.rodata, true, LeafFlags::READ | LeafFlags::USER),
        (span(first, layout.dynamic().end()), false, USER_OWN),
    ] {
        let phys = if of_kernel {
            let kernels = range.start().as_u64() - USER_BASE.as_u64();
            PhysAddr::new(kernels + pagescope_kernel::process::layout::LOAD)
        } else {
            physical(&space, range.start())
        };
        spaces::trace_leaves(trace_kind::MAP, range, phys, flags, (space_id, caller));
    }
    let process = Process {
        pid,
        name: name(program.name),
        state: State::Ready,
        space,
        space_id,
        ticks: 0,
        preempted: 0,
        answer: None,
    };
    let entry = VirtAddr::new(program.entry as usize as u64 + USER_BASE.as_u64());
    trap::with_context(slot, |context| {
        *context = Context::begin(entry, layout.stack_top(), [argument, pid]);
    });
    with(|table| table.insert(slot, process));
    Ok(pid)
}

fn span(start: VirtAddr, end: VirtAddr) -> VirtRange {
    VirtRange::from_bounds(start, end).unwrap_or_else(|| panic!("{start} wraps"))
}

/// The physical address of what a user sees at `address`; 0 where nothing is mapped.
fn physical(space: &UserSpace, address: VirtAddr) -> PhysAddr {
    let view = space.kernels_view(&spaces::memory(), address);
    view.map_or(PhysAddr::new(0), crate::heap::physical)
}

fn trace_life(kind: u64, pid: u64, space: u64, caller: u64) {
    publish::trace(TraceEvent {
        kind,
        argument: pid,
        caller,
        space,
        ..TraceEvent::EMPTY
    });
}

/// Ends the process in `slot`, and gives back all that it had.
#[inline(never)]
pub(crate) fn end(slot: usize, end: End) {
    let caller = return_address!();
    // Before its tables are gone.
    spaces::switch_to_kernel();
    let Some(process) = with(|table| table.end(slot, end)) else {
        return;
    };
    regions::forget_user(process.space_id);
    publish::remove_space(process.space_id);
    process
        .space
        .tear_down(&mut spaces::memory(), &mut HeapFrames);
    trace_life(trace_kind::EXIT, process.pid, process.space_id, caller);
}

/// Lets whoever's turn it is run, until the next trap; `false` where everybody waits.
pub(crate) fn turn() -> bool {
    let now = arch::time();
    let slice = SLICE_MS * start::ticks_per_ms();
    let Some((slot, until)) = with(|table| table.next(now, slice)) else {
        return false;
    };
    run(slot, until);
    true
}

fn run(slot: usize, until: u64) {
    let Some(process) = get(slot) else { return };
    if let Some(answer) = process.answer {
        trap::with_context(slot, |context| context.x[10] = answer);
    }
    spaces::switch_to(process.space.satp());
    sbi_call::set_timer(until);
    let begun = arch::time();
    let (cause, address) = trap::run(slot);
    let ran = arch::time() - begun;
    let is_timer = cause == Cause::SUPERVISOR_TIMER_INTERRUPT;
    with(|table| {
        if let Some(process) = table.get_mut(slot) {
            process.ticks += ran;
            process.preempted += u64::from(is_timer);
            process.answer = None;
        }
    });
    match cause {
        Cause::SUPERVISOR_TIMER_INTERRUPT => {}
        Cause::ECALL_FROM_U => syscalls::handle(slot),
        cause => {
            let instruction = trap::with_context(slot, |context| context.pc);
            faults::by_user(slot, faults::of_user(cause, address, instruction));
        }
    }
}

/// Changes the space of the process in `slot`, and publishes what has become of it.
fn change_space<R>(slot: usize, change: impl FnOnce(&mut UserSpace) -> R) -> Option<R> {
    let mut process = get(slot)?;
    let result = change(&mut process.space);
    with(|table| {
        if let Some(place) = table.get_mut(slot) {
            place.space = process.space;
        }
    });
    regions::publish_user(&process.space, process.space_id);
    Some(result)
}

/// Gives the stack of the process in `slot` so many pages; `false` where memory is used up.
#[inline(never)]
pub(crate) fn grow_stack(slot: usize, pages: u64) -> bool {
    let caller = return_address!();
    let Some(before) = get(slot) else {
        return false;
    };
    let grow =
        |space: &mut UserSpace| space.grow_stack(&mut spaces::memory(), &mut HeapFrames, pages);
    let grown = change_space(slot, grow).is_some_and(|grown| grown.is_ok());
    if let Some(after) = get(slot) {
        let (from, to) = (after.space.stack().start(), before.space.stack().start());
        trace_pages(trace_kind::MAP, &after, from, to, caller);
    }
    grown
}

/// Gives the heap of the process in `slot` so many pages; does nothing where there is none.
///
/// # Errors
/// [`HeapError`]; nothing has changed then.
#[inline(never)]
pub(crate) fn set_heap(slot: usize, pages: u64) -> Result<(), HeapError> {
    let caller = return_address!();
    let Some(before) = get(slot) else {
        return Ok(());
    };
    let set = |space: &mut UserSpace| space.set_heap(&mut spaces::memory(), &mut HeapFrames, pages);
    let done = change_space(slot, set).unwrap_or(Ok(()));
    if let Some(after) = get(slot) {
        let (old, new) = (before.space.heap().end(), after.space.heap().end());
        trace_pages(trace_kind::MAP, &after, old, new, caller);
        trace_pages(trace_kind::UNMAP, &after, new, old, caller);
    }
    done
}

/// An event for each page from `start` up to `end`: their frames need not lie side by side.
fn trace_pages(kind: u64, process: &Process, start: VirtAddr, end: VirtAddr, caller: u64) {
    let flags = if kind == trace_kind::MAP {
        USER_OWN
    } else {
        LeafFlags::empty()
    };
    let mut at = start;
    while at < end {
        let next = at.wrapping_add(pagescope_protocol::PAGE_SIZE);
        let phys = physical(&process.space, at);
        let about = (process.space_id, caller);
        spaces::trace_leaves(kind, span(at, next), phys, flags, about);
        at = next;
    }
}

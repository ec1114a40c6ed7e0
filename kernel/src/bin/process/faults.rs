//! Faults: a user's grows its stack or ends its process; the kernel's own are reported.

use pagescope_kernel::arch::csr::MSTATUS_SUM;
use pagescope_kernel::fault::Cause;
use pagescope_kernel::fault::report::{FaultReport, place_of};
use pagescope_kernel::process::policy::{Verdict, judge};
use pagescope_kernel::process::syscall::End;
use pagescope_kernel::program::probe::Fault;
use pagescope_kernel::program::publish;
use pagescope_kernel::{csr_read, println};
use pagescope_protocol::VirtAddr;
use pagescope_protocol::info::{EVERY_SPACE, TraceEvent, name_text, trace_kind};

use crate::{processes, spaces};

/// A fault of the user program in `slot`, whose space the hart is in.
pub(crate) fn by_user(slot: usize, fault: Fault) {
    let Some(process) = processes::get(slot) else {
        return;
    };
    publish::trace(TraceEvent {
        kind: trace_kind::FAULT,
        address: fault.address.as_u64(),
        argument: fault.cause.bits(),
        caller: fault.instruction.as_u64(),
        space: process.space_id,
        ..TraceEvent::EMPTY
    });
    let verdict = judge(&process.space, fault.cause, fault.address);
    if let Verdict::GrowStack(pages) = verdict {
        if processes::grow_stack(slot, pages) {
            return;
        }
        println!(
            "process {} {}: no memory for its stack",
            process.pid,
            process.name()
        );
    }
    let overflow = match verdict {
        Verdict::StackOverflow => "stack overflow: ",
        Verdict::GrowStack(_) | Verdict::Refused => "",
    };
    let (pid, program) = (process.pid, process.name());
    report(fault, true, process.space_id, |report| {
        println!("process {pid} {program}: {overflow}{report}; it is ended");
    });
    processes::end(slot, End::Fault(fault.cause.bits()));
}

/// Says what a fault of the kernel was.
pub(crate) fn print_kernels(fault: Fault) {
    let space = processes::space_in_use().unwrap_or(EVERY_SPACE);
    report(fault, false, space, |report| {
        println!(
            "kernel: {report}; the instruction is at {}",
            fault.instruction
        );
    });
}

/// Has `say` say what a fault was, seen from `space`, in which the hart is.
fn report(fault: Fault, by_user: bool, space: u64, say: impl FnOnce(&FaultReport<'_>)) {
    let about = place_of(fault.cause, fault.address, fault.instruction);
    let translation = spaces::lookup(about);
    let phys = translation.mapped().map(|mapped| mapped.address);
    let region = publish::region_of(about, phys, space);
    say(&FaultReport {
        cause: fault.cause,
        address: fault.address,
        instruction: fault.instruction,
        by_user,
        region: region.as_ref().map(|region| name_text(&region.name)),
        translation: &translation,
        sum: csr_read!("sstatus") & MSTATUS_SUM != 0,
    });
}

/// The fault that a trap of a user was.
pub(crate) fn of_user(cause: Cause, address: VirtAddr, instruction: u64) -> Fault {
    Fault {
        cause,
        address,
        instruction: VirtAddr::new(instruction),
    }
}

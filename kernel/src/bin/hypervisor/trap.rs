//! Traps, on the trap stack: other harts' interrupts; faults that are survived; and faults that nobody
//! expects, after which the hart stops where a debugger can look at it.

use core::sync::atomic::{AtomicBool, Ordering};

use pagescope_kernel::arch::{self, sbi_call};
use pagescope_kernel::fault::Cause;
use pagescope_kernel::fault::report::{FaultReport, place_of};
use pagescope_kernel::hypervisor::class::PointerClass;
use pagescope_kernel::program::probe::{self, Fault};
use pagescope_kernel::program::publish;
use pagescope_kernel::{csr_read, csr_write, println};
use pagescope_protocol::info::{EVERY_SPACE, TraceEvent, name_text, trace_kind};
use pagescope_protocol::{Satp, VirtAddr};

use crate::entry::TrapFrame;
use crate::{cpu, harts, ipi, rescue, vmem};

/// Whether a failure ends the machine: in the self-test, nobody is there to look.
static POWER_OFF_ON_FAILURE: AtomicBool = AtomicBool::new(false);

/// From now on, a failure ends the machine.
pub(crate) fn power_off_on_failure() {
    POWER_OFF_ON_FAILURE.store(true, Ordering::Relaxed);
}

/// Stops this hart after a failure. Nobody waits for it any more.
pub(crate) fn halt() -> ! {
    if POWER_OFF_ON_FAILURE.load(Ordering::Relaxed) {
        sbi_call::power_off(true);
    }
    let hart = cpu::hart();
    println!(
        "kernel: hart {hart} has stopped; its registers are as they were for a debugger to read"
    );
    harts::give_up();
    // SAFETY: with none let in, no interrupt changes what a debugger is to read.
    unsafe { csr_write!("sie", 0) };
    arch::stop()
}

/// Handles a trap. A trap in here does not come back here: the way in has pointed stvec at a loop that
/// only waits, and the way out points it back.
pub(crate) extern "C" fn handle(frame: &mut TrapFrame) {
    let cause = Cause::from_bits(csr_read!("scause"));
    if cause == Cause::SUPERVISOR_SOFTWARE_INTERRUPT {
        return ipi::answer();
    }
    if probe::survive(&mut frame.x) {
        return;
    }
    let fault = Fault {
        cause,
        address: VirtAddr::new(csr_read!("stval")),
        instruction: VirtAddr::new(csr_read!("sepc")),
    };
    let provoked = rescue::survive(frame, fault);
    report(fault);
    publish::trace(TraceEvent {
        kind: trace_kind::FAULT,
        address: fault.address.as_u64(),
        argument: cause.bits(),
        caller: fault.instruction.as_u64(),
        space: cpu::info().space,
        ..TraceEvent::EMPTY
    });
    if provoked {
        return;
    }
    println!(
        "  scause {:#018x}   sepc {:#018x}",
        cause.bits(),
        fault.instruction
    );
    println!(
        "  stval  {:#018x}   sp   {:#018x}",
        fault.address, frame.x[2]
    );
    halt()
}

/// Says what happened, in words that name the region.
fn report(fault: Fault) {
    let place = place_of(fault.cause, fault.address, fault.instruction);
    let root = Satp::from_bits(csr_read!("satp")).root();
    let translation = vmem::lookup(root, place);
    let phys = translation.mapped().map(|mapped| mapped.address);
    let space = if cpu::is_live() {
        cpu::info().space
    } else {
        EVERY_SPACE
    };
    let region = publish::region_of(place, phys, space);
    let report = FaultReport {
        cause: fault.cause,
        address: fault.address,
        instruction: fault.instruction,
        by_user: false,
        region: region.as_ref().map(|region| name_text(&region.name)),
        translation: &translation,
        sum: false,
    };
    let class = PointerClass::of(place);
    println!("hart {}: {report}; class {class}", cpu::hart());
}

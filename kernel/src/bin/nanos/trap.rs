//! Faults: a probe survives its own; the application's are handled or stop it; any other is reported, and
//! the hart stops where a debugger can look at it.

use core::sync::atomic::{AtomicBool, Ordering};

use pagescope_kernel::arch::csr::MSTATUS_SPP;
use pagescope_kernel::arch::{self, sbi_call};
use pagescope_kernel::fault::Cause;
use pagescope_kernel::fault::report::{FaultReport, place_of};
use pagescope_kernel::program::probe::{self, Fault};
use pagescope_kernel::program::publish;
use pagescope_kernel::{csr_read, println};
use pagescope_protocol::VirtAddr;
use pagescope_protocol::info::{EVERY_SPACE, name_text};

use crate::application::{self, SSTATUS_SUM};
use crate::entry::TrapFrame;
use crate::kernel;

/// Whether a failure ends the machine: in the self-test, nobody is there to look.
static POWER_OFF_ON_FAILURE: AtomicBool = AtomicBool::new(false);

/// From now on, a failure ends the machine.
pub(crate) fn power_off_on_failure() {
    POWER_OFF_ON_FAILURE.store(true, Ordering::Relaxed);
}

/// Stops after a failure.
pub(crate) fn halt() -> ! {
    if POWER_OFF_ON_FAILURE.load(Ordering::Relaxed) {
        sbi_call::power_off(true);
    }
    println!("kernel: hart 0 has stopped; its registers are as they were for a debugger to read");
    sbi_call::set_timer(u64::MAX);
    arch::stop()
}

/// Says in words what a fault was: which access, to which region, and why the tables refuse it.
pub(crate) fn say(fault: &Fault, by_user: bool) {
    // The tables may be what was being changed: then nothing is known of them.
    let place = place_of(fault.cause, fault.address, fault.instruction);
    let Some(translation) = kernel::try_lookup(place) else {
        return println!("  the tables are being changed; what lies there is not known");
    };
    let phys = translation.mapped().map(|mapped| mapped.address);
    let region = publish::region_of(place, phys, EVERY_SPACE);
    let report = FaultReport {
        cause: fault.cause,
        address: fault.address,
        instruction: fault.instruction,
        by_user,
        region: region.as_ref().map(|region| name_text(&region.name)),
        translation: &translation,
        sum: csr_read!("sstatus") & SSTATUS_SUM != 0,
    };
    println!("  {report}");
}

/// Handles a trap. Interrupts are never let into the kernel: the idle loop polls what wfi waited for. A trap
/// in here does not come back here: the way in has pointed stvec at a loop that only waits, and
/// the ways out point it back.
pub(crate) extern "C" fn handle(frame: &mut TrapFrame) {
    if probe::survive(&mut frame.x) {
        return;
    }
    let (scause, sepc, stval) = (csr_read!("scause"), csr_read!("sepc"), csr_read!("stval"));
    let fault = Fault {
        cause: Cause::from_bits(scause),
        address: VirtAddr::new(stval),
        instruction: VirtAddr::new(sepc),
    };
    if csr_read!("sstatus") & MSTATUS_SPP == 0 {
        return application::handle(frame, &fault);
    }
    println!("\nkernel: unexpected trap: {}", fault.cause);
    say(&fault, false);
    println!("  scause {scause:#018x}");
    println!("  sepc   {sepc:#018x}");
    println!("  stval  {stval:#018x}");
    println!("  sp     {:#018x}   ra {:#018x}", frame.x[2], frame.x[1]);
    halt()
}

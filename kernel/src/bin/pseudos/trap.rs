//! Faults: a probe survives its own; any other is reported, and the hart stops where a debugger
//! can look at it.

use core::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use pagescope_kernel::arch::{self, sbi_call};
use pagescope_kernel::fault::Cause;
use pagescope_kernel::{csr_read, csr_write};
use pagescope_protocol::VirtAddr;

use crate::entry::{self, Probed, TrapFrame};
use crate::println;

/// stval of the last fault that a probe survived.
static PROBE_STVAL: AtomicU64 = AtomicU64::new(0);

/// sepc of the same.
static PROBE_SEPC: AtomicU64 = AtomicU64::new(0);

/// Whether a failure ends the machine: in the self-test, nobody is there to look.
static POWER_OFF_ON_FAILURE: AtomicBool = AtomicBool::new(false);

/// A fault that a probe survived.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Fault {
    /// Why.
    pub(crate) cause: Cause,
    /// stval: which address.
    pub(crate) address: VirtAddr,
    /// sepc: which instruction.
    pub(crate) instruction: VirtAddr,
}

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

/// Loads the byte at `address`, whatever that does.
pub(crate) fn probe_load(address: VirtAddr) -> Result<u8, Fault> {
    answer(entry::probe_load(address.as_u64())).map(|value| value as u8)
}

/// Stores `byte` at `address`, whatever that does.
///
/// # Safety
/// Where it does not fault, the byte must be the caller's to write.
pub(crate) unsafe fn probe_store(address: VirtAddr, byte: u8) -> Result<(), Fault> {
    // SAFETY: a fault is survived; the rest is the caller's promise.
    let probed = unsafe { entry::probe_store(address.as_u64(), byte.into()) };
    answer(probed).map(drop)
}

fn answer(probed: Probed) -> Result<u64, Fault> {
    match probed.faulted {
        0 => Ok(probed.value),
        _ => Err(Fault {
            cause: Cause::from_bits(probed.value),
            address: VirtAddr::new(PROBE_STVAL.load(Ordering::Relaxed)),
            instruction: VirtAddr::new(PROBE_SEPC.load(Ordering::Relaxed)),
        }),
    }
}

/// Handles a trap. Interrupts are never let in: the idle loop polls what wfi waited for. A trap in
/// here does not come back here: the way in has pointed stvec at a loop that only waits, and the
/// way out points it back.
pub(crate) extern "C" fn handle(frame: &mut TrapFrame) {
    let (scause, sepc, stval) = (csr_read!("scause"), csr_read!("sepc"), csr_read!("stval"));
    if entry::is_probe(sepc) && !Cause::from_bits(scause).is_interrupt() {
        PROBE_STVAL.store(stval, Ordering::Relaxed);
        PROBE_SEPC.store(sepc, Ordering::Relaxed);
        (frame.x[10], frame.x[11]) = (1, scause);
        let after = entry::__probe_faulted.address();
        // SAFETY: the probe's return; a0 and a1 hold its answer.
        unsafe { csr_write!("sepc", after) };
        return;
    }
    println!("\nkernel: unexpected trap: {}", Cause::from_bits(scause));
    println!("  scause {scause:#018x}");
    println!("  sepc   {sepc:#018x}");
    println!("  stval  {stval:#018x}");
    println!("  sp     {:#018x}   ra {:#018x}", frame.x[2], frame.x[1]);
    halt()
}

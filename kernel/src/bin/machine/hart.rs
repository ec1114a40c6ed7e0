//! Harts: what S-mode may do on each, and starting and stopping them (SBI's HSM).
//!
//! ```text
//!  PMP entry 0   0x80000000, 2 MiB   ---   the machine program
//!  PMP entry 1   everything          rwx
//! ```
//!
//! The lower entry decides (privileged specification, section "Priority and Matching Logic").
//! Without entry 1, S-mode's first instruction would fault.

use core::sync::atomic::{AtomicU64, Ordering};

use pagescope_kernel::arch::csr::{
    MSTATUS_MPIE, MSTATUS_MPP, MSTATUS_MPP_S, MSTATUS_MPRV, SEI, SSI, STI,
};
use pagescope_kernel::board::MACHINE_RAM;
use pagescope_kernel::fault::Cause;
use pagescope_kernel::sbi::{SbiError, SbiResult, hsm};
use pagescope_kernel::{arch, csr_clear, csr_read, csr_set, csr_write};
use pagescope_protocol::{PhysAddr, Satp};

use crate::entry::{self, MAX_HARTS};
use crate::{boot, clint, debug, table_service};

/// pmpcfg: a naturally aligned power of two, without permissions.
const PMP_NAPOT: u64 = 0b11 << 3;
/// pmpcfg: read, write, execute.
const PMP_RWX: u64 = 0b111;

/// mcounteren: S-mode reads cycle, time and instret.
const ALL_COUNTERS: u64 = 0b111;

/// All exceptions that S-mode handles itself: every one that there is but its calls to us, and
/// breakpoints, which may be a debugger's; and where tables are made on demand, not the page faults of
/// loads and stores.
const DELEGATED_EXCEPTIONS: u64 = 0xb1f7;

const _: () = assert!(DELEGATED_EXCEPTIONS & 1 << Cause::ECALL_FROM_S.bits() == 0);
const _: () = assert!(DELEGATED_EXCEPTIONS & 1 << Cause::BREAKPOINT.bits() == 0);
const _: () = assert!(DELEGATED_EXCEPTIONS >> Cause::STORE_PAGE_FAULT.bits() == 1);

/// The state of a hart that somebody is about to start: what it is to be started with is being written, and
/// nobody else may start it. To those who ask it is [`hsm::START_PENDING`].
const CLAIMED: u64 = u64::MAX;

/// One hart's place.
struct Hart {
    state: AtomicU64,
    start: AtomicU64,
    argument: AtomicU64,
}

static HARTS: [Hart; MAX_HARTS] = [const {
    Hart {
        state: AtomicU64::new(hsm::STOPPED),
        start: AtomicU64::new(0),
        argument: AtomicU64::new(0),
    }
}; MAX_HARTS];

/// This hart's number, below [`MAX_HARTS`].
pub(crate) fn current() -> usize {
    csr_read!("mhartid") as usize
}

/// Starts S-mode on this hart at `start`, under `satp`, with a0 and a1 as given.
pub(crate) fn enter_supervisor(start: u64, satp: Satp, a0: u64, a1: u64) -> ! {
    let machine_ram = MACHINE_RAM.start().as_u64() >> 2 | ((MACHINE_RAM.size() >> 3) - 1);
    if let Some(hart) = HARTS.get(current()) {
        hart.state.store(hsm::STARTED, Ordering::Release);
    }
    let kept = if table_service::is_on() {
        table_service::SERVED_FAULTS
    } else {
        0
    };
    let delegated = DELEGATED_EXCEPTIONS & !kept;
    // SAFETY: these registers decide what S-mode may do, and change nothing for M-mode; that the
    // tables under satp are sound and `start` is S-mode's code is the boot map's doing, or for
    // other harts S-mode's own.
    unsafe {
        csr_write!("pmpaddr0", machine_ram);
        csr_write!("pmpaddr1", u64::MAX >> 10);
        csr_write!("pmpcfg0", (PMP_NAPOT | PMP_RWX) << 8 | PMP_NAPOT);
        csr_write!("medeleg", delegated);
        csr_write!("mideleg", SSI | STI | SEI);
        csr_write!("mcounteren", ALL_COUNTERS);
        csr_write!("sie", 0);
        csr_write!("mie", debug::interrupts(current()));
        csr_write!("satp", satp.bits());
        core::arch::asm!("sfence.vma x0, x0", "fence.i", options(nostack));
        csr_write!("mepc", start);
        csr_clear!("mstatus", MSTATUS_MPP | MSTATUS_MPIE | MSTATUS_MPRV);
        csr_set!("mstatus", MSTATUS_MPP_S);
        entry::leave(a0, a1)
    }
}

/// Waits until another hart starts this one. Called from reset, on a stack of its own.
pub(crate) extern "C" fn wait_to_be_started(number: u64) -> ! {
    let number = number as usize;
    // SAFETY: M-mode's own interrupt enable; mstatus.MIE is off, so nothing traps.
    unsafe { csr_write!("mie", debug::interrupts(number)) };
    loop {
        clint::set_software_interrupt(number, false);
        debug::waiting(number);
        if let Some(hart) = HARTS.get(number)
            && hart.state.load(Ordering::Acquire) == hsm::START_PENDING
        {
            let start = hart.start.load(Ordering::Relaxed);
            let argument = hart.argument.load(Ordering::Relaxed);
            enter_supervisor(start, Satp::default(), number as u64, argument);
        }
        while csr_read!("mip") & debug::interrupts(number) == 0 {
            arch::wait_for_interrupt();
        }
    }
}

/// HSM's `hart_start`.
pub(crate) fn start(number: u64, start: u64, argument: u64) -> SbiResult {
    let hart = existing(number)?;
    if !boot::supervisor_ram().contains(PhysAddr::new(start)) {
        return Err(SbiError::InvalidAddress);
    }
    // In one step: of two harts that start the same one, one is told that it runs already.
    let claimed =
        hart.state
            .compare_exchange(hsm::STOPPED, CLAIMED, Ordering::Acquire, Ordering::Relaxed);
    if claimed.is_err() {
        return Err(SbiError::AlreadyAvailable);
    }
    hart.start.store(start, Ordering::Relaxed);
    hart.argument.store(argument, Ordering::Relaxed);
    hart.state.store(hsm::START_PENDING, Ordering::Release);
    clint::set_software_interrupt(number as usize, true);
    Ok(0)
}

/// HSM's `hart_get_status`.
pub(crate) fn status(number: u64) -> SbiResult {
    match existing(number)?.state.load(Ordering::Acquire) {
        CLAIMED => Ok(hsm::START_PENDING),
        state => Ok(state),
    }
}

/// HSM's `hart_stop`.
pub(crate) fn stop() -> ! {
    let number = current();
    if let Some(hart) = HARTS.get(number) {
        hart.state.store(hsm::STOPPED, Ordering::Release);
    }
    wait_to_be_started(number as u64)
}

fn existing(number: u64) -> Result<&'static Hart, SbiError> {
    let exists = number < boot::harts();
    let hart = HARTS.get(number as usize).filter(|_| exists);
    hart.ok_or(SbiError::InvalidParam)
}

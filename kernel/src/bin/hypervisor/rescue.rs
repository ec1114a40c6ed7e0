//! Faults that are provoked, by code as any other: reported as any fault is, and survived.
//!
//! ```text
//!  attempt(body) ── registers kept ──▶ body ──▶ fault ──▶ trap stack: report
//!        ◀──────── registers as they were, stack and all ─────────┘
//! ```
//!
//! As setjmp and longjmp are, and so what `body` has on its stack when it faults is never dropped. A hart
//! that has overflowed its stack goes on as if it had not.

use core::arch::naked_asm;
use core::mem::offset_of;

use pagescope_kernel::csr_write;
use pagescope_kernel::fault::Cause;
use pagescope_kernel::program::probe::Fault;
use pagescope_protocol::VirtAddr;

use crate::cpu;
use crate::entry::TrapFrame;

/// What may fault.
pub(crate) type Body = extern "C" fn(u64);

/// What a provoked fault ends at, and what it was.
#[derive(Clone, Copy, Debug)]
#[repr(C)]
pub(crate) struct Rescue {
    /// Where to go on; 0 while no fault is expected.
    resume: u64,
    /// The stack pointer there.
    sp: u64,
    /// s0 to s11 there.
    saved: [u64; 12],
    /// scause, stval and sepc.
    fault: [u64; 3],
}

impl Rescue {
    /// No fault is expected.
    pub(crate) const NONE: Self = Self {
        resume: 0,
        sp: 0,
        saved: [0; 12],
        fault: [0; 3],
    };
}

// As the assembly below has them.
const _: () = assert!(offset_of!(Rescue, resume) == 0);
const _: () = assert!(offset_of!(Rescue, sp) == 8);
const _: () = assert!(offset_of!(Rescue, saved) == 16);

/// Calls `body` with `argument`; 1 where it faulted, else 0.
#[unsafe(naked)]
unsafe extern "C" fn call(rescue: *mut Rescue, body: Body, argument: u64) -> u64 {
    naked_asm!(
        "addi sp, sp, -16",
        "sd   ra, 8(sp)",
        "sd   a0, 0(sp)",
        "sd   sp, 8(a0)",
        "sd   s0, 16(a0)",
        "sd   s1, 24(a0)",
        "sd   s2, 32(a0)",
        "sd   s3, 40(a0)",
        "sd   s4, 48(a0)",
        "sd   s5, 56(a0)",
        "sd   s6, 64(a0)",
        "sd   s7, 72(a0)",
        "sd   s8, 80(a0)",
        "sd   s9, 88(a0)",
        "sd   s10, 96(a0)",
        "sd   s11, 104(a0)",
        "la   t0, 1f",
        "sd   t0, 0(a0)",
        "mv   t1, a1",
        "mv   a0, a2",
        "jalr t1",
        "li   a0, 0",
        // A fault goes on here, with a0 = 1.
        "1:",
        "ld   t0, 0(sp)",
        "sd   zero, 0(t0)",
        "ld   ra, 8(sp)",
        "addi sp, sp, 16",
        "ret",
    )
}

/// Calls `body` with `argument`.
///
/// # Errors
/// The fault that ended it.
///
/// # Safety
/// Where `body` faults it is left as it stands: it must hold no lock then, and nothing that needs to be dropped.
pub(crate) unsafe fn attempt(body: Body, argument: u64) -> Result<(), Fault> {
    let rescue = cpu::info().rescue.get();
    // SAFETY: the struct is this hart's own; the rest is the caller's promise.
    let faulted = unsafe { call(rescue, body, argument) };
    if faulted == 0 {
        return Ok(());
    }
    // SAFETY: as above; the trap handler is done with it.
    let [scause, stval, sepc] = unsafe { (&raw const (*rescue).fault).read_volatile() };
    Err(Fault {
        cause: Cause::from_bits(scause),
        address: VirtAddr::new(stval),
        instruction: VirtAddr::new(sepc),
    })
}

/// Whether the fault that this hart has just taken was provoked. If so, returning from the trap ends
/// the attempt.
pub(crate) fn survive(frame: &mut TrapFrame, fault: Fault) -> bool {
    let rescue = cpu::info().rescue.get();
    // SAFETY: the struct is this hart's own, and what it was doing has ended.
    let rescue = unsafe { &mut *rescue };
    if rescue.resume == 0 {
        return false;
    }
    rescue.fault = [
        fault.cause.bits(),
        fault.address.as_u64(),
        fault.instruction.as_u64(),
    ];
    frame.x[2] = rescue.sp;
    (frame.x[8], frame.x[9]) = (rescue.saved[0], rescue.saved[1]);
    frame.x[18..28].copy_from_slice(&rescue.saved[2..]);
    frame.x[10] = 1;
    // SAFETY: the end of `call`, whose registers these are.
    unsafe { csr_write!("sepc", rescue.resume) };
    true
}

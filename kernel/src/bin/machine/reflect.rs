//! Handing a trap on to S-mode, as the hart would have done it had it been delegated.

use pagescope_kernel::arch::csr::{
    MSTATUS_MPP, MSTATUS_MPP_S, MSTATUS_SIE, MSTATUS_SPIE, MSTATUS_SPP,
};
use pagescope_kernel::{csr_read, csr_write};

/// Makes this hart take the trap that M-mode took last in S-mode, once it leaves M-mode: sepc,
/// scause and stval say what mepc and the arguments do, and it goes on at stvec. The hart must have
/// come from S-mode or U-mode.
///
/// Source: privileged specification, sections "Supervisor Trap Vector Base Address Register"
/// (exceptions go to its base, whatever its mode) and "Privilege and Global Interrupt-Enable Stack
/// in mstatus register".
pub(crate) fn reflect(cause: u64, value: u64) {
    let mstatus = csr_read!("mstatus");
    let mut after = mstatus & !(MSTATUS_SPP | MSTATUS_SPIE | MSTATUS_SIE | MSTATUS_MPP);
    after |= MSTATUS_MPP_S;
    if mstatus & MSTATUS_MPP == MSTATUS_MPP_S {
        after |= MSTATUS_SPP;
    }
    if mstatus & MSTATUS_SIE != 0 {
        after |= MSTATUS_SPIE;
    }
    // SAFETY: all of these are S-mode's, or say how S-mode is entered; this is what the hart does by
    // itself on a delegated trap.
    unsafe {
        csr_write!("sepc", csr_read!("mepc"));
        csr_write!("scause", cause);
        csr_write!("stval", value);
        csr_write!("mepc", csr_read!("stvec") & !0b11);
        csr_write!("mstatus", after);
    }
}

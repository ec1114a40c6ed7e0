//! Handing a trap on to S-mode, as if it had been delegated.
//!
//! Privileged specification, sections "Trap Delegation Registers" and "Privilege and Global Interrupt-Enable
//! Stack in mstatus register": what the hardware does on a trap into S-mode, done by hand.

use pagescope_kernel::arch::csr::{
    MSTATUS_MPP, MSTATUS_MPP_S, MSTATUS_SIE, MSTATUS_SPIE, MSTATUS_SPP,
};
use pagescope_kernel::{csr_read, csr_write};

/// Makes this hart's present trap S-mode's: mret goes to stvec then.
pub(crate) fn to_supervisor() {
    let mstatus = csr_read!("mstatus");
    let from_supervisor = mstatus & MSTATUS_MPP == MSTATUS_MPP_S;
    let spp = if from_supervisor { MSTATUS_SPP } else { 0 };
    let spie = if mstatus & MSTATUS_SIE != 0 {
        MSTATUS_SPIE
    } else {
        0
    };
    let cleared = MSTATUS_SPP | MSTATUS_SPIE | MSTATUS_SIE | MSTATUS_MPP;
    let mstatus = mstatus & !cleared | spp | spie | MSTATUS_MPP_S;
    // stvec's two low bits are its mode; exceptions go to its base in either.
    let handler = csr_read!("stvec") & !0b11;
    // SAFETY: S-mode's own registers, as the hardware would have set them; nothing changes for
    // M-mode.
    unsafe {
        csr_write!("scause", csr_read!("mcause"));
        csr_write!("stval", csr_read!("mtval"));
        csr_write!("sepc", csr_read!("mepc"));
        csr_write!("mstatus", mstatus);
        csr_write!("mepc", handler);
    }
}

//! The core-local interruptor: a hart's own timer, and how harts send for each other.
//!
//! ```text
//!  +0x0000 + 4 · hart   msip       1 sends a machine software interrupt
//!  +0x4000 + 8 · hart   mtimecmp   a machine timer interrupt is pending from this time on
//! ```
//!
//! Source: RISC-V ACLINT specification; QEMU, `hw/intc/riscv_aclint.c`.

use pagescope_kernel::board::CLINT;

const MTIMECMP: u64 = 0x4000;

/// Sends a machine software interrupt to `hart`, or takes it back.
pub(crate) fn set_software_interrupt(hart: usize, pending: bool) {
    let address = CLINT.start().as_u64() + 4 * hart as u64;
    let register = core::ptr::with_exposed_provenance_mut::<u32>(address as usize);
    // What was stored for the hart to find is there before it is sent for; and what it looks for after
    // its interrupt was taken back, it looks for afterwards. RVWMO orders neither by itself.
    // SAFETY: `virt` has a CLINT there with a register for each of its harts; fences change no value.
    unsafe {
        core::arch::asm!("fence rw, o", options(nostack));
        register.write_volatile(pending.into());
        core::arch::asm!("fence o, rw", options(nostack));
    }
}

/// Sets when the timer of `hart` interrupts next.
pub(crate) fn set_timer(hart: usize, time: u64) {
    let address = CLINT.start().as_u64() + MTIMECMP + 8 * hart as u64;
    let register = core::ptr::with_exposed_provenance_mut::<u64>(address as usize);
    // SAFETY: as above.
    unsafe { register.write_volatile(time) }
}

/// When the timer of `hart` interrupts next.
pub(crate) fn timer(hart: usize) -> u64 {
    let address = CLINT.start().as_u64() + MTIMECMP + 8 * hart as u64;
    let register = core::ptr::with_exposed_provenance::<u64>(address as usize);
    // SAFETY: as above.
    unsafe { register.read_volatile() }
}

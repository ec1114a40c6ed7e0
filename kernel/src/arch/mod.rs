//! Everything that is RISC-V itself: registers, fences, traps, and memory through real addresses.

pub mod csr;
pub mod live;
pub mod sbi_call;

use core::arch::asm;

/// Waits until an interrupt is pending that mie or sie enables, or for no reason at all (unprivileged
/// hint `wfi`: privileged specification, section "Wait for Interrupt").
pub fn wait_for_interrupt() {
    // SAFETY: wfi changes nothing but time.
    unsafe { asm!("wfi", options(nomem, nostack, preserves_flags)) }
}

/// Waits for ever.
pub fn stop() -> ! {
    loop {
        wait_for_interrupt();
    }
}

/// The cycle of the machine's timer: the `time` CSR.
pub fn time() -> u64 {
    crate::csr_read!("time")
}

/// The address that the current function returns to. Right only as the very first thing that a
/// function does: no call may have overwritten the register yet. A macro, so that debuggers show
/// the function's own first line.
#[macro_export]
macro_rules! return_address {
    () => {{
        let address: u64;
        // SAFETY: copies a register.
        unsafe {
            core::arch::asm!(
                "mv {}, ra",
                out(reg) address,
                options(nomem, nostack, preserves_flags),
            );
        }
        address
    }};
}

/// The stack pointer.
#[inline(always)]
pub fn stack_pointer() -> u64 {
    let address;
    // SAFETY: copies a register.
    unsafe { asm!("mv {}, sp", out(reg) address, options(nomem, nostack, preserves_flags)) };
    address
}

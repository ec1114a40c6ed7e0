//! The platform-level interrupt controller, as far as the UART's receive interrupt needs it.
//!
//! ```text
//!  +0x000000 + 4 · source        priority; 0 is off
//!  +0x002000 + 0x80 · context    which sources are enabled, a bit each
//!  +0x200000 + 0x1000 · context  threshold; 4 bytes on: claim (read), complete (write)
//! ```
//!
//! On `virt`, context 0 is hart 0's M-mode. Source: RISC-V PLIC specification; QEMU,
//! `hw/riscv/virt.c`.

use pagescope_kernel::board::{PLIC, UART0_INTERRUPT};

const ENABLE: u64 = 0x2000;
const THRESHOLD: u64 = 0x20_0000;
const CLAIM: u64 = THRESHOLD + 4;

fn register(offset: u64) -> *mut u32 {
    let address = PLIC.start().as_u64() + offset;
    core::ptr::with_exposed_provenance_mut(address as usize)
}

/// Has the UART interrupt hart 0 in M-mode.
pub(crate) fn enable_uart() {
    let source = u64::from(UART0_INTERRUPT);
    // SAFETY: `virt` has these registers there, and nobody else uses the PLIC.
    unsafe {
        register(4 * source).write_volatile(1);
        register(ENABLE + 4 * (source / 32)).write_volatile(1 << (source % 32));
        register(THRESHOLD).write_volatile(0);
    }
}

/// Takes the interrupt that is pending, runs `serve`, and says that it is served.
pub(crate) fn serve<R>(serve: impl FnOnce() -> R) -> R {
    // SAFETY: as above.
    let source = unsafe { register(CLAIM).read_volatile() };
    let result = serve();
    if source != 0 {
        // SAFETY: as above.
        unsafe { register(CLAIM).write_volatile(source) };
    }
    result
}

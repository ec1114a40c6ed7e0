//! QEMU's test finisher: one word written ends the machine.
//!
//! Source: QEMU, `hw/misc/sifive_test.c`.

use pagescope_kernel::{arch, board};

const FAIL: u32 = 0x3333;
const PASS: u32 = 0x5555;
const RESET: u32 = 0x7777;

/// Ends the machine; QEMU exits with 0.
pub(crate) fn pass() -> ! {
    write(PASS)
}

/// Ends the machine; QEMU exits with `code`.
pub(crate) fn fail(code: u16) -> ! {
    write(u32::from(code) << 16 | FAIL)
}

/// Starts the machine again.
pub(crate) fn reset() -> ! {
    write(RESET)
}

fn write(word: u32) -> ! {
    let address = board::TEST_FINISHER.as_u64() as usize;
    let register = core::ptr::with_exposed_provenance_mut::<u32>(address);
    // SAFETY: `virt` has the finisher's only register there.
    unsafe { register.write_volatile(word) };
    arch::stop()
}

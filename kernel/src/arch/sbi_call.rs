//! Calling the machine program from S-mode.

use core::arch::asm;

use crate::sbi::{EXT_HSM, EXT_IPI, EXT_SRST, EXT_TIME, hsm, srst};

/// An SBI call with three arguments: error and value.
pub fn sbi_call(extension: u64, function: u64, arguments: [u64; 3]) -> (i64, u64) {
    let [first, second, third] = arguments;
    let (error, value);
    // SAFETY: the SBI specification has the call preserve every register but a0 and a1. Memory
    // may be read or written by some calls, so no `nomem`.
    unsafe {
        asm!(
            "ecall",
            inlateout("a0") first => error,
            inlateout("a1") second => value,
            in("a2") third,
            in("a6") function,
            in("a7") extension,
            options(nostack),
        );
    }
    (error, value)
}

/// Asks for a supervisor timer interrupt at `time`, and withdraws a pending one.
pub fn set_timer(time: u64) {
    sbi_call(EXT_TIME, 0, [time, 0, 0]);
}

/// Starts `hart` in S-mode at physical address `start`, untranslated, with a1 = `argument`; `false`
/// where that cannot be.
pub fn start_hart(hart: u64, start: u64, argument: u64) -> bool {
    sbi_call(EXT_HSM, hsm::HART_START, [hart, start, argument]).0 == 0
}

/// Whether `hart` waits to be started.
pub fn hart_is_stopped(hart: u64) -> bool {
    sbi_call(EXT_HSM, hsm::HART_GET_STATUS, [hart, 0, 0]) == (0, hsm::STOPPED)
}

/// Sends a supervisor software interrupt to each hart whose bit is set in `harts`; `false` where one of
/// them does not exist.
pub fn send_ipi(harts: u64) -> bool {
    sbi_call(EXT_IPI, 0, [harts, 0, 0]).0 == 0
}

/// Ends the machine; after a failure, QEMU's exit status is not 0.
pub fn power_off(failed: bool) -> ! {
    let reason = if failed {
        srst::SYSTEM_FAILURE
    } else {
        srst::NO_REASON
    };
    sbi_call(EXT_SRST, 0, [srst::SHUTDOWN, reason, 0]);
    super::stop()
}

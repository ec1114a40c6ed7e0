//! `liar`: passes what cannot be to the kernel.

use core::arch::asm;

use pagescope_kernel::process::layout::{USER_BASE, USER_SIZE};
use pagescope_kernel::process::syscall::{BRK, FAILED, SPAWN, WAIT, WRITE};

use super::call::{call, exit};
use super::rogue::TARGETS;

/// How many calls it makes.
pub(crate) const CALLS: u64 = 2 * TARGETS.len() as u64 + 12;

/// Exits with how many were refused, of [`CALLS`].
pub(super) extern "C" fn main(_argument: u64, pid: u64) -> ! {
    let sp: u64;
    // SAFETY: copies a register.
    unsafe { asm!("mv {}, sp", out(reg) sp, options(nomem, nostack)) };
    let top = USER_BASE.as_u64() + USER_SIZE;
    let mut refused = 0;
    let mut lie = |number, first, second| {
        refused += u64::from(call(number, first, second, 0) == FAILED);
    };
    // Texts and names that are the kernel's, in each of its regions; the first is null.
    for target in &TARGETS {
        lie(WRITE, target.address(), 8);
        lie(SPAWN, target.address(), 8);
    }
    // Texts: execute-only, the room below the stack, across the end of user space, around the end of all
    // addresses to just below 0 and beyond it, not canonical, too long.
    lie(WRITE, USER_BASE.as_u64(), 8);
    lie(WRITE, sp - 5 * 4096, 8);
    lie(WRITE, top - 4, 8);
    lie(WRITE, u64::MAX - 3, 8);
    lie(WRITE, u64::MAX - 255, 256);
    lie(WRITE, 1 << 40, 8);
    lie(WRITE, sp, 1 << 40);
    // A name that no program has.
    lie(SPAWN, sp, 0);
    // A break below the heap, and beyond all.
    lie(BRK, 0x1000, 0);
    lie(BRK, u64::MAX, 0);
    // Waiting for itself, and a call that there is not.
    lie(WAIT, pid, 0);
    lie(99, 0, 0);
    exit(refused)
}

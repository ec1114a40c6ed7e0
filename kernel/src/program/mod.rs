//! What every supervisor program is made of: its image, its console, probes that survive faults,
//! what it publishes, the self-test's runner.
//!
//! ```text
//!  image          linker symbols, the boot header's sections, virtual to physical for statics
//!  console        print!, println!, typed bytes: the SBI's, by physical addresses
//!  prompt         a line is typed, and then it is done
//!  probe          one load, store or call, whose fault is survived
//!  publish        the information block: regions, spaces, the trace ring
//!  debug_service  a page for a debugger, on a stack of its own
//!  selftest       PASS, FAIL, SKIP, and the machine's end
//!  trap_in_trap   the end of a hart that traps where nothing handles it
//! ```

pub mod console;
pub mod debug_service;
pub mod image;
pub mod probe;
pub mod prompt;
pub mod publish;
pub mod selftest;
mod trap_in_trap;

use core::sync::atomic::{AtomicPtr, Ordering};

/// Says which hart this is.
type HartId = fn() -> u64;

/// A [`HartId`], as a pointer; null before a program has one.
static HART_ID: AtomicPtr<()> = AtomicPtr::new(core::ptr::null_mut());

/// From now on, `hart_id` says which hart this is. Before that, it is hart 0.
pub fn set_hart_id(hart_id: HartId) {
    HART_ID.store(hart_id as *mut (), Ordering::Release);
}

/// Which hart this is.
pub fn hart() -> u64 {
    let hart_id = HART_ID.load(Ordering::Acquire);
    if hart_id.is_null() {
        return 0;
    }
    // SAFETY: only `set_hart_id` stores here, and only such functions.
    let hart_id = unsafe { core::mem::transmute::<*mut (), HartId>(hart_id) };
    hart_id()
}

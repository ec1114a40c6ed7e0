//! Interrupts between harts: fences, for a hart's fences are its own business.
//!
//! ```text
//!  this hart                                  hart n
//!    tables changed; bit n set; SBI IPI ────▶  software interrupt, at any time that it lets them in
//!    waits                                     sfence.vma x0, x0
//!    bit n clear  ◀────────────────────────    clears its bit
//! ```
//!
//! What answers takes no lock and prints nothing. So whoever asks may hold any lock.

use core::arch::asm;
use core::sync::atomic::{AtomicU64, Ordering};

use pagescope_kernel::arch::csr::SSI;
use pagescope_kernel::arch::{self, sbi_call};
use pagescope_kernel::csr_clear;
use pagescope_kernel::println;

use crate::{cpu, harts, start};

/// A bit for each hart that has yet to fence.
static PENDING: AtomicU64 = AtomicU64::new(0);

/// How long it may take, in seconds, before that is said.
const PATIENCE: u64 = 5;

/// Has every other hart that runs forget all that it knows of its tables, and waits for it. One hart at a
/// time, under the lock of the tables.
pub(crate) fn fence_others() {
    let others = harts::live() & !harts::bit(cpu::hart());
    if others == 0 {
        return;
    }
    PENDING.store(others, Ordering::SeqCst);
    sbi_call::send_ipi(others);
    // However long it takes: until then the hart may reach what was unmapped.
    wait_for(|| PENDING.load(Ordering::Acquire), "fence");
}

/// Waits until none of the harts that run is in `missing`, which is asked again and again: a hart may
/// stop at any time, and nobody waits for it then. Where it takes long, that is said once.
pub(crate) fn wait_for(missing: impl Fn() -> u64, what: &str) {
    let mut deadline = Some(arch::time() + PATIENCE * start::hand_off().timebase_hz);
    loop {
        let missing = missing() & harts::live();
        if missing == 0 {
            return;
        }
        if deadline.is_some_and(|deadline| arch::time() > deadline) {
            println!("kernel: still waiting for the harts in {missing:#b} to {what}");
            deadline = None;
        }
        core::hint::spin_loop();
    }
}

/// Answers whoever has sent for this hart.
pub(crate) fn answer() {
    // SAFETY: takes the interrupt back before looking why it came, so that none is missed.
    unsafe { csr_clear!("sip", SSI) };
    let info = cpu::info();
    info.ipis.fetch_add(1, Ordering::Relaxed);
    let bit = harts::bit(info.hart);
    if PENDING.load(Ordering::Acquire) & bit != 0 {
        // SAFETY: a fence changes no value. No `nomem`: nothing moves past it.
        unsafe { asm!("sfence.vma x0, x0", options(nostack)) };
        PENDING.fetch_and(!bit, Ordering::AcqRel);
    }
}

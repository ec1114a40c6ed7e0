//! The other harts: starting them, and having them do something.

use core::sync::atomic::{AtomicU64, Ordering};

use pagescope_kernel::arch::csr::{MSTATUS_SIE, SSI, STI};
use pagescope_kernel::arch::{self, sbi_call};
use pagescope_kernel::hypervisor::work::Work;
use pagescope_kernel::program::image;
use pagescope_kernel::{csr_clear, csr_set, println};

use crate::cpu::{self, MAX_HARTS};
use crate::{entry, ipi, start};

/// A bit for each hart that runs in its cpu struct. `hart_trap_in_trap` changes it too.
pub(crate) static LIVE: AtomicU64 = AtomicU64::new(0);

/// The bit that stands for `hart`.
pub(crate) const fn bit(hart: u64) -> u64 {
    1 << (hart % MAX_HARTS as u64)
}

/// The harts that run.
pub(crate) fn live() -> u64 {
    LIVE.load(Ordering::Acquire)
}

/// How many harts run.
pub(crate) fn count() -> u64 {
    live().count_ones().into()
}

/// The numbers of the harts whose bits are set.
fn numbers_in(harts: u64) -> impl Iterator<Item = u64> {
    (0..MAX_HARTS as u64).filter(move |hart| harts & bit(*hart) != 0)
}

/// The numbers of the harts that run.
pub(crate) fn numbers() -> impl Iterator<Item = u64> {
    numbers_in(live())
}

/// This hart runs in its cpu struct.
pub(crate) fn is_live_now() {
    LIVE.fetch_or(bit(cpu::info().hart), Ordering::AcqRel);
}

/// This hart is not waited for any more, for anything.
pub(crate) fn give_up() {
    LIVE.fetch_and(!bit(cpu::hart()), Ordering::AcqRel);
}

/// Starts every other hart, one after another: they share the stack of the first steps.
pub(crate) fn start_others() {
    let hand_off = start::hand_off();
    // The boot table's identity mapping is this hart's no longer, and theirs for their first instructions.
    let entry = image::physical(entry::_start_hart as *const ()).as_u64();
    for hart in 1..hand_off.harts.min(MAX_HARTS as u64) {
        if !sbi_call::start_hart(hart, entry, 0) {
            println!("hart {hart} cannot be started");
            continue;
        }
        let deadline = arch::time() + 10 * hand_off.timebase_hz;
        while live() & bit(hart) == 0 {
            if arch::time() > deadline {
                // It may yet come, and be on that stack: no other is started.
                return println!("hart {hart} does not come up");
            }
            core::hint::spin_loop();
        }
    }
}

/// Has the harts in `mask` do `work`, this one too where it is among them, and waits until they have. Hart
/// 0's to call.
pub(crate) fn run_on(mask: u64, work: Work) {
    let mask = mask & live();
    let own = bit(cpu::hart());
    let others = mask & !own;
    for info in numbers_in(others).filter_map(cpu::info_of) {
        info.work.give(work);
    }
    if others != 0 {
        sbi_call::send_ipi(others);
    }
    if mask & own != 0 {
        work();
    }
    let is_busy = |hart: &u64| cpu::info_of(*hart).is_some_and(|info| !info.work.is_empty());
    let busy = || numbers_in(others).filter(is_busy).map(bit).sum();
    ipi::wait_for(busy, "do what they were told");
    let gone = others & !live();
    if gone != 0 {
        println!("kernel: the harts in {gone:#b} have stopped in the middle of it");
    }
}

/// Has every hart do `work`.
pub(crate) fn run_everywhere(work: Work) {
    run_on(live(), work);
}

/// Lets interrupts of other harts in.
pub(crate) fn let_interrupts_in() {
    // SAFETY: `trap` handles them, on a stack of its own.
    unsafe {
        csr_set!("sie", SSI);
        csr_set!("sstatus", MSTATUS_SIE);
    }
}

/// Waits for an interrupt: another hart's, or the timer's, which is only waited for and never taken.
pub(crate) fn wait_for_interrupt(has_reason: impl Fn() -> bool) {
    // SAFETY: interrupts are off between looking for a reason to go on and waiting, so none comes in
    // between and is missed; wfi goes on at one that is pending all the same.
    unsafe {
        csr_clear!("sstatus", MSTATUS_SIE);
        csr_set!("sie", STI);
        if !has_reason() {
            arch::wait_for_interrupt();
        }
        csr_clear!("sie", STI);
        csr_set!("sstatus", MSTATUS_SIE);
    }
}

/// What every hart but hart 0 does: waits for work.
#[unsafe(export_name = "idle_hart")]
#[inline(never)]
pub(crate) fn idle() -> ! {
    loop {
        wait_for_interrupt(|| !cpu::info().work.is_empty());
        cpu::info().work.run();
    }
}

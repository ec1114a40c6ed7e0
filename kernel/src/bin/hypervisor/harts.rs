//! The other harts: starting them, and having them do something.

use core::sync::atomic::{AtomicPtr, AtomicU64, Ordering};

use pagescope_kernel::arch::csr::{MSTATUS_SIE, SSI, STI};
use pagescope_kernel::arch::{self, sbi_call};
use pagescope_kernel::program::image;
use pagescope_kernel::{csr_clear, csr_set, println};

use crate::cpu::{self, MAX_HARTS};
use crate::{entry, ipi, start};

/// A bit for each hart that runs in its cpu struct.
static LIVE: AtomicU64 = AtomicU64::new(0);

/// The work that is to be done; its number, who is to do it, and who has yet to.
static WORK: AtomicPtr<()> = AtomicPtr::new(core::ptr::null_mut());
static WORK_NUMBER: AtomicU64 = AtomicU64::new(0);
static WORK_FOR: AtomicU64 = AtomicU64::new(0);
static WORK_LEFT: AtomicU64 = AtomicU64::new(0);

/// What a hart can be told to do.
pub(crate) type Work = fn();

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

/// The numbers of the harts that run.
pub(crate) fn numbers() -> impl Iterator<Item = u64> {
    let live = live();
    (0..MAX_HARTS as u64).filter(move |hart| live & bit(*hart) != 0)
}

/// This hart runs in its cpu struct.
pub(crate) fn is_live_now() {
    LIVE.fetch_or(bit(cpu::info().hart), Ordering::AcqRel);
}

/// These harts are not waited for any more, for anything.
pub(crate) fn give_up(harts: u64) {
    LIVE.fetch_and(!harts, Ordering::AcqRel);
    WORK_LEFT.fetch_and(!harts, Ordering::AcqRel);
    ipi::give_up(harts);
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
    WORK.store(work as *mut (), Ordering::Relaxed);
    WORK_FOR.store(mask, Ordering::Relaxed);
    WORK_LEFT.store(mask & !own, Ordering::Relaxed);
    WORK_NUMBER.fetch_add(1, Ordering::Release);
    if mask & !own != 0 {
        sbi_call::send_ipi(mask & !own);
    }
    if mask & own != 0 {
        work();
    }
    while WORK_LEFT.load(Ordering::Acquire) != 0 {
        core::hint::spin_loop();
    }
}

/// Has every hart do `work`.
pub(crate) fn run_everywhere(work: Work) {
    run_on(live(), work);
}

/// Whether there is work that this hart has not looked at.
fn work_is_waiting() -> bool {
    WORK_NUMBER.load(Ordering::Acquire) != cpu::info().work_seen.load(Ordering::Relaxed)
}

/// Does what this hart was told to do, if anything.
fn work() {
    let number = WORK_NUMBER.load(Ordering::Acquire);
    let info = cpu::info();
    let own = bit(info.hart);
    if info.work_seen.swap(number, Ordering::Relaxed) == number
        || WORK_FOR.load(Ordering::Relaxed) & own == 0
    {
        return;
    }
    // SAFETY: only `run_on` stores here, and only such functions.
    let work = unsafe { core::mem::transmute::<*mut (), Work>(WORK.load(Ordering::Relaxed)) };
    work();
    WORK_LEFT.fetch_and(!own, Ordering::AcqRel);
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
        wait_for_interrupt(work_is_waiting);
        work();
    }
}

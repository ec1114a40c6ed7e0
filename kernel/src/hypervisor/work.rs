//! Telling a hart what to do: one slot for each, with one job at a time.
//!
//! ```text
//!  hart 0    give(work) ──▶ ┌──────┐          waits for is_empty
//!                           │ work │ ──▶ hart n: run, at any time: does it, then empties the slot
//!                           └──────┘
//! ```
//!
//! Whether there is a job, and which, is one word: a hart cannot see half of a new one. It stays until
//! the job is done: so nobody gives the next one before, and none is done twice.

use core::sync::atomic::{AtomicPtr, Ordering};

/// What a hart can be told to do.
pub type Work = fn();

/// What one hart has been told to do, until it is done. One hart gives, and one runs.
#[derive(Debug)]
pub struct WorkSlot(AtomicPtr<()>);

impl WorkSlot {
    /// Nothing to do.
    pub const fn new() -> Self {
        Self(AtomicPtr::new(core::ptr::null_mut()))
    }

    /// Tells the slot's hart to do `work`; the slot must be empty.
    pub fn give(&self, work: Work) {
        debug_assert!(self.is_empty(), "the last job is not done");
        self.0.store(work as *mut (), Ordering::Release);
    }

    /// Whether all is done.
    pub fn is_empty(&self) -> bool {
        self.0.load(Ordering::Acquire).is_null()
    }

    /// Does what is in the slot, if anything.
    pub fn run(&self) {
        let work = self.0.load(Ordering::Acquire);
        if work.is_null() {
            return;
        }
        // SAFETY: only `give` stores what is not null, and only such functions.
        let work = unsafe { core::mem::transmute::<*mut (), Work>(work) };
        work();
        self.0.store(core::ptr::null_mut(), Ordering::Release);
    }
}

impl Default for WorkSlot {
    fn default() -> Self {
        Self::new()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use core::sync::atomic::{AtomicBool, AtomicU64};
    use std::cell::Cell;
    use std::{thread, thread_local};

    const HARTS: usize = 4;

    static DONE: [AtomicU64; HARTS] = [const { AtomicU64::new(0) }; HARTS];
    /// Of a job, how often it was the wrong one.
    static WRONG: AtomicU64 = AtomicU64::new(0);
    /// Which of two jobs is on.
    static IS_ODD: AtomicBool = AtomicBool::new(false);

    thread_local! {
        static HART: Cell<usize> = const { Cell::new(0) };
    }

    fn count(is_odd: bool) {
        if IS_ODD.load(Ordering::Relaxed) != is_odd {
            WRONG.fetch_add(1, Ordering::Relaxed);
        }
        DONE[HART.get()].fetch_add(1, Ordering::Relaxed);
    }

    /// Harts look into their slots all the time, as they do after each interrupt, whatever it was for; and
    /// do what they are given once.
    #[test]
    fn each_job_is_done_once_by_those_who_were_told() {
        const JOBS: u64 = if cfg!(miri) { 20 } else { 20_000 };
        let slots = [const { WorkSlot::new() }; HARTS];
        let ends = AtomicBool::new(false);
        let mut given = [0; HARTS];
        thread::scope(|scope| {
            for (hart, slot) in slots.iter().enumerate() {
                let ends = &ends;
                scope.spawn(move || {
                    HART.set(hart);
                    while !ends.load(Ordering::Relaxed) {
                        slot.run();
                        thread::yield_now();
                    }
                });
            }
            for job in 0..JOBS {
                let is_odd = job % 2 == 1;
                IS_ODD.store(is_odd, Ordering::Relaxed);
                let work: Work = if is_odd {
                    || count(true)
                } else {
                    || count(false)
                };
                // One hart at a time, then several at once.
                let told = |hart: usize| job % 5 == 4 || job % 5 == hart as u64;
                for hart in (0..HARTS).filter(|hart| told(*hart)) {
                    slots[hart].give(work);
                    given[hart] += 1;
                }
                while !slots.iter().all(WorkSlot::is_empty) {
                    thread::yield_now();
                }
            }
            ends.store(true, Ordering::Relaxed);
        });
        let done = DONE.each_ref().map(|done| done.load(Ordering::Relaxed));
        assert_eq!(done, given);
        assert_eq!(WRONG.load(Ordering::Relaxed), 0);
    }
}

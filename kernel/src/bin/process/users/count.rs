//! `count`: counts in its own copy of the shared data.

use core::sync::atomic::Ordering;

use super::call::{brk, exit, sleep, yield_now};
use crate::shared::{OWNER, STEPS, TALLY};

/// Milliseconds between steps, where it counts for ever.
const PACE_MS: u64 = 250;

/// Bytes of heap that it has where it counts for ever, for whoever looks to see one.
const HEAP: u64 = 2 * 4096;

/// Adds one `argument` times, yielding in between, and exits with the sum; 0 is for ever.
pub(super) extern "C" fn main(argument: u64, pid: u64) -> ! {
    OWNER.store(pid, Ordering::Relaxed);
    let mut left = argument;
    if argument == 0 {
        let end = brk(0);
        brk(end.wrapping_add(HEAP));
    }
    loop {
        TALLY.fetch_add(1, Ordering::Relaxed);
        if let Some(steps) = STEPS.first() {
            steps.fetch_add(1, Ordering::Relaxed);
        }
        if argument == 0 {
            sleep(PACE_MS);
            continue;
        }
        left -= 1;
        if left == 0 {
            // Whoever wrote here meanwhile wrote to a copy of his own.
            let is_own = OWNER.load(Ordering::Relaxed) == pid;
            exit(if is_own {
                TALLY.load(Ordering::Relaxed)
            } else {
                0
            });
        }
        yield_now();
    }
}

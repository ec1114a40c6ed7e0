//! `spin`: never gives the hart up by itself.

use core::sync::atomic::Ordering;

use crate::shared::TALLY;

/// Counts as fast as it can.
pub(super) extern "C" fn main(_argument: u64, _pid: u64) -> ! {
    loop {
        TALLY.fetch_add(1, Ordering::Relaxed);
    }
}

//! `stress`: random allocations and frees over all heaps on the running machine.

use core::sync::atomic::{AtomicU64, Ordering};

use pagescope_kernel::ensure;
use pagescope_kernel::nanos::stress::{Done, Stress, StressError};
use pagescope_kernel::println;
use pagescope_kernel::program::selftest::{Outcome, Reason};

use crate::kernel;

/// Steps between two audits.
const AUDIT_EVERY: u64 = 16;

/// What a run did.
#[derive(Clone, Copy, Default)]
pub(crate) struct Tally {
    allocated: u64,
    freed: u64,
    refused: u64,
}

/// Other numbers each time.
static RUNS: AtomicU64 = AtomicU64::new(0);

/// Runs `steps`, and gives everything back.
pub(crate) fn stress(steps: u64) -> Result<Tally, StressError> {
    let here = stress as *const () as u64;
    let seed = 0x6e61_6e6f + RUNS.fetch_add(2, Ordering::Relaxed);
    let mut tally = Tally::default();
    let mut stress = kernel::look(|heaps, _| Stress::new(seed, heaps));
    for step in 0..steps {
        kernel::with(here, |heaps, call| {
            match stress.step(heaps, call)? {
                Done::Allocated(_) => tally.allocated += 1,
                Done::Freed(_) => tally.freed += 1,
                Done::Refused(_) => tally.refused += 1,
            }
            match step % AUDIT_EVERY {
                0 => stress.audit(heaps),
                _ => Ok(()),
            }
        })?;
    }
    kernel::with(here, |heaps, call| stress.finish(heaps, call))?;
    Ok(tally)
}

/// Runs it for the console.
pub(crate) fn run(steps: u64) {
    let before = kernel::heap_counter();
    match stress(steps) {
        Ok(tally) => println!(
            "stress: {} allocations, {} frees, {} refused; heap counter {before} before, {} after",
            tally.allocated,
            tally.freed,
            tally.refused,
            kernel::heap_counter()
        ),
        Err(error) => println!("stress: {error}"),
    }
}

/// Runs it for the self-test: afterwards as many pages are handed out as before.
pub(crate) fn check(steps: u64) -> Outcome {
    // kalloc keeps its first 2 MiB of addresses.
    kernel::kfree(kernel::kalloc());
    let before = kernel::heap_counter();
    let tally = stress(steps).map_err(|error| Reason::new(format_args!("{error}")))?;
    let after = kernel::heap_counter();
    ensure!(before == after, "{before} pages before, {after} after");
    ensure!(
        tally.allocated * 4 > steps && tally.freed > 0,
        "{} allocations and {} frees in {steps} steps",
        tally.allocated,
        tally.freed
    );
    Ok(())
}

//! The self-test: every S3 requirement, checked on the running machine.
//!
//! The checks have processes do what is claimed, or the kernel itself, and see what the hardware makes of it;
//! numbers that they compare with are the requirements' own.

mod kernel;
mod life;
mod user;

use pagescope_kernel::arch;
use pagescope_kernel::process::syscall::End;
use pagescope_kernel::process::table::MAX_PROCESSES;
use pagescope_kernel::program::selftest::{self, Check, Reason, check};

use crate::users::{self, Program};
use crate::{heap, idle, processes, start, trap};

const CHECKS: [Check; 12] = [
    check("S3.1", life::s3_1_each_process_has_a_table),
    check("S3.2", life::s3_2_table_frames_follow_the_limits),
    check("S3.3", kernel::s3_3_permissions),
    check("S3.4", kernel::s3_4_the_original_is_restricted),
    check("S3.5", life::s3_5_copies_of_the_shared_data),
    check("S3.6", user::s3_6_the_stack_grows),
    check("S3.7", user::s3_7_the_guard),
    check("S3.8", user::s3_8_the_heap_grows),
    check("S3.9", kernel::s3_9_unaligned_on_purpose),
    check("S3.10", kernel::s3_10_holes_in_the_io_window),
    check("S3.11", kernel::s3_11_kernel_stack_overflow),
    check("S3.12", user::s3_12_no_user_reaches_the_kernel),
];

/// Milliseconds that a process has for what a check wants of it.
pub(crate) const PATIENCE_MS: u64 = 20_000;

/// Pages that the checks need at most at one time.
const PAGES_NEEDED: u64 = 4096;

/// Why the checks cannot run, if they cannot: their failures would not be the kernel's.
pub(crate) fn obstacle() -> Option<Reason> {
    let left = heap::with(|heap| heap.available()).unwrap_or(0);
    (left < PAGES_NEEDED).then(|| {
        Reason::new(format_args!(
            "selftest needs {PAGES_NEEDED} free pages; {left} are left: boot again"
        ))
    })
}

/// Runs all checks, says what they found, and ends the machine.
pub(crate) fn run() -> ! {
    trap::power_off_on_failure();
    idle::listen_to_timer();
    selftest::run(&CHECKS, |_| true, end_all)
}

/// Ends every process: what a check left over is not the next one's.
fn end_all() {
    for slot in 0..MAX_PROCESSES {
        processes::end(slot, End::Killed);
    }
}

/// The program of this name.
fn program(name: &str) -> Result<&'static Program, Reason> {
    users::by_name(name.as_bytes())
        .ok_or_else(|| Reason::new(format_args!("there is no program {name}")))
}

/// Begins a process.
fn spawn(name: &str, argument: u64) -> Result<u64, Reason> {
    processes::spawn(program(name)?, argument)
        .map_err(|error| Reason::new(format_args!("spawn {name}: {error}")))
}

/// Lets everybody run until `done`; `false` where that takes too long.
fn run_until(mut done: impl FnMut() -> bool) -> bool {
    let deadline = arch::time() + PATIENCE_MS * start::ticks_per_ms();
    while !done() {
        let now = arch::time();
        if now > deadline {
            return false;
        }
        if !processes::turn() {
            idle::wait(now + start::ticks_per_ms());
        }
    }
    true
}

/// Lets everybody run until the process `pid` has ended, and says how; `None` where that takes too long.
pub(crate) fn end_of(pid: u64) -> Option<End> {
    let how = || processes::with(|table| table.how_ended(pid));
    run_until(|| how().is_some());
    how()
}

/// Runs a program to its end.
fn outcome(name: &str, argument: u64) -> Result<End, Reason> {
    let pid = spawn(name, argument)?;
    end_of(pid).ok_or_else(|| Reason::new(format_args!("{name} {argument:#x} does not end")))
}

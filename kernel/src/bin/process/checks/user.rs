//! Checks of what users can do, and cannot.

use pagescope_kernel::ensure;
use pagescope_kernel::process::syscall::End;
use pagescope_kernel::program::probe;
use pagescope_kernel::program::selftest::Outcome;
use pagescope_protocol::VirtAddr;
use pagescope_protocol::info::region_kind;

use super::{end_of, outcome, run_until, spawn};
use crate::users::{Attempt, LIES};
use crate::{heap, processes, regions, spaces};

/// What is seen of a process's stack and heap while it runs.
#[derive(Clone, Copy, Debug)]
struct Course {
    first: (u64, u64),
    most: (u64, u64),
    guard_was_mapped: bool,
    end: Option<End>,
}

/// Runs `grow` to its end, and watches it.
fn watch(argument: u64) -> Result<Course, pagescope_kernel::program::selftest::Reason> {
    let pid = spawn("grow", argument)?;
    let mut course = Course {
        first: (0, 0),
        most: (0, 0),
        guard_was_mapped: false,
        end: None,
    };
    run_until(|| {
        if let Some((_, process)) = processes::find(pid) {
            let space = &process.space;
            let now = (space.stack_pages(), space.heap_pages());
            if course.most == (0, 0) {
                course.first = now;
            }
            course.most = (course.most.0.max(now.0), course.most.1.max(now.1));
            let guard = space.layout().guard.start();
            course.guard_was_mapped |= spaces::kernels_view(space.satp(), guard).is_some();
        }
        course.end = processes::with(|table| table.how_ended(pid));
        course.end.is_some()
    });
    Ok(course)
}

/// What `grow` may have.
const STACK_PAGES: u64 = 600;
const HEAP_PAGES: u64 = 1024;

pub(super) fn s3_6_the_stack_grows() -> Outcome {
    let course = watch(1)?;
    ensure!(
        course.first.0 == 1,
        "the stack starts as {} pages",
        course.first.0
    );
    ensure!(
        (590..=STACK_PAGES).contains(&course.most.0),
        "the stack grew to {} pages of {STACK_PAGES}",
        course.most.0
    );
    let beyond = watch(2)?;
    ensure!(
        beyond.most.0 == STACK_PAGES && beyond.end == Some(End::Fault(15)),
        "the stack grew to {} pages of {STACK_PAGES}, and then: {:?}",
        beyond.most.0,
        beyond.end
    );
    // Growing is for stores.
    let read = watch(3)?;
    ensure!(
        read.most.0 == 1 && read.end == Some(End::Fault(13)),
        "a load from the room below the stack gave {} pages and {:?}",
        read.most.0,
        read.end
    );
    Ok(())
}

/// While others go on.
pub(super) fn s3_7_the_guard() -> Outcome {
    let before = heap::handed_out();
    let other = spawn("count", 400)?;
    let course = watch(2)?;
    ensure!(!course.guard_was_mapped, "the guard was mapped");
    ensure!(
        course.end == Some(End::Fault(15)),
        "an overflow ended with {:?}",
        course.end
    );
    let end = end_of(other);
    ensure!(
        end == Some(End::Exited(1400)),
        "another process ended with {end:?}"
    );
    let after = heap::handed_out();
    ensure!(
        after == before,
        "{after} pages are handed out; before, {before} were"
    );
    Ok(())
}

pub(super) fn s3_8_the_heap_grows() -> Outcome {
    let course = watch(1)?;
    ensure!(
        course.first.1 == 0,
        "the heap starts as {} pages",
        course.first.1
    );
    ensure!(
        course.most.1 == HEAP_PAGES && course.end == Some(End::Exited(HEAP_PAGES as u32)),
        "the heap grew to {} pages of {HEAP_PAGES}, and then: {:?}",
        course.most.1,
        course.end
    );
    Ok(())
}

pub(super) fn s3_12_no_user_reaches_the_kernel() -> Outcome {
    let before = heap::handed_out();
    for (range, kind, name, _) in regions::kernel_parts() {
        let last = match kind {
            // A hole, which is the kernel's alone all the same.
            region_kind::DEVICE => range.end().as_u64() - 1,
            _ => range.end().as_u64() - 2,
        };
        let middle = range.start().as_u64() + range.size() / 2;
        for address in [range.start().as_u64(), middle & !1, last & !1] {
            let at = VirtAddr::new(address);
            let byte = (kind != region_kind::DEVICE)
                .then(|| probe::load(at).ok())
                .flatten();
            for attempt in Attempt::ALL {
                let end = outcome("rogue", attempt.argument(address))?;
                ensure!(
                    end == attempt.refusal(),
                    "{name}: {attempt:?} at {at} by a user: {end:?}"
                );
            }
            // What is written by others meanwhile is not looked at.
            let is_quiet = matches!(kind, region_kind::RODATA | region_kind::SHARED_DATA);
            let after = (kind != region_kind::DEVICE)
                .then(|| probe::load(at).ok())
                .flatten();
            ensure!(
                !is_quiet || byte == after,
                "{name} at {at} was {byte:?}, is {after:?}"
            );
        }
    }
    let lies = outcome("liar", 0)?;
    ensure!(
        lies == End::Exited(LIES as u32),
        "of {LIES} calls with wrong arguments were refused: {lies:?}"
    );
    let all = outcome("rogue", 0)?;
    ensure!(
        all == End::Exited(0),
        "rogue was refused less than always: {all:?}"
    );
    let after = heap::handed_out();
    ensure!(
        after == before,
        "{after} pages are handed out; before, {before} were"
    );
    Ok(())
}

//! Checks about several processes at once, and about what is left of them.

use core::sync::atomic::Ordering;

use pagescope_kernel::ensure;
use pagescope_kernel::mapper::ROOT_LEVEL;
use pagescope_kernel::process::layout::USER_BASE;
use pagescope_kernel::process::syscall::End;
use pagescope_kernel::process::table::Process;
use pagescope_kernel::process::tables;
use pagescope_kernel::program::selftest::{Outcome, Reason};
use pagescope_protocol::ENTRIES_PER_TABLE;

use super::{end_of, run_until, spawn};
use crate::shared::{FIRST_TALLY, TALLY};
use crate::{entry, heap, processes, spaces};

/// The process `pid`, which lives.
fn living(pid: u64) -> Result<Process, Reason> {
    let found = processes::find(pid).map(|(_, process)| process);
    found.ok_or_else(|| Reason::new(format_args!("there is no process {pid}")))
}

/// With a third that never yields, so that only the timer lets the others go on.
pub(super) fn s3_1_each_process_has_a_table() -> Outcome {
    let spinning = spawn("spin", 0)?;
    let (first, second) = (spawn("count", 200)?, spawn("count", 300)?);
    let (one, other) = (living(first)?.space, living(second)?.space);
    ensure!(
        one.root() != other.root(),
        "two processes share the root {}",
        one.root()
    );
    ensure!(
        one.satp().asid() != other.satp().asid() && one.satp().asid() != 0,
        "two processes share ASID {}",
        one.satp().asid()
    );
    let memory = spaces::memory();
    let kernel_root = spaces::kernel_satp().root();
    for index in 0..ENTRIES_PER_TABLE {
        let found = tables::entry(&memory, one.root(), index);
        let kernels = tables::entry(&memory, kernel_root, index);
        let is_users = index == ROOT_LEVEL.index_of(USER_BASE);
        ensure!(
            is_users || found == kernels,
            "root entry {index} is {found}, and the kernel's is {kernels}"
        );
    }
    let layout = one.layout();
    ensure!(
        layout.text.start() >= USER_BASE && spaces::io_page(16) < USER_BASE,
        "user space does not lie above the kernel's"
    );
    for (pid, sum) in [(first, 1200), (second, 1300)] {
        let end = end_of(pid);
        ensure!(
            end == Some(End::Exited(sum)),
            "process {pid} ended with {end:?}"
        );
    }
    let spinner = living(spinning)?;
    ensure!(spinner.preempted > 0, "the timer never interrupted spin");
    Ok(())
}

/// And all frames come back: 50 processes one after the other, every third of them ended by a fault.
pub(super) fn s3_2_table_frames_follow_the_limits() -> Outcome {
    let small = living(spawn("count", 0)?)?.space;
    let large = living(spawn("grow", 0)?)?.space;
    let frames = [small, large].map(|space| space.table_frames(&spaces::memory()));
    ensure!(
        frames[0] == 4,
        "count's tables take {} frames, expected 4",
        frames[0]
    );
    ensure!(
        frames[1] > frames[0] && frames[1] == large.layout().table_frames(),
        "grow's tables take {} frames",
        frames[1]
    );
    super::end_all();
    let before = heap::handed_out();
    for number in 0..50 {
        let (name, argument, expected) = match number % 3 {
            0 => ("count", 3, End::Exited(1003)),
            1 => ("liar", 0, End::Exited(crate::users::LIES as u32)),
            _ => ("grow", 3, End::Fault(13)),
        };
        let end = super::outcome(name, argument)?;
        ensure!(end == expected, "{name} {argument} ended with {end:?}");
        let after = heap::handed_out();
        ensure!(
            after == before,
            "{after} pages are handed out after {number} processes; before, {before} were"
        );
    }
    Ok(())
}

pub(super) fn s3_5_copies_of_the_shared_data() -> Outcome {
    let kernels = entry::__shared_start.address();
    let (first, second) = (spawn("count", 5)?, spawn("count", 7)?);
    let (one, other) = (living(first)?.space, living(second)?.space);
    for space in [one, other] {
        let distance =
            space.layout().shared.start().as_u64() - space.layout().text.start().as_u64();
        ensure!(
            distance == kernels,
            "{distance:#x} from user .text to its shared data; the kernel has {kernels:#x}"
        );
    }
    let shared = one.layout().shared.start();
    let views = [one, other].map(|space| spaces::kernels_view(space.satp(), shared));
    ensure!(
        views[0].is_some() && views[0] != views[1],
        "the copies of two processes lie in one frame"
    );
    TALLY.store(77, Ordering::Relaxed);
    let ends = [end_of(first), end_of(second)];
    let kept = TALLY.swap(FIRST_TALLY, Ordering::Relaxed);
    ensure!(
        ends == [Some(End::Exited(1005)), Some(End::Exited(1007))],
        "5 and 7 added to 1000 are {ends:?}"
    );
    ensure!(kept == 77, "the kernel's own tally was 77 and is {kept}");
    let third = spawn("count", 1)?;
    let mut end = None;
    run_until(|| {
        end = processes::with(|table| table.how_ended(third));
        end.is_some()
    });
    ensure!(
        end == Some(End::Exited(1001)),
        "a new process does not begin with the original: {end:?}"
    );
    Ok(())
}

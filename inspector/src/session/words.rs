//! What the window is told in words.

use std::time::Duration;

use pagescope_protocol::snapshot::Snapshot;

use crate::link::{PhysicalAccess, StopReason, Stub, TargetFacts};

/// Why the guest stands still.
pub(super) fn stop_text(reason: StopReason) -> String {
    match reason {
        StopReason::Breakpoint { hart } => format!("breakpoint on {hart}"),
        StopReason::Watch { hart, address } => format!("{hart} wrote near {address}"),
        StopReason::Step { hart } => format!("one instruction on {hart}"),
        StopReason::Interrupted { .. } => "paused".into(),
        StopReason::Signal {
            hart: Some(hart),
            signal,
        } => format!("signal {signal} on {hart}"),
        StopReason::Signal { hart: None, signal } => format!("signal {signal}"),
        StopReason::Exited { code } => format!("ended with exit code {code}"),
    }
}

/// Why nothing can be typed for this guest here, and what to do.
pub(super) fn no_console(facts: &TargetFacts) -> String {
    let words = match (&facts.stub, facts.physical) {
        (Stub::Dump { .. }, _) => "A dump has no console.",
        (_, PhysicalAccess::Monitor) => {
            "The serial line is the debug channel while it is attached: what the guest writes is shown, and nothing \
             can be typed. Attach to QEMU's gdb port (-s) to have both."
        }
        _ => {
            "This guest's console belongs to whoever started it: type there. Guests that Pagescope starts have theirs \
             here (pagescope demo)."
        }
    };
    words.to_owned()
}

/// `127.0.0.1:1234 · QEMU 7.2.22`; how its memory is read is said beside it.
pub(super) fn target_text(facts: &TargetFacts) -> String {
    let stub = match &facts.stub {
        Stub::Qemu {
            version: Some(version),
        } => {
            format!(
                "QEMU {}",
                version.split_whitespace().next().unwrap_or(version)
            )
        }
        Stub::Qemu { version: None } => "QEMU".into(),
        Stub::Other => "gdb stub".into(),
        Stub::Dump { kind } => return format!("{} · {kind}", facts.address),
    };
    format!("{} · {stub}", facts.address)
}

/// What a capture has read, and how long that took, for the log.
pub(super) fn capture_text(snapshot: &Snapshot, took: Duration) -> String {
    let spaces = &snapshot.spaces;
    let tables: usize = spaces.iter().map(|space| space.tables.len()).sum();
    let plural = |count: usize| if count == 1 { "" } else { "s" };
    format!(
        "{}: {tables} table{} of {} space{}, read in {:.1} ms",
        snapshot.stop,
        plural(tables),
        spaces.len(),
        plural(spaces.len()),
        took.as_secs_f64() * 1000.0
    )
}

//! Printing answers: RON and JSON of the same shapes.

use std::io::Write as _;
use std::sync::atomic::{AtomicBool, Ordering};

use serde::Serialize;

use super::arguments::Format;
use super::{Failure, interrupt};

/// Prints `value` as RON or JSON, or what `text` gives.
pub(super) fn print<T: Serialize>(
    format: Format,
    value: &T,
    text: impl FnOnce() -> String,
) -> Result<(), Failure> {
    print_nested(format, value, 2, text)
}

/// The same; RON's lines hold what lies deeper than `depth`.
pub(super) fn print_nested<T: Serialize>(
    format: Format,
    value: &T,
    depth: usize,
    text: impl FnOnce() -> String,
) -> Result<(), Failure> {
    let printed = match format {
        Format::Text => text(),
        Format::Json => serde_json::to_string_pretty(value).map_err(Failure::usage)?,
        Format::Ron => {
            let pretty = ron::ser::PrettyConfig::new().depth_limit(depth);
            ron::ser::to_string_pretty(value, pretty).map_err(Failure::usage)?
        }
    };
    write(printed.trim_end_matches('\n'));
    Ok(())
}

/// Says something beside the answer, on the standard error. Nobody may read that, or have closed it: `eprintln!` would
/// panic then.
pub(super) fn tell(text: &str) {
    let _ = writeln!(std::io::stderr(), "pagescope: {text}");
}

static NOBODY_READS: AtomicBool = AtomicBool::new(false);

/// Whether somebody closed the pipe that answers go into.
pub(super) fn nobody_reads() -> bool {
    NOBODY_READS.load(Ordering::Relaxed)
}

/// Prints a line or more; a reader that closes the pipe early has seen what it wanted, and ends
/// the command.
pub(super) fn write(text: &str) {
    let mut out = std::io::stdout().lock();
    if writeln!(out, "{text}").and_then(|()| out.flush()).is_err() {
        NOBODY_READS.store(true, Ordering::Relaxed);
        interrupt::cancel().cancel();
    }
}

/// A number as scripts get it: `"0x80000000"`.
pub(super) fn hex(value: u64) -> String {
    format!("{value:#x}")
}

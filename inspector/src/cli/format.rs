//! Printing answers: RON and JSON of the same shapes.

use serde::Serialize;

use super::Failure;
use super::arguments::Format;

/// Prints `value` as RON or JSON, or what `text` gives.
pub(super) fn print<T: Serialize>(
    format: Format,
    value: &T,
    text: impl FnOnce() -> String,
) -> Result<(), Failure> {
    let printed = match format {
        Format::Text => text(),
        Format::Json => serde_json::to_string_pretty(value).map_err(Failure::usage)?,
        Format::Ron => {
            let pretty = ron::ser::PrettyConfig::new().depth_limit(2);
            ron::ser::to_string_pretty(value, pretty).map_err(Failure::usage)?
        }
    };
    write(printed.trim_end_matches('\n'));
    Ok(())
}

/// Prints a line or more; a reader that closed the pipe early has seen what it wanted.
pub(super) fn write(text: &str) {
    use std::io::Write as _;
    let mut out = std::io::stdout().lock();
    let _ = writeln!(out, "{text}").and_then(|()| out.flush());
}

/// A number as scripts get it: `"0x80000000"`.
pub(super) fn hex(value: u64) -> String {
    format!("{value:#x}")
}

//! Boxes over each other, the address of each border at its right:
//!
//! ```text
//!  +-----------+ 0x80000000
//!  | .text     | r-x--a-
//!  +-----------+ 0x8000c000
//! ```

use std::fmt::Write as _;

use super::{column, plain};

/// One box.
pub(super) struct Row {
    /// Its first address.
    pub(super) start: u64,
    /// The first address after it; `None` past the last address.
    pub(super) end: Option<u64>,
    /// What stands in it.
    pub(super) lines: Vec<String>,
    /// What stands at its right, beside the first line.
    pub(super) note: String,
    /// Whether it stands for a long nothing, and is drawn higher than it says.
    pub(super) is_gap: bool,
}

/// Draws `rows` from top to bottom. Where one does not end where the next begins, both addresses
/// stand at the border.
pub(super) fn draw(rows: &[Row], width: usize, text: &mut String) {
    let border = "-".repeat(width);
    let line = |inside: &str, note: &str, text: &mut String| {
        let drawn = format!("  | {} | {}", column(inside, width - 2), plain(note, 48));
        text.push_str(drawn.trim_end());
        text.push('\n');
    };
    let mut last_end = None;
    for row in rows {
        if let Some(Some(end)) = last_end
            && end != row.start
        {
            let _ = writeln!(text, "  +{border}+ {end:#010x}");
        }
        let _ = writeln!(text, "  +{border}+ {:#010x}", row.start);
        if row.is_gap {
            line("", "", text);
        }
        for (number, inside) in row.lines.iter().enumerate() {
            line(inside, if number == 0 { &row.note } else { "" }, text);
        }
        if row.is_gap {
            line("", "", text);
        }
        last_end = Some(row.end);
    }
    match last_end {
        Some(Some(end)) => {
            let _ = writeln!(text, "  +{border}+ {end:#010x}");
        }
        Some(None) => {
            let _ = writeln!(text, "  +{border}+ 2^64");
        }
        None => {}
    }
}

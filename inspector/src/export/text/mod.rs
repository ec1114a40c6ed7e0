//! Drawings in plain text, in the style in which people draw memory by hand:
//!
//! ```text
//!  +--------------+ 0x80000000
//!  | .text        |
//!  +--------------+ 0x8000c000
//! ```
//!
//! At most [`WIDTH`] columns, so that they can be pasted into notes.

mod boxes;
mod check;
mod kernel_lists;
mod layout;
mod listing;
mod schematic;
mod tree;

pub use check::{check_text, headline as check_headline, leaf as leaf_place};
pub use kernel_lists::{event_place, regions_text, space_difference_text, spaces_text, trace_text};
pub use layout::layout_text;
pub use listing::{difference_text, map_text, staged_walk_text, walk_text};
pub use schematic::{Order, schematic_text};

/// The most columns that a drawing takes, names cut where they would need more.
pub const WIDTH: usize = 100;

/// `text` on one line, without what would move a terminal's cursor, cut to `width` columns.
fn plain(text: &str, width: usize) -> String {
    let clean = text.chars().map(|c| if c.is_control() { '·' } else { c });
    if text.chars().count() <= width {
        return clean.collect();
    }
    let mut cut: String = clean.take(width.saturating_sub(1)).collect();
    cut.push('…');
    cut
}

/// `text` in exactly `width` columns.
fn column(text: &str, width: usize) -> String {
    let mut filled = plain(text, width);
    for _ in filled.chars().count()..width {
        filled.push(' ');
    }
    filled
}

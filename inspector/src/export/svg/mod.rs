//! The layout as a slide: virtual addresses, page tables, physical memory, and one unbroken line
//! through all three.

use pagescope_protocol::snapshot::{Snapshot, Space};

use crate::model::Difference;

/// The colours to draw in.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Theme {
    /// For projectors and paper.
    #[default]
    Light,
    /// For dark rooms.
    Dark,
}

/// The drawing of `snapshot`, with the tables and the map of `space`; what `difference` says to be
/// new stands out.
pub fn layout_svg(
    snapshot: &Snapshot,
    space: Option<&Space>,
    difference: &Difference,
    theme: Theme,
) -> String {
    let _ = (snapshot, space, difference, theme);
    String::from(r#"<svg xmlns="http://www.w3.org/2000/svg" width="1600" height="900"/>"#)
}

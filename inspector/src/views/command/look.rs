//! What views ask for about how the maps are looked at: zoom and place, what the mouse rests on, the filter, selections
//! passed through.

use crate::model::{Selection, Sign};
use crate::views::camera::CameraStep;

/// What is asked for about how the maps are looked at.
#[derive(Clone, PartialEq, Debug)]
pub enum LookCommand {
    /// The mouse rests on this.
    Hover(Selection),
    /// Select what was selected before.
    Back,
    /// Select what was gone back from.
    Forward,
    /// Move or zoom the map under the mouse.
    Camera(CameraStep),
    /// Draw this alone bright, or everything.
    Filter(Option<Sign>),
    /// Ribbons for all ranges, or for the selected one alone.
    ToggleRibbons,
}

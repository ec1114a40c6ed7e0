//! What the views read of the window itself: panels, recent files, the palette of commands.

/// State of the window itself: panels, recent files, the palette of commands.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct DeskState {}

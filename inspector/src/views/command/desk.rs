//! What views ask for about the window itself: panels, recent files, the palette of commands.

/// What is asked for about the window itself: panels, recent files, the palette of commands.
#[derive(Clone, PartialEq, Debug)]
pub enum DeskCommand {
    /// Show or hide the palette of commands.
    TogglePalette,
    /// Put what is selected on the clipboard, as text.
    CopySelection,
}

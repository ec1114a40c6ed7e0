//! What views ask for about the window itself: panels, recent files, the palette of commands.

use crate::views::state::Panels;

/// What is asked for about the window itself: panels, recent files, the palette of commands.
#[derive(Clone, PartialEq, Debug)]
pub enum DeskCommand {
    /// Show or hide the palette of commands.
    TogglePalette,
    /// Start one of our kernel's layouts in a QEMU of our own, and attach.
    StartDemo(&'static str),
    /// Show the lecture of this name, which the program carries.
    OpenLecture(&'static str),
    /// Attach to the guest at this address, with this ELF where one is named.
    Attach {
        /// As typed: `127.0.0.1:1234`.
        address: String,
        /// The path of the guest's ELF; empty where none is known.
        elf: String,
    },
    /// Look for guests of this machine that can be attached to.
    FindGuests,
    /// Leave what is open, and go back to the first screen.
    Close,
    /// Save the recording, then leave it.
    LeaveSaved,
    /// Leave it, whatever is lost.
    LeaveUnsaved,
    /// Leave nothing.
    Stay,
    /// Forget the files that were open.
    ForgetRecent,
    /// Make the panels this large.
    Resize(Panels),
    /// Put what is selected on the clipboard, as text.
    CopySelection,
}

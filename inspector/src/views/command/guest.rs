//! What views ask for about the guest: what it is asked to run to, its console, watches.

use super::FilePurpose;
use crate::capture::run_until::Goal;
use crate::export::view::Picture;
use crate::session::WatchSpec;

/// What is asked for about the guest: what it is asked to run to, its console, watches.
#[derive(Clone, PartialEq, Debug)]
pub enum GuestCommand {
    /// Step the function that takes pages back.
    StepFree,
    /// Run to the next changes of tables, as many as a step takes.
    NextTableChange,
    /// Show or hide what can be run to.
    ToggleRunUntil,
    /// Run until this is so.
    RunUntil(Goal),
    /// Step this function so many times.
    StepReturns {
        /// Its symbol.
        symbol: String,
        /// How many returns.
        count: u32,
    },
    /// Type these bytes at the guest's console.
    Type(Vec<u8>),
    /// Forget what the guest wrote.
    ClearConsole,
    /// Forget what the link said.
    ClearLog,
    /// Watch this number too.
    AddWatch(WatchSpec),
    /// Watch the number of this name no longer.
    RemoveWatch(String),
    /// Show or hide the question what picture is wanted.
    ToggleExport,
    /// This picture is wanted.
    SetPicture(Picture),
    /// Write the picture, or the text drawing, to a file that the user names.
    Export(FilePurpose),
    /// Copy the text drawing.
    CopyText,
    /// Say this.
    Complain(String),
}

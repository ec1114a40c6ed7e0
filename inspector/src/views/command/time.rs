//! What views ask for about moments: bookmarks, notes, playing, comparing.

use super::UiCommand;
use crate::model::{MomentId, Series};
use crate::views::state::Span;

/// What is asked for about moments: bookmarks, notes, playing, comparing.
#[derive(Clone, PartialEq, Debug)]
pub enum TimeCommand {
    /// Mark the moment being looked at, or no longer.
    Bookmark,
    /// Call a bookmark this.
    NameBookmark(MomentId, String),
    /// Take a bookmark away.
    DropBookmark(MomentId),
    /// Go to the next bookmark (1), or to the one before (-1).
    ToBookmark(i8),
    /// Write the note of the moment being looked at, or no longer.
    EditNote(bool),
    /// The note of a moment; an empty one takes it away.
    Note(MomentId, String),
    /// Take the last edit of notes, bookmarks or the lecture back.
    Undo,
    /// Do it again.
    Redo,
    /// Ask which moment to compare with, or no longer.
    AskBase(bool),
    /// Compare with the moment at this place; with the one before each where there is none.
    CompareWith(Option<usize>),
    /// Play from moment to moment, or stop.
    Play(bool),
    /// So many moments a second.
    Speed(u32),
    /// Draw this part of the axis, or all of it.
    Span(Option<Span>),
    /// Plot this number, or no longer.
    Plot(Series, bool),
    /// Show the steps as a list, or on a line.
    List(bool),
}

impl From<TimeCommand> for UiCommand {
    fn from(command: TimeCommand) -> Self {
        Self::Time(command)
    }
}

//! What views ask for about moments: bookmarks, notes, playing, comparing.

/// What is asked for about moments: bookmarks, notes, playing, comparing.
#[derive(Clone, PartialEq, Debug)]
pub enum TimeCommand {}

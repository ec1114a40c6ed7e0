//! What the views read of moments: bookmarks, notes, playing, comparing.

/// State of moments: bookmarks, notes, playing, comparing.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct TimeState {}

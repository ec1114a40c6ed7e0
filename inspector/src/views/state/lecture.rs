//! What the views read of lectures, and pictures of the views.

/// State of lectures, and pictures of the views.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct LectureState {}

//! What views ask for about lectures, and pictures of the views.

/// What is asked for about lectures, and pictures of the views.
#[derive(Clone, PartialEq, Debug)]
pub enum LectureCommand {}

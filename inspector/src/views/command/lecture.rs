//! What views ask for about lectures, and pictures of the views.

use pagescope_protocol::snapshot::LectureView;

use super::UiCommand;

/// What is asked for about lectures and pictures.
#[derive(Clone, PartialEq, Debug)]
pub enum LectureCommand {
    /// Show the lecture, from its first step.
    Present,
    /// Show it no longer: everything is as it was.
    Leave,
    /// So many steps on, or back.
    StepBy(i64),
    /// To this step, or the last one past the end.
    Step(usize),
    /// Show nothing for now, or the step again.
    Blank,
    /// What the lecture is called.
    Title(String),
    /// Make a step of every note.
    FromNotes,
    /// Add a step that shows what is looked at now.
    Add,
    /// Write at this step.
    Choose(usize),
    /// Take the chosen step away.
    Remove,
    /// Move the chosen step on (1), or back (-1).
    Move(i8),
    /// What is said at this step.
    Caption(usize, String),
    /// Show at the chosen step what is looked at and selected now.
    TakeSelection,
    /// Draw this view large at the chosen step.
    Large(Option<LectureView>),
    /// Write the lecture as a page for a browser.
    ExportHtml,
}

impl From<LectureCommand> for UiCommand {
    fn from(command: LectureCommand) -> Self {
        Self::Lecture(command)
    }
}

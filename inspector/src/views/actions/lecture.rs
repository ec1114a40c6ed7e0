//! Showing it to others.

use egui::{Key, Modifiers};

use super::{Action, Group, Keys};
use crate::views::command::{LectureCommand, Tab, UiCommand};
use crate::views::state::State;

const NONE: Modifiers = Modifiers::NONE;

/// Lectures, and pictures of the views.
pub(super) const ACTIONS: &[Action] = &[
    Action::new(
        Group::Lecture,
        "Show the lecture",
        "Full screen, in large type: Right or Space goes on, Left back, B blanks, Esc leaves.",
        &[
            Keys::always(NONE, Key::F11),
            Keys::always(Modifiers::SHIFT, Key::F5),
        ],
        |_| LectureCommand::Present.into(),
    )
    .unless(unless_written),
    Action::new(
        Group::Lecture,
        "Write the lecture",
        "Put its steps in order, and write what is said at each.",
        &[],
        |_| UiCommand::ShowTab(Tab::Lecture),
    )
    .unless(unless_something),
    Action::new(
        Group::Lecture,
        "Lecture from notes",
        "Make each note a step of the lecture, in order.",
        &[],
        |_| LectureCommand::FromNotes.into(),
    )
    .unless(|state| {
        let notes = &state.history.notebook().pages().notes;
        let words = || "There is no note yet. N writes one about the step being looked at.".into();
        notes.is_empty().then(words)
    }),
    Action::new(
        Group::Lecture,
        "Add this step to the lecture",
        "Add a step that shows what is looked at and selected now.",
        &[],
        |_| LectureCommand::Add.into(),
    )
    .unless(unless_something),
    Action::new(
        Group::Lecture,
        "Export lecture as HTML…",
        "One page for any browser: every step with its caption and its picture.",
        &[],
        |_| LectureCommand::ExportHtml.into(),
    )
    .unless(unless_something),
];

fn unless_something(state: &State) -> Option<String> {
    let words = || "There is no step yet. Open a file, or attach to a guest.".into();
    state.moment().is_none().then(words)
}

fn unless_written(state: &State) -> Option<String> {
    let pages = state.history.notebook().pages();
    let words = || {
        "There is no lecture yet. Write notes with N, or steps in the tab Lecture; or open one."
            .into()
    };
    (pages.lecture.is_empty() && pages.notes.is_empty()).then(words)
}

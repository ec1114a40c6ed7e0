//! Going from moment to moment.

use egui::{Key, Modifiers};

use super::{Action, Group, Keys};
use crate::views::command::{Tab, TimeCommand, UiCommand};
use crate::views::state::State;

const NONE: Modifiers = Modifiers::NONE;
const CTRL: Modifiers = Modifiers::COMMAND;
const CTRL_SHIFT: Modifiers = Modifiers::COMMAND.plus(Modifiers::SHIFT);

/// Moments: going to them, marking them.
pub(super) const ACTIONS: &[Action] = &[
    Action::new(
        Group::Time,
        "Earlier",
        "One moment back.",
        &[Keys::unless_typing(NONE, Key::ArrowLeft)],
        |_| UiCommand::SeekBy(-1),
    ),
    Action::new(
        Group::Time,
        "Later",
        "One moment on.",
        &[Keys::unless_typing(NONE, Key::ArrowRight)],
        |_| UiCommand::SeekBy(1),
    ),
    Action::new(
        Group::Time,
        "First moment",
        "Go to the first moment.",
        &[Keys::unless_typing(NONE, Key::Home)],
        |_| UiCommand::Seek(0),
    ),
    Action::new(
        Group::Time,
        "Back to now",
        "Go to the last moment, and follow what comes.",
        &[Keys::unless_typing(NONE, Key::End)],
        |_| UiCommand::Seek(usize::MAX),
    ),
    Action::new(
        Group::Time,
        "Play",
        "Play from moment to moment, or stop.",
        &[Keys::unless_typing(NONE, Key::Space)],
        |state| TimeCommand::Play(state.time.plays.is_none()).into(),
    )
    .titled(|state| {
        if state.time.plays.is_some() {
            "Stop playing"
        } else {
            "Play"
        }
        .into()
    })
    .unless(unless_several),
    Action::new(
        Group::Time,
        "Bookmark",
        "Set a bookmark on this step, or take it away.",
        &[Keys::unless_typing(NONE, Key::B)],
        |_| TimeCommand::Bookmark.into(),
    )
    .unless(unless_something),
    Action::new(
        Group::Time,
        "Next bookmark",
        "Go to the next bookmark.",
        &[Keys::unless_typing(CTRL, Key::ArrowRight)],
        |_| TimeCommand::ToBookmark(1).into(),
    )
    .unless(unless_bookmarked),
    Action::new(
        Group::Time,
        "Bookmark before",
        "Go to the bookmark before.",
        &[Keys::unless_typing(CTRL, Key::ArrowLeft)],
        |_| TimeCommand::ToBookmark(-1).into(),
    )
    .unless(unless_bookmarked),
    Action::new(
        Group::Time,
        "Note…",
        "Write a note about this step.",
        &[Keys::unless_typing(NONE, Key::N)],
        |_| TimeCommand::EditNote(true).into(),
    )
    .unless(unless_something),
    Action::new(
        Group::Time,
        "Undo",
        "Take back the last change of a note, a bookmark or the lecture.",
        &[Keys::unless_typing(CTRL, Key::Z)],
        |_| TimeCommand::Undo.into(),
    )
    .titled(|state| titled("Undo", state.history.notebook().undoes()))
    .unless(|state| match state.history.notebook().undoes() {
        Some(_) => None,
        None => Some("No note, bookmark or lecture was changed.".into()),
    }),
    Action::new(
        Group::Time,
        "Redo",
        "Do again what was taken back.",
        &[Keys::unless_typing(CTRL_SHIFT, Key::Z)],
        |_| TimeCommand::Redo.into(),
    )
    .titled(|state| titled("Redo", state.history.notebook().redoes()))
    .unless(|state| match state.history.notebook().redoes() {
        Some(_) => None,
        None => Some("Nothing was taken back.".into()),
    }),
    Action::new(
        Group::Time,
        "Compare with step…",
        "Compare this step with any other: in words, and on the maps.",
        &[Keys::unless_typing(NONE, Key::D)],
        |_| TimeCommand::AskBase(true).into(),
    )
    .unless(unless_several),
    Action::new(
        Group::Time,
        "Stop comparing steps",
        "Show again what each step changed.",
        &[],
        |_| TimeCommand::CompareWith(None).into(),
    )
    .unless(|state| match state.time.base {
        Some(_) => None,
        None => Some("No other step is compared with.".into()),
    }),
    Action::new(
        Group::Time,
        "List of steps",
        "Show the steps as a list that can be searched, or on the line.",
        &[Keys::always(CTRL, Key::F)],
        |state| TimeCommand::List(!(state.time.is_list && state.tab == Tab::Timeline)).into(),
    )
    .unless(unless_something),
    Action::new(
        Group::Time,
        "All of the timeline",
        "Draw the timeline from the first step to the last.",
        &[],
        |_| TimeCommand::Span(None).into(),
    ),
];

fn titled(name: &str, what: Option<&str>) -> String {
    match what {
        Some(what) => format!("{name} {what}"),
        None => name.into(),
    }
}

fn unless_something(state: &State) -> Option<String> {
    let words = || "There is no step yet. Open a file, or attach to a guest.".into();
    state.moment().is_none().then(words)
}

fn unless_several(state: &State) -> Option<String> {
    let words = || "There is only one step. Step the guest, or open a recording.".into();
    (state.history.moments().len() < 2).then(words)
}

fn unless_bookmarked(state: &State) -> Option<String> {
    let bookmarks = &state.history.notebook().pages().bookmarks;
    let words = || "There is no bookmark yet. B sets one on the step being looked at.".into();
    bookmarks.is_empty().then(words)
}

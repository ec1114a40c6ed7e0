//! Going from moment to moment.

use egui::{Key, Modifiers};

use super::{Action, Group, Keys};
use crate::views::command::UiCommand;

const NONE: Modifiers = Modifiers::NONE;

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
];

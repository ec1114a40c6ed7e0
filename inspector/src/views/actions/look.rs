//! What is looked at, and how.

use egui::{Key, Modifiers};

use super::{Action, Group, Keys};
use crate::model::Selection;
use crate::views::command::UiCommand;

const NONE: Modifiers = Modifiers::NONE;
const CTRL: Modifiers = Modifiers::COMMAND;

/// What is looked at, and how.
pub(super) const ACTIONS: &[Action] = &[
    Action::new(
        Group::Look,
        "Go to address",
        "Type an address, a symbol or an expression.",
        &[Keys::always(CTRL, Key::L)],
        |_| UiCommand::FocusAddressBox,
    ),
    Action::new(
        Group::Look,
        "Select nothing",
        "Leave a comparison; else select nothing, and follow what is new.",
        &[Keys::unless_typing(NONE, Key::Escape)],
        |state| match state.compared {
            Some(_) => UiCommand::Compare(None),
            None => UiCommand::Select(Selection::Nothing),
        },
    ),
];

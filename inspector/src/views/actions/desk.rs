//! Files, and the window itself.

use egui::{Key, Modifiers};

use super::{Action, Group, Keys};
use crate::model::Selection;
use crate::views::command::{DeskCommand, UiCommand};
use crate::views::state::{Panels, State};

const NONE: Modifiers = Modifiers::NONE;
const CTRL: Modifiers = Modifiers::COMMAND;
const CTRL_SHIFT: Modifiers = Modifiers::COMMAND.plus(Modifiers::SHIFT);

/// Files, and the window itself.
pub(super) const ACTIONS: &[Action] = &[
    Action::new(
        Group::Desk,
        "Open…",
        "Open a snapshot or a recording.",
        &[Keys::always(CTRL, Key::O)],
        |_| UiCommand::Open,
    ),
    Action::new(
        Group::Desk,
        "Save snapshot…",
        "Save this moment as a snapshot.",
        &[Keys::always(CTRL, Key::S)],
        |_| UiCommand::SaveSnapshot,
    )
    .unless(unless_something),
    Action::new(
        Group::Desk,
        "Save recording…",
        "Save all moments as a recording.",
        &[Keys::always(CTRL_SHIFT, Key::S)],
        |_| UiCommand::SaveRecording,
    )
    .unless(unless_something),
    Action::new(
        Group::Desk,
        "Commands",
        "Find a command, a name or a moment, and go there.",
        &[Keys::always(CTRL, Key::K)],
        |_| UiCommand::Desk(DeskCommand::TogglePalette),
    ),
    Action::new(
        Group::Desk,
        "Copy selection",
        "Copy what is selected, as text.",
        &[Keys::unless_typing(CTRL, Key::C)],
        |_| UiCommand::Desk(DeskCommand::CopySelection),
    )
    .unless(|state| match state.selection {
        Selection::Nothing => {
            Some("Nothing is selected: press a band, an entry or a frame.".into())
        }
        _ => None,
    }),
    Action::new(
        Group::Desk,
        "Close",
        "Leave what is open, and go back to the first screen.",
        &[Keys::always(CTRL, Key::W)],
        |_| UiCommand::Desk(DeskCommand::Close),
    )
    .unless(
        |state| match state.has_session || state.snapshot().is_some() {
            true => None,
            false => Some("Nothing is open.".into()),
        },
    ),
    Action::new(
        Group::Desk,
        "Start the demo",
        "Start our own kernel in QEMU, and attach to it.",
        &[],
        |_| UiCommand::Desk(DeskCommand::StartDemo("pseudos")),
    ),
    Action::new(
        Group::Desk,
        "Panels as they were",
        "Give the panels the sizes that fit the window.",
        &[],
        |_| UiCommand::Desk(DeskCommand::Resize(Panels::default())),
    ),
    Action::new(
        Group::Desk,
        "Dark or light",
        "Change from dark to light, or back.",
        &[Keys::always(CTRL, Key::T)],
        |_| UiCommand::OtherTheme,
    ),
    Action::new(
        Group::Desk,
        "Larger",
        "Draw everything larger.",
        &[
            Keys::always(CTRL, Key::Plus),
            Keys::always(CTRL, Key::Equals),
        ],
        |_| UiCommand::Zoom(1),
    ),
    Action::new(
        Group::Desk,
        "Smaller",
        "Draw everything smaller.",
        &[Keys::always(CTRL, Key::Minus)],
        |_| UiCommand::Zoom(-1),
    ),
    Action::new(
        Group::Desk,
        "Usual size",
        "Draw everything as large as it usually is.",
        &[Keys::always(CTRL, Key::Num0)],
        |_| UiCommand::Zoom(0),
    ),
    Action::new(
        Group::Desk,
        "Keys",
        "Show or hide the list of keys.",
        &[Keys::always(NONE, Key::F1)],
        |_| UiCommand::ToggleHelp,
    ),
];

fn unless_something(state: &State) -> Option<String> {
    match state.snapshot() {
        Some(_) => None,
        None => Some("There is nothing to save yet.".into()),
    }
}

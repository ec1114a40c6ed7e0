//! What can be asked of the guest.

use egui::{Key, Modifiers};

use super::{Action, Group, Keys};
use crate::session::{Command, Connection};
use crate::views::command::{FilePurpose, GuestCommand, UiCommand};
use crate::views::state::State;

const NONE: Modifiers = Modifiers::NONE;
const SHIFT: Modifiers = Modifiers::SHIFT;

/// Letting the guest run, and stopping it.
pub(super) const ACTIONS: &[Action] = &[
    Action::new(
        Group::Guest,
        "Run",
        "Let all harts run.",
        &[Keys::always(NONE, Key::F5)],
        |_| UiCommand::Session(Command::Resume),
    )
    .unless(unless_stopped),
    Action::new(
        Group::Guest,
        "Pause",
        "Stop all harts and look.",
        &[Keys::always(NONE, Key::F6)],
        |_| UiCommand::Session(Command::Pause),
    )
    .unless(|state| match state.connection {
        Connection::Running => None,
        _ => why_not(state),
    }),
    Action::new(
        Group::Guest,
        "Follow",
        "Follow the guest while it runs, or no longer.",
        &[Keys::unless_typing(NONE, Key::F)],
        |_| UiCommand::ToggleFollow,
    ),
    Action::new(
        Group::Guest,
        "Step",
        "Step one instruction on this hart.",
        &[Keys::always(NONE, Key::F7)],
        |_| UiCommand::StepInstruction,
    )
    .unless(unless_stopped),
    Action::new(
        Group::Guest,
        "Step kalloc",
        "Run to the next return of the function that allocates.",
        &[Keys::always(NONE, Key::F8)],
        |_| UiCommand::StepCall,
    )
    .unless(unless_stopped),
    Action::new(
        Group::Guest,
        "Step kfree",
        "Run to the next return of the function that takes pages back.",
        &[Keys::always(SHIFT, Key::F8)],
        |_| UiCommand::Guest(GuestCommand::StepFree),
    )
    .titled(|state| {
        let symbol = state.guest.free_symbol.as_deref();
        format!("Step {}", symbol.unwrap_or("kfree"))
    })
    .unless(unless_stopped),
    Action::new(
        Group::Guest,
        "Next table change",
        "Run to the next write that changes a page table; bits that the hardware sets (A, D) stop nothing.",
        &[Keys::always(NONE, Key::F9)],
        |_| UiCommand::Guest(GuestCommand::NextTableChange),
    )
    .unless(unless_stopped),
    Action::new(
        Group::Guest,
        "Run until…",
        "Run until the heap counter is high enough, an address is mapped, or a range changes.",
        &[Keys::always(SHIFT, Key::F9)],
        |_| UiCommand::Guest(GuestCommand::ToggleRunUntil),
    )
    .unless(unless_stopped),
    Action::new(
        Group::Desk,
        "Export picture…",
        "Write a view as SVG or PNG, for a slide.",
        &[Keys::always(Modifiers::COMMAND, Key::E)],
        |_| UiCommand::Guest(GuestCommand::ToggleExport),
    )
    .unless(unless_something),
    Action::new(
        Group::Desk,
        "Export text…",
        "Write the layout as a drawing in characters.",
        &[],
        |_| UiCommand::Guest(GuestCommand::Export(FilePurpose::ExportText)),
    )
    .unless(unless_something),
    Action::new(
        Group::Desk,
        "Export schematic…",
        "Write the space as the drawing that kernels' documents have, in characters.",
        &[],
        |_| UiCommand::Guest(GuestCommand::Export(FilePurpose::ExportSchematic)),
    )
    .unless(|state| match state.space() {
        Some(_) => None,
        None => Some("No address space is known.".into()),
    }),
    Action::new(
        Group::Desk,
        "Copy as text",
        "Copy the layout as a drawing in characters.",
        &[],
        |_| UiCommand::Guest(GuestCommand::CopyText),
    )
    .unless(unless_something),
    Action::new(
        Group::Guest,
        "Clear console",
        "Forget what the guest wrote.",
        &[],
        |_| UiCommand::Guest(GuestCommand::ClearConsole),
    ),
    Action::new(
        Group::Guest,
        "Clear link log",
        "Forget what the link said.",
        &[],
        |_| UiCommand::Guest(GuestCommand::ClearLog),
    ),
    Action::new(
        Group::Guest,
        "Cancel",
        "End the command that the link is working on.",
        &[],
        |_| UiCommand::Cancel,
    )
    .unless(|state| match state.connection {
        Connection::Busy { .. } | Connection::Connecting { .. } => None,
        _ => Some("The link is not busy.".into()),
    }),
    Action::new(
        Group::Guest,
        "Find spaces…",
        "Look for root tables in all of RAM.",
        &[],
        |_| UiCommand::Session(Command::FindSpaces),
    )
    .unless(unless_stopped),
    Action::new(
        Group::Guest,
        "Look again",
        "Capture again without letting the guest run.",
        &[],
        |_| UiCommand::Session(Command::Capture),
    )
    .unless(unless_stopped),
    Action::new(
        Group::Guest,
        "Detach",
        "Leave the guest as it was found.",
        &[],
        |_| UiCommand::Session(Command::Detach),
    )
    .unless(|state| match state.connection.is_attached() {
        true => None,
        false => Some("No guest is attached.".into()),
    }),
    Action::new(
        Group::Guest,
        "Reconnect",
        "Connect again after the link was lost or closed.",
        &[],
        |_| UiCommand::Session(Command::Reconnect),
    )
    .unless(|state| match state.connection {
        Connection::Lost { .. } | Connection::Detached if state.has_session => None,
        _ if state.has_session => Some("The link stands.".into()),
        _ => why_not(state),
    }),
];

fn unless_something(state: &State) -> Option<String> {
    match state.snapshot() {
        Some(_) => None,
        None => Some("Nothing is open yet.".into()),
    }
}

fn unless_stopped(state: &State) -> Option<String> {
    if state.can_step() {
        None
    } else {
        why_not(state)
    }
}

/// Why the guest cannot be asked to move now.
pub fn why_not(state: &State) -> Option<String> {
    let words = match &state.connection {
        Connection::None => {
            "A file has no guest to run. `pagescope demo` starts one, `pagescope attach` finds one."
        }
        Connection::Dump => {
            "A dump is a moment that is past: nothing in it runs. `pagescope attach` finds a guest."
        }
        Connection::Connecting { .. } => "Not connected yet.",
        Connection::Running => "The guest runs: pause it first (F6).",
        Connection::Stopped => "The guest stands still already.",
        Connection::Busy { .. } => "The link is busy; Cancel ends that.",
        Connection::Lost { .. } => "The link is lost: reconnect first.",
        Connection::Detached => "Detached: reconnect first.",
    };
    Some(words.to_owned())
}

//! What is looked at, and how.

use egui::{Key, Modifiers};

use super::{Action, Group, Keys};
use crate::model::Selection;
use crate::views::camera::CameraStep;
use crate::views::command::{LookCommand, UiCommand};
use crate::views::state::State;

const NONE: Modifiers = Modifiers::NONE;
const CTRL: Modifiers = Modifiers::COMMAND;
const ALT: Modifiers = Modifiers::ALT;
const SHIFT: Modifiers = Modifiers::SHIFT;

/// An action of the maps, which needs maps.
const fn camera(
    name: &'static str,
    about: &'static str,
    keys: &'static [Keys],
    command: fn(&State) -> UiCommand,
) -> Action {
    Action::new(Group::Look, name, about, keys, command).unless(|state| match state.snapshot() {
        Some(_) => None,
        None => Some("There is no map yet: open a file, or attach to a guest.".into()),
    })
}

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
        "Leave a comparison or show all again; else select nothing, and follow what is new.",
        &[Keys::unless_typing(NONE, Key::Escape)],
        |state| match (&state.compared, state.look.filter) {
            (Some(_), _) => UiCommand::Compare(None),
            (None, Some(_)) => UiCommand::Look(LookCommand::Filter(None)),
            (None, None) => UiCommand::Select(Selection::Nothing),
        },
    ),
    Action::new(
        Group::Look,
        "Back",
        "Select what was selected before.",
        &[Keys::always(ALT, Key::ArrowLeft)],
        |_| UiCommand::Look(LookCommand::Back),
    )
    .unless(|state| match state.look.can_go_back() {
        true => None,
        false => Some("Nothing was selected before this.".into()),
    }),
    Action::new(
        Group::Look,
        "Forward",
        "Select what was gone back from.",
        &[Keys::always(ALT, Key::ArrowRight)],
        |_| UiCommand::Look(LookCommand::Forward),
    )
    .unless(|state| match state.look.can_go_forward() {
        true => None,
        false => Some("This is the newest selection: go back first.".into()),
    }),
    camera(
        "Zoom in",
        "Show more of what is under the mouse.",
        &[
            Keys::unless_typing(NONE, Key::Plus),
            Keys::unless_typing(NONE, Key::Equals),
        ],
        |_| UiCommand::Look(LookCommand::Camera(CameraStep::In)),
    ),
    camera(
        "Zoom out",
        "Show more around what is under the mouse.",
        &[Keys::unless_typing(NONE, Key::Minus)],
        |_| UiCommand::Look(LookCommand::Camera(CameraStep::Out)),
    ),
    camera(
        "Fit maps",
        "Show all of each map.",
        &[Keys::unless_typing(NONE, Key::Num0)],
        |_| UiCommand::Look(LookCommand::Camera(CameraStep::Fit)),
    ),
    camera(
        "Zoom to selection",
        "Make what is selected as large as it can be, in each map.",
        &[Keys::unless_typing(NONE, Key::Z)],
        |_| UiCommand::Look(LookCommand::Camera(CameraStep::ToSelection)),
    ),
    camera(
        "Map up",
        "Move the map under the mouse towards lower addresses.",
        &[Keys::unless_typing(SHIFT, Key::ArrowUp)],
        |_| UiCommand::Look(LookCommand::Camera(CameraStep::Up)),
    ),
    camera(
        "Map down",
        "Move the map under the mouse towards higher addresses.",
        &[Keys::unless_typing(SHIFT, Key::ArrowDown)],
        |_| UiCommand::Look(LookCommand::Camera(CameraStep::Down)),
    ),
    camera(
        "Map left",
        "Move the tables under the mouse to the left.",
        &[Keys::unless_typing(SHIFT, Key::ArrowLeft)],
        |_| UiCommand::Look(LookCommand::Camera(CameraStep::Left)),
    ),
    camera(
        "Map right",
        "Move the tables under the mouse to the right.",
        &[Keys::unless_typing(SHIFT, Key::ArrowRight)],
        |_| UiCommand::Look(LookCommand::Camera(CameraStep::Right)),
    ),
    camera(
        "Ribbons",
        "Ribbons from all ranges to their frames, or from the selected one alone.",
        &[Keys::unless_typing(NONE, Key::R)],
        |_| UiCommand::Look(LookCommand::ToggleRibbons),
    ),
    camera(
        "Show all",
        "End the filter that a click in the legend began.",
        &[],
        |_| UiCommand::Look(LookCommand::Filter(None)),
    ),
];

//! The keys of lecture mode, which mean other things there. Presenters' remotes send the page keys and the dot.

use egui::Key;

use crate::views::command::LectureCommand;

/// What keys do while a lecture is shown.
pub struct PresenterKeys {
    /// The keys, each of which does it.
    pub keys: &'static [Key],
    /// What it does, as a sentence.
    pub about: &'static str,
    /// What it asks for.
    pub command: LectureCommand,
}

/// All keys of lecture mode.
pub const PRESENTER_KEYS: [PresenterKeys; 6] = [
    PresenterKeys {
        keys: &[
            Key::ArrowRight,
            Key::ArrowDown,
            Key::Space,
            Key::Enter,
            Key::PageDown,
        ],
        about: "The next step.",
        command: LectureCommand::StepBy(1),
    },
    PresenterKeys {
        keys: &[Key::ArrowLeft, Key::ArrowUp, Key::Backspace, Key::PageUp],
        about: "The step before.",
        command: LectureCommand::StepBy(-1),
    },
    PresenterKeys {
        keys: &[Key::Home],
        about: "The first step.",
        command: LectureCommand::Step(0),
    },
    PresenterKeys {
        keys: &[Key::End],
        about: "The last step.",
        command: LectureCommand::Step(usize::MAX),
    },
    PresenterKeys {
        keys: &[Key::B, Key::Period],
        about: "A blank screen, and the picture again.",
        command: LectureCommand::Blank,
    },
    PresenterKeys {
        keys: &[Key::Escape, Key::F11],
        about: "Leave the lecture.",
        command: LectureCommand::Leave,
    },
];

//! The question before something is left that is in no file.

use egui::{Button, RichText, Ui};

use super::command::{DeskCommand, UiCommand};
use super::dialog::dialog;
use super::scene::Scene;

/// Shows the question, where it is asked.
pub(super) fn show(ui: &Ui, scene: &Scene<'_>, out: &mut Vec<UiCommand>) {
    let Some(words) = &scene.state.desk.asks_leave else {
        return;
    };
    let mut answer = None;
    let is_open = dialog(ui.ctx(), "Save it first?", 400.0, |ui| {
        ui.label(RichText::new(words).color(scene.palette.text));
        ui.add_space(8.0);
        ui.horizontal(|ui| {
            for (label, hint, command) in [
                (
                    "Save recording…",
                    "All steps with what was written about them, in one file",
                    DeskCommand::LeaveSaved,
                ),
                (
                    "Leave without saving",
                    "It cannot be brought back",
                    DeskCommand::LeaveUnsaved,
                ),
                ("Stay", "Nothing is left (Esc)", DeskCommand::Stay),
            ] {
                if ui.add(Button::new(label)).on_hover_text(hint).clicked() {
                    answer = Some(command);
                }
            }
        });
    });
    if !is_open {
        answer = Some(DeskCommand::Stay);
    }
    out.extend(answer.map(UiCommand::Desk));
}

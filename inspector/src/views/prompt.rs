//! A path typed by hand, for desktops that offer no file dialog.

use egui::{Key, RichText, TextEdit, Ui, vec2};

use super::command::{FilePurpose, UiCommand};
use super::dialog::dialog;
use super::scene::Scene;
use super::theme;

/// What is being typed.
#[derive(Default)]
pub struct Prompt {
    purpose: Option<FilePurpose>,
    path: String,
}

impl Prompt {
    /// Shows the question, if there is one.
    pub fn show(&mut self, ui: &mut Ui, scene: &Scene<'_>, out: &mut Vec<UiCommand>) {
        let Some(purpose) = scene.state.prompt else {
            self.purpose = None;
            return;
        };
        let is_new = self.purpose != Some(purpose);
        if is_new {
            self.purpose = Some(purpose);
            self.path = purpose.default_name().into();
        }
        let is_open = dialog(ui.ctx(), purpose.title(), 420.0, |ui| {
            let words = "This desktop offers no file dialog: type the path.";
            ui.label(RichText::new(words).color(scene.palette.dim));
            let edit = TextEdit::singleline(&mut self.path)
                .font(theme::numbers(theme::NUMBERS))
                .margin(vec2(8.0, 5.0))
                .desired_width(f32::INFINITY);
            let response = ui.add(edit);
            response.widget_info(|| egui::WidgetInfo::labeled(egui::Role::TextInput, true, "Path"));
            if is_new {
                response.request_focus();
            }
            let entered = response.lost_focus() && ui.input(|input| input.key_pressed(Key::Enter));
            let is_named = !self.path.trim().is_empty();
            ui.horizontal(|ui| {
                let button = egui::Button::new(purpose.verb());
                let button = ui.add_enabled(is_named, button);
                let button = button.on_disabled_hover_text("Type the file's path first.");
                let pressed = button.clicked();
                if pressed || (entered && is_named) {
                    let path = self.path.trim().into();
                    out.push(UiCommand::File(purpose, path));
                }
                if ui.button("Not now").clicked() {
                    out.push(UiCommand::ClosePrompt);
                }
            });
        });
        if !is_open {
            out.push(UiCommand::ClosePrompt);
        }
    }
}

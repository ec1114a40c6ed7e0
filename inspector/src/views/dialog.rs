//! What is asked over the window. Esc ends it (`App::close_questions`), and so does the cross.

use egui::{Align2, Context, RichText, Ui, Window, vec2};

use super::scene::Scene;
use super::theme;

/// Shows a question a little above the middle, `width` points wide; whether it is still to be shown.
pub(super) fn dialog(
    ctx: &Context,
    title: &str,
    width: f32,
    content: impl FnOnce(&mut Ui),
) -> bool {
    let mut is_open = true;
    Window::new(title)
        .open(&mut is_open)
        .collapsible(false)
        .resizable(false)
        .anchor(Align2::CENTER_CENTER, vec2(0.0, -40.0))
        .show(ctx, |ui| {
            ui.set_width(width);
            content(ui);
        });
    is_open
}

/// What is good to know before answering, in small letters above the buttons.
pub(super) fn remark(ui: &mut Ui, words: &str, scene: &Scene<'_>) {
    ui.add_space(4.0);
    let text = RichText::new(words).size(theme::SMALL);
    ui.label(text.color(scene.palette.dim));
    ui.add_space(4.0);
}

//! What is asked over the window. Esc ends it (`App::close_questions`), and so does the cross.

use egui::{Align2, Context, Ui, Window, vec2};

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

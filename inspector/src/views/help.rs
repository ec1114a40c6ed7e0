//! The keys.

use egui::{Align2, Context, Grid, RichText, Window};

use super::actions;
use super::command::UiCommand;
use super::theme;

/// Keys that are egui's own.
const OTHER_KEYS: [(&str, &str); 2] = [
    ("Ctrl +, Ctrl −", "Larger, smaller; Ctrl 0 as it was."),
    ("Tab, Space", "Go to the next control, press it."),
];

/// Shows the keys over the window.
pub fn show(ctx: &Context, out: &mut Vec<UiCommand>) {
    let mut is_open = true;
    Window::new("Keys")
        .open(&mut is_open)
        .collapsible(false)
        .resizable(false)
        .anchor(Align2::CENTER_CENTER, egui::Vec2::ZERO)
        .show(ctx, |ui| {
            ui.spacing_mut().interact_size.y = 18.0;
            Grid::new("keys")
                .num_columns(2)
                .spacing([26.0, 6.0])
                .show(ui, |ui| {
                    let mut row = |keys: &str, about: &str| {
                        ui.label(RichText::new(keys).font(theme::numbers(theme::NUMBERS)));
                        ui.label(about);
                        ui.end_row();
                    };
                    for action in actions::all().filter(|action| !action.keys.is_empty()) {
                        let keys: Vec<String> =
                            action.keys.iter().map(|keys| keys.text()).collect();
                        row(&keys.join(", "), action.about);
                    }
                    for (keys, about) in OTHER_KEYS {
                        row(keys, about);
                    }
                });
        });
    if !is_open {
        out.push(UiCommand::ToggleHelp);
    }
}

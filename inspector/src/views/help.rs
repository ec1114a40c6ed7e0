//! The keys.

use egui::{Align2, Context, Grid, RichText, Window};

use super::command::UiCommand;
use super::theme;

const KEYS: [(&str, &str); 16] = [
    ("F5", "Let the guest run"),
    ("F6", "Pause it"),
    ("F", "Follow the guest while it runs, or no longer"),
    ("F7", "Step one instruction"),
    ("F8", "Step to the next return of kalloc"),
    ("Ctrl+L", "Type an address: 0x… virtual, p:0x… physical"),
    (
        "Esc",
        "Leave a comparison; select nothing, follow what is new",
    ),
    ("Left, Right", "One moment back, one on"),
    ("Home, End", "The first moment, the last one (now)"),
    ("Ctrl+S", "Save this moment as a snapshot"),
    ("Ctrl+Shift+S", "Save all moments as a recording"),
    ("Ctrl+O", "Open a snapshot or a recording"),
    ("Ctrl+T", "Dark, light"),
    ("Ctrl +, Ctrl −", "Larger, smaller; Ctrl 0 as it was"),
    ("Tab, Space", "Go to the next control, press it"),
    ("F1", "Show or hide this"),
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
                    for (keys, what) in KEYS {
                        ui.label(RichText::new(keys).font(theme::numbers(theme::NUMBERS)));
                        ui.label(what);
                        ui.end_row();
                    }
                });
        });
    if !is_open {
        out.push(UiCommand::ToggleHelp);
    }
}

//! Applies what is asked for about the guest: what it is asked to run to, its console, watches.

use super::App;
use crate::views::command::GuestCommand;

impl App {
    pub(super) fn apply_guest(&mut self, command: GuestCommand, _ctx: &egui::Context) {
        match command {}
    }
}

//! Applies what is asked for about how the maps are looked at: zoom and place, what is hovered, the filter, selections passed through.

use super::App;
use crate::views::command::LookCommand;

impl App {
    pub(super) fn apply_look(&mut self, command: LookCommand, _ctx: &egui::Context) {
        match command {}
    }
}

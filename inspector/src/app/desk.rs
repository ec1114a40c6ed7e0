//! Applies what is asked for about the window itself: panels, recent files, the palette of commands.

use super::App;
use crate::views::command::DeskCommand;

impl App {
    pub(super) fn apply_desk(&mut self, command: DeskCommand, _ctx: &egui::Context) {
        match command {}
    }
}

//! Applies what is asked for about moments: bookmarks, notes, playing, comparing.

use super::App;
use crate::views::command::TimeCommand;

impl App {
    pub(super) fn apply_time(&mut self, command: TimeCommand, _ctx: &egui::Context) {
        match command {}
    }
}

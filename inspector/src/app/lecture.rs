//! Applies what is asked for about lectures, and pictures of the views.

use super::App;
use crate::views::command::LectureCommand;

impl App {
    pub(super) fn apply_lecture(&mut self, command: LectureCommand, _ctx: &egui::Context) {
        match command {}
    }
}

//! Applies what is asked for about the window itself: panels, recent files, the palette of commands.

use super::App;
use crate::model::Selection;
use crate::model::expression::evaluate;
use crate::views::command::DeskCommand;
use crate::views::state::NoticeKind;

impl App {
    /// Selects what was typed.
    pub(super) fn go_to(&mut self, text: &str) {
        let tables = self.views.tables();
        let Some(scope) = self.state.scope(&tables) else {
            let why = "There is no moment yet to look anything up in.";
            return self.state.notify(NoticeKind::Problem, why);
        };
        match evaluate(text, &scope).map(|value| value.selection()) {
            Ok(selection) => {
                self.state.notice = None;
                self.state.desk.remember_entered(text);
                self.state.selection = selection;
                self.state.is_chosen = selection != Selection::Nothing;
            }
            Err(error) => {
                let words = super::commands::sentence(&error.to_string());
                self.state.notify(NoticeKind::Problem, words);
            }
        }
    }

    pub(super) fn apply_desk(&mut self, command: DeskCommand, _ctx: &egui::Context) {
        match command {
            DeskCommand::TogglePalette => {
                self.state.desk.has_palette = !self.state.desk.has_palette;
            }
        }
    }
}

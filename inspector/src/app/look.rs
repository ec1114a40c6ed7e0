//! Applies what is asked for about how the maps are looked at.

use super::App;
use crate::model::Selection;
use crate::views::command::LookCommand;

impl App {
    pub(super) fn apply_look(&mut self, command: LookCommand, _ctx: &egui::Context) {
        let look = &mut self.state.look;
        match command {
            LookCommand::Hover(selection) => look.hover = selection,
            LookCommand::Back => {
                let found = look.back(self.state.selection);
                self.go_through(found);
            }
            LookCommand::Forward => {
                let found = look.forward(self.state.selection);
                self.go_through(found);
            }
            LookCommand::Camera(step) => self.views.move_map(step),
            LookCommand::Filter(sign) => look.filter = sign,
            LookCommand::ToggleRibbons => look.shows_all_ribbons = !look.shows_all_ribbons,
        }
    }

    fn go_through(&mut self, selection: Option<Selection>) {
        if let Some(selection) = selection {
            self.state.selection = selection;
            self.state.is_chosen = selection != Selection::Nothing;
        }
    }
}

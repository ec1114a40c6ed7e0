//! Applies what is asked for about the window itself: panels, recent files, the palette of commands.

use super::App;
use super::unsaved::Leaving;
use crate::model::expression::evaluate;
use crate::model::summary::summary;
use crate::views::command::DeskCommand;
use crate::views::state::NoticeKind;

impl App {
    fn copy_selection(&mut self, ctx: &egui::Context) {
        let Some(snapshot) = self.state.snapshot() else {
            return;
        };
        let text = summary(snapshot, self.state.space(), self.views.focus());
        if !text.is_empty() {
            ctx.copy_text(text);
            self.state
                .notify(NoticeKind::Done, "What is selected was copied as text.");
        }
    }

    /// Ctrl+C comes as an event of its own from a real window; text that is marked goes first.
    pub(super) fn copies(&mut self, ctx: &egui::Context, types: bool) {
        let is_asked = ctx.input(|input| {
            let mut events = input.events.iter();
            events.any(|event| matches!(event, egui::Event::Copy))
        });
        let has_marked = || {
            use egui::text_selection::LabelSelectionState;
            let plugin = ctx.plugin_opt::<LabelSelectionState>();
            plugin.is_some_and(|plugin| plugin.lock().has_selection())
        };
        if is_asked && !types && !has_marked() {
            self.queued
                .push(crate::views::UiCommand::Desk(DeskCommand::CopySelection));
        }
    }

    /// Esc closes what lies over the window, the uppermost first, before it means anything else.
    pub(super) fn close_questions(&mut self, ctx: &egui::Context) {
        let state = &mut self.state;
        let guest = &mut state.guest;
        let asks = guest.asks_run_until || guest.asks_picture;
        let is_any =
            state.prompt.is_some() || asks || state.help || state.desk.asks_leave.is_some();
        // The palette lies over them, and closes itself.
        if !is_any || state.desk.has_palette || egui::Popup::is_any_open(ctx) {
            return;
        }
        let closes = |input: &mut egui::InputState| {
            input.consume_key(egui::Modifiers::NONE, egui::Key::Escape)
        };
        if !ctx.input_mut(closes) {
            return;
        }
        if state.prompt.is_some() {
            state.prompt = None;
            self.leaving = None;
        } else if state.desk.asks_leave.is_some() {
            self.answer_leave(&DeskCommand::Stay, ctx);
        } else if asks {
            (guest.asks_run_until, guest.asks_picture) = (false, false);
        } else {
            state.help = false;
        }
    }

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
                self.select(selection);
            }
            Err(error) => {
                let words = super::commands::sentence(&error.to_string());
                self.state.notify(NoticeKind::Problem, words);
            }
        }
    }

    pub(super) fn apply_desk(&mut self, command: DeskCommand, ctx: &egui::Context) {
        match command {
            DeskCommand::StartDemo(layout) => self.start_demo(layout, ctx),
            DeskCommand::Attach { address, elf } => self.attach_to(&address, &elf, ctx),
            DeskCommand::OpenLecture(name) => {
                if let Some(lecture) = crate::assets::lecture(name) {
                    self.files.open_lecture(lecture);
                }
            }
            DeskCommand::FindGuests => self.find_guests(),
            DeskCommand::Close => self.leave_for(Leaving::Close, ctx),
            answer @ (DeskCommand::LeaveSaved | DeskCommand::LeaveUnsaved | DeskCommand::Stay) => {
                self.answer_leave(&answer, ctx);
            }
            DeskCommand::ForgetRecent => self.state.desk.recent.clear(),
            DeskCommand::Resize(panels) => self.state.desk.panels = panels,
            DeskCommand::CopySelection => self.copy_selection(ctx),
            DeskCommand::TogglePalette => {
                self.state.desk.has_palette = !self.state.desk.has_palette;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use egui_kittest::kittest::Queryable as _;

    use super::super::App;
    use crate::model::fixture;
    use crate::views::FilePurpose;

    #[test]
    fn a_path_that_is_asked_for_is_left_with_esc() {
        let mut app = App::offline(fixture::history(1), "lecture.ron");
        app.state.prompt = Some(FilePurpose::Open);
        let mut window = egui_kittest::Harness::builder().build_ui_state(
            |ui, app: &mut App| match ui.ctx().cumulative_pass_nr() {
                0 => app.install(ui.ctx()),
                _ => app.frame(ui),
            },
            app,
        );
        window.run();
        window.get_by_label("Path");
        window.key_press(egui::Key::Escape);
        window.run();
        assert!(window.query_by_label("Path").is_none());
        assert_eq!(window.state().state.prompt, None);
    }
}

//! Applies what is asked for about the guest: what it is asked to run to, its console, watches.

use super::App;
use crate::capture::run_until::Goal;
use crate::capture::watches::MOST_WATCHES;
use crate::export::text::layout_text;
use crate::session::{Command, WatchSpec};
use crate::views::command::GuestCommand;
use crate::views::state::NoticeKind;

impl App {
    pub(super) fn apply_guest(&mut self, command: GuestCommand, ctx: &egui::Context) {
        match command {
            GuestCommand::StepFree => match self.state.guest.free_symbol.clone() {
                Some(symbol) => self.step_returns(symbol, self.state.step_count),
                None => self.complain("No function that frees is known: attach with --elf FILE."),
            },
            GuestCommand::NextTableChange => self.run_until(Goal::TableChange {
                within: None,
                count: self.state.step_count,
            }),
            GuestCommand::ToggleRunUntil => {
                self.state.guest.asks_picture = false;
                self.state.guest.asks_run_until = !self.state.guest.asks_run_until;
            }
            GuestCommand::RunUntil(goal) => self.run_until(goal),
            GuestCommand::StepReturns { symbol, count } => self.step_returns(symbol, count),
            GuestCommand::Type(bytes) => {
                let typed = match &self.state.guest.input {
                    Some(input) => input.type_bytes(&bytes).map_err(str::to_owned),
                    None => Err(self.state.guest.why_no_input.clone()),
                };
                if let Err(why) = typed {
                    self.complain(why);
                }
            }
            GuestCommand::ClearConsole => self.state.console.clear(),
            GuestCommand::ClearLog => self.state.log.clear(),
            GuestCommand::AddWatch(watch) => self.add_watch(watch),
            GuestCommand::RemoveWatch(name) => {
                self.state.guest.watches.retain(|watch| watch.name != name);
                self.ask(Command::Watch(self.state.guest.watches.clone()));
            }
            GuestCommand::ToggleExport => {
                self.state.guest.asks_run_until = false;
                self.state.guest.asks_picture = !self.state.guest.asks_picture;
            }
            GuestCommand::SetPicture(picture) => self.state.guest.picture = picture,
            GuestCommand::Export(purpose) => {
                self.state.guest.asks_picture = false;
                self.want_file(purpose, None, ctx);
            }
            GuestCommand::CopyText => {
                if let Some(snapshot) = self.state.snapshot() {
                    ctx.copy_text(layout_text(snapshot, self.state.space()));
                    let words = "The layout is in the clipboard, as text.";
                    self.state.notify(NoticeKind::Done, words);
                }
            }
            GuestCommand::Complain(why) => self.complain(why),
        }
    }

    fn complain(&mut self, why: impl Into<String>) {
        self.state.notify(NoticeKind::Problem, why);
    }

    fn run_until(&mut self, goal: Goal) {
        self.state.guest.asks_run_until = false;
        // What comes is the present.
        self.state.history.seek(usize::MAX);
        self.ask(Command::RunUntil(goal));
    }

    fn step_returns(&mut self, symbol: String, count: u32) {
        self.state.guest.asks_run_until = false;
        self.state.history.seek(usize::MAX);
        self.ask(Command::StepCall { symbol, count });
    }

    fn add_watch(&mut self, watch: WatchSpec) {
        let watches = &mut self.state.guest.watches;
        watches.retain(|known| known.name != watch.name);
        if watches.len() >= MOST_WATCHES {
            return self.complain("64 numbers are watched already: remove one first.");
        }
        watches.push(watch);
        self.ask(Command::Watch(self.state.guest.watches.clone()));
    }
}

//! The one place where commands of the views are applied.

use std::path::PathBuf;
use std::sync::Arc;

use egui::{Theme, ThemePreference};

use super::App;
use super::files::Done;
use super::unsaved::{Kept, Leaving};
use crate::capture::scan::Candidate;
use crate::model::{History, Selection};
use crate::session::{Command, Connection, Rate};
use crate::views::state::NoticeKind;
use crate::views::{FilePurpose, UiCommand};

impl App {
    pub(super) fn apply(&mut self, command: UiCommand, ctx: &egui::Context) {
        match command {
            UiCommand::Select(selection) => self.select(selection),
            UiCommand::GoTo(text) => self.go_to(&text),
            UiCommand::FocusAddressBox => self.views.focus_address(),
            UiCommand::Seek(place) => self.seek(place),
            UiCommand::SeekBy(steps) => {
                let here = self.state.history.cursor() as i64;
                self.seek(here.saturating_add(steps).max(0) as usize);
            }
            UiCommand::Session(command) => self.ask(command),
            UiCommand::StepCall => self.step_call(),
            UiCommand::ToggleFollow => self.toggle_follow(),
            UiCommand::FollowRate(rate) => self.set_follow_rate(rate),
            UiCommand::StepInstruction => {
                let hart = self.state.hart().map_or(self.state.hart, |hart| hart.id);
                self.ask(Command::StepInstruction { hart });
            }
            UiCommand::StepCount(count) => self.state.step_count = count.max(1),
            UiCommand::Cancel => self.cancel(),
            UiCommand::ChooseHart(id) => {
                self.state.hart = id;
                self.state.space = None;
            }
            UiCommand::ChooseSpace(name) => self.choose_space(name),
            UiCommand::Compare(with) => self.state.compared = with,
            UiCommand::ShowTab(tab) => self.state.tab = tab,
            UiCommand::SaveSnapshot => self.want_another_file(FilePurpose::SaveSnapshot, ctx),
            UiCommand::SaveRecording => self.want_another_file(FilePurpose::SaveRecording, ctx),
            UiCommand::Open => self.want_another_file(FilePurpose::Open, ctx),
            UiCommand::File(purpose, path) => {
                self.state.prompt = None;
                self.want_file(purpose, Some(path), ctx);
            }
            UiCommand::ClosePrompt => {
                self.state.prompt = None;
                self.leaving = None;
            }
            UiCommand::Theme(preference) => ctx.set_theme(preference),
            UiCommand::OtherTheme => ctx.set_theme(match ctx.theme() {
                Theme::Dark => ThemePreference::Light,
                Theme::Light => ThemePreference::Dark,
            }),
            UiCommand::Zoom(by) => zoom(ctx, by),
            UiCommand::ToggleHelp => self.state.help = !self.state.help,
            UiCommand::DismissNotice => self.state.notice = None,
            UiCommand::Look(command) => self.apply_look(command, ctx),
            UiCommand::Time(command) => self.apply_time(command, ctx),
            UiCommand::Guest(command) => self.apply_guest(command, ctx),
            UiCommand::Lecture(command) => self.apply_lecture(command, ctx),
            UiCommand::Desk(command) => self.apply_desk(command, ctx),
        }
    }

    /// Looks at a space, and at a hart that runs in it, where one does.
    fn choose_space(&mut self, name: String) {
        let runs = self
            .state
            .snapshot()
            .and_then(|snapshot| snapshot.space_named(&name))
            .map(|space| space.harts.clone());
        if let Some(harts) = runs
            && !harts.contains(&self.state.hart)
            && let Some(hart) = harts.first()
        {
            self.state.hart = *hart;
        }
        self.state.space = Some(name);
    }

    /// What a scan for root tables has come to.
    pub(super) fn take_found(&mut self, found: Arc<[Candidate]>) {
        let words = match found.len() {
            0 => "No frame of RAM looks like a root table.".to_owned(),
            1 => "One root table was found; it is in the list of spaces.".to_owned(),
            count => format!("{count} root tables were found; they are in the list of spaces."),
        };
        self.state.found = found;
        self.state.notify(NoticeKind::Done, words);
    }

    pub(super) fn select(&mut self, selection: Selection) {
        self.state.look.leave(self.state.selection, selection);
        self.state.selection = selection;
        self.state.is_chosen = selection != Selection::Nothing;
    }

    pub(super) fn seek(&mut self, place: usize) {
        self.state.history.seek(place);
        self.show_on_axis();
        self.follow_newest();
    }

    /// Sends a command if it makes sense now; keys reach here at any time.
    pub(super) fn ask(&mut self, command: Command) {
        let connection = &self.state.connection;
        let makes_sense = match command {
            Command::Resume
            | Command::StepInstruction { .. }
            | Command::StepCall { .. }
            | Command::RunUntil(_) => connection.is_stopped(),
            Command::ReadFrame(_) | Command::Capture | Command::Watch(_) => connection.can_read(),
            Command::FindLine(_) => connection.is_attached(),
            Command::FindSpaces | Command::WalkRoot { .. } => connection.is_stopped(),
            Command::ChooseWay(_) => {
                connection.is_stopped() || matches!(connection, Connection::Running)
            }
            Command::Follow(rate) => rate.is_none() || connection.is_attached(),
            Command::Pause => matches!(connection, Connection::Running),
            Command::Reconnect => !connection.is_attached(),
            Command::Detach => connection.is_attached(),
        };
        if makes_sense || !self.state.has_session {
            self.send(command);
        }
    }

    /// Follows a guest while it runs, or no longer; says what is missing where it cannot be.
    fn toggle_follow(&mut self) {
        if let Some(why) = self.state.follow.why_not.clone()
            && self.state.has_session
        {
            return self.state.notify(NoticeKind::Problem, why);
        }
        let rate = match self.state.follow.rate {
            Some(_) => None,
            None => Some(self.state.follow_rate),
        };
        if rate.is_some() {
            // What is followed is the present.
            self.state.history.seek(usize::MAX);
        }
        self.ask(Command::Follow(rate));
    }

    /// Follows at this rate, now or when it is next asked for.
    fn set_follow_rate(&mut self, rate: Rate) {
        self.state.follow_rate = rate;
        if self.state.follow.rate.is_some() {
            self.ask(Command::Follow(Some(rate)));
        }
    }

    fn step_call(&mut self) {
        match self.state.step_symbol.clone() {
            Some(symbol) => {
                let count = self.state.step_count;
                // A step shows what it did: back to the present.
                self.state.history.seek(usize::MAX);
                self.ask(Command::StepCall { symbol, count });
            }
            None if self.state.has_session => self.state.notify(
                NoticeKind::Problem,
                "No function to step is known: attach with --elf FILE.",
            ),
            None => self.ask(Command::Capture),
        }
    }

    fn cancel(&mut self) {
        if let Some(link) = &self.link {
            link.cancel.cancel();
        }
        // A session that does not even answer must not hold the window in this state.
        if matches!(self.state.connection, Connection::Connecting { .. }) {
            self.state.connection = Connection::Lost {
                why: "cancelled before the guest had answered.".into(),
            };
        }
    }

    /// Has the user name a file; what waited for another is not done any more.
    fn want_another_file(&mut self, purpose: FilePurpose, ctx: &egui::Context) {
        self.leaving = None;
        self.want_file(purpose, None, ctx);
    }

    /// Saves to or opens `path`, or a file that the user names first.
    pub(super) fn want_file(
        &mut self,
        purpose: FilePurpose,
        path: Option<PathBuf>,
        ctx: &egui::Context,
    ) {
        self.keep_typed(ctx);
        match (purpose, self.state.snapshot()) {
            (FilePurpose::Open, _) => self.files.open(path),
            (FilePurpose::SaveSnapshot, Some(_)) => {
                self.files.save_snapshot(self.state.history.clone(), path);
            }
            (FilePurpose::SaveRecording, Some(_)) => {
                self.saving = Some(Kept::of(&self.state.history));
                self.files.save_recording(self.state.history.clone(), path);
            }
            (FilePurpose::ExportHtml, Some(_)) => {
                let title = self.state.title.clone();
                let history = self.state.history.clone();
                self.files.export_html(history, title, path);
            }
            (
                FilePurpose::ExportSvg
                | FilePurpose::ExportPng
                | FilePurpose::ExportText
                | FilePurpose::ExportSchematic,
                Some(_),
            ) => {
                self.files.export(purpose, self.state.clone(), path);
            }
            (_, None) => self
                .state
                .notify(NoticeKind::Problem, "There is nothing to save yet."),
        }
    }

    /// What a file job has come to.
    pub(super) fn take_file(&mut self, done: Done, ctx: &egui::Context) {
        match done {
            Done::Guests(guests) => self.state.desk.guests = Some(guests),
            Done::Elf(address, elf) => self.take_elf(address, elf, ctx),
            Done::Saved(purpose, path) => {
                // What can be opened again.
                if matches!(
                    purpose,
                    FilePurpose::SaveSnapshot | FilePurpose::SaveRecording
                ) {
                    self.state.desk.remember_file(super::open::whole(&path));
                }
                if purpose == FilePurpose::SaveRecording {
                    self.recording_kept(ctx);
                }
                let words = format!("Saved {}", path.display());
                self.state.notify(NoticeKind::Done, words);
            }
            Done::NoDialog(purpose) => self.state.prompt = Some(purpose),
            Done::Failed(why) => self.state.notify(NoticeKind::Problem, why),
            Done::Opened(path, title, history) => {
                if let Some(path) = &path {
                    self.state.desk.remember_file(super::open::whole(path));
                }
                let leaving = Leaving::File {
                    title,
                    history,
                    // What the program carries is a lecture, and is shown as one.
                    presents: path.is_none(),
                };
                self.leave_for(leaving, ctx);
            }
        }
    }

    /// A file takes the place of what was shown; a guest is left as it was found.
    pub(super) fn show_file(&mut self, title: String, history: History, ctx: &egui::Context) {
        self.leave(ctx);
        self.state.title = title;
        self.state.history = history;
        self.note_kept();
        self.follow_newest();
    }
}

/// An error's text as a sentence.
pub(super) fn sentence(text: &str) -> String {
    let mut letters = text.chars();
    match letters.next() {
        Some(first) => format!("{}{}.", first.to_uppercase(), letters.as_str()),
        None => String::new(),
    }
}

fn zoom(ctx: &egui::Context, by: i8) {
    let now = ctx.zoom_factor();
    let next = match by {
        0 => 1.0,
        1.. => (now + 0.1).min(*super::remember::ZOOM.end()),
        _ => (now - 0.1).max(*super::remember::ZOOM.start()),
    };
    ctx.set_zoom_factor((next * 10.0).round() / 10.0);
}

//! What nobody has saved yet, and the question before it is left.

use egui::ViewportCommand;

use super::App;
use crate::model::{History, MomentId, Pages};
use crate::session::Source;
use crate::views::FilePurpose;
use crate::views::command::{DeskCommand, LectureCommand};

/// What a file holds of what is open.
#[derive(Clone, Debug, Default)]
pub(super) struct Kept {
    pages: Pages,
    last: Option<MomentId>,
}

impl Kept {
    /// All of it.
    pub(super) fn of(history: &History) -> Self {
        Self {
            pages: history.notebook().pages().clone(),
            last: history.moments().last().map(|moment| moment.id),
        }
    }
}

/// Where it was to go when it was asked.
pub(super) enum Leaving {
    /// To the first screen.
    Close,
    /// To these moments; to a lecture where the program carries it.
    File {
        title: String,
        history: Box<History>,
        presents: bool,
    },
    /// To a guest.
    Guest(Box<Source>, String),
    /// Out of the program.
    Window,
}

impl App {
    /// Everything that is open is in a file now, or came from there.
    pub(super) fn note_kept(&mut self) {
        self.kept = Kept::of(&self.state.history);
    }

    /// What would be lost: `None` where everything is in a file.
    fn unsaved(&self, leaving: &Leaving) -> Option<String> {
        let history = &self.state.history;
        let now = Kept::of(history);
        if now.pages != self.kept.pages {
            return Some(
                "What was written here, notes, bookmarks or a lecture, is in no file yet.".into(),
            );
        }
        let steps = history.moments().len().saturating_sub(1);
        // Who closes the window after trying something has written nothing that could be lost.
        let has_steps = steps > 0 && now.last != self.kept.last;
        let matters = has_steps && !matches!(leaving, Leaving::Window);
        matters.then(|| format!("These {steps} steps are in no file yet."))
    }

    /// Leaves what is open, at once where nothing is lost by that; else asks first.
    pub(super) fn leave_for(&mut self, leaving: Leaving, ctx: &egui::Context) {
        self.keep_typed(ctx);
        match self.unsaved(&leaving) {
            None => self.go(leaving, ctx),
            Some(words) => {
                self.state.desk.asks_leave = Some(words);
                self.leaving = Some(leaving);
            }
        }
    }

    /// What was answered.
    pub(super) fn answer_leave(&mut self, command: &DeskCommand, ctx: &egui::Context) {
        self.state.desk.asks_leave = None;
        match command {
            // The rest follows when the file is written.
            DeskCommand::LeaveSaved => self.want_file(FilePurpose::SaveRecording, None, ctx),
            DeskCommand::LeaveUnsaved => {
                if let Some(leaving) = self.leaving.take() {
                    self.go(leaving, ctx);
                }
            }
            _ => self.leaving = None,
        }
    }

    /// A recording was written: then what waited for that is done.
    pub(super) fn recording_kept(&mut self, ctx: &egui::Context) {
        if let Some(saving) = self.saving.take() {
            self.kept = saving;
        }
        if let Some(leaving) = self.leaving.take() {
            self.leave_for(leaving, ctx);
        }
    }

    /// The window is being closed: not before somebody knows what would be lost.
    pub(super) fn guard_closing(&mut self, ctx: &egui::Context) {
        let is_told = self.is_closing || self.ends.is_cancelled();
        if is_told || !ctx.input(|input| input.viewport().close_requested()) {
            return;
        }
        self.keep_typed(ctx);
        if self.unsaved(&Leaving::Window).is_some() {
            ctx.send_viewport_cmd(ViewportCommand::CancelClose);
            self.leave_for(Leaving::Window, ctx);
        }
    }

    /// What is being typed in a note or a caption counts from now on.
    pub(super) fn keep_typed(&mut self, ctx: &egui::Context) {
        let mut commands = Vec::new();
        self.views.keep_typed(&self.state, &mut commands);
        for command in commands {
            self.apply(command, ctx);
        }
    }

    fn go(&mut self, leaving: Leaving, ctx: &egui::Context) {
        match leaving {
            Leaving::Close => self.leave(ctx),
            Leaving::File {
                title,
                history,
                presents,
            } => {
                self.show_file(title, *history, ctx);
                if presents {
                    self.queued.push(LectureCommand::Present.into());
                }
            }
            Leaving::Guest(source, title) => self.start(*source, title, ctx),
            Leaving::Window => {
                self.is_closing = true;
                ctx.send_viewport_cmd(ViewportCommand::Close);
            }
        }
    }
}

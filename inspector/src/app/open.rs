//! Opening a guest from the window itself: the demo, or a port that was found or typed.

use std::path::{Path, PathBuf};
use std::str::FromStr as _;
use std::sync::Arc;
use std::time::Duration;

use super::App;
use super::files::Done;
use super::unsaved::Leaving;
use crate::app::Link;
use crate::guest::{ElfFile, GuestOptions};
use crate::link::Address;
use crate::model::{History, Selection};
use crate::session::ours::ours;
use crate::session::{Command, Connection, FollowReport, Source, Waker};
use crate::views::state::{LectureState, LookState, NoticeKind, TimeState};

/// Milliseconds between two calls of kalloc in the demo's kernel, as on the command line.
const PACE: u32 = 20;

/// How long a capture waits for source lines: what is not there then is there next time.
const LINE_PATIENCE: Duration = Duration::from_millis(250);

impl App {
    /// Starts one of our layouts.
    pub(super) fn start_demo(&mut self, layout: &str, ctx: &egui::Context) {
        match ours(layout) {
            Some(ours) => {
                let title = format!("demo, {}", ours.name);
                self.leave_for_guest(ours.demo(PACE), title, ctx);
            }
            None => {
                let why = format!("There is no layout {layout:?}.");
                self.state.notify(NoticeKind::Problem, why);
            }
        }
    }

    /// Attaches to what was typed, as soon as its ELF has been read.
    pub(super) fn attach_to(&mut self, address: &str, elf: &str, ctx: &egui::Context) {
        let found = match Address::from_str(address.trim()) {
            Ok(found) => found,
            Err(error) => {
                let words = super::commands::sentence(&error.to_string());
                return self.state.notify(NoticeKind::Problem, words);
            }
        };
        let elf = elf.trim();
        if elf.is_empty() {
            return self.leave_for_guest(attached(found, None), address.trim().to_owned(), ctx);
        }
        let path = PathBuf::from(elf);
        self.state
            .notify(NoticeKind::Done, format!("Reading {}…", path.display()));
        self.files.read_elf(found, path);
    }

    /// An ELF that was named for a guest has been read.
    pub(super) fn take_elf(&mut self, address: Address, elf: Arc<ElfFile>, ctx: &egui::Context) {
        let title = address.to_string();
        self.leave_for_guest(attached(address, Some(elf)), title, ctx);
    }

    /// Looks for guests on a thread of its own.
    pub(super) fn find_guests(&mut self) {
        self.state.desk.guests = None;
        self.find_guests_again();
    }

    /// The same, while those that were found before are still shown.
    pub(super) fn find_guests_again(&self) {
        let outside = self.files.outside();
        self.files.run(move || Done::Guests(outside.guests()));
    }

    /// Opens `source` in the place of what was open, which may be asked about first.
    fn leave_for_guest(&mut self, source: Source, title: String, ctx: &egui::Context) {
        self.leave_for(Leaving::Guest(Box::new(source), title), ctx);
    }

    /// Opens `source` in the place of what was open.
    pub(super) fn start(&mut self, source: Source, title: String, ctx: &egui::Context) {
        self.leave(ctx);
        let window = ctx.clone();
        let waker: Waker = Arc::new(move || window.request_repaint());
        let session = match self.files.outside().start(source, waker) {
            Ok(session) => session,
            Err(error) => {
                let why = format!("No thread for the link could be started: {error}.");
                return self.state.notify(NoticeKind::Problem, why);
            }
        };
        self.link = Some(Link {
            commands: session.commands.clone(),
            events: session.events.clone(),
            cancel: session.cancel.clone(),
        });
        self.session = Some(session);
        self.state.has_session = true;
        self.state.title = title;
        self.state.connection = Connection::Connecting {
            what: String::new(),
        };
    }

    /// Leaves what is open: a guest is left as it was found, and nothing of it is shown any more.
    pub(super) fn leave(&mut self, ctx: &egui::Context) {
        // A lecture gives back what it changed of the window.
        self.leave_lecture(ctx);
        if let Some(link) = self.link.take() {
            // Full or gone, the session ends all the same when its channels do.
            let _ = link.commands.try_send(Command::Detach);
        }
        if let Some(session) = self.session.take() {
            // Leaving a guest may take seconds, and the window goes on meanwhile. Where there is no thread for it the
            // session is dropped here, which only takes longer.
            let _ = std::thread::Builder::new()
                .name("leave".into())
                .spawn(move || drop(session));
        }
        let state = &mut self.state;
        state.has_session = false;
        state.connection = Connection::None;
        state.follow = FollowReport::default();
        state.target.clear();
        state.ways.clear();
        state.step_symbol = None;
        state.title.clear();
        state.history = History::new();
        state.document += 1;
        let picture = std::mem::take(&mut state.guest).picture;
        state.guest.picture = picture;
        state.log.clear();
        state.look = LookState::default();
        state.time = TimeState::default();
        state.lecture = LectureState::default();
        state.hart = 0;
        state.space = None;
        state.found = Arc::default();
        state.compared = None;
        state.console.clear();
        state.notice = None;
        state.selection = Selection::Nothing;
        state.is_chosen = false;
        state.forget_contents();
        state.desk.set_symbols(Arc::default());
    }
}

/// A guest at this address, whose lines are told.
fn attached(address: Address, elf: Option<Arc<ElfFile>>) -> Source {
    Source::With {
        source: Box::new(Source::attach(address, elf)),
        guest: GuestOptions {
            line_patience: Some(LINE_PATIENCE),
            ..GuestOptions::default()
        },
    }
}

/// The file's path as it stays, wherever the program is started the next time.
pub(super) fn whole(path: &Path) -> PathBuf {
    std::path::absolute(path).unwrap_or_else(|_| path.to_owned())
}

//! What the views read: no egui, no thread, no file.

mod desk;
mod guest;
mod lecture;
mod log;
mod look;
mod time;

use std::collections::BTreeMap;
use std::sync::Arc;

use pagescope_protocol::snapshot::{Hart, Snapshot, Space};
use pagescope_protocol::{PhysPage, TranslationMode};

pub use desk::{DeskState, Panels, RECENT, SourceLine};
pub use guest::GuestState;
pub use lecture::{Before, LectureState, Show};
pub use log::{Log, LogLine};
pub use look::LookState;
pub use time::{SPEEDS, Span, TimeState};

use super::command::{FilePurpose, Tab};
use crate::capture::scan::Candidate;
use crate::link::WayOffer;
use crate::model::{Difference, History, Moment, Selection};
use crate::session::{Connection, FollowReport, Rate};

/// Bytes of the guest's console that are kept.
const CONSOLE_BYTES: usize = 256 << 10;
/// Frames whose contents are kept.
const CONTENTS: usize = 64;

/// What a notice is about.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum NoticeKind {
    /// Something went well.
    Done,
    /// Something did not work; the text says what to do.
    Problem,
}

/// A sentence for the user, shown until it is dismissed or replaced; good news goes by itself.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Notice {
    /// What it is about.
    pub kind: NoticeKind,
    /// The sentence.
    pub text: String,
}

/// A frame's bytes as they were at one moment.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Contents {
    /// Asked for, not here yet.
    Asked,
    /// Here.
    Bytes(Arc<[u8; 4096]>),
    /// The guest has no memory there, or does not show it.
    Unreadable,
}

/// Everything that the views read.
#[derive(Clone, Debug)]
pub struct State {
    /// What is open: a file's name, or the guest's.
    pub title: String,
    /// Which of the things that were open one after the other this is.
    pub document: u64,
    /// All moments, and the one being looked at.
    pub history: History,
    /// Whether there is a session that commands can go to.
    pub has_session: bool,
    /// What the link is doing.
    pub connection: Connection,
    /// Whether and how the guest is followed while it runs.
    pub follow: FollowReport,
    /// How often it is to be looked at when it is followed.
    pub follow_rate: Rate,
    /// Facts about the target.
    pub target: String,
    /// The ways to its memory, the fastest first.
    pub ways: Vec<WayOffer>,
    /// The function that a step steps.
    pub step_symbol: Option<String>,
    /// How many calls a step takes.
    pub step_count: u32,
    /// The hart being looked at.
    pub hart: u32,
    /// The name of the space being looked at; `None` means that of the hart.
    pub space: Option<String>,
    /// What a scan for root tables has found.
    pub found: Arc<[Candidate]>,
    /// The name of the space that it is compared with, where two are.
    pub compared: Option<String>,
    /// What is selected.
    pub selection: Selection,
    /// Whether somebody chose the selection; otherwise it follows what is new.
    pub is_chosen: bool,
    /// What the guest wrote, the last part of it.
    pub console: String,
    /// What the link says, the last lines.
    pub log: Log,
    /// A sentence for the user.
    pub notice: Option<Notice>,
    /// What stands under the picture.
    pub tab: Tab,
    /// Whether the keys are shown.
    pub help: bool,
    /// What a path has to be typed for.
    pub prompt: Option<FilePurpose>,
    /// Of the maps.
    pub look: LookState,
    /// Of moments.
    pub time: TimeState,
    /// Of the guest.
    pub guest: GuestState,
    /// Of lectures and pictures.
    pub lecture: LectureState,
    /// Of the window itself.
    pub desk: DeskState,
    contents: BTreeMap<(PhysPage, usize), Contents>,
}

impl State {
    /// The state with these moments.
    pub fn new(title: String, history: History, connection: Connection) -> Self {
        Self {
            title,
            document: 0,
            history,
            has_session: false,
            connection,
            follow: FollowReport::default(),
            follow_rate: Rate::default(),
            target: String::new(),
            ways: Vec::new(),
            step_symbol: None,
            step_count: 1,
            hart: 0,
            space: None,
            found: Arc::default(),
            compared: None,
            selection: Selection::Nothing,
            is_chosen: false,
            console: String::new(),
            log: Log::default(),
            notice: None,
            tab: Tab::default(),
            help: false,
            prompt: None,
            look: LookState::default(),
            time: TimeState::default(),
            guest: GuestState::default(),
            lecture: LectureState::default(),
            desk: DeskState::default(),
            contents: BTreeMap::new(),
        }
    }

    /// The moment being looked at.
    pub fn moment(&self) -> Option<&Moment> {
        self.history.current()
    }

    /// Its snapshot.
    pub fn snapshot(&self) -> Option<&Arc<Snapshot>> {
        self.moment().map(|moment| &moment.snapshot)
    }

    /// What changed up to the moment being looked at: since the moment before, or since the one that it is
    /// compared with.
    pub fn difference(&self) -> Option<&Arc<Difference>> {
        self.time.difference(&self.history)
    }

    /// The space being looked at: the chosen one, else the hart's, else the first.
    pub fn space(&self) -> Option<&Space> {
        let snapshot = self.snapshot()?;
        let chosen = self.space.as_ref();
        chosen
            .and_then(|name| snapshot.spaces.iter().find(|space| &space.name == name))
            .or_else(|| snapshot.space_of_hart(self.hart))
            .or_else(|| snapshot.spaces.first())
    }

    /// The space that the one being looked at is compared with.
    pub fn compared(&self) -> Option<&Space> {
        let name = self.compared.as_ref()?;
        let other = self.snapshot()?.space_named(name)?;
        let shown = self.space()?;
        (other.name != shown.name).then_some(other)
    }

    /// The hart being looked at, or the first.
    pub fn hart(&self) -> Option<&Hart> {
        let harts = &self.snapshot()?.harts;
        let chosen = harts.iter().find(|hart| hart.id == self.hart);
        chosen.or_else(|| harts.first())
    }

    /// Whether addresses go through tables in the space being looked at.
    pub fn is_translating(&self) -> bool {
        self.space()
            .is_some_and(|space| space.mode != TranslationMode::Bare)
    }

    /// Whether what is drawn may no longer be so.
    pub const fn is_stale(&self) -> bool {
        matches!(self.connection, Connection::Lost { .. })
    }

    /// Whether the guest may be another by now: it runs on unseen, or the link is lost.
    pub fn is_behind(&self) -> bool {
        let runs_on = matches!(self.connection, Connection::Running) && !self.is_followed();
        self.snapshot().is_some() && (self.is_stale() || runs_on && self.history.is_live())
    }

    /// Whether the moment being looked at is the guest's present.
    pub fn is_present(&self) -> bool {
        self.history.is_live() && self.connection.is_attached()
    }

    /// Whether what is drawn follows the guest while it runs.
    pub fn is_followed(&self) -> bool {
        self.follow.rate.is_some() && matches!(self.connection, Connection::Running)
    }

    /// Whether the guest can be asked to do something now.
    pub const fn can_step(&self) -> bool {
        self.has_session && self.connection.is_stopped()
    }

    /// A frame's bytes at the moment being looked at, if they were ever asked for.
    pub fn contents(&self, frame: PhysPage) -> Option<&Contents> {
        self.contents.get(&(frame, self.history.cursor()))
    }

    /// Remembers a frame's bytes, forgetting the oldest moments' first.
    pub fn remember_contents(&mut self, frame: PhysPage, contents: Contents) {
        let moment = self.history.cursor();
        if self.contents.len() >= CONTENTS {
            let oldest = self
                .contents
                .keys()
                .copied()
                .min_by_key(|(_, moment)| *moment);
            if let Some(oldest) = oldest {
                self.contents.remove(&oldest);
            }
        }
        self.contents.insert((frame, moment), contents);
    }

    /// Takes the answer to a question for a frame's bytes: it is of the moment at which it was asked, whichever is
    /// looked at by now.
    pub fn answer_contents(&mut self, frame: PhysPage, contents: Contents) {
        let mut questions = self.contents.iter();
        let asked = questions
            .find(|((of, _), held)| *of == frame && **held == Contents::Asked)
            .map(|(key, _)| *key);
        match asked {
            Some(key) => {
                self.contents.insert(key, contents);
            }
            None => self.remember_contents(frame, contents),
        }
    }

    /// Forgets what was asked for and never came.
    pub fn forget_questions(&mut self) {
        self.contents
            .retain(|_, contents| *contents != Contents::Asked);
    }

    /// Forgets all contents: other moments now have these numbers.
    pub fn forget_contents(&mut self) {
        self.contents.clear();
    }

    /// Adds to the console, dropping its oldest lines.
    pub fn append_console(&mut self, text: &str) {
        self.console.push_str(text);
        if self.console.len() > CONSOLE_BYTES {
            let mut cut = self.console.len() - CONSOLE_BYTES / 2;
            while !self.console.is_char_boundary(cut) {
                cut += 1;
            }
            let line = self.console[cut..]
                .find('\n')
                .map_or(cut, |at| cut + at + 1);
            self.console.drain(..line);
        }
    }

    /// Says something to the user.
    pub fn notify(&mut self, kind: NoticeKind, text: impl Into<String>) {
        self.notice = Some(Notice {
            kind,
            text: text.into(),
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::fixture;

    #[test]
    fn what_is_kept_is_bounded() {
        let mut state = State::new("t".into(), fixture::history(1), Connection::None);
        for number in 0..10_000u64 {
            state.append_console(&format!("line {number} of many that the guest wrote, é\n"));
            state.remember_contents(PhysPage::from_truncated(number), Contents::Unreadable);
        }
        assert!(state.console.len() <= CONSOLE_BYTES);
        assert!(state.console.starts_with("line "));
        assert!(state.contents.len() <= CONTENTS);
    }

    /// A frame is asked for at one moment, and another is looked at when the answer comes.
    #[test]
    fn an_answer_is_of_the_moment_at_which_it_was_asked() {
        let mut state = State::new("t".into(), fixture::history(3), Connection::None);
        let frame = PhysPage::from_truncated(0x87ff7);
        state.remember_contents(frame, Contents::Asked);
        let asked_at = state.history.cursor();
        state.history.seek(1);
        state.answer_contents(frame, Contents::Unreadable);
        assert_eq!(state.contents(frame), None);
        state.history.seek(asked_at);
        assert_eq!(state.contents(frame), Some(&Contents::Unreadable));
    }
}

//! The window's frame: it receives events, applies commands, and draws. Thin: what is drawn is in
//! [`views`](crate::views), what talks to the guest is in [`session`](crate::session).
//!
//! Each frame, in this order: events from the link within a time budget, then the commands that
//! the last frame's views asked for, in one place, then the views. Nothing here waits: commands go
//! into a bounded channel or are refused, files are written on a thread of their own, and a window
//! with nothing new is not drawn at all.

mod commands;
mod desk;
mod files;
mod guest;
mod lecture;
mod look;
mod open;
mod outside;
mod remember;
mod time;
mod unsaved;

use std::sync::Arc;
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, Sender, TryRecvError};
use egui::Ui;
use pagescope_protocol::snapshot::Snapshot;

use crate::link::Cancel;
use crate::model::selection::newest;
use crate::model::{History, Selection};
use crate::session::{Command, Connection, Event, Session};
use crate::views::actions;
use crate::views::state::{Contents, NoticeKind, SourceLine, State};
use crate::views::{UiCommand, Views, theme};
use files::Files;
pub use outside::{Named, Outside};
pub use remember::settings_file;

/// How long one frame may spend on receiving.
const RECEIVE_BUDGET: Duration = Duration::from_millis(4);

/// How long good news stays.
const GOOD_NEWS_SECONDS: f64 = 8.0;

/// The two ends of the channels to the session's thread.
#[derive(Debug)]
pub struct Link {
    /// Commands to the session. Bounded: a full one refuses, and the user is told.
    pub commands: Sender<Command>,
    /// Events from the session.
    pub events: Receiver<Event>,
    /// Set to end the command that the session is working on.
    pub cancel: Cancel,
}

/// What is done once with the window's context.
type OnCreate = Box<dyn FnOnce(&egui::Context) + Send>;

/// The window.
pub struct App {
    state: State,
    views: Views,
    link: Option<Link>,
    /// The session, where the window itself has started it.
    session: Option<Session>,
    /// Where the window's settings are kept, if anywhere.
    memory: Option<remember::Memory>,
    files: Files,
    queued: Vec<UiCommand>,
    on_create: Vec<OnCreate>,
    /// Whether a text field had the keyboard when the last frame ended.
    was_typing: bool,
    /// The good news that is shown, and since when, in the window's seconds.
    told: Option<(String, f64)>,
    /// What of it is in a file.
    kept: unsaved::Kept,
    /// What will be, once a recording is written.
    saving: Option<unsaved::Kept>,
    /// Where it goes when it was answered what becomes of what is in no file.
    leaving: Option<unsaved::Leaving>,
    /// Whether the window closes, whatever is lost.
    is_closing: bool,
    /// Set where the program is told to end: nobody is there to be asked.
    ends: Cancel,
    /// Frames until the window is as it was before a lecture.
    settles: u8,
    /// The title that the window has.
    titled: String,
}

impl App {
    /// A window on moments without a guest: a file, or an empty history for nothing at all.
    pub fn offline(history: History, title: impl Into<String>) -> Self {
        let mut app = Self::new(State::new(title.into(), history, Connection::None), None);
        app.note_kept();
        app.follow_newest();
        app
    }

    /// A window on a guest.
    pub fn live(link: Link, title: impl Into<String>) -> Self {
        let connecting = Connection::Connecting {
            what: String::new(),
        };
        let mut state = State::new(title.into(), History::new(), connecting);
        state.has_session = true;
        Self::new(state, Some(link))
    }

    fn new(state: State, link: Option<Link>) -> Self {
        Self {
            state,
            views: Views::default(),
            link,
            session: None,
            memory: None,
            files: Files::default(),
            queued: Vec::new(),
            on_create: Vec::new(),
            was_typing: false,
            told: None,
            kept: unsaved::Kept::default(),
            saving: None,
            leaving: None,
            is_closing: false,
            ends: Cancel::new(),
            settles: 0,
            titled: String::new(),
        }
    }

    /// Does `action` with the window's context as soon as there is one. The session's thread
    /// wakes the window with [`egui::Context::request_repaint`].
    pub fn on_create(&mut self, action: impl FnOnce(&egui::Context) + Send + 'static) {
        self.on_create.push(Box::new(action));
    }

    /// Where `ends` is set, the window closes without a question.
    pub fn ends_with(&mut self, ends: Cancel) {
        self.ends = ends;
    }

    /// Has `outside` start sessions, look for guests and name files, in the place of this machine.
    pub fn set_outside(&mut self, outside: Arc<dyn Outside>) {
        self.files.set_outside(outside);
    }

    /// What the views read.
    pub const fn state(&self) -> &State {
        &self.state
    }

    /// Asks for `command` as a view would.
    pub fn queue(&mut self, command: UiCommand) {
        self.queued.push(command);
    }

    /// Fonts and colours. Once, before the first frame.
    pub fn install(&mut self, ctx: &egui::Context) {
        theme::install(ctx);
        // Larger and smaller are actions like all others, and lecture mode has a size of its own.
        ctx.options_mut(|options| options.zoom_with_keyboard = false);
        self.files.set_waker(ctx.clone());
        for action in self.on_create.drain(..) {
            action(ctx);
        }
    }

    /// One frame.
    pub fn frame(&mut self, ui: &mut Ui) {
        self.receive(ui.ctx());
        self.keys(ui.ctx());
        self.drop_files(ui.ctx());
        self.look_for_guests(ui.ctx());
        let queued = std::mem::take(&mut self.queued);
        for command in queued {
            self.apply(command, ui.ctx());
        }
        self.guard_closing(ui.ctx());
        self.name_window(ui.ctx());
        self.end_good_news(ui.ctx());
        self.play(ui.ctx());
        self.size_lecture(ui.ctx());
        self.state.time.refresh(&self.state.history);
        self.queued = self.views.show(ui, &self.state);
        self.remember(ui.ctx());
        self.was_typing = ui.ctx().egui_wants_keyboard_input();
        if !self.queued.is_empty() {
            ui.ctx().request_repaint();
        }
    }

    /// Takes what the session has said, for a few milliseconds at most.
    fn receive(&mut self, ctx: &egui::Context) {
        let until = Instant::now() + RECEIVE_BUDGET;
        while let Some(link) = &self.link {
            match link.events.try_recv() {
                Ok(event) => self.take(event),
                Err(TryRecvError::Empty) => break,
                Err(TryRecvError::Disconnected) => {
                    self.session_ended();
                    break;
                }
            }
            if Instant::now() >= until {
                ctx.request_repaint();
                break;
            }
        }
        for done in self.files.take_done() {
            self.take_file(done, ctx);
        }
    }

    /// The session's thread is gone: no command will ever be answered.
    fn session_ended(&mut self) {
        self.link = None;
        self.state.has_session = false;
        let was_lost = matches!(
            self.state.connection,
            Connection::Lost { .. } | Connection::Detached
        );
        if !was_lost {
            self.state.connection = Connection::Lost {
                why: "the session has ended.".into(),
            };
        }
    }

    /// Takes one thing that the session said.
    pub fn take(&mut self, event: Event) {
        match event {
            Event::Connection(connection) => {
                if !connection.can_read() {
                    self.state.forget_questions();
                }
                self.state.connection = connection;
            }
            Event::Moment(snapshot) => {
                self.state.history.push(snapshot);
                self.follow_newest();
            }
            Event::StoppedBy(reason) => {
                if let Some(moment) = self.state.history.moments().last() {
                    self.state.guest.take_reason(moment.id, reason);
                }
            }
            Event::Live(snapshot) => self.take_live(snapshot),
            Event::Follow(report) => self.state.follow = report,
            Event::Frame(frame, bytes) => {
                let contents = match bytes {
                    Some(bytes) => Contents::Bytes(bytes),
                    None => Contents::Unreadable,
                };
                self.state.answer_contents(frame, contents);
            }
            Event::Symbols(symbols) => self.state.desk.set_symbols(symbols),
            Event::Line(address, line) => self
                .state
                .desk
                .remember_line(address, line.map_or(SourceLine::Unknown, SourceLine::Known)),
            Event::Failed(why) => {
                self.state.desk.forget_questions();
                self.state.forget_questions();
                self.state.notify(NoticeKind::Problem, why);
            }
            Event::Watching(watches) => self.state.guest.watches = watches,
            Event::Log(line) => self.state.log.say(line),
            Event::Traffic(packets) => {
                for packet in packets {
                    self.state.log.note(packet.to_string());
                }
            }
            Event::Console(text) => self.state.append_console(&text),
            Event::ConsoleInput(input) => self.state.guest.take_input(input),
            Event::Target(facts) => self.state.target = facts,
            Event::Ways(ways) => self.state.ways = ways,
            Event::StepSymbol(symbol) => self.state.step_symbol = symbol,
            Event::FreeSymbol(symbol) => self.state.guest.free_symbol = symbol,
            Event::Found(found) => self.take_found(found),
        }
    }

    /// The guest as it is while it runs. What is selected stays: many times a second is no pace to follow.
    fn take_live(&mut self, snapshot: Arc<Snapshot>) {
        let has_moved = self.state.history.push_live(snapshot);
        if has_moved || self.state.history.is_live() {
            self.state.forget_contents();
        }
        if self.state.selection == Selection::Nothing {
            self.follow_newest();
        }
    }

    /// Looks at what is new, unless somebody has chosen what to look at.
    fn follow_newest(&mut self) {
        if self.state.is_chosen {
            return;
        }
        if let Some(moment) = self.state.moment() {
            let found = newest(&moment.snapshot, &moment.difference);
            if found != Selection::Nothing {
                self.state.selection = found;
            }
        }
    }

    /// Keys that work everywhere. What cannot be done now says why.
    fn keys(&mut self, ctx: &egui::Context) {
        if self.lecture_keys(ctx) {
            return;
        }
        // A field that Esc was pressed in has lost the keyboard by now, and the key was its own.
        let types = self.was_typing || ctx.egui_wants_keyboard_input();
        self.copies(ctx, types);
        self.close_questions(ctx);
        for action in actions::pressed(ctx, types) {
            match (action.why_not)(&self.state) {
                None => self.queued.push((action.command)(&self.state)),
                Some(why) => self.state.notify(NoticeKind::Problem, why),
            }
        }
    }

    /// Who comes back to the first screen has perhaps started a guest meanwhile.
    fn look_for_guests(&mut self, ctx: &egui::Context) {
        let is_first_screen = !self.state.has_session && self.state.snapshot().is_none();
        let has_come = ctx.input(|input| {
            let mut events = input.events.iter();
            events.any(|event| matches!(event, egui::Event::WindowFocused(true)))
        });
        if is_first_screen && has_come {
            self.find_guests_again();
        }
    }

    /// The desktop shows what is open.
    fn name_window(&mut self, ctx: &egui::Context) {
        let title = window_title(&self.state.title);
        if title != self.titled {
            ctx.send_viewport_cmd(egui::ViewportCommand::Title(title.clone()));
            self.titled = title;
        }
    }

    /// Good news needs no answer, and goes by itself. A problem stays until it is dismissed.
    fn end_good_news(&mut self, ctx: &egui::Context) {
        let notice = self.state.notice.as_ref();
        let Some(news) = notice.filter(|notice| notice.kind == NoticeKind::Done) else {
            self.told = None;
            return;
        };
        let now = ctx.input(|input| input.time);
        let since = match &self.told {
            Some((text, since)) if *text == news.text => *since,
            _ => {
                self.told = Some((news.text.clone(), now));
                now
            }
        };
        let left = since + GOOD_NEWS_SECONDS - now;
        if left > 0.0 {
            ctx.request_repaint_after(Duration::from_secs_f64(left));
        } else {
            self.state.notice = None;
            self.told = None;
        }
    }

    /// A file that is dropped on the window is opened.
    fn drop_files(&mut self, ctx: &egui::Context) {
        let dropped = ctx.input(|input| {
            let mut files = input.raw.dropped_files.iter();
            files.next().map(|file| file.path().to_owned())
        });
        if let Some(path) = dropped {
            self.files.open(Some(path));
        }
    }

    fn send(&mut self, command: Command) {
        let Some(link) = &self.link else {
            let why = "There is no guest to ask: this is a file. Close it (Ctrl+W) and start the demo, or attach to one.";
            return self.state.notify(NoticeKind::Problem, why);
        };
        if matches!(command, Command::Reconnect) {
            link.cancel.reset();
            self.state.connection = Connection::Connecting {
                what: "reconnecting…".into(),
            };
        }
        if let Command::FindLine(address) = &command {
            self.state.desk.remember_line(*address, SourceLine::Asked);
        }
        if let Command::ReadFrame(frame) = &command {
            self.state.remember_contents(*frame, Contents::Asked);
        }
        if link.commands.try_send(command).is_err() {
            self.state.forget_questions();
            let why = "The link is busy and takes no more commands. Wait, or press Cancel.";
            self.state.notify(NoticeKind::Problem, why);
        }
    }
}

impl eframe::App for App {
    fn ui(&mut self, ui: &mut Ui, _frame: &mut eframe::Frame) {
        self.frame(ui);
    }

    fn clear_color(&self, visuals: &egui::Visuals) -> [f32; 4] {
        visuals.panel_fill.to_normalized_gamma_f32()
    }
}

fn window_title(open: &str) -> String {
    match open {
        "" => "Pagescope".to_owned(),
        open => format!("Pagescope – {open}"),
    }
}

/// Opens the window, and returns when it is closed.
///
/// # Errors
/// Where there is no display, or no OpenGL.
pub fn run(app: App) -> Result<(), eframe::Error> {
    let title = window_title(&app.state.title);
    let options = eframe::NativeOptions {
        // Said explicitly: with several renderers compiled in, the default is another.
        renderer: eframe::Renderer::Glow,
        viewport: egui::ViewportBuilder::default()
            .with_title(&title)
            .with_app_id("pagescope")
            .with_inner_size([1440.0, 900.0])
            .with_min_inner_size([900.0, 600.0]),
        persist_window: false,
        ..Default::default()
    };
    let create = |creation: &eframe::CreationContext<'_>| {
        let mut app = app;
        app.install(&creation.egui_ctx);
        Ok(Box::new(app) as Box<dyn eframe::App>)
    };
    eframe::run_native("pagescope", options, Box::new(create))
}

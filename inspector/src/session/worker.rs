//! The thread that owns the link.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, RecvTimeoutError, Sender, bounded};

use super::follow::{Eye, Follow, FollowReport, Rate};
use super::opening::{Opened, Source};
use super::trouble::{Trouble, WindowGone};
use super::words::{capture_text, no_console, stop_text, target_text};
use super::{Command, Connection, Event, WatchSpec, names, stepping};
use crate::capture::scan::Progress;
use crate::guest::ElfFile;
use crate::link::progress::Listener;
use crate::link::{Cancel, HartId, LinkError, StopReason, Stub};

/// Commands and events that may wait; enough for the busiest second, and bounded.
const CHANNEL_CAPACITY: usize = 256;

/// How often a running guest is asked whether it stopped.
const RUNNING_TICK: Duration = Duration::from_millis(50);

/// How many events may wait for the window before a running guest is left alone.
const UNSEEN: usize = 4;

/// How often a stopped guest is asked whether it is still there.
const STOPPED_TICK: Duration = Duration::from_secs(1);

/// How long a guest may take to obey a request to stop, or to end one instruction.
const STOP_LIMIT: Duration = Duration::from_secs(5);

/// How long leaving a guest may take before the program ends all the same.
const CLOSE_LIMIT: Duration = Duration::from_secs(10);

/// The window's end of a session.
#[derive(Debug)]
pub struct Session {
    /// Commands go in here; a full channel means that the link is busy.
    pub commands: Sender<Command>,
    /// Events come out here.
    pub events: Receiver<Event>,
    /// Ends the command that is being worked on.
    pub cancel: Cancel,
    thread: Option<JoinHandle<()>>,
}

/// Called after each event, so that a sleeping window wakes.
pub type Waker = Arc<dyn Fn() + Send + Sync>;

impl Session {
    /// Starts the thread, which opens `source` at once.
    ///
    /// # Errors
    /// When the system gives no thread.
    pub fn start(source: Source, waker: Waker) -> io::Result<Self> {
        let (commands, inbox) = bounded(CHANNEL_CAPACITY);
        let (outbox, events) = bounded(CHANNEL_CAPACITY);
        let cancel = Cancel::new();
        let out = Outbox {
            events: outbox,
            waker,
        };
        let worker = Worker {
            source,
            cancel: cancel.clone(),
            out,
            opened: None,
            told_progress: Arc::default(),
            follow: None,
            watches: Vec::new(),
            look_due: Instant::now(),
            told_names: None,
        };
        let thread = thread::Builder::new()
            .name("link".into())
            .spawn(move || worker.run(&inbox))?;
        Ok(Self {
            commands,
            events,
            cancel,
            thread: Some(thread),
        })
    }

    /// A session that the holder of the other ends works for.
    pub const fn elsewhere(
        commands: Sender<Command>,
        events: Receiver<Event>,
        cancel: Cancel,
    ) -> Self {
        Self {
            commands,
            events,
            cancel,
            thread: None,
        }
    }
}

impl Drop for Session {
    /// Lets the thread leave the guest as it was found, and waits for that.
    fn drop(&mut self) {
        self.cancel.cancel();
        // Both ends gone is how the thread learns that the window is.
        self.commands = bounded(0).0;
        self.events = bounded(0).1;
        let Some(thread) = self.thread.take() else {
            return;
        };
        let deadline = Instant::now() + CLOSE_LIMIT;
        while !thread.is_finished() && Instant::now() < deadline {
            thread::sleep(Duration::from_millis(5));
        }
    }
}

#[derive(Clone)]
pub(super) struct Outbox {
    events: Sender<Event>,
    waker: Waker,
}

impl Outbox {
    pub(super) fn send(&self, event: Event) -> Result<(), WindowGone> {
        let sent = self.events.send(event).map_err(|_| WindowGone);
        (self.waker)();
        sent
    }

    pub(super) fn connection(&self, connection: Connection) -> Result<(), WindowGone> {
        self.send(Event::Connection(connection))
    }
}

pub(super) struct Worker {
    source: Source,
    pub(super) cancel: Cancel,
    pub(super) out: Outbox,
    opened: Option<Opened>,
    /// Whether the window was told how far a read has come.
    told_progress: Arc<AtomicBool>,
    /// Whether and how the guest is followed while it runs.
    follow: Option<Follow>,
    /// What somebody wants to watch.
    watches: Vec<WatchSpec>,
    /// When the target is next asked whether the guest runs, or whether it is there.
    look_due: Instant,
    /// The ELF whose names the window has.
    told_names: Option<Arc<ElfFile>>,
}

impl Worker {
    fn run(mut self, inbox: &Receiver<Command>) {
        if self.open().is_err() {
            return;
        }
        loop {
            match inbox.recv_timeout(self.wait()) {
                Ok(command) => {
                    self.cancel.reset();
                    let result = self.obey(command);
                    if self.tell_traffic().is_err() {
                        break;
                    }
                    // It may run now, and stop at any moment.
                    self.look_due = self.look_due.min(Instant::now() + RUNNING_TICK);
                    if self.settle(result).is_err() {
                        break;
                    }
                }
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => break,
            }
            // After a command too: however many come, what is due is done.
            let result = self.tick();
            if self.settle(result).is_err() {
                break;
            }
            if self.tell_names().is_err() {
                break;
            }
            // What was told of its progress is not so any more.
            if self.told_progress.swap(false, Ordering::Relaxed) && self.report_state().is_err() {
                break;
            }
        }
        self.cancel.reset();
        self.close();
    }

    fn is_running(&self) -> bool {
        let opened = self.opened.as_ref();
        opened.is_some_and(|opened| opened.target.is_running())
    }

    /// How long nothing has to be done, if nothing is asked for.
    fn wait(&self) -> Duration {
        let now = Instant::now();
        let look = self.look_due.saturating_duration_since(now);
        match &self.follow {
            Some(follow) if self.is_running() => look.min(follow.wait(now)),
            _ => look,
        }
    }

    /// Does what is due, whatever is asked for.
    fn tick(&mut self) -> Result<(), Trouble> {
        let now = Instant::now();
        if self.look_due <= now {
            let looked = self.look();
            let tick = if self.is_running() {
                RUNNING_TICK
            } else {
                STOPPED_TICK
            };
            self.look_due = Instant::now() + tick;
            looked?;
        }
        self.follow()
    }

    /// Looks at a running guest if it is followed and a look is due.
    fn follow(&mut self) -> Result<(), Trouble> {
        let is_running = self.is_running();
        let (Some(follow), Some(opened)) = (&mut self.follow, &mut self.opened) else {
            return Ok(());
        };
        if !is_running || follow.wait(Instant::now()) > Duration::ZERO {
            return Ok(());
        }
        follow.begin(Instant::now());
        if self.out.events.len() > UNSEEN {
            return Ok(());
        }
        self.cancel.reset();
        let looked = match opened.look(&self.cancel) {
            Ok(looked) => looked,
            // Without its monitor, the guest at the gdb port is still there.
            Err(error) if matches!(opened.eye, Eye::Monitor(_)) => {
                let why = match error {
                    LinkError::Cancelled => return Ok(()),
                    lost => format!("The guest is not followed any more: {lost}."),
                };
                opened.eye = Eye::Blind(why.clone());
                self.follow = None;
                self.report_follow()?;
                return Err(Trouble::Failed(why));
            }
            Err(error) => return Err(error.into()),
        };
        if let Some(snapshot) = looked
            && follow.end(&snapshot, Instant::now())
        {
            let report = follow.report();
            self.out.send(Event::Live(snapshot))?;
            self.out.send(Event::Follow(report))?;
        }
        Ok(())
    }

    /// Follows at this rate from now on, and lets the guest run; or no longer.
    fn set_follow(&mut self, rate: Option<Rate>) -> Result<(), Trouble> {
        let why_not = self.opened()?.eye.why_not().map(str::to_owned);
        match (rate, why_not) {
            (Some(_), Some(why)) => return Err(Trouble::Failed(why)),
            (None, _) => self.follow = None,
            (Some(rate), None) => {
                let now = Instant::now();
                match &mut self.follow {
                    Some(follow) => follow.set_rate(rate, now),
                    None => self.follow = Some(Follow::new(rate, now)),
                }
                if !self.is_running() {
                    self.resume()?;
                }
            }
        }
        Ok(self.report_follow()?)
    }

    fn report_follow(&self) -> Result<(), WindowGone> {
        let eye = self.opened.as_ref().map(|opened| &opened.eye);
        let report = FollowReport {
            why_not: eye.and_then(Eye::why_not).map(str::to_owned),
            ..self.follow.as_ref().map(Follow::report).unwrap_or_default()
        };
        self.out.send(Event::Follow(report))
    }

    /// Tells the window the names in the guest's ELF where they are others than before: what the guest runs, and
    /// where, may be known only once it has booted.
    fn tell_names(&mut self) -> Result<(), WindowGone> {
        let opened = self.opened.as_ref();
        let Some(elf) = opened.and_then(|opened| opened.capturer.elf()) else {
            return Ok(());
        };
        if names::is_same(self.told_names.as_ref(), Some(elf)) {
            return Ok(());
        }
        let elf = Arc::clone(elf);
        self.out
            .send(Event::Symbols(Arc::new(names::symbols_of(&elf))))?;
        self.told_names = Some(elf);
        Ok(())
    }

    /// Has the window told the source line of `address`, as soon as the debug information is read.
    fn find_line(&mut self, address: u64) -> Result<(), Trouble> {
        let out = self.out.clone();
        let knowledge = self.opened()?.capturer.knowledge();
        match knowledge.lines() {
            Some(lines) => lines.ask(address, move |line| {
                // A window that is gone needs no line.
                let _ = out.send(Event::Line(address, line.map(|line| line.text())));
            }),
            None => self.out.send(Event::Line(address, None))?,
        }
        Ok(())
    }

    /// Tells the window what went over the link.
    fn tell_traffic(&mut self) -> Result<(), WindowGone> {
        let packets = match &mut self.opened {
            Some(opened) => opened.target.take_traffic(),
            None => return Ok(()),
        };
        match packets.is_empty() {
            true => Ok(()),
            false => self.out.send(Event::Traffic(packets)),
        }
    }

    fn resume(&mut self) -> Result<(), Trouble> {
        self.opened()?.target.resume()?;
        Ok(self.out.connection(Connection::Running)?)
    }

    /// Tells the window how a command ended.
    fn settle(&mut self, result: Result<(), Trouble>) -> Result<(), WindowGone> {
        let (why, failed) = match result {
            Ok(()) => return Ok(()),
            Err(Trouble::WindowGone) => return Err(WindowGone),
            Err(Trouble::Failed(why)) => {
                self.out.send(Event::Log(why.clone()))?;
                if why != LinkError::Cancelled.to_string() {
                    self.out.send(Event::Failed(why))?;
                }
                return self.report_state();
            }
            Err(Trouble::Lost(error)) => (error.to_string(), true),
            Err(Trouble::Ended(why)) => (why, false),
        };
        self.opened = None;
        self.out.send(Event::Log(why.clone()))?;
        let why = if failed {
            why
        } else {
            format!("{why}; reconnect to start again")
        };
        self.out.connection(Connection::Lost { why })
    }

    pub(super) fn report_state(&self) -> Result<(), WindowGone> {
        let state = match &self.opened {
            None => return Ok(()),
            Some(opened) if opened.target.is_running() => Connection::Running,
            Some(opened) if matches!(opened.target.facts().stub, Stub::Dump { .. }) => {
                Connection::Dump
            }
            Some(_) => Connection::Stopped,
        };
        if let Some(opened) = &self.opened
            && let Some(reason) = opened.target.stopped_by()
        {
            self.out.send(Event::StoppedBy(reason))?;
        }
        self.out.connection(state)
    }

    fn open(&mut self) -> Result<(), WindowGone> {
        self.opened = None;
        let what = self.source.what();
        self.out.send(Event::Log(what.clone()))?;
        self.out.connection(Connection::Connecting { what })?;
        match self.source.open(&self.cancel) {
            Ok(mut opened) => {
                let symbol = opened
                    .stepper
                    .as_ref()
                    .map(|stepper| stepper.symbol.clone());
                self.out.send(Event::StepSymbol(symbol))?;
                let frees = stepping::freeing(&opened.capturer);
                self.out.send(Event::FreeSymbol(frees))?;
                let summary = opened.capturer.knowledge().summary();
                if !summary.is_empty() {
                    self.out.send(Event::Log(summary))?;
                }
                tell_ways(&self.out, &mut opened)?;
                if let Some(guest) = &opened.guest {
                    self.out.send(Event::Log(guest.command_line().into()))?;
                }
                let input = match &opened.console {
                    Some(console) => Ok(console.input()),
                    None => Err(no_console(opened.target.facts())),
                };
                self.out.send(Event::ConsoleInput(input))?;
                opened.capturer.set_watches(self.watches.clone());
                if let Some(console) = opened.console.take() {
                    let out = self.out.clone();
                    console.listen(move |text| out.send(Event::Console(text)).is_ok());
                }
                let stop = opened.stop.clone();
                opened.target.report_to(self.listener());
                let runs = opened.target.is_running();
                self.opened = Some(opened);
                if runs {
                    // Looked on at: then that is what is wanted.
                    let follow = Follow::new(Rate::default(), Instant::now());
                    self.follow.get_or_insert(follow);
                }
                self.report_follow()?;
                let result = match runs {
                    true => self
                        .out
                        .connection(Connection::Running)
                        .map_err(Trouble::from),
                    false => self.capture(stop),
                };
                self.tell_traffic()?;
                self.settle(result)
            }
            Err(error) => {
                let why = error.to_string();
                self.out.send(Event::Log(why.clone()))?;
                self.out.connection(Connection::Lost { why })
            }
        }
    }

    /// Tells the window how far a long read has come.
    fn listener(&self) -> Listener {
        let (out, told) = (self.out.clone(), Arc::clone(&self.told_progress));
        Arc::new(move |report| {
            told.store(true, Ordering::Relaxed);
            // A window that is gone is noticed at the next command.
            let what = report.to_string();
            let _ = out.connection(Connection::Busy { what });
        })
    }

    fn obey(&mut self, command: Command) -> Result<(), Trouble> {
        match command {
            Command::Reconnect => return Ok(self.open()?),
            Command::Detach => {
                self.close();
                return Ok(self.out.connection(Connection::Detached)?);
            }
            _ if self.opened.is_none() => {
                return Err(Trouble::Failed(
                    "no guest is attached; reconnect first".into(),
                ));
            }
            Command::Resume => self.resume()?,
            Command::Follow(rate) => self.set_follow(rate)?,
            Command::Pause => self.pause()?,
            Command::StepInstruction { hart } => {
                self.opened()?.target.step(HartId::new(hart))?;
                self.wait_and_capture(STOP_LIMIT)?;
            }
            Command::StepCall { symbol, count } => self.step_calls(&symbol, count)?,
            Command::RunUntil(goal) => self.run_until(&goal)?,
            Command::Capture => self.capture("captured again".into())?,
            Command::FindSpaces => self.find_spaces()?,
            Command::WalkRoot { mode, root } => {
                self.opened()?.capturer.add_root(Some(mode), root);
                self.capture(format!("root {root} in {mode}"))?;
            }
            Command::ChooseWay(way) => {
                let opened = self.opened()?;
                opened.target.choose_way(way)?;
                if let Some(opened) = &mut self.opened {
                    tell_ways(&self.out, opened)?;
                }
                self.report_state()?;
            }
            Command::FindLine(address) => self.find_line(address)?,
            Command::Watch(watches) => self.watch(watches)?,
            Command::ReadFrame(frame) => {
                let opened = self.opened()?;
                let bytes = opened.capturer.frame(opened.target.as_mut(), frame)?;
                self.out.send(Event::Frame(frame, bytes))?;
            }
        }
        Ok(())
    }

    pub(super) fn opened(&mut self) -> Result<&mut Opened, Trouble> {
        self.opened
            .as_mut()
            .ok_or_else(|| Trouble::Failed("no guest is attached".into()))
    }

    /// Nothing was asked for: has the guest stopped, written something, or gone?
    fn look(&mut self) -> Result<(), Trouble> {
        let Some(opened) = &mut self.opened else {
            return Ok(());
        };
        if opened.target.is_running() {
            let console = opened.target.take_console();
            if !console.is_empty() {
                let text = String::from_utf8_lossy(&console).into_owned();
                self.out.send(Event::Console(text))?;
            }
            return self.capture_if_stopped(Duration::ZERO).map(drop);
        }
        // A stub that answers is still there; pc is the cheapest thing to ask for. Nobody wants to read that in the
        // log once a second.
        opened.target.register(HartId::new(0), "pc")?;
        drop(opened.target.take_traffic());
        Ok(())
    }

    fn find_spaces(&mut self) -> Result<(), Trouble> {
        let (out, cancel) = (self.out.clone(), self.cancel.clone());
        let mut last = None;
        let mut progress = |progress: Progress| {
            let percent = (progress.done * 100).checked_div(progress.of);
            if percent != last {
                last = percent;
                let what = format!("looking for spaces, {} % of RAM", percent.unwrap_or(100));
                // A window that is gone is noticed when the answer is sent.
                let _ = out.connection(Connection::Busy { what });
            }
        };
        let opened = self.opened()?;
        let target = opened.target.as_mut();
        let found = opened.capturer.scan(target, &cancel, &mut progress)?;
        self.out.send(Event::Found(found.into()))?;
        Ok(self.report_state()?)
    }

    fn pause(&mut self) -> Result<(), Trouble> {
        self.opened()?.target.interrupt()?;
        self.wait_and_capture(STOP_LIMIT)
    }

    /// Captures if the guest stops within `limit`, and says so where it does not.
    fn wait_and_capture(&mut self, limit: Duration) -> Result<(), Trouble> {
        if !self.capture_if_stopped(limit)? {
            self.out.connection(Connection::Running)?;
        }
        Ok(())
    }

    /// Captures if the guest stops within `limit`; whether it did.
    fn capture_if_stopped(&mut self, limit: Duration) -> Result<bool, Trouble> {
        match self.opened()?.target.wait_for_stop(limit)? {
            None => Ok(false),
            Some(StopReason::Exited { code }) => Err(Trouble::Ended(format!(
                "the guest ended with exit code {code}"
            ))),
            Some(reason) => self.capture(stop_text(reason)).map(|()| true),
        }
    }

    /// Reads these numbers at each capture from now on.
    fn watch(&mut self, watches: Vec<WatchSpec>) -> Result<(), Trouble> {
        let opened = self.opened()?;
        let elf = opened.capturer.elf().map(AsRef::as_ref);
        let checked = watches.iter().try_for_each(|watch| watch.check(elf));
        if let Err(why) = checked {
            // What cannot be watched does not stand in the way of what can.
            self.out.send(Event::Watching(self.watches.clone()))?;
            return Err(Trouble::Failed(why));
        }
        let names: Vec<&str> = watches.iter().map(|watch| watch.name.as_str()).collect();
        let stop = match names.is_empty() {
            true => "watching nothing".to_owned(),
            false => format!("watching {}", names.join(", ")),
        };
        opened.capturer.set_watches(watches.clone());
        self.watches = watches;
        match self.is_running() {
            true => Ok(()),
            false => self.capture(stop),
        }
    }

    fn capture(&mut self, stop: String) -> Result<(), Trouble> {
        if let Some(follow) = &mut self.follow {
            follow.interrupted();
        }
        let opened = self.opened()?;
        let began = Instant::now();
        let snapshot = opened.capturer.capture(opened.target.as_mut(), stop)?;
        let words = capture_text(&snapshot, began.elapsed());
        self.out.send(Event::Log(words))?;
        self.out.send(Event::Moment(snapshot))?;
        Ok(self.report_state()?)
    }

    /// Leaves the guest as it was found; our own QEMU ends.
    fn close(&mut self) {
        if let Some(Opened {
            target, guest, eye, ..
        }) = self.opened.take()
        {
            // Its monitor first: whether the guest goes on is the target's business.
            drop(eye);
            if let Err(error) = target.detach() {
                tracing::warn!(%error, "while detaching");
            }
            drop(guest);
        }
    }
}

/// Tells the window what the target is and how its memory is read.
fn tell_ways(out: &Outbox, opened: &mut Opened) -> Result<(), WindowGone> {
    let mut facts = target_text(opened.target.facts());
    if let Some(profile) = opened.capturer.knowledge().profile() {
        facts.push_str(&format!(" · {}", profile.name));
    }
    out.send(Event::Target(facts))?;
    // A target that cannot be asked says so at the next command.
    let ways = opened.target.ways().unwrap_or_default();
    out.send(Event::Ways(ways))
}

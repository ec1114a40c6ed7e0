//! `pagescope attach` and `pagescope open`: the window.

use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use super::arguments::{Attach, Open};
use super::source::Place;
use super::{Answer, Failure, interrupt, source};
use crate::app::{self, App, Link};
use crate::model::History;
use crate::session::{Connection, Event, Session, Source, Waker};

/// How long the window waits for the link to fail at once, so that a wrong address is an answer in
/// the terminal and not an empty window. A link that takes longer goes on behind the window.
const FIRST_ANSWER: Duration = Duration::from_millis(400);

/// How long a capture for the window waits for source lines: what is not there then is there next time.
const LINE_PATIENCE: Duration = Duration::from_millis(250);

pub(super) fn attach(options: &Attach) -> Result<Answer, Failure> {
    let mut known = source::Known::of(&options.guest)?;
    known.options.line_patience = Some(LINE_PATIENCE);
    let monitor = options.monitor.as_deref();
    let place = match &options.addr {
        Some(addr) if !addr.starts_with("monitor:") => {
            let address = source::port(addr, "attaching")?;
            let watch = monitor
                .map(|monitor| source::watch(monitor, &options.from))
                .transpose()?;
            Place::Live(source::live(address, &options.from)?.with_watch(watch))
        }
        addr => {
            let addr = addr.as_deref().unwrap_or_default();
            Place::looked_at(addr, monitor, &options.from)?
        }
    };
    match place {
        Place::Live(live) => {
            let title = match &live {
                Source::Attach { address, .. } => address.to_string(),
                other => other.what(),
            };
            window(known.with_source(live), &title)
        }
        Place::Watch(watch) => {
            let title = watch.monitor.to_string();
            window(known.look_on(watch), &title)
        }
        Place::File(history) => show(App::offline(history, "")),
    }
}

pub(super) fn open(options: &Open) -> Result<Answer, Failure> {
    let known = source::Known::of(&options.guest)?;
    let name = options.file.file_name().unwrap_or(options.file.as_os_str());
    let name = name.to_string_lossy();
    match Place::file(&options.file, &options.from)? {
        Place::File(history) => show(App::offline(history, name)),
        Place::Live(dump) => window(known.with_source(dump), &name),
        Place::Watch(_) => Err(Failure::Usage(format!("{name} is no file"))),
    }
}

/// A window on a guest; the guest is left as it was found when the window closes.
pub(super) fn window(source: Source, title: &str) -> Result<Answer, Failure> {
    let context: Arc<OnceLock<egui::Context>> = Arc::default();
    let waker: Waker = {
        let context = Arc::clone(&context);
        Arc::new(move || {
            if let Some(context) = context.get() {
                context.request_repaint();
            }
        })
    };
    interrupt::holds_guest(!matches!(source, Source::Dump { .. }));
    let session = Session::start(source, waker)
        .map_err(|error| Failure::Target(format!("no thread for the link: {error}")))?;
    let early = first_events(&session)?;
    let link = Link {
        commands: session.commands.clone(),
        events: session.events.clone(),
        cancel: session.cancel.clone(),
    };
    let mut app = App::live(link, title);
    for event in early {
        app.take(event);
    }
    app.on_create(move |created| {
        // The window is created once.
        let _ = context.set(created.clone());
        interrupt::closes(created);
        created.request_repaint();
    });
    let shown = show(app);
    // Waits until the guest is left as it was found.
    drop(session);
    shown
}

/// What the session says before the window is there; an error where the link failed at once.
fn first_events(session: &Session) -> Result<Vec<Event>, Failure> {
    let deadline = Instant::now() + FIRST_ANSWER;
    let mut events = Vec::new();
    while let Ok(event) = session.events.recv_deadline(deadline) {
        match event {
            Event::Connection(Connection::Lost { why }) => return Err(Failure::Target(why)),
            event => {
                let is_there = matches!(event, Event::Moment(_) | Event::Live(_));
                events.push(event);
                if is_there {
                    break;
                }
            }
        }
    }
    Ok(events)
}

/// A window with nothing in it yet: the first screen.
pub(super) fn without_command() -> Result<Answer, Failure> {
    if !super::demo::has_display() {
        return Err(Failure::Usage(
            "there is no display for a window; `pagescope --help` says what works without one"
                .into(),
        ));
    }
    let mut app = App::offline(History::new(), "");
    app.on_create(interrupt::closes);
    show(app)
}

pub(super) fn show(mut app: App) -> Result<Answer, Failure> {
    app.ends_with(interrupt::cancel());
    if let Some(path) = app::settings_file() {
        app.remember_in(path);
    }
    app::run(app).map(|()| Answer::Yes).map_err(|error| {
        // Before the reason stands a place in the source of the library that opens windows.
        let error = error.to_string();
        let why = error.rsplit(".rs:").next().unwrap_or(&error);
        let why = why.trim_start_matches(|c: char| c.is_ascii_digit() || c == ':' || c == ' ');
        Failure::Usage(format!(
            "no window could be opened ({}); is there a display? `pagescope map` and `pagescope snapshot` work \
             without one",
            why.trim_end_matches([')', '.'])
        ))
    })
}

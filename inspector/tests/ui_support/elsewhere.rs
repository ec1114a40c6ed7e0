//! A machine that the test makes up, in the place of the one that it runs on: nothing is started, no dialog opens.

use std::sync::{Arc, Mutex};

use crossbeam_channel::{Receiver, Sender, bounded};
use pagescope::app::{App, Named, Outside};
use pagescope::link::Cancel;
use pagescope::link::local::LocalGuest;
use pagescope::session::{Command, Event, Session, Source, Waker};
use pagescope::views::FilePurpose;

/// The machine. It has no file dialog: paths are typed.
#[derive(Default)]
pub(crate) struct Elsewhere {
    guests: Vec<LocalGuest>,
    started: Mutex<Vec<Source>>,
    /// The sessions' own ends, so that they last.
    held: Mutex<Vec<(Receiver<Command>, Sender<Event>)>>,
}

impl Elsewhere {
    /// One on which these guests can be found.
    pub(crate) fn with(guests: impl IntoIterator<Item = LocalGuest>) -> Self {
        Self {
            guests: guests.into_iter().collect(),
            ..Self::default()
        }
    }

    /// Puts `app` on it.
    pub(crate) fn around(self, app: &mut App) -> Arc<Self> {
        let machine = Arc::new(self);
        app.set_outside(Arc::clone(&machine) as Arc<dyn Outside>);
        machine
    }

    /// What it was asked to start.
    pub(crate) fn started(&self) -> Vec<Source> {
        std::mem::take(&mut *self.started.lock().expect("nobody panicked"))
    }
}

impl Outside for Elsewhere {
    fn start(&self, source: Source, _waker: Waker) -> std::io::Result<Session> {
        let (commands, asked) = bounded(4);
        let (events, received) = bounded(64);
        self.started.lock().expect("nobody panicked").push(source);
        let mut held = self.held.lock().expect("nobody panicked");
        held.push((asked, events));
        Ok(Session::elsewhere(commands, received, Cancel::default()))
    }

    fn guests(&self) -> Vec<LocalGuest> {
        self.guests.clone()
    }

    fn path(&self, _purpose: FilePurpose) -> Named {
        Named::NoDialog
    }
}

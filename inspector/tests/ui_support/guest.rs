//! A guest whose side of the channels the test holds: it says what it likes, and sees what it is asked.

use std::sync::Arc;

use crossbeam_channel::{Receiver, Sender, bounded};
use pagescope::app::{App, Link};
use pagescope::link::Cancel;
use pagescope::model::fixture;
use pagescope::session::{Command, Connection, Event};

use super::{Window, window};

/// The session's side of a window's channels.
pub(crate) struct Guest {
    commands: Receiver<Command>,
    events: Sender<Event>,
    /// What the window sets to end a command.
    pub(crate) cancel: Cancel,
}

/// A window on a guest that has said nothing yet. Four commands fill its channel.
pub(crate) fn live(size: [f32; 2]) -> (Window, Guest) {
    let (commands, asked) = bounded(4);
    let (events, received) = bounded(64);
    let cancel = Cancel::default();
    let link = Link {
        commands,
        events: received,
        cancel: cancel.clone(),
    };
    let guest = Guest {
        commands: asked,
        events,
        cancel,
    };
    (window(App::live(link, "guest"), size), guest)
}

/// A window on a guest that stands still, has a heap, and can be stepped.
pub(crate) fn stopped(size: [f32; 2]) -> (Window, Guest) {
    let (mut window, guest) = live(size);
    guest.tell(
        &mut window,
        [
            Event::StepSymbol(Some("kalloc".into())),
            Event::FreeSymbol(Some("kfree".into())),
            Event::Connection(Connection::Stopped),
            Event::Moment(Arc::new(fixture::pseudos(3))),
        ],
    );
    (window, guest)
}

impl Guest {
    /// Says it; the window hears of it when it is drawn.
    pub(crate) fn say(&self, event: Event) {
        self.events.send(event).expect("the window listens");
    }

    /// Says all of it, and has the window drawn.
    pub(crate) fn tell(&self, window: &mut Window, events: impl IntoIterator<Item = Event>) {
        for event in events {
            self.say(event);
        }
        window.run();
    }

    /// What it has been asked since the last time.
    pub(crate) fn asked(&self) -> Vec<Command> {
        self.commands.try_iter().collect()
    }
}

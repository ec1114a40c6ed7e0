//! Following a running guest, as the window shows it: found by label, pressed, and watched for what it asks.

use std::sync::Arc;

use crossbeam_channel::{Receiver, Sender, bounded};
use egui_kittest::Harness;
use egui_kittest::kittest::Queryable as _;
use pagescope::app::{App, Link};
use pagescope::link::Cancel;
use pagescope::model::{History, Selection, fixture};
use pagescope::session::{Command, Connection, Event, FollowReport, Rate};
use pagescope::views::UiCommand;
use pagescope_protocol::snapshot::{Snapshot, Taken, Unsettled};

/// A window, and the session's side of its channels.
struct Live {
    harness: Harness<'static, App>,
    commands: Receiver<Command>,
    events: Sender<Event>,
}

impl Live {
    fn new(size: [f32; 2]) -> Self {
        let (commands, asked) = bounded(4);
        let (events, received) = bounded(64);
        let link = Link {
            commands,
            events: received,
            cancel: Cancel::default(),
        };
        let draw = |ui: &mut egui::Ui, app: &mut App| {
            if ui.ctx().cumulative_pass_nr() == 0 {
                app.install(ui.ctx());
            } else {
                app.frame(ui);
            }
        };
        let builder = Harness::builder().with_size(size).with_max_steps(20);
        let mut harness = builder.build_ui_state(draw, App::live(link, "guest"));
        harness.run();
        Self {
            harness,
            commands: asked,
            events,
        }
    }

    fn say(&mut self, said: impl IntoIterator<Item = Event>) {
        for event in said {
            self.events.send(event).expect("the window listens");
        }
        self.harness.run();
    }

    fn asked(&self) -> Vec<Command> {
        self.commands.try_iter().collect()
    }

    fn app(&self) -> &App {
        self.harness.state()
    }
}

fn stopped(pages: u64) -> Event {
    Event::Moment(Arc::new(fixture::pseudos(pages)))
}

fn look(pages: u64, unsettled: Unsettled) -> Arc<Snapshot> {
    let mut snapshot = fixture::pseudos(pages);
    snapshot.taken = Taken::Running(unsettled);
    snapshot.stop = "running".into();
    Arc::new(snapshot)
}

fn live(pages: u64) -> Event {
    Event::Live(look(pages, Unsettled::default()))
}

fn followed(torn: u64) -> Event {
    Event::Follow(FollowReport {
        rate: Some(Rate::default()),
        measured_hz: 9.7,
        torn,
        looks: 340,
        why_not: None,
    })
}

const WIDE: [f32; 2] = [1440.0, 900.0];

#[test]
fn follow_is_a_switch_with_a_key() {
    for size in [WIDE, [1000.0, 700.0]] {
        let mut window = Live::new(size);
        let connection = Event::Connection(Connection::Stopped);
        window.say([
            connection,
            Event::Follow(FollowReport::default()),
            stopped(3),
        ]);
        window.harness.get_by_label("Follow").click();
        window.harness.run();
        assert_eq!(window.asked(), [Command::Follow(Some(Rate::default()))]);
        window.say([Event::Connection(Connection::Running), followed(0), live(4)]);
        window.harness.get_by_label_contains("LIVE 9.7 Hz");
        assert!(window.app().state().is_followed());
        window.harness.key_press(egui::Key::F);
        window.harness.run();
        assert_eq!(window.asked(), [Command::Follow(None)]);
        window.say([Event::Follow(FollowReport::default())]);
        assert!(window.harness.query_by_label_contains("LIVE").is_none());
        window.harness.get_by_label("running");
    }
}

#[test]
fn the_rate_is_chosen_from_a_menu() {
    let mut window = Live::new(WIDE);
    window.say([Event::Connection(Connection::Running), followed(0), live(3)]);
    window
        .harness
        .get_by_label("How often to look, 10 Hz")
        .click();
    window.harness.run();
    window.harness.get_by_label("30 times a second").click();
    window.harness.run();
    assert_eq!(window.asked(), [Command::Follow(Rate::from_hz(30))]);
}

/// Many looks a second: what was chosen, and where one was, stays.
#[test]
fn what_is_selected_stays_while_the_guest_moves() {
    let mut window = Live::new(WIDE);
    window.say([Event::Connection(Connection::Stopped), stopped(3)]);
    let newest = window.app().state().selection;
    assert_ne!(newest, Selection::Nothing);
    window.say([
        Event::Connection(Connection::Running),
        followed(0),
        live(4),
        live(6),
    ]);
    assert_eq!(window.app().state().selection, newest);
    window
        .harness
        .state_mut()
        .queue(UiCommand::GoTo("0x87ff3008".into()));
    window.harness.run();
    let chosen = window.app().state().selection;
    window.say([live(7), live(9)]);
    assert_eq!(window.app().state().selection, chosen);
    window
        .harness
        .get_by_label_contains("Heap counter 17, pages handed out");
    // Four changes, four moments beside the stop; what shows no change adds none.
    assert_eq!(window.app().state().history.moments().len(), 5);
    window.say([live(9), live(9)]);
    assert_eq!(window.app().state().history.moments().len(), 5);
    // Back in time one stays there, whatever comes.
    window.harness.key_press(egui::Key::Home);
    window.harness.run();
    window.say([live(10)]);
    assert_eq!(window.app().state().history.cursor(), 0);
}

#[test]
fn what_moves_is_drawn_as_moving() {
    let mut window = Live::new(WIDE);
    window.say([Event::Connection(Connection::Running), followed(2), live(3)]);
    let still = window.app().state();
    let root = still.space().expect("a space").root;
    assert!(window.harness.query_by_label_contains("moving").is_none());
    window.harness.get_by_label_contains("taken while it ran");
    window.harness.get_by_label_contains("LIVE 9.7 Hz · 2 torn");
    let torn = Unsettled {
        tables: vec![root],
        ..Unsettled::default()
    };
    window.say([Event::Live(look(4, torn))]);
    window
        .harness
        .get_by_label(&format!("L2 table {root}, moving"));
    window.harness.get_by_label_contains("1 stretches moving");
    window
        .harness
        .get_by_label_contains(&format!("moving: 1 table ({root})"));
    window
        .harness
        .get_by_label_contains("changed while it was read");
    // One that settles takes its place: it is no moment.
    let moments = window.app().state().history.moments().len();
    window.say([live(5)]);
    assert_eq!(window.app().state().history.moments().len(), moments);
    assert!(window.harness.query_by_label_contains("moving").is_none());
}

#[test]
fn pausing_shows_an_exact_stop() {
    let mut window = Live::new(WIDE);
    window.say([Event::Connection(Connection::Running), followed(0), live(3)]);
    window.harness.get_by_label("Pause").click();
    window.harness.run();
    assert_eq!(window.asked(), [Command::Pause]);
    window.say([Event::Connection(Connection::Stopped), stopped(3)]);
    assert!(window.harness.query_by_label_contains("LIVE").is_none());
    assert!(
        window
            .harness
            .query_by_label_contains("taken while it ran")
            .is_none()
    );
    // Both are kept: the last look, and the stop.
    assert_eq!(window.app().state().history.moments().len(), 2);
}

#[test]
fn where_it_is_impossible_the_remedy_can_be_copied() {
    let mut window = Live::new(WIDE);
    let why = "To follow it while it runs, start QEMU with -qmp unix:/tmp/qmp,server=on,wait=off.";
    let report = FollowReport {
        why_not: Some(why.into()),
        ..FollowReport::default()
    };
    window.say([
        Event::Connection(Connection::Stopped),
        Event::Follow(report),
        stopped(3),
    ]);
    window.harness.key_press(egui::Key::F);
    window.harness.run();
    assert_eq!(window.asked(), []);
    window.harness.get_by_label(why);
    window.harness.get_by_label("Copy").click();
    // The frame in which the button is released is the one that copies.
    let mut copied = Vec::new();
    for _ in 0..8 {
        window.harness.step();
        let output = &window.harness.output().platform_output;
        copied.extend(output.commands.iter().cloned());
    }
    assert!(
        matches!(copied.as_slice(), [egui::OutputCommand::CopyText(text)] if text == why),
        "{copied:?}"
    );
}

#[test]
fn a_file_has_nothing_to_follow() {
    let app = App::offline(History::new(), "lecture.ron");
    let draw = |ui: &mut egui::Ui, app: &mut App| {
        if ui.ctx().cumulative_pass_nr() == 0 {
            app.install(ui.ctx());
        } else {
            app.frame(ui);
        }
    };
    let mut harness = Harness::builder().with_size(WIDE).build_ui_state(draw, app);
    harness.run();
    harness.key_press(egui::Key::F);
    harness.run();
    harness.get_by_label_contains("There is no guest to ask");
}

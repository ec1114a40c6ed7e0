//! Following a running guest, as the window shows it: found by label, pressed, and watched for what it asks.

mod ui_support;

use std::sync::Arc;

use egui_kittest::kittest::Queryable as _;
use pagescope::model::{History, Selection, fixture};
use pagescope::session::{Command, Connection, Event, FollowReport, Rate};
use pagescope::views::UiCommand;
use pagescope_protocol::snapshot::{Snapshot, Taken, Unsettled};
use ui_support::guest::live;
use ui_support::{SIZE, copied, press, recording};

fn stop(pages: u64) -> Event {
    Event::Moment(Arc::new(fixture::pseudos(pages)))
}

fn look(pages: u64, unsettled: Unsettled) -> Arc<Snapshot> {
    let mut snapshot = fixture::pseudos(pages);
    snapshot.taken = Taken::Running(unsettled);
    snapshot.stop = "running".into();
    Arc::new(snapshot)
}

fn seen(pages: u64) -> Event {
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

#[test]
fn follow_is_a_switch_with_a_key() {
    for size in [SIZE, [1000.0, 700.0]] {
        let (mut harness, guest) = live(size);
        let connection = Event::Connection(Connection::Stopped);
        guest.tell(
            &mut harness,
            [connection, Event::Follow(FollowReport::default()), stop(3)],
        );
        harness.get_by_label("Follow").click();
        harness.run();
        assert_eq!(guest.asked(), [Command::Follow(Some(Rate::default()))]);
        guest.tell(
            &mut harness,
            [Event::Connection(Connection::Running), followed(0), seen(4)],
        );
        harness.get_by_label_contains("LIVE 9.7 Hz");
        assert!(harness.state().state().is_followed());
        harness.key_press(egui::Key::F);
        harness.run();
        assert_eq!(guest.asked(), [Command::Follow(None)]);
        guest.tell(&mut harness, [Event::Follow(FollowReport::default())]);
        assert!(harness.query_by_label_contains("LIVE").is_none());
        harness.get_by_label("running");
    }
}

#[test]
fn the_rate_is_chosen_from_a_menu() {
    let (mut harness, guest) = live(SIZE);
    guest.tell(
        &mut harness,
        [Event::Connection(Connection::Running), followed(0), seen(3)],
    );
    harness.get_by_label("How often to look, 10 Hz").click();
    harness.run();
    harness.get_by_label("30 times a second").click();
    harness.run();
    assert_eq!(guest.asked(), [Command::Follow(Rate::from_hz(30))]);
}

/// Many looks a second: what was chosen, and where one was, stays.
#[test]
fn what_is_selected_stays_while_the_guest_moves() {
    let (mut harness, guest) = live(SIZE);
    guest.tell(
        &mut harness,
        [Event::Connection(Connection::Stopped), stop(3)],
    );
    let newest = harness.state().state().selection;
    assert_ne!(newest, Selection::Nothing);
    guest.tell(
        &mut harness,
        [
            Event::Connection(Connection::Running),
            followed(0),
            seen(4),
            seen(6),
        ],
    );
    assert_eq!(harness.state().state().selection, newest);
    harness
        .state_mut()
        .queue(UiCommand::GoTo("0x87ff3008".into()));
    harness.run();
    let chosen = harness.state().state().selection;
    guest.tell(&mut harness, [seen(7), seen(9)]);
    assert_eq!(harness.state().state().selection, chosen);
    harness.get_by_label_contains("Heap counter 17, pages handed out");
    // Four changes, four moments beside the stop; what shows no change adds none.
    assert_eq!(harness.state().state().history.moments().len(), 5);
    guest.tell(&mut harness, [seen(9), seen(9)]);
    assert_eq!(harness.state().state().history.moments().len(), 5);
    // Back in time one stays there, whatever comes.
    harness.key_press(egui::Key::Home);
    harness.run();
    guest.tell(&mut harness, [seen(10)]);
    assert_eq!(harness.state().state().history.cursor(), 0);
}

#[test]
fn what_moves_is_drawn_as_moving() {
    let (mut harness, guest) = live(SIZE);
    guest.tell(
        &mut harness,
        [Event::Connection(Connection::Running), followed(2), seen(3)],
    );
    let still = harness.state().state();
    let root = still.space().expect("a space").root;
    assert!(harness.query_by_label_contains("moving").is_none());
    harness.get_by_label_contains("taken while it ran");
    harness.get_by_label_contains("LIVE 9.7 Hz · 2 torn");
    let torn = Unsettled {
        tables: vec![root],
        ..Unsettled::default()
    };
    guest.tell(&mut harness, [Event::Live(look(4, torn))]);
    harness.get_by_label(&format!("L2 table {root}, moving"));
    harness.get_by_label_contains("1 stretches moving");
    harness.get_by_label_contains(&format!("moving: 1 table ({root})"));
    harness.get_by_label_contains("changed while it was read");
    // One that settles takes its place: it is no moment.
    let moments = harness.state().state().history.moments().len();
    guest.tell(&mut harness, [seen(5)]);
    assert_eq!(harness.state().state().history.moments().len(), moments);
    assert!(harness.query_by_label_contains("moving").is_none());
}

#[test]
fn pausing_shows_an_exact_stop() {
    let (mut harness, guest) = live(SIZE);
    guest.tell(
        &mut harness,
        [Event::Connection(Connection::Running), followed(0), seen(3)],
    );
    harness.get_by_label("Pause").click();
    harness.run();
    assert_eq!(guest.asked(), [Command::Pause]);
    guest.tell(
        &mut harness,
        [Event::Connection(Connection::Stopped), stop(3)],
    );
    assert!(harness.query_by_label_contains("LIVE").is_none());
    assert!(
        harness
            .query_by_label_contains("taken while it ran")
            .is_none()
    );
    // Both are kept: the last look, and the stop.
    assert_eq!(harness.state().state().history.moments().len(), 2);
}

#[test]
fn where_it_is_impossible_the_remedy_can_be_copied() {
    let (mut harness, guest) = live(SIZE);
    let why = "To follow it while it runs, start QEMU with -qmp unix:/tmp/qmp,server=on,wait=off.";
    let report = FollowReport {
        why_not: Some(why.into()),
        ..FollowReport::default()
    };
    guest.tell(
        &mut harness,
        [
            Event::Connection(Connection::Stopped),
            Event::Follow(report),
            stop(3),
        ],
    );
    harness.key_press(egui::Key::F);
    harness.run();
    assert_eq!(guest.asked(), []);
    harness.get_by_label(why);
    harness.get_by_label("Copy").click();
    assert_eq!(copied(&mut harness), [why]);
}

#[test]
fn a_file_has_nothing_to_follow() {
    let mut harness = recording(History::new(), SIZE);
    harness.key_press(egui::Key::F);
    harness.run();
    harness.get_by_label_contains("There is no guest to ask");
}

#[test]
fn a_rate_can_be_chosen_before_it_is_followed() {
    let (mut harness, guest) = live(SIZE);
    guest.tell(
        &mut harness,
        [
            Event::Connection(Connection::Running),
            Event::Follow(FollowReport::default()),
            seen(3),
        ],
    );
    press(&mut harness, "How often to look, 10 Hz");
    press(&mut harness, "30 times a second");
    assert_eq!(guest.asked(), []);
    press(&mut harness, "Follow");
    assert_eq!(guest.asked(), [Command::Follow(Rate::from_hz(30))]);
}

#[test]
fn a_note_is_of_one_moment_however_the_guest_runs() {
    let (mut window, guest) = live(SIZE);
    guest.tell(
        &mut window,
        [
            Event::Connection(Connection::Running),
            followed(0),
            seen(3),
            seen(4),
        ],
    );
    window.key_press(egui::Key::N);
    window.run();
    let place = window.state().state().history.cursor();
    let label = format!("Note of step {place}");
    for (pages, word) in ["what ", "happens ", "here"].into_iter().enumerate() {
        window.get_by_label(&label).type_text(word);
        window.run();
        guest.tell(&mut window, [seen(5 + pages as u64)]);
    }
    window.get_by_label("Done").click();
    window.run();
    let notes = &window.state().state().history.notebook().pages().notes;
    let texts: Vec<&str> = notes.values().map(AsRef::as_ref).collect();
    assert_eq!(texts, ["what happens here"]);
    // The guest has gone on meanwhile, and there is a way back to it.
    assert!(window.state().state().history.moments().len() > place + 2);
    assert!(!window.state().state().history.is_live());
    window.key_press(egui::Key::End);
    window.run();
    assert!(window.state().state().history.is_live());
}

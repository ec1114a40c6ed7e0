//! Moments in the window: found by label, gone to, marked, written about, compared, played.

mod ui_support;

use egui::accesskit;
use egui_kittest::kittest::{NodeT as _, Queryable as _};
use pagescope::model::fixture;
use pagescope::views::UiCommand;
use pagescope::views::command::TimeCommand;
use ui_support::{SIZE, Window, cursor, key, offline, press, recording};

fn note(harness: &Window, place: usize) -> String {
    let history = &harness.state().state().history;
    let id = history.id_at(place).expect("the moment is there");
    history.notebook().note(id).to_owned()
}

#[test]
fn a_note_is_written_seen_taken_back_and_done_again() {
    let mut harness = offline(4);
    press(&mut harness, "Note…");
    harness
        .get_by_label("Note of step 4")
        .type_text("Why here?");
    harness.run();
    press(&mut harness, "Done");
    assert_eq!(note(&harness, 4), "Why here?");
    harness.get_by_label("Note: Why here?");
    harness.get_by_label("Note, step 4");
    assert!(harness.query_by_label("Note of step 4").is_none());
    let ctrl = egui::Modifiers::COMMAND;
    harness.key_press_modifiers(ctrl, egui::Key::Z);
    harness.run();
    assert_eq!(note(&harness, 4), "");
    harness.get_by_label_contains("Taken back: the note on step 4.");
    harness.key_press_modifiers(ctrl | egui::Modifiers::SHIFT, egui::Key::Z);
    harness.run();
    assert_eq!(note(&harness, 4), "Why here?");
}

#[test]
fn what_was_typed_is_kept_when_another_step_is_looked_at() {
    let mut harness = offline(4);
    key(&mut harness, egui::Key::N);
    harness
        .get_by_label("Note of step 4")
        .type_text("The last.");
    harness.run();
    harness.get_by_label_contains("Step 2: kalloc(9)").click();
    harness.run();
    assert_eq!(
        (cursor(&harness), note(&harness, 4)),
        (2, "The last.".into())
    );
    harness.get_by_label("Note of step 2").click();
    harness.run();
    harness
        .get_by_label("Note of step 2")
        .type_text("The second.");
    harness.run();
    key(&mut harness, egui::Key::Escape);
    assert_eq!(note(&harness, 2), "The second.");
    assert!(harness.query_by_label("Note of step 2").is_none());
    // A letter in a note is no command.
    assert!(
        harness
            .state()
            .state()
            .history
            .notebook()
            .pages()
            .bookmarks
            .is_empty()
    );
}

#[test]
fn bookmarks_are_set_named_gone_to_and_taken_away() {
    let mut harness = offline(4);
    key(&mut harness, egui::Key::B);
    harness.get_by_label("Bookmark kalloc(11) → 0x87ff3000, step 4");
    key(&mut harness, egui::Key::Home);
    key(&mut harness, egui::Key::B);
    press(&mut harness, "Bookmarks 2 ▾");
    let name = harness.get_by_label("Name of the bookmark on step 0");
    name.focus();
    harness.run();
    harness.key_press_modifiers(egui::Modifiers::COMMAND, egui::Key::A);
    harness
        .get_by_label("Name of the bookmark on step 0")
        .type_text("boot");
    harness.run();
    key(&mut harness, egui::Key::Enter);
    harness.get_by_label("Bookmark boot, step 0");
    press(
        &mut harness,
        "Go to bookmark kalloc(11) → 0x87ff3000, step 4",
    );
    assert_eq!(cursor(&harness), 4);
    press(&mut harness, "Take away bookmark boot");
    assert_eq!(
        harness.query_all_by_label("Bookmark boot, step 0").count(),
        0
    );
    let ctrl = egui::Modifiers::COMMAND;
    key(&mut harness, egui::Key::Escape);
    harness.key_press_modifiers(ctrl, egui::Key::Z);
    harness.run();
    harness.key_press_modifiers(ctrl, egui::Key::ArrowLeft);
    harness.run();
    assert_eq!(cursor(&harness), 0);
    harness.key_press_modifiers(ctrl, egui::Key::ArrowLeft);
    harness.run();
    harness.get_by_label_contains("There is no bookmark before this step.");
}

#[test]
fn any_two_steps_are_compared_in_words_and_on_the_maps() {
    let mut harness = offline(6);
    harness.get_by_label_contains("+ leaf L0[497]");
    assert!(harness.query_by_label_contains("+ leaf L0[500]").is_none());
    press(&mut harness, "Compare with step…");
    harness.get_by_label("Number of the step").type_text("2");
    harness.run();
    press(&mut harness, "Compare");
    assert_eq!(
        harness
            .state()
            .state()
            .time
            .base_place(&harness.state().state().history),
        Some(2)
    );
    let changes = |harness: &Window| {
        let state = harness.state().state();
        state
            .difference()
            .map_or(0, |difference| difference.changes.len())
    };
    // Four pages and the counter.
    assert_eq!(changes(&harness), 5);
    harness.get_by_label_contains("heap counter 10 → 14");
    // What is looked at moves, what it is compared with stays.
    key(&mut harness, egui::Key::ArrowLeft);
    assert_eq!(changes(&harness), 4);
    press(&mut harness, "Stop comparing");
    assert_eq!(changes(&harness), 2);
}

#[test]
fn the_table_that_a_step_brought_is_found_by_its_words() {
    let history = fixture::history_from(500, 12);
    let step = (0..13)
        .find(|place| {
            history.moments()[*place]
                .difference
                .new_tables()
                .next()
                .is_some()
        })
        .expect("one of them crosses 2 MiB");
    let mut harness = recording(history, SIZE);
    press(&mut harness, "Steps");
    harness.get_by_label("Filter steps").focus();
    harness.run();
    harness.get_by_label("Filter steps").type_text("L0 table");
    harness.run();
    harness.get_by_label("1 of 13 steps");
    harness
        .get_by_label_contains(&format!("Step {step}, kalloc("))
        .click();
    harness.run();
    assert_eq!(cursor(&harness), step);
    harness.get_by_label_contains("+ L0 table 0x");
    press(&mut harness, "Line");
    assert!(harness.query_by_label("Filter steps").is_none());
}

#[test]
fn playing_goes_on_with_time_and_ends_at_the_end() {
    let mut harness = offline(3);
    let state = |harness: &Window| harness.state().state().time.plays;
    press(&mut harness, "Speed: 2 steps a second");
    press(&mut harness, "10 steps a second");
    key(&mut harness, egui::Key::Escape);
    // At the end it begins anew.
    key(&mut harness, egui::Key::Space);
    for _ in 0..100 {
        harness.step();
        if state(&harness).is_none() {
            break;
        }
    }
    assert_eq!((cursor(&harness), state(&harness)), (3, None));
    key(&mut harness, egui::Key::Home);
    press(&mut harness, "Play");
    assert_eq!(state(&harness), Some(10));
    press(&mut harness, "Stop");
    assert_eq!(state(&harness), None);
}

/// What has passed at the slow speed is no step at the fast one.
#[test]
fn another_speed_begins_where_the_last_one_was() {
    let mut harness = offline(100);
    key(&mut harness, egui::Key::Home);
    let tell = |harness: &mut Window, command: TimeCommand| {
        harness.state_mut().queue(command.into());
        harness.step();
    };
    tell(&mut harness, TimeCommand::Speed(1));
    tell(&mut harness, TimeCommand::Play(true));
    let began = cursor(&harness);
    for _ in 0..3 {
        harness.step();
    }
    tell(&mut harness, TimeCommand::Speed(100));
    harness.step();
    let steps = cursor(&harness) - began;
    assert!(steps < 60, "{steps} steps at once");
}

#[test]
fn numbers_to_plot_are_chosen() {
    let mut harness = offline(3);
    press(&mut harness, "Plot ▾");
    press(&mut harness, "page tables");
    let plotted = &harness.state().state().time.plotted;
    assert_eq!(plotted.len(), 2);
    let mut counters = harness.get_all_by_role_and_label(accesskit::Role::CheckBox, "heap counter");
    counters.next().expect("in the menu").click();
    drop(counters);
    harness.run();
    assert_eq!(harness.state().state().time.plotted.len(), 1);
}

/// Only what is seen becomes a widget, however many moments there are.
#[test]
fn a_long_timeline_is_zoomed_and_stays_small() {
    let mut harness = recording(fixture::history_from(0, 3000), SIZE);
    let steps = |harness: &Window| {
        let nodes = harness.query_all_by_role(accesskit::Role::Button);
        let label = |node: &egui_kittest::Node<'_>| node.accesskit_node().label();
        let names = nodes.filter_map(|node| label(&node));
        names.filter(|name| name.contains(": kalloc(")).count()
    };
    assert_eq!(steps(&harness), 0);
    let timeline = harness.get_by_label("Timeline, 3001 moments").rect();
    harness.hover_at(timeline.center());
    for _ in 0..12 {
        harness.event(egui::Event::MouseWheel {
            source: egui::MouseWheelSource::Wheel,
            unit: egui::MouseWheelUnit::Point,
            delta: egui::vec2(0.0, 120.0),
            phase: egui::TouchPhase::Move,
            modifiers: egui::Modifiers::NONE,
        });
        for _ in 0..8 {
            harness.step();
        }
    }
    let count = steps(&harness);
    assert!((2..150).contains(&count), "{count}");
    // What is gone to is shown.
    harness.state_mut().queue(UiCommand::Seek(17));
    harness.run();
    let span = harness.state().state().time.span.expect("it is zoomed");
    assert!((span.first..=span.last).contains(&17.0));
    press(&mut harness, "All steps");
    assert_eq!(harness.state().state().time.span, None);
}

#[test]
fn looking_at_the_past_says_so_and_leads_back() {
    let mut harness = offline(4);
    harness.state_mut().queue(TimeCommand::Play(false).into());
    key(&mut harness, egui::Key::Home);
    press(&mut harness, "To the end");
    assert!(harness.state().state().history.is_live());
}

#[test]
fn a_narrow_window_keeps_every_tool_in_a_menu() {
    let mut harness = recording(fixture::history(4), [1000.0, 700.0]);
    press(&mut harness, "More ▾");
    for label in [
        "Steps",
        "Bookmark this step",
        "page tables",
        "5 steps a second",
    ] {
        harness.get_by_label(label);
    }
}

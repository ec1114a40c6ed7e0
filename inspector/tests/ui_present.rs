//! What is to be looked at alone: a lecture that is turned by clicks on the picture, and pictures without anything to press.

mod ui_support;

use std::sync::Arc;

use egui::{Key, Modifiers};
use egui_kittest::kittest::Queryable as _;
use pagescope::export::view::{Picture, view_svg};
use pagescope::model::{History, Selection, Sign, Slide, fixture};
use pagescope::session::{Connection, Event};
use pagescope::views::state::State;
use pagescope::views::{LookCommand, UiCommand, ViewPart};
use pagescope_protocol::{PhysAddr, VirtAddr};
use ui_support::{SIZE, Window, key, recording};

/// Three steps, the third one of the last moment.
fn lecture() -> History {
    let mut history = fixture::history(4);
    let ids: Vec<_> = (0..5).filter_map(|place| history.id_at(place)).collect();
    history.notebook_mut().edit("a lecture", |pages| {
        pages.title = "Pages".into();
        let mut first = Slide::new(ids[1], "One.");
        first.select = Selection::Virtual(VirtAddr::new(0x87ff_a000));
        let mut second = Slide::new(ids[2], "Two.");
        second.select = Selection::Physical(PhysAddr::new(0x87ff_9000));
        pages.lecture = vec![first, second, Slide::new(ids[4], "Three.")];
    });
    history
}

fn shown() -> Window {
    let mut harness = recording(lecture(), SIZE);
    key(&mut harness, Key::F11);
    harness.get_by_label("Step 1 of 3");
    harness
}

#[test]
fn a_click_on_the_picture_turns_the_page_and_selects_nothing() {
    let mut harness = shown();
    let places = [
        "Virtual map",
        "Physical map",
        "Frames of RAM",
        "Entries of the",
    ];
    for place in places {
        let selected = harness.state().state().selection;
        harness
            .get_all_by_label_contains(place)
            .next()
            .expect("a map")
            .click();
        harness.run();
        harness.get_by_label("Step 2 of 3");
        assert_ne!(
            harness.state().state().selection,
            selected,
            "the slide's own"
        );
        let slide = Selection::Physical(PhysAddr::new(0x87ff_9000));
        assert_eq!(harness.state().state().selection, slide, "{place}");
        // Back with the other button, and with Shift.
        let map = harness.get_all_by_label_contains(place).next();
        map.expect("a map").click_secondary();
        harness.run();
        harness.get_by_label("Step 1 of 3");
        let slide = Selection::Virtual(VirtAddr::new(0x87ff_a000));
        assert_eq!(harness.state().state().selection, slide, "{place}");
    }
    harness.get_by_label_contains("Caption:").click();
    harness.run();
    harness.get_by_label("Step 2 of 3");
    let map = harness.get_by_label_contains("Virtual map");
    map.click_modifiers(Modifiers::SHIFT);
    harness.run();
    harness.get_by_label("Step 1 of 3");
    harness.get_by_label_contains("Caption:").click();
    harness.run();
    harness.get_by_label_contains("Caption:").click_secondary();
    harness.run();
    harness.get_by_label("Step 1 of 3");
    // An entry of the legend is there to be pressed.
    harness.get_by_label("Legend: code").click();
    harness.run();
    harness.get_by_label("Step 1 of 3");
    assert_eq!(harness.state().state().look.filter, Some(Sign::Code));
}

#[test]
fn a_stop_of_the_guest_does_not_turn_the_page() {
    let mut harness = shown();
    harness.key_press(Key::End);
    harness.run();
    harness.get_by_label("Step 3 of 3");
    let place = harness.state().state().history.cursor();
    let next = Arc::new(fixture::pseudos(5));
    harness.state_mut().take(Event::Moment(next));
    harness.run();
    assert_eq!(harness.state().state().history.cursor(), place);
    harness.get_by_label("Step 3 of 3");
    // Whoever followed the guest before does so again.
    harness.key_press(Key::Escape);
    harness.run();
    let history = &harness.state().state().history;
    assert!(history.is_live());
    assert_eq!(history.cursor(), place + 1);
}

#[test]
fn nothing_in_a_picture_is_to_be_pressed() {
    let mut state = State::new("lecture.ron".into(), fixture::history(6), Connection::None);
    state.selection = Selection::Virtual(VirtAddr::new(0x87ff_8000));
    for part in ViewPart::ALL {
        let picture = Picture {
            part,
            ..Picture::default()
        };
        let svg = view_svg(&state, &picture).expect("it has pixels");
        let document = roxmltree::Document::parse(&svg).expect("it is XML");
        let texts = document
            .descendants()
            .filter(|node| node.has_tag_name("text"));
        let texts: Vec<&str> = texts
            .filter_map(|node| node.text())
            .map(str::trim)
            .collect();
        assert!(!texts.is_empty());
        for button in [
            "All",
            "Fit",
            "Ribbons",
            "∞",
            "◀",
            "▶",
            "Copy",
            "Hex",
            "512 entries",
            "Note…",
            "Bookmark",
            "Compare…",
            "Play",
            "Show all",
        ] {
            assert!(
                !texts.contains(&button),
                "{part:?} has {button}:\n{texts:#?}"
            );
        }
    }
}

/// The filter's words stand in a picture of it, without the button that ends it.
#[test]
fn a_filter_is_said_in_a_picture() {
    let mut harness = recording(fixture::history(3), SIZE);
    let filter = LookCommand::Filter(Some(Sign::Data));
    harness.state_mut().queue(UiCommand::Look(filter));
    harness.run();
    harness.get_by_label("Show all");
    let picture = Picture::default();
    let svg = view_svg(harness.state().state(), &picture).expect("it has pixels");
    assert!(svg.contains("Only data is bright"));
    assert!(!svg.contains("Show all"));
}

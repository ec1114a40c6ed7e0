//! Finding things in the window: the address box and the palette of commands, by label and by keys.

mod ui_support;

use std::sync::Arc;

use egui::{Key, Modifiers};
use egui_kittest::kittest::Queryable as _;
use pagescope::app::App;
use pagescope::model::{Selection, Symbol, Symbols, fixture};
use pagescope::session::{Command, Event};
use pagescope::views::UiCommand;
use pagescope_protocol::{Level, PhysAddr, PhysPage, VirtAddr};
use ui_support::guest::{Guest, stopped};
use ui_support::{SIZE, Window, ask, chord, copied, key, recording, selection, tap, window};

fn offline(steps: u64) -> Window {
    let mut app = App::offline(fixture::history(steps), "lecture.ron");
    app.take(Event::Symbols(Arc::new(symbols())));
    window(app, SIZE)
}

fn symbols() -> Symbols {
    let symbol = |name: &str, address, size| Symbol {
        name: name.into(),
        address,
        size,
    };
    Symbols::new([
        symbol("kalloc", 0x8020_0100, 0x80),
        symbol("kalloc_init", 0x8020_0180, 0x80),
        symbol("kfree", 0x8020_0200, 0x40),
    ])
}

fn type_address(harness: &mut Window, text: &str) {
    chord(harness, Modifiers::COMMAND, Key::L);
    harness.get_by_label("Address").type_text(text);
    harness.run();
}

#[test]
fn what_is_typed_is_explained_before_enter() {
    let mut harness = offline(2);
    type_address(&mut harness, "kalloc+4");
    harness.get_by_label("0x80200104, virtual");
    harness.get_by_label("kalloc+0x4, mapped to 0x80200104, r-x--a-");
    key(&mut harness, Key::Enter);
    assert_eq!(
        selection(&harness),
        Selection::Virtual(VirtAddr::new(0x8020_0104))
    );
    // The list is gone with the keyboard.
    assert!(harness.query_by_label("0x80200104, virtual").is_none());
}

#[test]
fn names_are_completed_with_keys_and_with_the_mouse() {
    let mut harness = offline(2);
    type_address(&mut harness, "kall");
    harness.get_by_label("kalloc symbol  0x80200100");
    harness.get_by_label("kalloc_init symbol  0x80200180");
    key(&mut harness, Key::ArrowDown);
    key(&mut harness, Key::ArrowDown);
    key(&mut harness, Key::Tab);
    assert_eq!(
        harness.get_by_label("Address").value().as_deref(),
        Some("kalloc_init")
    );
    key(&mut harness, Key::Enter);
    assert_eq!(
        selection(&harness),
        Selection::Virtual(VirtAddr::new(0x8020_0180))
    );
    type_address(&mut harness, "kfr");
    harness.get_by_label("kfree symbol  0x80200200").click();
    harness.run();
    assert_eq!(
        harness.get_by_label("Address").value().as_deref(),
        Some("kfree")
    );
    key(&mut harness, Key::Enter);
    assert_eq!(
        selection(&harness),
        Selection::Virtual(VirtAddr::new(0x8020_0200))
    );
}

#[test]
fn a_wrong_text_stays_and_says_what_is_wrong() {
    let mut harness = offline(1);
    let before = selection(&harness);
    type_address(&mut harness, "kalloq + 4");
    harness.get_by_label_contains("did you mean kalloc?");
    key(&mut harness, Key::Enter);
    assert_eq!(selection(&harness), before);
    harness.get_by_label_contains("did you mean kalloc?");
    assert!(harness.get_by_label("Address").is_focused());
}

#[test]
fn esc_leaves_the_box_and_keeps_the_selection() {
    let mut harness = offline(1);
    let before = selection(&harness);
    type_address(&mut harness, "kal");
    key(&mut harness, Key::Escape);
    assert!(!harness.get_by_label("Address").is_focused());
    assert_eq!(selection(&harness), before);
    key(&mut harness, Key::Escape);
    assert_eq!(selection(&harness), Selection::Nothing);
}

#[test]
fn up_brings_back_what_was_typed_before() {
    let mut harness = offline(1);
    for text in ["p:0x87fff000", "root[2]"] {
        type_address(&mut harness, text);
        key(&mut harness, Key::Enter);
    }
    let entry = Selection::Entry {
        level: Level::L2,
        table: PhysPage::new(0x87ffc).expect("a page"),
        index: 2,
    };
    assert_eq!(selection(&harness), entry);
    chord(&mut harness, Modifiers::COMMAND, Key::L);
    key(&mut harness, Key::ArrowUp);
    key(&mut harness, Key::ArrowUp);
    key(&mut harness, Key::Enter);
    assert_eq!(
        selection(&harness),
        Selection::Physical(PhysAddr::new(0x87ff_f000))
    );
}

#[test]
fn an_entry_of_the_table_that_is_shown_is_reached_by_place() {
    let mut harness = offline(2);
    type_address(&mut harness, "l0[499]");
    harness.get_by_label_contains("L0[499] of the table 0x87ffe000");
    key(&mut harness, Key::Enter);
    harness.get_by_label_contains("in L0, entry 499");
}

#[test]
fn every_command_is_found_by_a_part_of_its_name_and_done_with_enter() {
    let mut harness = offline(3);
    chord(&mut harness, Modifiers::COMMAND, Key::K);
    harness
        .get_by_label("Find a command")
        .type_text("list of keys");
    harness.run();
    harness.get_by_label("Keys");
    key(&mut harness, Key::Enter);
    assert!(harness.state().state().help);
    assert!(harness.query_by_label("Find a command").is_none());
    // What was typed is forgotten; Esc closes it, and nothing else happens.
    let before = selection(&harness);
    chord(&mut harness, Modifiers::COMMAND, Key::K);
    let value = harness.get_by_label("Find a command").value();
    assert_eq!(value.unwrap_or_default(), "");
    key(&mut harness, Key::Escape);
    assert!(harness.query_by_label("Find a command").is_none());
    assert_eq!(selection(&harness), before);
}

#[test]
fn what_cannot_be_done_says_why_and_is_not_done() {
    let mut harness = offline(3);
    chord(&mut harness, Modifiers::COMMAND, Key::K);
    harness.get_by_label("Find a command").type_text("pause");
    harness.run();
    harness.get_by_label_contains("Pause, ");
    key(&mut harness, Key::Enter);
    // Still open: nothing was done.
    harness.get_by_label("Find a command");
}

#[test]
fn steps_names_spaces_and_addresses_are_places_to_go() {
    let mut harness = offline(4);
    let go = |harness: &mut Window, text: &str, label: &str| {
        chord(harness, Modifiers::COMMAND, Key::K);
        harness.get_by_label("Find a command").type_text(text);
        harness.run();
        harness.get_by_label(label).click();
        harness.run();
        assert!(harness.query_by_label("Find a command").is_none());
    };
    go(
        &mut harness,
        "kalloc(9)",
        "Go to step 2: kalloc(9) → 0x87ff5000",
    );
    assert_eq!(harness.state().state().history.cursor(), 2);
    go(&mut harness, "kfree", "Go to kfree");
    assert_eq!(
        selection(&harness),
        Selection::Virtual(VirtAddr::new(0x8020_0200))
    );
    go(&mut harness, "rodata", "Go to .rodata");
    assert!(matches!(selection(&harness), Selection::Range(_)));
    go(&mut harness, "sp + 8", "Go to 0x8021ef88, virtual");
    assert_eq!(
        selection(&harness),
        Selection::Virtual(VirtAddr::new(0x8021_ef88))
    );
    go(&mut harness, "regions", "Show Regions");
    harness.get_by_label_contains("Regions");
}

/// A guest that stands still, and whose names are known.
fn named() -> (Window, Guest) {
    let (mut window, guest) = stopped(SIZE);
    guest.tell(&mut window, [Event::Symbols(Arc::new(symbols()))]);
    (window, guest)
}

#[test]
fn the_guests_own_names_are_known_in_the_box() {
    let (mut harness, _guest) = named();
    type_address(&mut harness, "kfree");
    key(&mut harness, Key::Enter);
    assert_eq!(
        selection(&harness),
        Selection::Virtual(VirtAddr::new(0x8020_0200))
    );
}

#[test]
fn the_detail_pane_draws_the_bits_the_walk_and_the_history() {
    let mut harness = offline(4);
    type_address(&mut harness, "0x87ff3008");
    key(&mut harness, Key::Enter);
    harness.get_by_label("PPN, bits 53–10, 0x87ff3");
    harness.get_by_label("W, bit 2, 1");
    harness.get_by_label("reserved, bits 60–54, 0x0");
    harness.get_by_label("va[0] = 499, bits 20 to 12");
    harness.get_by_label("L0 0x87ffe000 + 499·8 → 0x21ffccc7");
    harness.get_by_label("handed out, as page 11");
    harness.get_by_label("mapped at 0x87ff3000");
    // The addresses of the walk are links.
    harness.get_by_label("0x87ffef98").click();
    harness.run();
    let entry = Selection::Entry {
        level: Level::L0,
        table: PhysPage::new(0x87ffe).expect("a page"),
        index: 499,
    };
    assert_eq!(selection(&harness), entry);
}

#[test]
fn an_unmapped_address_says_what_is_missing_and_what_is_near() {
    let mut harness = offline(1);
    type_address(&mut harness, "0x80216000");
    key(&mut harness, Key::Enter);
    harness.get_by_label_contains("The first missing entry is L0[22] of the table 0x87ff9000");
    // Further down in the pane: it is brought into view first.
    harness.get_by_label("0x80217000").scroll_to_me();
    harness.run();
    harness.get_by_label("0x80217000").click();
    harness.run();
    assert_eq!(
        selection(&harness),
        Selection::Virtual(VirtAddr::new(0x8021_7000))
    );
}

#[test]
fn a_table_is_shown_as_entries_and_as_bytes() {
    let mut harness = offline(1);
    type_address(&mut harness, "root");
    key(&mut harness, Key::Enter);
    harness
        .get_by_label("Word 2: 0x21fff401 → 0x87ffd000")
        .click();
    harness.run();
    assert!(matches!(
        selection(&harness),
        Selection::Entry {
            level: Level::L2,
            index: 2,
            ..
        }
    ));
    type_address(&mut harness, "root");
    key(&mut harness, Key::Enter);
    harness.get_by_label("Hex").click();
    harness.run();
    harness.get_by_label_contains("010  01 f4 ff 21");
}

#[test]
fn a_region_tells_its_pages_and_how_it_is_mapped() {
    let mut harness = offline(1);
    type_address(&mut harness, ".rodata");
    key(&mut harness, Key::Enter);
    harness.get_by_label("16 KiB, 4 pages, physical.");
}

/// By Ctrl+C, by the copy that a real window makes of it, and by the button: once each, and the same words.
#[test]
fn what_is_selected_is_copied_as_text() {
    let mut harness = offline(4);
    type_address(&mut harness, "0x87ff3008");
    key(&mut harness, Key::Enter);
    let words = "virtual 0x87ff3008 in hart 0 (Sv39, root 0x87ffc000)
L2  0x87ffc000 + 2·8 = 0x87ffc010 → 0x21fff401  pointer
L1  0x87ffd000 + 63·8 = 0x87ffd1f8 → 0x21fff801  pointer
L0  0x87ffe000 + 499·8 = 0x87ffef98 → 0x21ffccc7  leaf
physical 0x87ff3008  rw---ad  4 KiB leaf
at: kalloc(11) → 0x87ff3000
";
    tap(&mut harness, Modifiers::COMMAND, Key::C);
    assert_eq!(copied(&mut harness), [words]);
    harness.get_by_label("What is selected was copied as text.");
    harness.event(egui::Event::Copy);
    assert_eq!(copied(&mut harness), [words]);
    harness.get_by_label("Copy selection").click();
    assert_eq!(copied(&mut harness), [words]);
    // A field that is typed into copies what is marked in it, and nothing else.
    type_address(&mut harness, "kalloc");
    chord(&mut harness, Modifiers::COMMAND, Key::A);
    harness.event(egui::Event::Copy);
    assert_eq!(copied(&mut harness), ["kalloc"]);
    key(&mut harness, Key::Escape);
    key(&mut harness, Key::Escape);
    assert_eq!(selection(&harness), Selection::Nothing);
    harness.event(egui::Event::Copy);
    assert!(copied(&mut harness).is_empty());
}

#[test]
fn a_source_line_is_asked_for_and_shown() {
    let (mut harness, guest) = named();
    type_address(&mut harness, "kalloc + 4");
    key(&mut harness, Key::Enter);
    let asks = guest.asked();
    assert!(asks.contains(&Command::FindLine(0x8020_0104)), "{asks:?}");
    let line = Event::Line(0x8020_0104, Some("kernel/kalloc.rs:70".into()));
    guest.tell(&mut harness, [line]);
    harness.get_by_label("kalloc+0x4");
    harness.get_by_label("kernel/kalloc.rs:70");
    // It is asked for once.
    let mut asks = guest.asked().into_iter();
    assert!(!asks.any(|ask| matches!(ask, Command::FindLine(_))));
}

#[test]
fn bookmarks_and_notes_are_found_in_the_palette() {
    let mut history = fixture::history(6);
    let [second, fourth] = [2, 4].map(|place| history.id_at(place).expect("a moment"));
    history.notebook_mut().edit("writing", |pages| {
        pages.bookmarks.insert(second, "before the crossing".into());
        pages
            .notes
            .insert(fourth, "Why is L0 full?\nSee the self-map.".into());
    });
    let mut harness = recording(history, SIZE);
    for (typed, entry, place) in [
        ("crossing", "Go to bookmark before the crossing", 2),
        ("why L0", "Go to step 4: note Why is L0 full?", 4),
    ] {
        chord(&mut harness, Modifiers::COMMAND, Key::K);
        harness.get_by_label("Find a command").type_text(typed);
        harness.run();
        harness.get_by_label(entry);
        key(&mut harness, Key::Enter);
        assert_eq!(harness.state().state().history.cursor(), place, "{typed}");
    }
}

#[test]
fn the_palette_lists_the_names_of_the_layout_that_runs() {
    let mut app = App::offline(fixture::history(3), "lecture.ron");
    let names = [("kalloc", 0x8020_0100), ("process.kalloc", 0x1_2a10)];
    let symbols = names.map(|(name, address)| Symbol {
        name: name.into(),
        address,
        size: 0x80,
    });
    app.take(Event::Symbols(Arc::new(Symbols::new(symbols))));
    let mut harness = window(app, SIZE);
    chord(&mut harness, Modifiers::COMMAND, Key::K);
    harness.get_by_label("Find a command").type_text("kall");
    harness.run();
    harness.get_by_label("Go to kalloc");
    assert!(harness.query_by_label("Go to process.kalloc").is_none());
}

#[test]
fn the_box_says_nothing_of_what_is_selected_no_more() {
    let mut window = offline(3);
    chord(&mut window, Modifiers::COMMAND, Key::L);
    window.get_by_label("Address").type_text("0x87ff7000");
    window.run();
    key(&mut window, Key::Enter);
    window.run();
    let text = |window: &Window| window.get_by_label("Address").value().unwrap_or_default();
    assert_eq!(text(&window), "0x87ff7000");
    ask(&mut window, UiCommand::Select(Selection::Nothing));
    window.run();
    assert_eq!(text(&window), "");
}

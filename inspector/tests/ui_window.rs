//! The window without a display: found by label, pressed, and watched for what it asks of a guest.

mod table_fixtures;
mod ui_support;

use std::sync::Arc;

use egui_kittest::kittest::Queryable as _;
use pagescope::link::{PhysicalAccess, WayOffer};
use pagescope::model::{Difference, Selection, fixture, virtual_bands};
use pagescope::session::{Command, Connection, Event};
use pagescope::views::{FilePurpose, UiCommand};
use pagescope_protocol::snapshot::Snapshot;
use pagescope_protocol::{Level, PhysAddr, PhysPage, TranslationMode, VirtAddr};
use table_fixtures::{Built, RW, Strategy, va};
use ui_support::guest::{live, stopped};
use ui_support::{SIZE, Window, first_screen, go_to, moment, offline, recording, until};

#[test]
fn the_way_to_memory_is_shown_and_another_can_be_chosen() {
    let (mut harness, guest) = stopped(SIZE);
    let offer = |way, why_not: Option<&str>, is_used| WayOffer {
        way,
        why_not: why_not.map(str::to_owned),
        is_used,
    };
    guest.say(Event::Ways(vec![
        offer(
            PhysicalAccess::MappedRam,
            Some("RAM is not in a file"),
            false,
        ),
        offer(PhysicalAccess::ProcessMemory, None, true),
        offer(PhysicalAccess::GdbPort, None, false),
    ]));
    harness.run();
    harness.get_by_label("Memory: process memory ▾").click();
    harness.run();
    // What cannot be chosen says why.
    harness.get_by_label("RAM is not in a file");
    harness
        .get_by_label("mapped RAM, also while the guest runs")
        .click();
    harness.run();
    assert_eq!(guest.asked(), []);
    if harness.query_by_label("gdb port").is_none() {
        harness.get_by_label("Memory: process memory ▾").click();
        harness.run();
    }
    harness.get_by_label("gdb port").click();
    harness.run();
    let chosen = Command::ChooseWay(PhysicalAccess::GdbPort);
    assert_eq!(guest.asked(), [chosen]);
}

#[test]
fn the_heap_counter_is_large_and_named() {
    let harness = offline(4);
    harness.get_by_label_contains("Heap counter 12, pages handed out");
}

#[test]
fn pressing_a_moment_goes_back_and_the_end_key_returns() {
    let mut harness = offline(4);
    assert_eq!(harness.state().state().history.cursor(), 4);
    harness.get_by_label_contains("Step 1: kalloc(8)").click();
    harness.run();
    assert_eq!(harness.state().state().history.cursor(), 1);
    harness.get_by_label_contains("Heap counter 9");
    harness.key_press(egui::Key::ArrowRight);
    harness.run();
    assert_eq!(harness.state().state().history.cursor(), 2);
    harness.get_by_label("To the end").click();
    harness.run();
    assert!(harness.state().state().history.is_live());
}

#[test]
fn selecting_an_address_shows_its_walk_and_its_frame() {
    let mut harness = offline(4);
    go_to(&mut harness, "0x87ff3008");
    harness.get_by_label_contains("L2 0x87ffc000 + 2·8 → 0x21fff401");
    harness.get_by_label_contains("L1 0x87ffd000 + 63·8 → 0x21fff801");
    harness.get_by_label_contains("L0 0x87ffe000 + 499·8 → ");
    harness.get_by_label_contains("= 0x87ff3000 + 0x008");
    harness.get_by_label("Leaf in L0, entry 499");
    harness.get_by_label("kalloc(11) returned it");
}

#[test]
fn an_address_is_typed_and_a_wrong_one_gets_a_helpful_answer() {
    let mut harness = offline(1);
    harness.key_press_modifiers(egui::Modifiers::COMMAND, egui::Key::L);
    harness.run();
    harness.get_by_label("Address").type_text("p:0x87fff000");
    harness.run();
    harness.key_press(egui::Key::Enter);
    harness.run();
    let chosen = harness.state().state().selection;
    assert_eq!(
        chosen,
        Selection::Physical(PhysAddr::new(0x87ff_f000)),
        "{chosen:?}"
    );
    harness.state_mut().queue(UiCommand::GoTo("kallok".into()));
    harness.run();
    harness.get_by_label_contains("is neither a number nor a name that is known");
    harness.get_by_label("Dismiss").click();
    harness.run();
    assert!(harness.state().state().notice.is_none());
}

#[test]
fn an_unmapped_address_says_where_the_walk_ends() {
    let mut harness = offline(0);
    go_to(&mut harness, "0x80216000");
    harness.get_by_label_contains("Not mapped: the L0 entry is invalid");
    harness.get_by_label_contains("Invalid entry in L0");
}

#[test]
fn pressing_a_table_draws_it_large() {
    let mut harness = offline(1);
    harness
        .get_all_by_label("L0 table 0x87ff9000")
        .next()
        .unwrap()
        .click();
    harness.run();
    let expected = Selection::Table {
        level: Level::L0,
        frame: PhysPage::new(0x87ff9).unwrap(),
    };
    assert_eq!(harness.state().state().selection, expected);
    harness.get_by_label_contains("Entries of the L0 table 0x87ff9000");
}

#[test]
fn pressing_a_change_selects_what_it_speaks_of() {
    let mut harness = offline(2);
    harness.get_by_label_contains("+ leaf L0[501]").click();
    harness.run();
    assert!(matches!(
        harness.state().state().selection,
        Selection::Entry { index: 501, .. }
    ));
}

#[test]
fn a_window_that_nothing_happens_to_is_not_drawn_again() {
    let mut harness = offline(4);
    // `run` panics where a window keeps asking to be drawn.
    assert!(harness.run() <= 2);
    assert!(!harness.ctx.has_requested_repaint());
}

#[test]
fn step_kalloc_asks_the_session_and_shows_what_came() {
    let (mut harness, guest) = stopped(SIZE);
    harness.get_by_label("Step kalloc").click();
    harness.run();
    let step = Command::StepCall {
        symbol: "kalloc".into(),
        count: 1,
    };
    assert!(guest.asked().contains(&step));
    guest.say(Event::Moment(Arc::new(fixture::pseudos(4))));
    harness.run();
    harness.get_by_label_contains("Heap counter 12");
    let selected = harness.state().state().selection;
    let new = PhysAddr::new(0x87ff_3000);
    assert_eq!(
        selected,
        Selection::Physical(new),
        "what is new is followed"
    );
    // What somebody has chosen stays.
    let chosen = Selection::Virtual(VirtAddr::new(0x8020_0000));
    harness.state_mut().queue(UiCommand::Select(chosen));
    harness.run();
    harness.key_press(egui::Key::F8);
    harness.run();
    assert!(guest.asked().contains(&step));
    guest.say(Event::Moment(Arc::new(fixture::pseudos(5))));
    harness.run();
    assert_eq!(harness.state().state().selection, chosen);
}

#[test]
fn the_contents_of_a_frame_are_asked_for_once() {
    let (mut harness, guest) = stopped(SIZE);
    let frame = PhysPage::new(0x80200).unwrap();
    let select = UiCommand::Select(Selection::Physical(frame.start()));
    harness.state_mut().queue(select);
    harness.run();
    harness.run();
    assert_eq!(guest.asked(), [Command::ReadFrame(frame)]);
    guest.say(Event::Frame(frame, Some(Arc::new([0x5a; 4096]))));
    harness.run();
    harness.get_by_label("all bytes are 5a");
    assert!(guest.asked().is_empty());
}

#[test]
fn a_silent_session_leaves_the_window_drawing_and_cancellable() {
    let (mut harness, guest) = live(SIZE);
    for _ in 0..3 {
        harness.run();
    }
    harness.get_by_label("Connecting");
    harness.get_by_label("Cancel").click();
    harness.run();
    assert!(guest.cancel.is_cancelled());
    harness.get_by_label("cancelled before the guest had answered.");
    harness.get_by_label("Reconnect").click();
    harness.run();
    assert!(!guest.cancel.is_cancelled());
    assert_eq!(guest.asked(), [Command::Reconnect]);
    // Nobody takes commands: the channel fills, the window says so and goes on.
    for _ in 0..8 {
        harness
            .state_mut()
            .queue(UiCommand::Session(Command::Reconnect));
        harness.run();
    }
    harness.get_by_label_contains("takes no more commands");
}

#[test]
fn a_lost_link_keeps_the_picture_and_offers_to_reconnect() {
    let (mut harness, guest) = stopped(SIZE);
    let why = "the guest closed the connection.".to_owned();
    guest.say(Event::Connection(Connection::Lost { why }));
    harness.run();
    harness.get_by_label_contains("The link is lost: the guest closed the connection.");
    harness.get_by_label_contains("Heap counter 11");
    harness.get_by_label("Reconnect").click();
    harness.run();
    assert!(guest.asked().contains(&Command::Reconnect));
}

#[test]
fn a_session_that_ends_is_told() {
    let (mut harness, guest) = stopped(SIZE);
    drop(guest);
    harness.run();
    harness.get_by_label_contains("The link is lost: the session has ended.");
}

#[test]
fn buttons_that_cannot_work_are_switched_off() {
    let mut harness = offline(1);
    use egui_kittest::kittest::NodeT as _;
    for name in ["Run", "Pause", "Step", "Step kalloc"] {
        let node = harness.get_by_label(name);
        assert!(node.accesskit_node().is_disabled(), "{name}");
    }
    harness.key_press(egui::Key::F8);
    harness.run();
    harness.get_by_label_contains("A file has no guest to run");
}

#[test]
fn bare_says_that_translation_is_off() {
    let harness = moment(fixture::bare(), SIZE);
    harness.get_by_label_contains("Translation is off (satp mode Bare)");
    harness.get_by_label_contains("Physical map,");
}

#[test]
fn a_snapshot_is_saved_and_a_recording_is_opened() {
    let folder = tempfile::tempdir().unwrap();
    let mut harness = offline(3);
    let until_said = |harness: &mut Window, words: &str| {
        until(harness, words, |window| {
            window.query_by_label_contains(words).is_some()
        });
    };
    let recording = folder.path().join("lecture.ron");
    let save = UiCommand::File(FilePurpose::SaveRecording, recording.clone());
    harness.state_mut().queue(save);
    until_said(&mut harness, "Saved ");
    let snapshot = folder.path().join("nowhere/snapshot.ron");
    let save = UiCommand::File(FilePurpose::SaveSnapshot, snapshot);
    harness.state_mut().queue(save);
    until_said(&mut harness, "cannot write");
    let open = UiCommand::File(FilePurpose::Open, recording);
    harness.state_mut().queue(open);
    until_said(&mut harness, "lecture.ron · a made-up guest");
    assert_eq!(harness.state().state().history.moments().len(), 4);
    assert_eq!(harness.state().state().title, "lecture.ron");
}

/// The snapshot after `change`.
fn changed(change: impl FnOnce(&mut Snapshot)) -> Window {
    let mut snapshot = fixture::pseudos(2);
    change(&mut snapshot);
    moment(snapshot, SIZE)
}

#[test]
fn an_unreadable_table_is_unknown_and_not_empty() {
    let mut harness = changed(|snapshot| {
        snapshot.spaces[0].tables.edit(|tables| {
            for table in tables.iter_mut().filter(|table| table.level == Level::L0) {
                Arc::make_mut(table).entries = None;
            }
        });
    });
    go_to(&mut harness, "0x87ff3000");
    harness.get_by_label("Unknown: the entry at 0x87ffef98 could not be read.");
}

#[test]
fn strange_snapshots_are_drawn_all_the_same() {
    changed(|snapshot| snapshot.spaces.clear());
    changed(|snapshot| snapshot.physical.clear());
    changed(|snapshot| snapshot.harts.clear());
    changed(|snapshot| snapshot.spaces[0].mode = TranslationMode::Reserved(5));
    changed(|snapshot| snapshot.spaces[0].mode = TranslationMode::Sv57);
    changed(|snapshot| snapshot.spaces[0].tables.edit(Vec::clear));
    changed(|snapshot| snapshot.spaces[0].mappings.edit(Vec::clear));
    changed(|snapshot| {
        for region in &mut snapshot.physical {
            region.start = PhysAddr::new(u64::MAX - 5);
            region.size = u64::MAX;
        }
        for region in &mut snapshot.regions {
            region.size = u64::MAX;
        }
    });
    changed(|snapshot| {
        if let Some(heap) = &mut snapshot.heap {
            heap.next = PhysAddr::new(u64::MAX);
            heap.top = PhysAddr::new(0);
        }
        snapshot.spaces[0].mappings.edit(|mappings| {
            for mapping in mappings {
                mapping.size = u64::MAX;
            }
        });
    });
}

#[test]
fn nothing_open_says_what_to_do() {
    let harness = first_screen();
    harness.get_by_label("Start the demo");
    harness.get_by_label("Open a file…");
}

#[test]
fn every_view_draws_at_every_size() {
    for size in [
        [900.0, 600.0],
        [1000.0, 700.0],
        [1440.0, 900.0],
        [2560.0, 1440.0],
    ] {
        let mut harness = recording(fixture::history_from(500, 40), size);
        for tab in [
            "Check",
            "Console",
            "Registers",
            "Regions",
            "Log",
            "Timeline",
        ] {
            harness.get_by_label(tab).click();
            harness.run();
        }
        harness.key_press(egui::Key::F1);
        harness.run();
        harness.get_by_label("Let all harts run.");
        harness.key_press(egui::Key::F1);
        harness.run();
        // Every named thing lies inside of the window or is scrolled away.
        let heap = harness.get_by_label_contains("Heap counter 548").rect();
        let [width, height] = size;
        assert!(heap.right() <= width && heap.bottom() <= height, "{size:?}");
        for name in ["File ▾", "View ▾", "Step kalloc", "Address"] {
            let rect = harness.get_by_label(name).rect();
            assert!(
                rect.left() >= 0.0 && rect.right() <= width,
                "{name} {size:?}"
            );
        }
        let step = harness.get_by_label("Calls in one step").rect();
        let address = harness.get_by_label("Address").rect();
        assert!(!step.intersects(address), "{size:?}");
    }
}

/// A window on the tables of a strategy.
fn strategy(built: &Built) -> Window {
    moment(built.snapshot(), [1440.0, 1100.0])
}

fn select_table(harness: &mut Window, level: Level, frame: u64) {
    let frame = PhysPage::new(frame).expect("a frame");
    let select = Selection::Table { level, frame };
    harness.state_mut().queue(UiCommand::Select(select));
    harness.run();
}

/// Every table has a row in the self-map, which says where its window is; pressing the row selects
/// the leaf.
#[test]
fn each_strategy_shows_every_table_once_with_its_window() {
    for strategy_of in Strategy::ALL {
        let mut built = Built::new(strategy_of, 4);
        let count = built.frames.len();
        let l1 = built.table_of(0x8020_0000, 1);
        let mut harness = strategy(&built);
        harness.get_by_label("Check");
        let chip = format!("L1 table {:#010x}", l1 << 12);
        let chips = harness.query_all_by_label(&chip);
        assert!(chips.count() >= 1, "{strategy_of:?}");
        let place = match strategy_of {
            Strategy::Pool => "L0 0x87ffe000[509]".to_owned(),
            Strategy::SelfLeaf => "its own [510]".to_owned(),
            Strategy::Mirror | Strategy::Demand => {
                format!("L0 {:#010x}[2]", built.mirror()[2] << 12)
            }
        };
        let row = format!("L1 {:#010x} ← {place} sound", l1 << 12);
        harness.get_by_label(&row).click();
        harness.run();
        let window = match strategy_of {
            Strategy::Pool => l1 << 12,
            Strategy::SelfLeaf => va(511, 2, 510),
            Strategy::Mirror | Strategy::Demand => va(511, 510, 2),
        };
        let expected = Selection::Virtual(VirtAddr::new(window));
        assert_eq!(
            harness.state().state().selection,
            expected,
            "{strategy_of:?}"
        );
        // The frame that it leads to is the table, and the detail view says so.
        harness.get_by_label("Page table");
        harness.get_by_label_contains(&format!("leaf {place}, rw---ad"));
        harness.get_by_label("Check").click();
        harness.run();
        harness.get_by_label_contains(&format!("{count} tables, each with one window"));
        // The virtual map names it.
        let space = harness.state().state().space().unwrap().clone();
        let snapshot = Arc::clone(harness.state().state().snapshot().unwrap());
        let bands = virtual_bands(&snapshot, &space, &Difference::default());
        let band = bands.iter().find(|band| band.contains(window)).unwrap();
        assert_eq!(band.name, format!("window of L1 {:#010x}", l1 << 12));
    }
}

/// From a selected table an arrow goes to the leaf that makes it reachable, wherever that is.
#[test]
fn the_leaf_of_a_selected_table_is_drawn() {
    for strategy_of in Strategy::ALL {
        let mut built = Built::new(strategy_of, 4);
        let l1 = built.table_of(0x8020_0000, 1);
        let l0 = built.table_of(0x8020_0000, 0);
        let mut harness = strategy(&built);
        for (level, frame) in [(Level::L2, built.root), (Level::L1, l1), (Level::L0, l0)] {
            select_table(&mut harness, level, frame);
            let table = format!("is the window onto the {level} table {:#010x}", frame << 12);
            harness.get_by_label_contains(&table);
        }
    }
}

/// A recursive root is met as L1 and L0, too: it is listed once, and says so where it is drawn.
#[test]
fn roles_are_no_duplicates() {
    let mut built = Built::new(Strategy::SelfLeaf, 4);
    let root = built.root;
    let mut harness = strategy(&built);
    let address = format!("{:#010x}", root << 12);
    let as_l0 = format!("L0 table {address}");
    assert_eq!(harness.query_all_by_label(&as_l0).count(), 0);
    harness.get_by_label_contains(&format!("L2 {address} ← its own [510]"));
    select_table(&mut harness, Level::L2, root);
    harness.get_by_label_contains("Also read as L1 and L0, through the root's entry to itself.");
    // Its leaf to itself is no fault.
    harness
        .state_mut()
        .queue(UiCommand::Select(Selection::Entry {
            level: Level::L1,
            table: PhysPage::new(built.table_of(0x8020_0000, 1)).unwrap(),
            index: 510,
        }));
    harness.run();
    harness.get_by_label_contains("A leaf to this table itself.");
}

#[test]
fn findings_are_shown_and_select_what_they_are_about() {
    let mut built = Built::new(Strategy::Pool, 4);
    built.map(0x9000_0000, 0x87ffd, RW);
    built.facts.reserve_low = 0;
    let mut harness = strategy(&built);
    harness.get_by_label("Check").click();
    harness.run();
    harness.get_by_label_contains("Unsound: hart 0");
    harness.get_by_label_contains("fault reserve-mark: ");
    harness
        .get_by_label_contains("fault writable-alias: 0x90000000 leads to L1 0x87ffd000")
        .click();
    harness.run();
    let expected = Selection::Virtual(VirtAddr::new(0x9000_0000));
    assert_eq!(harness.state().state().selection, expected);
    let row = "L1 0x87ffd000 ← L0 0x87ffe000[509] writable twice";
    harness.get_by_label(row);
}

/// 30,000 heap pages draw as fast as thirty: nothing is made for each page.
#[test]
fn a_large_heap_makes_no_more_shapes_than_a_small_one() {
    let shapes = |pages: u64| {
        let harness = recording(fixture::history_from(pages, 1), SIZE);
        harness.output().shapes.len()
    };
    let (small, large) = (shapes(30), shapes(30_000));
    assert!(large < small + small / 2, "{small} shapes, then {large}");
}

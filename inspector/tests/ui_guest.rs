//! What can be asked of a guest, by label: toolbar, what to run to, console, harts, registers, watches, log.

mod ui_support;

use std::sync::Arc;

use egui_kittest::kittest::Queryable as _;
use pagescope::capture::run_until::Goal;
use pagescope::link::traffic::{Traffic, Way};
use pagescope::link::{HartId, StopReason};
use pagescope::model::{Selection, fixture};
use pagescope::session::{Command, ConsoleInput, Event, WatchAt};
use pagescope::views::command::TimeCommand;
use pagescope::views::{FilePurpose, Tab, UiCommand};
use pagescope_protocol::snapshot::{Register, Snapshot, Watch};
use pagescope_protocol::{PhysAddr, VirtAddr};
use ui_support::guest::stopped;
use ui_support::painted::texts;
use ui_support::{SIZE, Window, ask, cursor, key, press, type_into, until};

fn registers(harts: &[(u32, &[(&str, u64)])]) -> Snapshot {
    let mut snapshot = fixture::pseudos(3);
    for (id, named) in harts {
        let mut hart = snapshot.harts[0].clone();
        hart.id = *id;
        hart.registers = named
            .iter()
            .map(|(name, value)| Register {
                name: (*name).into(),
                value: *value,
            })
            .collect();
        snapshot.harts.retain(|known| known.id != *id);
        snapshot.harts.push(hart);
    }
    snapshot
}

#[test]
fn the_toolbar_steps_to_the_next_table_change_at_every_width() {
    for size in [
        [1000.0, 700.0],
        [1400.0, 900.0],
        [1440.0, 900.0],
        [1700.0, 1000.0],
        [2560.0, 1440.0],
    ] {
        let (mut harness, guest) = stopped(size);
        let menu = harness.get_by_label("More ways to step").rect();
        let address = harness.get_by_label("Address").rect();
        assert!(!menu.intersects(address), "at {size:?}");
        for name in [
            "Run",
            "Pause",
            "Step kalloc",
            "Next table change",
            "More ways to step",
        ] {
            let rect = harness.get_by_label(name).rect();
            assert!(
                rect.right() <= size[0] - 4.0,
                "{name} at {size:?}: {rect:?}"
            );
        }
        harness.get_by_label("Next table change").click();
        harness.run();
        let next = Goal::TableChange {
            within: None,
            count: 1,
        };
        assert_eq!(guest.asked(), [Command::RunUntil(next)]);
        harness.get_by_label("More ways to step").click();
        harness.run();
        harness.get_by_label_contains("Step kfree").click();
        harness.run();
        let step = Command::StepCall {
            symbol: "kfree".into(),
            count: 1,
        };
        assert_eq!(guest.asked(), [step]);
    }
}

#[test]
fn keys_step_as_their_buttons_do() {
    let (mut harness, guest) = stopped(SIZE);
    harness.key_press(egui::Key::F9);
    harness.run();
    assert!(matches!(guest.asked()[..], [Command::RunUntil(_)]));
    harness.key_press_modifiers(egui::Modifiers::SHIFT, egui::Key::F8);
    harness.run();
    assert!(matches!(&guest.asked()[..], [Command::StepCall { symbol, .. }] if symbol == "kfree"));
    harness.key_press_modifiers(egui::Modifiers::SHIFT, egui::Key::F9);
    harness.run();
    harness.get_by_label("Run until it is so");
    let selection = harness.state().state().selection;
    harness.key_press(egui::Key::Escape);
    harness.run();
    assert!(harness.query_by_label("Run until it is so").is_none());
    // Esc closed the question, and took nothing else with it.
    assert_eq!(harness.state().state().selection, selection);
}

#[test]
fn a_condition_is_asked_for_with_defaults_and_remembered() {
    let (mut harness, guest) = stopped(SIZE);
    let open = |harness: &mut Window| {
        harness.key_press_modifiers(egui::Modifiers::SHIFT, egui::Key::F9);
        harness.run();
    };
    open(&mut harness);
    let counter = fixture::pseudos(3).heap.map_or(0, |heap| heap.counter);
    harness.get_by_label("Run until it is so").click();
    harness.run();
    let asked = guest.asked();
    assert_eq!(asked, [Command::RunUntil(Goal::HeapCounter(counter + 10))]);
    assert!(harness.query_by_label("Run until it is so").is_none());

    open(&mut harness);
    harness.get_by_label("An address is mapped").click();
    harness.run();
    harness.get_by_label("Address to be mapped").focus();
    harness.run();
    harness.key_press_modifiers(egui::Modifiers::COMMAND, egui::Key::A);
    harness
        .get_by_label("Address to be mapped")
        .type_text("0x40000000");
    harness.run();
    harness.get_by_label("Run until it is so").click();
    harness.run();
    let mapped = Goal::Mapped {
        address: VirtAddr::new(0x4000_0000),
        space: None,
    };
    assert_eq!(guest.asked(), [Command::RunUntil(mapped.clone())]);
    // The same again, without a word typed.
    open(&mut harness);
    harness.get_by_label("Run until it is so").click();
    harness.run();
    assert_eq!(guest.asked(), [Command::RunUntil(mapped)]);

    open(&mut harness);
    harness.get_by_label("Tables change").click();
    harness.run();
    type_into(&mut harness, "First address that counts", "0x40000000");
    type_into(&mut harness, "Last address that counts", "0x3000");
    harness.get_by_label_contains("lies before the first");
    harness.get_by_label("Not now").click();
    harness.run();
    assert!(guest.asked().is_empty());
}

#[test]
fn what_is_typed_reaches_the_guest() {
    let (mut harness, guest) = stopped(SIZE);
    ask(&mut harness, UiCommand::ShowTab(Tab::Console));
    assert!(harness.query_by_label("Type for the guest").is_none());
    let (input, typed) = ConsoleInput::channel();
    guest.say(Event::ConsoleInput(Ok(input)));
    guest.say(Event::Console("Pagescope kernel\n> ready\n> ".into()));
    harness.run();
    type_into(&mut harness, "Type for the guest", "kalloc 2");
    harness.key_press(egui::Key::Enter);
    harness.run();
    assert_eq!(typed.try_recv().as_deref(), Ok(&b"kalloc 2\n"[..]));
    // Up brings it back, and Enter sends it again.
    harness.key_press(egui::Key::ArrowUp);
    harness.run();
    harness.key_press(egui::Key::Enter);
    harness.run();
    assert_eq!(typed.try_recv().as_deref(), Ok(&b"kalloc 2\n"[..]));
    harness.get_by_label("Send Ctrl-C").click();
    harness.run();
    assert_eq!(typed.try_recv().as_deref(), Ok(&b"\x03"[..]));
    type_into(&mut harness, "Find in the console", "READY");
    harness.get_by_label_contains("1 of 1 lines");
    harness.get_by_label("Clear console").click();
    harness.run();
    assert!(harness.state().state().console.is_empty());
}

#[test]
fn where_nothing_can_be_typed_it_is_said() {
    let (mut harness, guest) = stopped(SIZE);
    ask(&mut harness, UiCommand::ShowTab(Tab::Console));
    let why = "This guest's console belongs to whoever started it: type there.";
    guest.say(Event::ConsoleInput(Err(why.into())));
    harness.run();
    assert!(texts(&harness).join(" ").contains(why));
    assert!(harness.query_by_label("Type for the guest").is_none());
}

/// What is looked at is over: the guest has gone on, and is asked neither to move nor what lies there now.
#[test]
fn the_past_asks_nothing_of_the_guest() {
    let (mut harness, guest) = stopped(SIZE);
    for pages in 4..7 {
        guest.tell(
            &mut harness,
            [Event::Moment(Arc::new(fixture::pseudos(pages)))],
        );
    }
    guest.asked();
    key(&mut harness, egui::Key::Home);
    for at in [0x87ff_3000, 0x8020_0000, 0x87ff_f000] {
        let at = Selection::Physical(PhysAddr::new(at));
        ask(&mut harness, UiCommand::Select(at));
    }
    key(&mut harness, egui::Key::ArrowRight);
    ask(&mut harness, TimeCommand::CompareWith(Some(3)));
    key(&mut harness, egui::Key::Home);
    assert_eq!(guest.asked(), []);
    // What comes meanwhile is kept, and one stays where one is.
    guest.tell(&mut harness, [Event::Moment(Arc::new(fixture::pseudos(8)))]);
    assert_eq!(cursor(&harness), 0);
    press(&mut harness, "Back to now");
    assert_eq!(cursor(&harness), 4);
}

#[test]
fn a_hart_is_chosen_from_the_list() {
    let (mut harness, guest) = stopped(SIZE);
    let two = registers(&[(0, &[("scause", 13)]), (1, &[("scause", 15)])]);
    guest.say(Event::Moment(Arc::new(two)));
    ask(&mut harness, UiCommand::ShowTab(Tab::Harts));
    harness.get_by_label_contains("hart 0,");
    let row = harness.get_by_label_contains("store page fault");
    row.click();
    harness.run();
    assert_eq!(harness.state().state().hart, 1);
}

#[test]
fn registers_are_taken_apart_and_changes_marked() {
    let (mut harness, guest) = stopped(SIZE);
    let satp = 0x8000_0000_0008_7ffc;
    let first: &[(&str, u64)] = &[("a0", 1), ("sepc", 0x8020_0000), ("satp", satp)];
    let second: &[(&str, u64)] = &[("a0", 2), ("sepc", 0x8020_0000), ("satp", satp)];
    guest.say(Event::Moment(Arc::new(registers(&[(0, first)]))));
    guest.say(Event::Moment(Arc::new(registers(&[(0, second)]))));
    ask(&mut harness, UiCommand::ShowTab(Tab::Registers));
    harness.get_by_label("a0 0x2, was 0x1");
    harness.get_by_label_contains("Sv39 · ASID 0 · root 0x87ffc000");
    harness.get_by_label("sepc 0x80200000").click();
    harness.run();
    let selected = harness.state().state().selection;
    assert_eq!(selected, Selection::Virtual(VirtAddr::new(0x8020_0000)));
    harness.get_by_label_contains("satp 0x").click();
    harness.run();
    let selected = harness.state().state().selection;
    assert_eq!(selected, Selection::Physical(PhysAddr::new(0x87ff_c000)));
}

#[test]
fn numbers_are_watched_and_no_longer() {
    let (mut harness, guest) = stopped(SIZE);
    ask(&mut harness, UiCommand::ShowTab(Tab::Watches));
    type_into(&mut harness, "What to watch", "0x87ff3000");
    harness.get_by_label("Watch").click();
    harness.run();
    let asked = guest.asked();
    let [Command::Watch(watches)] = &asked[..] else {
        panic!("{asked:?}");
    };
    assert_eq!(watches[0].at, WatchAt::Virtual(VirtAddr::new(0x87ff_3000)));
    assert_eq!((watches[0].bytes, &*watches[0].name), (8, "0x87ff3000 u64"));
    for value in [7, 8] {
        let mut snapshot = fixture::pseudos(3);
        snapshot.watches.push(Watch {
            name: "0x87ff3000 u64".into(),
            address: PhysAddr::new(0x87ff_3000),
            value: Some(value),
            bytes: 8,
        });
        guest.say(Event::Moment(Arc::new(snapshot)));
    }
    harness.run();
    harness.get_by_label("Watch 0x87ff3000 u64, 8");
    harness
        .get_by_label("Watch 0x87ff3000 u64 no longer")
        .click();
    harness.run();
    assert_eq!(guest.asked(), [Command::Watch(Vec::new())]);
    type_into(&mut harness, "What to watch", "9 lives");
    harness.get_by_label("Watch").click();
    harness.run();
    harness.run();
    assert!(guest.asked().is_empty());
    let notice = harness.state().state().notice.as_ref();
    assert!(notice.is_some_and(|notice| notice.text.contains("no address and no symbol")));
}

#[test]
fn the_log_is_filtered_and_cleared() {
    let (mut harness, guest) = stopped(SIZE);
    for line in ["connected to :1234", "profile pseudos", "lost once"] {
        guest.say(Event::Log(line.into()));
    }
    ask(&mut harness, UiCommand::ShowTab(Tab::Log));
    harness.get_by_label("3 lines");
    type_into(&mut harness, "Filter log", "profile");
    harness.get_by_label("1 of 3 lines");
    harness.get_by_label("Clear log").click();
    harness.run();
    assert!(harness.state().state().log.lines().is_empty());
}

#[test]
fn packets_stand_in_the_log_where_they_are_wanted() {
    let (mut harness, guest) = stopped(SIZE);
    let mut traffic = Traffic::new();
    traffic.note(Way::Sent, b"m87ffc000,1000");
    traffic.note(Way::Came, &[b'0'; 8192]);
    guest.say(Event::Log("kalloc return: 6 tables".into()));
    guest.say(Event::Traffic(traffic.take()));
    ask(&mut harness, UiCommand::ShowTab(Tab::Log));
    harness.get_by_label("1 of 3 lines");
    assert!(harness.query_by_label_contains("m87ffc000").is_none());
    harness.get_by_label_contains("6 tables");
    press(&mut harness, "Show packets");
    harness.get_by_label("3 lines");
    harness.get_by_label_contains("→ m87ffc000,1000");
    harness.get_by_label_contains("← 8192 bytes: 0000");
}

#[test]
fn a_picture_is_chosen_and_written() {
    let (mut harness, _guest) = stopped(SIZE);
    harness.key_press_modifiers(egui::Modifiers::COMMAND, egui::Key::E);
    harness.run();
    harness.get_by_label("Dark").click();
    harness.run();
    harness.get_by_label("View, Whole picture").click();
    harness.run();
    harness.get_by_label("Frame grid").click();
    harness.run();
    let picture = harness.state().state().guest.picture;
    assert_eq!(picture.part, pagescope::views::ViewPart::Frames);
    assert!(picture.is_dark);
    harness.get_by_label("Not now").click();
    harness.run();
    assert!(!harness.state().state().guest.asks_picture);
    let folder = tempfile::tempdir().expect("a folder");
    for (purpose, name) in [
        (FilePurpose::ExportSvg, "slide.svg"),
        (FilePurpose::ExportPng, "slide.png"),
        (FilePurpose::ExportText, "layout.txt"),
        (FilePurpose::ExportSchematic, "schematic.txt"),
    ] {
        let path = folder.path().join(name);
        harness
            .state_mut()
            .queue(UiCommand::File(purpose, path.clone()));
        until(&mut harness, name, |_| path.is_file());
        let bytes = std::fs::read(&path).expect("it is there");
        match purpose {
            // Its size stands after the first chunk's name.
            FilePurpose::ExportPng => {
                let size = [&bytes[16..20], &bytes[20..24]];
                assert_eq!(size, picture.size.map(u32::to_be_bytes));
            }
            FilePurpose::ExportSvg => {
                let text = String::from_utf8(bytes).expect("it is text");
                let [width, height] = picture.size;
                let size = format!("width=\"{width}\" height=\"{height}\"");
                assert!(text.contains(&size), "{}", &text[..200]);
                assert!(text.contains(">Frames</text>"), "{}", &text[..900]);
                assert!(text.contains("fill=\"#0e1318\""), "it is not dark");
                assert!(!text.contains(">Page tables<"), "more than the frames");
            }
            FilePurpose::ExportSchematic => {
                let text = String::from_utf8(bytes).expect("it is text");
                let space = harness.state().state().space().cloned();
                let snapshot = harness.state().state().snapshot().cloned();
                let (space, snapshot) = (space.expect("a space"), snapshot.expect("a moment"));
                let order = pagescope::export::text::Order::LowFirst;
                let drawn = pagescope::export::text::schematic_text(&snapshot, &space, order);
                assert_eq!(text, drawn);
            }
            _ => {
                let text = String::from_utf8(bytes).expect("it is text");
                assert!(text.contains("Sv39"), "{text}");
            }
        }
    }
}

#[test]
fn the_harts_say_what_stopped_them() {
    let (mut window, guest) = stopped(SIZE);
    let mut two = fixture::pseudos(4);
    let mut other = two.harts[0].clone();
    other.id = 1;
    two.harts.push(other);
    let hart = HartId::new(1);
    guest.tell(
        &mut window,
        [
            Event::Moment(Arc::new(two)),
            Event::StoppedBy(StopReason::Breakpoint { hart }),
            // Told again, of a stop that no moment was made of.
            Event::StoppedBy(StopReason::Step { hart }),
        ],
    );
    ask(&mut window, UiCommand::ShowTab(Tab::Harts));
    window.get_by_label_contains("hart 1, breakpoint, S");
    window.get_by_label_contains("hart 0, with hart 1, S");
    // The moment before is not known to have been stopped by anything.
    ask(&mut window, UiCommand::SeekBy(-1));
    window.get_by_label_contains("hart 0, S");
}

#[test]
fn a_step_takes_as_many_calls_as_are_asked_for() {
    let (mut harness, guest) = stopped(SIZE);
    ask(&mut harness, UiCommand::StepCount(3));
    key(&mut harness, egui::Key::F8);
    let three = Command::StepCall {
        symbol: "kalloc".into(),
        count: 3,
    };
    assert_eq!(guest.asked(), [three]);
    // No step takes none.
    ask(&mut harness, UiCommand::StepCount(0));
    assert_eq!(harness.state().state().step_count, 1);
}

//! The window itself: its first screen, what it remembers, files that are dropped on it, and names for everything
//! that can be pressed.

mod ui_support;

use std::path::PathBuf;

use egui::{Key, Modifiers};
use egui_kittest::kittest::Queryable as _;
use pagescope::app::App;
use pagescope::link::Address;
use pagescope::link::local::LocalGuest;
use pagescope::model::{History, fixture};
use pagescope::session::Source;
use pagescope::session::ours::OURS;
use pagescope::views::command::DeskCommand;
use pagescope::views::{Tab, UiCommand};
use pagescope_protocol::snapshot::text::recording_to_text;
use ui_support::elsewhere::Elsewhere;
use ui_support::painted::texts;
use ui_support::{SIZE, Window, chord, first_screen, offline, press, type_into, until, window};

/// A file that is let go over the window.
#[derive(Debug)]
struct Dropped(PathBuf);

impl egui::DroppedFile for Dropped {
    fn path(&self) -> &std::path::Path {
        &self.0
    }

    fn bytes(&self) -> Result<Vec<u8>, String> {
        std::fs::read(&self.0).map_err(|error| error.to_string())
    }
}

#[test]
fn the_first_screen_offers_what_to_begin_with() {
    let mut harness = first_screen();
    for label in [
        "Start the demo",
        "pseudos",
        "hypervisor",
        "process",
        "nanos",
    ] {
        harness.get_by_label(label);
    }
    harness.get_by_label("Open a file…");
    // A wrong address gets an answer, and nothing is started.
    type_into(&mut harness, "Address of a gdb port", "nowhere at all");
    harness.run();
    harness.get_by_label("Attach").click();
    harness.run();
    harness.get_by_label_contains("is no address");
    assert!(!harness.state().state().has_session);
}

#[test]
fn each_demo_is_our_own_kernel_with_that_layout() {
    for ours in &OURS {
        let mut app = App::offline(History::new(), "");
        let machine = Elsewhere::default().around(&mut app);
        let mut harness = window(app, SIZE);
        press(&mut harness, ours.name);
        let started = machine.started();
        let [Source::Demo(demo)] = &started[..] else {
            panic!("{started:?}");
        };
        assert_eq!(demo.append, format!("layout={} pace=20", ours.name));
        assert_eq!(demo.harts, ours.harts);
        assert!(*demo.kernel == *ours.image, "another kernel");
        let state = harness.state().state();
        assert!(state.has_session);
        assert_eq!(state.title, format!("demo, {}", ours.name));
        // The first screen has given way to it.
        assert!(harness.query_by_label("Address of a gdb port").is_none());
    }
}

#[test]
fn a_port_that_was_found_is_attached_to() {
    let guest = |pid, address: &str| LocalGuest {
        pid,
        address: address.parse().expect("an address"),
        command: format!("qemu-system-riscv64 number {pid}"),
    };
    let mut app = App::offline(History::new(), "");
    let guests = [guest(7, "127.0.0.1:4321"), guest(8, "unix:/tmp/gdb.sock")];
    let machine = Elsewhere::with(guests).around(&mut app);
    let mut harness = window(app, SIZE);
    until(&mut harness, "guests are found", |window| {
        window.query_by_label("127.0.0.1:4321").is_some()
    });
    harness.get_by_label("qemu-system-riscv64 number 7");
    press(&mut harness, "unix:/tmp/gdb.sock");
    let started = machine.started();
    let [Source::With { source, .. }] = &started[..] else {
        panic!("{started:?}");
    };
    let Source::Attach { address, elf, .. } = &**source else {
        panic!("{source:?}");
    };
    assert_eq!(*address, Address::Unix("/tmp/gdb.sock".into()));
    assert!(elf.is_none());
    assert_eq!(harness.state().state().title, "unix:/tmp/gdb.sock");
}

#[test]
fn a_port_where_nobody_answers_says_so_and_the_first_screen_stays() {
    let mut harness = first_screen();
    // A port that is in use, so that nobody else gets it, and not listened on: the near end of a connection.
    let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let there = listener.local_addr().expect("its number");
    let held = std::net::TcpStream::connect(there).expect("somebody listens");
    let address = held.local_addr().expect("its number").to_string();
    type_into(&mut harness, "Address of a gdb port", &address);
    harness.run();
    harness.get_by_label("Attach").click();
    until(&mut harness, "nobody answers", |window| {
        matches!(
            window.state().state().connection,
            pagescope::session::Connection::Lost { .. }
        )
    });
    harness.get_by_label("No link to the guest");
    harness.get_by_label("Reconnect");
    harness.get_by_label("Start the demo");
}

#[test]
fn an_elf_that_is_none_is_said_before_anything_is_attached() {
    let mut harness = first_screen();
    harness
        .state_mut()
        .queue(UiCommand::Desk(DeskCommand::Attach {
            address: "127.0.0.1:1".into(),
            elf: "/nonexistent/kernel.elf".into(),
        }));
    until(&mut harness, "it cannot be read", |window| {
        let notice = window.state().state().notice.as_ref();
        notice.is_some_and(|notice| notice.text.contains("cannot read"))
    });
    assert!(!harness.state().state().has_session);
}

#[test]
fn a_file_that_was_open_is_offered_again_and_remembered() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("lecture.ron");
    let recording = fixture::history(3).to_recording().expect("moments");
    std::fs::write(&file, recording_to_text(&recording)).expect("written");
    let settings = folder.path().join("settings").join("window.ron");
    let started = |settings: &PathBuf| {
        let mut app = App::offline(History::new(), "");
        app.remember_in(settings.clone());
        window(app, SIZE)
    };
    let mut harness = started(&settings);
    // Dropped on the window.
    harness.input_mut().dropped_files = vec![std::sync::Arc::new(Dropped(file))];
    harness.step();
    until(&mut harness, "it is open", |window| {
        window.state().state().snapshot().is_some()
    });
    harness.state_mut().queue(UiCommand::ShowTab(Tab::Regions));
    harness
        .state_mut()
        .queue(UiCommand::Desk(DeskCommand::Resize(
            pagescope::views::state::Panels {
                detail: Some(400.0),
                bottom: Some(260.0),
            },
        )));
    harness
        .state_mut()
        .queue(UiCommand::Theme(egui::ThemePreference::Light));
    harness.run();
    harness.run();
    until(&mut harness, "it is remembered", |_| {
        let text = std::fs::read_to_string(&settings).unwrap_or_default();
        text.contains("light") && text.contains("260")
    });
    // The next time.
    let mut harness = started(&settings);
    assert_eq!(harness.state().state().tab, Tab::Regions);
    assert_eq!(harness.state().state().desk.panels.detail, Some(400.0));
    assert!(!harness.ctx.global_style().visuals.dark_mode);
    harness.get_by_label("lecture.ron").click();
    until(&mut harness, "it is open", |window| {
        window.state().state().snapshot().is_some()
    });
    assert_eq!(harness.state().state().history.moments().len(), 4);
    // Closing goes back to the first screen.
    harness.key_press_modifiers(Modifiers::COMMAND, Key::W);
    harness.run();
    harness.get_by_label("Start the demo");
}

#[test]
fn panels_are_dragged_within_limits() {
    let mut harness = offline(2);
    let width = |harness: &Window| {
        let edge = harness.get_by_label("Width of the detail pane").rect();
        SIZE[0] - edge.center().x
    };
    let before = width(&harness);
    let from = harness
        .get_by_label("Width of the detail pane")
        .rect()
        .center();
    for x in [-60.0, -120.0] {
        if x == -60.0 {
            harness.drag_at(from);
            harness.run();
        }
        harness.hover_at(from + egui::vec2(x, 0.0));
        harness.run();
    }
    harness.drop_at(from + egui::vec2(-120.0, 0.0));
    harness.run();
    let after = width(&harness);
    assert!((after - before - 120.0).abs() < 8.0, "{before} {after}");
    // What no window has room for is not done.
    harness
        .state_mut()
        .queue(UiCommand::Desk(DeskCommand::Resize(
            pagescope::views::state::Panels {
                detail: Some(5000.0),
                bottom: Some(5000.0),
            },
        )));
    harness.run();
    assert!(width(&harness) < 900.0);
    harness.get_by_label("Timeline");
}

#[test]
fn a_file_held_over_the_window_is_named() {
    let mut harness = offline(1);
    harness.input_mut().hovered_files = vec![egui::HoveredFile {
        path: Some("/x/lecture.ron".into()),
        ..Default::default()
    }];
    harness.step();
    let words = texts(&harness);
    assert!(
        words
            .iter()
            .any(|word| word == "Let go to open lecture.ron"),
        "{words:?}"
    );
}

#[test]
fn a_lecture_that_the_program_carries_is_shown_from_the_first_screen() {
    let mut harness = first_screen();
    let lecture = pagescope::assets::lectures()
        .first()
        .expect("there are some");
    harness.get_by_label(lecture.title).click();
    until(&mut harness, "it is open", |window| {
        window.state().state().snapshot().is_some()
    });
    harness.run();
    // What the program carries is no file that was open.
    assert!(harness.state().state().desk.recent.is_empty());
    assert_eq!(harness.state().state().title, lecture.title);
}

#[test]
fn everything_is_drawn_larger_darker_and_as_before() {
    let mut harness = offline(1);
    let zoom = |harness: &Window| (harness.ctx.zoom_factor() * 100.0).round();
    for (name, percent) in [("Larger", 110.0), ("Usual size", 100.0), ("Smaller", 90.0)] {
        chord(&mut harness, Modifiers::COMMAND, Key::K);
        harness.get_by_label("Find a command").type_text(name);
        harness.run();
        chord(&mut harness, Modifiers::NONE, Key::Enter);
        assert_eq!(zoom(&harness), percent, "{name}");
    }
    let before = harness.ctx.theme();
    chord(&mut harness, Modifiers::COMMAND, Key::T);
    assert_ne!(harness.ctx.theme(), before);
    chord(&mut harness, Modifiers::COMMAND, Key::T);
    assert_eq!(harness.ctx.theme(), before);
}

#[test]
fn files_that_were_open_are_forgotten() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("lecture.ron");
    let recording = fixture::history(1).to_recording().expect("moments");
    std::fs::write(&file, recording_to_text(&recording)).expect("written");
    let mut harness = first_screen();
    assert!(harness.query_by_label("Forget these").is_none());
    let open = UiCommand::File(pagescope::views::FilePurpose::Open, file.clone());
    harness.state_mut().queue(open);
    until(&mut harness, "it is open", |window| {
        window.state().state().snapshot().is_some()
    });
    chord(&mut harness, Modifiers::COMMAND, Key::W);
    harness.get_by_label("lecture.ron");
    press(&mut harness, "Forget these");
    assert!(harness.query_by_label("lecture.ron").is_none());
    assert!(file.is_file(), "the file stays");
}

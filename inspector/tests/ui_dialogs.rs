//! What lies over the window: it fits a small one, says all there is, and ends with Esc before Esc means anything else.

mod ui_support;

use egui::{Key, Modifiers};
use egui_kittest::kittest::Queryable as _;
use pagescope::model::Selection;
use pagescope::views::actions;
use pagescope::views::command::{DeskCommand, UiCommand};
use ui_support::painted::texts;
use ui_support::{Window, ask, chord, key, offline, recording, selection, until};

/// Sizes of a laptop's window, and of a projector's at 2.5 times.
const SMALL: [[f32; 2]; 2] = [[1000.0, 700.0], [1024.0, 576.0]];

fn with_selection(mut window: Window) -> Window {
    ask(&mut window, UiCommand::GoTo("0x87ff7000".into()));
    assert_ne!(selection(&window), Selection::Nothing);
    window
}

#[test]
fn esc_ends_what_lies_over_the_window_and_leaves_the_selection() {
    let mut window = with_selection(offline(3));
    let before = selection(&window);
    for (held, pressed, title) in [
        (Modifiers::NONE, Key::F1, "Keys"),
        (Modifiers::SHIFT, Key::F9, "Run until"),
        (Modifiers::COMMAND, Key::E, "Export picture"),
        (Modifiers::COMMAND, Key::K, "Find a command"),
    ] {
        chord(&mut window, held, pressed);
        if title == "Run until" {
            // A file cannot be run; the words say so.
            continue;
        }
        assert!(window.query_all_by_label(title).next().is_some(), "{title}");
        key(&mut window, Key::Escape);
        assert!(window.query_all_by_label(title).next().is_none(), "{title}");
        assert_eq!(selection(&window), before, "{title}");
    }
    // With nothing over it, Esc means what the list of keys says.
    key(&mut window, Key::Escape);
    assert_eq!(selection(&window), Selection::Nothing);
}

#[test]
fn the_list_of_keys_has_every_key_and_fits_a_small_window() {
    for size in SMALL {
        let mut window = recording(pagescope::model::fixture::history(3), size);
        key(&mut window, Key::F1);
        // A list that can be scrolled ends inside of the window; the last of its rows is further down.
        let screen = egui::Rect::from_min_size(egui::Pos2::ZERO, size.into());
        let title = window.get_all_by_label("Keys").next().expect("its title");
        assert!(screen.contains_rect(title.rect()), "{:?}", title.rect());
        for action in actions::all().filter(|action| !action.keys.is_empty()) {
            window
                .get_all_by_label(action.about)
                .next()
                .unwrap_or_else(|| panic!("{}", action.name));
        }
        for row in &actions::PRESENTER_KEYS {
            window.get_by_label(row.about);
        }
        let first = window.get_by_label("Let all harts run.").rect();
        assert!(
            screen.contains_rect(first),
            "{first:?} is outside of {size:?}"
        );
    }
}

#[test]
fn the_palette_opens_with_many_rows() {
    for size in SMALL {
        let mut window = recording(pagescope::model::fixture::history(3), size);
        ask(&mut window, UiCommand::Desk(DeskCommand::TogglePalette));
        // Every row says to which group it belongs.
        let seen = texts(&window);
        let rows = seen.iter().filter(|words| *words == "Guest").count();
        assert!(rows >= 8, "{rows} rows at {size:?}");
    }
}

#[test]
#[cfg(target_os = "linux")]
fn coming_back_to_the_first_screen_looks_for_guests_again() {
    use std::os::unix::process::CommandExt as _;
    let mut window = ui_support::first_screen();
    until(&mut window, "the first look", |window| {
        window.state().state().desk.guests.is_some()
    });
    // What has QEMU's name and a gdb port in its command line, and a port that somebody listens on.
    let port = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = port.local_addr().expect("its number");
    let mut process = std::process::Command::new("/bin/sh")
        .arg0("qemu-system-riscv64")
        .args([
            "-c",
            "read end",
            "-gdb",
            &format!("tcp::{}", address.port()),
        ])
        .stdin(std::process::Stdio::piped())
        .spawn()
        .expect("a shell");
    window.event(egui::Event::WindowFocused(true));
    until(&mut window, "the second look", |window| {
        let label = address.to_string();
        window.query_by_label_contains(&label).is_some()
    });
    drop(process.stdin.take());
    process.wait().expect("it ends");
}

#[test]
fn good_news_goes_by_itself_and_a_problem_stays() {
    let mut window = offline(3);
    ask(&mut window, UiCommand::GoTo("0x87ff7000".into()));
    ask(&mut window, UiCommand::Desk(DeskCommand::CopySelection));
    window.get_by_label("What is selected was copied as text.");
    pass(&mut window, 20.0);
    assert!(window.state().state().notice.is_none());
    ask(&mut window, UiCommand::GoTo("no such name".into()));
    assert!(window.state().state().notice.is_some());
    pass(&mut window, 60.0);
    assert!(window.state().state().notice.is_some());
}

/// Lets time pass for the window, in seconds.
fn pass(window: &mut Window, seconds: f64) {
    let now = window.ctx.input(|input| input.time);
    window.input_mut().time = Some(now + seconds);
    window.run();
}

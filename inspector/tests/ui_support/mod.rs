//! What the window's tests share: a window that is drawn without a display, what a hand does to it, and, in its parts, a
//! guest whose side of the channels the test holds, and what is painted.
//!
//! Each test program uses a part of it.
#![allow(dead_code)]

pub(crate) mod elsewhere;
pub(crate) mod guest;
pub(crate) mod painted;
pub(crate) mod screens;

use std::sync::Arc;
use std::time::Duration;

use egui::{Key, Modifiers};
use egui_kittest::kittest::Queryable as _;
use egui_kittest::{Harness, HarnessBuilder};
use pagescope::app::App;
use pagescope::model::{History, Selection, fixture};
use pagescope::views::UiCommand;
use pagescope_protocol::snapshot::Snapshot;

/// A window, and what is seen in it.
pub(crate) type Window = Harness<'static, App>;

/// How large a window is where its size is no matter.
pub(crate) const SIZE: [f32; 2] = [1440.0, 900.0];

/// How often a window may ask to be drawn again before it rests; one that asks more often fails the test.
const STEPS_TO_REST: u64 = 20;

/// A window of this size on `app`, at rest.
pub(crate) fn window(app: App, size: [f32; 2]) -> Window {
    window_as(sized(size), app)
}

/// What a window of this size is built with, to be changed.
pub(crate) fn sized(size: [f32; 2]) -> HarnessBuilder<App> {
    Harness::builder()
        .with_size(size)
        .with_max_steps(STEPS_TO_REST)
}

/// A window on `app` as `builder` says, at rest.
pub(crate) fn window_as(builder: HarnessBuilder<App>, app: App) -> Window {
    let mut window = builder.build_ui_state(
        |ui, app: &mut App| {
            if ui.ctx().cumulative_pass_nr() == 0 {
                app.install(ui.ctx());
            } else {
                app.frame(ui);
            }
        },
        app,
    );
    window.run();
    window
}

/// A window on a recording of that many steps of `kalloc`.
pub(crate) fn offline(steps: u64) -> Window {
    recording(fixture::history(steps), SIZE)
}

/// A window on a recording.
pub(crate) fn recording(history: History, size: [f32; 2]) -> Window {
    window(App::offline(history, "lecture.ron"), size)
}

/// A window on one moment.
pub(crate) fn moment(snapshot: Snapshot, size: [f32; 2]) -> Window {
    let mut history = History::new();
    history.push(Arc::new(snapshot));
    recording(history, size)
}

/// A window with nothing open: its first screen.
pub(crate) fn first_screen() -> Window {
    window(App::offline(History::new(), ""), SIZE)
}

/// Asks for `command` as a view would.
pub(crate) fn ask(window: &mut Window, command: impl Into<UiCommand>) {
    window.state_mut().queue(command.into());
    window.run();
}

/// Goes where the address box would go with this text.
pub(crate) fn go_to(window: &mut Window, text: &str) {
    ask(window, UiCommand::GoTo(text.into()));
}

/// Presses what has this label.
pub(crate) fn press(window: &mut Window, label: &str) {
    window.get_by_label(label).click();
    window.run();
}

/// Presses a key.
pub(crate) fn key(window: &mut Window, key: Key) {
    chord(window, Modifiers::NONE, key);
}

/// Presses a key while others are held.
pub(crate) fn chord(window: &mut Window, held: Modifiers, key: Key) {
    window.key_press_modifiers(held, key);
    window.run();
}

/// Types into the field of this label, where its cursor is.
pub(crate) fn type_into(window: &mut Window, label: &str, text: &str) {
    window.get_by_label(label).focus();
    window.run();
    window.get_by_label(label).type_text(text);
    window.run();
}

/// Types in place of what stands in the field of this label.
pub(crate) fn type_over(window: &mut Window, label: &str, text: &str) {
    window.get_by_label(label).focus();
    window.run();
    window.key_press_modifiers(Modifiers::COMMAND, Key::A);
    window.get_by_label(label).type_text(text);
    window.run();
}

/// What is selected.
pub(crate) fn selection(window: &Window) -> Selection {
    window.state().state().selection
}

/// The place of the moment that is looked at.
pub(crate) fn cursor(window: &Window) -> usize {
    window.state().state().history.cursor()
}

/// Draws until it is so, while a thread of the window works. The limit is a guard against one that hangs.
pub(crate) fn until(window: &mut Window, what: &str, is_so: impl Fn(&Window) -> bool) {
    for _ in 0..6000 {
        window.run();
        if is_so(window) {
            return;
        }
        std::thread::sleep(Duration::from_millis(10));
    }
    panic!("it did not come to this: {what}");
}

/// Presses a key and lets it go within the next frame, so that no frame is drawn that nobody looks at.
pub(crate) fn tap(window: &mut Window, modifiers: Modifiers, key: Key) {
    for pressed in [true, false] {
        window.input_mut().events.push(egui::Event::Key {
            key,
            physical_key: None,
            pressed,
            repeat: false,
            modifiers,
        });
    }
}

/// Whether the window is given the whole screen or another place during the next frames: what was asked for, in order.
pub(crate) fn full_screen_asked(window: &mut Window) -> Vec<bool> {
    let mut asked = Vec::new();
    for _ in 0..8 {
        window.step();
        let viewports = window.output().viewport_output.values();
        let commands = viewports.flat_map(|viewport| &viewport.commands);
        asked.extend(commands.filter_map(|command| match command {
            egui::ViewportCommand::Fullscreen(is_full) => Some(*is_full),
            _ => None,
        }));
    }
    asked
}

/// What is put into the clipboard during the next frames: a button does its work in the frame in which it is released.
pub(crate) fn copied(window: &mut Window) -> Vec<String> {
    let mut copied = Vec::new();
    for _ in 0..8 {
        window.step();
        for command in &window.output().platform_output.commands {
            if let egui::OutputCommand::CopyText(text) = command {
                copied.push(text.clone());
            }
        }
    }
    copied
}

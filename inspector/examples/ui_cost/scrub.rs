//! A recording of ten thousand steps: opened, scrubbed, stepped through, its axis zoomed.
//!
//! It is made in one process and looked at in another, so that the memory that is measured is the window's.

use std::path::Path;
use std::process::Command;

use egui::{Event, pos2};
use pagescope::app::App;
use pagescope::model::{History, fixture};
use pagescope::views::UiCommand;
use pagescope_protocol::snapshot::text::recording_to_text;

use crate::drive::{Cost, SIZE, Window, button, wheel};

/// Steps after the first moment.
const STEPS: u64 = 10_000;
const MEDIAN_MS: f64 = 8.0;
const P99_MS: f64 = 24.0;
/// Most memory that the window may ever have taken.
const MOST_MIB: u64 = 300;

/// Makes the recording, and has another process look at it; whether all limits were met.
pub(crate) fn run() -> bool {
    let Ok(folder) = tempfile::tempdir() else {
        return false;
    };
    let path = folder.path().join("steps.ron");
    ["--make-recording", "--scrub"].iter().all(|what| {
        let program = std::env::current_exe();
        let status =
            program.and_then(|program| Command::new(program).arg(what).arg(&path).status());
        status.is_ok_and(|status| status.success())
    })
}

/// Writes the recording.
pub(crate) fn make(path: &Path) -> bool {
    let recording = fixture::history_from(0, STEPS).to_recording();
    let text = recording.map(|recording| recording_to_text(&recording));
    text.is_some_and(|text| std::fs::write(path, text).is_ok())
}

/// Looks at it.
pub(crate) fn costs(path: &Path) -> Vec<Cost> {
    let read = std::fs::read_to_string(path).map_err(|error| error.to_string());
    let history = match read.and_then(|text| History::from_text(&text)) {
        Ok(history) => history,
        Err(why) => return vec![Cost::truth(&format!("the recording opens ({why})"), false)],
    };
    let mut window = Window::new(App::offline(history, "steps.ron"));
    let mut costs = Vec::new();
    let y = SIZE.y - 60.0;
    window.frame(vec![Event::PointerMoved(pos2(60.0, y))]);
    window.frame(vec![button(pos2(60.0, y), true)]);
    for step in 0..400 {
        let x = 60.0 + (step as f32 * 37.0) % 900.0;
        window.frame(vec![Event::PointerMoved(pos2(x, y))]);
    }
    window.frame(vec![button(pos2(60.0, y), false)]);
    costs.push(window.cost("10,000 steps, scrubbed", MEDIAN_MS, P99_MS));
    window.queue(UiCommand::Seek(5_000));
    for _ in 0..200 {
        window.frame(vec![Event::Key {
            key: egui::Key::ArrowRight,
            physical_key: None,
            pressed: true,
            repeat: true,
            modifiers: egui::Modifiers::NONE,
        }]);
    }
    costs.push(window.cost("10,000 steps, one after the other", MEDIAN_MS, P99_MS));
    for turn in 0..120 {
        let lines = if turn < 60 { 1.0 } else { -1.0 };
        window.frame(vec![Event::PointerMoved(pos2(500.0, y)), wheel(lines)]);
    }
    costs.push(window.cost("10,000 steps, the axis zoomed", MEDIAN_MS, P99_MS));
    window.frame(vec![Event::PointerGone]);
    let is_idle = window.settle();
    costs.push(Cost::truth(
        "a recording left alone asks for no frame",
        is_idle,
    ));
    let most = most_mib();
    let words = format!("{most} MiB of memory at most, {MOST_MIB} allowed");
    costs.push(Cost::truth(&words, most <= MOST_MIB));
    costs
}

/// The most memory that this process ever had, in MiB.
fn most_mib() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    let kib = line.and_then(|line| line.split_whitespace().next()?.parse::<u64>().ok());
    kib.map_or(u64::MAX, |kib| kib >> 10)
}

//! `pagescope demo`: our kernel in a QEMU of our own.

use std::fs;
use std::sync::Arc;
use std::time::Duration;

use pagescope_protocol::snapshot::text::{recording_to_text, snapshot_to_text};

use super::arguments::{self, Layout};
use super::kernel::image;
use super::step::{step_calls, step_text};
use super::{Answer, Failure, format, open, source};
use crate::export::file::write_atomically;
use crate::export::svg::{Theme, layout_svg};
use crate::export::text::layout_text;
use crate::model::{History, named};
use crate::session::{Demo, Source};

/// How long our kernel may take from one call of kalloc to the next.
const STEP_LIMIT: Duration = Duration::from_secs(60);

pub(super) fn run(options: &arguments::Demo) -> Result<Answer, Failure> {
    let layout = options.layout;
    let mut append = format!("layout={} pace={}", layout.name(), options.pace);
    match (layout, options.tables) {
        (Layout::Pseudos, tables) => {
            append.push_str(&format!(" tables={}", tables.unwrap_or_default().name()));
        }
        (_, None) => {}
        (_, Some(tables)) => {
            return Err(Failure::Usage(format!(
                "--tables {} is a way of layout pseudos to reach its tables; layout {} has its own: leave \
                 --tables out",
                tables.name(),
                layout.name()
            )));
        }
    }
    let demo = Source::Demo(Demo {
        kernel: Arc::from(image(layout)),
        append,
        harts: layout.harts(),
    });
    if options.headless {
        return headless(options, &demo);
    }
    if !has_display() {
        format::tell("there is no display (DISPLAY, WAYLAND_DISPLAY), so no window: --headless");
        return headless(options, &demo);
    }
    open::window(demo, "demo")
}

/// Whether a window could be opened.
pub(super) fn has_display() -> bool {
    ["DISPLAY", "WAYLAND_DISPLAY"]
        .iter()
        .any(|name| std::env::var_os(name).is_some_and(|value| !value.is_empty()))
}

fn headless(options: &arguments::Demo, demo: &Source) -> Result<Answer, Failure> {
    fs::create_dir_all(&options.out).map_err(|error| {
        Failure::Usage(format!(
            "cannot make the folder {}: {error}",
            options.out.display()
        ))
    })?;
    let mut opened = source::open_source(demo)?;
    let mut history = History::new();
    let result = match opened.stepper.clone() {
        Some(stepper) => step_calls(
            &mut opened,
            &stepper,
            options.steps,
            STEP_LIMIT,
            &mut history,
            &mut |step, _, moment| {
                format::write(&format!("{step:>4}  {}", step_text(moment)));
            },
        ),
        None => Err(Failure::Target("our kernel has no symbol kalloc".into())),
    };
    source::leave(opened);
    result?;
    write_files(options, &history)
}

fn write_files(options: &arguments::Demo, history: &History) -> Result<Answer, Failure> {
    let Some((last, recording)) = history.moments().last().zip(history.to_recording()) else {
        return Err(Failure::Target("nothing was captured".into()));
    };
    let snapshot = &last.snapshot;
    let space = snapshot.spaces.first();
    let svg = layout_svg(snapshot, space, &last.difference, Theme::Light);
    let files = [
        ("snapshot.ron", snapshot_to_text(&named(snapshot))),
        ("recording.ron", recording_to_text(&recording)),
        ("layout.svg", svg),
    ];
    format::write("");
    format::write(&layout_text(snapshot, space));
    format::write("");
    for (name, text) in files {
        let path = options.out.join(name);
        write_atomically(&path, text.as_bytes()).map_err(Failure::usage)?;
        format::write(&format!("wrote {}", path.display()));
    }
    let first = options.out.join("recording.ron");
    format::write(&format!(
        "open it again without QEMU: pagescope open {}",
        first.display()
    ));
    Ok(Answer::Yes)
}

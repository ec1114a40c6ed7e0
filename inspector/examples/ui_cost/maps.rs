//! A quarter of a million scattered mappings and four million frames, panned and zoomed.

use std::sync::Arc;

use egui::{Event, Pos2, pos2, vec2};
use pagescope::app::App;
use pagescope::capture::Capturer;
use pagescope::model::{History, Sign};
use pagescope::views::columns::{Columns, MARGIN};
use pagescope::views::{LookCommand, UiCommand};
use pagescope_protocol::LeafFlags;
use pagescope_protocol::snapshot::{PhysicalKind, Snapshot};

use crate::drive::{Cost, SIZE, Window, button, wheel};
use crate::ram_target::{RamTarget, scattered, scattered_leaf};

/// Mappings, no two of which go on in physical memory.
const MAPPINGS: usize = 262_144;
/// Frames of RAM.
const FRAMES: u64 = 4 << 20;

const MEDIAN_MS: f64 = 4.0;
const P99_MS: f64 = 12.0;

/// Whether pages of two kinds take turns, so that none can be drawn as one band with its neighbour.
#[derive(Clone, Copy)]
enum Kinds {
    One,
    Turns,
}

fn snapshot(kinds: Kinds) -> Snapshot {
    let mut target = RamTarget::new(&scattered(MAPPINGS));
    if let Kinds::Turns = kinds {
        for number in (0..MAPPINGS).step_by(2) {
            let read_only = scattered_leaf(number).bits() & !u64::from(LeafFlags::WRITE.bits());
            *target.leaf(MAPPINGS, number) = read_only;
        }
    }
    let mut capturer = Capturer::new(&mut target, None).expect("an array can always be asked");
    let captured = capturer.capture(&mut target, "bench");
    let mut snapshot = Snapshot::clone(&captured.expect("an array can always be read"));
    for region in &mut *snapshot.physical {
        if region.kind == PhysicalKind::Ram {
            region.size = FRAMES * 4096;
        }
    }
    snapshot
}

/// Pans and zooms each map.
pub(crate) fn costs() -> Vec<Cost> {
    let mut costs = costs_of("", Kinds::One);
    costs.extend(costs_of("kinds in turns: ", Kinds::Turns));
    costs
}

fn costs_of(what: &str, kinds: Kinds) -> Vec<Cost> {
    let mut history = History::new();
    history.push(Arc::new(snapshot(kinds)));
    let mut window = Window::new(App::offline(history, "bench"));
    let columns = Columns::new(SIZE.x, SIZE.y);
    let middle = SIZE.y * 0.3;
    let tables = MARGIN + columns.virtual_map + columns.gap;
    let physical = tables + columns.tables + columns.gap;
    let maps = [
        (
            "virtual map",
            pos2(MARGIN + columns.virtual_map - 40.0, middle),
        ),
        ("page tables", pos2(tables + 80.0, middle)),
        ("physical map", pos2(physical + 40.0, SIZE.y * 0.2)),
        ("grid of frames", pos2(physical + 60.0, SIZE.y * 0.52)),
    ];
    let mut costs = Vec::new();
    for (name, at) in maps {
        zoom(&mut window, at);
        costs.push(window.cost(&format!("{what}{name}, zoomed"), MEDIAN_MS, P99_MS));
        pan(&mut window, at);
        costs.push(window.cost(&format!("{what}{name}, panned"), MEDIAN_MS, P99_MS));
    }
    window.queue(UiCommand::Look(LookCommand::ToggleRibbons));
    zoom(&mut window, maps[0].1);
    costs.push(window.cost(
        &format!("{what}virtual map, all ribbons"),
        MEDIAN_MS,
        P99_MS,
    ));
    window.queue(UiCommand::Look(LookCommand::Filter(Some(Sign::Shared))));
    for (name, at) in [maps[1], maps[3]] {
        zoom(&mut window, at);
        costs.push(window.cost(&format!("{what}{name}, with a filter"), MEDIAN_MS, P99_MS));
    }
    window.frame(vec![Event::PointerGone]);
    let is_idle = window.settle();
    costs.push(Cost::truth(
        "a window left alone asks for no frame",
        is_idle,
    ));
    costs
}

fn zoom(window: &mut Window, at: Pos2) {
    window.frame(vec![Event::PointerMoved(at)]);
    for turn in 0..120 {
        let lines = if turn < 60 { 1.0 } else { -1.0 };
        let shake = vec2((turn % 7) as f32 - 3.0, (turn % 5) as f32 * 4.0);
        window.frame(vec![Event::PointerMoved(at + shake), wheel(lines)]);
    }
}

fn pan(window: &mut Window, at: Pos2) {
    for _ in 0..10 {
        window.frame(vec![Event::PointerMoved(at), wheel(2.0)]);
    }
    for drag in 0..4 {
        window.frame(vec![Event::PointerMoved(at), button(at, true)]);
        for step in 0..30 {
            let way = if drag % 2 == 0 { 3.0 } else { -3.0 };
            let to = at + vec2(step as f32, step as f32 * way);
            window.frame(vec![Event::PointerMoved(to)]);
        }
        window.frame(vec![button(at + vec2(30.0, 90.0), false)]);
    }
}

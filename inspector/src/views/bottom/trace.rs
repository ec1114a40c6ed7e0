//! What the kernel did, newest first: each event with who called, to be filtered and pressed.

use egui::{Rect, RichText, Ui};
use pagescope_protocol::VirtAddr;
use pagescope_protocol::snapshot::{Snapshot, TraceEvent, TraceKind};

use super::rows::{Column, List, Row, as_text, filter_line};
use crate::export::text::event_place;
use crate::model::{Selection, size_text};
use crate::views::command::UiCommand;
use crate::views::paint;
use crate::views::scene::Scene;
use crate::views::theme;

const TITLES: [&str; 8] = [
    "No.", "Hart", "What", "Address", "Size", "Flags", "Space", "By",
];

/// What the list keeps from frame to frame.
#[derive(Default)]
pub(super) struct Trace {
    filter: String,
}

impl Trace {
    /// Draws the list into `rect`.
    pub(super) fn show(
        &mut self,
        ui: &mut Ui,
        rect: Rect,
        scene: &Scene<'_>,
        out: &mut Vec<UiCommand>,
    ) {
        let Some(snapshot) = scene.state.snapshot() else {
            return empty(ui, rect, scene, "Nothing is open.");
        };
        if snapshot.trace.is_empty() {
            let words = "This kernel publishes no trace, or has done nothing yet. One of ours notes each \
                         map, unmap, kalloc, kfree and fault.";
            return empty(ui, rect, scene, words);
        }
        let filter = self.filter.trim().to_lowercase();
        let events: Vec<&TraceEvent> = snapshot
            .trace
            .iter()
            .rev()
            .map(AsRef::as_ref)
            .filter(|event| matches(event, &filter))
            .collect();
        let all = snapshot.trace.len();
        let note = match events.len() {
            0 => format!("none of the last {all} events has these words"),
            shown if shown == all => format!("the last {all} events, newest first"),
            shown => format!("{shown} of the last {all} events, newest first"),
        };
        let (copies, rest) = filter_line(ui, rect, "trace", &mut self.filter, &note, scene);
        if copies {
            ui.copy_text(as_text(events.iter().map(|event| words(event))));
        }
        let columns = columns(rest.width());
        let list = List {
            name: "trace",
            columns: &columns,
            count: events.len(),
            sorted: None,
        };
        let row = |index: usize| Row {
            words: words(events[index]),
            is_dim: false,
            is_selected: false,
        };
        let hover = |index: usize, ui: &mut Ui| hover(events[index], ui);
        let copy = |index: usize| {
            vec![
                ("Copy address", format!("{:#x}", events[index].address)),
                ("Copy caller", format!("{:#x}", events[index].caller)),
                ("Copy row", words(events[index]).join("\t")),
            ]
        };
        let done = list.show(ui, rest, scene, row, hover, copy);
        // Another space's address means something else in the maps.
        let is_here = |event: &TraceEvent| {
            let shown = scene.state.space().map(|space| space.name.as_str());
            event.space.is_none() || event.space.as_deref() == shown
        };
        if let Some(event) = done.hovered.and_then(|index| events.get(index))
            && is_here(event)
            && let Some(selection) = place_of(event)
        {
            scene.point(selection);
        }
        if let Some(event) = done.row.and_then(|index| events.get(index)) {
            select(snapshot, event, out);
        }
    }
}

fn matches(event: &TraceEvent, filter: &str) -> bool {
    filter.is_empty()
        || words(event)
            .iter()
            .any(|word| word.to_lowercase().contains(filter))
}

fn columns(width: f32) -> [Column; 8] {
    let address = (width * 0.3).clamp(140.0, 290.0);
    let widths = [50.0, 38.0, 60.0, address, 62.0, 66.0, 96.0, 0.0];
    let mut columns = TITLES.map(|title| Column {
        title,
        width: 0.0,
        is_numbers: true,
    });
    for (column, wide) in columns.iter_mut().zip(widths) {
        column.width = wide;
    }
    for place in [2, 4, 6] {
        columns[place].is_numbers = false;
    }
    columns
}

fn words(event: &TraceEvent) -> Vec<String> {
    let caller = match (event.symbol.as_str(), event.caller.as_u64()) {
        ("", 0) => String::new(),
        ("", address) => format!("{address:#010x}"),
        (symbol, _) => symbol.to_owned(),
    };
    vec![
        event.sequence.to_string(),
        event.hart.to_string(),
        event.kind.name().into(),
        event_place(event),
        match event.size {
            0 => String::new(),
            size => size_text(size),
        },
        event
            .flags
            .map_or_else(String::new, |flags| flags.to_string()),
        event.space.clone().unwrap_or_default(),
        caller,
    ]
}

/// Selects the address that an event is about, in the space that it was about.
fn select(snapshot: &Snapshot, event: &TraceEvent, out: &mut Vec<UiCommand>) {
    if let Some(space) = event
        .space
        .as_deref()
        .and_then(|name| snapshot.space_named(name))
    {
        out.push(UiCommand::ChooseSpace(space.name.clone()));
    }
    out.extend(place_of(event).map(UiCommand::Select));
}

/// The address that an event is about, where it is about one.
fn place_of(event: &TraceEvent) -> Option<Selection> {
    let has_address = !matches!(
        event.kind,
        TraceKind::Switch | TraceKind::Spawn | TraceKind::Exit
    );
    has_address.then(|| Selection::Virtual(VirtAddr::new(event.address)))
}

fn hover(event: &TraceEvent, ui: &mut Ui) {
    let what = match event.kind {
        TraceKind::Kalloc => "kalloc returned a page",
        TraceKind::Kfree => "kfree took a page back",
        TraceKind::Map => "Mapped",
        TraceKind::Unmap => "Unmapped",
        TraceKind::Protect => "Given other permissions",
        TraceKind::Switch => "The hart went to another space",
        TraceKind::Fault => "An access faulted",
        TraceKind::Spawn => "A process began",
        TraceKind::Exit => "A process ended",
        TraceKind::Reserve => "Address space was handed out, with nothing mapped there",
        TraceKind::Release => "Address space was given back",
        TraceKind::Other => "Something that this program has no word for",
    };
    ui.label(RichText::new(what).strong());
    ui.monospace(event_place(event));
    if let Some(flags) = event.flags {
        ui.monospace(format!("{flags}, {}", size_text(event.size)));
    }
    let caller = match event.symbol.as_str() {
        "" => format!("{:#x}", event.caller),
        symbol => format!("{symbol} ({:#x})", event.caller),
    };
    ui.label(format!("by {caller} on hart {}", event.hart));
    if let Some(space) = &event.space {
        ui.label(format!("in {space}"));
    }
    ui.label(format!("time {}", event.time));
}

fn empty(ui: &mut Ui, rect: Rect, scene: &Scene<'_>, words: &str) {
    let response = ui.interact(rect, ui.scope_id().with("no trace"), egui::Sense::hover());
    paint::name_canvas(&response, || words.to_owned());
    let font = theme::words(theme::BODY);
    let color = scene.palette.dim;
    let galley = ui.painter().layout(words.into(), font, color, rect.width());
    ui.painter().galley(rect.min, galley, color);
}

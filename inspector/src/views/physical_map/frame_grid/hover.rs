//! What is said of the cell under the mouse.

use egui::{RichText, Ui};
use pagescope_protocol::{PAGE_SIZE, PhysPage};

use super::view::View;
use crate::model::BandKind;
use crate::views::scene::Scene;

/// Says what the cell that begins with `frame` is, and who reaches it.
pub(super) fn hover(ui: &mut Ui, frame: PhysPage, view: &View, scene: &Scene<'_>) {
    if view.per_cell > 1 {
        let last = frame.number() + view.per_cell - 1;
        let last = last.min(view.frames.end - 1);
        ui.label(RichText::new(format!("{} frames from {frame}", view.per_cell)).strong());
        let inside = scene.derived.partition.iter().filter(|band| {
            band.start / PAGE_SIZE <= last && band.last() / PAGE_SIZE >= frame.number()
        });
        for band in inside.take(8) {
            let name = if band.name.is_empty() {
                "RAM"
            } else {
                &band.name
            };
            ui.label(name);
        }
        ui.label("A click shows them one by one.");
        return;
    }
    ui.label(RichText::new(format!("Frame {frame}")).strong());
    let band = scene.derived.part_of(frame.start().as_u64());
    let name = band.map_or("", |band| band.name.as_str());
    if !name.is_empty() {
        ui.label(name);
    }
    let heap = scene.state.snapshot().and_then(|snapshot| snapshot.heap);
    if let (Some(BandKind::Heap | BandKind::Table(_)), Some(heap)) =
        (band.map(|band| band.kind), heap)
        && let Some(number) = heap.index_of(frame.start())
    {
        ui.label(format!("kalloc({number}) returned it."));
    }
    let aliases = scene.derived.index.aliases(frame, 4);
    for alias in &aliases {
        ui.monospace(format!("{} {}", alias.virt, alias.flags));
    }
    if aliases.is_empty() && scene.state.is_translating() {
        ui.label("No address of this space leads here.");
    }
    if scene.derived.fresh_frames.binary_search(&frame).is_ok() {
        ui.label("New in this step.");
    }
}

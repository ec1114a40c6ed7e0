//! The frame: who maps it, and which call of the allocator returned it.

use egui::{RichText, Ui};
use pagescope_protocol::snapshot::Snapshot;
use pagescope_protocol::{LeafFlags, PhysPage};

use super::{Elsewhere, heading, link};
use crate::export::text::leaf_place;
use crate::model::{History, Selection, size_text};
use crate::views::command::UiCommand;
use crate::views::page_tables::level_list;
use crate::views::scene::Scene;
use crate::views::theme;

/// The most addresses that are listed.
const ALIASES: usize = 16;

/// Draws what is known of the selected frame.
pub(super) fn show(
    ui: &mut Ui,
    scene: &Scene<'_>,
    elsewhere: &[Elsewhere],
    out: &mut Vec<UiCommand>,
) {
    let (Some(frame), Some(snapshot)) = (scene.derived.focus.frame(), scene.state.snapshot())
    else {
        return;
    };
    if scene.state.is_translating() {
        table_windows(ui, scene, frame, out);
        who_maps(ui, scene, frame, elsewhere, out);
    }
    allocated(ui, scene, frame, snapshot, out);
}

/// Where a frame that is a page table can be written.
fn table_windows(ui: &mut Ui, scene: &Scene<'_>, frame: PhysPage, out: &mut Vec<UiCommand>) {
    let Some(facts) = scene.derived.table_facts(frame) else {
        return;
    };
    let dim = scene.palette.dim;
    let remark = match facts.table.parent {
        None => format!("the root, {}", facts.level()),
        Some(_) => facts.level().to_string(),
    };
    heading(ui, scene, "Page table", &remark);
    let words = |ui: &mut Ui, text: String, color| {
        ui.label(RichText::new(text).size(12.0).color(color));
    };
    match facts.window() {
        None => words(
            ui,
            "No window: no address of this space leads to it.".into(),
            dim,
        ),
        Some(window) => {
            ui.horizontal(|ui| {
                words(ui, "window".into(), dim);
                link::virt(ui, window.virt, out);
            });
            let place = leaf_place(facts, window);
            words(ui, format!("leaf {place}, {}", window.flags), dim);
        }
    }
    if !facts.is_sound() {
        let is_fault = scene
            .state
            .snapshot()
            .is_none_or(|snapshot| facts.is_fault(snapshot));
        let ink = if is_fault { scene.palette.danger } else { dim };
        words(ui, facts.verdict().into(), ink);
    }
    if !facts.also_read_as.is_empty() {
        let roles = level_list(&facts.also_read_as);
        let text = format!("Also read as {roles}, through the root's entry to itself.");
        words(ui, text, dim);
    }
}

fn who_maps(
    ui: &mut Ui,
    scene: &Scene<'_>,
    frame: PhysPage,
    elsewhere: &[Elsewhere],
    out: &mut Vec<UiCommand>,
) {
    let dim = scene.palette.dim;
    heading(ui, scene, &format!("Who maps frame {frame}"), "");
    let aliases = scene.derived.index.aliases(frame, ALIASES);
    for alias in &aliases {
        ui.horizontal(|ui| {
            link::virt(ui, alias.virt, out);
            let who = if alias.flags.contains(LeafFlags::USER) {
                "user"
            } else {
                "supervisor"
            };
            let flags: String = alias.flags.to_string().chars().take(3).collect();
            let size = size_text(alias.page_size);
            let words = if ui.available_width() > 150.0 {
                format!("{flags}  {who}  {size}")
            } else {
                format!("{flags} {} {size}", &who[..1])
            };
            let words = RichText::new(words).monospace().size(11.0).color(dim);
            ui.add(egui::Label::new(words).truncate());
        });
    }
    let remark = match aliases.len() {
        0 => "No address of this space leads to it.",
        1 => "No other mapping in this space.",
        ALIASES => "Perhaps more.",
        _ => "",
    };
    if !remark.is_empty() {
        ui.label(RichText::new(remark).size(theme::SMALL).color(dim));
    }
    for other in elsewhere {
        ui.horizontal_wrapped(|ui| {
            ui.style_mut().wrap_mode = Some(egui::TextWrapMode::Extend);
            ui.spacing_mut().item_spacing.x = 6.0;
            ui.label(RichText::new(format!("{}:", other.space)).size(12.0));
            let address = RichText::new(other.virt.to_string()).font(theme::numbers(11.5));
            let go = ui.add(egui::Link::new(address));
            let said = format!("{} in {}", other.virt, other.space);
            go.widget_info(|| egui::WidgetInfo::labeled(egui::Role::Link, true, &said));
            let text = other.virt.to_string();
            link::copies(&go, &[("Copy address", &text)]);
            if go
                .on_hover_text("Look at that space, at this address")
                .clicked()
            {
                out.push(UiCommand::ChooseSpace(other.space.clone()));
                out.push(UiCommand::Select(Selection::Virtual(other.virt)));
            }
            let more = match other.more {
                0 => String::new(),
                more => format!(" and {more} more"),
            };
            let words = format!("{}{more}", other.flags);
            ui.label(RichText::new(words).font(theme::numbers(11.0)).color(dim));
        });
    }
    if scene
        .state
        .snapshot()
        .is_some_and(|snapshot| snapshot.spaces.len() > 1)
        && elsewhere.is_empty()
    {
        super::remark(ui, scene, "No other space leads to it.");
    }
}

fn allocated(
    ui: &mut Ui,
    scene: &Scene<'_>,
    frame: PhysPage,
    snapshot: &Snapshot,
    out: &mut Vec<UiCommand>,
) {
    let Some(number) = snapshot.heap.and_then(|heap| heap.index_of(frame.start())) else {
        return;
    };
    heading(ui, scene, "Allocated", "");
    ui.horizontal(|ui| {
        let words = format!("kalloc({number}) returned it");
        ui.label(RichText::new(words).size(12.0));
        if let Some(place) = moment_of_call(&scene.state.history, frame) {
            let step = egui::Link::new(RichText::new(format!("step {place}")).monospace());
            if ui.add(step).on_hover_text("Go to this moment").clicked() {
                out.push(UiCommand::Seek(place));
            }
        } else {
            let before = RichText::new("before the first moment").size(theme::SMALL);
            let before = before.color(scene.palette.dim);
            ui.add(egui::Label::new(before).truncate());
        }
    });
}

/// The first moment at which the allocator had handed the frame out; `None` where it had done so
/// from the first one on. The allocator's lowest page only ever moves down.
fn moment_of_call(history: &History, frame: PhysPage) -> Option<usize> {
    let is_out = |snapshot: &Snapshot| {
        snapshot
            .heap
            .is_some_and(|heap| heap.index_of(frame.start()).is_some())
    };
    let place = history
        .moments()
        .partition_point(|moment| !is_out(&moment.snapshot));
    (place > 0 && place < history.moments().len()).then_some(place)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::fixture;

    #[test]
    fn the_call_is_found_among_the_moments() {
        let history = fixture::history(5);
        let page = |address: u64| PhysPage::from_truncated(address >> 12);
        assert_eq!(moment_of_call(&history, page(0x87ff_5000)), Some(2));
        assert_eq!(moment_of_call(&history, page(0x87ff_e000)), None);
    }
}

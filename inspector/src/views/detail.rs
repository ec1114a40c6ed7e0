//! The detail pane: everything about what is selected, from the entry's bits to the frame's bytes.

mod contents;
mod entry;
mod frame;

use egui::{RichText, ScrollArea, Ui};

use super::command::UiCommand;
use super::derived::ChainLink;
use super::scene::Scene;
use super::theme;

/// Draws the pane into `ui`.
pub fn show(ui: &mut Ui, scene: &Scene<'_>, out: &mut Vec<UiCommand>) {
    ScrollArea::vertical()
        .id_salt("detail")
        .auto_shrink(false)
        .show(ui, |ui| {
            ui.spacing_mut().item_spacing.y = 4.0;
            if scene.derived.focus.is_empty() {
                nothing_selected(ui, scene);
                return;
            }
            unsettled(ui, scene);
            entry::show(ui, scene, out);
            frame::show(ui, scene, out);
            contents::show(ui, scene, out);
            over_time(ui, scene, out);
            ui.add_space(8.0);
        });
}

fn nothing_selected(ui: &mut Ui, scene: &Scene<'_>) {
    ui.label(RichText::new("Nothing is selected").heading());
    let dim = scene.palette.dim;
    for text in [
        "Click a band, a cell of a table, or a frame: the same thing is selected everywhere, and a \
         line shows its way through the tables.",
        "Ctrl+L takes an address: 0x87ff3000 is virtual, p:0x87ff3000 is physical. Names work too: \
         .text, UART0.",
    ] {
        ui.label(RichText::new(text).color(dim));
    }
}

/// Says of a selection that goes through a torn table that it may not be so.
fn unsettled(ui: &mut Ui, scene: &Scene<'_>) {
    let chain = scene.derived.chain.iter();
    let torn = chain.filter_map(|link| match link {
        ChainLink::Table(level, frame) if scene.is_torn(*frame) => Some(format!("{level} {frame}")),
        _ => None,
    });
    let torn: Vec<String> = torn.collect();
    if torn.is_empty() {
        return;
    }
    let words = format!(
        "Moving: {} changed while it was read. What stands here may be half old and half new.",
        torn.join(", ")
    );
    ui.label(RichText::new(words).color(scene.palette.danger));
}

/// A heading, with a remark beside it.
fn heading(ui: &mut Ui, scene: &Scene<'_>, title: &str, remark: &str) {
    ui.add_space(10.0);
    ui.horizontal(|ui| {
        ui.label(RichText::new(title).font(theme::strong(theme::BODY)));
        if !remark.is_empty() {
            let remark = RichText::new(remark).size(theme::SMALL);
            ui.add(egui::Label::new(remark.color(scene.palette.dim)).truncate());
        }
    });
}

/// When the entry became what it is.
fn over_time(ui: &mut Ui, scene: &Scene<'_>, out: &mut Vec<UiCommand>) {
    let moments = &scene.derived.entry_history;
    if moments.is_empty() {
        return;
    }
    heading(ui, scene, "Over time", "this entry");
    for at in moments.iter().take(12) {
        ui.horizontal(|ui| {
            let step = egui::Link::new(RichText::new(format!("step {}", at.moment)).monospace());
            if ui.add(step).on_hover_text("Go to this moment").clicked() {
                out.push(UiCommand::Seek(at.moment));
            }
            let words = RichText::new(&at.words).size(12.0).color(scene.palette.dim);
            ui.add(egui::Label::new(words).truncate());
        });
    }
    if moments.len() > 12 {
        let more = format!("and {} times before", moments.len() - 12);
        ui.label(RichText::new(more).color(scene.palette.dim));
    }
}

//! This thing's history: when the entry became what it is, and what happened to the frame.

use egui::{RichText, Ui};

use super::heading;
use crate::model::frame_history::FrameMoment;
use crate::views::command::UiCommand;
use crate::views::scene::Scene;

/// Most moments that are listed of each.
const MOST: usize = 12;

/// Draws both histories.
pub(super) fn show(
    ui: &mut Ui,
    scene: &Scene<'_>,
    frame: &[FrameMoment],
    out: &mut Vec<UiCommand>,
) {
    let entry = &scene.derived.entry_history;
    if !entry.is_empty() {
        heading(ui, scene, "Over time", "this entry");
        let rows = entry.iter().map(|at| (at.moment, at.words.as_str()));
        list(ui, scene, rows, out);
    }
    if !frame.is_empty() {
        let remark = "this frame";
        match entry.is_empty() {
            true => heading(ui, scene, "Over time", remark),
            false => heading(ui, scene, "", remark),
        }
        let rows = frame.iter().map(|at| (at.moment, at.words.as_str()));
        list(ui, scene, rows, out);
    }
}

fn list<'a>(
    ui: &mut Ui,
    scene: &Scene<'_>,
    rows: impl ExactSizeIterator<Item = (usize, &'a str)>,
    out: &mut Vec<UiCommand>,
) {
    let more = rows.len().saturating_sub(MOST);
    for (moment, words) in rows.take(MOST) {
        ui.horizontal(|ui| {
            let step = egui::Link::new(RichText::new(format!("step {moment}")).monospace());
            if ui.add(step).on_hover_text("Go to this moment").clicked() {
                out.push(UiCommand::Seek(moment));
            }
            let said = RichText::new(words).size(12.0).color(scene.palette.dim);
            ui.add(egui::Label::new(said).truncate());
        });
    }
    if more > 0 {
        let words = format!("and {more} times before");
        ui.label(RichText::new(words).color(scene.palette.dim));
    }
}

//! What the selection is: its heading, and of an entry its bits, what they mean and what they allow.

use egui::{Align, Button, RichText, Ui};
use pagescope_protocol::{Pte, PteKind, TranslationMode};

use super::{bits, link, sentence_case};
use crate::model::entry_fields::leads_to;
use crate::model::{entry_words, size_text};
use crate::views::actions;
use crate::views::command::UiCommand;
use crate::views::page_tables::OWN_WINDOW;
use crate::views::paint;
use crate::views::scene::Scene;
use crate::views::theme;

/// The size of the heading where there is room.
const HEADING: f32 = 17.0;

/// Draws the heading and the entry.
pub(super) fn show(ui: &mut Ui, scene: &Scene<'_>, out: &mut Vec<UiCommand>) {
    let focus = &scene.derived.focus;
    let mode = scene.derived.mode();
    let dim = scene.palette.dim;
    if let Some((level, frame)) = focus.table {
        title(ui, scene, &format!("{level} table at {frame}"), out);
        let table = scene
            .state
            .space()
            .and_then(|space| space.table_at(frame, level));
        if let Some(table) = table {
            ui.label(
                RichText::new(format!(
                    "Translates {} from {}. {} of {} entries are valid.",
                    size_text(mode.table_size(level)),
                    table.covers_from,
                    table.valid_entries(),
                    mode.entries(level)
                ))
                .color(dim),
            );
        }
    } else if let Some(step) = focus.entry() {
        title(ui, scene, &entry_words::title(step), out);
        value(ui, scene, &value_text(mode, step.pte));
        bits::show(ui, scene, mode, step.pte, step.kind);
        let space = scene.state.space();
        let table = space.and_then(|space| space.table_at(step.table, step.level));
        let is_own_window =
            table.is_some_and(|table| scene.derived.is_own_window(table, step.index, step.pte));
        let words = if is_own_window {
            OWN_WINDOW.to_owned()
        } else {
            entry_words::sentence(mode, step.kind, step.level)
        };
        ui.label(RichText::new(words).color(dim));
        if !matches!(step.kind, PteKind::Invalid) {
            let words = format!("Its PPN names {}.", leads_to(step.pte, step.kind));
            ui.label(RichText::new(words).size(theme::SMALL).color(dim));
        }
        if matches!(step.kind, PteKind::Leaf(_)) {
            accesses(ui, scene);
        }
    } else if let Some(phys) = focus.phys {
        title(ui, scene, &format!("Frame {}", phys.align_down(4096)), out);
        let words = if scene.state.is_translating() {
            "No address of this space leads to it."
        } else {
            "Translation is off: this is also its virtual address."
        };
        ui.label(RichText::new(words).color(dim));
    } else if let Some(virt) = focus.virt {
        title(ui, scene, &format!("Address {virt}"), out);
    }
}

/// The heading, with what copies the whole selection beside it.
pub(super) fn title(ui: &mut Ui, scene: &Scene<'_>, words: &str, out: &mut Vec<UiCommand>) {
    if scene.is_picture {
        ui.add(egui::Label::new(RichText::new(words).heading()).truncate());
        return;
    }
    ui.horizontal(|ui| {
        ui.with_layout(egui::Layout::right_to_left(Align::Center), |ui| {
            let copy = Button::new(RichText::new("Copy").size(theme::SMALL)).small();
            let hint = actions::hint("Copy selection");
            let response = ui.add(copy).on_hover_text(hint);
            response.widget_info(|| {
                egui::WidgetInfo::labeled(egui::Role::Button, true, "Copy selection")
            });
            if response.clicked() {
                out.push(UiCommand::Desk(
                    crate::views::command::DeskCommand::CopySelection,
                ));
            }
            ui.with_layout(egui::Layout::left_to_right(Align::Center), |ui| {
                // A narrow pane has smaller letters rather than half a heading.
                let sizes = [HEADING, 15.0, 13.5];
                let fits = |size: &f32| {
                    let wide = paint::width(ui.painter(), words, theme::strong(*size));
                    wide <= ui.available_width()
                };
                let size = sizes.into_iter().find(fits).unwrap_or(12.0);
                let words = RichText::new(words).font(theme::strong(size));
                ui.add(egui::Label::new(words).truncate());
            });
        });
    });
}

/// What may be done at the address, a line each.
fn accesses(ui: &mut Ui, scene: &Scene<'_>) {
    for access in &scene.derived.access {
        let color = match access.allowed {
            Some(false) => scene.palette.danger,
            _ => scene.palette.dim,
        };
        let text = sentence_case(&access.to_string());
        ui.label(RichText::new(text).size(theme::SMALL).color(color));
    }
}

/// All its digits: eight on RV32, sixteen on RV64.
fn value_text(mode: TranslationMode, pte: Pte) -> String {
    match mode.entry_bytes() {
        4 => format!("{:#010x}", pte.bits()),
        _ => pte.to_string(),
    }
}

fn value(ui: &mut Ui, scene: &Scene<'_>, value: &str) {
    let text = RichText::new(value).font(theme::numbers(13.0));
    let response = ui
        .add(egui::Label::new(text).sense(egui::Sense::click()))
        .on_hover_text("The entry's value. The other button of the mouse copies it.");
    let step = scene.derived.focus.entry();
    let at = step.map_or_else(String::new, |step| step.pte_address.to_string());
    link::copies(
        &response,
        &[("Copy value", value), ("Copy the entry's address", &at)],
    );
}

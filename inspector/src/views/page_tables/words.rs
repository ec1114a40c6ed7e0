//! What a table is, in words.

use egui::{RichText, Ui};
use pagescope_protocol::Level;
use pagescope_protocol::snapshot::Table;

use crate::export::text::leaf_place;
use crate::model::size_text;
use crate::views::scene::Scene;

/// `L1 and L0`.
pub(in crate::views) fn level_list(levels: &[Level]) -> String {
    let names: Vec<String> = levels.iter().map(Level::to_string).collect();
    names.join(" and ")
}

/// The words over a table's name.
pub(super) fn describe_table(ui: &mut Ui, table: &Table, scene: &Scene<'_>) {
    let mode = scene.derived.mode();
    ui.label(RichText::new(format!("{} table at {}", table.level, table.frame)).strong());
    ui.label(format!(
        "Translates {} from {}, one entry for {}.",
        size_text(mode.table_size(table.level)),
        table.covers_from,
        size_text(mode.entry_size(table.level))
    ));
    if scene.is_torn(table.frame) {
        ui.label("It was moving while it was read: what it shows may be half old and half new.");
    }
    match table.parent {
        None => ui.label(format!(
            "The root: {} holds its frame.",
            scene.derived.root_register()
        )),
        Some(parent) => ui.label(format!(
            "Linked by entry {} of the table at {parent}.",
            table.parent_index
        )),
    };
    if table.other_parents > 0 {
        ui.label(format!("{} more entries lead here.", table.other_parents));
    }
    if let Some(facts) = scene.derived.table_facts(table.frame) {
        if let Some(role) = facts.role_at(table.level) {
            ui.label(format!(
                "It is {role}: the root's entry to itself leads here."
            ));
        } else if !facts.also_read_as.is_empty() {
            ui.label(format!(
                "Also read as {}, through the root's entry to itself.",
                level_list(&facts.also_read_as)
            ));
        }
        match facts.window() {
            Some(window) => ui.label(format!(
                "Its window is {}: the leaf {}.",
                window.virt,
                leaf_place(facts, window)
            )),
            None => ui.label("No address of this space leads to it."),
        };
    }
    match table.entries {
        None => ui.label("Its frame could not be read."),
        Some(_) => ui.label(format!(
            "{} of {} entries are valid.",
            table.valid_entries(),
            mode.entries(table.level)
        )),
    };
}

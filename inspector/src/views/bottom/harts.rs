//! The harts: where each stands, and in which space. Pressing one looks at it.

use egui::{Rect, Ui};
use pagescope_protocol::snapshot::{Hart, Snapshot};

use super::lists::empty;
use super::rows::{Column, List, Row, as_text};
use crate::link::StopReason;
use crate::model::Selection;
use crate::model::csr_fields::cause_words;
use crate::views::command::UiCommand;
use crate::views::scene::Scene;

/// Draws the list into `rect`.
pub(super) fn show(ui: &mut Ui, rect: Rect, scene: &Scene<'_>, out: &mut Vec<UiCommand>) {
    let Some(snapshot) = scene.state.snapshot() else {
        return empty(ui, rect, scene, "Nothing is open.");
    };
    if snapshot.harts.is_empty() {
        return empty(ui, rect, scene, "This snapshot holds no harts.");
    }
    let wide = (rect.width() - 536.0).max(120.0);
    let column = |title, width, is_numbers| Column {
        title,
        width,
        is_numbers,
    };
    let columns = [
        column("Hart", 62.0, false),
        column("Stopped by", 96.0, false),
        column("Mode", 62.0, false),
        column("pc", 156.0, true),
        column("At", wide * 0.42, false),
        column("Space", wide * 0.26, false),
        column("satp", 160.0, true),
        column("Last trap", 100.0, false),
    ];
    let chosen = scene.state.hart().map(|hart| hart.id);
    let harts = &snapshot.harts;
    let moment = scene.state.moment();
    let reason = moment.and_then(|moment| scene.state.guest.reason(moment.id));
    let words = |index: usize| {
        harts
            .get(index)
            .map_or_else(Vec::new, |hart| row_of(snapshot, hart, reason))
    };
    let list = List {
        name: "harts",
        columns: &columns,
        count: harts.len(),
        sorted: None,
    };
    let row = |index: usize| Row {
        words: words(index),
        is_dim: false,
        is_selected: harts.get(index).map(|hart| hart.id) == chosen,
    };
    let hover = |index: usize, ui: &mut Ui| {
        ui.label(format!(
            "{}\nPress to look at this hart and its space.",
            words(index).join("\n")
        ));
    };
    let copy = |index: usize| {
        vec![
            ("Copy row", words(index).join("\t")),
            ("Copy all", as_text((0..harts.len()).map(words))),
        ]
    };
    let done = list.show(ui, rect, scene, row, hover, copy);
    let hovered = done.hovered.and_then(|index| harts.get(index)?.pc);
    if let Some(pc) = hovered {
        scene.point(Selection::Virtual(pc));
    }
    if let Some(hart) = done.row.and_then(|index| harts.get(index)) {
        out.push(UiCommand::ChooseHart(hart.id));
    }
}

fn row_of(snapshot: &Snapshot, hart: &Hart, reason: Option<StopReason>) -> Vec<String> {
    let space = snapshot.space_of_hart(hart.id);
    let satp = hart.satp.map(|satp| format!("{:#x}", satp.bits()));
    vec![
        format!("hart {}", hart.id),
        reason.map_or_else(String::new, |reason| reason.words_of(hart.id)),
        hart.privilege.clone().unwrap_or_else(|| "?".into()),
        hart.pc.map_or_else(|| "?".into(), |pc| pc.to_string()),
        hart.place.clone(),
        space.map_or_else(String::new, |space| space.name.clone()),
        satp.unwrap_or_else(|| "not shown".into()),
        last_trap(hart),
    ]
}

/// Why it trapped last, into the privilege that it is in.
fn last_trap(hart: &Hart) -> String {
    let name = match hart.privilege.as_deref() {
        Some("M") => "mcause",
        Some("VS" | "VU") => "vscause",
        _ => "scause",
    };
    let value = |name: &str| {
        let mut registers = hart.registers.iter();
        let found = registers.find(|register| register.name == name);
        found.map(|register| register.value)
    };
    let Some(cause) = value(name) else {
        return String::new();
    };
    // Cause 0 at address 0 is what a machine has before its first trap.
    if cause == 0 && value(&name.replace("cause", "epc")) == Some(0) {
        return "none yet".into();
    }
    let top = match hart.satp.map(|satp| satp.xlen()) {
        Some(pagescope_protocol::Xlen::Rv32) => 31,
        _ => 63,
    };
    cause_words(cause >> top & 1 == 1, cause & !(1 << top))
}

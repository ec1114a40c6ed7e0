//! The hart's registers: control and status registers taken apart, integer registers beside them. What is not as at the
//! moment before is marked.

use std::collections::BTreeMap;

use egui::{Align, Rect, ScrollArea, Sense, Ui, vec2};
use pagescope_protocol::snapshot::{Hart, Register};
use pagescope_protocol::{PhysAddr, VirtAddr, Xlen};

use super::lists::{child, empty};
use super::rows::ROW;
use crate::model::Selection;
use crate::model::csr_fields::{Csr, csr};
use crate::model::pmp::pmp;
use crate::views::command::UiCommand;
use crate::views::paint;
use crate::views::scene::Scene;
use crate::views::theme;

/// The width of a column of integer registers.
const CELL: f32 = 216.0;
/// The width of the longest name there, `pmpaddr7` or `mhartid`.
const NAME: f32 = 58.0;

/// Draws the registers of the hart being looked at into `rect`.
pub(super) fn show(ui: &mut Ui, rect: Rect, scene: &Scene<'_>, out: &mut Vec<UiCommand>) {
    let palette = scene.palette;
    let Some(hart) = scene.state.hart() else {
        return empty(ui, rect, scene, "This snapshot holds no registers.");
    };
    if hart.registers.is_empty() {
        let words = "This snapshot holds no registers of this hart.";
        return empty(ui, rect, scene, words);
    }
    let before = registers_before(scene, hart);
    let xlen = hart.satp.map_or(Xlen::Rv64, |satp| satp.xlen());
    let (mut csrs, integers): (Vec<_>, Vec<_>) = hart
        .registers
        .iter()
        .map(|register| {
            let known = csr(&register.name, register.value, xlen);
            let known = known.or_else(|| pmp(register, &hart.registers, xlen));
            (register, known)
        })
        .partition(|(_, csr)| csr.is_some());
    // What decides about addresses comes first.
    csrs.sort_by_key(|(register, _)| !matches!(&*register.name, "satp" | "vsatp" | "hgatp"));
    let mut title = format!("hart {}", hart.id);
    if let Some(mode) = &hart.privilege {
        title.push_str(&format!(", {mode}-mode"));
    }
    if !hart.place.is_empty() {
        title.push_str(&format!(", at {}", hart.place));
    }
    let changed = hart.registers.iter();
    let changed = changed.filter(|register| was(&before, register).is_some());
    match changed.count() {
        0 => {}
        1 => title.push_str(" · 1 register changed (marked)"),
        count => title.push_str(&format!(" · {count} registers changed (marked)")),
    }
    let head = rect.with_max_y(rect.top() + ROW);
    let font = theme::words(12.0);
    paint::line(ui.painter(), head, Align::Min, &title, font, palette.dim);
    let list = rect.with_min_y(head.bottom() + 4.0);
    // Beside each other, as long as the words of CSRs have room.
    let columns = (((list.width() - 470.0) / CELL) as usize).clamp(1, 3);
    let split = list.right() - columns as f32 * CELL;
    let left = list.with_max_x(split - 14.0);
    let right = list.with_min_x(split);
    let mut place = child(ui, left, "csrs");
    ScrollArea::vertical()
        .id_salt("csrs")
        .auto_shrink(false)
        .show_rows(&mut place, ROW, csrs.len(), |ui, range| {
            for (register, csr) in &csrs[range] {
                if let Some(csr) = csr {
                    csr_row(
                        ui,
                        left.width() - 10.0,
                        register,
                        csr,
                        was(&before, register),
                        scene,
                        out,
                    );
                }
            }
        });
    let count = integers.len().div_ceil(columns);
    let mut place = child(ui, right, "integers");
    ScrollArea::vertical()
        .id_salt("integers")
        .auto_shrink(false)
        .show_rows(&mut place, ROW, count, |ui, range| {
            for row in range {
                let (line, _) = ui.allocate_exact_size(vec2(right.width(), ROW), Sense::hover());
                for column in 0..columns {
                    let Some((register, _)) = integers.get(column * count + row) else {
                        continue;
                    };
                    let left = line.left() + column as f32 * CELL;
                    let cell = line.with_min_x(left).with_max_x(left + CELL - 10.0);
                    integer(ui, cell, register, was(&before, register), scene, out);
                }
            }
        });
}

/// The same hart's registers at the moment before.
fn registers_before<'a>(scene: &Scene<'a>, hart: &Hart) -> BTreeMap<&'a str, u64> {
    let history = &scene.state.history;
    let before = history.cursor().checked_sub(1);
    let moment = before.and_then(|place| history.moments().get(place));
    let harts = moment.map_or(&[][..], |moment| &moment.snapshot.harts);
    let same = harts.iter().find(|other| other.id == hart.id);
    let registers = same.into_iter().flat_map(|hart| &hart.registers);
    registers
        .map(|register| (register.name.as_str(), register.value))
        .collect()
}

/// What it was before, where that was something else.
fn was(before: &BTreeMap<&str, u64>, register: &Register) -> Option<u64> {
    let value = *before.get(register.name.as_str())?;
    (value != register.value).then_some(value)
}

fn hex(value: u64) -> String {
    format!("{value:#x}")
}

/// What a register leads to.
fn target(csr: Option<&Csr>, register: &Register) -> Option<Selection> {
    let selection = |address: u64| Selection::Virtual(VirtAddr::new(address));
    match csr {
        Some(csr) => {
            let phys = csr
                .phys
                .map(|phys| Selection::Physical(PhysAddr::new(phys)));
            csr.virt.map(selection).or(phys)
        }
        // A small number is no address.
        None => (register.value >= 0x1000).then(|| selection(register.value)),
    }
}

fn csr_row(
    ui: &mut Ui,
    width: f32,
    register: &Register,
    csr: &Csr,
    was: Option<u64>,
    scene: &Scene<'_>,
    out: &mut Vec<UiCommand>,
) {
    let palette = scene.palette;
    let (row, response) = ui.allocate_exact_size(vec2(width, ROW), Sense::click());
    if response.hovered() || response.has_focus() {
        ui.painter().rect_filled(row, 3.0, palette.raised);
    }
    mark(ui, row, was, scene);
    let numbers = theme::numbers(11.5);
    let painter = ui.painter();
    let color = match was {
        Some(_) => palette.text,
        None => palette.dim,
    };
    let name = row
        .with_min_x(row.left() + 12.0)
        .with_max_x(row.left() + 76.0);
    paint::line(
        painter,
        name,
        Align::Min,
        &register.name,
        numbers.clone(),
        color,
    );
    let value = row
        .with_min_x(row.left() + 80.0)
        .with_max_x(row.left() + 218.0);
    let text = hex(register.value);
    paint::line(painter, value, Align::Min, &text, numbers, palette.text);
    let rest = row.with_min_x(row.left() + 226.0);
    let words = theme::words(12.0);
    paint::line(painter, rest, Align::Min, &csr.summary, words, palette.text);
    finish(response, register, Some(csr), was, scene, out);
}

fn integer(
    ui: &mut Ui,
    cell: Rect,
    register: &Register,
    was: Option<u64>,
    scene: &Scene<'_>,
    out: &mut Vec<UiCommand>,
) {
    let palette = scene.palette;
    let id = ui.scope_id().with(("register", &register.name));
    let response = ui.interact(cell, id, Sense::click());
    if response.hovered() || response.has_focus() {
        ui.painter().rect_filled(cell, 3.0, palette.raised);
    }
    mark(ui, cell, was, scene);
    let numbers = theme::numbers(11.5);
    let painter = ui.painter();
    let name = cell
        .with_min_x(cell.left() + 12.0)
        .with_max_x(cell.left() + 12.0 + NAME);
    let color = match was {
        Some(_) => palette.text,
        None => palette.dim,
    };
    paint::line(
        painter,
        name,
        Align::Min,
        &register.name,
        numbers.clone(),
        color,
    );
    let value = cell.with_min_x(cell.left() + 12.0 + NAME + 6.0);
    let text = hex(register.value);
    paint::line(painter, value, Align::Min, &text, numbers, palette.text);
    finish(response, register, None, was, scene, out);
}

/// A dot beside what has changed.
fn mark(ui: &Ui, row: Rect, was: Option<u64>, scene: &Scene<'_>) {
    if was.is_some() {
        let at = egui::pos2(row.left() + 5.0, row.center().y);
        ui.painter().circle_filled(at, 3.0, scene.palette.fresh);
    }
}

/// What is told, copied and selected.
fn finish(
    response: egui::Response,
    register: &Register,
    csr: Option<&Csr>,
    was: Option<u64>,
    scene: &Scene<'_>,
    out: &mut Vec<UiCommand>,
) {
    let link = target(csr, register);
    let summary = csr.map_or("", |csr| csr.summary.as_str());
    response.widget_info(|| {
        let mut name = format!("{} {}", register.name, hex(register.value));
        if !summary.is_empty() {
            name.push_str(&format!(", {summary}"));
        }
        if let Some(was) = was {
            name.push_str(&format!(", was {}", hex(was)));
        }
        egui::WidgetInfo::labeled(egui::Role::Button, true, name)
    });
    if let Some(selection) = link
        && response.hovered()
    {
        scene.point(selection);
    }
    if response.clicked()
        && let Some(selection) = link
    {
        out.push(UiCommand::Select(selection));
    }
    response.context_menu(|ui| {
        let mut choices = vec![
            ("Copy value", hex(register.value)),
            (
                "Copy name and value",
                format!("{} = {}", register.name, hex(register.value)),
            ),
        ];
        if let Some(csr) = csr.filter(|csr| !csr.fields.is_empty()) {
            let fields: Vec<String> = csr.fields.iter().map(|field| field.text()).collect();
            choices.push(("Copy fields", fields.join("\n")));
        }
        for (name, text) in choices {
            if ui.button(name).clicked() {
                ui.copy_text(text);
                ui.close();
            }
        }
    });
    response.on_hover_ui(|ui| {
        let about = csr.map_or("", |csr| csr.about);
        ui.label(egui::RichText::new(format!("{}  {about}", register.name)).strong());
        if let Some(was) = was {
            ui.label(format!("was {}", hex(was)));
        }
        for field in csr.map_or(&[][..], |csr| &csr.fields) {
            let text = egui::RichText::new(field.text()).font(theme::numbers(11.5));
            ui.label(match field.value {
                0 => text.weak(),
                _ => text,
            });
        }
        if link.is_some() {
            ui.label(egui::RichText::new("Press to look at the address.").weak());
        }
    });
}

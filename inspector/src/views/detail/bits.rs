//! An entry as a drawing of its bits: two rows of 32, each field in its own colour with its name under it.
//!
//! ```text
//!  63 61       53                            32
//!  0 00 0000000 0000000000000000000000
//!  N MT reserved  PPN
//!  31                    10 9 8 7 6 5 4 3 2 1 0
//!  0010000111111111110011 0 0 1 1 1 0 0 1 1 1
//!  PPN                      RSW D A G U X W R V
//! ```

use egui::{Align, Color32, CornerRadius, Rect, RichText, Sense, Ui, pos2, vec2};
use pagescope_protocol::{Pte, PteKind, TranslationMode};

use super::link;
use crate::model::entry_fields::{Field, fields};
use crate::views::paint;
use crate::views::scene::Scene;
use crate::views::theme;

/// Bits in a row.
const ROW_BITS: u32 = 32;
const NUMBERS_HEIGHT: f32 = 11.0;
const CELL_HEIGHT: f32 = 18.0;
const NAMES_HEIGHT: f32 = 14.0;

/// Draws the bits of `pte`, and below them, on request, each field in words.
pub(super) fn show(ui: &mut Ui, scene: &Scene<'_>, mode: TranslationMode, pte: Pte, kind: PteKind) {
    let fields = fields(mode, pte);
    let top = fields.first().map_or(63, |field| field.bits.0);
    let mut high = top;
    loop {
        let low = high + 1 - ROW_BITS;
        row(ui, scene, &fields, pte, kind, (high, low));
        match low.checked_sub(1) {
            Some(next) => high = next,
            None => break,
        }
    }
    egui::CollapsingHeader::new(RichText::new("Each field in words").size(theme::SMALL))
        .id_salt("fields")
        .show(ui, |ui| {
            for field in &fields {
                words(ui, scene, field);
            }
        });
}

fn color_of(scene: &Scene<'_>, field: &Field, kind: PteKind) -> Color32 {
    let palette = scene.palette;
    match kind {
        _ if field.is_wrong => palette.danger,
        _ if !field.is_set() => palette.raised,
        PteKind::Leaf(_) => palette.data,
        PteKind::Pointer(_) => palette.accent(),
        PteKind::Reserved(_) => palette.danger,
        PteKind::Invalid => palette.dim,
    }
}

fn row(
    ui: &mut Ui,
    scene: &Scene<'_>,
    fields: &[Field],
    pte: Pte,
    kind: PteKind,
    (high, low): (u32, u32),
) {
    let palette = scene.palette;
    let height = NUMBERS_HEIGHT + CELL_HEIGHT + NAMES_HEIGHT;
    let (rect, _) = ui.allocate_exact_size(vec2(ui.available_width(), height), Sense::hover());
    let cell = (rect.width() / ROW_BITS as f32).min(16.0);
    let left = |bit: u32| rect.left() + (high - bit) as f32 * cell;
    let digits = theme::numbers((cell * 1.25).clamp(7.0, 12.0));
    let tiny = theme::numbers(8.5);
    for field in fields {
        let (from, to) = (field.bits.0.min(high), field.bits.1.max(low));
        if field.bits.0 < low || field.bits.1 > high {
            continue;
        }
        let cells = Rect::from_min_max(
            pos2(left(from), rect.top() + NUMBERS_HEIGHT),
            pos2(left(to) + cell, rect.top() + NUMBERS_HEIGHT + CELL_HEIGHT),
        );
        let inside = cells.shrink2(vec2(0.5, 0.0));
        let fill = color_of(scene, field, kind);
        let painter = ui.painter();
        painter.rect_filled(inside, CornerRadius::same(2), fill);
        let ink = match field.is_set() || field.is_wrong {
            true => palette.ink_on(fill),
            false => palette.dim,
        };
        for bit in to..=from {
            let digit = if pte.bits() >> bit & 1 == 1 { "1" } else { "0" };
            let place = Rect::from_min_size(pos2(left(bit), cells.top()), vec2(cell, CELL_HEIGHT));
            let center = place.center();
            let anchor = egui::Align2::CENTER_CENTER;
            painter.text(center, anchor, digit, digits.clone(), ink);
        }
        numbers(ui, scene, cells, (from, to), to == low, &tiny);
        name(ui, scene, cells, field, cell);
        let id = ui.scope_id().with(("field", field.bits.0, high));
        let whole = cells.with_min_y(rect.top()).with_max_y(rect.bottom());
        let response = ui.interact(whole, id, Sense::click());
        response.widget_info(|| {
            let name = match field.bits.0 > high {
                true => format!("{}, its lower bits", field.name),
                false => format!("{}, {}, {}", field.name, field.place(), field.value_text()),
            };
            egui::WidgetInfo::labeled(egui::Role::Label, true, name)
        });
        let value = field.value_text();
        link::copies(&response, &[("Copy value", &value)]);
        response.on_hover_ui(|ui| {
            ui.label(
                RichText::new(format!("{}, {} = {value}", field.name, field.place())).strong(),
            );
            ui.label(field.meaning);
        });
    }
}

/// The numbers of a field's first and last bit, where there is room for them.
fn numbers(
    ui: &Ui,
    scene: &Scene<'_>,
    cells: Rect,
    (from, to): (u32, u32),
    ends_row: bool,
    font: &egui::FontId,
) {
    let painter = ui.painter();
    let place = Rect::from_min_max(
        pos2(cells.left(), cells.top() - NUMBERS_HEIGHT),
        pos2(cells.right(), cells.top()),
    );
    let dim = scene.palette.dim;
    let wide = |text: &str| paint::width(painter, text, font.clone());
    let (first, last) = (from.to_string(), to.to_string());
    if from == to {
        if wide(&first) <= place.width() + 1.0 {
            paint::line(
                painter,
                place.expand2(vec2(1.0, 0.0)),
                Align::Center,
                &first,
                font.clone(),
                dim,
            );
        }
        return;
    }
    // The next field's first bit says where this one ends, except at the end of the row.
    if ends_row && wide(&first) + wide(&last) + 3.0 <= place.width() {
        paint::line(painter, place, Align::Min, &first, font.clone(), dim);
        paint::line(painter, place, Align::Max, &last, font.clone(), dim);
    } else if wide(&first) <= place.width() + 1.0 {
        paint::line(
            painter,
            place.expand2(vec2(1.0, 0.0)),
            Align::Min,
            &first,
            font.clone(),
            dim,
        );
    }
}

/// The field's name under it; a shorter one where it does not fit.
fn name(ui: &Ui, scene: &Scene<'_>, cells: Rect, field: &Field, cell: f32) {
    let painter = ui.painter();
    let place = Rect::from_min_max(
        pos2(cells.left(), cells.bottom()),
        pos2(cells.right(), cells.bottom() + NAMES_HEIGHT),
    );
    let font = theme::numbers((cell * 1.2).clamp(8.0, 10.5));
    let long = match field.name {
        "PPN" => format!("PPN {:#x}", field.value),
        name => name.to_owned(),
    };
    let short = match field.name {
        "PBMT" => "MT",
        "reserved" => "res.",
        "RSW" => "RS",
        name => name,
    };
    let fits = |text: &str| paint::width(painter, text, font.clone()) <= place.width() + 1.0;
    let text = if fits(&long) { long.as_str() } else { short };
    if !fits(text) {
        return;
    }
    let ink = match field.is_set() {
        true => scene.palette.text,
        false => scene.palette.dim,
    };
    let place = place.expand2(vec2(1.0, 0.0));
    paint::line(painter, place, Align::Center, text, font, ink);
}

/// A field in words: `W  bit 2  1`, and what it means.
fn words(ui: &mut Ui, scene: &Scene<'_>, field: &Field) {
    let ink = match (field.is_wrong, field.is_set()) {
        (true, _) => scene.palette.danger,
        (_, true) => scene.palette.text,
        _ => scene.palette.dim,
    };
    ui.horizontal_wrapped(|ui| {
        ui.spacing_mut().item_spacing.x = 6.0;
        let head = format!("{} = {}", field.name, field.value_text());
        ui.label(
            RichText::new(head)
                .font(theme::strong_numbers(11.0))
                .color(ink),
        );
        let words = format!("{}. {}", field.place(), field.meaning);
        ui.label(
            RichText::new(words)
                .size(theme::SMALL)
                .color(scene.palette.dim),
        );
    });
}

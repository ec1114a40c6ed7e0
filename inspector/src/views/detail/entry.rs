//! The entry's bits with their names, and the walk as arithmetic.

use egui::{Align, Color32, CornerRadius, Rect, RichText, Sense, Ui, pos2, vec2};
use pagescope_protocol::translate::{Outcome, Step, Translation};
use pagescope_protocol::two_stage::{GuestStep, StagedOutcome, StagedTranslation};
use pagescope_protocol::{Pte, PteKind, TranslationMode, VirtAddr};

use super::heading;
use crate::model::entry_words::{self, Field};
use crate::model::{Selection, size_text};
use crate::views::command::UiCommand;
use crate::views::page_tables::OWN_WINDOW;
use crate::views::paint;
use crate::views::scene::Scene;
use crate::views::theme;

/// Draws the entry and the walk.
pub(super) fn show(ui: &mut Ui, scene: &Scene<'_>, out: &mut Vec<UiCommand>) {
    let focus = &scene.derived.focus;
    let mode = scene.derived.mode();
    if let Some((level, frame)) = focus.table {
        ui.label(RichText::new(format!("{level} table at {frame}")).heading());
        if let Some(table) = scene
            .state
            .space()
            .and_then(|space| space.table_at(frame, level))
        {
            ui.label(
                RichText::new(format!(
                    "Translates {} from {}. {} of {} entries are valid.",
                    size_text(mode.table_size(level)),
                    table.covers_from,
                    table.valid_entries(),
                    mode.entries(level)
                ))
                .color(scene.palette.dim),
            );
        }
    } else if let Some(step) = focus.entry() {
        ui.label(RichText::new(entry_words::title(step)).heading());
        value(ui, scene, &value_text(mode, step.pte));
        strip(ui, scene, &entry_words::fields(mode, step.pte), step.kind);
        let space = scene.state.space();
        let table = space.and_then(|space| space.table_at(step.table, step.level));
        let is_own_window =
            table.is_some_and(|table| scene.derived.is_own_window(table, step.index, step.pte));
        let words = if is_own_window {
            OWN_WINDOW.to_owned()
        } else {
            entry_words::sentence(mode, step.kind, step.level)
        };
        ui.label(RichText::new(words).color(scene.palette.dim));
        if matches!(step.kind, PteKind::Leaf(_)) {
            accesses(ui, scene);
        }
    } else if let Some(phys) = focus.phys {
        ui.label(RichText::new(format!("Frame {}", phys.align_down(4096))).heading());
        let words = if scene.state.is_translating() {
            "No address of this space leads to it."
        } else {
            "Translation is off: this is also its virtual address."
        };
        ui.label(RichText::new(words).color(scene.palette.dim));
    } else if let Some(virt) = focus.virt {
        ui.label(RichText::new(format!("Address {virt}")).heading());
    }
    if let (Some(virt), true) = (focus.virt, scene.state.is_translating()) {
        walk(ui, scene, virt, out);
    }
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
    ui.horizontal(|ui| {
        let text = RichText::new(value).font(theme::numbers(13.0));
        ui.label(text);
        ui.with_layout(egui::Layout::right_to_left(Align::Center), |ui| {
            let copy = egui::Link::new(RichText::new("copy").size(theme::SMALL));
            if ui
                .add(copy)
                .on_hover_text("Copy the entry's value")
                .clicked()
            {
                ui.ctx().copy_text(value.to_owned());
            }
            let _ = scene;
        });
    });
}

/// The fields side by side: the PPN takes what the others leave.
fn strip(ui: &mut Ui, scene: &Scene<'_>, fields: &[Field], kind: PteKind) {
    // The flags go into a line of their own where the page number would not fit beside them.
    if ui.available_width() < ONE_LINE {
        let flags = fields.len().saturating_sub(8);
        strip_line(ui, scene, &fields[..flags], kind);
        strip_line(ui, scene, &fields[flags..], kind);
    } else {
        strip_line(ui, scene, fields, kind);
    }
}

/// All fields fit into one line from this width on.
const ONE_LINE: f32 = 274.0;

fn strip_line(ui: &mut Ui, scene: &Scene<'_>, fields: &[Field], kind: PteKind) {
    let palette = scene.palette;
    let (rect, _) = ui.allocate_exact_size(vec2(ui.available_width(), 24.0), Sense::hover());
    let gap = 2.0;
    let fixed = |field: &Field| match field.text.as_str() {
        text if text.starts_with("PPN") => None,
        text if text.len() == 1 => Some(18.0),
        text => Some(9.0 + text.len() as f32 * 7.0),
    };
    let taken: f32 = fields.iter().filter_map(fixed).map(|wide| wide + gap).sum();
    let on = match kind {
        PteKind::Leaf(_) => palette.data,
        PteKind::Pointer(_) => palette.accent(),
        PteKind::Reserved(_) => palette.danger,
        PteKind::Invalid => palette.dim,
    };
    let mut x = rect.left();
    for field in fields {
        let wide = fixed(field).unwrap_or((rect.width() - taken).max(20.0));
        let place = Rect::from_min_max(pos2(x, rect.top()), pos2(x + wide, rect.bottom()));
        x += wide + gap;
        let fill = if field.is_set { on } else { palette.raised };
        let painter = ui.painter();
        painter.rect_filled(place, CornerRadius::same(3), fill);
        let ink: Color32 = if field.is_set {
            palette.ink_on(fill)
        } else {
            palette.dim
        };
        let font = theme::strong_numbers(10.5);
        let inside = place.shrink(1.0);
        // The number says more than its name, where there is room for one of them.
        let fits = paint::width(painter, &field.text, font.clone()) <= inside.width();
        let text = match field.text.strip_prefix("PPN ") {
            Some(number) if !fits => number,
            _ => &field.text,
        };
        paint::line(painter, inside, Align::Center, text, font, ink);
        let id = ui.scope_id().with(("field", field.bits.0));
        let response = ui.interact(place, id, Sense::hover());
        let (high, low) = field.bits;
        let bits = if high == low {
            format!("Bit {high}")
        } else {
            format!("Bits {high} to {low}")
        };
        response.widget_info(|| {
            let state = if field.is_set { "set" } else { "clear" };
            let name = format!("{bits}, {}, {state}", field.text);
            egui::WidgetInfo::labeled(egui::Role::Label, true, name)
        });
        response.on_hover_ui(|ui| {
            ui.label(RichText::new(bits).strong());
            ui.label(field.meaning);
        });
    }
}

fn walk(ui: &mut Ui, scene: &Scene<'_>, virt: VirtAddr, out: &mut Vec<UiCommand>) {
    let focus = &scene.derived.focus;
    let palette = scene.palette;
    heading(ui, scene, "The walk", &format!("of {virt}"));
    if let Some(space) = scene.state.space() {
        let root = format!("{} = {}", scene.derived.root_register(), space.root);
        row(ui, scene, "root", palette.dim, &root, None, out);
    }
    if let Some(staged) = &focus.staged {
        return staged_walk(ui, scene, staged, out);
    }
    for step in &focus.steps {
        let arithmetic = arithmetic(scene.derived.mode(), step);
        let select = Selection::Entry {
            level: step.level,
            table: step.table,
            index: step.index,
        };
        let name = step.level.to_string();
        let color = palette.level(step.level);
        row(ui, scene, &name, color, &arithmetic, Some(select), out);
    }
    match focus.outcome {
        Some(Outcome::Mapped(mapped)) => {
            let size = mapped.page_size.max(1);
            let offset = mapped.address.as_u64() & (size - 1);
            let base = mapped.address.align_down(size.next_power_of_two());
            let sum = format!("{base} + {offset:#05x}");
            let select = Selection::Physical(mapped.address);
            row(ui, scene, "=", palette.counter, &sum, Some(select), out);
        }
        Some(Outcome::Fault(fault)) => {
            ui.label(RichText::new(sentence_case(&fault.to_string())).color(palette.danger));
        }
        Some(Outcome::Unreadable(at)) => {
            let words = format!("Unknown: the entry at {at} could not be read.");
            ui.label(RichText::new(words).color(palette.danger));
        }
        None => {}
    }
}

/// Both stages: below each entry of the first the G-stage's way to it.
fn staged_walk(
    ui: &mut Ui,
    scene: &Scene<'_>,
    staged: &StagedTranslation,
    out: &mut Vec<UiCommand>,
) {
    let palette = scene.palette;
    let mode = scene.derived.mode();
    for GuestStep { step, guest } in &staged.steps {
        let select = Selection::Entry {
            level: step.level,
            table: step.table,
            index: step.index,
        };
        let color = palette.level(step.level);
        let name = step.level.to_string();
        row(
            ui,
            scene,
            &name,
            color,
            &arithmetic(mode, step),
            Some(select),
            out,
        );
        guest_rows(ui, scene, guest, out);
    }
    if let Some(last) = &staged.last {
        let text = format!("guest physical {:#x}", last.address);
        row(ui, scene, "gpa", palette.dim, &text, None, out);
        guest_rows(ui, scene, last, out);
    }
    match staged.outcome {
        StagedOutcome::Mapped(mapped) => {
            let select = Selection::Physical(mapped.address);
            let text = mapped.address.to_string();
            row(ui, scene, "=", palette.counter, &text, Some(select), out);
        }
        other => {
            let words = sentence_case(&other.to_string());
            ui.label(RichText::new(words).color(palette.danger));
        }
    }
}

/// The G-stage's steps, a row each, marked `g2`, `g1`, `g0`.
fn guest_rows(ui: &mut Ui, scene: &Scene<'_>, guest: &Translation, out: &mut Vec<UiCommand>) {
    let stage = scene.derived.guest_mode();
    for step in guest.trail.iter() {
        let name = format!("g{}", step.level.number());
        let color = scene.palette.level(step.level);
        row(ui, scene, &name, color, &arithmetic(stage, step), None, out);
    }
}

/// `0x87ffc000 + 2·8 → 0x21fff401`.
fn arithmetic(mode: TranslationMode, step: &Step) -> String {
    let (bytes, entry) = (mode.entry_bytes(), step.pte.bits());
    format!("{} + {}·{bytes} → {entry:#x}", step.table, step.index)
}

fn sentence_case(text: &str) -> String {
    let mut letters = text.chars();
    match letters.next() {
        Some(first) => format!("{}{}.", first.to_uppercase(), letters.as_str()),
        None => String::new(),
    }
}

fn row(
    ui: &mut Ui,
    scene: &Scene<'_>,
    name: &str,
    color: Color32,
    text: &str,
    select: Option<Selection>,
    out: &mut Vec<UiCommand>,
) {
    let palette = scene.palette;
    let sense = if select.is_some() {
        Sense::click()
    } else {
        Sense::hover()
    };
    let (rect, response) = ui.allocate_exact_size(vec2(ui.available_width(), 20.0), sense);
    let painter = ui.painter();
    if response.hovered() && select.is_some() {
        painter.rect_filled(rect, CornerRadius::same(3), palette.raised);
    }
    let chip = Rect::from_min_size(rect.min + vec2(0.0, 1.0), vec2(30.0, 18.0));
    let fill = theme::mix(color, palette.background, 0.72);
    painter.rect_filled(chip, CornerRadius::same(3), fill);
    let strong = theme::strong_numbers(10.5);
    paint::line(painter, chip, Align::Center, name, strong, palette.text);
    let rest = rect.with_min_x(chip.right() + 8.0);
    let mut size = theme::NUMBERS;
    let tight = text.replace(" + ", "+").replace(" → ", "→");
    let is_tight = paint::width(painter, text, theme::numbers(10.5)) > rest.width();
    let text = if is_tight { &tight } else { text };
    while size > 9.0 && paint::width(painter, text, theme::numbers(size)) > rest.width() {
        size -= 0.5;
    }
    paint::line(
        painter,
        rest,
        Align::Min,
        text,
        theme::numbers(size),
        palette.text,
    );
    response.widget_info(|| {
        egui::WidgetInfo::labeled(egui::Role::Label, true, format!("{name} {text}"))
    });
    if response.clicked()
        && let Some(select) = select
    {
        out.push(UiCommand::Select(select));
    }
}

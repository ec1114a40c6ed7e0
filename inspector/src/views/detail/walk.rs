//! The walk as arithmetic that can be followed with pencil and paper.
//!
//! ```text
//!  63 … 39   38–30    29–21    20–12    11–0
//!  sign      va[2]=2  va[1]=63 va[0]=499 0x008      the address, taken apart
//!  satp      root = 0x87ffc000
//!  L2        0x87ffc000 + 2·8 = 0x87ffc010
//!            holds 0x21fff401, a pointer to 0x87ffd000
//!  =         0x87ff3000 + 0x008 = 0x87ff3008
//! ```

use egui::{Align, Color32, CornerRadius, Rect, Response, RichText, Sense, Ui, pos2, vec2};
use pagescope_protocol::translate::{Outcome, Step, Translation};
use pagescope_protocol::two_stage::{GuestStep, StagedOutcome, StagedTranslation};
use pagescope_protocol::{Level, PhysAddr, PteKind, TranslationMode, VirtAddr};

use super::{heading, link, sentence_case};
use crate::model::missing::Missing;
use crate::model::{Selection, size_text};
use crate::views::command::UiCommand;
use crate::views::paint;
use crate::views::scene::Scene;
use crate::views::theme;

/// Draws the walk of the selected address.
pub(super) fn show(
    ui: &mut Ui,
    scene: &Scene<'_>,
    missing: Option<&Missing>,
    out: &mut Vec<UiCommand>,
) {
    let focus = &scene.derived.focus;
    let (Some(virt), true) = (focus.virt, scene.state.is_translating()) else {
        return;
    };
    let palette = scene.palette;
    let mode = scene.derived.mode();
    heading(ui, scene, "The walk", &format!("of {virt}"));
    address_fields(ui, scene, mode, virt);
    if let Some(space) = scene.state.space() {
        let register = scene.derived.root_register();
        let name = format!("root {register} = {}", space.root);
        line(
            ui,
            scene,
            register,
            palette.dim,
            &name,
            None,
            out,
            |ui, out| {
                sign(ui, "root =");
                match space.mode.root_level() {
                    Some(level) => {
                        link::table(ui, level, space.root, out);
                    }
                    None => sign(ui, &space.root.to_string()),
                }
            },
        );
    }
    if let Some(staged) = &focus.staged {
        return staged_walk(ui, scene, staged, out);
    }
    for step in &focus.steps {
        step_lines(ui, scene, mode, step, out);
    }
    match focus.outcome {
        Some(Outcome::Mapped(mapped)) => {
            let size = mapped.page_size.max(1);
            let offset = mapped.address.as_u64() & (size - 1);
            let base = mapped.address.align_down(size.next_power_of_two());
            sum(ui, scene, base, offset, mapped.address, out);
        }
        Some(Outcome::Fault(fault)) => {
            ui.label(RichText::new(sentence_case(&fault.to_string())).color(palette.danger));
            if let Some(missing) = missing {
                what_is_missing(ui, scene, missing, out);
            }
        }
        Some(Outcome::Unreadable(at)) => {
            let words = format!("Unknown: the entry at {at} could not be read.");
            ui.label(RichText::new(words).color(palette.danger));
        }
        None => {}
    }
}

/// What to look at next where the address is not mapped.
fn what_is_missing(ui: &mut Ui, scene: &Scene<'_>, missing: &Missing, out: &mut Vec<UiCommand>) {
    ui.label(&missing.words);
    let row = |ui: &mut Ui, words: &str, what: &mut dyn FnMut(&mut Ui)| {
        ui.horizontal_wrapped(|ui| {
            ui.style_mut().wrap_mode = Some(egui::TextWrapMode::Extend);
            let words = RichText::new(words).size(12.0).color(scene.palette.dim);
            ui.label(words);
            what(ui);
        });
    };
    if let (Some(at), Some(step)) = (missing.write_at, missing.step) {
        row(ui, "the entry to write", &mut |ui| {
            let selection = Selection::Entry {
                level: step.level,
                table: step.table,
                index: step.index,
            };
            link::address(ui, &at.to_string(), "Select this entry", selection, out);
        });
    }
    if let Some(below) = missing.below {
        row(ui, "mapped below, up to", &mut |ui| {
            link::virt(ui, below, out);
        });
    }
    if let Some(above) = missing.above {
        row(ui, "mapped above, from", &mut |ui| {
            link::virt(ui, above, out);
        });
    }
}

/// A part of a virtual address.
struct Part {
    name: String,
    value: String,
    bits: (u32, u32),
    color: Option<Level>,
}

/// The parts of `virt` as `mode` takes it apart.
fn parts(mode: TranslationMode, virt: VirtAddr) -> Vec<Part> {
    let Some(scheme) = mode.scheme() else {
        return Vec::new();
    };
    let width = if mode.entry_bytes() == 4 { 32 } else { 64 };
    let mut parts = Vec::new();
    let used = mode.address_bits();
    if used < width {
        let high = virt.as_u64() >> used & (u64::MAX >> (64 - (width - used)));
        parts.push(Part {
            name: "rest".into(),
            value: format!("{high:#x}"),
            bits: (width - 1, used),
            color: None,
        });
    }
    let mut level = mode.root_level();
    while let Some(this) = level {
        let low = scheme.shift(this);
        parts.push(Part {
            name: format!("va[{}]", this.number()),
            value: mode.index_of(this, virt).to_string(),
            bits: (low + scheme.index_bits_at(this) - 1, low),
            color: Some(this),
        });
        level = this.next();
    }
    parts.push(Part {
        name: "offset".into(),
        value: format!("{:#05x}", virt.page_offset()),
        bits: (11, 0),
        color: None,
    });
    parts
}

/// The address taken apart, each part in the colour of the level that it is for.
fn address_fields(ui: &mut Ui, scene: &Scene<'_>, mode: TranslationMode, virt: VirtAddr) {
    let parts = parts(mode, virt);
    if parts.is_empty() {
        return;
    }
    let palette = scene.palette;
    let (rect, _) = ui.allocate_exact_size(vec2(ui.available_width(), 46.0), Sense::hover());
    let gap = 2.0;
    let wide = ((rect.width() + gap) / parts.len() as f32 - gap).min(84.0);
    for (place, part) in parts.iter().enumerate() {
        let left = rect.left() + place as f32 * (wide + gap);
        let all = Rect::from_min_size(pos2(left, rect.top()), vec2(wide, rect.height()));
        let painter = ui.painter();
        let number = |at: f32| Rect::from_min_size(all.min + vec2(0.0, at), vec2(wide, 13.0));
        let (high, low) = part.bits;
        let tiny = theme::numbers(8.5);
        let bits = format!("{high}–{low}");
        paint::line(
            painter,
            number(0.0),
            Align::Center,
            &bits,
            tiny,
            palette.dim,
        );
        let cell = Rect::from_min_size(all.min + vec2(0.0, 13.0), vec2(wide, 19.0));
        let color = part.color.map_or(palette.dim, |level| palette.level(level));
        let fill = theme::mix(color, palette.background, 0.72);
        painter.rect_filled(cell, CornerRadius::same(3), fill);
        let font = theme::strong_numbers(11.0);
        let value = match paint::width(painter, &part.value, font.clone()) <= wide {
            true => font,
            false => theme::numbers(8.5),
        };
        paint::line(
            painter,
            cell,
            Align::Center,
            &part.value,
            value,
            palette.text,
        );
        let small = theme::numbers(9.5);
        paint::line(
            painter,
            number(33.0),
            Align::Center,
            &part.name,
            small,
            palette.dim,
        );
        let id = ui.scope_id().with(("part", place));
        let response = ui.interact(all, id, Sense::click());
        response.widget_info(|| {
            let name = format!("{} = {}, bits {high} to {low}", part.name, part.value);
            egui::WidgetInfo::labeled(egui::Role::Label, true, name)
        });
        link::copies(&response, &[("Copy value", &part.value)]);
        response.on_hover_text(explained(mode, part));
    }
}

fn explained(mode: TranslationMode, part: &Part) -> String {
    let (high, low) = part.bits;
    match part.color {
        Some(level) => format!(
            "Bits {high} to {low} choose the entry of the {level} table: number {}, {} bytes into it.",
            part.value,
            mode.entry_bytes() * part.value.parse::<u64>().unwrap_or_default()
        ),
        None if low == 0 => "The low 12 bits go on as they are: the place in the page.".into(),
        None => format!(
            "Bits {high} to {low} are not translated: they must all equal bit {}.",
            low.saturating_sub(1)
        ),
    }
}

/// One entry on the way: where it lies, what it holds, where that leads.
fn step_lines(
    ui: &mut Ui,
    scene: &Scene<'_>,
    mode: TranslationMode,
    step: &Step,
    out: &mut Vec<UiCommand>,
) {
    let color = scene.palette.level(step.level);
    let select = Selection::Entry {
        level: step.level,
        table: step.table,
        index: step.index,
    };
    let name = step.level.to_string();
    let whole = arithmetic(mode, step);
    let (bytes, index) = (mode.entry_bytes(), step.index);
    line(
        ui,
        scene,
        &name,
        color,
        &whole,
        Some(select),
        out,
        |ui, out| {
            link::table(ui, step.level, step.table, out);
            sign(ui, &format!("+ {index}·{bytes} ="));
            let at = step.pte_address.to_string();
            link::address(ui, &at, "Select this entry", select, out);
        },
    );
    line(ui, scene, "", color, "", None, out, |ui, out| {
        let value = format!("{:#x}", step.pte.bits());
        sign(ui, "→");
        let response = ui.add(
            egui::Label::new(RichText::new(&value).font(theme::numbers(theme::NUMBERS)))
                .sense(Sense::click()),
        );
        let response = response.on_hover_text("What the entry holds");
        link::copies(&response, &[("Copy value", &value)]);
        match step.kind {
            PteKind::Pointer(next) => {
                sign(ui, "pointer to");
                match step.level.next() {
                    Some(level) => drop(link::table(ui, level, next, out)),
                    None => sign(ui, &next.to_string()),
                }
            }
            PteKind::Leaf(leaf) => {
                sign(ui, &format!("leaf of {} to", size_text(leaf.size)));
                link::phys(ui, leaf.page.start(), out);
            }
            PteKind::Invalid => sign(ui, "invalid: V is clear"),
            PteKind::Reserved(why) => {
                ui.label(RichText::new("reserved").color(scene.palette.danger))
                    .on_hover_text(why.to_string());
            }
        }
    });
}

/// The frame and the offset make up the physical address.
fn sum(
    ui: &mut Ui,
    scene: &Scene<'_>,
    base: PhysAddr,
    offset: u64,
    phys: PhysAddr,
    out: &mut Vec<UiCommand>,
) {
    let whole = format!("{base} + {offset:#05x}");
    let select = Selection::Physical(phys);
    let color = scene.palette.counter;
    line(
        ui,
        scene,
        "=",
        color,
        &whole,
        Some(select),
        out,
        |ui, out| {
            link::phys(ui, base, out);
            sign(ui, &format!("+ {offset:#05x} ="));
            link::phys(ui, phys, out);
        },
    );
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
        step_lines(ui, scene, mode, step, out);
        guest_lines(ui, scene, guest, out);
    }
    if let Some(last) = &staged.last {
        let text = format!("guest physical {:#x}", last.address);
        line(ui, scene, "gpa", palette.dim, &text, None, out, |ui, _| {
            sign(ui, &text)
        });
        guest_lines(ui, scene, last, out);
    }
    match staged.outcome {
        StagedOutcome::Mapped(mapped) => {
            let select = Selection::Physical(mapped.address);
            let text = mapped.address.to_string();
            let color = palette.counter;
            line(
                ui,
                scene,
                "=",
                color,
                &text,
                Some(select),
                out,
                |ui, out| {
                    link::phys(ui, mapped.address, out);
                },
            );
        }
        other => {
            let words = sentence_case(&other.to_string());
            ui.label(RichText::new(words).color(palette.danger));
        }
    }
}

/// The G-stage's steps, a line each, marked `g2`, `g1`, `g0`.
fn guest_lines(ui: &mut Ui, scene: &Scene<'_>, guest: &Translation, out: &mut Vec<UiCommand>) {
    let stage = scene.derived.guest_mode();
    for step in guest.trail.iter() {
        let name = format!("g{}", step.level.number());
        let color = scene.palette.level(step.level);
        let text = arithmetic(stage, step);
        line(ui, scene, &name, color, &text, None, out, |ui, _| {
            sign(ui, &text)
        });
    }
}

/// `0x87ffc000 + 2·8 → 0x21fff401`.
fn arithmetic(mode: TranslationMode, step: &Step) -> String {
    let (bytes, entry) = (mode.entry_bytes(), step.pte.bits());
    format!("{} + {}·{bytes} → {entry:#x}", step.table, step.index)
}

/// A part of a line that is no link.
fn sign(ui: &mut Ui, text: &str) {
    ui.label(RichText::new(text).font(theme::numbers(theme::NUMBERS)));
}

/// A line with a chip before it, which selects what the line is about. Its name says the whole line.
#[expect(
    clippy::too_many_arguments,
    reason = "each is one thing that a line has"
)]
fn line(
    ui: &mut Ui,
    scene: &Scene<'_>,
    name: &str,
    color: Color32,
    whole: &str,
    select: Option<Selection>,
    out: &mut Vec<UiCommand>,
    rest: impl FnOnce(&mut Ui, &mut Vec<UiCommand>),
) {
    ui.horizontal_top(|ui| {
        ui.spacing_mut().item_spacing.x = 6.0;
        ui.spacing_mut().interact_size.y = 18.0;
        let response = chip(ui, scene, name, color, select.is_some());
        if !name.is_empty() {
            let said = format!("{name} {whole}");
            response.widget_info(|| {
                let role = match select {
                    Some(_) => egui::Role::Button,
                    None => egui::Role::Label,
                };
                egui::WidgetInfo::labeled(role, true, &said)
            });
            link::copies(&response, &[("Copy as text", whole)]);
        }
        if response.clicked()
            && let Some(select) = select
        {
            out.push(UiCommand::Select(select));
        }
        ui.horizontal_wrapped(|ui| {
            ui.spacing_mut().item_spacing = vec2(5.0, 1.0);
            // An address is not broken in two: it goes to the next line as a whole.
            ui.style_mut().wrap_mode = Some(egui::TextWrapMode::Extend);
            rest(ui, out);
        });
    });
}

fn chip(ui: &mut Ui, scene: &Scene<'_>, name: &str, color: Color32, is_link: bool) -> Response {
    let sense = if is_link {
        Sense::click()
    } else {
        Sense::hover()
    };
    let (chip, response) = ui.allocate_exact_size(vec2(32.0, 18.0), sense);
    if name.is_empty() {
        return response;
    }
    let palette = scene.palette;
    let strength = if is_link && response.hovered() {
        0.5
    } else {
        0.72
    };
    let fill = theme::mix(color, palette.background, strength);
    ui.painter().rect_filled(chip, CornerRadius::same(3), fill);
    let strong = theme::strong_numbers(10.5);
    paint::line(
        ui.painter(),
        chip,
        Align::Center,
        name,
        strong,
        palette.text,
    );
    response
}

//! The tabs of lines: console, registers, log. Only the rows that are seen are made.

use crate::views::paint;
use crate::views::scene::Scene;
use crate::views::theme;
use egui::{Align, Rect, RichText, ScrollArea, Sense, Ui, UiBuilder, vec2};

const ROW: f32 = 18.0;

fn child(ui: &mut Ui, rect: Rect, name: &str) -> Ui {
    let mut child = ui.new_child(UiBuilder::new().max_rect(rect).id_salt(name));
    child.set_clip_rect(rect.intersect(ui.clip_rect()));
    child.spacing_mut().item_spacing = vec2(0.0, 0.0);
    child
}

fn empty(ui: &mut Ui, rect: Rect, scene: &Scene<'_>, words: &str) {
    let galley = ui.painter().layout(
        words.into(),
        theme::words(theme::BODY),
        scene.palette.dim,
        rect.width(),
    );
    ui.painter().galley(rect.min, galley, scene.palette.dim);
}

/// What the guest wrote.
pub(super) fn console(ui: &mut Ui, rect: Rect, scene: &Scene<'_>) {
    if scene.state.console.is_empty() {
        let words = if scene.state.has_session {
            "The guest has written nothing since we attached, or its console goes elsewhere."
        } else {
            "A file holds no console."
        };
        return empty(ui, rect, scene, words);
    }
    let lines: Vec<&str> = scene.state.console.lines().collect();
    rows(ui, rect, "console", &lines, scene);
}

/// What the link says.
pub(super) fn log(ui: &mut Ui, rect: Rect, scene: &Scene<'_>) {
    if scene.state.log.is_empty() {
        return empty(ui, rect, scene, "The link has said nothing.");
    }
    let lines: Vec<&str> = scene.state.log.iter().map(String::as_str).collect();
    rows(ui, rect, "log", &lines, scene);
}

fn rows(ui: &mut Ui, rect: Rect, name: &str, lines: &[&str], scene: &Scene<'_>) {
    let mut child = child(ui, rect, name);
    ScrollArea::both()
        .id_salt(name)
        .auto_shrink(false)
        .stick_to_bottom(true)
        .show_rows(&mut child, 16.0, lines.len(), |ui, range| {
            for line in &lines[range] {
                let text = RichText::new(*line).monospace().color(scene.palette.text);
                ui.add(egui::Label::new(text).extend());
            }
        });
}

/// The hart's registers in columns.
pub(super) fn registers(ui: &mut Ui, rect: Rect, scene: &Scene<'_>) {
    const WIDTH: f32 = 214.0;
    let palette = scene.palette;
    let Some(hart) = scene.state.hart() else {
        return empty(ui, rect, scene, "This snapshot holds no registers.");
    };
    if hart.registers.is_empty() {
        return empty(
            ui,
            rect,
            scene,
            "This snapshot holds no registers of this hart.",
        );
    }
    let mut title = format!("hart {}", hart.id);
    if let Some(mode) = &hart.privilege {
        title.push_str(&format!(", {mode}-mode"));
    }
    if let Some(satp) = hart.satp {
        title.push_str(&format!(
            ", satp: {}, ASID {}, root {}",
            satp.mode(),
            satp.asid(),
            satp.root()
        ));
    }
    if !hart.place.is_empty() {
        title.push_str(&format!(", at {}", hart.place));
    }
    let head = rect.with_max_y(rect.top() + ROW);
    let font = theme::words(12.0);
    paint::line(ui.painter(), head, Align::Min, &title, font, palette.dim);
    let list = rect.with_min_y(head.bottom() + 4.0);
    let columns = ((list.width() / WIDTH) as usize).max(1);
    let count = hart.registers.len().div_ceil(columns);
    let mut child = child(ui, list, "registers");
    ScrollArea::vertical()
        .id_salt("registers")
        .auto_shrink(false)
        .show_rows(&mut child, ROW, count, |ui, range| {
            for row in range {
                let (line, _) = ui.allocate_exact_size(vec2(list.width(), ROW), Sense::hover());
                for column in 0..columns {
                    let Some(register) = hart.registers.get(column * count + row) else {
                        continue;
                    };
                    let left = line.left() + column as f32 * WIDTH;
                    let cell = line.with_min_x(left).with_max_x(left + WIDTH - 10.0);
                    let name = cell.with_max_x(left + 62.0);
                    let numbers = theme::numbers(theme::NUMBERS);
                    let painter = ui.painter();
                    paint::line(
                        painter,
                        name,
                        Align::Min,
                        &register.name,
                        numbers.clone(),
                        palette.dim,
                    );
                    let value = format!("{:#018x}", register.value);
                    let place = cell.with_min_x(left + 66.0);
                    paint::line(painter, place, Align::Min, &value, numbers, palette.text);
                }
            }
        });
}

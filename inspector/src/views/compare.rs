//! Two spaces side by side, in place of the three columns: where they differ by colour and sign, where they
//! are alike folded.
//!
//! ```text
//!   hart 0 and hart 1 differ in 1 region: cpu struct                [Swap] [Leave  Esc]
//!                              hart 0                  hart 1
//!   ········· alike: 126 MiB mapped in both ·········
//!   cpu struct                 ≠ 0x87f00000 rw-        ≠ 0x87f10000 rw-
//! ```

use egui::{
    Align, Button, CornerRadius, Layout, Rect, RichText, ScrollArea, Sense, Ui, UiBuilder, pos2,
    vec2,
};
use pagescope_protocol::VirtAddr;
use pagescope_protocol::snapshot::RegionSpace;

use super::command::UiCommand;
use super::paint;
use super::scene::Scene;
use super::theme;
use crate::model::space_difference::{
    AlikeRange, ComparisonRow, DifferentKind, DifferentRange, SpaceDifference,
};
use crate::model::{Selection, Stretch, size_text};

const ROW: f32 = 38.0;
const HEAD: f32 = 26.0;
const GAP: f32 = 10.0;

/// Draws the comparison into `rect`.
pub fn show(
    ui: &mut Ui,
    rect: Rect,
    difference: &SpaceDifference,
    scene: &Scene<'_>,
    out: &mut Vec<UiCommand>,
) {
    let head = rect.with_max_y(rect.top() + HEAD);
    title(ui, head, difference, scene, out);
    let names = head.translate(vec2(0.0, HEAD + 2.0));
    let cells = cells(names);
    let palette = scene.palette;
    for (cell, name) in cells[1..].iter().zip(&difference.names) {
        let font = theme::strong(theme::BODY);
        paint::line(ui.painter(), *cell, Align::Min, name, font, palette.text);
    }
    let font = theme::words(theme::SMALL);
    let words = "Virtual addresses";
    paint::line(ui.painter(), cells[0], Align::Min, words, font, palette.dim);
    let list = rect.with_min_y(names.bottom() + 4.0);
    let rows = difference.rows();
    let mut child = ui.new_child(UiBuilder::new().max_rect(list).id_salt("comparison"));
    child.set_clip_rect(list.intersect(ui.clip_rect()));
    child.spacing_mut().item_spacing = vec2(0.0, 0.0);
    ScrollArea::vertical()
        .id_salt("comparison")
        .auto_shrink(false)
        .show_rows(&mut child, ROW, rows.len(), |ui, range| {
            for row in &rows[range] {
                match row {
                    ComparisonRow::Alike(alike) => alike_row(ui, list.width(), alike, scene),
                    ComparisonRow::Different(range) => {
                        different_row(ui, list.width(), range, difference, scene, out);
                    }
                }
            }
        });
}

fn title(
    ui: &mut Ui,
    head: Rect,
    difference: &SpaceDifference,
    scene: &Scene<'_>,
    out: &mut Vec<UiCommand>,
) {
    let [one, other] = &difference.names;
    let mut buttons = ui.new_child(
        UiBuilder::new()
            .max_rect(head)
            .layout(Layout::right_to_left(Align::Center)),
    );
    buttons.spacing_mut().item_spacing.x = 6.0;
    let key = RichText::new("Esc")
        .font(theme::numbers(10.0))
        .color(scene.palette.dim);
    let leave = buttons.add(Button::new("Leave").right_text(key));
    leave.widget_info(|| {
        egui::WidgetInfo::labeled(egui::Role::Button, true, "Leave the comparison")
    });
    if leave.clicked() {
        out.push(UiCommand::Compare(None));
    }
    let swap = buttons
        .button("Swap")
        .on_hover_text("The other one at the left");
    if swap.clicked() {
        out.push(UiCommand::ChooseSpace(other.clone()));
        out.push(UiCommand::Compare(Some(one.clone())));
    }
    let words = head.with_max_x(buttons.min_rect().left() - 12.0);
    let summary = difference.summary();
    let response = ui.interact(words, ui.scope_id().with("summary"), Sense::hover());
    let font = theme::strong(theme::BODY);
    let color = scene.palette.text;
    paint::line(ui.painter(), words, Align::Min, &summary, font, color);
    paint::name_canvas(&response, || summary.clone());
    response.on_hover_text(&summary);
}

/// The places of the words and of the two spaces in a row.
fn cells(row: Rect) -> [Rect; 3] {
    let words = (row.width() * 0.34).min(300.0);
    let side = (row.width() - words - 2.0 * GAP) / 2.0;
    let first = row.left() + words + GAP;
    let second = first + side + GAP;
    [
        row.with_max_x(row.left() + words),
        row.with_min_x(first).with_max_x(first + side),
        row.with_min_x(second).with_max_x(second + side),
    ]
}

fn alike_row(ui: &mut Ui, width: f32, alike: &AlikeRange, scene: &Scene<'_>) {
    let (rect, response) = ui.allocate_exact_size(vec2(width, ROW), Sense::hover());
    let (words, names) = alike.words();
    let palette = scene.palette;
    let middle = rect.shrink2(vec2(0.0, 6.0));
    let dots = theme::mix(palette.dim, palette.panel, 0.55);
    let [_, one, other] = cells(middle);
    let [left, ..] = cells(rect.shrink2(vec2(4.0, 3.0)));
    let both = one.union(other);
    scene.patterns.dots(ui.painter(), both, dots);
    let font = theme::words(12.0);
    let lines = match names.as_str() {
        "" => vec![(left, &words)],
        _ => {
            let half = left.height() / 2.0;
            let upper = left.with_max_y(left.top() + half);
            vec![(upper, &words), (upper.translate(vec2(0.0, half)), &names)]
        }
    };
    for (place, line) in lines {
        paint::line(
            ui.painter(),
            place,
            Align::Min,
            line,
            font.clone(),
            palette.dim,
        );
    }
    let told = format!("{words} {names}");
    paint::name_canvas(&response, || told.trim_end().to_owned());
    response.on_hover_ui(|ui| {
        ui.label(told.trim_end());
        ui.monospace(format!("{:#x} – {:#x}", alike.start, alike.last));
    });
}

fn different_row(
    ui: &mut Ui,
    width: f32,
    range: &DifferentRange,
    difference: &SpaceDifference,
    scene: &Scene<'_>,
    out: &mut Vec<UiCommand>,
) {
    let palette = scene.palette;
    let (rect, response) = ui.allocate_exact_size(vec2(width, ROW), Sense::click());
    let painter = ui.painter();
    let is_selected = match scene.state.selection {
        Selection::Virtual(at) => (range.start..=range.last()).contains(&at.as_u64()),
        _ => false,
    };
    if is_selected || response.hovered() || response.has_focus() {
        painter.rect_filled(rect, CornerRadius::same(3), palette.raised);
    }
    let whole = Selection::Range(Stretch {
        space: RegionSpace::Virtual,
        start: range.start,
        size: range.size,
    });
    if response.hovered() {
        scene.point(whole);
    }
    let [words, one, other] = cells(rect.shrink2(vec2(4.0, 3.0)));
    let name = match range.name.as_str() {
        "" => "no name",
        name => name,
    };
    let upper = words.with_max_y(words.center().y);
    let lower = words.with_min_y(words.center().y);
    paint::line(
        painter,
        upper,
        Align::Min,
        name,
        theme::words(12.5),
        palette.text,
    );
    let place = format!("{:#010x}  {}", range.start, size_text(range.size));
    paint::line(
        painter,
        lower,
        Align::Min,
        &place,
        theme::numbers(10.5),
        palette.dim,
    );
    let color = match range.kind {
        DifferentKind::OnlyOne | DifferentKind::OnlyOther => palette.data,
        DifferentKind::Frame => palette.fresh,
        DifferentKind::Flags | DifferentKind::FrameAndFlags => palette.danger,
    };
    for (place, cell) in [one, other].into_iter().enumerate() {
        let sign = range.kind.signs()[place];
        match range.sides[place] {
            Some(side) => {
                painter.rect_filled(cell, CornerRadius::same(2), color);
                let ink = palette.ink_on(color);
                let inner = cell.shrink2(vec2(8.0, 0.0));
                let text = format!("{sign}  {}  {}", side.phys, side.flags);
                let font = theme::strong_numbers(11.0);
                let told = paint::line(painter, inner, Align::Min, &text, font, ink);
                let rest = inner.with_min_x(told.right() + 10.0);
                if rest.width() > 60.0 {
                    let font = theme::words(12.0);
                    let title = range.kind.title();
                    paint::line(painter, rest, Align::Max, title, font, ink);
                }
            }
            None => {
                painter.rect_filled(cell, CornerRadius::same(2), palette.panel);
                paint::hatch(painter, cell, palette.edge, 9.0);
                let inner = cell.shrink2(vec2(8.0, 0.0));
                let text = format!("{sign} not mapped");
                paint::line(
                    painter,
                    inner,
                    Align::Min,
                    &text,
                    theme::words(12.0),
                    palette.dim,
                );
            }
        }
    }
    if response.has_focus() {
        let edge = Rect::from_min_max(rect.left_top(), pos2(rect.left() + 3.0, rect.bottom()));
        painter.rect_filled(edge, 0.0, palette.selection);
    }
    let what = range.words(&difference.names);
    response.widget_info(|| {
        let words = format!("{name} at {:#x}, {what}", range.start);
        egui::WidgetInfo::selected(egui::Role::Button, true, is_selected, words)
    });
    if response.clicked() {
        let at = VirtAddr::new(range.start);
        out.push(UiCommand::Select(Selection::Virtual(at)));
    }
    response.on_hover_ui(|ui| {
        ui.label(RichText::new(name).strong());
        ui.label(&what);
        ui.monospace(format!("{:#x} – {:#x}", range.start, range.last()));
    });
}

//! All tables of the space as chips, so that none is out of reach however many there are. Each frame
//! once, as what it is: a recursive root makes the walk meet it at other levels, too.

use egui::{Align, CornerRadius, Rect, ScrollArea, Sense, Stroke, StrokeKind, Ui, UiBuilder, vec2};
use pagescope_protocol::PAGE_SIZE;
use pagescope_protocol::snapshot::Table;

use super::words::describe_table;
use crate::model::{BandKind, Seen, Selection, Sign, TableFacts, size_text};
use crate::views::command::UiCommand;
use crate::views::derived::ChainLink;
use crate::views::paint;
use crate::views::scene::Scene;
use crate::views::theme;

const HEAD: f32 = 26.0;
const CHIP: f32 = 26.0;
const GAP: f32 = 6.0;
/// A chip with level and address needs this much.
const CHIP_WIDTH: f32 = 118.0;

fn columns(width: f32) -> usize {
    (((width + GAP) / (CHIP_WIDTH + GAP)) as usize).clamp(1, 8)
}

/// The height that shows all of them.
pub(super) fn wanted_height(tables: usize, width: f32) -> f32 {
    HEAD + tables.div_ceil(columns(width)) as f32 * (CHIP + GAP)
}

/// Draws the chips into `rect`.
pub(super) fn show(ui: &mut Ui, rect: Rect, scene: &Scene<'_>, out: &mut Vec<UiCommand>) {
    let Some(space) = scene.state.space() else {
        return;
    };
    let palette = scene.palette;
    let painter = ui.painter().clone();
    let head = rect.with_max_y(rect.top() + HEAD - 6.0);
    let title = "All tables of this space";
    let strong = theme::strong(12.5);
    let taken = paint::line(&painter, head, Align::Min, title, strong, palette.text);
    let tables = scene.derived.tables();
    // A G-stage root fills four frames.
    let frames_of = |facts: &TableFacts| {
        let scheme = facts.mode.scheme();
        scheme.map_or(1, |scheme| scheme.frames(facts.level()))
    };
    let frames: u64 = tables.iter().map(frames_of).sum();
    let mut amount = format!("{frames} frames, {}", size_text(frames * PAGE_SIZE));
    if space.truncated {
        amount.push_str(", cut short by a limit");
    }
    let rest = head.with_min_x(taken.right() + 14.0);
    let small = theme::words(theme::SMALL);
    paint::line(&painter, rest, Align::Min, &amount, small, palette.dim);

    let list = rect.with_min_y(rect.top() + HEAD);
    let columns = columns(list.width());
    let rows = tables.len().div_ceil(columns);
    let width = (list.width() - (columns - 1) as f32 * GAP) / columns as f32;
    let mut child = ui.new_child(UiBuilder::new().max_rect(list).id_salt("all tables"));
    child.set_clip_rect(list.expand(1.0).intersect(ui.clip_rect()));
    child.spacing_mut().item_spacing = vec2(GAP, GAP);
    ScrollArea::vertical()
        .id_salt("all tables")
        .auto_shrink(false)
        .max_height(list.height())
        .show_rows(&mut child, CHIP, rows, |ui, range| {
            for row in range {
                ui.horizontal(|ui| {
                    for facts in tables.iter().skip(row * columns).take(columns) {
                        chip(ui, width, &facts.table, scene, out);
                    }
                });
            }
        });
}

fn chip(ui: &mut Ui, width: f32, table: &Table, scene: &Scene<'_>, out: &mut Vec<UiCommand>) {
    let palette = scene.palette;
    let (rect, response) = ui.allocate_exact_size(vec2(width, CHIP), Sense::click());
    let (level, frame) = (table.level, table.frame);
    let color = palette.level(level);
    let is_drawn = scene
        .derived
        .chain
        .contains(&ChainLink::Table(level, frame));
    let is_fresh = scene.derived.is_fresh_table(frame);
    let this = Selection::Table { level, frame };
    if response.hovered() {
        scene.point(this);
    }
    let is_on_the_way = scene.derived.hover.table == Some((level, frame))
        || scene
            .derived
            .hover
            .step_at(level)
            .is_some_and(|step| step.table == frame);
    let fill = if response.hovered() || is_on_the_way {
        theme::mix(palette.raised, palette.text, 0.08)
    } else {
        palette.raised
    };
    let seen = Seen {
        kind: BandKind::Table(level),
        is_mapped: false,
        is_fresh,
        is_shared: false,
        is_unsure: scene.is_torn(frame),
        is_unread: table.entries.is_none(),
    };
    let color = scene.filtered(color, &seen);
    let stroke = match (is_fresh, is_drawn) {
        (true, _) => Stroke::new(1.5, palette.fresh),
        (_, true) => Stroke::new(1.2, color),
        _ => Stroke::new(1.0, palette.edge),
    };
    let painter = ui.painter();
    painter.rect(
        rect,
        CornerRadius::same(4),
        fill,
        stroke,
        StrokeKind::Inside,
    );
    let bar = CornerRadius {
        nw: 4,
        sw: 4,
        ne: 0,
        se: 0,
    };
    painter.rect_filled(rect.with_max_x(rect.left() + 3.0), bar, color);
    if seen.is_unsure {
        paint::unsettled(painter, rect.shrink2(vec2(4.0, 1.0)), palette);
    }
    if table.entries.is_none() {
        paint::hatch(painter, rect.shrink2(vec2(4.0, 1.0)), palette.edge, 8.0);
    }
    let inner = rect
        .with_min_x(rect.left() + 10.0)
        .with_max_x(rect.right() - 4.0);
    let strong = theme::strong(12.0);
    let sign = match (seen.is_unread, seen.is_unsure) {
        (true, _) => format!("{level} {}", Sign::Unread.letter()),
        (_, true) => format!("{level} {}", Sign::Unsure.letter()),
        _ => level.to_string(),
    };
    let name = paint::line(painter, inner, Align::Min, &sign, strong, color);
    let rest = inner.with_min_x(name.right() + 8.0);
    let numbers = theme::numbers(11.0);
    paint::line(
        painter,
        rest,
        Align::Min,
        &frame.to_string(),
        numbers,
        palette.text,
    );
    paint::name_canvas(&response, || format!("{level} table {frame}"));
    if response.clicked() {
        out.push(UiCommand::Select(this));
    }
    response.on_hover_ui(|ui| describe_table(ui, table, scene));
}

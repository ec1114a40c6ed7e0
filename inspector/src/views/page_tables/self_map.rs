//! Which leaf makes which table reachable, in a list.

use egui::{
    Align, CornerRadius, Rect, RichText, ScrollArea, Sense, Stroke, StrokeKind, Ui, UiBuilder, vec2,
};

use crate::export::text::leaf_place;
use crate::model::{Selection, TableFacts};
use crate::views::command::UiCommand;
use crate::views::paint;
use crate::views::scene::Scene;
use crate::views::theme;

const ROW: f32 = 20.0;

/// The height that shows all of it, up to ten tables.
pub(super) fn wanted_height(scene: &Scene<'_>) -> f32 {
    44.0 + scene.derived.tables().len().min(10) as f32 * ROW
}

/// Draws the list into `rect`.
pub(super) fn show(ui: &mut Ui, rect: Rect, scene: &Scene<'_>, out: &mut Vec<UiCommand>) {
    let palette = scene.palette;
    let tables = scene.derived.tables();
    let wanted = 44.0 + tables.len() as f32 * ROW;
    let card = rect.with_max_y(rect.bottom().min(rect.top() + wanted));
    let painter = ui.painter().clone();
    let edge = Stroke::new(1.0, palette.edge);
    painter.rect(
        card,
        CornerRadius::same(6),
        palette.panel,
        edge,
        StrokeKind::Inside,
    );
    let head = Rect::from_min_size(card.min + vec2(12.0, 6.0), vec2(card.width() - 24.0, 20.0));
    let strong = theme::strong(12.5);
    let title = paint::line(&painter, head, Align::Min, "Self-map", strong, palette.text);
    let rest = head.with_min_x(title.right() + 12.0);
    let small = theme::words(theme::SMALL);
    let one = |facts: &&TableFacts| facts.windows.len() == 1;
    let sound = tables.iter().filter(one).count();
    let long = "which leaf makes which table writable";
    let short = format!("{sound} of {} with one window", tables.len());
    let taken = paint::width(&painter, long, small.clone());
    if taken + paint::width(&painter, &short, small.clone()) + 16.0 <= rest.width() {
        paint::line(&painter, rest, Align::Min, long, small.clone(), palette.dim);
    }
    paint::line(&painter, rest, Align::Max, &short, small, palette.dim);

    let list = Rect::from_min_max(
        head.left_bottom() + vec2(0.0, 4.0),
        card.max - vec2(12.0, 6.0),
    );
    let mut child = ui.new_child(UiBuilder::new().max_rect(list).id_salt("self-map"));
    child.set_clip_rect(list.intersect(ui.clip_rect()));
    child.spacing_mut().item_spacing = vec2(0.0, 0.0);
    ScrollArea::vertical()
        .id_salt("self-map")
        .auto_shrink(false)
        .max_height(list.height())
        .show_rows(&mut child, ROW, tables.len(), |ui, range| {
            for facts in &tables[range] {
                row(ui, list.width(), facts, scene, out);
            }
        });
}

fn row(ui: &mut Ui, width: f32, facts: &TableFacts, scene: &Scene<'_>, out: &mut Vec<UiCommand>) {
    let palette = scene.palette;
    let (rect, response) = ui.allocate_exact_size(vec2(width, ROW), Sense::click());
    let painter = ui.painter();
    let is_selected = scene.derived.focus.table == Some((facts.level(), facts.frame()));
    if response.hovered() {
        scene.point(Selection::Table {
            level: facts.level(),
            frame: facts.frame(),
        });
    }
    let is_hovered = scene.derived.hover.table == Some((facts.level(), facts.frame()));
    if is_hovered || response.hovered() || is_selected {
        painter.rect_filled(rect, CornerRadius::same(3), palette.raised);
    }
    let numbers = theme::numbers(11.0);
    let name = format!("{} {}", facts.level(), facts.frame());
    let color = palette.level(facts.level());
    let verdict = facts.verdict();
    // A space that maps none of its tables is somebody else's to change: nothing is wrong with that.
    let maps_some = scene
        .derived
        .tables()
        .iter()
        .any(|facts| facts.window().is_some());
    let is_fault = scene
        .state
        .snapshot()
        .is_none_or(|snapshot| facts.is_fault(snapshot));
    let verdict_color = match (facts.is_sound(), maps_some && is_fault) {
        (true, _) => palette.data,
        (false, true) => palette.danger,
        (false, false) => palette.dim,
    };
    let end = paint::line(
        painter,
        rect.with_max_x(rect.right() - 8.0),
        Align::Max,
        verdict,
        theme::strong(11.0),
        verdict_color,
    );
    let rest = rect.with_max_x(end.left() - 8.0);
    let first = paint::line(painter, rest, Align::Min, &name, numbers.clone(), color);
    let rest = rest.with_min_x(first.right() + 10.0);
    let place = facts.window().map(|window| leaf_place(facts, window));
    let middle = match &place {
        Some(place) => format!("← {place}"),
        None => "← no leaf leads to it".into(),
    };
    let second = paint::line(
        painter,
        rest,
        Align::Min,
        &middle,
        numbers.clone(),
        palette.text,
    );
    if let Some(window) = facts.window() {
        let address = format!("at {}", window.virt);
        let rest = rest.with_min_x(second.right() + 10.0);
        if paint::width(painter, &address, numbers.clone()) <= rest.width() {
            paint::line(painter, rest, Align::Max, &address, numbers, palette.text);
        }
    }
    paint::name_canvas(&response, || format!("{name} {middle} {verdict}"));
    if response.clicked() {
        out.push(UiCommand::Select(match facts.window() {
            Some(window) => Selection::Virtual(window.virt),
            None => Selection::Physical(facts.frame().start()),
        }));
    }
    response.on_hover_ui(|ui| {
        ui.label(RichText::new(format!("{} table at {}", facts.level(), facts.frame())).strong());
        if facts.windows.is_empty() {
            ui.label(
                "No leaf of this space leads to it: code that runs here cannot write it without \
                 mapping it first.",
            );
        }
        for window in facts.windows.iter().take(8) {
            ui.label(format!(
                "The leaf {} makes it reachable at {}, {}.",
                leaf_place(facts, window),
                window.virt,
                window.flags
            ));
        }
        if facts.windows.len() > 8 {
            ui.label(format!(
                "{} more addresses lead to it.",
                facts.windows.len() - 8
            ));
        }
    });
}

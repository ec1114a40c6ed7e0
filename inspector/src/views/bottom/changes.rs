//! What the moment being looked at changed, in words; each line selects what it speaks of. It can be compared with
//! any other, and a note be written about it.

use egui::{
    Align, Button, Color32, CornerRadius, Layout, Rect, ScrollArea, Sense, Stroke, StrokeKind, Ui,
    UiBuilder, vec2,
};
use pagescope_protocol::snapshot::Snapshot;
use pagescope_protocol::{PhysPage, PteKind};

use super::base::AskBase;
use crate::model::{Change, ChangeKind, Moment, Selection};
use crate::views::actions;
use crate::views::command::{TimeCommand, UiCommand};
use crate::views::paint;
use crate::views::scene::Scene;
use crate::views::theme;

const ROW: f32 = 21.0;
const BUTTONS: f32 = 24.0;

/// Draws the list into `rect`.
pub(super) fn show(
    ui: &mut Ui,
    rect: Rect,
    base: &mut AskBase,
    scene: &Scene<'_>,
    out: &mut Vec<UiCommand>,
) {
    let palette = scene.palette;
    let painter = ui.painter().clone();
    let edge = Stroke::new(1.0, palette.edge);
    painter.rect(
        rect,
        CornerRadius::same(7),
        palette.raised,
        edge,
        StrokeKind::Inside,
    );
    let inner = rect.shrink2(vec2(12.0, 8.0));
    let head = inner.with_max_y(inner.top() + 20.0);
    let Some(moment) = scene.state.moment() else {
        let font = theme::words(theme::SMALL);
        let text = "What a step changes will stand here.";
        paint::line(&painter, head, Align::Min, text, font, palette.dim);
        return;
    };
    let place = scene.state.history.cursor();
    let strong = theme::strong(theme::BODY);
    let compared = scene.state.time.base_place(&scene.state.history);
    let title = match compared {
        Some(base) => format!("Step {place} compared with step {base}"),
        None => format!("Step {place}"),
    };
    let taken = paint::line(&painter, head, Align::Min, &title, strong, palette.text);
    let rest = head.with_min_x(taken.right() + 12.0);
    let stop = if moment.snapshot.stop.is_empty() {
        "what changed"
    } else {
        &moment.snapshot.stop
    };
    let small = theme::words(theme::SMALL);
    paint::line(&painter, rest, Align::Min, stop, small.clone(), palette.dim);
    let list = inner.with_min_y(head.bottom() + 3.0);
    let difference = scene.state.difference().unwrap_or(&moment.difference);
    let list = match scene.is_picture {
        true => list,
        false => {
            if base.show(ui, list, scene, out) {
                return;
            }
            let buttons = list.with_min_y(list.bottom() - BUTTONS);
            foot(ui, buttons, moment, scene, out);
            list.with_max_y(buttons.top() - 3.0)
        }
    };
    let list = note(ui, list, moment, scene, out);
    let changes = &difference.changes;
    if changes.is_empty() {
        let text = if place == 0 && compared.is_none() {
            "The first moment: nothing to compare with."
        } else {
            "Nothing changed."
        };
        let galley = painter.layout(text.into(), small, palette.dim, list.width());
        painter.galley(list.min, galley, palette.dim);
        return;
    }
    let mut child = ui.new_child(UiBuilder::new().max_rect(list).id_salt("changes"));
    child.set_clip_rect(list.intersect(ui.clip_rect()));
    child.spacing_mut().item_spacing = vec2(0.0, 0.0);
    ScrollArea::vertical()
        .id_salt("changes")
        .auto_shrink(false)
        .max_height(list.height())
        .show_rows(&mut child, ROW, changes.len(), |ui, range| {
            for change in &changes[range] {
                row(ui, list.width(), change, &moment.snapshot, scene, out);
            }
        });
}

/// The buttons under the changes.
fn foot(ui: &mut Ui, rect: Rect, moment: &Moment, scene: &Scene<'_>, out: &mut Vec<UiCommand>) {
    let mut row = ui.new_child(
        UiBuilder::new()
            .max_rect(rect)
            .id_salt("changes foot")
            .layout(Layout::left_to_right(Align::Center)),
    );
    row.spacing_mut().item_spacing.x = 6.0;
    row.spacing_mut().button_padding = vec2(8.0, 2.0);
    row.spacing_mut().interact_size.y = BUTTONS - 2.0;
    let time = &scene.state.time;
    if time.base.is_some() {
        let hint = actions::hint("Stop comparing steps");
        if row.button("Stop comparing").on_hover_text(hint).clicked() {
            out.push(TimeCommand::CompareWith(None).into());
        }
    }
    let has_others = scene.state.history.moments().len() > 1;
    let words = match time.base {
        Some(_) => "Other step…",
        // Beside a narrow pane the whole of it would push the note out of the card.
        None if row.available_width() < 210.0 => "Compare…",
        None => "Compare with step…",
    };
    let ask = row.add_enabled(has_others, Button::new(words));
    if actions::explained(ask, "Compare with step…", scene.state).clicked() {
        out.push(TimeCommand::AskBase(true).into());
    }
    let has_note = !scene.state.history.notebook().note(moment.id).is_empty();
    let write = row.add(Button::selectable(has_note, "Note…"));
    if write.on_hover_text(actions::hint("Note…")).clicked() {
        out.push(TimeCommand::EditNote(time.note.is_none()).into());
    }
}

/// The beginning of the note, where there is one. Gives what is left of `list`.
fn note(
    ui: &mut Ui,
    list: Rect,
    moment: &Moment,
    scene: &Scene<'_>,
    out: &mut Vec<UiCommand>,
) -> Rect {
    let note = scene.state.history.notebook().note(moment.id);
    let Some(first) = note.lines().next() else {
        return list;
    };
    let line = list.with_min_y(list.bottom() - ROW);
    let response = ui.interact(line, ui.scope_id().with("note line"), Sense::click());
    let words = format!("Note: {first}");
    let color = match response.hovered() {
        true => scene.palette.text,
        false => scene.palette.dim,
    };
    let font = theme::words(12.5);
    paint::line(ui.painter(), line, Align::Min, &words, font, color);
    response.widget_info(|| egui::WidgetInfo::labeled(egui::Role::Button, true, &words));
    if response.hovered()
        && let Some(selection) = address_in(note, scene)
    {
        scene.point(selection);
    }
    if response.clicked() {
        out.push(TimeCommand::EditNote(true).into());
    }
    response.on_hover_text(note.chars().take(2000).collect::<String>());
    list.with_max_y(line.top())
}

/// The first address that a note speaks of: `0x87ff3000`, `p:0x87ff3000`.
fn address_in(note: &str, scene: &Scene<'_>) -> Option<Selection> {
    let words = note.split_whitespace().take(400);
    let mut addresses = words
        .map(|word| word.trim_matches(|one: char| !one.is_ascii_alphanumeric()))
        .filter(|word| word.starts_with("0x") || word.starts_with("p:0x"));
    match scene.state.looked_up(addresses.next()?)? {
        Ok(Selection::Nothing) | Err(_) => None,
        Ok(selection) => Some(selection),
    }
}

fn row(
    ui: &mut Ui,
    width: f32,
    change: &Change,
    snapshot: &Snapshot,
    scene: &Scene<'_>,
    out: &mut Vec<UiCommand>,
) {
    let palette = scene.palette;
    let (rect, response) = ui.allocate_exact_size(vec2(width, ROW), Sense::click());
    let painter = ui.painter();
    if response.hovered() {
        let fill = theme::mix(palette.raised, palette.text, 0.1);
        painter.rect_filled(rect, CornerRadius::same(3), fill);
        if let Some(selection) = selection(change, snapshot) {
            scene.point(selection);
        }
    }
    let mark = Rect::from_min_size(rect.min + vec2(0.0, 3.0), vec2(3.5, ROW - 6.0));
    painter.rect_filled(mark, CornerRadius::same(2), color(change, scene));
    let words = words(change, snapshot);
    let text = rect
        .with_min_x(mark.right() + 9.0)
        .with_max_x(rect.right() - 6.0);
    let font = theme::words(12.5);
    let shown = match paint::width(painter, &words, font.clone()) <= text.width() {
        true => words.clone(),
        false => short_words(change, snapshot).unwrap_or_else(|| words.clone()),
    };
    paint::line(painter, text, Align::Min, &shown, font, palette.text);
    response.widget_info(|| egui::WidgetInfo::labeled(egui::Role::Button, true, &words));
    if response.clicked()
        && let Some(selection) = selection(change, snapshot)
    {
        out.push(UiCommand::Select(selection));
    }
    response.on_hover_text(change.to_string());
}

/// A short sentence; the whole one is in the tooltip.
fn words(change: &Change, snapshot: &Snapshot) -> String {
    match change {
        Change::Entry {
            kind,
            mode,
            level,
            index,
            after,
            ..
        } if *kind != ChangeKind::Removed => match mode.classify(*after, *level) {
            PteKind::Leaf(leaf) => {
                let sign = kind.sign();
                let to = page_words(leaf.page, snapshot);
                format!("{sign} leaf {level}[{index}], {} → {to}", leaf.flags)
            }
            _ => change.to_string(),
        },
        _ => change.to_string(),
    }
}

/// The same for a narrow card: where the entry is, and where it leads.
fn short_words(change: &Change, snapshot: &Snapshot) -> Option<String> {
    let Change::Entry {
        kind,
        mode,
        level,
        index,
        after,
        ..
    } = change
    else {
        return None;
    };
    let sign = kind.sign();
    match mode.classify(*after, *level) {
        PteKind::Leaf(leaf) if *kind != ChangeKind::Removed => {
            let to = page_words(leaf.page, snapshot);
            Some(format!("{sign} {level}[{index}] → {to}"))
        }
        _ => Some(format!("{sign} {level}[{index}]")),
    }
}

/// The number of the page, where the allocator handed it out, else its address.
fn page_words(page: PhysPage, snapshot: &Snapshot) -> String {
    let number = snapshot.heap.and_then(|heap| heap.index_of(page.start()));
    number.map_or_else(|| page.to_string(), |number| format!("kalloc({number})"))
}

fn color(change: &Change, scene: &Scene<'_>) -> Color32 {
    let palette = scene.palette;
    match change {
        Change::HeapCounter { .. } => palette.counter,
        Change::Root { .. } => palette.text,
        _ if change.kind() == ChangeKind::Removed => palette.danger,
        Change::Table { level, .. } => palette.level(*level),
        Change::Entry { level, after, .. } => scene
            .derived
            .kind_of_entry(*level, *after)
            .map_or(palette.dim, |kind| palette.band(kind)),
    }
}

fn selection(change: &Change, snapshot: &Snapshot) -> Option<Selection> {
    Some(match change {
        Change::Table {
            kind: ChangeKind::Removed,
            frame,
            ..
        } => Selection::Physical(frame.start()),
        Change::Table { level, frame, .. } => Selection::Table {
            level: *level,
            frame: *frame,
        },
        Change::Entry {
            level,
            table,
            index,
            ..
        } => Selection::Entry {
            level: *level,
            table: *table,
            index: *index,
        },
        Change::HeapCounter { .. } => Selection::Physical(snapshot.heap?.counter_address),
        Change::Root { after, .. } => Selection::Physical(after.start()),
    })
}

//! One table as a card: its address, a cell for each entry, coloured by what they lead to, how full it is and
//! how much it covers.

use std::collections::BTreeSet;

use egui::{Align, CornerRadius, Rect, RichText, Sense, Stroke, StrokeKind, Ui, pos2, vec2};
use pagescope_protocol::snapshot::Table;
use pagescope_protocol::walk::entry_address;
use pagescope_protocol::{Level, PhysPage, PteKind};

use super::cells::{CardTexture, letters, make_texture, marks};
use super::folds;
use super::layout::{Cards, FOOT, PAD_LEFT, PAD_RIGHT};
use super::words::describe_table;
use crate::model::{Selection, entry_words, size_text};
use crate::views::camera::CameraStep;
use crate::views::command::{LookCommand, UiCommand};
use crate::views::derived::ChainLink;
use crate::views::paint::{self, CellGrid};
use crate::views::scene::{Anchors, CellAnchor, Scene};
use crate::views::theme;

/// What a leaf to the table itself is, in a recursive space.
pub(in crate::views) const OWN_WINDOW: &str = "A leaf to this table itself. At this level it is a \
    misaligned superpage, which faults, on purpose: the root's entry to itself makes the walk read \
    this table as L0, and there this is its window.";

/// The folds that somebody has opened, by the first row of each.
pub(super) type Opened = BTreeSet<(Level, PhysPage, usize)>;

/// Most folds that are kept open.
const MOST_OPENED: usize = 1000;

/// The rows that are not folded, since the selection, the mouse or the window of a selected table is there.
fn looked_at(ui: &Ui, table: &Table, grid: &CellGrid, scene: &Scene<'_>) -> Vec<usize> {
    // What the mouse rests on here does not fold or open under it.
    let is_here = ui.rect_contains_pointer(grid.rect());
    let hover = Some(&scene.derived.hover).filter(|_| !is_here);
    let steps = std::iter::once(&scene.derived.focus)
        .chain(hover)
        .filter_map(|focus| focus.step_at(table.level))
        .filter(|step| step.table == table.frame)
        .map(|step| step.index);
    let leaf = scene.derived.window_leaf;
    let leaf = leaf.filter(|leaf| leaf.table == table.frame);
    let entries = steps.chain(leaf.map(|leaf| leaf.index));
    entries.map(|index| index / grid.columns).collect()
}

/// A title has room for `L4 root` from this width on.
const NAMES_ROOT: f32 = 52.0;

/// Draws one card.
#[expect(clippy::too_many_arguments, reason = "all are the card's own inputs")]
pub(super) fn show(
    ui: &mut Ui,
    rect: Rect,
    layout: &Cards,
    link: &ChainLink,
    scene: &Scene<'_>,
    texture: &mut Option<CardTexture>,
    opened: &mut Opened,
    anchors: &mut Anchors,
    out: &mut Vec<UiCommand>,
) {
    let palette = scene.palette;
    let level = link.level();
    let color = palette.level(level);
    let painter = ui.painter().clone();
    let radius = CornerRadius::same(5);
    let (frame, why) = match link {
        ChainLink::Table(_, frame) => (*frame, None),
        ChainLink::Nothing(_, why) => (PhysPage::default(), Some(why)),
    };
    let is_selected = why.is_none() && scene.derived.focus.table == Some((level, frame));
    let edge = if is_selected {
        Stroke::new(2.0, palette.selection)
    } else if why.is_none() && scene.derived.hover.table == Some((level, frame)) {
        Stroke::new(1.0, palette.text)
    } else {
        Stroke::new(1.0, palette.edge)
    };
    let fill = if why.is_some() {
        palette.background
    } else {
        palette.panel
    };
    painter.rect(rect, radius, fill, edge, StrokeKind::Inside);
    if let Some(why) = why {
        let title = Rect::from_min_size(rect.min + vec2(PAD_LEFT, 0.0), vec2(rect.width(), 28.0));
        let font = theme::strong(theme::BODY);
        paint::line(
            &painter,
            title,
            Align::Min,
            &level.to_string(),
            font,
            palette.dim,
        );
        let width = rect.width() - PAD_LEFT - PAD_RIGHT;
        let galley = painter.layout(why.clone(), theme::words(theme::SMALL), palette.dim, width);
        painter.galley(rect.min + vec2(PAD_LEFT, 34.0), galley, palette.dim);
        return;
    }
    let bar = CornerRadius {
        nw: 5,
        sw: 5,
        ne: 0,
        se: 0,
    };
    painter.rect_filled(rect.with_max_x(rect.left() + 4.0), bar, color);
    let Some(table) = scene
        .state
        .space()
        .and_then(|space| space.table_at(frame, level))
    else {
        // A pointer leads here, and the capture has no such table: a limit cut it short.
        let inner = rect.shrink2(vec2(PAD_LEFT, 30.0));
        paint::hatch(&painter, inner, palette.edge, 9.0);
        say(ui, inner, "This table was not captured", scene);
        return;
    };
    title(ui, rect, layout, table, scene, out);
    let mode = scene.derived.mode();
    let grid = CellGrid {
        origin: pos2(rect.left() + PAD_LEFT, rect.top() + layout.title).round(),
        columns: layout.columns,
        rows: mode.entries(level) / layout.columns,
        cell: layout.cell,
    };
    if table.entries.is_none() {
        painter.rect_filled(grid.rect(), 0.0, palette.raised);
        paint::hatch(&painter, grid.rect(), palette.dim, 9.0);
        say(ui, grid.rect(), "This frame could not be read", scene);
        return;
    }
    let key = (
        scene.derived.generation,
        level,
        frame,
        palette.is_dark,
        layout.columns,
        scene.state.look.filter,
    );
    let cells = match texture {
        Some(cells) if cells.key == key => cells,
        _ => texture.insert(make_texture(ui, key, table, scene)),
    };
    grid.paint(&painter, &cells.handle, palette.panel);
    let mut folds = folds::folds(&cells.rows, &looked_at(ui, table, &grid, scene), |row| {
        opened.contains(&(level, frame, row))
    });
    folds::keep_sayable(ui, &grid, &mut folds);
    folds::paint(ui, &grid, &folds, scene);
    letters(ui, &grid, &folds, table, scene);
    marks(ui, &grid, table, scene);
    let is_torn = scene.is_torn(frame);
    if is_torn {
        paint::unsettled(&painter, grid.rect(), palette);
    }
    let feet = Rect::from_min_max(
        pos2(rect.left() + PAD_LEFT, rect.bottom() - FOOT + 3.0),
        pos2(rect.right() - PAD_RIGHT, rect.bottom() - 3.0),
    );
    let foot = feet.with_max_y(feet.center().y);
    window_foot(&painter, feet.with_min_y(feet.center().y), table, scene);
    let small = theme::words(theme::SMALL);
    let used = match is_torn {
        true => "moving".to_owned(),
        false => format!("{} of {}", cells.valid, mode.entries(level)),
    };
    // A narrow card has room for the number alone.
    let used = match paint::width(&painter, &used, small.clone()) <= foot.width() {
        true => used,
        false => cells.valid.to_string(),
    };
    let covers = size_text(mode.table_size(level));
    let taken = paint::line(
        &painter,
        foot,
        Align::Min,
        &used,
        small.clone(),
        palette.dim,
    );
    if taken.width() + 10.0 + paint::width(&painter, &covers, small.clone()) <= foot.width() {
        paint::line(&painter, foot, Align::Max, &covers, small, palette.dim);
    }
    interact(ui, &grid, table, scene, cells.valid, out);
    if let Some(row) = folds::interact(ui, &grid, &folds, table, scene)
        && !scene.is_picture
        && opened.len() < MOST_OPENED
    {
        opened.insert((level, frame, row));
    }
    anchor(rect, &grid, table, scene, anchors);
    window_anchor(ui, rect, &grid, table, scene, anchors);
}

/// Where the table is written: `window 0x87ffd000`, as much of it as there is room for; or which
/// table this is, where a recursive root makes the walk read it at another level.
fn window_foot(painter: &egui::Painter, rect: Rect, table: &Table, scene: &Scene<'_>) {
    let palette = scene.palette;
    let Some(facts) = scene.derived.table_facts(table.frame) else {
        return;
    };
    if let Some(role) = facts.role_at(table.level) {
        let font = theme::words(theme::SMALL);
        let own = match facts.table.parent {
            None => "root".to_owned(),
            Some(_) => facts.level().to_string(),
        };
        let short = format!("{own} as {}", table.level);
        let fits = paint::width(painter, &role, font.clone()) <= rect.width();
        let words = if fits { &role } else { &short };
        paint::line(painter, rect, Align::Min, words, font, palette.dim);
        return;
    }
    let (words, color) = match facts.window() {
        None => (vec!["no window".to_owned()], palette.dim),
        Some(window) => {
            let address = window.virt.to_string();
            let tail = address.len().saturating_sub(8);
            let short = format!("at …{}", &address[tail..]);
            let words = vec![format!("window {address}"), format!("at {address}"), short];
            (words, palette.text)
        }
    };
    for words in &words {
        for size in [10.5, 9.0] {
            let font = theme::numbers(size);
            if paint::width(painter, words, font.clone()) <= rect.width() {
                paint::line(painter, rect, Align::Min, words, font, color);
                return;
            }
        }
    }
    let last = words.last().map_or("", String::as_str);
    paint::line(painter, rect, Align::Min, last, theme::numbers(9.0), color);
}

/// The places that the arrow from the selected table to its window's leaf goes between.
fn window_anchor(
    ui: &mut Ui,
    card: Rect,
    grid: &CellGrid,
    table: &Table,
    scene: &Scene<'_>,
    anchors: &mut Anchors,
) {
    let (Some((level, frame)), Some(leaf)) = (scene.derived.focus.table, scene.derived.window_leaf)
    else {
        return;
    };
    if (table.level, table.frame) == (level, frame) {
        anchors.window.from = Some(card);
    }
    // A table that holds its own leaf is drawn at its own level; its cells are the same at each.
    let is_here = table.frame == leaf.table
        && (table.level == leaf.level || (table.level, table.frame) == (level, frame));
    if is_here && anchors.window.leaf.is_none() {
        let cell = grid.cell_rect(leaf.index);
        anchors.window.leaf = Some((card, cell));
        let id = ui.scope_id().with("window leaf");
        let response = ui.interact(cell, id, Sense::hover());
        paint::name_canvas(&response, || {
            format!(
                "The leaf {}[{}] of {} is the window onto the {level} table {frame}",
                leaf.level, leaf.index, leaf.table
            )
        });
    }
}

fn say(ui: &Ui, rect: Rect, words: &str, scene: &Scene<'_>) {
    let painter = ui.painter();
    let font = theme::strong(theme::SMALL);
    let width = rect.width() - 12.0;
    let galley = painter.layout(words.into(), font, scene.palette.text, width);
    let place = Rect::from_center_size(rect.center(), galley.size() + vec2(10.0, 8.0));
    painter.rect_filled(place, CornerRadius::same(3), scene.palette.panel);
    painter.galley(place.min + vec2(5.0, 4.0), galley, scene.palette.text);
}

fn title(
    ui: &mut Ui,
    rect: Rect,
    layout: &Cards,
    table: &Table,
    scene: &Scene<'_>,
    out: &mut Vec<UiCommand>,
) {
    let palette = scene.palette;
    let painter = ui.painter().clone();
    let place = Rect::from_min_max(
        pos2(rect.left() + PAD_LEFT, rect.top() + 2.0),
        pos2(rect.right() - PAD_RIGHT, rect.top() + layout.title),
    );
    let room = place.width();
    let name = match table.parent {
        None if room >= NAMES_ROOT => format!("{} root", table.level),
        _ => table.level.to_string(),
    };
    let color = palette.level(table.level);
    let address = table.frame.to_string();
    let (first, second) = if layout.title > 30.0 {
        let middle = place.top() + 18.0;
        (place.with_max_y(middle + 2.0), place.with_min_y(middle))
    } else {
        (place, place)
    };
    paint::line(
        &painter,
        first,
        Align::Min,
        &name,
        theme::strong(theme::BODY),
        color,
    );
    let align = if layout.title > 30.0 {
        Align::Min
    } else {
        Align::Max
    };
    let usual = theme::numbers(10.5);
    let font = if paint::width(&painter, &address, usual.clone()) <= second.width() {
        usual
    } else {
        theme::numbers(9.0)
    };
    // What tells tables apart is at an address's end.
    let fits = paint::width(&painter, &address, font.clone()) <= second.width();
    let tail = address.len().saturating_sub(6);
    let shown = match fits {
        true => address.clone(),
        false => format!("…{}", &address[tail..]),
    };
    paint::line(&painter, second, align, &shown, font, palette.text);
    let id = ui
        .scope_id()
        .with(("card title", table.level, table.frame.number()));
    let response = ui.interact(place, id, Sense::click());
    paint::name_canvas(&response, || {
        let moving = if scene.is_torn(table.frame) {
            ", moving"
        } else {
            ""
        };
        format!("{} table {address}{moving}", table.level)
    });
    let whole = Selection::Table {
        level: table.level,
        frame: table.frame,
    };
    if response.hovered() {
        scene.point(whole);
    }
    if response.clicked() {
        out.push(UiCommand::Select(whole));
    }
    response.on_hover_ui(|ui| describe_table(ui, table, scene));
}

fn interact(
    ui: &mut Ui,
    grid: &CellGrid,
    table: &Table,
    scene: &Scene<'_>,
    valid: usize,
    out: &mut Vec<UiCommand>,
) {
    let (level, frame) = (table.level, table.frame);
    let id = ui.scope_id().with(("cells", level, frame.number()));
    let response = ui.interact(grid.rect(), id, Sense::click());
    paint::name_canvas(&response, || {
        let entries = scene.derived.mode().entries(level);
        format!("Entries of the {level} table {frame}, {valid} of {entries} valid")
    });
    let Some(index) = response.hover_pos().and_then(|at| grid.index_at(at)) else {
        return;
    };
    let cell = grid.cell_rect(index);
    ui.painter().rect_stroke(
        cell,
        CornerRadius::ZERO,
        Stroke::new(1.0, scene.palette.text),
        StrokeKind::Outside,
    );
    let entry = Selection::Entry {
        level,
        table: frame,
        index,
    };
    scene.point(entry);
    if response.double_clicked() {
        // To the thing: a pointer's table; of a leaf the page, as large as it can be.
        let pte = table.entry(index);
        let kind = pte.map(|pte| scene.derived.mode().classify(pte, level));
        match (kind, level.next()) {
            (Some(PteKind::Pointer(next)), Some(below)) => {
                out.push(UiCommand::Select(Selection::Table {
                    level: below,
                    frame: next,
                }));
            }
            _ => out.push(UiCommand::Look(LookCommand::Camera(
                CameraStep::ToSelection,
            ))),
        }
    } else if response.clicked() {
        out.push(UiCommand::Select(entry));
    }
    response.on_hover_ui_at_pointer(|ui| {
        let (Some(pte), Some(space)) = (table.entry(index), scene.state.space()) else {
            return;
        };
        let kind = space.mode.classify(pte, level);
        ui.label(RichText::new(format!("{level}[{index}], {}", kind.name())).strong());
        let virt = entry_address(space.mode, table.covers_from, level, index);
        ui.monospace(format!(
            "{virt} + {}",
            size_text(space.mode.entry_size(level))
        ));
        if kind != PteKind::Invalid {
            ui.monospace(pte.to_string());
        }
        if scene.derived.is_own_window(table, index, pte) {
            ui.label(OWN_WINDOW);
        } else {
            ui.label(entry_words::sentence(space.mode, kind, level));
        }
        if scene.derived.is_fresh_entry(frame, index, pte) {
            ui.label("New or changed in this step.");
        }
    });
}

fn anchor(card: Rect, grid: &CellGrid, table: &Table, scene: &Scene<'_>, anchors: &mut Anchors) {
    let Some(step) = scene.derived.focus.step_at(table.level) else {
        return;
    };
    if step.table != table.frame {
        return;
    }
    let is_last = scene.derived.focus.entry() == Some(step);
    let is_fault = is_last && matches!(step.kind, PteKind::Invalid | PteKind::Reserved(_));
    let cell = grid.cell_rect(step.index);
    anchors.cells.push(CellAnchor {
        level: table.level,
        card,
        cell,
        is_fault,
    });
}

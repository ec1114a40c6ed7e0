//! The page tables: the ones on the selected address's way drawn large, all others as chips, and
//! which leaf makes which of them reachable.

mod all_tables;
mod card;
mod cells;
mod folds;
mod layout;
mod self_map;
mod tools;
mod words;

use egui::{Rect, RichText, Sense, Ui, UiBuilder, Vec2, pos2, vec2};
use pagescope_protocol::TranslationMode;

use super::camera::{CameraStep, MapId, gesture};
use super::command::UiCommand;
use super::derived::ChainLink;
use super::paint;
use super::scene::{Anchors, Scene};
use super::theme;
pub(super) use card::OWN_WINDOW;
use cells::CardTexture;
pub(super) use words::level_list;

/// What the tables keep from frame to frame: one small texture for each large card.
#[derive(Default)]
pub struct PageTables {
    textures: Vec<Option<CardTexture>>,
    /// How much larger than usual the cards are; 0 before the first frame.
    zoom: f32,
    /// How far they are moved, in points.
    moved: Vec2,
    selection_generation: u64,
    /// Runs of entries alike that are drawn one by one.
    opened: card::Opened,
}

/// The largest cells are this many times the usual ones.
const MOST_ZOOM: f32 = 4.0;

impl PageTables {
    /// Draws the tables into `rect`.
    pub fn show(
        &mut self,
        ui: &mut Ui,
        rect: Rect,
        scene: &Scene<'_>,
        anchors: &mut Anchors,
        out: &mut Vec<UiCommand>,
    ) {
        let space = scene.state.space();
        let is_guest = space.is_some_and(|space| space.through.is_some());
        let about = match is_guest {
            true => "frames as the guest has them",
            false => "how they are translated",
        };
        let buttons = match scene.is_picture {
            true => 0.0,
            false => tools::show(ui, rect, scene, out),
        };
        let head = rect.with_max_x(rect.right() - buttons - 8.0);
        let body = paint::column_title(ui, head, "Page tables", scene.remark(about));
        let body = body.with_max_x(rect.right());
        let mode = space.map_or(TranslationMode::Bare, |space| space.mode);
        let words = match mode {
            TranslationMode::Bare => Some((
                "Translation is off (satp mode Bare): virtual addresses are physical",
                "There are no page tables to draw yet. Let the guest run until it turns paging on, \
                 or step it and watch satp in the Registers tab.",
            )),
            TranslationMode::Reserved(_) => Some((
                "satp holds a mode that the specification reserves",
                "No hardware translates with it. The Registers tab shows satp.",
            )),
            _ => None,
        };
        if let Some((title, text)) = words {
            let mut child = ui.new_child(UiBuilder::new().max_rect(body));
            child.add_space(24.0);
            child.label(RichText::new(title).heading());
            child.label(RichText::new(text).color(scene.palette.dim));
            return;
        }
        let below = all_tables::wanted_height(scene.derived.tables().len(), body.width())
            + self_map::wanted_height(scene);
        let room = (body.height() - below - 40.0).max(body.height() * 0.58);
        let cards = self.show_cards(ui, body, room, scene, anchors, out);
        let rest = body.with_min_y(cards + 14.0);
        if rest.height() < 40.0 {
            return;
        }
        // The chips take what they need, at most about half; the windows onto tables get the rest.
        let tables = scene.derived.tables().len();
        let wanted = all_tables::wanted_height(tables, rest.width());
        let split = wanted.min((rest.height() * 0.5).max(62.0));
        let chips = rest.with_max_y((rest.top() + split).min(rest.bottom()));
        all_tables::show(ui, chips, scene, out);
        let windows = rest.with_min_y(chips.bottom() + 12.0);
        if windows.height() >= 52.0 {
            self_map::show(ui, windows, scene, out);
        }
    }

    /// Returns where the cards end.
    fn show_cards(
        &mut self,
        ui: &mut Ui,
        body: Rect,
        room: f32,
        scene: &Scene<'_>,
        anchors: &mut Anchors,
        out: &mut Vec<UiCommand>,
    ) -> f32 {
        // The card of the leaf that makes the selected table reachable stands beside the others,
        // unless it is one of them.
        let mut links = scene.derived.chain.clone();
        if let (Some(leaf), Some((_, frame))) =
            (scene.derived.window_leaf, scene.derived.focus.table)
            && leaf.table != frame
            && !links.contains(&ChainLink::Table(leaf.level, leaf.table))
        {
            links.push(ChainLink::Table(leaf.level, leaf.table));
        }
        let on_the_way = scene.derived.chain.len();
        let head = 22.0;
        let mode = scene.derived.mode();
        let most = mode.root_level().map_or(0, |root| mode.entries(root));
        let usual = layout::Cards::new(links.len(), most, body.width(), room - head);
        // Cards that are moved or zoomed stay inside of the place that they have at their usual size.
        let area = body.with_max_y(body.top() + head + usual.card_height());
        let id = ui.scope_id().with("tables");
        let response = ui.interact(area, id, Sense::click_and_drag());
        self.move_camera(ui, &response, &usual, links.len(), head, scene);
        let percent = (self.zoom * 100.0).round();
        paint::name_canvas(&response, || format!("Cards of page tables at {percent} %"));
        let layout = usual.zoomed(self.zoom);
        let is_moved = self.zoom > 1.0;
        let mut child = ui.new_child(UiBuilder::new().max_rect(area).id_salt(id));
        if is_moved {
            child.set_clip_rect(area.intersect(ui.clip_rect()));
        }
        let ui = &mut child;
        self.textures.resize_with(links.len(), || None);
        for (place, link) in links.iter().enumerate() {
            let left = body.left() + layout.left_of(place) + self.moved.x;
            let rect = Rect::from_min_size(
                pos2(left, body.top() + head + self.moved.y),
                vec2(layout.card_width, layout.card_height()),
            );
            let above = Rect::from_min_max(pos2(left, rect.top() - head), rect.right_top());
            if place >= on_the_way {
                let font = theme::words(theme::SMALL);
                let words = "holds its window";
                paint::line(
                    ui.painter(),
                    above,
                    egui::Align::Min,
                    words,
                    font,
                    scene.palette.dim,
                );
            } else if let Some(step) = scene.derived.focus.step_at(link.level()) {
                let level = link.level();
                let mut text = format!("va[{}] = {}", level.number(), step.index);
                let font = theme::numbers(theme::NUMBERS);
                if paint::width(ui.painter(), &text, font) > above.width() {
                    text = format!("[{}]", step.index);
                }
                let color = scene.palette.level(level);
                let painter = ui.painter();
                let font = theme::numbers(theme::NUMBERS);
                paint::line(painter, above, egui::Align::Min, &text, font, color);
            }
            let texture = &mut self.textures[place];
            let opened = &mut self.opened;
            card::show(
                ui, rect, &layout, link, scene, texture, opened, anchors, out,
            );
        }
        if is_moved {
            anchors.keep_inside(area);
        }
        area.bottom()
    }

    fn move_camera(
        &mut self,
        ui: &Ui,
        response: &egui::Response,
        usual: &layout::Cards,
        count: usize,
        head: f32,
        scene: &Scene<'_>,
    ) {
        self.zoom = self.zoom.max(1.0);
        let area = response.rect;
        let before = self.zoom;
        let mut at = area.center();
        if let Some(gesture) = gesture(ui, response) {
            self.zoom *= gesture.zoom as f32;
            self.moved += gesture.pan;
            at = gesture.at;
        }
        let is_new = self.selection_generation != scene.derived.selection_generation;
        self.selection_generation = scene.derived.selection_generation;
        let mut goes_to_selection = is_new && self.zoom > 1.0;
        match scene.step_of(MapId::Tables) {
            Some(CameraStep::Fit) => {
                self.zoom = 1.0;
                self.opened.clear();
            }
            Some(CameraStep::ToSelection) => {
                self.zoom = self.zoom.max(2.5);
                goes_to_selection = true;
            }
            Some(step) => {
                self.zoom *= step.zoom() as f32;
                self.moved += step.pan();
                at = response.hover_pos().unwrap_or(at);
            }
            None => {}
        }
        self.zoom = self.zoom.clamp(1.0, MOST_ZOOM);
        let scale = self.zoom / before;
        // What is under the pointer stays there, as near as whole points let it.
        self.moved = (at - area.min) * (1.0 - scale) + self.moved * scale;
        let cards = usual.zoomed(self.zoom);
        if goes_to_selection && let Some(step) = scene.derived.focus.entry() {
            let links = scene.derived.chain.iter();
            let place = links.filter(|link| link.level() > step.level).count();
            let (column, row) = (step.index % cards.columns, step.index / cards.columns);
            let cell = vec2(column as f32 + 0.5, row as f32 + 0.5) * cards.cell;
            let at = vec2(cards.left_of(place), head + cards.title) + cell;
            self.moved = area.size() / 2.0 - at;
        }
        let room = area.size() - vec2(cards.width(count), head + cards.card_height());
        self.moved = self.moved.max(room.min(Vec2::ZERO)).min(Vec2::ZERO);
    }
}

//! The palette of commands: everything that can be done, and every place that has a name, found by typing a part
//! of it.

mod entries;
mod search;

use egui::{
    Align, Align2, CornerRadius, Id, Key, Modal, Modifiers, Rect, Response, RichText, ScrollArea,
    Sense, TextEdit, Ui, vec2,
};

use super::command::{DeskCommand, UiCommand};
use super::scene::Scene;
use super::{paint, theme};
use entries::{Entry, entries, places};

/// Most results that are listed.
const MOST: usize = 60;
const ROW: f32 = 30.0;

/// What is typed into the palette, and what was found. Forgotten when it closes.
#[derive(Default)]
pub struct CommandPalette {
    is_open: bool,
    query: String,
    chosen: usize,
    found: Option<Found>,
}

struct Found {
    query: String,
    generation: (u64, usize),
    entries: Vec<Entry>,
    /// How many were found beyond those that are listed.
    more: usize,
}

impl CommandPalette {
    /// Shows it, where it is open.
    pub fn show(&mut self, ui: &mut Ui, scene: &Scene<'_>, out: &mut Vec<UiCommand>) {
        if !scene.state.desk.has_palette {
            *self = Self::default();
            return;
        }
        let is_new = !self.is_open;
        self.is_open = true;
        let screen = ui.ctx().content_rect();
        let width = (screen.width() - 80.0).clamp(300.0, 640.0);
        let area = Modal::default_area(Id::unique("palette"))
            .anchor(Align2::CENTER_TOP, vec2(0.0, screen.height() * 0.1));
        let mut done = None;
        let modal = Modal::new(Id::unique("palette"))
            .area(area)
            .show(ui.ctx(), |ui| {
                ui.set_width(width);
                let moved = Moves::take(ui);
                self.field(ui, is_new);
                self.search(scene);
                self.choose(&moved);
                done = self.list(ui, scene, screen.height() * 0.6, &moved);
            });
        if let Some(command) = done {
            out.push(UiCommand::Desk(DeskCommand::TogglePalette));
            out.push(command);
        } else if modal.should_close() {
            out.push(UiCommand::Desk(DeskCommand::TogglePalette));
        }
    }

    fn field(&mut self, ui: &mut Ui, is_new: bool) {
        let edit = TextEdit::singleline(&mut self.query)
            .id(Id::unique("palette query"))
            .hint_text("A command, a region, a symbol, a step, an expression")
            .char_limit(200)
            .lock_focus(true)
            .margin(vec2(10.0, 8.0))
            .desired_width(f32::INFINITY);
        let response = ui.add(edit);
        response.widget_info(|| {
            egui::WidgetInfo::labeled(egui::Role::TextInput, true, "Find a command")
        });
        // Nothing else in it takes the keyboard.
        if is_new || !response.has_focus() {
            response.request_focus();
        }
        ui.add_space(4.0);
    }

    fn search(&mut self, scene: &Scene<'_>) {
        let generation = (
            scene.derived.generation,
            scene.state.history.moments().len(),
        );
        let is_known = self
            .found
            .as_ref()
            .is_some_and(|found| found.query == self.query && found.generation == generation);
        if is_known {
            return;
        }
        if self
            .found
            .as_ref()
            .is_none_or(|found| found.query != self.query)
        {
            self.chosen = 0;
        }
        let mut found = search::best(&self.query, entries(scene.state));
        if !self.query.trim().is_empty() {
            let tables = scene.derived.chain_tables();
            let around = places(&self.query, scene.state, &tables);
            found.extend(search::best(&self.query, around));
            found.sort_by_key(|(score, _)| std::cmp::Reverse(*score));
            if let Some(entry) = entries::expression(&self.query, scene.state, &tables) {
                // What can be read as an address goes first only where nothing is called so.
                let is_name = found
                    .first()
                    .is_some_and(|(score, _)| *score >= search::IS_NAME);
                let place = if is_name {
                    found.len().min(MOST - 1)
                } else {
                    0
                };
                found.insert(place, (0, entry));
            }
        }
        let more = found.len().saturating_sub(MOST);
        found.truncate(MOST);
        self.found = Some(Found {
            query: self.query.clone(),
            generation,
            entries: found.into_iter().map(|(_, entry)| entry).collect(),
            more,
        });
    }

    fn choose(&mut self, moves: &Moves) {
        let count = self.found.as_ref().map_or(0, |found| found.entries.len());
        let last = count.saturating_sub(1);
        self.chosen = match moves.to_end {
            Some(true) => last,
            Some(false) => 0,
            None => self.chosen.saturating_add_signed(moves.by).min(last),
        };
    }

    /// Draws the results; returns what is to be done.
    fn list(
        &self,
        ui: &mut Ui,
        scene: &Scene<'_>,
        height: f32,
        moves: &Moves,
    ) -> Option<UiCommand> {
        let found = self.found.as_ref()?;
        let mut done = None;
        if found.entries.is_empty() {
            let words = format!(
                "Nothing is called {:?}. Type a part of its name.",
                self.query
            );
            ui.label(RichText::new(words).color(scene.palette.dim));
        }
        ScrollArea::vertical()
            .id_salt("palette results")
            .max_height(height)
            // It is measured once, when it opens, and would stay as low as it was then.
            .min_scrolled_height(height)
            .auto_shrink([false, true])
            .show(ui, |ui| {
                ui.spacing_mut().item_spacing.y = 0.0;
                for (place, entry) in found.entries.iter().enumerate() {
                    let is_chosen = place == self.chosen;
                    let response = row(ui, scene, entry, is_chosen);
                    if is_chosen && moves.has_moved() {
                        response.scroll_to_me(None);
                    }
                    let is_taken = response.clicked() || is_chosen && moves.enter;
                    if is_taken && entry.why_not.is_none() {
                        done = Some(entry.command.clone());
                    }
                }
            });
        if found.more > 0 {
            let words = format!("and {} more: type on", found.more);
            ui.label(
                RichText::new(words)
                    .size(theme::SMALL)
                    .color(scene.palette.dim),
            );
        }
        done
    }
}

/// What the keys ask of the list.
struct Moves {
    by: isize,
    to_end: Option<bool>,
    enter: bool,
}

impl Moves {
    /// Takes them before the text field does.
    fn take(ui: &Ui) -> Self {
        const PAGE: isize = 10;
        ui.input_mut(|input| {
            let mut times = |key| input.count_and_consume_key(Modifiers::NONE, key) as isize;
            let by = times(Key::ArrowDown) - times(Key::ArrowUp)
                + PAGE * (times(Key::PageDown) - times(Key::PageUp))
                + times(Key::Tab);
            let mut ctrl = |key| input.consume_key(Modifiers::COMMAND, key);
            let to_end = match (ctrl(Key::Home), ctrl(Key::End)) {
                (true, _) => Some(false),
                (_, true) => Some(true),
                _ => None,
            };
            Self {
                by,
                to_end,
                enter: input.consume_key(Modifiers::NONE, Key::Enter),
            }
        })
    }

    const fn has_moved(&self) -> bool {
        self.by != 0 || self.to_end.is_some()
    }
}

fn row(ui: &mut Ui, scene: &Scene<'_>, entry: &Entry, is_chosen: bool) -> Response {
    let palette = scene.palette;
    let is_enabled = entry.why_not.is_none();
    let (rect, response) = ui.allocate_exact_size(vec2(ui.available_width(), ROW), Sense::click());
    if is_chosen || response.hovered() {
        let fill = match is_chosen {
            true => ui.visuals().selection.bg_fill,
            false => palette.raised,
        };
        ui.painter().rect_filled(rect, CornerRadius::same(4), fill);
    }
    let painter = ui.painter();
    let inner = rect.shrink2(vec2(10.0, 0.0));
    let small = theme::words(theme::SMALL);
    let mut right = inner.right();
    if !entry.keys.is_empty() {
        let font = theme::numbers(10.5);
        let wide = paint::width(painter, &entry.keys, font.clone()) + 12.0;
        let chip = Rect::from_center_size(
            egui::pos2(right - wide / 2.0, rect.center().y),
            vec2(wide, 18.0),
        );
        painter.rect_filled(chip, CornerRadius::same(3), palette.raised);
        paint::line(
            painter,
            chip,
            Align::Center,
            &entry.keys,
            font,
            palette.text,
        );
        right = chip.left() - 8.0;
    }
    let group = inner.with_max_x(right);
    let drawn = paint::line(
        painter,
        group,
        Align::Max,
        entry.group,
        small.clone(),
        palette.dim,
    );
    right = drawn.left() - 10.0;
    let ink = if is_enabled {
        palette.text
    } else {
        palette.dim
    };
    let title = inner.with_max_x(right);
    let font = theme::strong(theme::BODY);
    let drawn = paint::line(painter, title, Align::Min, &entry.title, font, ink);
    let rest = title.with_min_x(drawn.right() + 10.0);
    let (about, color) = match &entry.why_not {
        Some(why) => (why.as_str(), palette.danger),
        None => (entry.about.as_str(), palette.dim),
    };
    if rest.width() > 40.0 {
        paint::line(painter, rest, Align::Min, about, small, color);
    }
    response.widget_info(|| {
        let why = entry.why_not.as_ref();
        let name = match why {
            Some(why) => format!("{}, {why}", entry.title),
            None => entry.title.clone(),
        };
        egui::WidgetInfo::selected(egui::Role::Button, is_enabled, is_chosen, name)
    });
    response.on_hover_text(match (&entry.why_not, entry.keys.as_str()) {
        (Some(why), _) => why.clone(),
        (None, "") => entry.about.clone(),
        (None, keys) => format!("{} ({keys})", entry.about),
    })
}

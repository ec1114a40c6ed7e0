//! The address box: what is typed is read at once, and said what it means before Enter.
//!
//! ```text
//!  ┌ kalloc+0x1c ───────────────────────────┐
//!  └────────────────────────────────────────┘
//!    0x8020011c, virtual                        the meaning, or what is wrong with it
//!    mapped to 0x8020011c, r-x--a-
//!    kalloc        symbol          0x80200100   names to go on with: ↑ ↓, Tab or Enter takes one
//! ```

use std::ops::Range;

use egui::text::{CCursor, CCursorRange, LayoutJob, TextFormat};
use egui::{
    Align, Color32, CornerRadius, FontId, Key, Layout, Modifiers, Popup, PopupCloseBehavior, Rect,
    Response, RichText, Sense, Stroke, TextBuffer, TextEdit, Ui, vec2,
};

use super::actions;
use super::command::UiCommand;
use super::scene::Scene;
use super::theme;
use crate::model::Selection;
use crate::model::expression::{
    Completion, Completions, ExpressionError, Meaning, complete, describe, evaluate,
};

/// What lines the list has room for.
const WIDTH: f32 = 440.0;
const ROW: f32 = 22.0;
/// Entries of before that are offered where nothing is typed.
const RECENT: usize = 6;

/// What is typed, and what follows from it.
#[derive(Default)]
pub struct AddressBox {
    text: String,
    wants_focus: bool,
    /// The name of the list that is marked.
    chosen: Option<usize>,
    /// How far back among the entries of before.
    back: usize,
    /// Where the list was drawn, so that a press on it does not close it first.
    list: Option<Rect>,
    read: Option<Read>,
    /// What is selected since the text was entered: with another selection the text is of the past.
    selected: Option<Selection>,
    /// Frames until what was entered is selected.
    goes: u8,
}

/// What a text came to.
struct Read {
    text: String,
    cursor: usize,
    generation: (u64, u64, usize),
    meaning: Option<Result<Meaning, ExpressionError>>,
    completions: Completions,
}

/// What was pressed that the text field must not have.
#[derive(Default)]
struct Pressed {
    up: bool,
    down: bool,
    tab: bool,
    enter: bool,
}

impl AddressBox {
    /// Puts the keyboard into the box in the next frame.
    pub fn focus(&mut self) {
        self.wants_focus = true;
    }

    /// Draws the box.
    pub fn show(&mut self, ui: &mut Ui, width: f32, scene: &Scene<'_>, out: &mut Vec<UiCommand>) {
        let id = ui.make_persistent_id("address");
        let is_enabled = scene.state.snapshot().is_some();
        let had_focus = ui.memory(|memory| memory.has_focus(id));
        let pressed = if had_focus {
            self.take_keys(ui)
        } else {
            Pressed::default()
        };
        self.forget_past(had_focus, scene);
        let before = self.text.clone();
        let response = self.field(ui, id, width, is_enabled, scene);
        if self.wants_focus && is_enabled {
            self.wants_focus = false;
            response.request_focus();
            let end = self.text.chars().count();
            self.select(ui, &response, 0..end);
        }
        if self.text != before {
            self.chosen = None;
            self.back = 0;
        }
        let has_focus = response.has_focus() || had_focus && pressed.enter;
        if has_focus {
            self.read(ui, &response, scene);
            self.obey(ui, &response, &pressed, scene, out);
        }
        let is_pressed_on_list = self.list.is_some_and(|list| {
            let at = ui.input(|input| input.pointer.interact_pos());
            at.is_some_and(|at| list.contains(at))
        });
        if is_enabled && (response.has_focus() || is_pressed_on_list) {
            self.show_list(ui, &response, scene, out);
        } else {
            self.list = None;
        }
        response
            .on_hover_text(actions::hint("Go to address"))
            .on_disabled_hover_text("Nothing is open yet: there are no addresses to go to.");
    }

    /// The text stays as long as what it led to is selected.
    fn forget_past(&mut self, had_focus: bool, scene: &Scene<'_>) {
        if self.goes > 0 {
            self.goes -= 1;
            self.selected = Some(scene.state.selection);
        } else if !had_focus && self.selected.is_some_and(|it| it != scene.state.selection) {
            self.text.clear();
            self.selected = None;
        }
    }

    fn field(
        &mut self,
        ui: &mut Ui,
        id: egui::Id,
        width: f32,
        is_enabled: bool,
        scene: &Scene<'_>,
    ) -> Response {
        let palette = scene.palette;
        let wrong = self.wrong();
        let font = theme::numbers(theme::NUMBERS);
        let mut layouter = |ui: &Ui, text: &dyn TextBuffer, _wrap: f32| {
            let job = marked(
                text.as_str(),
                wrong.clone(),
                &font,
                palette.text,
                palette.danger,
            );
            ui.fonts_mut(|fonts| fonts.layout_job(job))
        };
        let can_complete = self
            .read
            .as_ref()
            .is_some_and(|read| !read.completions.items.is_empty());
        let edit = TextEdit::singleline(&mut self.text)
            .id(id)
            .desired_width(width)
            .hint_text("Address, name or expression")
            .font(theme::numbers(theme::NUMBERS))
            .char_limit(crate::model::expression::MAX_TEXT)
            .lock_focus(can_complete)
            .layouter(&mut layouter)
            .margin(vec2(8.0, 5.0));
        let response = ui.add_enabled(is_enabled, edit);
        response.widget_info(|| {
            egui::WidgetInfo::labeled(egui::Role::TextInput, is_enabled, "Address")
        });
        if self.text.is_empty() && !response.has_focus() {
            let place = response.rect.shrink2(vec2(8.0, 0.0));
            let keys = theme::numbers(10.0);
            let room = place.width() > 250.0;
            if room {
                super::paint::line(ui.painter(), place, Align::Max, "Ctrl+L", keys, palette.dim);
            }
        }
        response
    }

    /// The part of the text that is wrong, unless it may only be unfinished.
    fn wrong(&self) -> Option<Range<usize>> {
        let read = self.read.as_ref().filter(|read| read.text == self.text)?;
        match &read.meaning {
            Some(Err(error)) if read.completions.items.is_empty() => Some(error.at.clone()),
            _ => None,
        }
    }

    /// Takes the keys of the list from the text field.
    fn take_keys(&self, ui: &Ui) -> Pressed {
        let can_complete = self
            .read
            .as_ref()
            .is_some_and(|read| !read.completions.items.is_empty());
        ui.input_mut(|input| Pressed {
            up: input.consume_key(Modifiers::NONE, Key::ArrowUp),
            down: input.consume_key(Modifiers::NONE, Key::ArrowDown),
            tab: can_complete && input.consume_key(Modifiers::NONE, Key::Tab),
            enter: input.consume_key(Modifiers::NONE, Key::Enter),
        })
    }

    /// Brings what is known of the text up to date.
    fn read(&mut self, ui: &Ui, response: &Response, scene: &Scene<'_>) {
        let cursor = TextEdit::load_state(ui.ctx(), response.id)
            .and_then(|state| state.cursor.char_range())
            .map_or(usize::MAX, |range| range.primary.index.0);
        let cursor = self
            .text
            .char_indices()
            .nth(cursor)
            .map_or(self.text.len(), |(at, _)| at);
        let generation = (
            scene.derived.generation,
            scene.derived.selection_generation,
            scene.state.desk.symbols.len(),
        );
        let is_known = self.read.as_ref().is_some_and(|read| {
            read.text == self.text && read.cursor == cursor && read.generation == generation
        });
        if is_known {
            return;
        }
        let tables = scene.derived.chain_tables();
        self.read = scene.state.scope(&tables).map(|scope| {
            let is_empty = self.text.trim().is_empty();
            let meaning = (!is_empty)
                .then(|| evaluate(&self.text, &scope).map(|value| describe(&value, &scope)));
            Read {
                text: self.text.clone(),
                cursor,
                generation,
                meaning,
                completions: complete(&self.text, cursor, &scope),
            }
        });
    }

    fn obey(
        &mut self,
        ui: &Ui,
        response: &Response,
        pressed: &Pressed,
        scene: &Scene<'_>,
        out: &mut Vec<UiCommand>,
    ) {
        let offered = self
            .read
            .as_ref()
            .map_or(0, |read| read.completions.items.len());
        if pressed.down {
            if self.back > 0 {
                self.go_back(ui, response, scene, -1);
            } else if offered > 0 {
                let next = self.chosen.map_or(0, |chosen| chosen + 1);
                self.chosen = Some(next.min(offered - 1));
            }
        }
        if pressed.up {
            match self.chosen {
                Some(chosen) => self.chosen = chosen.checked_sub(1),
                None => self.go_back(ui, response, scene, 1),
            }
        }
        if pressed.tab && offered > 0 {
            self.insert(ui, response, self.chosen.unwrap_or(0));
        } else if pressed.enter {
            if let Some(chosen) = self.chosen {
                self.insert(ui, response, chosen);
            }
            self.enter(response, scene, out);
        }
    }

    /// Puts an earlier entry into the box.
    fn go_back(&mut self, ui: &Ui, response: &Response, scene: &Scene<'_>, by: isize) {
        let entered = &scene.state.desk.entered;
        let back = self.back.saturating_add_signed(by).min(entered.len());
        if back == self.back {
            return;
        }
        self.back = back;
        self.text = match back {
            0 => String::new(),
            back => entered[entered.len() - back].clone(),
        };
        let end = self.text.chars().count();
        self.select(ui, response, end..end);
    }

    /// Puts the name at this place of the list into the text.
    fn insert(&mut self, ui: &Ui, response: &Response, place: usize) {
        let Some(read) = &self.read else { return };
        let Some(item) = read.completions.items.get(place) else {
            return;
        };
        let replace = read.completions.replace.clone();
        if self.text.get(replace.clone()).is_none() {
            return;
        }
        let end = replace.start + item.insert.len();
        self.text.replace_range(replace, &item.insert);
        let end = self.text[..end].chars().count();
        self.chosen = None;
        self.select(ui, response, end..end);
    }

    /// Goes to what is typed; stays where that means nothing.
    fn enter(&mut self, response: &Response, scene: &Scene<'_>, out: &mut Vec<UiCommand>) {
        let tables = scene.derived.chain_tables();
        let means_something = scene
            .state
            .scope(&tables)
            .is_some_and(|scope| evaluate(&self.text, &scope).is_ok());
        if means_something {
            out.push(UiCommand::GoTo(self.text.clone()));
            self.goes = 2;
            response.surrender_focus();
            self.back = 0;
        } else {
            response.request_focus();
        }
    }

    fn select(&self, ui: &Ui, response: &Response, range: Range<usize>) {
        let mut state = TextEdit::load_state(ui.ctx(), response.id).unwrap_or_default();
        let range = CCursorRange::two(CCursor::new(range.start), CCursor::new(range.end));
        state.cursor.set_char_range(Some(range));
        TextEdit::store_state(ui.ctx(), response.id, state);
    }

    fn show_list(
        &mut self,
        ui: &mut Ui,
        response: &Response,
        scene: &Scene<'_>,
        out: &mut Vec<UiCommand>,
    ) {
        let mut taken = None;
        let mut entered = None;
        let shown = Popup::from_response(response)
            .id(response.id.with("list"))
            .open(true)
            .close_behavior(PopupCloseBehavior::IgnoreClicks)
            .width(WIDTH.max(response.rect.width()))
            .gap(4.0)
            .accessible_name("What it means")
            .show(|ui| {
                ui.set_width(WIDTH.max(response.rect.width()) - 16.0);
                ui.spacing_mut().item_spacing.y = 2.0;
                let Some(read) = &self.read else { return };
                match &read.meaning {
                    None => entered = nothing_typed(ui, scene),
                    Some(Ok(meaning)) => say(ui, scene, meaning),
                    // A word that goes on is not wrong yet.
                    Some(Err(_)) if !read.completions.items.is_empty() => {}
                    Some(Err(error)) => {
                        let words = format!("{}.", error.what);
                        ui.label(RichText::new(words).color(scene.palette.danger));
                    }
                }
                for (place, item) in read.completions.items.iter().enumerate() {
                    if row(ui, scene, item, self.chosen == Some(place)).clicked() {
                        taken = Some(place);
                    }
                }
            });
        self.list = shown.map(|shown| shown.response.rect);
        if let Some(text) = entered {
            self.text = text;
            self.enter(response, scene, out);
        }
        if let Some(place) = taken {
            self.insert(ui, response, place);
            response.request_focus();
        }
    }
}

/// The text with its wrong part underlined.
fn marked(
    text: &str,
    wrong: Option<Range<usize>>,
    font: &FontId,
    ink: Color32,
    danger: Color32,
) -> LayoutJob {
    let plain = TextFormat::simple(font.clone(), ink);
    let mut job = LayoutJob::default();
    match wrong.filter(|wrong| text.get(wrong.clone()).is_some()) {
        Some(wrong) => {
            let underlined = TextFormat {
                underline: Stroke::new(1.5, danger),
                ..plain.clone()
            };
            job.append(&text[..wrong.start], 0.0, plain.clone());
            job.append(&text[wrong.clone()], 0.0, underlined);
            job.append(&text[wrong.end..], 0.0, plain);
        }
        None => job.append(text, 0.0, plain),
    }
    job.wrap.max_rows = 1;
    job
}

fn say(ui: &mut Ui, scene: &Scene<'_>, meaning: &Meaning) {
    ui.label(RichText::new(&meaning.value).font(theme::strong_numbers(theme::NUMBERS)));
    let color = match meaning.is_there {
        true => scene.palette.dim,
        false => scene.palette.danger,
    };
    if !meaning.words.is_empty() {
        ui.label(RichText::new(&meaning.words).color(color));
    }
}

/// What can be typed, and what was typed before. Returns what was pressed of it.
fn nothing_typed(ui: &mut Ui, scene: &Scene<'_>) -> Option<String> {
    let dim = scene.palette.dim;
    let mut pressed = None;
    let entered = &scene.state.desk.entered;
    for text in entered.iter().rev().take(RECENT) {
        let item = Completion {
            insert: text.clone(),
            name: text.clone(),
            what: "typed before",
            value: String::new(),
        };
        if row(ui, scene, &item, false).clicked() {
            pressed = Some(text.clone());
        }
    }
    for (example, what) in [
        ("0x80200000", "a virtual address"),
        ("p:0x87ff3000", "a physical one"),
        ("kalloc+0x1c  sp  .text", "a symbol, a register, a region"),
        ("l0[499]  root[2]", "an entry of a table"),
        ("*(root + 2*8)  pa(sp)", "a word; an address translated"),
    ] {
        ui.horizontal(|ui| {
            ui.spacing_mut().interact_size.y = 16.0;
            ui.label(RichText::new(example).font(theme::numbers(theme::NUMBERS)));
            ui.with_layout(Layout::right_to_left(Align::Center), |ui| {
                ui.label(RichText::new(what).size(theme::SMALL).color(dim));
            });
        });
    }
    pressed
}

fn row(ui: &mut Ui, scene: &Scene<'_>, item: &Completion, is_chosen: bool) -> Response {
    let palette = scene.palette;
    let (rect, response) = ui.allocate_exact_size(vec2(ui.available_width(), ROW), Sense::click());
    if is_chosen || response.hovered() {
        let fill = match is_chosen {
            true => ui.visuals().selection.bg_fill,
            false => palette.raised,
        };
        ui.painter().rect_filled(rect, CornerRadius::same(3), fill);
    }
    let place = rect.shrink2(vec2(6.0, 0.0));
    let painter = ui.painter();
    let small = theme::words(theme::SMALL);
    let value_place = place.with_min_x(place.left() + place.width() * 0.52);
    let value = match item.what {
        "" => item.value.clone(),
        what => format!("{what}  {}", item.value),
    };
    let value = value.trim_end();
    let drawn = super::paint::line(painter, value_place, Align::Max, value, small, palette.dim);
    let name_place = place.with_max_x(drawn.left() - 8.0);
    let font = theme::numbers(theme::NUMBERS);
    super::paint::line(
        painter,
        name_place,
        Align::Min,
        &item.name,
        font,
        palette.text,
    );
    response.widget_info(|| {
        let name = format!("{} {value}", item.name);
        egui::WidgetInfo::selected(egui::Role::Button, true, is_chosen, name.trim_end())
    });
    response
}

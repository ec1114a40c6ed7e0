//! Numbers that are watched: the kernel's own, and those that somebody adds.

use egui::{
    Align, Button, ComboBox, Key, Layout, Rect, RichText, ScrollArea, TextEdit, Ui, UiBuilder, vec2,
};
use pagescope_protocol::snapshot::{RegionSpace, Watch};

use super::lists::{child, empty};
use super::rows::ROW;
use crate::model::Selection;
use crate::session::{WatchAt, WatchSpec};
use crate::views::command::{GuestCommand, UiCommand};
use crate::views::paint;
use crate::views::scene::Scene;
use crate::views::theme;

/// How many moments back a number's values are shown.
const BACK: usize = 400;
/// How many different values are shown.
const VALUES: usize = 8;

/// What the list keeps from frame to frame.
pub(super) struct Watches {
    place: String,
    bytes: u8,
}

impl Default for Watches {
    fn default() -> Self {
        Self {
            place: String::new(),
            bytes: 8,
        }
    }
}

impl Watches {
    /// Draws the list into `rect`.
    pub(super) fn show(
        &mut self,
        ui: &mut Ui,
        rect: Rect,
        scene: &Scene<'_>,
        out: &mut Vec<UiCommand>,
    ) {
        let head = rect.with_max_y(rect.top() + 26.0);
        self.adder(ui, head, scene, out);
        let body = rect.with_min_y(head.bottom() + 4.0);
        let watches = scene.state.snapshot().map_or(&[][..], |one| &one.watches);
        if watches.is_empty() {
            let words =
                "Nothing is watched. Type an address, p: and a physical address, or a symbol.";
            return empty(ui, body, scene, words);
        }
        let mut place = child(ui, body, "watches");
        ScrollArea::vertical()
            .id_salt("watches")
            .auto_shrink(false)
            .show_rows(&mut place, ROW + 4.0, watches.len(), |ui, range| {
                for watch in &watches[range] {
                    row(ui, body.width() - 10.0, watch, scene, out);
                }
            });
    }

    /// The line that adds a number.
    fn adder(&mut self, ui: &mut Ui, rect: Rect, scene: &Scene<'_>, out: &mut Vec<UiCommand>) {
        let can_watch = scene.state.has_session && scene.state.connection.can_read();
        let mut line = ui.new_child(
            UiBuilder::new()
                .max_rect(rect)
                .id_salt("watch adder")
                .layout(Layout::left_to_right(Align::Center)),
        );
        line.spacing_mut().item_spacing.x = 6.0;
        let edit = TextEdit::singleline(&mut self.place)
            .id_salt("watch place")
            .desired_width((rect.width() * 0.34).clamp(140.0, 300.0))
            .font(theme::numbers(theme::NUMBERS))
            .hint_text("Address, p:address or symbol")
            .margin(vec2(6.0, 3.0));
        let needs_guest =
            "A number is read from a guest that stands still: pause it, or attach to one.";
        let response = line.add_enabled(can_watch, edit);
        response.widget_info(|| {
            egui::WidgetInfo::labeled(egui::Role::TextInput, can_watch, "What to watch")
        });
        let response = response.on_disabled_hover_text(needs_guest);
        let size = |bytes: u8| format!("u{}", u32::from(bytes) * 8);
        let combo = ComboBox::new("watch size", "")
            .width(56.0)
            .selected_text(size(self.bytes));
        let shown = combo.show_ui(&mut line, |ui| {
            for bytes in [1, 2, 4, 8] {
                ui.selectable_value(&mut self.bytes, bytes, size(bytes));
            }
        });
        shown.response.widget_info(|| {
            egui::WidgetInfo::labeled(egui::Role::ComboBox, true, "Size of the number")
        });
        let entered = response.lost_focus() && line.input(|input| input.key_pressed(Key::Enter));
        let is_named = !self.place.trim().is_empty();
        let button = line.add_enabled(can_watch && is_named, Button::new("Watch"));
        let why_not = match can_watch {
            true => "Type what to watch first.",
            false => needs_guest,
        };
        let pressed = button
            .on_hover_text("Read this number at every stop from now on; recordings keep it")
            .on_disabled_hover_text(why_not)
            .clicked();
        if (pressed || (entered && can_watch)) && is_named {
            match spec(self.place.trim(), self.bytes, scene) {
                Ok(watch) => {
                    out.push(UiCommand::Guest(GuestCommand::AddWatch(watch)));
                    self.place.clear();
                }
                Err(why) => out.push(UiCommand::Guest(GuestCommand::Complain(why))),
            }
        }
    }
}

/// What was typed, as something to watch.
fn spec(text: &str, bytes: u8, scene: &Scene<'_>) -> Result<WatchSpec, String> {
    let at = match scene.state.looked_up(text) {
        Some(Ok(Selection::Virtual(address))) => WatchAt::Virtual(address),
        Some(Ok(Selection::Physical(address))) => WatchAt::Physical(address),
        Some(Ok(Selection::Range(stretch))) => match stretch.space {
            RegionSpace::Physical => {
                WatchAt::Physical(pagescope_protocol::PhysAddr::new(stretch.start))
            }
            RegionSpace::Virtual => {
                WatchAt::Virtual(pagescope_protocol::VirtAddr::new(stretch.start))
            }
        },
        _ => {
            let is_symbol = text
                .chars()
                .all(|one| one.is_alphanumeric() || "_:.$<>+".contains(one));
            if !is_symbol || text.starts_with(|one: char| one.is_ascii_digit()) {
                return Err(format!(
                    "{text:?} is no address and no symbol: type 0x87ff3000, p:0x87ff3000, or a symbol of the guest's ELF."
                ));
            }
            WatchAt::Symbol(text.to_owned())
        }
    };
    Ok(WatchSpec {
        name: format!("{text} u{}", u32::from(bytes) * 8),
        at,
        bytes,
    })
}

/// The last different values up to the moment being looked at, the oldest first.
fn over_time(name: &str, scene: &Scene<'_>) -> Vec<Option<u64>> {
    let history = &scene.state.history;
    let moments = history.moments();
    let until = (history.cursor() + 1).min(moments.len());
    let mut values: Vec<Option<u64>> = Vec::new();
    for moment in moments[..until].iter().rev().take(BACK) {
        let watches = &moment.snapshot.watches;
        let Some(watch) = watches.iter().find(|watch| watch.name == name) else {
            break;
        };
        if values.last() != Some(&watch.value) {
            values.push(watch.value);
        }
        if values.len() > VALUES {
            break;
        }
    }
    values.reverse();
    values
}

fn row(ui: &mut Ui, width: f32, watch: &Watch, scene: &Scene<'_>, out: &mut Vec<UiCommand>) {
    let palette = scene.palette;
    let is_ours = scene
        .state
        .guest
        .watches
        .iter()
        .any(|one| one.name == watch.name);
    ui.allocate_ui(vec2(width, ROW + 4.0), |ui| {
        let rect = ui.max_rect();
        let mut line = ui.new_child(
            UiBuilder::new()
                .max_rect(rect)
                .layout(Layout::left_to_right(Align::Center)),
        );
        line.spacing_mut().item_spacing.x = 8.0;
        let name_width = (width * 0.26).clamp(110.0, 260.0);
        let cell = |line: &mut Ui, width: f32, text: &str, color, numbers: bool| {
            // Only the name is pressed.
            let sense = match numbers {
                true => egui::Sense::hover(),
                false => egui::Sense::click(),
            };
            let (rect, response) = line.allocate_exact_size(vec2(width, ROW), sense);
            let font = match numbers {
                true => theme::numbers(theme::NUMBERS),
                false => theme::words(12.5),
            };
            paint::line(line.painter(), rect, Align::Min, text, font, color);
            response
        };
        let value = match watch.value {
            Some(value) => format!("{value}"),
            None => "not mapped".into(),
        };
        if watch.value.is_some() && line.rect_contains_pointer(rect) {
            scene.point(Selection::Physical(watch.address));
        }
        let response = cell(&mut line, name_width, &watch.name, palette.text, false);
        let label = format!("Watch {}, {value}", watch.name);
        response.widget_info(|| egui::WidgetInfo::labeled(egui::Role::Button, true, &label));
        if response
            .on_hover_text(format!(
                "At physical {}. Press to look at it.",
                watch.address
            ))
            .clicked()
            && watch.value.is_some()
        {
            out.push(UiCommand::Select(Selection::Physical(watch.address)));
        }
        let color = match watch.value {
            Some(_) => palette.counter,
            None => palette.dim,
        };
        cell(&mut line, 120.0, &value, color, true);
        let hex = watch
            .value
            .map_or_else(String::new, |value| format!("{value:#x}"));
        cell(&mut line, 150.0, &hex, palette.dim, true);
        let remove = is_ours && scene.state.connection.can_read();
        let over: Vec<String> = over_time(&watch.name, scene)
            .into_iter()
            .map(|value| value.map_or_else(|| "?".into(), |value| value.to_string()))
            .collect();
        let rest = (line.available_width() - 70.0).max(0.0);
        let text = over.join(" → ");
        let past = cell(&mut line, rest, &text, palette.dim, true);
        past.on_hover_text(format!("Its last values, up to this moment: {text}"));
        if is_ours {
            let button = line.add_enabled(
                remove,
                Button::new(RichText::new("Remove").size(theme::SMALL)).small(),
            );
            let label = format!("Watch {} no longer", watch.name);
            button.widget_info(|| egui::WidgetInfo::labeled(egui::Role::Button, remove, &label));
            if button
                .on_hover_text(&label)
                .on_disabled_hover_text("The guest runs: pause it first (F6).")
                .clicked()
            {
                out.push(UiCommand::Guest(GuestCommand::RemoveWatch(
                    watch.name.clone(),
                )));
            }
        }
    });
}

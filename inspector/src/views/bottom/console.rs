//! The guest's console: what it wrote, and a line to type for it.

use egui::{
    Align, Button, EventFilter, Key, Label, Layout, Modifiers, Rect, RichText, TextEdit, Ui,
    UiBuilder, vec2,
};

use super::lists::{Lines, empty};
use crate::session::Connection;
use crate::views::actions;
use crate::views::command::{GuestCommand, UiCommand};
use crate::views::scene::Scene;
use crate::views::theme;

/// Lines that were typed and are kept.
const HISTORY: usize = 200;

/// What the console keeps from frame to frame.
#[derive(Default)]
pub(super) struct Console {
    line: String,
    typed: Vec<String>,
    /// The place among what was typed, while Up and Down go through it.
    place: Option<usize>,
    find: String,
    /// Which of the lines that were found is looked at.
    hit: usize,
    /// Scroll to it in this frame.
    goes: bool,
    /// Whether the end is not kept in sight.
    holds: bool,
}

impl Console {
    /// Draws the console into `rect`.
    pub(super) fn show(
        &mut self,
        ui: &mut Ui,
        rect: Rect,
        scene: &Scene<'_>,
        out: &mut Vec<UiCommand>,
    ) {
        let head = rect.with_max_y(rect.top() + 24.0);
        let foot = rect.with_min_y(rect.bottom() - 28.0);
        let body = rect
            .with_min_y(head.bottom() + 6.0)
            .with_max_y(foot.top() - 4.0);
        let wanted = self.find.trim().to_lowercase();
        let lines: Vec<&str> = scene.state.console.lines().collect();
        let hits: Vec<usize> = match wanted.is_empty() {
            true => Vec::new(),
            false => {
                let lines = lines.iter().enumerate();
                let hits = lines.filter(|(_, line)| line.to_lowercase().contains(&wanted));
                hits.map(|(place, _)| place).collect()
            }
        };
        self.head(ui, head, (lines.len(), hits.len()), scene, out);
        let to = match std::mem::take(&mut self.goes) {
            true => hits.get(self.hit % hits.len().max(1)).copied(),
            false => None,
        };
        if lines.is_empty() {
            empty(ui, body, scene, nothing_written(scene));
        } else {
            Lines {
                name: "console",
                lines: &lines,
                marked: &wanted,
                to,
                follows: !self.holds,
                is_quiet: &|_| false,
            }
            .show(ui, body, scene);
        }
        self.foot(ui, foot, scene, out);
    }

    fn head(
        &mut self,
        ui: &mut Ui,
        rect: Rect,
        (lines, hits): (usize, usize),
        scene: &Scene<'_>,
        out: &mut Vec<UiCommand>,
    ) {
        let mut line = row(ui, rect, "console head");
        let edit = TextEdit::singleline(&mut self.find)
            .id_salt("console find")
            .desired_width((rect.width() * 0.25).clamp(100.0, 220.0))
            .hint_text("Find")
            .margin(vec2(6.0, 2.0));
        let response = line.add(edit);
        response.widget_info(|| {
            egui::WidgetInfo::labeled(egui::Role::TextInput, true, "Find in the console")
        });
        if response.changed() {
            (self.hit, self.goes) = (0, true);
        }
        let entered = response.lost_focus() && line.input(|input| input.key_pressed(Key::Enter));
        if entered {
            (self.hit, self.goes, self.holds) = (self.hit + 1, true, true);
            response.request_focus();
        }
        let follow = line.add(Button::new("Follow").small().selected(!self.holds));
        follow.widget_info(|| {
            egui::WidgetInfo::selected(egui::Role::Button, true, !self.holds, "Follow the output")
        });
        if follow
            .on_hover_text("Keep the end in sight as the guest writes, or hold still")
            .clicked()
        {
            self.holds = !self.holds;
        }
        for (name, label, hint) in [
            (
                "Copy",
                "Copy console",
                "All of it, to the clipboard".to_owned(),
            ),
            ("Clear", "Clear console", actions::hint("Clear console")),
        ] {
            let button = line.add_enabled(lines > 0, Button::new(name).small());
            button.widget_info(|| egui::WidgetInfo::labeled(egui::Role::Button, lines > 0, label));
            let button = button.on_hover_text(hint);
            let why_not = "The guest has written nothing yet.";
            if button.on_disabled_hover_text(why_not).clicked() {
                match name {
                    "Copy" => line.copy_text(scene.state.console.clone()),
                    _ => out.push(UiCommand::Guest(GuestCommand::ClearConsole)),
                }
            }
        }
        let words = match (self.find.trim().is_empty(), hits) {
            (true, _) => format!("{lines} lines"),
            (false, 0) => "not found".into(),
            (false, hits) => format!("{} of {hits} lines (Enter: next)", self.hit % hits + 1),
        };
        let text = RichText::new(words)
            .font(theme::words(12.0))
            .color(scene.palette.dim);
        line.add(Label::new(text).truncate());
    }

    fn foot(&mut self, ui: &mut Ui, rect: Rect, scene: &Scene<'_>, out: &mut Vec<UiCommand>) {
        let guest = &scene.state.guest;
        if guest.input.is_none() || !scene.state.connection.is_attached() {
            let words = match guest.why_no_input.as_str() {
                "" if scene.state.has_session => "Nothing can be typed: no guest is attached.",
                "" => "A file has no guest to type for.",
                why => why,
            };
            return empty(ui, rect.with_min_y(rect.top() + 4.0), scene, words);
        }
        let mut line = row(ui, rect, "console foot");
        let keys_width = 150.0;
        let is_standing = !matches!(scene.state.connection, Connection::Running);
        let hint = match is_standing {
            true => "Type for the guest; it reads it when it runs",
            false => "Type for the guest, Enter sends",
        };
        let edit = TextEdit::singleline(&mut self.line)
            .id_salt("console input")
            .desired_width((line.available_width() - keys_width).max(120.0))
            .font(theme::numbers(theme::NUMBERS))
            .hint_text(hint)
            .margin(vec2(8.0, 4.0));
        let response = line.add(edit);
        response.widget_info(|| {
            egui::WidgetInfo::labeled(egui::Role::TextInput, true, "Type for the guest")
        });
        let response = response.on_hover_text(
            "Enter sends the line, Up and Down go through what was typed, Tab and Ctrl+C go to the guest.",
        );
        if response.has_focus() {
            let filter = EventFilter {
                tab: true,
                vertical_arrows: true,
                ..EventFilter::default()
            };
            line.memory_mut(|memory| memory.set_focus_lock_filter(response.id, filter));
            self.keys(&line, out);
        }
        if response.lost_focus() && line.input(|input| input.key_pressed(Key::Enter)) {
            self.send(out);
            response.request_focus();
        }
        for (name, bytes, hint) in [
            ("Ctrl-C", b"\x03", "Send an interrupt, byte 0x03"),
            ("Tab", b"\x09", "Send what is typed and a tab, byte 0x09"),
            ("Esc", b"\x1b", "Send an escape, byte 0x1b"),
        ] {
            let button = line.add(Button::new(name).small());
            let label = format!("Send {name}");
            button.widget_info(|| egui::WidgetInfo::labeled(egui::Role::Button, true, &label));
            if button.on_hover_text(hint).clicked() {
                self.send_key(bytes[0], out);
            }
        }
    }

    /// Keys that the input has for itself.
    fn keys(&mut self, ui: &Ui, out: &mut Vec<UiCommand>) {
        let pressed = |key| ui.input_mut(|input| input.consume_key(Modifiers::NONE, key));
        if pressed(Key::ArrowUp) {
            self.recall(-1);
        }
        if pressed(Key::ArrowDown) {
            self.recall(1);
        }
        if pressed(Key::Tab) {
            self.send_key(0x09, out);
        }
        // The system's "copy": with nothing typed there is nothing to be copied.
        let interrupts = self.line.is_empty()
            && ui.input(|input| {
                input
                    .events
                    .iter()
                    .any(|event| matches!(event, egui::Event::Copy))
            });
        if interrupts {
            self.send_key(0x03, out);
        }
    }

    fn recall(&mut self, by: i64) {
        let last = self.typed.len();
        let here = self.place.unwrap_or(last) as i64 + by;
        let here = here.clamp(0, last as i64) as usize;
        self.line = self.typed.get(here).cloned().unwrap_or_default();
        self.place = (here < last).then_some(here);
    }

    fn send(&mut self, out: &mut Vec<UiCommand>) {
        let line = std::mem::take(&mut self.line);
        self.place = None;
        if !line.trim().is_empty() && self.typed.last() != Some(&line) {
            self.typed.push(line.clone());
            let surplus = self.typed.len().saturating_sub(HISTORY);
            self.typed.drain(..surplus);
        }
        let bytes = format!("{line}\n").into_bytes();
        out.push(UiCommand::Guest(GuestCommand::Type(bytes)));
    }

    fn send_key(&mut self, key: u8, out: &mut Vec<UiCommand>) {
        // What is typed stands in the guest's line then, and not in ours.
        let mut bytes = match key {
            0x09 => std::mem::take(&mut self.line).into_bytes(),
            _ => Vec::new(),
        };
        bytes.push(key);
        out.push(UiCommand::Guest(GuestCommand::Type(bytes)));
    }
}

fn nothing_written(scene: &Scene<'_>) -> &'static str {
    if scene.state.has_session {
        "The guest has written nothing since we attached, or its console goes elsewhere."
    } else {
        "A file holds no console."
    }
}

fn row(ui: &mut Ui, rect: Rect, name: &str) -> Ui {
    let mut row = ui.new_child(
        UiBuilder::new()
            .max_rect(rect)
            .id_salt(name)
            .layout(Layout::left_to_right(Align::Center)),
    );
    row.spacing_mut().item_spacing.x = 6.0;
    row
}

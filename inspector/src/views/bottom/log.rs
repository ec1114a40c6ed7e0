//! What the link says, and the packets that go over it: to be filtered, copied, cleared.

use egui::{Align, Button, Layout, Rect, Ui, UiBuilder};

use super::lists::{Lines, empty};
use super::rows::filter_line;
use crate::views::actions;
use crate::views::command::{GuestCommand, UiCommand};
use crate::views::scene::Scene;
use crate::views::state::LogLine;

/// What the log keeps from frame to frame.
#[derive(Default)]
pub(super) struct Log {
    filter: String,
    /// Whether packets are shown between the words.
    shows_packets: bool,
}

impl Log {
    /// Draws the log into `rect`.
    pub(super) fn show(
        &mut self,
        ui: &mut Ui,
        rect: Rect,
        scene: &Scene<'_>,
        out: &mut Vec<UiCommand>,
    ) {
        let log = scene.state.log.lines();
        if log.is_empty() {
            return empty(ui, rect, scene, "The link has said nothing.");
        }
        let wanted = self.filter.trim().to_lowercase();
        let is_shown = |line: &&LogLine| {
            let is_wanted = wanted.is_empty() || line.text.to_lowercase().contains(&wanted);
            is_wanted && (self.shows_packets || !line.is_packet)
        };
        let lines: Vec<&LogLine> = log.iter().filter(is_shown).collect();
        let shown: Vec<&str> = lines.iter().map(|line| line.text.as_str()).collect();
        let words = match shown.len() == log.len() {
            true => format!("{} lines", log.len()),
            false => format!("{} of {} lines", shown.len(), log.len()),
        };
        let (copies, rest) = filter_line(ui, rect, "log", &mut self.filter, &words, scene);
        if copies {
            ui.copy_text(shown.join("\n"));
        }
        self.buttons(ui, rect.with_max_y(rest.top() - 2.0), out);
        Lines {
            name: "log",
            lines: &shown,
            marked: &wanted,
            to: None,
            follows: true,
            is_quiet: &|line| lines.get(line).is_some_and(|line| line.is_packet),
        }
        .show(ui, rest, scene);
    }

    /// At the right of the head.
    fn buttons(&mut self, ui: &mut Ui, rect: Rect, out: &mut Vec<UiCommand>) {
        let mut row = ui.new_child(
            UiBuilder::new()
                .max_rect(rect)
                .id_salt("log buttons")
                .layout(Layout::right_to_left(Align::Center)),
        );
        let clear = row.add(Button::new("Clear").small());
        clear.widget_info(|| egui::WidgetInfo::labeled(egui::Role::Button, true, "Clear log"));
        if clear
            .on_hover_text(actions::hint("Clear link log"))
            .clicked()
        {
            out.push(UiCommand::Guest(GuestCommand::ClearLog));
        }
        let shows = self.shows_packets;
        let packets = row.add(Button::new("Packets").small().selected(shows));
        packets.widget_info(|| {
            egui::WidgetInfo::selected(egui::Role::Button, true, shows, "Show packets")
        });
        let hint = "Show what goes over the link, packet by packet, or words alone";
        if packets.on_hover_text(hint).clicked() {
            self.shows_packets = !shows;
        }
    }
}

//! What the link says: to be filtered, copied, cleared.

use egui::{Align2, Button, Rect, Ui, vec2};

use super::lists::{Lines, empty};
use super::rows::filter_line;
use crate::views::actions;
use crate::views::command::{GuestCommand, UiCommand};
use crate::views::scene::Scene;

/// What the log keeps from frame to frame.
#[derive(Default)]
pub(super) struct Log {
    filter: String,
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
        let log = &scene.state.log;
        if log.is_empty() {
            return empty(ui, rect, scene, "The link has said nothing.");
        }
        let wanted = self.filter.trim().to_lowercase();
        let lines = log.iter().map(String::as_str);
        let shown: Vec<&str> = lines
            .filter(|line| wanted.is_empty() || line.to_lowercase().contains(&wanted))
            .collect();
        let words = match shown.len() == log.len() {
            true => format!("{} lines", log.len()),
            false => format!("{} of {} lines", shown.len(), log.len()),
        };
        let (copies, rest) = filter_line(ui, rect, "log", &mut self.filter, &words, scene);
        if copies {
            ui.copy_text(shown.join("\n"));
        }
        let size = vec2(52.0, 20.0);
        let right = rect.with_max_y(rest.top() - 2.0);
        let clear = ui.put(
            Align2::RIGHT_CENTER.align_size_within_rect(size, right),
            Button::new("Clear").small(),
        );
        clear.widget_info(|| egui::WidgetInfo::labeled(egui::Role::Button, true, "Clear log"));
        if clear
            .on_hover_text(actions::hint("Clear link log"))
            .clicked()
        {
            out.push(UiCommand::Guest(GuestCommand::ClearLog));
        }
        Lines {
            name: "log",
            lines: &shown,
            marked: &wanted,
            to: None,
            follows: true,
        }
        .show(ui, rest, scene);
    }
}

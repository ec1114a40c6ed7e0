//! Under the picture: the timeline, and in tabs beside it what else the guest and the link say.

mod base;
mod changes;
mod check;
mod console;
mod harts;
mod lecture;
mod lists;
mod log;
mod notes;
mod regions;
mod registers;
mod rows;
mod steps;
mod timeline;
mod timeline_layout;
mod timeline_marks;
mod timeline_tools;
mod trace;
mod watches;

use egui::{Align, Button, CornerRadius, Layout, Rect, RichText, Ui, UiBuilder, pos2, vec2};

use super::command::{Tab, UiCommand};
use super::scene::Scene;
use super::state::State;
use super::theme;

/// What the lower part keeps from frame to frame.
#[derive(Default)]
pub struct Bottom {
    timeline: timeline::Timeline,
    steps: steps::Steps,
    notes: notes::Notes,
    base: base::AskBase,
    author: lecture::Author,
    regions: regions::Regions,
    trace: trace::Trace,
    console: console::Console,
    watches: watches::Watches,
    log: log::Log,
}

impl Bottom {
    /// Draws the lower part into `ui`; the list of changes is `side` wide.
    pub fn show(&mut self, ui: &mut Ui, side: f32, scene: &Scene<'_>, out: &mut Vec<UiCommand>) {
        let all = ui.available_rect_before_wrap();
        ui.advance_cursor_after_rect(all);
        let right = all.with_min_x(all.right() - side);
        let left = all.with_max_x(right.left() - 16.0);
        let head = left.with_max_y(left.top() + 26.0);
        self.tabs(ui, head, scene, out);
        let body = left.with_min_y(head.bottom() + 6.0);
        match scene.state.tab {
            Tab::Timeline if scene.state.time.is_list => self.steps.show(ui, body, scene, out),
            Tab::Timeline => self.timeline.show(ui, body, scene, out),
            Tab::Check => check::show(ui, body, scene, out),
            Tab::Console => self.console.show(ui, body, scene, out),
            Tab::Harts => harts::show(ui, body, scene, out),
            Tab::Registers => registers::show(ui, body, scene, out),
            Tab::Watches => self.watches.show(ui, body, scene, out),
            Tab::Regions => self.regions.show(ui, body, scene, out),
            Tab::Trace => self.trace.show(ui, body, scene, out),
            Tab::Log => self.log.show(ui, body, scene, out),
            Tab::Lecture => self.author.show(ui, body, scene, out),
        }
        changes::show(ui, right, &mut self.base, scene, out);
        self.notes.show(ui, scene, out);
    }

    /// Hands over what is being typed in a note, a caption or a title, as if it were left.
    pub fn keep_typed(&mut self, state: &State, out: &mut Vec<UiCommand>) {
        self.notes.keep_typed(state, out);
        self.author.keep_typed(state, out);
    }

    /// Draws the timeline alone, and what the moment changed beside it: for a picture.
    pub fn show_timeline(&mut self, ui: &mut Ui, scene: &Scene<'_>, out: &mut Vec<UiCommand>) {
        let all = ui.available_rect_before_wrap();
        let side = (all.width() * 0.28).clamp(180.0, 420.0);
        let right = all.with_min_x(all.right() - side);
        let left = all.with_max_x(right.left() - 16.0);
        self.timeline.show(ui, left, scene, out);
        changes::show(ui, right, &mut self.base, scene, out);
    }

    fn tabs(&self, ui: &mut Ui, head: Rect, scene: &Scene<'_>, out: &mut Vec<UiCommand>) {
        let palette = scene.palette;
        let mut row = ui.new_child(
            UiBuilder::new()
                .max_rect(head)
                .id_salt("tabs")
                .layout(Layout::left_to_right(Align::Center)),
        );
        row.spacing_mut().item_spacing.x = match head.width() {
            wide if wide > 860.0 => 14.0,
            wide if wide > 620.0 => 8.0,
            _ => 4.0,
        };
        for tab in Tab::ALL {
            let is_shown = scene.state.tab == tab;
            let faults = match tab {
                Tab::Check => check::faults(scene),
                _ => 0,
            };
            let name = match faults {
                0 => tab.name().to_owned(),
                faults => format!("{} ({faults})", tab.name()),
            };
            let text = if is_shown {
                RichText::new(name).font(theme::strong(theme::BODY))
            } else {
                RichText::new(name).color(palette.dim)
            };
            let text = if faults > 0 {
                text.color(palette.danger)
            } else {
                text
            };
            let response = row.add(Button::new(text).frame(false));
            response.widget_info(|| {
                egui::WidgetInfo::selected(egui::Role::Tab, true, is_shown, tab.name())
            });
            if is_shown {
                let line = Rect::from_min_max(
                    pos2(response.rect.left() + 2.0, head.bottom() - 1.0),
                    pos2(response.rect.right() - 2.0, head.bottom() + 1.0),
                );
                row.painter()
                    .rect_filled(line, CornerRadius::same(1), palette.accent());
            }
            if response.clicked() {
                out.push(UiCommand::ShowTab(tab));
            }
        }
        if scene.state.tab == Tab::Timeline {
            row.with_layout(Layout::right_to_left(Align::Center), |ui| {
                ui.spacing_mut().item_spacing.x = 4.0;
                ui.spacing_mut().button_padding = vec2(7.0, 2.0);
                timeline_tools::show(ui, scene, out);
            });
        }
    }
}

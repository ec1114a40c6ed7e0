//! The question which step to compare with.

use egui::{Button, Key, Rect, RichText, ScrollArea, TextEdit, Ui, UiBuilder, vec2};

use crate::views::command::{TimeCommand, UiCommand};
use crate::views::scene::Scene;
use crate::views::theme;

/// What is being typed.
#[derive(Default)]
pub(super) struct AskBase {
    typed: String,
    is_open: bool,
}

impl AskBase {
    /// Draws the question into `rect`, where it is asked; whether it is.
    pub(super) fn show(
        &mut self,
        ui: &mut Ui,
        rect: Rect,
        scene: &Scene<'_>,
        out: &mut Vec<UiCommand>,
    ) -> bool {
        let is_new = !self.is_open;
        self.is_open = scene.state.time.asks_base;
        if !self.is_open {
            return false;
        }
        if is_new {
            self.typed.clear();
        }
        let history = &scene.state.history;
        let last = history.moments().len().saturating_sub(1);
        let here = history.cursor();
        let mut child = ui.new_child(UiBuilder::new().max_rect(rect).id_salt("base"));
        child.set_clip_rect(rect.intersect(ui.clip_rect()));
        ScrollArea::vertical()
            .id_salt("base")
            .show(&mut child, |ui| {
                ui.set_width(rect.width());
                ui.spacing_mut().item_spacing = vec2(6.0, 5.0);
                let number = self.typed.trim().parse().ok();
                let place = number.filter(|place: &usize| *place <= last);
                // A narrow card has the button beside the number all the same.
                let wide = (rect.width() - 84.0).clamp(50.0, 110.0);
                let hint = match wide < 90.0 {
                    true => format!("0 to {last}"),
                    false => format!("step, 0 to {last}"),
                };
                ui.horizontal_wrapped(|ui| {
                    let edit = TextEdit::singleline(&mut self.typed)
                        .font(theme::numbers(theme::NUMBERS))
                        .hint_text(hint)
                        .desired_width(wide);
                    let response = ui.add(edit);
                    response.widget_info(|| {
                        egui::WidgetInfo::labeled(egui::Role::TextInput, true, "Number of the step")
                    });
                    if is_new {
                        response.request_focus();
                    }
                    let left = response.lost_focus();
                    let (entered, left_alone) = ui.input(|input| {
                        (
                            left && input.key_pressed(Key::Enter),
                            left && input.key_pressed(Key::Escape),
                        )
                    });
                    let compare = ui.add_enabled(place.is_some(), Button::new("Compare"));
                    let why_not = format!("Type the number of a step first: 0 to {last}.");
                    let pressed = compare.on_disabled_hover_text(why_not).clicked();
                    if let Some(place) = place
                        && (entered || pressed)
                    {
                        out.push(TimeCommand::CompareWith(Some(place)).into());
                    }
                    if left_alone {
                        out.push(TimeCommand::AskBase(false).into());
                    }
                });
                ui.horizontal_wrapped(|ui| {
                    if here != 0 && ui.button("The first step").clicked() {
                        out.push(TimeCommand::CompareWith(Some(0)).into());
                    }
                    if here != last && ui.button("The last step").clicked() {
                        out.push(TimeCommand::CompareWith(Some(last)).into());
                    }
                    for (id, name) in history.notebook().pages().bookmarks.iter().take(12) {
                        let Some(place) = history.place_of(*id).filter(|place| *place != here)
                        else {
                            continue;
                        };
                        let name: String = name.chars().take(24).collect();
                        if ui.button(format!("{place}: {name}")).clicked() {
                            out.push(TimeCommand::CompareWith(Some(place)).into());
                        }
                    }
                    if ui.button("Cancel").clicked() {
                        out.push(TimeCommand::AskBase(false).into());
                    }
                });
                let words = "Or hold Shift and click a step on the timeline.";
                let text = RichText::new(words).size(theme::SMALL);
                ui.label(text.color(scene.palette.dim));
            });
        true
    }
}

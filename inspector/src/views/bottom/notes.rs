//! The panel in which the note of a step is written. It goes along with the moment that is looked at; what was
//! typed is kept when it is left, however that happens.

use egui::{Align2, Key, Modifiers, RichText, ScrollArea, TextEdit, Ui, Window, vec2};

use crate::model::MomentId;
use crate::views::command::{TimeCommand, UiCommand};
use crate::views::scene::Scene;
use crate::views::state::State;
use crate::views::theme;

/// What is being typed.
#[derive(Default)]
pub(super) struct Notes {
    open: Option<Open>,
    /// How often a note was asked for when it last had the keyboard.
    asked: u64,
}

/// A note that is being written.
struct Open {
    /// What was open: other moments have the same names in another.
    document: u64,
    moment: MomentId,
    /// As it was when it was last read.
    kept: String,
    text: String,
}

impl Open {
    fn keep(&mut self, out: &mut Vec<UiCommand>) {
        if self.text.trim_end() != self.kept {
            self.kept = self.text.trim_end().to_owned();
            out.push(TimeCommand::Note(self.moment, self.text.clone()).into());
        }
    }
}

impl Notes {
    /// What was typed counts, though it is not left yet.
    pub(super) fn keep_typed(&mut self, state: &State, out: &mut Vec<UiCommand>) {
        if let Some(open) = &mut self.open
            && open.document == state.document
        {
            open.keep(out);
        }
    }

    /// Shows the panel, if it is open.
    pub(super) fn show(&mut self, ui: &Ui, scene: &Scene<'_>, out: &mut Vec<UiCommand>) {
        let history = &scene.state.history;
        let document = scene.state.document;
        self.open.take_if(|open| open.document != document);
        let wanted = scene.state.time.note.and(history.current());
        let Some(moment) = wanted else {
            if let Some(mut open) = self.open.take() {
                open.keep(out);
            }
            return;
        };
        let written = history.notebook().note(moment.id);
        let asked = scene.state.time.note_asked;
        let is_new = self.open.is_none() || self.asked != asked;
        self.asked = asked;
        let is_same = matches!(&self.open, Some(open) if open.moment == moment.id);
        if !is_same {
            if let Some(mut open) = self.open.take() {
                open.keep(out);
            }
            self.open = Some(Open {
                document,
                moment: moment.id,
                kept: written.to_owned(),
                text: written.to_owned(),
            });
        }
        let Some(open) = &mut self.open else {
            return;
        };
        // Taken back or done again while the panel is open.
        if open.kept != written && open.text.trim_end() == open.kept {
            open.kept = written.to_owned();
            open.text = written.to_owned();
        }
        let place = history.cursor();
        let mut stays = true;
        let mut is_done = false;
        Window::new(format!("Note on step {place}"))
            .id(egui::Id::unique("note"))
            .open(&mut stays)
            .collapsible(false)
            .default_size(vec2(400.0, 190.0))
            .default_height(190.0)
            .pivot(Align2::RIGHT_BOTTOM)
            .default_pos(ui.ctx().content_rect().right_bottom() - vec2(20.0, 220.0))
            .show(ui.ctx(), |ui| {
                is_done = editor(ui, open, place, is_new, scene)
            });
        if is_done || !stays {
            open.keep(out);
            out.push(TimeCommand::EditNote(false).into());
        }
    }
}

/// The text and its buttons; whether it is done.
fn editor(ui: &mut Ui, open: &mut Open, place: usize, is_new: bool, scene: &Scene<'_>) -> bool {
    // Before the text takes the key for a line break.
    let mut is_done = ui.input_mut(|input| input.consume_key(Modifiers::COMMAND, Key::Enter));
    let room = (ui.available_height() - 40.0).max(70.0);
    ScrollArea::vertical()
        .max_height(room)
        .min_scrolled_height(room)
        .show(ui, |ui| {
            let edit = TextEdit::multiline(&mut open.text)
                .font(theme::words(15.0))
                .hint_text("What is to be said here. An empty line begins a new paragraph.")
                .margin(vec2(8.0, 6.0))
                .desired_rows(5)
                .desired_width(f32::INFINITY);
            let response = ui.add(edit);
            response.widget_info(|| {
                let name = format!("Note of step {place}");
                egui::WidgetInfo::labeled(egui::Role::MultilineTextInput, true, name)
            });
            if is_new {
                response.request_focus();
            }
            is_done |= response.lost_focus() && ui.input(|input| input.key_pressed(Key::Escape));
        });
    ui.horizontal(|ui| {
        is_done |= ui
            .button("Done")
            .on_hover_text("Keep the note (Ctrl+Enter)")
            .clicked();
        let words = "Kept as you leave. Each note is a step of the lecture.";
        ui.label(
            RichText::new(words)
                .size(theme::SMALL)
                .color(scene.palette.dim),
        );
    });
    is_done
}

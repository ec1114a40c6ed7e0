//! Writing a lecture: its steps in order at the left, what is said and shown at the chosen one at the right.

use egui::{
    Align, Button, ComboBox, Layout, Rect, RichText, ScrollArea, Sense, TextEdit, Ui, UiBuilder,
    vec2,
};
use pagescope_protocol::snapshot::LectureView;

use crate::model::notebook::pointed_at;
use crate::model::{History, Slide};
use crate::views::actions;
use crate::views::command::{LectureCommand, UiCommand};
use crate::views::paint;
use crate::views::scene::Scene;
use crate::views::state::State;
use crate::views::theme;

const HEAD: f32 = 28.0;
const ROW: f32 = 22.0;

/// What is being typed.
#[derive(Default)]
pub(super) struct Author {
    title: Typed<u64>,
    caption: Typed<(u64, usize)>,
}

/// A text that counts when it is left.
#[derive(Default)]
struct Typed<K> {
    of: Option<K>,
    kept: String,
    text: String,
}

impl<K: PartialEq + Copy> Typed<K> {
    /// Goes along with what is written; gives a text that was left for another.
    fn refresh(&mut self, of: K, written: &str) -> Option<(K, String)> {
        let left = match self.of == Some(of) {
            true => None,
            false => self.left(),
        };
        if self.of != Some(of) || (self.kept != written && self.text == self.kept) {
            self.of = Some(of);
            self.kept = written.to_owned();
            self.text = written.to_owned();
        }
        left
    }

    /// The text, where it is another than was written.
    fn left(&mut self) -> Option<(K, String)> {
        let of = self.of?;
        if self.text.trim_end() == self.kept {
            return None;
        }
        self.kept = self.text.trim_end().to_owned();
        Some((of, self.text.clone()))
    }
}

impl Author {
    /// What was typed counts, though it is not left yet.
    pub(super) fn keep_typed(&mut self, state: &State, out: &mut Vec<UiCommand>) {
        self.keep_title(state, out);
        let left = self.caption.left();
        keep_caption(left, state, out);
    }

    fn keep_title(&mut self, state: &State, out: &mut Vec<UiCommand>) {
        if let Some((document, title)) = self.title.left()
            && document == state.document
        {
            out.push(LectureCommand::Title(title).into());
        }
    }

    /// Draws the author's view into `rect`.
    pub(super) fn show(
        &mut self,
        ui: &mut Ui,
        rect: Rect,
        scene: &Scene<'_>,
        out: &mut Vec<UiCommand>,
    ) {
        let head = rect.with_max_y(rect.top() + HEAD);
        self.head(ui, head, scene, out);
        let body = rect.with_min_y(head.bottom() + 6.0);
        let slides = &scene.state.history.notebook().pages().lecture;
        if slides.is_empty() {
            let words = "No steps yet. Add what is looked at now as a step, or make a step of each note. \
                         What is selected is shown selected.";
            let font = theme::words(theme::BODY);
            let line = body.with_max_y(body.top() + 22.0);
            paint::line(
                ui.painter(),
                line,
                Align::Min,
                words,
                font,
                scene.palette.dim,
            );
            return;
        }
        let middle = body.left() + (body.width() * 0.42).clamp(170.0, 460.0);
        let list = body.with_max_x(middle - 8.0);
        let editor = body.with_min_x(middle + 8.0);
        rows(ui, list, slides, scene, out);
        self.editor(ui, editor, slides, scene, out);
    }

    fn head(&mut self, ui: &mut Ui, rect: Rect, scene: &Scene<'_>, out: &mut Vec<UiCommand>) {
        let pages = scene.state.history.notebook().pages();
        // What was left in another file was asked for when that was left.
        self.title.refresh(scene.state.document, &pages.title);
        let mut row = ui.new_child(
            UiBuilder::new()
                .max_rect(rect)
                .id_salt("lecture head")
                .layout(Layout::left_to_right(Align::Center)),
        );
        row.set_clip_rect(rect.intersect(ui.clip_rect()));
        row.spacing_mut().item_spacing.x = 6.0;
        row.spacing_mut().button_padding = vec2(7.0, 2.0);
        let edit = TextEdit::singleline(&mut self.title.text)
            .hint_text("Title of the lecture")
            .desired_width((rect.width() * 0.24).clamp(110.0, 260.0));
        let response = row.add(edit);
        response.widget_info(|| {
            egui::WidgetInfo::labeled(egui::Role::TextInput, true, "Title of the lecture")
        });
        if response.lost_focus() {
            self.keep_title(scene.state, out);
        }
        let buttons: [(&str, &str); 4] = [
            ("Show", "Show the lecture"),
            ("Add this step", "Add this step to the lecture"),
            ("From notes", "Lecture from notes"),
            ("HTML…", "Export lecture as HTML…"),
        ];
        for (words, name) in buttons {
            let Some(action) = actions::named(name) else {
                continue;
            };
            let why_not = (action.why_not)(scene.state);
            let button = row.add_enabled(why_not.is_none(), Button::new(words));
            if button.clicked() {
                out.push((action.command)(scene.state));
            }
            button
                .on_hover_text(actions::hint(name))
                .on_disabled_hover_text(why_not.unwrap_or_default());
        }
        let save = row.button("Save…");
        let save = save.on_hover_text("Save the recording with its lecture. (Ctrl+Shift+S)");
        if save.clicked() {
            out.push(UiCommand::SaveRecording);
        }
    }

    fn editor(
        &mut self,
        ui: &mut Ui,
        rect: Rect,
        slides: &[Slide],
        scene: &Scene<'_>,
        out: &mut Vec<UiCommand>,
    ) {
        let chosen = scene.state.lecture.chosen;
        let Some(slide) = slides.get(chosen) else {
            return;
        };
        let left = self
            .caption
            .refresh((scene.state.document, chosen), &slide.caption);
        keep_caption(left, scene.state, out);
        let foot = rect.with_min_y(rect.bottom() - HEAD);
        let text = rect.with_max_y(foot.top() - 4.0);
        let mut child = ui.new_child(UiBuilder::new().max_rect(text).id_salt("caption"));
        child.set_clip_rect(text.intersect(ui.clip_rect()));
        ScrollArea::vertical()
            .id_salt("caption")
            .auto_shrink(false)
            .show(&mut child, |ui| {
                let edit = TextEdit::multiline(&mut self.caption.text)
                    .font(theme::words(14.0))
                    .hint_text("What is said here. An empty line begins a new paragraph.")
                    .desired_rows(3)
                    .min_size(vec2(0.0, text.height()))
                    .desired_width(f32::INFINITY);
                let response = ui.add(edit);
                response.widget_info(|| {
                    let name = format!("Caption of step {}", chosen + 1);
                    egui::WidgetInfo::labeled(egui::Role::MultilineTextInput, true, name)
                });
                if response.lost_focus() {
                    keep_caption(self.caption.left(), scene.state, out);
                }
            });
        let mut row = ui.new_child(
            UiBuilder::new()
                .max_rect(foot)
                .id_salt("slide")
                .layout(Layout::left_to_right(Align::Center)),
        );
        row.set_clip_rect(foot.intersect(ui.clip_rect()));
        row.spacing_mut().item_spacing.x = 6.0;
        row.spacing_mut().button_padding = vec2(7.0, 2.0);
        slide_buttons(&mut row, chosen, slides, out);
    }
}

/// A caption that was left counts, in the file that it is of.
fn keep_caption(left: Option<((u64, usize), String)>, state: &State, out: &mut Vec<UiCommand>) {
    if let Some(((document, at), text)) = left
        && document == state.document
    {
        out.push(LectureCommand::Caption(at, text).into());
    }
}

/// What is done to the chosen step.
fn slide_buttons(ui: &mut Ui, chosen: usize, slides: &[Slide], out: &mut Vec<UiCommand>) {
    let last = slides.len().saturating_sub(1);
    let button = |ui: &mut Ui, is_enabled: bool, sign: &str, name: &str, why_not: &str| {
        let response = ui.add_enabled(is_enabled, Button::new(sign));
        response.widget_info(|| egui::WidgetInfo::labeled(egui::Role::Button, is_enabled, name));
        let response = response.on_hover_text(name);
        response.on_disabled_hover_text(why_not).clicked()
    };
    if button(
        ui,
        chosen > 0,
        "▲",
        "Move the step back",
        "It is the first step.",
    ) {
        out.push(LectureCommand::Move(-1).into());
    }
    if button(
        ui,
        chosen < last,
        "▼",
        "Move the step on",
        "It is the last step.",
    ) {
        out.push(LectureCommand::Move(1).into());
    }
    if button(ui, true, "×", "Take the step away", "") {
        out.push(LectureCommand::Remove.into());
    }
    let take = ui.button("Show what is selected");
    let words = "This step shows the moment and the selection that are looked at now.";
    if take.on_hover_text(words).clicked() {
        out.push(LectureCommand::TakeSelection.into());
    }
    let view = slides.get(chosen).and_then(|slide| slide.view);
    let combo = ComboBox::from_id_salt("large view")
        .selected_text(view_name(view))
        .width(110.0)
        .show_ui(ui, |ui| {
            let views = [
                LectureView::Virtual,
                LectureView::Tables,
                LectureView::Physical,
            ];
            let views = std::iter::once(None).chain(views.map(Some));
            for other in views {
                if ui
                    .selectable_label(view == other, view_name(other))
                    .clicked()
                {
                    out.push(LectureCommand::Large(other).into());
                }
            }
        });
    let name = format!("Large view: {}", view_name(view));
    combo
        .response
        .widget_info(|| egui::WidgetInfo::labeled(egui::Role::ComboBox, true, &name));
    combo
        .response
        .on_hover_text("Which view is drawn large at this step.");
}

fn view_name(view: Option<LectureView>) -> &'static str {
    match view {
        Some(LectureView::Virtual) => "Virtual large",
        Some(LectureView::Tables) => "Tables large",
        Some(LectureView::Physical) => "Physical large",
        Some(LectureView::Other) | None => "All views",
    }
}

/// The steps in order.
fn rows(ui: &mut Ui, rect: Rect, slides: &[Slide], scene: &Scene<'_>, out: &mut Vec<UiCommand>) {
    let palette = scene.palette;
    let mut child = ui.new_child(UiBuilder::new().max_rect(rect).id_salt("slides"));
    child.set_clip_rect(rect.intersect(ui.clip_rect()));
    child.spacing_mut().item_spacing = vec2(0.0, 0.0);
    ScrollArea::vertical()
        .id_salt("slides")
        .auto_shrink(false)
        .show_rows(&mut child, ROW, slides.len(), |ui, range| {
            for at in range {
                let (row, response) =
                    ui.allocate_exact_size(vec2(rect.width(), ROW), Sense::click());
                let is_chosen = at == scene.state.lecture.chosen;
                if is_chosen || response.hovered() || response.has_focus() {
                    ui.painter().rect_filled(row, 3.0, palette.raised);
                }
                let words = row_words(&scene.state.history, &slides[at]);
                let number = row
                    .with_min_x(row.left() + 6.0)
                    .with_max_x(row.left() + 34.0);
                let font = theme::strong_numbers(12.0);
                let text = (at + 1).to_string();
                paint::line(ui.painter(), number, Align::Min, &text, font, palette.text);
                let rest = row
                    .with_min_x(number.right() + 2.0)
                    .with_max_x(row.right() - 4.0);
                let color = if is_chosen { palette.text } else { palette.dim };
                let font = theme::words(12.5);
                paint::line(ui.painter(), rest, Align::Min, &words, font, color);
                response.widget_info(|| {
                    let name = format!("Lecture step {}: {words}", at + 1);
                    egui::WidgetInfo::selected(egui::Role::Button, true, is_chosen, name)
                });
                if response.clicked() {
                    out.push(LectureCommand::Choose(at).into());
                }
                response.on_hover_ui(|ui| {
                    if let Some(pointed) = pointed_at(slides[at].select) {
                        ui.label(RichText::new(format!("shows {pointed}")).weak());
                    }
                    let text: String = slides[at].caption.chars().take(2000).collect();
                    ui.label(text);
                });
            }
        });
}

fn row_words(history: &History, slide: &Slide) -> String {
    let place = match history.place_of(slide.moment) {
        Some(place) => format!("step {place}"),
        None => "a step that is gone".into(),
    };
    match slide.caption.lines().next() {
        Some(first) => format!("{place} · {first}"),
        None => format!("{place} · no caption yet"),
    }
}

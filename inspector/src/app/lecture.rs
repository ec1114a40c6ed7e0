//! Applies what is asked for about lectures: showing one, and writing one.

use std::sync::Arc;

use egui::{Modifiers, ThemePreference, ViewportCommand};
use pagescope_protocol::snapshot::MAX_CAPTION_BYTES;

use super::App;
use crate::model::{Pages, Selection, Slide};
use crate::views::FilePurpose;
use crate::views::actions::PRESENTER_KEYS;
use crate::views::command::LectureCommand;
use crate::views::state::{Before, NoticeKind, Show};

/// The size of a window in which a lecture is drawn as large as everything else.
const FULL: egui::Vec2 = egui::vec2(1240.0, 720.0);

impl App {
    pub(super) fn apply_lecture(&mut self, command: LectureCommand, ctx: &egui::Context) {
        match command {
            LectureCommand::Present => self.present(ctx),
            LectureCommand::Leave => self.leave_lecture(ctx),
            LectureCommand::StepBy(by) => {
                let step = self.state.lecture.show.as_ref().map_or(0, |show| show.step);
                let step = (step as i64).saturating_add(by).max(0);
                self.show_step(step as usize);
            }
            LectureCommand::Step(step) => self.show_step(step),
            LectureCommand::Blank => {
                if let Some(show) = &mut self.state.lecture.show {
                    show.is_blank = !show.is_blank;
                }
            }
            LectureCommand::Title(title) => {
                let title = title.trim().chars().take(200).collect();
                self.write("the lecture's title", |pages| pages.title = title);
            }
            LectureCommand::FromNotes => self.take_notes(),
            LectureCommand::Add => self.add_slide(),
            LectureCommand::Choose(step) => self.choose_slide(step),
            LectureCommand::Remove => {
                let at = self.state.lecture.chosen;
                self.write("taking a step of the lecture away", |pages| {
                    if at < pages.lecture.len() {
                        pages.lecture.remove(at);
                    }
                });
            }
            LectureCommand::Move(way) => self.move_slide(way),
            LectureCommand::Caption(at, caption) => self.set_caption(at, &caption),
            LectureCommand::TakeSelection => self.take_selection(),
            LectureCommand::Large(view) => {
                let at = self.state.lecture.chosen;
                self.write("the lecture's large view", |pages| {
                    if let Some(slide) = pages.lecture.get_mut(at) {
                        slide.view = view;
                    }
                });
            }
            LectureCommand::ExportHtml => self.want_file(FilePurpose::ExportHtml, None, ctx),
        }
        let last = self.state.history.notebook().pages().lecture.len();
        let chosen = &mut self.state.lecture.chosen;
        *chosen = (*chosen).min(last.saturating_sub(1));
    }

    /// The keys of a lecture that is being shown; whether one is.
    pub(super) fn lecture_keys(&mut self, ctx: &egui::Context) -> bool {
        if self.state.lecture.show.is_none() {
            return false;
        }
        ctx.input_mut(|input| {
            for row in &PRESENTER_KEYS {
                for key in row.keys {
                    for _ in 0..input.count_and_consume_key(Modifiers::NONE, *key) {
                        self.queued.push(row.command.clone().into());
                    }
                }
            }
        });
        true
    }

    /// Draws a lecture as large as the window has room for; it may still be on its way to the full screen.
    pub(super) fn size_lecture(&self, ctx: &egui::Context) {
        if self.state.lecture.show.is_none() {
            return;
        }
        let now = ctx.zoom_factor();
        let room = ctx.content_rect().size() * now / FULL;
        let zoom = (room.min_elem().clamp(1.0, 3.0) * 20.0).round() / 20.0;
        if (zoom - now).abs() > 0.01 {
            ctx.set_zoom_factor(zoom);
        }
    }

    fn present(&mut self, ctx: &egui::Context) {
        self.keep_typed(ctx);
        let slides: Arc<[Slide]> = self.state.history.slides().into();
        if slides.is_empty() {
            let words = "There is no lecture yet. Write notes with N, or steps in the tab Lecture.";
            return self.state.notify(NoticeKind::Problem, words);
        }
        if self.state.lecture.show.is_none() {
            let state = &self.state;
            let moment = state.moment().map(|moment| moment.id);
            let before = Before {
                moment: moment.filter(|_| !state.history.is_live()),
                base: state.time.base,
                selection: (state.selection, state.is_chosen),
                hart: state.hart,
                spaces: [state.space.clone(), state.compared.clone()],
                filter: state.look.filter,
                theme: ctx.options(|options| options.theme_preference),
                zoom: ctx.zoom_factor(),
                is_full_screen: ctx.input(|input| input.viewport().fullscreen.unwrap_or(false)),
            };
            self.state.lecture.show = Some(Show {
                slides,
                step: 0,
                is_blank: false,
                before,
            });
            self.state.help = false;
            self.state.notice = None;
            self.state.time.note = None;
            self.state.look.filter = None;
            self.state.time.plays = None;
            ctx.set_theme(ThemePreference::Light);
            ctx.send_viewport_cmd(ViewportCommand::Fullscreen(true));
        }
        self.show_step(0);
    }

    pub(super) fn leave_lecture(&mut self, ctx: &egui::Context) {
        let Some(show) = self.state.lecture.show.take() else {
            return;
        };
        let before = show.before;
        // The zoom is another only in the next frame.
        self.settles = 2;
        self.state.look.filter = before.filter;
        ctx.set_theme(before.theme);
        ctx.set_zoom_factor(before.zoom);
        ctx.send_viewport_cmd(ViewportCommand::Fullscreen(before.is_full_screen));
        let state = &mut self.state;
        let place = before.moment.and_then(|id| state.history.place_of(id));
        state.history.seek(place.unwrap_or(usize::MAX));
        state.time.base = before.base;
        state.hart = before.hart;
        [state.space, state.compared] = before.spaces;
        (state.selection, state.is_chosen) = before.selection;
        self.show_on_axis();
    }

    fn show_step(&mut self, step: usize) {
        let Some(show) = &mut self.state.lecture.show else {
            return;
        };
        show.step = step.min(show.slides.len().saturating_sub(1));
        show.is_blank = false;
        let Some(slide) = show.slide().cloned() else {
            return;
        };
        self.show_slide(&slide);
    }

    /// Looks at what a step shows.
    fn show_slide(&mut self, slide: &Slide) {
        let state = &mut self.state;
        if let Some(place) = state.history.place_of(slide.moment) {
            match state.lecture.show.is_some() {
                // A guest that stops meanwhile does not turn the page.
                true => state.history.hold(place),
                false => state.history.seek(place),
            }
        }
        state.time.base = None;
        state.compared = None;
        state.hart = slide.hart.unwrap_or(0);
        state.space = slide.space.clone();
        state.selection = slide.select;
        state.is_chosen = slide.select != Selection::Nothing;
        self.show_on_axis();
        self.follow_newest();
    }

    fn write(&mut self, what: &str, edit: impl FnOnce(&mut Pages)) {
        self.state.history.notebook_mut().edit(what, edit);
    }

    fn take_notes(&mut self) {
        self.write("the lecture from notes", |pages| {
            let notes = pages.notes.iter();
            let slides = notes.map(|(id, note)| Slide::new(*id, Arc::clone(note)));
            pages.lecture = slides.collect();
        });
        self.state.tab = crate::views::Tab::Lecture;
    }

    /// A step that shows what is looked at now.
    fn present_slide(&self) -> Option<Slide> {
        let moment = self.state.moment()?;
        let note = self.state.history.notebook().note(moment.id);
        let mut slide = Slide::new(moment.id, note);
        self.point(&mut slide);
        Some(slide)
    }

    /// Has `slide` show what is selected now, in the space that is looked at.
    fn point(&self, slide: &mut Slide) {
        slide.select = match self.state.is_chosen {
            true => self.state.selection,
            false => Selection::Nothing,
        };
        slide.space = self.state.space.clone();
        slide.hart = Some(self.state.hart).filter(|hart| *hart != 0);
    }

    fn add_slide(&mut self) {
        let Some(slide) = self.present_slide() else {
            return;
        };
        let chosen = self.state.lecture.chosen;
        let mut at = 0;
        self.write("adding a step to the lecture", |pages| {
            at = (chosen + 1).min(pages.lecture.len());
            pages.lecture.insert(at, slide);
        });
        self.state.lecture.chosen = at;
        self.state.tab = crate::views::Tab::Lecture;
    }

    fn choose_slide(&mut self, step: usize) {
        self.state.lecture.chosen = step;
        let slide = self.state.history.notebook().pages().lecture.get(step);
        if let Some(slide) = slide.cloned() {
            self.show_slide(&slide);
        }
    }

    fn move_slide(&mut self, way: i8) {
        let at = self.state.lecture.chosen;
        let Some(to) = at.checked_add_signed(way.into()) else {
            return;
        };
        let count = self.state.history.notebook().pages().lecture.len();
        if at >= count || to >= count {
            return;
        }
        self.write("the order of the lecture", |pages| {
            pages.lecture.swap(at, to)
        });
        self.state.lecture.chosen = to;
    }

    fn set_caption(&mut self, at: usize, caption: &str) {
        let caption = caption.trim_end();
        if caption.len() > MAX_CAPTION_BYTES {
            let kib = MAX_CAPTION_BYTES >> 10;
            let words = format!("The caption is too long: {kib} KiB at most. It was not kept.");
            return self.state.notify(NoticeKind::Problem, words);
        }
        self.write("a caption of the lecture", |pages| {
            if let Some(slide) = pages.lecture.get_mut(at)
                && slide.caption.as_ref() != caption
            {
                slide.caption = caption.into();
            }
        });
    }

    /// The chosen step shows what is looked at now.
    fn take_selection(&mut self) {
        let at = self.state.lecture.chosen;
        let slides = &self.state.history.notebook().pages().lecture;
        let (Some(mut slide), Some(moment)) = (slides.get(at).cloned(), self.state.moment()) else {
            return;
        };
        slide.moment = moment.id;
        self.point(&mut slide);
        self.write("what a step of the lecture shows", |pages| {
            pages.lecture[at] = slide
        });
    }
}

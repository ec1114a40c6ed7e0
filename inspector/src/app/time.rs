//! Applies what is asked for about moments: bookmarks, notes, playing, comparing.

use std::sync::Arc;
use std::time::Duration;

use super::App;
use crate::model::{MomentId, Series};
use crate::views::command::{Tab, TimeCommand};
use crate::views::state::{NoticeKind, SPEEDS};

/// Most bytes of a note.
const NOTE_BYTES: usize = pagescope_protocol::snapshot::MAX_CAPTION_BYTES;

impl App {
    pub(super) fn apply_time(&mut self, command: TimeCommand, ctx: &egui::Context) {
        let time = &mut self.state.time;
        match command {
            TimeCommand::Bookmark => self.toggle_bookmark(),
            TimeCommand::NameBookmark(moment, name) => {
                self.state
                    .history
                    .notebook_mut()
                    .edit("the bookmark's name", |pages| {
                        if let Some(old) = pages.bookmarks.get_mut(&moment) {
                            *old = name.into();
                        }
                    });
            }
            TimeCommand::DropBookmark(moment) => {
                self.state
                    .history
                    .notebook_mut()
                    .edit("taking the bookmark away", |pages| {
                        pages.bookmarks.remove(&moment);
                    });
            }
            TimeCommand::ToBookmark(way) => self.go_to_bookmark(way),
            TimeCommand::EditNote(is_open) => {
                time.note = self
                    .state
                    .history
                    .current()
                    .map(|moment| moment.id)
                    .filter(|_| is_open);
                if is_open {
                    // What a running guest does meanwhile does not turn the page under the pen.
                    let place = self.state.history.cursor();
                    if self.state.is_followed() {
                        self.state.history.hold(place);
                    }
                    self.state.time.note_asked += 1;
                }
            }
            TimeCommand::Note(moment, text) => self.write_note(moment, &text),
            TimeCommand::Undo => {
                let what = self.state.history.notebook_mut().undo();
                self.tell("Taken back", what, "There is nothing to take back.");
            }
            TimeCommand::Redo => {
                let what = self.state.history.notebook_mut().redo();
                self.tell("Done again", what, "There is nothing to do again.");
            }
            TimeCommand::AskBase(asks) => time.asks_base = asks,
            TimeCommand::CompareWith(place) => {
                time.asks_base = false;
                time.base = place.and_then(|place| self.state.history.id_at(place));
            }
            TimeCommand::Play(plays) => self.set_playing(plays, ctx),
            TimeCommand::Speed(speed) => {
                time.speed = speed.clamp(SPEEDS[0], SPEEDS[SPEEDS.len() - 1]);
                if let Some(before) = time.plays {
                    // What has passed of this step has passed of it at the new speed.
                    let now = ctx.input(|input| input.time);
                    let share = (now - time.played_at) * f64::from(before);
                    time.played_at = now - share.clamp(0.0, 1.0) / f64::from(time.speed);
                }
                time.plays = time.plays.map(|_| time.speed);
            }
            TimeCommand::Span(span) => {
                let count = self.state.history.moments().len();
                time.span = span.and_then(|span| span.inside(count));
            }
            TimeCommand::Plot(series, is_plotted) => self.plot(series, is_plotted),
            TimeCommand::List(is_list) => {
                time.is_list = is_list;
                if is_list {
                    self.state.tab = Tab::Timeline;
                }
            }
        }
    }

    /// Keeps the moment being looked at on the part of the axis that is drawn.
    pub(super) fn show_on_axis(&mut self) {
        let history = &self.state.history;
        let (place, count) = (history.cursor(), history.moments().len());
        let span = &mut self.state.time.span;
        *span = span.and_then(|span| span.showing(place, count));
    }

    /// Goes on as far as the time since the last frame asks for.
    pub(super) fn play(&mut self, ctx: &egui::Context) {
        let Some(speed) = self.state.time.plays else {
            return;
        };
        let now = ctx.input(|input| input.time);
        let each = 1.0 / f64::from(speed);
        let history = &self.state.history;
        let (here, last) = (history.cursor(), history.moments().len().saturating_sub(1));
        let due = ((now - self.state.time.played_at) / each).floor().max(0.0);
        if due >= 1.0 {
            self.state.time.played_at += due * each;
            self.seek(here.saturating_add(due as usize));
        }
        if self.state.history.cursor() >= last {
            self.state.time.plays = None;
            return;
        }
        let wait = (self.state.time.played_at + each - now).max(0.0);
        ctx.request_repaint_after(Duration::from_secs_f64(wait));
    }

    fn set_playing(&mut self, plays: bool, ctx: &egui::Context) {
        let history = &self.state.history;
        if plays && history.cursor() + 1 >= history.moments().len() {
            // What has been played to its end begins again.
            self.seek(0);
        }
        let time = &mut self.state.time;
        time.plays = plays.then_some(time.speed);
        time.played_at = ctx.input(|input| input.time);
    }

    fn toggle_bookmark(&mut self) {
        let place = self.state.history.cursor();
        let Some(moment) = self.state.moment() else {
            return;
        };
        let (id, name) = (moment.id, bookmark_name(place, moment));
        let what = format!("the bookmark on step {place}");
        let notebook = self.state.history.notebook_mut();
        notebook.edit(what, |pages| {
            if pages.bookmarks.remove(&id).is_none() {
                pages.bookmarks.insert(id, name.into());
            }
        });
    }

    fn go_to_bookmark(&mut self, way: i8) {
        let history = &self.state.history;
        let Some(here) = history.current().map(|moment| moment.id) else {
            return;
        };
        let bookmarks = &history.notebook().pages().bookmarks;
        let found = match way {
            1.. => bookmarks.keys().find(|id| **id > here),
            _ => bookmarks.keys().rev().find(|id| **id < here),
        };
        match found.and_then(|id| history.place_of(*id)) {
            Some(place) => self.seek(place),
            None => {
                let side = if way > 0 { "after" } else { "before" };
                let words = format!("There is no bookmark {side} this step. B sets one.");
                self.state.notify(NoticeKind::Problem, words);
            }
        }
    }

    fn write_note(&mut self, moment: MomentId, text: &str) {
        let text = text.trim_end();
        if text.len() > NOTE_BYTES {
            let kib = NOTE_BYTES >> 10;
            let words = format!("The note is too long: {kib} KiB at most. It was not kept.");
            return self.state.notify(NoticeKind::Problem, words);
        }
        let Some(place) = self.state.history.place_of(moment) else {
            return;
        };
        let what = format!("the note on step {place}");
        self.state.history.notebook_mut().edit(what, |pages| {
            if text.is_empty() {
                pages.notes.remove(&moment);
            } else if pages
                .notes
                .get(&moment)
                .is_none_or(|old| old.as_ref() != text)
            {
                pages.notes.insert(moment, text.into());
            }
        });
    }

    fn plot(&mut self, series: Series, is_plotted: bool) {
        let plotted = &mut self.state.time.plotted;
        if !is_plotted {
            plotted.remove(&series);
        } else if plotted.len() < 4 {
            plotted.insert(series);
        } else {
            let words = "Four numbers are plotted already. Take one away first.";
            self.state.notify(NoticeKind::Problem, words);
        }
    }

    fn tell(&mut self, done: &str, what: Option<Arc<str>>, nothing: &str) {
        match what {
            Some(what) => self
                .state
                .notify(NoticeKind::Done, format!("{done}: {what}.")),
            None => self.state.notify(NoticeKind::Problem, nothing),
        }
    }
}

/// What a bookmark is called until somebody gives it a name.
fn bookmark_name(place: usize, moment: &crate::model::Moment) -> String {
    if let Some((level, frame)) = moment.difference.new_tables().next() {
        return format!("new {level} table {frame}");
    }
    match moment.snapshot.stop.as_str() {
        "" => format!("step {place}"),
        stop => stop.chars().take(60).collect(),
    }
}

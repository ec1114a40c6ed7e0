//! All steps as a list that can be searched: what was called, what it changed, what is written about it.

use egui::{Rect, Ui};

use super::rows::{Column, List, Row, as_text, filter_line};
use crate::model::{History, MomentId};
use crate::views::command::UiCommand;
use crate::views::scene::Scene;

/// What the list keeps from frame to frame.
#[derive(Default)]
pub(super) struct Steps {
    filter: String,
    found: Found,
}

/// The steps that have the words of a filter.
#[derive(Default)]
struct Found {
    words: Vec<String>,
    notebook: u64,
    /// How many moments were looked at, and the last of them.
    seen: (usize, Option<MomentId>),
    places: Vec<usize>,
}

impl Found {
    /// Looks at the moments that have come, or at all where the words or the notes are others.
    fn refresh(&mut self, history: &History, filter: &str) {
        let words: Vec<String> = filter.split_whitespace().map(str::to_lowercase).collect();
        let notebook = history.notebook().version();
        let (count, last) = self.seen;
        let same = count.checked_sub(1).and_then(|place| history.id_at(place)) == last;
        if self.words != words || self.notebook != notebook || !same {
            self.places.clear();
            self.seen = (0, None);
            (self.words, self.notebook) = (words, notebook);
        }
        let all = history.moments().len();
        let come = self.seen.0..all;
        for place in come {
            if self.words.is_empty() || self.matches(history, place) {
                self.places.push(place);
            }
        }
        self.seen = (all, history.moments().last().map(|moment| moment.id));
    }

    fn matches(&self, history: &History, place: usize) -> bool {
        let text = words(history, place).join(" ").to_lowercase();
        self.words.iter().all(|word| text.contains(word))
    }
}

/// What a step's row says.
fn words(history: &History, place: usize) -> Vec<String> {
    let Some(moment) = history.moments().get(place) else {
        return Vec::new();
    };
    let pages = history.notebook().pages();
    let bookmark = pages.bookmarks.get(&moment.id);
    let note = pages.notes.get(&moment.id);
    let note = note.and_then(|note| note.lines().next());
    let written: Vec<&str> = bookmark
        .map(AsRef::as_ref)
        .into_iter()
        .chain(note)
        .collect();
    vec![
        format!("Step {place}"),
        moment.snapshot.stop.clone(),
        moment.difference.summary(),
        written.join(" · "),
    ]
}

fn columns(width: f32) -> [Column; 4] {
    let column = |title, width, is_numbers| Column {
        title,
        width,
        is_numbers,
    };
    [
        column("Step", 84.0, false),
        column("Stop", (width * 0.28).clamp(110.0, 240.0), true),
        column("What changed", (width * 0.42).clamp(140.0, 420.0), false),
        column("Bookmark, note", 0.0, false),
    ]
}

impl Steps {
    /// Draws the list into `rect`.
    pub(super) fn show(
        &mut self,
        ui: &mut Ui,
        rect: Rect,
        scene: &Scene<'_>,
        out: &mut Vec<UiCommand>,
    ) {
        let history = &scene.state.history;
        self.found.refresh(history, &self.filter);
        let places = &self.found.places;
        let all = history.moments().len();
        let note = match places.len() {
            0 => format!("none of {all} steps has these words"),
            shown if shown == all => format!("{all} steps"),
            shown => format!("{shown} of {all} steps"),
        };
        let (copies, rest) = filter_line(ui, rect, "steps", &mut self.filter, &note, scene);
        if copies {
            ui.copy_text(as_text(places.iter().map(|place| words(history, *place))));
        }
        let columns = columns(rest.width());
        let list = List {
            name: "steps",
            columns: &columns,
            count: places.len(),
            sorted: None,
        };
        let row = |index: usize| Row {
            words: words(history, places[index]),
            is_dim: false,
            is_selected: places[index] == history.cursor(),
        };
        let done = list.show(
            ui,
            rest,
            scene,
            row,
            |index, ui| {
                for word in words(history, places[index]) {
                    if !word.is_empty() {
                        ui.label(word);
                    }
                }
            },
            |index| vec![("Copy step", words(history, places[index]).join("\t"))],
        );
        if let Some(place) = done.row.and_then(|row| places.get(row)) {
            out.push(UiCommand::Seek(*place));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::fixture;

    #[test]
    fn steps_are_found_by_what_they_changed_and_by_what_is_written() {
        let mut history = fixture::history_from(500, 12);
        let mut found = Found::default();
        found.refresh(&history, "");
        assert_eq!(found.places.len(), 13);
        found.refresh(&history, "L0 TABLE");
        let [place] = found.places[..] else {
            panic!("{:?}", found.places)
        };
        assert!(
            history.moments()[place]
                .difference
                .new_tables()
                .next()
                .is_some()
        );
        let id = history.id_at(3).unwrap();
        history.notebook_mut().edit("a note", |pages| {
            pages.notes.insert(id, "Why not a table?".into());
        });
        found.refresh(&history, "why table");
        assert_eq!(found.places, [3]);
        // What comes is looked at alone.
        history.push(std::sync::Arc::clone(&history.moments()[0].snapshot));
        found.refresh(&history, "step 13");
        assert_eq!(found.places.last(), Some(&13));
    }
}

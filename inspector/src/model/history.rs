//! Snapshots over time. Live is following the end, not another kind of data.

use std::sync::Arc;

use pagescope_protocol::snapshot::text::{self, Document};
use pagescope_protocol::snapshot::{Bookmark, Recording, RecordingError, Snapshot};

use super::mapping_names::named_moments;
use super::notebook::{MomentId, Notebook, Pages, Slide};
use super::{Difference, named};

/// Most moments of a running guest that are kept; past it the older ones are thinned out.
pub const MOST_LIVE: usize = 600;

/// One stop: what was there, and what had changed since the stop before.
#[derive(Clone, Debug)]
pub struct Moment {
    /// Its name for good: its place may change.
    pub id: MomentId,
    /// Everything.
    pub snapshot: Arc<Snapshot>,
    /// What changed since the moment before; empty for the first.
    pub difference: Arc<Difference>,
}

/// All stops so far, and the one being looked at.
#[derive(Clone, Debug, Default)]
pub struct History {
    moments: Vec<Moment>,
    cursor: usize,
    follows: bool,
    /// How many moments are of a running guest.
    live: usize,
    /// Where the next of them goes that is one too many.
    thin_at: usize,
    /// The name that the next moment gets.
    next_id: u64,
    /// What is written about them.
    notebook: Notebook,
}

impl History {
    /// An empty history that follows its end.
    pub fn new() -> Self {
        Self {
            follows: true,
            ..Self::default()
        }
    }

    /// The moments of a recording, the first one being looked at.
    ///
    /// # Errors
    /// [`RecordingError`] where its steps do not fit.
    pub fn from_recording(recording: &Recording) -> Result<Self, RecordingError> {
        let mut history = Self::default();
        for snapshot in recording.moments()? {
            history.push(snapshot);
        }
        // A file may have passed through other hands than the reader's, which checks this.
        let id = |place: usize| history.moments.get(place).map(|moment| moment.id);
        let bookmarks = recording.bookmarks.iter();
        let lecture = recording.lecture.iter();
        let pages = Pages {
            title: recording.title.clone(),
            bookmarks: bookmarks
                .filter_map(|bookmark| Some((id(bookmark.moment)?, bookmark.name.as_str().into())))
                .collect(),
            lecture: lecture
                .filter_map(|step| Some(Slide::of_step(step, id(step.moment)?)))
                .collect(),
            notes: history.notebook.pages().notes.clone(),
        };
        history.notebook = Notebook::of(pages);
        Ok(history)
    }

    /// The moments that a file's text holds.
    ///
    /// # Errors
    /// A sentence that says what is wrong, and where.
    pub fn from_text(text: &str) -> Result<Self, String> {
        Self::from_document(text::from_text(text).map_err(|error| error.to_string())?)
    }

    /// The moments of a snapshot or a recording.
    ///
    /// # Errors
    /// A sentence that says what is wrong in it.
    pub fn from_document(document: Document) -> Result<Self, String> {
        match document {
            Document::Snapshot(snapshot) => {
                let mut history = Self::new();
                history.push(Arc::new(snapshot));
                Ok(history)
            }
            Document::Recording(recording) => {
                Self::from_recording(&recording).map_err(|error| error.to_string())
            }
        }
    }

    /// Adds a stop; the look moves to it when it was at the end.
    pub fn push(&mut self, snapshot: Arc<Snapshot>) {
        self.live += usize::from(!snapshot.taken.is_stopped());
        let difference = match self.moments.last() {
            Some(last) => Difference::between(&last.snapshot, &snapshot),
            None => Difference::default(),
        };
        let id = MomentId(self.next_id);
        self.next_id += 1;
        if !snapshot.notes.is_empty() {
            self.notebook.take_in(id, &snapshot.notes);
        }
        self.moments.push(Moment {
            id,
            snapshot,
            difference: Arc::new(difference),
        });
        if self.follows {
            self.cursor = self.moments.len() - 1;
        }
    }

    /// Takes in how a running guest is now. It takes the place of the last moment where that was of the running
    /// guest too and nothing has changed since, or where that had not settled; else it is a moment of its own.
    /// Gives whether moments before the last one have moved to other places.
    ///
    /// What runs for hours would fill any memory, so at most [`MOST_LIVE`] moments of a running guest are
    /// kept: past that, every second of the older ones goes, and its changes are the next one's. Stops stay.
    pub fn push_live(&mut self, snapshot: Arc<Snapshot>) -> bool {
        let takes_place = self.moments.last().is_some_and(|last| {
            let taken = &last.snapshot.taken;
            !taken.is_stopped()
                && (taken.unsettled().is_some()
                    || Difference::between(&last.snapshot, &snapshot).is_empty())
        });
        if takes_place && let Some(last) = self.moments.pop() {
            self.live -= 1;
            let follows = self.follows;
            let cursor = self.cursor;
            self.next_id = last.id.0;
            self.push(snapshot);
            // Whoever looked at the last moment looks at what took its place.
            self.follows = follows;
            self.cursor = cursor.min(self.moments.len() - 1);
            drop(last);
            return false;
        }
        self.push(snapshot);
        self.live > MOST_LIVE && self.thin_out()
    }

    /// Drops one of the older half of the moments of a running guest; whether there was one.
    fn thin_out(&mut self) -> bool {
        let half = self.moments.len() / 2;
        let may_go = |place: usize, moments: &[Moment]| {
            let moment = &moments[place];
            let is_of_use = place == self.cursor || self.notebook.may_speak_of(moment.id);
            place > 0 && !is_of_use && !moment.snapshot.taken.is_stopped()
        };
        let from = if self.thin_at < half { self.thin_at } else { 0 };
        let places = (from..half).chain(0..from);
        let Some(place) = places
            .into_iter()
            .find(|place| may_go(*place, &self.moments))
        else {
            return false;
        };
        self.moments.remove(place);
        self.live -= 1;
        // Every second one: the next that goes is not the neighbour.
        self.thin_at = place + 1;
        let before = &self.moments[place - 1].snapshot;
        let difference = Difference::between(before, &self.moments[place].snapshot);
        self.moments[place].difference = Arc::new(difference);
        if self.cursor > place {
            self.cursor -= 1;
        }
        true
    }

    /// All moments, oldest first.
    pub fn moments(&self) -> &[Moment] {
        &self.moments
    }

    /// The moment being looked at; `None` while there is none.
    pub fn current(&self) -> Option<&Moment> {
        self.moments.get(self.cursor)
    }

    /// Its place, from 0.
    pub const fn cursor(&self) -> usize {
        self.cursor
    }

    /// Looks at moment `place`, or the last one past the end; the last one is followed.
    pub fn seek(&mut self, place: usize) {
        let last = self.moments.len().saturating_sub(1);
        self.cursor = place.min(last);
        self.follows = self.cursor == last;
    }

    /// Looks at the moment at `place` and stays there, whatever comes after it.
    pub fn hold(&mut self, place: usize) {
        self.seek(place);
        self.follows = false;
    }

    /// Whether the last moment is being looked at, and the next one will be.
    pub const fn is_live(&self) -> bool {
        self.follows
    }

    /// What is written about the moments.
    pub const fn notebook(&self) -> &Notebook {
        &self.notebook
    }

    /// The same, to write in.
    pub const fn notebook_mut(&mut self) -> &mut Notebook {
        &mut self.notebook
    }

    /// Where the moment of this name is; `None` where it has gone.
    pub fn place_of(&self, id: MomentId) -> Option<usize> {
        self.moments
            .binary_search_by_key(&id, |moment| moment.id)
            .ok()
    }

    /// The name of the moment at `place`.
    pub fn id_at(&self, place: usize) -> Option<MomentId> {
        self.moments.get(place).map(|moment| moment.id)
    }

    /// The lecture: its steps, or the moments that have notes where there are none.
    pub fn slides(&self) -> Vec<Slide> {
        let pages = self.notebook.pages();
        if !pages.lecture.is_empty() {
            return pages.lecture.clone();
        }
        let notes = pages.notes.iter();
        notes
            .map(|(moment, note)| Slide::new(*moment, Arc::clone(note)))
            .collect()
    }

    /// The snapshot at `place` for a file: its mappings with names, and with what is written about it now.
    pub fn for_file(&self, place: usize) -> Option<Snapshot> {
        let moment = self.moments.get(place)?;
        let mut snapshot = named(&moment.snapshot);
        snapshot.notes = self.notebook.note(moment.id).into();
        Some(snapshot)
    }

    /// All moments as a recording, their mappings with names; `None` while there is none.
    pub fn to_recording(&self) -> Option<Recording> {
        let moments = self.moments.iter();
        let mut named = named_moments(moments.map(|moment| moment.snapshot.as_ref()));
        for (moment, named) in self.moments.iter().zip(&mut named) {
            named.notes = self.notebook.note(moment.id).into();
        }
        let mut recording = Recording::of(named.iter())?;
        let pages = self.notebook.pages();
        recording.title = pages.title.clone();
        recording.bookmarks = (pages.bookmarks.iter())
            .filter_map(|(id, name)| {
                let (moment, name) = (self.place_of(*id)?, name.as_ref().into());
                Some(Bookmark { moment, name })
            })
            .collect();
        recording.lecture = (pages.lecture.iter())
            .filter_map(|slide| Some(slide.to_step(self.place_of(slide.moment)?)))
            .collect();
        Some(recording)
    }
}

#[cfg(test)]
mod tests {
    use pagescope_protocol::snapshot::{Taken, Unsettled};

    use super::*;
    use crate::model::fixture;

    fn live(pages: u64) -> Arc<Snapshot> {
        let mut snapshot = fixture::pseudos(pages);
        snapshot.taken = Taken::Running(Unsettled::default());
        Arc::new(snapshot)
    }

    fn torn(pages: u64) -> Arc<Snapshot> {
        let mut snapshot = fixture::pseudos(pages);
        snapshot.taken = Taken::Running(Unsettled {
            kernel: true,
            ..Unsettled::default()
        });
        Arc::new(snapshot)
    }

    #[test]
    fn what_does_not_change_is_no_moment() {
        let mut history = History::new();
        history.push(Arc::new(fixture::pseudos(1)));
        // The stop is kept beside the first look, though nothing has changed since.
        history.push_live(live(1));
        assert_eq!(history.moments().len(), 2);
        let mut later = fixture::pseudos(1);
        later.taken = Taken::Running(Unsettled::default());
        later.stop = "later".into();
        history.push_live(Arc::new(later));
        assert_eq!(history.moments().len(), 2);
        assert_eq!(
            history.current().map(|m| m.snapshot.stop.as_str()),
            Some("later")
        );
        history.push_live(live(2));
        assert_eq!(history.moments().len(), 3);
        assert!(history.is_live() && history.cursor() == 2);
        assert!(!history.moments()[2].difference.is_empty());
    }

    #[test]
    fn what_settles_takes_the_place_of_what_did_not() {
        let mut history = History::new();
        history.push_live(live(1));
        history.push_live(torn(2));
        assert_eq!(history.moments().len(), 2);
        history.push_live(live(3));
        assert_eq!(history.moments().len(), 2);
        assert_eq!(history.moments()[1].snapshot.taken.unsettled(), None);
        // Its changes are those since the last moment that had settled.
        let since = Difference::between(&live(1), &live(3));
        assert_eq!(*history.moments()[1].difference, since);
    }

    #[test]
    fn hours_of_following_are_bounded_and_stops_stay() {
        let mut history = History::new();
        let looks: Vec<_> = [live(1), live(2)].into();
        history.push(Arc::new(fixture::pseudos(0)));
        history.push_live(Arc::clone(&looks[1]));
        history.seek(0);
        let marked = history.id_at(1).unwrap();
        history.notebook_mut().edit("a bookmark", |pages| {
            pages.bookmarks.insert(marked, "here".into());
        });
        for number in 0..3 * MOST_LIVE {
            history.push_live(Arc::clone(&looks[number % 2]));
            if number == 100 {
                let mut stop = fixture::pseudos(5);
                stop.stop = "a stop".into();
                history.push(Arc::new(stop));
            }
        }
        let moments = history.moments();
        assert_eq!(moments.len(), MOST_LIVE + 2);
        assert_eq!(history.cursor(), 0);
        // What is written about stays, too.
        assert_eq!(history.place_of(marked), Some(1));
        assert!(
            moments
                .iter()
                .any(|moment| moment.snapshot.stop == "a stop")
        );
        for pair in moments.windows(2) {
            let between = Difference::between(&pair[0].snapshot, &pair[1].snapshot);
            assert_eq!(*pair[1].difference, between);
        }
    }

    #[test]
    fn what_is_written_is_saved_and_read() {
        let mut history = fixture::history(4);
        let ids: Vec<MomentId> = (0..5).filter_map(|place| history.id_at(place)).collect();
        history.notebook_mut().edit("all", |pages| {
            pages.title = "Self-map".into();
            pages.notes.insert(ids[2], "Look at L0.".into());
            pages.bookmarks.insert(ids[3], "new table".into());
            let mut slide = Slide::new(ids[4], "Here.");
            slide.select =
                crate::model::Selection::Virtual(pagescope_protocol::VirtAddr::new(0x87ff_3000));
            pages.lecture.push(slide);
        });
        let recording = history.to_recording().unwrap();
        let text = text::recording_to_text(&recording);
        let read = text::from_text(&text).unwrap();
        let Document::Recording(read) = read else {
            panic!("a recording")
        };
        let read = History::from_recording(&read).unwrap();
        assert_eq!(read.notebook().pages(), history.notebook().pages());
        assert_eq!(read.notebook().undoes(), None);
        assert_eq!(read.slides(), history.slides());
        // Without steps, each note is one.
        history
            .notebook_mut()
            .edit("no lecture", |pages| pages.lecture.clear());
        let captions: Vec<_> = history.slides().into_iter().map(|it| it.caption).collect();
        assert_eq!(captions, ["Look at L0.".into()]);
        assert_eq!(history.for_file(2).unwrap().notes, "Look at L0.");
    }

    #[test]
    fn the_moment_being_looked_at_stays() {
        let mut history = History::new();
        let looks: Vec<_> = [live(1), live(2)].into();
        for number in 0..MOST_LIVE {
            history.push_live(Arc::clone(&looks[number % 2]));
        }
        history.seek(40);
        let seen = history.current().unwrap().id;
        for number in 0..2 * MOST_LIVE {
            history.push_live(Arc::clone(&looks[number % 2]));
        }
        assert_eq!(history.moments().len(), MOST_LIVE);
        let here = history.current().map(|moment| moment.snapshot.heap);
        assert_eq!(here, Some(looks[0].heap));
        assert!(history.cursor() < 40, "older ones have gone");
        assert_eq!(history.current().map(|moment| moment.id), Some(seen));
    }

    #[test]
    fn a_note_that_can_be_taken_back_keeps_its_moment() {
        let mut history = History::new();
        let looks: Vec<_> = [live(1), live(2)].into();
        for number in 0..MOST_LIVE {
            history.push_live(Arc::clone(&looks[number % 2]));
        }
        let noted = history.moments()[40].id;
        let write = |history: &mut History, text: &str| {
            history.notebook_mut().edit("the note", |pages| {
                pages.notes.clear();
                if !text.is_empty() {
                    pages.notes.insert(noted, text.into());
                }
            });
        };
        write(&mut history, "Look here.");
        write(&mut history, "");
        for number in 0..2 * MOST_LIVE {
            history.push_live(Arc::clone(&looks[number % 2]));
        }
        history.notebook_mut().undo();
        assert_eq!(history.notebook().note(noted), "Look here.");
        assert!(history.place_of(noted).is_some(), "its moment is there");
    }
}

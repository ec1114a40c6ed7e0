//! What a person writes about moments: notes, bookmarks, a lecture; with undo.
//!
//! Moments are immutable and shared, so what is written about them stands beside them. It names a moment by its
//! [`MomentId`], since places change when moments of a running guest are thinned out.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use pagescope_protocol::snapshot::{LectureStep, LectureView, Pointed};

use super::{Selection, Stretch};

/// How many edits can be taken back.
const MOST_UNDONE: usize = 100;

/// What names a moment for good. Later moments have greater ones.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct MomentId(pub(super) u64);

/// All that is written.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct Pages {
    /// What the recording is called.
    pub title: String,
    /// The notes, none of them empty.
    pub notes: BTreeMap<MomentId, Arc<str>>,
    /// The bookmarks by their moments, with their names.
    pub bookmarks: BTreeMap<MomentId, Arc<str>>,
    /// The lecture.
    pub lecture: Vec<Slide>,
}

/// One step of a lecture: a moment, what is said, what is looked at.
#[derive(Clone, PartialEq, Debug)]
pub struct Slide {
    /// The moment.
    pub moment: MomentId,
    /// The caption.
    pub caption: Arc<str>,
    /// What is selected; the newest thing where it is [`Selection::Nothing`].
    pub select: Selection,
    /// The space that is looked at.
    pub space: Option<String>,
    /// The hart that is looked at.
    pub hart: Option<u32>,
    /// The view that is drawn large.
    pub view: Option<LectureView>,
}

impl Slide {
    /// A step that shows `moment` with `caption`.
    pub fn new(moment: MomentId, caption: impl Into<Arc<str>>) -> Self {
        Self {
            moment,
            caption: caption.into(),
            select: Selection::Nothing,
            space: None,
            hart: None,
            view: None,
        }
    }

    /// What a file says, its moment being this one.
    pub(super) fn of_step(step: &LectureStep, moment: MomentId) -> Self {
        Self {
            select: step.select.map_or(Selection::Nothing, selection_of),
            space: step.space.clone(),
            hart: step.hart,
            view: step.view,
            ..Self::new(moment, step.caption.as_str())
        }
    }

    /// As it stands in a file, its moment being at `place`.
    pub(super) fn to_step(&self, place: usize) -> LectureStep {
        LectureStep {
            moment: place,
            caption: self.caption.as_ref().into(),
            select: pointed_at(self.select),
            space: self.space.clone(),
            hart: self.hart,
            view: self.view,
        }
    }
}

/// The selection that a lecture's word means.
pub fn selection_of(pointed: Pointed) -> Selection {
    match pointed {
        Pointed::Virtual(address) => Selection::Virtual(address),
        Pointed::Physical(address) => Selection::Physical(address),
        Pointed::Stretch { space, start, size } => Selection::Range(Stretch { space, start, size }),
        Pointed::Table { level, frame } => Selection::Table { level, frame },
        Pointed::Entry {
            level,
            table,
            index,
        } => Selection::Entry {
            level,
            table,
            index: usize::from(index),
        },
    }
}

/// The word for a selection; `None` where nothing is selected.
pub fn pointed_at(selection: Selection) -> Option<Pointed> {
    Some(match selection {
        Selection::Nothing => return None,
        Selection::Virtual(address) => Pointed::Virtual(address),
        Selection::Physical(address) => Pointed::Physical(address),
        Selection::Range(Stretch { space, start, size }) => Pointed::Stretch { space, start, size },
        Selection::Table { level, frame } => Pointed::Table { level, frame },
        Selection::Entry {
            level,
            table,
            index,
        } => Pointed::Entry {
            level,
            table,
            index: u16::try_from(index).ok()?,
        },
    })
}

/// The pages, and those before each edit.
#[derive(Clone, Debug, Default)]
pub struct Notebook {
    pages: Arc<Pages>,
    undone: Vec<Edit>,
    done: VecDeque<Edit>,
    version: u64,
}

/// What an edit was, and the pages on its other side.
#[derive(Clone, Debug)]
struct Edit {
    what: Arc<str>,
    pages: Arc<Pages>,
}

impl Pages {
    /// Whether anything is written about `moment`.
    fn speak_of(&self, moment: MomentId) -> bool {
        self.notes.contains_key(&moment)
            || self.bookmarks.contains_key(&moment)
            || self.lecture.iter().any(|slide| slide.moment == moment)
    }
}

impl Notebook {
    /// A notebook with these pages, and nothing to take back.
    pub(super) fn of(pages: Pages) -> Self {
        Self {
            pages: Arc::new(pages),
            version: 1,
            ..Self::default()
        }
    }

    /// What is written.
    pub fn pages(&self) -> &Pages {
        &self.pages
    }

    /// Another number after every edit.
    pub const fn version(&self) -> u64 {
        self.version
    }

    /// The note about `moment`; empty where there is none.
    pub fn note(&self, moment: MomentId) -> &str {
        self.pages.notes.get(&moment).map_or("", AsRef::as_ref)
    }

    /// Whether anything is written about `moment`, or would be again after edits are taken back or done again: it has
    /// to be there then.
    pub fn may_speak_of(&self, moment: MomentId) -> bool {
        let edits = self.done.iter().chain(&self.undone);
        let others = edits.map(|edit| &edit.pages);
        [&self.pages]
            .into_iter()
            .chain(others)
            .any(|pages| pages.speak_of(moment))
    }

    /// Takes in a note that comes with a moment: no edit.
    pub(super) fn take_in(&mut self, moment: MomentId, note: &str) {
        let pages = Arc::make_mut(&mut self.pages);
        pages.notes.insert(moment, note.into());
        self.version += 1;
    }

    /// Changes the pages; `what` says how, for taking it back: "the note on step 3".
    pub fn edit(&mut self, what: impl Into<Arc<str>>, edit: impl FnOnce(&mut Pages)) {
        let before = Arc::clone(&self.pages);
        edit(Arc::make_mut(&mut self.pages));
        if self.pages == before {
            self.pages = before;
            return;
        }
        self.version += 1;
        self.undone.clear();
        if self.done.len() == MOST_UNDONE {
            self.done.pop_front();
        }
        self.done.push_back(Edit {
            what: what.into(),
            pages: before,
        });
    }

    /// What would be taken back.
    pub fn undoes(&self) -> Option<&str> {
        self.done.back().map(|edit| edit.what.as_ref())
    }

    /// What would be done again.
    pub fn redoes(&self) -> Option<&str> {
        self.undone.last().map(|edit| edit.what.as_ref())
    }

    /// Takes the last edit back; gives what it was.
    pub fn undo(&mut self) -> Option<Arc<str>> {
        let edit = self.done.pop_back()?;
        let what = self.swap(edit, |it, edit| it.undone.push(edit));
        Some(what)
    }

    /// Does again what was taken back last; gives what it was.
    pub fn redo(&mut self) -> Option<Arc<str>> {
        let edit = self.undone.pop()?;
        let what = self.swap(edit, |it, edit| it.done.push_back(edit));
        Some(what)
    }

    fn swap(&mut self, mut edit: Edit, keep: impl FnOnce(&mut Self, Edit)) -> Arc<str> {
        std::mem::swap(&mut self.pages, &mut edit.pages);
        self.version += 1;
        let what = Arc::clone(&edit.what);
        keep(self, edit);
        what
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn edits_are_taken_back_and_done_again() {
        let mut book = Notebook::default();
        let note = |text: &str| {
            let text: Arc<str> = text.into();
            move |pages: &mut Pages| {
                pages.notes.insert(MomentId(3), text);
            }
        };
        book.edit("the first", note("one"));
        book.edit("the second", note("two"));
        // What changes nothing is no edit.
        book.edit("nothing", note("two"));
        assert_eq!(book.undoes(), Some("the second"));
        assert_eq!(book.undo().as_deref(), Some("the second"));
        assert_eq!(book.note(MomentId(3)), "one");
        assert_eq!(book.redo().as_deref(), Some("the second"));
        assert_eq!(book.note(MomentId(3)), "two");
        book.undo();
        book.undo();
        assert_eq!((book.undo(), book.note(MomentId(3))), (None, ""));
        // A new edit forgets what could have been done again.
        book.edit("the third", note("three"));
        assert_eq!(book.redoes(), None);
        let before = book.version();
        for number in 0..3 * MOST_UNDONE {
            book.edit("many", note(&number.to_string()));
        }
        assert!(book.done.len() <= MOST_UNDONE && book.version() > before);
    }
}

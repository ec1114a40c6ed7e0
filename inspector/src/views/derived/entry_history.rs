//! When the selected entry changed. Read once for an entry, and then on as moments come: scrubbing through ten thousand
//! of them reads none again.

use std::sync::Arc;

use pagescope_protocol::snapshot::{Snapshot, Table};
use pagescope_protocol::{Level, PhysPage, Pte, PteKind};

use crate::model::{Change, Difference, Focus};
use crate::views::state::State;

/// A moment at which an entry became what it is called.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct EntryMoment {
    /// The moment's place.
    pub moment: usize,
    /// What the entry became.
    pub words: String,
}

/// One entry over all moments.
#[derive(Debug, Default)]
pub(super) struct EntryTrack {
    place: Option<(Level, PhysPage, usize)>,
    space: String,
    /// How many moments were read, and the last of them.
    read: usize,
    newest: Option<Arc<Snapshot>>,
    /// What the entry was in it, and the table that holds it.
    last: Option<Option<Pte>>,
    table: Option<Arc<Table>>,
    changes: Vec<EntryMoment>,
}

impl EntryTrack {
    /// The moments at which the entry of `focus` changed, newest first, up to the moment looked at.
    pub(super) fn up_to_now(&mut self, state: &State, focus: &Focus) -> Vec<EntryMoment> {
        let (Some(step), Some(space)) = (focus.entry(), state.space()) else {
            return Vec::new();
        };
        let place = Some((step.level, step.table, step.index));
        let moments = state.history.moments();
        let is_as_read = match (self.read.checked_sub(1), &self.newest) {
            (Some(at), Some(newest)) => moments
                .get(at)
                .is_some_and(|moment| Arc::ptr_eq(&moment.snapshot, newest)),
            _ => false,
        };
        if self.place != place || self.space != space.name || !is_as_read {
            *self = Self {
                place,
                space: space.name.clone(),
                ..Self::default()
            };
        }
        for (number, moment) in moments.iter().enumerate().skip(self.read) {
            // What a moment changed says whether it is worth looking at: most of ten thousand are not.
            if number == 0 || touches(&moment.difference, step.table, step.index) {
                self.read_moment(number, &moment.snapshot);
            }
        }
        self.read = moments.len();
        self.newest = moments.last().map(|moment| Arc::clone(&moment.snapshot));
        let cursor = state.history.cursor();
        let until = self
            .changes
            .partition_point(|change| change.moment <= cursor);
        self.changes[..until].iter().rev().cloned().collect()
    }

    fn read_moment(&mut self, number: usize, snapshot: &Snapshot) {
        let Some((level, frame, index)) = self.place else {
            return;
        };
        let space = snapshot
            .spaces
            .iter()
            .find(|space| space.name == self.space);
        let table = space.and_then(|space| space.table_at(frame, level));
        if let (Some(old), Some(new)) = (&self.table, table)
            && Arc::ptr_eq(old, new)
        {
            return;
        }
        self.table = table.cloned();
        let pte = table.and_then(|table| table.entry(index));
        if self.last == Some(pte) {
            return;
        }
        let words = match (pte, self.last) {
            (None, None) => "no such table yet".into(),
            (None, Some(_)) => "its table was gone".into(),
            (Some(pte), last) => {
                let kind = space.map_or(PteKind::Invalid, |space| space.mode.classify(pte, level));
                words(kind, number, last)
            }
        };
        self.last = Some(pte);
        self.changes.push(EntryMoment {
            moment: number,
            words,
        });
    }
}

/// Whether a moment with this difference may have another entry there than the one before it.
fn touches(difference: &Difference, frame: PhysPage, place: usize) -> bool {
    difference.changes.iter().any(|change| match change {
        Change::Entry { table, index, .. } => *table == frame && *index == place,
        Change::Table { frame: table, .. } => *table == frame,
        // The space has another root, so other tables.
        Change::Root { .. } => true,
        Change::HeapCounter { .. } => false,
    })
}

fn words(kind: PteKind, moment: usize, last: Option<Option<Pte>>) -> String {
    match (kind, moment) {
        (PteKind::Leaf(leaf), 0) => format!("leaf since the first moment, {}", leaf.flags),
        (PteKind::Leaf(leaf), _) => format!("leaf written, {}", leaf.flags),
        (PteKind::Pointer(to), 0) => format!("pointer since the first moment, to {to}"),
        (PteKind::Pointer(to), _) => format!("pointer written, to {to}"),
        (PteKind::Invalid, 0) => "invalid since the first moment".into(),
        (PteKind::Invalid, _) if last == Some(None) => "invalid, in a new table".into(),
        (PteKind::Invalid, _) => "made invalid".into(),
        (PteKind::Reserved(why), _) => format!("reserved: {why}"),
    }
}

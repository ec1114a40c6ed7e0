//! Snapshots over time. Live is following the end, not another kind of data.

use std::sync::Arc;

use pagescope_protocol::snapshot::{Recording, RecordingError, Snapshot};

use super::Difference;
use super::mapping_names::named_moments;

/// One stop: what was there, and what had changed since the stop before.
#[derive(Clone, Debug)]
pub struct Moment {
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
}

impl History {
    /// An empty history that follows its end.
    pub fn new() -> Self {
        Self {
            moments: Vec::new(),
            cursor: 0,
            follows: true,
        }
    }

    /// The moments of a recording, the first one being looked at.
    ///
    /// # Errors
    /// [`RecordingError`] where its steps do not fit.
    pub fn from_recording(recording: &Recording) -> Result<Self, RecordingError> {
        let mut history = Self {
            moments: Vec::new(),
            cursor: 0,
            follows: false,
        };
        for snapshot in recording.moments()? {
            history.push(snapshot);
        }
        Ok(history)
    }

    /// Adds a stop; the look moves to it when it was at the end.
    pub fn push(&mut self, snapshot: Arc<Snapshot>) {
        let difference = match self.moments.last() {
            Some(last) => Difference::between(&last.snapshot, &snapshot),
            None => Difference::default(),
        };
        self.moments.push(Moment {
            snapshot,
            difference: Arc::new(difference),
        });
        if self.follows {
            self.cursor = self.moments.len() - 1;
        }
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

    /// Whether the last moment is being looked at, and the next one will be.
    pub const fn is_live(&self) -> bool {
        self.follows
    }

    /// All moments as a recording, their mappings with names; `None` while there is none.
    pub fn to_recording(&self) -> Option<Recording> {
        let moments = self.moments.iter();
        let named = named_moments(moments.map(|moment| moment.snapshot.as_ref()));
        Recording::of(named.iter())
    }
}

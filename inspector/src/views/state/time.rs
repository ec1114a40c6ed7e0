//! What the views read of moments: bookmarks, notes, playing, comparing.

use std::collections::BTreeSet;
use std::sync::Arc;

use crate::model::{Difference, History, MomentId, Series};

/// Moments a second that playing may take.
pub const SPEEDS: [u32; 6] = [1, 2, 5, 10, 30, 100];

/// The part of the time axis that is drawn, in places of moments.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Span {
    /// The first place.
    pub first: f64,
    /// The last place.
    pub last: f64,
}

/// The fewest moments that the axis can be zoomed to.
const FEWEST: f64 = 4.0;

impl Span {
    /// All of so many moments.
    pub fn whole(count: usize) -> Self {
        Self {
            first: 0.0,
            last: count.saturating_sub(1) as f64,
        }
    }

    /// `times` as wide, with `at` staying where it is.
    pub fn zoomed(self, times: f64, at: f64) -> Self {
        Self {
            first: at - (at - self.first) * times,
            last: at + (self.last - at) * times,
        }
    }

    /// Moved by so many moments.
    pub fn moved(self, by: f64) -> Self {
        Self {
            first: self.first + by,
            last: self.last + by,
        }
    }

    /// Inside so many moments; `None` where that is all of them.
    pub fn inside(self, count: usize) -> Option<Self> {
        let end = count.saturating_sub(1) as f64;
        let width = (self.last - self.first).max(FEWEST);
        if !width.is_finite() || width >= end {
            return None;
        }
        let first = self.first.clamp(0.0, end - width);
        Some(Self {
            first,
            last: first + width,
        })
    }

    /// Moved as little as it takes to show `place`.
    pub fn showing(self, place: usize, count: usize) -> Option<Self> {
        let place = place as f64;
        let by = if place < self.first {
            place - self.first
        } else if place > self.last {
            place - self.last
        } else {
            0.0
        };
        self.moved(by).inside(count)
    }
}

/// State of moments: bookmarks, notes, playing, comparing.
#[derive(Clone, PartialEq, Debug)]
pub struct TimeState {
    /// The moment that the one being looked at is compared with, in place of the one before it.
    pub base: Option<MomentId>,
    /// Whether it is being asked which.
    pub asks_base: bool,
    /// The moment whose note is being written.
    pub note: Option<MomentId>,
    /// How often a note was asked for: each time it gets the keyboard.
    pub note_asked: u64,
    /// The part of the axis that is drawn; all of it where there is none.
    pub span: Option<Span>,
    /// What is plotted.
    pub plotted: BTreeSet<Series>,
    /// Moments a second, while it plays.
    pub plays: Option<u32>,
    /// When the last moment was played, in the window's seconds.
    pub played_at: f64,
    /// Moments a second when it next plays.
    pub speed: u32,
    /// Whether the steps stand as a list.
    pub is_list: bool,
    between: Option<Between>,
}

/// What differs between two moments.
#[derive(Clone, PartialEq, Debug)]
struct Between {
    moments: [MomentId; 2],
    difference: Arc<Difference>,
}

impl Default for TimeState {
    fn default() -> Self {
        Self {
            base: None,
            asks_base: false,
            note: None,
            note_asked: 0,
            span: None,
            plotted: [Series::Heap].into(),
            plays: None,
            played_at: 0.0,
            speed: 2,
            is_list: false,
            between: None,
        }
    }
}

impl TimeState {
    /// What changed up to the moment being looked at: since the chosen base, or since the moment before.
    pub fn difference<'a>(&'a self, history: &'a History) -> Option<&'a Arc<Difference>> {
        let moment = history.current()?;
        match &self.between {
            Some(between) if Some(between.moments) == self.pair(history) => {
                Some(&between.difference)
            }
            _ => Some(&moment.difference),
        }
    }

    /// The place of the chosen base; `None` where the moment before is it.
    pub fn base_place(&self, history: &History) -> Option<usize> {
        history.place_of(self.base?)
    }

    fn pair(&self, history: &History) -> Option<[MomentId; 2]> {
        let base = self.base?;
        history.place_of(base)?;
        Some([base, history.current()?.id])
    }

    /// Works out the difference to the chosen base, where another moment is looked at now.
    pub fn refresh(&mut self, history: &History) {
        let pair = self.pair(history);
        if self.between.as_ref().map(|between| between.moments) == pair {
            return;
        }
        self.between = None;
        let (Some(moments), Some(now)) = (pair, history.current()) else {
            self.base = self.base.filter(|_| pair.is_some());
            return;
        };
        let base = history.place_of(moments[0]);
        let base = base.and_then(|place| history.moments().get(place));
        self.between = base.map(|base| Between {
            moments,
            difference: Arc::new(Difference::between(&base.snapshot, &now.snapshot)),
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::fixture;

    #[test]
    fn a_part_of_the_axis_stays_inside_of_it() {
        let count = 10_001;
        assert_eq!(Span::whole(count).inside(count), None);
        let part = Span::whole(count)
            .zoomed(0.1, 9000.0)
            .inside(count)
            .unwrap();
        assert_eq!((part.first, part.last), (8100.0, 9100.0));
        assert_eq!(part.moved(1e9).inside(count).unwrap().last, 10_000.0);
        let least = part.zoomed(1e-9, 8500.0).inside(count).unwrap();
        assert!((least.last - least.first - FEWEST).abs() < 1e-6);
        assert_eq!(part.zoomed(f64::INFINITY, 8500.0).inside(count), None);
        assert_eq!(part.showing(8100, count), Some(part));
        assert_eq!(part.showing(10, count).unwrap().first, 10.0);
        assert_eq!(Span::whole(1).zoomed(0.5, 0.0).inside(1), None);
    }

    #[test]
    fn any_two_moments_are_compared() {
        let mut history = fixture::history(6);
        let mut time = TimeState::default();
        let changes = |time: &mut TimeState, history: &History| {
            time.refresh(history);
            time.difference(history).unwrap().changes.len()
        };
        let one = changes(&mut time, &history);
        time.base = history.id_at(2);
        assert!(changes(&mut time, &history) > one);
        // With itself, nothing has changed.
        history.seek(2);
        assert_eq!(changes(&mut time, &history), 0);
        time.base = None;
        assert_eq!(changes(&mut time, &history), one);
    }
}

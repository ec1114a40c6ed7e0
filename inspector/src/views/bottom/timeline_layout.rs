//! Where moments lie on the timeline, and what each column of pixels has to say. Numbers only.

use std::ops::Range;

use pagescope_protocol::{Level, PteKind};

use crate::model::{Change, ChangeKind, Moment, Series};
use crate::views::state::Span;

/// Moments stand at most this far apart.
const WIDEST: f32 = 68.0;

/// From moments to places and back.
#[derive(Clone, Copy, PartialEq, Debug)]
pub(super) struct Axis {
    left: f32,
    right: f32,
    /// The place at the left end.
    first: f64,
    spacing: f64,
    count: usize,
}

impl Axis {
    /// `count` moments from `left` to `right`, or those of them that lie in `span`.
    pub(super) fn new(count: usize, span: Option<Span>, left: f32, right: f32) -> Self {
        let width = f64::from((right - left).max(1.0));
        let (first, gaps) = match span {
            Some(span) => (span.first, (span.last - span.first).max(1.0)),
            None => (0.0, count.saturating_sub(1).max(1) as f64),
        };
        let spacing = width / gaps;
        let spacing = match span {
            Some(_) => spacing,
            None => spacing.min(f64::from(WIDEST)),
        };
        Self {
            left,
            right,
            first,
            spacing,
            count,
        }
    }

    /// How far apart moments are.
    pub(super) const fn spacing(&self) -> f32 {
        self.spacing as f32
    }

    /// Where moment `place` is.
    pub(super) fn x_of(&self, place: usize) -> f32 {
        // In f64 first: f32 loses moments past sixteen million.
        (f64::from(self.left) + (place as f64 - self.first) * self.spacing) as f32
    }

    /// The place at `x`, between moments too.
    pub(super) fn at(&self, x: f32) -> f64 {
        self.first + f64::from(x - self.left) / self.spacing
    }

    /// The moment nearest to `x`.
    pub(super) fn place_at(&self, x: f32) -> usize {
        let place = self.at(x).round().max(0.0) as usize;
        place.min(self.count.saturating_sub(1))
    }

    /// The moments that are drawn, with one more at each end for the line to come from.
    pub(super) fn visible(&self) -> Range<usize> {
        let first = self.first.floor().max(0.0) as usize;
        let last = self.at(self.right).ceil().max(0.0) as usize;
        first.min(self.count)..last.saturating_add(1).min(self.count)
    }

    /// The part of all moments that is drawn.
    pub(super) fn span(&self) -> Span {
        Span {
            first: self.first,
            last: self.at(self.right),
        }
    }

    /// Every how many moments a label of `width` fits.
    pub(super) fn label_every(&self, width: f32) -> usize {
        let mut every = 1;
        loop {
            for factor in [1, 2, 5] {
                if (every * factor) as f64 * self.spacing >= f64::from(width) {
                    return every * factor;
                }
            }
            every *= 10;
        }
    }

    /// The moments that get a label when every `every`th does: always the same ones, however far it is moved.
    pub(super) fn labelled(&self, every: usize) -> impl Iterator<Item = usize> {
        let visible = self.visible();
        let first = visible.start.next_multiple_of(every.max(1));
        (first..visible.end).step_by(every.max(1))
    }
}

/// A number over the moments of a bucket.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Values {
    /// The least.
    pub(super) low: u64,
    /// The greatest.
    pub(super) high: u64,
    /// The last one.
    pub(super) last: u64,
}

/// What one place of the timeline shows: one moment, or as many as share a pixel.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Bucket {
    /// The first moment.
    pub(super) first: usize,
    /// The last moment.
    pub(super) last: usize,
    /// The numbers that are plotted.
    pub(super) values: Vec<Option<Values>>,
    /// The level of a table that came, the highest of several.
    pub(super) table: Option<Level>,
    /// Whether leaves came or changed.
    pub(super) leaf: bool,
    /// Whether entries or tables went.
    pub(super) gone: bool,
}

/// At most one bucket for each moment and for each pixel that is drawn.
pub(super) fn buckets(moments: &[Moment], axis: &Axis, plotted: &[Series]) -> Vec<Bucket> {
    let mut buckets: Vec<Bucket> = Vec::new();
    let mut last_pixel = None;
    for place in axis.visible() {
        let Some(moment) = moments.get(place) else {
            break;
        };
        let pixel = axis.x_of(place) as i64;
        if last_pixel != Some(pixel) || axis.spacing() >= 1.0 {
            last_pixel = Some(pixel);
            buckets.push(Bucket {
                first: place,
                last: place,
                values: vec![None; plotted.len()],
                table: None,
                leaf: false,
                gone: false,
            });
        }
        let Some(bucket) = buckets.last_mut() else {
            continue;
        };
        bucket.last = place;
        for (values, series) in bucket.values.iter_mut().zip(plotted) {
            let Some(value) = series.value(&moment.snapshot) else {
                continue;
            };
            let (low, high) = values.map_or((value, value), |it| (it.low, it.high));
            *values = Some(Values {
                low: low.min(value),
                high: high.max(value),
                last: value,
            });
        }
        take_changes(bucket, moment);
    }
    buckets
}

fn take_changes(bucket: &mut Bucket, moment: &Moment) {
    for change in &moment.difference.changes {
        match change {
            Change::Table {
                kind: ChangeKind::Added,
                level,
                ..
            } => bucket.table = bucket.table.max(Some(*level)),
            Change::Entry {
                kind: ChangeKind::Added | ChangeKind::Changed,
                mode,
                level,
                after,
                ..
            } => bucket.leaf |= matches!(mode.classify(*after, *level), PteKind::Leaf(_)),
            Change::Table { .. } | Change::Entry { .. } => bucket.gone = true,
            Change::HeapCounter { .. } | Change::Root { .. } => {}
        }
    }
}

/// What stands under a moment: the table that it brought, else what was called.
pub(super) fn short_name(moment: &Moment) -> (String, Option<Level>) {
    if let Some((level, _)) = moment.difference.new_tables().next() {
        return (format!("+ {level} table"), Some(level));
    }
    (called(&moment.snapshot.stop).to_owned(), None)
}

/// "kalloc(8) → 0x87ff6000" without its end.
fn called(stop: &str) -> &str {
    stop.split(" →").next().unwrap_or(stop).trim()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::fixture;

    #[test]
    fn places_and_points_agree() {
        for count in [1, 2, 13, 600, 100_000] {
            let axis = Axis::new(count, None, 20.0, 1020.0);
            for place in [0, count / 2, count - 1] {
                let back = axis.place_at(axis.x_of(place));
                let close = (axis.x_of(back) - axis.x_of(place)).abs() <= 1.0;
                assert!(close, "{count}: {place} {back}");
            }
            assert!(axis.x_of(count - 1) <= 1020.5);
            assert_eq!(axis.place_at(-5.0), 0);
            assert_eq!(axis.place_at(1e9), count - 1);
            assert_eq!(axis.visible(), 0..count);
        }
    }

    #[test]
    fn a_part_of_the_axis_fills_the_width() {
        let span = Span {
            first: 5000.0,
            last: 5020.0,
        };
        let axis = Axis::new(10_001, Some(span), 0.0, 1000.0);
        assert_eq!(axis.x_of(5000), 0.0);
        assert_eq!(axis.x_of(5020), 1000.0);
        assert_eq!(axis.place_at(500.0), 5010);
        assert_eq!(axis.visible(), 5000..5021);
        assert_eq!(axis.span(), span);
        let labelled: Vec<usize> = axis.labelled(7).collect();
        assert_eq!(labelled, [5005, 5012, 5019]);
    }

    #[test]
    fn labels_keep_apart() {
        let all = |count, right| Axis::new(count, None, 0.0, right);
        assert_eq!(all(13, 1000.0).label_every(34.0), 1);
        assert_eq!(all(600, 1000.0).label_every(34.0), 50);
    }

    #[test]
    fn many_moments_share_pixels_and_none_of_their_news_is_lost() {
        let history = fixture::history_from(500, 8);
        let axis = |right| Axis::new(9, None, 0.0, right);
        let series = [Series::Heap, Series::Tables];
        let wide = buckets(history.moments(), &axis(400.0), &series);
        assert_eq!(wide.len(), 9);
        assert_eq!(wide[8].values[0].map(|it| it.last), Some(516));
        let narrow = buckets(history.moments(), &axis(2.0), &series);
        assert!(narrow.len() <= 3, "{narrow:?}");
        assert!(narrow.iter().any(|bucket| bucket.table == Some(Level::L0)));
        let heap = |place: usize| wide[place].values[0].map(|it| it.last);
        let lows = narrow.iter().filter_map(|it| it.values[0]).map(|it| it.low);
        assert_eq!(lows.min(), heap(0));
        let tables = history.moments().iter();
        let with_table = tables.filter(|moment| moment.difference.new_tables().next().is_some());
        let names: Vec<String> = with_table.map(|moment| short_name(moment).0).collect();
        assert_eq!(names, ["+ L0 table"]);
        assert_eq!(called("kalloc(8) → 0x87ff6000"), "kalloc(8)");
    }
}

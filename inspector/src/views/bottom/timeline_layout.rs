//! Where moments lie on the timeline, and what each column of pixels has to say. Numbers only.

use pagescope_protocol::{Level, PteKind};

use crate::model::{Change, ChangeKind, Moment};

/// Moments stand at most this far apart.
const WIDEST: f32 = 68.0;

/// From moments to places and back.
#[derive(Clone, Copy, PartialEq, Debug)]
pub(super) struct Axis {
    left: f32,
    spacing: f32,
    count: usize,
}

impl Axis {
    /// `count` moments from `left` to `right`.
    pub(super) fn new(count: usize, left: f32, right: f32) -> Self {
        let gaps = count.saturating_sub(1).max(1) as f32;
        let spacing = ((right - left).max(1.0) / gaps).min(WIDEST);
        Self {
            left,
            spacing,
            count,
        }
    }

    /// How far apart moments are.
    pub(super) const fn spacing(&self) -> f32 {
        self.spacing
    }

    /// Where moment `place` is.
    pub(super) fn x_of(&self, place: usize) -> f32 {
        // In f64 first: f32 loses moments past sixteen million.
        (f64::from(self.left) + place as f64 * f64::from(self.spacing)) as f32
    }

    /// The moment nearest to `x`.
    pub(super) fn place_at(&self, x: f32) -> usize {
        let place = ((x - self.left) / self.spacing).round().max(0.0) as usize;
        place.min(self.count.saturating_sub(1))
    }

    /// Every how many moments a label of `width` fits.
    pub(super) fn label_every(&self, width: f32) -> usize {
        let mut every = 1;
        loop {
            for factor in [1, 2, 5] {
                if (every * factor) as f32 * self.spacing >= width {
                    return every * factor;
                }
            }
            every *= 10;
        }
    }
}

/// What one place of the timeline shows: one moment, or as many as share a pixel.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Bucket {
    /// The first moment.
    pub(super) first: usize,
    /// The last moment.
    pub(super) last: usize,
    /// The heap counter after the last one.
    pub(super) heap: Option<u64>,
    /// The level of a table that came, the highest of several.
    pub(super) table: Option<Level>,
    /// Whether leaves came or changed.
    pub(super) leaf: bool,
    /// Whether entries or tables went.
    pub(super) gone: bool,
}

/// At most one bucket for each moment and for each pixel.
pub(super) fn buckets(moments: &[Moment], axis: &Axis) -> Vec<Bucket> {
    let mut buckets: Vec<Bucket> = Vec::new();
    let mut last_pixel = None;
    for (place, moment) in moments.iter().enumerate() {
        let pixel = axis.x_of(place) as i64;
        if last_pixel != Some(pixel) || axis.spacing() >= 1.0 {
            last_pixel = Some(pixel);
            buckets.push(Bucket {
                first: place,
                last: place,
                heap: None,
                table: None,
                leaf: false,
                gone: false,
            });
        }
        let Some(bucket) = buckets.last_mut() else {
            continue;
        };
        bucket.last = place;
        bucket.heap = moment.snapshot.heap.map(|heap| heap.counter);
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
    buckets
}

/// "kalloc(8) → 0x87ff6000" without its end, to stand under a moment.
pub(super) fn short_name(stop: &str) -> &str {
    stop.split(" →").next().unwrap_or(stop).trim()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::fixture;

    #[test]
    fn places_and_points_agree() {
        for count in [1, 2, 13, 600, 100_000] {
            let axis = Axis::new(count, 20.0, 1020.0);
            for place in [0, count / 2, count - 1] {
                let back = axis.place_at(axis.x_of(place));
                let close = (axis.x_of(back) - axis.x_of(place)).abs() <= 1.0;
                assert!(close, "{count}: {place} {back}");
            }
            assert!(axis.x_of(count - 1) <= 1020.5);
            assert_eq!(axis.place_at(-5.0), 0);
            assert_eq!(axis.place_at(1e9), count - 1);
        }
    }

    #[test]
    fn labels_keep_apart() {
        assert_eq!(Axis::new(13, 0.0, 1000.0).label_every(34.0), 1);
        let axis = Axis::new(600, 0.0, 1000.0);
        assert_eq!(axis.label_every(34.0), 50);
    }

    #[test]
    fn many_moments_share_pixels_and_none_of_their_news_is_lost() {
        let history = fixture::history_from(500, 8);
        let wide = buckets(history.moments(), &Axis::new(9, 0.0, 400.0));
        assert_eq!(wide.len(), 9);
        assert_eq!(wide[8].heap, Some(516));
        let narrow = buckets(history.moments(), &Axis::new(9, 0.0, 2.0));
        assert!(narrow.len() <= 3, "{narrow:?}");
        assert!(narrow.iter().any(|bucket| bucket.table == Some(Level::L0)));
        assert_eq!(short_name("kalloc(8) → 0x87ff6000"), "kalloc(8)");
    }
}

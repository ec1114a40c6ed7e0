//! Where the bands of a map lie: heights that tell much from little, and never less than a line of
//! text needs. No egui context here, only numbers.

use std::ops::Range;

use crate::model::{Band, BandKind};

/// A band's place, from the top of the stack.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Row {
    /// Its upper edge.
    pub top: f32,
    /// Its height.
    pub height: f32,
}

/// All bands' places.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct Stack {
    rows: Vec<Row>,
    height: f32,
}

/// Unnamed RAM below this is what is left between things that have names.
const SCRAP_BYTES: u64 = 1 << 20;

/// The height of a gap that is not worth a line of text.
const THIN: f32 = 5.0;

/// No band gets more of the spare height than this.
const TALLEST: f32 = 72.0;

impl Stack {
    /// A stack that fills `available` if it can: every band gets `row_min`, what is left goes to
    /// the larger ones. Where there is no room for that, gaps become thin, all but the largest;
    /// with still too many bands it is taller than `available`, to be scrolled.
    pub fn new(bands: &[Band], available: f32, row_min: f32) -> Self {
        let row_min = row_min.max(1.0);
        let is_crowded = bands.len() as f32 * row_min > available;
        let largest_gap = bands
            .iter()
            .enumerate()
            .filter(|(_, band)| is_gap(band))
            .max_by_key(|(_, band)| band.size)
            .map(|(index, _)| index);
        let least = |index: usize, band: &Band| {
            if is_crowded && is_gap(band) && largest_gap != Some(index) {
                THIN.min(row_min)
            } else {
                row_min
            }
        };
        let taken: f32 = bands
            .iter()
            .enumerate()
            .map(|(index, band)| least(index, band))
            .sum();
        let tallest = TALLEST.max(available * 0.12).max(row_min);
        let spare = (available - taken).max(0.0);
        let weights: f32 = bands.iter().map(weight).sum();
        let mut top = 0.0;
        let rows = bands
            .iter()
            .enumerate()
            .map(|(index, band)| {
                let row_min = least(index, band);
                let share = if weights > 0.0 {
                    spare * weight(band) / weights
                } else {
                    0.0
                };
                // Whole points keep edges crisp.
                let height = (row_min + share).min(tallest).floor();
                let row = Row { top, height };
                top += height;
                row
            })
            .collect();
        Self { rows, height: top }
    }

    /// The height of all bands together.
    pub const fn height(&self) -> f32 {
        self.height
    }

    /// A band's place.
    pub fn row(&self, index: usize) -> Option<Row> {
        self.rows.get(index).copied()
    }

    /// The bands that can be seen between `top` and `bottom`.
    pub fn visible(&self, top: f32, bottom: f32) -> Range<usize> {
        let first = self.rows.partition_point(|row| row.top + row.height <= top);
        let after = self.rows.partition_point(|row| row.top < bottom);
        first..after.max(first)
    }

    /// The band at `y`, and how far down in it that is, from 0 to 1.
    pub fn at(&self, y: f32) -> Option<(usize, f32)> {
        let after = self.rows.partition_point(|row| row.top <= y);
        let index = after.checked_sub(1)?;
        let row = self.rows[index];
        let part = (y - row.top) / row.height;
        (part < 1.0).then_some((index, part))
    }

    /// How far down `address` lies.
    pub fn y_of(&self, bands: &[Band], address: u64) -> Option<(usize, f32)> {
        let after = bands.partition_point(|band| band.start <= address);
        let index = after.checked_sub(1)?;
        let (band, row) = (bands.get(index)?, self.row(index)?);
        if !band.contains(address) {
            return None;
        }
        // Page by page: the middle of the page that the address lies in.
        let pages = (band.size / pagescope_protocol::PAGE_SIZE).max(1);
        let page = (address - band.start) / pagescope_protocol::PAGE_SIZE;
        let part = (page as f64 + 0.5) / pages as f64;
        Some((index, row.top + row.height * (part.min(1.0) as f32)))
    }
}

/// Whether the band is there only to say that something is not.
fn is_gap(band: &Band) -> bool {
    match band.kind {
        BandKind::Nothing => true,
        // Scraps between sections; all of a guest's RAM is something.
        BandKind::Ram => band.name.is_empty() && band.size < SCRAP_BYTES,
        _ => false,
    }
}

/// How much of the spare height a band asks for.
fn weight(band: &Band) -> f32 {
    match band.kind {
        BandKind::Nothing | BandKind::NonCanonical | BandKind::Reserved => 0.55,
        BandKind::Guard => 0.1,
        BandKind::Free | BandKind::Ram => 2.0,
        _ => {
            let pages = (band.size / pagescope_protocol::PAGE_SIZE).max(1);
            0.4 + (pages as f64).log2() as f32 * 0.45
        }
    }
}

/// The page of `band` that lies at `part` (0 to 1) of its height.
pub fn page_at(band: &Band, part: f32) -> u64 {
    let offset = (band.size as f64 * f64::from(part.clamp(0.0, 0.999_999))) as u64;
    let offset = offset.min(band.size.saturating_sub(1));
    band.start + (offset & !(pagescope_protocol::PAGE_SIZE - 1))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{Difference, fixture, physical_bands, virtual_bands};
    use proptest::prelude::*;

    fn bands() -> Vec<Band> {
        let snapshot = fixture::pseudos(20);
        virtual_bands(&snapshot, &snapshot.spaces[0], &Difference::default())
    }

    proptest! {
        #[test]
        fn rows_touch_and_are_never_too_low(available in 0f32..3000.0, row_min in 1f32..40.0) {
            for bands in [bands(), physical_bands(&fixture::pseudos(20))] {
                let stack = Stack::new(&bands, available, row_min);
                let mut top = 0.0;
                for index in 0..bands.len() {
                    let row = stack.row(index).unwrap();
                    prop_assert_eq!(row.top, top);
                    prop_assert!(row.height >= row_min.floor().min(THIN.floor()));
                    top += row.height;
                }
                let least = bands.len() as f32 * row_min;
                prop_assert!(stack.height() <= available.max(least) + 0.5);
            }
        }

        #[test]
        fn pointing_and_placing_agree(part in 0f32..1.0) {
            let bands = bands();
            let stack = Stack::new(&bands, 600.0, 18.0);
            let (index, within) = stack.at(part * (stack.height() - 1.0)).unwrap();
            let page = page_at(&bands[index], within);
            prop_assert!(bands[index].contains(page));
            prop_assert_eq!(stack.y_of(&bands, page).unwrap().0, index);
        }
    }

    #[test]
    fn only_what_is_seen_is_visited() {
        // Bands of nothing are folded; these are as high as something is.
        let something = bands().into_iter().find(Band::is_something).unwrap();
        let mut many = Vec::new();
        for number in 0..30_000u64 {
            let mut band = something.clone();
            band.start = number * 8192;
            band.size = 4096;
            many.push(band);
        }
        let stack = Stack::new(&many, 600.0, 18.0);
        assert_eq!(stack.height(), 540_000.0);
        assert_eq!(stack.visible(18_000.0, 18_600.0), 1000..1034);
        assert_eq!(stack.at(-1.0), None);
        assert_eq!(stack.at(1e9), None);
    }
}

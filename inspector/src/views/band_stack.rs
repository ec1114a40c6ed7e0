//! Where the bands of a map lie: heights that tell much from little, and never less than a line of text needs; zoomed in,
//! until each page has a line of its own; zoomed out, until all of it is in view. No egui context here, only numbers.
//!
//! ```text
//!  zoom < 1   neighbours that are too low for a line share one: a group
//!  zoom = 1   each band a line at least, what is left to the larger ones
//!  zoom > 1   what is something grows until its pages have a line each, a superpage being one; nothing stays folded
//! ```

use std::ops::Range;

use pagescope_protocol::PAGE_SIZE;

use crate::model::frame_cells::telling;
use crate::model::{Band, BandKind};

/// One line of a map: a band, or several that share it.
#[derive(Clone, PartialEq, Debug)]
pub struct Row {
    /// The first of its bands.
    pub first: usize,
    /// How many.
    pub count: usize,
    /// Its upper edge, from the top of the stack.
    pub top: f64,
    /// Its height.
    pub height: f64,
}

impl Row {
    /// Its lower edge.
    pub fn bottom(&self) -> f64 {
        self.top + self.height
    }

    /// Its bands.
    pub const fn bands(&self) -> Range<usize> {
        self.first..self.first + self.count
    }
}

/// All bands' places at one zoom.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct Stack {
    rows: Vec<Row>,
    /// The upper edge of each band.
    tops: Vec<f64>,
    /// The height of each band as it is at zoom 1.
    usual: Vec<f32>,
    height: f64,
    usual_height: f64,
    zoom: f64,
    /// The zoom at which each page has a line.
    most_zoom: f64,
    /// Bytes of what is something, before each band.
    bytes_before: Vec<u64>,
    /// The most telling band of each [`BLOCK`].
    best: Vec<usize>,
}

/// Bands of which the most telling one is known without looking at each.
const BLOCK: usize = 64;

/// Unnamed RAM below this is what is left between things that have names.
const SCRAP_BYTES: u64 = 1 << 20;

/// The height of a gap that is not worth a line of text.
const THIN: f32 = 5.0;

/// No band gets more of the spare height than this.
const TALLEST: f32 = 72.0;

/// The height at which a page has a line of its own.
pub const PAGE_ROW: f64 = 19.0;

/// The height at which a superpage is drawn by itself: three lines of words.
pub const SUPERPAGE_ROW: f64 = 51.0;

/// Words stand in nothing that is lower than this.
pub const LABEL_LEAST: f32 = 11.0;

/// Zoomed out, neighbours that are lower than this share a line.
const GROUPED: f64 = 12.0;
/// And a line that several share is as high as this, where there are enough of them.
const GROUP_LEAST: f64 = 15.0;

/// Something to paint in a window onto the stack.
#[derive(Clone, PartialEq, Debug)]
pub enum Item {
    /// A band, or the part of it that is in view.
    Band {
        /// Which.
        band: usize,
        /// Its upper and lower edge, from the top of the window; either may lie outside of it.
        span: (f32, f32),
        /// Where its words stand; `None` where there is no room for any.
        label: Option<(f32, f32)>,
        /// The height of one of its pages, where they are told apart by lines.
        page: Option<f32>,
    },
    /// One leaf of a band: a page, or a superpage.
    Page {
        /// Whose.
        band: usize,
        /// The number of its first page in the band.
        page: u64,
        /// How many pages of the band it has.
        pages: u64,
        /// Its upper and lower edge.
        span: (f32, f32),
        /// Where its words stand.
        label: Option<(f32, f32)>,
        /// Whether it is the band's first one in view: the band's name stands there.
        is_first: bool,
    },
    /// Several bands that share a line.
    Group {
        /// Which.
        bands: Range<usize>,
        /// Its upper and lower edge.
        span: (f32, f32),
        /// Where its words stand.
        label: Option<(f32, f32)>,
    },
}

impl Stack {
    /// A stack that fills `available` if it can: every band gets `row_min`, what is left goes to
    /// the larger ones. Where there is no room for that, gaps become thin, all but the largest;
    /// with still too many bands it is taller than `available`, to be moved through.
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
        let usual = bands
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
                (row_min + share).min(tallest).floor()
            })
            .collect();
        let mut stack = Self {
            usual,
            ..Self::default()
        };
        let mut bytes = 0u64;
        for band in bands {
            stack.bytes_before.push(bytes);
            if band.is_something() {
                bytes = bytes.saturating_add(band.size);
            }
        }
        stack.bytes_before.push(bytes);
        let blocks = (0..bands.len()).step_by(BLOCK);
        let blocks = blocks.map(|from| from..(from + BLOCK).min(bands.len()));
        stack.best = blocks
            .filter_map(|block| most_telling(bands, block))
            .collect();
        stack.usual_height = stack.usual.iter().copied().map(f64::from).sum();
        let all = bands.iter().zip(&stack.usual);
        stack.most_zoom = all
            .filter(|(band, _)| grows(band))
            .map(|(band, usual)| tallest_of(band) / f64::from(*usual).max(1.0))
            .fold(1.0, f64::max);
        stack.zoom_to(bands, 1.0);
        stack
    }

    /// Lays the same bands out again at `zoom`.
    pub fn zoom_to(&mut self, bands: &[Band], zoom: f64) {
        self.zoom = zoom;
        self.rows.clear();
        self.tops.clear();
        let mut top = 0.0;
        for (index, (band, usual)) in bands.iter().zip(&self.usual).enumerate() {
            let height = height_at(band, *usual, zoom);
            self.tops.push(top);
            match self.rows.last_mut() {
                Some(last)
                    if zoom < 1.0
                        && height < GROUPED
                        && last.height < if last.count > 1 { GROUP_LEAST } else { GROUPED } =>
                {
                    last.count += 1;
                    last.height += height;
                }
                _ => self.rows.push(Row {
                    first: index,
                    count: 1,
                    top,
                    height,
                }),
            }
            top += height;
        }
        self.height = top;
    }

    /// The zoom that it is laid out at.
    pub const fn zoom(&self) -> f64 {
        self.zoom
    }

    /// The least and the largest zoom that make sense where `available` is in view: all of it, and a line for each page.
    pub fn zooms(&self, available: f32) -> (f64, f64) {
        let least = (f64::from(available) / self.usual_height.max(1.0)).min(1.0);
        (least, self.most_zoom)
    }

    /// The zoom at which a band is `height` high, or its pages have a line each.
    pub fn zoom_for(&self, bands: &[Band], index: usize, height: f64) -> Option<f64> {
        let (band, usual) = (bands.get(index)?, *self.usual.get(index)?);
        let most = tallest_of(band).max(f64::from(usual));
        Some(height.min(most) / f64::from(usual).max(1.0))
    }

    /// The height of all bands together.
    pub const fn height(&self) -> f64 {
        self.height
    }

    /// A band's upper edge and height.
    pub fn band(&self, index: usize) -> Option<(f64, f64)> {
        let top = *self.tops.get(index)?;
        let end = self.tops.get(index + 1).copied().unwrap_or(self.height);
        Some((top, end - top))
    }

    /// The rows that can be seen between `top` and `bottom`.
    pub fn visible(&self, top: f64, bottom: f64) -> &[Row] {
        let first = self.rows.partition_point(|row| row.bottom() <= top);
        let after = self.rows.partition_point(|row| row.top < bottom);
        self.rows.get(first..after.max(first)).unwrap_or(&[])
    }

    /// What there is to paint in a window of `height` whose upper edge is at `top`.
    pub fn items(&self, bands: &[Band], top: f64, height: f32) -> Vec<Item> {
        let bottom = top + f64::from(height);
        let mut items = Vec::new();
        for row in self.visible(top, bottom) {
            let span = |from: f64, to: f64| ((from - top) as f32, (to - top) as f32);
            if row.count > 1 {
                let span = span(row.top, row.bottom());
                let bands = row.bands();
                let label = label_in(span, height);
                items.push(Item::Group { bands, span, label });
                continue;
            }
            let Some(band) = bands.get(row.first) else {
                continue;
            };
            let pages = pages_of(band);
            let page_height = row.height / pages as f64;
            let leaf_height = row.height / leaves_of(band) as f64;
            if has_lines(band) && leaf_height >= leaf_row(band) - 0.5 {
                let number = |y: f64| ((y / page_height).max(0.0) as u64).min(pages - 1);
                let (mut page, to) = (number(top - row.top), number(bottom - row.top));
                page = leaf_around(band, page).start;
                let from = page;
                while page <= to {
                    let leaf = leaf_around(band, page);
                    let y = |page: u64| row.top + page as f64 * page_height;
                    let span = span(y(leaf.start), y(leaf.end));
                    page = leaf.end;
                    if span.1 <= 0.0 || span.0 >= height {
                        continue;
                    }
                    let label = label_in(span, height);
                    items.push(Item::Page {
                        band: row.first,
                        page: leaf.start,
                        pages: leaf.end - leaf.start,
                        span,
                        label,
                        is_first: leaf.start == from,
                    });
                }
                continue;
            }
            let span = span(row.top, row.bottom());
            items.push(Item::Band {
                band: row.first,
                span,
                label: label_in(span, height),
                page: (has_lines(band) && leaf_height >= 4.0).then_some(leaf_height as f32),
            });
        }
        items
    }

    /// Bytes of what is something among these bands.
    pub fn bytes_in(&self, bands: &Range<usize>) -> u64 {
        let before = |index: usize| self.bytes_before.get(index).copied().unwrap_or(0);
        before(bands.end).saturating_sub(before(bands.start))
    }

    /// The most telling of these bands: a rare kind among many is seen.
    pub fn telling_of(&self, bands: &[Band], range: Range<usize>) -> Option<usize> {
        let (first, after) = (range.start.div_ceil(BLOCK), range.end / BLOCK);
        if first >= after {
            return most_telling(bands, range);
        }
        let ends = [range.start..first * BLOCK, after * BLOCK..range.end];
        let ends = ends.into_iter().filter_map(|end| most_telling(bands, end));
        let whole = self.best.get(first..after).unwrap_or(&[]);
        let all = ends.chain(whole.iter().copied());
        all.max_by_key(|index| bands.get(*index).map_or((false, 0), rank))
    }

    /// The bands between two places of the stack.
    pub fn between(&self, top: f64, bottom: f64) -> Range<usize> {
        let first = self.tops.partition_point(|at| *at <= top).saturating_sub(1);
        let after = self.tops.partition_point(|at| *at < bottom);
        first..after.max(first + 1).min(self.tops.len())
    }

    /// The band at `y`, and how far down in it that is, from 0 to 1.
    pub fn at(&self, y: f64) -> Option<(usize, f64)> {
        if y < 0.0 || y >= self.height {
            return None;
        }
        let after = self.tops.partition_point(|top| *top <= y);
        let index = after.checked_sub(1)?;
        let (top, height) = self.band(index)?;
        Some((index, ((y - top) / height.max(1e-9)).clamp(0.0, 1.0)))
    }

    /// How far down `address` lies: the middle of its page.
    pub fn y_of(&self, bands: &[Band], address: u64) -> Option<(usize, f64)> {
        let index = band_at(bands, address)?;
        let (band, (top, height)) = (bands.get(index)?, self.band(index)?);
        let pages = pages_of(band);
        let page = (address - band.start) / PAGE_SIZE;
        let part = (page as f64 + 0.5) / pages as f64;
        Some((index, top + height * part.min(1.0)))
    }

    /// The upper and lower edge of the addresses from `start` to `last`, where any band has one of them.
    pub fn span_of(&self, bands: &[Band], start: u64, last: u64) -> Option<(f64, f64)> {
        let from = bands.partition_point(|band| band.last() < start);
        let after = bands.partition_point(|band| band.start <= last);
        let until = after.checked_sub(1).filter(|until| *until >= from)?;
        let edge = |index: usize, address: u64| {
            let (band, (top, height)) = (bands.get(index)?, self.band(index)?);
            let part = address.saturating_sub(band.start) as f64 / band.size.max(1) as f64;
            Some(top + height * part.min(1.0))
        };
        let first = bands.get(from)?;
        let final_band = bands.get(until)?;
        let upper = edge(from, start.max(first.start))?;
        let lower = edge(until, last.min(final_band.last()))?;
        Some((upper, lower.max(upper)))
    }
}

/// How many leaves map a band, those that are cut at its ends counted too.
pub fn leaves_of(band: &Band) -> u64 {
    let leaf = band.leaf_size.max(PAGE_SIZE);
    (band.last() / leaf - band.start / leaf).saturating_add(1)
}

/// The pages of `band`, by number, that the leaf of one of them has.
pub fn leaf_around(band: &Band, page: u64) -> Range<u64> {
    let pages = pages_of(band);
    let leaf = (band.leaf_size / PAGE_SIZE).max(1);
    let before = band.start / PAGE_SIZE % leaf;
    let first = (before + page) / leaf * leaf;
    let end = (first + leaf)
        .saturating_sub(before)
        .clamp(page + 1, pages.max(page + 1));
    first.saturating_sub(before)..end
}

/// The height at which a leaf of a band is drawn by itself.
fn leaf_row(band: &Band) -> f64 {
    match band.leaf_size > PAGE_SIZE {
        true => SUPERPAGE_ROW,
        false => PAGE_ROW,
    }
}

/// The height at which each leaf of a band is drawn by itself.
fn tallest_of(band: &Band) -> f64 {
    leaves_of(band) as f64 * leaf_row(band)
}

/// Whether a band's leaves are told apart when there is room: there are several, or it is a superpage.
fn has_lines(band: &Band) -> bool {
    grows(band) && (pages_of(band) > 1 && (leaves_of(band) > 1 || band.leaf_size > PAGE_SIZE))
}

/// The band with `address`.
pub fn band_at(bands: &[Band], address: u64) -> Option<usize> {
    let after = bands.partition_point(|band| band.start <= address);
    let index = after.checked_sub(1)?;
    bands.get(index)?.contains(address).then_some(index)
}

fn rank(band: &Band) -> (bool, u8) {
    (band.fresh, telling(band.kind))
}

fn most_telling(bands: &[Band], range: Range<usize>) -> Option<usize> {
    let range = range.start..range.end.min(bands.len());
    range.max_by_key(|index| rank(&bands[*index]))
}

/// The part of a span that is in a window of `height`, if words fit in it.
fn label_in(span: (f32, f32), height: f32) -> Option<(f32, f32)> {
    let (top, bottom) = (span.0.max(0.0), span.1.min(height));
    (bottom - top >= LABEL_LEAST).then_some((top, bottom))
}

/// How many pages a band has; each can have a line.
pub fn pages_of(band: &Band) -> u64 {
    (band.size / PAGE_SIZE).max(1)
}

fn height_at(band: &Band, usual: f32, zoom: f64) -> f64 {
    let usual = f64::from(usual);
    if zoom <= 1.0 {
        return usual * zoom;
    }
    if !grows(band) {
        return usual;
    }
    let most = tallest_of(band).max(usual);
    (usual * zoom).min(most)
}

/// Whether zooming in shows more of the band: of nothing there is no more to see.
fn grows(band: &Band) -> bool {
    band.is_something()
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
        BandKind::Nothing | BandKind::NonCanonical | BandKind::Reserved | BandKind::Unread => 0.55,
        BandKind::Guard => 0.1,
        BandKind::Free | BandKind::Ram => 2.0,
        _ => 0.4 + (pages_of(band) as f64).log2() as f32 * 0.45,
    }
}

/// The page of `band` that lies at `part` (0 to 1) of its height.
pub fn page_at(band: &Band, part: f64) -> u64 {
    let pages = pages_of(band);
    let page = ((pages as f64 * part.clamp(0.0, 1.0)) as u64).min(pages - 1);
    band.start + page * PAGE_SIZE
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

    type Span = (f32, f32);

    fn spans(items: &[Item]) -> Vec<(Span, Option<Span>)> {
        let parts = |item: &Item| match item {
            Item::Band { span, label, .. }
            | Item::Page { span, label, .. }
            | Item::Group { span, label, .. } => (*span, *label),
        };
        items.iter().map(parts).collect()
    }

    /// Bands of any kind and size, with or without gaps between them.
    fn any_bands() -> impl Strategy<Value = Vec<Band>> {
        let one = (0usize..6, 1u64..40_000, 0u64..3, 0u32..3);
        proptest::collection::vec(one, 1..60).prop_map(|parts| {
            let kinds = [
                BandKind::Data,
                BandKind::Code,
                BandKind::Nothing,
                BandKind::Guard,
                BandKind::Free,
                BandKind::Heap,
            ];
            let model = bands().into_iter().find(Band::is_something).unwrap();
            let mut at = 0x1000;
            let mut made = Vec::new();
            for (kind, pages, gap, level) in parts {
                let mut band = model.clone();
                band.kind = kinds[kind];
                band.leaf_size = PAGE_SIZE << (9 * level);
                band.start = at + gap * PAGE_SIZE;
                band.size = pages * PAGE_SIZE;
                at = band.start + band.size;
                made.push(band);
            }
            made
        })
    }

    proptest! {
        #[test]
        fn rows_touch_and_are_never_too_low(available in 0f32..3000.0, row_min in 1f32..40.0) {
            for bands in [bands(), physical_bands(&fixture::pseudos(20))] {
                let stack = Stack::new(&bands, available, row_min);
                let mut top = 0.0;
                for index in 0..bands.len() {
                    let (at, height) = stack.band(index).unwrap();
                    prop_assert_eq!(at, top);
                    prop_assert!(height >= f64::from(row_min.floor().min(THIN.floor())));
                    top += height;
                }
                let least = bands.len() as f32 * row_min;
                prop_assert!(stack.height() <= f64::from(available.max(least) + 0.5));
            }
        }

        #[test]
        fn pointing_and_placing_agree(part in 0f64..1.0, zoom in 0f64..1.0, bands in any_bands()) {
            let mut stack = Stack::new(&bands, 600.0, 18.0);
            let (least, most) = stack.zooms(600.0);
            stack.zoom_to(&bands, least * (most / least).powf(zoom));
            let (index, within) = stack.at(part * (stack.height() - 1e-6)).unwrap();
            let page = page_at(&bands[index], within);
            prop_assert!(bands[index].contains(page));
            prop_assert_eq!(stack.y_of(&bands, page).unwrap().0, index);
        }

        #[test]
        fn labels_never_overlap_nor_leave_the_window(
            bands in any_bands(),
            available in 40f32..1500.0,
            zoom in 0f64..1.0,
            place in 0f64..1.0,
        ) {
            let mut stack = Stack::new(&bands, available, 17.0);
            let (least, most) = stack.zooms(available);
            stack.zoom_to(&bands, least * (most / least).powf(zoom));
            let top = (stack.height() - f64::from(available)).max(0.0) * place;
            let items = stack.items(&bands, top, available);
            // Work grows with pixels: a line of text is the least that anything takes, but for thin gaps.
            prop_assert!(items.len() <= (available / THIN) as usize + 3, "{} items", items.len());
            let mut end = f32::NEG_INFINITY;
            for (span, label) in spans(&items) {
                prop_assert!(span.0 >= end - 0.01, "{span:?} begins before {end}");
                end = span.1;
                if let Some((top, bottom)) = label {
                    prop_assert!(bottom - top >= LABEL_LEAST);
                    prop_assert!(top >= 0.0 && bottom <= available);
                    prop_assert!(top >= span.0 && bottom <= span.1);
                }
            }
        }
    }

    #[test]
    fn a_superpage_is_one_thing_at_every_zoom() {
        const SUPERPAGE: u64 = 2 << 20;
        let mut band = bands().into_iter().find(Band::is_something).unwrap();
        band.leaf_size = SUPERPAGE;
        // The end of one, a whole one, and the beginning of another.
        band.start = 0x8000_0000 - 3 * PAGE_SIZE;
        band.size = 3 * PAGE_SIZE + SUPERPAGE + 5 * PAGE_SIZE;
        assert_eq!(leaves_of(&band), 3);
        let bands = [band];
        let mut stack = Stack::new(&bands, 600.0, 18.0);
        let (_, most) = stack.zooms(600.0);
        stack.zoom_to(&bands, most);
        let items = stack.items(&bands, 0.0, 600.0);
        let parts: Vec<(u64, u64)> = items
            .iter()
            .map(|item| match item {
                Item::Page { page, pages, .. } => (*page, *pages),
                item => panic!("no leaf: {item:?}"),
            })
            .collect();
        assert_eq!(parts, [(0, 3), (3, 512), (515, 5)]);
        assert_eq!(leaf_around(&bands[0], 100), 3..515);
        // They lie where their addresses do, and nothing is between them.
        let spans = spans(&items);
        for pair in spans.windows(2) {
            assert!((pair[0].0.1 - pair[1].0.0).abs() < 0.01);
        }
        let (_, y) = stack.y_of(&bands, 0x8010_0000).unwrap();
        let whole = spans[1].0;
        assert!(f64::from(whole.0) < y && y < f64::from(whole.1));
    }

    #[test]
    fn all_of_it_is_in_view_zoomed_out_and_each_page_zoomed_in() {
        let something = bands().into_iter().find(Band::is_something).unwrap();
        let mut many = Vec::new();
        for number in 0..30_000u64 {
            let mut band = something.clone();
            band.start = number * 0x10_0000;
            band.size = 16 * PAGE_SIZE;
            many.push(band);
        }
        let mut stack = Stack::new(&many, 600.0, 18.0);
        let (least, most) = stack.zooms(600.0);
        stack.zoom_to(&many, least);
        assert!((stack.height() - 600.0).abs() < 0.5);
        let items = stack.items(&many, 0.0, 600.0);
        assert!(items.len() <= 42, "{}", items.len());
        let shown: usize = items
            .iter()
            .map(|item| match item {
                Item::Group { bands, .. } => bands.len(),
                _ => 1,
            })
            .sum();
        assert_eq!(shown, 30_000);
        stack.zoom_to(&many, most);
        let items = stack.items(&many, 0.0, 600.0);
        assert!(matches!(
            items[0],
            Item::Page {
                band: 0,
                page: 0,
                is_first: true,
                ..
            }
        ));
        assert!(matches!(
            items[17],
            Item::Page {
                band: 1,
                page: 1,
                is_first: false,
                ..
            }
        ));
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
        let rows = stack.visible(18_000.0, 18_600.0);
        assert_eq!((rows.len(), rows[0].first), (34, 1000));
        assert_eq!(stack.at(-1.0), None);
        assert_eq!(stack.at(1e9), None);
    }
}

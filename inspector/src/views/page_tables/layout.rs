//! How large the cards of tables are. Numbers only.

/// The sizes of a row of cards.
#[derive(Clone, Copy, PartialEq, Debug)]
pub(super) struct Cards {
    /// Cells side by side.
    pub(super) columns: usize,
    /// Cells above each other, in the table that has most.
    pub(super) rows: usize,
    /// The side of a cell, in whole points.
    pub(super) cell: f32,
    /// The width of a card.
    pub(super) card_width: f32,
    /// The height of a card's title, one line or two.
    pub(super) title: f32,
    /// The space between cards, for the line to swing through.
    pub(super) gap: f32,
}

/// Left of the cells, with the coloured bar of the level.
pub(super) const PAD_LEFT: f32 = 9.0;
/// Right of the cells.
pub(super) const PAD_RIGHT: f32 = 7.0;
/// Under the cells: how full the table is, and the window through which it is written.
pub(super) const FOOT: f32 = 38.0;

/// Title and address stand in one line from this width on.
const ONE_LINE: f32 = 138.0;
/// An address in small numbers needs this much.
const NARROWEST: f32 = 84.0;

impl Cards {
    /// `count` cards of at most `entries` cells in `width`, at most `height` high unless they would
    /// become unreadable.
    pub(super) fn new(count: usize, entries: usize, width: f32, height: f32) -> Self {
        let count = count.max(1) as f32;
        let least_gap = if width > 420.0 { 22.0 } else { 14.0 };
        let room = ((width - (count - 1.0) * least_gap) / count).max(0.0);
        let best = [16, 32, 64]
            .into_iter()
            .map(|columns| {
                let rows = entries.div_ceil(columns);
                let across = (room - PAD_LEFT - PAD_RIGHT) / columns as f32;
                let title = title_height(room);
                let down = (height - title - FOOT) / rows as f32;
                // Many cells, or many cards in a narrow window.
                let is_tight = entries > 1024 || across < 3.0;
                let least = if is_tight { 2.0 } else { 3.0 };
                (across.min(down).floor().clamp(least, 22.0), columns, rows)
            })
            .reduce(|best, other| if other.0 > best.0 { other } else { best });
        let (cell, columns, rows) = best.unwrap_or((3.0, 16, entries / 16));
        // As narrow as its cells, but never so narrow that the title's height changes.
        let least = if room >= ONE_LINE {
            ONE_LINE
        } else {
            NARROWEST.min(room)
        };
        let card_width = (columns as f32 * cell + PAD_LEFT + PAD_RIGHT).max(least);
        let spare = (width - count * card_width) / (count - 1.0).max(1.0);
        Self {
            columns,
            rows,
            cell,
            card_width,
            title: title_height(card_width),
            gap: spare.clamp(least_gap, 80.0),
        }
    }

    /// The same cards with larger cells: `zoom` times, in whole points.
    pub(super) fn zoomed(self, zoom: f32) -> Self {
        let cell = (self.cell * zoom).round().max(self.cell);
        let card_width = (self.columns as f32 * cell + PAD_LEFT + PAD_RIGHT).max(self.card_width);
        Self {
            cell,
            card_width,
            title: title_height(card_width),
            ..self
        }
    }

    /// The width of `count` cards.
    pub(super) fn width(&self, count: usize) -> f32 {
        self.left_of(count.saturating_sub(1)) + self.card_width
    }

    /// How far from the left card `place` begins.
    pub(super) fn left_of(&self, place: usize) -> f32 {
        (place as f32 * (self.card_width + self.gap)).floor()
    }

    /// A card's height.
    pub(super) fn card_height(&self) -> f32 {
        self.title + self.rows as f32 * self.cell + FOOT
    }
}

fn title_height(width: f32) -> f32 {
    if width >= ONE_LINE { 28.0 } else { 42.0 }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn cards_stay_inside(count in 1usize..=5, width in 300f32..2000.0, height in 260f32..1400.0) {
            let cards = Cards::new(count, 512, width, height);
            prop_assert_eq!(cards.columns * cards.rows, 512);
            prop_assert!(cards.left_of(count - 1) + cards.card_width <= width + 0.5);
            prop_assert!(cards.card_height() <= height + 0.5);
            prop_assert!(cards.columns as f32 * cards.cell + PAD_LEFT + PAD_RIGHT <= cards.card_width + 0.5);
        }
    }

    #[test]
    fn five_levels_fit_a_usual_window() {
        let cards = Cards::new(5, 512, 490.0, 340.0);
        assert!(cards.left_of(4) + cards.card_width <= 490.0, "{cards:?}");
    }
}

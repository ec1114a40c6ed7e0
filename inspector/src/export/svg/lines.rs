//! Lines between the parts: the unbroken one of the selection; and a dashed one from each table to
//! the leaf that makes it reachable, where that leaf lies in a table that is drawn.

use pagescope_protocol::translate::Translation;

use super::cards::{Card, gap};
use super::palette::Palette;
use super::paper::{Ink, Paper};
use super::{PHYSICAL, TABLES};
use crate::model::SpaceTables;

/// The unbroken line, each of its stops ringed.
pub(super) fn selection(
    paper: &mut Paper,
    colours: &'static Palette,
    chain: &Translation,
    from: Option<[f64; 4]>,
    cards: &[Card],
    ends_in: Option<[f64; 4]>,
) {
    let passed = cards.iter().map(|card| card.passed);
    let stops: Vec<[f64; 4]> = from.into_iter().chain(passed).collect();
    let arrives = chain.mapped().and(ends_in);
    let stops: Vec<[f64; 4]> = stops.into_iter().chain(arrives).collect();
    for (number, pair) in stops.windows(2).enumerate() {
        let [x, y, width, height] = pair[0];
        let [to_x, to_y, _, to_height] = pair[1];
        let end = [to_x, to_y + to_height / 2.0];
        // Between two tables the line has the colour of the one that it leads to.
        let between = number
            .checked_sub(usize::from(from.is_some()))
            .and_then(|step| cards.get(step + 1));
        let colour = between.map_or(colours.line, |card| colours.level(card.level));
        if number + 2 == stops.len() && arrives.is_some() {
            // Below the tables and above the frames there is text: the line leaves between two rows
            // of cells, falls where nothing is, and comes in from the side.
            let leaves = TABLES[0] + TABLES[1];
            let between_rows = [x + width, y - 0.5];
            paper.curve(between_rows, end, [leaves, PHYSICAL[0] - 8.0], colour);
        } else {
            let start = [x + width, y + height / 2.0];
            paper.curve(start, end, [start[0], to_x], colour);
        }
    }
    for stop in stops {
        paper.ring(stop, colours.background, colours.text);
    }
}

/// From each card's title to the leaf that makes its table reachable, if that is on a card. Says
/// above the cards what these lines are.
pub(super) fn windows(
    paper: &mut Paper,
    colours: &'static Palette,
    cards: &[Card],
    facts: &SpaceTables,
) {
    let lanes = cards.len() as f64;
    let mut is_any = false;
    for (number, card) in cards.iter().enumerate() {
        let Some(table) = facts.get(card.frame) else {
            continue;
        };
        // At a lower level than its own it is drawn for what it is read as.
        let is_role = table.level() != card.level;
        let Some(window) = table.window().filter(|_| !is_role) else {
            continue;
        };
        let leaf = window.leaf;
        // A table that holds its own leaf is drawn at its own level; its cells are the same at each.
        let holder = if leaf.table == card.frame {
            Some(number)
        } else {
            let is_leafs = |card: &Card| (card.frame, card.level) == (leaf.table, leaf.level);
            cards.iter().position(is_leafs)
        };
        let Some(holder) = holder else {
            continue;
        };
        let target = &cards[holder];
        let lane = number as f64;
        let from_left = holder > number
            || (holder == number && leaf.index % target.columns < target.columns / 2);
        let gap = gap(cards.len());
        let aside = gap * 0.2 + lane * gap * 0.36 / lanes;
        let x = if from_left {
            target.area[0] - aside
        } else {
            target.area[0] + target.area[2] + aside
        };
        let [cell_x, cell_y, cell_width, cell_height] = target.cell_at(leaf.index);
        let above = card.above(lane, lanes);
        let below = target.below(leaf.index, lane, lanes);
        let middle = cell_x + cell_width / 2.0;
        let colour = colours.level(card.level);
        let end = cell_y + cell_height + 1.5;
        let start = [card.area[0] + 20.0, above];
        let way = [
            start,
            [x, above],
            [x, below],
            [middle, below],
            [middle, end],
        ];
        paper.dashes(&way, colour);
        paper.dot(start, 2.6, colour);
        paper.arrow_head([middle, end - 2.0], colour);
        is_any = true;
    }
    if is_any {
        let right = TABLES[0] + TABLES[1];
        let ink = Ink::words(12.0, colours.dim);
        let says = "from a table to the leaf that makes it reachable";
        let left = right - ink.width(says) - 36.0;
        paper.text(left + 38.0, 92.0, ink, says);
        paper.dashes(&[[left, 88.0], [left + 30.0, 88.0]], colours.dim);
        paper.dot([left, 88.0], 2.6, colours.dim);
    }
}

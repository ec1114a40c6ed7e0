//! All tables of the space, and the self-map: which leaf makes which of them reachable, and where.
//!
//! ```text
//!  Self-map   6 frames, 24 KiB: each with one window
//!  table           used   ← leaf that makes it reachable     at address
//!  L2 0x87ffc000      2   ← L0 0x87ffe000[508]               0x87ffc000
//!     the root, covers 512 GiB from 0x00000000
//! ```

use super::cards::Tables;
use super::palette::Palette;
use super::paper::{Anchor, Ink, Paper};
use crate::export::text::leaf_place;
use crate::model::{TableFacts, size_text};

/// Above the rows: the title, and what stands in the columns.
const HEAD: f64 = 48.0;
/// The height of a row of one line, and of one that also says what its table covers.
const LOW: f64 = 14.8;
const HIGH: f64 = 32.0;
/// The highest that rows become.
const LOW_LIMIT: f64 = 26.0;
const HIGH_LIMIT: f64 = 36.0;
/// Below the rows.
const FOOT: f64 = 2.0;

/// Draws the list into `area`: the tables of the chain first, then new ones.
pub(super) fn draw(
    paper: &mut Paper,
    colours: &'static Palette,
    area: [f64; 4],
    tables: &Tables<'_>,
) {
    let [left, top, width, height] = area;
    paper.card(area, colours.panel, colours.edge);
    let strong = Ink::words(14.0, colours.text).bold();
    paper.text(left + 14.0, top + 22.0, strong, "Self-map");
    let dim = Ink::words(12.0, colours.dim);
    let says = dim.fit(&summary(&tables.facts.tables), width - 104.0);
    paper.text(left + 90.0, top + 22.0, dim, &says);
    let small = Ink::words(11.0, colours.dim);
    let heads = top + 40.0;
    paper.text(left + 14.0, heads, small, "table");
    paper.text(left + USED, heads, small.at(Anchor::End), "used");
    let middle = "← leaf that makes it reachable";
    paper.text(left + LEAF, heads, small, middle);
    let right = left + width - 14.0;
    paper.text(right, heads, small.at(Anchor::End), "at address");

    let order = in_order(tables);
    let room = height - HEAD - FOOT;
    let count = order.len().max(1) as f64;
    let is_high = count * HIGH <= room;
    let (least, limit) = if is_high {
        (HIGH, HIGH_LIMIT)
    } else {
        (LOW, LOW_LIMIT)
    };
    let pitch = (room / count).clamp(least, limit);
    let fit = (room / pitch) as usize;
    let shown = if order.len() > fit {
        fit.saturating_sub(1)
    } else {
        order.len()
    };
    let at = |number: usize| top + HEAD + 9.5 + number as f64 * pitch;
    for (number, facts) in order.iter().take(shown).enumerate() {
        let row = Row {
            left,
            right,
            baseline: at(number),
            is_new: is_new(tables, facts),
        };
        row.draw(paper, colours, facts);
        if is_high {
            let covers = covers(facts);
            let room = right - left - 36.0;
            let below = at(number) + 13.5;
            paper.text(left + 36.0, below, small, &small.fit(&covers, room));
        }
    }
    if order.len() > shown {
        let more = format!("… and {} more", order.len() - shown);
        paper.text(left + 14.0, at(shown), small, &more);
    }
}

/// Where the columns begin; that of numbers ends there.
const USED: f64 = 131.0;
const LEAF: f64 = 141.0;

fn is_new(tables: &Tables<'_>, facts: &TableFacts) -> bool {
    let this = (facts.level(), facts.frame());
    tables.difference.new_tables().any(|new| new == this)
}

/// Those of the chain, new ones, the others; each from the root down.
fn in_order<'a>(tables: &Tables<'a>) -> Vec<&'a TableFacts> {
    let in_chain = |facts: &TableFacts| {
        let mut steps = tables.chain.trail.iter();
        steps.any(|step| step.table == facts.frame())
    };
    let mut order: Vec<&TableFacts> = tables.facts.tables.iter().take(20_000).collect();
    order.sort_by_key(|facts| match (in_chain(facts), is_new(tables, facts)) {
        (true, _) => 0,
        (_, true) => 1,
        _ => 2,
    });
    order
}

/// `6 frames, 24 KiB: each with one window`.
fn summary(tables: &[TableFacts]) -> String {
    let amount = match tables.len() {
        1 => "1 frame, 4 KiB".to_owned(),
        count => format!("{count} frames, {}", size_text(4096 * count as u64)),
    };
    let sound = tables.iter().filter(|facts| facts.is_sound()).count();
    let reached = tables.iter().filter(|facts| facts.window().is_some());
    match reached.count() {
        _ if tables.is_empty() => amount,
        0 => format!("{amount}: none has a window"),
        _ if sound == tables.len() => format!("{amount}: each with one window"),
        reached => format!("{amount}: {reached} with a window, {sound} sound"),
    }
}

fn covers(facts: &TableFacts) -> String {
    let size = size_text(facts.covers_bytes());
    let from = facts.table.covers_from;
    match facts.table.parent {
        None => format!("the root, covers {size} from {from}"),
        Some(_) => format!("covers {size} from {from}"),
    }
}

struct Row {
    left: f64,
    right: f64,
    baseline: f64,
    is_new: bool,
}

impl Row {
    fn draw(&self, paper: &mut Paper, colours: &'static Palette, facts: &TableFacts) {
        let (left, at) = (self.left, self.baseline);
        let numbers = Ink::numbers(11.0, colours.text);
        let level = Ink::numbers(11.0, colours.level(facts.level())).bold();
        paper.text(left + 14.0, at, level, &facts.level().to_string());
        let frame = facts.frame().to_string();
        paper.text(left + 36.0, at, numbers, &numbers.fit(&frame, 70.0));
        if self.is_new {
            paper.rect([left + USED - 25.0, at - 10.0, 28.0, 13.0], colours.fresh);
            // New is yellow in both themes, and yellow wants dark letters.
            let ink = Ink::words(11.0, "#10161c").bold().at(Anchor::Middle);
            paper.text(left + USED - 11.0, at, ink, "new");
        } else {
            let used = match facts.table.entries {
                Some(_) => facts.table.valid_entries().to_string(),
                None => "?".into(),
            };
            let dim = Ink::numbers(11.0, colours.dim).at(Anchor::End);
            paper.text(left + USED, at, dim, &used);
        }
        let alarm = Ink::words(11.0, colours.alarm).bold().at(Anchor::End);
        let verdict = facts.verdict();
        let Some(window) = facts.window() else {
            let says = "← no leaf leads to it";
            paper.text(left + LEAF, at, numbers, says);
            paper.text(self.right, at, alarm, verdict);
            return;
        };
        let place = format!("← {}", leaf_place(facts, window));
        let address = window.virt.to_string();
        let end = numbers.at(Anchor::End);
        let room = self.right - left - LEAF - numbers.width(&place) - 10.0;
        let wanted = end.width(&address);
        // Where there is no room for both, what is wrong goes first.
        let mut taken = 0.0;
        if !facts.is_sound() {
            paper.text(self.right, at, alarm, verdict);
            taken = alarm.width(verdict) + 10.0;
        }
        let is_room = taken == 0.0 || taken + wanted <= room;
        if is_room {
            paper.text(self.right - taken, at, end, &address);
            taken += wanted;
        }
        let room = self.right - left - LEAF - taken - 8.0;
        paper.text(left + LEAF, at, numbers, &numbers.fit(&place, room));
    }
}

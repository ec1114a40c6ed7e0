//! The walk as arithmetic, and what changed.

use pagescope_protocol::PteKind;
use pagescope_protocol::translate::{Outcome, Translation};

use super::cards::Tables;
use super::palette::Palette;
use super::paper::{Anchor, Ink, Paper};
use crate::model::{Change, ChangeKind, Difference, size_text};

/// From one step of the walk to the next, at least: two lines.
const STEP: f64 = 31.0;
/// From one change to the next.
const LINE: f64 = 17.0;
/// What a card has around its lines.
const FRAME: f64 = 30.0;

/// Draws the walk into `area`, and below it what changed, if anything did.
pub(super) fn draw(
    paper: &mut Paper,
    colours: &'static Palette,
    [left, top, width, height]: [f64; 4],
    tables: &Tables<'_>,
) {
    let steps = tables.chain.trail.len().max(1) as f64;
    let taken = FRAME + steps * STEP + 27.0;
    if tables.difference.is_empty() {
        let step = ((height - taken) / steps).clamp(0.0, STEP) + STEP;
        let area = [left, top, width, height];
        walk(paper, colours, area, step, tables.chain);
        return;
    }
    let area = [left, top, width, taken];
    walk(paper, colours, area, STEP, tables.chain);
    let rest = [left, top + taken + 10.0, width, height - taken - 10.0];
    changes(paper, colours, rest, tables.difference);
}

fn walk(
    paper: &mut Paper,
    colours: &'static Palette,
    area: [f64; 4],
    step_height: f64,
    chain: &Translation,
) {
    let [left, top, width, _] = area;
    paper.card(area, colours.panel, colours.edge);
    let title = Ink::words(14.0, colours.text).bold();
    paper.text(left + 14.0, top + 24.0, title, "The walk");
    let of = Ink::numbers(11.0, colours.dim);
    let address = of.fit(&format!("of {}", chain.address), width - 96.0);
    paper.text(left + 84.0, top + 24.0, of, &address);
    let numbers = Ink::numbers(12.0, colours.text);
    let mut at = top + 44.0;
    for step in chain.trail.iter() {
        let level = Ink::numbers(12.0, colours.level(step.level)).bold();
        paper.text(left + 14.0, at, level, &step.level.to_string());
        let sum = format!("{} + {}·8", step.table, step.index);
        paper.text(left + 42.0, at, numbers, &numbers.fit(&sum, width - 56.0));
        let entry = format!("→ {:#x}", step.pte.bits());
        paper.text(left + 42.0, at + 14.0, numbers, &entry);
        let kind = match step.kind {
            PteKind::Leaf(leaf) => leaf.flags.to_string(),
            other => other.name().to_owned(),
        };
        let ink = Ink::numbers(12.0, colours.dim).at(Anchor::End);
        // An entry with high bits set leaves no room for words.
        if numbers.width(&entry) + ink.width(&kind) + 64.0 < width {
            paper.text(left + width - 14.0, at + 14.0, ink, &kind);
        }
        at += step_height;
    }
    let (sign, colour, says) = match chain.outcome {
        Outcome::Mapped(mapped) => {
            let offset = chain.address.as_u64() & mapped.page_size.saturating_sub(1);
            let page = mapped.address.align_down(mapped.page_size.max(1));
            let size = size_text(mapped.page_size);
            let says = format!("{page} + {offset:#05x}, {size}");
            ("=", colours.counter, says)
        }
        Outcome::Fault(fault) => ("×", colours.alarm, fault.to_string()),
        Outcome::Unreadable(at) => ("?", colours.alarm, format!("{at} could not be read")),
    };
    let sign_ink = Ink::numbers(12.0, colour).bold();
    paper.text(left + 14.0, at, sign_ink, sign);
    let ink = match chain.outcome {
        Outcome::Mapped(_) => numbers,
        _ => Ink::words(12.0, colours.text),
    };
    for (number, line) in two_lines(ink, &says, width - 52.0).iter().enumerate() {
        paper.text(left + 42.0, at + number as f64 * 14.0, ink, line);
    }
}

/// `text` on one line, or broken once where a word ends.
fn two_lines(ink: Ink, text: &str, room: f64) -> Vec<String> {
    if ink.width(text) <= room {
        return vec![text.to_owned()];
    }
    let mut spaces = text.match_indices(' ').map(|(at, _)| at).rev();
    match spaces.find(|at| ink.width(&text[..*at]) <= room) {
        Some(at) => vec![text[..at].to_owned(), ink.fit(&text[at + 1..], room)],
        None => vec![ink.fit(text, room)],
    }
}

/// What changed, as many lines as there is room for.
fn changes(paper: &mut Paper, colours: &'static Palette, area: [f64; 4], difference: &Difference) {
    let [left, top, width, height] = area;
    paper.card(area, colours.panel, colours.edge);
    let title = Ink::words(14.0, colours.text).bold();
    paper.text(left + 14.0, top + 22.0, title, "What changed");
    let ink = Ink::numbers(11.5, colours.text);
    let dim = Ink::words(13.0, colours.dim);
    let room = ((height - FRAME) / LINE).max(1.0) as usize;
    let all = difference.changes.len();
    let shown = if all > room { room - 1 } else { all };
    for (number, change) in difference.changes.iter().take(shown).enumerate() {
        let text = ink.fit(&short(change), width - 26.0);
        let at = top + 41.0 + number as f64 * LINE;
        paper.text(left + 14.0, at, ink, &text);
    }
    if all > shown {
        let at = top + 41.0 + shown as f64 * LINE;
        let more = format!("… and {} more", all - shown);
        paper.text(left + 14.0, at, dim, &more);
    }
}

/// A change in as few words as there is room for: the picture shows the rest.
fn short(change: &Change) -> String {
    let sign = change.kind().sign();
    match change {
        Change::Table { level, frame, .. } => format!("{sign} {level} table {frame}"),
        Change::Entry {
            kind,
            mode,
            level,
            index,
            before,
            after,
            ..
        } => {
            let entry = if *kind == ChangeKind::Removed {
                before
            } else {
                after
            };
            let leads = match mode.classify(*entry, *level) {
                PteKind::Leaf(leaf) => format!("→ {} {}", leaf.page, leaf.flags),
                PteKind::Pointer(to) => format!("→ table {to}"),
                other => format!("{}: {entry}", other.name()),
            };
            format!("{sign} {level}[{index}] {leads}")
        }
        Change::HeapCounter { .. } | Change::Root { .. } => change.to_string(),
    }
}

//! A map as a column of bands, names and addresses beside it.

use super::palette::Palette;
use super::paper::{Anchor, Ink, Paper};
use crate::model::{Band, BandKind, size_text};

/// Less than this, and a name no longer fits beside its band.
const ROW_HEIGHT: f64 = 17.0;
/// What has no name of its own needs less.
const GAP_HEIGHT: f64 = 14.0;
/// The highest that a band becomes.
const ROW_LIMIT: f64 = 44.0;

/// Where a column stands.
pub(super) struct Place {
    pub(super) top: f64,
    pub(super) bottom: f64,
    /// The bands' left edge, and their width.
    pub(super) left: f64,
    pub(super) width: f64,
    /// Names begin here; addresses end there. Both on the same side of the bands.
    pub(super) names: f64,
    pub(super) addresses: f64,
    /// What nothing is called: `unmapped`, `nothing`.
    pub(super) nothing: &'static str,
}

/// A row of the column: a band, or several that there is no room for.
struct Row<'a> {
    band: &'a Band,
    /// How many bands it stands for.
    count: usize,
    bytes: u64,
}

impl Row<'_> {
    const fn least_height(&self) -> f64 {
        if self.count > 1 {
            GAP_HEIGHT
        } else {
            least_height(self.band)
        }
    }
}

const fn least_height(band: &Band) -> f64 {
    match band.kind {
        BandKind::Nothing | BandKind::NonCanonical | BandKind::Unread => GAP_HEIGHT,
        _ => ROW_HEIGHT,
    }
}

/// Draws `bands`, and says how far down. Returns the row of the band that holds `selected`.
pub(super) fn draw(
    paper: &mut Paper,
    colours: &'static Palette,
    place: &Place,
    bands: &[Band],
    selected: Option<u64>,
) -> Option<[f64; 4]> {
    let room = place.bottom - place.top;
    let rows = rows(bands, room, selected);
    let weight = |row: &Row<'_>| f64::from(1 + row.bytes.max(4096).ilog2() - 12).min(12.0);
    let weights: f64 = rows.iter().map(weight).sum();
    let least: f64 = rows.iter().map(Row::least_height).sum();
    let spare = (room - least).max(0.0);
    let mut at = place.top;
    let mut found = None;
    for row in &rows {
        let height = (row.least_height() + spare * weight(row) / weights.max(1.0)).min(ROW_LIMIT);
        let area = [place.left, at, place.width, height - 1.0];
        if row.count == 1 && selected.is_some_and(|address| row.band.contains(address)) {
            found = Some(area);
        }
        draw_row(paper, colours, place, row, area);
        at += height;
    }
    found
}

fn draw_row(
    paper: &mut Paper,
    colours: &'static Palette,
    place: &Place,
    row: &Row<'_>,
    area: [f64; 4],
) {
    let band = row.band;
    let [left, top, width, height] = area;
    let middle = top + height / 2.0 + 4.5;
    if row.count > 1 {
        paper.rect(area, "url(#nothing)");
        let folded = format!("… {} stretches, {} …", row.count, size_text(row.bytes));
        paper.text(
            place.addresses,
            middle,
            Ink::words(12.0, colours.dim).at(Anchor::End),
            &folded,
        );
        return;
    }
    let fill = if band.fresh {
        colours.fresh
    } else {
        colours.kind(band.kind)
    };
    paper.rect(area, fill);
    let label = match band.kind {
        BandKind::NonCanonical => "no valid addresses".to_owned(),
        BandKind::Unread => format!("{} could not be read", size_text(band.size)),
        BandKind::Nothing => format!("{} {}", size_text(band.size), place.nothing),
        BandKind::Free => format!("{} free", size_text(band.size)),
        _ => {
            draw_named(paper, colours, place, band, middle);
            let inside = match band.flags {
                Some(flags) => flags.to_string().chars().take(3).collect(),
                None => Palette::letter(band.kind).to_owned(),
            };
            // New is yellow in both themes, and yellow wants dark letters.
            let colour = if band.fresh {
                "#10161c"
            } else {
                colours.on_colour
            };
            if band.kind != BandKind::Guard && band.kind != BandKind::Ram {
                let ink = Ink::numbers(11.5, colour).bold().at(Anchor::Middle);
                paper.text(left + width / 2.0, middle - 0.5, ink, &inside);
            }
            return;
        }
    };
    paper.text(
        place.addresses,
        middle,
        Ink::words(12.0, colours.dim).at(Anchor::End),
        &label,
    );
}

fn draw_named(
    paper: &mut Paper,
    colours: &'static Palette,
    place: &Place,
    band: &Band,
    middle: f64,
) {
    let numbers = Ink::numbers(12.0, colours.dim).at(Anchor::End);
    let address = format!("{:#010x}", band.start);
    paper.text(place.addresses, middle, numbers, &address);
    let colour = if band.kind == BandKind::Guard {
        colours.alarm
    } else {
        colours.text
    };
    let words = Ink::words(13.5, colour);
    let words = if band.fresh { words.bold() } else { words };
    let room = place.addresses - place.names - numbers.width(&address) - 8.0;
    let name = match (band.name.as_str(), band.kind) {
        ("", BandKind::Ram) => format!("RAM, {}", size_text(band.size)),
        ("", BandKind::Guard) => "guard".into(),
        ("", _) => size_text(band.size),
        (name, BandKind::Table(_)) if band.size > 4096 => {
            format!("{name}, {}", band.amount())
        }
        (name, _) => name.to_owned(),
    };
    let name = match band.short_name() {
        Some(short) if words.width(&name) > room => short,
        _ => name,
    };
    paper.text(place.names, middle, words, &words.fit(&name, room));
}

/// As many rows as fit: what the lecture is about stays, what is least of interest is folded.
fn rows(bands: &[Band], room: f64, selected: Option<u64>) -> Vec<Row<'_>> {
    let rank = |band: &Band| {
        let is_selected = selected.is_some_and(|address| band.contains(address));
        match band.kind {
            _ if is_selected => 0,
            _ if band.fresh => 1,
            BandKind::HeapCounter | BandKind::Table(_) => 2,
            BandKind::Heap | BandKind::Code | BandKind::Stack | BandKind::Guard => 3,
            BandKind::Nothing | BandKind::NonCanonical | BandKind::Reserved => 6,
            BandKind::Unread => 3,
            BandKind::Device => 5,
            _ => 4,
        }
    };
    let mut order: Vec<usize> = (0..bands.len()).collect();
    let least: f64 = bands.iter().map(least_height).sum();
    if least > room {
        order.sort_by_key(|index| rank(&bands[*index]));
        order = kept(&order, bands, room);
    }
    let mut rows: Vec<Row<'_>> = Vec::new();
    let mut at = 0;
    for index in order.into_iter().chain([bands.len()]) {
        if let Some(folded) = bands.get(at..index)
            && let Some(first) = folded.first()
        {
            rows.push(Row {
                band: first,
                count: folded.len(),
                bytes: folded
                    .iter()
                    .fold(0, |sum: u64, band| sum.saturating_add(band.size)),
            });
        }
        if let Some(band) = bands.get(index) {
            rows.push(Row {
                band,
                count: 1,
                bytes: band.size,
            });
        }
        at = index + 1;
    }
    rows
}

/// The bands of `order`, best first, that fit together with a folded row in every gap.
fn kept(order: &[usize], bands: &[Band], room: f64) -> Vec<usize> {
    let mut kept: Vec<usize> = Vec::new();
    // What does not fit by then would be one row in millions.
    for index in order.iter().take(500) {
        let place = kept.partition_point(|other| other < index);
        kept.insert(place, *index);
        let mut height = 0.0;
        let mut at = 0;
        for index in kept.iter().copied().chain([bands.len()]) {
            height += match bands.get(at..index) {
                Some([alone]) => least_height(alone),
                Some([_, ..]) => GAP_HEIGHT,
                _ => 0.0,
            };
            height += bands.get(index).map_or(0.0, least_height);
            at = index + 1;
        }
        if height > room {
            kept.remove(place);
        }
    }
    kept
}

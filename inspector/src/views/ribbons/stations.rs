//! Where a guest's ribbons pass on their way: the guest physical addresses between its two stages, as a narrow column.

use std::ops::RangeInclusive;

use egui::{Align2, Rect, Sense, Stroke, Ui, pos2, vec2};

use super::Ribbon;
use crate::views::paint;
use crate::views::scene::Scene;
use crate::views::theme;

/// The column's width.
const WIDTH: f32 = 7.0;
/// A station is no higher.
const HIGHEST: f32 = 22.0;
/// Most stations that are named over the column.
const MOST_NAMED: usize = 12;

/// What of guest physical memory ribbons pass through.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct Station {
    /// The first guest physical address.
    pub first: u64,
    /// The last one.
    pub last: u64,
}

/// The stations of `ribbons`, in order of addresses and none of them within another.
pub fn stations(ribbons: &[Ribbon]) -> Vec<Station> {
    let mut all: Vec<Station> = ribbons.iter().filter_map(|ribbon| ribbon.station).collect();
    all.sort_unstable();
    let mut found: Vec<Station> = Vec::new();
    for station in all {
        match found.last_mut() {
            Some(last) if station.first <= last.last.saturating_add(1) => {
                last.last = last.last.max(station.last);
            }
            _ => found.push(station),
        }
    }
    found
}

/// The upper and lower edge of `station` in a column that shows all of `stations`.
pub(super) fn span_of(
    station: Station,
    stations: &[Station],
    y: RangeInclusive<f32>,
) -> (f32, f32) {
    let place = stations.partition_point(|one| one.last < station.first);
    let Some(around) = stations.get(place) else {
        return (*y.start(), *y.start());
    };
    let slot = (y.end() - y.start()) / stations.len() as f32;
    let height = (slot * 0.7).min(HIGHEST);
    let top = y.start() + slot * (place as f32 + 0.5) - height / 2.0;
    let size = (around.last - around.first) as f64 + 1.0;
    let part = |address: u64| ((address - around.first) as f64 / size) as f32 * height;
    (
        top + part(station.first),
        top + part(station.last.min(around.last)) + 1.0,
    )
}

/// Draws the column in the middle of `gap`, over the ribbons.
pub fn paint(ui: &Ui, gap: Rect, stations: &[Station], scene: &Scene<'_>) {
    if stations.is_empty() {
        return;
    }
    let palette = scene.palette;
    let column = Rect::from_center_size(gap.center(), vec2(WIDTH, gap.height()));
    let painter = ui.painter();
    let line = Stroke::new(1.0, palette.edge);
    painter.vline(column.center().x, column.y_range(), line);
    for station in stations {
        let (top, bottom) = span_of(*station, stations, gap.top()..=gap.bottom());
        let rect = column.with_min_y(top).with_max_y(bottom);
        painter.rect_filled(rect, 1.0, palette.level(pagescope_protocol::Level::L2));
    }
    let title = pos2(column.center().x, gap.top() - 4.0);
    let font = theme::words(9.0);
    painter.text(title, Align2::CENTER_BOTTOM, "guest", font, palette.dim);
    let id = ui.scope_id().with("stations");
    let response = ui.interact(column.expand2(vec2(6.0, 0.0)), id, Sense::hover());
    let words = match stations.len() {
        1 => "Ribbons pass 1 stretch of guest physical memory".to_owned(),
        count => format!("Ribbons pass {count} stretches of guest physical memory"),
    };
    paint::name_canvas(&response, || words.clone());
    response.on_hover_ui_at_pointer(|ui| {
        ui.label(&words);
        for station in stations.iter().take(MOST_NAMED) {
            ui.monospace(format!("{:#x} – {:#x}", station.first, station.last));
        }
        if stations.len() > MOST_NAMED {
            ui.label(format!("… and {} more", stations.len() - MOST_NAMED));
        }
    });
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::BandKind;

    #[test]
    fn stations_stand_in_the_order_of_their_addresses() {
        let ribbon = |first: u64, last: u64| Ribbon {
            from: (0.0, 1.0),
            to: (0.0, 1.0),
            kind: BandKind::Data,
            station: Some(Station { first, last }),
        };
        let ribbons = [
            ribbon(0x8000_2000, 0x8000_2fff),
            ribbon(0x1000_0000, 0x1000_0fff),
            ribbon(0x8000_0000, 0x8000_1fff),
            Ribbon {
                station: None,
                ..ribbon(0, 0)
            },
        ];
        let found = stations(&ribbons);
        let [uart, ram] = found.as_slice() else {
            panic!("{found:?}");
        };
        assert_eq!((ram.first, ram.last), (0x8000_0000, 0x8000_2fff));
        let y = |station| span_of(station, &found, 0.0..=100.0);
        assert!(y(*uart).1 < y(*ram).0);
        // A part of a stretch lies in it.
        let part = y(Station {
            first: 0x8000_2000,
            last: 0x8000_2fff,
        });
        assert!(part.0 > y(*ram).0 && part.1 <= y(*ram).1);
        assert_eq!(stations(&[]), []);
    }
}

//! What the colours mean, with a letter for each: for those who do not see the colours, and for
//! projectors that do not show them.

use egui::{Align, Color32, Rect, Ui, pos2, vec2};
use pagescope_protocol::Level;

use crate::views::paint;
use crate::views::scene::Scene;
use crate::views::theme::{self, Palette};

const ROW: f32 = 18.0;
const SQUARE: f32 = 19.0;
const GAP: f32 = 10.0;

fn entries(palette: &Palette) -> [(&'static str, &'static str, Color32); 11] {
    [
        ("X", "code", palette.code),
        ("R", "read-only", palette.read_only),
        ("W", "data, heap", palette.data),
        ("S", "stack", palette.stack),
        ("D", "device", palette.device),
        ("M", "machine", palette.machine),
        ("2", "L2", palette.level(Level::L2)),
        ("1", "L1", palette.level(Level::L1)),
        ("0", "L0", palette.level(Level::L0)),
        ("C", "counter", palette.counter),
        ("+", "new", palette.fresh),
    ]
}

/// Where each entry stands, and how many rows there are.
fn places(ui: &Ui, width: f32) -> (Vec<(f32, usize)>, usize) {
    let palette = Palette::of(ui);
    let font = theme::words(theme::SMALL);
    let (mut x, mut row) = (0.0, 0);
    let places = entries(palette)
        .iter()
        .map(|(_, words, _)| {
            let wide = SQUARE + paint::width(ui.painter(), words, font.clone());
            if x > 0.0 && x + wide > width {
                x = 0.0;
                row += 1;
            }
            let place = (x, row);
            x += wide + GAP;
            place
        })
        .collect();
    (places, row + 1)
}

/// The height that the legend takes in `width`.
pub(super) fn height(ui: &Ui, width: f32) -> f32 {
    places(ui, width).1 as f32 * ROW
}

/// Draws the legend into `rect`.
pub(super) fn show(ui: &Ui, rect: Rect, scene: &Scene<'_>) {
    let (places, _) = places(ui, rect.width());
    let painter = ui.painter();
    for ((letter, words, color), (x, row)) in entries(scene.palette).into_iter().zip(places) {
        let top = rect.top() + row as f32 * ROW;
        let place = Rect::from_min_size(pos2(rect.left() + x, top), vec2(140.0, ROW));
        let center = pos2(place.left() + 6.5, place.center().y);
        paint::letter_square(painter, center, letter, color, scene.palette);
        let text = place.with_min_x(place.left() + SQUARE);
        let font = theme::words(theme::SMALL);
        paint::line(painter, text, Align::Min, words, font, scene.palette.dim);
    }
}

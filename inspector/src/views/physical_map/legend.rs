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

/// Every level's letter and name, from the highest.
const LEVELS: [(Level, &str, &str); 5] = [
    (Level::L4, "4", "L4"),
    (Level::L3, "3", "L3"),
    (Level::L2, "2", "L2"),
    (Level::L1, "1", "L1"),
    (Level::L0, "0", "L0"),
];

/// With the levels up to `root`; those of Sv39 where no space says it.
fn entries(palette: &Palette, root: Option<Level>) -> Vec<(&'static str, &'static str, Color32)> {
    let mut entries = vec![
        ("X", "code", palette.code),
        ("R", "read-only", palette.read_only),
        ("W", "data", palette.data),
        ("S", "stack", palette.stack),
        ("D", "device", palette.device),
    ];
    let root = root.unwrap_or(Level::L2);
    let levels = LEVELS.into_iter().filter(|(level, ..)| *level <= root);
    entries.extend(levels.map(|(level, letter, name)| (letter, name, palette.level(level))));
    entries.push(("+", "new", palette.fresh));
    entries
}

/// Where each entry stands, and how many rows there are.
fn places(ui: &Ui, width: f32, root: Option<Level>) -> (Vec<(f32, usize)>, usize) {
    let palette = Palette::of(ui);
    let font = theme::words(theme::SMALL);
    let (mut x, mut row) = (0.0, 0);
    let places = entries(palette, root)
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
pub(super) fn height(ui: &Ui, width: f32, scene: &Scene<'_>) -> f32 {
    places(ui, width, scene.derived.mode().root_level()).1 as f32 * ROW
}

/// Draws the legend into `rect`.
pub(super) fn show(ui: &Ui, rect: Rect, scene: &Scene<'_>) {
    let root = scene.derived.mode().root_level();
    let (places, _) = places(ui, rect.width(), root);
    let painter = ui.painter();
    for ((letter, words, color), (x, row)) in entries(scene.palette, root).into_iter().zip(places) {
        let top = rect.top() + row as f32 * ROW;
        let place = Rect::from_min_size(pos2(rect.left() + x, top), vec2(140.0, ROW));
        let center = pos2(place.left() + 6.5, place.center().y);
        paint::letter_square(painter, center, letter, color, scene.palette);
        let text = place.with_min_x(place.left() + SQUARE);
        let font = theme::words(theme::SMALL);
        paint::line(painter, text, Align::Min, words, font, scene.palette.dim);
    }
}

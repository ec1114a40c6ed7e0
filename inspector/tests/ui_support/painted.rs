//! What a window has painted: the lines of text in its last frame, and where each is.

use egui::{Rect, Shape};

use super::Window;

/// A line of text as it is painted.
pub(crate) struct Painted {
    pub(crate) words: String,
    /// Where its letters are.
    pub(crate) place: Rect,
    /// What of that can be seen.
    pub(crate) clip: Rect,
}

/// Every line of text that can be seen, in the order in which it is painted.
pub(crate) fn painted(window: &Window) -> Vec<Painted> {
    let mut found = Vec::new();
    for clipped in &window.output().shapes {
        collect(&clipped.shape, clipped.clip_rect, &mut found);
    }
    found.retain(|text| text.place.intersect(text.clip).is_positive());
    found
}

fn collect(shape: &Shape, clip: Rect, found: &mut Vec<Painted>) {
    match shape {
        Shape::Vec(shapes) => {
            for shape in shapes {
                collect(shape, clip, found);
            }
        }
        // A text that is turned is measured otherwise; there is none but on axes.
        Shape::Text(text) if text.angle == 0.0 && !text.galley.text().trim().is_empty() => {
            for row in &text.galley.rows {
                let place = row.rect().translate(text.pos.to_vec2());
                found.push(Painted {
                    words: row.glyphs.iter().map(|glyph| glyph.chr).collect(),
                    place,
                    clip,
                });
            }
        }
        _ => {}
    }
}

/// The words of every line that can be seen.
pub(crate) fn texts(window: &Window) -> Vec<String> {
    painted(window).into_iter().map(|text| text.words).collect()
}

/// Where the first line with these words is.
pub(crate) fn place_of(window: &Window, wanted: &str) -> Rect {
    let mut texts = painted(window).into_iter();
    let text = texts.find(|text| text.words == wanted);
    text.unwrap_or_else(|| panic!("{wanted:?} is not painted"))
        .place
}

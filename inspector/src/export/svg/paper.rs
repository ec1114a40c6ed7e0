//! SVG elements as text. Everything that a guest can name passes through [`escaped`] here.

use std::fmt::{self, Write as _};

/// The drawing while it grows.
pub(super) struct Paper {
    text: String,
}

/// How a text stands at its place, and in which letters.
#[derive(Clone, Copy, Debug)]
pub(super) struct Ink {
    pub(super) size: f64,
    pub(super) colour: &'static str,
    pub(super) bold: bool,
    pub(super) mono: bool,
    pub(super) anchor: Anchor,
}

/// Which end of a text is at its place.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Anchor {
    Start,
    Middle,
    End,
}

impl Ink {
    pub(super) const fn words(size: f64, colour: &'static str) -> Self {
        Self {
            size,
            colour,
            bold: false,
            mono: false,
            anchor: Anchor::Start,
        }
    }

    pub(super) const fn numbers(size: f64, colour: &'static str) -> Self {
        Self {
            mono: true,
            ..Self::words(size, colour)
        }
    }

    pub(super) const fn bold(self) -> Self {
        Self { bold: true, ..self }
    }

    pub(super) const fn at(self, anchor: Anchor) -> Self {
        Self { anchor, ..self }
    }

    /// How wide `text` is at most: our typefaces' widest usual letters, a little generously.
    pub(super) fn width(&self, text: &str) -> f64 {
        let per_letter = |c: char| match (self.mono, c) {
            // Letters of other scripts come from other typefaces, and may be as wide as high.
            (_, c) if !c.is_ascii() && !"…→·×←−≈–".contains(c) => 1.05,
            (true, _) => 0.61,
            (false, 'm' | 'w' | 'M' | 'W' | '@' | '%') => 0.92,
            (
                false,
                'i' | 'j' | 'l' | 'I' | '.' | ',' | ':' | ' ' | '(' | ')' | '|' | '[' | ']',
            ) => 0.36,
            (false, c) if c.is_ascii_uppercase() => 0.74,
            (false, _) => 0.62,
        };
        let bold = if self.bold { 1.06 } else { 1.0 };
        text.chars().map(per_letter).sum::<f64>() * self.size * bold
    }

    /// `text` with as many letters as fit into `room`.
    pub(super) fn fit(&self, text: &str, room: f64) -> String {
        if self.width(text) <= room {
            return text.to_owned();
        }
        let mut fitted = String::new();
        for c in text.chars() {
            fitted.push(c);
            fitted.push('…');
            if self.width(&fitted) > room {
                fitted.pop();
                fitted.pop();
                fitted.push('…');
                break;
            }
            fitted.pop();
        }
        fitted
    }
}

/// `text` as XML can hold it: markup escaped, what XML 1.0 forbids shown as a dot.
pub(crate) fn escaped(text: &str) -> String {
    let mut safe = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => safe.push_str("&amp;"),
            '<' => safe.push_str("&lt;"),
            '>' => safe.push_str("&gt;"),
            '"' => safe.push_str("&quot;"),
            '\'' => safe.push_str("&apos;"),
            c if c.is_control() || matches!(c, '\u{fffe}' | '\u{ffff}') => safe.push('·'),
            // Would turn the letters around them.
            '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' => safe.push('·'),
            c => safe.push(c),
        }
    }
    safe
}

impl Paper {
    pub(super) fn new() -> Self {
        Self {
            text: String::new(),
        }
    }

    pub(super) fn finish(self) -> String {
        self.text
    }

    /// Markup that is wholly ours.
    pub(super) fn raw(&mut self, markup: fmt::Arguments<'_>) {
        // Writing to a String cannot fail.
        let _ = self.text.write_fmt(markup);
        self.text.push('\n');
    }

    pub(super) fn rect(&mut self, [x, y, width, height]: [f64; 4], fill: &str) {
        self.raw(format_args!(
            r#"<rect x="{x:.1}" y="{y:.1}" width="{width:.1}" height="{height:.1}" fill="{fill}"/>"#
        ));
    }

    pub(super) fn card(&mut self, [x, y, width, height]: [f64; 4], fill: &str, edge: &str) {
        self.raw(format_args!(
            r#"<rect x="{x:.1}" y="{y:.1}" width="{width:.1}" height="{height:.1}" rx="6" fill="{fill}" stroke="{edge}"/>"#
        ));
    }

    /// A frame around a selected thing.
    pub(super) fn ring(&mut self, [x, y, width, height]: [f64; 4], inner: &str, outer: &str) {
        for (grow, stroke) in [(1.0, outer), (2.6, inner)] {
            let [x, y] = [x - grow, y - grow];
            let [width, height] = [width + 2.0 * grow, height + 2.0 * grow];
            self.raw(format_args!(
                r#"<rect x="{x:.1}" y="{y:.1}" width="{width:.1}" height="{height:.1}" rx="2.5" fill="none" stroke="{stroke}" stroke-width="2"/>"#
            ));
        }
    }

    pub(super) fn text(&mut self, x: f64, y: f64, ink: Ink, text: &str) {
        if text.is_empty() {
            return;
        }
        let family = if ink.mono {
            r#" font-family="'JetBrains Mono',Menlo,Consolas,monospace""#
        } else {
            ""
        };
        let weight = match (ink.bold, ink.mono) {
            (true, true) => r#" font-weight="700""#,
            (true, false) => r#" font-weight="600""#,
            _ => "",
        };
        let anchor = match ink.anchor {
            Anchor::Start => "",
            Anchor::Middle => r#" text-anchor="middle""#,
            Anchor::End => r#" text-anchor="end""#,
        };
        let (size, colour, text) = (ink.size, ink.colour, escaped(text));
        self.raw(format_args!(
            r#"<text x="{x:.1}" y="{y:.1}" font-size="{size}" fill="{colour}"{family}{weight}{anchor}>{text}</text>"#
        ));
    }

    /// The lines that part the cells of a grid, as one element.
    pub(super) fn lattice(
        &mut self,
        [x, y]: [f64; 2],
        cell: f64,
        [columns, rows]: [usize; 2],
        stroke: &str,
    ) {
        let [width, height] = [columns as f64 * cell, rows as f64 * cell];
        let mut path = String::new();
        for column in 1..=columns {
            let _ = write!(
                path,
                "M{:.1} {y:.1}v{height:.1}",
                x + column as f64 * cell - 0.5
            );
        }
        for row in 1..=rows {
            let _ = write!(
                path,
                "M{x:.1} {:.1}h{width:.1}",
                y + row as f64 * cell - 0.5
            );
        }
        self.raw(format_args!(
            r#"<path d="{path}" fill="none" stroke="{stroke}"/>"#
        ));
    }

    /// From one place to another, leaving and arriving level: straight up to the first of `bends`
    /// and from the second on, so that it crosses nothing above or below there.
    pub(super) fn curve(
        &mut self,
        [x, y]: [f64; 2],
        [to_x, to_y]: [f64; 2],
        [leaves, arrives]: [f64; 2],
        stroke: &str,
    ) {
        let leaves = leaves.max(x);
        let arrives = arrives.clamp(leaves.min(to_x), to_x.max(leaves)).min(to_x);
        let bend = ((arrives - leaves) / 2.0).abs().max(14.0);
        let [out, into] = [leaves + bend, arrives - bend];
        self.raw(format_args!(
            r#"<path d="M{x:.1} {y:.1}H{leaves:.1}C{out:.1} {y:.1} {into:.1} {to_y:.1} {arrives:.1} {to_y:.1}H{to_x:.1}" fill="none" stroke="{stroke}" stroke-width="2.5" stroke-linecap="round"/>"#
        ));
    }

    /// A thin dashed line through `points`.
    pub(super) fn dashes(&mut self, points: &[[f64; 2]], stroke: &str) {
        let mut path = String::new();
        for (number, [x, y]) in points.iter().enumerate() {
            let verb = if number == 0 { 'M' } else { 'L' };
            let _ = write!(path, "{verb}{x:.1} {y:.1}");
        }
        self.raw(format_args!(
            r#"<path d="{path}" fill="none" stroke="{stroke}" stroke-width="1.5" stroke-dasharray="4 2.5" stroke-linejoin="round"/>"#
        ));
    }

    pub(super) fn dot(&mut self, [x, y]: [f64; 2], radius: f64, fill: &str) {
        self.raw(format_args!(
            r#"<circle cx="{x:.1}" cy="{y:.1}" r="{radius:.1}" fill="{fill}"/>"#
        ));
    }

    /// An arrow's head that points up, its tip at `[x, y]`.
    pub(super) fn arrow_head(&mut self, [x, y]: [f64; 2], fill: &str) {
        self.raw(format_args!(
            r#"<path d="M{x:.1} {y:.1}l3.6 6h-7.2z" fill="{fill}"/>"#
        ));
    }
}

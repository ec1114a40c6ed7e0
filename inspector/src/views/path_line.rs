//! The selection as one unbroken line: from the virtual band through a cell of each table to the
//! frame. This picture is the heart of the window.

use egui::{
    Color32, Painter, Pos2, Rect, Stroke,
    epaint::{CubicBezierShape, PathStroke},
    pos2, vec2,
};

use super::scene::{Anchors, CellAnchor, PhysicalAnchor};
use super::theme::Palette;

/// Paints the line. `end` is the colour of what it leads to.
pub fn paint(painter: &Painter, anchors: &Anchors, end: Color32, palette: &Palette) {
    let pen = Pen { painter, palette };
    let mut from = anchors.virtual_band;
    for anchor in &anchors.cells {
        let color = palette.level(anchor.level);
        let entry = pos2(anchor.card.left(), anchor.cell.center().y);
        if let Some(from) = from {
            pen.curve(from, entry, color);
        }
        if from.is_some() {
            pen.straight(entry, pos2(anchor.cell.left(), entry.y), color);
        }
        from = Some(pos2(anchor.cell.right() + 1.0, anchor.cell.center().y));
    }
    match anchors.cells.last() {
        Some(last) if last.is_fault => pen.cross(last),
        _ => {
            if let (Some(from), Some(physical)) = (from, anchors.physical) {
                let to = match physical {
                    PhysicalAnchor::Cell(cell) => pos2(cell.left(), cell.center().y),
                    PhysicalAnchor::Band(at) => at,
                };
                pen.curve(from, to, end);
            }
        }
    }
}

struct Pen<'a> {
    painter: &'a Painter,
    palette: &'a Palette,
}

impl Pen<'_> {
    fn curve(&self, from: Pos2, to: Pos2, color: Color32) {
        let reach = ((to.x - from.x) * 0.5).max(14.0);
        let points = [from, from + vec2(reach, 0.0), to - vec2(reach, 0.0), to];
        for (width, color) in self.strokes(color) {
            let stroke = PathStroke::new(width, color);
            self.painter.add(CubicBezierShape::from_points_stroke(
                points,
                false,
                Color32::TRANSPARENT,
                stroke,
            ));
        }
    }

    fn straight(&self, from: Pos2, to: Pos2, color: Color32) {
        if to.x <= from.x {
            return;
        }
        for (width, color) in self.strokes(color) {
            self.painter
                .line_segment([from, to], Stroke::new(width, color));
        }
    }

    /// A dark or light rim keeps the line apart from the cells that it crosses.
    fn strokes(&self, color: Color32) -> [(f32, Color32); 2] {
        let rim = if self.palette.is_dark {
            self.palette.background.gamma_multiply(0.75)
        } else {
            self.palette.text.gamma_multiply(0.35)
        };
        let rim_width = if self.palette.is_dark { 4.5 } else { 3.2 };
        [(rim_width, rim), (2.2, color)]
    }

    /// Where the walk fails.
    fn cross(&self, anchor: &CellAnchor) {
        let center = anchor.cell.right_center() + vec2(11.0, 0.0);
        let arm = Rect::from_center_size(center, vec2(7.0, 7.0));
        let stroke = Stroke::new(2.2, self.palette.danger);
        for [from, to] in [
            [arm.left_top(), arm.right_bottom()],
            [arm.left_bottom(), arm.right_top()],
        ] {
            let rim = Stroke::new(4.5, self.palette.background);
            self.painter.line_segment([from, to], rim);
        }
        self.painter
            .line_segment([arm.left_top(), arm.right_bottom()], stroke);
        self.painter
            .line_segment([arm.left_bottom(), arm.right_top()], stroke);
    }
}

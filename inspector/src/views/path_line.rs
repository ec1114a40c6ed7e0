//! The selection as one unbroken line: from the virtual band through a cell of each table to the
//! frame. This picture is the heart of the window.

use egui::{
    Color32, Painter, Pos2, Rect, Stroke,
    epaint::{CubicBezierShape, PathStroke},
    pos2, vec2,
};

use super::scene::{Anchors, CellAnchor, PhysicalAnchor, WindowAnchor};
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
                match physical {
                    PhysicalAnchor::Cell { grid, cell } => {
                        let entry = pos2(grid.left() - 2.0, cell.center().y);
                        pen.curve(from, entry, end);
                        pen.straight(entry, pos2(cell.left(), entry.y), end);
                    }
                    PhysicalAnchor::Band(at) => pen.curve(from, at, end),
                }
            }
        }
    }
}

/// Paints the arrow from a selected table to the leaf that makes it reachable: dashed, so that it is
/// not taken for a translation's way.
pub fn paint_window(painter: &Painter, window: &WindowAnchor, palette: &Palette) {
    let (Some(from), Some((card, cell))) = (window.from, window.leaf) else {
        return;
    };
    // Beside the last row of cells, above the words under them.
    let start = pos2(from.right(), from.bottom() - 46.0);
    let (end, points) = if card == from {
        // Out to the right, along the card, and back to the cell.
        let end = pos2(cell.right() + 3.0, cell.center().y);
        let start = pos2(card.right(), end.y - 34.0);
        let out = vec2(24.0, 0.0);
        (
            end,
            [start, start + out, pos2(card.right(), end.y) + out, end],
        )
    } else {
        let end = pos2(cell.left() - 3.0, cell.center().y);
        let reach = vec2(((end.x - start.x) * 0.5).clamp(14.0, 60.0), 0.0);
        (end, [start, start + reach, end - reach, end])
    };
    let curve =
        CubicBezierShape::from_points_stroke(points, false, Color32::TRANSPARENT, PathStroke::NONE);
    let line = curve.flatten(Some(0.2));
    let color = palette.selection;
    for (width, color) in [(4.5, palette.panel), (1.8, color)] {
        painter.extend(egui::Shape::dashed_line(
            &line,
            Stroke::new(width, color),
            6.0,
            3.5,
        ));
    }
    let side = if card == from { 1.0 } else { -1.0 };
    for wing in [-4.0, 4.0] {
        let stroke = Stroke::new(1.8, color);
        painter.line_segment([end, end + vec2(side * 6.0, wing)], stroke);
    }
    painter.rect_stroke(
        cell.expand(2.0),
        egui::CornerRadius::same(2),
        Stroke::new(2.0, color),
        egui::StrokeKind::Outside,
    );
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

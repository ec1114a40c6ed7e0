//! Small things that several views paint: text that never runs over its place, hatching for what
//! is forbidden or unknown, dots for nothing, cells that stay crisp.

use std::sync::Arc;

use egui::{
    Align2, Color32, CornerRadius, FontId, Galley, Mesh, Painter, Pos2, Rect, Response, Role,
    Shape, Stroke, StrokeKind, TextureHandle, TextureOptions, Ui, WidgetInfo, epaint::ColorImage,
    pos2, text::LayoutJob, vec2,
};

use super::theme::Palette;

/// `text` in one line of at most `width`, its end replaced by … where there is too much of it.
pub fn elided(
    painter: &Painter,
    text: &str,
    font: FontId,
    color: Color32,
    width: f32,
) -> Arc<Galley> {
    let mut job = LayoutJob::simple_singleline(text.to_owned(), font, color);
    job.wrap.max_width = width.max(0.0);
    job.wrap.max_rows = 1;
    job.wrap.break_anywhere = true;
    painter.layout_job(job)
}

/// Paints `text` at `anchor` of `rect`, vertically centred, cut to its width. Returns where.
pub fn line(
    painter: &Painter,
    rect: Rect,
    align: egui::Align,
    text: &str,
    font: FontId,
    color: Color32,
) -> Rect {
    let galley = elided(painter, text, font, color, rect.width());
    let size = galley.size();
    let x = match align {
        egui::Align::Min => rect.left(),
        egui::Align::Center => rect.center().x - size.x / 2.0,
        egui::Align::Max => rect.right() - size.x,
    };
    let at = pos2(x, rect.center().y - size.y / 2.0);
    painter.galley(at, galley, color);
    Rect::from_min_size(at, size)
}

/// The width of `text` in one line.
pub fn width(painter: &Painter, text: &str, font: FontId) -> f32 {
    painter
        .layout_no_wrap(text.to_owned(), font, Color32::WHITE)
        .size()
        .x
}

/// Diagonal lines over `rect`: forbidden, or not known.
pub fn hatch(painter: &Painter, rect: Rect, color: Color32, spacing: f32) {
    let painter = painter.with_clip_rect(painter.clip_rect().intersect(rect));
    let visible = painter.clip_rect();
    if !visible.is_positive() {
        return;
    }
    let height = rect.height();
    // Lines start at multiples of the spacing, so that neighbours go on without a seam.
    let mut x = ((visible.left() - height) / spacing).floor() * spacing;
    let stroke = Stroke::new(1.6, color);
    while x < visible.right() {
        let bottom = pos2(x, rect.bottom());
        painter.line_segment([bottom, bottom + vec2(height, -height)], stroke);
        x += spacing;
    }
}

/// Says of `rect` that what it shows was moving while it was read: light lines over it, which leave it to be
/// seen.
pub fn unsettled(painter: &Painter, rect: Rect, palette: &Palette) {
    hatch(painter, rect, palette.danger.gamma_multiply(0.7), 5.0);
}

/// The textures that all views share.
#[derive(Clone)]
pub struct Patterns {
    dots: TextureHandle,
}

impl Patterns {
    /// Makes them.
    pub fn new(ctx: &egui::Context) -> Self {
        const SIDE: usize = 6;
        let mut image = ColorImage::filled([SIDE, SIDE], Color32::TRANSPARENT);
        image.pixels[SIDE * 2 + 2] = Color32::WHITE;
        Self {
            dots: ctx.load_texture("dots", image, TextureOptions::NEAREST_REPEAT),
        }
    }

    /// Fills `rect` with dots: nothing is here.
    pub fn dots(&self, painter: &Painter, rect: Rect, color: Color32) {
        let side = self.dots.size_vec2();
        let mut mesh = Mesh::with_texture(self.dots.id());
        let uv = Rect::from_min_max(
            (rect.min.to_vec2() / side).to_pos2(),
            (rect.max.to_vec2() / side).to_pos2(),
        );
        mesh.add_rect_with_uv(rect, uv, color);
        painter.add(Shape::mesh(mesh));
    }
}

/// A grid of cells that are one texture, drawn at a whole number of points a cell.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct CellGrid {
    /// The top left corner.
    pub origin: Pos2,
    /// Cells side by side.
    pub columns: usize,
    /// Cells above each other.
    pub rows: usize,
    /// The side of a cell.
    pub cell: f32,
}

impl CellGrid {
    /// All of it.
    pub fn rect(&self) -> Rect {
        let size = vec2(self.columns as f32, self.rows as f32) * self.cell;
        Rect::from_min_size(self.origin, size)
    }

    /// The cell with this number, counted in reading direction.
    pub fn cell_rect(&self, index: usize) -> Rect {
        let place = vec2((index % self.columns) as f32, (index / self.columns) as f32);
        Rect::from_min_size(self.origin + place * self.cell, vec2(self.cell, self.cell))
    }

    /// The number of the cell at `at`.
    pub fn index_at(&self, at: Pos2) -> Option<usize> {
        let offset = at - self.origin;
        if offset.x < 0.0 || offset.y < 0.0 {
            return None;
        }
        let column = (offset.x / self.cell) as usize;
        let row = (offset.y / self.cell) as usize;
        (column < self.columns && row < self.rows).then_some(row * self.columns + column)
    }

    /// Paints the cells from `texture`, with thin lines of `gap` between them where they are
    /// large enough to stand apart.
    pub fn paint(&self, painter: &Painter, texture: &TextureHandle, gap: Color32) {
        let rect = self.rect();
        let uv = Rect::from_min_max(pos2(0.0, 0.0), pos2(1.0, 1.0));
        painter.image(texture.id(), rect, uv, Color32::WHITE);
        if self.cell < 4.0 {
            return;
        }
        let stroke = Stroke::new(1.0, gap);
        for column in 1..=self.columns {
            let x = rect.left() + column as f32 * self.cell - 0.5;
            painter.vline(x, rect.y_range(), stroke);
        }
        for row in 1..=self.rows {
            let y = rect.top() + row as f32 * self.cell - 0.5;
            painter.hline(rect.x_range(), y, stroke);
        }
    }
}

/// Outlines the selected cell so that it stands out on any colour.
pub fn selected_cell(painter: &Painter, cell: Rect, fill: Color32, palette: &Palette) {
    let rect = Rect::from_center_size(
        cell.center(),
        cell.size().max(vec2(7.0, 7.0)) + vec2(3.0, 3.0),
    );
    painter.rect(
        rect,
        CornerRadius::same(2),
        fill,
        Stroke::new(1.0, palette.background),
        StrokeKind::Outside,
    );
    painter.rect_stroke(
        rect,
        CornerRadius::same(2),
        Stroke::new(2.0, palette.selection),
        StrokeKind::Inside,
    );
}

/// Gives a painted canvas its accessible name.
pub fn name_canvas(response: &Response, name: impl Fn() -> String) {
    response.widget_info(|| WidgetInfo::labeled(Role::Canvas, true, name()));
}

/// A title and what it means, as at the head of each column. Returns the rest of `rect`.
pub fn column_title(ui: &Ui, rect: Rect, title: &str, meaning: &str) -> Rect {
    let palette = Palette::of(ui);
    let painter = ui.painter_at(rect);
    let head = Rect::from_min_size(rect.min, vec2(rect.width(), 24.0));
    let title = line(
        &painter,
        head,
        egui::Align::Min,
        title,
        super::theme::strong(super::theme::BODY),
        palette.text,
    );
    let rest = head.with_min_x(title.right() + 14.0);
    if width(&painter, meaning, super::theme::words(super::theme::SMALL)) <= rest.width() {
        line(
            &painter,
            rest,
            egui::Align::Min,
            meaning,
            super::theme::words(super::theme::SMALL),
            palette.dim,
        );
    }
    rect.with_min_y(head.bottom() + 8.0)
}

/// A small square with a letter in it, so that a colour never speaks alone.
pub fn letter_square(
    painter: &Painter,
    center: Pos2,
    letter: &str,
    fill: Color32,
    palette: &Palette,
) {
    let rect = Rect::from_center_size(center, vec2(13.0, 13.0));
    painter.rect_filled(rect, CornerRadius::same(3), fill);
    painter.text(
        rect.center(),
        Align2::CENTER_CENTER,
        letter,
        super::theme::strong_numbers(9.5),
        palette.ink_on(fill),
    );
}

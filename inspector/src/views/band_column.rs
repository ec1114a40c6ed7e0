//! A map drawn as a column of bands with names beside it: the virtual map has its bar at the
//! right, the physical one at the left, so that both bars face the tables.

use egui::{
    Align, Color32, CornerRadius, Pos2, Rect, ScrollArea, Sense, Stroke, StrokeKind, Ui, UiBuilder,
    pos2, vec2,
};

use pagescope_protocol::{PAGE_SIZE, PhysAddr};

use super::band_stack::{Stack, page_at};
use super::paint;
use super::scene::Scene;
use super::theme;
use crate::model::{Band, BandKind};

/// The words beside a band.
pub struct Label {
    /// Its name.
    pub name: String,
    /// A shorter name, for where there is no room.
    pub short: Option<String>,
    /// An address or an amount.
    pub detail: String,
    /// The name's colour.
    pub color: Color32,
    /// Whether the name is a thing, and not the lack of one.
    pub is_thing: bool,
}

/// At which side the bar stands.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum BarSide {
    /// At the left, words at the right.
    Left,
    /// At the right, words at the left.
    Right,
}

/// What a column of bands shows.
pub struct BandColumn<'a> {
    /// For egui: tells one column from the other.
    pub id: &'static str,
    /// The accessible name.
    pub name: String,
    /// The bands.
    pub bands: &'a [Band],
    /// The side of the bar.
    pub side: BarSide,
    /// The bar's width.
    pub bar: f32,
    /// The least height of a band with words.
    pub row_min: f32,
    /// The selected address.
    pub selected: Option<u64>,
    /// The words beside a band.
    pub label: &'a dyn Fn(&Band) -> Label,
    /// The words over a band, when the mouse rests on it.
    pub hover: &'a dyn Fn(&Band, u64, &mut Ui),
}

/// What came of a column.
#[derive(Clone, Copy, Debug, Default)]
pub struct ColumnOutcome {
    /// The page that was clicked.
    pub clicked: Option<u64>,
    /// Where the selected page meets the side that faces the tables.
    pub anchor: Option<Pos2>,
}

/// What a column keeps from frame to frame.
#[derive(Debug, Default)]
pub struct ColumnCache {
    generation: u64,
    available: f32,
    selection_generation: u64,
    stack: Stack,
}

/// What the kernel says of the region that names `band`: what it is for, where it came from.
pub fn about(band: &Band, scene: &Scene<'_>, ui: &mut Ui) {
    let snapshot = scene.state.snapshot();
    let region = snapshot.and_then(|snapshot| snapshot.regions.get(band.region?));
    let Some(region) = region else { return };
    if !region.description.is_empty() {
        ui.label(&region.description);
    }
    if !region.tag.is_empty() {
        ui.label(format!("from {}", region.tag));
    }
    if let Some(owner) = &region.owner {
        ui.label(format!("of {owner} alone"));
    }
}

/// Names alone fill a narrower place than this.
const DETAIL_FROM: f32 = 112.0;

/// A run of tables of several levels: each page in its own level's colour.
fn stripes(painter: &egui::Painter, bar: Rect, band: &Band, scene: &Scene<'_>) {
    let pages = (band.size / PAGE_SIZE).max(1);
    let lines = (bar.height() as u64).min(pages).max(1);
    let height = bar.height() / lines as f32;
    // In the virtual map a band has permissions, and leads elsewhere.
    let first = match band.flags {
        Some(_) => band.phys.map(PhysAddr::as_u64),
        None => Some(band.start),
    };
    let Some(first) = first else { return };
    for line in 0..lines {
        let page = first + line * pages / lines * PAGE_SIZE;
        let Some(part) = scene.derived.part_of(page) else {
            continue;
        };
        let top = bar.top() + line as f32 * height;
        let rect = Rect::from_min_size(pos2(bar.left(), top), vec2(bar.width(), height));
        painter.rect_filled(rect, 0.0, scene.palette.band_fill(part.kind));
    }
}

/// Hatches what of a virtual band was moving while it was read.
fn unsettled_parts(painter: &egui::Painter, bar: Rect, band: &Band, scene: &Scene<'_>) {
    let (first, last) = (band.start, band.last());
    let y_of = |offset: u64| bar.top() + (offset as f64 / band.size as f64) as f32 * bar.height();
    for (from, to) in &scene.derived.unsettled {
        if *from > last || *to < first {
            continue;
        }
        let top = y_of(from.saturating_sub(first));
        let bottom = y_of((*to).min(last) - first).max(top + 2.0);
        let part = Rect::from_min_max(pos2(bar.left(), top), pos2(bar.right(), bottom));
        paint::unsettled(painter, part.intersect(bar), scene.palette);
    }
}

/// Whether a virtual band was moving while it was read, in part or whole.
pub(in crate::views) fn is_unsettled(band: &Band, scene: &Scene<'_>) -> bool {
    let mut ranges = scene.derived.unsettled.iter();
    ranges.any(|(from, to)| *from <= band.last() && *to >= band.start)
}

impl BandColumn<'_> {
    /// Draws the column into `rect`.
    pub fn show(
        &self,
        ui: &mut Ui,
        rect: Rect,
        scene: &Scene<'_>,
        cache: &mut ColumnCache,
    ) -> ColumnOutcome {
        let is_resized = cache.available != rect.height();
        let generation = scene.derived.generation;
        if cache.generation != generation || cache.available != rect.height() {
            cache.generation = generation;
            cache.available = rect.height();
            cache.stack = Stack::new(self.bands, rect.height(), self.row_min);
        }
        let goes_to_selection =
            is_resized || cache.selection_generation != scene.derived.selection_generation;
        cache.selection_generation = scene.derived.selection_generation;
        let stack = &cache.stack;
        let mut outcome = ColumnOutcome::default();
        let mut child = ui.new_child(UiBuilder::new().max_rect(rect).id_salt(self.id));
        child.set_clip_rect(rect.expand2(vec2(4.0, 0.0)).intersect(ui.clip_rect()));
        ScrollArea::vertical()
            .id_salt(self.id)
            .auto_shrink(false)
            .max_height(rect.height())
            .show_viewport(&mut child, |ui, viewport| {
                let size = vec2(rect.width(), stack.height());
                let (all, response) = ui.allocate_exact_size(size, Sense::click());
                paint::name_canvas(&response, || self.name.clone());
                let marked = self
                    .selected
                    .and_then(|address| stack.y_of(self.bands, address));
                for index in stack.visible(viewport.top(), viewport.bottom()) {
                    let is_selected = marked.is_some_and(|(selected, _)| selected == index);
                    self.paint_band(ui, all, stack, index, is_selected, scene);
                }
                if let Some((index, y)) = marked {
                    let at = self.paint_selection(ui, all, stack, index, y, scene);
                    // A selected band that is scrolled away is met at the edge of the view.
                    let edge = at.y.clamp(rect.top() + 2.0, rect.bottom() - 2.0);
                    outcome.anchor = Some(pos2(at.x, edge));
                    if goes_to_selection && !rect.contains(at) {
                        let target = Rect::from_center_size(at, vec2(1.0, 60.0));
                        let jump = egui::style::ScrollAnimation::none();
                        ui.scroll_to_rect_animation(target, Some(Align::Center), jump);
                    }
                }
                let pointed = response
                    .hover_pos()
                    .and_then(|at| stack.at(at.y - all.top()))
                    .and_then(|(index, part)| {
                        let band = self.bands.get(index)?;
                        Some((band, page_at(band, part)))
                    });
                if let Some((band, page)) = pointed {
                    if response.clicked() {
                        outcome.clicked = Some(page);
                    }
                    response.on_hover_ui_at_pointer(|ui| (self.hover)(band, page, ui));
                }
            });
        outcome
    }

    fn bar_rect(&self, all: Rect) -> Rect {
        match self.side {
            BarSide::Left => all.with_max_x(all.left() + self.bar),
            BarSide::Right => all.with_min_x(all.right() - self.bar),
        }
    }

    fn paint_band(
        &self,
        ui: &Ui,
        all: Rect,
        stack: &Stack,
        index: usize,
        is_selected: bool,
        scene: &Scene<'_>,
    ) {
        let (Some(band), Some(row)) = (self.bands.get(index), stack.row(index)) else {
            return;
        };
        let palette = scene.palette;
        let painter = ui.painter();
        let top = all.top() + row.top;
        let row_rect = Rect::from_min_size(pos2(all.left(), top), vec2(all.width(), row.height));
        let bar = self.bar_rect(row_rect).with_max_y(row_rect.bottom() - 1.0);
        match band.kind {
            BandKind::Nothing | BandKind::NonCanonical => {
                painter.rect_filled(bar, 0.0, palette.panel);
                let dots = theme::mix(palette.dim, palette.panel, 0.45);
                scene.patterns.dots(painter, bar, dots);
            }
            BandKind::Reserved => {
                painter.rect_filled(bar, 0.0, palette.panel);
                paint::hatch(painter, bar, palette.edge, 6.0);
                let stroke = Stroke::new(1.0, palette.dim);
                let inside = StrokeKind::Inside;
                painter.rect_stroke(bar, CornerRadius::ZERO, stroke, inside);
            }
            BandKind::Guard => {
                painter.rect_filled(bar, 0.0, palette.raised);
                paint::hatch(painter, bar, palette.danger, 8.0);
            }
            kind => {
                let fill = if band.fresh {
                    palette.fresh
                } else {
                    palette.band_fill(kind)
                };
                painter.rect_filled(bar, 0.0, fill);
                if matches!(kind, BandKind::Table(_)) && band.size > PAGE_SIZE && !band.fresh {
                    stripes(painter, bar, band, scene);
                }
                if let Some(flags) = band.flags {
                    let letters: String = flags.to_string().chars().take(4).collect();
                    let letters = letters.strip_suffix('-').unwrap_or(&letters);
                    let inner = bar.shrink2(vec2(7.0, 0.0));
                    let font = theme::strong_numbers(10.5);
                    let ink = palette.ink_on(fill);
                    paint::line(painter, inner, Align::Min, letters, font, ink);
                }
            }
        }
        if self.side == BarSide::Right {
            unsettled_parts(painter, bar, band, scene);
        }
        self.paint_label(ui, row_rect, band, is_selected, scene);
    }

    fn paint_label(&self, ui: &Ui, row: Rect, band: &Band, is_selected: bool, scene: &Scene<'_>) {
        let label = (self.label)(band);
        let painter = ui.painter();
        let gap = 9.0;
        let place = match self.side {
            BarSide::Left => row.with_min_x(row.left() + self.bar + gap),
            BarSide::Right => row.with_max_x(row.right() - self.bar - gap),
        };
        let name_font = if is_selected {
            theme::strong(12.5)
        } else if label.is_thing {
            theme::words(12.5)
        } else {
            theme::words(theme::SMALL)
        };
        let detail_font = theme::numbers(10.5);
        if row.height() < 11.0 {
            return;
        }
        let mut name = label.name.as_str();
        let mut wide = paint::width(painter, name, name_font.clone());
        if let Some(short) = &label.short
            && wide > place.width()
        {
            name = short;
            wide = paint::width(painter, name, name_font.clone());
        }
        let detail_wide = paint::width(painter, &label.detail, detail_font.clone());
        // The lack of a thing stands against the bar, as a remark on it.
        let align = match (label.is_thing, self.side) {
            (true, _) | (false, BarSide::Left) => Align::Min,
            (false, BarSide::Right) => Align::Max,
        };
        paint::line(painter, place, align, name, name_font, label.color);
        // All addresses of a column or none: a few of them look like an accident.
        if place.width() >= DETAIL_FROM && wide + 8.0 + detail_wide <= place.width() {
            let dim = scene.palette.dim;
            paint::line(painter, place, Align::Max, &label.detail, detail_font, dim);
        }
    }

    fn paint_selection(
        &self,
        ui: &Ui,
        all: Rect,
        stack: &Stack,
        index: usize,
        y: f32,
        scene: &Scene<'_>,
    ) -> Pos2 {
        let palette = scene.palette;
        let row = stack.row(index).unwrap_or(super::band_stack::Row {
            top: 0.0,
            height: 0.0,
        });
        let top = all.top() + row.top;
        let row_rect = Rect::from_min_size(pos2(all.left(), top), vec2(all.width(), row.height));
        let bar = self.bar_rect(row_rect).with_max_y(row_rect.bottom() - 1.0);
        let painter = ui.painter();
        let y = (all.top() + y).clamp(bar.top() + 1.0, bar.bottom() - 1.0);
        let many_pages = self
            .bands
            .get(index)
            .is_some_and(|band| band.size > PAGE_SIZE);
        if many_pages {
            let stroke = Stroke::new(2.0, palette.selection);
            painter.hline(bar.x_range(), y, stroke);
        }
        let stroke = Stroke::new(2.0, palette.selection);
        painter.rect_stroke(bar, CornerRadius::same(1), stroke, StrokeKind::Outside);
        let x = match self.side {
            BarSide::Left => bar.left(),
            BarSide::Right => bar.right(),
        };
        pos2(x, y)
    }
}

//! How bands, pages and groups of a column look.

use egui::{Align, Color32, CornerRadius, Pos2, Rect, Stroke, StrokeKind, Ui, pos2, vec2};
use pagescope_protocol::{PAGE_SIZE, PhysAddr};

use super::{BandColumn, BarSide, ColumnCache, Label};
use crate::model::{Band, BandKind, Sign, size_text};
use crate::views::band_stack::{Item, Stack, leaf_around, leaves_of, pages_of};
use crate::views::paint;
use crate::views::scene::Scene;
use crate::views::theme;

/// Names alone fill a narrower place than this.
const DETAIL_FROM: f32 = 112.0;

impl BandColumn<'_> {
    fn bar_rect(&self, all: Rect) -> Rect {
        match self.side {
            BarSide::Left => all.with_max_x(all.left() + self.bar),
            BarSide::Right => all.with_min_x(all.right() - self.bar),
        }
    }

    pub(super) fn paint_items(
        &self,
        ui: &Ui,
        rect: Rect,
        cache: &ColumnCache,
        selected: Option<usize>,
        scene: &Scene<'_>,
    ) {
        let items = cache.stack.items(self.bands, cache.top, rect.height());
        let at = |(top, bottom): (f32, f32)| {
            Rect::from_x_y_ranges(rect.x_range(), rect.top() + top..=rect.top() + bottom)
        };
        for item in items {
            match item {
                Item::Band {
                    band: index,
                    span,
                    label,
                    page,
                } => {
                    let Some(band) = self.bands.get(index) else {
                        continue;
                    };
                    let bar = self
                        .bar_rect(at(span))
                        .with_max_y(rect.top() + span.1 - 1.0);
                    self.paint_bar(ui, rect, bar, band, label.map(at), scene);
                    if let Some(height) = page.filter(|_| leaves_of(band) > 1) {
                        // A leaf that the band has only the end of is lower than the others.
                        let leaf = band.leaf_size.max(PAGE_SIZE);
                        let before = (band.start % leaf) as f64 / leaf as f64;
                        let first = bar.top() - before as f32 * height;
                        // Beside the letters of the permissions, not through them.
                        let beside = bar.with_min_x(bar.left() + (bar.width() * 0.55).round());
                        page_lines(ui, beside.intersect(rect), first, height, scene);
                    }
                    if let Some(place) = label.map(at) {
                        let words = (self.label)(band);
                        self.paint_label(ui, place, &words, selected == Some(index), scene);
                    }
                }
                Item::Page {
                    band,
                    page,
                    pages,
                    span,
                    label,
                    is_first,
                } => {
                    let Some(band) = self.bands.get(band) else {
                        continue;
                    };
                    let address = band.start + page * PAGE_SIZE;
                    let bar = self
                        .bar_rect(at(span))
                        .with_max_y(rect.top() + span.1 - 1.0);
                    self.paint_bar(ui, rect, bar, band, label.map(at), scene);
                    if let Some(place) = label.map(at) {
                        let words = self.page_words(band, address, is_first, scene);
                        let is_selected = self.selected.is_some_and(|selected| {
                            selected >= address && selected - address < pages * PAGE_SIZE
                        });
                        let first = match band.leaf_size > PAGE_SIZE {
                            true => self.paint_leaf(ui, place, band, address, scene),
                            false => place,
                        };
                        self.paint_label(ui, first, &words, is_selected, scene);
                    }
                }
                Item::Group { bands, span, label } => {
                    let bar = self
                        .bar_rect(at(span))
                        .with_max_y(rect.top() + span.1 - 1.0);
                    self.paint_group(
                        ui,
                        bar,
                        &cache.stack,
                        cache.top - f64::from(rect.top()),
                        scene,
                    );
                    if let Some(place) = label.map(at) {
                        let bytes = cache.stack.bytes_in(&bands);
                        let start = self.bands.get(bands.start).map_or(0, |band| band.start);
                        let words = Label {
                            name: match bytes {
                                0 => format!("{} folded", bands.len()),
                                bytes => format!("{} folded, {}", bands.len(), size_text(bytes)),
                            },
                            short: Some(format!("{} folded", bands.len())),
                            detail: format!("{start:#010x}"),
                            color: scene.palette.dim,
                            is_thing: true,
                        };
                        self.paint_label(ui, place, &words, false, scene);
                    }
                }
            }
        }
    }

    /// What a superpage is, in as many lines as there is room for; gives the line above them, for its name.
    fn paint_leaf(
        &self,
        ui: &Ui,
        place: Rect,
        band: &Band,
        address: u64,
        scene: &Scene<'_>,
    ) -> Rect {
        const LINE: f32 = 15.0;
        let words = (self.page_label)(band, address);
        let room = ((place.height() / LINE) as usize).saturating_sub(1);
        let lines: Vec<&str> = words.lines().take(room).collect();
        let top = place.center().y - LINE * (lines.len() + 1) as f32 / 2.0;
        let line = |number: usize| {
            let top = top + LINE * number as f32;
            place.with_min_y(top).with_max_y(top + LINE)
        };
        for (number, words) in lines.iter().enumerate() {
            let label = Label {
                name: (*words).to_owned(),
                // The numbers say most.
                short: words.strip_prefix("frames ").map(str::to_owned),
                detail: String::new(),
                color: scene.palette.dim,
                is_thing: false,
            };
            self.paint_label(ui, line(number + 1), &label, false, scene);
        }
        match lines.is_empty() {
            true => place,
            false => line(0),
        }
    }

    fn page_words(&self, band: &Band, address: u64, is_first: bool, scene: &Scene<'_>) -> Label {
        let (name, color) = match is_first || band.leaf_size > PAGE_SIZE {
            true => ((self.label)(band).name, scene.palette.text),
            false => ((self.page_label)(band, address), scene.palette.dim),
        };
        Label {
            name,
            short: None,
            detail: format!("{address:#010x}"),
            color,
            is_thing: true,
        }
    }

    /// The line of several bands: each a stripe, and where they are lower than a point the most telling of them.
    fn paint_group(&self, ui: &Ui, bar: Rect, stack: &Stack, shift: f64, scene: &Scene<'_>) {
        let painter = ui.painter();
        painter.rect_filled(bar, 0.0, scene.palette.panel);
        let fill_at = |y: f32| {
            let from = f64::from(y) + shift;
            let bands = stack.between(from, from + 1.0);
            let band = &self.bands[stack.telling_of(self.bands, bands)?];
            if !band.is_something() && band.kind != BandKind::Guard {
                return None;
            }
            let fill = match band.fresh {
                true => scene.palette.fresh,
                false => scene.palette.band_fill(band.kind),
            };
            Some(scene.filtered(fill, &scene.seen(band)))
        };
        let mut run: Option<(f32, Color32)> = None;
        for line in 0..=bar.height().ceil() as usize {
            let y = (bar.top() + line as f32).min(bar.bottom());
            let fill = (y < bar.bottom()).then(|| fill_at(y)).flatten();
            if let Some((top, color)) = run
                && fill != Some(color)
            {
                let stripe = Rect::from_x_y_ranges(bar.x_range(), top..=y);
                painter.rect_filled(stripe, 0.0, color);
                run = None;
            }
            if run.is_none() {
                run = fill.map(|fill| (y, fill));
            }
        }
    }

    fn paint_bar(
        &self,
        ui: &Ui,
        window: Rect,
        whole: Rect,
        band: &Band,
        label: Option<Rect>,
        scene: &Scene<'_>,
    ) {
        let palette = scene.palette;
        let painter = ui.painter();
        let bar = whole.intersect(window.expand(2.0));
        let seen = scene.seen(band);
        let is_dimmed = scene.is_dimmed(&seen);
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
            BandKind::Unread => {
                painter.rect_filled(bar, 0.0, palette.raised);
                paint::hatch(painter, bar, scene.filtered(palette.dim, &seen), 9.0);
            }
            BandKind::Guard => {
                painter.rect_filled(bar, 0.0, palette.raised);
                paint::hatch(painter, bar, scene.filtered(palette.danger, &seen), 8.0);
            }
            kind => {
                let fill = if band.fresh {
                    palette.fresh
                } else {
                    palette.band_fill(kind)
                };
                let fill = scene.filtered(fill, &seen);
                painter.rect_filled(bar, 0.0, fill);
                let has_stripes = matches!(kind, BandKind::Table(_))
                    && band.size > PAGE_SIZE
                    && !band.fresh
                    && !is_dimmed;
                if has_stripes {
                    stripes(painter, bar, band, scene);
                }
                if let Some(label) = label {
                    let inner = bar
                        .with_min_y(label.top())
                        .with_max_y(label.bottom().min(bar.bottom()))
                        .shrink2(vec2(7.0, 0.0));
                    letters(painter, inner, band, &seen, fill);
                }
            }
        }
        if self.side == BarSide::Right {
            unsettled_parts(painter, whole, band, scene);
        }
    }

    fn paint_label(&self, ui: &Ui, row: Rect, label: &Label, is_selected: bool, scene: &Scene<'_>) {
        let painter = ui.painter();
        let gap = 9.0;
        let place = match self.side {
            // The thumb that says which part is in view has the edge for itself.
            BarSide::Left => row
                .with_min_x(row.left() + self.bar + gap)
                .with_max_x(row.right() - 7.0),
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

    /// What is marked as a stretch, and what the mouse rests on in any view.
    pub(super) fn paint_marks(&self, ui: &Ui, rect: Rect, cache: &ColumnCache, scene: &Scene<'_>) {
        let palette = scene.palette;
        let painter = ui.painter();
        let (first, last) = match cache.in_view(self.bands) {
            Some(view) => view,
            None => return,
        };
        for (pieces, color, width) in [
            (self.hover_marked, palette.text, 1.0),
            (self.marked, palette.selection, 2.0),
        ] {
            let from = pieces.partition_point(|(_, end)| *end < first);
            let mut painted = f32::NEG_INFINITY;
            for (start, end) in pieces[from..]
                .iter()
                .take_while(|(start, _)| *start <= last)
            {
                let Some((top, bottom)) = cache.on_screen(self.bands, *start, *end) else {
                    continue;
                };
                // Pieces closer than a point are one mark.
                if bottom < painted + 1.0 {
                    continue;
                }
                painted = bottom;
                let bar = self
                    .bar_rect(rect)
                    .with_min_y(top)
                    .with_max_y(bottom.max(top + 2.0));
                let veil = theme::mix(color, Color32::TRANSPARENT, 0.82);
                painter.rect(
                    bar,
                    CornerRadius::same(1),
                    veil,
                    Stroke::new(width, color),
                    StrokeKind::Outside,
                );
            }
        }
        if let Some(address) = self.hovered
            && self.hover_marked.is_empty()
            && let Some((top, bottom)) =
                cache.on_screen(self.bands, address, address | (PAGE_SIZE - 1))
        {
            let bar = self
                .bar_rect(rect)
                .with_min_y(top)
                .with_max_y(bottom.max(top + 1.0));
            let stroke = Stroke::new(1.0, palette.text);
            painter.rect_stroke(bar, CornerRadius::ZERO, stroke, StrokeKind::Outside);
        }
    }

    pub(super) fn paint_selection(
        &self,
        ui: &Ui,
        rect: Rect,
        cache: &ColumnCache,
        index: usize,
        y: f64,
        scene: &Scene<'_>,
    ) -> Pos2 {
        let palette = scene.palette;
        let painter = ui.painter();
        let (top, height) = cache.stack.band(index).unwrap_or_default();
        let on_screen = |at: f64| rect.top() + (at - cache.top) as f32;
        let mut span = (on_screen(top), on_screen(top + height) - 1.0);
        let middle = on_screen(y);
        let band = self.bands.get(index);
        let pages = band.map_or(1, pages_of);
        let page = (height / pages as f64) as f32;
        // A superpage is one thing, whichever of its frames is meant.
        let leaf = band.zip(self.selected).map(|(band, selected)| {
            leaf_around(band, selected.saturating_sub(band.start) / PAGE_SIZE)
        });
        let leaf = leaf.unwrap_or(0..pages);
        let leaf_height = (leaf.end - leaf.start) as f32 * page;
        if pages > 1 && leaf_height >= 6.0 {
            let edge = |page: u64| on_screen(top + height * page as f64 / pages as f64);
            span = (edge(leaf.start), edge(leaf.end) - 1.0);
        }
        let low = span.0.max(rect.top() - 6.0);
        let bar = self
            .bar_rect(rect)
            .with_min_y(low)
            .with_max_y(span.1.max(low + 1.0).min(rect.bottom() + 6.0));
        let y = middle.clamp(bar.top() + 1.0, (bar.bottom() - 1.0).max(bar.top() + 1.0));
        if self.marked.is_empty() && bar.bottom() > bar.top() {
            if pages > 1 && (leaf_height < 6.0 || page < 6.0 && leaf.end - leaf.start > 1) {
                let stroke = Stroke::new(2.0, palette.selection);
                painter.hline(bar.x_range(), y, stroke);
            }
            let stroke = Stroke::new(2.0, palette.selection);
            painter.rect_stroke(bar, CornerRadius::same(1), stroke, StrokeKind::Outside);
        }
        let x = match self.side {
            BarSide::Left => bar.left(),
            BarSide::Right => bar.right(),
        };
        pos2(x, y)
    }

    /// Which part of the column is in view, where it is not all of it.
    pub(super) fn paint_place(&self, ui: &Ui, rect: Rect, cache: &ColumnCache, scene: &Scene<'_>) {
        let height = cache.stack.height();
        let available = f64::from(rect.height());
        if height <= available + 0.5 {
            return;
        }
        let x = match self.side {
            BarSide::Left => rect.right() - 3.0,
            BarSide::Right => rect.left() - 6.0,
        };
        let long = ((available / height) as f32 * rect.height()).max(14.0);
        let most = (height - available).max(1.0);
        let top = rect.top() + (cache.top / most) as f32 * (rect.height() - long);
        let thumb = Rect::from_min_size(pos2(x, top), vec2(3.0, long));
        let color = theme::mix(scene.palette.dim, scene.palette.background, 0.4);
        ui.painter()
            .rect_filled(thumb, CornerRadius::same(2), color);
    }
}

/// `rw-` at the left of the bar; at its right a letter for what the colour does not say.
fn letters(
    painter: &egui::Painter,
    inner: Rect,
    band: &Band,
    seen: &crate::model::Seen,
    fill: Color32,
) {
    let ink = if theme::luma(fill) > 135.0 {
        theme::DARK.background
    } else {
        Color32::WHITE
    };
    let font = theme::strong_numbers(10.5);
    let mut rest = inner;
    if let Some(flags) = band.flags {
        let letters: String = flags.to_string().chars().take(4).collect();
        let letters = letters.strip_suffix('-').unwrap_or(&letters);
        let told = paint::line(painter, inner, Align::Min, letters, font.clone(), ink);
        rest = inner.with_min_x(told.right() + 4.0);
    }
    let mut signs = String::new();
    for (is_so, sign) in [
        (band.fresh, Sign::Fresh),
        (seen.is_shared && band.flags.is_some(), Sign::Shared),
        (band.kind == BandKind::WriteExecute, Sign::WriteExecute),
        (Sign::Window.takes(seen), Sign::Window),
    ] {
        if is_so {
            signs.push_str(sign.letter());
        }
    }
    if !signs.is_empty() && paint::width(painter, &signs, font.clone()) <= rest.width() {
        paint::line(painter, rest, Align::Max, &signs, font, ink);
    }
}

/// Thin lines between the pages of a band.
fn page_lines(ui: &Ui, bar: Rect, top: f32, height: f32, scene: &Scene<'_>) {
    let first = ((bar.top() - top) / height).ceil().max(1.0);
    let stroke = Stroke::new(
        1.0,
        theme::mix(scene.palette.background, Color32::TRANSPARENT, 0.45),
    );
    let count = (bar.height() / height) as usize + 1;
    for number in 0..count {
        let y = top + (first + number as f32) * height;
        if y < bar.bottom() {
            ui.painter().hline(bar.x_range(), y, stroke);
        }
    }
}

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

//! A map drawn as a column of bands with names beside it: the virtual map has its bar at the
//! right, the physical one at the left, so that both bars face the tables. It can be zoomed until each page has
//! a line, and moved.

mod paint_items;

use egui::{Color32, Pos2, Rect, Sense, Ui, UiBuilder, pos2, vec2};

use super::band_stack::{Stack, band_at, page_at};
use super::camera::{CameraStep, MapId, gesture};
use super::paint;
use super::scene::Scene;
use crate::model::Band;

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
    /// Which map it is.
    pub map: MapId,
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
    /// Stretches that are selected: first and last address of each, in order.
    pub marked: &'a [(u64, u64)],
    /// The address that the mouse rests on, here or in another view.
    pub hovered: Option<u64>,
    /// Stretches that it rests on.
    pub hover_marked: &'a [(u64, u64)],
    /// The words beside a band.
    pub label: &'a dyn Fn(&Band) -> Label,
    /// The words beside one page of a band.
    pub page_label: &'a dyn Fn(&Band, u64) -> String,
    /// The words over a band, when the mouse rests on it.
    pub hover: &'a dyn Fn(&Band, u64, &mut Ui),
}

/// What was clicked: a page, or with Shift or a second click the whole band.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Clicked {
    /// The page at this address.
    Page(u64),
    /// These addresses: the first, and how many.
    Whole(u64, u64),
}

/// What came of a column.
#[derive(Clone, Copy, Debug, Default)]
pub struct ColumnOutcome {
    /// What was clicked.
    pub clicked: Option<Clicked>,
    /// The page that the mouse rests on.
    pub pointed: Option<u64>,
    /// Where the selected page meets the side that faces the tables.
    pub anchor: Option<Pos2>,
}

/// What a column keeps from frame to frame: where everything lies, and which part of it is in view.
#[derive(Debug, Default)]
pub struct ColumnCache {
    generation: u64,
    available: f32,
    selection_generation: u64,
    stack: Stack,
    /// What part of the stack is at the upper edge of the window.
    top: f64,
    rect: Option<Rect>,
}

impl ColumnCache {
    /// Lays the bands out again where they or the window are others, at the same zoom and, as near as can be, place.
    fn lay_out(&mut self, bands: &[Band], available: f32, row_min: f32, generation: u64) {
        if self.generation == generation && self.available == available {
            return;
        }
        let zoom = match self.stack.zoom() {
            0.0 => 1.0,
            zoom => zoom,
        };
        self.generation = generation;
        self.available = available;
        self.stack = Stack::new(bands, available, row_min);
        self.zoom_to(bands, zoom);
    }

    /// Zooms to `zoom`, as far as that goes.
    fn zoom_to(&mut self, bands: &[Band], zoom: f64) {
        let (least, most) = self.stack.zooms(self.available);
        let zoom = zoom.clamp(least, most);
        if zoom != self.stack.zoom() {
            self.stack.zoom_to(bands, zoom);
        }
        self.keep_inside();
    }

    /// Zooms by `factor`; what is at `y` in the window stays there.
    fn zoom_at(&mut self, bands: &[Band], y: f32, factor: f64) {
        let under = self.stack.at(self.top + f64::from(y));
        self.zoom_to(bands, self.stack.zoom() * factor);
        if let Some((index, part)) = under
            && let Some((top, height)) = self.stack.band(index)
        {
            self.top = top + height * part - f64::from(y);
        }
        self.keep_inside();
    }

    fn keep_inside(&mut self) {
        let most = (self.stack.height() - f64::from(self.available)).max(0.0);
        self.top = self.top.clamp(0.0, most);
    }

    /// Brings `y` of the stack to the middle of the window.
    fn center(&mut self, y: f64) {
        self.top = y - f64::from(self.available) / 2.0;
        self.keep_inside();
    }

    /// Makes the addresses from `start` to `last` fill the window, as far as that goes.
    fn zoom_to_addresses(&mut self, bands: &[Band], start: u64, last: u64) {
        let Some(index) = band_at(bands, start) else {
            return;
        };
        let band = &bands[index];
        let is_whole = last > start && last - start >= 4096;
        let part = match is_whole {
            true => (last.min(band.last()) - start) as f64 / band.size.max(1) as f64,
            false => 0.0,
        };
        let wanted = f64::from(self.available) * 0.9 / part.max(1e-12);
        if let Some(zoom) = self.stack.zoom_for(bands, index, wanted) {
            self.zoom_to(bands, zoom.max(1.0));
        }
        if let Some((top, bottom)) = self.stack.span_of(bands, start, last) {
            self.center((top + bottom) / 2.0);
        }
    }

    /// Brings `address` to the middle of the window.
    pub fn go_to(&mut self, bands: &[Band], address: u64) {
        if let Some((_, y)) = self.stack.y_of(bands, address) {
            self.center(y);
        }
    }

    /// The first and the last address in view.
    pub fn in_view(&self, bands: &[Band]) -> Option<(u64, u64)> {
        let bottom = self.top + f64::from(self.available);
        let (first, part) = self.stack.at(self.top)?;
        let (last, end) = self
            .stack
            .at(bottom.min(self.stack.height() - 1e-6).max(0.0))?;
        Some((
            page_at(bands.get(first)?, part),
            page_at(bands.get(last)?, end).saturating_add(4095),
        ))
    }

    /// The upper and lower edge on the screen of these addresses, held to the window; `None` where they are not drawn.
    pub fn on_screen(&self, bands: &[Band], start: u64, last: u64) -> Option<(f32, f32)> {
        let rect = self.rect?;
        let (top, bottom) = self.stack.span_of(bands, start, last)?;
        let y = |at: f64| rect.top() + ((at - self.top) as f32).clamp(0.0, rect.height());
        Some((y(top), y(bottom)))
    }

    /// The bands in view, each with its edges on the screen.
    pub fn bands_in_view(&self) -> (std::ops::Range<usize>, Option<Rect>) {
        let bottom = self.top + f64::from(self.available);
        (self.stack.between(self.top, bottom), self.rect)
    }
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
        cache.lay_out(
            self.bands,
            rect.height(),
            self.row_min,
            scene.derived.generation,
        );
        cache.rect = Some(rect);
        let id = ui.scope_id().with(("band column", self.name_of_map()));
        let response = ui.interact(rect, id, Sense::click_and_drag());
        self.move_camera(ui, &response, scene, cache);
        let is_new = cache.selection_generation != scene.derived.selection_generation;
        cache.selection_generation = scene.derived.selection_generation;
        let marked = self
            .selected
            .and_then(|address| cache.stack.y_of(self.bands, address));
        if let Some((_, y)) = marked
            && (is_new || is_resized)
            && !(cache.top..cache.top + f64::from(rect.height())).contains(&y)
        {
            cache.center(y);
        }
        let mut outcome = ColumnOutcome::default();
        let mut child = ui.new_child(UiBuilder::new().max_rect(rect).id_salt(id));
        child.set_clip_rect(rect.expand2(vec2(6.0, 0.0)).intersect(ui.clip_rect()));
        self.paint_items(&child, rect, cache, marked.map(|(band, _)| band), scene);
        self.paint_marks(&child, rect, cache, scene);
        if let Some((index, y)) = marked {
            let at = self.paint_selection(&child, rect, cache, index, y, scene);
            // A selected band that is out of view is met at the edge of the window.
            let edge = at.y.clamp(rect.top() + 2.0, rect.bottom() - 2.0);
            outcome.anchor = Some(pos2(at.x, edge));
        }
        self.paint_place(&child, rect, cache, scene);
        paint::name_canvas(&response, || self.accessible_name(cache));
        let pointed = response
            .hover_pos()
            .and_then(|at| cache.stack.at(cache.top + f64::from(at.y - rect.top())))
            .and_then(|(index, part)| {
                let band = self.bands.get(index)?;
                Some((index, band, page_at(band, part)))
            });
        if let Some((_, band, page)) = pointed {
            outcome.pointed = Some(page);
            let wants_whole = ui.input(|input| input.modifiers.shift);
            if scene.is_picture {
                // A click turns the page.
            } else if response.double_clicked() {
                outcome.clicked = Some(Clicked::Whole(band.start, band.size));
                cache.zoom_to_addresses(self.bands, band.start, band.last());
            } else if response.clicked() {
                outcome.clicked = Some(match wants_whole {
                    true => Clicked::Whole(band.start, band.size),
                    false => Clicked::Page(page),
                });
            }
            if !response.dragged() {
                response.on_hover_ui_at_pointer(|ui| (self.hover)(band, page, ui));
            }
        }
        outcome
    }

    /// The name, and what part of the map is in view where that is not all of it.
    fn accessible_name(&self, cache: &ColumnCache) -> String {
        let is_whole = cache.stack.height() <= f64::from(cache.available) + 0.5;
        match cache.in_view(self.bands) {
            Some((first, last)) if !is_whole => {
                format!("{}, {first:#x} to {last:#x} in view", self.name)
            }
            _ => self.name.clone(),
        }
    }

    const fn name_of_map(&self) -> &'static str {
        match self.map {
            MapId::Virtual => "virtual",
            _ => "physical",
        }
    }

    fn move_camera(
        &self,
        ui: &Ui,
        response: &egui::Response,
        scene: &Scene<'_>,
        cache: &mut ColumnCache,
    ) {
        let rect = response.rect;
        let pointer = response.hover_pos();
        if let Some(gesture) = gesture(ui, response) {
            if gesture.zoom != 1.0 {
                cache.zoom_at(self.bands, gesture.at.y - rect.top(), gesture.zoom);
            }
            // With Shift egui turns the wheel sideways.
            let along = match response.dragged() {
                true => gesture.pan.y,
                false => gesture.pan.y + gesture.pan.x,
            };
            cache.top -= f64::from(along);
            cache.keep_inside();
        }
        let Some(step) = scene.step_of(self.map) else {
            return;
        };
        match step {
            CameraStep::Fit => {
                cache.zoom_to(self.bands, 0.0);
                cache.top = 0.0;
            }
            CameraStep::ToSelection => {
                let stretch = self.marked.first().zip(self.marked.last());
                let stretch = stretch.map(|(first, last)| (first.0, last.1));
                let wanted = stretch.or(self.selected.map(|at| (at, at)));
                if let Some((start, last)) = wanted {
                    cache.zoom_to_addresses(self.bands, start, last);
                }
            }
            step => {
                let at = pointer.map_or(rect.height() / 2.0, |at| at.y - rect.top());
                if step.zoom() != 1.0 {
                    cache.zoom_at(self.bands, at, step.zoom());
                }
                cache.top -= f64::from(step.pan().y);
                cache.keep_inside();
            }
        }
    }
}

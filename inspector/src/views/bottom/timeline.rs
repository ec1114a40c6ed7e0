//! All moments on a line: what each stop changed, numbers plotted over them, marks for bookmarks and notes, and
//! the one being looked at. A click or a drag goes there; the wheel zooms.

use std::sync::Arc;

use egui::{
    Align, Align2, Color32, CornerRadius, Pos2, Rect, Sense, Shape, Stroke, Ui, pos2, vec2,
};
use pagescope_protocol::snapshot::Snapshot;

use super::timeline_layout::{Axis, Bucket, buckets, short_name};
use super::timeline_marks::{self, Mark};
use crate::model::{Moment, Series};
use crate::views::command::{TimeCommand, UiCommand};
use crate::views::paint;
use crate::views::scene::Scene;
use crate::views::state::Span;
use crate::views::theme::{self, Palette};

/// By how much at a time the room for the plotted values grows.
const ROOM_STEP: f32 = 32.0;

/// What the last frame worked out, kept while moments, width and what is plotted stay.
#[derive(Default)]
pub(super) struct Timeline {
    key: Option<Key>,
    buckets: Vec<Bucket>,
    marks: Vec<Mark>,
    /// Where a drag with the right or middle button began.
    dragged: Option<Span>,
}

#[derive(PartialEq)]
struct Key {
    moments: usize,
    newest: *const Snapshot,
    axis: Axis,
    plotted: Vec<Series>,
    notebook: u64,
}

/// How the height is shared out.
pub(super) struct Lanes {
    pub(super) plot: Rect,
    pub(super) marks: f32,
    pub(super) ticks: f32,
    pub(super) line: f32,
    numbers: f32,
    names: Option<f32>,
}

impl Lanes {
    fn new(rect: Rect, has_marks: bool) -> Self {
        let names = (rect.height() >= 84.0).then(|| rect.bottom() - 8.0);
        let numbers = rect.bottom() - if names.is_some() { 23.0 } else { 8.0 };
        let line = numbers - 17.0;
        let ticks = line - 14.0;
        let marks = ticks - 16.0;
        let end = if has_marks { marks - 9.0 } else { ticks - 11.0 };
        Self {
            plot: Rect::from_min_max(
                pos2(rect.left(), rect.top() + 6.0),
                pos2(rect.right(), end.max(rect.top() + 8.0)),
            ),
            marks,
            ticks,
            line,
            numbers,
            names,
        }
    }
}

impl Timeline {
    /// Draws the timeline into `rect`.
    pub(super) fn show(
        &mut self,
        ui: &mut Ui,
        rect: Rect,
        scene: &Scene<'_>,
        out: &mut Vec<UiCommand>,
    ) {
        let moments = scene.state.history.moments();
        let Some(newest) = moments.last() else {
            let text = "Each stop of the guest becomes a moment here.";
            let font = theme::words(theme::BODY);
            let color = scene.palette.dim;
            ui.painter()
                .text(rect.left_top(), Align2::LEFT_TOP, text, font, color);
            return;
        };
        let plotted: Vec<Series> = scene.state.time.plotted.iter().cloned().collect();
        let words = value_words(&plotted, scene);
        let font = theme::strong(12.0);
        let room = words.iter().map(|(text, _)| {
            let wide = paint::width(ui.painter(), text, font.clone());
            wide + 12.0
        });
        // In steps: an axis that moved with each number's width would be worked out anew for each moment.
        let room = (room.sum::<f32>() / ROOM_STEP).ceil() * ROOM_STEP;
        let room = room.min(rect.width() * 0.35) + 4.0;
        let axis = Axis::new(
            moments.len(),
            scene.state.time.span,
            rect.left() + 30.0,
            rect.right() - room.max(26.0),
        );
        let key = Key {
            moments: moments.len(),
            newest: Arc::as_ptr(&newest.snapshot),
            axis,
            plotted,
            notebook: scene.state.history.notebook().version(),
        };
        if self.key.as_ref() != Some(&key) {
            self.buckets = buckets(moments, &axis, &key.plotted);
            self.marks = timeline_marks::of(&scene.state.history, &axis);
            self.key = Some(key);
        }
        let lanes = Lanes::new(rect, !self.marks.is_empty());
        let painter = ui.painter_at(rect.expand(2.0));
        let edge = Stroke::new(1.0, scene.palette.edge);
        painter.hline(rect.left()..=rect.right(), lanes.line, edge);
        self.plot(&painter, &axis, &lanes, scene);
        self.ticks(&painter, &axis, &lanes, scene);
        labels(&painter, &axis, &lanes, moments, scene);
        base(&painter, &axis, &lanes, scene, rect);
        cursor(&painter, &axis, &lanes, scene, rect);
        values(&painter, &axis, &words, scene, rect);
        self.interact(ui, rect, &axis, &lanes, scene, out);
        timeline_marks::show(ui, &self.marks, &axis, &lanes, scene, out);
    }

    /// Each number as steps, from its least at the bottom to its greatest at the top.
    fn plot(&self, painter: &egui::Painter, axis: &Axis, lanes: &Lanes, scene: &Scene<'_>) {
        for (place, _) in scene.state.time.plotted.iter().enumerate().rev() {
            let of = |bucket: &Bucket| bucket.values.get(place).copied().flatten();
            let values = || self.buckets.iter().filter_map(of);
            let lowest = values().map(|it| it.low).min();
            let highest = values().map(|it| it.high).max();
            let (Some(low), Some(high)) = (lowest, highest) else {
                continue;
            };
            let y_of = |value: u64| {
                let part = (value - low) as f64 / ((high - low).max(1)) as f64;
                lanes.plot.bottom() - lanes.plot.height() * part as f32
            };
            let mut points: Vec<Pos2> = Vec::with_capacity(self.buckets.len() * 2);
            for bucket in &self.buckets {
                let Some(value) = of(bucket) else { continue };
                let at = pos2(axis.x_of(bucket.last), y_of(value.last));
                if let Some(last) = points.last() {
                    points.push(pos2(at.x, last.y));
                }
                if bucket.first != bucket.last && value.low != value.high {
                    points.extend([value.low, value.high].map(|it| pos2(at.x, y_of(it))));
                }
                points.push(at);
            }
            let stroke = Stroke::new(1.8, series_color(place, scene.palette));
            // Colour never tells alone: the second number and those after it are dashed.
            if place == 0 {
                painter.add(Shape::line(points, stroke));
            } else {
                let gap = 2.0 * place as f32;
                painter.extend(Shape::dashed_line(&points, stroke, 6.0, gap));
            }
        }
    }

    fn ticks(&self, painter: &egui::Painter, axis: &Axis, lanes: &Lanes, scene: &Scene<'_>) {
        let palette = scene.palette;
        let spacing = axis.spacing();
        let tick = |bucket: &Bucket, offset: f32, size: egui::Vec2, color: Color32| {
            let offset = if spacing >= 14.0 { offset } else { 0.0 };
            let bottom = pos2(axis.x_of(bucket.last) + offset, lanes.ticks + 4.0);
            let corner = bottom - vec2(size.x / 2.0, size.y);
            painter.rect_filled(Rect::from_min_size(corner, size), 0.0, color);
        };
        let wide = (spacing * 0.4).clamp(1.0, 5.0);
        for bucket in &self.buckets {
            if bucket.leaf {
                tick(bucket, -4.0, vec2(wide, 7.0), palette.data);
            }
            if spacing >= 6.0 {
                let at = pos2(axis.x_of(bucket.last), lanes.line);
                painter.circle_filled(at, 3.6, palette.dim);
            }
        }
        // What is rare stands over what is common, and never gets lost between two pixels.
        let wide = wide.max(2.0);
        for bucket in &self.buckets {
            if let Some(level) = bucket.table {
                tick(bucket, 2.0, vec2(wide, 12.0), palette.level(level));
            }
            if bucket.gone {
                tick(bucket, 8.0, vec2(wide, 7.0), palette.danger);
            }
        }
    }

    fn interact(
        &mut self,
        ui: &mut Ui,
        rect: Rect,
        axis: &Axis,
        lanes: &Lanes,
        scene: &Scene<'_>,
        out: &mut Vec<UiCommand>,
    ) {
        let moments = scene.state.history.moments();
        let here = scene.state.history.cursor();
        let id = ui.scope_id().with("timeline");
        let response = ui.interact(rect, id, Sense::click_and_drag());
        response.widget_info(|| {
            egui::WidgetInfo::slider(
                true,
                here as f64,
                format!("Timeline, {} moments", moments.len()),
            )
        });
        self.zoom(ui, &response, axis, scene, out);
        if let Some(at) = response.interact_pointer_pos()
            && self.dragged.is_none()
            && (response.clicked() || response.dragged())
        {
            let place = axis.place_at(at.x);
            if place != here {
                out.push(UiCommand::Seek(place));
            }
        }
        // Moments that stand far enough apart can be named and pressed one by one.
        if axis.spacing() >= 14.0 {
            for place in axis.visible() {
                let Some(moment) = moments.get(place) else {
                    break;
                };
                let center = pos2(axis.x_of(place), (lanes.line + lanes.numbers) / 2.0);
                let size = vec2((axis.spacing() - 2.0).min(30.0), 34.0);
                let area = Rect::from_center_size(center, size);
                let dot = ui.interact(area, id.with(place), Sense::click());
                dot.widget_info(|| {
                    let name = format!("Step {place}: {}", moment.snapshot.stop);
                    egui::WidgetInfo::selected(egui::Role::Button, true, place == here, name)
                });
                if dot.clicked() {
                    let with_shift = ui.input(|input| input.modifiers.shift);
                    out.push(match with_shift {
                        true => TimeCommand::CompareWith(Some(place)).into(),
                        false => UiCommand::Seek(place),
                    });
                }
                dot.on_hover_ui(|ui| describe(ui, place, moment));
            }
        } else if let Some(at) = response.hover_pos()
            && let place = axis.place_at(at.x)
            && let Some(moment) = moments.get(place)
        {
            response.on_hover_ui_at_pointer(|ui| describe(ui, place, moment));
        }
    }

    /// The wheel zooms at the pointer; sideways, and with the right or middle button, the axis is moved.
    fn zoom(
        &mut self,
        ui: &Ui,
        response: &egui::Response,
        axis: &Axis,
        scene: &Scene<'_>,
        out: &mut Vec<UiCommand>,
    ) {
        let moves = [egui::PointerButton::Secondary, egui::PointerButton::Middle];
        let is_moved = moves.iter().any(|button| response.dragged_by(*button));
        if is_moved {
            let begin = *self.dragged.get_or_insert(axis.span());
            if let (Some(from), Some(at)) = (
                ui.input(|input| input.pointer.press_origin()),
                response.interact_pointer_pos(),
            ) {
                let by = f64::from(from.x - at.x) / f64::from(axis.spacing());
                out.push(TimeCommand::Span(Some(begin.moved(by))).into());
            }
            return;
        }
        self.dragged = None;
        let Some(at) = response.hover_pos() else {
            return;
        };
        let (scrolled, pinched) =
            ui.input(|input| (input.smooth_scroll_delta(), input.zoom_delta()));
        let times = f64::from((-scrolled.y / 200.0).exp() / pinched);
        let moved = -f64::from(scrolled.x) / f64::from(axis.spacing());
        if (times - 1.0).abs() < 1e-4 && moved.abs() < 1e-4 {
            return;
        }
        let count = scene.state.history.moments().len();
        let from = scene.state.time.span.unwrap_or_else(|| Span::whole(count));
        let span = from.zoomed(times, axis.at(at.x)).moved(moved);
        if span.inside(count) != scene.state.time.span {
            out.push(TimeCommand::Span(Some(span)).into());
        }
    }
}

/// The colour of the number that is plotted at this place.
fn series_color(place: usize, palette: &Palette) -> Color32 {
    let others = [palette.levels[1], palette.stack, palette.device];
    match place.checked_sub(1) {
        None => palette.counter,
        Some(other) => others[other % others.len()],
    }
}

/// What is plotted, with its value at the moment being looked at.
fn value_words(plotted: &[Series], scene: &Scene<'_>) -> Vec<(String, Color32)> {
    let Some(snapshot) = scene.state.snapshot() else {
        return Vec::new();
    };
    let plotted = plotted.iter().enumerate();
    plotted
        .filter_map(|(place, series)| {
            let value = series.value(snapshot)?;
            let color = series_color(place, scene.palette);
            Some((format!("{} {value}", series.name()), color))
        })
        .collect()
}

fn labels(
    painter: &egui::Painter,
    axis: &Axis,
    lanes: &Lanes,
    moments: &[Moment],
    scene: &Scene<'_>,
) {
    let palette = scene.palette;
    let here = scene.state.history.cursor();
    let widest_number = moments.len().to_string().len() as f32 * 7.0;
    let every = axis.label_every((widest_number + 10.0).max(34.0));
    let name_every = axis.label_every(64.0);
    let widest = name_every as f32 * axis.spacing() - 6.0;
    for place in axis.labelled(every) {
        // The number of the moment looked at stands in its own place, larger.
        let apart = place.abs_diff(here) as f32 * axis.spacing();
        if place == here || apart < (widest_number + 8.0).max(26.0) {
            continue;
        }
        let at = pos2(axis.x_of(place), lanes.numbers);
        let font = theme::numbers(11.0);
        let text = place.to_string();
        painter.text(at, Align2::CENTER_CENTER, text, font, palette.dim);
    }
    let Some(names) = lanes.names else { return };
    for place in axis.labelled(name_every) {
        let Some(moment) = moments.get(place) else {
            break;
        };
        let (name, level) = short_name(moment);
        let center = pos2(axis.x_of(place), names);
        let rect = Rect::from_center_size(center, vec2(widest.min(110.0), 14.0));
        let rect = rect.with_min_x(rect.left().max(painter.clip_rect().left() + 2.0));
        let color = level.map_or(palette.dim, |level| palette.level(level));
        let font = theme::words(10.5);
        paint::line(painter, rect, Align::Center, &name, font, color);
    }
}

/// The moment that is compared with.
fn base(painter: &egui::Painter, axis: &Axis, lanes: &Lanes, scene: &Scene<'_>, rect: Rect) {
    let Some(place) = scene.state.time.base_place(&scene.state.history) else {
        return;
    };
    let palette = scene.palette;
    let x = axis.x_of(place);
    let here = axis.x_of(scene.state.history.cursor());
    let between = Rect::from_x_y_ranges(
        x.min(here)..=x.max(here),
        lanes.line - 2.5..=lanes.line + 2.5,
    );
    let color = theme::mix(palette.panel, palette.accent(), 0.55);
    painter.rect_filled(between.intersect(rect), CornerRadius::ZERO, color);
    let size = 6.5;
    let center = pos2(x, lanes.line);
    let corners = [(0.0, -size), (size, 0.0), (0.0, size), (-size, 0.0)];
    let corners = corners.map(|(dx, dy)| center + vec2(dx, dy));
    let ring = Stroke::new(2.0, palette.selection);
    painter.add(Shape::convex_polygon(
        corners.to_vec(),
        palette.accent(),
        ring,
    ));
}

fn cursor(painter: &egui::Painter, axis: &Axis, lanes: &Lanes, scene: &Scene<'_>, rect: Rect) {
    let palette = scene.palette;
    let here = scene.state.history.cursor();
    let x = axis.x_of(here);
    let dashes = Shape::dashed_line(
        &[pos2(x, rect.top()), pos2(x, lanes.line)],
        Stroke::new(1.0, palette.dim),
        3.0,
        3.0,
    );
    painter.extend(dashes);
    let ring = Stroke::new(2.0, palette.selection);
    painter.circle(pos2(x, lanes.line), 6.5, palette.fresh, ring);
    let font = theme::strong_numbers(12.0);
    let at = pos2(x, lanes.numbers);
    let text = here.to_string();
    painter.text(at, Align2::CENTER_CENTER, text, font, palette.text);
}

/// The numbers that are plotted, beside the moment being looked at.
fn values(
    painter: &egui::Painter,
    axis: &Axis,
    words: &[(String, Color32)],
    scene: &Scene<'_>,
    rect: Rect,
) {
    let font = theme::strong(12.0);
    let widths: Vec<f32> = words
        .iter()
        .map(|(text, _)| paint::width(painter, text, font.clone()))
        .collect();
    let gap = 12.0;
    let all = widths.iter().sum::<f32>() + gap * widths.len().saturating_sub(1) as f32;
    let x = axis.x_of(scene.state.history.cursor());
    let mut left = if x + 10.0 + all <= rect.right() {
        x + 10.0
    } else {
        (x - 10.0 - all).max(rect.left() + 4.0)
    };
    let top = rect.top() + 7.0;
    // On the plot's own line a patch keeps the words readable.
    let patch = Rect::from_min_size(pos2(left - 3.0, top - 7.5), vec2(all + 6.0, 15.0));
    painter.rect_filled(patch, 2.0, scene.palette.panel);
    for ((text, color), width) in words.iter().zip(widths) {
        let at = pos2(left, top);
        painter.text(at, Align2::LEFT_CENTER, text, font.clone(), *color);
        left += width + gap;
    }
}

fn describe(ui: &mut Ui, place: usize, moment: &Moment) {
    ui.strong(format!("Step {place}: {}", moment.snapshot.stop));
    let words = moment.difference.summary();
    if !words.is_empty() {
        ui.label(words);
    }
    ui.weak("Shift+click compares with it.");
}

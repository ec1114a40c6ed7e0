//! All moments on a line: what each stop changed, the heap counter over them, and the one being
//! looked at. A click or a drag goes there.

use std::sync::Arc;

use egui::{Align, Align2, Color32, Pos2, Rect, Sense, Shape, Stroke, Ui, pos2, vec2};
use pagescope_protocol::snapshot::Snapshot;

use super::timeline_layout::{Axis, Bucket, buckets, short_name};
use crate::model::Moment;
use crate::views::command::UiCommand;
use crate::views::paint;
use crate::views::scene::Scene;
use crate::views::theme;

/// The buckets of the last frame, kept while moments and width stay.
#[derive(Default)]
pub(super) struct Timeline {
    key: Option<(usize, *const Snapshot, u32)>,
    buckets: Vec<Bucket>,
}

/// How the height is shared out.
struct Lanes {
    plot: Rect,
    ticks: f32,
    line: f32,
    numbers: f32,
    names: Option<f32>,
}

impl Lanes {
    fn new(rect: Rect) -> Self {
        let names = (rect.height() >= 84.0).then(|| rect.bottom() - 8.0);
        let numbers = rect.bottom() - if names.is_some() { 23.0 } else { 8.0 };
        let line = numbers - 17.0;
        let ticks = line - 14.0;
        Self {
            plot: Rect::from_min_max(
                pos2(rect.left(), rect.top() + 6.0),
                pos2(rect.right(), (ticks - 11.0).max(rect.top() + 8.0)),
            ),
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
        if moments.is_empty() {
            let text = "Each stop of the guest becomes a moment here.";
            let font = theme::words(theme::BODY);
            ui.painter().text(
                rect.left_top(),
                Align2::LEFT_TOP,
                text,
                font,
                scene.palette.dim,
            );
            return;
        }
        let heap_words = moments
            .get(scene.state.history.cursor())
            .and_then(|moment| moment.snapshot.heap)
            .map(|heap| format!("heap counter {}", heap.counter));
        let room = heap_words.as_ref().map_or(0.0, |words| {
            paint::width(ui.painter(), words, theme::strong(12.0)) + 16.0
        });
        let axis = Axis::new(
            moments.len(),
            rect.left() + 30.0,
            rect.right() - room.max(26.0),
        );
        let newest = moments.last().map(|moment| Arc::as_ptr(&moment.snapshot));
        let key = newest.map(|newest| (moments.len(), newest, rect.width() as u32));
        if self.key != key {
            self.key = key;
            self.buckets = buckets(moments, &axis);
        }
        let lanes = Lanes::new(rect);
        let painter = ui.painter_at(rect.expand(2.0));
        let edge = Stroke::new(1.0, scene.palette.edge);
        painter.hline(rect.left()..=rect.right(), lanes.line, edge);
        self.plot(&painter, &axis, &lanes, scene);
        self.ticks(&painter, &axis, &lanes, scene);
        labels(&painter, &axis, &lanes, moments, scene);
        cursor(&painter, &axis, &lanes, heap_words, scene, rect);
        interact(ui, rect, &axis, &lanes, moments, scene, out);
    }

    /// The heap counter as steps.
    fn plot(&self, painter: &egui::Painter, axis: &Axis, lanes: &Lanes, scene: &Scene<'_>) {
        let values = || self.buckets.iter().filter_map(|bucket| bucket.heap);
        let (Some(low), Some(high)) = (values().min(), values().max()) else {
            return;
        };
        let y_of = |value: u64| {
            let part = (value - low) as f64 / ((high - low).max(1)) as f64;
            lanes.plot.bottom() - lanes.plot.height() * part as f32
        };
        let mut points: Vec<Pos2> = Vec::with_capacity(self.buckets.len() * 2);
        for bucket in &self.buckets {
            let Some(value) = bucket.heap else { continue };
            let at = pos2(axis.x_of(bucket.last), y_of(value));
            if let Some(last) = points.last() {
                points.push(pos2(at.x, last.y));
            }
            points.push(at);
        }
        painter.add(Shape::line(points, Stroke::new(1.8, scene.palette.counter)));
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
    let every = axis.label_every(34.0);
    let name_every = axis.label_every(64.0);
    let widest = name_every as f32 * axis.spacing() - 6.0;
    for place in (0..moments.len()).step_by(every) {
        // The number of the moment looked at stands in its own place, larger.
        if place != here && place.abs_diff(here) as f32 * axis.spacing() < 26.0 {
            continue;
        }
        if place != here {
            let at = pos2(axis.x_of(place), lanes.numbers);
            let font = theme::numbers(11.0);
            painter.text(
                at,
                Align2::CENTER_CENTER,
                place.to_string(),
                font,
                palette.dim,
            );
        }
    }
    let Some(names) = lanes.names else { return };
    for place in (0..moments.len()).step_by(name_every) {
        let name = short_name(&moments[place].snapshot.stop);
        let center = pos2(axis.x_of(place), names);
        let rect = Rect::from_center_size(center, vec2(widest.min(110.0), 14.0));
        let rect = rect.with_min_x(rect.left().max(painter.clip_rect().left() + 2.0));
        let font = theme::words(10.5);
        paint::line(painter, rect, Align::Center, name, font, palette.dim);
    }
}

fn cursor(
    painter: &egui::Painter,
    axis: &Axis,
    lanes: &Lanes,
    heap_words: Option<String>,
    scene: &Scene<'_>,
    rect: Rect,
) {
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
    painter.text(
        at,
        Align2::CENTER_CENTER,
        here.to_string(),
        font,
        palette.text,
    );
    if let Some(words) = heap_words {
        let font = theme::strong(12.0);
        let wide = paint::width(painter, &words, font.clone());
        let (at, align) = if x + 10.0 + wide <= rect.right() {
            (pos2(x + 10.0, rect.top() + 7.0), Align2::LEFT_CENTER)
        } else {
            (pos2(x - 10.0, rect.top() + 7.0), Align2::RIGHT_CENTER)
        };
        // On the plot's own line a patch keeps the words readable.
        let patch = align.anchor_size(at, vec2(wide + 6.0, 15.0));
        painter.rect_filled(patch, 2.0, palette.panel);
        painter.text(at, align, words, font, palette.counter);
    }
}

fn interact(
    ui: &mut Ui,
    rect: Rect,
    axis: &Axis,
    lanes: &Lanes,
    moments: &[Moment],
    scene: &Scene<'_>,
    out: &mut Vec<UiCommand>,
) {
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
    if let Some(at) = response.interact_pointer_pos()
        && (response.clicked() || response.dragged())
    {
        let place = axis.place_at(at.x);
        if place != here {
            out.push(UiCommand::Seek(place));
        }
    }
    // Moments that stand far enough apart can be named and pressed one by one.
    if axis.spacing() >= 14.0 {
        for (place, moment) in moments.iter().enumerate() {
            let center = pos2(axis.x_of(place), (lanes.line + lanes.numbers) / 2.0);
            let size = vec2((axis.spacing() - 2.0).min(30.0), 34.0);
            let area = Rect::from_center_size(center, size);
            let dot = ui.interact(area, id.with(place), Sense::click());
            dot.widget_info(|| {
                let name = format!("Step {place}: {}", moment.snapshot.stop);
                egui::WidgetInfo::selected(egui::Role::Button, true, place == here, name)
            });
            if dot.clicked() {
                out.push(UiCommand::Seek(place));
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

fn describe(ui: &mut Ui, place: usize, moment: &Moment) {
    ui.strong(format!("Step {place}: {}", moment.snapshot.stop));
    let words = moment.difference.summary();
    if !words.is_empty() {
        ui.label(words);
    }
}

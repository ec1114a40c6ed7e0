//! The line at the bottom: where the picture comes from, and the keys worth knowing.

use egui::{Align, Rect, Ui};

use super::paint;
use super::scene::Scene;
use super::theme;

/// Draws the line into `ui`.
pub fn show(ui: &mut Ui, scene: &Scene<'_>) {
    let rect = ui.available_rect_before_wrap();
    ui.advance_cursor_after_rect(rect);
    let dim = scene.palette.dim;
    let font = theme::words(theme::SMALL);
    let right = facts(scene);
    let from = source(scene);
    let response = ui.interact(rect, ui.scope_id().with("status"), egui::Sense::hover());
    response.widget_info(|| {
        egui::WidgetInfo::labeled(egui::Role::Status, true, format!("{from}, {right}"))
    });
    let painter = ui.painter();
    let wide = paint::width(painter, &right, font.clone()).min(rect.width() * 0.6);
    let place = rect.with_min_x(rect.right() - wide - 1.0);
    paint::line(painter, place, Align::Max, &right, font.clone(), dim);
    let left: Rect = rect.with_max_x(place.left() - 16.0);
    if left.width() > 40.0 {
        paint::line(painter, left, Align::Min, &from, font, dim);
    }
}

/// Where the picture comes from.
fn source(scene: &Scene<'_>) -> String {
    let state = scene.state;
    if !state.target.is_empty() {
        return state.target.clone();
    }
    let mut parts = vec![state.title.clone()];
    if let Some(snapshot) = state.snapshot() {
        let from = &snapshot.provenance;
        for part in [&from.guest, &from.machine, &from.link, &from.captured_at] {
            if !part.is_empty() {
                parts.push(part.clone());
            }
        }
    }
    parts.retain(|part| !part.is_empty());
    parts.join(" · ")
}

fn facts(scene: &Scene<'_>) -> String {
    let state = scene.state;
    let mut parts = Vec::new();
    if let Some(snapshot) = state.snapshot() {
        match (snapshot.taken.unsettled(), snapshot.taken.is_stopped()) {
            (Some(unsettled), _) => parts.push(format!("moving: {unsettled}")),
            (None, false) => parts.push("taken while it ran".into()),
            (None, true) => {}
        }
    }
    if let Some(kernel) = state
        .snapshot()
        .and_then(|snapshot| snapshot.kernel.as_ref())
    {
        parts.push(format!("{}, {}", kernel.layout, kernel.strategy));
    }
    match state.history.moments().len() {
        0 => {}
        1 => parts.push("1 step".into()),
        many => parts.push(format!("{many} steps")),
    }
    parts.push("F1 keys".into());
    parts.push("Ctrl+L address".into());
    parts.join(" · ")
}

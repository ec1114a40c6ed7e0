//! The heap counter, large enough for the back row.

use egui::{Align, CornerRadius, Rect, Sense, Stroke, StrokeKind, Ui, pos2, vec2};

use crate::model::Selection;
use crate::views::command::UiCommand;
use crate::views::paint;
use crate::views::scene::Scene;
use crate::views::theme;

/// Draws the card into `rect`.
pub(super) fn show(ui: &mut Ui, rect: Rect, scene: &Scene<'_>, out: &mut Vec<UiCommand>) {
    let palette = scene.palette;
    let response = ui.interact(rect, ui.scope_id().with("heap counter"), Sense::click());
    let heap = scene.state.snapshot().and_then(|snapshot| snapshot.heap);
    let painter = ui.painter();
    let edge = if response.hovered() && heap.is_some() {
        palette.dim
    } else {
        palette.edge
    };
    let stroke = Stroke::new(1.0, edge);
    painter.rect(
        rect,
        CornerRadius::same(6),
        palette.panel,
        stroke,
        StrokeKind::Inside,
    );
    let inner = rect.shrink2(vec2(12.0, (rect.height() * 0.12).min(6.0)));
    let is_tall = rect.height() > 70.0;
    let head = if is_tall {
        inner.with_max_y(inner.top() + 20.0)
    } else {
        inner
    };
    let small = theme::words(12.0);
    let Some(heap) = heap else {
        let text = "This guest publishes no heap counter.";
        paint::line(painter, inner, Align::Min, text, small, palette.dim);
        paint::name_canvas(&response, || text.into());
        return;
    };
    let body = if is_tall {
        paint::line(
            painter,
            head,
            Align::Min,
            "Heap counter",
            small.clone(),
            palette.dim,
        );
        if heap.freed > 0 {
            let freed = format!("{} freed and waiting", heap.freed);
            paint::line(
                painter,
                head,
                Align::Max,
                &freed,
                small.clone(),
                palette.dim,
            );
        }
        inner.with_min_y(head.bottom())
    } else {
        inner
    };
    let size = match rect.height() {
        _ if is_tall => 32.0,
        height if height < 40.0 => 18.0,
        _ => 26.0,
    };
    let number = theme::strong(size);
    let value = heap.counter.to_string();
    let shown = paint::line(painter, body, Align::Min, &value, number, palette.counter);
    let address = heap.counter_address.to_string();
    let numbers = theme::numbers(11.0);
    // Small words stand on the line that the large number stands on.
    let sink = if is_tall { 6.0 } else { 0.0 };
    let baseline = body.translate(vec2(0.0, sink));
    let wide = paint::width(painter, &address, numbers.clone());
    let words = Rect::from_min_max(
        pos2(shown.right() + 12.0, baseline.top()),
        pos2(baseline.right(), baseline.bottom()),
    );
    let full = "pages handed out";
    let short = if is_tall { "pages" } else { "heap counter" };
    let room = words.width() - wide - 10.0;
    if paint::width(painter, full, small.clone()) <= room {
        paint::line(painter, words, Align::Min, full, small, palette.dim);
        paint::line(painter, words, Align::Max, &address, numbers, palette.dim);
    } else {
        paint::line(
            painter,
            words,
            Align::Min,
            short,
            small.clone(),
            palette.dim,
        );
        if paint::width(painter, short, small) <= room {
            paint::line(painter, words, Align::Max, &address, numbers, palette.dim);
        }
    }
    paint::name_canvas(&response, || {
        format!("Heap counter {value}, pages handed out, at {address}")
    });
    if response.clicked() {
        out.push(UiCommand::Select(Selection::Physical(heap.counter_address)));
    }
    response.on_hover_ui(|ui| {
        ui.label(format!("kalloc has handed out {value} pages."));
        ui.label(format!(
            "From {} down to {}.",
            heap.top,
            heap.next.wrapping_add(4096)
        ));
        ui.label(format!("The number itself lies at {address}."));
    });
}

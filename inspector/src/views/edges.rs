//! The edges of the panels, which can be dragged; and what is said while a file is held over the window.

use egui::{Align2, CursorIcon, Rect, Sense, Stroke, Ui, pos2, vec2};

use super::command::{DeskCommand, UiCommand};
use super::scene::Scene;
use super::state::Panels;
use super::theme;

/// How wide the part is that takes the mouse.
const GRIP: f32 = 8.0;

/// Lets the edges of the detail pane and of the lower part be dragged; a double click gives back the usual size.
pub fn show(ui: &Ui, scene: &Scene<'_>, detail: Rect, bottom: Rect, out: &mut Vec<UiCommand>) {
    let panels = scene.state.desk.panels;
    let mut resize = |panels| out.push(UiCommand::Desk(DeskCommand::Resize(panels)));
    let edge = Rect::from_center_size(
        pos2(detail.left(), detail.center().y),
        vec2(GRIP, detail.height()),
    );
    let name = "Width of the detail pane";
    match drag(ui, scene, edge, name, CursorIcon::ResizeHorizontal) {
        Some(Drag::To(delta)) if delta.x != 0.0 => resize(Panels {
            detail: Some(detail.width() - delta.x),
            ..panels
        }),
        Some(Drag::Back) => resize(Panels {
            detail: None,
            ..panels
        }),
        _ => {}
    }
    let edge = Rect::from_center_size(
        pos2(bottom.center().x, bottom.top()),
        vec2(bottom.width(), GRIP),
    );
    let name = "Height of the lower part";
    match drag(ui, scene, edge, name, CursorIcon::ResizeVertical) {
        Some(Drag::To(delta)) if delta.y != 0.0 => resize(Panels {
            bottom: Some(bottom.height() - delta.y),
            ..panels
        }),
        Some(Drag::Back) => resize(Panels {
            bottom: None,
            ..panels
        }),
        _ => {}
    }
}

enum Drag {
    To(egui::Vec2),
    Back,
}

fn drag(ui: &Ui, scene: &Scene<'_>, edge: Rect, name: &str, cursor: CursorIcon) -> Option<Drag> {
    let id = ui.scope_id().with(name);
    let response = ui.interact(edge, id, Sense::click_and_drag());
    response.widget_info(|| egui::WidgetInfo::labeled(egui::Role::Splitter, true, name));
    if response.hovered() || response.dragged() {
        ui.ctx().set_cursor_icon(cursor);
        let stroke = Stroke::new(2.0, scene.palette.accent());
        let middle = edge.center();
        let painter = ui.painter();
        match edge.width() < edge.height() {
            true => painter.vline(middle.x, edge.y_range(), stroke),
            false => painter.hline(edge.x_range(), middle.y, stroke),
        };
    }
    let is_twice = response.double_clicked();
    let delta = response.drag_delta();
    if !response.dragged() {
        response.on_hover_text(format!(
            "{name}: drag it; a double click gives back the usual one"
        ));
    }
    match is_twice {
        true => Some(Drag::Back),
        false => (delta != egui::Vec2::ZERO).then_some(Drag::To(delta)),
    }
}

/// Says what happens when a file that is held over the window is let go.
pub fn drop_hint(ui: &Ui, scene: &Scene<'_>) {
    let hovered = ui.ctx().input(|input| {
        let files = &input.raw.hovered_files;
        let name = files.first().and_then(|file| {
            let name = file.path.as_ref()?.file_name()?;
            Some(name.to_string_lossy().into_owned())
        });
        (!files.is_empty()).then_some(name)
    });
    let Some(name) = hovered else { return };
    let layer = egui::LayerId::new(egui::Order::Foreground, egui::Id::unique("drop"));
    let painter = ui.ctx().layer_painter(layer);
    let all = ui.ctx().content_rect();
    painter.rect_filled(all, 0.0, scene.palette.background.gamma_multiply(0.85));
    painter.rect_stroke(
        all.shrink(12.0),
        8.0,
        Stroke::new(2.0, scene.palette.accent()),
        egui::StrokeKind::Inside,
    );
    let words = match name {
        Some(name) => format!("Let go to open {name}"),
        None => "Let go to open the file".to_owned(),
    };
    let font = theme::strong(22.0);
    painter.text(
        all.center(),
        Align2::CENTER_CENTER,
        words,
        font,
        scene.palette.text,
    );
}

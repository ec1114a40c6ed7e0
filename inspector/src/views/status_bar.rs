//! The line at the bottom: where the picture comes from, how memory is read, and the keys worth knowing.

use egui::{Align, Button, Layout, Rect, RichText, Ui, UiBuilder};

use super::command::UiCommand;
use super::paint;
use super::scene::Scene;
use super::theme;
use crate::session::{Command, Connection};

/// Draws the line into `ui`.
pub fn show(ui: &mut Ui, scene: &Scene<'_>, out: &mut Vec<UiCommand>) {
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
    if left.width() <= 40.0 {
        return;
    }
    let wide = paint::width(painter, &from, font.clone());
    paint::line(painter, left, Align::Min, &from, font, dim);
    let menu = left.with_min_x(left.left() + wide + 12.0);
    if scene.state.ways.len() > 1 && menu.width() > 60.0 {
        let line = UiBuilder::new()
            .max_rect(menu)
            .layout(Layout::left_to_right(Align::Center));
        ways(&mut ui.new_child(line), scene, out);
    }
}

/// How the guest's memory is read, with the other ways there are behind it.
fn ways(ui: &mut Ui, scene: &Scene<'_>, out: &mut Vec<UiCommand>) {
    let ways = &scene.state.ways;
    let used = ways.iter().find(|offer| offer.is_used);
    let name = used.map_or("no way".to_owned(), |offer| offer.way.to_string());
    let text = RichText::new(format!("Memory: {name} ▾")).font(theme::words(theme::SMALL));
    // The bar is lower than a button usually is.
    ui.spacing_mut().button_padding.y = 0.0;
    ui.spacing_mut().interact_size.y = 18.0;
    let menu = ui.menu_button(text, |ui| {
        ui.set_min_width(260.0);
        let can_choose = matches!(
            scene.state.connection,
            Connection::Stopped | Connection::Running
        );
        for offer in ways {
            let words = match offer.way.works_while_running() {
                true => format!("{}, also while the guest runs", offer.way),
                false => offer.way.to_string(),
            };
            let is_enabled = can_choose && offer.why_not.is_none();
            let button = Button::selectable(offer.is_used, words);
            let response = ui.add_enabled(is_enabled, button);
            let why_not = offer
                .why_not
                .as_deref()
                .unwrap_or("Another way is chosen while a guest is attached and nothing is read.");
            let response = response.on_disabled_hover_text(why_not);
            if response.clicked() {
                let command = Command::ChooseWay(offer.way);
                out.push(UiCommand::Session(command));
                ui.close();
            }
            // Beside the hover, which keyboards and screen readers do not come to.
            if let Some(why_not) = &offer.why_not {
                let why_not = RichText::new(why_not).font(theme::words(theme::SMALL));
                ui.label(why_not.color(scene.palette.dim));
            }
        }
    });
    menu.response
        .on_hover_text("How the guest's physical memory is read; press for the other ways");
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

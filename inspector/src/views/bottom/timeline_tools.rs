//! What stands over the timeline: going, playing, bookmarks, what is plotted, the list of steps.

use egui::{Button, Popup, PopupCloseBehavior, RichText, ScrollArea, TextEdit, Ui, vec2};

use crate::model::Series;
use crate::views::actions;
use crate::views::command::{TimeCommand, UiCommand};
use crate::views::scene::Scene;
use crate::views::state::SPEEDS;

/// How wide the row is with all of its buttons.
const ALL: f32 = 470.0;

/// Draws the buttons from right to left. Those that come and go stand last, so that the others stay what they are.
pub(super) fn show(ui: &mut Ui, scene: &Scene<'_>, out: &mut Vec<UiCommand>) {
    let has_room = ui.available_width() >= ALL;
    going(ui, scene, out);
    if has_room {
        speeds(ui, scene, out);
        plotted(ui, scene, out);
        bookmarks(ui, scene, out);
        list(ui, scene, out);
    } else {
        let more = ui.button("More ▾");
        menu(&more, |ui| {
            ui.set_min_width(170.0);
            list(ui, scene, out);
            bookmark_list(ui, scene, out);
            ui.separator();
            ui.weak("Plot");
            series(ui, scene, out);
            ui.separator();
            ui.weak("Speed");
            ui.horizontal(|ui| speed_list(ui, scene, out));
        });
    }
    whole(ui, scene, out);
    back(ui, has_room, scene, out);
}

/// A menu under `button` that stays open while something is typed or chosen in it.
fn menu(button: &egui::Response, content: impl FnOnce(&mut Ui)) {
    Popup::menu(button)
        .close_behavior(PopupCloseBehavior::CloseOnClickOutside)
        .show(content);
}

fn going(ui: &mut Ui, scene: &Scene<'_>, out: &mut Vec<UiCommand>) {
    let history = &scene.state.history;
    let last = history.moments().len().saturating_sub(1);
    let at = history.cursor();
    let button = |ui: &mut Ui, is_enabled: bool, sign: &str, name: &str, why_not: &str| {
        let response = ui.add_enabled(is_enabled, Button::new(sign));
        response.widget_info(|| egui::WidgetInfo::labeled(egui::Role::Button, is_enabled, name));
        let response = response.on_hover_text(actions::hint(name));
        response.on_disabled_hover_text(why_not).clicked()
    };
    if button(ui, at < last, "▶", "Later", "This is the last step.") {
        out.push(UiCommand::SeekBy(1));
    }
    let plays = scene.state.time.plays.is_some();
    let play = Button::new(if plays { "Stop" } else { "Play" });
    let play = ui.add_enabled(last > 0, play);
    if actions::explained(play, "Play", scene.state).clicked() {
        out.push(TimeCommand::Play(!plays).into());
    }
    if button(ui, at > 0, "◀", "Earlier", "This is the first step.") {
        out.push(UiCommand::SeekBy(-1));
    }
}

/// The way back to the present; in one word where there is no room for more.
fn back(ui: &mut Ui, has_room: bool, scene: &Scene<'_>, out: &mut Vec<UiCommand>) {
    let history = &scene.state.history;
    let last = history.moments().len().saturating_sub(1);
    if history.cursor() < last {
        let (name, short) = if scene.state.has_session {
            ("Back to now", "Now")
        } else {
            ("To the end", "End")
        };
        let text = if has_room { name } else { short };
        let response = ui.add(Button::new(text).fill(scene.palette.raised));
        response.widget_info(|| egui::WidgetInfo::labeled(egui::Role::Button, true, name));
        let hint = actions::hint("Back to now");
        if response.on_hover_text(hint).clicked() {
            out.push(UiCommand::Seek(last));
        }
    }
}

fn speeds(ui: &mut Ui, scene: &Scene<'_>, out: &mut Vec<UiCommand>) {
    let text = format!("{}/s ▾", scene.state.time.speed);
    let button = ui.button(text);
    let name = format!("Speed: {} steps a second", scene.state.time.speed);
    button.widget_info(|| egui::WidgetInfo::labeled(egui::Role::Button, true, &name));
    menu(&button, |ui| speed_list(ui, scene, out));
    button.on_hover_text("How many steps a second playing takes.");
}

fn speed_list(ui: &mut Ui, scene: &Scene<'_>, out: &mut Vec<UiCommand>) {
    for speed in SPEEDS {
        let is_chosen = scene.state.time.speed == speed;
        let response = ui.selectable_label(is_chosen, format!("{speed}/s"));
        response.widget_info(|| {
            let name = format!("{speed} steps a second");
            egui::WidgetInfo::selected(egui::Role::Button, true, is_chosen, name)
        });
        if response.clicked() {
            out.push(TimeCommand::Speed(speed).into());
        }
    }
}

fn plotted(ui: &mut Ui, scene: &Scene<'_>, out: &mut Vec<UiCommand>) {
    let button = ui.button("Plot ▾");
    menu(&button, |ui| series(ui, scene, out));
    button.on_hover_text("Choose the numbers that are plotted over the steps.");
}

fn series(ui: &mut Ui, scene: &Scene<'_>, out: &mut Vec<UiCommand>) {
    let plotted = &scene.state.time.plotted;
    for series in Series::of(scene.state.history.moments(), plotted) {
        let mut is_plotted = plotted.contains(&series);
        if ui.checkbox(&mut is_plotted, series.name()).changed() {
            out.push(TimeCommand::Plot(series, is_plotted).into());
        }
    }
}

fn bookmarks(ui: &mut Ui, scene: &Scene<'_>, out: &mut Vec<UiCommand>) {
    let count = scene.state.history.notebook().pages().bookmarks.len();
    let text = match count {
        0 => "Bookmarks ▾".to_owned(),
        count => format!("Bookmarks {count} ▾"),
    };
    let button = ui.button(text);
    menu(&button, |ui| bookmark_list(ui, scene, out));
    button.on_hover_text("Steps that have names.");
}

fn bookmark_list(ui: &mut Ui, scene: &Scene<'_>, out: &mut Vec<UiCommand>) {
    let history = &scene.state.history;
    let pages = history.notebook().pages();
    let here = history.current().map(|moment| moment.id);
    let is_set = here.is_some_and(|here| pages.bookmarks.contains_key(&here));
    let words = match is_set {
        true => "Take the bookmark away",
        false => "Bookmark this step",
    };
    let set = ui.add_enabled(here.is_some(), Button::new(words));
    if actions::explained(set, "Bookmark", scene.state).clicked() {
        out.push(TimeCommand::Bookmark.into());
    }
    if pages.bookmarks.is_empty() {
        ui.weak("No step has one yet.");
        return;
    }
    ScrollArea::vertical().max_height(260.0).show(ui, |ui| {
        for (id, name) in &pages.bookmarks {
            let Some(place) = history.place_of(*id) else {
                continue;
            };
            ui.horizontal(|ui| {
                let go = ui.add(Button::new(format!("Step {place}")).min_size(vec2(64.0, 0.0)));
                go.widget_info(|| {
                    let name = format!("Go to bookmark {name}, step {place}");
                    egui::WidgetInfo::labeled(egui::Role::Button, true, name)
                });
                if go.clicked() {
                    out.push(UiCommand::Seek(place));
                }
                rename(ui, *id, name, place, out);
                let drop = ui.button("×");
                let words = format!("Take away bookmark {name}");
                drop.widget_info(|| egui::WidgetInfo::labeled(egui::Role::Button, true, &words));
                if drop.on_hover_text("Take it away").clicked() {
                    out.push(TimeCommand::DropBookmark(*id).into());
                }
            });
        }
    });
}

/// The bookmark's name, to be typed over; it counts when the box is left.
fn rename(
    ui: &mut Ui,
    id: crate::model::MomentId,
    name: &str,
    place: usize,
    out: &mut Vec<UiCommand>,
) {
    let key = ui.scope_id().with(("bookmark", id));
    let mut typed: String = ui
        .data(|data| data.get_temp(key))
        .unwrap_or_else(|| name.to_owned());
    let response = ui.add(TextEdit::singleline(&mut typed).desired_width(170.0));
    response.widget_info(|| {
        let name = format!("Name of the bookmark on step {place}");
        egui::WidgetInfo::labeled(egui::Role::TextInput, true, name)
    });
    if response.has_focus() {
        ui.data_mut(|data| data.insert_temp(key, typed));
    } else if response.lost_focus() {
        ui.data_mut(|data| data.remove_temp::<String>(key));
        if typed != name {
            out.push(TimeCommand::NameBookmark(id, typed).into());
        }
    }
}

fn list(ui: &mut Ui, scene: &Scene<'_>, out: &mut Vec<UiCommand>) {
    let is_list = scene.state.time.is_list;
    let response = ui.add(Button::new(if is_list { "Line" } else { "Steps" }));
    let hint = actions::hint("List of steps");
    if response.on_hover_text(hint).clicked() {
        out.push(TimeCommand::List(!is_list).into());
    }
}

/// The way back from a part of the axis to all of it.
fn whole(ui: &mut Ui, scene: &Scene<'_>, out: &mut Vec<UiCommand>) {
    if scene.state.time.span.is_some() {
        let text = RichText::new("All steps");
        let hint = actions::hint("All of the timeline");
        if ui.button(text).on_hover_text(hint).clicked() {
            out.push(TimeCommand::Span(None).into());
        }
    }
}

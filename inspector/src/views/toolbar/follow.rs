//! Following a running guest: the switch, its rate, and how it goes.

use egui::{Button, Color32, RichText, Ui};

use crate::session::{Connection, Rate};
use crate::views::command::UiCommand;
use crate::views::scene::Scene;
use crate::views::theme::{self, Palette};

/// The rates that the menu offers, in hertz.
const RATES: [u32; 6] = [1, 2, 5, 10, 30, 60];

/// The state's colour and words while a guest is followed: `LIVE 10 Hz · 2 torn`.
pub(super) fn words(scene: &Scene<'_>) -> (Color32, String) {
    let follow = &scene.state.follow;
    let mut words = match follow.measured_hz {
        hz if hz <= 0.0 => "LIVE".to_owned(),
        hz if hz < 9.95 => format!("LIVE {hz:.1} Hz"),
        hz => format!("LIVE {hz:.0} Hz"),
    };
    if follow.torn > 0 {
        words.push_str(&format!(" · {} torn", follow.torn));
    }
    (scene.palette.data, words)
}

/// The same at length.
pub(super) fn explained(scene: &Scene<'_>) -> String {
    let follow = &scene.state.follow;
    let asked = follow.rate.unwrap_or_default();
    format!(
        "The guest runs, and is looked at {:.1} times a second ({asked} asked for). Each look reads twice. \
         At {} of {} looks something was still moving after several readings; that is drawn as moving, \
         not as true.",
        follow.measured_hz, follow.torn, follow.looks
    )
}

/// The switch and the rate.
pub(super) fn control(ui: &mut Ui, scene: &Scene<'_>, out: &mut Vec<UiCommand>) {
    let state = scene.state;
    let is_on = state.follow.rate.is_some();
    let is_enabled = state.has_session && state.connection.is_attached();
    let key = RichText::new("F")
        .font(theme::numbers(10.0))
        .color(Palette::of(ui).dim);
    let button = Button::new("Follow").right_text(key).selected(is_on);
    let response = ui.add_enabled(is_enabled, button);
    response.widget_info(|| {
        egui::WidgetInfo::selected(egui::Role::Button, is_enabled, is_on, "Follow")
    });
    let hover = match (&state.follow.why_not, &state.connection) {
        (Some(why), _) => why.clone(),
        (None, _) if is_on => "Look no more; the guest runs on. (F)".to_owned(),
        (None, Connection::Running) => "Look at the guest while it runs. (F)".to_owned(),
        (None, _) => "Let all harts run, and look at the guest while it does. (F)".to_owned(),
    };
    let response = response
        .on_hover_text(hover)
        .on_disabled_hover_text("There is no guest to follow.");
    if response.clicked() {
        out.push(UiCommand::ToggleFollow);
    }
    let rate = state.follow.rate.unwrap_or(state.follow_rate);
    let menu = ui.menu_button(RichText::new(rate.to_string()).size(theme::SMALL), |ui| {
        for rate_of in RATES.into_iter().filter_map(Rate::from_hz) {
            let name = format!("{} times a second", rate_of.hz());
            if ui.radio(rate_of == rate, name).clicked() {
                out.push(UiCommand::FollowRate(rate_of));
                ui.close();
            }
        }
    });
    let name = format!("How often to look, {rate}");
    menu.response
        .widget_info(|| egui::WidgetInfo::labeled(egui::Role::Button, true, name.clone()));
    menu.response
        .on_hover_text("How often a running guest is looked at");
}

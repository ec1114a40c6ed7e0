//! The buttons over the tables: back and forward through selections, all of each map, ribbons.

use egui::{Align, Button, Layout, Rect, RichText, Ui, UiBuilder, vec2};

use crate::views::actions;
use crate::views::command::UiCommand;
use crate::views::scene::Scene;

/// What each button shows, and the action that it is.
const BUTTONS: [(&str, &str); 4] = [
    ("Ribbons", "Ribbons"),
    ("Fit", "Fit maps"),
    ("▶", "Forward"),
    ("◀", "Back"),
];

/// Draws them at the right of the head of `rect`; how wide they are.
pub(super) fn show(ui: &mut Ui, rect: Rect, scene: &Scene<'_>, out: &mut Vec<UiCommand>) -> f32 {
    let head = rect.with_max_y(rect.top() + 24.0);
    let mut child = ui.new_child(
        UiBuilder::new()
            .max_rect(head)
            .id_salt("map tools")
            .layout(Layout::right_to_left(Align::Center)),
    );
    child.spacing_mut().item_spacing.x = 3.0;
    child.spacing_mut().button_padding = vec2(5.0, 1.0);
    child.spacing_mut().interact_size.y = 20.0;
    let is_narrow = rect.width() < 330.0;
    for (shown, name) in BUTTONS {
        let shown = match shown {
            "Ribbons" if is_narrow => "∞",
            shown => shown,
        };
        let Some(action) = actions::named(name) else {
            continue;
        };
        let why_not = (action.why_not)(scene.state);
        let is_on = name == "Ribbons" && scene.state.look.shows_all_ribbons;
        let button = Button::new(RichText::new(shown).size(11.0)).selected(is_on);
        let response = child.add_enabled(why_not.is_none(), button);
        let is_enabled = why_not.is_none();
        response.widget_info(|| {
            egui::WidgetInfo::selected(egui::Role::Button, is_enabled, is_on, name)
        });
        if response.clicked() {
            out.push((action.command)(scene.state));
        }
        response
            .on_hover_text(actions::hint(name))
            .on_disabled_hover_text(why_not.unwrap_or_default());
    }
    rect.right() - child.min_rect().left()
}

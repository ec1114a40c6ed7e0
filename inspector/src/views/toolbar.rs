//! The bar at the top: what the guest is doing, what is being looked at, and what can be done.

use super::address_box::AddressBox;
use super::command::{FilePurpose, UiCommand};
use super::scene::Scene;
use super::theme::{self, Palette};
use super::{actions, export_picture};
use crate::session::{Command, Connection};
use egui::{
    Align, Button, ComboBox, DragValue, Layout, RichText, ThemePreference, Ui, UiBuilder, vec2,
};

mod follow;
mod spaces;

use spaces::space_chooser;

/// Below this width the bar has two rows.
const TWO_ROWS: f32 = 1640.0;
/// What stands left of the address box where there is one row.
const LEFT: f32 = 1262.0;
/// Room for `LIVE 9.9 Hz · 1234 torn`.
const FOLLOWED: f32 = 160.0;
const ROW: f32 = 46.0;
const SECOND: f32 = 36.0;

/// What the bar keeps from frame to frame.
#[derive(Default)]
pub struct Toolbar {
    address: AddressBox,
}

/// The bar's height at this width.
pub fn height(width: f32) -> f32 {
    if width < TWO_ROWS { ROW + SECOND } else { ROW }
}

impl Toolbar {
    /// Puts the keyboard into the address box in the next frame.
    pub fn focus_address(&mut self) {
        self.address.focus();
    }

    /// Draws the bar into `ui`.
    pub fn show(&mut self, ui: &mut Ui, scene: &Scene<'_>, out: &mut Vec<UiCommand>) {
        let all = ui.available_rect_before_wrap();
        ui.advance_cursor_after_rect(all);
        // The panel's width is known to whoever gave it its height; ours is less by its margins.
        let has_two_rows = all.height() > ROW;
        let first = all.with_max_y(all.top() + ROW);
        let line = |rect| {
            UiBuilder::new()
                .max_rect(rect)
                .layout(Layout::left_to_right(Align::Center))
        };
        let mut right = ui.new_child(
            UiBuilder::new()
                .max_rect(first)
                .layout(Layout::right_to_left(Align::Center)),
        );
        right.spacing_mut().item_spacing.x = 6.0;
        self.view_menu(&mut right, scene, out);
        file_menu(&mut right, scene, out);
        let menus = first.right() - right.min_rect().left();
        let room = if has_two_rows {
            all.width() - 420.0 - menus
        } else {
            all.width() - LEFT - menus - 28.0
        };
        let box_width = room.clamp(160.0, 320.0);
        self.address.show(&mut right, box_width, scene, out);
        let left_end = right.min_rect().left() - 12.0;
        let mut left = ui.new_child(line(first.with_max_x(left_end)));
        left.spacing_mut().item_spacing.x = 6.0;
        left.label(RichText::new("Pagescope").font(theme::strong(15.0)));
        left.add_space(8.0);
        let words_width = if has_two_rows {
            left.available_width() - 100.0
        } else {
            190.0
        };
        connection(&mut left, words_width, scene, out);
        if has_two_rows {
            let second = all
                .with_min_y(first.bottom() - 4.0)
                .with_max_y(all.bottom() - 4.0);
            let mut row = ui.new_child(line(second));
            row.spacing_mut().item_spacing.x = 6.0;
            choosers(&mut row, scene, out);
            row.add_space(6.0);
            controls(&mut row, scene, out);
        } else {
            left.add_space(4.0);
            choosers(&mut left, scene, out);
            left.add_space(6.0);
            controls(&mut left, scene, out);
        }
    }

    fn view_menu(&self, ui: &mut Ui, scene: &Scene<'_>, out: &mut Vec<UiCommand>) {
        ui.menu_button("View ▾", |ui| {
            let chosen = ui.ctx().options(|options| options.theme_preference);
            for (name, preference) in [
                ("Theme: as the system", ThemePreference::System),
                ("Theme: dark, for desks", ThemePreference::Dark),
                ("Theme: light, for projectors", ThemePreference::Light),
            ] {
                if ui.radio(chosen == preference, name).clicked() {
                    out.push(UiCommand::Theme(preference));
                    ui.close();
                }
            }
            ui.separator();
            for (name, keys, by) in [
                ("Larger", "Ctrl +", 1),
                ("Smaller", "Ctrl −", -1),
                ("As it was", "Ctrl 0", 0),
            ] {
                if ui.add(Button::new(name).shortcut_text(keys)).clicked() {
                    out.push(UiCommand::Zoom(by));
                }
            }
            ui.separator();
            spaces::compare_menu(ui, scene, out);
            actions::menu_line(ui, "Keys", scene.state, out);
        });
    }
}

fn file_menu(ui: &mut Ui, scene: &Scene<'_>, out: &mut Vec<UiCommand>) {
    ui.menu_button("File ▾", |ui| {
        for name in ["Open…", "Save snapshot…", "Save recording…", "Close"] {
            actions::menu_line(ui, name, scene.state, out);
        }
        let recent = &scene.state.desk.recent;
        if recent.is_empty() {
            return;
        }
        ui.separator();
        ui.label(RichText::new("Open again").color(scene.palette.dim));
        for path in recent {
            let (name, _) = super::first_run::shown(path);
            let button = ui.button(name);
            if button.on_hover_text(path.display().to_string()).clicked() {
                out.push(UiCommand::File(FilePurpose::Open, path.clone()));
                ui.close();
            }
        }
        ui.separator();
        export_picture::menu(ui, scene, out);
    });
}

/// The state's sign colour and its words, in one line.
pub fn connection_words(scene: &Scene<'_>) -> (egui::Color32, String) {
    let palette = scene.palette;
    match &scene.state.connection {
        Connection::None if scene.state.snapshot().is_none() => {
            (palette.dim, "nothing is open".into())
        }
        Connection::None => (palette.dim, "file: read only".into()),
        Connection::Connecting { what } if what.is_empty() => (
            palette.level(pagescope_protocol::Level::L1),
            "connecting…".into(),
        ),
        Connection::Connecting { what } => {
            (palette.level(pagescope_protocol::Level::L1), what.clone())
        }
        Connection::Stopped => (palette.counter, stopped_words(scene)),
        Connection::Dump => (palette.dim, "a dump: it stands still".into()),
        Connection::Running if scene.state.is_followed() => follow::words(scene),
        Connection::Running => (palette.data, "running".into()),
        Connection::Busy { what } => (palette.level(pagescope_protocol::Level::L1), what.clone()),
        Connection::Lost { why } => (palette.danger, format!("lost: {why}")),
        Connection::Detached => (palette.dim, "detached, the guest goes on".into()),
    }
}

fn stopped_words(scene: &Scene<'_>) -> String {
    let last = scene.state.history.moments().last();
    let stop = last.map_or("", |moment| moment.snapshot.stop.as_str());
    match stop.split_once(" →") {
        Some((call, _)) => match call.split_once('(') {
            Some((symbol, _)) => format!("stopped at {} return", symbol.trim()),
            None => "stopped".into(),
        },
        None if stop.ends_with(") returned") => {
            let symbol = stop.split('(').next().unwrap_or_default();
            format!("stopped at {symbol} return")
        }
        None if stop.contains(" written by ") => {
            let entry = stop.split(" of ").next().unwrap_or_default();
            format!("stopped: {entry} written")
        }
        None => "stopped".into(),
    }
}

fn connection(ui: &mut Ui, width: f32, scene: &Scene<'_>, out: &mut Vec<UiCommand>) {
    let (color, words) = connection_words(scene);
    let (dot, _) = ui.allocate_exact_size(vec2(10.0, 10.0), egui::Sense::hover());
    ui.painter().circle_filled(dot.center(), 4.5, color);
    // While there is no picture, its place says all this and has the button.
    let has_picture = scene.state.snapshot().is_some();
    let has_button = match scene.state.connection {
        Connection::Busy { .. } => true,
        Connection::Connecting { .. } | Connection::Detached => has_picture,
        _ => false,
    } && scene.state.has_session;
    let room = (if has_button { width - 84.0 } else { width }).max(40.0);
    ui.scope(|ui| {
        ui.set_max_width(room);
        if scene.state.is_followed() {
            // The numbers change many times a second; what stands beside them stays where it is.
            ui.set_min_width(room.min(FOLLOWED));
        }
        let label = egui::Label::new(RichText::new(&words)).truncate();
        let hover = match scene.state.is_followed() {
            true => follow::explained(scene),
            false => words.clone(),
        };
        ui.add(label).on_hover_text(hover);
    });
    if !has_button {
        return;
    }
    if matches!(scene.state.connection, Connection::Detached) {
        if ui.button("Reconnect").clicked() {
            out.push(UiCommand::Session(Command::Reconnect));
        }
    } else if ui.button("Cancel").clicked() {
        out.push(UiCommand::Cancel);
    }
}

fn choosers(ui: &mut Ui, scene: &Scene<'_>, out: &mut Vec<UiCommand>) {
    let Some(snapshot) = scene.state.snapshot() else {
        return;
    };
    let dim = scene.palette.dim;
    if let Some(hart) = scene.state.hart() {
        // A space in which none runs is looked at without one.
        let has_hart = scene
            .state
            .space()
            .is_none_or(|space| !space.harts.is_empty());
        let shown = match has_hart {
            true => format!("hart {}", hart.id),
            false => "no hart".into(),
        };
        let combo = ComboBox::new("hart", "").width(74.0).selected_text(&shown);
        let response = combo.show_ui(ui, |ui| {
            for other in &snapshot.harts {
                let mut name = format!("hart {}", other.id);
                if let Some(mode) = &other.privilege {
                    name.push_str(&format!("  {mode}-mode"));
                }
                if ui
                    .selectable_label(has_hart && other.id == hart.id, name)
                    .clicked()
                {
                    out.push(UiCommand::ChooseHart(other.id));
                }
            }
        });
        response.response.widget_info(|| {
            egui::WidgetInfo::labeled(egui::Role::ComboBox, true, format!("Hart, {shown}"))
        });
        let hover = match has_hart {
            true => "The hart to look at and to step".to_owned(),
            false => format!(
                "No hart runs in this space; hart {} is the one to step",
                hart.id
            ),
        };
        response.response.on_hover_text(hover);
    }
    let Some(space) = scene.state.space() else {
        ui.label(RichText::new("no address space").color(dim));
        return;
    };
    space_chooser(ui, space, scene, out);
}

fn controls(ui: &mut Ui, scene: &Scene<'_>, out: &mut Vec<UiCommand>) {
    let state = scene.state;
    // Below this, buttons say their keys only when the mouse rests on them.
    let has_keys = ui.available_width() > 660.0;
    let button = |ui: &mut Ui, name: &'static str, out: &mut Vec<UiCommand>| {
        let Some(action) = actions::named(name) else {
            return;
        };
        let refused = (action.why_not)(state);
        let is_enabled = refused.is_none() && state.has_session;
        let mut shown = Button::new(name);
        if has_keys {
            let key = RichText::new(action.keys_text())
                .font(theme::numbers(10.0))
                .color(Palette::of(ui).dim);
            shown = shown.right_text(key);
        }
        let response = ui.add_enabled(is_enabled, shown);
        response.widget_info(|| egui::WidgetInfo::labeled(egui::Role::Button, is_enabled, name));
        let response = response.on_hover_text(actions::hint(name));
        if response
            .on_disabled_hover_text(refused.unwrap_or_else(|| why_not(scene)))
            .clicked()
        {
            out.push((action.command)(state));
        }
    };
    button(ui, "Run", out);
    button(ui, "Pause", out);
    follow::control(ui, scene, out);
    button(ui, "Step", out);
    step_call(ui, has_keys, scene, out);
    button(ui, "Next table change", out);
    step_count(ui, scene, out);
    steps_menu(ui, scene, out);
}

/// How often a step is taken.
fn step_count(ui: &mut Ui, scene: &Scene<'_>, out: &mut Vec<UiCommand>) {
    let state = scene.state;
    let mut count = state.step_count;
    let drag = DragValue::new(&mut count)
        .range(1..=10_000)
        .prefix("×")
        .speed(0.1);
    let response = ui.add_enabled(state.has_session, drag);
    response.widget_info(|| {
        egui::WidgetInfo::labeled(
            egui::Role::SpinButton,
            state.has_session,
            "Calls in one step",
        )
    });
    if response
        .on_hover_text("How many calls, or changes of tables, one step takes")
        .on_disabled_hover_text(why_not(scene))
        .changed()
    {
        out.push(UiCommand::StepCount(count));
    }
}

/// The other ways to step.
fn steps_menu(ui: &mut Ui, scene: &Scene<'_>, out: &mut Vec<UiCommand>) {
    let state = scene.state;
    let menu = ui.menu_button("▾", |ui| {
        ui.set_min_width(220.0);
        for name in [
            "Step",
            "Step kalloc",
            "Step kfree",
            "Next table change",
            "Run until…",
            "Look again",
        ] {
            actions::menu_line(ui, name, state, out);
        }
    });
    menu.response
        .widget_info(|| egui::WidgetInfo::labeled(egui::Role::Button, true, "More ways to step"));
    menu.response.on_hover_text("More ways to step");
}

/// The one action that matters.
fn step_call(ui: &mut Ui, has_keys: bool, scene: &Scene<'_>, out: &mut Vec<UiCommand>) {
    let state = scene.state;
    let palette = scene.palette;
    let is_enabled = state.can_step() && state.step_symbol.is_some();
    let symbol = state.step_symbol.as_deref().unwrap_or("kalloc");
    let name = format!("Step {}", shortened(symbol));
    let (fill, ink) = if is_enabled {
        (palette.accent(), palette.on_accent)
    } else {
        (palette.raised, palette.text)
    };
    let text = RichText::new(&name)
        .font(theme::strong(theme::BODY))
        .color(ink);
    let key = RichText::new("F8").font(theme::numbers(10.0)).color(ink);
    let mut button = Button::new(text).fill(fill);
    if has_keys {
        button = button.right_text(key);
    }
    let response = ui.add_enabled(is_enabled, button);
    response.widget_info(|| egui::WidgetInfo::labeled(egui::Role::Button, is_enabled, &name));
    let why_not = if state.can_step() {
        "No function to step is known: attach with --elf FILE.".to_owned()
    } else {
        why_not(scene)
    };
    let response = response
        .on_hover_text(format!(
            "Run to the next return of {symbol}, on whichever hart. (F8)"
        ))
        .on_disabled_hover_text(why_not);
    if response.clicked() {
        out.push(UiCommand::StepCall);
    }
}

fn shortened(symbol: &str) -> String {
    let last = symbol.rsplit("::").next().unwrap_or(symbol);
    if last.chars().count() <= 20 {
        last.to_owned()
    } else {
        let head: String = last.chars().take(19).collect();
        format!("{head}…")
    }
}

/// Why the guest cannot be stepped now.
fn why_not(scene: &Scene<'_>) -> String {
    actions::guest_why_not(scene.state).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    #[test]
    fn long_symbols_are_shortened() {
        assert_eq!(super::shortened("kernel::heap::kalloc"), "kalloc");
        let long = super::shortened("a_function_with_a_very_long_name");
        assert_eq!(long.chars().count(), 20);
    }
}

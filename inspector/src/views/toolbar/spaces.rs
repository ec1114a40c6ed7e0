//! The choice of the space to look at, and of one to compare it with.

use egui::{ComboBox, RichText, Ui};
use pagescope_protocol::TranslationMode;
use pagescope_protocol::snapshot::{Space, SpaceKind};

use crate::session::Command;
use crate::views::actions;
use crate::views::command::UiCommand;
use crate::views::scene::Scene;
use crate::views::theme;

/// The list of spaces, the one being looked at on top of it.
pub(super) fn space_chooser(
    ui: &mut Ui,
    shown: &Space,
    scene: &Scene<'_>,
    out: &mut Vec<UiCommand>,
) {
    let text = RichText::new(&shown.name).font(theme::words(theme::BODY));
    let combo = ComboBox::new("space", "")
        .width(158.0)
        .height(420.0)
        .truncate()
        .selected_text(text);
    let response = combo.show_ui(ui, |ui| {
        ui.set_min_width(300.0);
        for space in sorted(scene) {
            let is_shown = space.name == shown.name;
            let words = RichText::new(facts(space))
                .font(theme::numbers(10.5))
                .color(scene.palette.dim);
            let label = egui::Button::selectable(is_shown, sign(space)).right_text(words);
            let response = ui.add(label);
            let name = format!("{}, {}", space.name, running(space));
            response.widget_info(|| {
                egui::WidgetInfo::selected(egui::Role::Button, true, is_shown, &name)
            });
            if response.clicked() {
                out.push(UiCommand::ChooseSpace(space.name.clone()));
                ui.close();
            }
        }
        ui.separator();
        compare_menu(ui, scene, out);
        found_spaces(ui, scene, out);
    });
    let hover = format!(
        "The address space to look at. {}: {}, {}",
        shown.name,
        running(shown),
        facts(shown)
    );
    response.response.widget_info(|| {
        let name = format!("Address space, {}", shown.name);
        egui::WidgetInfo::labeled(egui::Role::ComboBox, true, name)
    });
    response.response.on_hover_text(hover);
}

/// Most finds that are listed: those after them are hardly any.
const MOST_FOUND: usize = 40;

/// A scan of RAM for root tables, and what it found: the likeliest first, why on hover.
fn found_spaces(ui: &mut Ui, scene: &Scene<'_>, out: &mut Vec<UiCommand>) {
    let find = egui::Button::new("Find spaces…");
    let response = ui.add_enabled(scene.state.can_step(), find);
    let response = actions::explained(response, "Find spaces…", scene.state);
    if response.clicked() {
        out.push(UiCommand::Session(Command::FindSpaces));
        ui.close();
    }
    for found in scene.state.found.iter().take(MOST_FOUND) {
        let text = format!("root {}", found.root);
        let words = RichText::new(format!("{}  {}", found.mode, found.score))
            .font(theme::numbers(10.5))
            .color(scene.palette.dim);
        let response = ui.add_enabled(
            scene.state.can_step(),
            egui::Button::new(&text).right_text(words),
        );
        let evidence: Vec<String> = found.evidence.iter().map(ToString::to_string).collect();
        let response = response
            .on_hover_text(evidence.join("\n"))
            .on_disabled_hover_text("The guest has to stand still for it.");
        if response.clicked() {
            let (mode, root) = (found.mode, found.root);
            out.push(UiCommand::Session(Command::WalkRoot { mode, root }));
            let spaces = scene.state.snapshot().map(|snapshot| &snapshot.spaces);
            let known = spaces.and_then(|spaces| {
                spaces
                    .iter()
                    .find(|space| space.root == root && space.mode == mode)
            });
            let name = known.map_or(text, |space| space.name.clone());
            out.push(UiCommand::ChooseSpace(name));
            ui.close();
        }
    }
}

/// The spaces that the one being looked at can be compared with.
pub(super) fn compare_menu(ui: &mut Ui, scene: &Scene<'_>, out: &mut Vec<UiCommand>) {
    let Some(shown) = scene.state.space() else {
        return;
    };
    let others: Vec<&Space> = sorted(scene)
        .into_iter()
        .filter(|space| space.name != shown.name)
        .collect();
    if others.is_empty() {
        ui.add_enabled(false, egui::Button::new("Compare with…"))
            .on_disabled_hover_text("There is one address space alone.");
        return;
    }
    ui.menu_button("Compare with…", |ui| {
        for space in others {
            if ui.button(&space.name).clicked() {
                out.push(UiCommand::Compare(Some(space.name.clone())));
                ui.close();
            }
        }
    });
}

/// The spaces by whose they are, then by number.
fn sorted<'a>(scene: &Scene<'a>) -> Vec<&'a Space> {
    let spaces = scene.state.snapshot().into_iter();
    let mut spaces: Vec<&Space> = spaces.flat_map(|snapshot| &snapshot.spaces).collect();
    spaces.sort_by_key(|space| {
        let rank = match space.kind {
            Some(SpaceKind::Kernel) => 0,
            Some(SpaceKind::Hart) | None => 1,
            Some(SpaceKind::Process) => 2,
            Some(SpaceKind::Guest) => 3,
            Some(SpaceKind::GuestPhysical) => 4,
            Some(SpaceKind::Other) => 5,
            Some(SpaceKind::Seen) => 6,
            Some(SpaceKind::Found) => 7,
        };
        let hart = space.harts.first().copied().map(u64::from);
        (rank, space.number.or(hart))
    });
    spaces
}

/// A space's name, with a sign where a hart runs in it.
fn sign(space: &Space) -> String {
    match space.harts.as_slice() {
        [] => format!("○ {}", space.name),
        _ => format!("● {}", space.name),
    }
}

/// Who runs in it.
fn running(space: &Space) -> String {
    match space.harts.as_slice() {
        [] => "no hart now".into(),
        [one] => format!("hart {one} runs in it"),
        several => {
            let numbers: Vec<String> = several.iter().map(u32::to_string).collect();
            format!("harts {} run in it", numbers.join(", "))
        }
    }
}

fn facts(space: &Space) -> String {
    let harts: Vec<String> = space.harts.iter().map(u32::to_string).collect();
    let harts = match harts.len() {
        0 => String::new(),
        _ => format!("hart {}  ", harts.join(", ")),
    };
    match space.mode {
        TranslationMode::Bare => format!("{harts}Bare, no tables"),
        mode => match &space.through {
            Some(stage) => format!("{harts}{mode}, through {stage}"),
            None => format!("{harts}{} {mode}", space.root),
        },
    }
}

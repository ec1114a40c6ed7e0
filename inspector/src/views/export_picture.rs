//! The question what picture is wanted: which view, how large, light or dark.

use egui::{Button, ComboBox, DragValue, Grid, Ui, vec2};

use super::command::{FilePurpose, GuestCommand, UiCommand};
use super::dialog::{dialog, remark};
use super::scene::Scene;
use super::{ViewPart, actions};
use crate::export::png::SIDE_LIMIT;
use crate::export::view::Picture;

/// Sizes that slides have.
const SIZES: [(&str, [u32; 2]); 4] = [
    ("1920 × 1080, a slide", [1920, 1080]),
    ("3840 × 2160, a large screen", [3840, 2160]),
    ("1280 × 720", [1280, 720]),
    ("1600 × 1200, 4:3", [1600, 1200]),
];

/// The question, and whether it was there in the frame before.
#[derive(Default)]
pub struct ExportPicture {
    is_shown: bool,
}

impl ExportPicture {
    /// Shows the question, where it is asked.
    pub fn show(&mut self, ui: &mut Ui, scene: &Scene<'_>, out: &mut Vec<UiCommand>) {
        let is_asked = scene.state.guest.asks_picture;
        let was_shown = std::mem::replace(&mut self.is_shown, is_asked);
        let is_new = is_asked && !was_shown;
        if is_asked {
            question(ui, scene, is_new, out);
        }
    }
}

fn question(ui: &mut Ui, scene: &Scene<'_>, is_new: bool, out: &mut Vec<UiCommand>) {
    let guest = &scene.state.guest;
    let mut picture = guest.picture;
    let is_open = dialog(ui.ctx(), "Export picture", 400.0, |ui| {
        Grid::new("export picture")
            .num_columns(2)
            .spacing(vec2(14.0, 9.0))
            .show(ui, |ui| fields(ui, &mut picture));
        let words = "The moment and the selection that are shown now. SVG stays sharp at any size.";
        remark(ui, words, scene);
        ui.horizontal(|ui| {
            for (name, purpose) in [
                ("Save as SVG…", FilePurpose::ExportSvg),
                ("Save as PNG…", FilePurpose::ExportPng),
            ] {
                let button = ui.add(Button::new(name));
                if is_new && purpose == FilePurpose::ExportSvg {
                    button.request_focus();
                }
                if button.clicked() {
                    out.push(UiCommand::Guest(GuestCommand::Export(purpose)));
                }
            }
            if ui.button("Not now").clicked() {
                out.push(UiCommand::Guest(GuestCommand::ToggleExport));
            }
        });
    });
    if picture != guest.picture {
        // Before what was pressed with it.
        out.insert(0, UiCommand::Guest(GuestCommand::SetPicture(picture)));
    }
    if !is_open {
        out.push(UiCommand::Guest(GuestCommand::ToggleExport));
    }
}

fn fields(ui: &mut Ui, picture: &mut Picture) {
    let named = |response: &egui::Response, name: String| {
        response.widget_info(|| egui::WidgetInfo::labeled(egui::Role::ComboBox, true, &name));
    };
    ui.label("View");
    let combo = ComboBox::new("picture of", "")
        .width(220.0)
        .selected_text(picture.part.title());
    let shown = combo.show_ui(ui, |ui| {
        for part in ViewPart::ALL {
            ui.selectable_value(&mut picture.part, part, part.title());
        }
    });
    named(&shown.response, format!("View, {}", picture.part.title()));
    ui.end_row();
    ui.label("Colours");
    ui.horizontal(|ui| {
        ui.radio_value(&mut picture.is_dark, false, "Light, for projectors");
        ui.radio_value(&mut picture.is_dark, true, "Dark");
    });
    ui.end_row();
    ui.label("Size");
    let known = SIZES.iter().find(|(_, size)| *size == picture.size);
    let words = match known {
        Some((name, _)) => (*name).to_owned(),
        None => format!("{} × {}", picture.size[0], picture.size[1]),
    };
    let combo = ComboBox::new("picture size", "")
        .width(220.0)
        .selected_text(&words);
    let shown = combo.show_ui(ui, |ui| {
        for (name, size) in SIZES {
            ui.selectable_value(&mut picture.size, size, name);
        }
    });
    named(&shown.response, format!("Size, {words}"));
    ui.end_row();
    ui.label("");
    ui.horizontal(|ui| {
        for (side, name) in picture.size.iter_mut().zip(["Width", "Height"]) {
            let drag = ui.add(DragValue::new(side).range(16..=SIDE_LIMIT));
            drag.widget_info(|| egui::WidgetInfo::labeled(egui::Role::SpinButton, true, name));
        }
        ui.label("pixels");
    });
    ui.end_row();
    ui.label("Everything");
    ui.horizontal(|ui| {
        let drag = DragValue::new(&mut picture.scale)
            .range(0.5..=4.0)
            .speed(0.05)
            .suffix("×");
        let drag = ui.add(drag);
        drag.widget_info(|| egui::WidgetInfo::labeled(egui::Role::SpinButton, true, "Scale"));
        ui.label("as large as in the window");
    });
    ui.end_row();
}

/// The lines of the File menu.
pub fn menu(ui: &mut Ui, scene: &Scene<'_>, out: &mut Vec<UiCommand>) {
    for name in [
        "Export picture…",
        "Export text…",
        "Export schematic…",
        "Copy as text",
    ] {
        actions::menu_line(ui, name, scene.state, out);
    }
}

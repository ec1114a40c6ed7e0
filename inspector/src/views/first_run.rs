//! The first screen: what Pagescope can be begun with. The demo, a guest that runs, a file.

use std::path::Path;

use egui::{
    Align, Button, Frame, Key, Label, Layout, Margin, RichText, ScrollArea, TextEdit, Ui, vec2,
};

use super::actions;
use super::command::{DeskCommand, FilePurpose, UiCommand};
use super::scene::Scene;
use super::theme;
use crate::session::ours::OURS;

/// Narrower than this the two columns stand below each other.
const TWO_COLUMNS: f32 = 820.0;
/// The width of everything.
const WIDTH: f32 = 980.0;

/// What is being typed.
#[derive(Default)]
pub struct FirstRun {
    address: String,
    elf: String,
    has_asked: bool,
}

impl FirstRun {
    /// Draws the screen.
    pub fn show(&mut self, ui: &mut Ui, scene: &Scene<'_>, out: &mut Vec<UiCommand>) {
        if !self.has_asked && scene.state.desk.guests.is_none() {
            self.has_asked = true;
            out.push(UiCommand::Desk(DeskCommand::FindGuests));
        }
        ScrollArea::vertical()
            .id_salt("first screen")
            .auto_shrink(false)
            .show(ui, |ui| {
                let wide = (ui.available_width() - 32.0).min(WIDTH);
                let side = (ui.available_width() - wide) / 2.0;
                let top = (ui.available_height() * 0.06).clamp(8.0, 60.0);
                ui.add_space(top);
                ui.horizontal_top(|ui| {
                    ui.add_space(side);
                    ui.vertical(|ui| {
                        ui.set_width(wide);
                        ui.label(RichText::new("Pagescope").font(theme::strong(26.0)));
                        let words = "See the memory of a running RISC-V system: every page table, every \
                                     mapping, every frame.";
                        ui.label(RichText::new(words).color(scene.palette.dim));
                        ui.add_space(14.0);
                        if wide < TWO_COLUMNS {
                            self.left(ui, scene, out);
                            self.right(ui, scene, out);
                        } else {
                            let each = (wide - 24.0) / 2.0;
                            ui.horizontal_top(|ui| {
                                ui.spacing_mut().item_spacing.x = 24.0;
                                ui.vertical(|ui| {
                                    ui.spacing_mut().item_spacing.x = 8.0;
                                    ui.set_width(each);
                                    self.left(ui, scene, out);
                                });
                                ui.vertical(|ui| {
                                    ui.spacing_mut().item_spacing.x = 8.0;
                                    ui.set_width(each);
                                    self.right(ui, scene, out);
                                });
                            });
                        }
                    });
                });
            });
    }

    fn left(&mut self, ui: &mut Ui, scene: &Scene<'_>, out: &mut Vec<UiCommand>) {
        demos(ui, scene, out);
        self.attach(ui, scene, out);
    }

    fn right(&mut self, ui: &mut Ui, scene: &Scene<'_>, out: &mut Vec<UiCommand>) {
        lectures(ui, scene, out);
        files(ui, scene, out);
        card(ui, scene, "Keys", |ui| {
            for name in ["Commands", "Keys", "Open…"] {
                if let Some(action) = actions::named(name) {
                    ui.horizontal(|ui| {
                        ui.spacing_mut().interact_size.y = 18.0;
                        let keys = RichText::new(action.keys_text());
                        let keys = keys.font(theme::strong_numbers(theme::NUMBERS));
                        let label = Label::new(keys).halign(Align::Min);
                        ui.allocate_ui(vec2(56.0, 18.0), |ui| {
                            ui.set_width(56.0);
                            ui.add(label);
                        });
                        let about = RichText::new(action.about).color(scene.palette.dim);
                        ui.add(Label::new(about).truncate());
                    });
                }
            }
            let words = "Or drop a snapshot or a recording on this window.";
            ui.label(RichText::new(words).color(scene.palette.dim));
        });
    }

    fn attach(&mut self, ui: &mut Ui, scene: &Scene<'_>, out: &mut Vec<UiCommand>) {
        card(ui, scene, "Attach to a guest that runs", |ui| {
            match &scene.state.desk.guests {
                None => {
                    let words = "Looking for QEMU on this machine…";
                    ui.label(RichText::new(words).color(scene.palette.dim));
                }
                Some(guests) if guests.is_empty() => {
                    let words = "No QEMU with a gdb port was found on this machine. Start it with -s, or type its \
                                 address.";
                    ui.label(RichText::new(words).color(scene.palette.dim));
                }
                Some(guests) => {
                    for guest in guests.iter().take(8) {
                        let address = guest.address.to_string();
                        let hint = format!("Process {}: {}", guest.pid, guest.command);
                        if choice(ui, scene, &address, &guest.command, &hint) {
                            out.push(UiCommand::Desk(DeskCommand::Attach {
                                address,
                                elf: self.elf.clone(),
                            }));
                        }
                    }
                }
            }
            let entered = field(
                ui,
                &mut self.address,
                "Address of a gdb port",
                "127.0.0.1:1234, unix:PATH, serial:PATH",
            );
            let also = field(
                ui,
                &mut self.elf,
                "The guest's ELF",
                "Path of its ELF, for names and steps (may be left out)",
            );
            ui.horizontal(|ui| {
                let is_named = !self.address.trim().is_empty();
                let button = ui.add_enabled(is_named, Button::new("Attach"));
                let button = button
                    .on_hover_text(
                        "Stop the guest, and show its memory; it is left as it was found",
                    )
                    .on_disabled_hover_text("Type an address first.");
                if button.clicked() || ((entered || also) && is_named) {
                    out.push(UiCommand::Desk(DeskCommand::Attach {
                        address: self.address.clone(),
                        elf: self.elf.clone(),
                    }));
                }
                let again = ui.button("Look again");
                if again
                    .on_hover_text("Look for QEMU processes of this machine that have a gdb port")
                    .clicked()
                {
                    out.push(UiCommand::Desk(DeskCommand::FindGuests));
                }
            });
        });
    }
}

fn demos(ui: &mut Ui, scene: &Scene<'_>, out: &mut Vec<UiCommand>) {
    card(ui, scene, "Start the demo", |ui| {
        let words = "Our own kernel in QEMU, ready to be stepped. Choose its layout:";
        ui.label(RichText::new(words).color(scene.palette.dim));
        for ours in &OURS {
            let hint = format!("Start the layout {} in QEMU, and attach to it", ours.name);
            if choice(ui, scene, ours.name, ours.about, &hint) {
                out.push(UiCommand::Desk(DeskCommand::StartDemo(ours.name)));
            }
        }
    });
}

fn lectures(ui: &mut Ui, scene: &Scene<'_>, out: &mut Vec<UiCommand>) {
    let lectures = crate::assets::lectures();
    if lectures.is_empty() {
        return;
    }
    card(ui, scene, "Watch a lecture", |ui| {
        for lecture in lectures {
            let button = Button::new(lecture.title).truncate();
            if ui.add(button).on_hover_text(lecture.about).clicked() {
                out.push(UiCommand::Desk(DeskCommand::OpenLecture(lecture.name)));
            }
        }
    });
}

fn files(ui: &mut Ui, scene: &Scene<'_>, out: &mut Vec<UiCommand>) {
    card(ui, scene, "Open a file", |ui| {
        let recent = &scene.state.desk.recent;
        for path in recent {
            let (name, folder) = shown(path);
            let hint = path.display().to_string();
            if choice(ui, scene, &name, &folder, &hint) {
                out.push(UiCommand::File(FilePurpose::Open, path.clone()));
            }
        }
        if recent.is_empty() {
            let words = "Snapshots and recordings that you open will be listed here.";
            ui.label(RichText::new(words).color(scene.palette.dim));
        }
        ui.horizontal(|ui| {
            let open = ui
                .button("Open a file…")
                .on_hover_text(actions::hint("Open…"));
            if open.clicked() {
                out.push(UiCommand::Open);
            }
            if !recent.is_empty()
                && ui
                    .button("Forget these")
                    .on_hover_text("Forget the files that were open; the files stay")
                    .clicked()
            {
                out.push(UiCommand::Desk(DeskCommand::ForgetRecent));
            }
        });
    });
}

/// A path as its name and its folder.
pub(super) fn shown(path: &Path) -> (String, String) {
    let name = path.file_name().unwrap_or(path.as_os_str());
    let folder = path
        .parent()
        .map_or_else(String::new, |folder| folder.display().to_string());
    (name.to_string_lossy().into_owned(), folder)
}

fn card(ui: &mut Ui, scene: &Scene<'_>, title: &str, inside: impl FnOnce(&mut Ui)) {
    Frame::NONE
        .fill(scene.palette.panel)
        .stroke(egui::Stroke::new(1.0, scene.palette.edge))
        .corner_radius(8)
        .inner_margin(Margin::same(14))
        .show(ui, |ui| {
            ui.set_width(ui.available_width());
            ui.spacing_mut().item_spacing.y = 6.0;
            ui.label(RichText::new(title).font(theme::strong(15.0)));
            inside(ui);
        });
    ui.add_space(14.0);
}

/// A line that can be chosen: a name, and beside it what it is.
fn choice(ui: &mut Ui, scene: &Scene<'_>, name: &str, about: &str, hint: &str) -> bool {
    let mut is_chosen = false;
    ui.horizontal(|ui| {
        let button = Button::new(RichText::new(name).font(theme::strong(theme::BODY)));
        is_chosen = ui
            .add(button.min_size(vec2(96.0, 0.0)).truncate())
            .on_hover_text(hint)
            .clicked();
        ui.with_layout(Layout::left_to_right(Align::Center), |ui| {
            let about = RichText::new(about)
                .size(theme::SMALL)
                .color(scene.palette.dim);
            ui.add(Label::new(about).truncate()).on_hover_text(hint);
        });
    });
    is_chosen
}

/// A text field with a name; whether Enter was pressed in it.
fn field(ui: &mut Ui, text: &mut String, name: &str, hint: &str) -> bool {
    let edit = TextEdit::singleline(text)
        .hint_text(hint)
        .font(theme::numbers(theme::NUMBERS))
        .char_limit(4096)
        .margin(vec2(8.0, 5.0))
        .desired_width(f32::INFINITY);
    let response = ui.add(edit);
    response.widget_info(|| egui::WidgetInfo::labeled(egui::Role::TextInput, true, name));
    response.lost_focus() && ui.input(|input| input.key_pressed(Key::Enter))
}

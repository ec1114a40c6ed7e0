//! What the user must know now: a lost link, a command that failed, a file that was written; and
//! what to do while there is nothing to see.

use egui::{Align, Button, Color32, CornerRadius, Frame, Label, Layout, Margin, RichText, Ui};

use super::command::UiCommand;
use super::scene::Scene;
use super::state::NoticeKind;
use super::theme;
use crate::session::{Command, Connection};

/// Draws the strips under the toolbar, if there is anything to say.
pub fn strips(ui: &mut Ui, scene: &Scene<'_>, out: &mut Vec<UiCommand>) {
    let palette = scene.palette;
    if let Connection::Lost { why } = &scene.state.connection
        && scene.state.snapshot().is_some()
    {
        let words = format!("The link is lost: {why} What you see is from before.");
        strip(ui, scene, palette.danger, &words, |ui| {
            if scene.state.has_session && ui.button("Reconnect").clicked() {
                out.push(UiCommand::Session(Command::Reconnect));
            }
        });
    }
    let warning = scene.state.snapshot().and_then(|it| it.warnings.first());
    if let Some(warning) = warning {
        strip(ui, scene, palette.danger, warning, |_| {});
    }
    if let Some(notice) = &scene.state.notice {
        let color = match notice.kind {
            NoticeKind::Done => palette.data,
            NoticeKind::Problem => palette.danger,
        };
        strip(ui, scene, color, &notice.text, |ui| {
            // What has options to type is longer than a line, and is to be typed elsewhere.
            if notice.text.contains(" -") && ui.button("Copy").clicked() {
                ui.ctx().copy_text(notice.text.clone());
            }
            let close = ui.add(Button::new("Dismiss").frame(false));
            if close.clicked() {
                out.push(UiCommand::DismissNotice);
            }
        });
    }
}

fn strip(
    ui: &mut Ui,
    scene: &Scene<'_>,
    color: Color32,
    words: &str,
    buttons: impl FnOnce(&mut Ui),
) {
    let fill = theme::mix(scene.palette.panel, color, 0.14);
    Frame::NONE
        .fill(fill)
        .inner_margin(Margin::symmetric(16, 5))
        .show(ui, |ui| {
            ui.with_layout(Layout::right_to_left(Align::Center), |ui| {
                buttons(ui);
                ui.with_layout(Layout::left_to_right(Align::Center), |ui| {
                    let (mark, _) =
                        ui.allocate_exact_size(egui::vec2(4.0, 18.0), egui::Sense::hover());
                    ui.painter().rect_filled(mark, CornerRadius::same(2), color);
                    ui.add(Label::new(words).truncate()).on_hover_text(words);
                });
            });
        });
}

/// What stands where the picture will be while there is a guest but no picture of it yet; whether there is nothing else
/// to begin with.
pub fn welcome(ui: &mut Ui, scene: &Scene<'_>, out: &mut Vec<UiCommand>) -> bool {
    let palette = scene.palette;
    if scene.state.connection == Connection::None {
        return false;
    }
    let is_over = matches!(
        scene.state.connection,
        Connection::Lost { .. } | Connection::Detached
    );
    let top = match is_over {
        true => 16.0,
        false => (ui.available_height() * 0.2).max(16.0),
    };
    ui.add_space(top);
    ui.vertical_centered(|ui| {
        ui.spacing_mut().item_spacing.y = 10.0;
        match &scene.state.connection {
            Connection::Connecting { what } => {
                ui.label(RichText::new("Connecting").font(theme::strong(22.0)));
                let what = if what.is_empty() {
                    "Waiting for the guest's answer."
                } else {
                    what
                };
                ui.label(RichText::new(what).color(palette.dim));
                ui.label(
                    RichText::new("The picture comes with the first stop.").color(palette.dim),
                );
                ui.add_space(6.0);
                if ui.button("Cancel").clicked() {
                    out.push(UiCommand::Cancel);
                }
            }
            Connection::Lost { why } => {
                ui.label(RichText::new("No link to the guest").font(theme::strong(22.0)));
                ui.label(RichText::new(why).color(palette.danger));
                if scene.state.has_session && ui.button("Reconnect").clicked() {
                    out.push(UiCommand::Session(Command::Reconnect));
                }
                ui.add_space(14.0);
            }
            Connection::Running => {
                ui.label(RichText::new("The guest runs").font(theme::strong(22.0)));
                let words = "Pause it (F6) or step an allocation (F8) to see its memory.";
                ui.label(RichText::new(words).color(palette.dim));
            }
            Connection::Busy { what } => {
                ui.label(RichText::new("Reading the guest's memory").font(theme::strong(22.0)));
                ui.label(RichText::new(what).color(palette.dim));
                ui.add_space(6.0);
                if ui.button("Cancel").clicked() {
                    out.push(UiCommand::Cancel);
                }
            }
            // The picture comes before it is said that the guest stands still: reading it was ended.
            Connection::Stopped | Connection::Dump => {
                ui.label(RichText::new("The guest was not read").font(theme::strong(22.0)));
                let words = "Reading its memory ended before all of it was here.";
                ui.label(RichText::new(words).color(palette.dim));
                ui.add_space(6.0);
                if ui.button("Read it now").clicked() {
                    out.push(UiCommand::Session(Command::Capture));
                }
            }
            Connection::None => {}
            Connection::Detached => {
                ui.label(RichText::new("The guest goes on without us").font(theme::strong(22.0)));
                if scene.state.has_session && ui.button("Reconnect").clicked() {
                    out.push(UiCommand::Session(Command::Reconnect));
                }
            }
        }
    });
    !is_over
}

//! The frame's bytes: a table's are known, another frame's are asked for.

use std::fmt::Write as _;

use egui::{RichText, ScrollArea, Ui};
use pagescope_protocol::PhysPage;
use pagescope_protocol::snapshot::{PhysicalKind, Snapshot};
use pagescope_protocol::walk::TableWords;

use super::heading;
use crate::session::Command;
use crate::views::command::UiCommand;
use crate::views::scene::Scene;
use crate::views::state::Contents;
use crate::views::theme;

/// Bytes in a line.
const LINE: usize = 16;

/// Draws the contents of the selected frame.
pub(super) fn show(ui: &mut Ui, scene: &Scene<'_>, out: &mut Vec<UiCommand>) {
    let (Some(frame), Some(snapshot)) = (scene.derived.focus.frame(), scene.state.snapshot())
    else {
        return;
    };
    let dim = scene.palette.dim;
    let say = |ui: &mut Ui, words: &str| {
        heading(ui, scene, "Contents", "");
        ui.label(RichText::new(words).size(12.0).color(dim));
    };
    if let Some(words) = words_of(snapshot, scene, frame) {
        let byte = |at: usize| (words[at / 8] >> (at % 8 * 8)) as u8;
        hex(ui, scene, &byte);
        return;
    }
    match scene.state.contents(frame) {
        Some(Contents::Bytes(bytes)) => hex(ui, scene, &|at| bytes[at]),
        Some(Contents::Asked) => say(ui, "Asked for…"),
        Some(Contents::Unreadable) => say(ui, "The target does not show this memory."),
        None => {
            let is_device = snapshot.physical.iter().any(|region| {
                region.kind == PhysicalKind::Device
                    && region
                        .range()
                        .is_some_and(|range| range.contains(frame.start()))
            });
            if is_device {
                say(
                    ui,
                    "A device's registers: reading them could change them, so it is not done.",
                );
            } else if !scene.state.has_session {
                say(ui, "Not in this file.");
            } else if !scene.state.history.is_live() {
                say(ui, "Only the present can be read. End goes back to now.");
            } else if !scene.state.connection.can_read() {
                say(ui, "Read when the guest stands still.");
            } else {
                out.push(UiCommand::Session(Command::ReadFrame(frame)));
                say(ui, "Asked for…");
            }
        }
    }
}

/// The words that the snapshot itself holds: of a table, or of a frame that was captured.
fn words_of(snapshot: &Snapshot, scene: &Scene<'_>, frame: PhysPage) -> Option<TableWords> {
    let space = scene.state.space();
    if let Some(words) = space.and_then(|space| space.frame_words(frame)) {
        return Some(words);
    }
    let captured = snapshot.frames.iter().find(|held| held.frame == frame)?;
    captured.words.words().try_into().ok()
}

fn hex(ui: &mut Ui, scene: &Scene<'_>, byte: &dyn Fn(usize) -> u8) {
    let first = byte(0);
    let remark = if (1..4096).all(|at| byte(at) == first) {
        format!("all bytes are {first:02x}")
    } else {
        String::new()
    };
    heading(ui, scene, "Contents", &remark);
    // Sixteen bytes need 3 + 16·3 signs: as large as the pane allows.
    let size = (ui.available_width() / 53.0 / 0.6).clamp(7.5, 11.0);
    let per_line = if size < 8.5 { LINE / 2 } else { LINE };
    let size = if per_line < LINE { 10.5 } else { size };
    let font = theme::numbers(size);
    let row = ui.fonts_mut(|fonts| fonts.row_height(&font)) + 2.0;
    ui.spacing_mut().item_spacing.y = 0.0;
    ScrollArea::vertical()
        .id_salt("contents")
        .max_height(row * 6.0)
        .auto_shrink([false, true])
        .show_rows(ui, row, 4096 / per_line, |ui, range| {
            for line in range {
                let start = line * per_line;
                let mut text = format!("{start:03x} ");
                for at in start..start + per_line {
                    let gap = if at == start + per_line / 2 {
                        "  "
                    } else {
                        " "
                    };
                    let _ = write!(text, "{gap}{:02x}", byte(at));
                }
                let is_zero = (start..start + per_line).all(|at| byte(at) == 0);
                let color = if is_zero {
                    scene.palette.dim
                } else {
                    scene.palette.text
                };
                let text = RichText::new(text).font(font.clone()).color(color);
                ui.add(egui::Label::new(text).extend());
            }
        });
    ui.spacing_mut().item_spacing.y = 4.0;
}

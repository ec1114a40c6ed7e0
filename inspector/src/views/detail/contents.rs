//! The frame's bytes, as hexadecimal or as 512 entries: a table's are known, another frame's are asked for.

use std::fmt::Write as _;

use egui::{Align, CornerRadius, RichText, ScrollArea, Sense, Ui, vec2};
use pagescope_protocol::snapshot::{PhysicalKind, Snapshot};
use pagescope_protocol::walk::TableWords;
use pagescope_protocol::{Level, PhysPage, Pte, PteKind, TranslationMode};

use super::{heading, link};
use crate::model::Selection;
use crate::session::Command;
use crate::views::command::UiCommand;
use crate::views::paint;
use crate::views::scene::Scene;
use crate::views::state::Contents;
use crate::views::theme;

/// Bytes in a line.
const LINE: usize = 16;
/// Lines that are seen at once.
const LINES: f32 = 8.0;
/// The width of the bar that shows how far it is scrolled.
const SCROLL_BAR: f32 = 8.0;

/// How contents are shown.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Form {
    Hex,
    Entries,
}

/// What was chosen of how contents are shown; a table is shown as entries, and anything else as bytes, until somebody
/// chooses.
#[derive(Default)]
pub(super) struct Shown {
    form: Option<Form>,
    of: Option<PhysPage>,
}

/// The frame's words, and the level at which they are a table.
struct Words<'a> {
    byte: &'a dyn Fn(usize) -> u8,
    table: Option<(TranslationMode, Level)>,
    frame: PhysPage,
}

impl Words<'_> {
    fn word(&self, at: usize, bytes: usize) -> u64 {
        (0..bytes).rev().fold(0, |word, byte| {
            word << 8 | u64::from((self.byte)(at * bytes + byte))
        })
    }
}

impl Shown {
    /// Draws the contents of the selected frame.
    pub(super) fn show(&mut self, ui: &mut Ui, scene: &Scene<'_>, out: &mut Vec<UiCommand>) {
        let (Some(frame), Some(snapshot)) = (scene.derived.focus.frame(), scene.state.snapshot())
        else {
            return;
        };
        if self.of != Some(frame) {
            *self = Self {
                form: None,
                of: Some(frame),
            };
        }
        let say = |ui: &mut Ui, words: &str| {
            heading(ui, scene, "Contents", "");
            super::remark(ui, scene, words);
        };
        let space = scene.state.space();
        let table = space.and_then(|space| Some((space.mode, space.table(frame)?.level)));
        if let Some(words) = words_of(snapshot, scene, frame) {
            let byte = |at: usize| (words[at / 8] >> (at % 8 * 8)) as u8;
            let words = Words {
                byte: &byte,
                table,
                frame,
            };
            return self.words(ui, scene, &words, out);
        }
        match scene.state.contents(frame) {
            Some(Contents::Bytes(bytes)) => {
                let words = Words {
                    byte: &|at| bytes[at],
                    table,
                    frame,
                };
                self.words(ui, scene, &words, out);
            }
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
                    say(
                        ui,
                        "Not in this file. `pagescope snapshot --full` writes one with them.",
                    );
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

    fn words(
        &mut self,
        ui: &mut Ui,
        scene: &Scene<'_>,
        words: &Words<'_>,
        out: &mut Vec<UiCommand>,
    ) {
        let first = (words.byte)(0);
        let is_one = (1..4096).all(|at| (words.byte)(at) == first);
        let remark = match is_one {
            true => format!("all bytes are {first:02x}"),
            false => String::new(),
        };
        heading(ui, scene, "Contents", &remark);
        let usual = match words.table {
            Some(_) => Form::Entries,
            None => Form::Hex,
        };
        let mut form = self.form.unwrap_or(usual);
        let choose = |ui: &mut Ui| {
            for (name, this, hint) in [
                ("Hex", Form::Hex, "The frame's bytes"),
                (
                    "512 entries",
                    Form::Entries,
                    "The frame as a page table's entries",
                ),
            ] {
                if ui
                    .selectable_label(form == this, name)
                    .on_hover_text(hint)
                    .clicked()
                {
                    form = this;
                    self.form = Some(this);
                }
            }
        };
        if !scene.is_picture {
            ui.horizontal(choose);
        }
        match form {
            Form::Hex => hex(ui, scene, words),
            Form::Entries => entries(ui, scene, words, out),
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

fn hex(ui: &mut Ui, scene: &Scene<'_>, words: &Words<'_>) {
    // Sixteen bytes need 3 + 16·3 signs: as large as the pane allows.
    // The bar lies over what is scrolled.
    let size = ((ui.available_width() - SCROLL_BAR) / 53.0 / 0.6).clamp(7.5, 11.0);
    let per_line = if size < 8.5 { LINE / 2 } else { LINE };
    let size = if per_line < LINE { 10.5 } else { size };
    let font = theme::numbers(size);
    let row = ui.fonts_mut(|fonts| fonts.row_height(&font)) + 2.0;
    ui.scope(|ui| {
        ui.spacing_mut().item_spacing.y = 0.0;
        ScrollArea::vertical()
            .id_salt("contents")
            .max_height(row * LINES)
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
                        let _ = write!(text, "{gap}{:02x}", (words.byte)(at));
                    }
                    let is_zero = (start..start + per_line).all(|at| (words.byte)(at) == 0);
                    let color = if is_zero {
                        scene.palette.dim
                    } else {
                        scene.palette.text
                    };
                    let shown = RichText::new(&text).font(font.clone()).color(color);
                    let label = egui::Label::new(shown).extend().sense(Sense::click());
                    let response = ui.add(label);
                    let address = words.frame.start().wrapping_add(start as u64).to_string();
                    link::copies(
                        &response,
                        &[("Copy line as text", &text), ("Copy its address", &address)],
                    );
                }
            });
    });
}

/// The entries of a table, each in words and pressed to select it; of another frame its words.
fn entries(ui: &mut Ui, scene: &Scene<'_>, words: &Words<'_>, out: &mut Vec<UiCommand>) {
    let row = 19.0;
    let mode = words.table.map_or(TranslationMode::Sv39, |(mode, _)| mode);
    let bytes = mode.entry_bytes().max(1) as usize;
    let count = 4096 / bytes;
    ui.scope(|ui| {
        ui.spacing_mut().item_spacing.y = 0.0;
        ScrollArea::vertical()
            .id_salt("entries")
            .max_height(row * LINES)
            .auto_shrink([false, true])
            .show_rows(ui, row, count, |ui, range| {
                for index in range {
                    entry(
                        ui,
                        scene,
                        words,
                        (index, words.word(index, bytes)),
                        row,
                        out,
                    );
                }
            });
    });
}

fn entry(
    ui: &mut Ui,
    scene: &Scene<'_>,
    words: &Words<'_>,
    (index, value): (usize, u64),
    height: f32,
    out: &mut Vec<UiCommand>,
) {
    let palette = scene.palette;
    let (rect, response) =
        ui.allocate_exact_size(vec2(ui.available_width(), height), Sense::click());
    let kind = words
        .table
        .map(|(mode, level)| mode.classify(Pte::from_bits(value), level));
    let said = match kind {
        _ if value == 0 => String::new(),
        None => String::new(),
        Some(PteKind::Pointer(next)) => format!("→ {next}"),
        Some(PteKind::Leaf(leaf)) => format!("{} {}", leaf.page, leaf.flags),
        Some(PteKind::Invalid) => "invalid".into(),
        Some(PteKind::Reserved(_)) => "reserved".into(),
    };
    let is_selected = words.table.is_some_and(|(_, level)| {
        let step = scene.derived.focus.step_at(level);
        step.is_some_and(|step| (step.table, step.index) == (words.frame, index))
    });
    if is_selected || response.hovered() {
        let fill = match is_selected {
            true => ui.visuals().selection.bg_fill,
            false => palette.raised,
        };
        ui.painter().rect_filled(rect, CornerRadius::same(3), fill);
    }
    let font = theme::numbers(11.0);
    let (ink, strong) = match (value, kind) {
        (0, _) => (palette.dim, palette.dim),
        (_, Some(PteKind::Reserved(_))) => (palette.danger, palette.danger),
        (_, Some(PteKind::Pointer(_))) => (palette.text, palette.accent()),
        _ => (palette.text, palette.text),
    };
    let place = rect.shrink2(vec2(4.0, 0.0));
    let painter = ui.painter();
    let number = place.with_max_x(place.left() + 26.0);
    paint::line(
        painter,
        number,
        Align::Max,
        &index.to_string(),
        font.clone(),
        palette.dim,
    );
    let rest = place.with_min_x(number.right() + 10.0);
    let hex = format!("{value:#x}");
    let drawn = paint::line(painter, rest, Align::Min, &hex, font.clone(), ink);
    let rest = rest.with_min_x(drawn.right() + 10.0);
    if rest.width() > 30.0 {
        paint::line(painter, rest, Align::Max, &said, font, strong);
    }
    let role = match words.table {
        Some(_) => egui::Role::Button,
        None => egui::Role::Label,
    };
    response.widget_info(|| {
        let name = format!("Word {index}: {hex} {said}");
        egui::WidgetInfo::labeled(role, true, name.trim_end())
    });
    link::copies(&response, &[("Copy value", &hex)]);
    if response.clicked()
        && let Some((_, level)) = words.table
    {
        out.push(UiCommand::Select(Selection::Entry {
            level,
            table: words.frame,
            index,
        }));
    }
}

//! The detail pane: everything about what is selected, from the entry's bits to the frame's bytes.

mod bits;
mod contents;
mod entry;
mod frame;
mod link;
mod over_time;
mod place;
mod range;
mod walk;

use std::sync::Arc;

use egui::{RichText, ScrollArea, Ui};
use pagescope_protocol::snapshot::Snapshot;
use pagescope_protocol::{LeafFlags, VirtAddr};

use super::command::UiCommand;
use super::derived::ChainLink;
use super::scene::Scene;
use super::theme;
use crate::model::frame_history::{FrameMoment, frame_history};
use crate::model::missing::{Missing, missing};
use crate::model::stretch_facts::StretchFacts;
use crate::model::{frame_use, in_machine_terms};

/// What the pane keeps from frame to frame.
#[derive(Default)]
pub struct Detail {
    of: Option<Of>,
    facts: Facts,
    contents: contents::Shown,
}

/// What the facts are of.
struct Of {
    snapshot: Arc<Snapshot>,
    generation: u64,
    selection: u64,
    moments: usize,
}

/// What follows from a selection and takes more than a look: worked out once for each.
#[derive(Default)]
struct Facts {
    /// An address in each other space that leads to the selected frame.
    elsewhere: Vec<Elsewhere>,
    frame_history: Vec<FrameMoment>,
    missing: Option<Missing>,
    stretch: Option<StretchFacts>,
}

/// An address of another space that leads to the frame.
struct Elsewhere {
    space: String,
    virt: VirtAddr,
    flags: LeafFlags,
    /// How many more addresses of that space do.
    more: usize,
}

/// Most other spaces that are looked through for a frame.
const MOST_SPACES: usize = 64;

impl Detail {
    /// Draws the pane into `ui`.
    pub fn show(&mut self, ui: &mut Ui, scene: &Scene<'_>, out: &mut Vec<UiCommand>) {
        self.refresh(scene);
        ScrollArea::vertical()
            .id_salt("detail")
            .auto_shrink(false)
            .show(ui, |ui| {
                ui.spacing_mut().item_spacing.y = 4.0;
                if scene.derived.focus.is_empty() {
                    nothing_selected(ui, scene);
                    return;
                }
                unsettled(ui, scene);
                if let Some(facts) = &self.facts.stretch {
                    range::show(ui, scene, facts, out);
                }
                entry::show(ui, scene, out);
                walk::show(ui, scene, self.facts.missing.as_ref(), out);
                place::show(ui, scene, out);
                frame::show(ui, scene, &self.facts.elsewhere, out);
                self.contents.show(ui, scene, out);
                over_time::show(ui, scene, &self.facts.frame_history, out);
                ui.add_space(8.0);
            });
    }

    fn refresh(&mut self, scene: &Scene<'_>) {
        let Some(snapshot) = scene.state.snapshot() else {
            self.of = None;
            self.facts = Facts::default();
            return;
        };
        let moments = scene.state.history.moments().len();
        let is_known = self.of.as_ref().is_some_and(|of| {
            Arc::ptr_eq(&of.snapshot, snapshot)
                && of.generation == scene.derived.generation
                && of.selection == scene.derived.selection_generation
                && of.moments == moments
        });
        if is_known {
            return;
        }
        self.of = Some(Of {
            snapshot: Arc::clone(snapshot),
            generation: scene.derived.generation,
            selection: scene.derived.selection_generation,
            moments,
        });
        self.facts = facts(scene, snapshot);
    }
}

fn facts(scene: &Scene<'_>, snapshot: &Snapshot) -> Facts {
    let focus = &scene.derived.focus;
    let space = scene.state.space();
    let mut facts = Facts {
        missing: space.and_then(|space| missing(space, focus)),
        stretch: focus
            .stretch
            .map(|stretch| StretchFacts::new(snapshot, space, stretch)),
        ..Facts::default()
    };
    if let Some(frame) = focus.frame() {
        facts.frame_history = frame_history(&scene.state.history, frame);
        let here = space.map(|space| space.name.as_str());
        let others = snapshot
            .spaces
            .iter()
            .filter(|other| Some(other.name.as_str()) != here);
        for other in others.take(MOST_SPACES) {
            let uses = frame_use(&in_machine_terms(snapshot, other), frame);
            if let Some(first) = uses.aliases.first() {
                facts.elsewhere.push(Elsewhere {
                    space: other.name.clone(),
                    virt: first.virt,
                    flags: first.flags,
                    more: uses.aliases.len() - 1,
                });
            }
        }
    }
    facts
}

fn nothing_selected(ui: &mut Ui, scene: &Scene<'_>) {
    ui.label(RichText::new("Nothing is selected").heading());
    let dim = scene.palette.dim;
    for text in [
        "Click a band, a cell of a table, or a frame: the same thing is selected everywhere, and a \
         line shows its way through the tables.",
        "Ctrl+L takes an address, a name or an expression: 0x87ff3000 is virtual, p:0x87ff3000 is physical, and \
         .text, sp + 16, root[2] work too.",
        "Ctrl+K finds every command, step and name.",
    ] {
        ui.label(RichText::new(text).color(dim));
    }
}

/// Says of a selection that goes through a torn table that it may not be so.
fn unsettled(ui: &mut Ui, scene: &Scene<'_>) {
    let chain = scene.derived.chain.iter();
    let torn = chain.filter_map(|link| match link {
        ChainLink::Table(level, frame) if scene.is_torn(*frame) => Some(format!("{level} {frame}")),
        _ => None,
    });
    let torn: Vec<String> = torn.collect();
    if torn.is_empty() {
        return;
    }
    let words = format!(
        "Moving: {} changed while it was read. What stands here may be half old and half new.",
        torn.join(", ")
    );
    ui.label(RichText::new(words).color(scene.palette.danger));
}

/// A heading, with a remark beside it.
fn heading(ui: &mut Ui, scene: &Scene<'_>, title: &str, remark: &str) {
    ui.add_space(10.0);
    ui.horizontal(|ui| {
        if !title.is_empty() {
            ui.label(RichText::new(title).font(theme::strong(theme::BODY)));
        }
        if !remark.is_empty() {
            let remark = RichText::new(remark).size(theme::SMALL);
            ui.add(egui::Label::new(remark.color(scene.palette.dim)).truncate());
        }
    });
}

/// A sentence under a heading.
fn remark(ui: &mut Ui, scene: &Scene<'_>, words: &str) {
    ui.label(RichText::new(words).size(12.0).color(scene.palette.dim));
}

fn sentence_case(text: &str) -> String {
    let mut letters = text.chars();
    match letters.next() {
        Some(first) => format!("{}{}.", first.to_uppercase(), letters.as_str()),
        None => String::new(),
    }
}

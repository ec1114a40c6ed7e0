//! What lies at the selected place: the symbol, its source line, and the regions around it with their tags.

use egui::{RichText, Ui};
use pagescope_protocol::snapshot::{Region, RegionSpace};

use super::{heading, link, remark};
use crate::model::{Selection, Stretch, size_text};
use crate::session::Command;
use crate::views::command::UiCommand;
use crate::views::scene::Scene;
use crate::views::state::SourceLine;

/// Most regions around one address that are told.
const MOST: usize = 4;

/// Draws what lies there, if anything is known.
pub(super) fn show(ui: &mut Ui, scene: &Scene<'_>, out: &mut Vec<UiCommand>) {
    let focus = &scene.derived.focus;
    let Some(snapshot) = scene.state.snapshot() else {
        return;
    };
    let virt = focus.virt.map(|virt| virt.as_u64());
    let phys = focus.phys.map(|phys| phys.as_u64());
    let space = scene.state.space().map(|space| space.name.as_str());
    let lies_in = |region: &&Region| {
        let address = match region.space {
            RegionSpace::Virtual => virt,
            RegionSpace::Physical => phys,
        };
        let counts = space.is_none_or(|space| region.counts_in(space));
        let last = region.last();
        counts
            && address.is_some_and(|address| {
                region.start <= address && last.is_some_and(|last| address <= last)
            })
    };
    let mut regions: Vec<&Region> = snapshot.regions.iter().filter(lies_in).collect();
    regions.sort_by_key(|region| region.size);
    let symbols = &scene.state.desk.symbols;
    let symbol = virt.and_then(|virt| symbols.place_text(virt));
    if regions.is_empty() && symbol.is_none() {
        return;
    }
    heading(ui, scene, "What lies there", "");
    if let (Some(symbol), Some(virt)) = (symbol, virt) {
        self::symbol(ui, scene, &symbol, virt, out);
    }
    for region in regions.into_iter().take(MOST) {
        self::region(ui, scene, region, out);
    }
}

fn symbol(ui: &mut Ui, scene: &Scene<'_>, symbol: &str, virt: u64, out: &mut Vec<UiCommand>) {
    ui.horizontal_wrapped(|ui| {
        let words = RichText::new(symbol).monospace();
        let response = ui.add(egui::Label::new(words).sense(egui::Sense::click()));
        link::copies(&response, &[("Copy name", symbol)]);
        match scene.state.desk.line(virt) {
            Some(SourceLine::Known(line)) => {
                let words = RichText::new(line).size(12.0).color(scene.palette.dim);
                let response = ui.add(egui::Label::new(words).sense(egui::Sense::click()));
                let response =
                    response.on_hover_text("The source line, from the debug information");
                link::copies(&response, &[("Copy place in the source", line)]);
            }
            Some(SourceLine::Asked | SourceLine::Unknown) => {}
            None if scene.state.has_session && scene.state.connection.is_attached() => {
                out.push(UiCommand::Session(Command::FindLine(virt)));
            }
            None => {}
        }
    });
}

fn region(ui: &mut Ui, scene: &Scene<'_>, region: &Region, out: &mut Vec<UiCommand>) {
    ui.horizontal_wrapped(|ui| {
        ui.style_mut().wrap_mode = Some(egui::TextWrapMode::Extend);
        let stretch = Stretch {
            space: region.space,
            start: region.start,
            size: region.size,
        };
        let hint = "Select the whole region";
        link::address(ui, &region.name, hint, Selection::Range(stretch), out);
        let mut words = size_text(region.size);
        if !region.tag.is_empty() {
            words = format!("{words}, tag {}", region.tag);
        }
        let words = RichText::new(words).size(12.0).color(scene.palette.dim);
        ui.label(words);
    });
    if !region.description.is_empty() {
        remark(ui, scene, &region.description);
    }
}

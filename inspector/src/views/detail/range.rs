//! A stretch of one of the maps: what it is, how many pages, and how it is mapped.

use egui::{RichText, Ui};
use pagescope_protocol::snapshot::RegionSpace;
use pagescope_protocol::{PhysAddr, VirtAddr};

use super::{entry, heading, link, remark};
use crate::model::size_text;
use crate::model::stretch_facts::StretchFacts;
use crate::views::command::UiCommand;
use crate::views::scene::Scene;
use crate::views::theme;

/// Draws the selected stretch.
pub(super) fn show(ui: &mut Ui, scene: &Scene<'_>, facts: &StretchFacts, out: &mut Vec<UiCommand>) {
    let Some(stretch) = scene.derived.focus.stretch else {
        return;
    };
    let (which, is_virtual) = match stretch.space {
        RegionSpace::Virtual => ("virtual", true),
        RegionSpace::Physical => ("physical", false),
    };
    let name = match (&facts.region, &facts.memory) {
        (Some(region), _) if facts.is_region => region.name.clone(),
        (Some(region), _) => format!("Part of {}", region.name),
        (None, Some(memory)) => format!("Part of {memory}"),
        (None, None) => format!("A stretch of {which} addresses"),
    };
    entry::title(ui, scene, &name, out);
    ui.horizontal_wrapped(|ui| {
        ui.style_mut().wrap_mode = Some(egui::TextWrapMode::Extend);
        let ends = [stretch.start, stretch.last()];
        for (place, address) in ends.into_iter().enumerate() {
            if place == 1 {
                ui.label("to");
            }
            match is_virtual {
                true => link::virt(ui, VirtAddr::new(address), out),
                false => link::phys(ui, PhysAddr::new(address), out),
            };
        }
    });
    let pages = match facts.pages {
        1 => "1 page".to_owned(),
        pages => format!("{pages} pages"),
    };
    let words = format!("{}, {pages}, {which}.", size_text(stretch.size));
    remark(ui, scene, &words);
    if let Some(region) = facts.region.as_ref().filter(|_| facts.is_region) {
        if !region.tag.is_empty() {
            remark(ui, scene, &format!("Tag: {}.", region.tag));
        }
        if !region.description.is_empty() {
            remark(ui, scene, &region.description);
        }
    }
    if is_virtual && scene.state.is_translating() {
        mapped(ui, scene, facts, stretch.size, out);
    }
    heading(ui, scene, "Its first address", "");
}

fn mapped(
    ui: &mut Ui,
    scene: &Scene<'_>,
    facts: &StretchFacts,
    size: u64,
    out: &mut Vec<UiCommand>,
) {
    let how_much = match facts.mapped {
        0 => "nothing".to_owned(),
        mapped if mapped == size => "all of it".to_owned(),
        mapped => format!("{} of {}", size_text(mapped), size_text(size)),
    };
    heading(ui, scene, "Mapped", &how_much);
    for piece in &facts.pieces {
        ui.horizontal_wrapped(|ui| {
            ui.style_mut().wrap_mode = Some(egui::TextWrapMode::Extend);
            ui.spacing_mut().item_spacing.x = 6.0;
            link::virt(ui, piece.virt, out);
            let words = format!("{} {}", size_text(piece.size), piece.flags);
            ui.label(
                RichText::new(words)
                    .font(theme::numbers(11.0))
                    .color(scene.palette.dim),
            );
            ui.label(RichText::new("→").color(scene.palette.dim));
            link::phys(ui, piece.phys, out);
        });
    }
    if facts.more > 0 {
        remark(ui, scene, &format!("and {} more.", facts.more));
    }
    if facts.is_cut {
        remark(ui, scene, "There is more than was looked at.");
    }
}

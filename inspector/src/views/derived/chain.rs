//! Which tables are drawn large.

use pagescope_protocol::snapshot::{Space, Table};
use pagescope_protocol::{Level, PteKind, TranslationMode, VirtAddr};

use super::ChainLink;
use crate::model::Focus;

/// The tables to draw large: those that the focus goes through, and below them the ones that the
/// last pointers lead to, so that the picture is whole even when nothing is selected. Below a table
/// that is selected as such it goes the way of `window`, the address through which that table is
/// written, if that way leads on from there.
pub(super) fn chain(
    space: Option<&Space>,
    focus: &Focus,
    window: Option<VirtAddr>,
) -> Vec<ChainLink> {
    let mut links = Vec::new();
    let Some(space) = space else { return links };
    let Some(mut level) = space.mode.root_level() else {
        return links;
    };
    let wanted = focus.table;
    let way = window.map(|virt| space.translate(virt).trail);
    let mut frame = space.root;
    loop {
        links.push(ChainLink::Table(level, frame));
        let Some(next_level) = level.next() else {
            break;
        };
        let table = space.table_at(frame, level);
        let kind = match focus.step_at(level) {
            Some(step) => Some(step.kind),
            None => way
                .iter()
                .flat_map(|trail| trail.iter())
                .find(|step| (step.level, step.table) == (level, frame))
                .map(|step| step.kind)
                .or_else(|| table.and_then(|table| last_pointer(space.mode, table))),
        };
        frame = match kind {
            Some(PteKind::Pointer(next)) => next,
            Some(PteKind::Leaf(leaf)) => {
                let size = crate::model::size_text(leaf.size);
                fill_rest(
                    &mut links,
                    next_level,
                    &format!("The walk ends at {level}, in a leaf of {size}."),
                );
                break;
            }
            Some(PteKind::Invalid) => {
                fill_rest(
                    &mut links,
                    next_level,
                    &format!("The walk ends at {level}: its entry is invalid."),
                );
                break;
            }
            Some(PteKind::Reserved(why)) => {
                fill_rest(
                    &mut links,
                    next_level,
                    &format!("The walk ends at {level}: its entry is reserved ({why})."),
                );
                break;
            }
            None => {
                fill_rest(
                    &mut links,
                    next_level,
                    &format!("No {next_level} table here."),
                );
                break;
            }
        };
        level = next_level;
        if let Some((wanted_level, wanted_frame)) = wanted
            && wanted_level == level
        {
            frame = wanted_frame;
        }
    }
    links
}

fn fill_rest(links: &mut Vec<ChainLink>, from: Level, why: &str) {
    let mut level = Some(from);
    while let Some(this) = level {
        links.push(ChainLink::Nothing(this, why.to_owned()));
        level = this.next();
    }
}

fn last_pointer(mode: TranslationMode, table: &Table) -> Option<PteKind> {
    table
        .iter()
        .map(|(_, pte)| mode.classify(pte, table.level))
        .filter(|kind| matches!(kind, PteKind::Pointer(_)))
        .last()
}

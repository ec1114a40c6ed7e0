//! Entries have no encoding that the specification reserves, but for the leaves that tables of a
//! recursive space hold to themselves.

use pagescope_protocol::{Level, PteKind, ReservedReason};

use super::{Finding, Rule, Subject};
use crate::model::size_text;
use crate::model::space_tables::{EntryPlace, TableFacts, is_self_leaf};

pub(super) fn check(subject: &Subject<'_>, findings: &mut Vec<Finding>) {
    let self_slot = subject.tables.recursion.and_then(|found| found.self_slot);
    let mut on_purpose: Vec<EntryPlace> = Vec::new();
    for facts in &subject.tables.tables {
        let level = facts.level();
        for (index, pte) in facts.table.iter() {
            let place = EntryPlace {
                level,
                table: facts.frame(),
                index,
            };
            let is_self =
                level > Level::L0 && Some(index) == self_slot && is_self_leaf(place.table, pte);
            match subject.space.mode.classify(pte, level) {
                PteKind::Reserved(ReservedReason::MisalignedSuperpage) if is_self => {
                    on_purpose.push(place);
                }
                PteKind::Reserved(why) => findings.push(reserved(facts, place, why)),
                PteKind::Leaf(leaf) if is_self => {
                    let text = format!(
                        "{level}[{index}] of {}, the leaf to itself, is a whole superpage of {}",
                        facts.name(),
                        size_text(leaf.size)
                    );
                    findings.push(
                        Finding::new(Rule::AlignedSelfEntry, text)
                            .at_table(level, place.table)
                            .at_entry(place),
                    );
                }
                _ => {}
            }
        }
    }
    let (Some(first), Some(recursion)) = (on_purpose.first(), subject.tables.recursion) else {
        return;
    };
    let text = format!(
        "entry {} of {} holds a leaf to the table itself, on purpose; the root's entry {} points to \
         the root",
        first.index,
        match on_purpose.len() {
            1 => subject
                .tables
                .get(first.table)
                .map_or_else(|| first.table.to_string(), |facts| facts.name()),
            tables => format!("{tables} tables above L0"),
        },
        recursion.slot
    );
    findings.push(
        Finding::new(Rule::SelfEntry, text)
            .at_table(first.level, first.table)
            .at_entry(*first),
    );
}

fn reserved(facts: &TableFacts, place: EntryPlace, why: ReservedReason) -> Finding {
    let (rule, what) = match why {
        ReservedReason::PointerWithAccessedDirtyUser => (
            Rule::PointerFlags,
            "is a pointer with A, D or U set".to_owned(),
        ),
        ReservedReason::MisalignedSuperpage => {
            let entry = facts.table.entry(place.index).unwrap_or_default();
            let what = format!(
                "is a leaf of {} at {}, which is no multiple of that",
                size_text(facts.mode.entry_size(place.level)),
                entry.page()
            );
            (Rule::SuperpageAlignment, what)
        }
        ReservedReason::PointerAtLastLevel => (
            Rule::ReservedEncoding,
            "is a pointer, and there is no level below L0".to_owned(),
        ),
        why => (Rule::ReservedEncoding, format!("is reserved: {why}")),
    };
    let text = format!("{}[{}] of {} {what}", place.level, place.index, place.table);
    Finding::new(rule, text)
        .at_table(place.level, place.table)
        .at_entry(place)
}

//! Tables lie in RAM, and could be read.

use pagescope_protocol::{PhysPage, PhysRange, PteKind};

use super::{Finding, Rule, Subject};
use crate::model::space_tables::EntryPlace;

/// Tables that an entry, or satp, leads to and that nothing is known of: a walk has them, read or not,
/// unless a limit ended it; a file may lack them.
fn absent<'a>(
    subject: &'a Subject<'_>,
) -> impl Iterator<Item = (PhysPage, Option<EntryPlace>)> + 'a {
    let tables = subject.tables;
    let root = Some((subject.space.root, None));
    let linked = tables.tables.iter().flat_map(|facts| {
        let level = facts.level();
        facts.table.iter().filter_map(move |(index, pte)| {
            let PteKind::Pointer(to) = facts.mode.classify(pte, level) else {
                return None;
            };
            let place = EntryPlace {
                level,
                table: facts.frame(),
                index,
            };
            Some((to, Some(place)))
        })
    });
    root.into_iter()
        .chain(linked)
        .filter(|(frame, _)| tables.get(*frame).is_none())
}

/// Whether there are such tables.
pub(super) fn missing(subject: &Subject<'_>) -> bool {
    absent(subject).next().is_some()
}

/// Most absent tables that are told one by one.
const MOST_ABSENT: usize = 64;

pub(super) fn check(subject: &Subject<'_>, findings: &mut Vec<Finding>) {
    // A guest's tables lie where the G-stage says: one that was read lies in RAM.
    let is_guest = subject.space.through.is_some();
    let ram: Vec<PhysRange> = match is_guest {
        true => Vec::new(),
        false => subject.snapshot.ram().collect(),
    };
    if ram.is_empty() && !is_guest {
        let text = "the snapshot does not say where RAM is".into();
        findings.push(Finding::new(Rule::NoRamKnown, text));
    }
    // A walk that was cut short says so itself.
    if !subject.tables.truncated {
        for (frame, link) in absent(subject).take(MOST_ABSENT) {
            let text = match link {
                Some(EntryPlace { table, index, .. }) => {
                    format!(
                        "the table at {frame}, linked by entry {index} of {table}, is not known"
                    )
                }
                None => format!("the root table at {frame} is not known"),
            };
            let finding = Finding::new(Rule::UnreadTable, text);
            findings.push(match link {
                Some(link) => finding.at_entry(link),
                None => finding,
            });
        }
    }
    for facts in &subject.tables.tables {
        let range = facts.frame().range();
        let finding = if !ram.is_empty() && !ram.iter().any(|ram| ram.contains_range(range)) {
            let text = format!("{} does not lie in RAM", facts.name());
            Finding::new(Rule::OutsideRam, text)
        } else if facts.table.entries.is_none() {
            let text = format!("{} could not be read", facts.name());
            Finding::new(Rule::UnreadTable, text)
        } else {
            continue;
        };
        let finding = finding.at_table(facts.level(), facts.frame());
        findings.push(match facts.links.first() {
            Some(link) => finding.at_entry(*link),
            None => finding,
        });
    }
}

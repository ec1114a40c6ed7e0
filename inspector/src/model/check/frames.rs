//! Tables lie in RAM, and could be read.

use pagescope_protocol::PhysRange;

use super::{Finding, Rule, Subject};

pub(super) fn check(subject: &Subject<'_>, findings: &mut Vec<Finding>) {
    let ram: Vec<PhysRange> = subject.snapshot.ram().collect();
    if ram.is_empty() {
        let text = "the snapshot does not say where RAM is".into();
        findings.push(Finding::new(Rule::NoRamKnown, text));
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

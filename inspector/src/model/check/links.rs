//! One entry links each table, and none leads back up, but for the recursion of the root.

use std::collections::BTreeSet;

use pagescope_protocol::PhysPage;

use super::{Finding, Rule, Subject};
use crate::model::space_tables::{EntryPlace, SpaceTables, TableFacts};

/// The most links that are named in a sentence.
const NAMED: usize = 4;

pub(super) fn check(subject: &Subject<'_>, findings: &mut Vec<Finding>) {
    for facts in &subject.tables.tables {
        let above = ancestors(subject.tables, facts);
        let (back, down): (Vec<EntryPlace>, Vec<EntryPlace>) = facts
            .links
            .iter()
            .partition(|link| leads_up(subject, facts, link, &above));
        for link in &back {
            let what = if link.table == facts.frame() {
                "itself".into()
            } else {
                format!("{}, which is above it", facts.name())
            };
            let text = format!(
                "{}[{}] of {} points to {what}",
                link.level, link.index, link.table
            );
            findings.push(
                Finding::new(Rule::CyclicTable, text)
                    .at_table(facts.level(), facts.frame())
                    .at_entry(*link),
            );
        }
        if let [_, second, ..] = down.as_slice() {
            let named: Vec<String> = down
                .iter()
                .take(NAMED)
                .map(|link| format!("{}[{}] of {}", link.level, link.index, link.table))
                .collect();
            let more = match down.len() - named.len() {
                0 => String::new(),
                more => format!(" and {more} more"),
            };
            let text = format!(
                "{} is linked {} times: by {}{more}",
                facts.name(),
                down.len(),
                named.join(", ")
            );
            findings.push(
                Finding::new(Rule::SharedTable, text)
                    .at_table(facts.level(), facts.frame())
                    .at_entry(*second),
            );
        }
    }
}

/// Whether `link` leads from the table itself, or from below it.
fn leads_up(
    subject: &Subject<'_>,
    facts: &TableFacts,
    link: &EntryPlace,
    above: &BTreeSet<PhysPage>,
) -> bool {
    if link.table == facts.frame() {
        return true;
    }
    if above.contains(&link.table) {
        return false;
    }
    // From below: this table is on the way from the root to the one that holds the entry.
    let from = subject.tables.get(link.table);
    from.is_some_and(|from| ancestors(subject.tables, from).contains(&facts.frame()))
}

/// The tables on the way from the root to this one, by which it was first found.
fn ancestors(tables: &SpaceTables, facts: &TableFacts) -> BTreeSet<PhysPage> {
    let mut above = BTreeSet::new();
    let mut parent = facts.table.parent;
    while let Some(frame) = parent
        && above.insert(frame)
    {
        parent = tables.get(frame).and_then(|facts| facts.table.parent);
    }
    above
}

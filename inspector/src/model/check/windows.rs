//! Each table has one window, with the right flags, and nobody else can write it.

use std::collections::BTreeSet;

use pagescope_protocol::snapshot::Space;
use pagescope_protocol::{LeafFlags, Level, PhysPage, TranslationMode};

use super::{Finding, Rule, Severity, Subject, frames};
use crate::model::size_text;
use crate::model::space_tables::{TableFacts, Window, is_self_leaf, windows_onto};

pub(super) fn check(subject: &Subject<'_>, findings: &mut Vec<Finding>) {
    let tables = &subject.tables.tables;
    let reachable = tables.iter().any(|facts| !facts.windows.is_empty());
    let promised = subject
        .snapshot
        .kernel
        .as_ref()
        .is_some_and(|facts| !facts.strategy.is_empty());
    // What was not read may hold the windows: nothing is concluded from their absence then, and the
    // rules about what was not read say so.
    let complete = !subject.tables.truncated
        && tables.iter().all(|facts| facts.table.entries.is_some())
        && !frames::missing(subject);
    if complete && !reachable && !promised && !tables.is_empty() {
        let text = format!(
            "this space does not map its own tables: none of its {} has a window",
            tables.len()
        );
        findings.push(Finding::new(Rule::NoSelfMap, text));
    }
    for facts in tables {
        match facts.windows.split_first() {
            Some((window, further)) => one(subject, facts, window, further, findings),
            None if complete && (reachable || promised) => {
                let text = format!("no address of this space leads to {}", facts.name());
                findings.push(
                    Finding::new(Rule::Unreachable, text).at_table(facts.level(), facts.frame()),
                );
            }
            None => {}
        }
    }
    for other in &subject.snapshot.spaces {
        let is_this = std::ptr::eq(other, subject.space)
            || (other.name == subject.space.name && other.root == subject.space.root);
        // Where addresses go through another G-stage, the same numbers are other frames.
        let is_comparable = other.through == subject.space.through;
        if !is_this && is_comparable && other.mode != TranslationMode::Bare {
            from_other(subject, other, findings);
        }
    }
}

/// A table with a window, and what else leads to it.
fn one(
    subject: &Subject<'_>,
    facts: &TableFacts,
    window: &Window,
    further: &[Window],
    findings: &mut Vec<Finding>,
) {
    let wrong = window.wrong_flags();
    if !wrong.is_empty() {
        let text = format!(
            "the window {} onto {} is {}: {}",
            window.virt,
            facts.name(),
            window.flags,
            wrong.join(", ")
        );
        let mut finding = at(Rule::WindowFlags, text, facts, window);
        if window.lacks_only_what_hardware_sets(subject.snapshot) {
            finding.severity = Severity::Note;
        }
        findings.push(finding);
    }
    for alias in further {
        if is_aligned_self_entry(subject, alias) && alias.leaf.table == facts.frame() {
            // Said by its own rule.
            continue;
        }
        let rule = if alias.is_writable() {
            Rule::WritableAlias
        } else {
            Rule::FurtherAlias
        };
        let leaf = if alias.page_size > pagescope_protocol::PAGE_SIZE {
            format!(", in a leaf of {}", size_text(alias.page_size))
        } else {
            String::new()
        };
        let text = format!(
            "{} leads to {}, too ({}{leaf}); its window is {}",
            alias.virt,
            facts.name(),
            alias.flags,
            window.virt
        );
        findings.push(at(rule, text, facts, alias));
    }
    if facts.has_more_windows {
        let text = format!(
            "more than {} addresses lead to {}",
            facts.windows.len(),
            facts.name()
        );
        let finding = Finding::new(Rule::FurtherAlias, text);
        findings.push(finding.at_table(facts.level(), facts.frame()));
    }
}

/// Whether the alias comes from a table's leaf to itself that happens to be a whole superpage.
fn is_aligned_self_entry(subject: &Subject<'_>, alias: &Window) -> bool {
    let slot = subject.tables.recursion.and_then(|found| found.self_slot);
    let entry = subject
        .tables
        .get(alias.leaf.table)
        .and_then(|facts| facts.table.entry(alias.leaf.index));
    alias.leaf.level > Level::L0
        && Some(alias.leaf.index) == slot
        && entry.is_some_and(|pte| is_self_leaf(alias.leaf.table, pte))
}

fn at(rule: Rule, text: String, facts: &TableFacts, window: &Window) -> Finding {
    Finding::new(rule, text)
        .at_table(facts.level(), facts.frame())
        .at_entry(window.leaf)
        .at_address(window.virt)
}

/// What another space can do to this one's tables.
fn from_other(subject: &Subject<'_>, other: &Space, findings: &mut Vec<Finding>) {
    let tables = &subject.tables.tables;
    let frames: BTreeSet<PhysPage> = tables.iter().map(TableFacts::frame).collect();
    let found = windows_onto(other, frames);
    if found.truncated || other.truncated || other.tables.iter().any(|t| t.entries.is_none()) {
        let text = format!(
            "not all of the space {:?} could be looked at: it may lead to these tables, too",
            other.name
        );
        findings.push(Finding::new(Rule::Truncated, text));
    }
    let reaches_itself = tables.iter().any(|facts| !facts.windows.is_empty());
    let (mut alike, mut managed) = (0, 0);
    for facts in tables {
        let theirs = found.windows.get(&facts.frame());
        for alias in theirs.into_iter().flatten() {
            if !alias.is_writable() {
                continue;
            }
            let user = alias.flags.contains(LeafFlags::USER);
            if !user && facts.windows.iter().any(|own| own.virt == alias.virt) {
                alike += 1;
                continue;
            }
            // A user's space, say: its tables are the kernel's to write, in the kernel's own space.
            if !user && !reaches_itself {
                managed += 1;
                break;
            }
            let text = format!(
                "{} of the space {:?} leads to {} ({})",
                alias.virt,
                other.name,
                facts.name(),
                alias.flags
            );
            // The entry and the address are another space's: selecting them here would mislead.
            let finding = Finding::new(Rule::AliasInOtherSpace, text);
            findings.push(finding.at_table(facts.level(), facts.frame()));
        }
    }
    if alike > 0 {
        let text = format!(
            "the space {:?} shows {alike} of these tables at the same addresses",
            other.name
        );
        findings.push(Finding::new(Rule::SharedWindow, text));
    }
    if managed > 0 {
        let text = format!(
            "the space {:?} can write {managed} of these tables, which this one does not map",
            other.name
        );
        findings.push(Finding::new(Rule::SharedWindow, text));
    }
}

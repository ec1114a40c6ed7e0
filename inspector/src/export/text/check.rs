//! What a check of page tables found, for people.
//!
//! ```text
//! sound: hart 0 (Sv39, root 0x87ffc000), 6 tables, each with one window
//!
//!   table             covers                       window               leaf                   flags
//!   L2 0x87ffc000 *   0x00000000  512 GiB          0x87ffc000           L0 0x87ffe000[508]     rw---ad
//! ```

use std::fmt::Write as _;

use super::{column, plain};
use crate::model::check::{Finding, Report, Severity, SpaceReport, Verdict};
use crate::model::size_text;
use crate::model::space_tables::{TableFacts, Window};

/// The most columns of a line of words.
const WORDS: usize = 96;

/// The most windows that are listed for one table.
const LISTED: usize = 4;

/// The whole report: for each space the verdict, its tables with their windows, its findings.
pub fn check_text(report: &Report) -> String {
    let mut text = String::new();
    for (place, space) in report.spaces.iter().enumerate() {
        if place > 0 {
            text.push('\n');
        }
        let _ = writeln!(text, "{}", headline(space));
        tables(space, &mut text);
        findings(&space.findings, &mut text);
    }
    if !report.kernel.is_empty() {
        text.push_str("\nunsound: what the kernel says of itself\n");
        findings(&report.kernel, &mut text);
    }
    text
}

/// The answer for one space in a line: `sound: hart 0 (Sv39, root 0x87ffc000), 6 tables, each with
/// one window`.
pub fn headline(report: &SpaceReport) -> String {
    let name = plain(&report.space, 40);
    let count = report.tables.tables.len();
    if report.verdict == Verdict::Nothing {
        return format!(
            "nothing to check: {name}, {} does not translate",
            report.mode
        );
    }
    let tables = if count == 1 { "table" } else { "tables" };
    let mut line = format!(
        "{}: {name} ({}, root {}), {count} {tables}",
        report.verdict.name(),
        report.mode,
        report.root
    );
    match report.with_one_window() {
        _ if count == 0 => {}
        all if all == count => line.push_str(", each with one window"),
        0 => line.push_str(", none with one window"),
        some => {
            let _ = write!(line, ", {some} with one window");
        }
    }
    match report.faults() {
        0 => {}
        1 => line.push_str(", 1 fault"),
        faults => {
            let _ = write!(line, ", {faults} faults");
        }
    }
    line
}

fn tables(report: &SpaceReport, text: &mut String) {
    if report.tables.tables.is_empty() {
        return;
    }
    let virt_width = report
        .tables
        .tables
        .iter()
        .flat_map(|facts| facts.windows.iter().take(LISTED))
        .map(|window| window.virt.to_string().len())
        .chain([10])
        .max()
        .unwrap_or(10);
    let from_width = report
        .tables
        .tables
        .iter()
        .map(|facts| facts.table.covers_from.to_string().len())
        .max()
        .unwrap_or(10);
    let _ = writeln!(
        text,
        "\n  {}  {}  {}  {}  flags",
        column("table", 20),
        column("covers", from_width + 10),
        column("window", virt_width),
        column("leaf", 20),
    );
    for facts in &report.tables.tables {
        let covers = format!(
            "{} {:>9}",
            column(&facts.table.covers_from.to_string(), from_width),
            size_text(facts.covers_bytes())
        );
        let first = format!("  {}  {covers}", column(&facts.name(), 20));
        let mut before = first.as_str();
        let blank = " ".repeat(first.chars().count());
        if facts.windows.is_empty() {
            let _ = writeln!(text, "{before}  {}", column("none", virt_width).trim_end());
        }
        for window in facts.windows.iter().take(LISTED) {
            let _ = writeln!(
                text,
                "{before}  {}  {}  {}",
                column(&window.virt.to_string(), virt_width),
                column(&leaf(facts, window), 20),
                window.flags
            );
            before = &blank;
        }
        if facts.windows.len() > LISTED {
            let more = facts.windows.len() - LISTED;
            let _ = writeln!(text, "{blank}  and {more} more");
        }
    }
}

/// Where a window's leaf stands: `L0 0x87ffe000[508]`, or `its own [510]`.
pub fn leaf(facts: &TableFacts, window: &Window) -> String {
    let place = window.leaf;
    if place.table == facts.frame() {
        format!("its own [{}]", place.index)
    } else {
        format!("{} {}[{}]", place.level, place.table, place.index)
    }
}

fn findings(findings: &[Finding], text: &mut String) {
    let mut last = None;
    for finding in findings {
        // What a rule means is said once, before the next rule's findings.
        if last != Some(finding.rule) {
            if let Some(rule) = last {
                meaning(rule, text);
            }
            text.push('\n');
        }
        last = Some(finding.rule);
        let sign = match finding.severity {
            Severity::Fault => "FAULT",
            Severity::Unknown => "unknown",
            Severity::Note => "note",
        };
        let _ = writeln!(
            text,
            "  {} {}: {}",
            column(sign, 7),
            finding.rule.name(),
            plain(&finding.text, 400)
        );
    }
    if let Some(rule) = last {
        meaning(rule, text);
    }
}

fn meaning(rule: crate::model::check::Rule, text: &mut String) {
    let mut line = String::new();
    for word in rule.meaning().split(' ') {
        if !line.is_empty() && line.chars().count() + word.chars().count() + 11 > WORDS {
            let _ = writeln!(text, "          {}", line.trim_end());
            line.clear();
        }
        line.push_str(word);
        line.push(' ');
    }
    let _ = writeln!(text, "          {}", line.trim_end());
}

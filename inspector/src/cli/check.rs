//! `pagescope check`: are the page tables sound.

use pagescope_protocol::snapshot::Space;
use serde::Serialize;

use super::arguments::Check;
use super::source::{self, Place};
use super::{Answer, Failure, format};
use crate::export::text::check_text;
use crate::model::check::{Finding, Report, SpaceReport, Verdict};
use crate::model::space_tables::{EntryPlace, TableFacts, Window};

/// The answer as scripts get it.
#[derive(Debug, Serialize)]
struct CheckAnswer {
    verdict: &'static str,
    spaces: Vec<SpaceAnswer>,
    kernel: Vec<FindingAnswer>,
}

#[derive(Debug, Serialize)]
struct SpaceAnswer {
    space: String,
    mode: String,
    root: String,
    verdict: &'static str,
    tables: Vec<TableAnswer>,
    findings: Vec<FindingAnswer>,
}

#[derive(Debug, Serialize)]
struct TableAnswer {
    level: u8,
    table: String,
    covers_from: String,
    covers_size: u64,
    /// Lower levels that a recursive root makes the walk read it at.
    also_read_as: Vec<u8>,
    windows: Vec<WindowAnswer>,
}

#[derive(Debug, Serialize)]
struct WindowAnswer {
    va: String,
    page_size: u64,
    flags: String,
    leaf: EntryAnswer,
}

#[derive(Debug, Serialize)]
struct EntryAnswer {
    level: u8,
    table: String,
    index: usize,
}

#[derive(Debug, Serialize)]
struct FindingAnswer {
    rule: &'static str,
    severity: &'static str,
    text: String,
    meaning: &'static str,
    level: Option<u8>,
    table: Option<String>,
    entry: Option<EntryAnswer>,
    va: Option<String>,
}

pub(super) fn run(options: &Check) -> Result<Answer, Failure> {
    let known = source::Known::of(&options.guest)?;
    let place = Place::chosen(&options.addr, &options.watch, &options.from)?;
    let snapshot = source::one_moment(place, known)?;
    let spaces: Vec<&Space> = match (options.hart, &options.space) {
        (_, Some(name)) => vec![source::space_named(&snapshot, name)?],
        (Some(hart), None) => vec![source::space_of(&snapshot, hart)?],
        (None, None) if snapshot.spaces.is_empty() => {
            return Err(Failure::Target(
                "no hart's satp is known, so neither are the page tables".into(),
            ));
        }
        (None, None) => snapshot.spaces.iter().collect(),
    };
    let report = Report::new(&snapshot, spaces);
    format::print_nested(options.format, &answer(&report), 4, || check_text(&report))?;
    if let Some(unsettled) = snapshot.taken.unsettled() {
        return Err(Failure::Target(format!(
            "whether the tables are sound is not known, because they moved while they were read: {unsettled}; \
             ask again, or of a guest that stands still"
        )));
    }
    match report.verdict {
        Verdict::Sound | Verdict::Nothing => Ok(Answer::Yes),
        Verdict::Unsound => Ok(Answer::No),
        Verdict::Unknown => Err(Failure::Target(
            "not all of the tables could be looked at, so whether they are sound is not known"
                .into(),
        )),
    }
}

fn answer(report: &Report) -> CheckAnswer {
    CheckAnswer {
        verdict: report.verdict.name(),
        spaces: report.spaces.iter().map(space).collect(),
        kernel: report.kernel.iter().map(finding).collect(),
    }
}

fn space(report: &SpaceReport) -> SpaceAnswer {
    SpaceAnswer {
        space: report.space.clone(),
        mode: report.mode.to_string(),
        root: format::hex(report.root.start().as_u64()),
        verdict: report.verdict.name(),
        tables: report.tables.tables.iter().map(table).collect(),
        findings: report.findings.iter().map(finding).collect(),
    }
}

fn table(facts: &TableFacts) -> TableAnswer {
    TableAnswer {
        level: facts.level().number(),
        table: format::hex(facts.frame().start().as_u64()),
        covers_from: format::hex(facts.table.covers_from.as_u64()),
        covers_size: facts.covers_bytes(),
        also_read_as: facts.also_read_as.iter().map(|l| l.number()).collect(),
        windows: facts.windows.iter().map(window).collect(),
    }
}

fn window(window: &Window) -> WindowAnswer {
    WindowAnswer {
        va: format::hex(window.virt.as_u64()),
        page_size: window.page_size,
        flags: window.flags.to_string(),
        leaf: entry(&window.leaf),
    }
}

fn entry(place: &EntryPlace) -> EntryAnswer {
    EntryAnswer {
        level: place.level.number(),
        table: format::hex(place.table.start().as_u64()),
        index: place.index,
    }
}

fn finding(finding: &Finding) -> FindingAnswer {
    FindingAnswer {
        rule: finding.rule.name(),
        severity: finding.severity.name(),
        text: finding.text.clone(),
        meaning: finding.rule.meaning(),
        level: finding.table.map(|(level, _)| level.number()),
        table: finding
            .table
            .map(|(_, frame)| format::hex(frame.start().as_u64())),
        entry: finding.entry.as_ref().map(entry),
        va: finding.address.map(|address| format::hex(address.as_u64())),
    }
}

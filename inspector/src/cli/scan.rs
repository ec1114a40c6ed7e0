//! `pagescope spaces --scan`: root tables in all of RAM, ranked, with the reasons.

use std::io::{IsTerminal as _, Write as _};

use serde::Serialize;

use super::arguments::Format;
use super::source::{self, Known, Place};
use super::{Answer, Failure, format, interrupt};
use crate::capture::scan::{Candidate, Progress};

#[derive(Debug, Serialize)]
struct CandidateAnswer {
    root: String,
    mode: String,
    score: i32,
    evidence: Vec<String>,
}

pub(super) fn run(place: Place, known: Known, as_what: Format) -> Result<Answer, Failure> {
    let live = match place {
        Place::Live(live) => live,
        Place::File(_) => {
            return Err(Failure::Usage(
                "--scan looks through all of RAM, and a snapshot holds only what was captured: give a guest's gdb port, or \
                 a dump of its memory, as ADDR"
                    .into(),
            ));
        }
        Place::Watch(_) => {
            return Err(Failure::Usage(
                "--scan looks through all of RAM while nothing changes it: give the guest's gdb port as ADDR, which \
                 stops it meanwhile"
                    .into(),
            ));
        }
    };
    let mut opened = source::open(live, known)?;
    let cancel = interrupt::cancel();
    let shows = std::io::stderr().is_terminal();
    let mut last = u64::MAX;
    let mut progress = |progress: Progress| {
        let percent = (progress.done * 100)
            .checked_div(progress.of)
            .unwrap_or(100);
        if shows && percent != last {
            last = percent;
            let end = if percent == 100 { "\n" } else { "" };
            // Nobody sees it where it cannot be written; `eprint!` would panic there.
            let mut out = std::io::stderr().lock();
            let _ = write!(out, "\rpagescope: {percent} % of RAM{end}").and_then(|()| out.flush());
        }
    };
    let target = opened.target.as_mut();
    let found = opened.capturer.scan(target, &cancel, &mut progress);
    source::leave(opened);
    let found = found.map_err(|error| match cancel.is_cancelled() {
        true => Failure::Cancelled,
        false => Failure::target(error),
    })?;
    let answer: Vec<CandidateAnswer> = found.iter().map(answer).collect();
    format::print(as_what, &answer, || text(&found))?;
    Ok(if found.is_empty() {
        Answer::No
    } else {
        Answer::Yes
    })
}

fn answer(candidate: &Candidate) -> CandidateAnswer {
    let evidence = candidate.evidence.iter().map(ToString::to_string);
    CandidateAnswer {
        root: format::hex(candidate.root.start().as_u64()),
        mode: candidate.mode.to_string(),
        score: candidate.score,
        evidence: evidence.collect(),
    }
}

fn text(found: &[Candidate]) -> String {
    if found.is_empty() {
        return "no frame of RAM looks like a root table".into();
    }
    let lines = found.iter().map(|candidate| {
        let evidence: Vec<String> = candidate.evidence.iter().map(ToString::to_string).collect();
        format!(
            "{:>4}  {:>12}  {:<5} {}",
            candidate.score,
            candidate.root.to_string(),
            candidate.mode.to_string(),
            evidence.join("; ")
        )
    });
    let mut lines: Vec<String> = lines.collect();
    lines.insert(0, "score          root  mode  evidence".into());
    lines.push("walk one:  pagescope map ADDR --root ROOT --mode MODE".into());
    lines.join("\n")
}

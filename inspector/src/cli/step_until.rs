//! `pagescope step --until …`, `--table-change`: run until something is so, and report each change on the way.

use std::sync::Arc;
use std::time::Duration;

use pagescope_protocol::snapshot::Snapshot;
use pagescope_protocol::{VirtAddr, VirtRange};
use serde::Serialize;

use super::arguments::{Format, Step};
use super::source::parse_address;
use super::step::{step_text, strip_sign};
use super::{Failure, format, interrupt};
use crate::capture::run_until::{Goal, Listener, RunProgress, Runner};
use crate::guest::ElfFile;
use crate::model::{ChangeKind, History, Moment};
use crate::session::Opened;
use crate::session::opening::stepper;

/// What can be waited for, as the usage says it.
const FORMS: &str = "--until takes 'heap>=40', 'mapped 0x40000000', 'mapped 0x1000 in SPACE', 'change', \
                     or 'change 0x40000000-0x401fffff'";

/// What is asked for; `None`: returns of a function.
pub(super) fn goal(options: &Step, elf: Option<&ElfFile>) -> Result<Option<Goal>, Failure> {
    if options.table_change {
        return Ok(Some(Goal::TableChange {
            within: None,
            count: options.count,
        }));
    }
    let text = options.until.as_deref();
    text.map(|text| parse(text, options.count, elf)).transpose()
}

fn parse(text: &str, count: u32, elf: Option<&ElfFile>) -> Result<Goal, Failure> {
    let wrong = || Failure::Usage(format!("{text:?} is no condition: {FORMS}"));
    let text = text.trim();
    if let Some(least) = text.strip_prefix("heap") {
        let least = least.trim().strip_prefix(">=").ok_or_else(wrong)?.trim();
        let least = match least.strip_prefix("0x") {
            Some(digits) => u64::from_str_radix(digits, 16).ok(),
            None => least.parse().ok(),
        };
        return Ok(Goal::HeapCounter(least.ok_or_else(wrong)?));
    }
    let (verb, rest) = text.split_once(char::is_whitespace).unwrap_or((text, ""));
    let rest = rest.trim();
    match (verb, rest) {
        ("mapped", rest) if !rest.is_empty() => {
            let (address, space) = match rest.split_once(" in ") {
                Some((address, space)) => (address.trim(), Some(space.trim().to_owned())),
                None => (rest, None),
            };
            Ok(Goal::Mapped {
                address: parse_address(address, elf)?,
                space,
            })
        }
        ("change", "") => Ok(Goal::TableChange {
            within: None,
            count,
        }),
        ("change", range) => {
            let (start, end) = range.split_once('-').ok_or_else(wrong)?;
            let start = parse_address(start.trim(), elf)?;
            let end: VirtAddr = parse_address(end.trim(), elf)?;
            // Both count, as in the window.
            let size = end.as_u64().checked_sub(start.as_u64());
            let size = size.and_then(|size| size.checked_add(1));
            let within = size.and_then(|size| VirtRange::new(start, size));
            if within.is_none() {
                return Err(Failure::Usage(format!(
                    "{range:?} is no range: give the first address and the last one that counts"
                )));
            }
            Ok(Goal::TableChange { within, count })
        }
        _ => Err(wrong()),
    }
}

/// A stop as scripts get it.
#[derive(Debug, Serialize)]
struct StopAnswer {
    step: usize,
    stop: String,
    heap_counter: Option<u64>,
    added: Vec<String>,
    removed: Vec<String>,
    changed: Vec<String>,
}

/// Prints what is kept, or gathers it.
struct Reporter<'a> {
    format: Format,
    history: &'a mut History,
    answers: Vec<StopAnswer>,
}

impl Listener for Reporter<'_> {
    fn stop(&mut self, snapshot: Arc<Snapshot>) {
        self.history.push(snapshot);
        let step = self.history.moments().len().saturating_sub(1);
        let Some(moment) = self.history.moments().last() else {
            return;
        };
        match self.format {
            Format::Text => format::write(&format!("{step:>4}  {}", step_text(moment))),
            Format::Json | Format::Ron => self.answers.push(answer(step, moment)),
        }
    }

    fn progress(&mut self, progress: &RunProgress) {
        tracing::info!("{progress}");
    }
}

fn answer(step: usize, moment: &Moment) -> StopAnswer {
    let of_kind = |kind: ChangeKind| {
        let changes = moment.difference.changes.iter();
        let of_kind = changes.filter(|change| change.kind() == kind);
        of_kind
            .map(|change| strip_sign(&change.to_string()))
            .collect()
    };
    StopAnswer {
        step,
        stop: moment.snapshot.stop.clone(),
        heap_counter: moment.snapshot.heap.map(|heap| heap.counter),
        added: of_kind(ChangeKind::Added),
        removed: of_kind(ChangeKind::Removed),
        changed: of_kind(ChangeKind::Changed),
    }
}

/// Runs to `goal` into `history`, whose first moment is the one before, and prints what was kept.
pub(super) fn run(
    opened: &mut Opened,
    goal: &Goal,
    options: &Step,
    history: &mut History,
) -> Result<(), Failure> {
    let stop = opened.stop.clone();
    let first = opened.capturer.capture(opened.target.as_mut(), stop);
    history.push(first.map_err(Failure::target)?);
    let cancel = interrupt::cancel();
    let allocates = stepper(&opened.capturer);
    let mut reporter = Reporter {
        format: options.format,
        history,
        answers: Vec::new(),
    };
    let mut runner = Runner {
        target: opened.target.as_mut(),
        capturer: &mut opened.capturer,
        allocates,
        cancel: &cancel,
        limit: Some(Duration::from_secs(options.timeout.into())),
    };
    let ran = runner.run(goal, &mut reporter);
    // What was seen before a failure is kept and printed.
    if options.format != Format::Text {
        format::print(options.format, &reporter.answers, String::new)?;
    }
    ran.map(drop).map_err(|error| match cancel.is_cancelled() {
        true => Failure::Cancelled,
        false => Failure::target(error),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn conditions_are_read() {
        let read = |text: &str| parse(text, 3, None).ok();
        assert_eq!(read("heap>=40"), Some(Goal::HeapCounter(40)));
        assert_eq!(read(" heap >= 0x28 "), Some(Goal::HeapCounter(40)));
        let mapped = |space: Option<&str>| Goal::Mapped {
            address: VirtAddr::new(0x1000),
            space: space.map(str::to_owned),
        };
        assert_eq!(read("mapped 0x1000"), Some(mapped(None)));
        assert_eq!(
            read("mapped 0x1000 in process 3 init"),
            Some(mapped(Some("process 3 init")))
        );
        let change = |within| Goal::TableChange { within, count: 3 };
        assert_eq!(read("change"), Some(change(None)));
        let range = VirtRange::new(VirtAddr::new(0x1000), 0x1000);
        assert_eq!(read("change 0x1000-0x1fff"), Some(change(range)));
        let byte = VirtRange::new(VirtAddr::new(0x1000), 1);
        assert_eq!(read("change 0x1000-0x1000"), Some(change(byte)));
        let top = read("change 0xfffffffffffff000-0xffffffffffffffff");
        let page = VirtRange::new(VirtAddr::new(0xffff_ffff_ffff_f000), 0x1000);
        assert_eq!(top, Some(change(page)));
        for wrong in [
            "",
            "heap",
            "heap>40",
            "heap>=x",
            "mapped",
            "mapped nowhere",
            "change 0x1000",
            "change 0x2000-0x1000",
            "heap>=99999999999999999999",
            "never",
        ] {
            assert_eq!(read(wrong), None, "{wrong:?}");
        }
    }
}

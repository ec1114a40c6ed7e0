//! `pagescope step`: run to a function's next returns, and report what each changed.

use std::str::FromStr as _;
use std::time::Duration;

use pagescope_protocol::snapshot::text::recording_to_text;
use serde::Serialize;

use super::arguments::{Format, Step};
use super::{Answer, Failure, format, interrupt, source};
use crate::capture::step::CallStepper;
use crate::export::file::write_atomically;
use crate::link::Address;
use crate::model::{ChangeKind, History, Moment};
use crate::session::Opened;
use crate::session::worker::capture_return;

/// A step as scripts get it.
#[derive(Debug, Serialize)]
pub(super) struct StepAnswer {
    step: usize,
    returned: String,
    heap_counter: Option<u64>,
    stop: String,
    added: Vec<String>,
    removed: Vec<String>,
    changed: Vec<String>,
}

impl StepAnswer {
    pub(super) fn new(step: usize, returned: u64, moment: &Moment) -> Self {
        let of_kind = |kind: ChangeKind| {
            let changes = moment.difference.changes.iter();
            let of_kind = changes.filter(|change| change.kind() == kind);
            of_kind
                .map(|change| strip_sign(&change.to_string()))
                .collect()
        };
        Self {
            step,
            returned: format::hex(returned),
            heap_counter: moment.snapshot.heap.map(|heap| heap.counter),
            stop: moment.snapshot.stop.clone(),
            added: of_kind(ChangeKind::Added),
            removed: of_kind(ChangeKind::Removed),
            changed: of_kind(ChangeKind::Changed),
        }
    }
}

/// The field that a change stands in says its sign.
pub(super) fn strip_sign(text: &str) -> String {
    text.trim_start_matches(['+', '−', '~', ' ']).into()
}

/// `kalloc(7) → 0x87ff7000; +1 leaf in L0 0x87ffe000; heap counter 8`.
pub(super) fn step_text(moment: &Moment) -> String {
    let mut parts = vec![moment.snapshot.stop.clone()];
    let summary = moment.difference.summary();
    parts.extend((!summary.is_empty()).then_some(summary));
    parts.extend(
        moment
            .snapshot
            .heap
            .map(|heap| format!("heap counter {}", heap.counter)),
    );
    parts.join("; ")
}

/// Where the function is in the program that the guest runs: the file may carry others.
fn stepper(opened: &Opened, symbol: &str) -> Result<CallStepper, Failure> {
    let elf = opened.capturer.elf();
    let elf = elf.ok_or_else(|| Failure::Usage("no ELF".into()))?;
    Ok(CallStepper {
        symbol: symbol.into(),
        entry: elf.require(symbol).map_err(Failure::usage)?,
    })
}

pub(super) fn run(options: &Step) -> Result<Answer, Failure> {
    let elf = source::elf(Some(&options.elf))?.ok_or_else(|| Failure::Usage("no ELF".into()))?;
    // Before anything is attached to: a name that is nowhere in the file needs no guest.
    elf.require(&options.symbol).map_err(Failure::usage)?;
    let address = Address::from_str(&options.addr).map_err(Failure::usage)?;
    let live = source::live(address, &options.from)?;
    if let Some(out) = &options.out {
        source::can_write(out)?;
    }
    let mut opened = source::open(live, Some(elf))?;
    let stepper = match stepper(&opened, &options.symbol) {
        Ok(stepper) => stepper,
        Err(failure) => {
            source::leave(opened);
            return Err(failure);
        }
    };
    let mut history = History::new();
    let mut answers = Vec::new();
    let mut print = |step: usize, returned: u64, moment: &Moment| match options.format {
        // People watch; scripts get one document at the end.
        Format::Text => format::write(&format!("{step:>4}  {}", step_text(moment))),
        Format::Json | Format::Ron => answers.push(StepAnswer::new(step, returned, moment)),
    };
    let limit = Duration::from_secs(options.timeout.into());
    let result = step_calls(
        &mut opened,
        &stepper,
        options.count,
        limit,
        &mut history,
        &mut print,
    );
    source::leave(opened);
    // What was seen before a failure is kept and printed.
    if options.format != Format::Text {
        format::print(options.format, &answers, String::new)?;
    }
    let saved = match (&options.out, history.to_recording()) {
        (Some(out), Some(recording)) => {
            let written = write_atomically(out, recording_to_text(&recording).as_bytes());
            written
                .map(|()| eprintln!("wrote {}", out.display()))
                .map_err(Failure::usage)
        }
        _ => Ok(()),
    };
    result.and(saved).map(|()| Answer::Yes)
}

/// Steps `count` returns into `history`, whose first moment is the one before them.
pub(super) fn step_calls(
    opened: &mut Opened,
    stepper: &CallStepper,
    count: u32,
    limit: Duration,
    history: &mut History,
    each: &mut dyn FnMut(usize, u64, &Moment),
) -> Result<(), Failure> {
    let stop = opened.stop.clone();
    let first = opened
        .capturer
        .capture(opened.target.as_mut(), stop)
        .map_err(Failure::target)?;
    history.push(first);
    let cancel = interrupt::cancel();
    let failed = |error: &dyn std::fmt::Display| match cancel.is_cancelled() {
        true => Failure::Cancelled,
        false => Failure::target(error),
    };
    for step in 1..=count as usize {
        let returned = stepper
            .step(opened.target.as_mut(), &cancel, limit)
            .map_err(|error| failed(&error))?;
        let snapshot =
            capture_return(opened, stepper, returned.value).map_err(|error| failed(&error))?;
        history.push(snapshot);
        if let Some(moment) = history.moments().last() {
            each(step, returned.value, moment);
        }
    }
    Ok(())
}

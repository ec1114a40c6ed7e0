//! `pagescope step`: run to a function's next returns, and report what each changed.

use std::time::Duration;

use pagescope_protocol::snapshot::text::recording_to_text;
use serde::Serialize;

use super::arguments::{Format, Step};
use super::source::parse_address;
use super::{Answer, Failure, format, interrupt, source, step_until};
use crate::capture::run_until::Goal;
use crate::capture::step::CallStepper;
use crate::export::file::write_atomically;
use crate::model::{ChangeKind, History, Moment};
use crate::session::Opened;
use crate::session::opening::ALLOCATION_SYMBOL;
use crate::session::stepping::capture_return;

/// A call that was stepped to its return.
pub(super) struct Stepped {
    /// What it returned.
    pub(super) value: u64,
    /// Where it returned to.
    to: u64,
    /// What lies there; empty where that is not known.
    caller: String,
}

/// A step as scripts get it.
#[derive(Debug, Serialize)]
pub(super) struct StepAnswer {
    step: usize,
    returned: String,
    /// Where it returned to, and what lies there.
    to: String,
    caller: String,
    heap_counter: Option<u64>,
    stop: String,
    added: Vec<String>,
    removed: Vec<String>,
    changed: Vec<String>,
}

impl StepAnswer {
    pub(super) fn new(step: usize, returned: &Stepped, moment: &Moment) -> Self {
        let of_kind = |kind: ChangeKind| {
            let changes = moment.difference.changes.iter();
            let of_kind = changes.filter(|change| change.kind() == kind);
            of_kind
                .map(|change| strip_sign(&change.to_string()))
                .collect()
        };
        Self {
            step,
            returned: format::hex(returned.value),
            to: format::hex(returned.to),
            caller: returned.caller.clone(),
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

/// What is stepped, in the program that the guest runs: the ELF may carry others, and lie elsewhere than
/// it is linked.
fn stepper(opened: &Opened, symbol: Option<&str>) -> Result<CallStepper, Failure> {
    let Some(symbol) = symbol else {
        return crate::session::opening::stepper(&opened.capturer).ok_or_else(|| {
            Failure::Usage(format!(
                "what to step is not known: give --elf FILE that has {ALLOCATION_SYMBOL}, or --symbol \
                 with an address"
            ))
        });
    };
    let elf = opened.capturer.elf().map(AsRef::as_ref);
    Ok(CallStepper {
        symbol: symbol.into(),
        entry: parse_address(symbol, elf)?,
    })
}

pub(super) fn run(options: &Step) -> Result<Answer, Failure> {
    let address = source::port(&options.addr, "stepping")?;
    let known = source::Known::of(&options.guest)?.with_lines();
    // Before anything is attached to: a name that is nowhere in the file needs no guest.
    let goal = step_until::goal(options, known.elf.as_deref())?;
    let needs_elf = !matches!(goal, Some(Goal::TableChange { .. } | Goal::Mapped { .. }));
    if let Some(symbol) = &options.symbol {
        parse_address(symbol, known.elf.as_deref())?;
    } else if known.elf.is_none() && needs_elf {
        return Err(Failure::Usage(
            "where kalloc is, only the guest's ELF knows: give --elf FILE, or --symbol with an address"
                .into(),
        ));
    }
    let live = source::live(address, &options.from)?;
    if let Some(out) = &options.out {
        source::can_write(out)?;
    }
    let mut opened = source::open(live, known)?;
    if let Some(goal) = goal {
        let mut history = History::new();
        let result = step_until::run(&mut opened, &goal, options, &mut history);
        source::leave(opened);
        let saved = save(options, &history);
        return result.and(saved).map(|()| Answer::Yes);
    }
    let stepper = match stepper(&opened, options.symbol.as_deref()) {
        Ok(stepper) => stepper,
        Err(failure) => {
            source::leave(opened);
            return Err(failure);
        }
    };
    let mut history = History::new();
    let mut answers = Vec::new();
    let mut print = |step: usize, returned: &Stepped, moment: &Moment| match options.format {
        // People watch; scripts get one document at the end.
        Format::Text => format::write(&format!("{step:>4}  {}", called_text(moment, returned))),
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
    let saved = save(options, &history);
    result.and(saved).map(|()| Answer::Yes)
}

/// Writes all moments where that is asked for.
fn save(options: &Step, history: &History) -> Result<(), Failure> {
    match (&options.out, history.to_recording()) {
        (Some(out), Some(recording)) => {
            let written = write_atomically(out, recording_to_text(&recording).as_bytes());
            written
                .map(|()| format::tell(&format!("wrote {}", out.display())))
                .map_err(Failure::usage)
        }
        _ => Ok(()),
    }
}

/// The same, and who called.
fn called_text(moment: &Moment, stepped: &Stepped) -> String {
    match stepped.caller.as_str() {
        "" => step_text(moment),
        caller => format!("{}; by {caller}", step_text(moment)),
    }
}

/// Steps `count` returns into `history`, whose first moment is the one before them.
pub(super) fn step_calls(
    opened: &mut Opened,
    stepper: &CallStepper,
    count: u32,
    limit: Duration,
    history: &mut History,
    each: &mut dyn FnMut(usize, &Stepped, &Moment),
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
        let snapshot = capture_return(opened, stepper, returned).map_err(|error| failed(&error))?;
        history.push(snapshot);
        let to = returned.to.as_u64();
        let knowledge = opened.capturer.knowledge();
        // The call is what is before the address that it returns to.
        let elf = opened.capturer.elf().map(AsRef::as_ref);
        let mut caller = knowledge.places(elf, &[to.saturating_sub(1)]);
        let stepped = Stepped {
            value: returned.value,
            to,
            caller: caller.pop().unwrap_or_default(),
        };
        if let Some(moment) = history.moments().last() {
            each(step, &stepped, moment);
        }
    }
    Ok(())
}

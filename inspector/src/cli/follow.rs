//! `pagescope follow`: what changes in a guest while it runs, line by line.

use std::io::IsTerminal as _;
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use pagescope_protocol::snapshot::Snapshot;
use serde::Serialize;

use super::arguments::{self, Format, MemoryArguments};
use super::source::{self, Place};
use super::{Answer, Failure, format, interrupt};
use crate::model::{ChangeKind, Difference};
use crate::session::follow::Follow;
use crate::session::{Opened, Rate};

/// The longest that a signal waits to be seen.
const SLICE: Duration = Duration::from_millis(50);

/// What a look showed, as scripts get it: one object a line.
#[derive(Debug, Serialize)]
struct LookAnswer {
    /// The look, from 1.
    look: u64,
    /// Milliseconds since following began.
    ms: u64,
    heap_counter: Option<u64>,
    added: Vec<String>,
    removed: Vec<String>,
    changed: Vec<String>,
    /// Tables that were still moving when they had been read twice, several times: what is said of them may
    /// be half old and half new.
    unsettled: Vec<String>,
    /// Harts whose satp was moving.
    unsettled_harts: Vec<u32>,
}

pub(super) fn run(options: &arguments::Follow) -> Result<Answer, Failure> {
    let rate = Rate::from_hz(options.rate).ok_or_else(|| {
        Failure::Usage(format!(
            "--rate {} is not from {} to {}",
            options.rate,
            Rate::MIN_HZ,
            Rate::MAX_HZ
        ))
    })?;
    let known = source::Known::of(&options.guest)?;
    let from = MemoryArguments {
        ram_file: options.ram_file.clone(),
        ..MemoryArguments::default()
    };
    let place = Place::looked_at(&options.addr, options.monitor.as_deref(), &from)?;
    let Place::Watch(watch) = place else {
        if source::is_file(&options.addr) {
            return Err(Failure::Usage(format!(
                "{0} is a file, which does not move: see what changed in it with pagescope open {0}",
                options.addr
            )));
        }
        return Err(Failure::Usage(source::needs_monitor("following")));
    };
    let mut opened = source::open_source(&known.look_on(watch))?;
    let result = follow(&mut opened, rate, options);
    source::leave(opened);
    result.map(|()| Answer::Yes)
}

fn follow(opened: &mut Opened, rate: Rate, options: &arguments::Follow) -> Result<(), Failure> {
    let cancel = interrupt::cancel();
    let began = Instant::now();
    let mut follow = Follow::new(rate, began);
    let mut before: Option<Arc<Snapshot>> = None;
    let last = options.count.unwrap_or(u64::MAX);
    let end = options
        .seconds
        .map(|seconds| began + Duration::from_secs(seconds.into()));
    let mut looks = 0;
    let mut stands_still = false;
    while looks < last && end.is_none_or(|end| Instant::now() < end) {
        let wait = follow.wait(Instant::now());
        if !wait.is_zero() {
            thread::sleep(wait.min(SLICE));
        }
        if cancel.is_cancelled() {
            break;
        }
        if !follow.wait(Instant::now()).is_zero() {
            continue;
        }
        follow.begin(Instant::now());
        // Asked anew each time: somebody else may stop it, or let it run.
        let stop = opened.target.wait_for_stop(Duration::ZERO);
        if stop.map_err(Failure::target)?.is_some() && before.is_some() {
            if !std::mem::replace(&mut stands_still, true) {
                format::tell("the guest stands still; what follows is seen when it runs");
                follow.interrupted();
            }
            continue;
        }
        stands_still = false;
        let looked = match opened.look(&cancel) {
            Err(_) if cancel.is_cancelled() => break,
            Err(error) => return Err(Failure::target(error)),
            Ok(Some(looked)) => looked,
            Ok(None) => {
                return Err(Failure::Target(
                    "the guest stands still; let it run, and follow again".into(),
                ));
            }
        };
        looks += 1;
        follow.end(&looked, Instant::now());
        let answer = look(looks, began, before.as_deref(), &looked);
        say(options.format, &answer, before.is_none(), &looked)?;
        before = Some(looked);
    }
    let report = follow.report();
    format::tell(&format!(
        "{} looks in {:.1} s ({rate} asked for), {} of them unsettled",
        report.looks,
        began.elapsed().as_secs_f32(),
        report.torn
    ));
    Ok(())
}

fn look(number: u64, began: Instant, before: Option<&Snapshot>, now: &Snapshot) -> LookAnswer {
    let difference = before.map_or_else(Difference::default, |before| {
        Difference::between(before, now)
    });
    let of_kind = |kind: ChangeKind| {
        let changes = difference.changes.iter();
        changes
            .filter(|change| change.kind() == kind)
            .map(|change| super::step::strip_sign(&change.to_string()))
            .collect()
    };
    let unsettled = now.taken.unsettled().cloned().unwrap_or_default();
    LookAnswer {
        look: number,
        ms: began.elapsed().as_millis() as u64,
        heap_counter: now.heap.map(|heap| heap.counter),
        added: of_kind(ChangeKind::Added),
        removed: of_kind(ChangeKind::Removed),
        changed: of_kind(ChangeKind::Changed),
        unsettled: unsettled.tables.iter().map(ToString::to_string).collect(),
        unsettled_harts: unsettled.harts,
    }
}

/// Says what a look showed, if it is the first or shows anything new.
fn say(
    format: Format,
    answer: &LookAnswer,
    is_first: bool,
    snapshot: &Snapshot,
) -> Result<(), Failure> {
    let changes = answer.added.len() + answer.removed.len() + answer.changed.len();
    let is_unsettled = snapshot.taken.unsettled().is_some();
    if !is_first && changes == 0 && !is_unsettled {
        return Ok(());
    }
    match format {
        Format::Json => {
            format::write(&serde_json::to_string(answer).map_err(Failure::usage)?);
        }
        Format::Ron => format::write(&ron::to_string(answer).map_err(Failure::usage)?),
        Format::Text => {
            for line in text(answer, is_first, snapshot) {
                format::write(&line);
            }
        }
    }
    Ok(())
}

fn text(answer: &LookAnswer, is_first: bool, snapshot: &Snapshot) -> Vec<String> {
    let seconds = answer.ms as f64 / 1000.0;
    let mut lines = Vec::new();
    if is_first {
        let tables: usize = snapshot.spaces.iter().map(|space| space.tables.len()).sum();
        let counter = match answer.heap_counter {
            Some(counter) => format!(", heap counter {counter}"),
            None => String::new(),
        };
        lines.push(format!(
            "{seconds:>9.3}    {} spaces, {tables} tables{counter}",
            snapshot.spaces.len()
        ));
        if std::io::stdout().is_terminal() {
            format::tell("following; Ctrl-C ends it and leaves the guest running");
        }
    }
    for (sign, changes) in [
        ('+', &answer.added),
        ('−', &answer.removed),
        ('~', &answer.changed),
    ] {
        let changes = changes.iter();
        lines.extend(changes.map(|change| format!("{seconds:>9.3}  {sign} {change}")));
    }
    if let Some(unsettled) = snapshot.taken.unsettled() {
        lines.push(format!("{seconds:>9.3}  ? moving: {unsettled}"));
    }
    lines
}

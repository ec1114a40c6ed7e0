//! Commands that let the guest move and stop it again: to a function's return, to a change, to a condition.

use std::sync::Arc;
use std::time::Duration;

use pagescope_protocol::snapshot::Snapshot;

use super::opening::Opened;
use super::trouble::Trouble;
use super::worker::{Outbox, Worker};
use super::{Connection, Event};
use crate::capture::Capturer;
use crate::capture::run_until::{Goal, Listener, RunProgress, Runner};
use crate::capture::step::{CallStepper, Returned, free_text, return_text};
use crate::link::LinkError;

/// The function that takes a page back, in our kernel and in most that are taught.
pub const FREEING_SYMBOL: &str = "kfree";

/// How long a stepped function may take to be called.
const STEP_LIMIT: Duration = Duration::from_secs(60);

impl Worker {
    pub(super) fn step_calls(&mut self, symbol: &str, count: u32) -> Result<(), Trouble> {
        let stepper = self.stepper_for(symbol)?;
        let cancel = self.cancel.clone();
        for number in 1..=count {
            if cancel.is_cancelled() {
                break;
            }
            let what = if count == 1 {
                format!("waiting for {symbol} to return")
            } else {
                format!("{symbol} {number} of {count}")
            };
            self.out.connection(Connection::Busy { what })?;
            let opened = self.opened()?;
            let target = opened.target.as_mut();
            let returned = stepper.step(target, &cancel, STEP_LIMIT)?;
            let snapshot = capture_return(opened, &stepper, returned)?;
            self.out.send(Event::Moment(snapshot))?;
        }
        Ok(self.report_state()?)
    }

    fn stepper_for(&mut self, symbol: &str) -> Result<CallStepper, Trouble> {
        // Asked each time: which of the file's programs the guest runs is known only once it has booted.
        let opened = self.opened()?;
        let elf = opened.capturer.elf().ok_or_else(|| {
            Trouble::Failed(format!(
                "where {symbol} is, only the guest's ELF knows; attach again with --elf FILE"
            ))
        })?;
        let entry = elf
            .require(symbol)
            .map_err(|error| Trouble::Failed(error.to_string()))?;
        Ok(CallStepper {
            symbol: symbol.into(),
            entry,
        })
    }

    /// Runs until `goal` is so; there is no limit but the user's patience.
    pub(super) fn run_until(&mut self, goal: &Goal) -> Result<(), Trouble> {
        let what = format!("waiting for {goal}");
        self.out.connection(Connection::Busy { what })?;
        let (out, cancel) = (self.out.clone(), self.cancel.clone());
        let mut teller = Teller { out, goal };
        let opened = self.opened()?;
        let allocates = super::opening::stepper(&opened.capturer);
        let mut runner = Runner {
            target: opened.target.as_mut(),
            capturer: &mut opened.capturer,
            allocates,
            cancel: &cancel,
            limit: None,
        };
        runner.run(goal, &mut teller)?;
        Ok(self.report_state()?)
    }
}

/// Tells the window how a run goes. One that is gone is noticed when the run has ended.
struct Teller<'a> {
    out: Outbox,
    goal: &'a Goal,
}

impl Listener for Teller<'_> {
    fn stop(&mut self, snapshot: Arc<Snapshot>) {
        let _ = self.out.send(Event::Moment(snapshot));
    }

    fn progress(&mut self, progress: &RunProgress) {
        let what = format!("waiting for {}: {progress}", self.goal);
        let _ = self.out.connection(Connection::Busy { what });
    }
}

/// The function that takes pages back: what the profile says, as far as the ELF has it, else
/// [`FREEING_SYMBOL`].
pub fn freeing(capturer: &Capturer) -> Option<String> {
    let elf = capturer.elf()?;
    let told = capturer.knowledge().profile().into_iter();
    let told = told.flat_map(|profile| profile.free.iter());
    let mut names = told.map(|free| &*free.symbol).chain([FREEING_SYMBOL]);
    let found = names.find(|symbol| elf.address_of(symbol).is_some())?;
    Some(found.to_owned())
}

/// Captures the moment after a call returned, named after it.
///
/// # Errors
/// When the target is lost.
pub fn capture_return(
    opened: &mut Opened,
    stepper: &CallStepper,
    returned: Returned,
) -> Result<Arc<Snapshot>, LinkError> {
    let frees = freeing(&opened.capturer).as_deref() == Some(&*stepper.symbol);
    let Opened {
        target, capturer, ..
    } = opened;
    capturer.capture_named(target.as_mut(), |snapshot| match frees {
        true => free_text(&stepper.symbol, returned.argument),
        false => return_text(&stepper.symbol, returned.value, snapshot),
    })
}

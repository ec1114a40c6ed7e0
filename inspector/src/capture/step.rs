//! Running a guest to the next return of a function, on whichever hart calls it.
//!
//! A breakpoint on the entry gives hart, return address and stack pointer; one on the return
//! address, met with the same stack pointer by the same hart, or by another one in the same address
//! space, is that call's return, however often the function was called in between. Both are taken back whatever happens.

use std::time::{Duration, Instant};

use pagescope_protocol::VirtAddr;
use pagescope_protocol::snapshot::Snapshot;
use thiserror::Error;

use crate::link::{Cancel, HartId, LinkError, StopReason, Target};

/// How long one wait lasts before the flag that cancels is looked at again.
const SLICE: Duration = Duration::from_millis(100);

/// How long a guest may take to obey a request to stop.
const STOP_LIMIT: Duration = Duration::from_secs(5);

/// Why a step did not come to its end.
#[derive(Debug, Error)]
pub enum StepError {
    /// The link failed.
    #[error(transparent)]
    Link(#[from] LinkError),
    /// The guest powered off or ended.
    #[error("the guest ended (exit code {code}) before {symbol} returned")]
    GuestEnded {
        /// Its exit code.
        code: u8,
        /// The function.
        symbol: String,
    },
    /// Nobody called the function.
    #[error(
        "{symbol} did not return within {} s; the guest may be waiting for input, or never call it: \
         make it work, or allow more time",
        limit.as_secs()
    )]
    NotCalled {
        /// The function.
        symbol: String,
        /// How long was waited.
        limit: Duration,
    },
    /// What was waited for did not happen.
    #[error("{what} did not happen within {} s; make the guest work, or allow more time", limit.as_secs())]
    NothingHappened {
        /// What was waited for.
        what: String,
        /// How long was waited.
        limit: Duration,
    },
    /// What is asked for cannot be waited for.
    #[error("{0}")]
    NoGoal(String),
    /// The hart does not show its registers.
    #[error("{hart} stopped in {symbol}, and the stub does not show its {register}")]
    NoRegister {
        /// The hart.
        hart: HartId,
        /// The function.
        symbol: String,
        /// The register.
        register: &'static str,
    },
    /// The user ended it; the guest is stopped.
    #[error("cancelled")]
    Cancelled,
}

/// A function whose returns are stepped to.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct CallStepper {
    /// Its name.
    pub symbol: String,
    /// Its first instruction.
    pub entry: VirtAddr,
}

/// A call that returned.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Returned {
    /// The hart that called.
    pub hart: HartId,
    /// What the function returned, in a0.
    pub value: u64,
    /// What it was given, in a0.
    pub argument: Option<u64>,
    /// Where it returned to.
    pub to: VirtAddr,
}

/// How long a wait may last.
#[derive(Clone, Copy)]
struct Until {
    limit: Duration,
    /// `None`: longer than the clock goes.
    deadline: Option<Instant>,
}

impl Until {
    fn after(limit: Duration) -> Self {
        Self {
            limit,
            deadline: Instant::now().checked_add(limit),
        }
    }

    fn is_over(self) -> bool {
        self.deadline
            .is_some_and(|deadline| Instant::now() >= deadline)
    }
}

struct Call {
    hart: HartId,
    return_address: VirtAddr,
    stack_pointer: u64,
    /// The hart's satp, where the stub shows it.
    satp: Option<u64>,
    /// a0: the function's first argument.
    argument: Option<u64>,
}

impl CallStepper {
    /// Runs the guest until a hart is about to execute the function's first instruction.
    ///
    /// # Errors
    /// [`StepError`]; the guest is stopped then, if it is still there.
    pub fn run_to_entry(
        &self,
        target: &mut dyn Target,
        cancel: &Cancel,
        limit: Duration,
    ) -> Result<HartId, StepError> {
        let until = Until::after(limit);
        let arrived = match target.set_breakpoint(self.entry) {
            Ok(()) => self.wait_at(target, self.entry, None, cancel, until),
            Err(error) => Err(error.into()),
        };
        clean_up(target, cancel, arrived, |target| {
            target.clear_breakpoint(self.entry)
        })
    }

    /// Runs the guest to the next return of the function.
    ///
    /// # Errors
    /// [`StepError`]; the guest is stopped then, if it is still there.
    pub fn step(
        &self,
        target: &mut dyn Target,
        cancel: &Cancel,
        limit: Duration,
    ) -> Result<Returned, StepError> {
        let until = Until::after(limit);
        let hart = match self.hart_at_entry(target)? {
            Some(hart) => hart,
            None => self.run_to_entry(target, cancel, limit)?,
        };
        let call = self.call_on(target, hart)?;
        let place = call.return_address;
        let arrived = match target.set_breakpoint(place) {
            Ok(()) => self.wait_at(target, place, Some(&call), cancel, until),
            Err(error) => Err(error.into()),
        };
        let hart = clean_up(target, cancel, arrived, |target| {
            target.clear_breakpoint(place)
        })?;
        let value = target.register(hart, "a0")?;
        let value = value.ok_or_else(|| self.no_register(hart, "a0"))?;
        Ok(Returned {
            hart,
            value,
            argument: call.argument,
            to: place,
        })
    }

    /// The call that `hart` is about to begin.
    fn call_on(&self, target: &mut dyn Target, hart: HartId) -> Result<Call, StepError> {
        let names = ["ra", "sp", "satp", "a0"];
        let read = target.some_registers(&names.map(|name| (hart, name)))?;
        let needed = |place: usize| {
            let value = read.get(place).copied().flatten();
            value.ok_or_else(|| self.no_register(hart, names[place]))
        };
        Ok(Call {
            hart,
            return_address: VirtAddr::new(needed(0)?),
            stack_pointer: needed(1)?,
            satp: read.get(2).copied().flatten(),
            argument: read.get(3).copied().flatten(),
        })
    }

    fn no_register(&self, hart: HartId, register: &'static str) -> StepError {
        StepError::NoRegister {
            hart,
            symbol: self.symbol.clone(),
            register,
        }
    }

    /// A hart that stands on the function's first instruction already.
    fn hart_at_entry(&self, target: &mut dyn Target) -> Result<Option<HartId>, StepError> {
        if target.is_running() {
            return Ok(None);
        }
        let harts = target.harts()?;
        let wanted: Vec<(HartId, &str)> = harts.iter().map(|hart| (*hart, "pc")).collect();
        let pcs = target.some_registers(&wanted)?;
        let mut there = harts.into_iter().zip(pcs);
        let here = there.find(|(_, pc)| *pc == Some(self.entry.as_u64()));
        Ok(here.map(|(hart, _)| hart))
    }

    /// Resumes until a hart stands at `place`; at a call's return, until it is that call's.
    fn wait_at(
        &self,
        target: &mut dyn Target,
        place: VirtAddr,
        call: Option<&Call>,
        cancel: &Cancel,
        until: Until,
    ) -> Result<HartId, StepError> {
        loop {
            // Also where stops keep coming that are not the one.
            self.check(cancel, until)?;
            target.resume()?;
            let hart = loop {
                match target.wait_for_stop(SLICE)? {
                    Some(StopReason::Exited { code }) => {
                        return Err(StepError::GuestEnded {
                            code,
                            symbol: self.symbol.clone(),
                        });
                    }
                    Some(reason) => break reason.hart(),
                    None => self.check(cancel, until)?,
                }
            };
            let Some(hart) = hart else { continue };
            let read = target.some_registers(&[(hart, "sp"), (hart, "pc")])?;
            let [sp, pc] = <[Option<u64>; 2]>::try_from(read).unwrap_or_default();
            if pc != Some(place.as_u64()) {
                continue;
            }
            let is_it = match call {
                None => true,
                // A call that was interrupted may end on another hart: it is the same one where the
                // same stack lies at that address.
                Some(call) if hart != call.hart => {
                    sp == Some(call.stack_pointer)
                        && call.satp.is_some()
                        && target.register(hart, "satp")? == call.satp
                }
                Some(call) => sp == Some(call.stack_pointer),
            };
            if is_it {
                return Ok(hart);
            }
        }
    }

    /// An error where the wait is over: cancelled, or too long.
    fn check(&self, cancel: &Cancel, until: Until) -> Result<(), StepError> {
        if cancel.is_cancelled() {
            return Err(StepError::Cancelled);
        }
        if until.is_over() {
            let symbol = self.symbol.clone();
            return Err(StepError::NotCalled {
                symbol,
                limit: until.limit,
            });
        }
        Ok(())
    }
}

/// Leaves the guest stopped and takes back what `take_back` does, whatever the result; cancelling the
/// wait does not cancel this. Only a lost link or a guest that ended leaves nothing to put back.
pub(super) fn clean_up<T>(
    target: &mut dyn Target,
    cancel: &Cancel,
    result: Result<T, StepError>,
    take_back: impl FnOnce(&mut dyn Target) -> Result<(), LinkError>,
) -> Result<T, StepError> {
    let was_cancelled = cancel.is_cancelled();
    let cancelled_link = matches!(result, Err(StepError::Link(LinkError::Cancelled)));
    let nothing_left = matches!(
        result,
        Err(StepError::Link(_) | StepError::GuestEnded { .. })
    ) && !cancelled_link;
    if nothing_left {
        return result;
    }
    cancel.reset();
    let cleaned = stop(target).and_then(|()| take_back(target));
    if was_cancelled {
        cancel.cancel();
    }
    cleaned?;
    if cancelled_link {
        Err(StepError::Cancelled)
    } else {
        result
    }
}

fn stop(target: &mut dyn Target) -> Result<(), LinkError> {
    if target.is_running() {
        target.interrupt()?;
        target.wait_for_stop(STOP_LIMIT)?;
    }
    Ok(())
}

/// What the return of a function that takes pages back is called: `kfree(0x87ff7000) returned`.
pub fn free_text(symbol: &str, argument: Option<u64>) -> String {
    let argument = argument.map_or_else(String::new, |address| VirtAddr::new(address).to_string());
    format!("{symbol}({argument}) returned")
}

/// What a return is called: `kalloc(7) → 0x87ff7000`, counted by the heap where it has the page.
pub fn return_text(symbol: &str, value: u64, snapshot: &Snapshot) -> String {
    let address = VirtAddr::new(value);
    let spaces = snapshot.spaces.iter();
    let phys = spaces
        .filter_map(|space| space.translate(address).mapped())
        .next();
    let index = phys
        .zip(snapshot.heap)
        .and_then(|(mapped, heap)| heap.index_of(mapped.address));
    let index = index.map_or_else(String::new, |index| index.to_string());
    format!("{symbol}({index}) → {address}")
}

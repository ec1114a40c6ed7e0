//! Running a guest until something is so: a table changes, the heap counter is high enough, an address is mapped.
//!
//! Tables are watched for writes ([`TableWatch`]); after each the tables are captured, and those that are new are
//! watched too. What the hardware writes itself, A and D, stops nothing. The heap counter is looked at after each
//! return of the function that allocates, and so are the tables where the stub cannot watch memory. Watchpoints and
//! breakpoints are taken back whatever happens.

use std::fmt;
use std::sync::Arc;
use std::time::{Duration, Instant};

use pagescope_protocol::coalesce::MappedRange;
use pagescope_protocol::snapshot::{Snapshot, Space};
use pagescope_protocol::{LeafFlags, PhysRange, VirtAddr, VirtRange};

use super::Capturer;
use super::step::{CallStepper, StepError, clean_up, return_text};
use super::table_watch::{MOST_WATCHED, TableWatch, TableWrite, is_written};
use crate::link::{Cancel, LinkError, StopReason, Target};

/// How long one wait lasts before the flag that cancels is looked at again.
const SLICE: Duration = Duration::from_millis(100);

/// How often is said how far it has come.
const TELL: Duration = Duration::from_millis(200);

/// What a guest is run to.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Goal {
    /// Tables are written so many times.
    TableChange {
        /// Only entries that translate these addresses count; `None`: all.
        within: Option<VirtRange>,
        /// How often.
        count: u32,
    },
    /// The heap counter is this or more.
    HeapCounter(u64),
    /// The address is mapped.
    Mapped {
        /// The address.
        address: VirtAddr,
        /// In the space of this name; `None`: in any.
        space: Option<String>,
    },
}

impl fmt::Display for Goal {
    /// What is waited for: "heap counter 40 or more".
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::TableChange {
                within: None,
                count,
            } if *count <= 1 => f.write_str("a change of a table"),
            Self::TableChange {
                within: None,
                count,
            } => write!(f, "{count} changes of tables"),
            Self::TableChange {
                within: Some(range),
                ..
            } => write!(
                f,
                "a change of what {} to {} translate to",
                range.start(),
                range.start().wrapping_add(range.size().saturating_sub(1))
            ),
            Self::HeapCounter(least) => write!(f, "heap counter {least} or more"),
            Self::Mapped {
                address,
                space: None,
            } => write!(f, "{address} being mapped"),
            Self::Mapped {
                address,
                space: Some(space),
            } => write!(f, "{address} being mapped in {space}"),
        }
    }
}

impl Goal {
    /// How many changes of tables end it, at least one.
    fn changes(&self) -> u32 {
        match self {
            Self::TableChange { count, .. } => (*count).max(1),
            _ => 1,
        }
    }

    /// Whether it is so already; a change never is.
    pub fn is_met(&self, snapshot: &Snapshot) -> bool {
        match self {
            Self::TableChange { .. } => false,
            Self::HeapCounter(least) => snapshot.heap.is_some_and(|heap| heap.counter >= *least),
            Self::Mapped { address, space } => {
                let spaces = snapshot.spaces.iter();
                spaces
                    .filter(|one| space.as_ref().is_none_or(|name| *name == one.name))
                    .any(|space| space.translate(*address).mapped().is_some())
            }
        }
    }
}

/// How far a run has come.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct RunProgress {
    /// Stops so far.
    pub stops: u64,
    /// The heap counter, where there is one.
    pub heap_counter: Option<u64>,
}

impl fmt::Display for RunProgress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.stops {
            1 => f.write_str("1 stop")?,
            stops => write!(f, "{stops} stops")?,
        }
        if let Some(counter) = self.heap_counter {
            write!(f, ", counter {counter}")?;
        }
        match every(self.stops + 1) {
            1 => Ok(()),
            every => write!(f, ", each {every}th kept"),
        }
    }
}

/// Of a long run each so many-th stop is kept, from this one on: the first hundred all, a thousand each tenth, and
/// then each hundredth. The last is always kept.
pub const fn every(stop: u64) -> u64 {
    match stop {
        0..=100 => 1,
        101..=1000 => 10,
        _ => 100,
    }
}

/// Whether a table of any space is another, or what `within` translates to. A and D are nothing that was asked for.
fn have_changed(before: &Snapshot, after: &Snapshot, within: Option<VirtRange>) -> bool {
    before.spaces.len() != after.spaces.len()
        || after.spaces.iter().any(|space| {
            let Some(old) = before.spaces.iter().find(|old| old.name == space.name) else {
                return true;
            };
            match within {
                None => old.root != space.root || have_written_tables(old, space),
                Some(range) => mapped_in(old, range) != mapped_in(space, range),
            }
        })
}

fn have_written_tables(before: &Space, after: &Space) -> bool {
    before.tables.len() != after.tables.len()
        || after.tables.iter().any(|table| {
            let Some(old) = before.table_at(table.frame, table.level) else {
                return true;
            };
            old.covers_from != table.covers_from
                || old.entries.is_some() != table.entries.is_some()
                || (old.iter().zip(table.iter()))
                    .any(|((_, old), (_, new))| is_written(old.bits(), new.bits()))
        })
}

/// What `range` translates to, without A and D, and without the borders that only those make.
fn mapped_in(space: &Space, range: VirtRange) -> Vec<MappedRange> {
    let first = range.start().as_u64();
    let last = first.saturating_add(range.size().saturating_sub(1));
    let mut found: Vec<MappedRange> = Vec::new();
    let ranges = space.mappings.ranges_from(range.start());
    for one in ranges.take_while(|one| one.virt.as_u64() <= last) {
        let end = one.virt.as_u64().saturating_add(one.size - 1).min(last);
        // The first one may end before.
        if end < first {
            continue;
        }
        let before = first.saturating_sub(one.virt.as_u64());
        let virt = one.virt.wrapping_add(before);
        let piece = MappedRange {
            virt,
            phys: one.phys.wrapping_add(before),
            size: end.saturating_sub(virt.as_u64()).saturating_add(1),
            flags: one.flags - (LeafFlags::ACCESSED | LeafFlags::DIRTY),
            ..one
        };
        match found.last_mut() {
            Some(last) if last.continues_with(&piece) => last.size += piece.size,
            _ => found.push(piece),
        }
    }
    found
}

/// What a run tells while it goes on.
pub trait Listener {
    /// A stop that is kept.
    fn stop(&mut self, snapshot: Arc<Snapshot>);

    /// How far it has come; not more often than five times a second.
    fn progress(&mut self, progress: &RunProgress);
}

/// A guest that is run to a goal.
pub struct Runner<'a> {
    /// The guest.
    pub target: &'a mut dyn Target,
    /// What captures it.
    pub capturer: &'a mut Capturer,
    /// The function that allocates, where it is known.
    pub allocates: Option<CallStepper>,
    /// Ends the run.
    pub cancel: &'a Cancel,
    /// How long it may take until it is so, of several changes until the next; `None`: for ever.
    pub limit: Option<Duration>,
}

impl Runner<'_> {
    /// Runs until `goal` is so. How many stops it took.
    ///
    /// # Errors
    /// [`StepError`]; the guest is stopped then, if it is still there.
    pub fn run(&mut self, goal: &Goal, listener: &mut dyn Listener) -> Result<u64, StepError> {
        let before = match self.capturer.last() {
            Some(last) => Arc::clone(last),
            None => self.capturer.capture(self.target, "before")?,
        };
        if goal.is_met(&before) {
            return Err(StepError::NoGoal(format!("{goal} is so already")));
        }
        match goal {
            Goal::HeapCounter(least) => self.run_to_counter(&before, *least, listener),
            _ => self.run_to_table_change(before, goal, listener),
        }
    }

    fn run_to_counter(
        &mut self,
        before: &Snapshot,
        least: u64,
        listener: &mut dyn Listener,
    ) -> Result<u64, StepError> {
        let Some(heap) = before.heap else {
            return Err(StepError::NoGoal(
                "this guest publishes no heap counter: run to a change of its tables instead"
                    .into(),
            ));
        };
        let stepper = self.allocates.clone().ok_or_else(|| {
            StepError::NoGoal(
                "which function allocates is not known: attach with --elf FILE".into(),
            )
        })?;
        let counter = PhysRange::new(heap.counter_address, 8).ok_or_else(|| {
            StepError::NoGoal("the heap counter lies past the last address".into())
        })?;
        let mut clock = Clock::new();
        let began = Instant::now();
        for stops in 1.. {
            self.check(&Goal::HeapCounter(least), began)?;
            let limit = self.limit.unwrap_or(Duration::MAX);
            let returned = stepper.step(self.target, self.cancel, limit)?;
            let read = self.target.read_physical(&[counter])?;
            let bytes = read.into_iter().next().flatten();
            let bytes = bytes.and_then(|bytes| <[u8; 8]>::try_from(bytes).ok());
            let now = bytes.map(u64::from_le_bytes).ok_or_else(|| {
                StepError::NoGoal("the heap counter cannot be read any more".into())
            })?;
            let is_last = now >= least;
            if is_last || stops % every(stops) == 0 {
                let name =
                    |snapshot: &Snapshot| return_text(&stepper.symbol, returned.value, snapshot);
                listener.stop(self.capturer.capture_named(self.target, name)?);
            }
            if is_last {
                return Ok(stops);
            }
            clock.tell(listener, stops, Some(now));
        }
        Ok(0)
    }

    fn run_to_table_change(
        &mut self,
        before: Arc<Snapshot>,
        goal: &Goal,
        listener: &mut dyn Listener,
    ) -> Result<u64, StepError> {
        let ran = self.watch_tables(Arc::clone(&before), goal, listener);
        let ran = clean_up(self.target, self.cancel, ran, |target| {
            target.watch_writes(&[])
        });
        match (ran, self.allocates.clone()) {
            // It is refused before the guest has run.
            (Err(StepError::Link(LinkError::NoWatchpoints { .. })), Some(stepper)) => {
                self.step_to_table_change(before, &stepper, goal, listener)
            }
            (ran, _) => ran,
        }
    }

    /// Where nothing can be watched: looks at the tables after each return of the function that allocates. What
    /// changes between two of its returns is seen together.
    fn step_to_table_change(
        &mut self,
        mut before: Arc<Snapshot>,
        stepper: &CallStepper,
        goal: &Goal,
        listener: &mut dyn Listener,
    ) -> Result<u64, StepError> {
        let mut clock = Clock::new();
        let mut began = Instant::now();
        let mut left = goal.changes();
        for stops in 1.. {
            self.check(goal, began)?;
            let limit = self.limit.unwrap_or(Duration::MAX);
            let returned = stepper.step(self.target, self.cancel, limit)?;
            let name = |snapshot: &Snapshot| return_text(&stepper.symbol, returned.value, snapshot);
            let after = self.capturer.capture_named(self.target, name)?;
            let is_met = match goal {
                Goal::TableChange { within, .. } => have_changed(&before, &after, *within),
                _ => goal.is_met(&after),
            };
            if is_met {
                left -= 1;
                began = Instant::now();
            }
            let is_kept = match goal {
                Goal::TableChange { .. } => is_met,
                _ => is_met || stops % every(stops) == 0,
            };
            if is_kept {
                listener.stop(Arc::clone(&after));
            }
            if left == 0 {
                return Ok(stops);
            }
            clock.tell(listener, stops, after.heap.map(|heap| heap.counter));
            before = after;
        }
        Ok(0)
    }

    fn watch_tables(
        &mut self,
        snapshot: Arc<Snapshot>,
        goal: &Goal,
        listener: &mut dyn Listener,
    ) -> Result<u64, StepError> {
        let mut clock = Clock::new();
        let mut began = Instant::now();
        let mut left = goal.changes();
        let mut stops = 0;
        let mut watch = self.begin_watch(&snapshot, None)?;
        loop {
            let (stop, write) =
                self.wait_for_write(&mut watch, (goal, began), stops, &mut clock, listener)?;
            let counts = match goal {
                Goal::TableChange {
                    within: Some(range),
                    ..
                } => write.touches(*range),
                _ => true,
            };
            stops += 1;
            let name = self.write_text(stop, &write)?;
            let after = self.capturer.capture(self.target, name)?;
            let is_met = match goal {
                Goal::TableChange { .. } => counts,
                _ => goal.is_met(&after),
            };
            if is_met {
                left -= 1;
                began = Instant::now();
            }
            let is_kept = match goal {
                // Each change that counts was asked for, and no other.
                Goal::TableChange { .. } => counts,
                _ => stops % every(stops) == 0,
            };
            if left == 0 || is_kept {
                listener.stop(Arc::clone(&after));
            }
            if left == 0 {
                return Ok(stops);
            }
            let counter = after.heap.map(|heap| heap.counter);
            clock.tell(listener, stops, counter);
            // Tables may be new, and those that are known reached from elsewhere.
            watch = self.begin_watch(&after, Some(&watch))?;
        }
    }

    fn begin_watch(
        &mut self,
        snapshot: &Snapshot,
        before: Option<&TableWatch>,
    ) -> Result<TableWatch, StepError> {
        let mut watch = TableWatch::of(snapshot);
        let ranges = watch.ranges();
        if ranges.is_empty() {
            return Err(StepError::NoGoal(
                "there are no page tables yet: let the guest boot first".into(),
            ));
        }
        if ranges.len() > MOST_WATCHED {
            return Err(StepError::NoGoal(format!(
                "{} tables at {} addresses are more than can be watched ({MOST_WATCHED}): step a function instead",
                watch.tables(),
                ranges.len()
            )));
        }
        watch.read(self.target, before)?;
        self.target.watch_writes(&ranges)?;
        Ok(watch)
    }

    /// Lets the guest run to the next write that changes a table.
    fn wait_for_write(
        &mut self,
        watch: &mut TableWatch,
        (goal, began): (&Goal, Instant),
        stops: u64,
        clock: &mut Clock,
        listener: &mut dyn Listener,
    ) -> Result<(StopReason, TableWrite), StepError> {
        loop {
            self.check(goal, began)?;
            self.target.resume()?;
            let reason = loop {
                match self.target.wait_for_stop(SLICE)? {
                    Some(StopReason::Exited { code }) => {
                        return Err(StepError::GuestEnded {
                            code,
                            symbol: goal.to_string(),
                        });
                    }
                    Some(reason) => break reason,
                    None => {
                        self.check(goal, began)?;
                        clock.tell(listener, stops, None);
                    }
                }
            };
            let StopReason::Watch { address, .. } = reason else {
                continue;
            };
            if let Some(write) = watch.changed(self.target, address)? {
                return Ok((reason, write));
            }
        }
    }

    /// `L0[499] of 0x87ffe000 written by map_page+0x4c`.
    fn write_text(&mut self, stop: StopReason, write: &TableWrite) -> Result<String, LinkError> {
        let what = write.text();
        let Some(hart) = stop.hart() else {
            return Ok(format!("{what} written"));
        };
        let pc = self.target.register(hart, "pc")?;
        let elf = self.capturer.elf().map(AsRef::as_ref);
        // The store lies before the pc; two bytes before is in it, whatever its length.
        let place = pc.and_then(|pc| {
            let knowledge = self.capturer.knowledge();
            knowledge.places(elf, &[pc.wrapping_sub(2)]).pop()
        });
        let by = place.filter(|place| !place.is_empty());
        Ok(match (by, pc) {
            (Some(by), _) => format!("{what} written by {by}"),
            (None, Some(pc)) => format!("{what} written before {}", VirtAddr::new(pc)),
            (None, None) => format!("{what} written by {hart}"),
        })
    }

    fn check(&self, goal: &Goal, began: Instant) -> Result<(), StepError> {
        if self.cancel.is_cancelled() {
            return Err(StepError::Cancelled);
        }
        match self.limit {
            Some(limit) if began.elapsed() >= limit => Err(StepError::NothingHappened {
                what: goal.to_string(),
                limit,
            }),
            _ => Ok(()),
        }
    }
}

/// Tells how far it has come, not too often.
struct Clock(Instant);

impl Clock {
    fn new() -> Self {
        Self(Instant::now())
    }

    fn tell(&mut self, listener: &mut dyn Listener, stops: u64, heap_counter: Option<u64>) {
        if self.0.elapsed() < TELL {
            return;
        }
        self.0 = Instant::now();
        listener.progress(&RunProgress {
            stops,
            heap_counter,
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use pagescope_protocol::snapshot::TableEntries;

    #[test]
    fn long_runs_keep_fewer_stops() {
        let kept = (1..=10_000u64).filter(|stop| stop % every(*stop) == 0);
        assert_eq!(kept.count(), 100 + 90 + 90);
        let told = RunProgress {
            stops: 1204,
            heap_counter: Some(1212),
        };
        assert_eq!(
            told.to_string(),
            "1204 stops, counter 1212, each 100th kept"
        );
        let told = RunProgress {
            stops: 1,
            heap_counter: None,
        };
        assert_eq!(told.to_string(), "1 stop");
    }

    #[test]
    fn where_nothing_can_be_watched_the_hardware_stops_nothing_either() {
        let snapshot = crate::model::fixture::pseudos(3);
        let with = |bits: u64| {
            let mut after = snapshot.clone();
            let space = &mut after.spaces[0];
            let place = space.tables.iter().position(|table| {
                table.level.number() == 0 && table.iter().any(|(_, pte)| pte.is_valid())
            });
            let mut changed = None;
            space.tables.edit(|tables| {
                let table = Arc::make_mut(&mut tables[place.unwrap()]);
                let (index, _) = table.iter().find(|(_, pte)| pte.is_valid()).unwrap();
                let mut words = table.entries.as_ref().unwrap().words().to_vec();
                words[index] ^= bits;
                table.entries = Some(TableEntries::new(words));
                changed = Some(table.covers_from.wrapping_add(index as u64 * 4096));
            });
            let at = changed.unwrap();
            let mut mappings: Vec<_> = space.mappings.iter().collect();
            let one = mappings.iter_mut().find(|one| {
                (one.virt.as_u64()..one.virt.as_u64() + one.size).contains(&at.as_u64())
            });
            let one = one.unwrap();
            one.flags = LeafFlags::from_bits_retain(one.flags.bits() ^ bits as u8);
            space.mappings = mappings.into_iter().collect();
            (after, VirtRange::new(at, 4096))
        };
        let accessed = u64::from(LeafFlags::ACCESSED.bits());
        let writable = u64::from(LeafFlags::WRITE.bits());
        // Both ways: of the two moments one has A.
        let (other, page) = with(accessed);
        let (with_a, without_a) = match other.spaces[0].translate(page.unwrap().start()).mapped() {
            Some(leaf) if leaf.flags.contains(LeafFlags::ACCESSED) => (&other, &snapshot),
            _ => (&snapshot, &other),
        };
        assert!(!have_changed(without_a, with_a, None));
        assert!(!have_changed(without_a, with_a, page));
        let (written, page) = with(writable);
        assert!(have_changed(&snapshot, &written, None));
        assert!(have_changed(&snapshot, &written, page));
        let elsewhere = VirtRange::new(VirtAddr::new(0x1000), 4096);
        assert!(!have_changed(&snapshot, &written, elsewhere));
    }

    #[test]
    fn goals_are_said_in_words() {
        let snapshot = crate::model::fixture::pseudos(3);
        let counter = snapshot.heap.map_or(0, |heap| heap.counter);
        assert!(Goal::HeapCounter(counter).is_met(&snapshot));
        assert!(!Goal::HeapCounter(counter + 1).is_met(&snapshot));
        let mapped = |address: u64, space: Option<&str>| Goal::Mapped {
            address: VirtAddr::new(address),
            space: space.map(str::to_owned),
        };
        let space = snapshot.spaces[0].name.clone();
        let at = snapshot.spaces[0]
            .mappings
            .iter()
            .next()
            .map(|first| first.virt);
        let at = at.map_or(0, VirtAddr::as_u64);
        assert!(mapped(at, None).is_met(&snapshot));
        assert!(mapped(at, Some(&space)).is_met(&snapshot));
        assert!(!mapped(at, Some("no such space")).is_met(&snapshot));
        assert_eq!(mapped(0x1000, None).to_string(), "0x00001000 being mapped");
    }
}

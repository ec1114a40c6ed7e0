//! The processes that there are, and whose turn it is.
//!
//! ```text
//!  spawn ─▶ Ready ◀────────────────┐
//!             │ its turn           │ time is up, the other has ended
//!             ├─ sleep, wait ─▶ Sleeping, Waiting
//!             └─ exit, fault, kill ─▶ gone; how it ended is kept for a while
//! ```
//!
//! Round robin: whoever has run last is asked last. A turn is a length of time, and not the time up to the
//! next trap: a process whose system call or stack fault is dealt with goes on, while its turn lasts.

use pagescope_protocol::info::{Name, name_text};

use super::space::UserSpace;
use super::syscall::End;

/// Processes at most. A slot's number plus one is its address-space identifier; 0 is the kernel's.
pub const MAX_PROCESSES: usize = 24;

/// How many of those that ended are remembered.
const REMEMBERED: usize = 64;

/// What a process is doing.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum State {
    /// It runs when it is its turn.
    Ready,
    /// Until this time, in ticks.
    Sleeping(u64),
    /// Until the process of this number has ended.
    Waiting(u64),
}

impl State {
    /// One word for it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Ready => "ready",
            Self::Sleeping(_) => "sleeping",
            Self::Waiting(_) => "waiting",
        }
    }
}

/// A process.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Process {
    /// Its number, never used again.
    pub pid: u64,
    /// Its program's name.
    pub name: Name,
    /// What it is doing.
    pub state: State,
    /// Its address space.
    pub space: UserSpace,
    /// How the information block calls that space.
    pub space_id: u64,
    /// Ticks of `time` that it has run.
    pub ticks: u64,
    /// How often the timer has interrupted it.
    pub preempted: u64,
    /// What the call that it waited in gives, once it runs again.
    pub answer: Option<u64>,
}

impl Process {
    /// Its program's name.
    pub fn name(&self) -> &str {
        name_text(&self.name)
    }
}

/// How a process ended.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
struct Ended {
    pid: u64,
    end: End,
}

/// All of them.
#[derive(Debug)]
pub struct ProcessTable {
    slots: [Option<Process>; MAX_PROCESSES],
    /// Whose turn it is, or was last.
    last: usize,
    /// Until when, in ticks; 0 where it has been given up.
    turn_ends: u64,
    next_pid: u64,
    ended: [Option<Ended>; REMEMBERED],
    ended_count: usize,
}

impl ProcessTable {
    /// None.
    pub const EMPTY: Self = Self {
        slots: [None; MAX_PROCESSES],
        last: MAX_PROCESSES - 1,
        turn_ends: 0,
        next_pid: 1,
        ended: [None; REMEMBERED],
        ended_count: 0,
    };

    /// A slot without a process, and the number that the next process has; `None` where all are taken.
    pub fn vacancy(&self) -> Option<(usize, u64)> {
        let slot = self.slots.iter().position(Option::is_none)?;
        Some((slot, self.next_pid))
    }

    /// Puts a process into a vacant slot.
    pub fn insert(&mut self, slot: usize, process: Process) {
        if let Some(place) = self.slots.get_mut(slot) {
            self.next_pid = self.next_pid.max(process.pid + 1);
            *place = Some(process);
        }
    }

    /// The processes, each with its slot.
    pub fn iter(&self) -> impl Iterator<Item = (usize, &Process)> {
        let with_slots = self.slots.iter().enumerate();
        with_slots.filter_map(|(slot, process)| Some((slot, process.as_ref()?)))
    }

    /// The process in `slot`.
    pub fn get(&self, slot: usize) -> Option<&Process> {
        self.slots.get(slot)?.as_ref()
    }

    /// The process in `slot`, to be changed.
    pub fn get_mut(&mut self, slot: usize) -> Option<&mut Process> {
        self.slots.get_mut(slot)?.as_mut()
    }

    /// The slot of the process `pid`.
    pub fn slot_of(&self, pid: u64) -> Option<usize> {
        self.iter()
            .find(|(_, process)| process.pid == pid)
            .map(|(slot, _)| slot)
    }

    /// Whose turn it is at `now`, and until when: whoever's it was, while it lasts, or else the next one's,
    /// for `length` ticks.
    pub fn next(&mut self, now: u64, length: u64) -> Option<(usize, u64)> {
        let is_ready = |process: &Process| process.state == State::Ready;
        if now < self.turn_ends && self.get(self.last).is_some_and(is_ready) {
            return Some((self.last, self.turn_ends));
        }
        for slot in self.slots.iter_mut().flatten() {
            if matches!(slot.state, State::Sleeping(until) if until <= now) {
                slot.state = State::Ready;
            }
        }
        let order = (1..=MAX_PROCESSES).map(|step| (self.last + step) % MAX_PROCESSES);
        let next = order
            .into_iter()
            .find(|slot| self.get(*slot).is_some_and(is_ready))?;
        self.last = next;
        self.turn_ends = now + length;
        Some((next, self.turn_ends))
    }

    /// Ends the turn of whoever has it.
    pub fn give_up_turn(&mut self) {
        self.turn_ends = 0;
    }

    /// When the next sleeper wakes.
    pub fn next_wake(&self) -> Option<u64> {
        let until = |(_, process): (usize, &Process)| match process.state {
            State::Sleeping(until) => Some(until),
            State::Ready | State::Waiting(_) => None,
        };
        self.iter().filter_map(until).min()
    }

    /// Takes the process out of `slot`, and tells those that wait for it.
    pub fn end(&mut self, slot: usize, end: End) -> Option<Process> {
        let process = self.slots.get_mut(slot)?.take()?;
        if slot == self.last {
            // Whoever comes into the slot has a turn of its own.
            self.give_up_turn();
        }
        let pid = process.pid;
        self.ended[self.ended_count % REMEMBERED] = Some(Ended { pid, end });
        self.ended_count += 1;
        for waiting in self.slots.iter_mut().flatten() {
            if waiting.state == State::Waiting(pid) {
                waiting.state = State::Ready;
                waiting.answer = Some(end.to_word());
            }
        }
        Some(process)
    }

    /// How the process `pid` ended, as long as it is remembered.
    pub fn how_ended(&self, pid: u64) -> Option<End> {
        let ended = self.ended.iter().flatten().find(|ended| ended.pid == pid);
        ended.map(|ended| ended.end)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::process::layout::UserLayout;
    use crate::process::layout::tests::{SMALL, image};
    use crate::process::rig::Rig;
    use crate::process::space::Origin;
    use pagescope_protocol::VirtAddr;
    use pagescope_protocol::info::name;

    fn table_of(count: usize) -> ProcessTable {
        let mut rig = Rig::new();
        let layout = UserLayout::new(&image(), SMALL).unwrap();
        let origin = Origin {
            kernel_root: rig.kernel_root,
            original: VirtAddr::new(0x3fe6_f000),
            asid: 1,
        };
        let space = UserSpace::build(&mut rig.memory, &mut rig.frames, layout, &origin).unwrap();
        let mut table = ProcessTable::EMPTY;
        for _ in 0..count {
            let (slot, pid) = table.vacancy().unwrap();
            let process = Process {
                pid,
                name: name("init"),
                state: State::Ready,
                space,
                space_id: pid,
                ticks: 0,
                preempted: 0,
                answer: None,
            };
            table.insert(slot, process);
        }
        table
    }

    /// Whose turn it is, where a turn takes no time.
    fn whose(table: &mut ProcessTable, now: u64) -> Option<usize> {
        table.next(now, 0).map(|(slot, _)| slot)
    }

    /// Not until its next trap.
    #[test]
    fn a_turn_lasts_until_its_time_is_up() {
        let mut table = table_of(3);
        assert_eq!(table.next(100, 10), Some((0, 110)));
        assert_eq!(table.next(101, 10), Some((0, 110)));
        assert_eq!(table.next(109, 10), Some((0, 110)));
        assert_eq!(table.next(110, 10), Some((1, 120)));
        // Or until it is given up: by a call, by sleeping however shortly, by an end.
        table.give_up_turn();
        assert_eq!(table.next(111, 10), Some((2, 121)));
        table.get_mut(2).unwrap().state = State::Sleeping(0);
        assert_eq!(table.next(112, 10), Some((0, 122)));
        let ended = table.end(0, End::Killed).unwrap();
        table.insert(0, ended);
        assert_eq!(table.next(113, 10), Some((1, 123)));
    }

    #[test]
    fn everybody_has_a_turn_before_anybody_has_a_second() {
        let mut table = table_of(3);
        let turns: std::vec::Vec<_> = (0..7).map(|_| whose(&mut table, 0)).collect();
        assert_eq!(turns, [0, 1, 2, 0, 1, 2, 0].map(Some));
        assert_eq!(ProcessTable::EMPTY.vacancy(), Some((0, 1)));
        assert_eq!(table_of(MAX_PROCESSES).vacancy(), None);
    }

    #[test]
    fn sleepers_wake_in_time() {
        let mut table = table_of(2);
        table.get_mut(0).unwrap().state = State::Sleeping(100);
        table.get_mut(1).unwrap().state = State::Sleeping(50);
        assert_eq!((whose(&mut table, 49), table.next_wake()), (None, Some(50)));
        assert_eq!(whose(&mut table, 50), Some(1));
        assert_eq!(whose(&mut table, 100), Some(0));
        assert_eq!(whose(&mut table, 100), Some(1));
        assert_eq!(table.next_wake(), None);
    }

    #[test]
    fn who_waits_is_told_how_it_ended() {
        let mut table = table_of(3);
        table.get_mut(0).unwrap().state = State::Waiting(2);
        table.get_mut(2).unwrap().state = State::Waiting(1);
        assert_eq!(whose(&mut table, 0), Some(1));
        assert_eq!(table.end(1, End::Fault(13)).unwrap().pid, 2);
        assert_eq!(table.end(1, End::Killed), None);
        let first = table.get(0).unwrap();
        assert_eq!(first.state, State::Ready);
        assert_eq!(first.answer, Some(End::Fault(13).to_word()));
        assert_eq!(table.get(2).unwrap().state, State::Waiting(1));
        assert_eq!(table.how_ended(2), Some(End::Fault(13)));
        assert_eq!((table.how_ended(1), table.slot_of(3)), (None, Some(2)));
        // The slot is free again, the number is not.
        assert_eq!(table.vacancy(), Some((1, 4)));
    }
}

//! Following a running guest: looking at it again and again without stopping it.
//!
//! ```text
//!  due ──▶ eye: registers, memory ──▶ capture::settle ──▶ as before? ──▶ nothing to say
//!   ▲                                                        │ no
//!   └─ one period later, or at once where that is past ◀─────┴──▶ Event::Live
//! ```
//!
//! Invariants
//! - A tick that takes longer than its period is followed by the next one; ticks never pile up.
//! - Nobody who looks, nothing is read: ticks wait while the window has not taken what was sent.
//! - Of a guest in which nothing changes, the window hears twice a second.

use std::collections::VecDeque;
use std::fmt;
use std::sync::Arc;
use std::time::{Duration, Instant};

use pagescope_protocol::snapshot::Snapshot;

use crate::link::memory::mapped::RamFile;
use crate::link::{
    Address, Guest, LinkError, MonitorOptions, MonitorTarget, PhysicalAccess, RAM_FILE_OPTIONS,
};

/// How often a guest in which nothing changes is shown again all the same: its registers move.
const QUIET_PERIOD: Duration = Duration::from_millis(500);

/// Over how many ticks the measured rate is an average.
const METERED_TICKS: usize = 16;

/// How often a running guest is looked at.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct Rate(u32);

impl Rate {
    /// The least, in hertz.
    pub const MIN_HZ: u32 = 1;
    /// The most, in hertz.
    pub const MAX_HZ: u32 = 60;

    /// This many times a second; `None` outside of 1 to 60.
    pub const fn from_hz(hz: u32) -> Option<Self> {
        if Self::MIN_HZ <= hz && hz <= Self::MAX_HZ {
            Some(Self(hz))
        } else {
            None
        }
    }

    /// Times a second.
    pub const fn hz(self) -> u32 {
        self.0
    }

    /// From one look to the next.
    pub const fn period(self) -> Duration {
        Duration::from_nanos(1_000_000_000 / self.0 as u64)
    }
}

impl Default for Rate {
    fn default() -> Self {
        Self(10)
    }
}

impl fmt::Display for Rate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} Hz", self.0)
    }
}

/// A monitor through which a guest can be looked at while it runs.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Watch {
    /// Where it is.
    pub monitor: Address,
    /// The file that holds the guest's RAM, where QEMU shall not be asked for it.
    pub ram_file: Option<RamFile>,
    /// How its memory is read; `None` takes the fastest way that there is.
    pub way: Option<PhysicalAccess>,
}

impl Watch {
    /// The monitor of a QEMU of our own; `None` where its RAM is in no file.
    pub fn of(guest: &Guest) -> Option<Self> {
        Some(Self {
            monitor: guest.monitor(),
            ram_file: Some(RamFile::new(guest.ram_file()?)),
            way: None,
        })
    }

    /// Connects, and leaves the guest as it is.
    ///
    /// # Errors
    /// When the monitor cannot be used, or the guest's RAM cannot be read while it runs.
    pub fn connect(&self, cancel: &crate::link::Cancel) -> Result<MonitorTarget, LinkError> {
        let options = MonitorOptions {
            cancel: cancel.clone(),
            ram_file: self.ram_file.clone(),
            way: self.way,
            ..MonitorOptions::default()
        };
        MonitorTarget::connect(&self.monitor, options)
    }
}

/// What a running guest is looked at through.
#[derive(Debug)]
pub enum Eye {
    /// The target itself, which works while the guest runs.
    Target,
    /// A monitor beside the gdb port.
    Monitor(Box<MonitorTarget>),
    /// Nothing: why, and what to do.
    Blind(String),
}

impl Eye {
    /// Of a guest that was attached to over its gdb port alone.
    pub fn gdb_port_alone() -> Self {
        Self::Blind(format!(
            "The gdb port shows a guest only while it stands still. To follow it while it runs, start QEMU with \
             {RAM_FILE_OPTIONS} -qmp unix:/tmp/qmp,server=on,wait=off and attach with --monitor unix:/tmp/qmp."
        ))
    }

    /// Why nothing can be seen, where nothing can.
    pub fn why_not(&self) -> Option<&str> {
        match self {
            Self::Blind(why) => Some(why),
            Self::Target | Self::Monitor(_) => None,
        }
    }
}

/// What the window is told about following.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct FollowReport {
    /// How often the guest is looked at while it runs; `None` where it is not.
    pub rate: Option<Rate>,
    /// How often it really was, in hertz, lately.
    pub measured_hz: f32,
    /// Looks at which something was still moving, of all since following began.
    pub torn: u64,
    /// All looks since following began.
    pub looks: u64,
    /// Why the guest cannot be followed, and what to do; `None` where it can.
    pub why_not: Option<String>,
}

/// A guest being followed.
#[derive(Debug)]
pub struct Follow {
    rate: Rate,
    due: Instant,
    /// When the last looks were.
    looked: VecDeque<Instant>,
    torn: u64,
    looks: u64,
    /// What the window was shown last, and when.
    shown: Option<(Arc<Snapshot>, Instant)>,
}

impl Follow {
    /// Follows at this rate, beginning now.
    pub fn new(rate: Rate, now: Instant) -> Self {
        Self {
            rate,
            due: now,
            looked: VecDeque::new(),
            torn: 0,
            looks: 0,
            shown: None,
        }
    }

    /// Follows at another rate from now on.
    pub fn set_rate(&mut self, rate: Rate, now: Instant) {
        self.rate = rate;
        self.due = now;
        self.looked.clear();
    }

    /// How long it is until the next look.
    pub fn wait(&self, now: Instant) -> Duration {
        self.due.saturating_duration_since(now)
    }

    /// The guest stood still: what is shown next is new, and the time does not count.
    pub fn interrupted(&mut self) {
        self.looked.clear();
        self.shown = None;
    }

    /// A look is taken now, or was left out: when the next one is due.
    pub fn begin(&mut self, now: Instant) {
        self.due = (self.due + self.rate.period()).max(now);
    }

    /// A look is over. Whether the window has to see it: something is another than what it was shown, or that
    /// was long ago.
    pub fn end(&mut self, snapshot: &Arc<Snapshot>, now: Instant) -> bool {
        self.looks += 1;
        self.torn += u64::from(snapshot.taken.unsettled().is_some());
        if self.looked.len() > METERED_TICKS {
            self.looked.pop_front();
        }
        self.looked.push_back(now);
        let is_old = self.shown.as_ref().is_none_or(|(shown, at)| {
            now.duration_since(*at) >= QUIET_PERIOD || !looks_alike(shown, snapshot)
        });
        if is_old {
            self.shown = Some((Arc::clone(snapshot), now));
        }
        is_old
    }

    /// What the window is told.
    pub fn report(&self) -> FollowReport {
        let spans = self.looked.len().saturating_sub(1);
        let measured_hz = match (self.looked.front(), self.looked.back()) {
            (Some(first), Some(last)) if spans > 0 && last > first => {
                spans as f32 / last.duration_since(*first).as_secs_f32()
            }
            _ => 0.0,
        };
        FollowReport {
            rate: Some(self.rate),
            measured_hz,
            torn: self.torn,
            looks: self.looks,
            why_not: None,
        }
    }
}

/// Whether two moments say the same of memory. Registers and the time of capture always differ.
fn looks_alike(one: &Snapshot, other: &Snapshot) -> bool {
    one.taken == other.taken
        && one.heap == other.heap
        && one.kernel == other.kernel
        && one.spaces == other.spaces
        && one.regions == other.regions
        && one.trace == other.trace
}

#[cfg(test)]
mod tests {
    use pagescope_protocol::snapshot::{Taken, Unsettled};

    use super::*;
    use crate::model::fixture;

    #[test]
    fn rates_have_bounds() {
        assert_eq!(Rate::from_hz(0), None);
        assert_eq!(Rate::from_hz(61), None);
        let rate = Rate::from_hz(50).unwrap_or_default();
        assert_eq!((rate.hz(), rate.period()), (50, Duration::from_millis(20)));
        assert_eq!(Rate::default().to_string(), "10 Hz");
    }

    #[test]
    fn looks_do_not_pile_up() {
        let start = Instant::now();
        let at = |milliseconds| start + Duration::from_millis(milliseconds);
        let mut follow = Follow::new(Rate::default(), start);
        assert_eq!(follow.wait(at(0)), Duration::ZERO);
        follow.begin(at(3));
        assert_eq!(follow.wait(at(3)), Duration::from_millis(97));
        // A look that took most of a second: the next one is due once, not nine times.
        follow.begin(at(950));
        assert_eq!(follow.wait(at(950)), Duration::ZERO);
        follow.begin(at(950));
        assert_eq!(follow.wait(at(950)), Duration::from_millis(100));
    }

    #[test]
    fn only_what_is_new_is_shown() {
        let start = Instant::now();
        let at = |milliseconds| start + Duration::from_millis(milliseconds);
        let mut follow = Follow::new(Rate::default(), start);
        let same = || {
            let mut snapshot = fixture::pseudos(3);
            snapshot.taken = Taken::Running(Unsettled::default());
            snapshot
        };
        assert!(follow.end(&Arc::new(same()), at(0)));
        let mut moved = same();
        moved.provenance.captured_at = "later".into();
        moved.harts.clear();
        assert!(!follow.end(&Arc::new(moved), at(100)));
        assert!(follow.end(&Arc::new(fixture::pseudos(4)), at(200)));
        assert!(!follow.end(&Arc::new(fixture::pseudos(4)), at(300)));
        // Twice a second it is shown all the same.
        assert!(follow.end(&Arc::new(fixture::pseudos(4)), at(700)));
        let mut torn = fixture::pseudos(4);
        torn.taken = Taken::Running(Unsettled {
            kernel: true,
            ..Unsettled::default()
        });
        assert!(follow.end(&Arc::new(torn), at(800)));
        let report = follow.report();
        assert_eq!((report.looks, report.torn), (6, 1));
        assert!((report.measured_hz - 6.25).abs() < 0.01, "{report:?}");
        follow.interrupted();
        assert!(follow.end(&Arc::new(fixture::pseudos(4)), at(900)));
    }
}

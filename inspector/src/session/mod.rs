//! The connection to a guest, as the window sees it: commands go in, events come out.
//!
//! One named thread owns the link. Commands and events pass through bounded channels, so nothing
//! that a stub does can block the window; a long command ends at once when it is cancelled.

pub mod console;
pub mod follow;
mod names;
pub mod opening;
pub mod ours;
pub mod stepping;
mod trouble;
mod words;
pub mod worker;

use std::sync::Arc;

use pagescope_protocol::snapshot::Snapshot;
use pagescope_protocol::{PhysPage, TranslationMode};

use crate::link::traffic::Packet;
use crate::link::{PhysicalAccess, StopReason, WayOffer};

use crate::capture::run_until::Goal;
use crate::capture::scan::Candidate;
use crate::model::Symbols;

pub use crate::capture::watches::{WatchAt, WatchSpec};
pub use console::{Console, ConsoleInput};
pub use follow::{Eye, FollowReport, Rate, Watch};
pub use opening::{Demo, MemoryChoice, OpenError, Opened, Source};
pub use worker::{Session, Waker};

/// What the window asks for.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Command {
    /// Let all harts run.
    Resume,
    /// Stop all harts, and capture.
    Pause,
    /// One instruction on this hart, and capture.
    StepInstruction {
        /// The hart's number.
        hart: u32,
    },
    /// Run to the return of the function, `count` times, and capture after each.
    StepCall {
        /// The function's symbol.
        symbol: String,
        /// How many returns.
        count: u32,
    },
    /// Run until this is so, and capture on the way.
    RunUntil(Goal),
    /// Look at the guest this often while it runs, and let it run; `None`: look no more.
    Follow(Option<Rate>),
    /// Capture again without letting the guest run.
    Capture,
    /// Look for root tables in all of RAM.
    FindSpaces,
    /// Walk the tables under this root too from now on, and capture.
    WalkRoot {
        /// How.
        mode: TranslationMode,
        /// The root table.
        root: PhysPage,
    },
    /// Read these numbers at each capture from now on, and capture.
    Watch(Vec<WatchSpec>),
    /// Read a frame's contents.
    ReadFrame(PhysPage),
    /// Find the source line of this virtual address.
    FindLine(u64),
    /// Connect again after the link was lost or closed.
    Reconnect,
    /// Read memory by this way from now on.
    ChooseWay(PhysicalAccess),
    /// Leave the guest as it was found.
    Detach,
}

/// What the link is doing.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Connection {
    /// No guest: a file, or nothing at all.
    None,
    /// On the way; `what` says what is being waited for.
    Connecting {
        /// In words.
        what: String,
    },
    /// Connected, the guest stands still.
    Stopped,
    /// A dump is open, which stands still for ever.
    Dump,
    /// Connected, the guest runs.
    Running,
    /// Connected, and working on a command.
    Busy {
        /// In words: "kalloc 3 of 20".
        what: String,
    },
    /// The link is gone; what is drawn is from before.
    Lost {
        /// Why, and what to do.
        why: String,
    },
    /// The guest was left on purpose.
    Detached,
}

impl Connection {
    /// Whether commands that need a standing guest make sense.
    pub const fn is_stopped(&self) -> bool {
        matches!(self, Self::Stopped)
    }

    /// Whether memory can be asked for that was not read yet.
    pub const fn can_read(&self) -> bool {
        matches!(self, Self::Stopped | Self::Dump)
    }

    /// Whether a guest is there at all.
    pub const fn is_attached(&self) -> bool {
        matches!(
            self,
            Self::Stopped | Self::Dump | Self::Running | Self::Busy { .. }
        )
    }
}

/// What the window is told.
#[derive(Clone, Debug)]
pub enum Event {
    /// The link's state has changed.
    Connection(Connection),
    /// What looks like root tables in RAM, the likeliest first.
    Found(Arc<[Candidate]>),
    /// A stop was captured.
    Moment(Arc<Snapshot>),
    /// Why the guest stands still at the last moment.
    StoppedBy(StopReason),
    /// The guest as it is while it runs.
    Live(Arc<Snapshot>),
    /// How following goes.
    Follow(FollowReport),
    /// A frame's bytes; `None` where it cannot be read.
    Frame(PhysPage, Option<Arc<[u8; 4096]>>),
    /// The names in the guest's ELF, where they lie now.
    Symbols(Arc<Symbols>),
    /// The source line of an address: `kalloc.rs:70`; `None` where the debug information has none.
    Line(u64, Option<String>),
    /// A command failed; the link still stands. What, and what to do.
    Failed(String),
    /// A line for the link's log.
    Log(String),
    /// What is watched from now on.
    Watching(Vec<WatchSpec>),
    /// What went over the link.
    Traffic(Vec<Packet>),
    /// What the guest wrote on its console.
    Console(String),
    /// Where what is typed for the guest goes; or why it has no console here, and what to do.
    ConsoleInput(Result<ConsoleInput, String>),
    /// Facts about the target, for the status line: "127.0.0.1:1234 · QEMU 10.0 · mapped RAM".
    Target(String),
    /// The ways to the guest's memory, the fastest first.
    Ways(Vec<WayOffer>),
    /// The function that `Step` steps, where the guest's ELF has it.
    StepSymbol(Option<String>),
    /// The function that takes pages back, where the guest's ELF has it.
    FreeSymbol(Option<String>),
}

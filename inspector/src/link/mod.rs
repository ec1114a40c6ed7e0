//! Bytes from a target: a machine that can be read, stopped, stepped and resumed.
//!
//! ```text
//!  Address ──▶ transport ──▶ rsp::packet ──▶ rsp::client ──▶ gdb::GdbTarget ──▶ dyn Target
//!  tcp unix    non-blocking  framing, no    requests and     harts, registers,
//!  serial      byte stream   I/O            their replies    memory, breakpoints
//!                                               ▲
//!  launch::Launch ──▶ Guest (QEMU of our own)   rsp::description (target.xml), qemu (monitor texts)
//!
//!  Address ──▶ transport ──▶ monitor::Monitor ──▶ monitor::MonitorTarget ──▶ dyn Target
//!                            QMP, or a prompt     registers, RAM's file: while the machine runs
//! ```
//!
//! Invariants
//! - Nothing that a peer sends can panic, block for ever or grow memory without bound.
//! - Every wait ends within 50 ms of a [`Cancel`], and by itself after the reply timeout.
//! - Memory is only asked for where the caller says; a caller asks for nothing but RAM, because
//!   reading a device can change it. See [`qemu::MemoryMap`].
//! - A target is left as it was found: running or stopped, [`FoundState`] says how that is known;
//!   its breakpoints of ours gone; its physical-memory switch as it was.

pub mod address;
#[cfg(test)]
pub(crate) mod bare_ram;
pub mod dump;
pub mod error;
pub mod gdb;
pub mod launch;
pub mod local;
pub mod memory;
pub mod monitor;
pub mod progress;
pub mod qemu;
pub mod rsp;
pub mod same_machine;
pub mod traffic;
pub mod transport;
pub mod virtualized;

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use pagescope_protocol::walk::TableWords;
use pagescope_protocol::{Hgatp, PhysPage, PhysRange, Satp, VirtAddr, VirtRange};

pub use address::{Address, AddressError};
pub use dump::{DumpOptions, DumpTarget};
pub use error::LinkError;
pub use gdb::{ConnectOptions, GdbTarget};
pub use launch::{Guest, Launch, LaunchError};
pub use monitor::{Monitor, MonitorOptions, MonitorTarget, RAM_FILE_OPTIONS};

/// A machine that can be read, stopped, stepped and resumed.
///
/// Registers and the gdb port's memory can be read only while the machine is stopped; asking while
/// it runs gives [`LinkError::Running`] and does not disturb it.
pub trait Target: Send {
    /// The machine's harts, in order.
    ///
    /// # Errors
    /// When the target cannot be asked.
    fn harts(&mut self) -> Result<Vec<HartId>, LinkError>;

    /// Everything of interest about a hart: the integer registers, pc, the CSRs that decide about
    /// memory and traps, and the privilege mode. A register that cannot be read is left out.
    ///
    /// # Errors
    /// When the target cannot be asked.
    fn registers(&mut self, hart: HartId) -> Result<Registers, LinkError>;

    /// [`registers`](Self::registers) of every hart.
    ///
    /// # Errors
    /// When the target cannot be asked.
    fn all_registers(&mut self) -> Result<Vec<(HartId, Registers)>, LinkError> {
        let mut all = Vec::new();
        for hart in self.harts()? {
            all.push((hart, self.registers(hart)?));
        }
        Ok(all)
    }

    /// One register by the name that the target's description gives it (`a0`, `pc`, `satp`,
    /// `priv`). `None`: no such register, or it could not be read.
    ///
    /// # Errors
    /// When the target cannot be asked.
    fn register(&mut self, hart: HartId, name: &str) -> Result<Option<u64>, LinkError>;

    /// Several [`register`](Self::register)s at once, in the order of `wanted`.
    ///
    /// # Errors
    /// When the target cannot be asked.
    fn some_registers(&mut self, wanted: &[(HartId, &str)]) -> Result<Vec<Option<u64>>, LinkError> {
        let mut values = Vec::new();
        for (hart, name) in wanted {
            values.push(self.register(*hart, name)?);
        }
        Ok(values)
    }

    /// Reads physical memory, all ranges in one pipelined batch. The answers stand in the order of
    /// `ranges`; `None` says that a range could not be read. Ask for nothing but RAM.
    ///
    /// # Errors
    /// When the target as a whole cannot be read.
    fn read_physical(&mut self, ranges: &[PhysRange]) -> Result<Vec<Option<Vec<u8>>>, LinkError>;

    /// Reads whole frames as the words that stand in them, in one batch, for the walks of page tables. The
    /// answers stand in the order of `frames`; `None` says that a frame could not be read. Ask for nothing
    /// but RAM.
    ///
    /// # Errors
    /// When the target as a whole cannot be read.
    fn read_frames(
        &mut self,
        frames: &[PhysPage],
    ) -> Result<Vec<Option<Arc<TableWords>>>, LinkError> {
        let ranges: Vec<PhysRange> = frames.iter().map(|frame| frame.range()).collect();
        let answers = self.read_physical(&ranges)?;
        let words = |bytes: Option<Vec<u8>>| memory::words_of(&bytes?);
        Ok(answers.into_iter().map(words).collect())
    }

    /// As [`read_frames`](Self::read_frames), where `known` says, at the same place as `frames`, what stood in a frame
    /// before. A frame that holds the same still is answered with those words, shared.
    ///
    /// # Errors
    /// When the target as a whole cannot be read.
    fn read_frames_again(
        &mut self,
        frames: &[PhysPage],
        known: &[Option<Arc<TableWords>>],
    ) -> Result<Vec<Option<Arc<TableWords>>>, LinkError> {
        let mut answers = self.read_frames(frames)?;
        share_known(&mut answers, known);
        Ok(answers)
    }

    /// Stops every hart that is about to execute the instruction at `address`. Setting it twice is
    /// the same as once.
    ///
    /// # Errors
    /// When the target cannot be asked or refuses.
    fn set_breakpoint(&mut self, address: VirtAddr) -> Result<(), LinkError>;

    /// Takes back [`set_breakpoint`](Self::set_breakpoint).
    ///
    /// # Errors
    /// When the target cannot be asked or refuses.
    fn clear_breakpoint(&mut self, address: VirtAddr) -> Result<(), LinkError>;

    /// Stops the machine after a hart has written into one of these stretches, whichever address space it is in;
    /// [`StopReason::Watch`] says so. Takes the place of what was watched before; nothing takes all of it back.
    ///
    /// # Errors
    /// When the target cannot be asked, or has no watchpoints.
    fn watch_writes(&mut self, ranges: &[VirtRange]) -> Result<(), LinkError> {
        if ranges.is_empty() {
            return Ok(());
        }
        Err(LinkError::NoWatchpoints {
            address: self.facts().address.clone(),
        })
    }

    /// Lets all harts run, and returns at once. A hart that stopped at a breakpoint goes on from
    /// there. Nothing happens if the machine already runs.
    ///
    /// # Errors
    /// When the target cannot be asked.
    fn resume(&mut self) -> Result<(), LinkError>;

    /// Lets `hart` execute one instruction while the others stand still, and returns at once; the
    /// end is reported by [`wait_for_stop`](Self::wait_for_stop).
    ///
    /// # Errors
    /// When the target cannot be asked.
    fn step(&mut self, hart: HartId) -> Result<(), LinkError>;

    /// Asks a running machine to stop, and returns at once; the end is reported by
    /// [`wait_for_stop`](Self::wait_for_stop). Nothing happens if it is stopped.
    ///
    /// # Errors
    /// When the target cannot be asked.
    fn interrupt(&mut self) -> Result<(), LinkError>;

    /// Waits until the machine stops, at most `limit`. `None`: it still runs, or the wait was
    /// cancelled. A machine that is already stopped gives its last reason again, at once.
    ///
    /// # Errors
    /// When the target is lost.
    fn wait_for_stop(&mut self, limit: Duration) -> Result<Option<StopReason>, LinkError>;

    /// Whether the machine runs, as far as the target has said.
    fn is_running(&self) -> bool;

    /// Gives a command to the target's monitor and returns what it prints. `None`: it has none.
    ///
    /// # Errors
    /// When the target cannot be asked.
    fn monitor(&mut self, command: &str) -> Result<Option<String>, LinkError>;

    /// Several [`monitor`](Self::monitor) commands at once; what they print, in their order. One that the
    /// monitor refuses prints nothing.
    ///
    /// # Errors
    /// When the target cannot be asked.
    fn monitor_all(&mut self, commands: &[String]) -> Result<Vec<Option<String>>, LinkError> {
        let mut texts = Vec::new();
        for command in commands {
            texts.push(self.monitor(command)?);
        }
        Ok(texts)
    }

    /// What is known about the target itself.
    fn facts(&self) -> &TargetFacts;

    /// Why the machine stands still; `None` while it runs, and of a target that cannot say.
    fn stopped_by(&self) -> Option<StopReason> {
        None
    }

    /// Tells how far long reads have come, from now on. A target whose reads take no time tells nothing.
    fn report_to(&mut self, _listener: progress::Listener) {}

    /// What is read next, in words, for [`report_to`](Self::report_to)'s listener.
    fn begin(&mut self, _what: &str) {}

    /// The ways to physical memory, the fastest first, each available or with the reason why not.
    ///
    /// # Errors
    /// When the target cannot be asked.
    fn ways(&mut self) -> Result<Vec<WayOffer>, LinkError> {
        Ok(vec![WayOffer {
            way: self.facts().physical,
            why_not: None,
            is_used: true,
        }])
    }

    /// Reads physical memory by this way from now on.
    ///
    /// # Errors
    /// When there is no such way.
    fn choose_way(&mut self, way: PhysicalAccess) -> Result<(), LinkError> {
        if way == self.facts().physical {
            return Ok(());
        }
        Err(LinkError::NoWay {
            way,
            why: "this target has no such way".to_owned(),
        })
    }

    /// What the target itself knows to be RAM, where that needs no asking: a dump's segments.
    fn known_ram(&self) -> Option<Vec<PhysRange>> {
        None
    }

    /// Console output that came over the link (`O` packets) since the last call.
    fn take_console(&mut self) -> Vec<u8> {
        Vec::new()
    }

    /// What went over the link since the last call, at most the last 512 packets; nothing where there are none.
    fn take_traffic(&mut self) -> Vec<traffic::Packet> {
        Vec::new()
    }

    /// Leaves the target as it was found. Dropping it does the same without saying how it went.
    ///
    /// # Errors
    /// When the target could not be asked to put something back.
    fn detach(self: Box<Self>) -> Result<(), LinkError>;
}

/// Puts the words of `known` in the place of answers that are the same.
fn share_known(answers: &mut [Option<Arc<TableWords>>], known: &[Option<Arc<TableWords>>]) {
    for (answer, known) in answers.iter_mut().zip(known) {
        let is_shared = |one: &Arc<TableWords>, other| Arc::ptr_eq(one, other);
        if let (Some(answer), Some(known)) = (answer, known)
            && !is_shared(answer, known)
            && answer == known
        {
            *answer = Arc::clone(known);
        }
    }
}

/// A hart by its number, from 0.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default)]
pub struct HartId(u32);

impl HartId {
    /// The hart with this number.
    pub const fn new(number: u32) -> Self {
        Self(number)
    }

    /// Its number.
    pub const fn number(self) -> u32 {
        self.0
    }
}

impl fmt::Display for HartId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "hart {}", self.0)
    }
}

/// The privilege mode a hart executes in (privileged specification, section 1.2).
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Privilege {
    /// U, or VU where the hart runs virtualized.
    User,
    /// S or HS, or VS where the hart runs virtualized.
    Supervisor,
    /// M.
    Machine,
    /// An encoding that the specification reserves; kept to be shown.
    Reserved(u64),
}

impl Privilege {
    /// The mode with this encoding, as in mstatus.MPP.
    pub const fn from_bits(bits: u64) -> Self {
        match bits {
            0 => Self::User,
            1 => Self::Supervisor,
            3 => Self::Machine,
            other => Self::Reserved(other),
        }
    }
}

impl fmt::Display for Privilege {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::User => f.write_str("U"),
            Self::Supervisor => f.write_str("S"),
            Self::Machine => f.write_str("M"),
            Self::Reserved(bits) => write!(f, "reserved privilege {bits}"),
        }
    }
}

/// A hart's registers, as far as they could be read.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Registers {
    /// The program counter.
    pub pc: Option<u64>,
    /// x0 to x31.
    pub x: [Option<u64>; 32],
    /// satp: of the host, where the hart runs virtualized.
    pub satp: Option<Satp>,
    /// vsatp: a guest's first stage.
    pub vsatp: Option<Satp>,
    /// hgatp: a guest's G-stage.
    pub hgatp: Option<Hgatp>,
    /// The privilege mode.
    pub privilege: Option<Privilege>,
    /// V: whether the hart runs virtualized; `None` where that is not known. See [`virtualized`].
    pub virtualized: Option<bool>,
    /// All that could be read, by the names and in the order of the target's description.
    pub named: Vec<(String, u64)>,
}

impl Registers {
    /// A register by its name: `a0`, `pc`, `scause`.
    pub fn get(&self, name: &str) -> Option<u64> {
        let found = self.named.iter().find(|(known, _)| known == name);
        found.map(|(_, value)| *value)
    }
}

/// Why a machine stopped.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum StopReason {
    /// A hart came to a breakpoint.
    Breakpoint {
        /// Which.
        hart: HartId,
    },
    /// A hart has written into a stretch that is watched.
    Watch {
        /// Which.
        hart: HartId,
        /// An address in the stretch, as the target gives it: not always the one that was written.
        address: VirtAddr,
    },
    /// A hart executed the one instruction it was allowed.
    Step {
        /// Which.
        hart: HartId,
    },
    /// We, or somebody else, asked the machine to stop.
    Interrupted {
        /// The hart that the target names, if it names one.
        hart: Option<HartId>,
    },
    /// Any other signal, in gdb's numbering.
    Signal {
        /// The hart that the target names, if it names one.
        hart: Option<HartId>,
        /// gdb's number of the signal.
        signal: u8,
    },
    /// The machine is gone: powered off, or its emulator ended.
    Exited {
        /// The exit code that the target gives.
        code: u8,
    },
}

impl StopReason {
    /// Why `hart` stands still, in a few words: what it met, or that another one did.
    pub fn words_of(self, hart: u32) -> String {
        match self.hart() {
            Some(other) if other.number() != hart => format!("with hart {}", other.number()),
            _ => match self {
                Self::Breakpoint { .. } => "breakpoint".into(),
                Self::Watch { address, .. } => format!("wrote {address}"),
                Self::Step { .. } => "one step".into(),
                Self::Interrupted { .. } => "asked to".into(),
                Self::Signal { signal, .. } => format!("signal {signal}"),
                Self::Exited { .. } => "ended".into(),
            },
        }
    }

    /// The hart that the stop is about, if one is named.
    pub fn hart(self) -> Option<HartId> {
        match self {
            Self::Breakpoint { hart } | Self::Step { hart } | Self::Watch { hart, .. } => {
                Some(hart)
            }
            Self::Interrupted { hart } | Self::Signal { hart, .. } => hart,
            Self::Exited { .. } => None,
        }
    }
}

/// What is known about a target itself.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct TargetFacts {
    /// Where it is.
    pub address: Address,
    /// Who answers there.
    pub stub: Stub,
    /// The largest packet that it takes, in bytes.
    pub packet_size_bytes: usize,
    /// The architecture that its description names, such as `riscv:rv64`.
    pub architecture: String,
    /// Bits of an integer register.
    pub xlen_bits: u32,
    /// How physical memory is read.
    pub physical: PhysicalAccess,
    /// Whether the machine ran before we came.
    pub found: FoundState,
}

/// Who answers at a gdb port.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Stub {
    /// QEMU, with the version that its monitor gives.
    Qemu {
        /// Such as `7.2.22 (Debian 1:7.2+dfsg-7+deb12u18+b3)`, if it could be asked.
        version: Option<String>,
    },
    /// Some other stub.
    Other,
    /// Nobody: it is a file.
    Dump {
        /// `core dump`, `raw RAM image`.
        kind: &'static str,
    },
}

/// How physical memory is read; the faster way is the lesser one.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum PhysicalAccess {
    /// From the file that holds the guest's RAM. Works while the guest runs.
    MappedRam,
    /// From the memory of the process that emulates the guest. Works while the guest runs.
    ProcessMemory,
    /// From a file that holds what a guest's memory once was.
    Dump,
    /// Over the gdb port, while the guest is stopped.
    GdbPort,
    /// Over a gdb stub whose monitor has a switch for it, such as our kernel's debug channel; while
    /// the guest is stopped.
    Monitor,
    /// Not at all: the stub has no switch for it.
    Unavailable,
}

impl PhysicalAccess {
    /// Whether it also works while the guest runs.
    pub const fn works_while_running(self) -> bool {
        matches!(self, Self::MappedRam | Self::ProcessMemory)
    }

    /// Whether each read is a question to a stub, which takes a way there and back.
    pub const fn asks_the_stub(self) -> bool {
        matches!(self, Self::GdbPort | Self::Monitor)
    }
}

impl fmt::Display for PhysicalAccess {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::MappedRam => "mapped RAM",
            Self::ProcessMemory => "process memory",
            Self::Dump => "dump",
            Self::GdbPort => "gdb port",
            Self::Monitor => "debug channel, monitor physical",
            Self::Unavailable => "unavailable",
        })
    }
}

/// A way to physical memory that a target has, or could have.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct WayOffer {
    /// Which.
    pub way: PhysicalAccess,
    /// Why it cannot be used, and what to do about it. `None`: it can.
    pub why_not: Option<String>,
    /// Whether memory is read by it now.
    pub is_used: bool,
}

/// Whether a machine ran before we connected, and so how it is left. [`gdb`] says how it is known.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum FoundState {
    /// It ran; it is left running.
    Running,
    /// It stood still; it is left so.
    Stopped,
    /// The target cannot tell the two apart; it is left running.
    Unknown,
}

/// A flag that ends waits; clones share it.
#[derive(Clone, Debug, Default)]
pub struct Cancel(Arc<AtomicBool>);

impl Cancel {
    /// A flag that is not set.
    pub fn new() -> Self {
        Self::default()
    }

    /// Ends what waits now and what would wait later, until [`reset`](Self::reset).
    pub fn cancel(&self) {
        self.0.store(true, Ordering::Release);
    }

    /// Allows waiting again.
    pub fn reset(&self) {
        self.0.store(false, Ordering::Release);
    }

    /// Whether it is set.
    pub fn is_cancelled(&self) -> bool {
        self.0.load(Ordering::Acquire)
    }
}

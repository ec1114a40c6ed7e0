//! A target behind a gdb port.
//!
//! # Leaving a guest as it was found
//! Connecting stops QEMU's machine (`gdb_chr_event`); closing the connection leaves it so, and `D`
//! lets it run. The port has no request that says whether it ran before. What does say so, measured
//! on QEMU 7.2.22 and read in 10.0's `gdbstub/system.c`:
//!
//! ```text
//!  before we connected                            7.2 sends      `info status` then says
//!  running                                        T02thread:01;  VM status: paused
//!  stopped at reset by -S                         nothing        VM status: paused (prelaunch)
//!  stopped at a debugger's breakpoint             nothing        VM status: paused (debug)
//!  stopped by `stop`, or by a debugger that       nothing        VM status: paused
//!    connected and closed without `D`
//! ```
//!
//! From 8.1 on a stop reply is only sent when one is due (`allow_stop_reply`), so that nobody can
//! tell the first case from the last. There a plain "paused" is [`FoundState::Unknown`] and is left
//! running, as most guests that somebody attaches to were; [`ConnectOptions::found`] overrules it.
//!
//! # Stepping off a breakpoint
//! QEMU's breakpoints stop a hart *before* the instruction, again and again when it is resumed
//! there; a single step ignores them (`accel/tcg/cpu-exec.c`, `check_for_breakpoints`). So a hart
//! that has reported a breakpoint is stepped once before all are resumed. Only that hart: another
//! one that stands at a breakpoint has not reported it yet, and would be missed.
//!
//! A stub that patches memory, as the one in our kernel does, stops *at* the patch with the pc on it:
//! there the breakpoint is taken out for that one step.

mod leave;
mod open;
mod physical;
mod registers;
mod watch;
mod ways;

use open::Documents;
use physical::PhysicalSwitch;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use pagescope_protocol::walk::TableWords;
use pagescope_protocol::{PhysPage, PhysRange, VirtAddr, VirtRange};

use super::memory::PhysicalMemory;
use super::memory::mapped::RamFile;
use super::memory::peer::Peer;
use super::progress::Listener;
use super::rsp::client::{Answer, Client, Question};
use super::rsp::description::Description;
use super::rsp::stop::{SIGNAL_INTERRUPT, SIGNAL_TRAP, StopPacket, thread_id};
use super::rsp::{escaped, hex};
use super::traffic::Packet;
use super::{
    Address, Cancel, FoundState, HartId, LinkError, PhysicalAccess, Registers, StopReason, Stub,
    Target, TargetFacts, WayOffer, share_known,
};

/// How long one instruction may take when a hart is stepped off a breakpoint. One that waits for an
/// interrupt does not end by itself.
const STEP_OFF_LIMIT: Duration = Duration::from_secs(1);

/// Most harts that a target is believed to have; RISC-V's `virt` has 512.
const MAX_HARTS: usize = 4096;

/// How to connect.
#[derive(Clone, Debug)]
pub struct ConnectOptions {
    /// How long a reply may take.
    pub timeout: Duration,
    /// Ends every wait of the link.
    pub cancel: Cancel,
    /// The file that holds the guest's RAM, where the caller knows of one.
    pub ram_file: Option<RamFile>,
    /// The way to physical memory; `None` takes the fastest that there is.
    pub way: Option<PhysicalAccess>,
    /// Whether the machine ran, where the caller knows better than the port can.
    pub found: Option<FoundState>,
}

impl Default for ConnectOptions {
    fn default() -> Self {
        Self {
            timeout: Duration::from_secs(5),
            cancel: Cancel::new(),
            ram_file: None,
            way: None,
            found: None,
        }
    }
}

/// A target behind a gdb port.
#[derive(Debug)]
pub struct GdbTarget {
    client: Client,
    facts: TargetFacts,
    description: Description,
    /// Ways to memory besides the port, each of them compared with it: which one is used, the facts say.
    direct: Vec<Box<dyn PhysicalMemory>>,
    /// All ways, in the order in which they are taken.
    offers: Vec<WayOffer>,
    /// What QEMU says is RAM, as far as it was asked.
    ram: Vec<PhysRange>,
    /// What of that the way in use does not cover.
    rest_of_ram: Vec<PhysRange>,
    /// Whether ways besides the port have been looked for.
    looked_around: bool,
    /// What the monitor has printed, where it would print the same again: the machine has not moved since.
    told: BTreeMap<String, String>,
    /// Parts of the description that came with other answers.
    documents: Documents,
    /// The harts, where they are known and cannot be others by now.
    harts: Option<Vec<HartId>>,
    /// A hart's pc as it was read since the machine stopped.
    last_pc: Option<(HartId, u64)>,
    /// The thread that `g` and `p` are about, if nothing has moved it since.
    selected: Option<HartId>,
    physical: PhysicalSwitch,
    breakpoints: BTreeSet<VirtAddr>,
    /// What is watched for writes.
    watched: BTreeSet<watch::Watched>,
    /// The hart that has reported a breakpoint and has not moved since.
    reported: Option<HartId>,
    motion: Motion,
    /// Whether it takes `vCont`, once that is known.
    has_vcont: Option<bool>,
    /// Whether [`TargetFacts::found`] has been found out.
    found_is_known: bool,
    left: bool,
}

/// Whether the machine moves.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Motion {
    Stopped(StopReason),
    Running,
    Stepping(HartId),
}

impl GdbTarget {
    /// Who is at the other end.
    pub fn peer(&self) -> Peer {
        self.client.peer()
    }

    /// The machine ran, or did not, before it was connected to: whoever says so knows better than the port can.
    pub const fn was_found(&mut self, found: FoundState) {
        self.facts.found = found;
        self.found_is_known = true;
    }

    /// Connects, which stops the machine. Whatever fails after that, the machine is left as found.
    ///
    /// # Errors
    /// When nobody is there, or somebody who is no gdb stub of a RISC-V machine.
    pub fn connect(address: &Address, options: ConnectOptions) -> Result<Self, LinkError> {
        open::connect(address, options)
    }

    /// The harts that a reply to `qfThreadInfo` names.
    fn read_threads(&self, reply: &[u8]) -> Result<Vec<HartId>, LinkError> {
        let threads = reply.strip_prefix(b"m");
        let threads = threads.ok_or_else(|| self.client.protocol("its list of harts is none"))?;
        let threads = threads.split(|byte| *byte == b',').filter_map(thread_id);
        let mut harts: Vec<HartId> = threads.filter_map(hart_of).take(MAX_HARTS).collect();
        harts.sort_unstable();
        harts.dedup();
        Ok(harts)
    }

    /// The description of the target's registers.
    pub fn description(&self) -> &Description {
        &self.description
    }

    fn need_stopped(&self, what: &'static str) -> Result<(), LinkError> {
        match self.motion {
            Motion::Stopped(_) => Ok(()),
            Motion::Running | Motion::Stepping(_) => Err(LinkError::Running { what }),
        }
    }

    /// A request that must be granted.
    fn command(&mut self, request: &[u8]) -> Result<(), LinkError> {
        let reply = self.client.request(request)?;
        if reply == b"OK" {
            return Ok(());
        }
        Err(LinkError::Refused {
            packet: escaped(request),
            code: if reply.is_empty() {
                "no such request".to_owned()
            } else {
                escaped(&reply)
            },
        })
    }

    fn breakpoint(&mut self, letter: char, address: VirtAddr) -> Result<(), LinkError> {
        self.need_stopped("breakpoints")?;
        // The kind is the instruction's length, which QEMU does not look at. A stub that patches
        // memory needs it; two bytes fit every instruction (c.ebreak).
        self.command(format!("{letter}0,{address:x},2").as_bytes())
    }

    /// Sends what lets `hart`, or all, move.
    fn go(&mut self, hart: Option<HartId>) -> Result<(), LinkError> {
        self.restore_physical()?;
        let request = match (hart, self.has_vcont()?) {
            (None, true) => "vCont;c".to_owned(),
            (None, false) => "c".to_owned(),
            (Some(hart), true) => format!("vCont;s:{:x}", thread_of(hart)),
            (Some(hart), false) => {
                self.command(format!("Hc{:x}", thread_of(hart)).as_bytes())?;
                "s".to_owned()
            }
        };
        // A stop reply selects the hart it is about (`gdb_set_stop_cpu`).
        self.selected = None;
        self.last_pc = None;
        self.told.clear();
        // QEMU's machines have the harts that they began with.
        if !matches!(self.facts.stub, Stub::Qemu { .. }) {
            self.harts = None;
        }
        self.client.start(request.as_bytes())?;
        self.motion = match hart {
            Some(hart) => Motion::Stepping(hart),
            None => Motion::Running,
        };
        Ok(())
    }

    /// Moves the hart that has reported a breakpoint past it. `false`: something else stopped the
    /// machine on the way.
    fn step_off(&mut self, hart: HartId) -> Result<bool, LinkError> {
        let pc = match self.last_pc {
            Some((known, pc)) if known == hart => Some(pc),
            _ => self.register(hart, "pc")?,
        };
        let pc = pc.map(VirtAddr::new);
        let Some(pc) = pc.filter(|pc| self.breakpoints.contains(pc)) else {
            return Ok(true);
        };
        // Other stubs patch memory, and would stop at the patch: the one in our kernel does, and steps
        // with patches of its own.
        let patched = !matches!(self.facts.stub, Stub::Qemu { .. });
        if patched {
            self.breakpoint('z', pc)?;
        }
        self.go(Some(hart))?;
        let mut stopped = self.wait_for_stop(STEP_OFF_LIMIT)?;
        if stopped.is_none() {
            self.interrupt()?;
            stopped = self.wait_for_stop(STEP_OFF_LIMIT)?;
        }
        if patched && stopped.is_some() {
            self.breakpoint('Z', pc)?;
        }
        Ok(match stopped {
            Some(StopReason::Step { .. } | StopReason::Interrupted { .. }) => true,
            Some(_) => false,
            None => return Err(self.client.protocol("a hart does not end its step")),
        })
    }

    fn reason(&mut self, packet: StopPacket) -> Result<StopReason, LinkError> {
        let (signal, thread) = match packet {
            StopPacket::Exited { code } => return Ok(StopReason::Exited { code }),
            StopPacket::Signal {
                signal,
                thread,
                wrote,
            } => {
                let hart = thread.and_then(hart_of);
                if let (SIGNAL_TRAP, Some(address)) = (signal, wrote) {
                    let hart = match hart {
                        Some(hart) => hart,
                        None => self.current_hart()?,
                    };
                    let address = VirtAddr::new(address);
                    return Ok(StopReason::Watch { hart, address });
                }
                (signal, hart)
            }
        };
        Ok(match (signal, self.motion) {
            (SIGNAL_INTERRUPT, _) => StopReason::Interrupted { hart: thread },
            (SIGNAL_TRAP, Motion::Stepping(hart)) => StopReason::Step { hart },
            (SIGNAL_TRAP, _) => {
                let hart = match thread {
                    Some(hart) => hart,
                    None => self.current_hart()?,
                };
                StopReason::Breakpoint { hart }
            }
            _ => StopReason::Signal {
                hart: thread,
                signal,
            },
        })
    }

    /// The hart that the last stop was about, for stubs whose stop replies do not say.
    fn current_hart(&mut self) -> Result<HartId, LinkError> {
        let reply = self.client.request(b"qC")?;
        let thread = reply.strip_prefix(b"QC").and_then(thread_id);
        Ok(thread.and_then(hart_of).unwrap_or_default())
    }
}

impl Target for GdbTarget {
    fn harts(&mut self) -> Result<Vec<HartId>, LinkError> {
        self.need_stopped("harts")?;
        let mut harts = Vec::new();
        // QEMU is asked for the rest at once; another stub may take that for a second list.
        let (first, mut rest) = match self.facts.stub {
            Stub::Qemu { .. } => {
                let both = [b"qfThreadInfo", b"qsThreadInfo"];
                let mut replies = self
                    .client
                    .ask(&both.map(|packet| Question::Packet(packet)))?;
                let rest = replies.pop().map(|answer| answer.reply);
                (replies.pop().unwrap_or_default().reply, rest)
            }
            _ => (self.client.request(b"qfThreadInfo")?, None),
        };
        let mut reply = first;
        while reply.starts_with(b"m") {
            let before = harts.len();
            harts.extend(self.read_threads(&reply)?);
            if harts.len() == before || harts.len() > MAX_HARTS {
                return Err(self.client.protocol("its list of harts makes no sense"));
            }
            reply = match rest.take() {
                Some(reply) => reply,
                None => self.client.request(b"qsThreadInfo")?,
            };
        }
        harts.sort_unstable();
        harts.dedup();
        if harts.is_empty() {
            // A stub without threads has one hart.
            harts.push(HartId::new(0));
        }
        self.harts = Some(harts.clone());
        Ok(harts)
    }

    fn registers(&mut self, hart: HartId) -> Result<Registers, LinkError> {
        self.need_stopped("registers")?;
        self.read_registers(hart)
    }

    fn all_registers(&mut self) -> Result<Vec<(HartId, Registers)>, LinkError> {
        let harts = match &self.harts {
            Some(harts) => harts.clone(),
            None => self.harts()?,
        };
        self.read_all_registers(&harts)
    }

    fn register(&mut self, hart: HartId, name: &str) -> Result<Option<u64>, LinkError> {
        let values = self.some_registers(&[(hart, name)])?;
        Ok(values.into_iter().next().flatten())
    }

    fn some_registers(&mut self, wanted: &[(HartId, &str)]) -> Result<Vec<Option<u64>>, LinkError> {
        self.need_stopped("registers")?;
        self.read_some_registers(wanted)
    }

    fn read_physical(&mut self, ranges: &[PhysRange]) -> Result<Vec<Option<Vec<u8>>>, LinkError> {
        self.read_by_way(ranges)
    }

    fn read_frames(
        &mut self,
        frames: &[PhysPage],
    ) -> Result<Vec<Option<Arc<TableWords>>>, LinkError> {
        self.read_frames_by_way(frames, &[])
    }

    fn read_frames_again(
        &mut self,
        frames: &[PhysPage],
        known: &[Option<Arc<TableWords>>],
    ) -> Result<Vec<Option<Arc<TableWords>>>, LinkError> {
        let mut answers = self.read_frames_by_way(frames, known)?;
        share_known(&mut answers, known);
        Ok(answers)
    }

    fn report_to(&mut self, listener: Listener) {
        self.client.progress().listen(listener);
    }

    fn begin(&mut self, what: &str) {
        self.client.progress().begin(what);
    }

    fn ways(&mut self) -> Result<Vec<WayOffer>, LinkError> {
        if !self.is_running() {
            self.look_around()?;
        }
        Ok(self.offers.clone())
    }

    fn choose_way(&mut self, way: PhysicalAccess) -> Result<(), LinkError> {
        self.take_way(way)
    }

    fn set_breakpoint(&mut self, address: VirtAddr) -> Result<(), LinkError> {
        if !self.breakpoints.contains(&address) {
            self.breakpoint('Z', address)?;
            self.breakpoints.insert(address);
        }
        Ok(())
    }

    fn clear_breakpoint(&mut self, address: VirtAddr) -> Result<(), LinkError> {
        if self.breakpoints.contains(&address) {
            self.breakpoint('z', address)?;
            self.breakpoints.remove(&address);
        }
        Ok(())
    }

    fn watch_writes(&mut self, ranges: &[VirtRange]) -> Result<(), LinkError> {
        self.watch(ranges)
    }

    fn resume(&mut self) -> Result<(), LinkError> {
        if self.is_running() {
            return Ok(());
        }
        if let Some(hart) = self.reported.take()
            && !self.step_off(hart)?
        {
            return Ok(());
        }
        self.go(None)
    }

    fn step(&mut self, hart: HartId) -> Result<(), LinkError> {
        self.need_stopped("next instruction")?;
        if self.reported == Some(hart) {
            self.reported = None;
        }
        self.go(Some(hart))
    }

    fn interrupt(&mut self) -> Result<(), LinkError> {
        if self.is_running() {
            self.client.interrupt()?;
        }
        Ok(())
    }

    fn wait_for_stop(&mut self, limit: Duration) -> Result<Option<StopReason>, LinkError> {
        if let Motion::Stopped(reason) = self.motion {
            return Ok(Some(reason));
        }
        let packet = match self.client.wait_for_stop(limit) {
            Ok(Some(packet)) => packet,
            Ok(None) => return Ok(None),
            Err(error) => {
                if matches!(error, LinkError::Refused { .. }) {
                    self.motion = Motion::Stopped(StopReason::Interrupted { hart: None });
                }
                return Err(error);
            }
        };
        let reason = self.reason(packet)?;
        self.motion = Motion::Stopped(reason);
        match reason {
            StopReason::Breakpoint { hart } => self.reported = Some(hart),
            StopReason::Watch { hart, address } => {
                self.finish_store(hart, address.as_u64())?;
                if let Motion::Stopped(ended @ StopReason::Exited { .. }) = self.motion {
                    return Ok(Some(ended));
                }
                self.motion = Motion::Stopped(reason);
            }
            _ => {}
        }
        Ok(Some(reason))
    }

    fn is_running(&self) -> bool {
        !matches!(self.motion, Motion::Stopped(_))
    }

    fn monitor(&mut self, command: &str) -> Result<Option<String>, LinkError> {
        self.need_stopped("monitor")?;
        if let Some(text) = self.told.get(command) {
            return Ok(Some(text.clone()));
        }
        let answer = self.client.monitor(command)?;
        printed_text(command, answer)
    }

    fn monitor_all(&mut self, commands: &[String]) -> Result<Vec<Option<String>>, LinkError> {
        self.need_stopped("monitor")?;
        self.ask_monitor_all(commands)
    }

    fn stopped_by(&self) -> Option<StopReason> {
        match self.motion {
            Motion::Stopped(reason) => Some(reason),
            _ => None,
        }
    }

    fn facts(&self) -> &TargetFacts {
        &self.facts
    }

    fn take_console(&mut self) -> Vec<u8> {
        self.client.take_console()
    }

    fn take_traffic(&mut self) -> Vec<Packet> {
        self.client.take_traffic()
    }

    fn detach(mut self: Box<Self>) -> Result<(), LinkError> {
        self.leave()
    }
}

/// What a monitor's answer says. `None`: there is no monitor.
fn printed_text(command: &str, answer: Answer) -> Result<Option<String>, LinkError> {
    let Answer { mut printed, reply } = answer;
    match reply.as_slice() {
        b"" => return Ok(None),
        b"OK" => {}
        // Some stubs answer with the text itself.
        text => match hex::decode(text) {
            Some(text) => printed.extend(text),
            None => {
                return Err(LinkError::Refused {
                    packet: format!("monitor {command}"),
                    code: escaped(text),
                });
            }
        },
    }
    let text = String::from_utf8_lossy(&printed);
    Ok(Some(text.replace("\r\n", "\n")))
}

/// QEMU numbers threads from 1 (`gdb_get_cpu_index`).
fn thread_of(hart: HartId) -> u64 {
    u64::from(hart.number()) + 1
}

fn hart_of(thread: u32) -> Option<HartId> {
    thread.checked_sub(1).map(HartId::new)
}

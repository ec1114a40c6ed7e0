//! A machine behind its monitor: looked at while it runs, and never stopped by looking.
//!
//! Registers come from [`registers`](super::registers), memory from the files that hold the machine's RAM or from
//! QEMU's own memory.
//! What needs a debugger (breakpoints, single steps) is refused with the remedy.

use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use pagescope_protocol::walk::TableWords;
use pagescope_protocol::{PhysPage, PhysRange, VirtAddr};

use super::Monitor;
use super::registers::{self, PrintedHart};
use crate::link::PhysicalAccess;
use crate::link::memory::PhysicalMemory;
use crate::link::memory::mapped::RamFile;
use crate::link::memory::peer::Peer;
use crate::link::{
    Address, Cancel, FoundState, HartId, LinkError, Registers, StopReason, Stub, Target,
    TargetFacts, qemu,
};

/// How often a machine that should stop is asked whether it has.
const STOP_POLL: Duration = Duration::from_millis(5);

/// How long each answer may take when nobody waits for the outcome.
const HURRY: Duration = Duration::from_secs(1);

/// How to connect.
#[derive(Clone, Debug)]
pub struct MonitorOptions {
    /// How long an answer may take.
    pub timeout: Duration,
    /// Ends every wait.
    pub cancel: Cancel,
    /// The file that holds the machine's RAM; where it is not named, QEMU is asked where its RAM lies.
    pub ram_file: Option<RamFile>,
    /// The way to memory; `None` takes the fastest that there is.
    pub way: Option<PhysicalAccess>,
}

impl Default for MonitorOptions {
    fn default() -> Self {
        Self {
            timeout: Duration::from_secs(10),
            cancel: Cancel::new(),
            ram_file: None,
            way: None,
        }
    }
}

/// A machine behind its monitor.
#[derive(Debug)]
pub struct MonitorTarget {
    monitor: Monitor,
    facts: TargetFacts,
    ram: Box<dyn PhysicalMemory>,
    cancel: Cancel,
    /// What [`harts`](Target::harts) read last: all harts of one moment.
    printed: Vec<PrintedHart>,
    is_running: bool,
    has_left: bool,
}

impl MonitorTarget {
    /// Connects, and leaves the machine as it is.
    ///
    /// # Errors
    /// When the monitor cannot be used, or the machine's RAM cannot be read while it runs.
    pub fn connect(address: &Address, options: MonitorOptions) -> Result<Self, LinkError> {
        let mut monitor = Monitor::connect(address, options.timeout, options.cancel.clone())?;
        let ram = monitor.open_ram(options.ram_file.as_ref(), options.way)?;
        let version = qemu::version(&monitor.command("info version")?);
        let status = monitor.status()?;
        let printed = registers::harts(&monitor.command(registers::REGISTERS)?);
        let xlen_bits = printed.first().map_or(0, |hart| hart.xlen_bits);
        if !matches!(xlen_bits, 32 | 64) {
            return Err(LinkError::OtherArchitecture {
                found: "unknown (its registers are not RISC-V's)".to_owned(),
            });
        }
        let facts = TargetFacts {
            address: address.clone(),
            stub: Stub::Qemu { version },
            packet_size_bytes: 0,
            architecture: format!("riscv:rv{xlen_bits}"),
            xlen_bits,
            physical: ram.way(),
            found: match status.is_running {
                true => FoundState::Running,
                false => FoundState::Stopped,
            },
        };
        Ok(Self {
            monitor,
            facts,
            ram,
            cancel: options.cancel,
            printed,
            is_running: status.is_running,
            has_left: false,
        })
    }

    /// Who is at the other end.
    pub fn peer(&self) -> Peer {
        self.monitor.peer()
    }

    /// Whether the machine runs, asked now.
    ///
    /// # Errors
    /// When the monitor is lost.
    pub fn ask_running(&mut self) -> Result<bool, LinkError> {
        self.is_running = self.monitor.status()?.is_running;
        Ok(self.is_running)
    }

    fn leave(&mut self) -> Result<(), LinkError> {
        if std::mem::replace(&mut self.has_left, true) || !self.monitor.is_alive() {
            return Ok(());
        }
        self.monitor.hurry(HURRY);
        match (self.facts.found, self.is_running) {
            (FoundState::Running, false) => self.monitor.command("cont").map(drop),
            (FoundState::Stopped, true) => self.monitor.command("stop").map(drop),
            _ => Ok(()),
        }
    }

    fn needs_gdb<T>(what: &'static str) -> Result<T, LinkError> {
        Err(LinkError::NeedsGdbPort { what })
    }
}

impl Target for MonitorTarget {
    /// Reads all harts' registers of one moment, which [`registers`](Self::registers) then gives.
    fn harts(&mut self) -> Result<Vec<HartId>, LinkError> {
        self.printed = registers::harts(&self.monitor.command(registers::REGISTERS)?);
        Ok(self.printed.iter().map(|printed| printed.hart).collect())
    }

    fn registers(&mut self, hart: HartId) -> Result<Registers, LinkError> {
        let found = self.printed.iter().find(|printed| printed.hart == hart);
        found
            .map(|printed| printed.registers.clone())
            .ok_or_else(|| LinkError::MonitorRefused {
                command: registers::REGISTERS.to_owned(),
                answer: format!("nothing of {hart}"),
            })
    }

    fn register(&mut self, hart: HartId, name: &str) -> Result<Option<u64>, LinkError> {
        self.harts()?;
        Ok(self.registers(hart)?.get(name))
    }

    fn read_physical(&mut self, ranges: &[PhysRange]) -> Result<Vec<Option<Vec<u8>>>, LinkError> {
        Ok(ranges.iter().map(|range| self.ram.read(*range)).collect())
    }

    fn read_frames(
        &mut self,
        frames: &[PhysPage],
    ) -> Result<Vec<Option<Arc<TableWords>>>, LinkError> {
        Ok(frames
            .iter()
            .map(|frame| self.ram.read_frame(*frame))
            .collect())
    }

    fn set_breakpoint(&mut self, _address: VirtAddr) -> Result<(), LinkError> {
        Self::needs_gdb("a breakpoint")
    }

    fn clear_breakpoint(&mut self, _address: VirtAddr) -> Result<(), LinkError> {
        Ok(())
    }

    fn resume(&mut self) -> Result<(), LinkError> {
        self.monitor.command("cont")?;
        self.is_running = true;
        Ok(())
    }

    fn step(&mut self, _hart: HartId) -> Result<(), LinkError> {
        Self::needs_gdb("a single step")
    }

    fn interrupt(&mut self) -> Result<(), LinkError> {
        self.monitor.command("stop").map(drop)
    }

    fn wait_for_stop(&mut self, limit: Duration) -> Result<Option<StopReason>, LinkError> {
        let deadline = Instant::now() + limit;
        while self.ask_running()? {
            if self.cancel.is_cancelled() || Instant::now() >= deadline {
                return Ok(None);
            }
            thread::sleep(STOP_POLL);
        }
        Ok(Some(StopReason::Interrupted { hart: None }))
    }

    fn is_running(&self) -> bool {
        self.is_running
    }

    fn monitor(&mut self, command: &str) -> Result<Option<String>, LinkError> {
        self.monitor.command(command).map(Some)
    }

    fn facts(&self) -> &TargetFacts {
        &self.facts
    }

    fn detach(mut self: Box<Self>) -> Result<(), LinkError> {
        self.leave()
    }
}

impl Drop for MonitorTarget {
    fn drop(&mut self) {
        if let Err(error) = self.leave() {
            tracing::warn!(%error, "while leaving the monitor");
        }
    }
}

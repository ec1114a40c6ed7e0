//! What gdbstub asks of the machine: registers, memory, breakpoints, and how to go on.

use core::fmt::{self, Write as _};
use core::num::NonZeroUsize;

use gdbstub::arch::{Arch, RegId, Registers};
use gdbstub::common::{Signal, Tid};
use gdbstub::target::ext::base::BaseOps;
use gdbstub::target::ext::base::multithread::{
    MultiThreadBase, MultiThreadResume, MultiThreadResumeOps, MultiThreadSchedulerLocking,
    MultiThreadSchedulerLockingOps, MultiThreadSingleStep, MultiThreadSingleStepOps,
};
use gdbstub::target::ext::base::single_register_access::{
    SingleRegisterAccess, SingleRegisterAccessOps,
};
use gdbstub::target::ext::breakpoints::{
    Breakpoints as BreakpointsExt, BreakpointsOps, SwBreakpoint, SwBreakpointOps,
};
use gdbstub::target::ext::monitor_cmd::{ConsoleOutput, MonitorCmd, MonitorCmdOps};
use gdbstub::target::ext::thread_extra_info::{ThreadExtraInfo, ThreadExtraInfoOps};
use gdbstub::target::{Target, TargetError, TargetResult};
use pagescope_kernel::debug::breakpoints::Breakpoints;
use pagescope_kernel::debug::registers::{Register, TARGET_XML, register};
use pagescope_kernel::debug::report::{self, Command};
use pagescope_kernel::debug::view::View;
use pagescope_protocol::{PhysAddr, Satp};

use super::harts;
use super::ram::Ram;
use crate::entry::MAX_HARTS;
use crate::trap;

/// EFAULT: no such memory.
const NO_MEMORY: u8 = 14;
/// EINVAL: not so.
const INVALID: u8 = 22;
/// ENOSPC: no room for another breakpoint.
const FULL: u8 = 28;
/// EPERM: not to be written.
const READ_ONLY: u8 = 1;

/// RV64, as [`pagescope_kernel::debug::registers`] describes it.
pub(crate) enum Rv64 {}

/// What `g` has.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub(crate) struct CoreRegisters {
    x: [u64; 32],
    pc: u64,
}

impl Registers for CoreRegisters {
    type ProgramCounter = u64;

    fn pc(&self) -> u64 {
        self.pc
    }

    fn gdb_serialize(&self, mut write_byte: impl FnMut(Option<u8>)) {
        for value in self.x.iter().chain([&self.pc]) {
            for byte in value.to_le_bytes() {
                write_byte(Some(byte));
            }
        }
    }

    fn gdb_deserialize(&mut self, bytes: &[u8]) -> Result<(), ()> {
        let (values, rest) = bytes.as_chunks::<8>();
        if values.len() != self.x.len() + 1 || !rest.is_empty() {
            return Err(());
        }
        let places = self.x.iter_mut().chain([&mut self.pc]);
        for (place, value) in places.zip(values) {
            *place = u64::from_le_bytes(*value);
        }
        Ok(())
    }
}

/// A register, by gdb's number.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Number(Register);

impl RegId for Number {
    fn from_raw_id(id: usize) -> Option<(Self, Option<NonZeroUsize>)> {
        let register = register(id)?;
        Some((Self(register), NonZeroUsize::new(register.size())))
    }
}

impl Arch for Rv64 {
    type Usize = u64;
    type Registers = CoreRegisters;
    type BreakpointKind = usize;
    type RegId = Number;

    fn target_description_xml() -> Option<&'static str> {
        Some(TARGET_XML)
    }
}

/// A packet that cannot be done. gdbstub takes it for the end of everything; the session answers
/// with an error, and goes on.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Refused;

/// How a hart is to go on.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Motion {
    /// As all others.
    Default,
    Go,
    Step,
}

/// The machine, as gdbstub sees it.
pub(crate) struct Machine {
    pub(crate) ram: Ram,
    pub(crate) breakpoints: Breakpoints,
    /// Whether a debugger's addresses are physical.
    pub(crate) physical: bool,
    /// The hart that packets without a thread are about.
    pub(crate) selected: usize,
    pub(crate) motions: [Motion; MAX_HARTS],
    /// Whether harts that are not told to go stand still.
    pub(crate) locked: bool,
}

impl Machine {
    pub(crate) const fn new(ram: Ram) -> Self {
        Self {
            ram,
            breakpoints: Breakpoints::new(),
            physical: false,
            selected: 0,
            motions: [Motion::Default; MAX_HARTS],
            locked: false,
        }
    }

    /// As it is for a debugger that has just come.
    pub(crate) fn renew(&mut self) {
        self.breakpoints.clear_all();
        self.physical = false;
        self.selected = 0;
    }

    /// How `hart` sees memory.
    pub(crate) fn view(&self, hart: usize) -> View {
        if self.physical {
            View::Physical
        } else {
            harts::record(hart).view()
        }
    }

    /// The selected hart, or where that one waits in the machine program to be started, the first
    /// that was started: a debugger that has asked for all threads has the last one selected.
    fn guest_hart(&self) -> usize {
        let is_guest = |hart: &usize| harts::record(*hart).is_guest();
        let started = || (0..harts::count()).find(is_guest);
        Some(self.selected)
            .filter(is_guest)
            .or_else(started)
            .unwrap_or(self.selected)
    }

    fn monitor(&mut self, command: Command, out: &mut impl fmt::Write) -> fmt::Result {
        let info = trap::info_block().unwrap_or(PhysAddr::new(0));
        let hart = self.guest_hart();
        let satp = match harts::record(hart).view() {
            View::Translated(satp) => satp,
            View::Physical => Satp::from_bits(0),
        };
        let asks_a_hart = matches!(command, Command::Tables | Command::Translate(_));
        if asks_a_hart && hart != self.selected {
            writeln!(
                out,
                "hart {} was never started; this is hart {hart}'s:",
                self.selected
            )?;
        }
        match command {
            Command::Help => out.write_str(report::HELP),
            Command::Heap => report::heap(out, &self.ram, info),
            Command::Layout => report::layout(out, &self.ram, info),
            Command::Regions => report::regions(out, &self.ram, info),
            Command::Spaces => report::spaces(out, &self.ram, info),
            Command::Tables => report::tables(out, &self.ram, satp),
            Command::Translate(address) => report::translation(out, &self.ram, satp, address),
            Command::Physical(on) => {
                self.physical = on.unwrap_or(self.physical);
                let state = if self.physical { "on" } else { "off" };
                writeln!(out, "physical {state}")
            }
            Command::Unknown => writeln!(out, "no such command; `monitor help` lists them"),
        }
    }
}

fn hart_of(thread: Tid) -> Result<usize, Refused> {
    let hart = thread.get() - 1;
    if hart < harts::count() {
        Ok(hart)
    } else {
        Err(Refused)
    }
}

/// As [`hart_of`], as an error reply.
fn hart<T: Target>(thread: Tid) -> TargetResult<usize, T> {
    hart_of(thread).map_err(|_| TargetError::Errno(3))
}

impl Target for Machine {
    type Arch = Rv64;
    type Error = Refused;

    fn base_ops(&mut self) -> BaseOps<'_, Rv64, Refused> {
        BaseOps::MultiThread(self)
    }

    fn use_no_ack_mode(&self) -> bool {
        // The line may be a real one: what is damaged is sent again.
        false
    }

    fn use_fork_stop_reason(&self) -> bool {
        false
    }

    fn use_vfork_stop_reason(&self) -> bool {
        false
    }

    fn use_vforkdone_stop_reason(&self) -> bool {
        false
    }

    fn support_breakpoints(&mut self) -> Option<BreakpointsOps<'_, Self>> {
        Some(self)
    }

    fn support_monitor_cmd(&mut self) -> Option<MonitorCmdOps<'_, Self>> {
        Some(self)
    }
}

impl MultiThreadBase for Machine {
    fn read_registers(&mut self, to: &mut CoreRegisters, thread: Tid) -> TargetResult<(), Self> {
        let stopped = harts::record(hart::<Self>(thread)?);
        to.x = stopped.x;
        to.pc = stopped.pc;
        Ok(())
    }

    fn write_registers(&mut self, from: &CoreRegisters, thread: Tid) -> TargetResult<(), Self> {
        let stopped = harts::record(hart::<Self>(thread)?);
        if !stopped.is_guest() {
            return Err(TargetError::Errno(READ_ONLY));
        }
        stopped.x = from.x;
        stopped.x[0] = 0;
        stopped.pc = from.pc & !1;
        Ok(())
    }

    fn support_single_register_access(&mut self) -> Option<SingleRegisterAccessOps<'_, Tid, Self>> {
        Some(self)
    }

    fn read_addrs(&mut self, start: u64, to: &mut [u8], thread: Tid) -> TargetResult<usize, Self> {
        let view = self.view(hart::<Self>(thread)?);
        match view.read(&self.ram, start, to) {
            0 if !to.is_empty() => Err(TargetError::Errno(NO_MEMORY)),
            read => Ok(read),
        }
    }

    fn write_addrs(&mut self, start: u64, from: &[u8], thread: Tid) -> TargetResult<(), Self> {
        let view = self.view(hart::<Self>(thread)?);
        let written = view.write(&mut self.ram, start, from);
        written.then_some(()).ok_or(TargetError::Errno(NO_MEMORY))
    }

    fn list_active_threads(&mut self, each: &mut dyn FnMut(Tid)) -> Result<(), Refused> {
        for number in 1..=harts::count() {
            if let Some(thread) = NonZeroUsize::new(number) {
                each(thread);
            }
        }
        Ok(())
    }

    fn support_resume(&mut self) -> Option<MultiThreadResumeOps<'_, Self>> {
        Some(self)
    }

    fn support_thread_extra_info(&mut self) -> Option<ThreadExtraInfoOps<'_, Self>> {
        Some(self)
    }
}

impl ThreadExtraInfo for Machine {
    fn thread_extra_info(&self, thread: Tid, to: &mut [u8]) -> Result<usize, Refused> {
        let hart = hart_of(thread)?;
        let what = match harts::record(hart).privilege {
            0 => "U-mode",
            harts::SUPERVISOR => "S-mode",
            _ => "M-mode, not started",
        };
        let mut text = Text { to, length: 0 };
        // What does not fit is left out.
        let _ = write!(text, "hart {hart}, {what}");
        Ok(text.length)
    }
}

/// Text into a buffer; what does not fit is left out.
struct Text<'a> {
    to: &'a mut [u8],
    length: usize,
}

impl fmt::Write for Text<'_> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        for byte in text.bytes() {
            *self.to.get_mut(self.length).ok_or(fmt::Error)? = byte;
            self.length += 1;
        }
        Ok(())
    }
}

impl SingleRegisterAccess<Tid> for Machine {
    fn read_register(
        &mut self,
        thread: Tid,
        Number(register): Number,
        to: &mut [u8],
    ) -> TargetResult<usize, Self> {
        let stopped = harts::record(hart::<Self>(thread)?);
        let value = match register {
            Register::X(number) => Some(stopped.x[number]),
            Register::Pc => Some(stopped.pc),
            Register::F(number) => Some(stopped.f[number]),
            Register::FloatStatus(shift, mask) => Some(stopped.fcsr >> shift & mask),
            Register::Privilege => Some(stopped.privilege),
            Register::Csr(place) => stopped.csr_at(place),
        };
        let size = register.size();
        let (Some(value), Some(to)) = (value, to.get_mut(..size)) else {
            // Unknown: this hart has no such register.
            return Ok(0);
        };
        to.copy_from_slice(&value.to_le_bytes()[..size]);
        Ok(size)
    }

    fn write_register(
        &mut self,
        thread: Tid,
        Number(register): Number,
        from: &[u8],
    ) -> TargetResult<(), Self> {
        let stopped = harts::record(hart::<Self>(thread)?);
        let value = <[u8; 8]>::try_from(from).map_err(|_| TargetError::Errno(INVALID))?;
        let value = u64::from_le_bytes(value);
        let written = stopped.is_guest()
            && match register {
                Register::X(0) => value == 0,
                Register::X(number) => {
                    stopped.x[number] = value;
                    true
                }
                Register::Pc => {
                    stopped.pc = value & !1;
                    true
                }
                Register::F(_) | Register::FloatStatus(..) | Register::Privilege => false,
                Register::Csr(place) => stopped.write_csr_at(place, value),
            };
        written.then_some(()).ok_or(TargetError::Errno(READ_ONLY))
    }
}

impl BreakpointsExt for Machine {
    fn support_sw_breakpoint(&mut self) -> Option<SwBreakpointOps<'_, Self>> {
        Some(self)
    }
}

impl SwBreakpoint for Machine {
    fn add_sw_breakpoint(&mut self, address: u64, _kind: usize) -> TargetResult<bool, Self> {
        use pagescope_kernel::debug::breakpoints::Refusal;

        // Instructions are translated, whatever `monitor physical` says of m and M.
        let view = harts::record(self.guest_hart()).view();
        let place = view.locate(&self.ram, address);
        match self.breakpoints.set(&self.ram, address, place) {
            Ok(()) => Ok(true),
            Err(Refusal::Address) => Err(TargetError::Errno(NO_MEMORY)),
            Err(Refusal::Full) => Err(TargetError::Errno(FULL)),
        }
    }

    fn remove_sw_breakpoint(&mut self, address: u64, _kind: usize) -> TargetResult<bool, Self> {
        // One that is gone already is what was asked for.
        self.breakpoints.clear(address);
        Ok(true)
    }
}

impl MultiThreadResume for Machine {
    fn resume(&mut self) -> Result<(), Refused> {
        // The session does it, once gdbstub has let go.
        Ok(())
    }

    fn clear_resume_actions(&mut self) -> Result<(), Refused> {
        self.motions = [Motion::Default; MAX_HARTS];
        self.locked = false;
        Ok(())
    }

    fn set_resume_action_continue(
        &mut self,
        thread: Tid,
        _signal: Option<Signal>,
    ) -> Result<(), Refused> {
        self.set_motion(thread, Motion::Go)
    }

    fn support_single_step(&mut self) -> Option<MultiThreadSingleStepOps<'_, Self>> {
        Some(self)
    }

    fn support_scheduler_locking(&mut self) -> Option<MultiThreadSchedulerLockingOps<'_, Self>> {
        Some(self)
    }
}

impl Machine {
    /// The first action for a thread counts (GDB manual, section E.2 "vCont").
    fn set_motion(&mut self, thread: Tid, motion: Motion) -> Result<(), Refused> {
        let place = &mut self.motions[hart_of(thread)?];
        if *place == Motion::Default {
            *place = motion;
        }
        Ok(())
    }
}

impl MultiThreadSingleStep for Machine {
    fn set_resume_action_step(
        &mut self,
        thread: Tid,
        _signal: Option<Signal>,
    ) -> Result<(), Refused> {
        self.set_motion(thread, Motion::Step)
    }
}

impl MultiThreadSchedulerLocking for Machine {
    fn set_resume_action_scheduler_lock(&mut self) -> Result<(), Refused> {
        self.locked = true;
        Ok(())
    }
}

impl MonitorCmd for Machine {
    fn handle_monitor_cmd(&mut self, text: &[u8], out: ConsoleOutput<'_>) -> Result<(), Refused> {
        let mut lines = Lines {
            out,
            line: [0; 160],
            length: 0,
        };
        // It takes every byte.
        let _ = self.monitor(Command::parse(text), &mut lines);
        lines.flush();
        Ok(())
    }
}

/// Text to the debugger, a packet a line.
struct Lines<'a> {
    out: ConsoleOutput<'a>,
    line: [u8; 160],
    length: usize,
}

impl Lines<'_> {
    fn flush(&mut self) {
        if self.length > 0 {
            self.out.write_raw(&self.line[..self.length]);
            self.length = 0;
        }
    }
}

impl fmt::Write for Lines<'_> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        for byte in text.bytes() {
            self.line[self.length] = byte;
            self.length += 1;
            if byte == b'\n' || self.length == self.line.len() {
                self.flush();
            }
        }
        Ok(())
    }
}

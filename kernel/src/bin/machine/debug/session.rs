//! The server: what hart 0 does while the guest stands still, and who may go on, and how far.

use core::sync::atomic::{AtomicUsize, Ordering};

use gdbstub::common::Signal;
use gdbstub::stub::state_machine::GdbStubStateMachine;
use gdbstub::stub::{GdbStub, MultiThreadStopReason};
use pagescope_kernel::arch;
use pagescope_kernel::debug::breakpoints::ebreak_length;
use pagescope_kernel::debug::listen::{Heard, Mode, PACKET_SIZE};
use pagescope_kernel::debug::screen::{self, REFUSED, Screened, screen};
use pagescope_kernel::debug::step::{Hart, Plan, plan};
use pagescope_kernel::debug::view::View;
use pagescope_kernel::handoff::Services;
use pagescope_protocol::{PhysRange, Satp};

use super::harts::{self, Reason};
use super::ram::Ram;
use super::target::{Machine, Motion};
use super::wire::{self, Wire};
use super::{call, line};

type Stub = GdbStubStateMachine<'static, Machine, Wire>;

/// gdbstub's buffer. Lent to one stub at a time.
static mut BUFFER: [u8; PACKET_SIZE] = [0; PACKET_SIZE];

/// The hart that steps; [`NOBODY`] where none does.
static STEPPING: AtomicUsize = AtomicUsize::new(NOBODY);
const NOBODY: usize = usize::MAX;

/// Most bytes to listen to before looking at the harts again.
const EARFUL: usize = 256;

/// Whether this hart steps.
pub(crate) fn steps(hart: usize) -> bool {
    STEPPING.load(Ordering::Acquire) == hart
}

/// A packet's text, kept.
struct Kept<const N: usize> {
    bytes: [u8; N],
    length: usize,
}

impl<const N: usize> Kept<N> {
    const fn new() -> Self {
        Self {
            bytes: [0; N],
            length: 0,
        }
    }

    /// Keeps `text`; one that is too long is not kept, nor is the one before.
    fn keep(&mut self, text: &[u8]) {
        self.length = 0;
        if let Some(place) = self.bytes.get_mut(..text.len()) {
            place.copy_from_slice(text);
            self.length = text.len();
        }
    }

    fn text(&self) -> Option<&[u8]> {
        self.bytes
            .get(..self.length)
            .filter(|text| !text.is_empty())
    }
}

/// What has made a hart stop by itself.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Event {
    /// A debugger's breakpoint.
    Breakpoint(usize),
    /// The end of a step.
    Step(usize),
    /// An ebreak of the program's own.
    Ebreak(usize),
}

/// One debugger's visit, and what lasts longer.
pub(crate) struct Session {
    stub: Option<Stub>,
    pub(super) machine: Machine,
    pub(super) services: Services,
    pub(super) ticks: u64,
    packet: [u8; PACKET_SIZE],
    /// qSupported, and the last Hg and Hc: what a stub that begins anew has to hear again.
    features: Kept<512>,
    general: Kept<40>,
    resumes: Kept<40>,
    /// A program's ebreak that was reported: if the hart goes on from there, S-mode gets it.
    ebreak: Option<(usize, u64)>,
    pub(super) call: Option<call::Call>,
}

impl Session {
    pub(crate) const fn new(ram: PhysRange, services: Services, ticks: u64) -> Self {
        Self {
            stub: None,
            machine: Machine::new(Ram::new(ram)),
            services,
            ticks,
            packet: [0; PACKET_SIZE],
            features: Kept::new(),
            general: Kept::new(),
            resumes: Kept::new(),
            ebreak: None,
            call: None,
        }
    }

    /// Serves until hart 0 is to go on. Hart 0's registers are recorded.
    pub(crate) fn serve(&mut self, first: Heard) {
        harts::set_serving();
        harts::stop_others();
        let mut heard = first;
        self.arrive(&mut heard);
        while harts::is_parked(0) {
            if harts::has_news() {
                harts::stop_others();
                self.arrive(&mut heard);
            } else if self.call.is_none() {
                if heard == Heard::Nothing {
                    heard = super::plic::serve(|| line::listen(EARFUL));
                }
                if heard == Heard::Nothing {
                    wait(self.call.is_none());
                } else {
                    self.act(core::mem::replace(&mut heard, Heard::Nothing));
                }
            } else {
                wait(false);
            }
        }
        harts::end_serving();
    }

    /// All harts stand still: says so to who waits for it.
    fn arrive(&mut self, heard: &mut Heard) {
        if self.call.is_some() {
            return self.end_call();
        }
        let event = self.event();
        self.machine.breakpoints.unpatch_all(&mut self.machine.ram);
        STEPPING.store(NOBODY, Ordering::Release);
        if line::mode() != Mode::Running {
            return;
        }
        let Some(event) = event else { return };
        if *heard == Heard::Interrupt {
            // It wanted the guest to stop, which it has.
            *heard = Heard::Nothing;
        }
        self.report(event);
    }

    /// What has happened. Patches are in place still.
    fn event(&mut self) -> Option<Event> {
        let mut event = None;
        for hart in 0..harts::count() {
            let stopped = harts::record(hart);
            let reason = core::mem::replace(&mut stopped.reason, Reason::Asked);
            if event.is_some() || reason == Reason::Asked {
                continue;
            }
            let (pc, view) = (stopped.pc, stopped.view());
            let ram = &self.machine.ram;
            let place = view.locate(ram, pc);
            let patched = place.is_some_and(|place| self.machine.breakpoints.is_patched(place));
            let halfword = |address| view.halfword(ram, address);
            event = if steps(hart) && (patched || reason == Reason::Ended) {
                Some(Event::Step(hart))
            } else if patched {
                Some(Event::Breakpoint(hart))
            } else {
                // Where there is no ebreak any more, the hart just tries again.
                let low = halfword(pc);
                let length = low.and_then(|low| ebreak_length(low, halfword(pc.wrapping_add(2))));
                length.map(|_| Event::Ebreak(hart))
            };
        }
        event
    }

    fn report(&mut self, event: Event) {
        let (hart, reason): (usize, fn(_) -> _) = match event {
            Event::Breakpoint(hart) => (hart, MultiThreadStopReason::SwBreak),
            Event::Step(hart) => (hart, trapped),
            Event::Ebreak(hart) => {
                self.ebreak = Some((hart, harts::record(hart).pc));
                (hart, trapped)
            }
        };
        self.report_stop(hart, reason);
    }

    fn report_stop(
        &mut self,
        hart: usize,
        reason: fn(gdbstub::common::Tid) -> MultiThreadStopReason<u64>,
    ) {
        line::set_mode(Mode::Stopped);
        self.machine.selected = hart;
        self.general.length = 0;
        let thread = gdbstub::common::Tid::new(hart + 1);
        if let (Some(Stub::Running(stub)), Some(thread)) = (self.stub.take(), thread) {
            self.stub = stub.report_stop(&mut self.machine, reason(thread)).ok();
        }
        if self.stub.is_none() {
            self.renew_stub();
        }
    }

    /// All harts that matter may be running; does what was heard.
    fn act(&mut self, heard: Heard) {
        if line::mode() == Mode::Running
            && matches!(heard, Heard::Interrupt | Heard::Packet | Heard::Line)
        {
            let mut heard = heard;
            harts::stop_others();
            self.arrive(&mut heard);
            if line::mode() == Mode::Stopped && heard != Heard::Packet {
                return;
            }
        }
        match (line::mode(), heard) {
            (Mode::Console, Heard::Interrupt) => {
                line::set_mode(Mode::Called);
                crate::out::say(format_args!(
                    "stopped by Ctrl-C; attach a debugger to this line, or press Enter to go on"
                ));
            }
            (Mode::Running, Heard::Interrupt) => {
                self.report_stop(self.machine.selected, |thread| {
                    MultiThreadStopReason::SignalWithThread {
                        tid: thread,
                        signal: Signal::SIGINT,
                    }
                });
            }
            (mode, Heard::Packet) => {
                let size = line::copy_packet(&mut self.packet);
                if mode != Mode::Stopped {
                    line::set_mode(Mode::Stopped);
                    self.renew();
                }
                self.packet(size);
            }
            (Mode::Running | Mode::Called, Heard::Line) => self.leave(),
            (Mode::Stopped, Heard::Damaged) => crate::out::uart().send(b'-'),
            (Mode::Stopped, Heard::TooLong) => {
                wire::begin();
                wire::reply(REFUSED);
            }
            (Mode::Stopped, Heard::Again) => wire::send_again(),
            _ => {}
        }
    }

    /// Begins for a debugger that has just come.
    fn renew(&mut self) {
        self.machine.renew();
        self.features.length = 0;
        self.general.length = 0;
        self.resumes.length = 0;
        self.ebreak = None;
        self.renew_stub();
    }

    /// Begins with gdbstub anew, and tells it what it knew.
    fn renew_stub(&mut self) {
        self.stub = None;
        // SAFETY: the only stub that had the buffer is gone, and only hart 0 comes here.
        let buffer = unsafe { (&raw mut BUFFER).as_mut() };
        let Some(buffer) = buffer else { return };
        let stub = GdbStub::builder(Wire { muted: true })
            .with_packet_buffer(buffer)
            .build();
        let Ok(stub) = stub else { return };
        self.stub = stub.run_state_machine(&mut self.machine).ok();
        for number in 0..3 {
            let kept = match number {
                0 => self.features.text().map(copied),
                1 => self.general.text().map(copied),
                _ => self.resumes.text().map(copied),
            };
            if let Some((text, length)) = kept {
                self.feed(&text[..length]);
            }
        }
        match &mut self.stub {
            Some(Stub::Idle(stub)) => stub.borrow_conn().muted = false,
            Some(Stub::Running(stub)) => stub.borrow_conn().muted = false,
            _ => {}
        }
    }

    /// Gives gdbstub a packet; `false` where it has given up.
    fn feed(&mut self, text: &[u8]) -> bool {
        let sum = text.iter().fold(0u8, |sum, byte| sum.wrapping_add(*byte));
        let digit =
            |value: u8| char::from_digit(value.into(), 16).map_or(b'0', |digit| digit as u8);
        let tail = [b'#', digit(sum >> 4), digit(sum & 15)];
        let bytes = [b'$'].into_iter().chain(text.iter().copied()).chain(tail);
        for byte in bytes {
            let next = match self.stub.take() {
                Some(Stub::Idle(stub)) => stub.incoming_data(&mut self.machine, byte),
                Some(Stub::Running(stub)) => stub.incoming_data(&mut self.machine, byte),
                // Neither is left behind by a packet.
                Some(other) => Ok(other),
                None => return false,
            };
            self.stub = next.ok();
        }
        self.stub.is_some()
    }

    /// Answers the packet of `size` bytes.
    fn packet(&mut self, size: usize) {
        wire::begin();
        let packet = self.packet;
        let text = packet.get(1..size.saturating_sub(3)).unwrap_or(&[]);
        let fed = match screen(text, harts::count()) {
            Screened::Reply(answer) => return wire::reply(answer),
            Screened::Kalloc => return self.begin_call(),
            Screened::As(text) => self.feed(text),
            Screened::Attach => {
                self.renew();
                // gdbstub wants a feature to be named.
                let text = match text {
                    b"qSupported" => b"qSupported:swbreak+",
                    text => text,
                };
                self.features.keep(text);
                self.feed(text)
            }
            Screened::Pass => self.feed(text),
        };
        if !fed {
            self.renew_stub();
            return wire::reply(REFUSED);
        }
        match text {
            [b'H', b'g', thread @ ..] => {
                self.general.keep(text);
                if let Some(hart) = screen::hart(thread) {
                    self.machine.selected = hart;
                }
            }
            [b'H', b'c', ..] => self.resumes.keep(text),
            _ => {}
        }
        match self.stub {
            Some(Stub::Running(_)) => self.go_on(),
            Some(Stub::Disconnected(_)) => self.leave(),
            _ => {}
        }
    }

    /// The debugger is gone: everything is as if it had not been.
    fn leave(&mut self) {
        self.stub = None;
        self.machine.renew();
        self.ebreak = None;
        line::set_mode(Mode::Console);
        for hart in 0..harts::count() {
            harts::release(hart);
        }
    }

    /// Lets harts go, as the debugger has said.
    fn go_on(&mut self) {
        line::set_mode(Mode::Running);
        let motions = self.machine.motions;
        let locked = self.machine.locked;
        let goes = |hart: &usize| match motions.get(*hart) {
            Some(Motion::Default) => !locked,
            motion => motion.is_some(),
        };
        let steps = motions.iter().position(|motion| *motion == Motion::Step);
        // The program's own breakpoint is its own to handle, once the hart that met it goes on.
        if let Some((hart, pc)) = self.ebreak
            && steps.map_or_else(|| goes(&hart), |stepped| stepped == hart)
        {
            self.ebreak = None;
            if harts::record(hart).pc == pc {
                harts::record(hart).set_reflects();
            }
        }
        if let Some(hart) = steps {
            return self.step(hart);
        }
        self.machine.breakpoints.patch_all(&mut self.machine.ram);
        // Hart 0 last: then nothing is left to be served.
        for hart in (0..harts::count()).rev().filter(goes) {
            harts::release(hart);
        }
    }

    /// One hart, one instruction; all others stand still.
    fn step(&mut self, hart: usize) {
        let stopped = harts::record(hart);
        if !stopped.is_guest() {
            // It waits in the machine program, which is not stepped.
            return self.report(Event::Step(hart));
        }
        let csr = |number| stopped.csr(number).unwrap_or(0);
        let view = stopped.view();
        let ram = &mut self.machine.ram;
        let plan = if stopped.will_reflect() {
            // On to the handler's first instruction.
            plan(hart_of(stopped, csr), |_| None)
        } else {
            plan(hart_of(stopped, csr), |address| view.halfword(ram, address))
        };
        match plan {
            Plan::CarryOut { pc, link } => {
                stopped.pc = pc;
                if let Some((register, value)) = link {
                    stopped.x[register] = value;
                }
                self.report(Event::Step(hart));
            }
            Plan::Run {
                stops,
                satp,
                hold_off,
            } => {
                let after = satp.map(View::Translated);
                for address in stops.as_slice() {
                    for view in [Some(view), after].into_iter().flatten() {
                        if let Some(place) = view.locate(ram, *address) {
                            self.machine.breakpoints.patch(ram, place);
                        }
                    }
                }
                if hold_off {
                    stopped.hold_off();
                }
                STEPPING.store(hart, Ordering::Release);
                harts::release(hart);
            }
        }
    }
}

fn hart_of(stopped: &harts::Stopped, csr: impl Fn(u16) -> u64) -> Hart<'_> {
    Hart {
        x: &stopped.x,
        pc: stopped.pc,
        supervisor: stopped.privilege == harts::SUPERVISOR,
        stvec: csr(0x105),
        sepc: csr(0x141),
        satp: Satp::from_bits(csr(0x180)).bits(),
    }
}

fn trapped(thread: gdbstub::common::Tid) -> MultiThreadStopReason<u64> {
    MultiThreadStopReason::SignalWithThread {
        tid: thread,
        signal: Signal::SIGTRAP,
    }
}

fn copied(text: &[u8]) -> ([u8; 512], usize) {
    let mut copy = [0; 512];
    let length = text.len().min(copy.len());
    copy[..length].copy_from_slice(&text[..length]);
    (copy, length)
}

/// Waits for the UART, or for another hart.
fn wait(for_uart: bool) {
    use pagescope_kernel::arch::csr::{MEI, MSI};
    use pagescope_kernel::{csr_read, csr_write};

    let wanted = if for_uart { MSI | MEI } else { MSI };
    // SAFETY: M-mode's own interrupt enable; mstatus.MIE is off, so nothing traps.
    unsafe { csr_write!("mie", wanted) };
    crate::clint::set_software_interrupt(0, false);
    // News that came before the interrupt was taken back are seen here, later ones by wfi.
    if !harts::has_news() && csr_read!("mip") & wanted == 0 {
        arch::wait_for_interrupt();
    }
}

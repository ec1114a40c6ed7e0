//! The debug channel: a GDB stub on the UART.
//!
//! ```text
//!            UART ──receive interrupt──▶ PLIC ──▶ hart 0, M-mode
//!                                                   │ line: a person, or a debugger?
//!     supervisor program ◀── SBI console ───────────┤
//!       (O packets, where a debugger listens)       │ 0x03, a packet
//!                                                   ▼
//!     hart 1…n ◀── msip, parked ─────────────── session: all harts stopped
//!                                                   │   gdbstub ─▶ target ─▶ harts' records, RAM
//!                                                   ▼
//!                                               release: patched, fence.i, mret
//! ```
//!
//! M-mode owns the UART, so that a debugger is heard whatever S-mode does: with its interrupts off,
//! in wfi, in an endless loop. Hart 0 serves, whichever hart stops. What a stop costs the guest is
//! time: traps for the channel's sake are not counted in the information block, and nothing in the
//! guest's memory is different while it stands still.
//!
//! Not supported: writing floating-point registers, watchpoints, breakpoints in
//! the machine program, stepping in M-mode, harts that are parked for ever because there are more
//! of them than `MAX_HARTS`.

mod call;
mod csrs;
mod harts;
mod line;
mod lock;
mod plic;
mod ram;
mod session;
mod target;
mod wire;

use core::cell::UnsafeCell;
use core::sync::atomic::{AtomicBool, Ordering};

use pagescope_kernel::csr_read;
use pagescope_kernel::debug::listen::{Heard, Mode};
use pagescope_kernel::fault::Cause;
use pagescope_kernel::handoff::Services;
use pagescope_protocol::PhysRange;

pub(crate) use harts::{interrupts, send_for, was_sent_for};
pub(crate) use line::{read, write, write_last};

use self::harts::Reason;
use self::session::Session;
use crate::entry::TrapFrame;
use crate::reflect::reflect;
use crate::{hart, out};

/// Most bytes to listen to in one interrupt, so that the guest goes on between them.
const AT_MOST: usize = 32;

struct Shared(UnsafeCell<Option<Session>>);

// SAFETY: only hart 0 uses it, in M-mode, where nothing interrupts it.
unsafe impl Sync for Shared {}

static SESSION: Shared = Shared(UnsafeCell::new(None));

/// The channel is there.
static OPEN: AtomicBool = AtomicBool::new(false);

/// Runs `use_it` on the session, which only hart 0 does.
fn with_session<R>(use_it: impl FnOnce(&mut Session) -> R) -> Option<R> {
    if hart::current() != 0 {
        return None;
    }
    // SAFETY: see `Shared`; nothing that is called from within comes back here.
    let session = unsafe { &mut *SESSION.0.get() };
    session.as_mut().map(use_it)
}

/// Opens the channel. Called once, on hart 0, before S-mode runs.
pub(crate) fn open(ram: PhysRange, services: Services, ticks: u64) {
    line::set_timebase(ticks);
    // SAFETY: see `Shared`; nobody has used it yet.
    unsafe { *SESSION.0.get() = Some(Session::new(ram, services, ticks)) };
    plic::enable_uart();
    out::uart().enable_receive_interrupt();
    OPEN.store(true, Ordering::Release);
}

/// The UART has something to say. Hart 0 only.
pub(crate) fn external_interrupt(frame: &mut TrapFrame) {
    let heard = plic::serve(|| line::listen(AT_MOST));
    if matches!(heard, Heard::Interrupt | Heard::Packet | Heard::Line) {
        stop_here(frame, Reason::Asked, heard);
    }
}

/// Another hart's interrupt, which may be about stopping.
pub(crate) fn software_interrupt(frame: &mut TrapFrame) {
    let hart = hart::current();
    if hart == 0 {
        if harts::has_news() {
            stop_here(frame, Reason::Asked, Heard::Nothing);
        }
    } else if harts::is_wanted(hart) {
        harts::park_trapped(hart, frame, Reason::Asked);
    }
}

/// An ebreak, in the supervisor program or above it.
pub(crate) fn breakpoint(frame: &mut TrapFrame) {
    match line::mode() {
        Mode::Running | Mode::Stopped => stop(frame, Reason::Ebreak),
        Mode::Console | Mode::Called => {
            reflect(Cause::BREAKPOINT.bits(), csr_read!("mtval"));
        }
    }
}

/// M-mode's timer: `true` where it was a time limit of the channel's own, and none of S-mode's.
pub(crate) fn timer(frame: &mut TrapFrame) -> bool {
    let limits = call::limits(hart::current());
    if limits {
        stop(frame, Reason::Ended);
    }
    limits
}

fn stop(frame: &mut TrapFrame, reason: Reason) {
    match hart::current() {
        0 => stop_here(frame, reason, Heard::Nothing),
        hart => harts::park_trapped(hart, frame, reason),
    }
}

/// Stops everything, with hart 0 trapped.
fn stop_here(frame: &mut TrapFrame, reason: Reason, heard: Heard) {
    harts::record_trapped(0, frame, reason);
    with_session(|session| session.serve(heard));
    harts::restore_trapped(0, frame);
}

/// This hart waits to be started. Gives it to a debugger, where one wants it.
pub(crate) fn waiting(hart: usize) {
    if !OPEN.load(Ordering::Acquire) {
        return;
    }
    if hart != 0 {
        if session::steps(hart) {
            harts::park_waiting(hart, Reason::Ended);
        } else if harts::is_wanted(hart) {
            harts::park_waiting(hart, Reason::Asked);
        }
        return;
    }
    let reason = if session::steps(0) {
        Reason::Ended
    } else {
        Reason::Asked
    };
    let heard = plic::serve(|| line::listen(AT_MOST));
    let is_urgent = matches!(heard, Heard::Interrupt | Heard::Packet | Heard::Line);
    if is_urgent || harts::has_news() || reason == Reason::Ended {
        harts::record_waiting(0, reason);
        with_session(|session| session.serve(heard));
        harts::restore_waiting(0);
    }
}

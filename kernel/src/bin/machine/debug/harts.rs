//! Stopping harts, all of them together, and letting them go.
//!
//! ```text
//!  hart 0                                   hart n
//!    stop_others: wanted = true, msip ────▶  traps out of S-mode, or leaves the wait loop's wfi
//!    waits until it is parked  ◀──────────   records its registers; parked
//!    reads and writes the record             waits in wfi
//!    release: go = true, msip  ───────────▶  writes the record back; fence.i; mret
//! ```
//!
//! A hart that is in M-mode for an SBI call ends the call first. What was recorded belongs to hart
//! 0 from `parked` to `go`, and to the hart itself at any other time.

use core::arch::{asm, naked_asm};
use core::cell::UnsafeCell;
use core::sync::atomic::{AtomicBool, Ordering};

use pagescope_kernel::arch::csr::{MEI, MSI, MSTATUS_FS, MSTATUS_MPP};
use pagescope_kernel::debug::registers::{CSRS, place};
use pagescope_kernel::debug::view::View;
use pagescope_kernel::{arch, csr_read, csr_write};
use pagescope_protocol::Satp;

use crate::entry::{MAX_HARTS, TrapFrame};
use crate::reflect::reflect;
use crate::{boot, clint};

/// Why a hart has stopped.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Reason {
    /// It was asked to, or stopped for another one's sake.
    Asked,
    /// At an ebreak, patched or the program's own.
    Ebreak,
    /// What it was doing has ended otherwise: its time is up, or it has stopped itself (HSM).
    Ended,
}

/// S-mode, in mstatus.MPP and as gdb's `priv`.
pub(crate) const SUPERVISOR: u64 = 1;
/// M-mode.
const MACHINE: u64 = 3;

/// CSRs of S-mode that a debugger may write; the others are read-only to it.
const WRITABLE: [u16; 8] = [0x100, 0x104, 0x105, 0x140, 0x141, 0x142, 0x143, 0x180];

/// What a stopped hart will go on with.
#[derive(Clone)]
pub(crate) struct Stopped {
    pub(crate) x: [u64; 32],
    pub(crate) pc: u64,
    /// Only to be looked at, like fcsr: nothing here uses them.
    pub(crate) f: [u64; 32],
    pub(crate) fcsr: u64,
    pub(crate) privilege: u64,
    pub(crate) reason: Reason,
    /// Values of [`CSRS`]; `None` where the hart has no such register.
    csrs: [Option<u64>; CSRS.len()],
    /// Which of them were written, a bit each.
    written: u64,
    /// It goes on with S-mode's interrupts held off, and these are sie's bits meanwhile.
    held_off: Option<u64>,
    /// It goes on with its trap handed on to S-mode.
    reflects: bool,
}

impl Stopped {
    const NEW: Self = Self {
        x: [0; 32],
        pc: 0,
        f: [0; 32],
        fcsr: 0,
        privilege: MACHINE,
        reason: Reason::Asked,
        csrs: [None; CSRS.len()],
        written: 0,
        held_off: None,
        reflects: false,
    };

    /// Whether it was in the supervisor program, not in the machine program's wait loop.
    pub(crate) fn is_guest(&self) -> bool {
        self.privilege != MACHINE
    }

    /// The CSR with this number.
    pub(crate) fn csr(&self, number: u16) -> Option<u64> {
        self.csrs[place(number.into())?]
    }

    /// The CSR at this place of [`CSRS`].
    pub(crate) fn csr_at(&self, place: usize) -> Option<u64> {
        self.csrs.get(place).copied().flatten()
    }

    /// Writes the CSR at this place; `false` where that is not allowed.
    pub(crate) fn write_csr_at(&mut self, place: usize, value: u64) -> bool {
        let number = CSRS.get(place).map(|(_, number)| *number);
        let allowed = self.is_guest() && number.is_some_and(|number| WRITABLE.contains(&number));
        if allowed {
            self.csrs[place] = Some(value);
            self.written |= 1 << place;
        }
        allowed
    }

    /// Writes all CSRs that can be written back as they are here.
    pub(crate) fn write_all(&mut self) {
        for number in WRITABLE {
            if let Some(place) = place(number.into()) {
                self.written |= 1 << place;
            }
        }
    }

    /// How it sees memory.
    pub(crate) fn view(&self) -> View {
        if self.is_guest() {
            View::Translated(Satp::from_bits(self.csr(0x180).unwrap_or(0)))
        } else {
            View::Physical
        }
    }

    /// It is to go on with S-mode's interrupts held off, until it stops again.
    pub(crate) fn hold_off(&mut self) {
        self.held_off = self.csr(0x104);
    }

    /// Whether its trap will be handed on to S-mode.
    pub(crate) fn will_reflect(&self) -> bool {
        self.reflects
    }

    /// Changes M-mode's interrupt enable.
    pub(crate) fn set_mie(&mut self, value: u64) {
        set(self, 0x304, value);
    }

    /// It is to go on with its trap handed on to S-mode.
    pub(crate) fn set_reflects(&mut self) {
        self.reflects = true;
    }
}

const _: () = assert!(CSRS.len() <= 64);

struct Slot {
    wanted: AtomicBool,
    parked: AtomicBool,
    go: AtomicBool,
    /// S-mode has sent for this hart.
    sent_for: AtomicBool,
    stopped: UnsafeCell<Stopped>,
}

// SAFETY: see the module: `parked` and `go` say whose `stopped` is.
unsafe impl Sync for Slot {}

static SLOTS: [Slot; MAX_HARTS] = [const {
    Slot {
        wanted: AtomicBool::new(false),
        parked: AtomicBool::new(false),
        go: AtomicBool::new(false),
        sent_for: AtomicBool::new(false),
        stopped: UnsafeCell::new(Stopped::NEW),
    }
}; MAX_HARTS];

/// Some hart but hart 0 has stopped by itself.
static NEWS: AtomicBool = AtomicBool::new(false);

/// How many harts there are: threads 1 to this.
pub(crate) fn count() -> usize {
    (boot::harts() as usize).min(MAX_HARTS)
}

/// The record of a hart that stands still. Hart 0 only, in its server.
pub(crate) fn record(hart: usize) -> &'static mut Stopped {
    let slot = &SLOTS[hart.min(MAX_HARTS - 1)];
    // SAFETY: the server asks only for harts that are parked, whose record is hart 0's, and keeps
    // no two of them at a time.
    unsafe { &mut *slot.stopped.get() }
}

/// Whether this hart stands still.
pub(crate) fn is_parked(hart: usize) -> bool {
    SLOTS[hart].parked.load(Ordering::Acquire)
}

/// Sends for `hart` on S-mode's behalf.
pub(crate) fn send_for(hart: usize) {
    if let Some(slot) = SLOTS.get(hart) {
        slot.sent_for.store(true, Ordering::Release);
        clint::set_software_interrupt(hart, true);
    }
}

/// Whether S-mode has sent for this hart since the last time.
pub(crate) fn was_sent_for(hart: usize) -> bool {
    SLOTS
        .get(hart)
        .is_some_and(|slot| slot.sent_for.swap(false, Ordering::AcqRel))
}

/// Whether this hart is to stop.
pub(crate) fn is_wanted(hart: usize) -> bool {
    SLOTS
        .get(hart)
        .is_some_and(|slot| slot.wanted.load(Ordering::Acquire))
}

/// Whether a hart has stopped by itself since the last time.
pub(crate) fn take_news() -> bool {
    NEWS.swap(false, Ordering::AcqRel)
}

/// Whether one has.
pub(crate) fn has_news() -> bool {
    NEWS.load(Ordering::Acquire)
}

/// Stops all harts but hart 0, and waits until they stand still.
pub(crate) fn stop_others() {
    for (hart, slot) in SLOTS.iter().enumerate().take(count()).skip(1) {
        if !is_parked(hart) {
            slot.wanted.store(true, Ordering::Release);
            clint::set_software_interrupt(hart, true);
        }
    }
    for hart in 1..count() {
        await_parked(hart);
    }
    take_news();
}

fn await_parked(hart: usize) {
    while !is_parked(hart) {
        core::hint::spin_loop();
    }
}

/// Lets a hart go on with what is recorded. For hart 0, that is its server's return.
pub(crate) fn release(hart: usize) {
    let slot = &SLOTS[hart];
    // A request that came while the hart was about to stop by itself has been met.
    slot.wanted.store(false, Ordering::Release);
    slot.parked.store(false, Ordering::Release);
    if hart != 0 {
        slot.go.store(true, Ordering::Release);
        clint::set_software_interrupt(hart, true);
    }
}

/// Stops this hart, not hart 0, which has trapped out of the supervisor program.
pub(crate) fn park_trapped(hart: usize, frame: &mut TrapFrame, reason: Reason) {
    record_trapped(hart, frame, reason);
    wait_parked(hart, reason);
    restore_trapped(hart, frame);
}

/// Stops this hart, not hart 0, in the machine program's wait loop.
pub(crate) fn park_waiting(hart: usize, reason: Reason) {
    record_waiting(hart, reason);
    wait_parked(hart, reason);
    restore_waiting(hart);
}

fn wait_parked(hart: usize, reason: Reason) {
    let slot = &SLOTS[hart];
    slot.wanted.store(false, Ordering::Release);
    // SAFETY: M-mode's own interrupt enable; mstatus.MIE is off, so nothing traps.
    unsafe { csr_write!("mie", MSI) };
    slot.parked.store(true, Ordering::Release);
    if reason != Reason::Asked {
        NEWS.store(true, Ordering::Release);
        clint::set_software_interrupt(0, true);
    }
    loop {
        clint::set_software_interrupt(hart, false);
        if slot.go.swap(false, Ordering::AcqRel) {
            break;
        }
        while csr_read!("mip") & MSI == 0 {
            arch::wait_for_interrupt();
        }
    }
    if is_wanted(hart) || slot.sent_for.load(Ordering::Acquire) {
        // Who sent for it meanwhile may have done so before the last interrupt was taken back.
        clint::set_software_interrupt(hart, true);
    }
}

/// Records what this hart was doing when it trapped.
pub(crate) fn record_trapped(hart: usize, frame: &TrapFrame, reason: Reason) {
    // SAFETY: this hart's own record, which is not parked.
    let stopped = unsafe { &mut *SLOTS[hart].stopped.get() };
    let held_off = stopped.held_off.take();
    stopped.x = frame.x;
    stopped.x[0] = 0;
    let mstatus = csr_read!("mstatus");
    stopped.privilege = (mstatus & MSTATUS_MPP) >> MSTATUS_MPP.trailing_zeros();
    stopped.pc = csr_read!("mepc");
    stopped.reason = reason;
    stopped.reflects = false;
    record_csrs(stopped);
    // While S-mode runs, mscratch holds what is 0 in M-mode.
    let top = core::ptr::from_ref(frame).expose_provenance() + size_of::<TrapFrame>();
    set(stopped, 0x340, top as u64);
    if let Some(held) = held_off {
        let mie = stopped.csr(0x304).unwrap_or(0) | held;
        set(stopped, 0x304, mie);
        set(stopped, 0x104, held);
    }
}

/// Has this hart go on with what is recorded, once it leaves M-mode.
pub(crate) fn restore_trapped(hart: usize, frame: &mut TrapFrame) {
    // SAFETY: this hart's own record, which is not parked any more.
    let stopped = unsafe { &mut *SLOTS[hart].stopped.get() };
    frame.x = stopped.x;
    // SAFETY: all of it is S-mode's own, or is as it was when S-mode trapped; the debugger's user
    // has asked for the rest.
    unsafe {
        csr_write!("mstatus", stopped.csr(0x300).unwrap_or(0));
        csr_write!("mepc", stopped.pc);
        csr_write!("mie", stopped.csr(0x304).unwrap_or(0));
    }
    write_back(stopped);
    if core::mem::take(&mut stopped.reflects) {
        let value = stopped.csr(0x343).unwrap_or(0);
        reflect(pagescope_kernel::fault::Cause::BREAKPOINT.bits(), value);
    }
    if stopped.held_off.is_some() {
        // SAFETY: S-mode's interrupts wait until it has stopped again.
        unsafe { csr_write!("sie", 0) };
    }
    fence_instructions();
    // A debugger may have changed page tables as well as instructions.
    // SAFETY: a fence changes no value.
    unsafe { asm!("sfence.vma x0, x0", options(nostack)) };
}

/// Records what this hart is doing in the wait loop.
pub(crate) fn record_waiting(hart: usize, reason: Reason) {
    // SAFETY: this hart's own record, which is not parked.
    let stopped = unsafe { &mut *SLOTS[hart].stopped.get() };
    capture(&mut stopped.x);
    stopped.x[0] = 0;
    stopped.pc = stopped.x[1];
    stopped.privilege = MACHINE;
    stopped.reason = reason;
    stopped.held_off = None;
    stopped.reflects = false;
    record_csrs(stopped);
}

/// Has this hart go on in the wait loop.
pub(crate) fn restore_waiting(hart: usize) {
    // SAFETY: M-mode's own interrupt enable.
    unsafe { csr_write!("mie", interrupts(hart)) };
    fence_instructions();
}

/// M-mode's interrupts of a hart, but for the timer's: hart 0 listens to the UART.
pub(crate) fn interrupts(hart: usize) -> u64 {
    if hart == 0 { MSI | MEI } else { MSI }
}

fn fence_instructions() {
    // SAFETY: a fence changes no value. No `nomem`: stores must not move past it.
    unsafe { asm!("fence.i", options(nostack)) };
}

/// Stores x1 to x31 as they are here; x1 is where this returns to.
#[unsafe(naked)]
extern "C" fn capture(to: &mut [u64; 32]) {
    naked_asm!(
        ".irp n, 1,2,3,4,5,6,7,8,9,10,11,12,13,14,15,16,17,18,19,20,21,22,23,24,25,26,27,28,29,30,31",
        "sd   x\\n, \\n*8(a0)",
        ".endr",
        "ret",
    )
}

fn set(stopped: &mut Stopped, number: u16, value: u64) {
    if let Some(place) = place(number.into()) {
        stopped.csrs[place] = Some(value);
    }
}

fn record_csrs(stopped: &mut Stopped) {
    record_floats(stopped);
    stopped.written = 0;
    for ((_, number), value) in CSRS.iter().zip(stopped.csrs.iter_mut()) {
        *value = super::csrs::read(*number);
    }
}

/// misa: double-precision floating point.
const MISA_D: u64 = 1 << 3;

/// Records f0 to f31 and fcsr, which can be read only while mstatus.FS is not off. On a hart without
/// the D extension they stay zero: to read them would trap.
fn record_floats(stopped: &mut Stopped) {
    if csr_read!("misa") & MISA_D == 0 {
        return;
    }
    let mstatus = csr_read!("mstatus");
    // SAFETY: lets floating-point registers be read, reads them, and puts mstatus back. Nothing is
    // written to them.
    unsafe {
        csr_write!("mstatus", mstatus | MSTATUS_FS);
        asm!(
            ".irp n, 0,1,2,3,4,5,6,7,8,9,10,11,12,13,14,15,16,17,18,19,20,21,22,23,24,25,26,27,28,29,30,31",
            "fsd    f\\n, \\n*8({to})",
            ".endr",
            "frcsr  {fcsr}",
            to = in(reg) &raw mut stopped.f,
            fcsr = out(reg) stopped.fcsr,
            options(nostack),
        );
        csr_write!("mstatus", mstatus);
    }
}

fn write_back(stopped: &mut Stopped) {
    let written = core::mem::take(&mut stopped.written);
    for (place, (_, number)) in CSRS.iter().enumerate() {
        let Some(value) = stopped.csrs[place].filter(|_| written >> place & 1 != 0) else {
            continue;
        };
        // SAFETY: S-mode's registers; what they do to S-mode is what the debugger's user wants.
        unsafe {
            match number {
                0x100 => csr_write!("sstatus", value),
                0x104 => csr_write!("sie", value),
                0x105 => csr_write!("stvec", value),
                0x140 => csr_write!("sscratch", value),
                0x141 => csr_write!("sepc", value),
                0x142 => csr_write!("scause", value),
                0x143 => csr_write!("stval", value),
                0x180 => {
                    csr_write!("satp", value);
                    asm!("sfence.vma x0, x0", options(nostack));
                }
                _ => {}
            }
        }
    }
}

/// Hart 0 stands still, in its server.
pub(crate) fn set_serving() {
    SLOTS[0].wanted.store(false, Ordering::Release);
    SLOTS[0].parked.store(true, Ordering::Release);
    // SAFETY: M-mode's own interrupt enable; mstatus.MIE is off, so nothing traps.
    unsafe { csr_write!("mie", MSI | MEI) };
}

/// Hart 0 leaves its server: what S-mode has sent for it meanwhile is taken up at once.
pub(crate) fn end_serving() {
    clint::set_software_interrupt(0, false);
    // A hart that was let go before this one may have stopped again already, or have sent for it:
    // what was raised before the line above is raised again.
    if has_news() || SLOTS[0].sent_for.load(Ordering::Acquire) {
        clint::set_software_interrupt(0, true);
    }
}

//! `monitor kalloc`: the supervisor program's own kalloc, on the selected hart.
//!
//! The hart leaves what it was doing for the service that the boot header names, which has a stack
//! of its own, with S-mode's interrupts held off and no breakpoint in place. At the service's
//! ebreak every register is put back. Meanwhile all other harts stand still, and nothing is heard:
//! packets wait in the UART. A call that does not come back within its time is given up.

use core::sync::atomic::{AtomicUsize, Ordering};

use pagescope_kernel::arch;
use pagescope_kernel::arch::csr::{MEI, MTI};
use pagescope_kernel::debug::view::Physical as _;
use pagescope_kernel::handoff::KALLOC_BUSY;
use pagescope_protocol::{Satp, TranslationMode};

use super::harts::{self, Reason, Stopped};
use super::session::Session;
use super::wire;
use crate::clint;

/// Why it cannot be called now.
const BUSY: &str =
    "the kernel is changing its heap or its tables just now; `finish` that and try again";

/// How long a call may take, in seconds.
const TIME_LIMIT: u64 = 2;

/// The hart whose timer is a call's time limit; [`NOBODY`] where none is.
static CALLING: AtomicUsize = AtomicUsize::new(NOBODY);
const NOBODY: usize = usize::MAX;

/// Whether this hart's timer is a call's time limit.
pub(crate) fn limits(hart: usize) -> bool {
    CALLING.load(Ordering::Acquire) == hart
}

/// A call that is under way.
pub(crate) struct Call {
    hart: usize,
    /// What the hart was doing.
    saved: Stopped,
    /// When its timer was to interrupt.
    timer: u64,
}

impl Session {
    /// Begins the call, or says why it cannot be.
    pub(super) fn begin_call(&mut self) {
        let hart = self.machine.selected;
        if let Err(why) = self.check_call(hart) {
            return wire::say(format_args!("{why}\n"));
        }
        let stopped = harts::record(hart);
        self.call = Some(Call {
            hart,
            saved: stopped.clone(),
            timer: clint::timer(hart),
        });
        stopped.pc = self.services.kalloc;
        stopped.hold_off();
        let mie = stopped.csr(0x304).unwrap_or(0);
        stopped.set_mie(mie & !MEI | MTI);
        clint::set_timer(hart, arch::time().saturating_add(TIME_LIMIT * self.ticks));
        CALLING.store(hart, Ordering::Release);
        harts::release(hart);
    }

    fn check_call(&self, hart: usize) -> Result<(), &'static str> {
        if self.services.kalloc == 0 {
            return Err("this layout's program does not offer kalloc to debuggers");
        }
        let stopped = harts::record(hart);
        if stopped.privilege != harts::SUPERVISOR {
            return Err("the selected hart is not in S-mode; select one that is, with `thread`");
        }
        let satp = Satp::from_bits(stopped.csr(0x180).unwrap_or(0));
        if satp.mode() == TranslationMode::Bare {
            return Err("the selected hart does not translate; the kernel's kalloc does");
        }
        let place = stopped.view().locate(&self.machine.ram, self.services.busy);
        let mut busy = [1];
        let read = place.is_some_and(|place| self.machine.ram.try_read(place, &mut busy));
        match busy {
            _ if !read => Err("the selected hart's tables do not map the kernel"),
            [0] => Ok(()),
            _ => Err(BUSY),
        }
    }

    /// The hart is back, or has been given up.
    pub(super) fn end_call(&mut self) {
        let Some(call) = self.call.take() else { return };
        CALLING.store(NOBODY, Ordering::Release);
        let stopped = harts::record(call.hart);
        let came_back = stopped.reason == Reason::Ebreak && stopped.pc == self.services.kalloc_done;
        let page = stopped.x[10];
        *stopped = call.saved;
        stopped.reason = Reason::Asked;
        stopped.write_all();
        clint::set_timer(call.hart, call.timer);
        match (came_back, page) {
            (false, _) => wire::say(format_args!(
                "kalloc has not come back; the registers are as they were, the heap may not be\n"
            )),
            (true, KALLOC_BUSY) => wire::say(format_args!("{BUSY}\n")),
            (true, 0) => wire::say(format_args!("kalloc() = 0: out of memory\n")),
            (true, page) => wire::say(format_args!("kalloc() = {page:#x}\n")),
        }
    }
}

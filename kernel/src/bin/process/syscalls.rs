//! System calls: what users ask for. Nothing that they pass is believed.

use pagescope_kernel::arch;
use pagescope_kernel::arch::csr::MSTATUS_SUM;
use pagescope_kernel::process::layout::{USER_BASE, USER_SIZE};
use pagescope_kernel::process::syscall::{self, End, FAILED};
use pagescope_kernel::process::table::State;
use pagescope_kernel::program::{console, probe};
use pagescope_kernel::{csr_clear, csr_set, print};
use pagescope_protocol::{VirtAddr, VirtRange};

use crate::{processes, start, trap, users};

/// Longest sleep: an hour.
const MAX_SLEEP_MS: u64 = 3_600_000;

/// A text that a user passed.
struct Text {
    bytes: [u8; syscall::MAX_TEXT as usize],
    length: usize,
}

impl Text {
    /// Copies it out of user space, in which the hart is. `None` where it is too long, or not the user's
    /// to read.
    fn copy(address: u64, length: u64) -> Option<Self> {
        let range = VirtRange::new(VirtAddr::new(address), length)?;
        let users = VirtRange::new(USER_BASE, USER_SIZE)?;
        if length > syscall::MAX_TEXT || !users.contains_range(range) {
            return None;
        }
        let mut text = Self {
            bytes: [0; syscall::MAX_TEXT as usize],
            length: length as usize,
        };
        let place = text.bytes.get_mut(..text.length)?;
        // SAFETY: only the loads below are made meanwhile, of addresses in user space, and their faults
        // are survived.
        unsafe { csr_set!("sstatus", MSTATUS_SUM) };
        let mut is_whole = true;
        for (offset, byte) in place.iter_mut().enumerate() {
            match probe::load(range.start().wrapping_add(offset as u64)) {
                Ok(loaded) => *byte = loaded,
                Err(_) => is_whole = false,
            }
        }
        // SAFETY: users' pages are out of reach again.
        unsafe { csr_clear!("sstatus", MSTATUS_SUM) };
        is_whole.then_some(text)
    }

    fn bytes(&self) -> &[u8] {
        self.bytes.get(..self.length).unwrap_or(&[])
    }
}

/// Answers the call that the process in `slot` has made.
pub(crate) fn handle(slot: usize) {
    let (number, arguments) = trap::with_context(slot, |context| {
        // ecall is four bytes, and there is no short one.
        context.pc = context.pc.wrapping_add(4);
        (context.x[17], [context.x[10], context.x[11], context.x[12]])
    });
    let [first, second, third] = arguments;
    let answer = match number {
        syscall::WRITE => write(first, second),
        syscall::BRK => set_break(slot, first),
        syscall::YIELD => 0,
        syscall::EXIT => return processes::end(slot, End::Exited(first as u32)),
        syscall::SPAWN => spawn(first, second, third),
        syscall::GETPID => processes::get(slot).map_or(FAILED, |process| process.pid),
        syscall::WAIT => return wait(slot, first),
        syscall::SLEEP => {
            let ticks = first.min(MAX_SLEEP_MS) * start::ticks_per_ms();
            set_state(slot, State::Sleeping(arch::time() + ticks));
            0
        }
        _ => FAILED,
    };
    trap::with_context(slot, |context| context.x[10] = answer);
}

fn set_state(slot: usize, state: State) {
    processes::with(|table| {
        if let Some(process) = table.get_mut(slot) {
            process.state = state;
        }
    });
}

/// Prints; what is no printable ASCII is shown as a dot.
fn write(address: u64, length: u64) -> u64 {
    let Some(text) = Text::copy(address, length) else {
        return FAILED;
    };
    for byte in text.bytes() {
        print!("{}", console::harmless(*byte));
    }
    length
}

fn set_break(slot: usize, address: u64) -> u64 {
    let Some(process) = processes::get(slot) else {
        return FAILED;
    };
    if address != 0 {
        let pages = process.space.heap_pages_up_to(VirtAddr::new(address));
        if !pages.is_some_and(|pages| processes::set_heap(slot, pages)) {
            return FAILED;
        }
    }
    let process = processes::get(slot);
    process.map_or(FAILED, |process| process.space.heap().end().as_u64())
}

fn spawn(address: u64, length: u64, argument: u64) -> u64 {
    let text = Text::copy(address, length);
    let program = text.and_then(|text| users::by_name(text.bytes()));
    let pid = program.and_then(|program| processes::spawn(program, argument).ok());
    pid.unwrap_or(FAILED)
}

fn wait(slot: usize, pid: u64) {
    let (ended, exists) = processes::with(|table| {
        let itself = table.slot_of(pid) == Some(slot);
        let exists = table.slot_of(pid).is_some() && !itself;
        (table.how_ended(pid), exists)
    });
    let answer = match ended {
        Some(end) => end.to_word(),
        None if exists => return set_state(slot, State::Waiting(pid)),
        None => FAILED,
    };
    trap::with_context(slot, |context| context.x[10] = answer);
}

//! The kernel's main loop: the console, the processes, and when nobody is ready, waiting.
//!
//! Every `pace=` milliseconds it kallocs one page; with as many held as [`MOST_HELD`] it begins to kfree
//! them, one before each kalloc and one more, down to none, and then up again. So whoever attaches finds
//! kalloc being called.

use pagescope_kernel::arch::{self, csr, sbi_call};
use pagescope_kernel::csr_write;
use pagescope_kernel::holdings::Holdings;
use pagescope_kernel::println;
use pagescope_kernel::program::prompt::Prompt;
use pagescope_protocol::VirtAddr;

use crate::{console, heap, processes, spaces, start};

/// Milliseconds between looks at the console.
const POLL_MS: u64 = 10;

/// Milliseconds that the first processes have until the console asks.
const FIRST_TURNS_MS: u64 = 1000;

/// Pages that this loop holds at most.
const MOST_HELD: u64 = 4096;

/// What the loop works with.
pub(crate) struct Idle {
    /// Milliseconds between calls of kalloc; 0 for none.
    pub(crate) pace_ms: u64,
    /// The pages of this loop and of the console.
    pub(crate) holdings: Holdings,
    goes_down: bool,
}

/// Runs for ever.
pub(crate) fn run(pace_ms: u64) -> ! {
    let mut idle = Idle {
        pace_ms,
        holdings: Holdings::NONE,
        goes_down: false,
    };
    let (mut next_call, mut next_poll) = (arch::time(), 0);
    listen_to_timer();
    // The first processes say what they have to say before anybody is asked to type.
    let patience = arch::time() + FIRST_TURNS_MS * start::ticks_per_ms();
    while arch::time() < patience && processes::turn() {}
    let mut prompt = Prompt::show();
    loop {
        let now = arch::time();
        if now >= next_poll {
            prompt.poll(|line| console::run_line(line, &mut idle));
            next_poll = now + POLL_MS * start::ticks_per_ms();
        }
        let mut wake = next_poll;
        if idle.pace_ms != 0 {
            let pace = idle.pace_ms * start::ticks_per_ms();
            // A shorter pace set meanwhile counts from now.
            next_call = next_call.min(now + pace);
            if now >= next_call {
                idle.step();
                next_call = now + pace;
            }
            wake = wake.min(next_call);
        }
        if !processes::turn() {
            wait(wake);
        }
    }
}

/// Has the timer interrupt users, and end waiting; sstatus.SIE stays off, so the kernel is never
/// interrupted.
pub(crate) fn listen_to_timer() {
    // SAFETY: a trap of a user is expected; of the kernel there is none.
    unsafe { csr_write!("sie", csr::STI) };
}

/// Waits until `wake` or until a process is to wake, in the kernel's own space. Its symbol, `idle`, is
/// where a debugger finds a kernel that has booted and has nothing to do.
#[unsafe(export_name = "idle")]
#[inline(never)]
pub(crate) fn wait(wake: u64) {
    spaces::switch_to_kernel();
    let sleeper = processes::with(|table| table.next_wake());
    sbi_call::set_timer(sleeper.map_or(wake, |sleeper| sleeper.min(wake)));
    arch::wait_for_interrupt();
}

impl Idle {
    fn step(&mut self) {
        self.goes_down = match self.holdings.count() {
            0 => false,
            MOST_HELD.. => true,
            _ => self.goes_down,
        };
        if self.goes_down {
            self.give_up_newest();
            self.give_up_newest();
        }
        self.take_one();
    }

    /// Holds one page more, from kalloc.
    pub(crate) fn take_one(&mut self) -> Option<VirtAddr> {
        let page = VirtAddr::new(heap::kalloc() as u64);
        if page.as_u64() == 0 {
            return None;
        }
        self.holdings.push(&mut spaces::memory(), page);
        Some(page)
    }

    /// Frees the page that was taken last.
    pub(crate) fn give_up_newest(&mut self) -> Option<VirtAddr> {
        let page = self.holdings.newest()?;
        self.give_up(page).then_some(page)
    }

    /// Frees `page`, after a last check, if it is held here: others are tables' or processes'.
    pub(crate) fn give_up(&mut self, page: VirtAddr) -> bool {
        if !self.holdings.remove(&mut spaces::memory(), page) {
            println!("kfree: {page} is not held by the idle loop or this console");
            return false;
        }
        if let Err(damage) = Holdings::check(&spaces::memory(), page) {
            println!("{page} was damaged while it was held: {damage}");
        }
        heap::kfree(page.as_u64() as usize)
    }
}

//! What the kernel does when nobody asks for anything: it works, at an easy pace.
//!
//! Every `pace=` milliseconds it kallocs one page. kalloc itself has mapped it; the loop finds it
//! filled with the fresh byte, fills it with its own address, and reads it back. With three
//! quarters of memory handed out it begins to kfree, newest first and many pages before each
//! kalloc, down to one quarter, and then up again. So whoever attaches at any time finds kalloc
//! being called at the pace.
//!
//! It adds no mapping of its own: a debugger that steps kalloc then sees one new table at each
//! 2 MiB boundary and no other. New tables appear during the first climb only: pages that were
//! freed stay mapped, and kalloc hands them out again, newest first, before any other.

use pagescope_kernel::arch::{self, csr, sbi_call};
use pagescope_kernel::csr_write;
use pagescope_kernel::holdings::Holdings;
use pagescope_kernel::memory::Memory as _;
use pagescope_kernel::pace::{Direction, KFREES_PER_TICK};
use pagescope_kernel::println;
use pagescope_kernel::program::prompt::Prompt;
use pagescope_protocol::VirtAddr;
use pagescope_protocol::info::FRESH_FILL;

use crate::{console, kernel, mapping, start};

/// Milliseconds between looks at the console.
const POLL_MS: u64 = 10;

/// The pages held, and how they come and go.
pub(crate) struct Idle {
    /// Milliseconds between calls; 0 for none.
    pub(crate) pace_ms: u64,
    /// The pages of this loop and of the console.
    pub(crate) holdings: Holdings,
    direction: Direction,
}

/// Runs for ever. Its symbol, `idle`, is where a debugger finds a kernel that has booted.
#[unsafe(export_name = "idle")]
#[inline(never)]
pub(crate) fn run(pace_ms: u64) -> ! {
    let ticks_per_ms = (start::hand_off().timebase_hz / 1000).max(1);
    let mut idle = Idle {
        pace_ms,
        holdings: Holdings::NONE,
        direction: Direction::Up,
    };
    let mut next_call = arch::time();
    // SAFETY: wfi is to wake for the timer; sstatus.SIE stays off, so no trap is taken.
    unsafe { csr_write!("sie", csr::STI) };
    let mut prompt = Prompt::show();
    loop {
        prompt.poll(|line| console::run_line(line, &mut idle));
        let now = arch::time();
        let mut wake = now + POLL_MS * ticks_per_ms;
        if idle.pace_ms != 0 {
            // A shorter pace set meanwhile counts from now.
            next_call = next_call.min(now + idle.pace_ms * ticks_per_ms);
            if now >= next_call {
                idle.step();
                next_call = arch::time() + idle.pace_ms * ticks_per_ms;
            }
            wake = wake.min(next_call);
        }
        sbi_call::set_timer(wake);
        arch::wait_for_interrupt();
    }
}

impl Idle {
    /// One tick: a call of kalloc, and on the way down many of kfree before it.
    fn step(&mut self) {
        let (handed_out, capacity) = kernel::with(|kernel| {
            let heap = kernel.space.heap();
            (heap.handed_out(), heap.capacity())
        });
        let held = self.holdings.count();
        self.direction = self.direction.next(handed_out, capacity, held);
        if self.direction == Direction::Down {
            for _ in 0..KFREES_PER_TICK {
                if self.give_up_newest().is_none() {
                    break;
                }
            }
        }
        if let Some(page) = kernel::alloc_page() {
            self.hold(page);
        }
    }

    /// Fills a page from kalloc, checks it, and holds it.
    pub(crate) fn hold(&mut self, page: VirtAddr) {
        kernel::with(|kernel| {
            if !kernel.memory.page_is_filled(page, FRESH_FILL) {
                println!("{page} came from kalloc without the fresh fill");
            }
            self.holdings.push(&mut kernel.memory, page);
            check(&kernel.memory, page);
        });
    }

    /// Frees the page that was taken last.
    pub(crate) fn give_up_newest(&mut self) -> Option<VirtAddr> {
        let page = self.holdings.newest()?;
        self.give_up(page).then_some(page)
    }

    /// Frees `page`, after a last check; not while it is mapped anywhere else.
    pub(crate) fn give_up(&mut self, page: VirtAddr) -> bool {
        if mapping::other_address_of(page).is_some() {
            return false;
        }
        kernel::with(|kernel| {
            if self.holdings.remove(&mut kernel.memory, page) {
                check(&kernel.memory, page);
            }
        });
        kernel::free_page(page)
    }
}

fn check(memory: &arch::live::LiveMemory, page: VirtAddr) {
    if let Err(damage) = Holdings::check(memory, page) {
        println!("{page} was damaged while it was held: {damage}");
    }
}

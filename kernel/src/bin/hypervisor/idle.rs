//! What hart 0 does when nobody asks for anything: it works, at an easy pace.
//!
//! Every `pace=` milliseconds it kallocs one page, finds it filled with the fresh byte, fills it with its own
//! address, and reads it back. With three quarters of memory handed out it begins to kfree, down to one
//! quarter, and then up again. So whoever attaches at any time finds kalloc being called at the pace.

use pagescope_kernel::arch::{self, sbi_call};
use pagescope_kernel::holdings::Holdings;
use pagescope_kernel::memory::Memory as _;
use pagescope_kernel::pace::{Direction, KFREES_PER_TICK};
use pagescope_kernel::println;
use pagescope_kernel::program::prompt::Prompt;
use pagescope_protocol::VirtAddr;
use pagescope_protocol::info::FRESH_FILL;

use crate::{console, harts, kmem, linear, start};

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
        harts::wait_for_interrupt(|| false);
    }
}

impl Idle {
    /// One tick: a call of kalloc, and on the way down many of kfree before it.
    fn step(&mut self) {
        let (handed_out, capacity) = {
            let kmem = kmem::lock();
            (kmem.handed_out(), kmem.capacity())
        };
        let held = self.holdings.count();
        self.direction = self.direction.next(handed_out, capacity, held);
        if self.direction == Direction::Down {
            for _ in 0..KFREES_PER_TICK {
                if self.give_up_newest().is_none() {
                    break;
                }
            }
        }
        if let Some(page) = kmem::alloc_page() {
            self.hold(page);
        }
    }

    /// Fills a page from kalloc, checks it, and holds it.
    pub(crate) fn hold(&mut self, page: VirtAddr) {
        let mut memory = linear::memory();
        if !memory.page_is_filled(page, FRESH_FILL) {
            println!("{page} came from kalloc without the fresh fill");
        }
        self.holdings.push(&mut memory, page);
        check(page);
    }

    /// Frees the page that was taken last.
    pub(crate) fn give_up_newest(&mut self) -> Option<VirtAddr> {
        let page = self.holdings.newest()?;
        self.give_up(page).then_some(page)
    }

    /// Frees `page`, after a last check.
    pub(crate) fn give_up(&mut self, page: VirtAddr) -> bool {
        if self.holdings.remove(&mut linear::memory(), page) {
            check(page);
        }
        kmem::kfree(page.as_u64() as usize)
    }
}

fn check(page: VirtAddr) {
    if let Err(damage) = Holdings::check(&linear::memory(), page) {
        println!("{page} was damaged while it was held: {damage}");
    }
}

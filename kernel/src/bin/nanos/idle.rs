//! What the kernel does when nobody asks for anything: it works, at an easy pace.
//!
//! Every `pace=` milliseconds it kallocs one page, finds it filled with the fresh byte, fills it with its own
//! address, and reads it back. With three quarters of its share held it begins to kfree, newest first, down
//! to one quarter, and then up again: so whoever attaches at any time finds kalloc being called, pages
//! being mapped and unmapped, and after some time a new table.

use pagescope_kernel::arch::{self, csr, sbi_call};
use pagescope_kernel::csr_write;
use pagescope_kernel::holdings::Holdings;
use pagescope_kernel::memory::Memory as _;
use pagescope_kernel::pace::{Direction, KFREES_PER_TICK};
use pagescope_kernel::println;
use pagescope_kernel::program::prompt::Prompt;
use pagescope_protocol::VirtAddr;
use pagescope_protocol::info::FRESH_FILL;

use crate::{console, kernel, stage2};

/// Milliseconds between looks at the console.
const POLL_MS: u64 = 10;

/// The loop's share: pages that it would hold at most, of which it takes three quarters.
const SHARE: u64 = 4096;

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
    let ticks_per_ms = (stage2::hand_off().timebase_hz / 1000).max(1);
    let mut idle = Idle {
        pace_ms,
        holdings: Holdings::NONE,
        direction: Direction::Up,
    };
    let mut next_call = arch::time();
    // SAFETY: wfi is to wake for the timer, and the application is to be interrupted; sstatus.SIE stays
    // off, so the kernel takes no trap.
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
        let held = self.holdings.count();
        self.direction = self.direction.next(held, SHARE, held);
        if self.direction == Direction::Down {
            for _ in 0..KFREES_PER_TICK {
                if self.give_up_newest().is_none() {
                    break;
                }
            }
        }
        match kernel::kalloc() {
            0 => {}
            page => self.hold(VirtAddr::new(page as u64)),
        }
    }

    /// Fills a page from kalloc, checks it, and holds it.
    pub(crate) fn hold(&mut self, page: VirtAddr) {
        kernel::with(0, |_, call| {
            if !call.memory.page_is_filled(page, FRESH_FILL) {
                println!("{page} came from kalloc without the fresh fill");
            }
            self.holdings.push(call.memory, page);
        });
        check(page);
    }

    /// Frees the page that was taken last.
    pub(crate) fn give_up_newest(&mut self) -> Option<VirtAddr> {
        let page = self.holdings.newest()?;
        self.give_up(page).then_some(page)
    }

    /// Frees `page`, after a last check.
    pub(crate) fn give_up(&mut self, page: VirtAddr) -> bool {
        let is_held = kernel::with(0, |_, call| {
            // What is not mapped is not held, and is refused below.
            self.holdings.remove(call.memory, page)
        });
        if is_held {
            check(page);
        }
        kernel::kfree(page.as_u64() as usize)
    }
}

fn check(page: VirtAddr) {
    if let Err(damage) = kernel::look(|_, memory| Holdings::check(memory, page)) {
        println!("{page} was damaged while it was held: {damage}");
    }
}

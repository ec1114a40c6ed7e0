//! `grow`: a stack and a heap that grow.

use core::arch::asm;
use core::hint::black_box;

use super::call::{brk, exit, sleep};
use pagescope_kernel::process::syscall::FAILED;

const PAGE_SIZE: u64 = 4096;

/// Milliseconds between steps, where it goes on for ever.
const PACE_MS: u64 = 500;

/// Pages of heap and of stack that come and go, where it goes on for ever.
const PAGES: u64 = 12;

/// What it does.
const FOR_EVER: u64 = 0;
const TO_THE_LIMITS: u64 = 1;
const BEYOND_THE_STACK: u64 = 2;

/// `argument` says what it does; any other reads where the stack has room and no page.
pub(super) extern "C" fn main(argument: u64, _pid: u64) -> ! {
    if argument == FOR_EVER {
        for_ever()
    } else if argument == TO_THE_LIMITS {
        // The first page is there, and a call takes a little more than a page.
        deepen(590);
        exit(to_the_heaps_limit())
    } else if argument == BEYOND_THE_STACK {
        exit(deepen(1_000_000))
    } else {
        read_below_the_stack();
        exit(0)
    }
}

fn for_ever() -> ! {
    let base = brk(0);
    let mut step = 0;
    loop {
        let pages = step % (PAGES + 1);
        let end = base + pages * PAGE_SIZE;
        if brk(end) != FAILED && pages > 0 {
            write(end - PAGE_SIZE, step);
        }
        deepen(pages);
        step += 1;
        sleep(PACE_MS);
    }
}

/// Grows the heap page by page as far as it goes; gives how many pages, or 0 where one was not zeroed.
fn to_the_heaps_limit() -> u64 {
    let base = brk(0);
    let mut pages = 0;
    loop {
        let page = base + pages * PAGE_SIZE;
        if brk(page + 1) == FAILED {
            break;
        }
        if read(page) != 0 {
            return 0;
        }
        write(page, page);
        pages += 1;
    }
    // What was refused has changed nothing.
    if brk(0) == base + pages * PAGE_SIZE {
        pages
    } else {
        0
    }
}

/// A call for each page of stack.
#[inline(never)]
fn deepen(pages: u64) -> u64 {
    let mut frame = [0_u64; (PAGE_SIZE / 8) as usize];
    let frame = black_box(&mut frame);
    if let Some(last) = frame.last_mut() {
        *last = pages;
    }
    if pages == 0 {
        return 0;
    }
    let below = deepen(pages - 1);
    black_box(frame).last().copied().unwrap_or(0) + below
}

fn write(address: u64, value: u64) {
    // SAFETY: a page of the heap, which nothing else uses.
    unsafe { asm!("sd {}, 0({})", in(reg) value, in(reg) address, options(nostack)) }
}

fn read(address: u64) -> u64 {
    let value;
    // SAFETY: as above.
    unsafe { asm!("ld {}, 0({})", out(reg) value, in(reg) address, options(nostack)) }
    value
}

fn read_below_the_stack() {
    // SAFETY: reads, and ends the process where that is not allowed.
    unsafe {
        asm!(
            "li {offset}, 16384",
            "sub {offset}, sp, {offset}",
            "lb zero, 0({offset})",
            offset = out(reg) _,
            options(nostack),
        );
    }
}

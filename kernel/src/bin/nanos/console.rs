//! The console: a lecturer's way to drive the kernel.

use pagescope_kernel::arch::sbi_call;
use pagescope_kernel::command::nanos::{Command, HELP};
use pagescope_kernel::nanos::kernel_heaps::HeapError;
use pagescope_kernel::nanos::tracking::{Label, Tag};
use pagescope_kernel::{print, println};
use pagescope_protocol::VirtAddr;
use pagescope_protocol::info::region_kind;

use crate::application::code::Task;
use crate::application::{self, Ending};
use crate::idle::Idle;
use crate::{checks, dump, faults, kernel, selftest, stress};

/// Does what a line says.
pub(crate) fn run_line(line: &str, idle: &mut Idle) {
    match Command::parse(line) {
        Ok(command) => run(command, idle),
        Err(error) => println!("{error}"),
    }
}

fn run(command: Command, idle: &mut Idle) {
    match command {
        Command::Nothing => {}
        Command::Help => print!("{HELP}"),
        Command::Kalloc(count) => hand_out(count, idle),
        Command::KfreeNewest(count) => take_back(count, idle),
        Command::Kfree(page) => {
            if idle.give_up(page) {
                println!("kfree({page}); heap counter {}", kernel::heap_counter());
            }
        }
        Command::Backed(size) => say(kernel::alloc_backed(size, of_console(region_kind::HEAP))),
        Command::Reserve(size) => {
            say(kernel::alloc_virtual(
                size,
                of_console(region_kind::RESERVED),
            ));
        }
        Command::Free(start) => free(start),
        Command::Application(pages) => application(pages),
        Command::Fault(kind) => faults::run(kind),
        Command::Regions => dump::regions(),
        Command::Spaces => dump::spaces(),
        Command::Trace(most) => dump::trace(most),
        Command::Tables => dump::tables(),
        Command::Lookup(virt) => dump::lookup(virt),
        Command::Heap => dump::heap(idle.holdings.count()),
        Command::Stress(steps) => stress::run(steps),
        Command::Info => dump::info(),
        Command::Pace(pace_ms) => idle.pace_ms = pace_ms,
        Command::Crash => crash(),
        Command::Selftest => match checks::obstacle() {
            Some(obstacle) => println!("{obstacle}"),
            None => selftest::run(),
        },
        Command::Poweroff => sbi_call::power_off(false),
    }
}

/// What the console hands out.
const fn of_console(kind: u64) -> Label<'static> {
    Label {
        name: "console",
        description: "asked for on the console",
        kind,
    }
}

fn say(result: Result<VirtAddr, HeapError>) {
    match result {
        Ok(start) => println!("{start}; heap counter {}", kernel::heap_counter()),
        Err(error) => println!("{error}"),
    }
}

fn free(start: VirtAddr) {
    let is_backed = kernel::look(|heaps, _| heaps.tracking().find(start, Tag::Backed).is_some());
    let freed = if is_backed {
        kernel::free_backed(start)
    } else {
        kernel::free_virtual(start)
    };
    say(freed.map(|()| start));
}

fn application(pages: u64) {
    let before = application::demand_zeroed();
    match application::run(Task::Touch, pages) {
        Ok(Ending::Exit(code)) => println!("the application ended with {code}"),
        Ok(Ending::Stopped) => println!("the application was stopped; the kernel carries on"),
        Err(error) => return println!("the application does not run: {error}"),
    }
    let touched = application::demand_zeroed() - before;
    println!("{touched} pages of its heap were zeroed on their first touch");
}

/// Lines that are printed of many alike, before the last.
const SHOWN: u64 = 16;

/// Whether line `number` of `count` alike is printed: the first ones and the last.
fn is_shown(number: u64, count: u64) -> bool {
    number < SHOWN || number + 1 == count
}

/// A page of kalloc's. Its 0 is no reason: asked for the same, the heaps say why they refuse.
fn page() -> Result<VirtAddr, HeapError> {
    match kernel::kalloc() {
        0 => kernel::try_kalloc(page as *const () as u64),
        page => Ok(VirtAddr::new(page as u64)),
    }
}

fn hand_out(count: u64, idle: &mut Idle) {
    for step in 0..count {
        let page = match page() {
            Ok(page) => page,
            Err(error) => return println!("kalloc() = 0: {error}"),
        };
        if is_shown(step, count) {
            let counter = kernel::heap_counter();
            match kernel::physical_from_virtual(page) {
                Some(phys) => println!("kalloc() = {page} -> {phys}; heap counter {counter}"),
                None => println!("kalloc() = {page}, which is not mapped"),
            }
        }
        idle.hold(page);
    }
}

fn take_back(count: u64, idle: &mut Idle) {
    for step in 0..count {
        let Some(page) = idle.give_up_newest() else {
            return println!("no page is held");
        };
        if is_shown(step, count) {
            println!("kfree({page}); heap counter {}", kernel::heap_counter());
        }
    }
}

fn crash() {
    let nowhere = core::ptr::with_exposed_provenance::<u8>(0x10);
    // SAFETY: it is not: the address is not mapped, and the fault is what was asked for.
    unsafe { core::arch::asm!("lb zero, ({})", in(reg) nowhere, options(nostack)) };
}

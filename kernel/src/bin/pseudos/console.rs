//! The console: a lecturer's way to drive the kernel.

use core::sync::atomic::{AtomicU64, Ordering};

use pagescope_kernel::arch::{self, sbi_call};
use pagescope_kernel::board;
use pagescope_kernel::census::census;
use pagescope_kernel::command::{Command, FaultKind, HELP};
use pagescope_kernel::print;
use pagescope_kernel::println;
use pagescope_kernel::program::image::Symbol;
use pagescope_kernel::program::probe;
use pagescope_kernel::program::probe::Fault;
use pagescope_kernel::program::publish;
use pagescope_kernel::space::HEAP_FLAGS;
use pagescope_protocol::info::{name_text, region_kind};
use pagescope_protocol::translate::Outcome;
use pagescope_protocol::{PAGE_SIZE, VirtAddr};

use crate::idle::Idle;
use crate::kernel::{self, alloc_page, map_page};
use crate::{bench, entry, mapping, selftest, start, stress, trap};

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
        Command::Kfree(page) => match mapping::other_address_of(page) {
            Some(virt) => println!("kfree: {page} is mapped at {virt} too; unmap {virt} first"),
            None if idle.give_up(page) => {
                println!("kfree({page}); heap counter {}", heap_counter());
            }
            None => {}
        },
        Command::Map(virt, what, level) => mapping::map(virt, what, level),
        Command::Unmap(virt, count) => mapping::unmap(virt, count),
        Command::Protect(virt, flags) => mapping::protect(virt, flags),
        Command::FlipRsw(virt) => mapping::flip_rsw(virt),
        Command::Stress(steps) => stress::run(steps),
        Command::Bench => bench::run(),
        Command::Touch(virt) => touch(virt),
        Command::Fault(kind) => fault(kind),
        Command::Crash => crash(),
        Command::Heap => heap(idle),
        Command::Tables => tables(),
        Command::Lookup(virt) => lookup(virt),
        Command::Harts => harts(),
        Command::Info => info(),
        Command::Pace(pace_ms) => idle.pace_ms = pace_ms,
        Command::Selftest => match selftest::obstacle() {
            Some(obstacle) => println!("{obstacle}"),
            None => selftest::run(),
        },
        Command::Poweroff => sbi_call::power_off(false),
    }
}

fn heap_counter() -> u64 {
    kernel::with(|kernel| kernel.space.heap().handed_out())
}

/// Whether line `number` of `count` alike is printed: the first ones and the last.
fn is_shown(number: u64, count: u64) -> bool {
    number < SHOWN || number + 1 == count
}

/// Lines that are printed of many alike, before the last.
const SHOWN: u64 = 16;

fn hand_out(count: u64, idle: &mut Idle) {
    for step in 0..count {
        let number = heap_counter();
        let Some(page) = alloc_page() else {
            return println!("kalloc({number}) = 0: out of memory");
        };
        if is_shown(step, count) {
            println!("kalloc({number}) = {page}");
        } else if step == SHOWN {
            println!("...");
        }
        idle.hold(page);
    }
}

fn take_back(count: u64, idle: &mut Idle) {
    for step in 0..count {
        match idle.give_up_newest() {
            Some(page) if is_shown(step, count) => {
                println!("kfree({page}); heap counter {}", heap_counter());
            }
            Some(_) if step == SHOWN => println!("..."),
            Some(_) => {}
            None => match idle.holdings.newest() {
                Some(page) => return println!("kfree: {page} is mapped elsewhere too"),
                None => return println!("no page is held"),
            },
        }
    }
}

/// Loads a byte and stores it back.
fn touch(virt: VirtAddr) {
    match probe::load(virt) {
        Err(fault) => print_fault("load", fault),
        Ok(byte) => {
            println!("load:  {byte:#04x} at {virt}");
            // SAFETY: the byte that is there already, and this hart is the only one.
            match unsafe { probe::store(virt, byte) } {
                Ok(()) => println!("store: {byte:#04x} at {virt}"),
                Err(fault) => print_fault("store", fault),
            }
        }
    }
    // With tables on demand, looking has made some.
    kernel::refill();
}

fn print_fault(access: &str, fault: Fault) {
    let Fault { cause, address, .. } = fault;
    println!("{access}: {cause} (scause {}) at {address}", cause.bits());
    trap::say(&fault);
}

/// What is done to an address that must fault.
#[derive(Clone, Copy)]
enum Attempt {
    Load,
    Store,
    Call,
}

impl Attempt {
    const fn name(self) -> &'static str {
        match self {
            Self::Load => "load",
            Self::Store => "store",
            Self::Call => "call",
        }
    }
}

fn fault(kind: FaultKind) {
    let null = VirtAddr::new(0);
    let at = |symbol: &'static Symbol| VirtAddr::new(symbol.address());
    let (attempt, address) = match kind {
        FaultKind::Null => (Attempt::Load, null),
        FaultKind::NullWrite => (Attempt::Store, null),
        FaultKind::NullCall => (Attempt::Call, null),
        FaultKind::NonCanonical => (Attempt::Load, VirtAddr::new(1 << 38)),
        FaultKind::Machine => (
            Attempt::Load,
            VirtAddr::new(board::MACHINE_RAM.start().as_u64()),
        ),
        FaultKind::Guard => (
            Attempt::Store,
            VirtAddr::new(entry::__guard_end.address() - 8),
        ),
        FaultKind::Text => (Attempt::Store, at(&entry::__text_start)),
        FaultKind::Rodata => (Attempt::Store, at(&entry::__rodata_start)),
        FaultKind::Execute => (Attempt::Call, at(&entry::__data_start)),
        FaultKind::Window => match mapping::empty_window() {
            Some(window) => (Attempt::Load, window),
            None => return println!("every window has a table in it"),
        },
    };
    let survived = match attempt {
        Attempt::Load => probe::load(address).map(drop),
        // SAFETY: none of these is mapped writable; should one be, the byte is not missed: the
        // boot header's first, padding, or nothing at all.
        Attempt::Store => unsafe { probe::store(address, b'P') },
        // SAFETY: null and variables are not mapped executable. Were they, the bytes there are none of
        // this kernel's instructions, and the trap that follows would be reported.
        Attempt::Call => unsafe { probe::call(address) },
    };
    match survived {
        Ok(()) => println!("{address} was reached, and should not have been"),
        Err(fault) => print_fault(attempt.name(), fault),
    }
    if matches!(kind, FaultKind::Machine) {
        fault_by_protection();
    }
}

/// The tables do not lead to the machine program; nor could anyone load from it if they did. Maps
/// it for a moment, after UART0, where no new table is needed.
fn fault_by_protection() {
    let machine = board::MACHINE_RAM.start();
    let free = (0..256)
        .map(|number| VirtAddr::new(board::UART0.end().as_u64() + number * PAGE_SIZE))
        .find(|virt| kernel::physical(*virt).is_none());
    let Some(virt) = free else {
        return println!("no address is free to map {machine} at");
    };
    if let Err(error) = map_page(virt, machine, HEAP_FLAGS) {
        return println!("map: {error}");
    }
    println!("mapped for a moment, {virt} -> {machine}; PMP is in the way:");
    match probe::load(virt) {
        Ok(_) => println!("{machine} was reached, and should not have been"),
        Err(fault) => print_fault("load", fault),
    }
    if let Err(error) = kernel::unmap_leaf(virt) {
        println!("unmap: {error}");
    }
}

fn crash() {
    let nowhere = core::ptr::with_exposed_provenance::<u8>(0x10);
    // SAFETY: it is not: the address is not mapped, and the fault is what was asked for.
    unsafe { core::arch::asm!("lb zero, ({})", in(reg) nowhere, options(nostack)) };
}

fn heap(idle: &Idle) {
    let block = publish::read();
    let count = heap_counter();
    println!("heap counter {count} at {:#x}", block.heap_counter);
    println!("  next fresh page  {:#x}", block.heap_next);
    println!("  lowest page      {:#x}", block.heap_bottom);
    println!("  freed, waiting   {}", block.freed_pages);
    println!(
        "  in reserve       {} (between calls never fewer than {}; the mark is {})",
        block.reserve, block.reserve_low, block.reserve_mark
    );
    println!(
        "  held             {} by the idle loop and this console",
        idle.holdings.count()
    );
    println!("  kalloc in kalloc at most {} deep", block.kalloc_depth_max);
}

fn tables() {
    kernel::with(|kernel| {
        let mut count = 0;
        census(&kernel.space, &kernel.memory, &mut |found| {
            count += 1;
            println!(
                "{} {}  from {:#018x}  at {:#018x}  {:3} pointers {:3} leaves",
                found.table.level,
                found.table.frame,
                found.table.covers_from,
                kernel.space.window_of(found.table),
                found.pointers,
                found.leaves
            );
        });
        let (strategy, reserve) = (kernel.space.self_map().name(), kernel.space.reserve());
        println!("{count} tables, {reserve} pages in reserve; tables={strategy}");
    });
}

fn lookup(virt: VirtAddr) {
    let translation = kernel::lookup(virt);
    for step in translation.trail.iter() {
        println!(
            "{} {}[{:3}] = {:#018x}  {}",
            step.level,
            step.table,
            step.index,
            step.pte.bits(),
            step.kind.name()
        );
    }
    match translation.outcome {
        Outcome::Mapped(mapped) => println!("{virt} -> {} {}", mapped.address, mapped.flags),
        Outcome::Fault(fault) => println!("{virt}: {fault}"),
        Outcome::Unreadable(entry) => println!("{virt}: the entry at {entry} is out of reach"),
    }
}

/// This layout needs one hart; the others show that they can be had.
fn harts() {
    static ANSWERS: AtomicU64 = AtomicU64::new(0);
    let others = 1..start::hand_off().harts;
    let argument = ANSWERS.as_ptr() as u64;
    let before = ANSWERS.load(Ordering::Acquire);
    for hart in others.clone() {
        if !sbi_call::start_hart(hart, entry::visit_address(), argument) {
            println!("hart {hart} cannot be started");
        }
    }
    let deadline = arch::time() + start::hand_off().timebase_hz;
    while arch::time() < deadline && !others.clone().all(sbi_call::hart_is_stopped) {
        core::hint::spin_loop();
    }
    let answers = ANSWERS.load(Ordering::Acquire) - before;
    println!("{answers} other harts have answered and stopped");
}

fn info() {
    let block = publish::read();
    println!(
        "layout {}, tables {}",
        name_text(&block.layout),
        name_text(&block.strategy)
    );
    for region in publish::regions() {
        // The last region may end where the address space does.
        let end = region.address.wrapping_add(region.size);
        let kind = if region.kind == region_kind::GUARD {
            "  (never mapped)"
        } else {
            ""
        };
        println!(
            "  {:#010x}..{end:#010x}  {}{kind}",
            region.address,
            name_text(&region.name)
        );
    }
    println!(
        "{} map calls, {} trace events",
        block.map_calls, block.trace_count
    );
    println!(
        "traps into M-mode: {} for page tables, {} others",
        block.machine_table_traps, block.machine_other_traps
    );
}

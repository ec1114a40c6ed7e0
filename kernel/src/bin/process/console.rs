//! The console: a lecturer's way to drive the kernel.

use pagescope_kernel::arch::sbi_call;
use pagescope_kernel::command::process::{Command, HELP};
use pagescope_kernel::mapper::ROOT_LEVEL;
use pagescope_kernel::print;
use pagescope_kernel::println;
use pagescope_kernel::process::layout::{IO_PAGES, IO_PHYSICAL};
use pagescope_kernel::process::syscall::End;
use pagescope_kernel::process::tables;
use pagescope_kernel::program::publish;
use pagescope_protocol::info::{EVERY_SPACE, name_text, region_space, trace_kind};
use pagescope_protocol::translate::Outcome;
use pagescope_protocol::{ENTRIES_PER_TABLE, Level, PAGE_SIZE, PhysPage, Satp, VirtAddr};

use crate::idle::Idle;
use crate::users::{self, PROGRAMS};
use crate::{checks, entry, heap, kinds, processes, regions, spaces, start};

/// Does what a line says.
pub(crate) fn run_line(line: &str, idle: &mut Idle) {
    match Command::parse(line) {
        Ok(command) => run(command, idle),
        Err(error) => println!("{error}"),
    }
}

fn run(command: Command<'_>, idle: &mut Idle) {
    match command {
        Command::Nothing => {}
        Command::Help => print!("{HELP}"),
        Command::Ps => ps(),
        Command::Programs => {
            for program in &PROGRAMS {
                println!("{:8} {}", program.name, program.about);
            }
        }
        Command::Spawn(name, argument) => spawn(name, argument),
        Command::Kill(pid) => match processes::find(pid) {
            Some((slot, process)) => {
                processes::end(slot, End::Killed);
                println!("process {pid} {} is ended", process.name());
            }
            None => println!("there is no process {pid}"),
        },
        Command::Brk(pid, pages) => set_heap(pid, pages),
        Command::HotPlug(number) => plug(number, true),
        Command::Unplug(number) => plug(number, false),
        Command::Kalloc(count) => hand_out(count, idle),
        Command::KfreeNewest(count) => take_back(count, idle),
        Command::Kfree(page) => {
            if idle.give_up(page) {
                println!("kfree({page}); heap counter {}", heap::handed_out());
            }
        }
        Command::Fault(kind) => kinds::fault(kind),
        Command::Crash => crash(),
        Command::Regions => list_regions(),
        Command::Spaces => {
            for space in publish::spaces() {
                println!(
                    "{:3} {:#018x} {}",
                    space.id,
                    space.satp,
                    name_text(&space.name)
                );
            }
        }
        Command::Trace(count) => trace(count),
        Command::Tables => list_tables(),
        Command::Lookup(virt, pid) => lookup(virt, pid),
        Command::Heap => heap_state(idle),
        Command::Info => info(),
        Command::Pace(pace_ms) => idle.pace_ms = pace_ms,
        Command::Selftest => match checks::obstacle() {
            Some(obstacle) => println!("{obstacle}"),
            None => checks::run(),
        },
        Command::Poweroff => sbi_call::power_off(false),
    }
}

fn ps() {
    println!("PID NAME     STATE    SATP               TABLES STACK HEAP PREEMPTED TICKS");
    processes::with(|table| {
        for (_, process) in table.iter() {
            let space = &process.space;
            println!(
                "{:3} {:8} {:8} {:#018x} {:6} {:5} {:4} {:9} {}",
                process.pid,
                process.name(),
                process.state.name(),
                space.satp().bits(),
                space.table_frames(&spaces::memory()),
                space.stack_pages(),
                space.heap_pages(),
                process.preempted,
                process.ticks,
            );
        }
    });
}

fn spawn(name: &str, argument: u64) {
    let Some(program) = users::by_name(name.as_bytes()) else {
        return println!("there is no program `{name}`; `programs` lists them");
    };
    match processes::spawn(program, argument) {
        Ok(pid) => println!("process {pid} {name}"),
        Err(error) => println!("{name}: {error}"),
    }
}

fn set_heap(pid: u64, pages: u64) {
    let Some((slot, process)) = processes::find(pid) else {
        return println!("there is no process {pid}");
    };
    let most = process.space.layout().limits.heap_pages;
    if processes::set_heap(slot, pages) {
        println!(
            "process {pid} {}: {pages} pages of heap, of {most} at most",
            process.name()
        );
    } else {
        println!(
            "process {pid} {} has {most} pages of heap at most",
            process.name()
        );
    }
}

fn plug(number: u64, wanted: bool) {
    if number >= IO_PAGES {
        return println!("there are {IO_PAGES} device IO pages");
    }
    if number == 0 {
        return println!("device IO page 0 is UART0, and stays");
    }
    let done = if wanted {
        spaces::plug_in(number)
    } else {
        spaces::unplug(number)
    };
    let page = spaces::io_page(number);
    match (wanted, done) {
        (true, true) => println!("{page} -> {:#x}", IO_PHYSICAL + number * PAGE_SIZE),
        (true, false) => println!("{page} is mapped already"),
        (false, true) => println!("{page} is a hole"),
        (false, false) => println!("{page} is a hole already"),
    }
}

/// Lines that are printed of many alike, before the last.
const SHOWN: u64 = 16;

fn is_shown(number: u64, count: u64) -> bool {
    number < SHOWN || number + 1 == count
}

fn hand_out(count: u64, idle: &mut Idle) {
    for step in 0..count {
        let number = heap::handed_out();
        match idle.take_one() {
            Some(page) if is_shown(step, count) => println!("kalloc({number}) = {page}"),
            Some(_) if step == SHOWN => println!("..."),
            Some(_) => {}
            None => return println!("kalloc({number}) = 0: out of memory"),
        }
    }
}

fn take_back(count: u64, idle: &mut Idle) {
    for step in 0..count {
        match idle.give_up_newest() {
            Some(page) if is_shown(step, count) => {
                println!("kfree({page}); heap counter {}", heap::handed_out());
            }
            Some(_) if step == SHOWN => println!("..."),
            Some(_) => {}
            None => return println!("no page is held"),
        }
    }
}

/// Overflows the kernel stack, for real: the fault is nobody's to survive.
fn crash() {
    println!("{}", deepen(u64::MAX));
}

#[inline(never)]
fn deepen(left: u64) -> u64 {
    let mut frame = core::hint::black_box([left; 32]);
    if left != 0 {
        frame[0] = deepen(left - 1);
    }
    core::hint::black_box(frame)[0]
}

fn list_regions() {
    for region in publish::regions() {
        let kind = match region.space {
            region_space::PHYSICAL => "physical",
            _ => "virtual",
        };
        let end = region.address.wrapping_add(region.size);
        print!("{:#012x}..{end:#012x} {kind:8} ", region.address);
        match region.owner {
            EVERY_SPACE => print!("        "),
            owner => print!("space {owner:<2}"),
        }
        println!(" {}", name_text(&region.name));
    }
}

fn trace(count: u64) {
    for event in publish::traced().take(count as usize) {
        let kind = match event.kind {
            trace_kind::KALLOC => "kalloc",
            trace_kind::KFREE => "kfree",
            trace_kind::MAP => "map",
            trace_kind::UNMAP => "unmap",
            trace_kind::PROTECT => "protect",
            trace_kind::SWITCH => "switch",
            trace_kind::FAULT => "fault",
            trace_kind::SPAWN => "spawn",
            trace_kind::EXIT => "exit",
            _ => "?",
        };
        println!(
            "{:6} {kind:8} {:#012x} {:#x} size {:#x} space {} from {:#x}",
            event.sequence, event.address, event.argument, event.size, event.space, event.caller
        );
    }
}

fn list_tables() {
    for space in publish::spaces() {
        let root = Satp::from_bits(space.satp).root();
        println!("{}", name_text(&space.name));
        print_table(ROOT_LEVEL, root);
        for index in 0..ENTRIES_PER_TABLE {
            let mut visit = |level, frame, leaf: Option<_>| {
                if leaf.is_none() {
                    print_table(level, frame);
                }
            };
            tables::visit_below(&spaces::memory(), root, index, &mut visit);
        }
    }
}

fn print_table(level: Level, frame: PhysPage) {
    let memory = spaces::memory();
    let is_valid = |index: &usize| tables::entry(&memory, frame, *index).is_valid();
    let count = (0..ENTRIES_PER_TABLE).filter(is_valid).count();
    println!("  {level} {frame}  {count:3} entries");
}

fn lookup(virt: VirtAddr, pid: Option<u64>) {
    let root = match pid {
        None => spaces::kernel_satp().root(),
        Some(pid) => match processes::find(pid) {
            Some((_, process)) => process.space.root(),
            None => return println!("there is no process {pid}"),
        },
    };
    let translation = tables::lookup(&spaces::memory(), root, virt);
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

fn heap_state(idle: &Idle) {
    let block = publish::read();
    println!(
        "heap counter {} at {:#x}",
        heap::handed_out(),
        block.heap_counter
    );
    println!("  next fresh page  {:#x}", block.heap_next);
    println!("  lowest page      {:#x}", block.heap_bottom);
    println!("  freed, waiting   {}", block.freed_pages);
    println!(
        "  held             {} by the idle loop and this console",
        idle.holdings.count()
    );
}

fn info() {
    let hand_off = start::hand_off();
    println!(
        "layout {}, {} harts, this kernel uses one",
        entry::LAYOUT,
        hand_off.harts
    );
    for (range, _, name, _) in regions::kernel_parts() {
        println!("  {:#012x}..{:#012x}  {name}", range.start(), range.end());
    }
    let state = match regions::original_is_restricted() {
        true => "restricted",
        false => "READABLE",
    };
    println!("the original of the shared data is {state}");
    println!("{} trace events", publish::read().trace_count);
}

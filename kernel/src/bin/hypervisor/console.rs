//! The console: a lecturer's way to drive the kernel.

use core::sync::atomic::{AtomicU64, Ordering};

use pagescope_kernel::arch::sbi_call;
use pagescope_kernel::command::hypervisor::{Command, HELP};
use pagescope_kernel::hypervisor::VAS_CPU_STRUCT;
use pagescope_kernel::hypervisor::class::PointerClass;
use pagescope_kernel::hypervisor::vmem::{Found, READ_WRITE};
use pagescope_kernel::program::{probe, publish};
use pagescope_kernel::{print, println};
use pagescope_protocol::info::{EVERY_SPACE, name_text, region_space, trace_kind};
use pagescope_protocol::translate::Outcome;
use pagescope_protocol::{LeafFlags, Satp, VirtAddr};

use crate::idle::Idle;
use crate::{cpu, fault, harts, info, kmem, linear, selftest, stress, vmem};

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
        Command::Kfree(page) => match vmem::other_address_of(page) {
            Some(virt) => println!("kfree: {page} is mapped at {virt} too; unmap {virt} first"),
            None if idle.give_up(page) => {
                println!("kfree({page}); heap counter {}", heap_counter());
            }
            None => {}
        },
        Command::Map(virt) => map(virt),
        Command::Unmap(virt) => unmap(virt),
        Command::Touch(virt) => touch(virt),
        Command::Fault(kind, hart) => fault::run(kind, hart),
        Command::Crash(hart) => fault::crash(hart),
        Command::Stress(rounds) => {
            stress::run(rounds);
        }
        Command::Class(virt) => println!("{virt:#018x} is {}", in_words(PointerClass::of(virt))),
        Command::Lookup(virt, hart) => lookup(virt, hart),
        Command::Tables(hart) => tables(hart),
        Command::Harts => list_harts(),
        Command::Heap => heap(idle),
        Command::Regions => regions(),
        Command::Spaces => spaces(),
        Command::Trace(count) => trace(count),
        Command::Info => tell(),
        Command::Pace(pace_ms) => idle.pace_ms = pace_ms,
        Command::Selftest => selftest::run(),
        Command::Poweroff => sbi_call::power_off(false),
    }
}

fn heap_counter() -> u64 {
    kmem::lock().handed_out()
}

/// Lines that are printed of many alike, before the last.
const SHOWN: u64 = 16;

/// Whether line `number` of `count` alike is printed: the first ones and the last.
fn is_shown(number: u64, count: u64) -> bool {
    number < SHOWN || number + 1 == count
}

fn hand_out(count: u64, idle: &mut Idle) {
    for step in 0..count {
        let number = heap_counter();
        let Some(page) = kmem::alloc_page() else {
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
            None => return println!("no page is held"),
        }
    }
}

fn map(virt: VirtAddr) {
    let Some(page) = kmem::alloc_page() else {
        return println!("map: out of memory");
    };
    let phys = linear::frame_at(page).start();
    match vmem::map(virt, phys, READ_WRITE) {
        Ok(()) => println!("{virt} -> {phys} on {} harts", harts::count()),
        Err(error) => {
            println!("map: {error}");
            kmem::kfree(page.as_u64() as usize);
        }
    }
}

fn unmap(virt: VirtAddr) {
    match vmem::unmap(virt) {
        Ok(phys) => {
            println!("{virt} -> {phys} no more, on {} harts", harts::count());
            if let Some(frame) = phys.page() {
                kmem::kfree(linear::pointer_to(frame).as_u64() as usize);
            }
        }
        Err(error) => println!("unmap: {error}"),
    }
}

/// Where [`touch`] has the harts load from.
static TOUCHED: AtomicU64 = AtomicU64::new(0);

/// Has each hart load a byte, one after the other.
fn touch(virt: VirtAddr) {
    TOUCHED.store(virt.as_u64(), Ordering::Relaxed);
    for hart in harts::numbers() {
        harts::run_on(harts::bit(hart), || {
            let (hart, virt) = (cpu::hart(), VirtAddr::new(TOUCHED.load(Ordering::Relaxed)));
            match probe::load(virt) {
                Ok(byte) => println!("hart {hart} loads {byte:#04x} at {virt}"),
                Err(fault) => println!("hart {hart}: {} at {}", fault.cause, fault.address),
            }
        });
    }
}

/// What a class of pointers is about.
fn in_words(class: PointerClass) -> &'static str {
    match class {
        PointerClass::Image => "image: the kernel's code or data, the same on every hart",
        PointerClass::Cpu => "cpu: this hart's own struct or stack",
        PointerClass::Linear => "linear: RAM, as kalloc hands it out",
        PointerClass::Device => "device: a device's registers, at their own address",
        PointerClass::User => "user: free for mappings; the kernel has nothing there",
        PointerClass::None => "none: nothing can be there",
    }
}

fn lookup(virt: VirtAddr, hart: u64) {
    let Some(root) = vmem::root_of(hart) else {
        return println!("hart {hart} has no tables");
    };
    let translation = vmem::lookup(root, virt);
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
    let class = PointerClass::of(virt);
    match translation.outcome {
        Outcome::Mapped(mapped) => {
            println!(
                "{virt} -> {} {}; class {class}",
                mapped.address, mapped.flags
            );
        }
        Outcome::Fault(fault) => println!("{virt}: {fault}; class {class}"),
        Outcome::Unreadable(entry) => println!("{virt}: the entry at {entry} is out of reach"),
    }
}

fn tables(hart: u64) {
    let Some(root) = vmem::root_of(hart) else {
        return println!("hart {hart} has no tables");
    };
    let (mut tables, mut leaves) = (0, 0);
    vmem::visit(root, &mut |found| match found {
        Found::Table(table) => {
            tables += 1;
            println!(
                "{} {}  from {:#018x}  at {:#018x}",
                table.level,
                table.frame,
                table.covers_from,
                linear::pointer_to(table.frame)
            );
        }
        Found::Leaf { .. } => leaves += 1,
    });
    println!("hart {hart}: {tables} tables, {leaves} leaves");
}

fn list_harts() {
    for hart in harts::numbers() {
        let Some(info) = cpu::info_of(hart) else {
            continue;
        };
        let root = Satp::from_bits(info.satp).root();
        let page = vmem::lookup(root, VAS_CPU_STRUCT);
        let frame = page
            .mapped()
            .map(|mapped| mapped.address)
            .unwrap_or_default();
        println!(
            "hart {hart}: satp {:#018x}, cpu struct at {frame}, {} interrupts from other harts",
            info.satp,
            info.ipis.load(Ordering::Relaxed)
        );
    }
}

fn heap(idle: &Idle) {
    let block = publish::read();
    let kmem = kmem::lock();
    let (handed_out, free, pages) = (kmem.handed_out(), kmem.free(), kmem.pages());
    drop(kmem);
    println!("heap counter {handed_out} at {:#x}", block.heap_counter);
    println!("  in the list      {free}, linked through {pages}");
    println!("  next fresh page  {:#x}", block.heap_next);
    println!("  freed, waiting   {}", block.freed_pages);
    println!(
        "  held             {} by the idle loop and this console",
        idle.holdings.count()
    );
}

fn regions() {
    for region in publish::regions() {
        let end = region.address.wrapping_add(region.size);
        let space = if region.space == region_space::VIRTUAL {
            "virtual "
        } else {
            "physical"
        };
        let owner = publish::spaces().find(|record| record.id == region.owner);
        let whose = owner.as_ref().map_or("", |record| name_text(&record.name));
        println!(
            "  {space} {:#018x}..{end:#018x}  {:15} {:12} {whose}",
            region.address,
            info::name_of(&region),
            name_text(&region.tag),
        );
    }
}

fn spaces() {
    for record in publish::spaces() {
        println!(
            "  {:2}  {:8}  satp {:#018x}",
            record.id,
            name_text(&record.name),
            record.satp
        );
    }
}

fn trace(count: u64) {
    for event in publish::traced().take(count as usize) {
        let kind = match event.kind {
            trace_kind::KALLOC => "kalloc",
            trace_kind::KFREE => "kfree",
            trace_kind::MAP => "map",
            trace_kind::UNMAP => "unmap",
            trace_kind::FAULT => "fault",
            _ => "other",
        };
        println!(
            "  {:6} hart {} {kind:6} {:#018x} {:#x} {:#x} {} by {:#018x}",
            event.sequence,
            event.hart,
            event.address,
            event.argument,
            event.size,
            LeafFlags::from_bits_truncate(event.flags as u8),
            event.caller
        );
    }
}

fn tell() {
    let block = publish::read();
    println!(
        "layout {}, tables reached by {}",
        name_text(&block.layout),
        name_text(&block.strategy)
    );
    let own = publish::regions().filter(|region| region.owner != EVERY_SPACE);
    println!(
        "{} regions, {} of them some hart's own; {} spaces; {} events",
        publish::regions().count(),
        own.count(),
        publish::spaces().count(),
        block.trace_count
    );
    println!(
        "RAM {}; linear map at {}",
        linear::ram(),
        linear::pointer_to(linear::ram().start().page().unwrap_or_default())
    );
    println!(
        "{} map calls; {} traps into M-mode",
        block.map_calls, block.machine_other_traps
    );
}

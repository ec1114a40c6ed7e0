//! From the first address of the high half to the idle loops.

use core::arch::{asm, naked_asm};
use core::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use pagescope_kernel::bootargs::BootArgs;
use pagescope_kernel::handoff::{BOOT_VERSION, HandOff};
use pagescope_kernel::hypervisor::cpu_struct::CPU_STACK;
use pagescope_kernel::program::{self, image};
use pagescope_kernel::{csr_read, println};
use pagescope_protocol::PhysAddr;

use crate::cpu::{self, CpuInfo, Early, NO_HART};
use crate::entry::{self, HAND_OFF};
use crate::{harts, idle, info, kmem, linear, selftest, vmem};

/// Milliseconds between the idle loop's calls.
static PACE_MS: AtomicU64 = AtomicU64::new(0);
/// Whether the self-test runs.
static SELFTEST: AtomicBool = AtomicBool::new(false);

/// What the machine program handed on.
pub(crate) fn hand_off() -> HandOff {
    // SAFETY: the machine program wrote it before this program started; nobody writes to it since.
    unsafe { (&raw const HAND_OFF).read_volatile() }
}

/// The first hart, under the boot table. `first` is where its first instruction lies in RAM.
pub(crate) extern "C" fn start(hart: u64, _hand_off: u64, first: u64) -> ! {
    let pc = program_counter();
    let first_instruction = entry::_start as *const () as u64;
    image::set_offset(first_instruction, PhysAddr::new(first));
    let hand_off = hand_off();
    assert!(hand_off.version == BOOT_VERSION, "nothing was handed over");
    linear::capture(&hand_off);
    program::set_hart_id(cpu::hart);
    // The machine program has refused what cannot be parsed.
    let args = match BootArgs::parse(hand_off.bootargs()) {
        Ok(args) => args,
        Err(error) => panic!("{error}"),
    };
    PACE_MS.store(args.pace_ms, Ordering::Relaxed);
    SELFTEST.store(args.selftest, Ordering::Relaxed);
    let early = early(pc, first);
    info::publish_facts();
    info::publish_boot_space(early.satp);
    kmem::free_all();
    println!(
        "Pagescope: layout {}, hart {hart}: {} pages of memory are free; `help` lists the commands",
        entry::LAYOUT,
        kmem::free_pages(),
    );
    move_in(hart, early)
}

/// Any other hart, likewise.
pub(crate) extern "C" fn start_hart(hart: u64, _argument: u64, first: u64) -> ! {
    move_in(hart, early(program_counter(), first))
}

/// The address of the next instruction, or near it.
#[inline(always)]
fn program_counter() -> u64 {
    let pc;
    // SAFETY: copies a register.
    unsafe { asm!("auipc {}, 0", out(reg) pc, options(nomem, nostack, preserves_flags)) };
    pc
}

/// What is so before the hart has a cpu struct. `first` is a physical address in the image.
fn early(pc: u64, first: u64) -> Early {
    let kmem = kmem::lock();
    let lock_holder = kmem::holder().unwrap_or(NO_HART);
    let handed_out = kmem.handed_out();
    drop(kmem);
    let here = entry::_start as *const () as *const u32;
    let there = core::ptr::with_exposed_provenance::<u32>(first as usize);
    // SAFETY: the same instruction twice, through two mappings of the boot table.
    let identity_was_there = unsafe { here.read_volatile() == there.read_volatile() };
    Early {
        tp: cpu::tp(),
        lock_holder,
        pc,
        satp: csr_read!("satp"),
        handed_out,
        identity_was_there: identity_was_there.into(),
    }
}

/// Builds the hart's final tables, and goes on in its cpu struct.
fn move_in(hart: u64, early: Early) -> ! {
    let Some(built) = vmem::build(hart) else {
        panic!("hart {hart}: no memory for its tables")
    };
    let satp = built.satp.bits();
    let space = info::publish_hart(hart, &built);
    vmem::trace_built(&built, space);
    let page = built.info_page();
    cpu::write_info(page, CpuInfo::new(hart, satp, space, early));
    cpu::set_info_page(hart, page);
    // SAFETY: the tables map this code, and the stack that it goes on with.
    unsafe {
        switch(
            satp,
            entry::trap_vector as *const () as u64,
            CPU_STACK.end().as_u64(),
        )
    }
}

/// Goes on at [`live`] under `satp`, with the stack that ends at `stack` and traps at `vector`.
#[unsafe(naked)]
unsafe extern "C" fn switch(satp: u64, vector: u64, stack: u64) -> ! {
    naked_asm!(
        "csrw satp, a0",
        "sfence.vma",
        "csrw stvec, a1",
        "mv   sp, a2",
        // Which hart this is, the cpu struct says from now on.
        "li   tp, {no_hart}",
        "li   ra, 0",
        "tail {live}",
        no_hart = const NO_HART as i64,
        live = sym live,
    )
}

/// A hart under its final tables.
extern "C" fn live() -> ! {
    harts::let_interrupts_in();
    harts::is_live_now();
    if cpu::hart() != 0 {
        harts::idle();
    }
    harts::start_others();
    info::remove_boot_space();
    println!("{} harts run", harts::count());
    if SELFTEST.load(Ordering::Relaxed) {
        selftest::run();
    }
    idle::run(PACE_MS.load(Ordering::Relaxed))
}

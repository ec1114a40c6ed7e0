//! Stage 3: under the final tables.
//!
//! What stage 2 needed is dismantled: its tables are used no more, and boot stack and identity heap, tables
//! included, become `physical`'s (S4.10). Their addresses fault from now on.

use core::cell::UnsafeCell;

use pagescope_kernel::board;
use pagescope_kernel::bootargs::BootArgs;
use pagescope_kernel::nanos::kernel_heaps::KernelHeaps;
use pagescope_kernel::nanos::tracking::Label;
use pagescope_kernel::println;
use pagescope_protocol::PhysRange;
use pagescope_protocol::info::region_kind;

use crate::layout::LAYOUT;
use crate::{application, idle, kernel, selftest, stage2};

/// What stage 2 hands to stage 3.
struct Kept(UnsafeCell<Option<KernelHeaps<'static>>>);

// SAFETY: one hart runs, and one stage at a time.
unsafe impl Sync for Kept {}

static KEPT: Kept = Kept(UnsafeCell::new(None));

/// What `physical` had before boot memory was given to it, and has after.
#[derive(Clone, Copy)]
pub(crate) struct Dismantled {
    /// Frames before.
    pub(crate) before: u64,
    /// Frames after.
    pub(crate) after: u64,
}

struct Figures(UnsafeCell<Dismantled>);

// SAFETY: written once, before anybody reads it.
unsafe impl Sync for Figures {}

static DISMANTLED: Figures = Figures(UnsafeCell::new(Dismantled {
    before: 0,
    after: 0,
}));

/// What dismantling gave.
pub(crate) fn dismantled() -> Dismantled {
    // SAFETY: written once, before anybody asks.
    unsafe { *DISMANTLED.0.get() }
}

/// Keeps the heaps while the stack is changed.
pub(crate) fn keep(heaps: KernelHeaps<'static>) {
    // SAFETY: nobody else is there.
    unsafe { *KEPT.0.get() = Some(heaps) };
}

/// Goes on under the final tables, on the image's own stack.
pub(crate) extern "C" fn stage3() -> ! {
    // SAFETY: nobody else is there.
    let Some(mut heaps) = (unsafe { (*KEPT.0.get()).take() }) else {
        panic!("stage 2 handed nothing on");
    };
    dismantle(&mut heaps);
    kernel::install(heaps);
    let here = stage3 as *const () as u64;
    let uart = kernel::with(here, |heaps, call| {
        heaps.map_device(
            call,
            board::UART0,
            Label {
                name: "UART0",
                description: "the console's registers",
                kind: region_kind::DEVICE,
            },
        )
    });
    if let Err(error) = uart {
        println!("UART0 is not mapped: {error}");
    }
    if let Err(error) = application::load() {
        println!("the application is not loaded: {error}");
    }
    println!(
        "Pagescope: layout {LAYOUT}, heap counter {}; `help` lists the commands",
        kernel::heap_counter()
    );
    let hand_off = stage2::hand_off();
    // The machine program has refused what cannot be parsed.
    let args = match BootArgs::parse(hand_off.bootargs()) {
        Ok(args) => args,
        Err(error) => panic!("{error}"),
    };
    if args.selftest {
        selftest::run();
    }
    idle::run(args.pace_ms)
}

fn dismantle(heaps: &mut KernelHeaps<'static>) {
    let Some(boot) = stage2::boot_memory() else {
        return;
    };
    let before = heaps.physical().units();
    let all = PhysRange::from_bounds(boot.identity_heap.start(), boot.stack.end());
    stage2::forget_boot_memory(&boot);
    let given = all.map(|all| heaps.give_physical(all));
    let after = heaps.physical().units();
    match given {
        Some(Ok(())) => println!(
            "stage 3: boot memory dismantled, physical had {before} frames and has {after}"
        ),
        Some(Err(error)) => println!("stage 3: boot memory is lost: {error}"),
        None => println!("stage 3: boot memory is lost"),
    }
    // SAFETY: nobody has asked yet.
    unsafe { *DISMANTLED.0.get() = Dismantled { before, after } };
}

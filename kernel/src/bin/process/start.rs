//! From the first instructions to the first process.

use pagescope_kernel::bootargs::BootArgs;
use pagescope_kernel::handoff::{BOOT_VERSION, HandOff};
use pagescope_kernel::println;
use pagescope_kernel::process::layout::{LOAD, UPPER};
use pagescope_kernel::program::image;
use pagescope_protocol::PhysAddr;

use crate::entry::{self, HAND_OFF, LAYOUT};
use crate::{checks, heap, idle, processes, regions, spaces, users};

/// What the machine program handed on.
pub(crate) fn hand_off() -> HandOff {
    // SAFETY: the machine program wrote it before this program started; nobody writes to it since.
    unsafe { (&raw const HAND_OFF).read_volatile() }
}

/// Ticks of `time` in a millisecond.
pub(crate) fn ticks_per_ms() -> u64 {
    // SAFETY: as above.
    let hertz = unsafe { (&raw const HAND_OFF.timebase_hz).read_volatile() };
    (hertz / 1000).max(1)
}

/// The program, called from its first instructions, under the boot tables.
pub(crate) extern "C" fn start() -> ! {
    image::set_offset(0, PhysAddr::new(LOAD));
    let hand_off = hand_off();
    assert!(hand_off.version == BOOT_VERSION, "nothing was handed over");
    let upper = entry::__original_start.address() - entry::__bss_end.address();
    assert!(
        upper == UPPER,
        "the linker script has another distance between the pieces"
    );
    heap::install();
    spaces::take_over();
    regions::publish_kernel();
    println!(
        "Pagescope: layout {LAYOUT}, kernel at 0 in every space, heap counter {}; `help` lists the commands",
        heap::handed_out(),
    );
    // The machine program has refused what cannot be parsed.
    let args = match BootArgs::parse(hand_off.bootargs()) {
        Ok(args) => args,
        Err(error) => panic!("{error}"),
    };
    if args.selftest {
        checks::run();
    }
    if let Some(init) = users::by_name(b"init")
        && let Err(error) = processes::spawn(init, 0)
    {
        println!("init: {error}");
    }
    idle::run(args.pace_ms)
}

//! Taking over from the machine program.

use core::sync::atomic::{AtomicU64, Ordering};

use pagescope_kernel::arch::live::LiveMemory;
use pagescope_kernel::bootargs::BootArgs;
use pagescope_kernel::handoff::{BOOT_VERSION, HandOff};
use pagescope_kernel::heap::HeapLayout;
use pagescope_kernel::pool::Pool;
use pagescope_kernel::window::Window;
use pagescope_kernel::{board, csr_read};
use pagescope_protocol::info::name_text;
use pagescope_protocol::{PAGE_SIZE, PhysPage, Satp, VirtAddr};

use crate::entry::HAND_OFF;
use crate::kernel::{self, Kernel};
use crate::{entry, idle, info, println, selftest};

/// satp as it was at this program's first instructions.
static SATP_AT_START: AtomicU64 = AtomicU64::new(0);

/// satp as it was at this program's first instructions (S1.4).
pub(crate) fn satp_at_start() -> Satp {
    Satp::from_bits(SATP_AT_START.load(Ordering::Relaxed))
}

/// What the machine program handed on.
pub(crate) fn hand_off() -> HandOff {
    // SAFETY: the machine program wrote it before this program started; nobody writes to it since.
    unsafe { (&raw const HAND_OFF).read_volatile() }
}

/// The program, called from its first instructions.
pub(crate) extern "C" fn start() -> ! {
    SATP_AT_START.store(csr_read!("satp"), Ordering::Relaxed);
    let hand_off = hand_off();
    assert!(hand_off.version == BOOT_VERSION, "nothing was handed over");
    let frame = |address: u64| PhysPage::from_truncated(address / PAGE_SIZE);
    let layout = HeapLayout {
        top: board::HEAP_TOP,
        bottom: frame(hand_off.heap_bottom),
        window: Window::IDENTITY,
        counter: VirtAddr::new(board::HEAP_COUNTER.as_u64()),
    };
    let reserve = hand_off.reserve.map(frame);
    let pool = Pool::resume(
        layout,
        frame(hand_off.root),
        hand_off.handed_out,
        reserve,
        entry::own_regions(),
    );
    // SAFETY: heap, tables and heap counter are the pool's alone from here on.
    let memory = unsafe { LiveMemory::new() };
    kernel::install(Kernel { pool, memory });
    info::publish_facts(&hand_off);
    kernel::with(|kernel| info::publish_pool(&kernel.pool));

    println!(
        "Pagescope: layout {}, tables {}, heap counter {}; `help` lists the commands",
        entry::LAYOUT,
        name_text(&hand_off.strategy),
        hand_off.handed_out,
    );
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

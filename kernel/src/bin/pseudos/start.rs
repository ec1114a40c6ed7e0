//! Taking over from the machine program.

use core::sync::atomic::{AtomicU64, Ordering};

use pagescope_kernel::arch::live::LiveMemory;
use pagescope_kernel::arch::sbi_call;
use pagescope_kernel::bootargs::BootArgs;
use pagescope_kernel::handoff::{BOOT_VERSION, HandOff};
use pagescope_kernel::heap::HeapLayout;
use pagescope_kernel::println;
use pagescope_kernel::self_map;
use pagescope_kernel::space::{Inherited, Space};
use pagescope_kernel::window::Window;
use pagescope_kernel::{board, csr_read};
use pagescope_protocol::info::name_text;
use pagescope_protocol::{PAGE_SIZE, PhysPage, Satp, VirtAddr};

use crate::entry::HAND_OFF;
use crate::kernel::{self, Kernel};
use crate::{bench, entry, idle, info, selftest};

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
        passed_over: None,
    };
    let strategy = name_text(&hand_off.strategy);
    // The machine program has built the tables with it.
    let Some(self_map) = self_map::by_name(strategy) else {
        panic!("no strategy {strategy}");
    };
    let space = Space::resume(Inherited {
        heap: layout,
        root: frame(hand_off.root),
        handed_out: hand_off.handed_out,
        reserve: &entry::RESERVE,
        self_map,
        own: entry::own_regions(),
    });
    // SAFETY: heap, tables and heap counter are the space's alone from here on.
    let memory = unsafe { LiveMemory::new() };
    kernel::install(Kernel { space, memory });
    info::publish_facts(&hand_off, self_map);
    kernel::with(|kernel| info::publish_space(&kernel.space));

    println!(
        "Pagescope: layout {}, tables {}, heap counter {}; `help` lists the commands",
        entry::LAYOUT,
        strategy,
        hand_off.handed_out,
    );
    // The machine program has refused what cannot be parsed.
    let args = match BootArgs::parse(hand_off.bootargs()) {
        Ok(args) => args,
        Err(error) => panic!("{error}"),
    };
    if args.bench {
        bench::run();
    }
    if args.selftest {
        selftest::run();
    }
    if args.bench {
        sbi_call::power_off(false);
    }
    idle::run(args.pace_ms)
}

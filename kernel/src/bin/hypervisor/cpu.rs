//! The running hart's own struct.
//!
//! A hart need not know which it is to find it: it lies at the same address on every hart (S2.7).

use core::cell::UnsafeCell;
use core::sync::atomic::{AtomicU64, Ordering};

use pagescope_kernel::arch;
use pagescope_kernel::hypervisor::VAS_CPU_STRUCT;
use pagescope_kernel::hypervisor::class::PointerClass;
use pagescope_kernel::hypervisor::cpu_struct::CPU_INFO;
use pagescope_kernel::hypervisor::work::WorkSlot;
use pagescope_protocol::VirtAddr;

use crate::linear;
use crate::rescue::Rescue;

/// Most harts; as many as the machine program starts.
pub(crate) const MAX_HARTS: usize = 8;

/// What tp holds once nobody looks at it any more: no hart's number.
pub(crate) const NO_HART: u64 = u64::MAX;

/// What was so on the way here, for the self-test.
#[derive(Clone, Copy, Debug, Default)]
#[repr(C)]
pub(crate) struct Early {
    /// tp, before there was a cpu struct.
    pub(crate) tp: u64,
    /// Whom a lock said that it was held by.
    pub(crate) lock_holder: u64,
    /// Where the first function in the high half was executed.
    pub(crate) pc: u64,
    /// satp there.
    pub(crate) satp: u64,
    /// Pages that kalloc had handed out by then.
    pub(crate) handed_out: u64,
    /// Whether RAM could be read at its physical address: it was, through the boot table.
    pub(crate) identity_was_there: u64,
}

/// The page at [`VAS_CPU_STRUCT`].
#[repr(C)]
pub(crate) struct CpuInfo {
    /// Which hart this is.
    pub(crate) hart: u64,
    /// satp while it runs.
    pub(crate) satp: u64,
    /// The id under which its space is published.
    pub(crate) space: u64,
    /// On the way here.
    pub(crate) early: Early,
    /// Interrupts from other harts.
    pub(crate) ipis: AtomicU64,
    /// What hart 0 has told it to do.
    pub(crate) work: WorkSlot,
    /// t1 and t2, while `hart_trap_in_trap` uses them.
    pub(crate) kept: [u64; 2],
    /// Where a fault that was provoked ends.
    pub(crate) rescue: UnsafeCell<Rescue>,
}

const _: () = assert!(size_of::<CpuInfo>() as u64 <= CPU_INFO.size);

impl CpuInfo {
    /// A hart's, before it runs.
    pub(crate) const fn new(hart: u64, satp: u64, space: u64, early: Early) -> Self {
        Self {
            hart,
            satp,
            space,
            early,
            ipis: AtomicU64::new(0),
            work: WorkSlot::new(),
            kept: [0; 2],
            rescue: UnsafeCell::new(Rescue::NONE),
        }
    }
}

/// Whether this hart has its struct: its stack lies in it.
pub(crate) fn is_live() -> bool {
    PointerClass::of(VirtAddr::new(arch::stack_pointer())) == PointerClass::Cpu
}

/// This hart's struct, which must be live.
pub(crate) fn info() -> &'static CpuInfo {
    let place = VAS_CPU_STRUCT.as_u64() as usize;
    // SAFETY: `vmem` mapped the page and wrote it before the hart came here, and it stays. What changes in
    // it is atomic, or the hart's own.
    unsafe { &*core::ptr::with_exposed_provenance::<CpuInfo>(place) }
}

/// Which hart this is: tp says so until the cpu struct does (S2.6).
pub(crate) fn hart() -> u64 {
    if is_live() { info().hart } else { tp() }
}

/// The thread pointer.
pub(crate) fn tp() -> u64 {
    let value;
    // SAFETY: copies a register.
    unsafe {
        core::arch::asm!("mv {}, tp", out(reg) value, options(nomem, nostack, preserves_flags))
    };
    value
}

/// Frames of the cpu info pages, as linear pointers; 0 for a hart that is not there.
static INFO_PAGES: [AtomicU64; MAX_HARTS] = [const { AtomicU64::new(0) }; MAX_HARTS];

/// Says where the info page of `hart` is seen in the linear map.
pub(crate) fn set_info_page(hart: u64, page: VirtAddr) {
    if let Some(place) = INFO_PAGES.get(hart as usize) {
        place.store(page.as_u64(), Ordering::Release);
    }
}

/// The struct of any hart that runs, through the linear map.
pub(crate) fn info_of(hart: u64) -> Option<&'static CpuInfo> {
    let page = INFO_PAGES.get(hart as usize)?.load(Ordering::Acquire);
    // SAFETY: as for `info`; stored after the page was written.
    (page != 0).then(|| unsafe { &*core::ptr::with_exposed_provenance::<CpuInfo>(page as usize) })
}

/// Writes the info page of a hart that does not run yet.
pub(crate) fn write_info(page: VirtAddr, info: CpuInfo) {
    debug_assert!(linear::ram().contains(linear::frame_at(page).start()));
    let place = core::ptr::with_exposed_provenance_mut::<CpuInfo>(page.as_u64() as usize);
    // SAFETY: a page fresh from kalloc, of which nobody else knows.
    unsafe { place.write(info) };
}

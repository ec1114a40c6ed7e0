//! Page faults that M-mode takes for S-mode: with `tables=demand`, a store to a table that does not
//! exist makes it. The decision is the library's
//! ([`table_service`](pagescope_kernel::table_service)); here are the registers.

use core::sync::atomic::{AtomicPtr, AtomicU64, Ordering};

use pagescope_kernel::arch::csr::{MSTATUS_MPP, MSTATUS_MPP_S};
use pagescope_kernel::arch::live::LiveMemory;
use pagescope_kernel::csr_read;
use pagescope_kernel::fault::Cause;
use pagescope_kernel::reserve::Reserve;
use pagescope_kernel::table_service::{Verdict, serve};
use pagescope_protocol::{LeafFlags, PhysAddr, PhysPage, Satp, VirtAddr};

use crate::boot;

/// medeleg's bits of the faults that are served: they come here, and not to S-mode.
pub(crate) const SERVED_FAULTS: u64 =
    1 << Cause::LOAD_PAGE_FAULT.bits() | 1 << Cause::STORE_PAGE_FAULT.bits();

/// S-mode's reserve; null while nothing is served.
static RESERVE: AtomicPtr<Reserve> = AtomicPtr::new(core::ptr::null_mut());

/// The root of the tables that are served, by its physical address.
static ROOT: AtomicU64 = AtomicU64::new(0);

/// From now on, serves faults on the tables under `root` with frames from `reserve`.
pub(crate) fn start(reserve: &'static Reserve, root: PhysPage) {
    ROOT.store(root.start().as_u64(), Ordering::Relaxed);
    RESERVE.store(core::ptr::from_ref(reserve).cast_mut(), Ordering::Release);
}

/// Whether faults are served.
pub(crate) fn is_on() -> bool {
    !RESERVE.load(Ordering::Acquire).is_null()
}

/// Looks at the page fault that this hart has taken: whether the access is to be tried again.
pub(crate) fn serves(cause: Cause) -> bool {
    let flags = match cause {
        Cause::LOAD_PAGE_FAULT => LeafFlags::READ,
        Cause::STORE_PAGE_FAULT => LeafFlags::WRITE,
        _ => return false,
    };
    // Only S-mode's own accesses: a user's are S-mode's to judge.
    if csr_read!("mstatus") & MSTATUS_MPP != MSTATUS_MPP_S {
        return false;
    }
    let reserve = RESERVE.load(Ordering::Acquire);
    let Some(root) = PhysAddr::new(ROOT.load(Ordering::Relaxed)).page() else {
        return false;
    };
    // SAFETY: null, or what `start` was given: a reference for ever, to atomic fields.
    let Some(reserve) = (unsafe { reserve.as_ref() }) else {
        return false;
    };
    if Satp::from_bits(csr_read!("satp")).root() != root {
        return false;
    }
    // SAFETY: page tables and frames in reserve only, all of them in S-mode's memory, which `serve`
    // checks; S-mode stands still, and rereads what it needs.
    let mut memory = unsafe { LiveMemory::new() };
    let address = VirtAddr::new(csr_read!("mtval"));
    let supervisor_ram = boot::supervisor_ram();
    let verdict = serve(&mut memory, root, reserve, supervisor_ram, address, flags);
    matches!(verdict, Verdict::Made | Verdict::Present)
}

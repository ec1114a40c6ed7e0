//! The self-test's checks, and what they look with.

pub(crate) mod heaps;
pub(crate) mod layout;
pub(crate) mod tables;

use pagescope_kernel::fault::Cause;
use pagescope_kernel::nanos::general::GeneralError;
use pagescope_kernel::nanos::kernel_heaps::{HeapError, VIRTUAL_PAGE_UNITS};
use pagescope_kernel::nanos::stress::SLOTS;
use pagescope_kernel::nanos::tracking::{CAPACITY, Label};
use pagescope_kernel::program::probe;
use pagescope_kernel::program::selftest::Reason;
use pagescope_protocol::VirtAddr;
use pagescope_protocol::info::region_kind;
use pagescope_protocol::translate::Mapped;

use crate::kernel;

/// Bytes of RAM that the checks need, in one piece, at most.
const RAM_NEEDED: u64 = 16 << 20;

/// Allocations that the checks have tracked at one time, at most: the random ones, and a few.
const RECORDS_NEEDED: usize = SLOTS + 32;

/// Why the checks cannot run, if they cannot: their failures would not be the kernel's.
pub(crate) fn obstacle() -> Option<Reason> {
    kernel::look(|heaps, _| {
        let physical = heaps.physical();
        let free = physical.units() - physical.used_units();
        let tracked = heaps.tracking().records().len();
        if physical.next(RAM_NEEDED).is_err() {
            return Some(Reason::new(format_args!(
                "selftest needs {RAM_NEEDED:#x} bytes of RAM in one piece; {free} pages are left: kfree some, or boot again"
            )));
        }
        if !heaps.tracking().has_place(RECORDS_NEEDED) {
            return Some(Reason::new(format_args!(
                "selftest tracks {RECORDS_NEEDED} allocations; {tracked} of {CAPACITY} are tracked: free some, or boot again"
            )));
        }
        (heaps.virtual_page().ranges().count() == VIRTUAL_PAGE_UNITS).then(|| {
            Reason::new(format_args!(
                "selftest has virtual_page grow; it has all {VIRTUAL_PAGE_UNITS} of its units: free what is reserved, or boot again"
            ))
        })
    })
}

/// What the checks hand out.
const LABEL: Label<'static> = Label {
    name: "selftest",
    description: "handed out by a check",
    kind: region_kind::HEAP,
};

/// A heap refused what a check needs.
fn refused(error: HeapError) -> Reason {
    Reason::new(format_args!("{error}"))
}

/// The general heap refused what a check needs.
fn no_object(error: GeneralError) -> Reason {
    Reason::new(format_args!("{error}"))
}

/// What `virt` is mapped to.
fn mapped(virt: VirtAddr) -> Result<Mapped, Reason> {
    let mapped = kernel::lookup(virt).mapped();
    mapped.ok_or_else(|| Reason::new(format_args!("{virt} is not mapped")))
}

/// Whether a load from `virt` is a page fault.
fn load_faults(virt: VirtAddr) -> bool {
    let fault = probe::load(virt).err();
    fault.map(|fault| fault.cause) == Some(Cause::LOAD_PAGE_FAULT)
}

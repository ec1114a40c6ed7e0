//! The self-test's checks, and what they look with.

pub(crate) mod heaps;
pub(crate) mod layout;
pub(crate) mod tables;

use pagescope_kernel::fault::Cause;
use pagescope_kernel::nanos::general::GeneralError;
use pagescope_kernel::nanos::kernel_heaps::HeapError;
use pagescope_kernel::nanos::tracking::Label;
use pagescope_kernel::program::probe;
use pagescope_kernel::program::selftest::Reason;
use pagescope_protocol::VirtAddr;
use pagescope_protocol::info::region_kind;
use pagescope_protocol::translate::Mapped;

use crate::kernel;

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

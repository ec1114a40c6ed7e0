//! What the debug channel may have this program do (`BootHeader::services`).

use core::sync::atomic::AtomicBool;

use pagescope_kernel::handoff::KALLOC_BUSY;

use crate::kernel;

/// Whether heaps and tables are being changed, or are not there yet.
pub(crate) static IS_BUSY: AtomicBool = AtomicBool::new(true);

/// Where that byte lies.
pub(crate) const BUSY: *const AtomicBool = &raw const IS_BUSY;

pagescope_kernel::debug_kalloc!(page_for_debugger);

extern "C" fn page_for_debugger() -> u64 {
    if kernel::is_busy() {
        return KALLOC_BUSY;
    }
    kernel::kalloc() as u64
}

//! What the debug channel may have this program do (`BootHeader::services`).

use pagescope_kernel::handoff::KALLOC_BUSY;

use crate::kernel;

pagescope_kernel::debug_kalloc!(page_for_debugger);

extern "C" fn page_for_debugger() -> u64 {
    if kernel::is_in_kalloc() {
        // What was stopped is a call of kalloc; this one would be within it.
        return KALLOC_BUSY;
    }
    kernel::alloc_page().map_or(0, |page| page.as_u64())
}

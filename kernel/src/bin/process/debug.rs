//! What the debug channel may have this program do (`BootHeader::services`).

use pagescope_kernel::handoff::KALLOC_BUSY;

use crate::heap;

pagescope_kernel::debug_kalloc!(page_for_debugger);

extern "C" fn page_for_debugger() -> u64 {
    if heap::is_busy() {
        // What was stopped changes the heap.
        return KALLOC_BUSY;
    }
    heap::kalloc() as u64
}

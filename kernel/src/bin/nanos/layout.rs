//! Where things are, as the document says it and as `main.rs` draws it.

use pagescope_kernel::board;
use pagescope_kernel::nanos::kernel_heaps::{HUGE, USER_HEAP_START};
use pagescope_protocol::{PAGE_SIZE, PhysAddr, VirtAddr, VirtRange};

/// The layout's name.
pub(crate) const LAYOUT: &str = "nanos";

/// The kernel image (S4.1).
pub(crate) const KERNEL_BASE: VirtAddr = VirtAddr::new(0x7f00_0000);

/// Where it is loaded.
pub(crate) const KERNEL_LOAD: PhysAddr = board::SUPERVISOR_START;

/// The page that is never mapped (S4.2).
pub(crate) const ZERO_PAGE: VirtRange = range(0, PAGE_SIZE);

/// What belongs to the application (S4.3).
pub(crate) const APPLICATION_SPACE: VirtRange = range(PAGE_SIZE, KERNEL_BASE.as_u64() - PAGE_SIZE);

/// Where the application's program is copied to; its data page follows.
pub(crate) const APPLICATION: VirtAddr = VirtAddr::new(0x40_0000);

/// The application's stack. Below it nothing is mapped.
pub(crate) const APPLICATION_STACK: VirtRange = range(0x7dff_0000, 64 << 10);

/// The page below the application's stack, which is never mapped.
pub(crate) const APPLICATION_GUARD: VirtRange =
    range(APPLICATION_STACK.start().as_u64() - PAGE_SIZE, PAGE_SIZE);

/// The application's heap: its first touches are answered with zeroed pages, as far as this.
pub(crate) const USER_HEAP: VirtRange = range(USER_HEAP_START.as_u64(), 64 << 20);

/// What is left of the 2^32 addresses that are the application's heap's alone.
pub(crate) const USER_HEAP_LIMIT: VirtRange =
    range(USER_HEAP.end().as_u64(), HUGE - USER_HEAP.size());

/// Bytes of the stack that stage 2 runs on.
pub(crate) const BOOT_STACK_SIZE: u64 = 32 << 10;

/// Bytes of the heap whose addresses are physical, for what the boot tables need.
pub(crate) const IDENTITY_HEAP_SIZE: u64 = 64 << 10;

const fn range(start: u64, size_bytes: u64) -> VirtRange {
    match VirtRange::new(VirtAddr::new(start), size_bytes) {
        Some(range) => range,
        None => panic!("a range of the layout wraps around"),
    }
}

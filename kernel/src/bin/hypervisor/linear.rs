//! Physical addresses and linear pointers: the one place that knows how far apart they are.
//!
//! Where RAM lies is heard once, from the machine program; no other code knows it after early boot
//! (S2.12).

use core::sync::atomic::{AtomicU64, Ordering};

use pagescope_kernel::arch::live::LiveMemory;
use pagescope_kernel::board;
use pagescope_kernel::handoff::HandOff;
use pagescope_kernel::hypervisor::{MAX_RAM_SIZE, linear_window};
use pagescope_kernel::window::Window;
use pagescope_protocol::{PAGE_SIZE, PhysAddr, PhysPage, PhysRange, VirtAddr};

/// RAM's first byte.
static RAM_START: AtomicU64 = AtomicU64::new(0);
/// Bytes of RAM that are used.
static RAM_SIZE: AtomicU64 = AtomicU64::new(0);

// What is used of RAM is within the gigapages of the boot table.
const _: () = assert!(board::RAM.size() <= MAX_RAM_SIZE);

/// Keeps where RAM lies, once. Of more than [`board::RAM`] has, the rest is neither used nor mapped.
pub(crate) fn capture(hand_off: &HandOff) {
    let size = hand_off.ram_size.min(board::RAM.size());
    let range = PhysRange::new(PhysAddr::new(hand_off.ram_start), size);
    assert!(
        range.is_some(),
        "RAM at {:#x} wraps around",
        hand_off.ram_start
    );
    RAM_START.store(hand_off.ram_start, Ordering::Relaxed);
    RAM_SIZE.store(size, Ordering::Relaxed);
}

/// The RAM that is used.
pub(crate) fn ram() -> PhysRange {
    let start = PhysAddr::new(RAM_START.load(Ordering::Relaxed));
    let ram = PhysRange::new(start, RAM_SIZE.load(Ordering::Relaxed));
    ram.expect("`capture` has made this range")
}

/// How frames are seen.
pub(crate) fn window() -> Window {
    linear_window(ram())
}

/// Where the frame is seen in the linear map.
pub(crate) fn pointer_to(frame: PhysPage) -> VirtAddr {
    window().address_of(frame)
}

/// The frame that is seen at `pointer`, an address of the linear map.
pub(crate) fn frame_at(pointer: VirtAddr) -> PhysPage {
    let distance = window().address_of(PhysPage::from_truncated(0)).as_u64();
    PhysPage::from_truncated(pointer.as_u64().wrapping_sub(distance) / PAGE_SIZE)
}

/// Memory, through addresses as the program has them.
///
/// Whoever stores through it owns the page: kmem what is free, vmem what is a table, anyone else
/// what kalloc gave.
pub(crate) fn memory() -> LiveMemory {
    // SAFETY: see above; nothing of the image's is written in this way, for the linear map shows it
    // read-only.
    unsafe { LiveMemory::new() }
}

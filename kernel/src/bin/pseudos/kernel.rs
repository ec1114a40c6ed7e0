//! Heap and address space: kalloc, kfree, map, and what callers of theirs need.
//!
//! **For debuggers**, a binary interface: `kalloc` and `kfree` are symbols of functions that are
//! never inlined. Whoever stops at kalloc's first instruction and then at its return address sees,
//! call by call and while nothing is freed, a0 descend by 4096 and the heap counter rise by one,
//! with no call inside another: the reserve is filled by calls like any other ([`refill`]). With
//! `tables=self-leaf` a call that enters a fresh 2 MiB counts two, the page and the table that it keeps in
//! place, and the next one passes that table's page over: kalloc(n) is n pages below the first all
//! the same.

use core::cell::UnsafeCell;
use core::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use pagescope_kernel::arch::live::LiveMemory;
use pagescope_kernel::board;
use pagescope_kernel::mapper::{MapError, MapReport, UnmapError};
use pagescope_kernel::space::{AllocError, Space};
use pagescope_kernel::{println, return_address};
use pagescope_protocol::info::trace_kind;
use pagescope_protocol::translate::Translation;
use pagescope_protocol::{LeafFlags, Level, PAGE_SIZE, PhysAddr, VirtAddr};

use crate::info;

/// Heap and tables, and the memory that they lie in.
pub(crate) struct Kernel {
    pub(crate) space: Space,
    pub(crate) memory: LiveMemory,
}

/// The kernel, for one user at a time.
struct Shared {
    busy: AtomicBool,
    kernel: UnsafeCell<Option<Kernel>>,
}

// SAFETY: `busy` lets one user in at a time.
unsafe impl Sync for Shared {}

static KERNEL: Shared = Shared {
    busy: AtomicBool::new(false),
    kernel: UnsafeCell::new(None),
};

/// A byte that is not 0 while somebody uses the kernel, for the debug channel.
pub(crate) const BUSY: *const AtomicBool = &raw const KERNEL.busy;

/// Calls of kalloc that are under way.
static KALLOC_DEPTH: AtomicU64 = AtomicU64::new(0);

/// Sets the kernel up, once.
pub(crate) fn install(kernel: Kernel) {
    // SAFETY: called before anything else here, by the only hart.
    unsafe { *KERNEL.kernel.get() = Some(kernel) };
}

/// Runs `use_it` on the kernel. `None` where it is in use already (there is one hart, so by an
/// outer call of this very function) or not set up yet.
fn try_with<R>(use_it: impl FnOnce(&mut Kernel) -> R) -> Option<R> {
    if KERNEL.busy.swap(true, Ordering::Acquire) {
        return None;
    }
    // SAFETY: `busy` was false: nobody else has a reference.
    let kernel = unsafe { &mut *KERNEL.kernel.get() };
    let result = kernel.as_mut().map(use_it);
    KERNEL.busy.store(false, Ordering::Release);
    result
}

/// Runs `use_it` on the kernel.
pub(crate) fn with<R>(use_it: impl FnOnce(&mut Kernel) -> R) -> R {
    match try_with(use_it) {
        Some(result) => result,
        None => panic!("the kernel's state was used while it was in use"),
    }
}

/// Whether a call of [`kalloc`] is under way.
pub(crate) fn is_in_kalloc() -> bool {
    KALLOC_DEPTH.load(Ordering::Relaxed) != 0
}

/// Hands out a page: its address, or 0 where there is none. It is mapped, and filled with
/// [`FRESH_FILL`](pagescope_protocol::info::FRESH_FILL).
///
/// Callers fill the reserve afterwards: see [`alloc_page`].
#[unsafe(no_mangle)]
#[inline(never)]
pub(crate) extern "C" fn kalloc() -> usize {
    let caller = return_address!();
    kalloc_called_from(caller)
}

#[inline(never)]
extern "C" fn kalloc_called_from(caller: u64) -> usize {
    info::publish_depth(KALLOC_DEPTH.fetch_add(1, Ordering::Relaxed) + 1);
    let page = try_with(|kernel| {
        let page = kernel.space.alloc(&mut kernel.memory);
        info::publish_space(&kernel.space);
        let number = kernel.space.heap().handed_out();
        let page = page.inspect_err(report_no_page).ok()?;
        info::trace(trace_kind::KALLOC, page.as_u64(), number, PAGE_SIZE, caller);
        Some(page.as_u64() as usize)
    });
    KALLOC_DEPTH.fetch_sub(1, Ordering::Relaxed);
    page.flatten().unwrap_or(0)
}

/// Being out of memory is the caller's to say; anything else is damage.
fn report_no_page(error: &AllocError) {
    if let AllocError::Map(error) = error {
        println!("kalloc: the next page could not be mapped: {error}");
    }
}

/// Takes the page at `address` back: `true`. What was not handed out is refused, and reported.
#[unsafe(no_mangle)]
#[inline(never)]
pub(crate) extern "C" fn kfree(address: usize) -> bool {
    let caller = return_address!();
    kfree_called_from(address, caller)
}

#[inline(never)]
extern "C" fn kfree_called_from(address: usize, caller: u64) -> bool {
    let address = VirtAddr::new(address as u64);
    let freed = with(|kernel| {
        let freed = kernel.space.free(&mut kernel.memory, address);
        info::publish_space(&kernel.space);
        freed
    });
    match freed {
        Ok(()) => info::trace(trace_kind::KFREE, address.as_u64(), 0, PAGE_SIZE, caller),
        Err(error) => println!("kfree: {error}"),
    }
    freed.is_ok()
}

/// Maps the leaf of `level` at `virt` to `phys`. Callers fill the reserve afterwards: see
/// [`map_page`].
#[unsafe(export_name = "map")]
#[inline(never)]
pub(crate) fn map(
    virt: VirtAddr,
    phys: PhysAddr,
    level: Level,
    flags: LeafFlags,
) -> Result<MapReport, MapError> {
    let caller = return_address!();
    let mapped = with(|kernel| {
        let mapped = kernel
            .space
            .map(&mut kernel.memory, virt, phys, level, flags);
        info::publish_space(&kernel.space);
        mapped
    });
    if mapped.is_ok() {
        info::trace_leaf(
            trace_kind::MAP,
            virt,
            phys.as_u64(),
            level.entry_size(),
            flags,
            caller,
        );
    }
    mapped
}

/// Unmaps what `virt` is mapped by; gives its size. Callers fill the reserve afterwards: what was
/// given back may be what it lacks.
#[unsafe(export_name = "unmap")]
#[inline(never)]
pub(crate) fn unmap(virt: VirtAddr) -> Result<u64, UnmapError> {
    let caller = return_address!();
    let unmapped = with(|kernel| {
        let unmapped = kernel.space.unmap(&mut kernel.memory, virt);
        info::publish_space(&kernel.space);
        unmapped
    });
    if let Ok(size) = unmapped {
        info::trace(trace_kind::UNMAP, virt.as_u64(), 0, size, caller);
    }
    unmapped
}

/// Gives the leaf that `virt` is mapped by these flags; gives its size.
#[unsafe(export_name = "protect")]
#[inline(never)]
pub(crate) fn protect(virt: VirtAddr, flags: LeafFlags) -> Result<u64, UnmapError> {
    let caller = return_address!();
    let changed = with(|kernel| kernel.space.protect(&mut kernel.memory, virt, flags));
    if let Ok(size) = changed {
        info::trace_leaf(trace_kind::PROTECT, virt, 0, size, flags, caller);
    }
    changed
}

/// Pages that kalloc may return and that the strategy makes no tables of: there are no more frames on
/// 2 MiB boundaries than RAM has 2 MiB.
const MAX_REJECTED: usize = (board::RAM.size() / Level::L1.entry_size()) as usize;

/// A page from [`kalloc`] that can become any table; those that cannot are freed again.
fn kalloc_for_table() -> Option<VirtAddr> {
    let mut rejected = [None; MAX_REJECTED];
    let mut places = rejected.iter_mut();
    let accepted = loop {
        let page = match kalloc() {
            0 => break None,
            page => VirtAddr::new(page as u64),
        };
        if with(|kernel| kernel.space.accepts(page)) {
            break Some(page);
        }
        match places.next() {
            Some(place) => *place = Some(page),
            None => break None,
        }
    };
    for page in rejected.into_iter().flatten() {
        kfree(page.as_u64() as usize);
    }
    accepted
}

/// Fills the reserve, by plain calls of [`kalloc`] of which each has returned before the next.
#[inline(never)]
pub(crate) fn refill() {
    while with(|kernel| kernel.space.wants_page(&mut kernel.memory)) {
        let Some(page) = kalloc_for_table() else {
            break;
        };
        with(|kernel| {
            if let Err(error) = kernel.space.stock(&mut kernel.memory, page) {
                println!("the reserve could not be filled: {error}");
            }
        });
    }
    with(|kernel| {
        kernel.space.settle();
        info::publish_space(&kernel.space);
    });
}

/// [`kalloc`], and [`refill`]. Inlined, so that kalloc's return address is its user's.
#[inline(always)]
pub(crate) fn alloc_page() -> Option<VirtAddr> {
    let page = kalloc();
    refill();
    (page != 0).then(|| VirtAddr::new(page as u64))
}

/// [`kfree`], and [`refill`]: what was freed may be what the reserve lacks.
#[inline(always)]
pub(crate) fn free_page(page: VirtAddr) -> bool {
    let freed = kfree(page.as_u64() as usize);
    refill();
    freed
}

/// [`map`] of a 4 KiB page, and [`refill`] after it.
#[inline(always)]
pub(crate) fn map_page(
    virt: VirtAddr,
    phys: PhysAddr,
    flags: LeafFlags,
) -> Result<MapReport, MapError> {
    map_leaf(virt, phys, Level::L0, flags)
}

/// [`map`], and [`refill`] after it.
#[inline(always)]
pub(crate) fn map_leaf(
    virt: VirtAddr,
    phys: PhysAddr,
    level: Level,
    flags: LeafFlags,
) -> Result<MapReport, MapError> {
    let mapped = map(virt, phys, level, flags);
    refill();
    mapped
}

/// [`unmap`], and [`refill`] after it.
#[inline(always)]
pub(crate) fn unmap_leaf(virt: VirtAddr) -> Result<u64, UnmapError> {
    let unmapped = unmap(virt);
    refill();
    unmapped
}

/// How `virt` is translated; never faults.
pub(crate) fn lookup(virt: VirtAddr) -> Translation {
    with(|kernel| kernel.space.lookup(&mut kernel.memory, virt))
}

/// [`lookup`]; `None` while the kernel's state is in use.
pub(crate) fn try_lookup(virt: VirtAddr) -> Option<Translation> {
    try_with(|kernel| kernel.space.lookup(&mut kernel.memory, virt))
}

/// What `virt` leads to, if it is mapped.
pub(crate) fn physical(virt: VirtAddr) -> Option<PhysAddr> {
    Some(lookup(virt).mapped()?.address)
}

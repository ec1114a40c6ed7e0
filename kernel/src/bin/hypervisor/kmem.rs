//! kalloc and kfree: the free list, for all harts.
//!
//! **For debuggers**, a binary interface: `kalloc` and `kfree` are symbols of functions that are never
//! inlined. kalloc gives a linear pointer. While nothing is freed, each call's page lies 4096 bytes below the
//! one before, and the heap counter rises by one.

use core::sync::atomic::{AtomicU64, Ordering};

use pagescope_kernel::hypervisor::kmem::{KallocError, Kmem, ListDamage, PageState};
use pagescope_kernel::lock::{SpinGuard, SpinLock};
use pagescope_kernel::memory::Memory as _;
use pagescope_kernel::program::{image, publish};
use pagescope_kernel::{println, publish, return_address};
use pagescope_protocol::info::{FREED_FILL, FRESH_FILL, TraceEvent, trace_kind};
use pagescope_protocol::{PAGE_SIZE, PhysPage, PhysRange, VirtAddr, VirtRange};

use crate::{cpu, entry, linear};

static KMEM: SpinLock<Kmem> = SpinLock::new(Kmem::empty());

/// The heap counter: pages handed out. It lies in RAM's last page, as in the pseudos layout, which is
/// reserved for it.
static COUNTER: AtomicU64 = AtomicU64::new(0);

/// The free list, for this hart alone.
pub(crate) fn lock() -> SpinGuard<'static, Kmem> {
    KMEM.lock(cpu::hart())
}

/// Who holds the lock.
pub(crate) fn holder() -> Option<u64> {
    KMEM.holder()
}

/// The image's frames.
pub(crate) fn image() -> PhysRange {
    let start = image::physical(&raw const entry::__text_start);
    let end = image::physical(&raw const entry::__bss_end);
    PhysRange::from_bounds(start, end).unwrap_or(linear::ram())
}

/// The page of the heap counter.
pub(crate) fn counter_page() -> PhysPage {
    let last = linear::ram().end().as_u64() - PAGE_SIZE;
    PhysPage::from_truncated(last / PAGE_SIZE)
}

/// The heap counter, as a linear pointer.
fn counter() -> VirtAddr {
    linear::pointer_to(counter_page()).wrapping_add(PAGE_SIZE - 8)
}

/// Frees all memory behind the image, on one hart alone (S2.5).
pub(crate) fn free_all() {
    let first = PhysPage::from_truncated(image().end().as_u64() / PAGE_SIZE);
    let (start, end) = (
        linear::pointer_to(first),
        linear::pointer_to(counter_page()),
    );
    let pages = VirtRange::from_bounds(start, end);
    let mut kmem = lock();
    COUNTER.store(counter().as_u64(), Ordering::Relaxed);
    if let Some(pages) = pages {
        kmem.free_all(&mut linear::memory(), pages);
    }
    publish_state(&kmem);
    let event = TraceEvent {
        kind: trace_kind::KFREE,
        address: start.as_u64(),
        size: kmem.pages().size(),
        caller: free_all as *const () as u64,
        ..TraceEvent::EMPTY
    };
    publish::trace(event);
}

/// Stores the heap counter, and what the inspector is told.
fn publish_state(kmem: &Kmem) {
    let counter = COUNTER.load(Ordering::Relaxed);
    linear::memory().store(VirtAddr::new(counter), kmem.handed_out());
    let next = linear::frame_at(kmem.next_untouched());
    publish!(
        heap_next = next.start().as_u64(),
        freed_pages = kmem.given_back(),
    );
}

/// Hands out a page: a linear pointer, or 0 where there is none. It is filled with [`FRESH_FILL`].
#[unsafe(no_mangle)]
#[inline(never)]
pub(crate) extern "C" fn kalloc() -> usize {
    let caller = return_address!();
    kalloc_called_from(caller)
}

#[inline(never)]
extern "C" fn kalloc_called_from(caller: u64) -> usize {
    let mut memory = linear::memory();
    let mut kmem = lock();
    let page = kmem.take(&memory);
    let number = kmem.handed_out();
    publish_state(&kmem);
    drop(kmem);
    match page {
        Ok(page) => {
            memory.fill_page(page, FRESH_FILL);
            trace(trace_kind::KALLOC, page, number, caller);
            page.as_u64() as usize
        }
        Err(KallocError::Empty) => 0,
        Err(error) => {
            println!("kalloc: {error}");
            0
        }
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
    let page = VirtAddr::new(address as u64);
    let mut memory = linear::memory();
    let retired = lock().retire(page);
    if let Err(error) = retired {
        println!("kfree: {error}");
        return false;
    }
    // Nobody's: neither its user's any more, nor anyone's who calls kalloc.
    memory.fill_page(page, FREED_FILL);
    let mut kmem = lock();
    kmem.link(&mut memory, page);
    publish_state(&kmem);
    drop(kmem);
    trace(trace_kind::KFREE, page, 0, caller);
    true
}

fn trace(kind: u64, page: VirtAddr, argument: u64, caller: u64) {
    publish::trace(TraceEvent {
        kind,
        address: page.as_u64(),
        argument,
        size: PAGE_SIZE,
        caller,
        ..TraceEvent::EMPTY
    });
}

/// A page from [`kalloc`].
#[inline(always)]
pub(crate) fn alloc_page() -> Option<VirtAddr> {
    let page = kalloc();
    (page != 0).then(|| VirtAddr::new(page as u64))
}

/// Whether `frame` is a page table of ours.
pub(crate) fn is_table(frame: PhysPage) -> bool {
    lock().state(linear::pointer_to(frame)) == PageState::Table
}

/// Pages in the list.
pub(crate) fn free_pages() -> u64 {
    lock().free()
}

/// Follows the list from end to end.
///
/// # Errors
/// [`ListDamage`].
pub(crate) fn audit() -> Result<(), ListDamage> {
    lock().audit(&linear::memory())
}

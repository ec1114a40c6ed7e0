//! The kernel heap: kalloc and kfree.
//!
//! ```text
//!  0x3fe?????   the heap begins, in the page of the shared data, with the heap counter
//!  0x3fe?????   the lowest page that kalloc may hand out
//!                 ▲ one page a call, from the top down
//!  0x47bff000   kalloc(0): the last page of RAM
//! ```
//!
//! Every frame that this kernel uses comes from here: pages of processes, and page tables, too. All of
//! it is mapped, writable, from the start.
//!
//! **For debuggers**, a binary interface: `kalloc` and `kfree` are symbols of functions that are never
//! inlined.

use core::sync::atomic::{AtomicBool, Ordering};

use pagescope_kernel::heap::{Heap, HeapLayout};
use pagescope_kernel::lock::SpinLock;
use pagescope_kernel::process::layout::HEAP_WINDOW;
use pagescope_kernel::process::tables::Frames;
use pagescope_kernel::program::publish;
use pagescope_kernel::{board, println, publish, return_address};
use pagescope_protocol::info::{FREED_FILL, FRESH_FILL, TraceEvent, trace_kind};
use pagescope_protocol::{PAGE_SIZE, PhysAddr, PhysPage, VirtAddr};

use crate::{entry, spaces};

static HEAP: SpinLock<Option<Heap>> = SpinLock::new(None);

/// Whether the heap is being changed.
static CHANGING: AtomicBool = AtomicBool::new(false);

/// A byte that is not 0 while the heap is being changed, for the debug channel.
pub(crate) const BUSY: *const AtomicBool = &raw const CHANGING;

/// Where the heap counter lies.
pub(crate) fn counter() -> VirtAddr {
    VirtAddr::new(entry::__heap_start.address())
}

/// Physical, what the kernel sees at `address` in its heap's window.
pub(crate) fn physical(address: VirtAddr) -> PhysAddr {
    let page = HEAP_WINDOW.frame_at(address.align_down(PAGE_SIZE));
    // Of a window nearly every address has a frame; outside, the answer is 0.
    let start = page.map_or(PhysAddr::new(0), PhysPage::start);
    start.wrapping_add(address.page_offset())
}

/// Sets the heap up, once, before anything is taken from it.
pub(crate) fn install() {
    let lowest = VirtAddr::new(entry::__upper_end.address());
    let last = board::RAM.end().as_u64() / PAGE_SIZE - 1;
    let layout = HeapLayout {
        top: PhysPage::from_truncated(last),
        bottom: PhysPage::from_truncated(physical(lowest).as_u64() / PAGE_SIZE),
        window: HEAP_WINDOW,
        counter: counter(),
        passed_over: None,
    };
    *HEAP.lock(0) = Some(Heap::new(layout));
    // What lies in RAM there is nobody's yet.
    use pagescope_kernel::memory::Memory as _;
    spaces::memory().store(counter(), 0);
}

/// Runs `use_it` on the heap; `None` before [`install`].
pub(crate) fn with<R>(use_it: impl FnOnce(&mut Heap) -> R) -> Option<R> {
    // For as long as the lock is held, and a moment more: who stops the hart now must not call kalloc.
    CHANGING.store(true, Ordering::SeqCst);
    let result = HEAP.lock(0).as_mut().map(use_it);
    CHANGING.store(false, Ordering::SeqCst);
    result
}

/// Pages that are handed out: the heap counter.
pub(crate) fn handed_out() -> u64 {
    with(|heap| heap.handed_out()).unwrap_or(0)
}

/// Publishes how far the heap has come.
pub(crate) fn publish_state(heap: &Heap) {
    let bottom = heap.layout().bottom.number();
    let next = heap.next_untouched();
    // With nothing left, the page below the bottom: no page comes next.
    let next = next.map_or(bottom - 1, PhysPage::number);
    publish!(heap_next = next * PAGE_SIZE, freed_pages = heap.freed());
}

/// Hands out a page: its address in the kernel heap, or 0 where there is none. It is filled with
/// [`FRESH_FILL`].
#[unsafe(no_mangle)]
#[inline(never)]
pub(crate) extern "C" fn kalloc() -> usize {
    let caller = return_address!();
    kalloc_called_from(caller)
}

#[inline(never)]
extern "C" fn kalloc_called_from(caller: u64) -> usize {
    use pagescope_kernel::memory::Memory as _;
    let memory = &mut spaces::memory();
    let taken = with(|heap| {
        let page = heap.take(memory)?;
        publish_state(heap);
        Some((HEAP_WINDOW.address_of(page), heap.handed_out()))
    });
    let Some((address, counter)) = taken.flatten() else {
        return 0;
    };
    memory.fill_page(address, FRESH_FILL);
    publish::trace(TraceEvent {
        kind: trace_kind::KALLOC,
        address: address.as_u64(),
        argument: counter,
        size: PAGE_SIZE,
        caller,
        ..TraceEvent::EMPTY
    });
    address.as_u64() as usize
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
    let freed = with(|heap| {
        let freed = heap.give_back(&mut spaces::memory(), address, FREED_FILL);
        publish_state(heap);
        freed
    });
    match freed {
        Some(Ok(_)) => publish::trace(TraceEvent {
            kind: trace_kind::KFREE,
            address: address.as_u64(),
            size: PAGE_SIZE,
            caller,
            ..TraceEvent::EMPTY
        }),
        Some(Err(error)) => println!("kfree: {error}"),
        None => {}
    }
    matches!(freed, Some(Ok(_)))
}

/// Frames from [`kalloc`], for tables and processes.
pub(crate) struct HeapFrames;

impl Frames for HeapFrames {
    fn take(&mut self) -> Option<PhysPage> {
        match kalloc() {
            0 => None,
            address => HEAP_WINDOW.frame_at(VirtAddr::new(address as u64)),
        }
    }

    fn give_back(&mut self, frame: PhysPage) {
        kfree(HEAP_WINDOW.address_of(frame).as_u64() as usize);
    }
}

/// Whether the heap is being changed.
pub(crate) fn is_busy() -> bool {
    CHANGING.load(Ordering::Relaxed)
}

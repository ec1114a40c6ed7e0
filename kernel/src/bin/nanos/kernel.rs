//! The kernel's heaps and tables: kalloc, kfree, and what callers of theirs need.
//!
//! **For debuggers**, a binary interface: `kalloc` and `kfree` are symbols of functions that are never
//! inlined. Whoever stops at kalloc's first instruction and then at its return address sees a page that is
//! mapped, and the heap counter risen by one; by more where the pool of tables was filled up.
//!
//! **For the inspector**: every allocation of address space is a region, and every `map_range`, `unmap_range`,
//! kalloc and kfree an event with its caller.

use core::sync::atomic::{AtomicU64, Ordering};

use pagescope_kernel::arch::live::LiveMemory;
use pagescope_kernel::lock::SpinLock;
use pagescope_kernel::nanos::kernel_heaps::{Call, Event, HeapError, KernelHeaps, Watch};
use pagescope_kernel::nanos::tracking::Label;
use pagescope_kernel::program::{hart, image, publish};
use pagescope_kernel::{println, publish, return_address};
use pagescope_protocol::info::{TraceEvent, trace_kind};
use pagescope_protocol::translate::Translation;
use pagescope_protocol::{PAGE_SIZE, PhysAddr, VirtAddr};

use crate::{debug, stage2};

/// The heaps, after stage 2 has made them.
static HEAPS: SpinLock<Option<KernelHeaps<'static>>> = SpinLock::new(None);

/// How many pages `physical` has handed out. The inspector reads it.
static HEAP_COUNTER: AtomicU64 = AtomicU64::new(0);

/// The id of the one address space, for events; 0 before it is published.
static SPACE: AtomicU64 = AtomicU64::new(0);

/// Calls of `map_range`.
static MAP_CALLS: AtomicU64 = AtomicU64::new(0);

/// Where the heap counter lies.
pub(crate) fn heap_counter_address() -> PhysAddr {
    image::physical(&raw const HEAP_COUNTER)
}

/// How many pages `physical` has handed out.
pub(crate) fn heap_counter() -> u64 {
    HEAP_COUNTER.load(Ordering::Relaxed)
}

/// Events are about this space from now on.
pub(crate) fn set_space(id: u64) {
    SPACE.store(id, Ordering::Relaxed);
}

/// The id of the one address space.
pub(crate) fn space() -> u64 {
    SPACE.load(Ordering::Relaxed)
}

/// The heaps are there from now on.
pub(crate) fn install(heaps: KernelHeaps<'static>) {
    publish_heaps(&heaps);
    *HEAPS.lock(hart()) = Some(heaps);
    debug::IS_BUSY.store(false, Ordering::SeqCst);
}

/// Tells the inspector what the heaps do.
#[derive(Debug)]
pub(crate) struct Publisher;

impl Watch for Publisher {
    fn saw(&mut self, event: Event<'_>, caller: u64) {
        let space = space();
        let about = |kind, address: u64, size| TraceEvent {
            kind,
            address,
            size,
            caller,
            space,
            ..TraceEvent::EMPTY
        };
        publish::trace(match event {
            Event::Reserved(record) => {
                publish::add_region(record.region());
                about(trace_kind::RESERVE, record.start, record.size)
            }
            Event::Released(record) => {
                let gone = record.region();
                publish::remove_regions(|region| *region == gone);
                about(trace_kind::RELEASE, record.start, record.size)
            }
            Event::Mapped(virt, phys, size, flags) => {
                MAP_CALLS.fetch_add(1, Ordering::Relaxed);
                TraceEvent {
                    argument: phys.as_u64(),
                    flags: flags.bits().into(),
                    ..about(trace_kind::MAP, virt.as_u64(), size)
                }
            }
            Event::Unmapped(virt, size) => about(trace_kind::UNMAP, virt.as_u64(), size),
        });
    }
}

/// What the heaps are called with.
pub(crate) type KernelCall<'c> = Call<'c, LiveMemory, Publisher>;

/// Runs `work` with the heaps, for whoever called from `caller`.
pub(crate) fn with<R>(
    caller: u64,
    work: impl FnOnce(&mut KernelHeaps<'static>, &mut KernelCall<'_>) -> R,
) -> R {
    // For as long as the lock is held, and a moment more on either side: who stops the hart now must not
    // call kalloc.
    debug::IS_BUSY.store(true, Ordering::SeqCst);
    let result = with_locked(caller, work);
    debug::IS_BUSY.store(false, Ordering::SeqCst);
    result
}

fn with_locked<R>(
    caller: u64,
    work: impl FnOnce(&mut KernelHeaps<'static>, &mut KernelCall<'_>) -> R,
) -> R {
    let mut guard = HEAPS.lock(hart());
    let Some(heaps) = guard.as_mut() else {
        panic!("there are no heaps yet");
    };
    // SAFETY: tables, and memory that is handed out, are the heaps' and their users'; the lock is held.
    let mut memory = unsafe { LiveMemory::new() };
    let mut call = Call {
        memory: &mut memory,
        watch: &mut Publisher,
        caller,
    };
    let result = work(heaps, &mut call);
    publish_heaps(heaps);
    result
}

/// Looks at the heaps.
pub(crate) fn look<R>(look: impl FnOnce(&KernelHeaps<'static>, &LiveMemory) -> R) -> R {
    with(0, |heaps, call| look(heaps, call.memory))
}

/// Whether heaps and tables are being changed.
pub(crate) fn is_busy() -> bool {
    debug::IS_BUSY.load(Ordering::Relaxed)
}

/// How `virt` is translated, without ever faulting; `None` while the tables are being changed.
pub(crate) fn try_lookup(virt: VirtAddr) -> Option<Translation> {
    let guard = HEAPS.try_lock(hart())?;
    let heaps = guard.as_ref()?;
    // SAFETY: nothing is stored.
    let memory = unsafe { LiveMemory::new() };
    Some(heaps.tables().lookup(&memory, virt))
}

/// How `virt` is translated; never faults.
pub(crate) fn lookup(virt: VirtAddr) -> Translation {
    look(|heaps, memory| heaps.tables().lookup(memory, virt))
}

/// The physical address that `virt` is mapped to, if it is (S4.13).
pub(crate) fn physical_from_virtual(virt: VirtAddr) -> Option<PhysAddr> {
    look(|heaps, memory| heaps.tables().physical_from_virtual(memory, virt))
}

/// Hands out one mapped page and gives its address; 0 where there is none.
#[unsafe(no_mangle)]
#[inline(never)]
pub(crate) extern "C" fn kalloc() -> usize {
    let caller = return_address!();
    kalloc_called_from(caller)
}

#[inline(never)]
extern "C" fn kalloc_called_from(caller: u64) -> usize {
    try_kalloc(caller).map_or(0, |page| page.as_u64() as usize)
}

/// Hands out one mapped page, as [`kalloc`] does, for whoever called from `caller`.
///
/// # Errors
/// Why there is none.
pub(crate) fn try_kalloc(caller: u64) -> Result<VirtAddr, HeapError> {
    let page = with(caller, |heaps, call| heaps.kalloc(call))?;
    trace(trace_kind::KALLOC, page.as_u64(), heap_counter(), caller);
    Ok(page)
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
    match with(caller, |heaps, call| heaps.kfree(call, page)) {
        Ok(()) => trace(trace_kind::KFREE, page.as_u64(), heap_counter(), caller),
        Err(error) => {
            println!("kfree: {error}");
            return false;
        }
    }
    true
}

/// Hands out memory of the backed heap's.
#[inline(never)]
pub(crate) fn alloc_backed(size_bytes: u64, label: Label<'_>) -> Result<VirtAddr, HeapError> {
    let caller = return_address!();
    with(caller, |heaps, call| {
        heaps.alloc_backed(call, size_bytes, label)
    })
}

/// Takes memory of the backed heap's back.
#[inline(never)]
pub(crate) fn free_backed(start: VirtAddr) -> Result<(), HeapError> {
    let caller = return_address!();
    with(caller, |heaps, call| heaps.free_backed(call, start))
}

/// Hands out address space, with nothing mapped there.
#[inline(never)]
pub(crate) fn alloc_virtual(size_bytes: u64, label: Label<'_>) -> Result<VirtAddr, HeapError> {
    let caller = return_address!();
    with(caller, |heaps, call| {
        heaps.alloc_virtual(call, size_bytes, label)
    })
}

/// Takes address space back.
#[inline(never)]
pub(crate) fn free_virtual(start: VirtAddr) -> Result<(), HeapError> {
    let caller = return_address!();
    with(caller, |heaps, call| heaps.free_virtual(call, start))
}

fn trace(kind: u64, address: u64, counter: u64, caller: u64) {
    publish::trace(TraceEvent {
        kind,
        address,
        argument: counter,
        size: PAGE_SIZE,
        caller,
        space: space(),
        ..TraceEvent::EMPTY
    });
}

/// Fills in how far the heaps have come. `physical` keeps no list of what was freed: its next page is the highest that
/// is free, whether it was handed out before or not, and so none waits above it.
fn publish_heaps(heaps: &KernelHeaps<'_>) {
    let physical = heaps.physical();
    HEAP_COUNTER.store(physical.used_units(), Ordering::Relaxed);
    let top = physical.ranges().map(|(start, size)| start + size).max();
    let bottom = stage2::hand_off().heap_bottom;
    publish!(
        heap_top = top.unwrap_or(bottom) - PAGE_SIZE,
        // With nothing left, the page below the bottom: no page comes next.
        heap_next = physical.next(PAGE_SIZE).unwrap_or(bottom - PAGE_SIZE),
        freed_pages = 0,
        reserve = heaps.tables().pool().free(),
        map_calls = MAP_CALLS.load(Ordering::Relaxed),
    );
}

//! The information block and the trace: what the inspector reads. See
//! [`pagescope_protocol::info`] for the interface.

use core::cell::UnsafeCell;

use pagescope_kernel::board;
use pagescope_kernel::handoff::HandOff;
use pagescope_kernel::self_map::SelfMap;
use pagescope_kernel::space::Space;
use pagescope_protocol::info::{InfoBlock, Region, TraceEvent, name, region_kind, region_space};
use pagescope_protocol::{PAGE_SIZE, PhysRange};

use crate::entry;

/// Something that is written here and read by others, while the program does not look.
#[repr(transparent)]
pub(crate) struct Published<T>(UnsafeCell<T>);

// SAFETY: written by hart 0 alone, whole words at a time, through volatile stores.
unsafe impl<T> Sync for Published<T> {}

impl<T> Published<T> {
    const fn new(value: T) -> Self {
        Self(UnsafeCell::new(value))
    }

    const fn get(&self) -> *mut T {
        self.0.get()
    }
}

/// The block. Its symbol is part of the interface, and it lies in .data.
#[unsafe(no_mangle)]
pub(crate) static PAGESCOPE_INFO: Published<InfoBlock> = Published::new(InfoBlock::EMPTY);

/// Regions at most: the last one is the tables' own, where the strategy has one.
const REGIONS: usize = 12;

const NO_REGION: Region = Region {
    address: 0,
    size: 0,
    space: 0,
    kind: 0,
    name: [0; 24],
};

static REGION_TABLE: Published<[Region; REGIONS]> = Published::new([NO_REGION; REGIONS]);

/// Events that the ring keeps.
const TRACE_CAPACITY: usize = 1024;

const NO_EVENT: TraceEvent = TraceEvent {
    sequence: 0,
    kind: 0,
    address: 0,
    argument: 0,
    caller: 0,
    hart: 0,
};

static TRACE: Published<[TraceEvent; TRACE_CAPACITY]> = Published::new([NO_EVENT; TRACE_CAPACITY]);

/// Stores to fields of the block, as whoever looks from outside sees them.
macro_rules! publish {
    ($($field:ident = $value:expr),+ $(,)?) => {
        // SAFETY: the block is a static; hart 0 alone writes these fields.
        unsafe {
            let block = PAGESCOPE_INFO.get();
            $((&raw mut (*block).$field).write_volatile($value);)+
        }
    };
}

/// Fills in what does not change.
pub(crate) fn publish_facts(hand_off: &HandOff, self_map: &dyn SelfMap) {
    let fixed = regions(hand_off.heap_bottom);
    let mut regions = [NO_REGION; REGIONS];
    regions[..fixed.len()].copy_from_slice(&fixed);
    let mut region_count = fixed.len();
    if let Some(windows) = self_map.region() {
        regions[region_count] = Region {
            address: windows.start().as_u64(),
            size: windows.size(),
            space: region_space::VIRTUAL,
            kind: region_kind::TABLES,
            name: name("table windows"),
        };
        region_count += 1;
    }
    // SAFETY: a static of ours, not yet announced.
    unsafe { REGION_TABLE.get().write_volatile(regions) };
    publish!(
        layout = name(entry::LAYOUT),
        strategy = hand_off.strategy,
        ram_start = board::RAM.start().as_u64(),
        ram_size = board::RAM.size(),
        heap_counter = board::HEAP_COUNTER.as_u64(),
        heap_top = board::HEAP_TOP.start().as_u64(),
        heap_bottom = hand_off.heap_bottom,
        regions = REGION_TABLE.get() as u64,
        region_count = region_count as u64,
        trace = TRACE.get() as u64,
        trace_capacity = TRACE_CAPACITY as u64,
    );
}

/// Fills in how far heap and reserve have come.
pub(crate) fn publish_space(space: &Space) {
    let heap = space.heap();
    let bottom = heap.layout().bottom.number();
    // With nothing left, the page below the bottom: no page comes next.
    let next = heap
        .next_untouched()
        .map_or(bottom - 1, |page| page.number());
    publish!(
        heap_next = next * PAGE_SIZE,
        freed_pages = heap.freed(),
        reserve = space.reserve() as u64,
        reserve_low = space.reserve_lowest() as u64,
        reserve_mark = space.self_map().reserve_mark() as u64,
        map_calls = space.map_calls(),
    );
}

/// Notes how deep kalloc has ever been inside itself.
pub(crate) fn publish_depth(depth: u64) {
    if depth > read().kalloc_depth_max {
        publish!(kalloc_depth_max = depth);
    }
}

/// The block as it is now, with what the machine program has counted.
pub(crate) fn read() -> InfoBlock {
    // SAFETY: a static that is always initialised; volatile, for M-mode counts in it.
    unsafe { PAGESCOPE_INFO.get().read_volatile() }
}

/// The regions that were published.
pub(crate) fn published_regions() -> impl Iterator<Item = Region> {
    // SAFETY: as in `read`.
    let regions = unsafe { REGION_TABLE.get().read_volatile() };
    regions.into_iter().take(read().region_count as usize)
}

/// Adds an event to the ring.
pub(crate) fn trace(kind: u64, address: u64, argument: u64, caller: u64) {
    let sequence = read().trace_count;
    let event = TraceEvent {
        sequence,
        kind,
        address,
        argument,
        caller,
        hart: 0,
    };
    let slot = sequence as usize % TRACE_CAPACITY;
    // SAFETY: the slot lies in the array; only hart 0 writes to it.
    unsafe {
        TRACE
            .get()
            .cast::<TraceEvent>()
            .add(slot)
            .write_volatile(event)
    };
    publish!(trace_count = sequence + 1);
}

fn regions(heap_bottom: u64) -> [Region; REGIONS - 1] {
    let region = |address, size, kind, text| Region {
        address,
        size,
        space: region_space::PHYSICAL,
        kind,
        name: name(text),
    };
    let between = |start: &'static entry::Symbol, end: &'static entry::Symbol, kind, text| {
        region(start.address(), end.address() - start.address(), kind, text)
    };
    let at =
        |range: PhysRange, kind, text| region(range.start().as_u64(), range.size(), kind, text);
    let counter_page = board::HEAP_COUNTER_PAGE.start().as_u64();
    [
        at(board::UART0, region_kind::DEVICE, "UART0"),
        at(board::PCI_ECAM, region_kind::DEVICE, "PCI ECAM"),
        at(board::MACHINE_RAM, region_kind::MACHINE, "machine program"),
        between(
            &entry::__text_start,
            &entry::__text_end,
            region_kind::TEXT,
            ".text",
        ),
        between(
            &entry::__rodata_start,
            &entry::__rodata_end,
            region_kind::RODATA,
            ".rodata",
        ),
        between(
            &entry::__data_start,
            &entry::__data_end,
            region_kind::DATA,
            ".data",
        ),
        between(
            &entry::__bss_start,
            &entry::__bss_end,
            region_kind::DATA,
            ".bss",
        ),
        between(
            &entry::__guard_start,
            &entry::__guard_end,
            region_kind::GUARD,
            "guard",
        ),
        between(
            &entry::__stack_start,
            &entry::__stack_end,
            region_kind::STACK,
            "stack",
        ),
        region(
            heap_bottom,
            counter_page - heap_bottom,
            region_kind::HEAP,
            "heap",
        ),
        region(
            counter_page,
            PAGE_SIZE,
            region_kind::HEAP_COUNTER,
            "heap counter",
        ),
    ]
}

//! What the inspector reads: the information block, the tables of regions and spaces, the trace. See
//! [`pagescope_protocol::info`] for the interface.
//!
//! All harts publish. Regions and spaces are changed under a lock, and [`InfoBlock::changing`] says so
//! to whoever stops the machine in the middle; an event takes its place in the ring by counting, and
//! its sequence is stored last, so that a half-written one is known.

use core::cell::UnsafeCell;
use core::sync::atomic::{AtomicU64, Ordering};

use pagescope_protocol::info::{
    EVERY_SPACE, InfoBlock, Region, SpaceRecord, TraceEvent, name, region_space,
};
use pagescope_protocol::{PhysAddr, VirtAddr};

use super::{hart, image};
use crate::arch;
use crate::board;
use crate::lock::{SpinGuard, SpinLock};

/// Something that is written here and read from outside, while the program does not look.
#[repr(transparent)]
#[derive(Debug)]
pub struct Published<T>(UnsafeCell<T>);

// SAFETY: written whole words at a time, through volatile or atomic stores.
unsafe impl<T> Sync for Published<T> {}

impl<T> Published<T> {
    const fn new(value: T) -> Self {
        Self(UnsafeCell::new(value))
    }

    /// Where it lies.
    pub const fn get(&self) -> *mut T {
        self.0.get()
    }
}

/// The block. Its symbol is part of the interface, and it lies in .data.
#[unsafe(no_mangle)]
#[unsafe(link_section = ".data.info")]
pub static PAGESCOPE_INFO: Published<InfoBlock> = Published::new(InfoBlock::EMPTY);

/// Regions at most.
const REGIONS: usize = 512;
/// Spaces at most.
const SPACES: usize = 64;
/// Events that the ring keeps.
const TRACE_CAPACITY: usize = 2048;

static REGION_TABLE: Published<[Region; REGIONS]> = Published::new([Region::EMPTY; REGIONS]);
static SPACE_TABLE: Published<[SpaceRecord; SPACES]> = Published::new([SpaceRecord::EMPTY; SPACES]);
static TRACE: Published<[TraceEvent; TRACE_CAPACITY]> =
    Published::new([TraceEvent::EMPTY; TRACE_CAPACITY]);

/// How many of each there are.
struct Counts {
    regions: usize,
    spaces: usize,
    next_space: u64,
}

static COUNTS: SpinLock<Counts> = SpinLock::new(Counts {
    regions: 0,
    spaces: 0,
    next_space: 1,
});

/// Stores to fields of the block, as whoever looks from outside sees them.
#[macro_export]
macro_rules! publish {
    ($($field:ident = $value:expr),+ $(,)?) => {{
        $(let $field = $value;)+
        // SAFETY: the block is a static; a field is written whole, by whoever owns its meaning.
        unsafe {
            let block = $crate::program::publish::PAGESCOPE_INFO.get();
            $((&raw mut (*block).$field).write_volatile($field);)+
        }
    }};
}

/// What does not change while the program runs.
#[derive(Clone, Copy, Debug)]
pub struct Facts<'a> {
    /// The layout's name.
    pub layout: &'a str,
    /// How tables are reached: `pool`, `linear map`.
    pub strategy: &'a str,
    /// The heap counter's physical address.
    pub heap_counter: u64,
    /// The first byte of the highest page that kalloc may return.
    pub heap_top: u64,
    /// The first byte of the lowest one.
    pub heap_bottom: u64,
}

/// Publishes facts, and where the tables are. To be called after [`image::set_offset`].
pub fn facts(facts: Facts<'_>) {
    publish!(
        layout = name(facts.layout),
        strategy = name(facts.strategy),
        ram_start = board::RAM.start().as_u64(),
        ram_size = board::RAM.size(),
        heap_counter = facts.heap_counter,
        heap_top = facts.heap_top,
        heap_bottom = facts.heap_bottom,
        regions = image::physical(REGION_TABLE.get()).as_u64(),
        spaces = image::physical(SPACE_TABLE.get()).as_u64(),
        trace = image::physical(TRACE.get()).as_u64(),
        trace_capacity = TRACE_CAPACITY as u64,
    );
}

/// The block as it is now, with what the machine program has counted.
pub fn read() -> InfoBlock {
    // SAFETY: a static that is always initialised; volatile, for M-mode counts in it.
    unsafe { PAGESCOPE_INFO.get().read_volatile() }
}

/// Counts the harts that change regions or spaces.
fn changing() -> &'static AtomicU64 {
    // SAFETY: a static, aligned, and only ever used atomically.
    unsafe { AtomicU64::from_ptr(&raw mut (*PAGESCOPE_INFO.get()).changing) }
}

/// Runs `change` on the tables, alone.
fn change<R>(change: impl FnOnce(&mut Counts) -> R) -> R {
    let mut counts = COUNTS.lock(hart());
    changing().fetch_add(1, Ordering::SeqCst);
    let result = change(&mut counts);
    publish!(
        region_count = counts.regions as u64,
        space_count = counts.spaces as u64,
    );
    changing().fetch_sub(1, Ordering::SeqCst);
    result
}

fn region_at(index: usize) -> *mut Region {
    // SAFETY: every caller's index is below the count, and so inside the array.
    unsafe { REGION_TABLE.get().cast::<Region>().add(index) }
}

fn space_at(index: usize) -> *mut SpaceRecord {
    // SAFETY: as above.
    unsafe { SPACE_TABLE.get().cast::<SpaceRecord>().add(index) }
}

/// Names a region; `false` where the table is full.
pub fn add_region(region: Region) -> bool {
    change(|counts| {
        if counts.regions == REGIONS {
            return false;
        }
        // SAFETY: below the capacity; the lock is held.
        unsafe { region_at(counts.regions).write_volatile(region) };
        counts.regions += 1;
        true
    })
}

/// Changes the regions that `select` picks; gives how many.
pub fn change_regions(select: impl Fn(&Region) -> bool, edit: impl Fn(&mut Region)) -> usize {
    change(|counts| {
        let mut changed = 0;
        for index in 0..counts.regions {
            // SAFETY: below the count; the lock is held.
            let mut region = unsafe { region_at(index).read_volatile() };
            if select(&region) {
                edit(&mut region);
                // SAFETY: as above.
                unsafe { region_at(index).write_volatile(region) };
                changed += 1;
            }
        }
        changed
    })
}

/// Forgets the regions that `select` picks; gives how many. The others keep their order.
pub fn remove_regions(select: impl Fn(&Region) -> bool) -> usize {
    change(|counts| {
        let mut kept = 0;
        for index in 0..counts.regions {
            // SAFETY: below the count; the lock is held; what is kept moves to a lower place.
            unsafe {
                let region = region_at(index).read_volatile();
                if !select(&region) {
                    if kept != index {
                        region_at(kept).write_volatile(region);
                    }
                    kept += 1;
                }
            }
        }
        let removed = counts.regions - kept;
        counts.regions = kept;
        removed
    })
}

/// The regions that there are, one by one: `None` after the last.
pub fn region(index: usize) -> Option<Region> {
    let counts = COUNTS.lock(hart());
    // SAFETY: below the count; the lock is held.
    (index < counts.regions).then(|| unsafe { region_at(index).read_volatile() })
}

/// The regions that there are. One that comes or goes meanwhile may be missed.
pub fn regions() -> impl Iterator<Item = Region> {
    (0..).map_while(region)
}

/// How often whoever reports a fault asks for the lock.
const ATTEMPTS: usize = 10_000;

/// What there is, for whoever reports a fault, and so must not wait for long: the lock may be held by the very
/// code that faulted, or by a hart that has stopped.
struct AtFault {
    regions: usize,
    spaces: usize,
    /// Without it a change may be half made: then entries are missed, or found where they were.
    _lock: Option<SpinGuard<'static, Counts>>,
}

impl AtFault {
    fn look() -> Self {
        let lock = (0..ATTEMPTS).find_map(|_| COUNTS.try_lock(hart()));
        // What was published last: so many entries there are, whatever happens to them.
        let block = read();
        Self {
            regions: REGIONS.min(block.region_count as usize),
            spaces: SPACES.min(block.space_count as usize),
            _lock: lock,
        }
    }

    fn regions(&self) -> impl Iterator<Item = Region> {
        // SAFETY: below the count, which is no more than the capacity; any bytes are a region.
        (0..self.regions).map(|index| unsafe { region_at(index).read_volatile() })
    }

    fn spaces(&self) -> impl Iterator<Item = SpaceRecord> {
        // SAFETY: as above.
        (0..self.spaces).map(|index| unsafe { space_at(index).read_volatile() })
    }
}

/// The id of the space with this satp, for whoever reports a fault.
pub fn space_of(satp: u64) -> Option<u64> {
    let all = AtFault::look();
    let found = all.spaces().find(|space| space.satp == satp);
    found.map(|space| space.id)
}

/// The region that says most about an address of the space `space`: the smallest virtual one that has
/// it, or else the smallest physical one that has what it is mapped to. Waits for nobody: a fault can come
/// while regions are being changed.
pub fn region_of(virt: VirtAddr, phys: Option<PhysAddr>, space: u64) -> Option<Region> {
    let counts = |region: &Region| region.owner == EVERY_SPACE || region.owner == space;
    let holds = |region: &Region, address: u64| {
        // A region may end where the address space does.
        address
            .checked_sub(region.address)
            .is_some_and(|offset| offset < region.size)
    };
    let all = AtFault::look();
    let smallest = |kind: u64, address: u64| {
        all.regions()
            .filter(|region| region.space == kind && counts(region) && holds(region, address))
            .min_by_key(|region| region.size)
    };
    smallest(region_space::VIRTUAL, virt.as_u64())
        .or_else(|| smallest(region_space::PHYSICAL, phys?.as_u64()))
}

/// Names a space, whose id is given; `None` where the table is full. `record.id` does not matter.
pub fn add_space(record: SpaceRecord) -> Option<u64> {
    change(|counts| {
        if counts.spaces == SPACES {
            return None;
        }
        let id = counts.next_space;
        counts.next_space += 1;
        // SAFETY: below the capacity; the lock is held.
        unsafe { space_at(counts.spaces).write_volatile(SpaceRecord { id, ..record }) };
        counts.spaces += 1;
        Some(id)
    })
}

/// Forgets a space; the others keep their order.
pub fn remove_space(id: u64) {
    change(|counts| {
        let mut kept = 0;
        for index in 0..counts.spaces {
            // SAFETY: below the count; the lock is held; what is kept moves to a lower place.
            unsafe {
                let record = space_at(index).read_volatile();
                if record.id != id {
                    if kept != index {
                        space_at(kept).write_volatile(record);
                    }
                    kept += 1;
                }
            }
        }
        counts.spaces = kept;
    });
}

/// The spaces that there are. One that comes or goes meanwhile may be missed.
pub fn spaces() -> impl Iterator<Item = SpaceRecord> {
    (0..).map_while(|index| {
        let counts = COUNTS.lock(hart());
        // SAFETY: below the count; the lock is held.
        (index < counts.spaces).then(|| unsafe { space_at(index).read_volatile() })
    })
}

/// Adds an event to the ring. Its sequence, its hart and its time are filled in here.
pub fn trace(event: TraceEvent) {
    // SAFETY: a static, aligned, and only ever changed atomically.
    let count = unsafe { AtomicU64::from_ptr(&raw mut (*PAGESCOPE_INFO.get()).trace_count) };
    let sequence = count.fetch_add(1, Ordering::Relaxed);
    let slot = sequence as usize % TRACE_CAPACITY;
    let event = TraceEvent {
        sequence: u64::MAX,
        hart: hart(),
        time: arch::time(),
        ..event
    };
    // SAFETY: the slot lies in the array. Were a hart so slow that the ring comes round meanwhile, an
    // event would be mixed up, and its sequence would say so for all but the last of them.
    unsafe {
        let place = TRACE.get().cast::<TraceEvent>().add(slot);
        place.write_volatile(event);
        AtomicU64::from_ptr(&raw mut (*place).sequence).store(sequence, Ordering::Release);
    }
}

/// What was traced last, newest first, as far as it is still kept.
pub fn traced() -> impl Iterator<Item = TraceEvent> {
    let count = read().trace_count;
    let oldest = count.saturating_sub(TRACE_CAPACITY as u64);
    (oldest..count).rev().filter_map(|sequence| {
        let slot = sequence as usize % TRACE_CAPACITY;
        // SAFETY: the slot lies in the array.
        let event = unsafe { TRACE.get().cast::<TraceEvent>().add(slot).read_volatile() };
        (event.sequence == sequence).then_some(event)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A report of a fault is not lost where a lock is held.
    #[test]
    fn a_fault_in_the_middle_of_a_change_is_in_a_region_all_the_same() {
        let added = Region {
            address: 0x5000,
            size: 0x1000,
            space: region_space::VIRTUAL,
            name: name("guard"),
            ..Region::EMPTY
        };
        assert!(add_region(added));
        let id = add_space(SpaceRecord {
            satp: 77,
            ..SpaceRecord::EMPTY
        });
        let held = COUNTS.lock(hart());
        let found = region_of(VirtAddr::new(0x5fff), None, EVERY_SPACE);
        assert_eq!(found.map(|region| region.name), Some(added.name));
        assert_eq!(region_of(VirtAddr::new(0x6000), None, EVERY_SPACE), None);
        assert_eq!(space_of(77), id);
        drop(held);
        assert!(id.is_some());
    }
}

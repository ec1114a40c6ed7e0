//! All heaps together, on the model of the machine.

use std::boxed::Box;
use std::collections::BTreeMap;
use std::vec::Vec;

use pagescope_protocol::info::{FRESH_FILL, region_kind};
use pagescope_protocol::{LeafFlags, Level, PAGE_SIZE, PhysAddr, PhysRange, VirtAddr, VirtRange};
use proptest::prelude::*;

use crate::memory::Memory as _;
use crate::model::Machine;
use crate::nanos::general::GeneralError;
use crate::nanos::id_heap::IdError;
use crate::nanos::kernel_heaps::{
    Call, Event, HUGE, HeapError, KernelHeaps, Storage, USER_HEAP_START, Watch,
};
use crate::nanos::stress::{Done, Heap, Item, Stress};
use crate::nanos::tables::UnmapError;
use crate::nanos::tracking::{Label, Record, Tag};

/// Free RAM in these tests.
const FREE: (u64, u64) = (0x8040_0000, 0x87f0_0000);

/// Keeps what the heaps say: what is mapped, and what is reserved.
#[derive(Default)]
pub(super) struct Events {
    pub(super) mapped: BTreeMap<u64, (u64, u64)>,
    reserved: Vec<Record>,
    callers: Vec<u64>,
}

impl Watch for Events {
    fn saw(&mut self, event: Event<'_>, caller: u64) {
        self.callers.push(caller);
        match event {
            Event::Reserved(record) => self.reserved.push(*record),
            Event::Released(record) => {
                let place = self.reserved.iter().position(|other| other == record);
                self.reserved.remove(place.expect("it was reserved"));
            }
            Event::Mapped(virt, phys, size, _) => {
                let before = self.mapped.insert(virt.as_u64(), (phys.as_u64(), size));
                assert_eq!(before, None);
            }
            Event::Unmapped(virt, size) => {
                let (_, mapped) = self.mapped.remove(&virt.as_u64()).expect("it was mapped");
                assert_eq!(mapped, size);
            }
        }
    }
}

/// The heaps after the switch to their tables.
pub(super) struct World {
    pub(super) machine: Machine,
    pub(super) events: Events,
    pub(super) heaps: KernelHeaps<'static>,
}

impl World {
    pub(super) fn new() -> Self {
        let mut machine = Machine::new();
        let mut events = Events::default();
        // As large as the heaps' accounts: not a thing for a test's stack.
        let storage: Box<Storage> = {
            let layout = std::alloc::Layout::new::<Storage>();
            // SAFETY: all zeros is `Storage::EMPTY`, as the kernel's .bss has it too.
            unsafe { Box::from_raw(std::alloc::alloc_zeroed(layout).cast()) }
        };
        let (start, end) = (PhysAddr::new(FREE.0), PhysAddr::new(FREE.1));
        let free = PhysRange::from_bounds(start, end).unwrap();
        let mut call = Call {
            memory: &mut machine,
            watch: &mut events,
            caller: 0x7f00_0000,
        };
        let mut heaps = KernelHeaps::new(Box::leak(storage), &[free], &mut call).unwrap();
        machine.set_root(heaps.tables().root());
        heaps.entered();
        Self {
            machine,
            events,
            heaps,
        }
    }

    pub(super) fn call(&mut self) -> (&mut KernelHeaps<'static>, Call<'_, Machine, Events>) {
        let call = Call {
            memory: &mut self.machine,
            watch: &mut self.events,
            caller: 0x7f00_1234,
        };
        (&mut self.heaps, call)
    }

    fn backed(&mut self, size: u64) -> Result<VirtAddr, HeapError> {
        let (heaps, mut call) = self.call();
        heaps.alloc_backed(&mut call, size, LABEL)
    }

    fn free_backed(&mut self, start: VirtAddr) -> Result<(), HeapError> {
        let (heaps, mut call) = self.call();
        heaps.free_backed(&mut call, start)
    }

    /// What the tables map is what the events say, and the records are those that were seen.
    pub(super) fn assert_events(&self) {
        let mut ranges: Vec<(u64, u64, u64)> = Vec::new();
        for (virt, (phys, size)) in &self.events.mapped {
            match ranges.last_mut() {
                Some(last) if last.0 + last.2 == *virt && last.1 + last.2 == *phys => {
                    last.2 += size;
                }
                _ => ranges.push((*virt, *phys, *size)),
            }
        }
        let mut found: Vec<(u64, u64, u64)> = Vec::new();
        for range in self.machine.mappings() {
            let (virt, phys) = (range.virt.as_u64(), range.phys.as_u64());
            match found.last_mut() {
                Some(last) if last.0 + last.2 == virt && last.1 + last.2 == phys => {
                    last.2 += range.size;
                }
                _ => found.push((virt, phys, range.size)),
            }
        }
        assert_eq!(found, ranges);
        let mut reserved = self.events.reserved.clone();
        reserved.sort_by_key(|record| (record.start, u64::MAX - record.size));
        assert_eq!(reserved, self.heaps.tracking().records());
    }
}

pub(super) const LABEL: Label<'static> = Label {
    name: "test",
    description: "a test's",
    kind: region_kind::HEAP,
};

#[test]
fn s4_4_the_first_huge_unit_is_virtual_pages_and_the_pool_is_its_first() {
    let world = World::new();
    let records = world.heaps.tracking().records();
    let found: Vec<_> = records
        .iter()
        .map(|record| (record.start, record.size, record.tag))
        .collect();
    assert_eq!(
        found,
        [
            (0x1_0000_0000, HUGE, Tag::VirtualHuge),
            (0x1_0000_0000, 2 << 20, Tag::VirtualPage),
        ]
    );
    assert_eq!(world.machine.walk().tables.len(), 2);
    world.assert_events();
}

#[test]
fn s4_7_backed_memory_is_both_and_mapped() {
    let mut world = World::new();
    let (frames, pages) = (
        world.heaps.physical().used_units(),
        world.heaps.virtual_page().used_units(),
    );
    let start = world.backed(3 << 20).unwrap();
    assert!(start.is_aligned(4 << 20));
    assert_eq!(world.heaps.physical().used_units(), frames + 768);
    assert_eq!(world.heaps.virtual_page().used_units(), pages + 768);
    world.machine.store(start, 7);
    let large = world.machine.translation(start).mapped().unwrap();
    assert_eq!(large.page_size, Level::L1.entry_size());
    let small = start.wrapping_add(2 << 20);
    let small = world.machine.translation(small).mapped().unwrap();
    assert_eq!(small.page_size, PAGE_SIZE);
    world.assert_events();
    world.free_backed(start).unwrap();
    assert_eq!(
        world.free_backed(start),
        Err(HeapError::NotAllocated(start))
    );
    assert_eq!(world.machine.touch(start), None);
    assert_eq!(world.heaps.physical().used_units(), frames);
    world.assert_events();
}

#[test]
fn what_does_not_suffice_is_given_back() {
    let mut world = World::new();
    let before = world.heaps.tracking().records().len();
    let used = world.heaps.physical().used_units();
    assert!(matches!(
        world.backed(1 << 30),
        Err(HeapError::Physical(IdError::Exhausted(_)))
    ));
    let mut held = Vec::new();
    let error = loop {
        match world.backed(64) {
            Ok(start) => held.push(start),
            Err(error) => break error,
        }
    };
    assert_eq!(error, HeapError::Untracked);
    assert!(held.len() > 400);
    for start in held {
        world.free_backed(start).unwrap();
    }
    assert_eq!(world.heaps.physical().used_units(), used);
    assert_eq!(world.heaps.tracking().records().len(), before);
    world.assert_events();
}

#[test]
fn s4_5_virtual_page_grows_from_its_parent_and_gives_back() {
    let mut world = World::new();
    let (heaps, mut call) = world.call();
    let first = heaps.alloc_virtual(&mut call, 2 << 30, LABEL).unwrap();
    let second = heaps.alloc_virtual(&mut call, 3 << 30, LABEL).unwrap();
    assert_eq!(
        (first.as_u64(), second.as_u64()),
        (0x1_8000_0000, 0x2_0000_0000)
    );
    assert_eq!(heaps.virtual_huge().used_units(), 2);
    assert_eq!(
        heaps.free_huge(&mut call, second),
        Err(HeapError::VirtualPage(IdError::InUse(0x2_0000_0000)))
    );
    // Two units are all that it has accounts for, and none is longer; what it refuses it has not taken.
    for size in [3 << 30, HUGE + 1] {
        let refused = heaps.alloc_virtual(&mut call, size, LABEL);
        assert_eq!(refused, Err(HeapError::NoUnit(size)));
        assert_eq!(heaps.virtual_huge().used_units(), 2);
    }
    assert_eq!(
        std::format!("{}", HeapError::NoUnit(HUGE)),
        "virtual_page: it has accounts of 2 units of 2^32 bytes, and no place for 0x100000000 bytes more"
    );
    heaps.free_virtual(&mut call, second).unwrap();
    assert_eq!(heaps.virtual_huge().used_units(), 1);
    // The user heap's unit is nobody's.
    for _ in 0..62 {
        let Ok(start) = heaps.alloc_huge(&mut call, HUGE, LABEL) else {
            break;
        };
        assert_ne!(start, USER_HEAP_START);
    }
    assert_eq!(heaps.virtual_huge().used_units(), 62);
    world.assert_events();
}

#[test]
fn kalloc_hands_out_fresh_pages_and_takes_them_back() {
    let mut world = World::new();
    let frames = world.heaps.physical().used_units();
    let mut pages = Vec::new();
    for _ in 0..1200 {
        let (heaps, mut call) = world.call();
        let page = heaps.kalloc(&mut call).unwrap();
        assert!(world.machine.page_is_filled(page, FRESH_FILL));
        pages.push(page);
    }
    assert_eq!(world.heaps.physical().used_units(), frames + 1200);
    let kalloc = |record: &&Record| record.tag == Tag::Kalloc;
    let count = world.heaps.tracking().records().iter().filter(kalloc);
    assert_eq!(count.count(), 3);
    world.assert_events();
    for page in pages.iter().rev() {
        let (heaps, mut call) = world.call();
        heaps.kfree(&mut call, *page).unwrap();
        let again = heaps.kfree(&mut call, *page);
        assert!(matches!(again, Err(HeapError::Kalloc(_))));
    }
    assert_eq!(world.heaps.physical().used_units(), frames);
    let count = world.heaps.tracking().records().iter().filter(kalloc);
    assert_eq!(count.count(), 1);
    world.assert_events();
}

#[test]
fn small_objects_share_pages_and_frees_are_exact() {
    let mut world = World::new();
    let frames = world.heaps.physical().used_units();
    let mut objects = Vec::new();
    for size in [1, 16, 17, 100, 1000, 2048, 2049, 9000] {
        for _ in 0..10 {
            let (heaps, mut call) = world.call();
            let object = heaps.alloc_object(&mut call, size).unwrap();
            call.memory.store(object, object.as_u64());
            objects.push(object);
        }
    }
    let (heaps, mut call) = world.call();
    let inside = objects[20].wrapping_add(8);
    assert_eq!(
        heaps.free_object(&mut call, inside),
        Err(GeneralError::Foreign(inside))
    );
    let header = objects[0].align_down(PAGE_SIZE);
    assert_eq!(
        heaps.free_object(&mut call, header),
        Err(GeneralError::Foreign(header))
    );
    assert_eq!(heaps.alloc_object(&mut call, 0), Err(GeneralError::Empty));
    let (kept, gone) = (objects[0], objects[1]);
    heaps.free_object(&mut call, gone).unwrap();
    assert_eq!(
        heaps.free_object(&mut call, gone),
        Err(GeneralError::Free(gone))
    );
    objects.remove(1);
    assert_eq!(call.memory.load(kept), kept.as_u64());
    for object in objects {
        assert_eq!(call.memory.load(object), object.as_u64());
        heaps.free_object(&mut call, object).unwrap();
    }
    assert_eq!(heaps.physical().used_units(), frames);
    world.assert_events();
}

#[test]
fn a_first_touch_is_a_zeroed_page_and_release_takes_it_back() {
    let mut world = World::new();
    let frames = world.heaps.physical().used_units();
    let touched = USER_HEAP_START.wrapping_add(5 << 20);
    let flags = LeafFlags::READ | LeafFlags::WRITE | LeafFlags::USER;
    let (heaps, mut call) = world.call();
    heaps.map_zeroed_page(&mut call, touched, flags).unwrap();
    assert!(call.memory.page_is_filled(touched, 0));
    let range = VirtRange::new(USER_HEAP_START, 64 << 20).unwrap();
    assert_eq!(heaps.release_pages(&mut call, range), Ok(1));
    assert_eq!(heaps.physical().used_units(), frames);
    assert!(matches!(
        heaps.unmap_range(&mut call, touched, PAGE_SIZE),
        Err(HeapError::Unmap(UnmapError::NotMapped(_)))
    ));
    world.assert_events();
}

/// What has been released is not looked at again: a page takes its own lookups, and a look for what its table
/// still has, which is half of it on average.
#[test]
fn release_goes_on_from_where_it_is() {
    const PAGES: u64 = 2048;
    let mut world = World::new();
    let flags = LeafFlags::READ | LeafFlags::WRITE | LeafFlags::USER;
    for page in 0..PAGES {
        let (heaps, mut call) = world.call();
        let page = USER_HEAP_START.wrapping_add(page * PAGE_SIZE);
        heaps.map_zeroed_page(&mut call, page, flags).unwrap();
    }
    let before = world.machine.loads.get();
    let range = VirtRange::new(USER_HEAP_START, 64 << 20).unwrap();
    let (heaps, mut call) = world.call();
    assert_eq!(heaps.release_pages(&mut call, range), Ok(PAGES));
    let loads = (world.machine.loads.get() - before) / PAGES;
    assert!(loads < 256 + 64, "{loads} loads for each page");
    world.assert_events();
}

#[test]
fn s4_13_the_pool_is_filled_ahead() {
    let mut world = World::new();
    let phys = PhysAddr::new(FREE.0);
    let chunks = |world: &World| {
        let pool = |record: &&Record| record.kind == region_kind::TABLES;
        world.heaps.tracking().records().iter().filter(pool).count()
    };
    assert_eq!(chunks(&world), 1);
    // A page in each of a thousand 2 MiB: as many tables.
    for number in 0..1000 {
        let virt = VirtAddr::new(0x20_0000_0000 + number * (2 << 20));
        let (heaps, mut call) = world.call();
        let mapped = heaps.map_range(&mut call, virt, phys, PAGE_SIZE, LeafFlags::READ);
        mapped.unwrap();
        assert!(heaps.tables().pool().free() >= 90);
    }
    assert_eq!(chunks(&world), 3);
    world.assert_events();
    let tables = world.machine.walk().tables;
    assert_eq!(tables.len() as u64, world.heaps.tables().pool().used());
    for table in tables {
        assert!(world.heaps.tables().pool().contains(table.page));
    }
}

/// What a shadow knows: the bytes of each allocation, by heap and address.
type Shadow = BTreeMap<(u8, u64), u64>;

fn shadow_step(shadow: &mut Shadow, done: Done) {
    // Frames are one space of addresses, all others another.
    let key = |item: Item| (u8::from(item.heap != Heap::Physical), item.start);
    match done {
        Done::Allocated(item) => {
            let (space, start) = key(item);
            let end = start + item.size;
            let below = shadow.range((space, 0)..(space, end)).next_back();
            if let Some(((_, other), size)) = below {
                assert!(other + size <= start, "{item:x?} overlaps {other:#x}");
            }
            shadow.insert((space, start), item.size);
        }
        Done::Freed(item) => assert_eq!(shadow.remove(&key(item)), Some(item.size)),
        Done::Refused(_) => {}
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(4))]

    /// 10,000 random allocations and frees over all heaps.
    #[test]
    fn all_heaps_agree_with_the_shadow(seed: u64) {
        let mut world = World::new();
        let used = |heaps: &KernelHeaps<'_>| {
            (heaps.virtual_huge().used_units(), heaps.virtual_page().used_units())
        };
        // kalloc keeps its first 2 MiB of addresses.
        let (heaps, mut call) = world.call();
        let page = heaps.kalloc(&mut call).unwrap();
        heaps.kfree(&mut call, page).unwrap();
        let before = used(heaps);
        let mut stress = Stress::new(seed | 1, heaps);
        let mut shadow = Shadow::new();
        let mut counts = [0; 3];
        for step in 0..10_000 {
            let (heaps, mut call) = world.call();
            let done = stress.step(heaps, &mut call).unwrap();
            shadow_step(&mut shadow, done);
            counts[match done {
                Done::Allocated(_) => 0,
                Done::Freed(_) => 1,
                Done::Refused(_) => 2,
            }] += 1;
            prop_assert_eq!(stress.items().count(), shadow.len());
            if step % 8 == 0 {
                stress.audit(heaps).unwrap();
            }
            if step % 1000 == 999 {
                world.assert_events();
            }
        }
        let (heaps, mut call) = world.call();
        stress.finish(heaps, &mut call).unwrap();
        prop_assert_eq!(used(heaps), before);
        world.assert_events();
        prop_assert!(counts[0] > 4000 && counts[1] > 3500 && counts[2] < 2000, "{:?}", counts);
    }
}

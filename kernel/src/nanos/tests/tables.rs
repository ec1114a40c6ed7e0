//! `map_range` and `unmap_range` on the model of the machine.

use pagescope_protocol::{LeafFlags, Level, PAGE_SIZE, PhysAddr, VirtAddr};
use proptest::prelude::*;

use super::heaps::World;
use crate::nanos::kernel_heaps::HeapError;
use crate::nanos::tables::{MapError, UnmapError};

const LARGE: u64 = Level::L1.entry_size();
const RW: LeafFlags = LeafFlags::READ.union(LeafFlags::WRITE);

fn map(world: &mut World, virt: u64, phys: u64, size: u64) -> Result<(), HeapError> {
    let (heaps, mut call) = world.call();
    let (virt, phys) = (VirtAddr::new(virt), PhysAddr::new(phys));
    heaps.map_range(&mut call, virt, phys, size, RW)
}

fn unmap(world: &mut World, virt: u64, size: u64) -> Result<(), HeapError> {
    let (heaps, mut call) = world.call();
    heaps.unmap_range(&mut call, VirtAddr::new(virt), size)
}

#[test]
fn s4_8_leaves_are_large_where_both_addresses_are_aligned() {
    let mut world = World::new();
    // One page before a 2 MiB bound, two large ones, and three pages.
    map(
        &mut world,
        0x20_001f_f000,
        0x805f_f000,
        2 * LARGE + 4 * PAGE_SIZE,
    )
    .unwrap();
    let size_at = |world: &World, virt| {
        let mapped = world.machine.translation(VirtAddr::new(virt)).mapped();
        mapped.map(|mapped| mapped.page_size)
    };
    for (virt, size) in [
        (0x20_001f_e000, None),
        (0x20_001f_f000, Some(PAGE_SIZE)),
        (0x20_0020_0000, Some(LARGE)),
        (0x20_005f_f000, Some(LARGE)),
        (0x20_0060_0000, Some(PAGE_SIZE)),
        (0x20_0060_2000, Some(PAGE_SIZE)),
        (0x20_0060_3000, None),
    ] {
        assert_eq!(size_at(&world, virt), size, "{virt:#x}");
    }
    // Aligned differently, nothing can be large.
    map(&mut world, 0x30_0000_0000, 0x8040_1000, 2 * LARGE).unwrap();
    assert_eq!(size_at(&world, 0x30_0020_0000), Some(PAGE_SIZE));
    world.assert_events();

    assert_eq!(
        unmap(&mut world, 0x20_001f_f000, 0x2000),
        Err(HeapError::Unmap(UnmapError::WouldSplit(
            VirtAddr::new(0x20_0020_0000),
            LARGE
        )))
    );
    unmap(&mut world, 0x20_001f_f000, 2 * LARGE + 4 * PAGE_SIZE).unwrap();
    unmap(&mut world, 0x30_0000_0000, 2 * LARGE).unwrap();
    assert_eq!(world.machine.walk().tables.len(), 2);
    world.assert_events();
}

#[test]
fn a_refused_call_changes_nothing() {
    let mut world = World::new();
    map(&mut world, 0x20_0020_0000, 0x8040_0000, PAGE_SIZE).unwrap();
    let before = world.machine.mappings();
    for (virt, phys, size, error) in [
        (
            0x20_0020_0000,
            0x8040_0000,
            PAGE_SIZE,
            MapError::AlreadyMapped(VirtAddr::new(0x20_0020_0000)),
        ),
        // The large leaf would lie over the page.
        (
            0x20_0000_0000,
            0x8040_0000,
            2 * LARGE,
            MapError::AlreadyMapped(VirtAddr::new(0x20_0020_0000)),
        ),
        (
            0x20_001f_f000,
            0x8040_0000,
            0x2000,
            MapError::AlreadyMapped(VirtAddr::new(0x20_0020_0000)),
        ),
        (
            0x40_0000_0000,
            0x8040_0000,
            PAGE_SIZE,
            MapError::NonCanonical(VirtAddr::new(0x40_0000_0000)),
        ),
        (
            0x3f_ffff_f000,
            0x8040_0000,
            0x2000,
            MapError::NonCanonical(VirtAddr::new(0x40_0000_0fff)),
        ),
        (
            0x20_0000_0000,
            0x8040_0800,
            PAGE_SIZE,
            MapError::Misaligned(
                VirtAddr::new(0x20_0000_0000),
                PhysAddr::new(0x8040_0800),
                PAGE_SIZE,
            ),
        ),
        (
            0x20_0000_0000,
            0x8040_0000,
            0,
            MapError::Range(0, VirtAddr::new(0x20_0000_0000)),
        ),
        (
            u64::MAX - 0xfff,
            0x8040_0000,
            0x2000,
            MapError::Range(0x2000, VirtAddr::new(u64::MAX - 0xfff)),
        ),
    ] {
        assert_eq!(
            map(&mut world, virt, phys, size),
            Err(HeapError::Map(error))
        );
    }
    let (heaps, mut call) = world.call();
    let (virt, phys) = (VirtAddr::new(0x30_0000_0000), PhysAddr::new(0x8040_0000));
    let refused = heaps.map_range(&mut call, virt, phys, PAGE_SIZE, LeafFlags::WRITE);
    assert!(matches!(refused, Err(HeapError::Map(MapError::Flags(_)))));
    // More tables than the pool has.
    let refused = map(&mut world, 0x30_0000_0000, 0x8040_1000, 2 << 30);
    assert!(matches!(
        refused,
        Err(HeapError::Map(MapError::NoTables(1026, _)))
    ));
    assert_eq!(
        unmap(&mut world, 0x20_0020_0000, 0x2000),
        Err(HeapError::Unmap(UnmapError::NotMapped(VirtAddr::new(
            0x20_0020_1000
        ))))
    );
    assert_eq!(world.machine.mappings(), before);
    world.assert_events();
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(32))]

    /// Every page of a range leads where it should; around it nothing is; and nothing is left over.
    #[test]
    fn a_range_is_mapped_whole_and_unmapped_whole(
        virt in 0_u64..1100,
        phys in 0_u64..1100,
        pages in 1_u64..1600,
    ) {
        let mut world = World::new();
        let (virt, phys) = (0x20_3fe0_0000 + virt * PAGE_SIZE, 0x8040_0000 + phys * PAGE_SIZE);
        map(&mut world, virt, phys, pages * PAGE_SIZE).unwrap();
        let at = |world: &World, page: u64| {
            let virt = VirtAddr::new(virt).wrapping_add(page.wrapping_mul(PAGE_SIZE));
            world.heaps.tables().physical_from_virtual(&world.machine, virt)
        };
        for page in 0..pages {
            prop_assert_eq!(at(&world, page), Some(PhysAddr::new(phys + page * PAGE_SIZE)));
        }
        prop_assert_eq!(at(&world, pages), None);
        prop_assert_eq!(at(&world, u64::MAX), None);
        // As few leaves as there can be.
        let aligned = (virt ^ phys) % LARGE == 0;
        let first = virt.next_multiple_of(LARGE);
        let last = (virt + pages * PAGE_SIZE) / LARGE * LARGE;
        let large = if aligned { last.saturating_sub(first) / LARGE } else { 0 };
        let found = world.machine.mappings().into_iter().filter(|range| {
            range.virt.as_u64() >= 0x20_0000_0000 && range.page_size == LARGE
        });
        prop_assert_eq!(found.map(|range| range.size / LARGE).sum::<u64>(), large);
        unmap(&mut world, virt, pages * PAGE_SIZE).unwrap();
        prop_assert_eq!(world.machine.walk().tables.len(), 2);
        world.assert_events();
    }
}

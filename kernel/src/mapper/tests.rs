use super::*;
use crate::model::{HIGH, Machine, booted, refill};
use crate::self_map::STRATEGIES;
use crate::space::{HEAP_FLAGS, Space};
use pagescope_protocol::coalesce;
use proptest::prelude::{ProptestConfig, prop, prop_assert, prop_assert_eq, proptest};
use std::string::ToString as _;
use std::vec;
use std::vec::Vec;

const FRESH: VirtAddr = VirtAddr::new(0x1_0000_0000);
const FRAME: PhysAddr = PhysAddr::new(0x8700_0000);

/// Every strategy, with the heap where virtual is physical and where no address is.
fn everywhere(mut check: impl FnMut(Machine, Space)) {
    for self_map in STRATEGIES {
        for window in [Window::IDENTITY, HIGH] {
            let (machine, space) = booted(self_map, window);
            check(machine, space);
        }
    }
}

/// S0.9: the entry holds the frame's address, though no table was written through an address that is
/// physical.
#[test]
fn s0_9_entries_hold_physical_addresses() {
    everywhere(|mut machine, mut space| {
        let report = space.map(&mut machine, FRESH, FRAME, Level::L0, HEAP_FLAGS);
        assert_eq!(report.map(|report| report.new_tables), Ok(2));
        let translation = machine.translation(FRESH);
        let last = translation.trail.last().map(|step| step.pte.page());
        assert_eq!(last, FRAME.page());
        let mapped = translation.mapped().map(|mapped| mapped.address);
        assert_eq!(mapped, Some(FRAME));
        machine.store(FRESH.wrapping_add(8), 42);
        assert_eq!(machine.load_physical(FRAME.wrapping_add(8)), 42);
    });
}

/// The TLB of the model keeps invalid entries at every level, as a machine may.
#[test]
fn an_address_that_has_faulted_is_reachable_once_it_is_mapped() {
    everywhere(|mut machine, mut space| {
        for distance in [0, 0x1000, 2 << 20] {
            let address = FRESH.wrapping_add(distance);
            assert_eq!(machine.touch(address), None);
            space
                .map(&mut machine, address, FRAME, Level::L0, HEAP_FLAGS)
                .unwrap();
            refill(&mut machine, &mut space);
            assert!(machine.touch(address).is_some(), "{address}");
            space.unmap(&mut machine, address).unwrap();
            assert_eq!(machine.touch(address), None);
        }
    });
}

/// All three sizes; and what a leaf's size allows.
#[test]
fn leaves_of_every_size_are_mapped_changed_and_unmapped() {
    let read_only = LeafFlags::READ;
    let phys = PhysAddr::new(0x8000_0000);
    everywhere(|mut machine, mut space| {
        let before = machine.mappings();
        for (level, size, tables) in [
            (Level::L0, 0x1000, 2),
            (Level::L1, 2 << 20, 1),
            (Level::L2, 1 << 30, 0),
        ] {
            let report = space.map(&mut machine, FRESH, phys, level, HEAP_FLAGS);
            let report = report.unwrap();
            assert_eq!(report.new_tables, tables);
            let last = FRESH.wrapping_add(size - 8);
            let mapped = machine.translation(last).mapped().unwrap();
            assert_eq!(mapped.page_size, size);
            assert_eq!(mapped.address, phys.wrapping_add(size - 8));
            assert_eq!(machine.touch(FRESH.wrapping_add(size)), None);

            assert!(machine.access(FRESH, crate::model::Access::Store).is_some());
            assert_eq!(space.protect(&mut machine, FRESH, read_only), Ok(size));
            assert!(machine.access(FRESH, crate::model::Access::Store).is_none());
            assert!(machine.access(FRESH, crate::model::Access::Load).is_some());
            let error = UnmapError::Flags(LeafFlags::WRITE);
            assert_eq!(
                space.protect(&mut machine, FRESH, LeafFlags::WRITE),
                Err(error)
            );

            assert_eq!(space.flip_rsw(&mut machine, FRESH, 0b11), Ok(size));
            let pte = machine.translation(FRESH).trail.last().unwrap().pte;
            assert_eq!((pte.rsw(), pte.flags().to_string()), (3, "r----ad".into()));
            space.protect(&mut machine, FRESH, HEAP_FLAGS).unwrap();
            let pte = machine.translation(FRESH).trail.last().unwrap().pte;
            assert_eq!((pte.rsw(), pte.flags().to_string()), (3, "rw---ad".into()));

            assert_eq!(space.unmap(&mut machine, FRESH), Ok(size));
            assert_eq!(machine.touch(FRESH), None);
            refill(&mut machine, &mut space);
        }
        // No table is left behind: nothing is mapped but what was, and pages that kalloc mapped.
        let kalloc = space.heap_window().unwrap();
        let others = |range: &coalesce::MappedRange| !kalloc.contains(range.virt);
        let after = machine.mappings();
        assert_eq!(
            before
                .iter()
                .filter(|range| others(range))
                .collect::<Vec<_>>(),
            after
                .iter()
                .filter(|range| others(range))
                .collect::<Vec<_>>(),
        );
    });
}

#[test]
fn what_cannot_be_mapped_is_refused_and_changes_nothing() {
    let virt = VirtAddr::new;
    let rw = HEAP_FLAGS;
    let misaligned = PhysAddr::new(0x8700_0800);
    let wide = PhysAddr::new(1 << 56);
    let ecam = virt(0x3000_1000);
    let gib = PhysAddr::new(0x8000_0000);
    let cases = vec![
        // S1.3
        (
            virt(0x40_0000_0000),
            FRAME,
            Level::L0,
            rw,
            MapError::NonCanonical(virt(0x40_0000_0000)),
        ),
        (
            virt(0x1001),
            FRAME,
            Level::L0,
            rw,
            MapError::VirtMisaligned(virt(0x1001), 4096),
        ),
        (
            virt(0x1_0000_1000),
            FRAME,
            Level::L1,
            rw,
            MapError::VirtMisaligned(virt(0x1_0000_1000), 2 << 20),
        ),
        (
            FRESH,
            misaligned,
            Level::L0,
            rw,
            MapError::PhysMisaligned(misaligned, 4096),
        ),
        (
            FRESH,
            FRAME,
            Level::L2,
            rw,
            MapError::PhysMisaligned(FRAME, 1 << 30),
        ),
        (
            FRESH,
            wide,
            Level::L0,
            rw,
            MapError::PhysMisaligned(wide, 4096),
        ),
        (
            FRESH,
            FRAME,
            Level::L0,
            LeafFlags::WRITE,
            MapError::Flags(LeafFlags::WRITE),
        ),
        (
            FRESH,
            FRAME,
            Level::L0,
            LeafFlags::USER,
            MapError::Flags(LeafFlags::USER),
        ),
        (
            virt(0x3000_0000),
            FRAME,
            Level::L1,
            rw,
            MapError::AlreadyMapped(virt(0x3000_0000), PhysAddr::new(0x3000_0000)),
        ),
        (
            ecam,
            FRAME,
            Level::L0,
            rw,
            MapError::AlreadyMapped(ecam, PhysAddr::new(0x3000_1000)),
        ),
        (
            virt(0),
            gib,
            Level::L2,
            rw,
            MapError::ReservedRegion(virt(0), "UART0"),
        ),
    ];
    everywhere(|mut machine, mut space| {
        let before = machine.mappings();
        for (address, frame, level, flags, error) in &cases {
            let refused = space.map(&mut machine, *address, *frame, *level, *flags);
            assert_eq!(refused.as_ref(), Err(error));
            assert_eq!(machine.mappings(), before);
        }
    });
}

/// A superpage does not replace a table, whether that holds anything at its first page or not.
#[test]
fn a_superpage_does_not_go_where_a_table_hangs() {
    everywhere(|mut machine, mut space| {
        for page in [FRESH, FRESH.wrapping_add(0x5000)] {
            space
                .map(&mut machine, page, FRAME, Level::L0, HEAP_FLAGS)
                .unwrap();
            for (level, phys) in [(Level::L1, FRAME), (Level::L2, PhysAddr::new(0x8000_0000))] {
                let refused = space.map(&mut machine, FRESH, phys, level, HEAP_FLAGS);
                assert_eq!(refused, Err(MapError::TableInTheWay(FRESH)));
            }
            space.unmap(&mut machine, page).unwrap();
            refill(&mut machine, &mut space);
        }
    });
}

/// With self-leaf a superpage is seen a second time, through its L1's window region: unmapped, it is
/// gone there too, whatever the TLB remembers.
#[test]
fn a_superpage_is_gone_at_both_of_its_addresses() {
    let self_leaf = crate::self_map::by_name("self-leaf").unwrap();
    let (mut machine, mut space) = booted(self_leaf, Window::IDENTITY);
    let second = FRESH.wrapping_add(2 << 20);
    for virt in [FRESH, second] {
        space
            .map(
                &mut machine,
                virt,
                FRAME.align_down(2 << 20),
                Level::L1,
                HEAP_FLAGS,
            )
            .unwrap();
    }
    let alias = crate::self_map::virt(511, 4, 0);
    let store = |machine: &Machine| machine.access(alias, crate::model::Access::Store);
    assert!(store(&machine).is_some());
    space.protect(&mut machine, FRESH, LeafFlags::READ).unwrap();
    assert!(store(&machine).is_none());
    space.unmap(&mut machine, FRESH).unwrap();
    assert_eq!(machine.touch(alias), None);
}

#[test]
fn damaged_tables_are_errors_and_never_faults() {
    everywhere(|mut machine, mut space| {
        let slot = space.root().start().wrapping_add(4 * 8);
        machine.store_physical(slot, Pte::pointer(PhysPage::new(5).unwrap()).bits());
        let refused = space.map(&mut machine, FRESH, FRAME, Level::L0, HEAP_FLAGS);
        let error = MapError::Unreachable(PhysAddr::new(0x5000));
        assert_eq!(refused, Err(error));
        let refused = space.unmap(&mut machine, FRESH);
        assert_eq!(refused, Err(UnmapError::NotMapped(FRESH)));
        machine.store_physical(slot, 0b0101);
        machine.fence_all();
        let refused = space.map(&mut machine, FRESH, FRAME, Level::L0, HEAP_FLAGS);
        assert_eq!(
            refused.unwrap_err().to_string(),
            "the L2 entry on the way to 0x100000000 is reserved (W without R)"
        );
    });
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]
    /// What was mapped is what the hardware translates, at both ends of the space.
    #[test]
    fn lookup_agrees_with_the_hardware(
        number in 0u64..1 << 27,
        frame in 0u64..1 << 44,
        strategy in prop::sample::select(&STRATEGIES[..]),
    ) {
        let (mut machine, mut space) = booted(strategy, HIGH);
        let virt = MODE.canonical(number << 12);
        let phys = PhysPage::new(frame).unwrap().start();
        let before = space.lookup(&mut machine, virt);
        let reserved = space.reserved_for(virt, Level::L0).is_some();
        let mapped = space.map(&mut machine, virt, phys, Level::L0, HEAP_FLAGS);
        prop_assert_eq!(mapped.is_ok(), before.mapped().is_none() && !reserved);
        let after = space.lookup(&mut machine, virt);
        prop_assert_eq!(&after, &machine.translation(virt));
        if mapped.is_ok() {
            prop_assert_eq!(after.mapped().map(|mapped| mapped.address), Some(phys));
            prop_assert!(space.unmap(&mut machine, virt).is_ok());
            prop_assert_eq!(space.lookup(&mut machine, virt), before);
        }
    }
}

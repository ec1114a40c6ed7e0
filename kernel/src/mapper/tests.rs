use super::*;
use crate::model::{HIGH, Machine, booted};
use crate::pool::HEAP_FLAGS;
use proptest::prelude::*;
use std::string::ToString as _;
use std::vec;
use std::vec::Vec;

/// Tables that were set aside, zeroed and mapped, and all that the boot map has.
struct Given {
    spare: Vec<PhysPage>,
    tables: Vec<PhysPage>,
}

impl Tables for Given {
    fn available(&self) -> usize {
        self.spare.len()
    }

    fn take<M: Memory>(&mut self, _memory: &mut M) -> Option<PhysPage> {
        let page = self.spare.pop()?;
        self.tables.push(page);
        Some(page)
    }

    fn is_table(&self, frame: PhysPage) -> bool {
        self.tables.contains(&frame)
    }
}

/// A booted machine, its root, and three spare tables.
fn machine(window: Window) -> (Machine, PhysPage, Given) {
    let (mut machine, mut pool, map) = booted(window);
    let mut spare = map.reserve.to_vec();
    let page = pool.alloc(&mut machine).unwrap();
    machine.fill_page(page, 0);
    spare.push(window.frame_at(page).unwrap());
    let tables = machine
        .walk()
        .tables
        .iter()
        .map(|table| table.page)
        .collect();
    (machine, map.root, Given { spare, tables })
}

const FRESH: VirtAddr = VirtAddr::new(0x1_0000_0000);
const FRAME: PhysAddr = PhysAddr::new(0x8700_0000);

/// S0.9: the entry holds the frame's address, though the tables were written through a window in
/// which no address is physical.
#[test]
fn s0_9_entries_hold_physical_addresses() {
    for window in [Window::IDENTITY, HIGH] {
        let (mut machine, root, tables) = machine(window);
        let mut mapper = Mapper {
            memory: &mut machine,
            tables,
            window,
            root,
        };
        let report = mapper.map(FRESH, FRAME, Level::L0, HEAP_FLAGS).unwrap();
        assert_eq!(report.new_tables, 2);
        let translation = machine.translation(FRESH);
        assert_eq!(
            translation.trail.last().map(|step| step.pte.page()),
            FRAME.page()
        );
        assert_eq!(
            translation.mapped().map(|mapped| mapped.address),
            Some(FRAME)
        );
        machine.store(FRESH.wrapping_add(8), 42);
        assert_eq!(machine.load_physical(FRAME.wrapping_add(8)), 42);
    }
}

/// The TLB of the model keeps invalid entries at every level, as a machine may.
#[test]
fn an_address_that_has_faulted_is_reachable_once_it_is_mapped() {
    let (mut machine, root, mut tables) = machine(Window::IDENTITY);
    for distance in [0, 0x1000, 2 << 20] {
        let address = FRESH.wrapping_add(distance);
        assert_eq!(machine.touch(address), None);
        let mut mapper = Mapper {
            memory: &mut machine,
            tables,
            window: Window::IDENTITY,
            root,
        };
        mapper.map(address, FRAME, Level::L0, HEAP_FLAGS).unwrap();
        tables = mapper.tables;
        assert!(machine.touch(address).is_some(), "{address}");
        let mut mapper = Mapper {
            memory: &mut machine,
            tables,
            window: Window::IDENTITY,
            root,
        };
        mapper.unmap(address).unwrap();
        tables = mapper.tables;
        assert_eq!(machine.touch(address), None);
    }
}

#[test]
fn what_cannot_be_mapped_is_refused_and_changes_nothing() {
    let (mut machine, root, mut tables) = machine(Window::IDENTITY);
    tables.spare.truncate(1);
    let before = machine.mappings();
    let virt = VirtAddr::new;
    let rw = HEAP_FLAGS;
    let misaligned = PhysAddr::new(0x8700_0800);
    let wide = PhysAddr::new(1 << 56);
    let text = virt(0x8020_0000);
    let top = virt(0x87e0_0000);
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
            FRESH,
            misaligned,
            Level::L0,
            rw,
            MapError::PhysMisaligned(misaligned, 4096),
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
            text,
            FRAME,
            Level::L0,
            rw,
            MapError::AlreadyMapped(text, PhysAddr::new(0x8020_0000)),
        ),
        (top, FRAME, Level::L1, rw, MapError::TableInTheWay(top)),
        (
            virt(0x3000_1000),
            FRAME,
            Level::L0,
            rw,
            MapError::AlreadyMapped(virt(0x3000_1000), PhysAddr::new(0x3000_1000)),
        ),
        (
            FRESH,
            FRAME,
            Level::L0,
            rw,
            MapError::NoTables {
                needed: 2,
                available: 1,
            },
        ),
    ];
    for (address, frame, level, flags, error) in cases {
        let mut mapper = Mapper {
            memory: &mut machine,
            tables,
            window: Window::IDENTITY,
            root,
        };
        assert_eq!(mapper.map(address, frame, level, flags), Err(error));
        tables = mapper.tables;
        assert_eq!(machine.mappings(), before);
    }
}

#[test]
fn damaged_tables_are_errors_and_never_faults() {
    let (mut machine, root, tables) = machine(Window::IDENTITY);
    let slot = root.start().wrapping_add(4 * 8);
    machine.store_physical(slot, Pte::pointer(PhysPage::new(5).unwrap()).bits());
    let mut mapper = Mapper {
        memory: &mut machine,
        tables,
        window: Window::IDENTITY,
        root,
    };
    let error = mapper.map(FRESH, FRAME, Level::L0, HEAP_FLAGS).unwrap_err();
    assert_eq!(error, MapError::Unreachable(PhysAddr::new(0x5000)));
    assert_eq!(mapper.unmap(FRESH), Err(UnmapError::NotMapped(FRESH)));
    mapper.memory.store_physical(slot, 0b0101);
    let error = mapper.map(FRESH, FRAME, Level::L0, HEAP_FLAGS).unwrap_err();
    assert_eq!(
        error.to_string(),
        "the L2 entry on the way to 0x100000000 is reserved (W without R)"
    );
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    /// What was mapped is what the hardware translates, at both ends of the space.
    #[test]
    fn lookup_agrees_with_the_hardware(number in 0u64..1 << 27, frame in 0u64..1 << 44) {
        let (mut machine, root, tables) = machine(HIGH);
        let virt = MODE.sign_extend(number << 12);
        let phys = PhysPage::new(frame).unwrap().start();
        let mut mapper = Mapper { memory: &mut machine, tables, window: HIGH, root };
        let before = mapper.lookup(virt);
        let mapped = mapper.map(virt, phys, Level::L0, HEAP_FLAGS);
        prop_assert_eq!(mapped.is_ok(), before.mapped().is_none());
        let after = mapper.lookup(virt);
        prop_assert_eq!(&after, &machine.translation(virt));
        if mapped.is_ok() {
            prop_assert_eq!(after.mapped().map(|mapped| mapped.address), Some(phys));
        }
    }
}

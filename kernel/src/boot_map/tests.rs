use super::*;
use crate::board::{HEAP_COUNTER, HEAP_COUNTER_PAGE, HEAP_TOP, PCI_ECAM, RAM, UART0};
use crate::model::{HIGH, Machine, booted, sections};
use crate::self_map::STRATEGIES;
use crate::self_map::pool::Pool;
use pagescope_protocol::translate::pte_address;
use std::string::String;
use std::vec::Vec;
use std::{format, vec};

fn entry(machine: &Machine, table: PhysPage, index: usize) -> Pte {
    Pte::from_bits(machine.load_physical(pte_address(table, index)))
}

fn kalloc(number: u64) -> PhysPage {
    PhysPage::from_truncated(HEAP_TOP.number() - number)
}

/// S0.3, S0.4, S0.6: frames, links and leaves, exactly as the document draws them.
#[test]
fn the_first_tables_are_where_the_document_draws_them() {
    let (machine, space) = booted(&Pool, Window::IDENTITY);
    let (l0, l1, root) = (kalloc(0), kalloc(1), kalloc(2));
    assert_eq!(l0.start(), PhysAddr::new(0x87ff_e000));
    assert_eq!(space.root(), root);
    assert_eq!(space.reserve(), 2);
    assert_eq!(machine.load_physical(HEAP_COUNTER), 8);
    assert_eq!(space.heap().next_untouched(), Some(kalloc(8)));

    assert_eq!(entry(&machine, root, 2), Pte::pointer(l1));
    assert_eq!(entry(&machine, l1, 63), Pte::pointer(l0));
    assert_eq!(entry(&machine, root, 0), Pte::pointer(kalloc(3)));
    assert_eq!(entry(&machine, kalloc(3), 128), Pte::pointer(kalloc(4)));
    assert_eq!(entry(&machine, l1, 1), Pte::pointer(kalloc(5)));
    let flags = HEAP_FLAGS | LeafFlags::ACCESSED | LeafFlags::DIRTY;
    for index in 503..=511 {
        let page = PhysPage::from_truncated(HEAP_COUNTER_PAGE.number() - 511 + index as u64);
        assert_eq!(
            entry(&machine, l0, index),
            Pte::leaf(page, flags),
            "L0[{index}]"
        );
    }
    for index in 0..503 {
        assert_eq!(entry(&machine, l0, index), Pte::INVALID, "L0[{index}]");
    }
    assert_eq!(machine.walk().tables.len(), 6);
}

/// S0.2, S0.5, S0.8: everything that S-mode can reach, and how.
#[test]
fn the_boot_map_says_exactly_this() {
    let (machine, _) = booted(&Pool, Window::IDENTITY);
    let lines: Vec<String> = machine
        .mappings()
        .iter()
        .map(|range| {
            format!(
                "{} {} {:#x} {}",
                range.virt, range.phys, range.size, range.flags
            )
        })
        .collect();
    assert_eq!(
        lines,
        vec![
            "0x10000000 0x10000000 0x1000 rw---ad",
            "0x30000000 0x30000000 0x10000000 rw---ad",
            "0x80200000 0x80200000 0x5000 r-x--ad",
            "0x80205000 0x80205000 0x2000 r----ad",
            "0x80207000 0x80207000 0x9000 rw---ad",
            "0x80211000 0x80211000 0x10000 rw---ad",
            "0x87ff7000 0x87ff7000 0x9000 rw---ad",
        ]
    );
}

/// The invariant of every strategy, wherever the heap's window lies: each table has one window, and
/// nothing else leads to it.
#[test]
fn every_table_can_be_reached_and_written() {
    for self_map in STRATEGIES {
        for window in [Window::IDENTITY, HIGH] {
            let (machine, space) = booted(self_map, window);
            crate::model::assert_windows(&machine, &space);
            assert!(RAM.contains(HEAP_COUNTER));
            let device = machine.translation(VirtAddr::new(UART0.start().as_u64()));
            assert_eq!(device.mapped().map(|mapped| mapped.page_size), Some(4096));
            let device = machine.translation(VirtAddr::new(PCI_ECAM.end().as_u64() - 1));
            assert_eq!(
                device.mapped().map(|mapped| mapped.page_size),
                Some(2 << 20)
            );
        }
    }
}

/// L2 to L1 to L0, in the document's frames, whatever the strategy; and how many tables it takes.
#[test]
fn the_first_three_tables_are_the_same_with_every_strategy() {
    for (self_map, frames, handed_out) in STRATEGIES
        .into_iter()
        .zip([6, 6, 11, 11])
        .zip([8, 8, 14, 14])
        .map(|((self_map, frames), handed_out)| (self_map, frames, handed_out))
    {
        let (machine, space) = booted(self_map, Window::IDENTITY);
        assert_eq!(entry(&machine, kalloc(2), 2), Pte::pointer(kalloc(1)));
        assert_eq!(entry(&machine, kalloc(1), 63), Pte::pointer(kalloc(0)));
        let counter = entry(&machine, kalloc(0), 511);
        assert_eq!(counter.page(), HEAP_COUNTER_PAGE);
        assert_eq!(machine.load_physical(HEAP_COUNTER), handed_out);
        assert_eq!(space.reserve(), self_map.reserve_mark());
        assert_eq!(crate::census::table_frames(&space, &machine), frames);
    }
}

#[test]
fn what_cannot_be_mapped_is_refused() {
    let build = |sections: &[BootSection]| {
        let mut machine = Machine::new();
        let mut heap = Heap::new(physical_heap(crate::model::IMAGE_END));
        let plan = BootPlan {
            window: Window::IDENTITY,
            self_map: &Pool,
            sections,
            devices: &PSEUDOS_DEVICES,
        };
        build(&mut machine, &mut heap, &Reserve::new(), plan)
    };
    let mut twice = sections();
    twice[1] = twice[0];
    let address = VirtAddr::new(0x8020_0000);
    let mapped_to = PhysAddr::new(0x8020_0000);
    assert_eq!(
        build(&twice),
        Err(BootMapError::Map(MapError::AlreadyMapped(
            address, mapped_to
        )))
    );
    let mut far = sections();
    far[0].start = 0x40_0000_0000;
    far[0].end = 0x40_0000_5000;
    let error = BootMapError::Map(MapError::NonCanonical(VirtAddr::new(far[0].start)));
    assert_eq!(build(&far), Err(error));
}

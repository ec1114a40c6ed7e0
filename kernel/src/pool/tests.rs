use super::*;
use crate::board;
use crate::board::{HEAP_COUNTER, HEAP_TOP};
use crate::model::{HIGH, IMAGE_END, Machine, booted, kalloc_and_refill, refill};
use crate::window::Window;
use proptest::prelude::*;
use std::collections::BTreeSet;
use std::vec::Vec;

const FRESH_GIB: VirtAddr = VirtAddr::new(0x1_0000_0000);

fn counter(machine: &Machine) -> u64 {
    machine.load_physical(HEAP_COUNTER)
}

/// What must hold whenever no call is under way.
fn assert_sound(machine: &Machine, pool: &Pool) {
    let window = pool.heap().layout().window;
    assert_eq!(counter(machine), pool.heap().handed_out());
    let walk = machine.walk();
    let tables: BTreeSet<PhysPage> = walk.tables.iter().map(|table| table.page).collect();
    assert_eq!(tables.len(), walk.tables.len(), "no table is linked twice");
    for table in &tables {
        assert!(pool.is_table(*table));
        let mapped = machine.translation(window.address_of(*table)).mapped();
        assert_eq!(mapped.map(|mapped| mapped.address), Some(table.start()));
    }
}

/// S0.4, and the promise to whoever steps from one return of kalloc to the next: down by 4096, the
/// counter up by one, and one new table at the 2 MiB boundary, each and every call.
#[test]
fn s0_4_stepping_kalloc_across_the_2_mib_boundary() {
    for window in [Window::IDENTITY, HIGH] {
        let (mut machine, mut pool, map) = booted(window);
        // 8 where the image shares RAM's L1; one more where it needs an L1 of its own.
        let mut steps = map.handed_out;
        let mut expected = PhysPage::from_truncated(HEAP_TOP.number() - steps);
        let mut tables = machine.walk().tables.len();
        let mut boundaries = 0;
        while steps < 1200 {
            let page = pool.alloc(&mut machine).unwrap();
            assert_eq!(page, window.address_of(expected));
            assert!(machine.page_is_filled(page, FRESH_FILL));
            steps += 1;
            assert_eq!(counter(&machine), steps);
            let now = machine.walk().tables.len();
            if now != tables {
                assert_eq!(now, tables + 1);
                assert_eq!(page.as_u64() & 0x1f_ffff, 0x1f_f000);
                boundaries += 1;
            }
            tables = now;
            expected = PhysPage::from_truncated(expected.number() - 1);
            if pool.wants_page(&mut machine) {
                pool.stock(&mut machine, page).unwrap();
            }
        }
        assert_eq!(boundaries, 2);
        assert_sound(&machine, &pool);
    }
}

#[test]
fn all_of_memory_can_be_handed_out_and_no_more() {
    let (mut machine, mut pool, _) = booted(Window::IDENTITY);
    let mut pages = BTreeSet::new();
    while let Ok(page) = pool.alloc(&mut machine) {
        assert!(pages.insert(page));
        refill(&mut machine, &mut pool);
    }
    let capacity = pool.heap().capacity();
    assert_eq!(pool.heap().handed_out(), capacity);
    assert_eq!(
        pool.alloc(&mut machine),
        Err(AllocError::OutOfMemory(capacity))
    );
    assert_eq!(pool.reserve(), RESERVE_MARK);
    // Tables were taken, and replaced each time before anybody could miss them.
    assert_eq!(pool.reserve_lowest(), RESERVE_MARK);
    assert_sound(&machine, &pool);
    // A map still has its two tables; the next has none, and says so.
    let frame = PhysAddr::new(0x8700_0000);
    pool.map(&mut machine, FRESH_GIB, frame, HEAP_FLAGS)
        .unwrap();
    refill(&mut machine, &mut pool);
    let next = FRESH_GIB.wrapping_add(1 << 30);
    assert_eq!(
        pool.map(&mut machine, next, frame, HEAP_FLAGS),
        Err(MapError::NoTables {
            needed: 2,
            available: 0
        })
    );
    assert_eq!(pool.reserve_lowest(), 0);
    // Freed pages serve it.
    for page in pages.iter().take(4) {
        if pool.free(&mut machine, *page).is_ok() {
            refill(&mut machine, &mut pool);
        }
    }
    assert_eq!(
        pool.map(&mut machine, next, frame, HEAP_FLAGS)
            .unwrap()
            .new_tables,
        2
    );
    assert_sound(&machine, &pool);
}

/// The boundary needs a table while a map has just used both: the reserve wants one more then.
#[test]
fn a_map_right_at_the_boundary_leaves_kalloc_its_table() {
    let (mut machine, mut pool, _) = booted(Window::IDENTITY);
    while counter(&machine) < 511 {
        kalloc_and_refill(&mut machine, &mut pool);
    }
    let frame = PhysAddr::new(0x8700_0000);
    for gib in 0..4 {
        let address = FRESH_GIB.wrapping_add(gib << 30);
        pool.map(&mut machine, address, frame, HEAP_FLAGS).unwrap();
        refill(&mut machine, &mut pool);
        assert!(pool.reserve() >= RESERVE_MARK);
        assert!(!kalloc_and_refill(&mut machine, &mut pool).is_empty());
    }
    assert_sound(&machine, &pool);
}

#[test]
fn freed_newest_first_kalloc_n_is_the_same_page_again() {
    let (mut machine, mut pool, _) = booted(Window::IDENTITY);
    let first: Vec<VirtAddr> = (0..20)
        .flat_map(|_| kalloc_and_refill(&mut machine, &mut pool))
        .collect();
    for page in first.iter().rev() {
        pool.free(&mut machine, *page).unwrap();
        assert_eq!(
            machine.load(page.wrapping_add(8)),
            u64::from_le_bytes([FREED_FILL; 8])
        );
    }
    assert_eq!((counter(&machine), pool.heap().freed()), (8, 20));
    let again: Vec<VirtAddr> = (0..20)
        .flat_map(|_| kalloc_and_refill(&mut machine, &mut pool))
        .collect();
    assert_eq!(first, again);
}

#[test]
fn what_was_not_handed_out_cannot_be_freed() {
    let (mut machine, mut pool, map) = booted(Window::IDENTITY);
    let page = kalloc_and_refill(&mut machine, &mut pool)[0];
    let window = Window::IDENTITY;
    for (address, error) in [
        (
            page.wrapping_add(8),
            FreeError::Misaligned(page.wrapping_add(8)),
        ),
        (VirtAddr::new(0), FreeError::Foreign(VirtAddr::new(0))),
        (
            VirtAddr::new(0x8020_0000),
            FreeError::Foreign(VirtAddr::new(0x8020_0000)),
        ),
        (
            VirtAddr::new(0x87ff_f000),
            FreeError::Foreign(VirtAddr::new(0x87ff_f000)),
        ),
        (
            VirtAddr::new(!0xfff),
            FreeError::Foreign(VirtAddr::new(!0xfff)),
        ),
        (
            VirtAddr::new(0x8700_0000),
            FreeError::NeverHandedOut(VirtAddr::new(0x8700_0000)),
        ),
        (
            window.address_of(map.root),
            FreeError::Table(window.address_of(map.root)),
        ),
        (
            window.address_of(map.reserve[0]),
            FreeError::Table(window.address_of(map.reserve[0])),
        ),
    ] {
        assert_eq!(pool.free(&mut machine, address), Err(error));
    }
    pool.free(&mut machine, page).unwrap();
    assert_eq!(
        pool.free(&mut machine, page),
        Err(FreeError::DoubleFree(page))
    );
    assert_sound(&machine, &pool);
}

/// Somebody writes to a page after freeing it: nothing is handed out twice.
#[test]
fn an_overwritten_link_ends_the_list() {
    let (mut machine, mut pool, map) = booted(Window::IDENTITY);
    let pages: Vec<VirtAddr> = (0..4)
        .flat_map(|_| kalloc_and_refill(&mut machine, &mut pool))
        .collect();
    for link in [
        7,
        pages[0].as_u64(),
        map.root.start().as_u64(),
        u64::MAX,
        pages[3].as_u64(),
    ] {
        let held = pages[3];
        pool.free(&mut machine, held).unwrap();
        machine.store(held, link);
        assert_eq!(pool.alloc(&mut machine), Ok(held));
        assert_eq!(pool.heap().freed(), 0);
    }
    assert_sound(&machine, &pool);
}

/// S1.5: heap and tables have a region of their own, which nobody else maps or unmaps.
#[test]
fn the_window_is_reserved() {
    let (mut machine, mut pool, _) = booted(Window::IDENTITY);
    let frame = PhysAddr::new(0x8700_0000);
    for address in [0x8700_0000, 0x87ff_e000, 0x87ff_f000] {
        let address = VirtAddr::new(address);
        let error = MapError::ReservedRegion(address, "the heap's own window");
        assert_eq!(
            pool.map(&mut machine, address, frame, HEAP_FLAGS),
            Err(error)
        );
        let error = UnmapError::ReservedRegion(address, "the heap's own window");
        assert_eq!(pool.unmap(&mut machine, address), Err(error));
    }
    assert_eq!(pool.map_calls(), 3);
}

/// Without its text, its stack's guard or its console the kernel could not even say what happened.
#[test]
fn the_kernels_own_pages_are_reserved() {
    let (mut machine, mut pool, _) = booted(HIGH);
    let frame = PhysAddr::new(0x8700_0000);
    for (address, name) in [
        (board::SUPERVISOR_START.as_u64(), ".text"),
        (board::SUPERVISOR_START.as_u64() + 0xfff, ".text"),
        (IMAGE_END.as_u64() - PAGE_SIZE, "stack"),
        (board::UART0.start().as_u64(), "UART0"),
    ] {
        let address = VirtAddr::new(address);
        let before = machine.translation(address).outcome;
        let error = MapError::ReservedRegion(address, name);
        assert_eq!(
            pool.map(&mut machine, address, frame, HEAP_FLAGS),
            Err(error)
        );
        let error = UnmapError::ReservedRegion(address, name);
        assert_eq!(pool.unmap(&mut machine, address), Err(error));
        assert_eq!(machine.translation(address).outcome, before);
    }
    // Right after the device nothing is reserved; nor is the page that no region at all means.
    for address in [board::UART0.end().as_u64(), 0] {
        let address = VirtAddr::new(address);
        assert!(
            pool.map(&mut machine, address, frame, HEAP_FLAGS).is_ok(),
            "{address}"
        );
        assert_eq!(pool.unmap(&mut machine, address), Ok(()));
        refill(&mut machine, &mut pool);
    }
}

#[derive(Clone, Debug)]
enum Step {
    Kalloc,
    Kfree(usize),
    Map(u64),
    Unmap(usize),
    Touch(u64),
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let number = || {
        prop_oneof![
            0u64..8,
            0u64..1 << 27,
            (0u64..512).prop_map(|gib| gib << 18)
        ]
    };
    let step = prop_oneof![
        6 => Just(Step::Kalloc),
        3 => any::<usize>().prop_map(Step::Kfree),
        4 => number().prop_map(Step::Map),
        2 => any::<usize>().prop_map(Step::Unmap),
        2 => number().prop_map(Step::Touch),
    ];
    prop::collection::vec(step, 1..300)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]
    /// Whatever is done in whatever order, starting right below the boundary.
    #[test]
    fn any_history_is_sound(steps in steps(), high: bool, before in 0u64..512) {
        let window = if high { HIGH } else { Window::IDENTITY };
        let (mut machine, mut pool, _) = booted(window);
        let mut pages: Vec<VirtAddr> = Vec::new();
        let mut mapped: Vec<(VirtAddr, PhysAddr)> = Vec::new();
        for _ in 0..before {
            kalloc_and_refill(&mut machine, &mut pool);
        }
        for step in steps {
            match step {
                Step::Kalloc => {
                    let returned = kalloc_and_refill(&mut machine, &mut pool);
                    let page = *returned.first().expect("memory is left");
                    prop_assert!(machine.page_is_filled(page, FRESH_FILL));
                    prop_assert!(!pages.contains(&page));
                    pages.push(page);
                }
                Step::Kfree(place) if !pages.is_empty() => {
                    let page = pages.swap_remove(place % pages.len());
                    if mapped.iter().any(|(_, phys)| window.frame_at(page) == phys.page()) {
                        pages.push(page);
                    } else {
                        prop_assert_eq!(pool.free(&mut machine, page), Ok(()));
                        prop_assert_eq!(pool.free(&mut machine, page), Err(FreeError::DoubleFree(page)));
                    }
                }
                Step::Map(number) if !pages.is_empty() => {
                    let virt = MODE.sign_extend(number << 12);
                    let page = *pages.last().unwrap();
                    let phys = window.frame_at(page).unwrap().start();
                    if pool.map(&mut machine, virt, phys, HEAP_FLAGS).is_ok() {
                        machine.store(virt.wrapping_add(64), number);
                        prop_assert_eq!(machine.load(page.wrapping_add(64)), number);
                        mapped.push((virt, phys));
                    }
                    refill(&mut machine, &mut pool);
                    prop_assert!(pool.reserve() >= RESERVE_MARK);
                }
                Step::Unmap(place) if !mapped.is_empty() => {
                    let (virt, _) = mapped.swap_remove(place % mapped.len());
                    prop_assert_eq!(pool.unmap(&mut machine, virt), Ok(()));
                    prop_assert_eq!(machine.touch(virt), None);
                }
                Step::Touch(number) => {
                    let virt = MODE.sign_extend(number << 12);
                    let hardware = machine.access(virt, crate::model::Access::Load);
                    let software = pool.lookup(&mut machine, virt).mapped().map(|mapped| mapped.address);
                    prop_assert_eq!(hardware, software);
                }
                _ => {}
            }
        }
        for (virt, phys) in mapped {
            prop_assert_eq!(machine.access(virt, crate::model::Access::Store), Some(phys));
        }
        assert_sound(&machine, &pool);
    }
}

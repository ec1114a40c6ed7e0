use super::*;
use crate::board;
use crate::board::{HEAP_COUNTER, HEAP_TOP};
use crate::census::table_frames;
use crate::model::{HIGH, IMAGE_END, Machine, assert_windows, booted, kalloc_and_refill, refill};
use crate::self_map::STRATEGIES;
use crate::self_map::pool::Pool;
use crate::window::Window;
use proptest::prelude::{Just, ProptestConfig, any, prop, prop_assert, prop_assert_eq};
use proptest::{prop_oneof, proptest};
use std::collections::BTreeSet;
use std::vec::Vec;

const FRESH_GIB: VirtAddr = VirtAddr::new(0x1_0000_0000);

fn counter(machine: &Machine) -> u64 {
    machine.load_physical(HEAP_COUNTER)
}

/// What must hold whenever no call is under way.
fn assert_sound(machine: &Machine, space: &Space) {
    assert_eq!(counter(machine), space.heap().handed_out());
    assert_windows(machine, space);
}

/// Every strategy, with the heap where virtual is physical and where no address is.
fn everywhere(mut check: impl FnMut(Machine, Space)) {
    for self_map in STRATEGIES {
        for window in [Window::IDENTITY, HIGH] {
            let (machine, space) = booted(self_map, window);
            check(machine, space);
        }
    }
}

fn map(
    space: &mut Space,
    machine: &mut Machine,
    virt: VirtAddr,
    phys: PhysAddr,
) -> Result<MapReport, MapError> {
    space.map(machine, virt, phys, Level::L0, HEAP_FLAGS)
}

/// S0.4, and the promise to whoever steps from one return of kalloc to the next: down by 4096, the
/// counter up by one, and one new table at the 2 MiB boundary, each and every call.
#[test]
fn s0_4_stepping_kalloc_across_the_2_mib_boundary() {
    for window in [Window::IDENTITY, HIGH] {
        let (mut machine, mut pool) = booted(&Pool, window);
        // 8 where the image shares RAM's L1; one more where it needs an L1 of its own.
        let mut steps = pool.heap().handed_out();
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

/// kalloc(n) is n pages below the first, n being what the heap counter says before the call: with
/// every strategy, and wherever one keeps a page for a table.
#[test]
fn s0_4_the_counter_says_which_page_comes_next() {
    everywhere(|mut machine, mut space| {
        let window = space.heap().layout().window;
        let first_tables = table_frames(&space, &machine);
        let mut tables = first_tables;
        while counter(&machine) < 1200 {
            let number = counter(&machine);
            let page = space.alloc(&mut machine).unwrap();
            let frame = PhysPage::from_truncated(HEAP_TOP.number() - number);
            assert_eq!(page, window.address_of(frame));
            assert!(machine.page_is_filled(page, FRESH_FILL));
            refill(&mut machine, &mut space);
            // A look at all tables takes its time: near the boundaries, and now and then.
            if matches!(number % 512, 505..) || number.is_multiple_of(100) {
                let now = table_frames(&space, &machine);
                assert!(now <= tables + 1);
                tables = now;
            }
        }
        // Two 2 MiB were entered.
        assert_eq!(tables, first_tables + 2);
        assert_sound(&machine, &space);
    });
}

#[test]
fn all_of_memory_can_be_handed_out_and_no_more() {
    for self_map in STRATEGIES {
        let (mut machine, mut space) = booted(self_map, Window::IDENTITY);
        let mark = self_map.reserve_mark();
        let mut pages = BTreeSet::new();
        while let Ok(page) = space.alloc(&mut machine) {
            assert!(pages.insert(page));
            refill(&mut machine, &mut space);
        }
        let capacity = space.heap().capacity();
        assert_eq!(space.heap().handed_out(), capacity, "{}", self_map.name());
        assert_eq!(
            space.alloc(&mut machine),
            Err(AllocError::OutOfMemory(capacity))
        );
        // Tables were taken, and replaced each time before anybody could miss them.
        assert_eq!((space.reserve(), space.reserve_lowest()), (mark, mark));
        assert_sound(&machine, &space);
        // The reserve is for what can be replaced: a map that needs tables is refused.
        let frame = PhysAddr::new(0x8700_0000);
        let error = MapError::NoTables {
            needed: mark,
            available: 0,
        };
        assert_eq!(map(&mut space, &mut machine, FRESH_GIB, frame), Err(error));
        assert_eq!(space.heap().available(), 0);
        // Freed pages serve it.
        let freed: Vec<_> = pages
            .iter()
            .filter(|page| space.free(&mut machine, **page).is_ok())
            .take(mark)
            .collect();
        assert_eq!(space.heap().available(), freed.len() as u64);
        let report = map(&mut space, &mut machine, FRESH_GIB, frame).unwrap();
        assert_eq!((report.new_tables, report.frames), (2, mark));
        refill(&mut machine, &mut space);
        assert_eq!(space.heap().available(), 0);
        let next = FRESH_GIB.wrapping_add(1 << 30);
        assert_eq!(map(&mut space, &mut machine, next, frame), Err(error));
        // So does what is unmapped, at once.
        space.unmap(&mut machine, FRESH_GIB).unwrap();
        let report = map(&mut space, &mut machine, next, frame).unwrap();
        assert_eq!((report.new_tables, report.frames), (2, mark));
        refill(&mut machine, &mut space);
        assert_eq!((space.reserve(), space.reserve_lowest()), (mark, mark));
        assert_sound(&machine, &space);
    }
}

/// The boundary needs a table while a map has just used both: the reserve wants one more then.
#[test]
fn a_map_right_at_the_boundary_leaves_kalloc_its_table() {
    let (mut machine, mut pool) = booted(&Pool, Window::IDENTITY);
    while counter(&machine) < 511 {
        kalloc_and_refill(&mut machine, &mut pool);
    }
    let frame = PhysAddr::new(0x8700_0000);
    for gib in 0..4 {
        let address = FRESH_GIB.wrapping_add(gib << 30);
        map(&mut pool, &mut machine, address, frame).unwrap();
        refill(&mut machine, &mut pool);
        assert!(pool.reserve() >= pool.self_map().reserve_mark());
        assert!(!kalloc_and_refill(&mut machine, &mut pool).is_empty());
    }
    assert_sound(&machine, &pool);
}

#[test]
fn freed_newest_first_kalloc_n_is_the_same_page_again() {
    let (mut machine, mut pool) = booted(&Pool, Window::IDENTITY);
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
    let (mut machine, mut pool) = booted(&Pool, Window::IDENTITY);
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
            window.address_of(pool.root()),
            FreeError::Table(window.address_of(pool.root())),
        ),
        (
            VirtAddr::new(0x87ff_7000),
            FreeError::Table(VirtAddr::new(0x87ff_7000)),
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
    let (mut machine, mut pool) = booted(&Pool, Window::IDENTITY);
    let pages: Vec<VirtAddr> = (0..4)
        .flat_map(|_| kalloc_and_refill(&mut machine, &mut pool))
        .collect();
    for link in [
        7,
        pages[0].as_u64(),
        pool.root().start().as_u64(),
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
    let (mut machine, mut pool) = booted(&Pool, Window::IDENTITY);
    let frame = PhysAddr::new(0x8700_0000);
    for address in [0x8700_0000, 0x87ff_e000, 0x87ff_f000] {
        let address = VirtAddr::new(address);
        let error = MapError::ReservedRegion(address, "the heap's own window");
        assert_eq!(map(&mut pool, &mut machine, address, frame), Err(error));
        let error = UnmapError::ReservedRegion(address, "the heap's own window");
        assert_eq!(pool.unmap(&mut machine, address), Err(error));
    }
    assert_eq!(pool.map_calls(), 3);
}

/// Without its text, its stack's guard or its console the kernel could not even say what happened.
#[test]
fn the_kernels_own_pages_are_reserved() {
    let (mut machine, mut pool) = booted(&Pool, HIGH);
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
        assert_eq!(map(&mut pool, &mut machine, address, frame), Err(error));
        let error = UnmapError::ReservedRegion(address, name);
        assert_eq!(pool.unmap(&mut machine, address), Err(error));
        assert_eq!(machine.translation(address).outcome, before);
    }
    // Right after the device nothing is reserved; nor is the page that no region at all means.
    for address in [board::UART0.end().as_u64(), 0] {
        let address = VirtAddr::new(address);
        assert!(
            map(&mut pool, &mut machine, address, frame).is_ok(),
            "{address}"
        );
        assert_eq!(pool.unmap(&mut machine, address), Ok(4096));
        refill(&mut machine, &mut pool);
    }
}

/// Tables that are empty are given back: nothing is lost, and the frames serve again as pages.
#[test]
fn empty_tables_are_given_back() {
    everywhere(|mut machine, mut space| {
        kalloc_and_refill(&mut machine, &mut space);
        let frame = PhysAddr::new(0x8700_0000);
        let (in_use, tables) = (counter(&machine), table_frames(&space, &machine));
        for gib in 0..6 {
            for mib_2 in 0..3 {
                let virt = FRESH_GIB.wrapping_add(gib << 30 | mib_2 << 21);
                map(&mut space, &mut machine, virt, frame).unwrap();
                refill(&mut machine, &mut space);
            }
        }
        assert!(table_frames(&space, &machine) >= tables + 24);
        for gib in 0..6 {
            for mib_2 in 0..3 {
                let virt = FRESH_GIB.wrapping_add(gib << 30 | mib_2 << 21);
                space.unmap(&mut machine, virt).unwrap();
                assert_sound(&machine, &space);
            }
        }
        assert_eq!(table_frames(&space, &machine), tables);
        // All but what fills the reserve up to its last place.
        let kept = space.reserve() - space.self_map().reserve_mark();
        assert_eq!(counter(&machine), in_use + kept as u64);
        let mut pages = BTreeSet::new();
        while space.heap().has_freed() {
            let page = space.alloc(&mut machine).unwrap();
            assert!(pages.insert(page) && machine.page_is_filled(page, FRESH_FILL));
        }
    });
}

/// Self-leaf: an L1 on a 2 MiB boundary would make its own leaf a valid superpage.
#[test]
fn a_frame_on_a_2_mib_boundary_becomes_no_table_of_self_leaf() {
    let self_leaf = crate::self_map::by_name("self-leaf").unwrap();
    let (mut machine, mut space) = booted(self_leaf, Window::IDENTITY);
    let boundary = VirtAddr::new(0x87e0_0000);
    while kalloc_and_refill(&mut machine, &mut space)[0] != boundary {}
    assert!(!space.accepts(boundary));
    assert!(space.stock(&mut machine, boundary).is_err());
    // It comes next, and still does not get into the reserve.
    space.free(&mut machine, boundary).unwrap();
    let frame = PhysAddr::new(0x8700_0000);
    for gib in 0..4 {
        let virt = FRESH_GIB.wrapping_add(gib << 30);
        map(&mut space, &mut machine, virt, frame).unwrap();
        refill(&mut machine, &mut space);
        assert_eq!(space.reserve(), 2);
    }
    assert!(!space.is_table(boundary.page_of()));
    assert_sound(&machine, &space);
}

trait PageOf {
    fn page_of(self) -> PhysPage;
}

impl PageOf for VirtAddr {
    fn page_of(self) -> PhysPage {
        Window::IDENTITY.frame_at(self).unwrap()
    }
}

#[derive(Clone, Debug)]
enum Step {
    Kalloc,
    Kfree(usize),
    Map(u64, Level),
    Unmap(usize),
    Touch(u64),
}

fn steps() -> impl prop::strategy::Strategy<Value = Vec<Step>> {
    use prop::strategy::Strategy as _;
    let number = || {
        prop_oneof![
            0u64..8,
            0u64..1 << 27,
            (0u64..512).prop_map(|gib| gib << 18),
            (0u64..2048).prop_map(|unit| 4 << 18 | unit << 9),
        ]
    };
    let level = prop_oneof![4 => Just(Level::L0), 2 => Just(Level::L1), 1 => Just(Level::L2)];
    let step = prop_oneof![
        6 => Just(Step::Kalloc),
        3 => any::<usize>().prop_map(Step::Kfree),
        5 => (number(), level).prop_map(|(number, level)| Step::Map(number, level)),
        4 => any::<usize>().prop_map(Step::Unmap),
        2 => number().prop_map(Step::Touch),
    ];
    prop::collection::vec(step, 1..300)
}

/// The shadow of the address space: what was mapped, and to what.
type Shadow = Vec<(VirtAddr, PhysAddr, Level)>;

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    /// Whatever is done in whatever order, with whatever strategy, starting right below the boundary.
    /// All translations are the shadow's; and undone, nothing is lost.
    #[test]
    fn any_history_is_sound(
        steps in steps(),
        high: bool,
        before in 0u64..512,
        strategy in prop::sample::select(&STRATEGIES[..]),
    ) {
        let window = if high { HIGH } else { Window::IDENTITY };
        let (mut machine, mut space) = booted(strategy, window);
        let mark = strategy.reserve_mark();
        let first_tables = table_frames(&space, &machine);
        let mut pages: Vec<VirtAddr> = Vec::new();
        let mut mapped: Shadow = Vec::new();
        for _ in 0..before {
            kalloc_and_refill(&mut machine, &mut space);
        }
        for step in steps {
            match step {
                Step::Kalloc => {
                    let returned = kalloc_and_refill(&mut machine, &mut space);
                    let page = *returned.first().expect("memory is left");
                    prop_assert!(machine.page_is_filled(page, FRESH_FILL));
                    prop_assert!(!pages.contains(&page));
                    pages.push(page);
                }
                Step::Kfree(place) if !pages.is_empty() => {
                    let page = pages.swap_remove(place % pages.len());
                    prop_assert_eq!(space.free(&mut machine, page), Ok(()));
                    prop_assert_eq!(space.free(&mut machine, page), Err(FreeError::DoubleFree(page)));
                }
                Step::Map(number, level) => {
                    let virt = MODE.canonical(number << 12).align_down(level.entry_size());
                    // Far above RAM: what lies there is not looked at.
                    let phys = PhysAddr::new((1 << 50) + (number << 12)).align_down(level.entry_size());
                    let report = space.map(&mut machine, virt, phys, level, HEAP_FLAGS);
                    if let Ok(report) = report {
                        prop_assert!(report.frames <= mark);
                        mapped.push((virt, phys, level));
                    }
                    refill(&mut machine, &mut space);
                    prop_assert!(space.reserve() >= mark);
                }
                Step::Unmap(place) if !mapped.is_empty() => {
                    let (virt, _, level) = mapped.swap_remove(place % mapped.len());
                    let inside = virt.wrapping_add(level.entry_size() / 2);
                    prop_assert_eq!(space.unmap(&mut machine, inside), Ok(level.entry_size()));
                    prop_assert_eq!(machine.access(virt, crate::model::Access::Load), None);
                }
                Step::Touch(number) => {
                    let virt = MODE.canonical(number << 12);
                    let hardware = machine.access(virt, crate::model::Access::Load);
                    let software = space.lookup(&mut machine, virt).mapped().map(|mapped| mapped.address);
                    prop_assert_eq!(hardware, software);
                }
                _ => {}
            }
        }
        for (virt, phys, level) in &mapped {
            for offset in [0, level.entry_size() - 8] {
                let found = machine.access(virt.wrapping_add(offset), crate::model::Access::Store);
                prop_assert_eq!(found, Some(phys.wrapping_add(offset)));
            }
        }
        assert_sound(&machine, &space);

        for (virt, _, _) in mapped {
            prop_assert!(space.unmap(&mut machine, virt).is_ok());
        }
        assert_sound(&machine, &space);
        // All that is left beside the first tables are the L0s of the heap's window.
        let heap = space.heap_window().unwrap();
        let mut others = 0;
        crate::census::census(&space, &machine, &mut |found| {
            let of_heap = found.table.level == Level::L0 && heap.contains(found.table.covers_from);
            others += u64::from(!of_heap);
        });
        prop_assert!(others <= first_tables);
        // Frames in use are what was asked for, the tables, the reserve, and what was passed over.
        let linked = table_frames(&space, &machine);
        let in_use = counter(&machine);
        let states = |wanted| {
            let heap = space.heap();
            let (bottom, top) = (heap.layout().bottom.number(), heap.layout().top.number());
            (bottom..=top).filter(|page| heap.state(PhysPage::from_truncated(*page)) == Some(wanted)).count() as u64
        };
        prop_assert_eq!(states(PageState::InUse), pages.len() as u64 + before);
        prop_assert_eq!(states(PageState::Table), linked + space.reserve() as u64);
        prop_assert_eq!(in_use, states(PageState::InUse) + states(PageState::Table));
        prop_assert_eq!(space.heap().freed(), states(PageState::Freed));
    }
}

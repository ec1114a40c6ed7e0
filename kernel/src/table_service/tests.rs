use super::*;
use crate::board::RAM;
use crate::model::{Access, Machine, Physical, booted, refill};
use crate::self_map::by_name;
use crate::space::{HEAP_FLAGS, Space};
use pagescope_protocol::PhysAddr;
use std::boxed::Box;
use std::vec::Vec;

const FRAME: PhysAddr = PhysAddr::new(0x8700_0000);

fn demand() -> (Machine, Space) {
    booted(by_name("demand").expect("it exists"), Window::IDENTITY)
}

/// Traps that one map takes.
fn traps(machine: &mut Machine, space: &mut Space, address: VirtAddr, level: Level) -> u64 {
    let before = machine.served;
    let phys = FRAME.align_down(level.entry_size());
    space
        .map(machine, address, phys, level, HEAP_FLAGS)
        .expect("memory is left");
    refill(machine, space);
    machine.served - before
}

/// S1.7
#[test]
fn a_present_page_takes_no_trap_a_fresh_2_mib_one_a_fresh_gib_two() {
    let (mut machine, mut space) = demand();
    let gib = 0x1_0000_0000;
    for (address, level, expected) in [
        (gib, Level::L0, 2),
        (gib + 0x1000, Level::L0, 0),
        (gib + (2 << 20), Level::L0, 1),
        (gib + (4 << 20), Level::L1, 0),
        (gib + (1 << 30), Level::L1, 1),
        (gib + (2 << 30), Level::L2, 0),
    ] {
        let address = VirtAddr::new(address);
        let taken = traps(&mut machine, &mut space, address, level);
        assert_eq!(taken, expected, "{address} {level}");
        assert!(machine.access(address, Access::Store).is_some());
    }
}

/// S1.8: what is not about the window is S-mode's, and nothing changes.
#[test]
fn everything_else_is_not_ours() {
    let (mut machine, space) = demand();
    let frames = crate::census::table_frames(&space, &machine);
    for address in [
        VirtAddr::new(0),
        VirtAddr::new(0x1_0000_0000),
        // Not canonical, though its low bits are the window's.
        VirtAddr::new(0x7f_c000_0000),
        // A window of the window's own tables.
        virt(WINDOW, WINDOW, 7),
        virt(WINDOW, UPPER, WINDOW),
        virt(WINDOW, UPPER, UPPER),
        // PCI ECAM is a superpage: no table is missing.
        virt(WINDOW, 0, 400),
    ] {
        // Where it is mapped, the store does not fault in the first place.
        if machine.access(address, Access::Store).is_none() {
            assert!(!machine.serve(address), "{address}");
        }
    }
    assert_eq!(crate::census::table_frames(&space, &machine), frames);
    assert_eq!(machine.served, 0);
}

#[test]
fn an_empty_reserve_is_s_modes_fault() {
    let (mut machine, space) = demand();
    let (root, nothing) = (space.root(), Reserve::new());
    let address = virt(WINDOW, 4, 0);
    let needs = LeafFlags::WRITE;
    let mut serve = |reserve: &Reserve| {
        serve(
            &mut Physical(&mut machine),
            root,
            reserve,
            RAM,
            address,
            needs,
        )
    };
    assert_eq!(serve(&nothing), Verdict::Exhausted);
    // An L1 takes two.
    nothing.put(FRAME.page().unwrap()).unwrap();
    assert_eq!(serve(&nothing), Verdict::Exhausted);
    assert_eq!(nothing.len(), 1);
    // Frames that are not S-mode's do not count, and are never written to.
    let foreign = Reserve::new();
    for number in [1, 2, 0x7_ffff, 1 << 40] {
        foreign.put(PhysPage::from_truncated(number)).unwrap();
    }
    assert_eq!(serve(&foreign), Verdict::Exhausted);
}

/// A store whose entry has appeared meanwhile needs a fence and no table; one that the leaf forbids is
/// a fault.
#[test]
fn what_is_present_is_tried_again_and_what_is_forbidden_is_not() {
    let (mut machine, space) = demand();
    let reserve: &'static Reserve = Box::leak(Box::default());
    let root = space.root();
    let window = space.window_of(Table::root(root));
    let mut serve = |needs| {
        serve(
            &mut Physical(&mut machine),
            root,
            reserve,
            RAM,
            window,
            needs,
        )
    };
    assert_eq!(serve(LeafFlags::WRITE), Verdict::Present);
    assert_eq!(serve(LeafFlags::READ), Verdict::Present);
    assert_eq!(serve(LeafFlags::EXECUTE), Verdict::NotOurs);
}

/// Tried again, these would fault again, for ever.
#[test]
fn what_a_leaf_lacks_or_has_too_much_is_s_modes_fault() {
    let flags = |letters| LeafFlags::from_letters(letters).unwrap();
    for (letters, load, store) in [
        ("rw---ad", Verdict::Present, Verdict::Present),
        ("rw---a-", Verdict::Present, Verdict::NotOurs),
        ("rw-----", Verdict::NotOurs, Verdict::NotOurs),
        ("rw-u-ad", Verdict::NotOurs, Verdict::NotOurs),
        ("r----ad", Verdict::Present, Verdict::NotOurs),
    ] {
        let (mut machine, space) = demand();
        let root = space.root();
        let window = space.window_of(Table::root(root));
        let step = *machine.translation(window).trail.last().unwrap();
        let leaf = pagescope_protocol::Pte::leaf(root, flags(letters));
        machine.store_physical(step.pte_address, leaf.bits());
        for (needs, expected) in [(LeafFlags::READ, load), (LeafFlags::WRITE, store)] {
            let mut physical = Physical(&mut machine);
            let verdict = serve(&mut physical, root, &Reserve::new(), RAM, window, needs);
            assert_eq!(verdict, expected, "{letters} {needs}");
        }
    }
}

/// Where the mirror itself is damaged nothing can be linked, and nothing is taken.
#[test]
fn what_cannot_be_linked_takes_nothing_from_the_reserve() {
    let (mut machine, space) = demand();
    let root = space.root();
    let reserve = Reserve::new();
    for number in 0..3 {
        let frame = FRAME.wrapping_add(number << 12);
        reserve.put(frame.page().unwrap()).unwrap();
    }
    machine.store_physical(root.start().wrapping_add(WINDOW as u64 * 8), 0);
    let mut physical = Physical(&mut machine);
    let window = virt(WINDOW, 4, 0);
    let verdict = serve(&mut physical, root, &reserve, RAM, window, LeafFlags::WRITE);
    assert_eq!((verdict, reserve.len()), (Verdict::NotOurs, 3));
}

/// Damaged tables are S-mode's own fault, and nothing outside of RAM is touched: the model panics on
/// that.
#[test]
fn damage_is_survived() {
    for slot in [2usize, 4, 511] {
        for word in [
            0x3fff_ffff_ffff_fc01u64,
            0x0000_0000_0000_0401,
            5,
            7,
            0x2000_0001,
        ] {
            let (mut machine, space) = demand();
            let root = space.root();
            machine.store_physical(root.start().wrapping_add(slot as u64 * 8), word);
            let reserve: Vec<_> = (0..3).map(|n| FRAME.wrapping_add(n << 12)).collect();
            let frames = Reserve::new();
            for frame in reserve {
                frames.put(frame.page().unwrap()).unwrap();
            }
            for address in [virt(WINDOW, slot, 3), virt(WINDOW, UPPER, slot)] {
                let mut physical = Physical(&mut machine);
                let _ = serve(&mut physical, root, &frames, RAM, address, LeafFlags::WRITE);
            }
        }
    }
}

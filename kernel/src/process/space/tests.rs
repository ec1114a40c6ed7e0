use proptest::prelude::*;
use std::format;

use super::*;
use crate::process::layout::UserLimits;
use crate::process::layout::tests::{SMALL, image};
use crate::process::rig::Rig;

const ASID: u16 = 7;

/// Where the original of the shared data lies in the rig.
const ORIGINAL: VirtAddr = VirtAddr::new(0x3fe6_f000);

fn build(rig: &mut Rig, limits: UserLimits) -> Result<UserSpace, TableError> {
    let layout = UserLayout::new(&image(), limits).unwrap();
    let origin = Origin {
        kernel_root: rig.kernel_root,
        original: ORIGINAL,
        asid: ASID,
    };
    UserSpace::build(&mut rig.memory, &mut rig.frames, layout, &origin)
}

fn flags(rig: &Rig, space: &UserSpace, address: u64) -> Option<std::string::String> {
    let mapped = rig.lookup(space.root(), address).mapped()?;
    Some(format!("{}", mapped.flags))
}

#[test]
fn a_new_space_has_what_the_drawing_has() {
    let mut rig = Rig::new();
    let space = build(&mut rig, SMALL).unwrap();
    let flags = |address| flags(&rig, &space, address);
    // The kernel's part is the kernel's, and no user's.
    assert_eq!(flags(0).unwrap(), "--x-gad");
    assert_eq!(flags(0x4000_0000).unwrap(), "rw--gad");
    assert_eq!(flags(USER_BASE.as_u64()).unwrap(), "--xu-ad");
    assert_eq!(flags(USER_BASE.as_u64() + 0x2_8000).unwrap(), "r--u-ad");
    assert_eq!(flags(USER_BASE.as_u64() + 0x3_2000), None);
    assert_eq!(flags(0x3f_ffe7_8000).unwrap(), "rw-u-ad");
    assert_eq!(flags(0x3f_ffe7_9000), None);
    assert_eq!(flags(0x3f_ffe7_7fff), None);
    assert_eq!(flags(space.layout().guard.start().as_u64()), None);
    let frames = |address: u64| rig.lookup(space.root(), address).mapped().unwrap().address;
    assert_eq!(frames(0x123), frames(USER_BASE.as_u64() + 0x123));
    assert_eq!(space.satp().asid(), ASID);
    assert_eq!(space.table_frames(&rig.memory), 4);
    assert_eq!(space.layout().table_frames(), 4);
}

#[test]
fn each_space_has_its_own_copy_of_the_original() {
    let mut rig = Rig::new();
    for offset in (0..0x80).step_by(8) {
        rig.memory
            .store(ORIGINAL.wrapping_add(offset), 0x1000 + offset);
    }
    let first = build(&mut rig, SMALL).unwrap();
    let second = build(&mut rig, SMALL).unwrap();
    let shared = first.layout().shared.start();
    let place = |rig: &Rig, space: &UserSpace| space.kernels_view(&rig.memory, shared).unwrap();
    let (one, other) = (place(&rig, &first), place(&rig, &second));
    assert_ne!(one, other);
    assert_eq!(rig.memory.load(one.wrapping_add(0x78)), 0x1078);
    rig.memory.store(one, 5);
    assert_eq!(rig.memory.load(other), 0x1000);
}

#[test]
fn the_stack_grows_up_to_its_maximum_and_no_further() {
    let mut rig = Rig::new();
    let mut space = build(&mut rig, SMALL).unwrap();
    let before = rig.frames.taken();
    space
        .grow_stack(&mut rig.memory, &mut rig.frames, 3)
        .unwrap();
    assert_eq!(rig.frames.taken(), before + 2);
    assert_eq!(flags(&rig, &space, 0x3f_ffe7_6000).unwrap(), "rw-u-ad");
    assert!(
        rig.memory
            .fenced
            .contains(&(VirtAddr::new(0x3f_ffe7_6000), ASID))
    );
    space
        .grow_stack(&mut rig.memory, &mut rig.frames, 1000)
        .unwrap();
    assert_eq!(space.stack_pages(), 8);
    assert_eq!(
        flags(&rig, &space, space.layout().guard.start().as_u64()),
        None
    );
}

#[test]
fn the_heap_grows_from_nothing_to_its_maximum_and_shrinks() {
    let mut rig = Rig::new();
    let mut space = build(&mut rig, SMALL).unwrap();
    let before = rig.frames.taken();
    let base = space.layout().heap_base;
    assert_eq!(flags(&rig, &space, base.as_u64()), None);
    let set = space.set_heap(&mut rig.memory, &mut rig.frames, 16);
    assert_eq!(set, Ok(()));
    let set = space.set_heap(&mut rig.memory, &mut rig.frames, 17);
    assert_eq!(set, Err(HeapError::Maximum(16)));
    assert_eq!((space.heap_pages(), rig.frames.taken()), (16, before + 16));
    assert_eq!(space.heap().end(), space.layout().guard.start());
    rig.memory.fenced.clear();
    let set = space.set_heap(&mut rig.memory, &mut rig.frames, 1);
    assert_eq!(set, Ok(()));
    assert_eq!(rig.memory.fenced.len(), 15);
    assert_eq!(rig.frames.taken(), before + 1);
    assert_eq!(flags(&rig, &space, base.as_u64() + 0x1000), None);
    assert_eq!(space.heap_pages_up_to(base.wrapping_add(4097)), Some(2));
    assert_eq!(space.heap_pages_up_to(VirtAddr::new(0)), None);
}

#[test]
fn a_heap_that_memory_does_not_suffice_for_stays_as_it_was() {
    let mut rig = Rig::new();
    let mut space = build(&mut rig, SMALL).unwrap();
    let set = space.set_heap(&mut rig.memory, &mut rig.frames, 2);
    assert_eq!(set, Ok(()));
    rig.frames.leave(3);
    let before = rig.frames.taken();
    let set = space.set_heap(&mut rig.memory, &mut rig.frames, 9);
    assert_eq!(set, Err(TableError::OutOfMemory.into()));
    assert_eq!((space.heap_pages(), rig.frames.taken()), (2, before));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn every_frame_comes_back(
        stack_pages in 1_u64..1200,
        heap_pages in 0_u64..1200,
        stack in 0_u64..200,
        heap in 0_u64..200,
    ) {
        let mut rig = Rig::new();
        let before = rig.frames.taken();
        let mut space = build(&mut rig, UserLimits { stack_pages, heap_pages }).unwrap();
        prop_assert_eq!(space.table_frames(&rig.memory), space.layout().table_frames());
        space.grow_stack(&mut rig.memory, &mut rig.frames, stack).unwrap();
        let set = space.set_heap(&mut rig.memory, &mut rig.frames, heap);
        let expected = if heap > heap_pages { Err(HeapError::Maximum(heap_pages)) } else { Ok(()) };
        prop_assert_eq!(set, expected);
        let tables = space.table_frames(&rig.memory);
        prop_assert_eq!(tables, space.layout().table_frames());
        let pages = space.stack_pages() + space.heap_pages();
        prop_assert_eq!((rig.frames.taken() - before) as u64, tables + pages);
        space.tear_down(&mut rig.memory, &mut rig.frames);
        prop_assert_eq!(rig.frames.taken(), before);
        prop_assert_eq!(&rig.memory.fenced_spaces, &[ASID]);
    }

    #[test]
    fn every_frame_comes_back_where_memory_does_not_suffice(left in 0_usize..8) {
        let mut rig = Rig::new();
        let before = rig.frames.taken();
        rig.frames.leave(left);
        // Four tables and a page.
        let built = build(&mut rig, SMALL);
        prop_assert_eq!(built.is_ok(), left >= 5);
        if let Ok(space) = built {
            space.tear_down(&mut rig.memory, &mut rig.frames);
        }
        prop_assert_eq!(rig.frames.taken(), before);
    }
}

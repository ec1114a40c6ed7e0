//! Id heaps against a list of what was handed out.

use std::collections::BTreeMap;
use std::vec::Vec;

use proptest::prelude::*;

use crate::nanos::id_heap::{Accounts, End, IdError, IdHeap};

const PAGE: u64 = 0x1000;

#[test]
fn s4_6_addresses_are_handed_out_from_either_end_naturally_aligned() {
    let mut accounts = Accounts::<2, 4>::EMPTY;
    let mut heap = IdHeap::new(PAGE, End::Bottom, &mut accounts);
    heap.add_range(0x1000, 0x10_1000).unwrap();
    assert_eq!(heap.alloc(1), Ok(0x1000));
    assert_eq!(heap.alloc(0x3000), Ok(0x4000));
    assert_eq!(heap.alloc(0x1001), Ok(0x2000));
    assert_eq!(heap.alloc(0x8_0000), Ok(0x8_0000));
    assert_eq!(heap.size_of(0x4000), Ok(0x3000));

    let mut accounts = Accounts::<1, 4>::EMPTY;
    let mut heap = IdHeap::new(PAGE, End::Top, &mut accounts);
    heap.add_range(0x8000_1000, 0x8010_1000).unwrap();
    assert_eq!(heap.alloc(1), Ok(0x8010_0000));
    assert_eq!(heap.alloc(0x3000), Ok(0x800f_c000));
    assert_eq!(heap.alloc(0x1000), Ok(0x800f_f000));
    assert_eq!(heap.alloc(0x4_0000), Ok(0x8008_0000));
}

#[test]
fn frees_are_exact_and_neighbours_become_one() {
    let mut accounts = Accounts::<1, 1>::EMPTY;
    let mut heap = IdHeap::new(PAGE, End::Bottom, &mut accounts);
    heap.add_range(0x4_0000, 0x8_0000).unwrap();
    let (a, b) = (heap.alloc(0x2000).unwrap(), heap.alloc(0x2000).unwrap());
    assert_eq!(heap.free(0x1000, PAGE), Err(IdError::Foreign(0x1000)));
    assert_eq!(heap.free(a + PAGE, PAGE), Err(IdError::Middle(a + PAGE)));
    assert_eq!(heap.free(a, PAGE), Err(IdError::Size(a, 0x2000, PAGE)));
    assert_eq!(heap.free(a, 0x4000), Err(IdError::Size(a, 0x2000, 0x4000)));
    assert_eq!(heap.free(a, 0), Err(IdError::Empty));
    heap.free(a, 0x2000).unwrap();
    assert_eq!(heap.free(a, 0x2000), Err(IdError::Free(a)));
    assert_eq!(heap.remove_range(0x4_0000), Err(IdError::InUse(0x4_0000)));
    heap.free(b, 0x2000).unwrap();
    assert_eq!(heap.alloc(0x4_0000), Ok(0x4_0000));
    assert_eq!(heap.alloc(1), Err(IdError::Exhausted(1)));
}

#[test]
fn ranges_are_added_lengthened_and_removed() {
    let mut accounts = Accounts::<2, 1>::EMPTY;
    let mut heap = IdHeap::new(PAGE, End::Bottom, &mut accounts);
    assert_eq!(heap.alloc(1), Err(IdError::Exhausted(1)));
    assert_eq!(heap.add_range(0, 0), Err(IdError::Empty));
    assert_eq!(
        heap.add_range(0x800, 0x1800),
        Err(IdError::Misaligned(0x800, 0x1800, PAGE))
    );
    assert_eq!(heap.add_range(0, 0x4_1000), Err(IdError::NoPlace(0x4_1000)));
    heap.add_range(0x2_0000, 0x3_0000).unwrap();
    assert_eq!(
        heap.add_range(0x2_f000, 0x3_1000),
        Err(IdError::Overlap(0x2_f000, 0x3_1000))
    );
    // It goes on where the first one ends: one range, of which one piece is as long as both.
    heap.add_range(0x3_0000, 0x4_0000).unwrap();
    assert_eq!(heap.ranges().collect::<Vec<_>>(), [(0x2_0000, 0x2_0000)]);
    assert_eq!(heap.alloc(0x2_0000), Ok(0x2_0000));
    heap.add_range(0x10_0000, 0x11_0000).unwrap();
    assert_eq!(
        heap.add_range(0x20_0000, 0x21_0000),
        Err(IdError::NoPlace(0x1_0000))
    );
    assert_eq!(heap.unused_range(), Some(0x10_0000));
    assert_eq!(heap.remove_range(0x10_0000), Ok(0x1_0000));
    assert_eq!(heap.free(0x10_0000, PAGE), Err(IdError::Foreign(0x10_0000)));
}

/// Where the lowest, or the highest, piece lies that is free and aligned.
fn expected(
    shadow: &BTreeMap<u64, u64>,
    (start, end): (u64, u64),
    units: u64,
    from: End,
) -> Option<u64> {
    let alignment = units.next_power_of_two();
    let is_free = |at: &u64| {
        *at >= start
            && at + units <= end
            && shadow
                .iter()
                .all(|(other, size)| at + units <= *other || other + size <= *at)
    };
    let mut places = (start..end)
        .filter(|at| at % alignment == 0)
        .filter(is_free);
    match from {
        End::Bottom => places.next(),
        End::Top => places.next_back(),
    }
}

proptest! {
    /// Every answer is the one that the list of allocations has, for every size, from either end.
    #[test]
    fn it_answers_as_a_list_does(
        from_top: bool,
        start in 0_u64..70,
        steps in prop::collection::vec((0_u64..40, any::<prop::sample::Index>()), 0..150),
    ) {
        let from = if from_top { End::Top } else { End::Bottom };
        let bounds = (start, start + 190);
        let mut accounts = Accounts::<1, 3>::EMPTY;
        let mut heap = IdHeap::new(PAGE, from, &mut accounts);
        heap.add_range(bounds.0 * PAGE, bounds.1 * PAGE).unwrap();
        let mut shadow = BTreeMap::new();
        for (units, which) in steps {
            if units < 20 && !shadow.is_empty() {
                let keys: Vec<u64> = shadow.keys().copied().collect();
                let key = *which.get(&keys);
                let size = shadow.remove(&key).unwrap();
                prop_assert_eq!(heap.size_of(key * PAGE), Ok(size * PAGE));
                prop_assert_eq!(heap.free(key * PAGE, size * PAGE), Ok(()));
                prop_assert_eq!(heap.free(key * PAGE, size * PAGE), Err(IdError::Free(key * PAGE)));
            } else if units > 0 {
                let place = expected(&shadow, bounds, units, from);
                let answer = heap.alloc(units * PAGE).ok();
                prop_assert_eq!(answer, place.map(|place| place * PAGE));
                shadow.extend(place.map(|place| (place, units)));
            }
            let listed: BTreeMap<u64, u64> = heap.allocations().collect();
            let known = shadow.iter().map(|(at, size)| (at * PAGE, size * PAGE));
            prop_assert_eq!(listed, known.collect());
            prop_assert_eq!(heap.used_units(), shadow.values().sum::<u64>());
        }
    }
}

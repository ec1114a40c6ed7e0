//! The two maps: a partition of physical memory, and a space cut at it.
#![allow(clippy::unwrap_used, reason = "a test that panics has failed")]

#[path = "../../protocol/tests/support/arbitrary.rs"]
mod arbitrary;

use std::time::{Duration, Instant};

use pagescope::model::bands::{fresh_ranges, physical_partition};
use pagescope::model::{Band, BandKind, Difference, fixture, physical_bands, virtual_bands};
use pagescope_protocol::snapshot::{
    Heap, Mapping, PhysicalKind, PhysicalRegion, Region, RegionKind, RegionSpace, Snapshot, Space,
};
use pagescope_protocol::{LeafFlags, Level, PhysAddr, PhysPage, TranslationMode, VirtAddr};
use proptest::prelude::*;

fn flags(letters: &str) -> LeafFlags {
    LeafFlags::from_letters(letters).unwrap()
}

fn ram(start: u64, size: u64) -> PhysicalRegion {
    PhysicalRegion {
        start: PhysAddr::new(start),
        size,
        kind: PhysicalKind::Ram,
        name: "RAM".into(),
    }
}

fn region(start: u64, size: u64, kind: RegionKind, space: RegionSpace, name: &str) -> Region {
    Region {
        start,
        size,
        space,
        kind,
        name: name.into(),
        ..Region::default()
    }
}

fn mapping(virt: u64, phys: u64, size: u64, letters: &str) -> Mapping {
    Mapping {
        virt: VirtAddr::new(virt),
        phys: PhysAddr::new(phys),
        size,
        page_size: 4096,
        flags: flags(letters),
        name: String::new(),
    }
}

fn space(mappings: Vec<Mapping>) -> Space {
    Space {
        name: "hart 0".into(),
        mode: TranslationMode::Sv39,
        asid: 0,
        root: PhysPage::new(0x87ffc).unwrap(),
        kind: None,
        number: None,
        harts: vec![0],
        through: None,
        truncated: false,
        tables: Vec::new().into(),
        mappings: mappings.into(),
    }
}

fn map(snapshot: &Snapshot, space: &Space) -> Vec<Band> {
    virtual_bands(snapshot, space, &Difference::default())
}

/// Each band as one line: start, size, kind, name.
fn shown(bands: &[Band]) -> Vec<String> {
    let line = |band: &Band| {
        format!(
            "{:#x} +{:#x} {:?} {}",
            band.start, band.size, band.kind, band.name
        )
    };
    bands
        .iter()
        .map(|band| line(band).trim_end().to_owned())
        .collect()
}

/// In order, without overlap, none empty, none past the last address.
fn check_order(bands: &[Band]) {
    for band in bands {
        assert!(band.size > 0, "{band:?}");
        assert!(band.start.checked_add(band.size - 1).is_some(), "{band:?}");
    }
    for pair in bands.windows(2) {
        assert!(pair[0].last() < pair[1].start, "{pair:?}");
    }
}

/// Mappings that follow one another without overlap, as tables give them.
fn disjoint(mut mappings: Vec<Mapping>) -> Vec<Mapping> {
    mappings.sort_by_key(|mapping| mapping.virt);
    let mut kept: Vec<Mapping> = Vec::new();
    for mapping in mappings {
        let free = kept.last().is_none_or(|last| {
            last.virt
                .as_u64()
                .checked_add(last.size)
                .is_some_and(|end| end <= mapping.virt.as_u64())
        });
        if free {
            kept.push(mapping);
        }
    }
    kept
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    /// The sweep says of every address what looking at each region in turn says.
    #[test]
    fn the_partition_covers_exactly_what_is_known(
        snapshot in arbitrary::snapshot(),
        probe in arbitrary::number(),
    ) {
        let bands = physical_partition(&snapshot);
        check_order(&bands);
        let edges = snapshot.physical.iter().flat_map(|region| {
            let start = region.start.as_u64();
            [start, start.wrapping_sub(1), start.wrapping_add(region.size)]
        });
        for address in edges.chain([probe, 0, u64::MAX]) {
            let in_machine = snapshot.physical.iter().any(|region| {
                address.checked_sub(region.start.as_u64()).is_some_and(|offset| offset < region.size)
            });
            let covered = bands.iter().any(|band| band.contains(address));
            prop_assert!(covered || !in_machine, "{:#x} is in the machine and in no band", address);
        }
    }

    #[test]
    fn the_physical_map_has_no_holes(snapshot in arbitrary::snapshot()) {
        let bands = physical_bands(&snapshot);
        check_order(&bands);
        for pair in bands.windows(2) {
            prop_assert_eq!(pair[0].last() + 1, pair[1].start);
        }
    }

    /// Every address of a mapping is in a band that leads where the mapping does; and the map as a
    /// whole has no holes from the first address to the last.
    #[test]
    fn the_virtual_map_is_the_mappings(
        snapshot in arbitrary::snapshot(),
        before in arbitrary::snapshot(),
        canonical in any::<bool>(),
    ) {
        let difference = Difference::between(&before, &snapshot);
        for space in &snapshot.spaces {
            let mut space = space.clone();
            // What goes through a G-stage leads elsewhere: `model::guest_space` tests that.
            space.through = None;
            if canonical {
                let mode = space.mode;
                space.mappings.edit(|mappings| {
                    for mapping in mappings {
                        mapping.virt = mode.canonical(mapping.virt.as_u64());
                        // Moved up, it may not go on past the last address: no file that is read may.
                        let left = (u64::MAX - mapping.virt.as_u64()).saturating_add(1);
                        mapping.size = mapping.size.min(1 << 30).min(left);
                    }
                });
            }
            space.mappings.edit(|mappings| *mappings = disjoint(std::mem::take(mappings)));
            let bands = virtual_bands(&snapshot, &space, &difference);
            check_order(&bands);
            for mapping in &space.mappings {
                for offset in [0, mapping.size / 2, mapping.size - 1] {
                    let at = mapping.virt.as_u64() + offset;
                    let band = bands.iter().find(|band| band.contains(at));
                    let Some(band) = band else {
                        panic!("{at:#x} is in no band");
                    };
                    let leads = band.phys.map(|phys| phys.wrapping_add(at - band.start));
                    prop_assert_eq!(leads, Some(mapping.phys.wrapping_add(offset)));
                    prop_assert_eq!(band.flags, Some(mapping.flags));
                }
            }
            if space.mode.root_level().is_some() && !bands.is_empty() {
                prop_assert_eq!(bands[0].start, 0);
                prop_assert_eq!(bands[bands.len() - 1].last(), u64::MAX);
                for pair in bands.windows(2) {
                    prop_assert_eq!(pair[0].last() + 1, pair[1].start);
                }
            }
        }
    }
}

#[test]
fn the_stronger_claim_hides_the_weaker() {
    let at = |start, size, kind, name| region(start, size, kind, RegionSpace::Physical, name);
    let snapshot = Snapshot {
        physical: vec![ram(0x8000_0000, 0x10000)].into(),
        regions: vec![
            at(0x8000_0000, 0x6000, RegionKind::Machine, "machine"),
            at(0x8000_2000, 0x2000, RegionKind::Text, ".text"),
            at(0x8000_3000, 0x800, RegionKind::Guard, "guard"),
        ]
        .into(),
        ..Snapshot::default()
    };
    assert_eq!(
        shown(&physical_bands(&snapshot)),
        [
            "0x80000000 +0x2000 Machine machine",
            "0x80002000 +0x1000 Code .text",
            "0x80003000 +0x800 Guard guard",
            "0x80003800 +0x800 Code .text",
            "0x80004000 +0x2000 Machine machine",
            "0x80006000 +0xa000 Ram",
        ]
    );
}

/// The counter shares its page with the end of what is before and with the heap, which the kernel names.
#[test]
fn a_counter_in_a_shared_page_hides_nobody() {
    let at = |start, size, kind, name| region(start, size, kind, RegionSpace::Physical, name);
    let mut snapshot = Snapshot {
        physical: vec![ram(0x8000_0000, 0x10000)].into(),
        regions: vec![
            at(0x8000_1000, 0xf00, RegionKind::Stack, "kernel stack"),
            at(0x8000_1f00, 0x80, RegionKind::SharedData, "shared data"),
            at(0x8000_1f80, 0xe080, RegionKind::Heap, "kernel heap"),
        ]
        .into(),
        heap: Some(Heap {
            counter: 2,
            counter_address: PhysAddr::new(0x8000_1f80),
            bottom: PhysAddr::new(0x8000_2000),
            top: PhysAddr::new(0x8000_f000),
            next: PhysAddr::new(0x8000_d000),
            freed: 0,
        }),
        ..Snapshot::default()
    };
    assert_eq!(
        shown(&physical_bands(&snapshot)),
        [
            "0x80000000 +0x1000 Ram",
            "0x80001000 +0xf00 Stack kernel stack",
            "0x80001f00 +0x80 Data shared data",
            "0x80001f80 +0x8 HeapCounter heap counter",
            "0x80001f88 +0x78 Ram kernel heap",
            "0x80002000 +0xc000 Free kernel heap, free",
            "0x8000e000 +0x2000 Heap kernel heap",
        ]
    );
    // A page that nobody else speaks of is all the counter's.
    snapshot.regions.clear();
    let bands = shown(&physical_bands(&snapshot));
    assert!(bands.contains(&"0x80001000 +0x1000 HeapCounter heap counter".into()));
}

#[test]
fn the_fixture_reads_as_it_was_made() {
    let snapshot = fixture::pseudos(5);
    let bands = map(&snapshot, &snapshot.spaces[0]);
    let lines = shown(&bands);
    for line in [
        "0x10000000 +0x1000 Device UART0",
        "0x80200000 +0xc000 Code .text",
        "0x80216000 +0x1000 Guard guard",
        "0x87ff2000 +0x7000 Heap kalloc(12…6)",
        "0x87ff9000 +0x1000 Table(L0) window of L0 0x87ff9000",
        "0x87ffa000 +0x1000 Table(L0) window of L0 0x87ffa000",
        "0x87ffc000 +0x1000 Table(L2) window of root L2 0x87ffc000",
        "0x87fff000 +0x1000 HeapCounter heap counter",
        "0x4000000000 +0xffffff8000000000 NonCanonical non-canonical",
        "0xffffffc000000000 +0x4000000000 Nothing",
    ] {
        assert!(
            lines.contains(&line.to_owned()),
            "{line} is not in {lines:#?}"
        );
    }
    assert_eq!(
        bands
            .iter()
            .find(|band| band.kind == BandKind::Heap)
            .unwrap()
            .amount(),
        "7 pages"
    );
}

/// The end of the heap is named by the calls that returned its pages.
#[test]
fn heap_pages_are_named_by_their_calls() {
    let snapshot = Snapshot {
        physical: vec![ram(0x8000_0000, 128 << 20)].into(),
        heap: Some(Heap {
            counter: 3,
            counter_address: PhysAddr::new(0x87ff_fff8),
            top: PhysAddr::new(0x87ff_e000),
            bottom: PhysAddr::new(0x8020_0000),
            next: PhysAddr::new(0x87ff_b000),
            freed: 0,
        }),
        ..Snapshot::default()
    };
    // One page alone; two in order; one that was never handed out.
    let space = space(vec![
        mapping(0x1000, 0x87ff_e000, 0x1000, "rw---ad"),
        mapping(0x4000, 0x87ff_c000, 0x2000, "rw---ad"),
        mapping(0x8000, 0x87ff_b000, 0x1000, "rw---ad"),
        mapping(0xa000, 0x87ff_f000, 0x1000, "rw---ad"),
    ]);
    let lines = shown(&map(&snapshot, &space));
    assert!(
        lines.contains(&"0x1000 +0x1000 Heap kalloc(0)".to_owned()),
        "{lines:#?}"
    );
    assert!(
        lines.contains(&"0x4000 +0x2000 Heap kalloc(2…1)".to_owned()),
        "{lines:#?}"
    );
    assert!(
        lines.contains(&"0x8000 +0x1000 Data free".to_owned()),
        "{lines:#?}"
    );
    assert!(
        lines.contains(&"0xa000 +0x1000 HeapCounter heap counter".to_owned()),
        "{lines:#?}"
    );
}

#[test]
fn what_leads_on_is_one_band_and_what_does_not_is_two() {
    let snapshot = Snapshot {
        physical: vec![ram(0x8000_0000, 128 << 20)].into(),
        ..Snapshot::default()
    };
    let space = space(vec![
        mapping(0x1000, 0x8000_0000, 0x1000, "rw---ad"),
        mapping(0x2000, 0x8000_1000, 0x1000, "rw---ad"),
        mapping(0x3000, 0x8000_1000, 0x1000, "rw---ad"),
        mapping(0x4000, 0x8000_2000, 0x1000, "rwx--ad"),
    ]);
    let lines = shown(&map(&snapshot, &space));
    assert_eq!(
        lines[1..4],
        [
            "0x1000 +0x2000 Data",
            "0x3000 +0x1000 Data",
            "0x4000 +0x1000 WriteExecute"
        ]
    );
}

/// Guards stand where nothing is mapped: between mappings, beside one another, at either end; a
/// guard that is mapped all the same does not hide the mapping.
#[test]
fn guards_stand_between_mappings() {
    let guard =
        |start, size, name| region(start, size, RegionKind::Guard, RegionSpace::Virtual, name);
    let snapshot = Snapshot {
        physical: vec![ram(0x8000_0000, 128 << 20)].into(),
        regions: vec![
            guard(0x3000, 0x1000, "below"),
            guard(0x2000, 0x1000, "above"),
            guard(0x5000, 0x1000, "mapped"),
            guard(0, 0x1000, "null"),
            guard(u64::MAX - 0xfff, 0x1000, "last"),
            guard(0x10000, u64::MAX, "endless"),
            guard(0x7000, 0, "empty"),
        ]
        .into(),
        ..Snapshot::default()
    };
    let space = space(vec![
        mapping(0x1000, 0x8000_0000, 0x1000, "rw---ad"),
        mapping(0x4000, 0x8000_1000, 0x2000, "rw---ad"),
    ]);
    let bands = map(&snapshot, &space);
    check_order(&bands);
    let lines = shown(&bands);
    assert_eq!(
        lines[..7],
        [
            "0x0 +0x1000 Guard null",
            "0x1000 +0x1000 Data",
            "0x2000 +0x1000 Guard above",
            "0x3000 +0x1000 Guard below",
            "0x4000 +0x1000 Data",
            // A guard that is mapped is shown as what it is.
            "0x5000 +0x1000 Data mapped",
            "0x6000 +0x3fffffa000 Nothing",
        ]
    );
    assert_eq!(
        lines[lines.len() - 1],
        "0xfffffffffffff000 +0x1000 Guard last"
    );
}

/// A mapping of everything is cut at what is known, not at its pages.
#[test]
fn a_huge_mapping_costs_no_more_than_a_small_one() {
    let snapshot = fixture::pseudos(100);
    let space = space(vec![
        mapping(0, 0, 256 << 30, "rwx--ad"),
        mapping(
            0xffff_ffc0_0000_0000,
            0xff_0000_0000_0000,
            256 << 30,
            "rw---ad",
        ),
    ]);
    let start = Instant::now();
    let bands = map(&snapshot, &space);
    check_order(&bands);
    assert!(bands.len() < 100, "{}", bands.len());
    assert!(start.elapsed() < Duration::from_secs(1));
    assert_eq!(bands[bands.len() - 1].last(), u64::MAX);
}

/// Many regions and many mappings, each in its own place: no work that grows with their product.
#[test]
fn many_of_everything_is_still_quick() {
    let count = 50_000u64;
    let guard = |n: u64| {
        region(
            n * 0x4000 + 0x2000,
            0x1000,
            RegionKind::Guard,
            RegionSpace::Virtual,
            "",
        )
    };
    let snapshot = Snapshot {
        physical: (0..count).map(|n| ram(n * 0x2000, 0x1000)).collect(),
        regions: (0..count).map(guard).collect(),
        ..Snapshot::default()
    };
    let space = space(
        (0..count)
            .map(|n| mapping(n * 0x4000, n * 0x2000, 0x1000, "rw---ad"))
            .collect(),
    );
    let start = Instant::now();
    let bands = map(&snapshot, &space);
    assert_eq!(
        bands
            .iter()
            .filter(|band| band.kind == BandKind::Guard)
            .count(),
        count as usize
    );
    assert!(
        start.elapsed() < Duration::from_secs(5),
        "{:?}",
        start.elapsed()
    );
}

#[test]
fn hostile_numbers_are_drawn_as_far_as_they_go() {
    let last = u64::MAX - 0xfff;
    let snapshot = Snapshot {
        physical: vec![ram(last, 0x1000), ram(0x1000, u64::MAX), ram(5, 0)].into(),
        regions: vec![
            region(
                u64::MAX,
                u64::MAX,
                RegionKind::Text,
                RegionSpace::Physical,
                "t",
            ),
            region(0, u64::MAX, RegionKind::Stack, RegionSpace::Physical, "s"),
        ]
        .into(),
        heap: Some(Heap {
            counter: u64::MAX,
            counter_address: PhysAddr::new(u64::MAX),
            top: PhysAddr::new(u64::MAX),
            bottom: PhysAddr::new(u64::MAX),
            next: PhysAddr::new(0),
            freed: u64::MAX,
        }),
        ..Snapshot::default()
    };
    let bands = physical_bands(&snapshot);
    check_order(&bands);
    assert_eq!(
        bands[bands.len() - 1].last(),
        u64::MAX,
        "{:#x?}",
        shown(&bands)
    );
    let space = space(vec![mapping(last, last, 0x1000, "rw---ad")]);
    let bands = map(&snapshot, &space);
    check_order(&bands);
    assert_eq!(bands[bands.len() - 1].last(), u64::MAX);
}

#[test]
fn without_translation_there_is_no_virtual_map() {
    let snapshot = fixture::bare();
    assert!(map(&snapshot, &snapshot.spaces[0]).is_empty());
    let lines = shown(&physical_bands(&snapshot));
    assert!(
        lines.contains(&"0x80200000 +0xc000 Code .text".to_owned()),
        "{lines:#?}"
    );
}

/// What is new stands in bands of its own, also in a table that is new itself.
#[test]
fn fresh_leaves_have_bands_of_their_own() {
    for (pages, address) in [(11, 0x87fe_b000), (503, 0x87df_f000)] {
        let [before, after] = [pages, pages + 1].map(fixture::pseudos);
        let difference = Difference::between(&before, &after);
        let space = &after.spaces[0];
        assert_eq!(
            fresh_ranges(space, &difference),
            [(address, address + 0xfff)]
        );
        let bands = virtual_bands(&after, space, &difference);
        let fresh: Vec<&Band> = bands.iter().filter(|band| band.fresh).collect();
        assert_eq!(fresh.len(), 1, "{fresh:?}");
        assert_eq!((fresh[0].start, fresh[0].size), (address, 0x1000));
        assert_eq!(fresh[0].name, format!("kalloc({})", 8 + pages));
    }
    // A space that was not there before is new as a whole.
    let after = fixture::pseudos(3);
    let difference = Difference::between(&Snapshot::default(), &after);
    let bands = virtual_bands(&after, &after.spaces[0], &difference);
    assert!(bands.iter().all(|band| band.fresh == band.is_something()));
    assert_eq!(difference.new_tables().next().unwrap().0, Level::L2);
}

//! Several spaces in one snapshot: names of regions in each, and two of them compared.

use pagescope::export::text::{
    Order, event_place, layout_text, regions_text, schematic_text, space_difference_text,
    trace_text,
};
use pagescope::model::region_rows::{Mapped, region_rows};
use pagescope::model::space_difference::{AlikeRange, DifferentKind, SpaceDifference};
use pagescope::model::{
    Band, BandKind, Difference, fixture, fold_scattered, fold_windows, virtual_bands,
};
use pagescope_protocol::snapshot::{
    Mapping, PhysicalKind, PhysicalRegion, Region, RegionKind, RegionSpace, Snapshot, Space,
    TraceEvent, TraceKind,
};
use pagescope_protocol::{LeafFlags, PhysAddr, PhysPage, TranslationMode, VirtAddr};

const CPU: u64 = 0xffff_ffc0_4000_0000;
const IMAGE: u64 = 0xffff_ffc0_0020_0000;

fn mapping(virt: u64, phys: u64, size: u64, letters: &str) -> Mapping {
    Mapping {
        virt: VirtAddr::new(virt),
        phys: PhysAddr::new(phys),
        size,
        page_size: 4096,
        flags: LeafFlags::from_letters(letters).expect("flags"),
        name: String::new(),
    }
}

fn space(name: &str, mappings: Vec<Mapping>) -> Space {
    Space {
        name: name.into(),
        mode: TranslationMode::Sv39,
        asid: 0,
        root: PhysPage::new(0x87ffc).expect("a page"),
        kind: None,
        number: None,
        harts: Vec::new(),
        through: None,
        truncated: false,
        tables: Vec::new().into(),
        mappings: mappings.into(),
    }
}

fn region(start: u64, size: u64, kind: RegionKind, name: &str, owner: Option<&str>) -> Region {
    Region {
        start,
        size,
        space: RegionSpace::Virtual,
        kind,
        name: name.into(),
        owner: owner.map(Into::into),
        tag: "boot".into(),
        description: format!("what {name} is for"),
    }
}

/// Two harts: the same image, a cpu struct of their own with a guard below its stack.
fn two_harts() -> Snapshot {
    let hart = |name: &str, cpu: u64| {
        space(
            name,
            vec![
                mapping(IMAGE, 0x8020_0000, 0x4000, "r-x-gad"),
                mapping(IMAGE + 0x4000, 0x8020_4000, 0x2000, "rw--gad"),
                mapping(CPU, cpu, 0x1000, "rw---ad"),
                mapping(CPU + 0x2000, cpu + 0x1000, 0x2000, "rw---ad"),
            ],
        )
    };
    Snapshot {
        physical: vec![PhysicalRegion {
            start: PhysAddr::new(0x8000_0000),
            size: 128 << 20,
            kind: PhysicalKind::Ram,
            name: "RAM".into(),
        }]
        .into(),
        regions: vec![
            region(IMAGE, 0x4000, RegionKind::Text, ".text", None),
            region(IMAGE + 0x4000, 0x2000, RegionKind::Data, ".data", None),
            region(CPU, 0x4000, RegionKind::Cpu, "cpu struct", None),
            region(CPU + 0x1000, 0x1000, RegionKind::Guard, "stack guard", None),
            region(0, 0x1000, RegionKind::Reserved, "zero page", Some("hart 0")),
            // Ends in the middle of a page, and reaches past what is mapped.
            region(
                CPU + 0x2800,
                0x2000,
                RegionKind::Stack,
                "stack",
                Some("hart 1"),
            ),
        ]
        .into(),
        spaces: vec![hart("hart 0", 0x87f0_0000), hart("hart 1", 0x87f1_0000)],
        ..Snapshot::default()
    }
}

fn bands(snapshot: &Snapshot, place: usize) -> Vec<Band> {
    virtual_bands(snapshot, &snapshot.spaces[place], &Difference::default())
}

fn shown(bands: &[Band]) -> Vec<String> {
    let named = bands.iter().filter(|band| !band.name.is_empty());
    named
        .map(|band| format!("{:#x} {:?} {}", band.start, band.kind, band.name))
        .collect()
}

#[test]
fn a_space_shows_the_regions_that_count_in_it() {
    let snapshot = two_harts();
    assert_eq!(
        shown(&bands(&snapshot, 0)),
        [
            "0x0 Reserved zero page",
            "0x4000000000 NonCanonical non-canonical",
            "0xffffffc000200000 Code .text",
            "0xffffffc000204000 Data .data",
            "0xffffffc040000000 Data cpu struct",
            "0xffffffc040001000 Guard stack guard",
            "0xffffffc040002000 Data cpu struct",
        ]
    );
    let other = bands(&snapshot, 1);
    assert_eq!(
        shown(&other)[6..],
        [
            "0xffffffc040002800 Stack stack",
            "0xffffffc040004000 Reserved stack"
        ]
    );
    // From the first address to the last, without a hole.
    let mut at = Some(0);
    for band in &other {
        assert_eq!(Some(band.start), at, "{band:?}");
        at = band.last().checked_add(1);
    }
    assert_eq!(at, None);
    let stack = other.iter().find(|band| band.name == "stack");
    let region = stack.and_then(|band| snapshot.regions.get(band.region?));
    assert_eq!(
        region.map(|region| region.description.as_str()),
        Some("what stack is for")
    );
}

/// Pages of one region whose frames go down as they go up are one band in a drawing, and leaves of their own
/// to whoever compares them.
#[test]
fn scattered_pages_of_a_region_are_drawn_as_one() {
    let mut snapshot = two_harts();
    let pages = (0..4u64).map(|page| {
        let virt = 0x1000_0000 + page * 0x1000;
        mapping(virt, 0x8700_0000 - page * 0x1000, 0x1000, "rw---ad")
    });
    let space = &mut snapshot.spaces[0];
    space
        .mappings
        .edit(|mappings| drop(mappings.splice(0..0, pages)));
    let heap = region(0x1000_0000, 0x8000, RegionKind::Heap, "kalloc pages", None);
    snapshot.regions.push(heap);
    let count = |bands: &[Band]| {
        let named = bands.iter().filter(|band| band.name == "kalloc pages");
        let mapped = named.filter(|band| band.flags.is_some());
        mapped
            .map(|band| (band.size, band.phys.is_some()))
            .collect::<Vec<_>>()
    };
    let all = bands(&snapshot, 0);
    assert_eq!(count(&all), [(0x1000, true); 4]);
    assert_eq!(count(&fold_scattered(all)), [(0x4000, false)]);
    let text = layout_text(&snapshot, snapshot.spaces.first());
    let line = text
        .lines()
        .find(|line| line.contains("kalloc pages: 4 pages"));
    let note = line.and_then(|line| line.split('|').next_back());
    assert_eq!(
        note.map(str::trim),
        Some("rw---ad → scattered frames"),
        "{text}"
    );
}

/// In a map of all RAM only this space's own tables are windows.
#[test]
fn tables_of_other_spaces_are_memory_as_any_other() {
    let snapshot = fixture::several_spaces();
    let mut mapped = snapshot.clone();
    let all = mapping(
        0x40_0000_0000 - (1 << 30),
        0x8700_0000,
        0x10_0000,
        "rw---ad",
    );
    mapped.spaces[0]
        .mappings
        .edit(|mappings| mappings.push(all));
    let windows = |snapshot: &Snapshot| {
        let bands = bands(snapshot, 0);
        let here = bands.iter().filter(|band| band.start >= 0x3f_c000_0000);
        let tables = here.filter(|band| matches!(band.kind, BandKind::Table(_)));
        tables.count()
    };
    assert_eq!(windows(&mapped), 9, "three of each space");
    let linear = region(
        0x3f_c000_0000,
        0x10_0000,
        RegionKind::LinearMap,
        "linear map",
        None,
    );
    mapped.regions.push(linear);
    assert_eq!(windows(&mapped), 3);
}

/// A run of windows in a linear map is one band, in which each of them can still be reached.
#[test]
fn windows_among_other_memory_are_drawn_as_one() {
    let mut snapshot = fixture::several_spaces();
    let start = 0x3f_c000_0000;
    let all = mapping(start, 0x8700_0000, 0x10_0000, "rw---ad");
    snapshot.spaces[0]
        .mappings
        .edit(|mappings| mappings.push(all));
    let mut linear = region(start, 0x10_0000, RegionKind::LinearMap, "linear map", None);
    snapshot.regions.push(linear.clone());
    let drawn = |snapshot: &Snapshot| {
        let space = &snapshot.spaces[0];
        let folded = fold_windows(snapshot, space, bands(snapshot, 0));
        let here = folded.into_iter().filter(|band| band.start >= start);
        let windows = here.filter(|band| matches!(band.kind, BandKind::Table(_)));
        windows
            .map(|band| (band.name.clone(), band.size, band.phys))
            .collect::<Vec<_>>()
    };
    let run = (
        "3 table windows".to_owned(),
        0x3000,
        PhysAddr::new(0x8700_0000),
    );
    assert_eq!(drawn(&snapshot), [(run.0, run.1, Some(run.2))]);
    // Where the tables are what the region is for, each window is told.
    linear.kind = RegionKind::Tables;
    snapshot.regions.pop();
    snapshot.regions.push(linear);
    assert_eq!(drawn(&snapshot).len(), 3);
}

/// The kernel's virtual name wins over a physical one, which wins over nothing.
#[test]
fn a_virtual_name_wins() {
    let mut snapshot = two_harts();
    snapshot.regions.push(Region {
        space: RegionSpace::Physical,
        ..region(0x8020_0000, 0x10_0000, RegionKind::Text, "image", None)
    });
    assert!(shown(&bands(&snapshot, 0)).contains(&"0xffffffc000200000 Code .text".into()));
    snapshot.regions.retain(|region| region.name != ".text");
    assert!(shown(&bands(&snapshot, 0)).contains(&"0xffffffc000200000 Code image".into()));
}

#[test]
fn harts_differ_in_the_cpu_struct_alone() {
    let snapshot = two_harts();
    let [one, other] = [&snapshot.spaces[0], &snapshot.spaces[1]];
    let mut compared = snapshot.clone();
    compared.regions.retain(|region| region.name != "stack");
    let difference = SpaceDifference::between(&compared, one, other);
    assert_eq!(
        difference.summary(),
        "hart 0 and hart 1 differ in 1 region: cpu struct"
    );
    let kinds: Vec<_> = difference
        .ranges
        .iter()
        .map(|range| (range.start, range.size, range.kind))
        .collect();
    assert_eq!(
        kinds,
        [
            (CPU, 0x1000, DifferentKind::Frame),
            (CPU + 0x2000, 0x2000, DifferentKind::Frame)
        ]
    );
    let mapped: u64 = difference.alike.iter().map(|alike| alike.mapped).sum();
    assert_eq!(mapped, 0x6000, "the image is alike");
    let alike: Vec<_> = difference.alike.iter().map(AlikeRange::words).collect();
    let alike: Vec<_> = alike.iter().map(|(is, not)| [is.as_str(), not]).collect();
    assert_eq!(
        alike,
        [
            ["alike: 24 KiB mapped in both", "neither maps zero page"],
            ["alike: neither maps", "stack guard"],
            ["alike: neither maps anything", ""],
        ]
    );
    assert!(space_difference_text(&difference).contains(
        "≠ 0xffffffc040000000      4 KiB  cpu struct  other frame: 0x87f00000 and 0x87f10000"
    ));
    // A region of which some is mapped is none that neither maps.
    compared.regions[0].size = 0x8_0000;
    let partly = SpaceDifference::between(&compared, one, other);
    let names = partly.alike.iter().flat_map(|alike| &alike.unmapped);
    assert!(names.eq(["zero page", "stack guard"]));
    let same = SpaceDifference::between(&compared, one, one);
    assert_eq!(same.summary(), "hart 0 and hart 0 map the same");
    assert!(same.ranges.is_empty());
}

#[test]
fn every_kind_of_difference_is_told() {
    let mut snapshot = two_harts();
    snapshot.regions.clear();
    snapshot.spaces = vec![
        space(
            "a",
            vec![
                mapping(0x1000, 0x8000_1000, 0x2000, "rw---ad"),
                mapping(0x5000, 0x8000_5000, 0x1000, "rw-----"),
                mapping(0x7000, 0x8000_7000, 0x1000, "rw---ad"),
            ],
        ),
        space(
            "b",
            vec![
                mapping(0x2000, 0x8000_2000, 0x2000, "r----ad"),
                mapping(0x5000, 0x8000_5000, 0x1000, "rw---ad"),
                mapping(0x7000, 0x8000_8000, 0x1000, "r----ad"),
            ],
        ),
    ];
    let [one, other] = [&snapshot.spaces[0], &snapshot.spaces[1]];
    let difference = SpaceDifference::between(&snapshot, one, other);
    let kinds: Vec<_> = difference
        .ranges
        .iter()
        .map(|range| (range.start, range.kind))
        .collect();
    // Accessed and dirty alone are no difference.
    assert_eq!(
        kinds,
        [
            (0x1000, DifferentKind::OnlyOne),
            (0x2000, DifferentKind::Flags),
            (0x3000, DifferentKind::OnlyOther),
            (0x7000, DifferentKind::FrameAndFlags),
        ]
    );
    assert_eq!(
        difference.summary(),
        "a and b differ in 4 regions: 0x1000, 0x2000, 0x3000, 0x7000"
    );
    let mut bare = other.clone();
    bare.mode = TranslationMode::Bare;
    let difference = SpaceDifference::between(&snapshot, one, &bare);
    assert_eq!(
        difference.summary(),
        "a and b cannot be compared; b is not translated (mode Bare)"
    );
}

#[test]
fn regions_say_whether_they_are_mapped_where_they_count() {
    let snapshot = two_harts();
    let rows = region_rows(&snapshot, snapshot.spaces.first());
    let mapped: Vec<_> = rows
        .iter()
        .map(|row| (row.region.name.as_str(), row.mapped, row.place_words()))
        .collect();
    assert_eq!(
        mapped,
        [
            (".text", Mapped::Yes, "every space"),
            (".data", Mapped::Yes, "every space"),
            ("cpu struct", Mapped::Partly, "every space"),
            ("stack guard", Mapped::No, "every space"),
            ("zero page", Mapped::No, "hart 0"),
            ("stack", Mapped::Partly, "hart 1"),
        ]
    );
    let text = regions_text(&rows);
    assert!(
        text.contains("guard         unmapped  stack guard"),
        "{text}"
    );
    let kind = |name: &str| {
        let bands = bands(&snapshot, 0);
        bands
            .iter()
            .find(|band| band.name == name)
            .map(|band| band.kind)
    };
    assert_eq!(kind("zero page"), Some(BandKind::Reserved));
}

#[test]
fn an_event_is_a_line() {
    let event = TraceEvent {
        sequence: 7,
        kind: TraceKind::Map,
        address: 0x87ff_3000,
        size: 0x1000,
        argument: 0x8020_0000,
        flags: LeafFlags::from_letters("rw---ad"),
        caller: VirtAddr::new(0x8020_0104),
        symbol: "map_range+0x1c".into(),
        hart: 2,
        space: Some("kernel".into()),
        time: 5,
    };
    let line = trace_text([&event].into_iter());
    let words: Vec<&str> = line.split_whitespace().collect();
    assert_eq!(
        words.join(" "),
        "7 hart 2 map 0x87ff3000 → 0x80200000 4 KiB rw---ad kernel by map_range+0x1c"
    );
    let place = |kind| {
        event_place(&TraceEvent {
            kind,
            argument: 0,
            ..event.clone()
        })
    };
    assert_eq!(place(TraceKind::Kalloc), "0x87ff3000, counter 0");
    assert_eq!(place(TraceKind::Kfree), "0x87ff3000");
}

/// What the documents draw: names, order, permissions; nothing of it from how large something is.
#[test]
fn a_schematic_is_the_drawing_and_nothing_else() {
    let snapshot = two_harts();
    let text = schematic_text(&snapshot, &snapshot.spaces[0], Order::LowFirst);
    let expected = "
Virtual memory of \"hart 0\", Sv39

  +----------------------------------+ 0x00000000
  | zero page                        | not mapped
  |                                  | what zero page is for [boot]
  +----------------------------------+
  | … unmapped …                     |
  +----------------------------------+
  | … no valid addresses …           |
  +----------------------------------+
  | … unmapped …                     |
  +----------------------------------+ 0xffffffc000200000
  | .text                            | kernel r-x  user ---  global  mapped, 4 KiB pages
  |                                  | what .text is for [boot]
  +----------------------------------+
  | .data                            | kernel rw-  user ---  global  mapped, 4 KiB pages
  |                                  | what .data is for [boot]
  +----------------------------------+
  | … unmapped …                     |
  +----------------------------------+ 0xffffffc040000000
  | cpu struct                       | kernel rw-  user ---  mapped, 4 KiB pages
  |                                  | what cpu struct is for [boot]
  +----------------------------------+
  | stack guard                      | not mapped
  |                                  | what stack guard is for [boot]
  +----------------------------------+
  | cpu struct                       | kernel rw-  user ---  mapped, 4 KiB pages
  |                                  | what cpu struct is for [boot]
  +----------------------------------+
  | … unmapped …                     |
  +----------------------------------+
";
    assert_eq!(text, expected);

    // Another build: .text is larger, .data lies higher. The drawing is the same.
    let mut other = snapshot.clone();
    other.regions[0].size = 0x5000;
    other.regions[1].start += 0x1000;
    let space = &mut other.spaces[0];
    space.mappings.edit(|mappings| {
        mappings[0].size = 0x5000;
        mappings[1].virt = VirtAddr::new(IMAGE + 0x5000);
    });
    assert_eq!(
        schematic_text(&other, &other.spaces[0], Order::LowFirst),
        text
    );

    // The other way round, each border keeps its address.
    let high = schematic_text(&snapshot, &snapshot.spaces[0], Order::HighFirst);
    let lines: Vec<&str> = high.lines().collect();
    let image = lines.iter().position(|line| line.contains(".text  "));
    let below = image.map(|line| lines[line + 2]);
    assert_eq!(
        below,
        Some("  +----------------------------------+ 0xffffffc000200000")
    );
    assert!(high.ends_with("+ 0x00000000\n"), "{high}");
}

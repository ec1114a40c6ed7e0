//! Snapshots and recordings as text: nothing is lost, people can read it, and damage is named.
#![allow(clippy::unwrap_used, reason = "a test that panics has failed")]

#[path = "support/arbitrary.rs"]
mod arbitrary;

use std::sync::Arc;

use pagescope_protocol::snapshot::text::{
    Document, TextError, from_text, recording_to_text, snapshot_to_text,
};
use pagescope_protocol::snapshot::{
    Bookmark, FORMAT_VERSION, Heap, KernelFacts, LectureStep, LectureView, Mapping, PhysicalKind,
    PhysicalRegion, Provenance, Recording, Region, RegionKind, RegionSpace, Shared, Snapshot,
    Space, Table, TableEntries, Taken, UnpackError, Unsettled,
};
use pagescope_protocol::{LeafFlags, Level, PhysAddr, PhysPage, Pte, TranslationMode, VirtAddr};
use proptest::prelude::*;

proptest! {
    #![proptest_config(ProptestConfig::with_cases(150))]

    #[test]
    fn a_snapshot_comes_back_from_its_text(snapshot in arbitrary::snapshot()) {
        let text = snapshot_to_text(&snapshot);
        prop_assert_eq!(from_text(&text), Ok(Document::Snapshot(snapshot)));
    }

    #[test]
    fn a_recording_plays_what_was_recorded(
        moments in proptest::collection::vec(arbitrary::snapshot(), 1..5),
        same_name: bool,
    ) {
        let mut moments = moments;
        if same_name {
            // Most spaces keep their names from one stop to the next.
            for space in moments.iter_mut().flat_map(|moment| &mut moment.spaces) {
                space.name = "hart 0".into();
            }
        }
        let recording = Recording::of(moments.iter()).unwrap();
        let played = |recording: &Recording| -> Vec<Snapshot> {
            let moments = recording.moments().unwrap();
            moments.iter().map(|moment| moment.as_ref().clone()).collect()
        };
        prop_assert_eq!(&played(&recording), &moments);
        let text = recording_to_text(&recording);
        let Document::Recording(read) = from_text(&text).unwrap() else {
            panic!("a recording reads as a recording")
        };
        prop_assert_eq!(&read, &recording);
        prop_assert_eq!(&played(&read), &moments);
    }

    #[test]
    fn a_lecture_comes_back_from_its_text(
        (title, bookmarks, lecture) in arbitrary::lecture(3),
    ) {
        let moments = [example(), example(), example()];
        let mut recording = Recording::of(moments.iter()).unwrap();
        (recording.title, recording.bookmarks, recording.lecture) = (title, bookmarks, lecture);
        let text = recording_to_text(&recording);
        prop_assert_eq!(from_text(&text), Ok(Document::Recording(recording)));
    }

    #[test]
    fn packed_entries_come_back(entries in arbitrary::entries()) {
        let packed = entries.pack();
        prop_assert_eq!(TableEntries::unpack(&packed), Ok(entries), "{}", packed);
    }

    #[test]
    fn unpacking_noise_never_panics(text in "[0-9a-fx=+_ -]{0,40}", any in any::<String>()) {
        let _ = TableEntries::unpack(&text);
        let _ = TableEntries::unpack(&any);
    }

    /// One byte of a good file replaced, taken out or put in: it reads, or says where it does not.
    #[test]
    fn damage_never_panics(at in any::<prop::sample::Index>(), c in any::<char>(), how in 0..3) {
        let text = snapshot_to_text(&example());
        let places: Vec<usize> = text.char_indices().map(|(place, _)| place).collect();
        let place = places[at.index(places.len())];
        let (before, after) = text.split_at(place);
        let mut rest = after.chars();
        let damaged = match how {
            0 => { rest.next(); format!("{before}{c}{}", rest.as_str()) }
            1 => { rest.next(); format!("{before}{}", rest.as_str()) }
            _ => format!("{before}{c}{after}"),
        };
        if let Err(TextError::Damaged { line, column, .. }) = from_text(&damaged) {
            prop_assert!(line >= 1 && column >= 1);
            prop_assert!(line <= damaged.lines().count() + 1);
        }
    }
}

fn page(number: u64) -> PhysPage {
    PhysPage::new(number).unwrap()
}

fn flags(letters: &str) -> LeafFlags {
    LeafFlags::from_letters(letters).unwrap()
}

fn table(
    level: Level,
    frame: u64,
    parent: Option<(u64, u16)>,
    from: u64,
    words: &[(usize, u64)],
) -> Arc<Table> {
    let mut entries = [0; 512];
    for (index, bits) in words {
        entries[*index] = *bits;
    }
    Arc::new(Table {
        level,
        frame: page(frame),
        covers_from: VirtAddr::new(from),
        parent: parent.map(|(frame, _)| page(frame)),
        parent_index: parent.map_or(0, |(_, index)| index),
        other_parents: 0,
        entries: Some(TableEntries::new(entries)),
    })
}

/// The document's picture: three tables that map themselves, a heap counter, one page.
fn example() -> Snapshot {
    let leaf = |frame: u64| Pte::leaf(page(frame), flags("rw---ad")).bits();
    let pointer = |frame: u64| Pte::pointer(page(frame)).bits();
    let mapping = |virt: u64, size: u64, letters: &str, name: &str| Mapping {
        virt: VirtAddr::new(virt),
        phys: PhysAddr::new(virt),
        size,
        page_size: 4096,
        flags: flags(letters),
        name: name.into(),
    };
    Snapshot {
        version: FORMAT_VERSION,
        provenance: Provenance {
            tool: "pagescope 0.1.0".into(),
            guest: "pseudos.elf".into(),
            machine: "QEMU 10.0.2, virt".into(),
            link: "gdb port".into(),
            captured_at: "2026-11-21T12:00:00Z".into(),
            ..Provenance::default()
        },
        stop: "kalloc(3) → 0x87ffb000".into(),
        taken: Taken::Stopped,
        notes: "Why does L0 map itself?\nBecause …".into(),
        warnings: Vec::new(),
        kernel: Some(KernelFacts {
            layout: "pseudos".into(),
            strategy: "pool".into(),
            kalloc_depth_max: 1,
            ..KernelFacts::default()
        }),
        heap: Some(Heap {
            counter: 4,
            counter_address: PhysAddr::new(0x87ff_fff8),
            top: PhysAddr::new(0x87ff_e000),
            bottom: PhysAddr::new(0x8020_0000),
            next: PhysAddr::new(0x87ff_a000),
            freed: 0,
        }),
        harts: Vec::new(),
        physical: vec![
            PhysicalRegion {
                start: PhysAddr::new(0x1000_0000),
                size: 0x1000,
                kind: PhysicalKind::Device,
                name: "UART0".into(),
            },
            PhysicalRegion {
                start: PhysAddr::new(0x8000_0000),
                size: 128 << 20,
                kind: PhysicalKind::Ram,
                name: "RAM".into(),
            },
        ]
        .into(),
        regions: vec![Region {
            start: 0x8000_0000,
            size: 0xc000,
            space: RegionSpace::Physical,
            kind: RegionKind::Text,
            name: ".text".into(),
            ..Region::default()
        }]
        .into(),
        watches: Vec::new(),
        spaces: vec![Space {
            name: "hart 0".into(),
            mode: TranslationMode::Sv39,
            asid: 0,
            root: page(0x87ffc),
            kind: None,
            number: None,
            harts: vec![0],
            through: None,
            truncated: false,
            tables: vec![
                table(Level::L2, 0x87ffc, None, 0, &[(2, pointer(0x87ffd))]),
                table(
                    Level::L1,
                    0x87ffd,
                    Some((0x87ffc, 2)),
                    0x8000_0000,
                    &[(63, pointer(0x87ffe))],
                ),
                table(
                    Level::L0,
                    0x87ffe,
                    Some((0x87ffd, 63)),
                    0x87e0_0000,
                    &[507, 508, 509, 510, 511].map(|index| (index, leaf(0x87e00 + index as u64))),
                ),
            ]
            .into(),
            mappings: vec![
                mapping(0x87ff_b000, 0x4000, "rw---ad", "heap"),
                mapping(0x87ff_f000, 0x1000, "rw---ad", "heap counter"),
            ]
            .into(),
        }],
        frames: Shared::default(),
        trace: Shared::default(),
    }
}

#[test]
fn the_text_reads_well() {
    let expected = r#"// Pagescope: the memory of a running system, for people first.
// Addresses and sizes are hexadecimal, page sizes decimal; flags are rwxugad, '-' where off.
// A table's entries are packed: 508-511=0x21fff0c7+0x400 is four words, each 0x400 more.
Snapshot(
    version: 1,
    provenance: (tool: "pagescope 0.1.0", guest: "pseudos.elf", machine: "QEMU 10.0.2, virt", link: "gdb port", captured_at: "2026-11-21T12:00:00Z"),
    stop: "kalloc(3) → 0x87ffb000",
    notes: "Why does L0 map itself?
Because …",
    kernel: (layout: "pseudos", strategy: "pool", kalloc_depth_max: 1, reserve: 0, reserve_low: 0, machine_table_traps: 0),
    heap: (counter: 4, counter_address: "0x87fffff8", top: "0x87ffe000", bottom: "0x80200000", next: "0x87ffa000", freed: 0),
    harts: [],
    physical: [
        (start: "0x10000000", size: "0x1000", kind: Device, name: "UART0"),
        (start: "0x80000000", size: "0x8000000", kind: Ram, name: "RAM"),
    ],
    regions: [
        (start: "0x80000000", size: "0xc000", space: Physical, kind: Text, name: ".text"),
    ],
    watches: [],
    spaces: [
        (
            name: "hart 0",
            mode: "Sv39",
            asid: 0,
            root: "0x87ffc000",
            harts: [0],
            truncated: false,
            tables: [
                (level: 2, frame: "0x87ffc000", covers_from: "0x00000000", entries: "2=0x21fff401"),
                (level: 1, frame: "0x87ffd000", covers_from: "0x80000000", parent: "0x87ffc000", parent_index: 2, entries: "63=0x21fff801"),
                (level: 0, frame: "0x87ffe000", covers_from: "0x87e00000", parent: "0x87ffd000", parent_index: 63, entries: "507-511=0x21ffecc7+0x400"),
            ],
            mappings: [
                (va: "0x87ffb000", pa: "0x87ffb000", size: "0x4000", page_size: 4096, flags: "rw---ad", name: "heap"),
                (va: "0x87fff000", pa: "0x87fff000", size: "0x1000", page_size: 4096, flags: "rw---ad", name: "heap counter"),
            ],
        ),
    ],
    frames: [],
    trace: [],
)
"#;
    let text = snapshot_to_text(&example());
    for (number, (given, wanted)) in text.lines().zip(expected.lines()).enumerate() {
        assert_eq!(given, wanted, "line {}", number + 1);
    }
    assert_eq!(text, expected);
    assert_eq!(from_text(&text), Ok(Document::Snapshot(example())));
}

/// Wherever a file ends too early, the error names a line and a field, or says what the file is not.
#[test]
fn a_file_that_ends_too_early_says_so() {
    let mut after = example();
    after.stop = "kalloc(4) → 0x87ffa000".into();
    let recording = Recording::of([&example(), &after].into_iter()).unwrap();
    for text in [snapshot_to_text(&example()), recording_to_text(&recording)] {
        let begins = text
            .lines()
            .take(3)
            .map(|line| line.len() + 1)
            .sum::<usize>();
        let ends = text.trim_end().len();
        for place in (0..ends).step_by(7).chain((0..ends).step_by(100)) {
            let Some(cut) = text.get(..place) else {
                continue;
            };
            match from_text(cut).unwrap_err() {
                TextError::Damaged {
                    line,
                    column,
                    field,
                    ..
                } => {
                    assert!(
                        line >= 4 && line <= cut.lines().count() + 1,
                        "{place}: line {line}"
                    );
                    assert!(column >= 1);
                    let first_field = begins + "Recording(\n    version:".len();
                    assert!(
                        !field.is_empty() || place <= first_field,
                        "{place}: no field"
                    );
                    assert!(
                        field.bytes().all(|b| b.is_ascii_lowercase() || b == b'_'),
                        "{field}"
                    );
                }
                TextError::Foreign(_) | TextError::Empty => {
                    assert!(place <= begins + "Recording(".len(), "{place}");
                }
                TextError::Impossible { .. } | TextError::Misfit(_) => panic!("{place}"),
            }
        }
    }
}

#[test]
fn damage_is_named_by_line_and_field() {
    let good = snapshot_to_text(&example());
    for (from, to, field, says) in [
        ("\"0x87ffa000\"", "\"0x87ffa00g\"", "next", "0x87ffa00g"),
        (
            "root: \"0x87ffc000\"",
            "root: \"0x87ffc001\"",
            "root",
            "out of range",
        ),
        ("mode: \"Sv39\"", "mode: \"Sv40\"", "mode", "Sv40"),
        (
            "flags: \"rw---ad\"",
            "flags: \"wr---ad\"",
            "flags",
            "wr---ad",
        ),
        ("kind: Ram", "kind: Rom2", "kind", "Rom2"),
        ("entries: \"63=", "entries: \"512=", "entries", "past 511"),
        ("level: 2", "level: 7", "level", "7"),
        ("counter: 4", "counter: -4", "counter", ""),
        // A colon in a string is no field.
        ("stop: \"kalloc(3)", "stop: a\"x: y", "stop", ""),
    ] {
        let line = 1 + good[..good.find(from).unwrap()].matches('\n').count();
        let text = good.replacen(from, to, 1);
        let error = from_text(&text).unwrap_err();
        let TextError::Damaged {
            line: at,
            field: name,
            message,
            ..
        } = &error
        else {
            panic!("{to}: {error}")
        };
        assert_eq!((*at, name.as_str()), (line, field), "{to}: {error}");
        assert!(message.contains(says), "{to}: {message}");
    }
}

fn lecture() -> Recording {
    let mut recording = Recording::of([example(), example()].iter()).unwrap();
    recording.title = "Self-map".into();
    recording.bookmarks = vec![Bookmark {
        moment: 1,
        name: "new table".into(),
    }];
    recording.lecture = vec![LectureStep {
        moment: 1,
        caption: "The root \"points\" nowhere.\n\nIt is a leaf.".into(),
        select: Some("L0 0x87ffe000[499]".parse().unwrap()),
        ..LectureStep::default()
    }];
    recording
}

/// A lecturer may write it by hand: captions stand as they are shown.
#[test]
fn a_lecture_reads_well() {
    let text = recording_to_text(&lecture());
    let expected = r#"    title: "Self-map",
    bookmarks: [
        (moment: 1, name: "new table"),
    ],
    lecture: [
        (
            moment: 1,
            select: "L0 0x87ffe000[499]",
            caption: "The root \"points\" nowhere.

It is a leaf.",
        ),
    ],
    base: Snapshot(
"#;
    assert!(text.contains(expected), "{text}");
    // A recording without one says nothing of it.
    let plain = recording_to_text(&Recording::of([example()].iter()).unwrap());
    assert!(!plain.contains("lecture") && !plain.contains("bookmarks"));
}

#[test]
fn a_lecture_that_is_damaged_or_does_not_fit_says_where() {
    let good = recording_to_text(&lecture());
    let says = |from: &str, to: &str| {
        let text = good.replacen(from, to, 1);
        assert_ne!(text, good);
        from_text(&text).unwrap_err().to_string()
    };
    let error = says("[499]\"", "[499\"");
    assert!(
        error.contains("line 13") && error.contains("`select`"),
        "{error}"
    );
    assert!(error.contains("points at nothing"), "{error}");
    let error = says("            moment: 1", "            moment: 2");
    assert_eq!(
        error,
        "lecture step 1 is about moment 2; the moments are 0 to 1"
    );
    let error = says("(moment: 1, name", "(moment: 7, name");
    assert!(error.starts_with("bookmark 1 is about moment 7"), "{error}");
    let error = says("It is a leaf.", &"leaf ".repeat(4000));
    assert!(error.contains("lecture step 1 has a caption of"), "{error}");
    // A view that a newer version has a word for is no damage.
    let newer = good.replacen(
        "            moment: 1",
        "            view: Timeline, moment: 1",
        1,
    );
    let Document::Recording(read) = from_text(&newer).unwrap() else {
        panic!("a recording")
    };
    assert_eq!(read.lecture[0].view, Some(LectureView::Other));
}

#[test]
fn what_is_no_snapshot_is_named() {
    for (text, begins) in [
        ("hello world", "hello"),
        ("{\"version\": 1}", "{\"version\": 1}"),
        ("\u{7f}ELF\u{2}\u{1}", "\u{7f}ELF\u{2}\u{1}"),
        ("// only a comment\nPoem()", "Poem"),
        ("/* a longer\n comment */ Poem()", "Poem"),
    ] {
        assert_eq!(from_text(text), Err(TextError::Foreign(begins.into())));
    }
    for text in ["", "  \n\n", "// a comment\n", "/* not closed"] {
        assert_eq!(from_text(text), Err(TextError::Empty), "{text:?}");
    }
    let nested = format!("Snapshot(version: 1, later: {}", "[".repeat(100_000));
    assert!(matches!(from_text(&nested), Err(TextError::Damaged { .. })));
}

/// A file of a later version has more fields, one of an earlier version fewer.
#[test]
fn unknown_fields_are_passed_over_and_missing_ones_have_defaults() {
    let good = snapshot_to_text(&example());
    let newer = good
        .replacen(
            "version: 1",
            "version: 2, later: (a: [1, 2.5, \"x\"], b: Some((c: 'd'))), map: {\"a\": 1}",
            1,
        )
        .replacen("name: \"hart 0\"", "name: \"hart 0\", vmid: \"0x7\"", 1)
        .replacen("counter: 4", "counter: 4, colour: Gold(1)", 1)
        .replacen("level: 2,", "level: 2, stage: 2,", 1);
    let read = from_text(&newer).unwrap();
    let expected = Snapshot {
        version: 2,
        ..example()
    };
    assert_eq!(read, Document::Snapshot(expected));

    let small = "Snapshot(version: 1, provenance: (), spaces: [(name: \"a\", mode: \"Sv39\", root: 0x1000)])";
    let Document::Snapshot(read) = from_text(small).unwrap() else {
        panic!()
    };
    assert_eq!(read.spaces[0].root, page(1));
    assert_eq!((read.heap, read.spaces[0].harts.len()), (None, 0));
}

/// What was still moving stands in the file; a file that says nothing was taken of a guest that stood still.
#[test]
fn a_running_guest_and_what_moved_are_said() {
    let moving = Snapshot {
        taken: Taken::Running(Unsettled {
            tables: vec![page(0x87ffb), page(0x87ffe)],
            harts: vec![1],
            kernel: true,
        }),
        ..example()
    };
    let text = snapshot_to_text(&moving);
    assert!(
        text.contains(
            "    taken: Running((tables: [\"0x87ffb000\", \"0x87ffe000\"], harts: [1], kernel: true)),\n"
        ),
        "{text}"
    );
    assert_eq!(from_text(&text), Ok(Document::Snapshot(moving.clone())));
    let space = &moving.spaces[0];
    let unsettled = moving.taken.unsettled().unwrap();
    let ranges: Vec<_> = unsettled.ranges(space).collect();
    assert_eq!(ranges, [(VirtAddr::new(0x87e0_0000), 2 << 20)]);
    assert!(moving.taken.is_torn(page(0x87ffe)) && !moving.taken.is_torn(page(0x87ffc)));

    // By hand in any order: they are looked up as if they were in order.
    let unsorted = text.replace(
        "\"0x87ffb000\", \"0x87ffe000\"",
        "0x87ffe000, \"0x87ffb000\"",
    );
    assert_eq!(from_text(&unsorted), Ok(Document::Snapshot(moving.clone())));
    let recording = Recording::of([&example(), &moving].into_iter()).unwrap();
    let text = recording_to_text(&recording);
    let Ok(Document::Recording(read)) = from_text(&text) else {
        panic!("{text}")
    };
    let moments = read.moments().unwrap();
    assert_eq!(*moments[0], example());
    assert_eq!(*moments[1], moving);
    assert!(!snapshot_to_text(&example()).contains("taken"));
}

/// Numbers may be written by hand, with and without quotes, and comments may stand anywhere.
#[test]
fn a_file_may_be_edited_by_hand() {
    let text = "/* mine */ Snapshot(version: 1, provenance: (), // notes
        heap: Some((counter: 3, counter_address: 0x87fffff8, top: \"0x87ff_e000\",
            bottom: 2149580800, next: \"2281680896\")),
        harts: [(id: 0, pc: Some(\"0xffffffc000000000\"), satp: \"0x8000000000087ffc\"), (id: 1, pc: None)])";
    let Document::Snapshot(read) = from_text(text).unwrap() else {
        panic!()
    };
    let heap = read.heap.unwrap();
    assert_eq!(heap.top, PhysAddr::new(0x87ff_e000));
    assert_eq!(heap.bottom, PhysAddr::new(0x8020_0000));
    assert_eq!(heap.next, PhysAddr::new(2_281_680_896));
    assert_eq!(read.harts[0].pc, Some(VirtAddr::new(0xffff_ffc0_0000_0000)));
    assert_eq!(read.harts[0].satp.unwrap().root(), page(0x87ffc));
    assert_eq!(read.harts[1].pc, None);
}

#[test]
fn impossible_mappings_are_refused() {
    let good = snapshot_to_text(&example());
    for (from, to) in [
        ("size: \"0x4000\"", "size: \"0xffffffffffffffff\""),
        ("size: \"0x4000\"", "size: \"0x0\""),
        ("page_size: 4096", "page_size: 0"),
        ("page_size: 4096", "page_size: 4095"),
        ("va: \"0x87ffb000\"", "va: \"0x87fff000\""),
    ] {
        let error = from_text(&good.replacen(from, to, 1)).unwrap_err();
        let TextError::Impossible { space, .. } = &error else {
            panic!("{to}: {error}")
        };
        assert_eq!(space, "hart 0");
    }
    // In a step of a recording as well.
    let mut after = example();
    after.spaces[0]
        .mappings
        .edit(|mappings| mappings[0].size = 0x3000);
    let recording = Recording::of([&example(), &after].into_iter()).unwrap();
    let text = recording_to_text(&recording).replacen("size: \"0x3000\"", "size: \"0x0\"", 1);
    assert!(matches!(
        from_text(&text),
        Err(TextError::Impossible { .. })
    ));
}

#[test]
fn packing_says_what_it_does_not_understand() {
    for text in [
        "5", "5=", "=1", "5=0xg", "5-=1", "a=1", "5=1+", "5=1++1", "5=+1", "+5=1",
    ] {
        assert_eq!(
            TableEntries::unpack(text),
            Err(UnpackError::Token(text.into())),
            "{text}"
        );
    }
    for text in ["512=1", "5-4=1", "0-512=1", "99999999999999=1"] {
        assert_eq!(
            TableEntries::unpack(text),
            Err(UnpackError::Order(text.into(), 511)),
            "{text}"
        );
    }
    let error = TableEntries::unpack("3=1 3=2").unwrap_err();
    assert_eq!(error, UnpackError::Order("3=2".into(), 511));
    assert_eq!(TableEntries::unpack("").unwrap().words(), [0; 512]);
    assert_eq!(TableEntries::unpack("of 1024:").unwrap().words(), [0; 1024]);
    for length in ["", "511", "513", "8192", "x"] {
        assert_eq!(
            TableEntries::unpack(&format!("of {length}: 5=0x1")),
            Err(UnpackError::Length(length.into()))
        );
    }
}

#[test]
fn a_step_that_does_not_fit_says_which() {
    let mut after = example();
    after.spaces[0]
        .mappings
        .edit(|mappings| drop(mappings.pop()));
    let mut recording = Recording::of([&example(), &after].into_iter()).unwrap();
    recording.base.spaces[0]
        .mappings
        .edit(|mappings| drop(mappings.pop()));
    let error = recording.moments().unwrap_err().to_string();
    assert!(
        error.contains("step 1") && error.contains("87fff000"),
        "{error}"
    );
}

/// Sharing is what makes a long recording small in memory.
#[test]
fn moments_share_the_tables_that_did_not_change() {
    let mut after = example();
    after.spaces[0]
        .mappings
        .edit(|mappings| mappings[0].name = "heap of 4".into());
    let recording = Recording::of([&example(), &after].into_iter()).unwrap();
    let moments = recording.moments().unwrap();
    let [before, after] = [&moments[0], &moments[1]].map(|moment| &moment.spaces[0].tables);
    assert!(
        before
            .iter()
            .zip(after)
            .all(|(before, after)| Arc::ptr_eq(before, after))
    );
    let read = from_text(&recording_to_text(&recording)).unwrap();
    assert_eq!(read, Document::Recording(recording));
}

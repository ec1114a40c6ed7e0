//! Text drawings: they read well, fit on a page of notes, and take any snapshot.

#[path = "../../protocol/tests/support/arbitrary.rs"]
mod arbitrary;

use std::sync::Arc;

use pagescope::export::text::{WIDTH, difference_text, layout_text, map_text, walk_text};
use pagescope::model::{Difference, fixture};
use pagescope_protocol::snapshot::{MappingList, Snapshot, Table, TableEntries};
use pagescope_protocol::{Level, Pte, TranslationMode, VirtAddr};
use proptest::prelude::*;

fn check_shape(text: &str) {
    for line in text.lines() {
        let width = line.chars().count();
        assert!(width <= WIDTH, "{width} columns: {line}");
        assert!(!line.ends_with(' '), "{line:?}");
        assert!(!line.contains(|c: char| c.is_control()), "{line:?}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(100))]

    #[test]
    fn any_snapshot_is_drawn(
        before in arbitrary::snapshot(),
        after in arbitrary::snapshot(),
        at in arbitrary::number(),
    ) {
        check_shape(&layout_text(&after, None));
        for space in after.spaces.iter().chain(&before.spaces) {
            let text = layout_text(&after, Some(space));
            check_shape(&text);
            prop_assert!(text.lines().count() < 2000);
            map_text(&space.mappings);
            walk_text(space.mode, &space.translate(VirtAddr::new(at)));
        }
        difference_text(&Difference::between(&before, &after));
    }
}

#[test]
fn the_layout_reads_as_people_draw_it() {
    let snapshot = fixture::pseudos(5);
    let text = layout_text(&snapshot, snapshot.spaces.first());
    check_shape(&text);
    insta::assert_snapshot!(text);
}

/// The counter counts the pages in use: those that wait are none of them.
#[test]
fn freed_pages_are_told_apart_from_those_in_use() {
    let mut snapshot = fixture::pseudos(2);
    let heap = snapshot.heap.as_mut().unwrap();
    (heap.counter, heap.freed) = (42, 4101);
    let text = layout_text(&snapshot, snapshot.spaces.first());
    let line = text.lines().find(|line| line.starts_with("heap counter"));
    let line = line.unwrap();
    assert!(
        line.contains("42 pages handed out; 4101 freed and waiting (at"),
        "{line}"
    );
}

#[test]
fn what_is_not_known_is_said() {
    let bare = fixture::bare();
    let text = layout_text(&bare, bare.spaces.first());
    assert!(text.contains("There are no page tables: virtual addresses are physical ones."));
    assert!(
        text.contains("| .text: 48 KiB"),
        "the physical map is drawn all the same\n{text}"
    );
    let text = layout_text(&Snapshot::default(), None);
    assert!(text.contains("No address space is known"), "{text}");
    let mut snapshot = fixture::pseudos(1);
    snapshot.spaces[0].truncated = true;
    snapshot.spaces[0].tables.edit(|tables| tables.truncate(2));
    let text = layout_text(&snapshot, snapshot.spaces.first());
    assert!(text.contains("not in this snapshot"), "{text}");
    assert!(text.contains("This is not all"), "{text}");
}

/// A root that points to itself is drawn once a level.
#[test]
fn a_cycle_ends() {
    let mut snapshot = fixture::pseudos(0);
    let space = &mut snapshot.spaces[0];
    let words = [Pte::pointer(space.root).bits(); 512];
    let table = |level| Table {
        level,
        frame: space.root,
        covers_from: VirtAddr::new(0),
        parent: None,
        parent_index: 0,
        other_parents: 0,
        entries: Some(TableEntries::new(words)),
    };
    space.tables = [Level::L2, Level::L1, Level::L0]
        .map(|level| Arc::new(table(level)))
        .to_vec()
        .into();
    let text = layout_text(&snapshot, snapshot.spaces.first());
    check_shape(&text);
    assert!(text.contains("+-- [0..511] → L1 0x87ffc000"), "{text}");
    // What it is, and not all of it again one level lower.
    assert!(text.contains("the root, read as L1"), "{text}");
}

#[test]
fn a_walk_is_arithmetic() {
    let snapshot = fixture::pseudos(5);
    let space = &snapshot.spaces[0];
    let walk = |at| walk_text(space.mode, &space.translate(VirtAddr::new(at)));
    assert_eq!(
        walk(0x87ff_3abc),
        "\
0x87ff3abc in Sv39: va[2] = 2, va[1] = 63, va[0] = 499, offset 0xabc
  L2 0x87ffc000 +   2·8 = 0x87ffc010: 0x0000000021fff401  pointer → 0x87ffd000
  L1 0x87ffd000 +  63·8 = 0x87ffd1f8: 0x0000000021fff801  pointer → 0x87ffe000
  L0 0x87ffe000 + 499·8 = 0x87ffef98: 0x0000000021ffccc7  leaf → 0x87ff3000, rw---ad, 4 KiB
0x87ff3000 + 0xabc = 0x87ff3abc
"
    );
    assert_eq!(
        walk(0x30a0_1234).lines().last(),
        Some("0x30a00000 + 0x1234 = 0x30a01234"),
        "the offset in a page of 2 MiB"
    );
    assert!(walk(0x8021_6000).ends_with("not mapped: the L0 entry is invalid\n"));
    assert!(walk(1 << 40).contains("not a canonical Sv39 address"));
    let bare = fixture::bare();
    let translation = bare.spaces[0].translate(VirtAddr::new(0x1234));
    assert_eq!(
        walk_text(TranslationMode::Bare, &translation),
        "0x00001234 in Bare\nno translation: physical 0x00001234\n"
    );
}

#[test]
fn a_map_is_one_mapping_a_line() {
    let snapshot = fixture::pseudos(5);
    let mut mappings = snapshot.spaces[0].mappings.clone();
    mappings.edit(|mappings| {
        mappings[0].name = "UART0".into();
        mappings.truncate(2);
    });
    let text = map_text(&mappings);
    assert_eq!(
        text,
        "\
virtual     last byte   physical        size  pages    flags    name
0x10000000  0x10000fff  0x10000000     4 KiB  4 KiB    rw---ad  UART0
0x30000000  0x3fffffff  0x30000000   256 MiB  2 MiB    rw---ad
"
    );
    assert_eq!(map_text(&MappingList::default()), "nothing is mapped\n");
}

#[test]
fn a_difference_is_one_change_a_line() {
    let [before, after] = [503, 504].map(fixture::pseudos);
    assert_eq!(
        difference_text(&Difference::between(&before, &after)),
        "\
+1 L0 table 0x87ff8000; +1 pointer in L1 0x87ffd000

heap counter 511 → 512
+ pointer L1[62] → 0x87ff8000 in 0x87ffd000
+ L0 table 0x87ff8000 for 0x87c00000
"
    );
    assert_eq!(difference_text(&Difference::default()), "nothing changed\n");
}

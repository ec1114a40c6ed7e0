//! What changed between two snapshots, entry by entry and in words.

#[path = "../../protocol/tests/support/arbitrary.rs"]
mod arbitrary;

use std::sync::Arc;

use pagescope::model::{Change, ChangeKind, Difference, fixture};
use pagescope_protocol::snapshot::{Snapshot, Table, TableEntries};
use pagescope_protocol::{Level, PhysPage, Pte, VirtAddr};
use proptest::prelude::*;

proptest! {
    #![proptest_config(ProptestConfig::with_cases(100))]

    #[test]
    fn a_snapshot_does_not_differ_from_itself(snapshot in arbitrary::snapshot()) {
        // Spaces are told apart by name.
        let mut snapshot = snapshot;
        for (number, space) in snapshot.spaces.iter_mut().enumerate() {
            space.name = format!("hart {number}");
        }
        prop_assert!(Difference::between(&snapshot, &snapshot).is_empty());
        prop_assert!(Difference::between(&snapshot, &snapshot.clone()).is_empty());
    }

    /// There and back: what came goes, what went comes.
    #[test]
    fn the_way_back_undoes_the_way_there(
        before in arbitrary::snapshot(),
        after in arbitrary::snapshot(),
    ) {
        let there = Difference::between(&before, &after);
        let back = Difference::between(&after, &before);
        let count = |difference: &Difference, kind| {
            difference.changes.iter().filter(|change| change.kind() == kind).count()
        };
        let names = |snapshot: &Snapshot| -> Vec<String> {
            let mut names: Vec<_> = snapshot.spaces.iter().map(|space| space.name.clone()).collect();
            names.sort();
            names
        };
        let unique = |mut names: Vec<String>| { let all = names.len(); names.dedup(); names.len() == all };
        if unique(names(&before)) && unique(names(&after)) {
            prop_assert_eq!(count(&there, ChangeKind::Added), count(&back, ChangeKind::Removed));
            prop_assert_eq!(count(&there, ChangeKind::Removed), count(&back, ChangeKind::Added));
            prop_assert_eq!(count(&there, ChangeKind::Changed), count(&back, ChangeKind::Changed));
        }
        let _ = there.summary();
        for change in &there.changes {
            prop_assert!(!change.to_string().is_empty());
        }
    }
}

#[test]
fn a_step_of_kalloc_is_a_leaf_and_a_count() {
    let [before, after] = [4, 5].map(fixture::pseudos);
    let difference = Difference::between(&before, &after);
    assert_eq!(difference.summary(), "+1 leaf in L0 0x87ffe000");
    let lines: Vec<String> = difference.changes.iter().map(Change::to_string).collect();
    assert_eq!(
        lines,
        [
            "heap counter 12 → 13",
            "+ leaf L0[498] → 0x87ff2000, rw---ad in 0x87ffe000",
        ]
    );
    let frame = PhysPage::new(0x87ffe).unwrap();
    assert!(difference.touches(frame, Level::L0, 498));
    assert!(!difference.touches(frame, Level::L0, 499));
    assert!(!difference.touches(frame, Level::L1, 498));
}

#[test]
fn exactly_one_table_comes_at_the_boundary() {
    let [before, after] = [503, 504].map(fixture::pseudos);
    let difference = Difference::between(&before, &after);
    let new: Vec<_> = difference.new_tables().collect();
    assert_eq!(new, [(Level::L0, PhysPage::new(0x87ff8).unwrap())]);
    let back = Difference::between(&after, &before);
    assert_eq!(back.new_tables().count(), 0);
    assert_eq!(
        back.summary(),
        "−1 L0 table 0x87ff8000; −1 pointer in L1 0x87ffd000"
    );
}

/// A changed flag is a change; a frame that becomes a table of another level goes and comes.
#[test]
fn changes_are_told_from_comings_and_goings() {
    let before = fixture::pseudos(0);
    let mut after = before.clone();
    let space = &mut after.spaces[0];
    let place = space
        .tables
        .iter()
        .position(|table| table.level == Level::L0)
        .unwrap();
    let old = Arc::clone(&space.tables[place]);
    let (index, pte) = old.iter().find(|(_, pte)| pte.is_valid()).unwrap();
    let mut words = old.entries.as_ref().unwrap().words().to_vec();
    words[index] = pte.bits() & !(1 << 7);
    words[511] = 0b10;
    let entries = Some(TableEntries::new(words.clone()));
    let changed = Arc::new(Table {
        entries,
        ..old.as_ref().clone()
    });
    space.tables.edit(|tables| tables[place] = changed);
    let difference = Difference::between(&before, &after);
    let kinds: Vec<_> = difference.changes.iter().map(Change::kind).collect();
    assert_eq!(kinds, [ChangeKind::Changed, ChangeKind::Changed]);
    let Change::Entry {
        virt, after: now, ..
    } = difference.changes[0]
    else {
        panic!()
    };
    assert_eq!(
        virt,
        VirtAddr::new(old.covers_from.as_u64() + index as u64 * 4096)
    );
    assert_eq!(now, Pte::from_bits(words[index]));
    assert!(
        difference.changes[1]
            .to_string()
            .contains("invalid L0[511]")
    );

    let space = &mut after.spaces[0];
    let moved = Arc::new(Table {
        level: Level::L1,
        ..old.as_ref().clone()
    });
    space.tables.edit(|tables| tables[place] = moved);
    let difference = Difference::between(&before, &after);
    let kinds: Vec<_> = difference.changes.iter().map(Change::kind).collect();
    assert_eq!(kinds, [ChangeKind::Added, ChangeKind::Removed]);
}

/// Of a table that could not be read at one of the moments it is not known what changed.
#[test]
fn an_unreadable_table_says_nothing() {
    let after = fixture::pseudos(0);
    let mut before = after.clone();
    let table = before.spaces[0].tables[1].as_ref().clone();
    let unread = Arc::new(Table {
        entries: None,
        ..table
    });
    before.spaces[0].tables.edit(|tables| tables[1] = unread);
    assert!(Difference::between(&before, &after).is_empty());
    assert!(Difference::between(&after, &before).is_empty());
}

#[test]
fn a_new_root_and_a_lost_counter_are_said() {
    let before = fixture::pseudos(0);
    let mut after = before.clone();
    after.heap = None;
    after.spaces[0].root = PhysPage::new(0x80000).unwrap();
    let lines: Vec<String> = Difference::between(&before, &after)
        .changes
        .iter()
        .map(Change::to_string)
        .collect();
    assert_eq!(
        lines,
        [
            "heap counter 8 → unknown",
            "hart 0: root 0x87ffc000 → 0x80000000"
        ]
    );
    let gone = Difference::between(&before, &Snapshot::default());
    assert!(
        gone.changes[1..]
            .iter()
            .all(|change| change.kind() == ChangeKind::Removed)
    );
}

/// Three spaces share the kernel's tables: what happens in those happens once, and a process that ends takes its
/// own tables alone with it.
#[test]
fn shared_tables_change_once() {
    let before = fixture::several_spaces();
    let mut after = before.clone();
    let shared = before.spaces[0]
        .table(PhysPage::new(0x87ffe).unwrap())
        .unwrap();
    let mut words = shared.entries.as_ref().unwrap().words().to_vec();
    words[3] = words[511];
    let changed = Arc::new(Table {
        entries: Some(TableEntries::new(words)),
        ..shared.as_ref().clone()
    });
    for space in &mut after.spaces {
        space.tables.edit(|tables| {
            for table in tables {
                if table.frame == changed.frame {
                    *table = Arc::clone(&changed);
                }
            }
        });
    }
    let difference = Difference::between(&before, &after);
    assert_eq!(difference.summary(), "+1 leaf in L0 0x87ffe000");

    let mut fewer = before.clone();
    fewer.spaces.pop();
    let ended = Difference::between(&before, &fewer);
    assert_eq!(
        ended.changes.len(),
        3,
        "root, L1 and L0 of its own: {}",
        ended.summary()
    );
    let began = Difference::between(&fewer, &before);
    assert_eq!(began.new_tables().count(), 3);
}

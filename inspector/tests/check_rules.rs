//! A fixture for each rule of the check: tables broken on purpose, and the finding that says so.
//! The sound tables of all four strategies are clean.

mod table_fixtures;

use std::collections::BTreeSet;

use pagescope::model::check::{
    Finding, Report, Rule, Severity, Verdict, check_kernel, check_space,
};
use pagescope_protocol::TranslationMode;
use pagescope_protocol::access::AdUpdate;
use pagescope_protocol::snapshot::{KernelFacts, PhysicalKind, Snapshot};
use table_fixtures::{Built, R, RW, RX, SLOT_R, SLOT_S, Strategy, leaf, pointer, va};

/// A finding in numbers: rule, table (level, frame), entry (level, table, index), address.
type Short = (
    &'static str,
    Option<(u8, u64)>,
    Option<(u8, u64, usize)>,
    Option<u64>,
);

fn short(finding: &Finding) -> Short {
    (
        finding.rule.name(),
        finding
            .table
            .map(|(level, frame)| (level.number(), frame.number())),
        finding
            .entry
            .map(|entry| (entry.level.number(), entry.table.number(), entry.index)),
        finding.address.map(|address| address.as_u64()),
    )
}

/// What is found in the first space, but for the note that a self-leaf space always has.
fn found(snapshot: &Snapshot) -> Vec<Short> {
    let report = check_space(snapshot, &snapshot.spaces[0]);
    report
        .findings
        .iter()
        .filter(|finding| finding.rule != Rule::SelfEntry)
        .map(short)
        .collect()
}

fn verdict(snapshot: &Snapshot) -> Verdict {
    Report::new(snapshot, &snapshot.spaces).verdict
}

/// The pool with `change` made to it.
fn pool(change: impl FnOnce(&mut Built)) -> Snapshot {
    let mut built = Built::new(Strategy::Pool, 4);
    change(&mut built);
    built.snapshot()
}

/// The pool's L1 of RAM and its top L0.
const L1: u64 = 0x87ffd;
const L0: u64 = 0x87ffe;
const ROOT: u64 = 0x87ffc;

#[test]
fn the_four_strategies_are_sound_and_each_table_is_where_it_should_be() {
    for strategy in Strategy::ALL {
        for pages in [0, 5, 300] {
            let built = Built::new(strategy, pages);
            let snapshot = built.snapshot();
            let report = check_space(&snapshot, &snapshot.spaces[0]);
            assert_eq!(found(&snapshot), [], "{strategy:?} {pages}");
            assert_eq!(report.verdict, Verdict::Sound, "{strategy:?} {pages}");
            assert_eq!(report.with_one_window(), built.frames.len(), "{strategy:?}");
            assert_eq!(check_kernel(&snapshot), []);
            let notes = usize::from(strategy == Strategy::SelfLeaf);
            assert_eq!(report.findings.len(), notes, "{strategy:?}");
        }
    }
}

#[test]
fn windows_are_where_the_strategy_puts_them() {
    let window = |built: &Built, frame: u64| {
        let snapshot = built.snapshot();
        let report = check_space(&snapshot, &snapshot.spaces[0]);
        let page = pagescope_protocol::PhysPage::new(frame).expect("a frame");
        let facts = report.tables.get(page).expect("a table").clone();
        (facts.level().number(), facts.windows[0].virt.as_u64())
    };
    let mut built = Built::new(Strategy::SelfLeaf, 0);
    let (l1, l0) = (
        built.table_of(0x8020_0000, 1),
        built.table_of(0x8020_0000, 0),
    );
    assert_eq!(window(&built, built.root), (2, va(511, 511, 510)));
    assert_eq!(window(&built, l1), (1, va(511, 2, 510)));
    assert_eq!(window(&built, l0), (0, va(2, 1, 510)));

    let mut built = Built::new(Strategy::Mirror, 0);
    let (l1, l0) = (
        built.table_of(0x8020_0000, 1),
        built.table_of(0x8020_0000, 0),
    );
    let [mr, m0_511, q0] = built.mirror();
    let m0_2 = built.get(mr, 2) >> 10;
    assert_eq!(window(&built, built.root), (2, va(511, 510, 510)));
    assert_eq!(window(&built, l1), (1, va(511, 510, 2)));
    assert_eq!(window(&built, l0), (0, va(511, 2, 1)));
    assert_eq!(window(&built, mr), (1, va(511, 510, 511)));
    assert_eq!(window(&built, m0_2), (0, va(511, 511, 2)));
    assert_eq!(window(&built, m0_511), (0, va(511, 511, 511)));
    assert_eq!(window(&built, q0), (0, va(511, 511, 510)));
}

#[test]
fn a_recursive_space_shows_each_table_once_as_what_it_is() {
    let mut built = Built::new(Strategy::SelfLeaf, 3);
    let l1 = built.table_of(0x8020_0000, 1);
    let snapshot = built.snapshot();
    let space = &snapshot.spaces[0];
    assert!(
        space.tables.len() > built.frames.len(),
        "the walk meets some twice"
    );
    let report = check_space(&snapshot, space);
    assert_eq!(report.tables.tables.len(), built.frames.len());
    let root = &report.tables.tables[0];
    let levels = |levels: &[pagescope_protocol::Level]| -> Vec<u8> {
        levels.iter().map(|level| level.number()).collect()
    };
    assert_eq!(root.level().number(), 2);
    assert_eq!(levels(&root.also_read_as), [1, 0]);
    let page = pagescope_protocol::PhysPage::new(l1).expect("a frame");
    let l1 = report.tables.get(page).expect("a table");
    assert_eq!(levels(&l1.also_read_as), [0]);
    let recursion = report.tables.recursion.expect("a recursive root");
    assert_eq!(
        (recursion.slot, recursion.self_slot),
        (SLOT_R, Some(SLOT_S))
    );
    let notes: Vec<Short> = report.findings.iter().map(short).collect();
    let place = (2, built.root);
    let entry = (2, built.root, SLOT_S);
    assert_eq!(notes, [("self-entry", Some(place), Some(entry), None)]);
}

#[test]
fn unreachable() {
    let snapshot = pool(|built| built.set(L0, 509, 0));
    assert_eq!(
        found(&snapshot),
        [("unreachable", Some((1, L1)), None, None)]
    );
    assert_eq!(verdict(&snapshot), Verdict::Unsound);
}

#[test]
fn a_self_leaf_that_is_missing_makes_its_table_unreachable_and_no_other() {
    let mut built = Built::new(Strategy::SelfLeaf, 2);
    let root = built.root;
    built.set(root, SLOT_S, 0);
    assert_eq!(
        found(&built.snapshot()),
        [("unreachable", Some((2, root)), None, None)]
    );
}

#[test]
fn a_space_without_any_window_is_a_note_unless_the_kernel_promises_windows() {
    let mut snapshot = pool(|built| {
        let mut tables = Vec::new();
        tables.extend(built.frames.keys().copied());
        for frame in tables {
            built.set(L0, frame as usize & 511, 0);
        }
    });
    let tables = check_space(&snapshot, &snapshot.spaces[0])
        .tables
        .tables
        .len();
    let rules: Vec<&str> = found(&snapshot).iter().map(|short| short.0).collect();
    assert_eq!(rules, vec!["unreachable"; tables]);
    snapshot.kernel = None;
    assert_eq!(found(&snapshot), [("no-self-map", None, None, None)]);
    assert_eq!(verdict(&snapshot), Verdict::Sound);
}

/// A kernel that leaves A and D to a machine that sets them has sound windows; one that promises more has not.
#[test]
fn what_the_machine_sets_is_a_note() {
    let mut snapshot = pool(|built| built.set(L0, 509, leaf(L1, RW & !0xc0)));
    let verdict = |snapshot: &Snapshot| {
        let report = check_space(snapshot, &snapshot.spaces[0]);
        let finding = &report.findings[0];
        assert_eq!(finding.rule.name(), "window-flags");
        (report.verdict, finding.severity)
    };
    snapshot.provenance.extensions.ad = Some(AdUpdate::ByHardware);
    let is_ours = snapshot.kernel.take();
    assert_eq!(verdict(&snapshot), (Verdict::Sound, Severity::Note));
    snapshot.provenance.extensions.ad = Some(AdUpdate::Faults);
    assert_eq!(verdict(&snapshot), (Verdict::Unsound, Severity::Fault));
    snapshot.provenance.extensions.ad = Some(AdUpdate::ByHardware);
    snapshot.kernel = is_ours.or_else(|| Some(KernelFacts::default()));
    assert_eq!(verdict(&snapshot), (Verdict::Unsound, Severity::Fault));
}

#[test]
fn window_flags() {
    for (flags, words) in [
        (RW & !0x40, "A is clear"),
        (RW & !0x80, "D is clear"),
        (RW | 0x10, "U is set"),
        (RW | 0x08, "X is set"),
        (R, "W is clear, D is clear"),
        (RX & !2, "R is clear, W is clear, X is set, D is clear"),
    ] {
        let snapshot = pool(|built| built.set(L0, 509, leaf(L1, flags)));
        let finding = (
            "window-flags",
            Some((1, L1)),
            Some((0, L0, 509)),
            Some(L1 << 12),
        );
        assert_eq!(found(&snapshot), [finding], "{flags:#b}");
        let report = check_space(&snapshot, &snapshot.spaces[0]);
        assert!(
            report.findings[0].text.ends_with(words),
            "{:?}",
            report.findings
        );
    }
}

#[test]
fn further_alias() {
    let snapshot = pool(|built| built.map(0x9000_0000, L1, R));
    let [finding] = found(&snapshot)[..] else {
        panic!("{:?}", found(&snapshot))
    };
    assert_eq!(
        (finding.0, finding.1, finding.3),
        ("further-alias", Some((1, L1)), Some(0x9000_0000))
    );
}

#[test]
fn writable_alias() {
    let snapshot = pool(|built| built.map(0x9000_0000, L1, RW));
    let [finding] = found(&snapshot)[..] else {
        panic!("{:?}", found(&snapshot))
    };
    // Of two alike, the lower address is taken for the window.
    let expected = ("writable-alias", Some((1, L1)), Some(0x9000_0000));
    assert_eq!((finding.0, finding.1, finding.3), expected);
}

#[test]
fn a_superpage_over_a_table_is_a_writable_alias_too() {
    let mut built = Built::new(Strategy::SelfLeaf, 0);
    let (root, tables) = (built.root, built.frames.len());
    // 2 MiB of RAM's top, in which all tables lie, at 2 MiB from the beginning of the GiB at 4 GiB.
    let l1 = built.table_of(0x1_0000_0000, 1);
    built.set(l1, 1, leaf(0x87e00, RW));
    let found = found(&built.snapshot());
    assert_eq!(found.len(), tables + 1);
    let address = 0x1_0020_0000 + ((root - 0x87e00) << 12);
    let expected = (
        "writable-alias",
        Some((2, root)),
        Some((1, l1, 1)),
        Some(address),
    );
    assert!(found.contains(&expected), "{found:x?}");
    assert!(found.iter().all(|short| short.0 == "writable-alias"));
}

#[test]
fn alias_in_other_space() {
    let built = Built::new(Strategy::Pool, 2);
    let mut other = Built::new(Strategy::SelfLeaf, 0);
    // Its own tables lie elsewhere.
    other = moved(&other, 0x80000);
    other.map(0x4000_0000, L1, RW);
    let mut snapshot = built.snapshot();
    snapshot.spaces.push(other.space("hart 1", &[1]));
    assert_eq!(
        found(&snapshot),
        [("alias-in-other-space", Some((1, L1)), None, None)]
    );
    // Read-only, it does no harm.
    other.map(0x4000_0000, L1, R);
    snapshot.spaces[1] = other.space("hart 1", &[1]);
    assert_eq!(found(&snapshot), []);
}

#[test]
fn a_shared_kernel_half_is_a_note() {
    let built = Built::new(Strategy::Pool, 2);
    let mut other = built.clone();
    // Another root, with the same tables below it.
    other.root = 0x86000;
    let words = built.frames[&built.root];
    other.frames.insert(other.root, words);
    let mut snapshot = built.snapshot();
    snapshot.spaces.push(other.space("hart 1", &[1]));
    assert_eq!(found(&snapshot), [("shared-window", None, None, None)]);
    assert_eq!(
        check_space(&snapshot, &snapshot.spaces[0]).verdict,
        Verdict::Sound
    );
}

/// A kernel that maps all of RAM, and a user's space whose tables only that kernel can write: the
/// ordinary case for kernels that are not ours.
#[test]
fn a_users_space_that_its_kernel_writes_is_sound() {
    let mut kernel = Built::new(Strategy::Pool, 2);
    let mut user = moved(&Built::new(Strategy::Pool, 2), 0x80000);
    // Nothing of the user's own space leads to its tables.
    user.frames.insert(L0 - 0x80, [0; 512]);
    let frames: Vec<u64> = user.frames.keys().copied().collect();
    for (number, frame) in frames.into_iter().enumerate() {
        kernel.map(0x1_0000_0000 + number as u64 * 4096, frame, RW);
    }
    let mut snapshot = kernel.snapshot();
    snapshot.kernel = None;
    snapshot.spaces.push(user.space("user", &[1]));
    let report = check_space(&snapshot, &snapshot.spaces[1]);
    assert_eq!(report.verdict, Verdict::Sound, "{:#?}", report.findings);
}

/// The same tables in frames that lie `down` lower.
fn moved(built: &Built, down: u64) -> Built {
    let down = down >> 12;
    let mut moved = built.clone();
    moved.frames.clear();
    moved.root -= down;
    for (frame, words) in &built.frames {
        let mut words = *words;
        for word in &mut words {
            if built.frames.contains_key(&(*word >> 10)) {
                *word -= down << 10;
            }
        }
        moved.frames.insert(frame - down, words);
    }
    moved.count += down;
    moved
}

#[test]
fn pointer_flags() {
    for flag in [0x10, 0x40, 0x80] {
        // An entry that nothing else depends on.
        let snapshot = pool(|built| built.set(L1, 500, pointer(0x87000) | flag));
        let finding = ("pointer-flags", Some((1, L1)), Some((1, L1, 500)), None);
        assert_eq!(found(&snapshot), [finding], "{flag:#x}");
    }
}

#[test]
fn superpage_alignment() {
    let snapshot = pool(|built| built.set(L1, 500, leaf(0x80001, RW)));
    let finding = (
        "superpage-alignment",
        Some((1, L1)),
        Some((1, L1, 500)),
        None,
    );
    assert_eq!(found(&snapshot), [finding]);
    // A leaf to the table itself is on purpose only where the root is recursive.
    let snapshot = pool(|built| built.set(L1, SLOT_S, leaf(L1, RW)));
    let finding = (
        "superpage-alignment",
        Some((1, L1)),
        Some((1, L1, SLOT_S)),
        None,
    );
    assert_eq!(found(&snapshot), [finding]);
    // And there only at the slot where all tables have theirs.
    let mut built = Built::new(Strategy::SelfLeaf, 0);
    let l1 = built.table_of(0x8020_0000, 1);
    built.set(l1, 7, leaf(l1, RW));
    // Read as L0 it is a window, too: at (511, 2, 7).
    assert_eq!(
        found(&built.snapshot()),
        [
            ("superpage-alignment", Some((1, l1)), Some((1, l1, 7)), None),
            (
                "writable-alias",
                Some((1, l1)),
                Some((0, l1, SLOT_S)),
                Some(va(511, 2, 510))
            ),
        ]
    );
}

#[test]
fn aligned_self_entry() {
    // An L1 at a multiple of 2 MiB: its leaf to itself maps that whole superpage.
    let mut built = Built::new(Strategy::SelfLeaf, 0);
    let l1: u64 = 0x86000;
    let mut words = [0; 512];
    words[SLOT_S] = leaf(l1, RW);
    built.frames.insert(l1, words);
    built.set(built.root, 9, pointer(l1));
    let finding = (
        "aligned-self-entry",
        Some((1, l1)),
        Some((1, l1, SLOT_S)),
        None,
    );
    assert_eq!(found(&built.snapshot()), [finding]);
}

#[test]
fn reserved_encoding() {
    for (index, word) in [
        (500, leaf(0x80200, 0b1100_0101)),
        (500, leaf(0x80200, RW) | 1 << 54),
        (500, leaf(0x80200, RW) | 1 << 60),
        (500, leaf(0x80200, RW) | 3 << 61),
        (500, leaf(0x80200, RW) | 1 << 63),
        (500, pointer(0x87000) | 1 << 61),
    ] {
        let snapshot = pool(|built| built.set(L1, index, word));
        let finding = (
            "reserved-encoding",
            Some((1, L1)),
            Some((1, L1, index)),
            None,
        );
        assert_eq!(found(&snapshot), [finding], "{word:#x}");
    }
    // A pointer where no level is left.
    let snapshot = pool(|built| built.set(L0, 3, pointer(0x87000)));
    let finding = ("reserved-encoding", Some((0, L0)), Some((0, L0, 3)), None);
    assert_eq!(found(&snapshot), [finding]);
}

#[test]
fn shared_table() {
    let snapshot = pool(|built| built.set(L1, 100, pointer(L0)));
    let found = found(&snapshot);
    let finding = ("shared-table", Some((0, L0)), Some((1, L1, 100)), None);
    assert_eq!(found[0], finding);
    // All that L0 maps is mapped twice by it: the tables, too.
    assert!(
        found[1..].iter().all(|short| short.0 == "writable-alias"),
        "{found:x?}"
    );
    let tables = check_space(&snapshot, &snapshot.spaces[0])
        .tables
        .tables
        .len();
    assert_eq!(found.len(), 1 + tables);
}

#[test]
fn cyclic_table() {
    let snapshot = pool(|built| built.set(L1, 100, pointer(L1)));
    let finding = ("cyclic-table", Some((1, L1)), Some((1, L1, 100)), None);
    assert!(
        found(&snapshot).contains(&finding),
        "{:x?}",
        found(&snapshot)
    );
    // Back to the root from below is a cycle even where the root is recursive.
    let mut built = Built::new(Strategy::SelfLeaf, 0);
    let (root, l1) = (built.root, built.table_of(0x8020_0000, 1));
    built.set(l1, 100, pointer(root));
    let found_cycle = found(&built.snapshot());
    let finding = ("cyclic-table", Some((2, root)), Some((1, l1, 100)), None);
    assert!(found_cycle.contains(&finding), "{found_cycle:x?}");
    // So is a second entry of the root to itself.
    let mut built = Built::new(Strategy::SelfLeaf, 0);
    built.set(built.root, 300, pointer(built.root));
    let found_cycle = found(&built.snapshot());
    let finding = ("cyclic-table", Some((2, root)), Some((2, root, 300)), None);
    assert!(found_cycle.contains(&finding), "{found_cycle:x?}");
}

#[test]
fn outside_ram() {
    let snapshot = pool(|built| {
        built.set(ROOT, 7, pointer(0x10000));
        built.set(L0, 3, leaf(0x10000, RW));
    });
    let found = found(&snapshot);
    let finding = ("outside-ram", Some((1, 0x10000)), Some((2, ROOT, 7)), None);
    assert_eq!(found[0], finding, "{found:x?}");
    let mut snapshot = pool(|_| {});
    snapshot
        .physical
        .retain(|region| region.kind != PhysicalKind::Ram);
    assert_eq!(self::found(&snapshot), [("no-ram-known", None, None, None)]);
}

#[test]
fn unread_table_and_truncated_are_not_known() {
    let snapshot = pool(|built| {
        built.frames.remove(&0x87ffa);
    });
    assert!(
        found(&snapshot)
            .iter()
            .any(|short| short.0 == "unread-table")
    );
    assert_eq!(verdict(&snapshot), Verdict::Unknown);
    // The table that holds all windows: whether there are any is not known then.
    let snapshot = pool(|built| {
        built.frames.remove(&0x87ffe);
    });
    let rules: BTreeSet<&str> = found(&snapshot).iter().map(|short| short.0).collect();
    assert_eq!(rules, ["unread-table"].into());
    assert_eq!(verdict(&snapshot), Verdict::Unknown);
    // Tables that a file does not even name.
    for line in [0, 1, 5] {
        let mut snapshot = pool(|_| {});
        snapshot.spaces[0]
            .tables
            .edit(|tables| drop(tables.remove(line)));
        assert_eq!(verdict(&snapshot), Verdict::Unknown, "line {line}");
    }
    let mut snapshot = pool(|_| {});
    snapshot.spaces[0].tables.edit(Vec::clear);
    assert_eq!(found(&snapshot), [("unread-table", None, None, None)]);
    assert_eq!(verdict(&snapshot), Verdict::Unknown);
    let mut snapshot = pool(|_| {});
    snapshot.spaces[0].truncated = true;
    assert_eq!(found(&snapshot), [("truncated", None, None, None)]);
    assert_eq!(verdict(&snapshot), Verdict::Unknown);
}

#[test]
fn modes_that_do_not_translate() {
    let mut snapshot = pool(|_| {});
    snapshot.spaces[0].mode = TranslationMode::Bare;
    assert_eq!(found(&snapshot), [("no-translation", None, None, None)]);
    assert_eq!(verdict(&snapshot), Verdict::Nothing);
    snapshot.spaces[0].mode = TranslationMode::Reserved(5);
    assert_eq!(found(&snapshot), [("reserved-mode", None, None, None)]);
    assert_eq!(verdict(&snapshot), Verdict::Unknown);
}

#[test]
fn reserve_mark() {
    let mut snapshot = pool(|_| {});
    let facts = snapshot.kernel.as_mut().expect("facts");
    facts.reserve_low = 2;
    let rules: Vec<Short> = check_kernel(&snapshot).iter().map(short).collect();
    assert_eq!(rules, [("reserve-mark", None, None, None)]);
    assert_eq!(verdict(&snapshot), Verdict::Unsound);
    // A file that does not know the mark says nothing about it.
    snapshot.kernel.as_mut().expect("facts").reserve_mark = None;
    assert_eq!(check_kernel(&snapshot), []);
}

#[test]
fn table_traps() {
    let mut snapshot = pool(|_| {});
    let facts = snapshot.kernel.as_mut().expect("facts");
    // Each page that kalloc hands out is mapped by it.
    let pages = snapshot.heap.expect("a heap").counter;
    (facts.map_calls, facts.machine_table_traps) = (Some(10), 20 + 2 * pages);
    assert_eq!(check_kernel(&snapshot), []);
    snapshot.kernel.as_mut().expect("facts").machine_table_traps += 1;
    let rules: Vec<Short> = check_kernel(&snapshot).iter().map(short).collect();
    assert_eq!(rules, [("table-traps", None, None, None)]);
    assert_eq!(verdict(&snapshot), Verdict::Unsound);
}

/// Tables that a hostile guest made take bounded time, and end in findings, not in a panic.
#[test]
fn hostile_tables_are_checked_in_bounded_time() {
    // All entries of the root but one point to the root: 2^27 paths, a leaf on each.
    let mut built = Built::new(Strategy::SelfLeaf, 0);
    for index in 1..512 {
        built.set(built.root, index, pointer(built.root));
    }
    built.set(built.root, 0, leaf(built.root, RW));
    let snapshot = built.snapshot();
    let report = check_space(&snapshot, &snapshot.spaces[0]);
    assert!(report.tables.tables[0].has_more_windows);
    assert_eq!(report.verdict, Verdict::Unsound);
}

/// Each rule has its fixture above: a rule that is added without one is missed here.
#[test]
fn every_rule_is_asked_for_in_this_file() {
    let source = include_str!("check_rules.rs");
    for rule in Rule::ALL {
        assert!(
            source.contains(&format!("{:?}", rule.name())),
            "{}",
            rule.name()
        );
    }
}

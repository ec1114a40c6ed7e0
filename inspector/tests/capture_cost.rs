//! What a capture costs, counted and not timed: what did not change is neither copied, decoded nor kept twice.
#![allow(clippy::unwrap_used, reason = "a test stops where a step fails")]

mod ram_target;

use std::sync::Arc;

use pagescope::capture::Capturer;
use pagescope::model::{Difference, History};
use pagescope_protocol::snapshot::{Recording, Snapshot};
use ram_target::{RamTarget, scattered, scattered_leaf, tables_of};

/// Eight L0 tables.
const LEAVES: usize = 4096;

struct Guest {
    target: RamTarget,
    capturer: Capturer,
}

impl Guest {
    fn new(leaves: usize) -> Self {
        let mut target = RamTarget::new(&scattered(leaves));
        let capturer = Capturer::new(&mut target, None).unwrap();
        Self { target, capturer }
    }

    fn capture(&mut self) -> Arc<Snapshot> {
        self.target.reset();
        self.capturer.capture(&mut self.target, "stop").unwrap()
    }
}

#[test]
fn a_walk_is_one_round_a_level() {
    for leaves in [1, 70, LEAVES] {
        let mut guest = Guest::new(leaves);
        let snapshot = guest.capture();
        assert_eq!(snapshot.spaces[0].mappings.len(), leaves);
        assert_eq!(guest.target.rounds, 3, "Sv39 has three levels");
        assert_eq!(guest.target.frames, tables_of(leaves));
        // The same again, by asking and not by believing.
        guest.capture();
        assert_eq!(guest.target.rounds, 3);
        assert_eq!(guest.target.frames, tables_of(leaves));
    }
}

#[test]
fn a_capture_of_an_unchanged_space_makes_nothing_new() {
    let mut guest = Guest::new(LEAVES);
    let first = guest.capture();
    assert_eq!(guest.target.copied, tables_of(LEAVES));
    let decoded = guest.capturer.tables_decoded();
    assert_eq!(decoded, tables_of(LEAVES) as u64);
    let again = guest.capture();
    assert_eq!(guest.target.copied, 0);
    assert_eq!(guest.capturer.tables_decoded(), decoded);
    let [first, again] = [&first, &again].map(|snapshot| &snapshot.spaces[0]);
    assert!(first.tables.is_shared_with(&again.tables));
    assert!(first.mappings.is_shared_with(&again.mappings));
}

#[test]
fn a_step_that_changes_one_page_costs_one_table() {
    let mut guest = Guest::new(LEAVES);
    let before = guest.capture();
    let decoded = guest.capturer.tables_decoded();
    *guest.target.leaf(LEAVES, 1000) = 0;
    let after = guest.capture();
    assert_eq!(guest.target.copied, 1);
    assert_eq!(guest.capturer.tables_decoded(), decoded + 1);
    let [old, new] = [&before, &after].map(|snapshot| &snapshot.spaces[0]);
    let shared = old.tables.iter().zip(&new.tables);
    let shared = shared.filter(|(old, new)| Arc::ptr_eq(old, new));
    assert_eq!(shared.count(), tables_of(LEAVES) - 1);
    assert_eq!(new.mappings.len(), LEAVES - 1);
    // The parts beside it begin and end with ranges of the table.
    assert!(new.mappings.len_apart(&old.mappings) <= 512 + 4);
    assert!(before.regions.is_shared_with(&after.regions));
    assert!(before.physical.is_shared_with(&after.physical));
    let difference = Difference::between(&before, &after);
    assert_eq!(difference.changes.len(), 1, "{}", difference.summary());
}

/// What a step allocates does not grow with the space.
#[test]
fn a_step_shares_as_much_of_a_large_space_as_of_a_small_one() {
    let apart = |leaves: usize| {
        let mut guest = Guest::new(leaves);
        let before = guest.capture();
        *guest.target.leaf(leaves, 1000) = scattered_leaf(leaves + 7).bits();
        let after = guest.capture();
        let [old, new] = [&before, &after].map(|snapshot| &snapshot.spaces[0].mappings);
        new.len_apart(old)
    };
    assert_eq!(apart(LEAVES), apart(16 * LEAVES));
}

/// A recording that is read again shares what the captures shared, and says the same.
#[test]
fn a_recording_shares_what_did_not_change() {
    let mut guest = Guest::new(LEAVES);
    let mut history = History::new();
    history.push(guest.capture());
    for step in 0..5 {
        *guest.target.leaf(LEAVES, 600 + 3 * step) = 0;
        history.push(guest.capture());
    }
    let recording = history.to_recording().unwrap();
    for step in &recording.steps {
        assert_eq!(step.spaces[0].tables.len(), 1);
        assert_eq!(step.spaces[0].mappings_gone.len(), 1);
        assert!(step.spaces[0].mappings.is_empty());
    }
    let moments = recording.moments().unwrap();
    for (played, captured) in moments.iter().zip(history.moments()) {
        let [played, captured] = [played, &captured.snapshot].map(|snapshot| &snapshot.spaces[0]);
        assert_eq!(played.tables, captured.tables);
        assert!(played.mappings.ranges().eq(captured.mappings.ranges()));
    }
    for pair in moments.windows(2) {
        let [before, after] = [&pair[0], &pair[1]].map(|snapshot| &snapshot.spaces[0]);
        assert!(after.mappings.len_apart(&before.mappings) < 512);
        let shared = before.tables.iter().zip(&after.tables);
        let shared = shared.filter(|(old, new)| Arc::ptr_eq(old, new));
        assert_eq!(shared.count(), tables_of(LEAVES) - 1);
    }
    assert!(Recording::of(moments.iter().map(|moment| &**moment)).is_some());
}

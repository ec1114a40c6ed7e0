//! What Pagescope itself does with a guest's tables, at four sizes, without a guest: RAM is an array.

use std::collections::BTreeMap;
use std::sync::Arc;

use pagescope::capture::Capturer;
use pagescope::link::{LinkError, Target as _};
use pagescope::model::{Difference, History, ReverseIndex, named, virtual_bands};
use pagescope_protocol::coalesce::Limits as MappingLimits;
use pagescope_protocol::decode::{DecodedTable, Decoder};
use pagescope_protocol::snapshot::text::{from_text, snapshot_to_text};
use pagescope_protocol::snapshot::{MappingList, Recording, Snapshot};
use pagescope_protocol::walk::{
    Limits as WalkLimits, SpaceWalk, TableReader, TableWords, walk_space_again,
};
use pagescope_protocol::{PhysPage, TranslationMode, VirtAddr};

use crate::allocations::{Memory, measure};
use crate::measure::{Runs, Timing};
use crate::ram_target::{ROOT, RamTarget, ordinary, scattered, scattered_leaf, tables_of};

/// How many addresses are translated, and how many frames are looked up.
const QUESTIONS: usize = 20_000;

/// One thing that is measured, at one size.
#[derive(Debug)]
pub(crate) struct Cost {
    /// What is done.
    pub(crate) name: &'static str,
    /// What is counted.
    pub(crate) unit: Unit,
    /// How many of them.
    pub(crate) count: usize,
    pub(crate) timing: Timing,
    pub(crate) memory: Memory,
}

/// What the time is divided by.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Unit {
    /// Entries of tables, empty ones included.
    Entry,
    /// Leaves.
    Leaf,
    /// Addresses or frames that were asked about.
    Question,
    /// Nothing: the whole of it, however large the space.
    Whole,
}

impl Unit {
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Entry => "an entry",
            Self::Leaf => "a leaf",
            Self::Question => "a question",
            Self::Whole => "in all",
        }
    }
}

struct Reader<'a>(&'a mut RamTarget);

impl TableReader for Reader<'_> {
    type Error = LinkError;

    fn read_tables(
        &mut self,
        frames: &[PhysPage],
    ) -> Result<Vec<Option<Arc<TableWords>>>, LinkError> {
        self.0.read_frames_again(frames, &vec![None; frames.len()])
    }
}

fn root() -> PhysPage {
    PhysPage::from_truncated(ROOT / 4096)
}

fn walk(target: &mut RamTarget, decoder: &mut Decoder) -> SpaceWalk {
    let (mode, limits) = (TranslationMode::Sv39, WalkLimits::default());
    let walk = walk_space_again(mode, root(), limits, &mut Reader(target), decoder);
    walk.expect("an array can always be read")
}

fn mappings(walk: &SpaceWalk, decoder: &mut Decoder) -> MappingList {
    let (list, cut) = MappingList::of_walk(walk, MappingLimits::default(), decoder, None);
    assert!(!cut, "a limit cut the mappings short");
    list
}

fn capture(capturer: &mut Capturer, target: &mut RamTarget) -> Arc<Snapshot> {
    let captured = capturer.capture(target, "bench");
    captured.expect("an array can always be read")
}

fn capturer(target: &mut RamTarget) -> Capturer {
    Capturer::new(target, None).expect("an array can always be asked")
}

/// Measures everything at one size.
pub(crate) fn costs(leaves: usize, runs: Runs) -> Vec<Cost> {
    let entries = tables_of(leaves) * 512;
    let mut costs = Vec::new();
    let mut add = |name, unit, timing, memory| {
        let count = match unit {
            Unit::Entry => entries,
            Unit::Leaf => leaves,
            Unit::Question => QUESTIONS,
            Unit::Whole => 1,
        };
        costs.push(Cost {
            name,
            unit,
            count,
            timing,
            memory,
        });
    };

    let all = |target: &mut RamTarget| {
        let mut decoder = Decoder::default();
        let walk = walk(target, &mut decoder);
        let list = mappings(&walk, &mut decoder);
        (walk, list, decoder)
    };
    let mut target = RamTarget::new(&ordinary(leaves));
    let timing = runs.time(|| all(&mut target));
    let (_, memory) = measure(|| all(&mut target));
    add("read, decode, coalesce", Unit::Entry, timing, memory);
    let mut target = RamTarget::new(&scattered(leaves));
    let timing = runs.time(|| all(&mut target));
    let ((walked, list, mut decoder), memory) = measure(|| all(&mut target));
    assert_eq!(list.len(), leaves);
    drop(list);
    add("read, decode, coalesce", Unit::Leaf, timing, memory);

    let words = walked.tables.iter().map(|table| {
        let words = table.words.clone().expect("an array can always be read");
        (table.level, words)
    });
    let words: Vec<_> = words.collect();
    let decode = || -> Vec<DecodedTable> {
        let tables = words.iter();
        tables
            .map(|(level, words)| DecodedTable::of(TranslationMode::Sv39, *level, words))
            .collect()
    };
    let timing = runs.time(decode);
    let (_, memory) = measure(decode);
    add("decode", Unit::Entry, timing, memory);

    let mut coalesce = || mappings(&walked, &mut decoder);
    let timing = runs.time(&mut coalesce);
    let (list, memory) = measure(&mut coalesce);
    add("coalesce", Unit::Leaf, timing, memory);
    let timing = runs.time(|| list.ranges().map(|range| range.size).sum::<u64>());
    add(
        "go through the mappings",
        Unit::Leaf,
        timing,
        Memory::default(),
    );
    drop((walked, words, list, decoder));

    captures(leaves, runs, &mut target, &mut add);
    costs
}

type Add<'a> = dyn FnMut(&'static str, Unit, Timing, Memory) + 'a;

fn captures(leaves: usize, runs: Runs, target: &mut RamTarget, add: &mut Add<'_>) {
    let (timing, memory) = {
        // The first capture of each capturer.
        let target = std::cell::RefCell::new(&mut *target);
        let timing = runs.prepared(
            || capturer(&mut target.borrow_mut()),
            |mut capturer| (capture(&mut capturer, &mut target.borrow_mut()), capturer),
        );
        let mut new = capturer(&mut target.borrow_mut());
        let (_, memory) = measure(|| capture(&mut new, &mut target.borrow_mut()));
        (timing, memory)
    };
    add("capture, the first", Unit::Leaf, timing, memory);

    let mut capturer = capturer(target);
    let before = capture(&mut capturer, target);
    let timing = runs.time(|| capture(&mut capturer, target));
    let (_, memory) = measure(|| capture(&mut capturer, target));
    add("capture, nothing changed", Unit::Entry, timing, memory);

    let mut step = 0;
    let mut one_page = || {
        step += 1;
        let page = (step * 7919) % leaves;
        *target.leaf(leaves, page) = scattered_leaf(leaves + step).bits();
        capture(&mut capturer, target)
    };
    let timing = runs.time(&mut one_page);
    let (after, memory) = measure(&mut one_page);
    add("capture, one page changed", Unit::Entry, timing, memory);
    let last = after;
    let after = one_page();

    let difference = || Difference::between(&last, &after);
    let (_, memory) = measure(difference);
    add(
        "difference of one page",
        Unit::Whole,
        runs.time(difference),
        memory,
    );
    let record = || Recording::of([&*last, &*after].into_iter()).map(|made| made.steps);
    let (_, memory) = measure(record);
    add(
        "record one page's change",
        Unit::Whole,
        runs.time(record),
        memory,
    );
    questions(leaves, runs, &before, add);
    files(runs, &before, add);
}

fn questions(leaves: usize, runs: Runs, snapshot: &Snapshot, add: &mut Add<'_>) {
    let space = &snapshot.spaces[0];
    let page = |question: usize| (question.wrapping_mul(2_654_435_761)) % leaves;
    let translate = || {
        let addresses =
            (0..QUESTIONS).map(|question| VirtAddr::new((page(question) * 4096) as u64));
        addresses
            .filter(|address| space.translate(*address).mapped().is_some())
            .count()
    };
    assert_eq!(translate(), QUESTIONS);
    add(
        "translate",
        Unit::Question,
        runs.time(translate),
        Memory::default(),
    );

    let build = || ReverseIndex::new(space);
    let (index, memory) = measure(build);
    add("reverse map, made", Unit::Leaf, runs.time(build), memory);
    let ask = || {
        let frames = (0..QUESTIONS).map(|question| scattered_leaf(page(question)).page());
        frames
            .map(|frame| index.aliases(frame, 8).len())
            .sum::<usize>()
    };
    assert!(ask() >= QUESTIONS);
    add(
        "reverse map, asked",
        Unit::Question,
        runs.time(ask),
        Memory::default(),
    );

    let bands = || virtual_bands(snapshot, space, &Difference::default());
    let (_, memory) = measure(bands);
    add("bands of the map", Unit::Leaf, runs.time(bands), memory);
}

fn files(runs: Runs, snapshot: &Snapshot, add: &mut Add<'_>) {
    let save = || snapshot_to_text(&named(snapshot));
    let (text, memory) = measure(save);
    add("snapshot, saved", Unit::Leaf, runs.time(save), memory);
    let load = || from_text(&text).expect("our own text can be read");
    let (_, memory) = measure(load);
    add("snapshot, loaded", Unit::Leaf, runs.time(load), memory);
}

/// What a history costs whose every step changes one page of a space with so many leaves.
#[derive(Debug)]
pub(crate) struct HistoryCost {
    pub(crate) steps: usize,
    /// Bytes of the first moment.
    pub(crate) first: usize,
    /// Bytes of all.
    pub(crate) all: usize,
    /// A step, captured, compared and kept.
    pub(crate) step: Timing,
}

pub(crate) fn history(leaves: usize, steps: usize) -> HistoryCost {
    let mut target = RamTarget::new(&scattered(leaves));
    let mut capturer = capturer(&mut target);
    let mut history = History::new();
    let (_, first) = measure(|| history.push(capture(&mut capturer, &mut target)));
    let mut times = Vec::with_capacity(steps);
    let (_, all) = measure(|| {
        for step in 1..=steps {
            let page = (step * 7919) % leaves;
            *target.leaf(leaves, page) = scattered_leaf(leaves + step).bits();
            let began = std::time::Instant::now();
            history.push(capture(&mut capturer, &mut target));
            times.push(began.elapsed());
        }
    });
    assert_eq!(history.moments().len(), steps + 1);
    HistoryCost {
        steps,
        first: first.kept,
        all: first.kept + all.kept,
        step: Timing::of(times),
    }
}

/// The costs of all sizes, by what was done, in the order in which it was.
pub(crate) fn by_name(all: &[(usize, Vec<Cost>)]) -> Vec<(&'static str, Unit, Vec<&Cost>)> {
    let mut places: BTreeMap<(&str, &str), usize> = BTreeMap::new();
    let mut rows: Vec<(&'static str, Unit, Vec<&Cost>)> = Vec::new();
    for cost in all.iter().flat_map(|(_, costs)| costs) {
        let key = (cost.name, cost.unit.name());
        let place = *places.entry(key).or_insert_with(|| {
            rows.push((cost.name, cost.unit, Vec::new()));
            rows.len() - 1
        });
        rows[place].2.push(cost);
    }
    rows
}

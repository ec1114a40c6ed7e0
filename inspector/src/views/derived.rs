//! What follows from a moment, a space and a selection, worked out once for each and kept until
//! one of them changes. A frame of the window draws from here and computes nothing twice.

mod assess;
mod chain;
mod entry_history;
mod fold;
mod marks;

use std::collections::BTreeSet;
use std::sync::Arc;

use pagescope_protocol::snapshot::{Heap, Snapshot, Space, SpaceKind, Table};
use pagescope_protocol::{Level, PAGE_SIZE, PhysAddr, PhysPage, Pte, PteKind, TranslationMode};

use assess::{Assessment, Assessor, Question};
use chain::chain;
pub use entry_history::EntryMoment;
use entry_history::EntryTrack;
use fold::fold_tables;
pub use marks::{Marks, touches};

use super::state::State;
use crate::model::bands::{as_memory, kind_of_flags, physical_bands_of, physical_partition};
use crate::model::check::{Finding, SpaceReport};
use crate::model::region_rows::{Mapped, RegionRow};
use crate::model::space_difference::SpaceDifference;
use crate::model::{
    AccessAnswer, Accessor, Band, BandKind, Change, ChangeKind, Difference, EntryPlace, Focus,
    ReverseIndex, Seen, Selection, Sign, TableFacts, access_answers,
};

/// Most frames that are said to be new.
const MOST_FRESH: usize = 1 << 16;

/// What follows from the moment and the space being looked at.
#[derive(Debug, Default)]
pub struct Derived {
    snapshot: Option<Arc<Snapshot>>,
    difference: Option<Arc<Difference>>,
    space_name: String,
    /// How the space is translated, and which register holds its root.
    translation: Option<(TranslationMode, &'static str)>,
    /// Whether its entries hold guest physical addresses.
    is_guest: bool,
    guest_mode: Option<TranslationMode>,
    moments: usize,
    /// Rises whenever the moment or the space is another one: what is drawn from it is stale.
    pub generation: u64,
    /// The virtual map.
    pub virtual_bands: Vec<Band>,
    /// The physical map.
    pub physical_bands: Vec<Band>,
    /// Physical memory without the gaps, for looking frames up.
    pub partition: Vec<Band>,
    /// From frames to addresses.
    pub index: ReverseIndex,
    /// The space's tables, each with its windows, and what is wrong with them.
    pub report: Option<SpaceReport>,
    /// What the kernel's own numbers say.
    pub kernel_findings: Vec<Finding>,
    /// Whether and how much each region is mapped, by its place in the snapshot.
    mapped: Vec<(Mapped, u64)>,
    compared: Option<String>,
    /// The space being looked at beside another, where two are compared.
    pub comparison: Option<SpaceDifference>,
    /// Frames that are new, sorted.
    pub fresh_frames: Vec<PhysPage>,
    /// Entries that are new or changed.
    fresh_entries: BTreeSet<(PhysPage, usize)>,
    /// Tables that are new.
    fresh_tables: BTreeSet<PhysPage>,
    selection: Selection,
    /// What the selection means here.
    pub focus: Focus,
    /// What may be done at the selected address.
    pub access: Vec<AccessAnswer>,
    /// The tables drawn large, from the root down.
    pub chain: Vec<ChainLink>,
    /// Where the window onto the selected table is, when a table is selected.
    pub window_leaf: Option<EntryPlace>,
    /// Rises whenever the selection is another one: what scrolls goes to it then.
    pub selection_generation: u64,
    /// Addresses of the space that were moving while they were read: first and last of each, in order.
    pub unsettled: Vec<(u64, u64)>,
    /// When the selected entry changed.
    pub entry_history: Vec<EntryMoment>,
    /// Tables that could not be read, sorted.
    unread: Vec<PhysPage>,
    /// Where the selected stretch lies in both maps; empty where none is selected.
    pub marks: Marks,
    hovered: Selection,
    /// What the mouse rests on, in every view.
    pub hover: Focus,
    /// Where the stretch lies that the mouse rests on.
    pub hover_marks: Marks,
    /// Physical addresses that more than one address of the space leads to: first and last of each stretch, in order.
    pub shared: Vec<(u64, u64)>,
    /// What the legend has to explain.
    pub signs: Vec<Sign>,
    track: EntryTrack,
    assessor: Assessor,
    /// The space that the bands, the check and the index are of.
    assessed_space: String,
}

/// A place in the row of tables that are drawn large.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum ChainLink {
    /// This table.
    Table(Level, PhysPage),
    /// The walk does not come this far; why.
    Nothing(Level, String),
}

impl ChainLink {
    /// Its level.
    pub const fn level(&self) -> Level {
        match self {
            Self::Table(level, _) | Self::Nothing(level, _) => *level,
        }
    }
}

impl Derived {
    /// Brings everything up to date with `state`.
    pub fn refresh(&mut self, state: &State, ctx: &egui::Context) {
        let space_name = state
            .space()
            .map_or_else(String::new, |space| space.name.clone());
        let same_snapshot = match (&self.snapshot, state.snapshot()) {
            (Some(old), Some(new)) => Arc::ptr_eq(old, new),
            (None, None) => true,
            _ => false,
        };
        let same_difference = match (&self.difference, state.difference()) {
            (Some(old), Some(new)) => Arc::ptr_eq(old, new),
            (None, None) => true,
            _ => false,
        };
        let same_moment = same_snapshot && same_difference && self.space_name == space_name;
        if !same_moment {
            self.space_name = space_name;
            self.difference = state.difference().cloned();
            self.snapshot = state.snapshot().cloned();
            self.generation += 1;
            let space = state.space();
            self.is_guest = space.is_some_and(|space| space.through.is_some());
            let stage = space.zip(state.snapshot());
            let stage = stage.and_then(|(space, snapshot)| snapshot.guest_stage_of(space));
            self.guest_mode = stage.map(|stage| stage.mode);
            self.translation = space.map(|space| (space.mode, root_register(space)));
            self.read_moment(state, ctx);
        }
        let is_assessed = match self.assessor.take(ctx) {
            Some(assessment) => {
                self.generation += 1;
                self.assessed(assessment);
                true
            }
            None => false,
        };
        let compared = state.compared().map(|space| &space.name);
        if !same_moment || compared != self.compared.as_ref() {
            self.compared = compared.cloned();
            let spaces = state.space().zip(state.compared());
            let pair = state.snapshot().zip(spaces);
            self.comparison =
                pair.map(|(snapshot, (one, other))| SpaceDifference::between(snapshot, one, other));
        }
        let same_selection = self.selection == state.selection;
        if !same_selection {
            self.selection_generation += 1;
        }
        if !same_moment || !same_selection || is_assessed {
            self.selection = state.selection;
            self.focus = Focus::resolve(state.space(), &self.index, state.selection);
            if let (Some(snapshot), Some(space)) = (state.snapshot(), state.space()) {
                self.focus.follow_guest_stage(snapshot, space);
            }
            self.marks = self.marks_of(state, &self.focus);
            self.access = access(state, &self.focus);
            let window = self.focus.table.and_then(|(_, frame)| {
                let facts = self.table_facts(frame)?;
                Some(*facts.window()?)
            });
            self.window_leaf = window.map(|window| window.leaf);
            self.chain = chain(state.space(), &self.focus, window.map(|window| window.virt));
        }
        if !same_moment || is_assessed || self.hovered != state.look.hover {
            self.hovered = state.look.hover;
            self.hover = Focus::resolve(state.space(), &self.index, self.hovered);
            if let (Some(snapshot), Some(space)) = (state.snapshot(), state.space()) {
                self.hover.follow_guest_stage(snapshot, space);
            }
            self.hover_marks = self.marks_of(state, &self.hover);
        }
        if !same_moment || is_assessed {
            self.signs = self.find_signs();
        }
        let moments = state.history.moments().len();
        if !same_moment || !same_selection || self.moments != moments {
            self.moments = moments;
            self.entry_history = self.track.up_to_now(state, &self.focus);
        }
    }

    fn read_moment(&mut self, state: &State, ctx: &egui::Context) {
        let (Some(snapshot), Some(difference)) = (state.snapshot(), state.difference()) else {
            *self = Self {
                generation: self.generation,
                selection_generation: self.selection_generation,
                ..Self::default()
            };
            return;
        };
        self.partition = physical_partition(snapshot);
        self.physical_bands = fold_tables(physical_bands_of(&self.partition));
        self.unsettled = unsettled_ranges(snapshot, state.space());
        let unread = state.space().into_iter().flat_map(Space::unread_tables);
        self.unread = unread.map(|table| table.frame).collect();
        self.unread.sort_unstable();
        self.read_fresh(state, difference);
        let shown = state.space().map(|space| &space.name);
        let space = snapshot
            .spaces
            .iter()
            .position(|space| Some(&space.name) == shown);
        let question = Question {
            snapshot: Arc::clone(snapshot),
            space,
            difference: Arc::clone(difference),
        };
        match self.assessor.ask(question, ctx) {
            Some(assessment) => self.assessed(assessment),
            // A map of a moment before is better than none; one of another space is a lie.
            None if self.assessed_space != self.space_name => {
                self.assessed(Assessment::default());
            }
            None => {}
        }
    }

    fn assessed(&mut self, assessment: Assessment) {
        self.assessed_space.clone_from(&self.space_name);
        self.virtual_bands = assessment.virtual_bands;
        self.index = assessment.index;
        self.shared = assessment.shared;
        self.report = assessment.report;
        self.kernel_findings = assessment.kernel_findings;
        self.mapped = assessment.mapped;
    }

    /// Whether the virtual map, the check and who maps what are still those of a moment before: a large space takes longer
    /// than a frame, and is worked on.
    pub const fn is_behind(&self) -> bool {
        self.assessor.is_busy()
    }

    fn marks_of(&self, state: &State, focus: &Focus) -> Marks {
        // A guest's mappings lead to what the G-stage makes of it.
        let space = state.space().filter(|_| !self.is_guest);
        focus.stretch.map_or_else(Marks::default, |stretch| {
            Marks::of(stretch, space, &self.index)
        })
    }

    /// What there is to tell apart at this moment: the legend explains nothing that is not there.
    fn find_signs(&self) -> Vec<Sign> {
        let root = self.mode().root_level().unwrap_or(Level::L2);
        let bands = self.virtual_bands.iter().chain(&self.partition);
        let mut kinds: Vec<Seen> = Vec::new();
        for band in bands {
            let seen = Seen::of(band);
            if !kinds.contains(&seen) {
                kinds.push(seen);
            }
        }
        let is_there = |sign: Sign| match sign {
            Sign::Code | Sign::ReadOnly | Sign::Data | Sign::Fresh => true,
            Sign::Table(level) => level <= root,
            Sign::Shared => !self.shared.is_empty(),
            Sign::Unsure => !self.unsettled.is_empty(),
            Sign::Unread => !self.unread.is_empty(),
            // It changes without anything that is worked out here: the legend asks.
            Sign::Stale => false,
            _ => kinds.iter().any(|seen| sign.takes(seen)),
        };
        let all = Sign::ALL.into_iter();
        all.filter(|sign| is_there(*sign)).collect()
    }

    /// Whether `pte`, of a table of `level`, points to a table that could not be read.
    pub fn leads_to_unread(&self, level: Level, pte: Pte) -> bool {
        if self.unread.is_empty() {
            return false;
        }
        match self.mode().classify(pte, level) {
            PteKind::Pointer(next) => self.unread.binary_search(&next).is_ok(),
            _ => false,
        }
    }

    /// Whether a table in these physical addresses could not be read.
    pub fn has_unread(&self, first: u64, last: u64) -> bool {
        let from = self
            .unread
            .partition_point(|frame| frame.start().as_u64() < first);
        // A guest's tables lie where it believes, which is no place in RAM.
        !self.is_guest
            && self
                .unread
                .get(from)
                .is_some_and(|frame| frame.start().as_u64() <= last)
    }

    /// Whether any of these physical addresses has more than one virtual one.
    pub fn is_shared(&self, first: u64, last: u64) -> bool {
        touches(&self.shared, first, last)
    }

    fn read_fresh(&mut self, state: &State, difference: &Difference) {
        self.fresh_entries.clear();
        self.fresh_tables.clear();
        self.fresh_frames.clear();
        for change in &difference.changes {
            match change {
                Change::Entry {
                    kind: ChangeKind::Added | ChangeKind::Changed,
                    mode,
                    level,
                    table,
                    index,
                    after,
                    ..
                } => {
                    self.fresh_entries.insert((*table, *index));
                    if let PteKind::Leaf(leaf) = mode.classify(*after, *level)
                        && leaf.size == PAGE_SIZE
                    {
                        self.fresh_frames.push(leaf.page);
                    }
                }
                Change::Table {
                    kind: ChangeKind::Added,
                    level,
                    frame,
                    ..
                } => {
                    self.fresh_tables.insert(*frame);
                    self.fresh_frames.push(*frame);
                    let table = state
                        .space()
                        .and_then(|space| space.table_at(*frame, *level));
                    // All that a new table maps is new with it.
                    for (_, pte) in table.iter().flat_map(|table| table.iter()) {
                        if let PteKind::Leaf(leaf) = self.mode().classify(pte, *level)
                            && leaf.size == PAGE_SIZE
                        {
                            self.fresh_frames.push(leaf.page);
                        }
                    }
                }
                _ => {}
            }
        }
        // Pages handed out since the moment before, whether or not a table changed for them.
        let cursor = state.history.cursor();
        let base = state.time.base_place(&state.history);
        let before = base
            .or_else(|| cursor.checked_sub(1))
            .and_then(|place| state.history.moments().get(place))
            .and_then(|moment| moment.snapshot.heap);
        let now = state.snapshot().and_then(|snapshot| snapshot.heap);
        if let (Some(before), Some(now)) = (before, now) {
            let room = MOST_FRESH.saturating_sub(self.fresh_frames.len());
            self.fresh_frames.extend(handed_out(before, now).take(room));
        }
        self.fresh_frames.sort_unstable();
        self.fresh_frames.dedup();
    }

    /// Whether the entry is new or changed since the moment before.
    pub fn is_fresh_entry(&self, table: PhysPage, index: usize, pte: Pte) -> bool {
        self.fresh_entries.contains(&(table, index))
            || (pte.is_valid() && self.fresh_tables.contains(&table))
    }

    /// Whether the table is new since the moment before.
    pub fn is_fresh_table(&self, frame: PhysPage) -> bool {
        self.fresh_tables.contains(&frame)
    }

    /// The tables drawn large, from the root down.
    pub fn chain_tables(&self) -> Vec<(Level, PhysPage)> {
        let links = self.chain.iter();
        links
            .filter_map(|link| match link {
                ChainLink::Table(level, frame) => Some((*level, *frame)),
                ChainLink::Nothing(..) => None,
            })
            .collect()
    }

    /// The regions of `snapshot`, which is the one being looked at.
    pub fn region_rows<'a>(&self, snapshot: &'a Snapshot) -> Vec<RegionRow<'a>> {
        let regions = snapshot.regions.iter().enumerate();
        regions
            .map(|(place, region)| {
                let known = self.mapped.get(place);
                let (mapped, mapped_bytes) = *known.unwrap_or(&(Mapped::Unknown, 0));
                RegionRow {
                    place,
                    region,
                    mapped,
                    mapped_bytes,
                }
            })
            .collect()
    }

    /// The space's tables, each once, root first.
    pub fn tables(&self) -> &[TableFacts] {
        let report = self.report.as_ref();
        report.map_or(&[], |report| report.tables.tables.as_slice())
    }

    /// How the space that is looked at is translated.
    pub fn mode(&self) -> TranslationMode {
        self.translation
            .map_or(TranslationMode::Bare, |(mode, _)| mode)
    }

    /// How the G-stage translates that it goes through; Bare where there is none.
    pub const fn guest_mode(&self) -> TranslationMode {
        match self.guest_mode {
            Some(mode) => mode,
            None => TranslationMode::Bare,
        }
    }

    /// The register that holds its root's frame.
    pub fn root_register(&self) -> &'static str {
        self.translation.map_or("satp", |(_, register)| register)
    }

    /// What is known of the table in `frame`.
    pub fn table_facts(&self, frame: PhysPage) -> Option<&TableFacts> {
        self.report.as_ref()?.tables.get(frame)
    }

    /// Whether the entry is a leaf to its own table that hurts nobody: above L0, misaligned, in the
    /// slot where tables of a recursive space have theirs.
    pub fn is_own_window(&self, table: &Table, index: usize, pte: Pte) -> bool {
        let report = self.report.as_ref();
        report.is_some_and(|report| report.tables.is_own_window(table, index, pte))
    }

    /// All that the check found: the space's findings, then the kernel's.
    pub fn findings(&self) -> impl Iterator<Item = &Finding> {
        let report = self.report.iter().flat_map(|report| &report.findings);
        report.chain(&self.kernel_findings)
    }

    /// The part of physical memory that `address` lies in.
    pub fn part_of(&self, address: u64) -> Option<&Band> {
        let after = self.partition.partition_point(|band| band.start <= address);
        let band = self.partition.get(after.checked_sub(1)?)?;
        band.contains(address).then_some(band)
    }

    /// What an entry leads to, as a kind that has a colour; `None` for an invalid one.
    pub fn kind_of_entry(&self, level: Level, pte: Pte) -> Option<BandKind> {
        match self.mode().classify(pte, level) {
            PteKind::Invalid => None,
            PteKind::Pointer(_) => Some(BandKind::Table(level.next()?)),
            PteKind::Reserved(_) => Some(BandKind::Guard),
            PteKind::Leaf(leaf) => {
                let by_flags = kind_of_flags(as_memory(self.mode(), leaf.flags));
                // The physical map says nothing of a guest's physical addresses.
                let part = match self.is_guest {
                    true => None,
                    false => self.part_of(leaf.page.start().as_u64()),
                };
                Some(match part.map(|band| band.kind) {
                    _ if by_flags == BandKind::WriteExecute => by_flags,
                    Some(
                        kind @ (BandKind::Device
                        | BandKind::Stack
                        | BandKind::Table(_)
                        | BandKind::HeapCounter
                        | BandKind::Heap
                        | BandKind::Machine),
                    ) => kind,
                    _ => by_flags,
                })
            }
        }
    }
}

/// The pages that the allocator handed out between two moments: it goes downward. A file may say anything of the
/// heap, so this ends where physical addresses do.
fn handed_out(before: Heap, now: Heap) -> impl Iterator<Item = PhysPage> {
    let number = |next: PhysAddr| next.as_u64() / PAGE_SIZE;
    let numbers = number(now.next) + 1..=number(before.next);
    numbers.map_while(PhysPage::new)
}

/// What the selected hart, or the one that runs in the space, may do at the focus's address.
fn access(state: &State, focus: &Focus) -> Vec<AccessAnswer> {
    let (Some(snapshot), Some(space), Some(virt)) = (state.snapshot(), state.space(), focus.virt)
    else {
        return Vec::new();
    };
    if focus.outcome.is_none() {
        return Vec::new();
    }
    let who = Accessor::in_space(snapshot, space);
    let translation = snapshot.translate(space, virt);
    access_answers(&translation, who, snapshot.provenance.extensions)
}

/// The register that selects the root of `space`.
pub fn root_register(space: &Space) -> &'static str {
    match space.kind {
        Some(SpaceKind::Guest) => "vsatp",
        _ if space.mode.is_guest_stage() => "hgatp",
        _ => "satp",
    }
}

/// First and last address of what torn tables of `space` translate, in order.
fn unsettled_ranges(snapshot: &Snapshot, space: Option<&Space>) -> Vec<(u64, u64)> {
    let (Some(unsettled), Some(space)) = (snapshot.taken.unsettled(), space) else {
        return Vec::new();
    };
    let ranges = unsettled.ranges(space).map(|(start, size)| {
        let start = start.as_u64();
        (start, start.saturating_add(size.saturating_sub(1)))
    });
    let mut ranges: Vec<_> = ranges.collect();
    ranges.sort_unstable();
    ranges
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::fixture;
    use crate::session::Connection;
    use pagescope_protocol::VirtAddr;

    fn state(steps: u64) -> State {
        State::new("t".into(), fixture::history(steps), Connection::None)
    }

    #[test]
    fn nothing_is_worked_out_twice() {
        let mut derived = Derived::default();
        let mut state = state(3);
        derived.refresh(&state, &egui::Context::default());
        let generation = derived.generation;
        derived.refresh(&state, &egui::Context::default());
        assert_eq!(derived.generation, generation);
        state.history.seek(1);
        derived.refresh(&state, &egui::Context::default());
        assert_eq!(derived.generation, generation + 1);
    }

    #[test]
    fn the_chain_is_whole_without_a_selection_and_says_where_a_walk_ends() {
        let mut derived = Derived::default();
        let mut state = state(0);
        derived.refresh(&state, &egui::Context::default());
        let frames: Vec<String> = derived
            .chain
            .iter()
            .map(|link| match link {
                ChainLink::Table(level, frame) => format!("{level} {frame}"),
                ChainLink::Nothing(level, why) => format!("{level} {why}"),
            })
            .collect();
        assert_eq!(frames, ["L2 0x87ffc000", "L1 0x87ffd000", "L0 0x87ffe000"]);
        state.selection = Selection::Virtual(VirtAddr::new(0x3000_0000));
        derived.refresh(&state, &egui::Context::default());
        assert!(
            matches!(&derived.chain[2], ChainLink::Nothing(Level::L0, why) if why.contains("2 MiB"))
        );
    }

    #[test]
    fn the_newest_page_is_fresh_and_its_entry_has_a_history() {
        let mut derived = Derived::default();
        let mut state = state(3);
        state.selection = Selection::Physical(PhysAddr::new(0x87ff_4000));
        derived.refresh(&state, &egui::Context::default());
        assert_eq!(derived.fresh_frames, [PhysPage::new(0x87ff4).unwrap()]);
        let places: Vec<usize> = derived.entry_history.iter().map(|at| at.moment).collect();
        assert_eq!(places, [3, 0]);
        let step = derived.focus.entry().unwrap();
        assert!(derived.is_fresh_entry(step.table, step.index, step.pte));
    }

    #[test]
    fn a_heap_past_all_memory_hands_out_nothing() {
        let heap = |next: u64| Heap {
            next: PhysAddr::new(next),
            ..fixture::history(0).moments()[0].snapshot.heap.unwrap()
        };
        let pages = |before: u64, now: u64| handed_out(heap(before), heap(now)).count();
        assert_eq!(pages(0x8000_0000_0000_0000, 0x0200_0000_0000_0000), 0);
        assert_eq!(pages(u64::MAX, (1 << 56) - 0x3000), 2);
        assert_eq!(pages(u64::MAX, u64::MAX), 0);
        assert_eq!(pages(0x8000_3000, 0x8000_0000), 3);
        assert_eq!(pages(0x8000_0000, 0x8000_3000), 0);
    }

    #[test]
    fn without_a_moment_there_is_nothing() {
        let mut derived = Derived::default();
        let state = State::new("t".into(), crate::model::History::new(), Connection::None);
        derived.refresh(&state, &egui::Context::default());
        assert!(derived.chain.is_empty() && derived.virtual_bands.is_empty());
    }
}

//! What follows from a moment, a space and a selection, worked out once for each and kept until
//! one of them changes. A frame of the window draws from here and computes nothing twice.

use std::collections::BTreeSet;
use std::sync::Arc;

use pagescope_protocol::snapshot::{Snapshot, Space, SpaceKind, Table};
use pagescope_protocol::{Level, PAGE_SIZE, PhysPage, Pte, PteKind, TranslationMode, VirtAddr};

use super::state::State;
use crate::model::bands::{as_memory, kind_of_flags, physical_partition};
use crate::model::check::{Finding, Report, SpaceReport};
use crate::model::region_rows::{Mapped, RegionRow, region_rows};
use crate::model::space_difference::SpaceDifference;
use crate::model::{
    AccessAnswer, Accessor, Band, BandKind, Change, ChangeKind, Difference, EntryPlace, Focus,
    ReverseIndex, Selection, TableFacts, access_answers, fold_scattered, fold_windows,
    in_machine_terms, physical_bands, virtual_bands,
};

/// What follows from the moment and the space being looked at.
#[derive(Debug, Default)]
pub struct Derived {
    snapshot: Option<Arc<Snapshot>>,
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

/// A moment at which an entry became what it is called.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct EntryMoment {
    /// The moment's place.
    pub moment: usize,
    /// What the entry became.
    pub words: String,
}

impl Derived {
    /// Brings everything up to date with `state`.
    pub fn refresh(&mut self, state: &State) {
        let space_name = state
            .space()
            .map_or_else(String::new, |space| space.name.clone());
        let same_snapshot = match (&self.snapshot, state.snapshot()) {
            (Some(old), Some(new)) => Arc::ptr_eq(old, new),
            (None, None) => true,
            _ => false,
        };
        let same_moment = same_snapshot && self.space_name == space_name;
        if !same_moment {
            self.space_name = space_name;
            self.snapshot = state.snapshot().cloned();
            self.generation += 1;
            let space = state.space();
            self.is_guest = space.is_some_and(|space| space.through.is_some());
            let stage = space.zip(state.snapshot());
            let stage = stage.and_then(|(space, snapshot)| snapshot.guest_stage_of(space));
            self.guest_mode = stage.map(|stage| stage.mode);
            self.translation = space.map(|space| (space.mode, root_register(space)));
            self.read_moment(state);
        }
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
        if !same_moment || !same_selection {
            self.selection = state.selection;
            self.focus = Focus::resolve(state.space(), &self.index, state.selection);
            if let (Some(snapshot), Some(space)) = (state.snapshot(), state.space()) {
                self.focus.follow_guest_stage(snapshot, space);
            }
            self.access = access(state, &self.focus);
            let window = self.focus.table.and_then(|(_, frame)| {
                let facts = self.table_facts(frame)?;
                Some(*facts.window()?)
            });
            self.window_leaf = window.map(|window| window.leaf);
            self.chain = chain(state.space(), &self.focus, window.map(|window| window.virt));
        }
        let moments = state.history.moments().len();
        if !same_moment || !same_selection || self.moments != moments {
            self.moments = moments;
            self.entry_history = entry_history(state, &self.focus);
        }
    }

    fn read_moment(&mut self, state: &State) {
        let empty = Difference::default();
        let Some(snapshot) = state.snapshot() else {
            *self = Self {
                generation: self.generation,
                selection_generation: self.selection_generation,
                ..Self::default()
            };
            return;
        };
        let difference = state
            .moment()
            .map_or(&empty, |moment| moment.difference.as_ref());
        self.partition = physical_partition(snapshot);
        self.physical_bands = fold_tables(physical_bands(snapshot));
        (self.virtual_bands, self.index) = match state.space() {
            Some(space) if state.is_translating() => (
                fold_windows(
                    snapshot,
                    space,
                    fold_scattered(virtual_bands(snapshot, space, difference)),
                ),
                ReverseIndex::new(&in_machine_terms(snapshot, space)),
            ),
            _ => (Vec::new(), ReverseIndex::default()),
        };
        self.unsettled = unsettled_ranges(snapshot, state.space());
        let rows = region_rows(snapshot, state.space());
        self.mapped = rows
            .iter()
            .map(|row| (row.mapped, row.mapped_bytes))
            .collect();
        let mut report = Report::new(snapshot, state.space());
        self.report = report.spaces.pop();
        self.kernel_findings = report.kernel;
        self.read_fresh(state, difference);
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
        let before = cursor
            .checked_sub(1)
            .and_then(|place| state.history.moments().get(place))
            .and_then(|moment| moment.snapshot.heap);
        let now = state.snapshot().and_then(|snapshot| snapshot.heap);
        if let (Some(before), Some(now)) = (before, now) {
            let mut page = now.next.wrapping_add(PAGE_SIZE);
            while page <= before.next && self.fresh_frames.len() < 1 << 16 {
                self.fresh_frames.extend(page.page());
                page = page.wrapping_add(PAGE_SIZE);
            }
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

/// Neighbouring tables as one band: the frame grid tells them apart, and the bar keeps their
/// colours.
fn fold_tables(bands: Vec<Band>) -> Vec<Band> {
    let mut folded: Vec<Band> = Vec::with_capacity(bands.len());
    for band in bands {
        let is_table = |band: &Band| matches!(band.kind, BandKind::Table(_));
        match folded.last_mut() {
            Some(last)
                if is_table(last)
                    && is_table(&band)
                    && last.start.checked_add(last.size) == Some(band.start) =>
            {
                last.size += band.size;
                last.name = "tables".into();
            }
            _ => folded.push(band),
        }
    }
    folded
}

/// The tables to draw large: those that the focus goes through, and below them the ones that the
/// last pointers lead to, so that the picture is whole even when nothing is selected. Below a table
/// that is selected as such it goes the way of `window`, the address through which that table is
/// written, if that way leads on from there.
fn chain(space: Option<&Space>, focus: &Focus, window: Option<VirtAddr>) -> Vec<ChainLink> {
    let mut links = Vec::new();
    let Some(space) = space else { return links };
    let Some(mut level) = space.mode.root_level() else {
        return links;
    };
    let wanted = focus.table;
    let way = window.map(|virt| space.translate(virt).trail);
    let mut frame = space.root;
    loop {
        links.push(ChainLink::Table(level, frame));
        let Some(next_level) = level.next() else {
            break;
        };
        let table = space.table_at(frame, level);
        let kind = match focus.step_at(level) {
            Some(step) => Some(step.kind),
            None => way
                .iter()
                .flat_map(|trail| trail.iter())
                .find(|step| (step.level, step.table) == (level, frame))
                .map(|step| step.kind)
                .or_else(|| table.and_then(|table| last_pointer(space.mode, table))),
        };
        frame = match kind {
            Some(PteKind::Pointer(next)) => next,
            Some(PteKind::Leaf(leaf)) => {
                let size = crate::model::size_text(leaf.size);
                fill_rest(
                    &mut links,
                    next_level,
                    &format!("The walk ends at {level}, in a leaf of {size}."),
                );
                break;
            }
            Some(PteKind::Invalid) => {
                fill_rest(
                    &mut links,
                    next_level,
                    &format!("The walk ends at {level}: its entry is invalid."),
                );
                break;
            }
            Some(PteKind::Reserved(why)) => {
                fill_rest(
                    &mut links,
                    next_level,
                    &format!("The walk ends at {level}: its entry is reserved ({why})."),
                );
                break;
            }
            None => {
                fill_rest(
                    &mut links,
                    next_level,
                    &format!("No {next_level} table here."),
                );
                break;
            }
        };
        level = next_level;
        if let Some((wanted_level, wanted_frame)) = wanted
            && wanted_level == level
        {
            frame = wanted_frame;
        }
    }
    links
}

fn fill_rest(links: &mut Vec<ChainLink>, from: Level, why: &str) {
    let mut level = Some(from);
    while let Some(this) = level {
        links.push(ChainLink::Nothing(this, why.to_owned()));
        level = this.next();
    }
}

fn last_pointer(mode: TranslationMode, table: &Table) -> Option<PteKind> {
    table
        .iter()
        .map(|(_, pte)| mode.classify(pte, table.level))
        .filter(|kind| matches!(kind, PteKind::Pointer(_)))
        .last()
}

/// The moments at which the selected entry changed, newest first, up to the moment looked at.
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

fn entry_history(state: &State, focus: &Focus) -> Vec<EntryMoment> {
    let (Some(step), Some(space)) = (focus.entry(), state.space()) else {
        return Vec::new();
    };
    let mut found: Vec<EntryMoment> = Vec::new();
    let mut last: Option<Option<Pte>> = None;
    let mut last_table: Option<&Arc<Table>> = None;
    let moments = state.history.moments().iter().enumerate();
    for (place, moment) in moments.take(state.history.cursor() + 1) {
        let then = moment
            .snapshot
            .spaces
            .iter()
            .find(|other| other.name == space.name);
        let table = then.and_then(|space| space.table_at(step.table, step.level));
        if let (Some(old), Some(new)) = (last_table, table)
            && Arc::ptr_eq(old, new)
        {
            continue;
        }
        last_table = table;
        let pte = table.and_then(|table| table.entry(step.index));
        if last == Some(pte) {
            continue;
        }
        let words = match (pte, last) {
            (None, None) => "no such table yet".into(),
            (None, Some(_)) => "its table was gone".into(),
            (Some(pte), _) => {
                let kind = space.mode.classify(pte, step.level);
                match (kind, place) {
                    (PteKind::Leaf(leaf), 0) => {
                        format!("leaf since the first moment, {}", leaf.flags)
                    }
                    (PteKind::Leaf(leaf), _) => format!("leaf written, {}", leaf.flags),
                    (PteKind::Pointer(to), 0) => format!("pointer since the first moment, to {to}"),
                    (PteKind::Pointer(to), _) => format!("pointer written, to {to}"),
                    (PteKind::Invalid, 0) => "invalid since the first moment".into(),
                    (PteKind::Invalid, _) if last == Some(None) => "invalid, in a new table".into(),
                    (PteKind::Invalid, _) => "made invalid".into(),
                    (PteKind::Reserved(why), _) => format!("reserved: {why}"),
                }
            }
        };
        last = Some(pte);
        found.push(EntryMoment {
            moment: place,
            words,
        });
    }
    found.reverse();
    found
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::fixture;
    use crate::session::Connection;
    use pagescope_protocol::{PhysAddr, VirtAddr};

    fn state(steps: u64) -> State {
        State::new("t".into(), fixture::history(steps), Connection::None)
    }

    #[test]
    fn nothing_is_worked_out_twice() {
        let mut derived = Derived::default();
        let mut state = state(3);
        derived.refresh(&state);
        let generation = derived.generation;
        derived.refresh(&state);
        assert_eq!(derived.generation, generation);
        state.history.seek(1);
        derived.refresh(&state);
        assert_eq!(derived.generation, generation + 1);
    }

    #[test]
    fn the_chain_is_whole_without_a_selection_and_says_where_a_walk_ends() {
        let mut derived = Derived::default();
        let mut state = state(0);
        derived.refresh(&state);
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
        derived.refresh(&state);
        assert!(
            matches!(&derived.chain[2], ChainLink::Nothing(Level::L0, why) if why.contains("2 MiB"))
        );
    }

    #[test]
    fn the_newest_page_is_fresh_and_its_entry_has_a_history() {
        let mut derived = Derived::default();
        let mut state = state(3);
        state.selection = Selection::Physical(PhysAddr::new(0x87ff_4000));
        derived.refresh(&state);
        assert_eq!(derived.fresh_frames, [PhysPage::new(0x87ff4).unwrap()]);
        let places: Vec<usize> = derived.entry_history.iter().map(|at| at.moment).collect();
        assert_eq!(places, [3, 0]);
        let step = derived.focus.entry().unwrap();
        assert!(derived.is_fresh_entry(step.table, step.index, step.pte));
    }

    #[test]
    fn without_a_moment_there_is_nothing() {
        let mut derived = Derived::default();
        derived.refresh(&State::new(
            "t".into(),
            crate::model::History::new(),
            Connection::None,
        ));
        assert!(derived.chain.is_empty() && derived.virtual_bands.is_empty());
    }
}

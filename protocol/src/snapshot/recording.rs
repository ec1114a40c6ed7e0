//! A recording: a first snapshot, and what each later stop changed.
//!
//! Everything small (harts, heap, stop, notes) stands whole in each step; a space stands as the
//! tables and mappings that came, went or changed, regions and trace as what stays and what is new. Playing a step onto the snapshot before it
//! gives exactly the snapshot that was captured.

use alloc::collections::{BTreeMap, BTreeSet};
use alloc::string::String;
use alloc::sync::Arc;
use alloc::vec::Vec;

use serde::{Deserialize, Serialize};
use thiserror::Error;

use super::hex;
use super::{
    Bookmark, FORMAT_VERSION, FrameContents, Hart, Heap, KernelFacts, LectureStep, ListEdit,
    Mapping, MappingList, PhysicalRegion, Provenance, Region, Shared, Snapshot, Space, SpaceKind,
    Table, TableList, Taken, TraceEvent, Watch, list_edit,
};
use crate::addr::{PhysPage, VirtAddr};
use crate::mode::TranslationMode;

/// Most bytes that the tables and mappings of all moments of a recording may take together, as far as the moments do
/// not share them.
const MAX_BYTES: usize = 1 << 30;

/// A first snapshot and the steps after it.
#[derive(Clone, PartialEq, Debug, Default, Serialize, Deserialize)]
pub struct Recording {
    /// Format version, [`FORMAT_VERSION`].
    pub version: u32,
    /// What it is called.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub title: String,
    /// Moments with names, in order.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub bookmarks: Vec<Bookmark>,
    /// The lecture, step by step; none where this is no lecture.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub lecture: Vec<LectureStep>,
    /// The first moment.
    pub base: Snapshot,
    /// What each later stop changed, in order.
    #[serde(default)]
    pub steps: Vec<RecordingStep>,
}

/// What one stop changed.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct RecordingStep {
    /// What the guest was doing, in words.
    #[serde(default)]
    pub stop: String,
    /// Whether the guest stood still.
    #[serde(default, skip_serializing_if = "Taken::is_stopped")]
    pub taken: Taken,
    /// The lecturer's note.
    #[serde(default)]
    pub notes: String,
    /// What the capture could not find out.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub warnings: Vec<String>,
    /// When, in UTC.
    #[serde(default)]
    pub captured_at: String,
    /// The heap.
    #[serde(default)]
    pub heap: Option<Heap>,
    /// What the kernel says of itself.
    #[serde(default)]
    pub kernel: Option<KernelFacts>,
    /// Every hart.
    #[serde(default)]
    pub harts: Vec<Hart>,
    /// Numbers that were watched.
    #[serde(default)]
    pub watches: Vec<Watch>,
    /// The spaces, in their order.
    #[serde(default)]
    pub spaces: Vec<SpaceChange>,
    /// The regions, where they changed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub regions: Option<Vec<ListEdit<Region>>>,
    /// The trace, where it changed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub trace: Option<Vec<ListEdit<Arc<TraceEvent>>>>,
    /// The machine, where it changed.
    #[serde(default)]
    pub rest: Option<Rest>,
}

/// What seldom changes between two stops.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct Rest {
    provenance: Provenance,
    physical: Shared<Vec<PhysicalRegion>>,
    /// All regions: where older files have them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    regions: Option<Vec<Region>>,
    frames: Shared<Vec<FrameContents>>,
}

impl Rest {
    fn of(snapshot: &Snapshot) -> Self {
        Self {
            provenance: Provenance {
                captured_at: String::new(),
                ..snapshot.provenance.clone()
            },
            physical: snapshot.physical.clone(),
            regions: None,
            frames: snapshot.frames.clone(),
        }
    }
}

/// What became of one space.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct SpaceChange {
    /// Its name.
    pub name: String,
    /// How it is translated.
    #[serde(with = "hex::mode")]
    pub mode: TranslationMode,
    /// Its identifier in satp.
    #[serde(default)]
    pub asid: u16,
    /// The root table's frame.
    #[serde(with = "hex::phys_page")]
    pub root: PhysPage,
    /// Whose it is, where the kernel says so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kind: Option<SpaceKind>,
    /// Which hart's or which process's, where the kernel says so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub number: Option<u64>,
    /// The harts that run in it.
    #[serde(default)]
    pub harts: Vec<u32>,
    /// The G-stage that it goes through, by name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub through: Option<String>,
    /// Whether a limit cut it short.
    #[serde(default)]
    pub truncated: bool,
    /// Tables that are no longer there: level and frame.
    #[serde(default)]
    pub tables_gone: Vec<String>,
    /// Tables that are new or changed.
    #[serde(default)]
    pub tables: Vec<Arc<Table>>,
    /// First addresses of mappings that are no longer there.
    #[serde(default)]
    pub mappings_gone: Vec<String>,
    /// Mappings that are new or changed.
    #[serde(default)]
    pub mappings: Vec<Mapping>,
}

/// Why a recording cannot be played.
#[derive(Clone, PartialEq, Eq, Debug, Error)]
pub enum RecordingError {
    /// A step takes away or keeps what is not there.
    #[error("step {step} speaks of {what:?}, which is not there")]
    NotThere {
        /// The step, from 1.
        step: usize,
        /// What it names.
        what: String,
    },
    /// Its moments together would not fit into memory.
    #[error("its moments up to step {step} would take more than {} MiB", MAX_BYTES >> 20)]
    TooLarge {
        /// The step, from 1.
        step: usize,
    },
}

/// What names a table inside its space: the highest level comes first, as in a snapshot.
fn table_key(table: &Table) -> String {
    let (level, frame, from) = (table.level, table.frame, table.covers_from);
    alloc::format!("{}:{from:018x}:{frame}", 9 - level.number())
}

/// The order of tables in a space: by level from the root down, then by what they translate.
fn table_order(table: &Table) -> (core::cmp::Reverse<crate::level::Level>, VirtAddr, PhysPage) {
    let (level, frame, from) = (table.level, table.frame, table.covers_from);
    (core::cmp::Reverse(level), from, frame)
}

fn mapping_key(mapping: &Mapping) -> String {
    alloc::format!("{:#018x}", mapping.virt)
}

/// Tables that are only in `before`, by their keys, and those of `after` that are new or differ.
fn table_changes(before: &TableList, after: &TableList) -> (Vec<String>, Vec<Arc<Table>>) {
    let pointers =
        |tables: &TableList| -> BTreeSet<*const Table> { tables.iter().map(Arc::as_ptr).collect() };
    if before.is_shared_with(after) {
        return (Vec::new(), Vec::new());
    }
    let (old, new) = (pointers(before), pointers(after));
    let old_only = before
        .iter()
        .filter(|table| !new.contains(&Arc::as_ptr(table)));
    let new_only = after
        .iter()
        .filter(|table| !old.contains(&Arc::as_ptr(table)));
    let mut old: BTreeMap<String, &Arc<Table>> =
        old_only.map(|table| (table_key(table), table)).collect();
    let changed = new_only
        .filter(|table| old.remove(&table_key(table)) != Some(*table))
        .cloned()
        .collect();
    (old.into_keys().collect(), changed)
}

/// First addresses of mappings that are only in `before`, and the mappings of `after` that are new or differ.
fn mapping_changes(before: &MappingList, after: &MappingList) -> (Vec<String>, Vec<Mapping>) {
    let (new, old) = after.apart(before);
    let mut old: BTreeMap<VirtAddr, Mapping> = old
        .into_iter()
        .map(|mapping| (mapping.virt, mapping))
        .collect();
    let changed = new
        .into_iter()
        .filter(|mapping| old.remove(&mapping.virt).as_ref() != Some(mapping))
        .collect();
    (old.values().map(mapping_key).collect(), changed)
}

impl RecordingStep {
    /// What turns `before` into `after`.
    pub fn between(before: &Snapshot, after: &Snapshot) -> Self {
        let spaces = after
            .spaces
            .iter()
            .map(|space| {
                let old = before.spaces.iter().find(|old| old.name == space.name);
                let nothing = (TableList::default(), MappingList::default());
                let (old_tables, old_mappings) = match old {
                    Some(old) => (&old.tables, &old.mappings),
                    None => (&nothing.0, &nothing.1),
                };
                let (tables_gone, tables) = table_changes(old_tables, &space.tables);
                let (mappings_gone, mappings) = mapping_changes(old_mappings, &space.mappings);
                SpaceChange {
                    name: space.name.clone(),
                    mode: space.mode,
                    asid: space.asid,
                    root: space.root,
                    kind: space.kind,
                    number: space.number,
                    harts: space.harts.clone(),
                    through: space.through.clone(),
                    truncated: space.truncated,
                    tables_gone,
                    tables,
                    mappings_gone,
                    mappings,
                }
            })
            .collect();
        let rest = Rest::of(after);
        Self {
            stop: after.stop.clone(),
            taken: after.taken.clone(),
            notes: after.notes.clone(),
            warnings: after.warnings.clone(),
            captured_at: after.provenance.captured_at.clone(),
            heap: after.heap,
            kernel: after.kernel.clone(),
            harts: after.harts.clone(),
            watches: after.watches.clone(),
            spaces,
            regions: list_edit::between(&before.regions, &after.regions, |region| {
                (region.start, region.size, region.name.clone())
            }),
            trace: list_edit::between(&before.trace, &after.trace, |event| event.sequence),
            rest: (rest != Rest::of(before)).then_some(rest),
        }
    }

    /// The snapshot after this step. `number` is the step's, from 1, for errors.
    ///
    /// # Errors
    /// [`RecordingError`] where the step does not fit onto `before`.
    pub fn play(&self, number: usize, before: &Snapshot) -> Result<Snapshot, RecordingError> {
        let mut rest = self.rest.clone().unwrap_or_else(|| Rest::of(before));
        let whole = rest.regions.take();
        let regions = match whole {
            Some(regions) => regions.into(),
            None => edited(number, "regions", &before.regions, self.regions.as_deref())?,
        };
        let trace = edited(number, "events", &before.trace, self.trace.as_deref())?;
        let spaces = self
            .spaces
            .iter()
            .map(|change| {
                let old = before.spaces.iter().find(|old| old.name == change.name);
                Ok(Space {
                    name: change.name.clone(),
                    mode: change.mode,
                    asid: change.asid,
                    root: change.root,
                    kind: change.kind,
                    number: change.number,
                    harts: change.harts.clone(),
                    through: change.through.clone(),
                    truncated: change.truncated,
                    tables: tables_after(number, old.map(|old| &old.tables), change)?,
                    mappings: mappings_after(number, old.map(|old| &old.mappings), change)?,
                })
            })
            .collect::<Result<_, _>>()?;
        Ok(Snapshot {
            version: FORMAT_VERSION,
            provenance: Provenance {
                captured_at: self.captured_at.clone(),
                ..rest.provenance
            },
            stop: self.stop.clone(),
            taken: self.taken.clone(),
            notes: self.notes.clone(),
            warnings: self.warnings.clone(),
            kernel: self.kernel.clone(),
            heap: self.heap,
            harts: self.harts.clone(),
            physical: rest.physical,
            regions,
            watches: self.watches.clone(),
            spaces,
            frames: rest.frames,
            trace,
        })
    }
}

fn edited<T: Clone>(
    step: usize,
    what: &str,
    before: &Shared<Vec<T>>,
    edits: Option<&[ListEdit<T>]>,
) -> Result<Shared<Vec<T>>, RecordingError> {
    let Some(edits) = edits else {
        return Ok(before.clone());
    };
    let after = list_edit::apply(before, edits);
    after
        .map(Shared::from)
        .ok_or_else(|| RecordingError::NotThere {
            step,
            what: alloc::format!("{what} past the end of what there are"),
        })
}

fn tables_after(
    step: usize,
    before: Option<&TableList>,
    change: &SpaceChange,
) -> Result<TableList, RecordingError> {
    let before = before.cloned().unwrap_or_default();
    if change.tables_gone.is_empty() && change.tables.is_empty() {
        return Ok(before);
    }
    let old = before.iter().chain(&change.tables);
    let mut tables: BTreeMap<_, &Arc<Table>> =
        old.map(|table| (table_order(table), table)).collect();
    if !change.tables_gone.is_empty() {
        let old = before
            .iter()
            .map(|table| (table_key(table), table_order(table)));
        let mut places: BTreeMap<String, _> = old.collect();
        let came: BTreeSet<_> = change
            .tables
            .iter()
            .map(|table| table_order(table))
            .collect();
        for what in &change.tables_gone {
            let place = places
                .remove(what)
                .ok_or_else(|| RecordingError::NotThere {
                    step,
                    what: what.clone(),
                })?;
            if !came.contains(&place) {
                tables.remove(&place);
            }
        }
    }
    let tables = tables.into_values().cloned().collect();
    Ok(TableList::sharing(tables, &before))
}

fn mappings_after(
    step: usize,
    before: Option<&MappingList>,
    change: &SpaceChange,
) -> Result<MappingList, RecordingError> {
    let before = before.cloned().unwrap_or_default();
    let mut gone = BTreeSet::new();
    for what in &change.mappings_gone {
        let place = hex::parse(what).map(VirtAddr::new);
        let place = place.filter(|place| before.beginning_at(*place).is_some());
        // Gone twice is not there the second time.
        if !place.is_some_and(|place| gone.insert(place)) {
            return Err(RecordingError::NotThere {
                step,
                what: what.clone(),
            });
        }
    }
    let came = change.mappings.iter();
    let came: BTreeMap<VirtAddr, &Mapping> = came.map(|mapping| (mapping.virt, mapping)).collect();
    let came: Vec<Mapping> = came.into_values().cloned().collect();
    Ok(before.edited(&gone, &came))
}

/// What moment `after` takes of memory that the moment before it has not.
fn bytes_apart(before: &Snapshot, after: &Snapshot) -> usize {
    let spaces = after.spaces.iter().map(|space| {
        let old = before.spaces.iter().find(|old| old.name == space.name);
        let (apart, own_tables) = match old {
            Some(old) => (
                space.mappings.len_apart(&old.mappings),
                !space.tables.is_shared_with(&old.tables),
            ),
            None => (space.mappings.len(), true),
        };
        let tables = if own_tables { space.tables.len() } else { 0 };
        apart * size_of::<Mapping>() + space.mappings.nodes() * 8 + tables * 12
    });
    spaces.sum()
}

impl Recording {
    /// A recording of these moments; `None` where there are none.
    pub fn of<'a>(mut moments: impl Iterator<Item = &'a Snapshot>) -> Option<Self> {
        let base = moments.next()?;
        let mut before = base;
        let mut steps = Vec::new();
        for after in moments {
            steps.push(RecordingStep::between(before, after));
            before = after;
        }
        Some(Self {
            version: FORMAT_VERSION,
            title: String::new(),
            bookmarks: Vec::new(),
            lecture: Vec::new(),
            base: base.clone(),
            steps,
        })
    }

    /// All its moments, the first one first. Unchanged tables are shared between them.
    ///
    /// # Errors
    /// [`RecordingError`] where a step does not fit, or memory would not.
    pub fn moments(&self) -> Result<Vec<Arc<Snapshot>>, RecordingError> {
        let mut moments = Vec::with_capacity(self.steps.len() + 1);
        let mut last = Arc::new(self.base.clone());
        moments.push(Arc::clone(&last));
        let mut bytes = 0;
        for (index, step) in self.steps.iter().enumerate() {
            let next = Arc::new(step.play(index + 1, &last)?);
            bytes += bytes_apart(&last, &next);
            if bytes > MAX_BYTES {
                return Err(RecordingError::TooLarge { step: index + 1 });
            }
            last = next;
            moments.push(Arc::clone(&last));
        }
        Ok(moments)
    }
}

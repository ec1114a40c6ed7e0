//! A recording: a first snapshot, and what each later stop changed.
//!
//! Everything small (harts, heap, stop, notes) stands whole in each step; a space stands as the
//! tables and mappings that came, went or changed, regions and trace as what stays and what is new. Playing a step onto the snapshot before it
//! gives exactly the snapshot that was captured.

use alloc::collections::BTreeMap;
use alloc::string::{String, ToString as _};
use alloc::sync::Arc;
use alloc::vec::Vec;

use serde::{Deserialize, Serialize};
use thiserror::Error;

use super::hex;
use super::{
    FORMAT_VERSION, FrameContents, Hart, Heap, KernelFacts, ListEdit, Mapping, PhysicalRegion,
    Provenance, Region, Snapshot, Space, SpaceKind, Table, Taken, TraceEvent, Watch, list_edit,
};
use crate::addr::PhysPage;
use crate::mode::TranslationMode;

/// Most mappings that all moments of a recording may have together: about a gigabyte of them.
const MAX_MAPPINGS: usize = 8 << 20;

/// A first snapshot and the steps after it.
#[derive(Clone, PartialEq, Debug, Default, Serialize, Deserialize)]
pub struct Recording {
    /// Format version, [`FORMAT_VERSION`].
    pub version: u32,
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
    /// The lecturer's notes.
    #[serde(default)]
    pub notes: String,
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
    physical: Vec<PhysicalRegion>,
    /// All regions: where older files have them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    regions: Option<Vec<Region>>,
    frames: Vec<FrameContents>,
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
    #[error("its moments up to step {step} have more than {MAX_MAPPINGS} mappings together")]
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

fn mapping_key(mapping: &Mapping) -> String {
    alloc::format!("{:#018x}", mapping.virt)
}

/// Keys only in `before`, and values of `after` that are new or differ.
fn difference<'a, T: PartialEq + 'a>(
    before: impl Iterator<Item = &'a T>,
    after: impl Iterator<Item = &'a T>,
    key: impl Fn(&T) -> String,
) -> (Vec<String>, Vec<&'a T>) {
    let mut old: BTreeMap<String, &T> = before.map(|item| (key(item), item)).collect();
    let changed = after
        .filter(|item| old.remove(&key(item)) != Some(*item))
        .collect();
    (old.into_keys().collect(), changed)
}

impl RecordingStep {
    /// What turns `before` into `after`.
    pub fn between(before: &Snapshot, after: &Snapshot) -> Self {
        let spaces = after
            .spaces
            .iter()
            .map(|space| {
                let old = before.spaces.iter().find(|old| old.name == space.name);
                let (tables_gone, tables) = difference(
                    old.iter().flat_map(|old| &old.tables),
                    space.tables.iter(),
                    |table| table_key(table),
                );
                let (mappings_gone, mappings) = difference(
                    old.iter().flat_map(|old| &old.mappings),
                    space.mappings.iter(),
                    mapping_key,
                );
                SpaceChange {
                    name: space.name.clone(),
                    mode: space.mode,
                    asid: space.asid,
                    root: space.root,
                    kind: space.kind,
                    number: space.number,
                    harts: space.harts.clone(),
                    truncated: space.truncated,
                    tables_gone,
                    tables: tables.into_iter().cloned().collect(),
                    mappings_gone,
                    mappings: mappings.into_iter().cloned().collect(),
                }
            })
            .collect();
        let rest = Rest::of(after);
        Self {
            stop: after.stop.clone(),
            taken: after.taken.clone(),
            notes: after.notes.clone(),
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
            Some(regions) => regions,
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
                    truncated: change.truncated,
                    tables: apply(
                        number,
                        old.iter().flat_map(|old| &old.tables),
                        &change.tables_gone,
                        &change.tables,
                        |table| table_key(table),
                    )?,
                    mappings: apply(
                        number,
                        old.iter().flat_map(|old| &old.mappings),
                        &change.mappings_gone,
                        &change.mappings,
                        mapping_key,
                    )?,
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
    before: &[T],
    edits: Option<&[ListEdit<T>]>,
) -> Result<Vec<T>, RecordingError> {
    let Some(edits) = edits else {
        return Ok(before.to_vec());
    };
    list_edit::apply(before, edits).ok_or_else(|| RecordingError::NotThere {
        step,
        what: alloc::format!("{what} past the end of what there are"),
    })
}

fn apply<'a, T: Clone + 'a>(
    step: usize,
    before: impl Iterator<Item = &'a T>,
    gone: &[String],
    changed: &[T],
    key: impl Fn(&T) -> String,
) -> Result<Vec<T>, RecordingError> {
    let mut items: BTreeMap<String, T> = before.map(|item| (key(item), item.clone())).collect();
    for what in gone {
        if items.remove(what).is_none() {
            return Err(RecordingError::NotThere {
                step,
                what: what.to_string(),
            });
        }
    }
    items.extend(changed.iter().map(|item| (key(item), item.clone())));
    Ok(items.into_values().collect())
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
        let mut mappings = 0;
        for (index, step) in self.steps.iter().enumerate() {
            let count = |snapshot: &Snapshot| -> usize {
                let spaces = snapshot.spaces.iter();
                spaces.map(|space| space.mappings.len()).sum()
            };
            mappings += count(&last);
            if mappings > MAX_MAPPINGS {
                return Err(RecordingError::TooLarge { step: index + 1 });
            }
            last = Arc::new(step.play(index + 1, &last)?);
            moments.push(Arc::clone(&last));
        }
        Ok(moments)
    }
}

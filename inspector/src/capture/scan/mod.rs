//! Looking for root tables in all of RAM.
//!
//! ```text
//!  1  every frame once:  could it be a table, and where do its pointers lead      linear in RAM
//!  2  those that no pointer leads to, and those that harts and kernels name:      bounded by RAM
//!     walked in each mode, what speaks for it and against it, ranked
//! ```
//!
//! A freed table still looks like one, and a table of a lower level looks like a root of a smaller mode:
//! the answer is a ranking with reasons, not a list of facts. The guest stands still meanwhile.

pub mod evidence;
pub(crate) mod frame;
pub mod hints;

use std::collections::{BTreeMap, BTreeSet};

use pagescope_protocol::coalesce::{Limits as MappingLimits, coalesce};
use pagescope_protocol::scheme::{Stage, Xlen};
use pagescope_protocol::translate::translate;
use pagescope_protocol::walk::{Limits, SpaceWalk, walk_space};
use pagescope_protocol::{
    PAGE_SIZE, PhysAddr, PhysPage, PhysRange, Pte, PteKind, TranslationMode, VirtAddr,
};

use super::tables::FreshTables;
use crate::guest::MachineMap;
use crate::link::{Cancel, LinkError, Target};
pub use evidence::Evidence;
use frame::{Look, Ram, look};

/// Bytes that are read at once.
const CHUNK: u64 = 1 << 20;

/// Most tables of one candidate that are looked at.
const MAX_TABLES: usize = 4096;

/// Most candidates whose trees are walked.
const MAX_WALKED: usize = 1 << 14;

/// Most candidates that are told.
const MAX_TOLD: usize = 512;

/// The least score of a candidate that is told.
const LEAST: i32 = 15;

/// What is known before the scan.
#[derive(Clone, Debug, Default)]
pub struct Hints {
    /// The machine's width.
    pub xlen: Xlen,
    /// Where harts run now, and which.
    pub running: Vec<(TranslationMode, PhysPage, String)>,
    /// Roots that the kernel or its profile names.
    pub named: Vec<(TranslationMode, PhysPage, String)>,
    /// Addresses that a hart uses, where its own tables map them, and what they are: `pc of hart 0`.
    pub anchors: Vec<(VirtAddr, PhysAddr, String)>,
}

/// A frame that may be a root table.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Candidate {
    /// How it would be walked.
    pub mode: TranslationMode,
    /// Where it is.
    pub root: PhysPage,
    /// What speaks for it and against it, the weightiest first.
    pub evidence: Vec<Evidence>,
    /// The sum of it.
    pub score: i32,
}

/// How far a scan has come.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Progress {
    /// Bytes of RAM that were looked at.
    pub done: u64,
    /// Bytes of RAM.
    pub of: u64,
}

/// Looks for roots in all RAM; the most likely come first. `progress` is called about every MiB.
///
/// # Errors
/// When the target is lost, or [`LinkError::Cancelled`].
pub fn scan(
    target: &mut dyn Target,
    machine: &MachineMap,
    hints: &Hints,
    cancel: &Cancel,
    progress: &mut dyn FnMut(Progress),
) -> Result<Vec<Candidate>, LinkError> {
    let modes: Vec<TranslationMode> = TranslationMode::WITH_TABLES
        .into_iter()
        .filter(|mode| {
            mode.scheme()
                .is_some_and(|scheme| scheme.stage == Stage::First && scheme.xlen == hints.xlen)
        })
        .collect();
    let Some(any) = modes.first().copied() else {
        return Ok(Vec::new());
    };
    let ram = Ram::of(machine);
    let frames = look_at_all(target, &ram, any, cancel, progress)?;
    let running = hints.running.iter().chain(&hints.named);
    let known: BTreeSet<PhysPage> = running.map(|(_, root, _)| *root).collect();
    let mut roots: Vec<PhysPage> = frames
        .tables
        .iter()
        .filter(|(page, look)| match look {
            Look::Pointers => !frames.linked.contains(page),
            // Large leaves in a root: a kernel's first tables.
            Look::Leaves => !frames.linked.contains(page) && frames.large.contains(page),
            _ => false,
        })
        .map(|(page, _)| *page)
        .collect();
    roots.extend(known.iter().filter(|root| ram.has(**root)));
    roots.sort_unstable();
    roots.dedup();
    let mut candidates = Vec::new();
    let mut reader = FreshTables::new(target, machine);
    for (number, root) in roots.into_iter().enumerate() {
        if cancel.is_cancelled() {
            return Err(LinkError::Cancelled);
        }
        let is_linked = frames.linked.contains(&root);
        let told = hints.running.iter().chain(&hints.named);
        let told: Vec<TranslationMode> = told
            .filter(|(_, known, _)| *known == root)
            .map(|(mode, ..)| *mode)
            .collect();
        let modes = if told.is_empty() { &modes } else { &told };
        let mut best: Option<Candidate> = None;
        for mode in modes {
            let candidate = if number < MAX_WALKED {
                let limits = Limits { tables: MAX_TABLES };
                let walk = walk_space(*mode, root, limits, &mut reader)?;
                judge(&walk, &ram, machine, hints, is_linked)
            } else {
                unwalked(*mode, root)
            };
            // Of equals the smaller mode: its tree is the whole of the other's.
            if best
                .as_ref()
                .is_none_or(|best| candidate.score > best.score)
            {
                best = Some(candidate);
            }
        }
        candidates.extend(best.filter(|candidate| candidate.score >= LEAST));
    }
    candidates.sort_by_key(|candidate: &Candidate| (-candidate.score, candidate.root));
    candidates.truncate(MAX_TOLD);
    share(&mut candidates, hints, &mut reader)?;
    candidates.retain(|candidate| candidate.score >= LEAST);
    candidates.sort_by_key(|candidate| (-candidate.score, candidate.root));
    Ok(candidates)
}

/// What the frames of RAM look like.
#[derive(Default)]
struct Frames {
    /// Those that may be tables with entries, in the order of their addresses.
    tables: Vec<(PhysPage, Look)>,
    /// Those that a pointer leads to, of another frame than themselves.
    linked: BTreeSet<PhysPage>,
    /// Those whose leaves are all aligned as a root's must be.
    large: BTreeSet<PhysPage>,
}

fn look_at_all(
    target: &mut dyn Target,
    ram: &Ram,
    mode: TranslationMode,
    cancel: &Cancel,
    progress: &mut dyn FnMut(Progress),
) -> Result<Frames, LinkError> {
    let of = ram.ranges().iter().map(|range| range.size()).sum();
    let mut frames = Frames::default();
    let mut done = 0;
    for range in ram.ranges() {
        let start = range.start().as_u64();
        let first = start.next_multiple_of(PAGE_SIZE);
        let end = start.saturating_add(range.size());
        let mut at = first;
        while at < end {
            if cancel.is_cancelled() {
                return Err(LinkError::Cancelled);
            }
            let size = CHUNK.min(end - at);
            let chunk = PhysRange::new(PhysAddr::new(at), size);
            let answers = match chunk {
                Some(chunk) => target.read_physical(&[chunk])?,
                None => Vec::new(),
            };
            let bytes = answers.into_iter().next().flatten().unwrap_or_default();
            for (number, bytes) in bytes.chunks_exact(PAGE_SIZE as usize).enumerate() {
                let page = PhysPage::from_truncated(at / PAGE_SIZE + number as u64);
                frames.add(page, bytes, ram, mode);
            }
            done += size;
            at += size;
            progress(Progress { done, of });
        }
    }
    Ok(frames)
}

impl Frames {
    fn add(&mut self, page: PhysPage, bytes: &[u8], ram: &Ram, mode: TranslationMode) {
        let linked = &mut self.linked;
        let look = look(mode, bytes, ram, |to| {
            if to != page {
                linked.insert(to);
            }
        });
        if look == Look::Leaves {
            let level = mode.root_level();
            let mut entries = bytes
                .chunks_exact(mode.entry_bytes() as usize)
                .map(|entry| {
                    let bits = entry.iter().rev();
                    bits.fold(0u64, |bits, byte| bits << 8 | u64::from(*byte))
                });
            let is_large = level.is_some_and(|level| {
                entries.all(|bits| {
                    let kind = mode.classify(Pte::from_bits(bits), level);
                    matches!(kind, PteKind::Leaf(_) | PteKind::Invalid)
                })
            });
            if is_large {
                self.large.insert(page);
            }
        }
        if matches!(look, Look::Leaves | Look::Pointers) {
            self.tables.push((page, look));
        }
    }
}

/// What speaks for the root of `walk`, and against it.
fn judge(
    walk: &SpaceWalk,
    ram: &Ram,
    machine: &MachineMap,
    hints: &Hints,
    is_linked: bool,
) -> Candidate {
    let (mode, root) = (walk.mode, walk.root);
    let mut evidence = Vec::new();
    let is_it = |known: &&(TranslationMode, PhysPage, String)| (known.0, known.1) == (mode, root);
    let running = hints.running.iter().find(is_it);
    let named = hints.named.iter().find(is_it);
    evidence.extend(running.map(|(_, _, harts)| Evidence::Satp(harts.clone())));
    evidence.extend(named.map(|(_, _, name)| Evidence::Named(name.clone())));
    let (mut reserved, mut out) = (0, 0);
    let mut is_self_map = false;
    for table in &walk.tables {
        for (_, pte) in table.entries() {
            match mode.classify(pte, table.level) {
                PteKind::Reserved(_) => reserved += 1,
                PteKind::Pointer(page) if !ram.has(page) => reserved += 1,
                PteKind::Pointer(page) => is_self_map |= page == root && table.page == root,
                _ => {}
            }
        }
    }
    let ranges = coalesce(walk, MappingLimits::default()).ranges;
    for range in &ranges {
        let is_somewhere = machine.regions().iter().any(|region| {
            let place = region.range();
            place.is_some_and(|place| {
                PhysRange::new(range.phys, range.size).is_some_and(|range| range.overlaps(place))
            })
        });
        out += usize::from(!is_somewhere);
    }
    // A tree that leads to itself reads its tables as leaves' as well: that is no fault.
    let reserved = if is_self_map { 0 } else { reserved };
    if reserved > 0 {
        evidence.push(Evidence::Reserved(reserved));
    } else if !ranges.is_empty() {
        evidence.push(Evidence::Sound {
            tables: walk.tables.len(),
            ranges: ranges.len(),
        });
    }
    if out > 0 {
        evidence.push(Evidence::Nowhere(out));
    }
    if hints.running.iter().any(|(known, ..)| *known == mode) {
        evidence.push(Evidence::UsualMode);
    }
    if is_self_map {
        evidence.push(Evidence::SelfMap);
    }
    if is_linked && running.is_none() && named.is_none() {
        evidence.push(Evidence::Linked);
    }
    let same: Vec<String> = hints
        .anchors
        .iter()
        .filter(|(at, to, _)| through(walk, *at) == Some(*to))
        .map(|(_, _, what)| what.clone())
        .collect();
    if !same.is_empty() {
        evidence.push(Evidence::SameAddresses(same));
    }
    candidate(mode, root, evidence)
}

fn unwalked(mode: TranslationMode, root: PhysPage) -> Candidate {
    candidate(mode, root, vec![Evidence::NotWalked])
}

fn candidate(mode: TranslationMode, root: PhysPage, mut evidence: Vec<Evidence>) -> Candidate {
    evidence.sort_by_key(|one| -one.points());
    Candidate {
        mode,
        root,
        score: evidence.iter().map(Evidence::points).sum(),
        evidence,
    }
}

/// What `address` leads to, through the tables that were walked.
fn through(walk: &SpaceWalk, address: VirtAddr) -> Option<PhysAddr> {
    let bytes = walk.mode.entry_bytes();
    let read = |at: PhysAddr| {
        let table = walk.tables.iter().find(|table| {
            let offset = at.checked_offset_from(table.page.start());
            offset.is_some_and(|offset| {
                table
                    .words
                    .as_ref()
                    .is_some_and(|words| offset / bytes < words.len() as u64)
            })
        });
        let pte = table.and_then(|table| {
            let index = at.checked_offset_from(table.page.start())? / bytes;
            let words = table.words.as_ref()?;
            words.get(index as usize).copied().map(Pte::from_bits)
        });
        Ok::<_, std::convert::Infallible>(pte)
    };
    match translate(walk.mode, walk.root, address, read) {
        Ok(translation) => Some(translation.mapped()?.address),
        Err(never) => match never {},
    }
}

/// Counts what candidates have in common with roots that are known: kernels put themselves into the
/// upper half of every space.
fn share(
    candidates: &mut [Candidate],
    hints: &Hints,
    reader: &mut FreshTables<'_>,
) -> Result<(), LinkError> {
    let known = hints.running.iter().chain(&hints.named);
    let known: BTreeMap<PhysPage, TranslationMode> =
        known.map(|(mode, root, _)| (*root, *mode)).collect();
    let limits = Limits { tables: 1 };
    let mut roots: Vec<(PhysPage, TranslationMode, Vec<u64>)> = Vec::new();
    for (root, mode) in &known {
        let walk = walk_space(*mode, *root, limits, reader)?;
        roots.extend(root_words(&walk).map(|words| (*root, *mode, words)));
    }
    // Besides those that are known, the first of several that are alike counts as one.
    for candidate in candidates {
        if known.contains_key(&candidate.root) {
            continue;
        }
        let walk = walk_space(candidate.mode, candidate.root, limits, reader)?;
        let Some(own) = root_words(&walk) else {
            continue;
        };
        let half = own.len() / 2;
        let alike = roots
            .iter()
            .filter(|(_, mode, _)| *mode == candidate.mode)
            .map(|(root, _, words)| {
                let pairs = words.iter().zip(&own).skip(half);
                let same = pairs.filter(|(a, b)| **a != 0 && a == b).count();
                (same, words == &own, *root)
            })
            .max();
        let mut more = Vec::new();
        match alike {
            Some((_, true, root)) => more.push(Evidence::Copy(root)),
            Some((count @ 1.., _, root)) => more.push(Evidence::SharedUpperHalf(count, root)),
            _ => {}
        }
        for one in more {
            candidate.score += one.points();
            candidate.evidence.push(one);
        }
        candidate.evidence.sort_by_key(|one| -one.points());
        roots.push((candidate.root, candidate.mode, own));
    }
    Ok(())
}

/// A root's entries.
fn root_words(walk: &SpaceWalk) -> Option<Vec<u64>> {
    Some(walk.tables.first()?.words.as_ref()?.to_vec())
}

#[cfg(test)]
mod tests;

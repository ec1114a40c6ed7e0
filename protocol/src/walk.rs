//! Reading every table of an address space, breadth first.
//!
//! Each level is one round: all its tables are asked for at once, so a walk over a slow link costs
//! as many round trips as there are levels. A frame is read once however often it is linked.
//!
//! Bounded on whatever the guest holds: a table is visited once per level, so a cycle ends; and
//! [`Limits`] caps what a hostile guest can make us read.

use alloc::collections::{BTreeMap, BTreeSet};
use alloc::sync::Arc;
use alloc::vec::Vec;

use crate::addr::{PhysPage, VirtAddr};
use crate::decode::Decoder;
use crate::level::{ENTRIES_PER_TABLE, Level};
use crate::mode::TranslationMode;
use crate::pte::Pte;
use crate::scheme::Scheme;

/// The 512 words of a frame.
pub type TableWords = [u64; ENTRIES_PER_TABLE];

/// Physical memory that tables can be read from.
pub trait TableReader {
    /// What can go wrong with the connection itself.
    type Error;

    /// Reads whole frames, in one batch; the answers stand in the order of `frames`.
    /// `None` says that a frame cannot be read, because it is not RAM for instance. A frame that is as it was
    /// may be answered with the words of before, shared.
    ///
    /// # Errors
    /// Only when the target as a whole can no longer be read.
    fn read_tables(
        &mut self,
        frames: &[PhysPage],
    ) -> Result<Vec<Option<Arc<TableWords>>>, Self::Error>;
}

/// How much a walk may read.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Limits {
    /// Most tables, a frame at two levels counting twice.
    pub tables: usize,
}

impl Default for Limits {
    /// 65,536 tables: 256 MiB of them, which map 128 GiB in 4 KiB pages.
    fn default() -> Self {
        Self { tables: 1 << 16 }
    }
}

/// The entry that links a table.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct Slot {
    /// The table that the entry is in.
    pub table: PhysPage,
    /// Its place there.
    pub index: usize,
}

/// A table that the walk found.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct WalkedTable {
    /// Its frame.
    pub page: PhysPage,
    /// The level it was found at.
    pub level: Level,
    /// The first address it translates, on the first path that leads to it.
    pub covers_from: VirtAddr,
    /// The entry that led to it first; `None` for the root.
    pub parent: Option<Slot>,
    /// Further entries that lead to it at this level: shared tables and cycles have some.
    pub other_parents: usize,
    /// Its entries, 512 or as many as the mode has; `None` where the frame could not be read.
    pub words: Option<Arc<[u64]>>,
}

impl WalkedTable {
    /// Its entries, in order; none where the frame could not be read.
    pub fn entries(&self) -> impl Iterator<Item = (usize, Pte)> {
        let words = self.words.iter().flat_map(|words| words.iter());
        words
            .enumerate()
            .map(|(index, bits)| (index, Pte::from_bits(*bits)))
    }
}

/// All tables of one address space.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct SpaceWalk {
    /// The translation mode.
    pub mode: TranslationMode,
    /// The root table's frame.
    pub root: PhysPage,
    /// The tables, root first, then level by level in the order they were found.
    pub tables: Vec<WalkedTable>,
    /// Whether the limit ended the walk before it had seen all.
    pub truncated: bool,
}

/// Walks the space under `root`. A mode without tables gives a walk without tables.
///
/// # Errors
/// Whatever `reader` fails with.
pub fn walk_space<R: TableReader>(
    mode: TranslationMode,
    root: PhysPage,
    limits: Limits,
    reader: &mut R,
) -> Result<SpaceWalk, R::Error> {
    walk_space_again(mode, root, limits, reader, &mut Decoder::default())
}

/// Walks the space under `root` as [`walk_space`] does, with a decoder that may know its tables already.
///
/// # Errors
/// Whatever `reader` fails with.
pub fn walk_space_again<R: TableReader>(
    mode: TranslationMode,
    root: PhysPage,
    limits: Limits,
    reader: &mut R,
    decoder: &mut Decoder,
) -> Result<SpaceWalk, R::Error> {
    let mut walk = SpaceWalk {
        mode,
        root,
        tables: Vec::new(),
        truncated: false,
    };
    let mut frames: BTreeMap<PhysPage, Option<Arc<TableWords>>> = BTreeMap::new();
    let Some(scheme) = mode.scheme() else {
        return Ok(walk);
    };
    let mut round = Vec::from([WalkedTable {
        page: root,
        level: scheme.root_level,
        covers_from: VirtAddr::new(0),
        parent: None,
        other_parents: 0,
        words: None,
    }]);
    while !round.is_empty() {
        let unread: BTreeSet<PhysPage> = round
            .iter()
            .flat_map(|table| frames_of(scheme, table))
            .filter(|page| !frames.contains_key(page))
            .collect();
        let unread: Vec<PhysPage> = unread.into_iter().collect();
        if !unread.is_empty() {
            let mut answers = reader.read_tables(&unread)?.into_iter();
            for page in unread {
                // A reader that answers too little has not read the rest.
                frames.insert(page, answers.next().flatten());
            }
        }
        for table in &mut round {
            table.words = entries_in(scheme, table, &frames);
        }
        let room = limits
            .tables
            .saturating_sub(walk.tables.len() + round.len());
        let (next, truncated) = tables_below(mode, &round, room, decoder);
        walk.truncated |= truncated;
        walk.tables.append(&mut round);
        round = next;
    }
    Ok(walk)
}

/// The frames that a table fills: one, or four for a G-stage root.
fn frames_of(scheme: &Scheme, table: &WalkedTable) -> impl Iterator<Item = PhysPage> {
    let first = table.page.number();
    (first..first + scheme.frames(table.level)).map(PhysPage::from_truncated)
}

/// A table's entries, from the frames that it fills; `None` where one of them could not be read.
fn entries_in(
    scheme: &Scheme,
    table: &WalkedTable,
    frames: &BTreeMap<PhysPage, Option<Arc<TableWords>>>,
) -> Option<Arc<[u64]>> {
    if scheme.entry_bytes == 8 && scheme.frames(table.level) == 1 {
        // Shared with the reader, not copied.
        return Some(frames.get(&table.page)?.clone()?);
    }
    let mut entries = Vec::with_capacity(scheme.entries(table.level));
    for page in frames_of(scheme, table) {
        let words = frames.get(&page)?.as_deref()?;
        if scheme.entry_bytes == 8 {
            entries.extend_from_slice(words);
        } else {
            let halves = words.iter();
            entries.extend(halves.flat_map(|word| [word & 0xffff_ffff, word >> 32]));
        }
    }
    Some(entries.into())
}

/// The tables that `round`'s pointers lead to, each once; and whether there were more than `room`.
fn tables_below(
    mode: TranslationMode,
    round: &[WalkedTable],
    room: usize,
    decoder: &mut Decoder,
) -> (Vec<WalkedTable>, bool) {
    let mut found: Vec<WalkedTable> = Vec::new();
    let mut place_of: BTreeMap<PhysPage, usize> = BTreeMap::new();
    for table in round {
        let Some(level) = table.level.next() else {
            continue;
        };
        let Some(words) = &table.words else { continue };
        let decoded = decoder.decode(mode, table.level, table.page, words);
        for link in decoded.links() {
            let (index, page) = (usize::from(link.index), link.table);
            if let Some(&place) = place_of.get(&page) {
                found[place].other_parents += 1;
                continue;
            }
            if found.len() == room {
                return (found, true);
            }
            place_of.insert(page, found.len());
            found.push(WalkedTable {
                page,
                level,
                covers_from: entry_address(mode, table.covers_from, table.level, index),
                parent: Some(Slot {
                    table: table.page,
                    index,
                }),
                other_parents: 0,
                words: None,
            });
        }
    }
    (found, false)
}

/// The first address that entry `index` covers, in a table at `level` that covers from `base`.
pub fn entry_address(
    mode: TranslationMode,
    base: VirtAddr,
    level: Level,
    index: usize,
) -> VirtAddr {
    mode.canonical(
        base.as_u64()
            .wrapping_add(index as u64 * mode.entry_size(level)),
    )
}

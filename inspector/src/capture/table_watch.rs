//! Which writes can change a table: where every table of a snapshot lies, and every address that leads there.
//!
//! ```text
//!  frame 0x87ffe ──▶ 0x87ffe000            physical: M-mode, and S-mode without translation
//!                ──▶ 0x87ffe000            identity, in hart 0's space
//!                ──▶ 0xffffffc007ffe000    a window of the kernel's
//! ```
//!
//! A target watches addresses, not frames; an address that means a table in one space may be anything in another.
//! So a hit is a hint: what stands in the table is read, and compared with what stood there.

use std::collections::BTreeMap;
use std::sync::Arc;

use pagescope_protocol::snapshot::Snapshot;
use pagescope_protocol::walk::TableWords;
use pagescope_protocol::{LeafFlags, Level, PAGE_SIZE, PhysPage, VirtAddr, VirtRange};

use crate::link::{LinkError, Target};
use crate::model::{ReverseIndex, in_machine_terms};

/// Most addresses by which one table is watched, for each space.
const MOST_ALIASES: usize = 16;

/// Most pages that are watched: a target looks through all of them at each new translation.
pub const MOST_WATCHED: usize = 4096;

/// What a frame translates as a table, in one space.
#[derive(Clone, PartialEq, Eq, Debug)]
struct Role {
    level: Level,
    covers_from: VirtAddr,
    entry_size: u64,
    entry_bytes: u64,
}

/// An entry of a table that was written.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct TableWrite {
    /// The table's frame.
    pub frame: PhysPage,
    /// Its level, where it is first met.
    pub level: Level,
    /// The first entry that differs.
    pub index: usize,
    /// How many more differ.
    pub more: usize,
    /// What those entries translate, in any space; the first and the last byte of each.
    covers: Vec<(u64, u64)>,
}

impl TableWrite {
    /// Whether an entry that was written translates an address of `range`.
    pub fn touches(&self, range: VirtRange) -> bool {
        let first = range.start().as_u64();
        let last = first.saturating_add(range.size().saturating_sub(1));
        self.covers
            .iter()
            .any(|(from, to)| *from <= last && first <= *to)
    }

    /// `L0[499] of 0x87ffe000`, `L0[499] and 2 more of 0x87ffe000`.
    pub fn text(&self) -> String {
        let more = match self.more {
            0 => String::new(),
            more => format!(" and {more} more"),
        };
        format!(
            "{}[{}]{more} of {}",
            self.level,
            self.index,
            self.frame.start()
        )
    }
}

/// All tables of a snapshot, and the addresses that lead to them.
#[derive(Clone, Debug, Default)]
pub struct TableWatch {
    roles: BTreeMap<PhysPage, Vec<Role>>,
    /// From the first address of a watched page to the tables that it may be.
    reach: BTreeMap<u64, Vec<PhysPage>>,
    /// What stands in each.
    words: BTreeMap<PhysPage, Arc<TableWords>>,
}

impl TableWatch {
    /// What can change the tables of `snapshot`.
    pub fn of(snapshot: &Snapshot) -> Self {
        let mut watch = Self::default();
        let spaces: Vec<_> = snapshot
            .spaces
            .iter()
            .map(|space| in_machine_terms(snapshot, space))
            .collect();
        for space in &spaces {
            for table in space.tables.iter() {
                let role = Role {
                    level: table.level,
                    covers_from: table.covers_from,
                    entry_size: space.mode.entry_size(table.level),
                    entry_bytes: space.mode.entry_bytes(),
                };
                let roles = watch.roles.entry(table.frame).or_default();
                if !roles.contains(&role) {
                    roles.push(role);
                }
            }
        }
        for frame in watch.roles.keys() {
            // Whoever does not translate writes here.
            let at = frame.start().as_u64();
            watch.reach.entry(at).or_default().push(*frame);
        }
        for space in &spaces {
            let index = ReverseIndex::new(space);
            for frame in watch.roles.keys() {
                let aliases = index.aliases(*frame, MOST_ALIASES);
                for alias in aliases {
                    if !alias.flags.contains(LeafFlags::WRITE) {
                        continue;
                    }
                    let frames = watch.reach.entry(alias.virt.as_u64()).or_default();
                    if !frames.contains(frame) {
                        frames.push(*frame);
                    }
                }
            }
        }
        watch
    }

    /// How many tables there are.
    pub fn tables(&self) -> usize {
        self.roles.len()
    }

    /// The pages to watch.
    pub fn ranges(&self) -> Vec<VirtRange> {
        let pages = self.reach.keys();
        pages
            .filter_map(|start| VirtRange::new(VirtAddr::new(*start), PAGE_SIZE))
            .collect()
    }

    /// Reads what stands in all tables now. What `before` knows stands there still: who wrote it was noticed.
    ///
    /// # Errors
    /// When the target is lost.
    pub fn read(
        &mut self,
        target: &mut dyn Target,
        before: Option<&Self>,
    ) -> Result<(), LinkError> {
        let known = |frame: &PhysPage| before.and_then(|before| before.words.get(frame));
        self.words = self
            .roles
            .keys()
            .filter_map(|frame| Some((*frame, Arc::clone(known(frame)?))))
            .collect();
        let frames = self.roles.keys().copied();
        let frames: Vec<PhysPage> = frames
            .filter(|frame| !self.words.contains_key(frame))
            .collect();
        let read = target.read_frames(&frames)?;
        let read = frames.into_iter().zip(read);
        self.words
            .extend(read.filter_map(|(frame, words)| Some((frame, words?))));
        Ok(())
    }

    /// What a write near `address` has changed; `None`: nothing, or it was no table.
    ///
    /// # Errors
    /// When the target is lost.
    pub fn changed(
        &mut self,
        target: &mut dyn Target,
        address: VirtAddr,
    ) -> Result<Option<TableWrite>, LinkError> {
        let page = address.align_down(PAGE_SIZE).as_u64();
        let Some(frames) = self.reach.get(&page).cloned() else {
            return Ok(None);
        };
        let known: Vec<_> = frames
            .iter()
            .map(|frame| self.words.get(frame).cloned())
            .collect();
        let now = target.read_frames_again(&frames, &known)?;
        let mut found = None;
        for ((frame, before), after) in frames.into_iter().zip(known).zip(now) {
            let Some(after) = after else { continue };
            let write = before.and_then(|before| self.compare(frame, &before, &after));
            self.words.insert(frame, after);
            found = found.or(write);
        }
        Ok(found)
    }

    fn compare(
        &self,
        frame: PhysPage,
        before: &TableWords,
        after: &TableWords,
    ) -> Option<TableWrite> {
        let roles = self.roles.get(&frame)?;
        let first = roles.first()?;
        let differing = |entry_bytes: u64| {
            let words = before.iter().zip(after).enumerate();
            let mut entries = Vec::new();
            for (place, (before, after)) in words.filter(|(_, (before, after))| before != after) {
                if entry_bytes == 4 {
                    let [before, after] =
                        [before, after].map(|word| [*word & 0xffff_ffff, *word >> 32]);
                    let halves = before.into_iter().zip(after).enumerate();
                    let written = halves.filter(|(_, (before, after))| is_written(*before, *after));
                    entries.extend(written.map(|(half, _)| place * 2 + half));
                } else if is_written(*before, *after) {
                    entries.push(place);
                }
            }
            entries
        };
        let entries = differing(first.entry_bytes);
        let index = *entries.first()?;
        let covers = roles.iter().flat_map(|role| {
            let entries = differing(role.entry_bytes).into_iter();
            entries.map(|index| {
                let offset = role.entry_size.wrapping_mul(index as u64);
                let from = role.covers_from.wrapping_add(offset).as_u64();
                (from, from.saturating_add(role.entry_size - 1))
            })
        });
        Some(TableWrite {
            frame,
            level: first.level,
            index,
            more: entries.len() - 1,
            covers: covers.collect(),
        })
    }
}

/// Whether an entry is another one by a store of the guest: the hardware sets A and D of leaves, whenever it likes, and
/// that is no store.
fn is_written(before: u64, after: u64) -> bool {
    const fn bits(flags: LeafFlags) -> u64 {
        flags.bits() as u64
    }
    let permissions = LeafFlags::READ | LeafFlags::WRITE | LeafFlags::EXECUTE;
    let stays = before & after;
    let is_leaf = stays & bits(LeafFlags::VALID) != 0 && stays & bits(permissions) != 0;
    let by_hardware = match is_leaf {
        true => bits(LeafFlags::ACCESSED | LeafFlags::DIRTY) & !before,
        false => 0,
    };
    after & !by_hardware != before
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::fixture;

    #[test]
    fn every_table_is_watched_at_its_frame_and_at_each_address_that_writes_it() {
        let snapshot = fixture::pseudos(3);
        let watch = TableWatch::of(&snapshot);
        let space = &snapshot.spaces[0];
        assert_eq!(watch.tables(), space.tables.len());
        for table in space.tables.iter() {
            let at = table.frame.start().as_u64();
            assert!(watch.reach[&at].contains(&table.frame));
            let index = ReverseIndex::new(space);
            for alias in index.aliases(table.frame, usize::MAX) {
                let writable = alias.flags.contains(LeafFlags::WRITE);
                assert!(!writable || watch.reach.contains_key(&alias.virt.as_u64()));
            }
        }
    }

    #[test]
    fn what_the_hardware_sets_is_no_write() {
        let snapshot = fixture::pseudos(3);
        let watch = TableWatch::of(&snapshot);
        let tables = &snapshot.spaces[0].tables;
        let frame = tables.iter().find(|it| it.level == Level::L0).unwrap();
        let frame = frame.frame;
        let mut before: TableWords = [0; 512];
        // V, R and W, and a pointer, whose A and D are reserved.
        before[3] = 0x21ff_cc07;
        before[4] = 0x21ff_cc01;
        let with = |changes: &[(usize, u64)]| {
            let mut after = before;
            for (place, word) in changes {
                after[*place] = *word;
            }
            let write = watch.compare(frame, &before, &after);
            write.map(|write| (write.index, write.more))
        };
        assert_eq!(with(&[(3, 0x21ff_cc47)]), None, "A");
        assert_eq!(with(&[(3, 0x21ff_ccc7)]), None, "A and D");
        assert_eq!(with(&[(3, 0x21ff_cc47), (7, 1)]), Some((7, 0)), "A earlier");
        assert_eq!(with(&[(3, 0x21ff_cc43)]), Some((3, 0)), "read-only, and A");
        assert_eq!(with(&[(4, 0x21ff_cc41)]), Some((4, 0)), "a pointer");
        assert_eq!(with(&[(5, 0xc0)]), Some((5, 0)), "an invalid entry");
        before[3] |= 0xc0;
        let mut after = before;
        after[3] &= !0x40;
        let cleared = watch.compare(frame, &before, &after);
        assert_eq!(
            cleared.map(|write| write.index),
            Some(3),
            "software clears A"
        );
    }

    #[test]
    fn a_write_says_which_entry_and_what_it_translates() {
        let snapshot = fixture::pseudos(3);
        let watch = TableWatch::of(&snapshot);
        let space = &snapshot.spaces[0];
        let table = space
            .tables
            .iter()
            .find(|table| table.level == Level::L0)
            .unwrap();
        let before: TableWords = [0; 512];
        assert_eq!(watch.compare(table.frame, &before, &before), None);
        let mut after = before;
        after[7] = 1;
        after[9] = 1;
        let write = watch.compare(table.frame, &before, &after).unwrap();
        assert_eq!((write.index, write.more), (7, 1));
        let page = |index: u64| {
            let at = table.covers_from.wrapping_add(index * PAGE_SIZE);
            VirtRange::new(at, PAGE_SIZE).unwrap()
        };
        assert!(write.touches(page(7)) && write.touches(page(9)));
        assert!(!write.touches(page(8)) && !write.touches(page(6)));
        assert!(write.text().starts_with("L0[7] and 1 more of 0x"));
    }
}

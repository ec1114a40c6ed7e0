//! A space's tables, found by their frames without looking at each.

use alloc::sync::Arc;
use alloc::vec::Vec;
use core::fmt;
use core::ops::Deref;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::Table;
use crate::addr::PhysPage;
use crate::level::Level;

/// The tables of a space: root first, then level by level. Clones share everything.
#[derive(Clone, Default)]
pub struct TableList {
    tables: Arc<[Arc<Table>]>,
    /// Places in `tables` in the order of frames; of one frame, the first place first.
    by_frame: Arc<[u32]>,
}

impl TableList {
    /// The first table of the list that lies in `frame`: the one at the highest level.
    pub fn in_frame(&self, frame: PhysPage) -> Option<&Arc<Table>> {
        self.all_in_frame(frame).next()
    }

    /// The table in `frame` as it is read at `level`.
    pub fn at_level(&self, frame: PhysPage, level: Level) -> Option<&Arc<Table>> {
        self.all_in_frame(frame).find(|table| table.level == level)
    }

    /// The tables that lie in `frame`: one for each level that it is read at.
    pub fn all_in_frame(&self, frame: PhysPage) -> impl Iterator<Item = &Arc<Table>> {
        let table = |place: &u32| &self.tables[*place as usize];
        let first = self
            .by_frame
            .partition_point(|place| table(place).frame < frame);
        let from_there = self.by_frame[first..].iter().map(table);
        from_there.take_while(move |table| table.frame == frame)
    }

    /// Whether both are the same list in memory. Where they are not, they can still be equal.
    pub fn is_shared_with(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.tables, &other.tables)
    }

    /// Changes the tables one by one: for who makes snapshots up.
    pub fn edit(&mut self, change: impl FnOnce(&mut Vec<Arc<Table>>)) {
        let mut tables = self.tables.to_vec();
        change(&mut tables);
        *self = tables.into();
    }

    /// These tables; what is as in `before` is shared with it.
    pub fn sharing(mut tables: Vec<Arc<Table>>, before: &Self) -> Self {
        for (place, table) in tables.iter_mut().enumerate() {
            // Mostly it stands where it stood.
            let old = before.tables.get(place);
            let is_it = |old: &&Arc<Table>| (old.frame, old.level) == (table.frame, table.level);
            let old = old.filter(is_it);
            if let Some(old) = old.or_else(|| before.at_level(table.frame, table.level))
                && !Arc::ptr_eq(old, table)
                && **old == **table
            {
                *table = Arc::clone(old);
            }
        }
        let mut both = tables.iter().zip(before.tables.iter());
        if tables.len() != before.tables.len() {
            return tables.into();
        }
        if both.clone().all(|(new, old)| Arc::ptr_eq(new, old)) {
            return before.clone();
        }
        if both.all(|(new, old)| new.frame == old.frame) {
            return Self {
                tables: tables.into(),
                by_frame: Arc::clone(&before.by_frame),
            };
        }
        tables.into()
    }
}

impl Deref for TableList {
    type Target = [Arc<Table>];

    fn deref(&self) -> &[Arc<Table>] {
        &self.tables
    }
}

impl From<Vec<Arc<Table>>> for TableList {
    fn from(tables: Vec<Arc<Table>>) -> Self {
        // Nobody has four thousand million tables.
        let mut by_frame: Vec<u32> = (0..tables.len() as u32).collect();
        by_frame.sort_by_key(|place| tables[*place as usize].frame);
        Self {
            tables: tables.into(),
            by_frame: by_frame.into(),
        }
    }
}

impl FromIterator<Arc<Table>> for TableList {
    fn from_iter<I: IntoIterator<Item = Arc<Table>>>(tables: I) -> Self {
        Vec::from_iter(tables).into()
    }
}

impl<'a> IntoIterator for &'a TableList {
    type Item = &'a Arc<Table>;
    type IntoIter = core::slice::Iter<'a, Arc<Table>>;

    fn into_iter(self) -> Self::IntoIter {
        self.tables.iter()
    }
}

impl PartialEq for TableList {
    fn eq(&self, other: &Self) -> bool {
        self.is_shared_with(other) || self.tables == other.tables
    }
}

impl Eq for TableList {}

impl fmt::Debug for TableList {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.tables.fmt(f)
    }
}

impl Serialize for TableList {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        self.tables.serialize(to)
    }
}

impl<'de> Deserialize<'de> for TableList {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        Vec::<Arc<Table>>::deserialize(from).map(Self::from)
    }
}

//! Numbers over time: what the timeline plots.

use std::collections::BTreeSet;

use pagescope_protocol::snapshot::Snapshot;

use super::Moment;

/// A number that each moment may have.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Series {
    /// The heap counter.
    Heap,
    /// How many page tables there are in all spaces.
    Tables,
    /// A number that is watched, by its name.
    Watch(String),
}

impl Series {
    /// What it is called.
    pub fn name(&self) -> &str {
        match self {
            Self::Heap => "heap counter",
            Self::Tables => "page tables",
            Self::Watch(name) => name,
        }
    }

    /// Its value in `snapshot`.
    pub fn value(&self, snapshot: &Snapshot) -> Option<u64> {
        match self {
            Self::Heap => snapshot.heap.map(|heap| heap.counter),
            Self::Tables => {
                let tables = snapshot.spaces.iter().map(|space| space.tables.len());
                Some(tables.sum::<usize>() as u64)
            }
            Self::Watch(name) => {
                let mut watches = snapshot.watches.iter();
                watches.find(|watch| &watch.name == name)?.value
            }
        }
    }

    /// Those that there are to choose from: a watch that was added or taken away is in one of the ends.
    pub fn of(moments: &[Moment]) -> Vec<Self> {
        let ends = moments.first().into_iter().chain(moments.last());
        let mut names = BTreeSet::new();
        let mut has_heap = false;
        for moment in ends {
            has_heap |= moment.snapshot.heap.is_some();
            let watches = moment.snapshot.watches.iter();
            names.extend(watches.map(|watch| watch.name.clone()));
        }
        let first = has_heap.then_some(Self::Heap);
        let watches = names.into_iter().map(Self::Watch);
        first
            .into_iter()
            .chain([Self::Tables])
            .chain(watches)
            .collect()
    }
}

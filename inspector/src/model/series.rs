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

    /// Those that there are to choose from: what any moment has, and what is `plotted`, which has to go again.
    pub fn of(moments: &[Moment], plotted: &BTreeSet<Self>) -> Vec<Self> {
        let mut names = BTreeSet::new();
        let mut has_heap = plotted.contains(&Self::Heap);
        for moment in moments {
            has_heap |= moment.snapshot.heap.is_some();
            let watches = moment.snapshot.watches.iter();
            names.extend(watches.map(|watch| watch.name.as_str()));
        }
        names.extend(plotted.iter().filter_map(|series| match series {
            Self::Watch(name) => Some(name.as_str()),
            Self::Heap | Self::Tables => None,
        }));
        let first = has_heap.then_some(Self::Heap);
        let watches = names.into_iter().map(|name| Self::Watch(name.to_owned()));
        first
            .into_iter()
            .chain([Self::Tables])
            .chain(watches)
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::fixture;

    #[test]
    fn a_number_that_was_watched_for_a_while_can_be_chosen_and_taken_away() {
        let mut moments = fixture::history(4).moments().to_vec();
        let ticks = Series::Watch("ticks".into());
        let none = BTreeSet::new();
        assert!(!Series::of(&moments, &none).contains(&ticks));
        assert!(Series::of(&moments, &[ticks.clone()].into()).contains(&ticks));
        let mut snapshot = (*moments[2].snapshot).clone();
        snapshot.watches[0].name = "ticks".into();
        moments[2].snapshot = snapshot.into();
        assert!(Series::of(&moments, &none).contains(&ticks));
    }
}

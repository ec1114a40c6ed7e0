//! Where a selected stretch lies in both maps: its addresses, and the frames that they lead to, or the other way round.

use pagescope_protocol::VirtAddr;
use pagescope_protocol::snapshot::{RegionSpace, Space};

use crate::model::{ReverseIndex, Stretch};

/// Most pieces that are told apart; past it the last one stands for the rest.
const MOST: usize = 1 << 16;

/// A stretch in both maps: first and last address of each piece, in order, apart from each other.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Marks {
    /// Virtual addresses.
    pub virt: Vec<(u64, u64)>,
    /// Physical addresses.
    pub phys: Vec<(u64, u64)>,
}

impl Marks {
    /// Of `stretch` in `space`, whose mappings lead to the machine's memory.
    pub(super) fn of(stretch: Stretch, space: Option<&Space>, index: &ReverseIndex) -> Self {
        let (start, last) = (stretch.start, stretch.last());
        let whole = vec![(start, last)];
        match stretch.space {
            RegionSpace::Virtual => {
                let mappings = space.into_iter();
                let mappings =
                    mappings.flat_map(|space| space.mappings.ranges_from(VirtAddr::new(start)));
                let pieces = mappings
                    .take_while(|mapping| mapping.virt.as_u64() <= last)
                    .filter_map(|mapping| {
                        let first = mapping.virt.as_u64();
                        let end = first.saturating_add(mapping.size.saturating_sub(1));
                        let (from, to) = (first.max(start), end.min(last));
                        let phys = mapping.phys.as_u64().checked_add(from - first)?;
                        (from <= to).then(|| (phys, phys.saturating_add(to - from)))
                    });
                Self {
                    virt: whole,
                    phys: merged(pieces.take(MOST).collect()),
                }
            }
            RegionSpace::Physical => {
                let pieces = index.overlapping(start, last, MOST).into_iter();
                let pieces = pieces.map(|mapping| {
                    let first = mapping.phys.as_u64();
                    let end = first.saturating_add(mapping.size - 1);
                    let (from, to) = (first.max(start), end.min(last));
                    let virt = mapping.virt.wrapping_add(from - first).as_u64();
                    (virt, virt.saturating_add(to - from))
                });
                Self {
                    virt: merged(pieces.collect()),
                    phys: whole,
                }
            }
        }
    }

    /// Whether any of the virtual addresses from `first` to `last` is marked.
    pub fn has_virt(&self, first: u64, last: u64) -> bool {
        touches(&self.virt, first, last)
    }

    /// Whether any of the physical addresses from `first` to `last` is marked.
    pub fn has_phys(&self, first: u64, last: u64) -> bool {
        touches(&self.phys, first, last)
    }
}

/// Whether any of `pieces`, which are in order and apart, has an address from `first` to `last`.
pub fn touches(pieces: &[(u64, u64)], first: u64, last: u64) -> bool {
    let next = pieces.partition_point(|(_, end)| *end < first);
    pieces.get(next).is_some_and(|(start, _)| *start <= last)
}

fn merged(mut pieces: Vec<(u64, u64)>) -> Vec<(u64, u64)> {
    pieces.sort_unstable();
    let mut merged: Vec<(u64, u64)> = Vec::new();
    for (first, last) in pieces {
        match merged.last_mut() {
            Some((_, end)) if end.saturating_add(1) >= first => *end = last.max(*end),
            _ => merged.push((first, last)),
        }
    }
    merged
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::fixture;

    #[test]
    fn a_stretch_of_addresses_marks_its_frames_and_the_other_way_round() {
        let snapshot = fixture::pseudos(4);
        let space = &snapshot.spaces[0];
        let index = ReverseIndex::new(space);
        let mapping = space.mappings.last().unwrap();
        let stretch = |map, start| Stretch {
            space: map,
            start,
            size: mapping.size,
        };
        let virt = stretch(RegionSpace::Virtual, mapping.virt.as_u64());
        let marks = Marks::of(virt, Some(space), &index);
        let (first, last) = (
            mapping.phys.as_u64(),
            mapping.phys.as_u64() + mapping.size - 1,
        );
        assert_eq!(marks.phys, [(first, last)]);
        let phys = stretch(RegionSpace::Physical, first);
        let marks = Marks::of(phys, Some(space), &index);
        assert!(marks.has_virt(mapping.virt.as_u64(), mapping.virt.as_u64()));
        assert!(!marks.has_phys(last + 1, last + 4096));
    }
}

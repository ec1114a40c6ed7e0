//! What is known of a stretch of one of the maps: its name, its pages, what is mapped in it and how.

use pagescope_protocol::snapshot::{Region, RegionSpace, Snapshot, Space};
use pagescope_protocol::{LeafFlags, PAGE_SIZE, PhysAddr, VirtAddr};

use super::Stretch;

/// Most pieces that are told one by one.
pub const MOST_PIECES: usize = 12;
/// Most ranges of a space that are looked at for one stretch.
const MOST_RANGES: usize = 1 << 16;

/// A part of a stretch that is mapped in one way.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Piece {
    /// First address.
    pub virt: VirtAddr,
    /// What it leads to.
    pub phys: PhysAddr,
    /// Bytes.
    pub size: u64,
    /// The leaves' flags.
    pub flags: LeafFlags,
    /// The leaves' size.
    pub page_size: u64,
}

/// What is known of a stretch.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct StretchFacts {
    /// The region that it is, or the smallest one that it lies in.
    pub region: Option<Region>,
    /// Whether the stretch is that region from end to end.
    pub is_region: bool,
    /// The machine's own name for it, of a physical stretch.
    pub memory: Option<String>,
    /// Pages that it touches.
    pub pages: u64,
    /// Bytes of it that are mapped, of a virtual stretch.
    pub mapped: u64,
    /// The first parts that are mapped.
    pub pieces: Vec<Piece>,
    /// How many more there are.
    pub more: usize,
    /// Whether there was too much to look at all of it.
    pub is_cut: bool,
}

impl StretchFacts {
    /// What is known of `stretch`.
    pub fn new(snapshot: &Snapshot, space: Option<&Space>, stretch: Stretch) -> Self {
        let mut facts = Self {
            pages: stretch.last() / PAGE_SIZE - stretch.start / PAGE_SIZE + 1,
            ..Self::default()
        };
        let around = snapshot.regions.iter().filter(|region| {
            region.space == stretch.space
                && space.is_none_or(|space| region.counts_in(&space.name))
                && region.start <= stretch.start
                && region.last().is_some_and(|last| stretch.last() <= last)
        });
        if let Some(region) = around.min_by_key(|region| region.size) {
            facts.is_region = (region.start, region.size) == (stretch.start, stretch.size);
            facts.region = Some(region.clone());
        }
        match (stretch.space, space) {
            (RegionSpace::Physical, _) => {
                let mut memory = snapshot.physical.iter();
                let start = PhysAddr::new(stretch.start);
                let found = memory.find(|region| {
                    let range = region.range();
                    range.is_some_and(|range| range.contains(start))
                });
                facts.memory = found.map(|region| region.name.clone());
            }
            (RegionSpace::Virtual, Some(space)) => facts.read_mappings(space, stretch),
            (RegionSpace::Virtual, None) => {}
        }
        facts
    }

    fn read_mappings(&mut self, space: &Space, stretch: Stretch) {
        let first = VirtAddr::new(stretch.start);
        let all = space.mappings.ranges_from(first).enumerate();
        for (count, range) in all {
            let (virt, size) = (range.virt, range.size);
            if virt.as_u64() > stretch.last() {
                break;
            }
            if count >= MOST_RANGES {
                self.is_cut = true;
                break;
            }
            let skip = stretch.start.saturating_sub(virt.as_u64());
            if skip >= size {
                continue;
            }
            let virt = virt.wrapping_add(skip);
            let room = stretch.last() - virt.as_u64();
            let size = (size - skip).min(room.saturating_add(1));
            self.mapped = self.mapped.saturating_add(size);
            if self.pieces.len() < MOST_PIECES {
                self.pieces.push(Piece {
                    virt,
                    phys: range.phys.wrapping_add(skip),
                    size,
                    flags: range.flags,
                    page_size: range.page_size,
                });
            } else {
                self.more += 1;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::fixture;

    #[test]
    fn a_stretch_tells_its_pieces_and_what_is_missing() {
        let snapshot = fixture::pseudos(0);
        let space = snapshot.spaces.first();
        let stretch = |space, start, size| Stretch { space, start, size };
        // From .data over the guard page into the stack.
        let facts = StretchFacts::new(
            &snapshot,
            space,
            stretch(RegionSpace::Virtual, 0x8021_1000, 0x8000),
        );
        assert_eq!((facts.pages, facts.mapped), (8, 0x7000));
        assert_eq!(facts.pieces[0].virt, VirtAddr::new(0x8021_1000));
        let last = facts.pieces.last().unwrap();
        assert_eq!(last.virt.as_u64() + last.size, 0x8021_9000);
        let text = StretchFacts::new(
            &snapshot,
            space,
            stretch(RegionSpace::Physical, 0x8020_0000, 0xc000),
        );
        assert!(text.is_region && text.region.unwrap().name == ".text");
        assert_eq!(text.memory.as_deref(), Some("RAM"));
        let all = StretchFacts::new(&snapshot, space, stretch(RegionSpace::Virtual, 0, u64::MAX));
        assert!(all.mapped > 256 << 20 && all.pieces.len() <= MOST_PIECES);
    }
}

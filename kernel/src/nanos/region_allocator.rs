//! The early allocator: it carves from the top of a region of RAM, and the region shrinks.
//!
//! ```text
//!  start ┌──────────────┬───────────────┬────────────┐ end
//!        │ what is left │ identity heap │ boot stack │       each call takes the top
//!        └──────────────┴───────────────┴────────────┘
//! ```
//!
//! Whoever comes later is given what is left, and so cannot clash with what was taken (S4.9). It runs
//! before there is translation, and so it is plain: no references to itself, no formatting.

use pagescope_protocol::{PAGE_SIZE, PhysAddr, PhysRange};

/// Most regions.
pub const MAX_REGIONS: usize = 4;

/// Free RAM, as regions that shrink.
#[derive(Debug)]
pub struct RegionAllocator {
    regions: [PhysRange; MAX_REGIONS],
    count: usize,
}

/// Nothing, anywhere.
const NOTHING: PhysRange = match PhysRange::new(PhysAddr::new(0), 0) {
    Some(range) => range,
    None => panic!("an empty range does not wrap"),
};

impl RegionAllocator {
    /// No RAM.
    pub const EMPTY: Self = Self {
        regions: [NOTHING; MAX_REGIONS],
        count: 0,
    };

    /// Adds free RAM, whose bounds are pages'; `false` where there are too many regions already, or it
    /// overlaps one.
    pub fn add(&mut self, region: PhysRange) -> bool {
        let on_pages =
            region.start().is_aligned(PAGE_SIZE) && region.size().is_multiple_of(PAGE_SIZE);
        let overlaps = self.regions().iter().any(|other| other.overlaps(region));
        match self.regions.get_mut(self.count) {
            Some(place) if on_pages && !overlaps && !region.is_empty() => {
                *place = region;
                self.count += 1;
                true
            }
            _ => false,
        }
    }

    /// Takes `size_bytes`, rounded up to pages, from the top of the highest region that has as much.
    pub fn allocate(&mut self, size_bytes: u64) -> Option<PhysRange> {
        let size = size_bytes.checked_next_multiple_of(PAGE_SIZE)?;
        let mut highest: Option<usize> = None;
        for index in 0..self.count {
            let region = self.regions.get(index)?;
            let is_higher = match highest.and_then(|best| self.regions.get(best)) {
                Some(best) => region.start() > best.start(),
                None => true,
            };
            if size != 0 && region.size() >= size && is_higher {
                highest = Some(index);
            }
        }
        let region = self.regions.get_mut(highest?)?;
        let left = region.size() - size;
        let taken = PhysRange::new(region.start().checked_add(left)?, size)?;
        *region = PhysRange::new(region.start(), left)?;
        Some(taken)
    }

    /// What is left.
    pub fn regions(&self) -> &[PhysRange] {
        self.regions.get(..self.count).unwrap_or(&[])
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::vec::Vec;

    fn range(start: u64, size: u64) -> PhysRange {
        PhysRange::new(PhysAddr::new(start), size).unwrap()
    }

    #[test]
    fn s4_9_the_top_is_taken_and_the_region_shrinks() {
        let mut early = RegionAllocator::EMPTY;
        assert!(early.add(range(0x8030_0000, 0x7d0_0000)));
        let stack = early.allocate(0x4000).unwrap();
        let heap = early.allocate(0x1_0001).unwrap();
        assert_eq!(stack, range(0x87ff_c000, 0x4000));
        assert_eq!(heap, range(0x87fe_b000, 0x1_1000));
        assert_eq!(early.regions(), [range(0x8030_0000, 0x7ce_b000)]);
    }

    #[test]
    fn what_cannot_be_is_refused() {
        let mut early = RegionAllocator::EMPTY;
        assert_eq!(early.allocate(1), None);
        assert!(early.add(range(0x8000_0000, 0x2000)));
        assert!(!early.add(range(0x8000_1000, 0x1000)));
        assert!(!early.add(range(0x9000_0800, 0x1000)));
        assert!(!early.add(range(0x9000_0000, 0)));
        assert_eq!(early.allocate(0), None);
        assert_eq!(early.allocate(0x3000), None);
        assert_eq!(early.allocate(u64::MAX), None);
        assert!(early.allocate(0x2000).is_some());
        assert_eq!(early.allocate(1), None);
    }

    proptest! {
        /// Taken and left never overlap, and are all that there was.
        #[test]
        fn nothing_is_handed_out_twice(sizes in prop::collection::vec(0_u64..0x5000, 0..40)) {
            let mut early = RegionAllocator::EMPTY;
            early.add(range(0x8000_0000, 0x2_0000));
            early.add(range(0x9000_0000, 0x1_0000));
            let mut parts: Vec<PhysRange> = Vec::new();
            parts.extend(sizes.iter().filter_map(|size| early.allocate(*size)));
            parts.extend(early.regions());
            let total: u64 = parts.iter().map(|part| part.size()).sum();
            prop_assert_eq!(total, 0x3_0000);
            for (index, part) in parts.iter().enumerate() {
                prop_assert!(parts.iter().skip(index + 1).all(|other| !other.overlaps(*part)));
            }
        }
    }
}

//! All addresses that lead to a frame, found without looking at every mapping.
//!
//! Mappings are kept in the order of their physical addresses together with the highest end so
//! far, so that a question looks only at those mappings that can still reach the frame. Where they begin
//! stands apart, and every 64th of that once more: a search among a million goes through a list that stays in the
//! processor's cache, and then through 512 bytes.

use pagescope_protocol::coalesce::MappedRange;
use pagescope_protocol::snapshot::Space;
use pagescope_protocol::{PAGE_SIZE, PhysAddr, PhysPage};

use super::reverse::Alias;

/// From frame to addresses, for one space of one snapshot.
#[derive(Clone, Debug, Default)]
pub struct ReverseIndex {
    /// In the order of physical addresses.
    mappings: Vec<MappedRange>,
    /// The highest last byte of the mappings up to and with this one.
    reach: Vec<u64>,
    /// Their first addresses.
    starts: Vec<u64>,
    /// Every [`STRIDE`]th of those.
    signposts: Vec<u64>,
}

/// How many first addresses lie from one signpost to the next.
const STRIDE: usize = 64;

impl ReverseIndex {
    /// The index of `space`'s mappings.
    pub fn new(space: &Space) -> Self {
        let mut mappings: Vec<MappedRange> = space
            .mappings
            .ranges()
            .filter(|mapping| mapping.size > 0)
            .collect();
        mappings.sort_unstable_by_key(|mapping| (mapping.phys, mapping.virt));
        let mut highest = 0;
        let reach = mappings
            .iter()
            .map(|mapping| {
                highest = highest.max(mapping.phys.as_u64().saturating_add(mapping.size - 1));
                highest
            })
            .collect();
        let starts: Vec<u64> = mappings
            .iter()
            .map(|mapping| mapping.phys.as_u64())
            .collect();
        let signposts = starts.iter().copied().step_by(STRIDE).collect();
        Self {
            mappings,
            reach,
            starts,
            signposts,
        }
    }

    /// How many mappings begin at `address` or before.
    fn begun_by(&self, address: u64) -> usize {
        let passed = self.signposts.partition_point(|start| *start <= address);
        let from = passed.saturating_sub(1) * STRIDE;
        let until = (passed * STRIDE).min(self.starts.len());
        from + self.starts[from..until].partition_point(|start| *start <= address)
    }

    /// At most `limit` ways to reach the first byte of `frame`, lowest address first.
    pub fn aliases(&self, frame: PhysPage, limit: usize) -> Vec<Alias> {
        let mut aliases = self.aliases_of(frame.start(), limit);
        for alias in &mut aliases {
            alias.virt = alias.virt.align_down(PAGE_SIZE);
        }
        aliases
    }

    /// At most `limit` addresses that lead to the byte at `address`, lowest first.
    pub fn aliases_of(&self, address: PhysAddr, limit: usize) -> Vec<Alias> {
        let mut found = Vec::new();
        let after = self.begun_by(address.as_u64());
        for place in (0..after).rev() {
            if self.reach[place] < address.as_u64() || found.len() == limit {
                break;
            }
            let mapping = &self.mappings[place];
            if let Some(offset) = address.checked_offset_from(mapping.phys)
                && offset < mapping.size
            {
                found.push(Alias {
                    virt: mapping.virt.wrapping_add(offset),
                    flags: mapping.flags,
                    page_size: mapping.page_size,
                });
            }
        }
        found.sort_by_key(|alias| alias.virt);
        found
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{fixture, frame_use};

    #[test]
    fn the_index_agrees_with_looking_at_everything() {
        let snapshot = fixture::pseudos(600);
        let space = &snapshot.spaces[0];
        let index = ReverseIndex::new(space);
        for number in (0x87c00..0x88000).chain([0x10000, 0x30000, 0x80200, 0x80216, 0, 0xfffff]) {
            let frame = PhysPage::new(number).unwrap();
            assert_eq!(
                index.aliases(frame, usize::MAX),
                frame_use(space, frame).aliases,
                "{frame}"
            );
        }
    }
}

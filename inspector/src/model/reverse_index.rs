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

    /// At most `limit` mappings that lead to any byte from `start` to `last`.
    pub fn overlapping(&self, start: u64, last: u64, limit: usize) -> Vec<MappedRange> {
        let after = self.begun_by(last);
        let mut found = Vec::new();
        for place in (0..after).rev() {
            if self.reach[place] < start || found.len() == limit {
                break;
            }
            let mapping = self.mappings[place];
            if mapping.phys.as_u64().saturating_add(mapping.size - 1) >= start {
                found.push(mapping);
            }
        }
        found
    }

    /// Physical addresses that more than one virtual address leads to: first and last of each stretch, in order.
    pub fn shared(&self) -> Vec<(u64, u64)> {
        let mut shared: Vec<(u64, u64)> = Vec::new();
        let mut reached: Option<u64> = None;
        for mapping in &self.mappings {
            let first = mapping.phys.as_u64();
            let last = first.saturating_add(mapping.size - 1);
            if let Some(reached) = reached.filter(|reached| *reached >= first) {
                let end = last.min(reached);
                match shared.last_mut() {
                    Some((_, before)) if before.saturating_add(1) >= first => {
                        *before = end.max(*before);
                    }
                    _ => shared.push((first, end)),
                }
            }
            reached = reached.max(Some(last));
        }
        shared
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

    #[test]
    fn what_is_mapped_twice_is_shared() {
        let snapshot = fixture::pseudos(40);
        let space = &snapshot.spaces[0];
        let index = ReverseIndex::new(space);
        let shared = index.shared();
        for number in (0x87c00..0x88000).chain([0x10000, 0x80200]) {
            let frame = PhysPage::new(number).unwrap();
            let start = frame.start().as_u64();
            let is_shared = shared
                .iter()
                .any(|(first, last)| (*first..=*last).contains(&start));
            let aliases = frame_use(space, frame).aliases.len();
            assert_eq!(is_shared, aliases > 1, "{frame}");
            let found = index.overlapping(start, start + 4095, usize::MAX);
            assert_eq!(found.len(), aliases, "{frame}");
        }
    }
}

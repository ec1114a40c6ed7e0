//! From a frame back to what uses it.

use pagescope_protocol::snapshot::{Snapshot, Space};
use pagescope_protocol::{LeafFlags, Level, PhysPage, VirtAddr};

/// A way to reach a frame.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Alias {
    /// The virtual address of its first byte.
    pub virt: VirtAddr,
    /// What may be done there.
    pub flags: LeafFlags,
    /// Bytes of the leaf.
    pub page_size: u64,
}

/// What one space does with a frame.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct FrameUse {
    /// Addresses that lead to it, lowest first.
    pub aliases: Vec<Alias>,
    /// The levels at which it is a page table.
    pub table_levels: Vec<Level>,
}

/// What `space` does with `frame`.
pub fn frame_use(space: &Space, frame: PhysPage) -> FrameUse {
    let start = frame.start();
    let aliases = space
        .mappings
        .iter()
        .filter_map(|mapping| {
            let offset = start.checked_offset_from(mapping.phys)?;
            (offset < mapping.size).then(|| Alias {
                virt: mapping.virt.wrapping_add(offset),
                flags: mapping.flags,
                page_size: mapping.page_size,
            })
        })
        .collect();
    let tables = space.tables.iter().filter(|table| table.frame == frame);
    FrameUse {
        aliases,
        table_levels: tables.map(|table| table.level).collect(),
    }
}

/// The name of the smallest region that `frame` lies in.
pub fn region_of(snapshot: &Snapshot, frame: PhysPage) -> Option<&str> {
    let regions = snapshot.regions.iter();
    let around = regions.filter_map(|region| Some((region, region.physical()?)));
    let around = around.filter(|(_, range)| range.overlaps(frame.range()));
    around
        .min_by_key(|(_, range)| range.size())
        .map(|(region, _)| region.name.as_str())
}

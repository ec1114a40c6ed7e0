//! The two maps as stacks of bands: what lies where, named, with long nothing as one band.
//!
//! The physical map is a partition of the machine's RAM and devices; the virtual map is a space's
//! mappings, cut where that partition says that something else begins, with the unmapped rest
//! between. Window, text drawing and SVG all draw these bands.
//!
//! Whose name a mapped stretch has, first that knows one: a page table's window has the table's (the
//! walk itself tells it); else the kernel's virtual region that counts in this space, of several the
//! smallest; else the kernel's physical region; else the ELF's section. An unmapped stretch has its
//! virtual region's, too: a guard, or what is reserved.

mod partition;
mod unmapped;
mod unread;
mod windows;

use std::collections::{BTreeMap, BTreeSet};

use pagescope_protocol::snapshot::{RegionSpace, Snapshot, Space, Table};
use pagescope_protocol::walk::entry_address;
use pagescope_protocol::{
    LeafFlags, Level, PAGE_SIZE, PhysAddr, PhysPage, Pte, PteKind, TranslationMode, VirtAddr,
};

use super::{Change, ChangeKind, Difference, in_machine_terms, size_text};
use crate::model::space_tables::recursive_slot;

pub use partition::{physical_partition, virtual_partition};
pub use windows::fold_windows;

/// What a band shows.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum BandKind {
    /// Can be executed.
    Code,
    /// Can be read only.
    ReadOnly,
    /// Can be written.
    Data,
    /// Can be written and executed: worth a warning.
    WriteExecute,
    /// A device's registers.
    Device,
    /// A stack.
    Stack,
    /// Never mapped, so that overflow faults.
    Guard,
    /// Page tables of this level.
    Table(Level),
    /// The page with the heap counter.
    HeapCounter,
    /// Pages that the allocator handed out.
    Heap,
    /// The machine-mode program.
    Machine,
    /// RAM that the allocator has not handed out.
    Free,
    /// RAM of which nothing more is known.
    Ram,
    /// Address space or memory that is kept free for something, by name: not mapped.
    Reserved,
    /// Addresses that nothing is mapped to, or where nothing answers.
    Nothing,
    /// Addresses that the mode cannot translate.
    NonCanonical,
    /// Addresses whose table could not be read: whether anything is mapped there is not known.
    Unread,
}

/// A stretch of one map.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Band {
    /// First address: virtual or physical, as the map is.
    pub start: u64,
    /// Bytes. A band that reaches the last address ends at 2^64.
    pub size: u64,
    /// What it shows.
    pub kind: BandKind,
    /// Its name; empty where none is known.
    pub name: String,
    /// What may be done there, in the virtual map.
    pub flags: Option<LeafFlags>,
    /// What its first address leads to, in the virtual map.
    pub phys: Option<PhysAddr>,
    /// New or changed since the moment before.
    pub fresh: bool,
    /// The place in [`Snapshot::regions`] of the region that names it, where one does.
    pub region: Option<usize>,
    /// Bytes of each leaf that maps it, the smallest where they differ; a page in the physical map, which has none.
    pub leaf_size: u64,
}

impl Band {
    fn new(start: u64, size: u64, kind: BandKind, name: impl Into<String>) -> Self {
        Self {
            start,
            size,
            kind,
            name: name.into(),
            flags: None,
            phys: None,
            fresh: false,
            region: None,
            leaf_size: PAGE_SIZE,
        }
    }

    /// Its last address.
    pub const fn last(&self) -> u64 {
        self.start.wrapping_add(self.size.wrapping_sub(1))
    }

    /// Whether `address` lies in it.
    pub const fn contains(&self, address: u64) -> bool {
        match address.checked_sub(self.start) {
            Some(offset) => offset < self.size,
            None => false,
        }
    }

    /// Whether something can be reached in it.
    pub const fn is_something(&self) -> bool {
        !matches!(
            self.kind,
            BandKind::Nothing
                | BandKind::NonCanonical
                | BandKind::Guard
                | BandKind::Reserved
                | BandKind::Unread
        )
    }

    /// Its name where there is little room: `L1 window`, `root window`. Whose window it is, the
    /// address beside it says.
    pub fn short_name(&self) -> Option<String> {
        if let Some(what) = self.name.strip_suffix(READ_AS_PAGES) {
            return Some(what.to_owned());
        }
        if let Some(short) = windows::short_name(&self.name) {
            return Some(short);
        }
        let of = self.name.strip_prefix("window of ")?;
        let (table, _frame) = of.rsplit_once(' ')?;
        let table = table.strip_prefix("root ").map_or(table, |_| "root");
        matches!(self.kind, BandKind::Table(_)).then(|| format!("{table} window"))
    }

    /// How much there is: "8 pages" of heap and tables, "126 MiB" of anything else.
    pub fn amount(&self) -> String {
        let pages = self.size / PAGE_SIZE;
        match self.kind {
            BandKind::Heap | BandKind::Table(_) if pages == 1 => "1 page".into(),
            BandKind::Heap | BandKind::Table(_) if pages < 10_000 => format!("{pages} pages"),
            _ => size_text(self.size),
        }
    }
}

/// The physical map: RAM and devices in address order, and the gaps between them.
pub fn physical_bands(snapshot: &Snapshot) -> Vec<Band> {
    physical_bands_of(&physical_partition(snapshot))
}

/// The physical map of a [`physical_partition`].
pub fn physical_bands_of(partition: &[Band]) -> Vec<Band> {
    let mut bands = with_gaps(partition.to_vec());
    // Nothing below the first device and nothing above the last are not worth a band.
    if bands
        .first()
        .is_some_and(|band| band.kind == BandKind::Nothing)
    {
        bands.remove(0);
    }
    bands
}

/// `bands` with a band of nothing in every gap.
fn with_gaps(bands: Vec<Band>) -> Vec<Band> {
    let mut whole: Vec<Band> = Vec::with_capacity(bands.len() * 2);
    let mut at = 0;
    for band in bands {
        if band.start > at {
            whole.push(Band::new(at, band.start - at, BandKind::Nothing, ""));
        }
        at = band.start.saturating_add(band.size);
        whole.push(band);
    }
    whole
}

/// A space's map: its mappings, cut at what they lead to, and what is not mapped between them.
/// What `difference` says to be new stands in bands of its own.
pub fn virtual_bands(snapshot: &Snapshot, space: &Space, difference: &Difference) -> Vec<Band> {
    let partition = physical_partition(snapshot);
    let regions = virtual_partition(snapshot, space);
    let own_space = space;
    let space = &*in_machine_terms(snapshot, own_space);
    let fresh = fresh_ranges(space, difference);
    // Each table's window is a band of its own, so that its name can say whose it is.
    let others = snapshot
        .spaces
        .iter()
        .map(|other| in_machine_terms(snapshot, other));
    let mut tables: BTreeSet<PhysPage> = space.tables.iter().map(|table| table.frame).collect();
    for other in others {
        tables.extend(other.tables.iter().map(|table| table.frame));
    }
    let own: BTreeSet<PhysPage> = space.tables.iter().map(|table| table.frame).collect();
    let is_window = |band: &Band| {
        let frame = band.phys.and_then(PhysAddr::page);
        matches!(band.kind, BandKind::Table(_)) && frame.is_some_and(|at| tables.contains(&at))
    };
    let mut bands: Vec<Band> = Vec::new();
    // The first address that no mapping has had: a file may hold mappings that overlap.
    let mut free_from = Some(0u64);
    for mapping in &space.mappings {
        let Some(free) = free_from else { break };
        let virt = mapping.virt.as_u64();
        let room = (u64::MAX - virt).saturating_add(1);
        let size = mapping.size.min(room);
        let mut offset = free.saturating_sub(virt);
        free_from = virt.checked_add(size).map(|end| end.max(free));
        while offset < size {
            let virt = mapping.virt.wrapping_add(offset);
            let phys = mapping.phys.wrapping_add(offset);
            let left = size - offset;
            let flags = as_memory(space.mode, mapping.flags);
            let mut band = part_at(&partition, phys.as_u64(), left, flags);
            band.start = virt.as_u64();
            let (region, part) = region_at(&regions, virt.as_u64(), band.size);
            band.size = part;
            // In a map of all RAM, the tables of other spaces are memory as any other.
            let is_own_table = matches!(band.kind, BandKind::Table(_))
                && phys.page().is_some_and(|frame| own.contains(&frame));
            if let Some(region) = region
                && !is_own_table
            {
                band.kind = mapped_kind(region.kind, flags);
                band.name.clone_from(&region.name);
                band.region = region.region;
            }
            let (is_fresh, part) = cut_at_fresh(&fresh, virt.as_u64(), band.size);
            band.size = part;
            band.flags = Some(mapping.flags);
            band.phys = Some(phys);
            band.fresh = is_fresh;
            band.leaf_size = mapping.page_size.max(PAGE_SIZE);
            if is_window(&band) {
                band.size = part.min(PAGE_SIZE - phys.page_offset());
            }
            offset += band.size;
            match bands.last_mut() {
                Some(last) if goes_on(last, &band) && !is_window(last) && !is_window(&band) => {
                    last.size += band.size;
                    last.leaf_size = last.leaf_size.min(band.leaf_size);
                }
                _ => bands.push(band),
            }
        }
    }
    for band in &mut bands {
        match band.kind {
            BandKind::Heap if !is_virtual(snapshot, band) => {
                band.name = heap_name(snapshot, band).unwrap_or_else(|| band.name.clone());
            }
            BandKind::Table(_) => band.name = window_name(band),
            _ => {}
        }
    }
    let bands = fold_recursion(space, bands);
    let bands = unmapped::fill(snapshot, &regions, space.mode, bands);
    unread::cut(bands, own_space)
}

/// Through a recursive root the entries of an L1 are read as if they were an L0's, so each superpage
/// shows up as one 4 KiB page of its first bytes. A run of those is one band.
fn fold_recursion(space: &Space, bands: Vec<Band>) -> Vec<Band> {
    let root = space.table(space.root);
    let slot = root.and_then(|root| Some((root.level, recursive_slot(space.mode, root)?)));
    let Some((level, slot)) = slot else {
        return bands;
    };
    let page = PAGE_SIZE;
    let is_read_as_pages = |band: &Band| {
        space.mode.index_of(level, VirtAddr::new(band.start)) == slot
            && band.size.is_multiple_of(page)
            && !matches!(band.kind, BandKind::Table(_))
    };
    let mut folded: Vec<Band> = Vec::with_capacity(bands.len());
    for band in bands {
        match folded.last_mut() {
            Some(last)
                if is_read_as_pages(last)
                    && is_read_as_pages(&band)
                    && last.start.checked_add(last.size) == Some(band.start)
                    && (last.kind, last.flags, last.fresh)
                        == (band.kind, band.flags, band.fresh) =>
            {
                last.size += band.size;
                // Its pages do not lie beside each other.
                last.phys = None;
                if !last.name.ends_with(READ_AS_PAGES) {
                    last.name.push_str(READ_AS_PAGES);
                }
            }
            _ => folded.push(band),
        }
    }
    folded
}

/// The same bands for drawing: the pages of one region that lie beside each other are one band, even where
/// their frames do not. Such a band leads to no one address.
pub fn fold_scattered(bands: Vec<Band>) -> Vec<Band> {
    let mut folded: Vec<Band> = Vec::with_capacity(bands.len());
    for band in bands {
        match folded.last_mut() {
            Some(last)
                if last.region.is_some()
                    && !matches!(last.kind, BandKind::Table(_))
                    && last.start.checked_add(last.size) == Some(band.start)
                    && last.size.checked_add(band.size).is_some()
                    && (last.region, last.kind, last.flags, last.fresh)
                        == (band.region, band.kind, band.flags, band.fresh)
                    && last.name == band.name =>
            {
                if last.phys.and_then(|phys| phys.checked_add(last.size)) != band.phys {
                    last.phys = None;
                }
                last.size += band.size;
            }
            _ => folded.push(band),
        }
    }
    folded
}

/// What is said of superpages that a recursive root shows as pages.
pub const READ_AS_PAGES: &str = ", superpages read as pages";

fn goes_on(last: &Band, next: &Band) -> bool {
    let pages_on = last.phys.and_then(|phys| phys.checked_add(last.size)) == next.phys;
    last.start.checked_add(last.size) == Some(next.start)
        && last.size.checked_add(next.size).is_some()
        && pages_on
        && (last.kind, &last.name, last.flags, last.fresh, last.region)
            == (next.kind, &next.name, next.flags, next.fresh, next.region)
}

/// Whether a virtual region names `band`.
fn is_virtual(snapshot: &Snapshot, band: &Band) -> bool {
    let region = band.region.and_then(|place| snapshot.regions.get(place));
    region.is_some_and(|region| region.space == RegionSpace::Virtual)
}

/// The virtual region at `virt`, and how far from there on all is as it is there, at most `size`.
fn region_at(regions: &[Band], virt: u64, size: u64) -> (Option<&Band>, u64) {
    let after = regions.partition_point(|region| region.start <= virt);
    let here = after.checked_sub(1).map(|place| &regions[place]);
    match here.filter(|region| region.contains(virt)) {
        Some(region) => (Some(region), size.min(region.size - (virt - region.start))),
        None => {
            let next = regions.get(after);
            (None, next.map_or(size, |next| size.min(next.start - virt)))
        }
    }
}

/// What a leaf shows in a virtual region that shows `kind`. Permissions are what a page table says; what
/// must not be mapped is shown as what it is when it is.
fn mapped_kind(kind: BandKind, flags: LeafFlags) -> BandKind {
    match kind {
        BandKind::Device
        | BandKind::Stack
        | BandKind::Heap
        | BandKind::HeapCounter
        | BandKind::Machine => kind,
        _ => kind_of_flags(flags),
    }
}

/// The part of the physical partition that `phys` lies in: how far it goes on, what it is.
fn part_at(partition: &[Band], phys: u64, left: u64, flags: LeafFlags) -> Band {
    let (kind, name) = leaf_kind(partition, PhysAddr::new(phys), flags);
    let after = partition.partition_point(|band| band.start <= phys);
    let here = after.checked_sub(1).map(|index| &partition[index]);
    let here = here.filter(|band| band.contains(phys));
    let size = match here {
        Some(band) => left.min(band.size - (phys - band.start)),
        None => partition
            .get(after)
            .map_or(left, |band| left.min(band.start - phys)),
    };
    Band {
        region: here.and_then(|band| band.region),
        ..Band::new(phys, size, kind, name)
    }
}

/// What a leaf with `flags` that leads to `phys` shows, and its name, by a
/// [`physical_partition`].
pub fn leaf_kind(partition: &[Band], phys: PhysAddr, flags: LeafFlags) -> (BandKind, &str) {
    let after = partition.partition_point(|band| band.start <= phys.as_u64());
    let band = after.checked_sub(1).map(|index| &partition[index]);
    match band.filter(|band| band.contains(phys.as_u64())) {
        None => (kind_of_flags(flags), ""),
        Some(band) => match band.kind {
            // Permissions are what a page table says; they win over a section's name.
            BandKind::Ram
            | BandKind::Free
            | BandKind::Code
            | BandKind::ReadOnly
            | BandKind::Reserved
            | BandKind::Data => (kind_of_flags(flags), &band.name),
            kind => (kind, &band.name),
        },
    }
}

/// What a leaf with these flags shows where nothing else is known.
pub fn kind_of_flags(flags: LeafFlags) -> BandKind {
    match (
        flags.contains(LeafFlags::WRITE),
        flags.contains(LeafFlags::EXECUTE),
    ) {
        (true, true) => BandKind::WriteExecute,
        (false, true) => BandKind::Code,
        (true, false) => BandKind::Data,
        (false, false) => BandKind::ReadOnly,
    }
}

/// Flags for telling what memory is for. A G-stage lets a guest do everything with its memory, and says
/// nothing by that.
pub fn as_memory(mode: TranslationMode, flags: LeafFlags) -> LeafFlags {
    if mode.is_guest_stage() && flags.contains(LeafFlags::WRITE) {
        flags - LeafFlags::EXECUTE
    } else {
        flags
    }
}

/// What a leaf that leads to a table is called: the window through which that table is written.
fn window_name(band: &Band) -> String {
    let pages = band.size / PAGE_SIZE;
    let frame = band.phys.and_then(PhysAddr::page);
    match (pages, frame) {
        (0 | 1, Some(frame)) => format!("window of {} {frame}", band.name),
        (pages, _) => format!("windows of {pages} {}", band.name),
    }
}

/// `kalloc(7)`, or `kalloc(10…3)` for a run of pages, newest first.
fn heap_name(snapshot: &Snapshot, band: &Band) -> Option<String> {
    let heap = snapshot.heap?;
    let first = band.phys?;
    let last = first.checked_add(band.size.checked_sub(1)?)?;
    let (newest, oldest) = (heap.index_of(first)?, heap.index_of(last)?);
    Some(if newest == oldest {
        format!("kalloc({newest})")
    } else {
        format!("kalloc({newest}…{oldest})")
    })
}

/// Virtual ranges whose leaf is new or changed: start and last address, in order, without overlap.
pub fn fresh_ranges(space: &Space, difference: &Difference) -> Vec<(u64, u64)> {
    let mut ranges = Vec::new();
    // A recursive root shows a table at lower levels, too, and its entries there.
    let mut roles: BTreeMap<PhysPage, Vec<&Table>> = BTreeMap::new();
    if !difference.changes.is_empty() {
        for table in &space.tables {
            roles.entry(table.frame).or_default().push(table);
        }
    }
    let mut fresh = |virt: VirtAddr, level: Level, pte: Pte| {
        if let PteKind::Leaf(_) = space.mode.classify(pte, level) {
            let last = virt
                .as_u64()
                .saturating_add(space.mode.entry_size(level) - 1);
            ranges.push((virt.as_u64(), last));
        }
    };
    for change in &difference.changes {
        match change {
            Change::Entry {
                kind: ChangeKind::Added | ChangeKind::Changed,
                table,
                index,
                level,
                virt,
                after,
                ..
            } => {
                fresh(*virt, *level, *after);
                for role in roles.get(table).into_iter().flatten() {
                    let virt = entry_address(space.mode, role.covers_from, role.level, *index);
                    fresh(virt, role.level, *after);
                }
            }
            Change::Table {
                kind: ChangeKind::Added,
                frame,
                ..
            } => {
                for role in roles.get(frame).into_iter().flatten() {
                    for (index, pte) in role.iter() {
                        let virt = entry_address(space.mode, role.covers_from, role.level, index);
                        fresh(virt, role.level, pte);
                    }
                }
            }
            _ => {}
        }
    }
    ranges.sort_unstable();
    let mut merged: Vec<(u64, u64)> = Vec::with_capacity(ranges.len());
    for (start, end) in ranges {
        match merged.last_mut() {
            Some((_, last)) if last.checked_add(1).is_none_or(|next| start <= next) => {
                *last = end.max(*last);
            }
            _ => merged.push((start, end)),
        }
    }
    merged
}

/// Whether `virt` is fresh, and how far from there on all is as it is there, at most `size`.
fn cut_at_fresh(fresh: &[(u64, u64)], virt: u64, size: u64) -> (bool, u64) {
    let next = fresh.partition_point(|(_, last)| *last < virt);
    match fresh.get(next) {
        Some((start, last)) if *start <= virt => (true, size.min((last - virt).saturating_add(1))),
        Some((start, _)) => (false, size.min(start - virt)),
        None => (false, size),
    }
}

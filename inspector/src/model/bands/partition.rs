//! Who claims which addresses: physical memory by what is known of it, virtual addresses by the regions
//! that the kernel published.

use std::collections::BTreeSet;

use pagescope_protocol::snapshot::{
    PhysicalKind, Region, RegionKind, RegionSpace, Snapshot, Space,
};
use pagescope_protocol::{Level, PAGE_SIZE};

use super::{Band, BandKind};
use crate::model::in_machine_terms;

/// What kind of claim it is, then how small it is: of two alike the smaller one says more.
type Strength = (u32, u64);

/// A claim on part of a map; a stronger one hides a weaker one.
struct Claim {
    start: u64,
    /// Its last address: its end may be 2^64.
    last: u64,
    strength: Strength,
    kind: BandKind,
    name: String,
    region: Option<usize>,
}

impl Claim {
    fn new(start: u64, size: u64, strength: u32, kind: BandKind, name: &str) -> Option<Self> {
        let rest = size.checked_sub(1)?;
        Some(Self {
            start,
            last: start.saturating_add(rest),
            strength: (strength, 0),
            kind,
            name: name.into(),
            region: None,
        })
    }

    /// The same, named by the region at `place`.
    fn by_region(self, place: Option<usize>) -> Self {
        Self {
            region: place,
            ..self
        }
    }

    /// A claim of the region at `place`.
    fn of_region(region: &Region, place: usize, strength: u32, kind: BandKind) -> Option<Self> {
        let claim = Self::new(region.start, region.size, strength, kind, &region.name)?;
        Some(Self {
            strength: (strength, u64::MAX - region.size),
            region: Some(place),
            ..claim
        })
    }
}

fn physical_claims(snapshot: &Snapshot) -> Vec<Claim> {
    let mut claims = Vec::new();
    let mut claim = |start, size, strength, kind, name: &str| {
        claims.extend(Claim::new(start, size, strength, kind, name));
    };
    for region in &snapshot.physical {
        let (kind, name) = match region.kind {
            PhysicalKind::Ram => (BandKind::Ram, ""),
            PhysicalKind::Rom => (BandKind::ReadOnly, region.name.as_str()),
            PhysicalKind::Device => (BandKind::Device, region.name.as_str()),
        };
        claim(region.start.as_u64(), region.size, 0, kind, name);
    }
    for (place, region) in snapshot.regions.iter().enumerate() {
        if region.space != RegionSpace::Physical {
            continue;
        }
        let (strength, kind) = match region.kind {
            RegionKind::Text => (3, BandKind::Code),
            RegionKind::Rodata => (3, BandKind::ReadOnly),
            RegionKind::Data
            | RegionKind::Other
            | RegionKind::Cpu
            | RegionKind::SharedData
            | RegionKind::User => (3, BandKind::Data),
            RegionKind::Stack => (3, BandKind::Stack),
            RegionKind::Guard => (4, BandKind::Guard),
            RegionKind::HeapCounter => (5, BandKind::HeapCounter),
            RegionKind::Tables => (3, BandKind::Table(Level::L0)),
            RegionKind::Device => (1, BandKind::Device),
            RegionKind::Machine => (2, BandKind::Machine),
            RegionKind::Reserved => (3, BandKind::Reserved),
            RegionKind::LinearMap => (0, BandKind::Ram),
            // The allocator's own numbers say more than one region for all of it, where they speak.
            RegionKind::Heap if snapshot.heap.is_some() && region.owner.is_none() => {
                (0, BandKind::Ram)
            }
            RegionKind::Heap => (3, BandKind::Heap),
        };
        claims.extend(Claim::of_region(region, place, strength, kind));
    }
    claims.extend(heap_claims(snapshot));
    for space in &snapshot.spaces {
        for table in &in_machine_terms(snapshot, space).tables {
            let name = if table.parent.is_none() {
                format!("root {}", table.level)
            } else {
                table.level.to_string()
            };
            let strength = 6 + u32::from(table.level.number());
            let kind = BandKind::Table(table.level);
            let start = table.frame.start().as_u64();
            // A G-stage root fills four frames.
            let frames = space
                .mode
                .scheme()
                .map_or(1, |scheme| scheme.frames(table.level));
            let size = frames * PAGE_SIZE;
            claims.extend(Claim::new(start, size, strength, kind, &name));
        }
    }
    claims
}

/// What the allocator's numbers say, by the name that the kernel gives its heap.
fn heap_claims(snapshot: &Snapshot) -> Vec<Claim> {
    let Some(heap) = snapshot.heap else {
        return Vec::new();
    };
    let (bottom, next, top) = (heap.bottom.as_u64(), heap.next.as_u64(), heap.top.as_u64());
    let regions = || {
        let regions = snapshot.regions.iter().enumerate();
        regions.filter(|(_, region)| region.space == RegionSpace::Physical)
    };
    let told = regions().find(|(_, region)| {
        let offset = top.checked_sub(region.start);
        region.kind == RegionKind::Heap
            && region.owner.is_none()
            && offset.is_some_and(|offset| offset < region.size)
    });
    let place = told.map(|(place, _)| place);
    let name = told.map_or("", |(_, region)| region.name.as_str());
    let (used, free) = match name {
        "" | "heap" => ("heap", "free".to_owned()),
        name => (name, format!("{name}, free")),
    };
    let first = next.saturating_add(PAGE_SIZE);
    let past = top.saturating_add(PAGE_SIZE);
    let counter = heap.counter_address;
    let counter_page = counter.align_down(PAGE_SIZE).as_u64();
    // The page is the counter's, unless a region says that it is somebody else's too.
    let is_shared = regions().any(|(_, region)| {
        let is_its_own = region.kind == RegionKind::HeapCounter;
        let last = region.start.saturating_add(region.size.saturating_sub(1));
        !is_its_own
            && region.start - region.start % PAGE_SIZE <= counter_page
            && counter_page <= last
    });
    let (at, size) = match is_shared {
        true => (counter.as_u64(), size_of::<u64>() as u64),
        false => (counter_page, PAGE_SIZE),
    };
    let claims = [
        Claim::new(first, past.saturating_sub(first), 2, BandKind::Heap, used)
            .map(|claim| claim.by_region(place)),
        Claim::new(
            bottom,
            first.saturating_sub(bottom),
            1,
            BandKind::Free,
            &free,
        )
        .map(|claim| claim.by_region(place)),
        Claim::new(at, size, 5, BandKind::HeapCounter, "heap counter"),
    ];
    claims.into_iter().flatten().collect()
}

/// What is known of physical memory, in address order without overlaps.
pub fn physical_partition(snapshot: &Snapshot) -> Vec<Band> {
    sweep(physical_claims(snapshot))
}

/// The virtual regions that count in `space`, in address order without overlaps: of several at one
/// address the smallest one. A region's kind says what it would show unmapped.
pub fn virtual_partition(snapshot: &Snapshot, space: &Space) -> Vec<Band> {
    let regions = snapshot.regions.iter().enumerate();
    let claims = regions
        .filter(|(_, region)| region.space == RegionSpace::Virtual && region.counts_in(&space.name))
        // What claims more addresses than there are says nothing about any of them.
        .filter(|(_, region)| region.last().is_some())
        .filter_map(|(place, region)| {
            let kind = match region.kind {
                RegionKind::Guard => BandKind::Guard,
                RegionKind::Stack => BandKind::Stack,
                RegionKind::Heap => BandKind::Heap,
                RegionKind::HeapCounter => BandKind::HeapCounter,
                RegionKind::Device => BandKind::Device,
                RegionKind::Machine => BandKind::Machine,
                _ => BandKind::Reserved,
            };
            Claim::of_region(region, place, 0, kind)
        });
    sweep(claims.collect())
}

/// The strongest claim everywhere, in address order. Where a claim goes on, so does its band.
fn sweep(mut claims: Vec<Claim>) -> Vec<Band> {
    claims.sort_by_key(|claim| claim.start);
    let mut cuts: Vec<u64> = claims
        .iter()
        .flat_map(|claim| [Some(claim.start), claim.last.checked_add(1)])
        .flatten()
        .collect();
    cuts.sort_unstable();
    cuts.dedup();
    let mut bands: Vec<Band> = Vec::new();
    // Claims that cover the current cut, strongest last.
    let mut active: BTreeSet<(Strength, usize)> = BTreeSet::new();
    let mut lasts: BTreeSet<(u64, usize)> = BTreeSet::new();
    let mut next = 0;
    for (place, start) in cuts.iter().copied().enumerate() {
        // Up to the next cut, or the last address.
        let last = cuts.get(place + 1).map_or(u64::MAX, |next| next - 1);
        while let Some(&(past, index)) = lasts.first()
            && past < start
        {
            lasts.pop_first();
            active.remove(&(claims[index].strength, index));
        }
        while next < claims.len() && claims[next].start <= start {
            active.insert((claims[next].strength, next));
            lasts.insert((claims[next].last, next));
            next += 1;
        }
        let Some(&(_, strongest)) = active.last() else {
            continue;
        };
        let claim = &claims[strongest];
        // A claim has at most 2^64 − 1 bytes, so this does too.
        let size = (last - start).saturating_add(1);
        match bands.last_mut() {
            Some(before)
                if before.kind == claim.kind
                    && before.name == claim.name
                    && (before.region.is_none()
                        || claim.region.is_none()
                        || before.region == claim.region)
                    && before.start.checked_add(before.size) == Some(start)
                    && before.size.checked_add(size).is_some() =>
            {
                before.size += size;
                before.region = before.region.or(claim.region);
            }
            _ => bands.push(Band {
                region: claim.region,
                ..Band::new(start, size, claim.kind, claim.name.clone())
            }),
        }
    }
    bands
}

//! What is between the mappings of a space: guards by name, the addresses that the mode cannot
//! translate, and the rest.

use std::collections::BTreeMap;

use pagescope_protocol::TranslationMode;
use pagescope_protocol::scheme::HighBits;
use pagescope_protocol::snapshot::{Region, RegionKind, RegionSpace, Snapshot};

use super::{Band, BandKind};

/// A guard's first and last virtual address, and its name.
struct Guard<'a> {
    start: u64,
    last: u64,
    name: &'a str,
    region: usize,
}

/// `mapped` with bands in every gap, from the first address to the last.
pub(super) fn fill(
    snapshot: &Snapshot,
    regions: &[Band],
    mode: TranslationMode,
    mapped: Vec<Band>,
) -> Vec<Band> {
    let Some(scheme) = mode.scheme() else {
        return mapped;
    };
    // Two halves around what cannot be; without signs all that can be is below it.
    let parts = match scheme.high_bits {
        HighBits::SignExtended => {
            let half = 1u64 << (mode.address_bits() - 1);
            let upper = half.wrapping_neg();
            vec![
                (0, half - 1, true),
                (half, upper - 1, false),
                (upper, u64::MAX, true),
            ]
        }
        HighBits::Zero => {
            let end = 1u64 << mode.address_bits();
            vec![(0, end - 1, true), (end, u64::MAX, false)]
        }
    };
    let guards = guards(snapshot, &mapped);
    let mut whole = Vec::with_capacity(mapped.len() * 2 + 3);
    let gap = |first: u64, last: u64, whole: &mut Vec<Band>| {
        for (from, to, is_valid) in parts.iter().copied() {
            let (from, to) = (from.max(first), to.min(last));
            match is_valid {
                _ if from > to => {}
                true => nothing(&guards, regions, from, to, whole),
                false => {
                    let size = to - from + 1;
                    whole.push(Band::new(
                        from,
                        size,
                        BandKind::NonCanonical,
                        "non-canonical",
                    ));
                }
            }
        }
    };
    // The first address that no band has spoken of; `None` past the last one.
    let mut at = Some(0);
    for band in mapped {
        if let Some(at) = at
            && band.start > at
        {
            gap(at, band.start - 1, &mut whole);
        }
        at = band.last().checked_add(1);
        whole.push(band);
    }
    if let Some(at) = at {
        gap(at, u64::MAX, &mut whole);
    }
    whole
}

/// The guards that can be told, lowest first. One that the kernel names by its physical address is
/// where its neighbours in physical memory are mapped.
fn guards<'a>(snapshot: &'a Snapshot, mapped: &[Band]) -> Vec<Guard<'a>> {
    let mut after = BTreeMap::new();
    let mut before = BTreeMap::new();
    for band in mapped {
        if let Some(phys) = band.phys {
            after
                .entry(phys.as_u64().wrapping_add(band.size))
                .or_insert(band.last().wrapping_add(1));
            before.entry(phys.as_u64()).or_insert(band.start);
        }
    }
    let place = |region: &Region| {
        after.get(&region.start).copied().or_else(|| {
            let next = before.get(&region.start.checked_add(region.size)?)?;
            next.checked_sub(region.size)
        })
    };
    let regions = snapshot.regions.iter().enumerate();
    let guards = regions.filter(|(_, region)| {
        region.kind == RegionKind::Guard && region.space == RegionSpace::Physical && region.size > 0
    });
    let mut guards: Vec<Guard<'_>> = guards
        .filter_map(|(region, guard)| {
            let start = place(guard)?;
            let last = start.checked_add(guard.size - 1)?;
            Some(Guard {
                start,
                last,
                name: &guard.name,
                region,
            })
        })
        .collect();
    guards.sort_by_key(|guard| (guard.start, guard.last));
    guards
}

/// An unmapped stretch, with the guards that lie wholly in it as bands of their own.
fn nothing(guards: &[Guard<'_>], regions: &[Band], first: u64, last: u64, whole: &mut Vec<Band>) {
    let mut at = Some(first);
    let inside = &guards[guards.partition_point(|guard| guard.start < first)..];
    for guard in inside.iter().take_while(|guard| guard.start <= last) {
        let Some(free_from) = at else { break };
        if guard.start < free_from || guard.last > last {
            continue;
        }
        if guard.start > free_from {
            named(regions, free_from, guard.start - 1, whole);
        }
        let size = guard.last - guard.start + 1;
        whole.push(Band {
            region: Some(guard.region),
            ..Band::new(guard.start, size, BandKind::Guard, guard.name)
        });
        at = guard.last.checked_add(1);
    }
    if let Some(at) = at
        && at <= last
    {
        named(regions, at, last, whole);
    }
}

/// An unmapped stretch without such guards: the parts of virtual regions by name, and what no region speaks of.
fn named(regions: &[Band], first: u64, last: u64, whole: &mut Vec<Band>) {
    let mut at = Some(first);
    let inside = &regions[regions.partition_point(|region| region.last() < first)..];
    for region in inside.iter().take_while(|region| region.start <= last) {
        let Some(free_from) = at else { break };
        let (from, to) = (region.start.max(first), region.last().min(last));
        if from > free_from {
            whole.push(Band::new(
                free_from,
                from - free_from,
                BandKind::Nothing,
                "",
            ));
        }
        let kind = match region.kind {
            BandKind::Guard => BandKind::Guard,
            _ => BandKind::Reserved,
        };
        whole.push(Band {
            region: region.region,
            ..Band::new(from, to - from + 1, kind, region.name.clone())
        });
        at = to.checked_add(1);
    }
    if let Some(at) = at
        && at <= last
    {
        whole.push(Band::new(at, last - at + 1, BandKind::Nothing, ""));
    }
}

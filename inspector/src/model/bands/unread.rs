//! What nobody knows: addresses below a table that could not be read are not said to be unmapped.

use pagescope_protocol::snapshot::Space;

use super::{Band, BandKind};

/// `bands` of `space`, with what is said to be unmapped cut where its table could not be read.
pub(super) fn cut(bands: Vec<Band>, space: &Space) -> Vec<Band> {
    let mut unread: Vec<(u64, u64)> = space
        .unread_tables()
        .filter_map(|table| {
            let first = table.covers_from.as_u64();
            let size = space.mode.table_size(table.level);
            Some((first, first.checked_add(size.checked_sub(1)?)?))
        })
        .collect();
    if unread.is_empty() {
        return bands;
    }
    unread.sort_unstable();
    let mut whole: Vec<Band> = Vec::with_capacity(bands.len() + unread.len());
    for band in bands {
        if band.flags.is_some() || band.kind == BandKind::NonCanonical {
            whole.push(band);
            continue;
        }
        let part = |first: u64, last: u64, kind: BandKind| {
            let mut part = Band::new(first, (last - first).saturating_add(1), kind, "");
            if kind == band.kind {
                part.name.clone_from(&band.name);
                part.region = band.region;
            }
            part
        };
        let mut at = Some(band.start);
        let from = unread.partition_point(|(_, last)| *last < band.start);
        for (first, last) in &unread[from..] {
            let Some(free) = at.filter(|_| *first <= band.last()) else {
                break;
            };
            let (first, last) = ((*first).max(free), (*last).min(band.last()));
            if first > last {
                continue;
            }
            if first > free {
                whole.push(part(free, first - 1, band.kind));
            }
            match whole.last_mut() {
                Some(before) if before.kind == BandKind::Unread && before.last() + 1 == first => {
                    before.size += last - first + 1;
                }
                _ => whole.push(part(first, last, BandKind::Unread)),
            }
            at = last.checked_add(1);
        }
        if let Some(at) = at
            && at <= band.last()
        {
            whole.push(part(at, band.last(), band.kind));
        }
    }
    whole
}

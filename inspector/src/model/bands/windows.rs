//! Windows in a map of all memory: there a table is a page among others, and a run of them is one band.

use pagescope_protocol::PAGE_SIZE;
use pagescope_protocol::snapshot::{RegionKind, Snapshot, Space};

use super::{Band, BandKind, virtual_partition};

/// What several windows in one band are called, behind their number.
const WINDOWS: &str = " table windows";

/// The same bands for drawing: neighbouring windows in a region that is there for something else, such as a
/// linear map or a heap, are one band. In the tables' own region each of them has its band.
pub fn fold_windows(snapshot: &Snapshot, space: &Space, bands: Vec<Band>) -> Vec<Band> {
    let regions = virtual_partition(snapshot, space);
    let lies_among_others = |band: &Band| {
        let after = regions.partition_point(|region| region.start <= band.start);
        let here = after.checked_sub(1).map(|place| &regions[place]);
        let here = here.filter(|region| region.contains(band.start));
        let region = here.and_then(|here| snapshot.regions.get(here.region?));
        region.is_some_and(|region| region.kind != RegionKind::Tables)
    };
    let is_window = |band: &Band| matches!(band.kind, BandKind::Table(_)) && band.flags.is_some();
    let mut folded: Vec<Band> = Vec::with_capacity(bands.len());
    for band in bands {
        match folded.last_mut() {
            Some(last)
                if is_window(last)
                    && is_window(&band)
                    && last.start.checked_add(last.size) == Some(band.start)
                    && (last.flags, last.fresh) == (band.flags, band.fresh)
                    && lies_among_others(last)
                    && lies_among_others(&band) =>
            {
                if last.phys.and_then(|phys| phys.checked_add(last.size)) != band.phys {
                    last.phys = None;
                }
                last.size += band.size;
                last.name = format!("{}{WINDOWS}", last.size / PAGE_SIZE);
            }
            _ => folded.push(band),
        }
    }
    folded
}

/// The name of a band of several windows where there is little room: `7 windows`.
pub(super) fn short_name(name: &str) -> Option<String> {
    let count = name.strip_suffix(WINDOWS)?;
    Some(format!("{count} windows"))
}

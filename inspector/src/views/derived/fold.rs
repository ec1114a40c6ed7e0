//! Bands of the two maps, folded for drawing: what cannot be told apart by looking is one band, and shows its pages when
//! the map is zoomed into it.

use crate::model::{Band, BandKind};

/// Neighbouring tables as one band: the frame grid tells them apart, and the bar keeps their
/// colours.
pub(super) fn fold_tables(bands: Vec<Band>) -> Vec<Band> {
    let mut folded: Vec<Band> = Vec::with_capacity(bands.len());
    for band in bands {
        let is_table = |band: &Band| matches!(band.kind, BandKind::Table(_));
        match folded.last_mut() {
            Some(last)
                if is_table(last)
                    && is_table(&band)
                    && last.start.checked_add(last.size) == Some(band.start) =>
            {
                last.size += band.size;
                last.name = "tables".into();
            }
            _ => folded.push(band),
        }
    }
    folded
}

/// Neighbouring stretches that differ in nothing but where their frames lie: a quarter of a million scattered pages of
/// one kind are one band.
pub(super) fn fold_alike(bands: Vec<Band>) -> Vec<Band> {
    let mut folded: Vec<Band> = Vec::new();
    for band in bands {
        match folded.last_mut() {
            Some(last)
                if band.is_something()
                    && !matches!(band.kind, BandKind::Table(_))
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
    folded.shrink_to_fit();
    folded
}

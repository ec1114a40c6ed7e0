//! Physical memory as a grid of cells: one frame a cell, or many where there is no room, without
//! a rare kind ever disappearing among many ordinary frames.

use std::ops::Range;

use pagescope_protocol::{PAGE_SIZE, PhysPage};

use super::{Band, BandKind};

/// What a cell shows.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Cell {
    /// The most telling kind among its frames.
    pub kind: BandKind,
    /// Whether any of its frames is new.
    pub fresh: bool,
}

/// The kinds of the frames `frames`, `per_cell` of them in each cell.
///
/// `partition` is in address order without overlaps, `fresh` holds sorted frame numbers. Costs
/// what there are cells and bands, however many frames a band has.
pub fn frame_cells(
    partition: &[Band],
    fresh: &[PhysPage],
    frames: Range<u64>,
    per_cell: u64,
) -> Vec<Cell> {
    let per_cell = per_cell.max(1);
    let count = frames.end.saturating_sub(frames.start).div_ceil(per_cell);
    let mut cells = vec![
        Cell {
            kind: BandKind::Nothing,
            fresh: false,
        };
        usize::try_from(count).unwrap_or(0)
    ];
    let place = |frame: u64| ((frame - frames.start) / per_cell) as usize;
    let first_byte = frames.start.saturating_mul(PAGE_SIZE);
    let skip = partition.partition_point(|band| band.last() < first_byte);
    for band in &partition[skip..] {
        let first = (band.start / PAGE_SIZE).max(frames.start);
        let last = (band.last() / PAGE_SIZE).min(frames.end.saturating_sub(1));
        if band.start / PAGE_SIZE >= frames.end {
            break;
        }
        if band.size == 0 || first > last {
            continue;
        }
        for cell in &mut cells[place(first)..=place(last)] {
            if telling(band.kind) > telling(cell.kind) {
                cell.kind = band.kind;
            }
        }
    }
    let from = fresh.partition_point(|page| page.number() < frames.start);
    for page in &fresh[from..] {
        if page.number() >= frames.end {
            break;
        }
        cells[place(page.number())].fresh = true;
    }
    cells
}

/// How much a kind says among others in the same cell: the rarer and the more alarming, the more.
pub const fn telling(kind: BandKind) -> u8 {
    match kind {
        BandKind::Nothing | BandKind::NonCanonical | BandKind::Unread => 0,
        BandKind::Ram => 1,
        BandKind::Free | BandKind::Reserved => 2,
        BandKind::Heap => 3,
        BandKind::Machine => 4,
        BandKind::Data => 5,
        BandKind::ReadOnly => 6,
        BandKind::Code => 7,
        BandKind::Device => 8,
        BandKind::Stack => 9,
        BandKind::Guard => 10,
        BandKind::Table(level) => 11 + level.number(),
        BandKind::HeapCounter => 17,
        BandKind::WriteExecute => 18,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{bands::physical_partition, fixture};
    use pagescope_protocol::Level;

    #[test]
    fn one_frame_a_cell_shows_the_top_of_ram() {
        let partition = physical_partition(&fixture::pseudos(4));
        let cells = frame_cells(&partition, &[], 0x87e00..0x88000, 1);
        assert_eq!(cells.len(), 512);
        assert_eq!(cells[511].kind, BandKind::HeapCounter);
        assert_eq!(cells[510].kind, BandKind::Table(Level::L0));
        assert_eq!(cells[508].kind, BandKind::Table(Level::L2));
        assert_eq!(cells[499].kind, BandKind::Heap);
        assert_eq!(cells[498].kind, BandKind::Free);
    }

    #[test]
    fn one_table_among_thousands_of_frames_is_still_seen() {
        let partition = physical_partition(&fixture::pseudos(4));
        let new = PhysPage::new(0x87ff3).unwrap();
        let cells = frame_cells(&partition, &[new], 0x80000..0x88000, 4096);
        assert_eq!(cells.len(), 8);
        assert_eq!(cells[7].kind, BandKind::HeapCounter);
        assert!(cells[7].fresh && !cells[6].fresh);
        assert_eq!(cells[3].kind, BandKind::Free);
    }

    #[test]
    fn no_frames_make_no_cells() {
        assert!(frame_cells(&[], &[], 5..5, 0).is_empty());
    }
}

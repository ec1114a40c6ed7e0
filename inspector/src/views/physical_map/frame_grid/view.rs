//! Which frames the grid shows, and at what scale: numbers alone.

use std::ops::Range;

use pagescope_protocol::{PAGE_SIZE, PhysPage, PhysRange};

use crate::views::scene::Scene;

pub(super) const COLUMNS: usize = 32;
pub(super) const ROWS: usize = 16;
/// The side of a cell where many are drawn: whole points, or some cells would vanish.
const SMALL_CELL: f32 = 3.0;

/// Which frames are drawn, and how many to a cell.
#[derive(Clone, PartialEq, Debug)]
pub(super) struct View {
    pub(super) frames: Range<u64>,
    pub(super) per_cell: u64,
    pub(super) columns: usize,
    pub(super) rows: usize,
    pub(super) cell: f32,
}

impl View {
    /// Frames in a row of cells.
    pub(super) const fn row(&self) -> u64 {
        self.per_cell * self.columns as u64
    }

    /// All that it has room for.
    pub(super) const fn room(&self) -> u64 {
        self.row() * self.rows as u64
    }

    /// The size of cells at `zoom`, how many frames each has, and how many there are.
    pub(super) fn scale(zoom: i32, side: f32, area: egui::Vec2) -> Self {
        let (cell, per_cell) = match zoom {
            ..0 => ((side * (1 << (-zoom).min(4)) as f32).min(area.y), 1),
            0 => (side, 1),
            1 if side >= 2.0 * SMALL_CELL => ((side / 2.0).floor(), 1),
            zoom => {
                let doubled = zoom - if side >= 2.0 * SMALL_CELL { 2 } else { 1 };
                (SMALL_CELL, 1u64 << doubled.clamp(0, 52))
            }
        };
        let count = |room: f32| ((room / cell) as usize).clamp(1, 1024);
        Self {
            frames: 0..0,
            per_cell,
            columns: count(area.x),
            rows: count(area.y),
            cell,
        }
    }

    /// All of `ram` in `area`, in cells as large as there is room for. As many frames a row as is a power of two, so
    /// that rows begin at round addresses.
    pub(super) fn filling(ram: &Range<u64>, area: egui::Vec2) -> Self {
        let frames = (ram.end - ram.start).max(1);
        let of = |per_cell: u64, cell: f32| {
            let most = ((area.x / cell) as usize).clamp(1, 1024);
            let columns = 1 << most.ilog2();
            let rows = frames.div_ceil(per_cell).div_ceil(columns as u64);
            let fits = rows as f32 * cell <= area.y;
            fits.then_some(Self {
                frames: ram.clone(),
                per_cell,
                columns,
                rows: rows as usize,
                cell,
            })
        };
        let sides = |per_cell: u64| (3..=16).rev().find_map(|side| of(per_cell, side as f32));
        let view = (0..52).find_map(|doubled| sides(1 << doubled));
        view.unwrap_or(Self {
            frames: ram.clone(),
            per_cell: frames,
            columns: 1,
            rows: 1,
            cell: SMALL_CELL,
        })
    }

    /// The same scale with the frames from about `start` on, in whole rows.
    pub(super) fn from(mut self, ram: &Range<u64>, start: u64) -> Self {
        let row = self.row();
        let rows = (ram.end - ram.start).div_ceil(row);
        let last = ram.start + rows.saturating_sub(self.rows as u64) * row;
        let start = ram.start + start.saturating_sub(ram.start) / row * row;
        let start = start.min(last);
        self.frames = start..start.saturating_add(self.room()).min(ram.end);
        self
    }
}

/// The zoom at which all of `ram` is in view.
pub(super) fn whole(ram: &Range<u64>, side: f32, area: egui::Vec2) -> i32 {
    let frames = ram.end - ram.start;
    (0..60)
        .find(|zoom| View::scale(*zoom, side, area).room() >= frames)
        .unwrap_or(60)
}

/// The RAM to draw: the one with the selected frame, else the largest.
pub(super) fn ram(scene: &Scene<'_>, selected: Option<PhysPage>) -> Option<Range<u64>> {
    let snapshot = scene.state.snapshot()?;
    let whole = |range: PhysRange| {
        let start = range.start().as_u64() / PAGE_SIZE;
        start..start + range.size() / PAGE_SIZE
    };
    let selected = selected.map(PhysPage::number);
    let all = || {
        snapshot
            .ram()
            .map(whole)
            .filter(|frames| !frames.is_empty())
    };
    all()
        .find(|frames| selected.is_some_and(|frame| frames.contains(&frame)))
        .or_else(|| all().max_by_key(|frames| frames.end - frames.start))
}

/// The side of a cell of 2 MiB, with `width` and `height` for all of them.
pub(super) fn cell_side(width: f32, height: f32) -> f32 {
    (width / COLUMNS as f32)
        .min(height / ROWS as f32)
        .floor()
        .clamp(4.0, 16.0)
}

#[cfg(test)]
mod tests {
    use super::super::FrameGrid;
    use super::*;
    use crate::model::Band;
    use crate::model::BandKind;
    use crate::model::bands::physical_partition;
    use crate::model::fixture;
    use crate::model::frame_cells::frame_cells;

    const AREA: egui::Vec2 = egui::vec2(256.0, 128.0);
    const SIDE: f32 = 8.0;

    #[test]
    fn all_of_ram_fits_however_much_there_is() {
        for mebibytes in [1u64, 128, 4096, 1 << 20] {
            let ram = 0x80000..0x80000 + mebibytes * 256;
            let zoom = whole(&ram, SIDE, AREA);
            let view = View::scale(zoom, SIDE, AREA).from(&ram, ram.end);
            assert_eq!(view.frames, ram, "{view:?}");
            assert!(view.rows as f32 * view.cell <= AREA.y, "{view:?}");
            assert!(view.columns as f32 * view.cell <= AREA.x, "{view:?}");
        }
    }

    #[test]
    fn a_picture_is_filled_with_all_of_ram() {
        let area = egui::vec2(1240.0, 600.0);
        for mebibytes in [1u64, 3, 128, 1000, 16 << 10, 1 << 24] {
            let ram = 0x80000..0x80000 + mebibytes * 256;
            let view = View::filling(&ram, area);
            assert_eq!(view.frames, ram);
            assert!(view.room() >= mebibytes * 256, "{view:?}");
            assert!(view.rows as f32 * view.cell <= area.y, "{view:?}");
            assert!(view.columns as f32 * view.cell <= area.x, "{view:?}");
            assert!(view.columns.is_power_of_two(), "{view:?}");
        }
        // 128 MiB have a cell for each frame, and no room for larger ones.
        let view = View::filling(&(0x80000..0x88000), area);
        assert_eq!((view.per_cell, view.columns, view.cell), (1, 256, 4.0));
    }

    #[test]
    fn the_window_follows_the_selection_and_ends_at_the_top() {
        let grid = FrameGrid::default();
        let ram = 0x80000..0x88000;
        let frames = |ram: &Range<u64>, page| grid.view(ram, page, SIDE, AREA).frames;
        assert_eq!(frames(&ram, None), 0x87e00..0x88000);
        assert_eq!(frames(&ram, PhysPage::new(0x80201)), 0x80200..0x80400);
        assert_eq!(frames(&(0x80000..0x80300), None), 0x80100..0x80300);
    }

    #[test]
    fn a_rare_frame_among_four_million_is_seen_at_every_zoom() {
        let ram: Range<u64> = 0x80000..0x80000 + (4 << 20);
        let band = physical_partition(&fixture::pseudos(1))
            .into_iter()
            .find(|band| band.kind == BandKind::Free)
            .unwrap();
        let rare = ram.start + 2_345_678;
        let part = |frames: Range<u64>, kind: BandKind| Band {
            start: frames.start * PAGE_SIZE,
            size: (frames.end - frames.start) * PAGE_SIZE,
            kind,
            ..band.clone()
        };
        let partition = [
            part(ram.start..rare, BandKind::Free),
            part(rare..rare + 1, BandKind::Stack),
            part(rare + 1..ram.end, BandKind::Free),
        ];
        for zoom in -3..=whole(&ram, SIDE, AREA) {
            let scale = View::scale(zoom, SIDE, AREA);
            let view = scale
                .clone()
                .from(&ram, rare.saturating_sub(scale.room() / 2));
            assert!(view.frames.contains(&rare), "{zoom}: {view:?}");
            let cells = frame_cells(&partition, &[], view.frames.clone(), view.per_cell);
            assert!(cells.len() <= view.columns * view.rows);
            let place = ((rare - view.frames.start) / view.per_cell) as usize;
            for (index, cell) in cells.iter().enumerate() {
                let wanted = match index == place {
                    true => BandKind::Stack,
                    false => BandKind::Free,
                };
                assert_eq!(cell.kind, wanted, "zoom {zoom}, cell {index}");
            }
        }
    }
}

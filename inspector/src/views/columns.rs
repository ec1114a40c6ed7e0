//! How the window's width and height are shared out. Numbers only.

use pagescope_protocol::snapshot::LectureView;

use super::command::Tab;

/// The widths of the picture's columns, and the height under it.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Columns {
    /// The detail pane.
    pub detail: f32,
    /// The virtual map.
    pub virtual_map: f32,
    /// The tables.
    pub tables: f32,
    /// The physical map.
    pub physical: f32,
    /// Between them, for the line to swing through.
    pub gap: f32,
    /// The timeline and its neighbours.
    pub bottom: f32,
}

/// The detail pane is never narrower.
const LEAST_DETAIL: f32 = 210.0;

/// At the left and right of everything.
pub const MARGIN: f32 = 16.0;

impl Columns {
    /// For a window of this size.
    pub fn new(width: f32, height: f32) -> Self {
        let detail = (width * 0.222).clamp(230.0, 460.0);
        let inner = (width - detail - 2.0 * MARGIN).max(480.0);
        let gap = (inner * 0.038).clamp(18.0, 80.0);
        let virtual_map = (inner * 0.225).clamp(150.0, 420.0);
        let physical = (inner * 0.262).clamp(192.0, 540.0);
        let tables = (inner - virtual_map - physical - 2.0 * gap).max(200.0);
        Self {
            detail,
            virtual_map,
            tables,
            physical,
            gap,
            bottom: (height * 0.188).clamp(132.0, 240.0),
        }
    }

    /// The same with what somebody has made of the detail pane: within limits, and the others share the rest.
    pub fn with_detail(width: f32, height: f32, detail: Option<f32>) -> Self {
        let usual = Self::new(width, height);
        let Some(detail) = detail else { return usual };
        let most = (width - 2.0 * MARGIN - 540.0).max(usual.detail);
        let detail = detail.clamp(LEAST_DETAIL.min(most), most);
        let inner = (width - detail - 2.0 * MARGIN).max(480.0);
        let gap = (inner * 0.038).clamp(18.0, 80.0);
        let virtual_map = (inner * 0.225).clamp(150.0, 420.0);
        let physical = (inner * 0.262).clamp(192.0, 540.0);
        let tables = (inner - virtual_map - physical - 2.0 * gap).max(160.0);
        Self {
            detail,
            virtual_map,
            tables,
            physical,
            gap,
            ..usual
        }
    }

    /// The height of the lower part where somebody has made it this high.
    pub fn bottom_made(height: f32, made: f32) -> f32 {
        made.clamp(96.0_f32.min(height * 0.3), (height * 0.6).max(96.0))
    }

    /// For a lecture: no detail pane and no lower part, and one view larger than the others where a step says so.
    pub fn lecture(width: f32, large: Option<LectureView>) -> Self {
        let inner = (width - 2.0 * MARGIN).max(480.0);
        let gap = (inner * 0.05).clamp(18.0, 90.0);
        let (virtual_part, physical_part) = match large {
            Some(LectureView::Virtual) => (0.40, 0.20),
            Some(LectureView::Tables) => (0.17, 0.18),
            Some(LectureView::Physical) => (0.17, 0.46),
            Some(LectureView::Other) | None => (0.24, 0.28),
        };
        let virtual_map = (inner * virtual_part).max(150.0);
        let physical = (inner * physical_part).max(192.0);
        Self {
            detail: 0.0,
            virtual_map,
            tables: (inner - virtual_map - physical - 2.0 * gap).max(200.0),
            physical,
            gap,
            bottom: 0.0,
        }
    }

    /// For a picture of this size, without detail and timeline.
    pub fn alone(width: f32, height: f32) -> Self {
        let inner = (width - 2.0 * MARGIN).max(480.0);
        let gap = (inner * 0.05).clamp(18.0, 100.0);
        let virtual_map = (inner * 0.225).clamp(150.0, 480.0);
        let physical = (inner * 0.262).clamp(192.0, 600.0);
        Self {
            detail: 0.0,
            virtual_map,
            tables: (inner - virtual_map - physical - 2.0 * gap).max(200.0),
            physical,
            gap,
            bottom: (height * 0.188).clamp(132.0, 240.0),
        }
    }

    /// The height of the lower part: lists of many rows get more.
    pub fn bottom_of(&self, tab: Tab, height: f32) -> f32 {
        match tab.is_list() {
            true => (height * 0.3).clamp(self.bottom, 420.0),
            false => self.bottom,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lecture_fills_the_width_whatever_is_large() {
        let views = [
            LectureView::Virtual,
            LectureView::Tables,
            LectureView::Physical,
        ];
        for width in [1000.0, 1240.0, 1920.0] {
            for large in std::iter::once(None).chain(views.map(Some)) {
                let columns = Columns::lecture(width, large);
                let sum = columns.virtual_map
                    + columns.tables
                    + columns.physical
                    + 2.0 * columns.gap
                    + 2.0 * MARGIN;
                assert!(sum <= width + 0.5, "{width} {large:?}: {columns:?}");
            }
        }
        let wide = |large| Columns::lecture(1240.0, Some(large));
        assert!(wide(LectureView::Virtual).virtual_map > wide(LectureView::Tables).virtual_map);
        assert!(wide(LectureView::Tables).tables > wide(LectureView::Physical).tables);
        assert!(wide(LectureView::Physical).physical > wide(LectureView::Virtual).physical);
    }

    #[test]
    fn everything_fits_at_every_size() {
        for (width, height) in [
            (900.0, 600.0),
            (1000.0, 700.0),
            (1440.0, 900.0),
            (2560.0, 1440.0),
        ] {
            let columns = Columns::new(width, height);
            let sum = columns.virtual_map
                + columns.tables
                + columns.physical
                + 2.0 * columns.gap
                + 2.0 * MARGIN
                + columns.detail;
            assert!(sum <= width + 0.5, "{width}: {columns:?}");
            assert!(columns.tables >= 190.0, "{columns:?}");
            assert!(columns.bottom < height * 0.25);
        }
    }
}

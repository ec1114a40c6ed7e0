//! What every view gets: state to read, what follows from it, colours; and where the selected line
//! has to pass.

use std::cell::Cell;

use egui::{Color32, Pos2, Rect};
use pagescope_protocol::{Level, PhysAddr, PhysPage};

use super::camera::{CameraStep, MapId};
use super::derived::Derived;
use super::paint::Patterns;
use super::state::State;
use super::theme::{self, Palette};
use crate::model::{Band, Seen, Selection};

/// What a view reads.
#[derive(Clone, Copy)]
pub struct Scene<'a> {
    /// The state.
    pub state: &'a State,
    /// What follows from it.
    pub derived: &'a Derived,
    /// The colours.
    pub palette: &'static Palette,
    /// Textures that all views share.
    pub patterns: &'a Patterns,
    /// What the mouse is found to rest on, while drawing.
    pub pointed: &'a Cell<Selection>,
    /// A step of the camera, and the map that it is for where not all are meant.
    pub camera: Option<(MapId, CameraStep)>,
    /// Whether it is to be looked at alone, in a lecture or a picture: nothing in it is to be pressed.
    pub is_picture: bool,
}

impl Scene<'_> {
    /// Says what the mouse rests on: every view marks it.
    pub fn point(&self, selection: Selection) {
        self.pointed.set(selection);
    }

    /// What stands beside a map's title: `usual`, or that the picture is old.
    pub fn remark<'b>(&self, usual: &'b str) -> &'b str {
        match self.state.is_behind() {
            true => "~ stale",
            false => usual,
        }
    }

    /// What a key or a button asks of this map.
    pub fn step_of(&self, map: MapId) -> Option<CameraStep> {
        let (meant, step) = self.camera?;
        (meant == map || step.is_for_all()).then_some(step)
    }

    /// What is known of a band.
    pub fn seen(&self, band: &Band) -> Seen {
        let first = match band.flags {
            Some(_) => band.phys.map(PhysAddr::as_u64),
            None => Some(band.start),
        };
        let rest = band.size.saturating_sub(1);
        Seen {
            is_shared: band.is_something()
                && first
                    .is_some_and(|first| self.derived.is_shared(first, first.saturating_add(rest))),
            is_unsure: band.flags.is_some() && super::band_column::is_unsettled(band, self),
            ..Seen::of(band)
        }
    }

    /// Whether the legend's filter is on and leaves this out.
    pub fn is_dimmed(&self, seen: &Seen) -> bool {
        let filter = self.state.look.filter;
        filter.is_some_and(|sign| !sign.takes(seen))
    }

    /// `color` as the legend's filter has it.
    pub fn filtered(&self, color: Color32, seen: &Seen) -> Color32 {
        match self.is_dimmed(seen) {
            true => theme::mix(color, self.palette.panel, 0.85),
            false => color,
        }
    }

    /// Whether the table in this frame was moving while it was read.
    pub fn is_torn(&self, frame: PhysPage) -> bool {
        let snapshot = self.state.snapshot();
        snapshot.is_some_and(|snapshot| snapshot.taken.is_torn(frame))
    }
}

/// The places that the line of the selection goes through, found while drawing.
#[derive(Clone, Debug, Default)]
pub struct Anchors {
    /// Where it leaves the virtual map.
    pub virtual_band: Option<Pos2>,
    /// The cells of the tables, from the root down.
    pub cells: Vec<CellAnchor>,
    /// Where it arrives: a cell of the frame grid, or a band of the physical map.
    pub physical: Option<PhysicalAnchor>,
    /// The way from the selected table to the leaf through which it is written.
    pub window: WindowAnchor,
}

impl Anchors {
    /// Moves what is out of `area` to its edge: the line goes there.
    pub fn keep_inside(&mut self, area: Rect) {
        let held = |rect: Rect| {
            let center = area.shrink(3.0).clamp(rect.center());
            match area.intersects(rect) {
                true => rect.intersect(area),
                false => Rect::from_center_size(center, egui::vec2(2.0, 2.0)),
            }
        };
        for anchor in &mut self.cells {
            anchor.card = held(anchor.card);
            anchor.cell = held(anchor.cell);
        }
        self.window.from = self.window.from.map(held);
        self.window.leaf = self
            .window
            .leaf
            .map(|(card, cell)| (held(card), held(cell)));
    }
}

/// A selected table, and the leaf that makes it reachable.
#[derive(Clone, Copy, Debug, Default)]
pub struct WindowAnchor {
    /// The table's card.
    pub from: Option<Rect>,
    /// The card of the table that holds the leaf, and the leaf's cell.
    pub leaf: Option<(Rect, Rect)>,
}

/// A selected cell of a table.
#[derive(Clone, Copy, Debug)]
pub struct CellAnchor {
    /// The table's level.
    pub level: Level,
    /// The table's card.
    pub card: Rect,
    /// The cell.
    pub cell: Rect,
    /// Whether the walk fails here.
    pub is_fault: bool,
}

/// Where the line arrives.
#[derive(Clone, Copy, Debug)]
pub enum PhysicalAnchor {
    /// At this frame's cell.
    Cell {
        /// All cells.
        grid: Rect,
        /// This one.
        cell: Rect,
    },
    /// At this point of the stack.
    Band(Pos2),
}

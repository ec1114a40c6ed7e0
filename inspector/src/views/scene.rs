//! What every view gets: state to read, what follows from it, colours; and where the selected line
//! has to pass.

use egui::{Pos2, Rect};
use pagescope_protocol::{Level, PhysPage};

use super::derived::Derived;
use super::paint::Patterns;
use super::state::State;
use super::theme::Palette;

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
}

impl Scene<'_> {
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

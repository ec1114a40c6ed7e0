//! How a map is moved and zoomed: with the wheel at the pointer, by dragging, with keys.
//!
//! As in a map of streets: a mouse’s wheel zooms at the pointer, a drag moves. Two fingers on a trackpad move, and
//! pinching them zooms; Shift with the wheel moves, Ctrl with it zooms.

use egui::{MouseWheelSource, Pos2, Response, Ui, Vec2};

/// A map that can be moved and zoomed.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum MapId {
    /// The column of virtual addresses.
    Virtual,
    /// The cards of tables.
    Tables,
    /// The column of physical memory.
    Physical,
    /// The grid of frames.
    Frames,
}

/// What a key or a button asks of a map.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum CameraStep {
    /// Larger.
    In,
    /// Smaller.
    Out,
    /// Towards lower addresses.
    Up,
    /// Towards higher addresses.
    Down,
    /// To the left.
    Left,
    /// To the right.
    Right,
    /// All of it.
    Fit,
    /// What is selected, as large as it can be.
    ToSelection,
}

impl CameraStep {
    /// Whether it means every map, not the one under the mouse alone.
    pub const fn is_for_all(self) -> bool {
        matches!(self, Self::Fit | Self::ToSelection)
    }

    /// How much larger everything becomes.
    pub const fn zoom(self) -> f64 {
        match self {
            Self::In => 1.5,
            Self::Out => 1.0 / 1.5,
            _ => 1.0,
        }
    }

    /// How far the map moves under the window, in points.
    pub const fn pan(self) -> Vec2 {
        match self {
            Self::Up => Vec2::new(0.0, 60.0),
            Self::Down => Vec2::new(0.0, -60.0),
            Self::Left => Vec2::new(60.0, 0.0),
            Self::Right => Vec2::new(-60.0, 0.0),
            _ => Vec2::ZERO,
        }
    }
}

/// What the mouse asks of a map in one frame.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Gesture {
    /// How much larger everything becomes.
    pub zoom: f64,
    /// What stays where it is while it does.
    pub at: Pos2,
    /// How far the map moves under the window.
    pub pan: Vec2,
}

/// What the mouse asks of the map that `response` is of.
pub fn gesture(ui: &Ui, response: &Response) -> Option<Gesture> {
    let mut pan = match response.dragged() {
        true => response.drag_delta(),
        false => Vec2::ZERO,
    };
    let mut zoom = 1.0;
    let mut at = response.rect.center();
    if response.contains_pointer()
        && let Some(pointer) = ui.ctx().pointer_hover_pos()
    {
        at = pointer;
        ui.input(|input| {
            let scroll = input.smooth_scroll_delta();
            let is_trackpad = input.scroll_source() == Some(MouseWheelSource::Trackpad);
            zoom *= f64::from(input.zoom_delta());
            if is_trackpad || input.modifiers.shift {
                // With Shift a wheel turns sideways; a map that has no sides moves up and down.
                pan += scroll;
            } else {
                zoom *= f64::from(scroll.y / 120.0).exp();
            }
        });
    }
    (zoom != 1.0 || pan != Vec2::ZERO).then_some(Gesture { zoom, at, pan })
}

//! What the views draw: snapshots over time, without a window and without a link.

pub mod bands;
pub mod difference;
pub mod history;
pub mod reverse;
pub mod size_text;

pub use bands::{Band, BandKind, physical_bands, virtual_bands};
pub use difference::{Change, ChangeKind, Difference};
pub use history::{History, Moment};
pub use reverse::{FrameUse, frame_use};
pub use size_text::size_text;

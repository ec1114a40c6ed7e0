//! What the views draw: snapshots over time, without a window and without a link.

pub mod access_words;
pub mod bands;
pub mod check;
pub mod csr_fields;
pub mod difference;
pub mod entry_words;
pub mod fixture;
pub mod frame_cells;
pub mod guest_space;
pub mod history;
pub mod legend;
pub mod mapping_names;
pub mod region_rows;
pub mod reverse;
pub mod reverse_index;
pub mod selection;
pub mod size_text;
pub mod space_difference;
pub mod space_tables;

pub use access_words::{AccessAnswer, Accessor, access_answers};
pub use bands::{Band, BandKind, fold_scattered, fold_windows, physical_bands, virtual_bands};
pub use difference::{Change, ChangeKind, Difference};
pub use guest_space::in_machine_terms;
pub use history::{History, Moment};
pub use legend::{Seen, Sign};
pub use mapping_names::{named, named_mappings};
pub use reverse::{FrameUse, frame_use};
pub use reverse_index::ReverseIndex;
pub use selection::{Focus, Selection, Stretch};
pub use size_text::size_text;
pub use space_tables::{EntryPlace, Recursion, SpaceTables, TableFacts, Window};

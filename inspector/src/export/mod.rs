//! What leaves the program: drawings as text, SVG and PNG, and the files that hold them.
//!
//! ```text
//!  Snapshot, Space, Difference ──▶ text   for terminals and lecture notes
//!                              └─▶ svg ──▶ png   for slides
//!  State ──▶ view ──▶ shapes ──▶ svg ──▶ png       what the window shows
//!  bytes ──▶ file ──▶ a path, whole or not at all
//! ```
//!
//! Drawings accept whatever a snapshot holds: a file or a guest can say anything, and the picture
//! then shows that. Nothing here panics on it, and nothing loops per page of a mapping.

pub mod file;
pub mod fonts;
pub mod html;
pub mod png;
pub mod shapes;
pub mod svg;
pub mod text;
pub mod view;

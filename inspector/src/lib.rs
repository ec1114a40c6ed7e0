//! Pagescope's inspector: the library under the window and the command line.
//!
//! ```text
//!  link ──▶ capture ──▶ model ──▶ views
//!  bytes    snapshots   history   the window
//! ```

pub mod link;

//! Pagescope: the memory of a running RISC-V system, live.
//!
//! ```text
//!   link ──▶ capture ──▶ Snapshot ──▶ model ──▶ views, export
//!   guest ─────┘
//! ```
//!
//! `link` brings bytes from a target, `guest` knows what they are, `capture` makes an immutable
//! snapshot of them, `model` keeps snapshots over time, `views` and `export` draw. `session` owns
//! the link on a thread of its own; `app` and `cli` are thin.

pub mod app;
pub mod assets;
pub mod capture;
pub mod cli;
pub mod export;
pub mod guest;
pub mod link;
pub mod model;
pub mod session;
pub mod views;

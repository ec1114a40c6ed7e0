//! A file for each kind of input.

pub(crate) mod core;
pub(crate) mod description;
pub(crate) mod elf;
pub(crate) mod expression;
pub(crate) mod monitor;
pub(crate) mod profile;
pub(crate) mod replies;
pub(crate) mod snapshot;
pub(crate) mod walk;

//! What Pagescope's kernel and inspector both mean.
//!
//! Addresses, page-table entries, translation, walks of whole spaces, snapshots and the block of
//! facts that the kernel publishes. No I/O, no `unsafe`, and no knowledge of who is asking: the
//! kernel uses these types on the machine, the inspector uses them on bytes that came over a wire.
//!
//! ```text
//!  addr ──▶ level ──▶ pte ──▶ scheme, mode ──▶ translate     (no allocator: the kernel uses these)
//!                       └──▶ walk ──▶ coalesce     (feature `alloc`)
//!                            └▶ two_stage  └──▶ snapshot, RON   (feature `snapshot`)
//!  access: whether an access may happen through a leaf
//!  info: the kernel's information block, a binary interface
//! ```
#![no_std]
#![forbid(unsafe_code)]

#[cfg(feature = "alloc")]
extern crate alloc;
#[cfg(test)]
extern crate std;

pub mod access;
pub mod addr;
#[cfg(feature = "alloc")]
pub mod coalesce;
#[cfg(feature = "alloc")]
pub mod decode;
pub mod info;
pub mod level;
pub mod mode;
pub mod pte;
pub mod satp;
pub mod scheme;
#[cfg(feature = "snapshot")]
pub mod snapshot;
pub mod translate;
#[cfg(feature = "alloc")]
pub mod two_stage;
#[cfg(feature = "alloc")]
pub mod walk;

pub use addr::{PAGE_SIZE, PhysAddr, PhysPage, PhysRange, VirtAddr, VirtRange};
pub use level::{ENTRIES_PER_TABLE, Level};
pub use mode::TranslationMode;
pub use pte::{Leaf, LeafFlags, Pte, PteKind, ReservedReason};
pub use satp::{Hgatp, Satp};
pub use scheme::{Scheme, Stage, Xlen};

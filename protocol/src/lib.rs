//! What Pagescope's kernel and inspector both mean.
//!
//! Addresses, page-table entries, translation, walks of whole spaces, snapshots and the block of
//! facts that the kernel publishes. No I/O, no `unsafe`, and no knowledge of who is asking: the
//! kernel uses these types on the machine, the inspector uses them on bytes that came over a wire.
//!
//! ```text
//!  addr ──▶ level ──▶ pte ──▶ translate            (no allocator: the kernel uses these)
//!                       └──▶ walk ──▶ coalesce     (feature `alloc`)
//!                                       └──▶ snapshot, RON   (feature `snapshot`)
//!  info: the kernel's information block, a binary interface
//! ```
#![no_std]
#![forbid(unsafe_code)]

#[cfg(feature = "alloc")]
extern crate alloc;
#[cfg(test)]
extern crate std;

pub mod addr;
#[cfg(feature = "alloc")]
pub mod coalesce;
#[cfg(feature = "alloc")]
pub mod decode;
pub mod info;
pub mod level;
pub mod pte;
pub mod satp;
#[cfg(feature = "snapshot")]
pub mod snapshot;
pub mod translate;
#[cfg(feature = "alloc")]
pub mod walk;

pub use addr::{PAGE_SIZE, PhysAddr, PhysPage, PhysRange, VirtAddr, VirtRange};
pub use level::{ENTRIES_PER_TABLE, Level, TranslationMode};
pub use pte::{Leaf, LeafFlags, Pte, PteKind, ReservedReason};
pub use satp::Satp;

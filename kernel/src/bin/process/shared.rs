//! The shared data: variables that the kernel and every process have a copy of their own of (S3.5).
//!
//! Each is an ordinary static. Instructions reach it relative to the program counter, and so the copy of
//! whoever runs them: the kernel's at its addresses, the process's at the users'. No copy begins as another
//! was left: all begin as the original, which nobody reaches by these names.

use core::sync::atomic::AtomicU64;

/// What the original has in [`TALLY`].
pub(crate) const FIRST_TALLY: u64 = 1000;

/// In .data_shared: what a program counts.
#[unsafe(link_section = ".data_shared.tally")]
pub(crate) static TALLY: AtomicU64 = AtomicU64::new(FIRST_TALLY);

/// In .bss_shared: whose copy this is; 0 before anybody has said so.
#[unsafe(link_section = ".bss_shared.owner")]
pub(crate) static OWNER: AtomicU64 = AtomicU64::new(0);

/// In .bss_shared, so that the shared data is more than two words: what a program has done.
#[unsafe(link_section = ".bss_shared.steps")]
pub(crate) static STEPS: [AtomicU64; 14] = [const { AtomicU64::new(0) }; 14];

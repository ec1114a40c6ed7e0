//! Builds the kernel, and makes one bootable ELF of its programs.
//!
//! ```text
//!  machine      linked at 0x80000000 ──────────────┐
//!  pseudos      linked at 0x80200000               │
//!  hypervisor   linked at 0xffffffc000200000  one of them ─┤ join ─▶ one ELF, entry 0x80000000
//!  process      linked at 0                        │ the others are carried along
//!  nanos        linked at 0x7f000000 ──────────────┘
//! ```
//!
//! They are linked apart, because M-mode is never translated and a layout may link its
//! supervisor program at high virtual addresses. They are joined, because one file must boot with
//! `qemu-system-riscv64 -M virt -m 128M -bios none -kernel FILE`, and the same file must carry the
//! supervisor program's symbols and source lines for debuggers and for the inspector.

mod cargo_build;
mod elf;

pub use cargo_build::{BuildError, build_kernel};
pub use elf::{Carried, JoinError, Program, join};
pub use pagescope_kernel::bootargs::LAYOUTS;

//! What the bytes are: symbols and lines, the kernel's own facts, what a profile knows of a kernel, the
//! machine's map.

pub mod demangle;
pub mod device_tree;
pub mod dwarf;
pub mod elf;
pub mod info;
pub mod knowledge;
pub mod machine;
pub mod memory;
pub mod placement;
pub mod processes;
pub mod profile;

pub use elf::{ElfError, ElfFile};
pub use info::KernelInfo;
pub use knowledge::{GuestOptions, Knowledge};
pub use machine::{MachineMap, RamSource};

/// Everything known about a guest before its memory is read.
#[derive(Clone, Debug, Default)]
pub struct Guest {
    /// Its ELF, where one was named.
    pub elf: Option<ElfFile>,
    /// What lies where in its physical address space.
    pub machine: MachineMap,
}

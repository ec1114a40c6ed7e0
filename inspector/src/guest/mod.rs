//! What the bytes are: symbols, the kernel's own facts, the machine's map.

pub mod demangle;
pub mod elf;
pub mod info;
pub mod machine;

pub use elf::{ElfError, ElfFile};
pub use info::KernelInfo;
pub use machine::{MachineMap, RamSource};

/// Everything known about a guest before its memory is read.
#[derive(Clone, Debug, Default)]
pub struct Guest {
    /// Its ELF, where one was named.
    pub elf: Option<ElfFile>,
    /// What lies where in its physical address space.
    pub machine: MachineMap,
}

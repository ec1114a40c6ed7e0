//! What QEMU's monitor says about the machine, read from its texts.

use pagescope_protocol::PhysRange;

/// What lies where in physical memory, from `info mtree -f`.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct MemoryMap {
    /// Ranges that are RAM: reading them has no effect.
    pub ram: Vec<MemoryRegion>,
    /// Ranges that are anything else; reading them can change a device.
    pub devices: Vec<MemoryRegion>,
}

/// A named range of physical memory.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct MemoryRegion {
    /// Where.
    pub range: PhysRange,
    /// What QEMU calls it: `serial`, `riscv_virt_board.ram`.
    pub name: String,
}

impl MemoryMap {
    /// Reads what `info mtree -f` prints; `None` where that names no RAM.
    pub fn from_mtree(_text: &str) -> Option<Self> {
        todo!()
    }
}

//! Physical memory, by whatever way there is to it.
//!
//! ```text
//!                          covers            while the guest runs   asks the guest's stub
//!  mapped::MappedRam       the file's RAM    yes                    no
//!  process::ProcessMemory  all of RAM        yes                    no
//!  gdb port, channel       what it answers   no                     a packet for 2 KiB
//!  dump::DumpTarget        its segments      there is none          there is none
//! ```
//!
//! All answer the same for RAM. Outside it they differ: a port answers zeros where nothing is, and can
//! change a device; the others refuse.

pub mod find;
pub mod guard;
pub mod mapped;
pub mod owner;
pub mod peer;
pub mod port;
pub mod process;

use std::fmt;
use std::sync::Arc;

use pagescope_protocol::walk::TableWords;
use pagescope_protocol::{PhysAddr, PhysPage, PhysRange};

use super::PhysicalAccess;

/// Where QEMU's `virt` has its RAM (`hw/riscv/virt.c`, `virt_memmap`, `VIRT_DRAM`).
pub const RAM_START: PhysAddr = PhysAddr::new(0x8000_0000);

/// A way to physical memory that needs no stub: it can be read at any time, without asking anybody.
pub trait PhysicalMemory: fmt::Debug + Send {
    /// Which way it is.
    fn way(&self) -> PhysicalAccess;

    /// The memory that it covers, in address order; everything else is refused.
    fn ranges(&self) -> Vec<PhysRange>;

    /// Reads a range; `None` where it is not covered as a whole, or not there any more.
    fn read(&self, range: PhysRange) -> Option<Vec<u8>>;

    /// Reads a frame: one allocation, one copy.
    fn read_frame(&self, frame: PhysPage) -> Option<Arc<TableWords>>;

    /// Whether it is gone for good, asked where a read of what it covers gave nothing.
    fn is_lost(&self) -> bool {
        false
    }

    /// Reads a frame that held `known` before: that again where it does still.
    fn read_frame_again(
        &self,
        frame: PhysPage,
        known: Option<&Arc<TableWords>>,
    ) -> Option<Arc<TableWords>> {
        let words = self.read_frame(frame)?;
        Some(
            known
                .filter(|known| **known == words)
                .cloned()
                .unwrap_or(words),
        )
    }

    /// Whether it also works while the guest runs.
    fn works_while_running(&self) -> bool {
        self.way().works_while_running()
    }
}

/// A frame's bytes as words, in the guest's byte order, which for RISC-V is little-endian. `None` where
/// there are not as many as a frame has.
pub fn words_of(bytes: &[u8]) -> Option<Arc<TableWords>> {
    let (words, rest) = bytes.as_chunks::<8>();
    if !rest.is_empty() {
        return None;
    }
    // Collected where it stays: one allocation, one copy.
    let words: Arc<[u64]> = words.iter().map(|word| u64::from_le_bytes(*word)).collect();
    words.try_into().ok()
}

//! What page-table code needs of the machine: loads, stores, fences.
//!
//! Addresses here are the running program's own: virtual in S-mode, physical in M-mode, where
//! there is no translation. Nothing above this trait can tell the difference, and so the same
//! code builds the boot map, runs in the kernel, and runs on a host against a model.

use pagescope_protocol::{ENTRIES_PER_TABLE, VirtAddr};

/// The running program's view of memory.
pub trait Memory {
    /// Loads the eight bytes at `address`, a multiple of eight that the caller knows is mapped.
    fn load(&self, address: VirtAddr) -> u64;

    /// Stores eight bytes at `address`, a multiple of eight that the caller knows is mapped
    /// writable.
    fn store(&mut self, address: VirtAddr, value: u64);

    /// `sfence.vma address, x0`: stores to the leaf of this address take effect before any
    /// later access through it.
    fn fence_page(&mut self, address: VirtAddr);

    /// `sfence.vma x0, x0`: stores to any entry at any level take effect. Needed where a pointer
    /// changes (privileged specification, section "Supervisor Memory-Management Fence
    /// Instruction").
    fn fence_all(&mut self);

    /// `sfence.vma address, asid`: as [`fence_page`](Self::fence_page), for one address space; leaves with
    /// G are kept.
    fn fence_page_of(&mut self, address: VirtAddr, _asid: u16) {
        self.fence_page(address);
    }

    /// `sfence.vma x0, asid`: nothing of this address space is remembered but leaves with G.
    fn fence_space(&mut self, _asid: u16) {
        self.fence_all();
    }

    /// Fills the page at `page` with one byte.
    fn fill_page(&mut self, page: VirtAddr, byte: u8) {
        let word = u64::from_le_bytes([byte; 8]);
        for index in 0..ENTRIES_PER_TABLE as u64 {
            self.store(page.wrapping_add(index * 8), word);
        }
    }

    /// Whether every byte of the page at `page` is `byte`.
    fn page_is_filled(&self, page: VirtAddr, byte: u8) -> bool {
        let word = u64::from_le_bytes([byte; 8]);
        (0..ENTRIES_PER_TABLE as u64).all(|index| self.load(page.wrapping_add(index * 8)) == word)
    }
}

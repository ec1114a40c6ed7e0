//! The machine's own memory, as the running program sees it.

use core::arch::asm;

use pagescope_protocol::VirtAddr;

use crate::memory::Memory;

/// Memory through real loads and stores.
#[derive(Debug)]
pub struct LiveMemory {
    _private: (),
}

impl LiveMemory {
    /// The running program's memory.
    ///
    /// # Safety
    /// Whoever calls [`Memory::store`] on it must own what lies at the address: page tables, the
    /// heap and its counter, never a variable of the program itself.
    pub const unsafe fn new() -> Self {
        Self { _private: () }
    }
}

impl Memory for LiveMemory {
    fn load(&self, address: VirtAddr) -> u64 {
        let pointer = core::ptr::with_exposed_provenance::<u64>(address.as_u64() as usize);
        // SAFETY: the trait's caller knows that the address is mapped and aligned; volatile,
        // because the hardware and debuggers read and write there, too.
        unsafe { pointer.read_volatile() }
    }

    fn store(&mut self, address: VirtAddr, value: u64) {
        let pointer = core::ptr::with_exposed_provenance_mut::<u64>(address.as_u64() as usize);
        // SAFETY: as in `load`; that nothing else owns the place, `new`'s caller promised.
        unsafe { pointer.write_volatile(value) }
    }

    fn fence_page(&mut self, address: VirtAddr) {
        // SAFETY: a fence changes no value. No `nomem`: stores must not move past it.
        unsafe { asm!("sfence.vma {}, x0", in(reg) address.as_u64(), options(nostack)) }
    }

    fn fence_all(&mut self) {
        // SAFETY: as above.
        unsafe { asm!("sfence.vma x0, x0", options(nostack)) }
    }

    fn fence_page_of(&mut self, address: VirtAddr, asid: u16) {
        let (address, asid) = (address.as_u64(), u64::from(asid));
        // SAFETY: as above.
        unsafe { asm!("sfence.vma {}, {}", in(reg) address, in(reg) asid, options(nostack)) }
    }

    fn fence_space(&mut self, asid: u16) {
        // SAFETY: as above.
        unsafe { asm!("sfence.vma x0, {}", in(reg) u64::from(asid), options(nostack)) }
    }
}

//! The machine's RAM, as the debug channel may look at it.

use pagescope_kernel::board::MACHINE_RAM;
use pagescope_kernel::debug::view::Physical;
use pagescope_protocol::{PhysAddr, PhysRange};

/// All of it may be read; the machine program's part is not written: a debugger that overwrites
/// the stub has nobody left to talk to.
#[derive(Debug)]
pub(crate) struct Ram {
    range: PhysRange,
}

impl Ram {
    /// The RAM that the device tree says there is.
    pub(crate) const fn new(range: PhysRange) -> Self {
        Self { range }
    }
}

impl Physical for Ram {
    fn is_readable(&self, range: PhysRange) -> bool {
        self.range.contains_range(range)
    }

    fn is_writable(&self, range: PhysRange) -> bool {
        self.range.contains_range(range) && !range.overlaps(MACHINE_RAM)
    }

    fn read(&self, from: PhysAddr, bytes: &mut [u8]) {
        let start = from.as_u64() as usize;
        for (offset, byte) in bytes.iter_mut().enumerate() {
            let place = core::ptr::with_exposed_provenance::<u8>(start + offset);
            // SAFETY: it is RAM; volatile, because harts write there.
            *byte = unsafe { place.read_volatile() };
        }
    }

    fn write(&mut self, to: PhysAddr, bytes: &[u8]) {
        let start = to.as_u64() as usize;
        // A breakpoint is two bytes, and harts may run: it is written in one piece.
        if let &[low, high] = bytes
            && start.is_multiple_of(2)
        {
            let place = core::ptr::with_exposed_provenance_mut::<u16>(start);
            // SAFETY: as below, and aligned.
            return unsafe { place.write_volatile(u16::from_le_bytes([low, high])) };
        }
        for (offset, byte) in bytes.iter().enumerate() {
            let place = core::ptr::with_exposed_provenance_mut::<u8>(start + offset);
            // SAFETY: it is S-mode's RAM, of which the machine program keeps no reference; what
            // becomes of it is what the debugger's user wants.
            unsafe { place.write_volatile(*byte) };
        }
    }
}

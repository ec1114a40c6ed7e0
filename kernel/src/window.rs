//! Where the running program finds the bytes of a frame of the heap.

use pagescope_protocol::{PhysPage, VirtAddr};

/// A stretch of virtual addresses through which frames are reached, at a constant distance.
///
/// The pseudos layout's is [`Window::IDENTITY`]. Nothing else depends on that: a table entry
/// holds the frame's physical address, whatever window its table was written through (S0.9).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Window {
    distance: u64,
}

impl Window {
    /// Virtual is physical.
    pub const IDENTITY: Self = Self { distance: 0 };

    /// The window in which physical address 0 is seen at `distance` (modulo 2^64).
    pub const fn at_distance(distance: u64) -> Self {
        Self { distance }
    }

    /// Where the first byte of `frame` is seen.
    pub const fn address_of(self, frame: PhysPage) -> VirtAddr {
        VirtAddr::new(frame.start().as_u64().wrapping_add(self.distance))
    }

    /// The frame that is seen at `address`; `None` where no frame could be.
    pub const fn frame_at(self, address: VirtAddr) -> Option<PhysPage> {
        pagescope_protocol::PhysAddr::new(address.as_u64().wrapping_sub(self.distance)).page()
    }
}

//! What lies at [`VAS_CPU_STRUCT`]: one hart's own, at the same address on every hart.
//!
//! ```text
//!  + 0x0000  cpu info      rw-   which hart this is, and what else it must know of itself
//!  + 0x1000  guard         ---   where the stack ends: to overflow it is to fault (S2.9)
//!  + 0x2000  cpu stack     rw-   32 KiB, grows down
//!  + 0xa000  trap guard    ---
//!  + 0xb000  trap stack    rw-   16 KiB: what has overflowed the other stack is reported on this one
//!  + 0xf000  end
//! ```
//!
//! A hart need not know its number to find any of this. So the way into a trap has its stack by a
//! constant, and needs no register that points to it.

use pagescope_protocol::info::region_kind;
use pagescope_protocol::{PAGE_SIZE, VirtAddr, VirtRange};

use super::VAS_CPU_STRUCT;

/// One piece of the struct.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Piece {
    /// Its name, as maps show it.
    pub name: &'static str,
    /// Bytes from [`VAS_CPU_STRUCT`].
    pub offset: u64,
    /// Bytes.
    pub size: u64,
    /// One of [`region_kind`].
    pub kind: u64,
    /// What it is for.
    pub description: &'static str,
}

impl Piece {
    /// Its first address.
    pub const fn start(&self) -> VirtAddr {
        VAS_CPU_STRUCT.wrapping_add(self.offset)
    }

    /// The first address after it.
    pub const fn end(&self) -> VirtAddr {
        self.start().wrapping_add(self.size)
    }

    /// Whether `address` lies in it.
    pub const fn contains(&self, address: VirtAddr) -> bool {
        self.start().as_u64() <= address.as_u64() && address.as_u64() < self.end().as_u64()
    }

    /// Whether it stays unmapped.
    pub const fn is_guard(&self) -> bool {
        self.kind == region_kind::GUARD
    }

    /// The piece behind this one.
    const fn then(
        &self,
        name: &'static str,
        size: u64,
        kind: u64,
        description: &'static str,
    ) -> Self {
        Self {
            name,
            offset: self.offset + self.size,
            size,
            kind,
            description,
        }
    }
}

/// The hart's number, and what else it must know of itself.
pub const CPU_INFO: Piece = Piece {
    name: "cpu info",
    offset: 0,
    size: PAGE_SIZE,
    kind: region_kind::CPU,
    description: "which hart this is; at one address on all",
};

/// Where the stack ends.
pub const GUARD: Piece = CPU_INFO.then(
    "guard",
    PAGE_SIZE,
    region_kind::GUARD,
    "never mapped: a stack that overflows faults",
);

/// The stack.
pub const CPU_STACK: Piece = GUARD.then(
    "cpu stack",
    8 * PAGE_SIZE,
    region_kind::STACK,
    "this hart's, grows down",
);

/// Where the trap stack ends.
pub const TRAP_GUARD: Piece = CPU_STACK.then(
    "trap guard",
    PAGE_SIZE,
    region_kind::GUARD,
    "never mapped: between the two stacks",
);

/// The stack that traps are handled on.
pub const TRAP_STACK: Piece = TRAP_GUARD.then(
    "trap stack",
    4 * PAGE_SIZE,
    region_kind::STACK,
    "traps are handled here: the other may be full",
);

/// All of them, in ascending order.
pub const PIECES: [Piece; 5] = [CPU_INFO, GUARD, CPU_STACK, TRAP_GUARD, TRAP_STACK];

/// The whole of it.
pub const CPU_STRUCT_SIZE: u64 = TRAP_STACK.offset + TRAP_STACK.size;

/// Pages of it, those of the guards too.
pub const CPU_STRUCT_PAGES: usize = (CPU_STRUCT_SIZE / PAGE_SIZE) as usize;

/// Its addresses.
pub const fn range() -> VirtRange {
    match VirtRange::new(VAS_CPU_STRUCT, CPU_STRUCT_SIZE) {
        Some(range) => range,
        None => panic!("the cpu struct wraps around"),
    }
}

/// Whether page `number` of the struct has a frame: it is in no guard.
pub fn has_frame(number: usize) -> bool {
    let address = VAS_CPU_STRUCT.wrapping_add(number as u64 * PAGE_SIZE);
    PIECES
        .iter()
        .any(|piece| !piece.is_guard() && piece.contains(address))
}

//! `self-leaf`: the root points to itself, and every table holds a leaf that leads to itself.
//!
//! ```text
//!  root[511] ──▶ root               every table T:  T[510] = leaf of T
//!
//!  L0 (i,j)   at (i, j, 510)        root[i] ▸ L1[j] ▸ L0[510] = leaf of L0
//!  L1 (i)     at (511, i, 510)      root[511] ▸ root[i] ▸ L1[510] = leaf of L1
//!  root       at (511, 511, 510)    root[511] ▸ root[511] ▸ root[510] = leaf of root
//! ```
//!
//! The recursive pointer shortens the walk by a level each time it is passed, as on x86; but there
//! the walk ends at whatever it has reached, and here it must end at a leaf: `T[510]`.
//!
//! Read at its own level, `T[510]` of an L1 or of the root is a *misaligned superpage*, which faults.
//! That holds only while no L1 lies on a 2 MiB boundary and the root on no 1 GiB boundary:
//! [`accepts`](SelfMap::accepts). A superpage is seen a second time in
//! the region of slot 511, a level lower: the first 4 KiB of a 2 MiB leaf at (511, i, j), the first
//! 2 MiB of a 1 GiB leaf at (511, i, *). Its fences take that into account.
//!
//! A new table is zeroed and given its leaf in a scratch page before it is linked: linked first, it
//! could be reached by nobody.
//!
//! **In place.** Page 510 of every 2 MiB is the window of its L0. In the heap's window, where virtual is
//! physical, `kalloc` therefore passes page 510 over, and that very frame becomes the L0 of its own
//! 2 MiB: it is mapped where it lies, like everything around it. The source document's L0, at
//! kalloc(0) = 0x87ffe000, is page 510 of its 2 MiB already.
//!
//! Costs page 510 of every 2 MiB that has an L0, the 2 MiB at 510 of every GiB that has an L1, and the
//! root's slots 510 and 511. Of PCI ECAM, the 2 MiB of buses 252 and 253 are therefore not
//! reachable.

use pagescope_protocol::{ENTRIES_PER_TABLE, Level, PhysPage, VirtAddr, VirtRange};

use super::{SelfMap, Table, WindowLeaf, gib, indices, virt};
use crate::board;
use crate::window::Window;

/// The root's entry that points to the root.
pub const RECURSIVE: usize = 511;

/// The entry of every table that is a leaf of the table itself.
pub const OWN_LEAF: usize = 510;

/// Where a new table is prepared: the last page of UART0's 2 MiB, whose L0 is there from the start.
pub const SCRATCH: VirtAddr = VirtAddr::new(board::UART0.start().as_u64() + 0x1f_f000);

/// The strategy.
#[derive(Clone, Copy, Debug)]
pub struct SelfLeaf;

impl SelfMap for SelfLeaf {
    fn name(&self) -> &'static str {
        "self-leaf"
    }

    /// An L1 and an L0.
    fn reserve_mark(&self) -> usize {
        2
    }

    fn window_of(&self, table: Table, _heap: Window) -> VirtAddr {
        let (i, j, _) = indices(table.covers_from);
        match table.level {
            Level::L0 => virt(i, j, OWN_LEAF),
            Level::L1 => virt(RECURSIVE, i, OWN_LEAF),
            _ => virt(RECURSIVE, RECURSIVE, OWN_LEAF),
        }
    }

    fn window_leaf(&self) -> WindowLeaf {
        WindowLeaf::InItself {
            index: OWN_LEAF,
            scratch: SCRATCH,
        }
    }

    fn reserved(&self, virt: VirtAddr, level: Level) -> Option<&'static str> {
        let (i, j, k) = indices(virt);
        if i == RECURSIVE || i == OWN_LEAF {
            return Some("the tables' own region");
        }
        if virt.align_down(pagescope_protocol::PAGE_SIZE) == SCRATCH {
            return Some("the page where tables are prepared");
        }
        let taken = j == OWN_LEAF && level <= Level::L1 || k == OWN_LEAF && level == Level::L0;
        taken.then_some("a table's own window")
    }

    fn region(&self) -> Option<VirtRange> {
        gib(RECURSIVE)
    }

    fn recursive_slot(&self) -> Option<usize> {
        Some(RECURSIVE)
    }

    fn in_place_index(&self) -> Option<usize> {
        Some(OWN_LEAF)
    }

    fn accepts(&self, frame: PhysPage) -> bool {
        !frame.number().is_multiple_of(ENTRIES_PER_TABLE as u64)
    }
}

//! Self-mapping: how a kernel reaches its own page tables.
//!
//! On Sv39 only a leaf ends a walk. The entry that *links* a table is a pointer, and a pointer never
//! gives access to what it points to; so every table's frame needs a leaf of its own somewhere.
//! A strategy says where that leaf is, and so at which address each table is written. Four of them
//! exist; `tables=` chooses:
//!
//! ```text
//!              window of L0 (i,j)   of L1 (i)       of the root      the leaf lies in
//!  pool        the frame's own address in the heap's window          the L0 of the heap
//!  self-leaf   (i, j, 510)          (511, i, 510)   (511, 511, 510)  the table itself
//!  mirror      (511, i, j)          (511, 510, i)   (511, 510, 510)  a mirror table
//!  demand      as mirror; M-mode makes what is missing when it is stored to
//! ```
//!
//! (An address is written as its three indices: root, L1, L0.)
//!
//! Policy is here, mechanism is in [`mapper`](crate::mapper): a strategy describes, and stores
//! nothing itself.

pub mod demand;
pub mod mirror;
pub mod pool;
pub mod self_leaf;

use core::fmt;

use pagescope_protocol::{Level, PhysPage, VirtAddr, VirtRange};

use crate::mapper::{MODE, ROOT_LEVEL};
use crate::window::Window;

/// The strategies, in the order in which they are explained.
pub static STRATEGIES: [&dyn SelfMap; 4] = [
    &pool::Pool,
    &self_leaf::SelfLeaf,
    &mirror::Mirror,
    &demand::Demand,
];

/// The strategy of this name.
pub fn by_name(name: &str) -> Option<&'static dyn SelfMap> {
    STRATEGIES
        .into_iter()
        .find(|strategy| strategy.name() == name)
}

/// A page table: its frame, and its place in the address space.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Table {
    /// Where it lies.
    pub frame: PhysPage,
    /// Its level.
    pub level: Level,
    /// The first address that it covers.
    pub covers_from: VirtAddr,
}

impl Table {
    /// The root table.
    pub const fn root(frame: PhysPage) -> Self {
        Self {
            frame,
            level: ROOT_LEVEL,
            covers_from: VirtAddr::new(0),
        }
    }

    /// The table of `level` that covers `virt`, a canonical address.
    pub fn covering(frame: PhysPage, level: Level, virt: VirtAddr) -> Self {
        if level == ROOT_LEVEL {
            return Self::root(frame);
        }
        Self {
            frame,
            level,
            covers_from: virt.align_down(level.table_size()),
        }
    }
}

/// Where the leaf is that makes a table reachable.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum WindowLeaf {
    /// In the heap's own tables: `kalloc` maps every page that it hands out.
    InHeapWindow,
    /// In the table itself.
    InItself {
        /// At this index.
        index: usize,
        /// Where a table is seen before it is linked, and so before its own leaf counts: a page
        /// whose L0 is always there, mapped only while it is needed.
        scratch: VirtAddr,
    },
    /// In the L0 table that covers the window's address, as for any page.
    InMirror,
}

/// A strategy.
pub trait SelfMap: Sync + fmt::Debug {
    /// Its name, as `tables=` takes it.
    fn name(&self) -> &'static str;

    /// Pages that are kept in reserve, so that any one `map` can be served.
    fn reserve_mark(&self) -> usize;

    /// Where `table` is reached. `heap` is the heap's window.
    fn window_of(&self, table: Table, heap: Window) -> VirtAddr;

    /// Where the leaf is that makes it so.
    fn window_leaf(&self) -> WindowLeaf;

    /// What the leaf of `level` at `virt` would damage, if anything: an address that a table has, or
    /// may have.
    fn reserved(&self, virt: VirtAddr, level: Level) -> Option<&'static str>;

    /// The first address covered by the L0 table that must be linked along with a table of `level`
    /// for `virt`, because the new table's window leaf, or those of the tables under it, lie there.
    fn companion(&self, level: Level, virt: VirtAddr) -> Option<VirtAddr> {
        let _ = (level, virt);
        None
    }

    /// A region of the strategy's own, in which tables are seen. (With a root that points to itself, so are
    /// superpages; and L0s lie elsewhere.)
    fn region(&self) -> Option<VirtRange> {
        None
    }

    /// The slot in which the root points to itself.
    fn recursive_slot(&self) -> Option<usize> {
        None
    }

    /// The tables that the strategy itself is made of before anything is mapped, each after the one
    /// that leads to it: level, and the first address covered.
    fn own_tables(&self) -> &'static [(Level, VirtAddr)] {
        &[]
    }

    /// The index, in its 2 MiB, of the page that `kalloc` passes over: its address is that of the
    /// L0 table's window, and its frame becomes that very table.
    fn in_place_index(&self) -> Option<usize> {
        None
    }

    /// Whether `frame` may become a table of any level.
    fn accepts(&self, frame: PhysPage) -> bool {
        let _ = frame;
        true
    }

    /// Whether a store to a table that does not exist makes it: M-mode serves the fault.
    fn is_served_by_machine_mode(&self) -> bool {
        false
    }
}

/// The GiB that the root's entry `slot` covers.
pub(crate) const fn gib(slot: usize) -> Option<VirtRange> {
    VirtRange::new(virt(slot, 0, 0), Level::L2.entry_size())
}

/// The address with these three indices, root first.
pub(crate) const fn virt(root: usize, l1: usize, l0: usize) -> VirtAddr {
    MODE.canonical((root as u64) << 30 | (l1 as u64) << 21 | (l0 as u64) << 12)
}

/// The three indices of `virt`, root first.
pub(crate) const fn indices(virt: VirtAddr) -> (usize, usize, usize) {
    (
        Level::L2.index_of(virt),
        Level::L1.index_of(virt),
        Level::L0.index_of(virt),
    )
}

#[cfg(test)]
mod tests;

//! `pool`: every page that `kalloc` returns is mapped already; a table is such a page.
//!
//! ```text
//!   L0 of the top 2 MiB                              the next 2 MiB down
//!   ┌─────────────── … ──┬────┬────┬────┬─────┐      ┌──────────────────────┬─────┐
//!   │ kalloc(510)        │root│ L1 │ L0 │count│      │                      │ 511 │
//!   └─────────────── … ──┴────┴────┴────┴─────┘      └──────────────────────┴─────┘
//!        ▲ any page in here may become ───────────────▶ this table
//! ```
//!
//! The source document's own design. A table's window is its page of the heap's window, and so it
//! is reachable before it is linked. When `kalloc` enters a fresh 2 MiB, a page in reserve becomes
//! the new L0: kalloc never needs a page to map a page.
//!
//! Costs no addresses beside the heap's, and 8 bytes of an L0 that is there anyway for each table.

use pagescope_protocol::{Level, VirtAddr};

use super::{SelfMap, Table, WindowLeaf};
use crate::window::Window;

/// The strategy.
#[derive(Clone, Copy, Debug)]
pub struct Pool;

impl SelfMap for Pool {
    fn name(&self) -> &'static str {
        "pool"
    }

    /// An L1 and an L0.
    fn reserve_mark(&self) -> usize {
        2
    }

    fn window_of(&self, table: Table, heap: Window) -> VirtAddr {
        heap.address_of(table.frame)
    }

    fn window_leaf(&self) -> WindowLeaf {
        WindowLeaf::InHeapWindow
    }

    /// None: the heap's window is reserved for heap pages and tables alike.
    fn reserved(&self, _virt: VirtAddr, _level: Level) -> Option<&'static str> {
        None
    }
}

//! `demand`: S-mode stores to a table's window, whether there is a table or not; M-mode makes it.
//!
//! ```text
//!  S-mode                                   M-mode
//!  store to (511, i, j) ── page fault ────▶ takes one level from the reserve, zeroes it, links it
//!         ▲                                 and its window leaf, sfence.vma
//!         └───────────── retried ────────── mret, mepc unchanged
//! ```
//!
//! The second source document's proposal, on the tables of [`mirror`]. A store for a
//! present page traps never, in a fresh 2 MiB once, in a fresh GiB twice: first for the L1 and its
//! mirror, then for the L0 (S1.6, S1.7). M-mode's side is [`table_service`](crate::table_service);
//! what it may take are the pages that S-mode keeps in reserve. Nobody but `map` stores there, and
//! whoever only looks uses a lookup that cannot fault: else looking would make tables.
//!
//! Costs what `mirror` costs, and a trap for each new level.

use pagescope_protocol::{Level, VirtAddr, VirtRange};

use super::mirror::{self, Mirror};
use super::{SelfMap, Table, WindowLeaf, gib};
use crate::window::Window;

/// The strategy.
#[derive(Clone, Copy, Debug)]
pub struct Demand;

impl SelfMap for Demand {
    fn name(&self) -> &'static str {
        "demand"
    }

    fn reserve_mark(&self) -> usize {
        Mirror.reserve_mark()
    }

    fn window_of(&self, table: Table, _heap: Window) -> VirtAddr {
        mirror::window_of(table)
    }

    fn window_leaf(&self) -> WindowLeaf {
        WindowLeaf::InMirror
    }

    fn reserved(&self, virt: VirtAddr, _level: Level) -> Option<&'static str> {
        mirror::reserved(virt)
    }

    fn region(&self) -> Option<VirtRange> {
        gib(mirror::WINDOW)
    }

    fn companion(&self, level: Level, virt: VirtAddr) -> Option<VirtAddr> {
        mirror::companion(level, virt)
    }

    fn own_tables(&self) -> &'static [(Level, VirtAddr)] {
        mirror::own_tables()
    }

    fn is_served_by_machine_mode(&self) -> bool {
        true
    }
}

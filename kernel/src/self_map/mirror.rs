//! `mirror`: beside every L1 stands a table that holds leaves where the L1 holds pointers.
//!
//! ```text
//!  root[i]   ──▶ L1 (i)      L1[j] ──▶ L0 (i,j)         translates (i, j, …)
//!  root[511] ──▶ MR          MR[i] ──▶ M0 (i)           M0[j] = leaf of L0 (i,j):  at (511, i, j)
//!                            MR[510] ─▶ Q0              Q0[i] = leaf of L1 (i):    at (511, 510, i)
//!                                                       Q0[510] = leaf of the root
//! ```
//!
//! So one window of 1 GiB shows all tables, each where its place says, and the entry for any address is
//! found by arithmetic, as with x86's recursive entry:
//!
//! ```text
//!  L0 entry of va    W0 + (va >> 12) · 8                  W0 = (511, 0, 0), va's low 39 bits
//!  L1 entry          the L0 entry of (510, i, j)
//!  root entry        the L0 entry of (510, 510, i)
//! ```
//!
//! The window's own tables are no exception: MR is L1 (511), and M0 (i) is L0 (511, i), so M0 (511)
//! shows them all. Q0 mirrors the root as if the root were L1 (510); so the root's entry 510 stays empty.
//! That makes seven tables at boot: root, L1, L0, MR, M0 (511), Q0, and M0 (2) for RAM's GiB.
//!
//! A new L1 brings its mirror along: a map takes at most three frames.
//!
//! Costs a 1 GiB window, the root's slot 510, and one frame for each L1.

use pagescope_protocol::{Level, VirtAddr, VirtRange};

use super::{SelfMap, Table, WindowLeaf, gib, indices, virt};
use crate::window::Window;

/// The root's entry for the window.
pub const WINDOW: usize = 511;

/// MR's entry for the table that shows the L1s and the root.
pub const UPPER: usize = 510;

/// MR, M0 (511), Q0.
static OWN_TABLES: [(Level, VirtAddr); 3] = [
    (Level::L1, virt(WINDOW, 0, 0)),
    (Level::L0, virt(WINDOW, WINDOW, 0)),
    (Level::L0, virt(WINDOW, UPPER, 0)),
];

/// The strategy.
#[derive(Clone, Copy, Debug)]
pub struct Mirror;

impl SelfMap for Mirror {
    fn name(&self) -> &'static str {
        "mirror"
    }

    /// An L1, its mirror, and an L0.
    fn reserve_mark(&self) -> usize {
        3
    }

    fn window_of(&self, table: Table, _heap: Window) -> VirtAddr {
        window_of(table)
    }

    fn window_leaf(&self) -> WindowLeaf {
        WindowLeaf::InMirror
    }

    fn reserved(&self, virt: VirtAddr, _level: Level) -> Option<&'static str> {
        reserved(virt)
    }

    fn region(&self) -> Option<VirtRange> {
        gib(WINDOW)
    }

    fn companion(&self, level: Level, virt: VirtAddr) -> Option<VirtAddr> {
        companion(level, virt)
    }

    fn own_tables(&self) -> &'static [(Level, VirtAddr)] {
        &OWN_TABLES
    }
}

/// Where `table` is seen.
pub(super) fn window_of(table: Table) -> VirtAddr {
    let (i, j, _) = indices(table.covers_from);
    match table.level {
        Level::L0 => virt(WINDOW, i, j),
        Level::L1 => virt(WINDOW, UPPER, i),
        _ => virt(WINDOW, UPPER, UPPER),
    }
}

/// What `virt` is reserved for.
pub(super) fn reserved(virt: VirtAddr) -> Option<&'static str> {
    matches!(indices(virt).0, WINDOW | UPPER).then_some("the tables' own region")
}

/// The mirror of the L1 that covers `virt`.
pub(super) fn companion(level: Level, address: VirtAddr) -> Option<VirtAddr> {
    (level == Level::L1).then(|| virt(WINDOW, indices(address).0, 0))
}

/// The tables that the strategy is made of.
pub(super) fn own_tables() -> &'static [(Level, VirtAddr)] {
    &OWN_TABLES
}

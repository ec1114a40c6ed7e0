//! M-mode's side of `demand`: making the table that S-mode has just stored to.
//!
//! ```text
//!  store page fault (mcause 15; a load's, 13, alike) from S-mode at an address in the window
//!    │
//!    ├─ the tables allow the access by now       fence, retry
//!    ├─ the L1 (i) is missing                    link it and its mirror, fence, retry
//!    ├─ the L0 (i,j) is missing                  link it, fence, retry; one level at a time
//!    └─ anything else, or the reserve is empty   S-mode's ordinary fault
//! ```
//!
//! "Retry" returns without advancing mepc: the store runs again and either succeeds or faults for the
//! next level (S1.6, S1.7). M-mode writes the tables by their physical addresses, with the same
//! code that S-mode links tables with ([`Mapper`]).

use pagescope_protocol::translate::{Outcome, TranslationFault};
use pagescope_protocol::{LeafFlags, Level, PhysPage, PhysRange, VirtAddr};

use crate::mapper::{MapError, Mapper, Reach, Supply};
use crate::memory::Memory;
use crate::reserve::Reserve;
use crate::self_map::demand::Demand;
use crate::self_map::mirror::{UPPER, WINDOW};
use crate::self_map::{Table, indices, virt};
use crate::window::Window;

/// What is to be done about a fault.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Verdict {
    /// One level was made: retry.
    Made,
    /// The tables allow the access already: retry.
    Present,
    /// It is not about the window, or nothing that may be made would mend it: S-mode's fault.
    NotOurs,
    /// A table is needed and the reserve is empty: S-mode's fault.
    Exhausted,
}

/// Frames from the reserve, as far as they are S-mode's.
struct FromSupervisor<'a> {
    reserve: &'a Reserve,
    supervisor_ram: PhysRange,
}

impl Supply for FromSupervisor<'_> {
    fn available(&self) -> usize {
        let valid = |frame: &PhysPage| self.is_table(*frame);
        self.reserve.pages().filter(valid).count()
    }

    /// A frame outside of S-mode's memory is dropped: S-mode put it there, and M-mode zeroes what it
    /// takes.
    fn take<M: Memory>(&mut self, memory: &mut M) -> Option<PhysPage> {
        loop {
            let frame = self.reserve.take()?;
            if self.is_table(frame) {
                memory.fill_page(VirtAddr::new(frame.start().as_u64()), 0);
                return Some(frame);
            }
        }
    }

    fn is_table(&self, frame: PhysPage) -> bool {
        self.supervisor_ram.contains_range(frame.range())
    }
}

/// Serves S-mode's page fault at `address`, an access that needs `flags` of its leaf. `memory` is
/// physical; S-mode's root table is `root`, and `reserve` holds the frames that may be taken, none
/// of which is used outside of `supervisor_ram`.
pub fn serve<M: Memory>(
    memory: &mut M,
    root: PhysPage,
    reserve: &Reserve,
    supervisor_ram: PhysRange,
    address: VirtAddr,
    flags: LeafFlags,
) -> Verdict {
    let (slot, i, j) = indices(address);
    let is_window = crate::mapper::MODE.is_canonical(address) && slot == WINDOW && i != WINDOW;
    if !is_window {
        return Verdict::NotOurs;
    }
    let supply = FromSupervisor {
        reserve,
        supervisor_ram,
    };
    let mut mapper = Mapper {
        memory,
        supply,
        self_map: &Demand,
        reach: Reach::Physical,
        heap: Window::IDENTITY,
        root,
    };
    if let Some(found) = mapper.lookup(address).mapped() {
        // What the hardware asks of a supervisor's access, A and D among it: a machine without Svadu
        // faults for their sake. Less, and the access would be tried again for ever.
        let dirty = if flags.contains(LeafFlags::WRITE) {
            LeafFlags::DIRTY
        } else {
            LeafFlags::empty()
        };
        let needed = flags | LeafFlags::ACCESSED | dirty;
        if !found.flags.contains(needed) || found.flags.contains(LeafFlags::USER) {
            return Verdict::NotOurs;
        }
        mapper.memory.fence_all();
        return Verdict::Present;
    }
    // The first address that the table covers which is seen at this address.
    let (wanted, covers_from) = match i {
        UPPER => (Level::L1, virt(j, 0, 0)),
        _ => (Level::L0, virt(i, j, 0)),
    };
    let (gib, _, _) = indices(covers_from);
    if matches!(gib, WINDOW | UPPER) {
        return Verdict::NotOurs;
    }
    let translation = mapper.lookup(covers_from);
    let last = translation.trail.last().copied();
    let parent = match (translation.outcome, last) {
        (Outcome::Fault(TranslationFault::Invalid(_)), Some(step)) if step.level > wanted => {
            Table::covering(step.table, step.level, covers_from)
        }
        _ => return Verdict::NotOurs,
    };
    match mapper.link_next(parent, covers_from) {
        Ok(_) => Verdict::Made,
        Err(MapError::NoTables { .. }) => Verdict::Exhausted,
        Err(_) => Verdict::NotOurs,
    }
}

#[cfg(test)]
mod tests;

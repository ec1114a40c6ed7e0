//! Linking a table, with the leaf that makes it reachable; and unlinking one that is empty.

use pagescope_protocol::translate::Translation;
use pagescope_protocol::{ENTRIES_PER_TABLE, LeafFlags, Level, PhysAddr, PhysPage, Pte, VirtAddr};

use super::{MapError, Mapper, ROOT_LEVEL, Reach, Supply, leaf};
use crate::memory::Memory;
use crate::self_map::{Table, WindowLeaf};

/// Flags of every window leaf: supervisor data, and nobody executes it.
const WINDOW_FLAGS: LeafFlags = LeafFlags::READ.union(LeafFlags::WRITE);

/// Frames of tables that were unlinked, all of them zero: an L0, an L1 and its mirror at most.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Released {
    frames: [Option<PhysPage>; 3],
}

impl Released {
    /// The frames.
    pub fn iter(&self) -> impl Iterator<Item = PhysPage> {
        self.frames.into_iter().flatten()
    }

    fn push(&mut self, frame: PhysPage) {
        if let Some(place) = self.frames.iter_mut().find(|place| place.is_none()) {
            *place = Some(frame);
        }
    }
}

impl<M: Memory, S: Supply> Mapper<'_, M, S> {
    /// How many frames it takes to come from a table of level `from` down to one of level `to`.
    pub(crate) fn frames_for(&self, from: Level, to: Level, virt: VirtAddr) -> usize {
        let mut frames = 0;
        let mut level = from;
        while level > to
            && let Some(next) = level.next()
        {
            frames += 1 + usize::from(self.self_map.companion(next, virt).is_some());
            level = next;
        }
        frames
    }

    /// Links a table from the supply under `parent`, for `virt`.
    ///
    /// # Errors
    /// [`MapError`], where the supply is empty or the strategy's own tables are damaged.
    pub(crate) fn link_next(&mut self, parent: Table, virt: VirtAddr) -> Result<Table, MapError> {
        let Some(level) = parent.level.next() else {
            return Err(MapError::TableInTheWay(virt));
        };
        let companion = self.self_map.companion(level, virt);
        let (needed, available) = (
            1 + usize::from(companion.is_some()),
            self.supply.available(),
        );
        let no_tables = MapError::NoTables { needed, available };
        if needed > available {
            return Err(no_tables);
        }
        self.check_holders(level, virt, companion)?;
        let frame = self.supply.take(self.memory).ok_or(no_tables)?;
        if let Some(covers_from) = companion {
            let frame = self.supply.take(self.memory).ok_or(no_tables)?;
            let holder = self.table_on_the_way(covers_from, Level::L1)?;
            self.link_frame(holder, Table::covering(frame, Level::L0, covers_from))?;
        }
        let table = Table::covering(frame, level, virt);
        self.link_frame(parent, table)?;
        Ok(table)
    }

    /// Whether the tables are there that hold the entries of a new table of `level` for `virt` and of
    /// what comes with it: asked before a frame is taken, which nobody would give back.
    fn check_holders(
        &self,
        level: Level,
        virt: VirtAddr,
        companion: Option<VirtAddr>,
    ) -> Result<(), MapError> {
        let place = |level, virt| Table::covering(self.root, level, virt);
        let window = |table| self.self_map.window_of(table, self.heap);
        match (self.self_map.window_leaf(), companion) {
            // By physical addresses it is prepared where it lies.
            (WindowLeaf::InItself { .. }, _) if self.reach == Reach::Physical => Ok(()),
            (WindowLeaf::InItself { scratch, .. }, _) => {
                self.table_on_the_way(scratch, Level::L0).map(drop)
            }
            (WindowLeaf::InMirror, Some(covers_from)) => {
                self.table_on_the_way(covers_from, Level::L1)?;
                self.table_on_the_way(window(place(Level::L0, covers_from)), Level::L0)?;
                self.table_on_the_way(window(place(level, virt)), Level::L0)
                    .map(drop)
            }
            (WindowLeaf::InMirror, None) => self
                .table_on_the_way(window(place(level, virt)), Level::L0)
                .map(drop),
            (WindowLeaf::InHeapWindow, _) => Ok(()),
        }
    }

    /// Links `table`, whose frame is zero, under `parent`.
    ///
    /// # Errors
    /// [`MapError`], where the strategy's own tables are damaged.
    pub(crate) fn link_frame(&mut self, parent: Table, table: Table) -> Result<(), MapError> {
        self.expose(table)?;
        self.store_entry(parent, table.covers_from, Pte::pointer(table.frame));
        self.memory.fence_all();
        Ok(())
    }

    /// Links a zeroed table of `level` for `virt` whose parent is there, without a window leaf: for
    /// the first tables, whose leaves lie in one another. [`expose`](Self::expose) follows.
    ///
    /// # Errors
    /// [`MapError`], where there is no frame or no parent.
    pub(crate) fn link_unexposed(&mut self, level: Level, virt: VirtAddr) -> Result<(), MapError> {
        let available = self.supply.available();
        let frame = self.supply.take(self.memory);
        let frame = frame.ok_or(MapError::NoTables {
            needed: 1,
            available,
        })?;
        let above = if level == Level::L0 {
            Level::L1
        } else {
            ROOT_LEVEL
        };
        let parent = self.table_on_the_way(virt, above)?;
        self.store_entry(parent, virt, Pte::pointer(frame));
        self.memory.fence_all();
        Ok(())
    }

    /// Sees to it that `table` has its window leaf.
    ///
    /// # Errors
    /// [`MapError`], where the table that is to hold the leaf is missing.
    pub(crate) fn expose(&mut self, table: Table) -> Result<(), MapError> {
        let window = self.self_map.window_of(table, self.heap);
        let own = leaf(table.frame, WINDOW_FLAGS);
        match self.self_map.window_leaf() {
            WindowLeaf::InHeapWindow if self.reach == Reach::Windows => Ok(()),
            WindowLeaf::InHeapWindow | WindowLeaf::InMirror => self.store_leaf(window, own),
            WindowLeaf::InItself { index, scratch } => {
                let place = index as u64 * 8;
                if self.reach == Reach::Physical {
                    let address = self.address_of(table).wrapping_add(place);
                    self.memory.store(address, own.bits());
                    return Ok(());
                }
                self.store_leaf(scratch, own)?;
                self.memory.fill_page(scratch, 0);
                self.memory.store(scratch.wrapping_add(place), own.bits());
                self.store_leaf(scratch, Pte::INVALID)
            }
        }
    }

    /// Unlinks the tables on the way to `virt`, from the lowest up, while they are empty.
    pub(super) fn unlink_empty(&mut self, virt: VirtAddr, way: &Translation) -> Released {
        let mut released = Released::default();
        let mut steps = way.trail.iter().rev().copied();
        let Some(mut step) = steps.next() else {
            return released;
        };
        for above in steps {
            let table = Table::covering(step.table, step.level, virt);
            let parent = Table::covering(above.table, above.level, virt);
            if step.level == ROOT_LEVEL || !self.is_empty(table) {
                break;
            }
            self.unlink(parent, table, &mut released);
            step = above;
        }
        released
    }

    /// Takes an empty table, and what came with it, out of the tables.
    fn unlink(&mut self, parent: Table, table: Table, released: &mut Released) {
        if let WindowLeaf::InItself { index, .. } = self.self_map.window_leaf() {
            // The last store through this window.
            let place = self.address_of(table).wrapping_add(index as u64 * 8);
            self.memory.store(place, 0);
        }
        self.store_entry(parent, table.covers_from, Pte::INVALID);
        self.conceal(table);
        released.push(table.frame);
        if let Some(covers_from) = self.self_map.companion(table.level, table.covers_from)
            && let Ok(companion) = self.table_on_the_way(covers_from, Level::L0)
            && let Ok(holder) = self.table_on_the_way(covers_from, Level::L1)
        {
            self.store_entry(holder, covers_from, Pte::INVALID);
            self.conceal(companion);
            released.push(companion.frame);
        }
        self.memory.fence_all();
    }

    /// Takes `table`'s leaf away, where it lies in a mirror.
    fn conceal(&mut self, table: Table) {
        if self.self_map.window_leaf() == WindowLeaf::InMirror {
            let window = self.self_map.window_of(table, self.heap);
            // A window that is missing already needs no more.
            let _ = self.store_leaf(window, Pte::INVALID);
        }
    }

    /// Whether nothing is in `table` but its own leaf.
    fn is_empty(&self, table: Table) -> bool {
        let own = match self.self_map.window_leaf() {
            WindowLeaf::InItself { index, .. } => Some(index),
            WindowLeaf::InHeapWindow | WindowLeaf::InMirror => None,
        };
        let address = self.address_of(table);
        (0..ENTRIES_PER_TABLE)
            .filter(|index| Some(*index) != own)
            .all(|index| self.memory.load(address.wrapping_add(index as u64 * 8)) == 0)
    }

    /// Stores `leaf` as the L0 entry of `virt`, whose L0 is there.
    fn store_leaf(&mut self, virt: VirtAddr, leaf: Pte) -> Result<(), MapError> {
        let table = self.table_on_the_way(virt, Level::L0)?;
        self.store_entry(table, virt, leaf);
        self.memory.fence_page(virt);
        Ok(())
    }

    /// The table of `level` on the way to `virt`.
    ///
    /// # Errors
    /// [`MapError::Unreachable`].
    pub(crate) fn table_on_the_way(&self, virt: VirtAddr, level: Level) -> Result<Table, MapError> {
        let translation = self.lookup(virt);
        let step = translation.trail.iter().find(|step| step.level == level);
        let last = translation.trail.last();
        let missing = last.map_or(PhysAddr::new(0), |step| step.pte_address);
        let step = step.ok_or(MapError::Unreachable(missing))?;
        Ok(Table::covering(step.table, step.level, virt))
    }
}

//! Reading page tables out of a target's RAM.

use std::collections::HashMap;
use std::sync::Arc;

use pagescope_protocol::decode::Decoder;
use pagescope_protocol::walk::{TableReader, TableWords};
use pagescope_protocol::{Level, PhysPage};

use crate::guest::MachineMap;
use crate::link::{LinkError, Target};

/// What one capture leaves for the next one: a table that is as it was is neither copied nor decoded again.
#[derive(Debug, Default)]
pub(super) struct Kept {
    words: HashMap<PhysPage, Arc<TableWords>>,
    pub(super) decoder: Decoder,
}

impl Kept {
    /// Takes over what a capture has read, and forgets what it has not.
    pub(super) fn keep(&mut self, read: HashMap<PhysPage, Option<Arc<TableWords>>>) {
        let read = read.into_iter();
        self.words = read
            .filter_map(|(frame, words)| Some((frame, words?)))
            .collect();
        self.decoder.end_round();
    }
}

/// A target's RAM as tables. A table that is said to lie elsewhere is unreadable: to look there
/// could change a device. What spaces share is read once: the guest stands still meanwhile.
pub(crate) struct RamTables<'a> {
    target: &'a mut dyn Target,
    machine: &'a MachineMap,
    before: &'a HashMap<PhysPage, Arc<TableWords>>,
    read: HashMap<PhysPage, Option<Arc<TableWords>>>,
}

impl<'a> RamTables<'a> {
    /// A reader, and the decoder that goes with it.
    pub(super) fn new(
        target: &'a mut dyn Target,
        machine: &'a MachineMap,
        kept: &'a mut Kept,
    ) -> (Self, &'a mut Decoder) {
        let reader = Self {
            target,
            machine,
            before: &kept.words,
            read: HashMap::new(),
        };
        (reader, &mut kept.decoder)
    }

    /// All that was read.
    pub(super) fn into_read(self) -> HashMap<PhysPage, Option<Arc<TableWords>>> {
        self.read
    }
}

impl RamTables<'_> {
    /// Says what is read next, for whoever waits.
    pub(super) fn begin(&mut self, level: Level, tables: usize) {
        self.target
            .begin(&format!("{tables} tables of level {}", level.number()));
    }
}

impl TableReader for RamTables<'_> {
    type Error = LinkError;

    fn read_tables(
        &mut self,
        frames: &[PhysPage],
    ) -> Result<Vec<Option<Arc<TableWords>>>, LinkError> {
        let is_missing =
            |frame: &PhysPage| !self.read.contains_key(frame) && self.machine.is_ram(frame.range());
        let missing: Vec<PhysPage> = frames.iter().copied().filter(is_missing).collect();
        let known: Vec<_> = missing
            .iter()
            .map(|frame| self.before.get(frame).cloned())
            .collect();
        if !missing.is_empty() {
            let fresh = self.target.read_frames_again(&missing, &known)?;
            self.read.extend(missing.into_iter().zip(fresh));
        }
        let words = |frame| self.read.get(frame).cloned().flatten();
        Ok(frames.iter().map(words).collect())
    }
}

/// A target's RAM as tables, without what earlier captures have read: for a look aside.
pub(crate) struct FreshTables<'a> {
    target: &'a mut dyn Target,
    machine: &'a MachineMap,
    read: HashMap<PhysPage, Option<Arc<TableWords>>>,
}

/// Most tables that a look aside keeps: 64 MiB of them.
const MAX_FRESH: usize = 1 << 14;

impl<'a> FreshTables<'a> {
    pub(crate) fn new(target: &'a mut dyn Target, machine: &'a MachineMap) -> Self {
        Self {
            target,
            machine,
            read: HashMap::new(),
        }
    }
}

impl TableReader for FreshTables<'_> {
    type Error = LinkError;

    fn read_tables(
        &mut self,
        frames: &[PhysPage],
    ) -> Result<Vec<Option<Arc<TableWords>>>, LinkError> {
        if self.read.len() > MAX_FRESH {
            self.read.clear();
        }
        let is_missing =
            |frame: &PhysPage| !self.read.contains_key(frame) && self.machine.is_ram(frame.range());
        let missing: Vec<PhysPage> = frames.iter().copied().filter(is_missing).collect();
        if !missing.is_empty() {
            let fresh = self.target.read_frames(&missing)?;
            self.read.extend(missing.into_iter().zip(fresh));
        }
        let words = |frame| self.read.get(frame).cloned().flatten();
        Ok(frames.iter().map(words).collect())
    }
}

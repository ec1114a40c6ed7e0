//! Reading page tables out of a target's RAM.

use std::collections::BTreeMap;
use std::sync::Arc;

use pagescope_protocol::PhysPage;
use pagescope_protocol::walk::{TableReader, TableWords};

use crate::guest::MachineMap;
use crate::link::{LinkError, Target};

/// A target's RAM as tables. A table that is said to lie elsewhere is unreadable: to look there
/// could change a device. What spaces share is read once: the guest stands still meanwhile.
pub(crate) struct RamTables<'a> {
    target: &'a mut dyn Target,
    machine: &'a MachineMap,
    read: BTreeMap<PhysPage, Option<Arc<TableWords>>>,
}

/// Most tables that are kept for the next space of a capture: 32 MiB of them.
const MAX_KEPT: usize = 1 << 13;

impl<'a> RamTables<'a> {
    pub(crate) fn new(target: &'a mut dyn Target, machine: &'a MachineMap) -> Self {
        Self {
            target,
            machine,
            read: BTreeMap::new(),
        }
    }
}

impl TableReader for RamTables<'_> {
    type Error = LinkError;

    fn read_tables(
        &mut self,
        frames: &[PhysPage],
    ) -> Result<Vec<Option<Arc<TableWords>>>, LinkError> {
        let missing: Vec<PhysPage> = frames
            .iter()
            .copied()
            .filter(|frame| self.machine.is_ram(frame.range()) && !self.read.contains_key(frame))
            .collect();
        let fresh = read_frames(self.target, &missing)?;
        let fresh: BTreeMap<_, _> = missing.into_iter().zip(fresh).collect();
        let words = frames
            .iter()
            .map(
                |frame| match fresh.get(frame).or_else(|| self.read.get(frame)) {
                    Some(words) => words.clone(),
                    None => None,
                },
            )
            .collect();
        if self.read.len() + fresh.len() <= MAX_KEPT {
            self.read.extend(fresh);
        }
        Ok(words)
    }
}

/// Reads frames that are known to be RAM, in one batch.
pub(crate) fn read_frames(
    target: &mut dyn Target,
    frames: &[PhysPage],
) -> Result<Vec<Option<Arc<TableWords>>>, LinkError> {
    if frames.is_empty() {
        return Ok(Vec::new());
    }
    let ranges: Vec<_> = frames.iter().map(|frame| frame.range()).collect();
    let answers = target.read_physical(&ranges)?;
    Ok(answers.into_iter().map(|bytes| words_of(&bytes?)).collect())
}

/// A frame's bytes as words; `None` where there are not 4096 of them.
fn words_of(bytes: &[u8]) -> Option<Arc<TableWords>> {
    let mut words = [0; pagescope_protocol::ENTRIES_PER_TABLE];
    let (chunks, rest) = bytes.as_chunks::<8>();
    if chunks.len() != words.len() || !rest.is_empty() {
        return None;
    }
    for (word, chunk) in words.iter_mut().zip(chunks) {
        *word = u64::from_le_bytes(*chunk);
    }
    Some(Arc::new(words))
}

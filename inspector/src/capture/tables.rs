//! Reading page tables out of a target's RAM.

use pagescope_protocol::PhysPage;
use pagescope_protocol::walk::{TableReader, TableWords};

use crate::guest::MachineMap;
use crate::link::{LinkError, Target};

/// A target's RAM as tables. A table that is said to lie elsewhere is unreadable: to look there
/// could change a device.
pub(super) struct RamTables<'a> {
    pub(super) target: &'a mut dyn Target,
    pub(super) machine: &'a MachineMap,
}

impl TableReader for RamTables<'_> {
    type Error = LinkError;

    fn read_tables(
        &mut self,
        frames: &[PhysPage],
    ) -> Result<Vec<Option<Box<TableWords>>>, LinkError> {
        let in_ram: Vec<PhysPage> = frames
            .iter()
            .copied()
            .filter(|frame| self.machine.is_ram(frame.range()))
            .collect();
        let mut read = read_frames(self.target, &in_ram)?.into_iter();
        Ok(frames
            .iter()
            .map(|frame| match self.machine.is_ram(frame.range()) {
                true => read.next().flatten(),
                false => None,
            })
            .collect())
    }
}

/// Reads frames that are known to be RAM, in one batch.
pub(super) fn read_frames(
    target: &mut dyn Target,
    frames: &[PhysPage],
) -> Result<Vec<Option<Box<TableWords>>>, LinkError> {
    if frames.is_empty() {
        return Ok(Vec::new());
    }
    let ranges: Vec<_> = frames.iter().map(|frame| frame.range()).collect();
    let answers = target.read_physical(&ranges)?;
    Ok(answers.into_iter().map(|bytes| words_of(&bytes?)).collect())
}

/// A frame's bytes as words; `None` where there are not 4096 of them.
fn words_of(bytes: &[u8]) -> Option<Box<TableWords>> {
    let mut words = Box::new([0; pagescope_protocol::ENTRIES_PER_TABLE]);
    let (chunks, rest) = bytes.as_chunks::<8>();
    if chunks.len() != words.len() || !rest.is_empty() {
        return None;
    }
    for (word, chunk) in words.iter_mut().zip(chunks) {
        *word = u64::from_le_bytes(*chunk);
    }
    Some(words)
}

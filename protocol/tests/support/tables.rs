//! Page tables written into pretended memory, and the model that they are compared with.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::sync::Arc;

use pagescope_protocol::walk::{TableReader, TableWords};
use pagescope_protocol::{
    ENTRIES_PER_TABLE, LeafFlags, Level, PhysPage, Pte, PteKind, TranslationMode, VirtAddr,
};

/// Frames that hold tables.
#[derive(Clone, Debug, Default)]
pub(crate) struct Memory {
    pub(crate) frames: BTreeMap<PhysPage, Box<TableWords>>,
    /// Every batch that was asked for.
    pub(crate) batches: Vec<Vec<PhysPage>>,
    /// How many answers a batch gets at most.
    pub(crate) answers: Option<usize>,
}

impl TableReader for Memory {
    type Error = Infallible;

    fn read_tables(
        &mut self,
        frames: &[PhysPage],
    ) -> Result<Vec<Option<Arc<TableWords>>>, Infallible> {
        self.batches.push(frames.to_vec());
        let wanted = frames.iter().take(self.answers.unwrap_or(usize::MAX));
        Ok(wanted
            .map(|frame| self.frames.get(frame).map(|words| Arc::new(**words)))
            .collect())
    }
}

impl Memory {
    pub(crate) fn set(&mut self, table: PhysPage, index: usize, pte: Pte) {
        let words = self
            .frames
            .entry(table)
            .or_insert_with(|| Box::new([0; ENTRIES_PER_TABLE]));
        words[index] = pte.bits();
    }

    pub(crate) fn get(&self, table: PhysPage, index: usize) -> Option<Pte> {
        self.frames
            .get(&table)
            .map(|words| Pte::from_bits(words[index]))
    }
}

/// One leaf of the model.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct ModelLeaf {
    pub(crate) level: Level,
    pub(crate) frame: PhysPage,
    pub(crate) flags: LeafFlags,
}

/// Builds tables leaf by leaf, and remembers what it was told.
#[derive(Debug)]
pub(crate) struct Builder {
    pub(crate) mode: TranslationMode,
    pub(crate) root: PhysPage,
    pub(crate) memory: Memory,
    /// Leaves by the first address that each maps, canonical.
    pub(crate) model: BTreeMap<VirtAddr, ModelLeaf>,
    next_table: u64,
}

pub(crate) fn page(number: u64) -> PhysPage {
    PhysPage::from_truncated(number)
}

impl Builder {
    pub(crate) fn new(mode: TranslationMode) -> Self {
        let root = page(0x87ffc);
        let mut memory = Memory::default();
        memory.set(root, 0, Pte::INVALID);
        Self {
            mode,
            root,
            memory,
            model: BTreeMap::new(),
            next_table: 0x80000,
        }
    }

    /// Maps the leaf-sized piece around `virt`, unless part of it is mapped already.
    pub(crate) fn map(&mut self, level: Level, virt: VirtAddr, frame: PhysPage, flags: LeafFlags) {
        let virt = virt.align_down(level.entry_size());
        let virt = self.mode.canonical(virt.as_u64());
        let frame = frame.start().align_down(level.entry_size());
        let frame = page(frame.as_u64() >> 12);
        let mut table = self.root;
        let Some(mut at) = self.mode.root_level() else {
            return;
        };
        // Look first: a refused leaf must not leave tables behind.
        let mut probe = (at, Some(table));
        while let (probe_level, Some(probe_table)) = probe
            && probe_level > level
        {
            let pte = self.memory.get(probe_table, probe_level.index_of(virt));
            probe = match (pte.map(|pte| pte.classify(probe_level)), probe_level.next()) {
                (Some(PteKind::Pointer(next)), Some(next_level)) => (next_level, Some(next)),
                (Some(PteKind::Leaf(_)), _) => return,
                _ => (probe_level, None),
            };
        }
        if let (_, Some(last)) = probe
            && self
                .memory
                .get(last, level.index_of(virt))
                .is_some_and(Pte::is_valid)
        {
            return;
        }
        while at > level {
            let Some(next_level) = at.next() else { return };
            let index = at.index_of(virt);
            let pte = self.memory.get(table, index).unwrap_or_default();
            table = match pte.classify(at) {
                PteKind::Pointer(next) => next,
                _ => {
                    let new = page(self.next_table);
                    self.next_table += 1;
                    self.memory.set(table, index, Pte::pointer(new));
                    self.memory.set(new, 0, Pte::INVALID);
                    new
                }
            };
            at = next_level;
        }
        self.memory
            .set(table, level.index_of(virt), Pte::leaf(frame, flags));
        self.model.insert(
            virt,
            ModelLeaf {
                level,
                frame,
                flags,
            },
        );
    }
}

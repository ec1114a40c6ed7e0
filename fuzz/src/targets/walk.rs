//! Page tables of every mode over memory that means no good.
//!
//! Few frames, so that tables meet, turn in circles and stand at several levels; each word of the input is put into one.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::sync::Arc;

use pagescope_protocol::coalesce::{self, coalesce};
use pagescope_protocol::translate::{Outcome, TranslationFault, translate};
use pagescope_protocol::two_stage::{Stages, translate_staged};
use pagescope_protocol::walk::{self, TableReader, TableWords, walk_space};
use pagescope_protocol::{ENTRIES_PER_TABLE, PhysAddr, PhysPage, Pte, TranslationMode, VirtAddr};

use crate::bytes::Bytes;

/// Frames that can be read, from the first on.
const FRAMES: u64 = 16;
const FIRST: u64 = 0x80000;

struct Memory(BTreeMap<u64, TableWords>);

impl Memory {
    fn build(bytes: &mut Bytes<'_>) -> Self {
        let mut frames = BTreeMap::new();
        while !bytes.is_empty() {
            let place = bytes.byte();
            let index = usize::from(bytes.byte()) | usize::from(place & 0x10) << 4;
            let frame = FIRST + u64::from(place) % FRAMES;
            let mut word = bytes.word();
            if place & 0x20 != 0 {
                // Else hardly any would lead to a frame that is there.
                word = word & !(0x3ff_ffff_ffff << 12) | (FIRST + (word >> 40) % FRAMES) << 10;
            }
            let words = frames.entry(frame).or_insert([0; ENTRIES_PER_TABLE]);
            match place & 0xc0 {
                0xc0 => words[index..].fill(word),
                _ => words[index] = word,
            }
        }
        Self(frames)
    }

    fn entry(&self, mode: TranslationMode, at: PhysAddr) -> Option<Pte> {
        let words = self.0.get(&(at.as_u64() / 4096))?;
        let word = words[at.page_offset() as usize / 8];
        Some(Pte::from_bits(
            match (mode.entry_bytes(), at.as_u64() & 4) {
                (8, _) => word,
                (_, 0) => word & 0xffff_ffff,
                _ => word >> 32,
            },
        ))
    }
}

impl TableReader for Memory {
    type Error = Infallible;

    fn read_tables(
        &mut self,
        frames: &[PhysPage],
    ) -> Result<Vec<Option<Arc<TableWords>>>, Infallible> {
        let words = frames.iter().map(|frame| self.0.get(&frame.number()));
        Ok(words
            .map(|words| words.map(|words| Arc::new(*words)))
            .collect())
    }
}

/// A map lists such a leaf with the flags that it has; through it nothing passes.
const fn refuses_everybody(outcome: Outcome) -> bool {
    matches!(
        outcome,
        Outcome::Fault(
            TranslationFault::GuestLeafWithoutUser(_) | TranslationFault::GuestLeafNotReadable(_)
        )
    )
}

pub(crate) fn run(data: &[u8]) {
    let mut bytes = Bytes::new(data);
    let mode = TranslationMode::WITH_TABLES[usize::from(bytes.byte() % 8)];
    let guest_mode = TranslationMode::WITH_TABLES[4 + usize::from(bytes.byte() % 4)];
    let root = PhysPage::from_truncated(FIRST + u64::from(bytes.byte()) % FRAMES);
    let guest_root = PhysPage::from_truncated(FIRST + ((u64::from(bytes.byte()) % FRAMES) & !3));
    let addresses: Vec<u64> = (0..4).map(|_| bytes.word()).collect();
    let mut memory = Memory::build(&mut bytes);

    let limits = walk::Limits { tables: 1 << 10 };
    let Ok(walked) = walk_space(mode, root, limits, &mut memory);
    assert!(walked.tables.len() <= limits.tables);
    let limits = coalesce::Limits {
        ranges: 1 << 12,
        visits: 1 << 10,
    };
    let mappings = coalesce(&walked, limits);
    assert!(mappings.ranges.len() <= limits.ranges);
    for pair in mappings.ranges.windows(2) {
        assert!(pair[0].virt < pair[1].virt, "{pair:?}");
    }
    // A G-stage root of which one frame cannot be read is no table for the walk, and some entries all the same.
    let is_whole = !walked.truncated
        && !mappings.truncated
        && walked.tables.iter().all(|table| table.words.is_some());
    let in_ranges = mappings.ranges.iter().take(8).map(|range| range.virt);
    let asked = addresses.iter().map(|bits| mode.canonical(*bits));
    for address in asked.chain(in_ranges.collect::<Vec<VirtAddr>>()) {
        let Ok(found) = translate(mode, root, address, |at| {
            Ok::<_, Infallible>(memory.entry(mode, at))
        });
        let range = mappings.ranges.iter().find(|range| {
            let offset = address.checked_offset_from(range.virt);
            offset.is_some_and(|offset| offset < range.size)
        });
        // The two must agree wherever all of the space was seen.
        if let (Some(range), Some(mapped)) = (range, found.mapped()) {
            let offset = address.as_u64() - range.virt.as_u64();
            assert_eq!(range.phys.wrapping_add(offset), mapped.address, "{address}");
        } else if is_whole && !refuses_everybody(found.outcome) {
            assert!(
                found.mapped().is_none() && range.is_none(),
                "{address} {found:?} {range:?}"
            );
        }
        let stages = Stages {
            first_mode: mode,
            first_root: root,
            guest_mode,
            guest_root,
        };
        let Ok(staged) = translate_staged(stages, address, |mode, at| {
            Ok::<_, Infallible>(memory.entry(mode, at))
        });
        assert!(staged.steps.len() <= 5);
    }
}

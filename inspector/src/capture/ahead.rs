//! Reading the tables of several spaces together, level by level, over a link where each question costs a
//! way there and back.
//!
//! ```text
//!  one space after the other   space 1: L2, L1, L0   space 2: L2, L1, L0 …     3 rounds a space
//!  together                    L2 of all, L1 of all, L0 of all                 3 rounds
//! ```
//!
//! What is read here is kept by the reader, so that the walks that follow find it there. A walk reads what
//! is missing all the same: this may be given up anywhere.

use std::collections::{BTreeSet, HashSet};

use pagescope_protocol::walk::TableReader;
use pagescope_protocol::{Level, PhysPage, Pte, PteKind, TranslationMode};

/// Most tables that are read ahead: 32 MiB of them.
const MOST_TABLES: usize = 1 << 13;

/// A table that a space leads to.
type Place = (TranslationMode, Level, PhysPage);

/// Reads what lies under `roots`, of spaces whose tables lie where their entries say: a guest's first stage
/// is not among them. `begin` is told each level before it is read, and how many tables it has.
pub(super) fn read_ahead<R: TableReader>(
    reader: &mut R,
    roots: impl Iterator<Item = (TranslationMode, PhysPage)>,
    mut begin: impl FnMut(&mut R, Level, usize),
) -> Result<(), R::Error> {
    let mut round: HashSet<Place> = roots
        .filter(|(mode, _)| !mode.is_guest_stage())
        .filter_map(|(mode, root)| Some((mode, mode.root_level()?, root)))
        .collect();
    let mut read = 0;
    // Spaces of several modes are at several levels; the highest one is told of.
    let highest =
        |round: &HashSet<Place>| round.iter().map(|place| place.1).max_by_key(|l| l.number());
    while let Some(level) = highest(&round) {
        let frames: BTreeSet<PhysPage> = round.iter().map(|(_, _, page)| *page).collect();
        let frames: Vec<PhysPage> = frames.into_iter().collect();
        read += frames.len();
        if read > MOST_TABLES {
            return Ok(());
        }
        begin(reader, level, frames.len());
        let tables = reader.read_tables(&frames)?;
        let mut next = HashSet::new();
        for (mode, level, page) in &round {
            let place = frames.binary_search(page).ok();
            let words = place.and_then(|place| tables.get(place)?.as_ref());
            let (Some(words), Some(below)) = (words, level.next()) else {
                continue;
            };
            // A word holds two entries of 32 bits.
            let is_short = mode.entry_bytes() == 4;
            let entries = words
                .iter()
                .filter(|word| **word != 0)
                .flat_map(|word| match is_short {
                    true => [word & 0xffff_ffff, word >> 32],
                    false => [*word, 0],
                });
            for entry in entries {
                if let PteKind::Pointer(page) = mode.classify(Pte::from_bits(entry), *level) {
                    next.insert((*mode, below, page));
                }
            }
        }
        round = next;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;
    use std::sync::Arc;

    use pagescope_protocol::walk::TableWords;

    use super::*;

    /// Memory in which every frame leads to the next two, and which counts what it is asked.
    struct Memory {
        rounds: Vec<usize>,
    }

    impl TableReader for Memory {
        type Error = Infallible;

        fn read_tables(
            &mut self,
            frames: &[PhysPage],
        ) -> Result<Vec<Option<Arc<TableWords>>>, Infallible> {
            self.rounds.push(frames.len());
            let words = |frame: &PhysPage| {
                let mut words = [0; 512];
                for (place, word) in words.iter_mut().take(2).enumerate() {
                    let page = PhysPage::from_truncated(frame.number() + 1 + place as u64);
                    *word = Pte::pointer(page).bits();
                }
                Some(Arc::new(words))
            };
            Ok(frames.iter().map(words).collect())
        }
    }

    #[test]
    fn spaces_are_read_together_in_a_round_a_level() {
        let mut memory = Memory { rounds: Vec::new() };
        let roots = [0x100, 0x200, 0x200, 0x101].map(PhysPage::from_truncated);
        let roots = roots.map(|root| (TranslationMode::Sv39, root));
        let mut told = Vec::new();
        let read = read_ahead(&mut memory, roots.into_iter(), |_, level, count| {
            told.push((level, count));
        });
        read.unwrap();
        // Roots 0x100, 0x101, 0x200; below them 0x101 to 0x103 and 0x201, 0x202; and so on.
        assert_eq!(memory.rounds, [3, 5, 7]);
        assert_eq!(told, [(Level::L2, 3), (Level::L1, 5), (Level::L0, 7)]);
    }

    #[test]
    fn nothing_to_walk_reads_nothing() {
        let mut memory = Memory { rounds: Vec::new() };
        let bare = (TranslationMode::Bare, PhysPage::from_truncated(7));
        read_ahead(&mut memory, [bare].into_iter(), |_, _, _| ()).unwrap();
        assert!(memory.rounds.is_empty());
    }
}

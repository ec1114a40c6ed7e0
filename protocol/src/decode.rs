//! A table decoded once: its leaves in runs, and the tables that it links.
//!
//! ```text
//!  entries   0 0 P 0 … 0 L L L 0 … L          P pointer, L leaf, 0 not valid
//!  links         2 ▶ frame                    a link for each pointer
//!  runs                  ├───┤       ├        leaves whose frames and flags go on are one run
//! ```
//!
//! What a run says is relative to its table, so that whoever links the table, in whichever space and as often as
//! there are captures, shares what was decoded. A run has four bytes, and says nothing that its first entry says:
//! scattered leaves are what makes a space large.

use alloc::boxed::Box;
use alloc::collections::BTreeMap;
use alloc::sync::Arc;
use alloc::vec::Vec;

use crate::PAGE_SIZE;
use crate::addr::{PhysPage, VirtAddr};
use crate::coalesce::MappedRange;
use crate::level::Level;
use crate::mode::TranslationMode;
use crate::pte::{LeafFlags, Pte, PteKind};
use crate::scheme::HighBits;
use crate::walk::entry_address;

/// Bytes of a leaf that stands in sixteen entries (extension Svnapot).
const NAPOT_SIZE: u64 = 64 << 10;

/// How many entries that are.
const NAPOT_ENTRIES: u64 = NAPOT_SIZE / PAGE_SIZE;

/// Entries that are looked at together, to pass over them where none says anything.
const STRIDE: usize = 8;

/// RSW, bits 9..8: the supervisor's own, and no part of what an entry means.
const RSW: u64 = 0b11 << 8;

/// A decoded table.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct DecodedTable {
    entries: Arc<[u64]>,
    runs: Arc<[LeafRun]>,
    links: Box<[TableLink]>,
}

/// Leaves of one table that stand beside each other and lead to frames beside each other, with the same flags.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct LeafRun {
    /// Its first entry's place in the table, which has at most 4096.
    pub first: u16,
    /// How many entries it has.
    pub count: u16,
}

/// An entry that leads to another table.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct TableLink {
    /// The entry's place.
    pub index: u16,
    /// The pointer's flags: only G can be set, beside V.
    pub flags: LeafFlags,
    /// The table that it leads to.
    pub table: PhysPage,
}

/// Where a table lies in its space.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Place {
    /// The space's mode.
    pub mode: TranslationMode,
    /// The table's level.
    pub level: Level,
    /// The first address that it translates.
    pub covers_from: VirtAddr,
    /// G, where a pointer on the path has it.
    pub inherited: LeafFlags,
}

impl LeafRun {
    /// The frame that its first entry leads to, in the table that has these entries.
    pub fn page(self, entries: &[u64]) -> PhysPage {
        let pte = self.first_entry(entries);
        if !pte.is_napot() {
            return pte.page();
        }
        // The low four bits of the number say how large the leaf is; each of its entries maps its own 4 KiB.
        let first = pte.page().number() & !(NAPOT_ENTRIES - 1);
        PhysPage::from_truncated(first + u64::from(self.first) % NAPOT_ENTRIES)
    }

    /// What it maps where the table that has these entries lies at `place`.
    pub fn range(self, entries: &[u64], place: Place) -> MappedRange {
        let pte = self.first_entry(entries);
        let entry_size = place.mode.entry_size(place.level);
        let first = usize::from(self.first);
        MappedRange {
            virt: entry_address(place.mode, place.covers_from, place.level, first),
            phys: self.page(entries).start(),
            size: entry_size * u64::from(self.count),
            page_size: if pte.is_napot() {
                NAPOT_SIZE
            } else {
                entry_size
            },
            flags: pte.flags() | place.inherited,
        }
    }

    fn first_entry(self, entries: &[u64]) -> Pte {
        Pte::from_bits(entries.get(usize::from(self.first)).copied().unwrap_or(0))
    }
}

impl DecodedTable {
    /// The entries that were decoded.
    pub const fn entries(&self) -> &Arc<[u64]> {
        &self.entries
    }

    /// The runs of leaves, in the order of their entries.
    pub const fn runs(&self) -> &Arc<[LeafRun]> {
        &self.runs
    }

    /// The pointers, in the order of their entries.
    pub const fn links(&self) -> &[TableLink] {
        &self.links
    }

    /// Decodes the entries of a table at `level`.
    pub fn of(mode: TranslationMode, level: Level, entries: &Arc<[u64]>) -> Self {
        Self::with_scratch(mode, level, entries, &mut Vec::new())
    }

    /// As [`of`](Self::of), with a list to make runs in.
    fn with_scratch(
        mode: TranslationMode,
        level: Level,
        entries: &Arc<[u64]>,
        scratch: &mut Vec<LeafRun>,
    ) -> Self {
        scratch.clear();
        scratch.reserve(entries.len());
        let has_seam = mode.scheme().is_some_and(|scheme| {
            scheme.root_level == level && scheme.high_bits == HighBits::SignExtended
        });
        let mut decoding = Decoding {
            level,
            entry_pages: mode.entry_size(level) / PAGE_SIZE,
            entries,
            seam: if has_seam {
                entries.len() / 2
            } else {
                usize::MAX
            },
            runs: scratch,
            links: Vec::new(),
            expected: 0,
        };
        let (strides, rest) = entries.as_chunks::<STRIDE>();
        for (number, stride) in strides.iter().enumerate() {
            let first = number * STRIDE;
            let is_empty = stride.iter().fold(0, |any, entry| any | entry) == 0;
            if is_empty || first == decoding.seam {
                decoding.expected = 0;
            }
            if !is_empty {
                for (offset, entry) in stride.iter().enumerate() {
                    decoding.entry(first + offset, *entry);
                }
            }
        }
        for (offset, entry) in rest.iter().enumerate() {
            decoding.entry(strides.len() * STRIDE + offset, *entry);
        }
        let links = decoding.links.into();
        Self {
            entries: Arc::clone(entries),
            runs: scratch.as_slice().into(),
            links,
        }
    }
}

/// A table half decoded.
struct Decoding<'a> {
    level: Level,
    entry_pages: u64,
    entries: &'a [u64],
    /// Where the addresses of a root's upper half begin, far from those of the lower one.
    seam: usize,
    runs: &'a mut Vec<LeafRun>,
    links: Vec<TableLink>,
    /// The entry that would go on the last run, without RSW; 0 where there is none.
    expected: u64,
}

impl Decoding<'_> {
    #[inline]
    fn entry(&mut self, index: usize, bits: u64) {
        let meaning = bits & !RSW;
        // What means nothing may have RSW bits all the same.
        if self.expected != 0
            && meaning == self.expected
            && let Some(last) = self.runs.last_mut()
        {
            last.count += 1;
            self.expected = self.after(meaning);
        } else if self.is_plain_leaf(bits) {
            self.begin(index);
            self.expected = self.after(meaning);
        } else {
            self.expected = 0;
            self.rarer(index, bits);
        }
    }

    /// Most leaves: readable, with none of the high bits set, and aligned.
    const fn is_plain_leaf(&self, bits: u64) -> bool {
        const VALID_AND_READABLE: u64 = 0b11;
        bits & VALID_AND_READABLE == VALID_AND_READABLE
            && bits >> 54 == 0
            && (bits >> Pte::PPN_SHIFT) & (self.entry_pages - 1) == 0
    }

    /// Anything else, by the book.
    fn rarer(&mut self, index: usize, bits: u64) {
        let pte = Pte::from_bits(bits);
        match pte.classify_as(self.level, self.entry_pages * PAGE_SIZE) {
            PteKind::Leaf(_) => {
                let new = LeafRun {
                    first: index as u16,
                    count: 1,
                };
                let goes_on = self
                    .runs
                    .last()
                    .is_some_and(|last| self.goes_on(*last, new));
                match self.runs.last_mut().filter(|_| goes_on) {
                    Some(last) => last.count += 1,
                    None => self.begin(index),
                }
                // PBMT is no part of what a mapping says.
                const UP_TO_PPN: u64 = (1 << 54) - 1;
                if !pte.is_napot() {
                    self.expected = self.after(bits & UP_TO_PPN & !RSW);
                }
            }
            PteKind::Pointer(table) => self.links.push(TableLink {
                index: index as u16,
                flags: pte.flags(),
                table,
            }),
            PteKind::Invalid | PteKind::Reserved(_) => {}
        }
    }

    /// Whether the leaf `new` goes on where the run `last` ends.
    fn goes_on(&self, last: LeafRun, new: LeafRun) -> bool {
        let [one, next] = [last, new].map(|run| run.first_entry(self.entries));
        let pages = self.entry_pages * u64::from(last.count);
        last.first + last.count == new.first
            && usize::from(new.first) != self.seam
            && (one.flags(), one.is_napot()) == (next.flags(), next.is_napot())
            && last.page(self.entries).number() + pages == new.page(self.entries).number()
    }

    fn begin(&mut self, index: usize) {
        // A table has at most 4096 entries.
        let first = index as u16;
        self.runs.push(LeafRun { first, count: 1 });
    }

    /// The entry like this one for the next frame; 0 where its number does not fit.
    const fn after(&self, bits: u64) -> u64 {
        let next = bits.wrapping_add(self.entry_pages << Pte::PPN_SHIFT);
        if next >> 54 == bits >> 54 { next } else { 0 }
    }
}

/// Decodes tables, and keeps what it decoded: a table that is as it was is not decoded again.
#[derive(Debug, Default)]
pub struct Decoder {
    known: BTreeMap<(PhysPage, Level), Known>,
    round: u64,
    decoded: u64,
    scratch: Vec<LeafRun>,
}

#[derive(Debug)]
struct Known {
    mode: TranslationMode,
    table: Arc<DecodedTable>,
    /// When it was asked for last.
    round: u64,
}

impl Decoder {
    /// The table in `frame` as it is read at `level`.
    pub fn decode(
        &mut self,
        mode: TranslationMode,
        level: Level,
        frame: PhysPage,
        entries: &Arc<[u64]>,
    ) -> Arc<DecodedTable> {
        if let Some(known) = self.known.get_mut(&(frame, level))
            && known.mode == mode
            && (Arc::ptr_eq(&known.table.entries, entries) || known.table.entries == *entries)
        {
            known.round = self.round;
            return Arc::clone(&known.table);
        }
        self.decoded += 1;
        let table = DecodedTable::with_scratch(mode, level, entries, &mut self.scratch);
        let table = Arc::new(table);
        let known = Known {
            mode,
            table: Arc::clone(&table),
            round: self.round,
        };
        self.known.insert((frame, level), known);
        table
    }

    /// How many tables it had to decode so far.
    pub const fn decoded(&self) -> u64 {
        self.decoded
    }

    /// How many tables it keeps.
    pub fn kept(&self) -> usize {
        self.known.len()
    }

    /// Ends a round: what was not asked for in it is forgotten.
    pub fn end_round(&mut self) {
        let round = self.round;
        self.known.retain(|_, known| known.round == round);
        self.round += 1;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn runs(level: Level, entries: &[(usize, u64)]) -> Vec<(u64, u16, u16)> {
        let mut words = [0; 512];
        for (index, bits) in entries {
            words[*index] = *bits;
        }
        let words = Arc::from(words);
        let table = DecodedTable::of(TranslationMode::Sv39, level, &words);
        let runs = table.runs().iter();
        runs.map(|run| (run.page(&words).number(), run.first, run.count))
            .collect()
    }

    const RW: u64 = 0b0111;

    /// An entry that is not valid is no leaf, whatever the supervisor keeps in it.
    #[test]
    fn rsw_alone_is_no_leaf() {
        let entries = [(3, 0x80000 << 10 | RW), (5, 0x100), (9, 0x300)];
        assert_eq!(runs(Level::L0, &entries), [(0x80000, 3, 1)]);
    }

    #[test]
    fn a_run_ends_where_frames_or_flags_do() {
        let leaf = |page: u64, flags: u64| page << 10 | flags;
        let entries = [
            (7, leaf(0x80000, RW)),
            (8, leaf(0x80001, RW)),
            (9, leaf(0x80003, RW)),
            (10, leaf(0x80004, RW | 1 << 6)),
            (12, leaf(0x80005, RW | 1 << 6)),
            // The same flags, other bits that are the supervisor's own: still one run.
            (13, leaf(0x80006, RW | 1 << 6 | 1 << 8)),
        ];
        let expected = [
            (0x80000, 7, 2),
            (0x80003, 9, 1),
            (0x80004, 10, 1),
            (0x80005, 12, 2),
        ];
        assert_eq!(runs(Level::L0, &entries), expected);
    }

    #[test]
    fn a_run_ends_in_the_middle_of_a_root_and_at_the_last_frame_there_is() {
        let gib = |number: u64| (number << 18) << 10 | RW;
        let entries = [(254, gib(2)), (255, gib(3)), (256, gib(4)), (257, gib(5))];
        let expected = [(2 << 18, 254, 2), (4 << 18, 256, 2)];
        assert_eq!(runs(Level::L2, &entries), expected);
        let last = (1 << 44) - 1;
        // The frame after the last is none: the carry sets a reserved bit.
        let entries = [(0, last << 10 | RW), (1, (last + 1) << 10 | RW)];
        assert_eq!(runs(Level::L0, &entries), [(last, 0, 1)]);
    }

    #[test]
    fn napot_groups_go_on() {
        let group = |page: u64| (page | 8) << 10 | RW | 1 << 63;
        let entries: Vec<_> = (16..48)
            .map(|index| (index, group(if index < 32 { 0x80000 } else { 0x80010 })))
            .collect();
        assert_eq!(runs(Level::L0, &entries), [(0x80000, 16, 32)]);
        // From the middle of a group on.
        assert_eq!(runs(Level::L0, &entries[3..10]), [(0x80003, 19, 7)]);
    }

    #[test]
    fn what_is_as_it_was_is_not_decoded_again() {
        let mut decoder = Decoder::default();
        let page = PhysPage::from_truncated(0x80000);
        let mut decode = |entries: [u64; 512]| {
            decoder.decode(TranslationMode::Sv39, Level::L0, page, &Arc::from(entries))
        };
        let first = decode([RW; 512]);
        // Read again into other memory, with the same bytes.
        assert!(Arc::ptr_eq(&first, &decode([RW; 512])));
        assert!(!Arc::ptr_eq(&first, &decode([0; 512])));
        assert_eq!((decoder.decoded(), decoder.kept()), (2, 1));
        decoder.end_round();
        assert_eq!(decoder.kept(), 1);
        decoder.end_round();
        assert_eq!(decoder.kept(), 0);
    }
}

//! A table decoded once: its leaves in runs, and the tables that it links.
//!
//! ```text
//!  entries   0 0 P 0 … 0 L L L 0 … L          P pointer, L leaf, 0 not valid
//!  links         2 ▶ frame                    a link for each pointer
//!  runs                  ├───┤       ├        leaves whose frames and flags go on are one run
//! ```
//!
//! What a run says is relative to its table, so that whoever links the table, in whichever space and as often as
//! there are captures, shares what was decoded. A run has 12 bytes: scattered leaves are what makes a space large.

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

/// Entries that are looked at together, to pass over them where none says anything.
const STRIDE: usize = 8;

/// A decoded table.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct DecodedTable {
    runs: Arc<[LeafRun]>,
    links: Box<[TableLink]>,
}

/// Leaves of one table that stand beside each other and lead to frames beside each other, with the same flags.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct LeafRun {
    // The number of the frame that the first entry leads to has 44 bits. Together they would ask for 8-byte alignment.
    page_low: u32,
    page_high: u16,
    first: u16,
    count: u16,
    flags: LeafFlags,
    is_napot: bool,
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
    fn of_leaf(index: usize, page: PhysPage, flags: LeafFlags, is_napot: bool) -> Self {
        let page = page.number();
        Self {
            page_low: page as u32,
            page_high: (page >> 32) as u16,
            // A table has at most 4096 entries.
            first: index as u16,
            count: 1,
            flags,
            is_napot,
        }
    }

    /// The frame that its first entry leads to.
    pub fn page(self) -> PhysPage {
        PhysPage::from_truncated(u64::from(self.page_low) | u64::from(self.page_high) << 32)
    }

    /// Its first entry's place in the table.
    pub const fn first(self) -> u16 {
        self.first
    }

    /// How many entries it has.
    pub const fn count(self) -> u16 {
        self.count
    }

    /// What it maps where its table lies at `place`.
    pub fn range(self, place: Place) -> MappedRange {
        let entry_size = place.mode.entry_size(place.level);
        MappedRange {
            virt: entry_address(
                place.mode,
                place.covers_from,
                place.level,
                usize::from(self.first),
            ),
            phys: self.page().start(),
            size: entry_size * u64::from(self.count),
            page_size: if self.is_napot {
                NAPOT_SIZE
            } else {
                entry_size
            },
            flags: self.flags | place.inherited,
        }
    }
}

impl DecodedTable {
    /// The runs of leaves, in the order of their entries.
    pub const fn runs(&self) -> &Arc<[LeafRun]> {
        &self.runs
    }

    /// The pointers, in the order of their entries.
    pub const fn links(&self) -> &[TableLink] {
        &self.links
    }

    /// Decodes the entries of a table at `level`.
    pub fn of(mode: TranslationMode, level: Level, entries: &[u64]) -> Self {
        let mut decoding = Decoding {
            level,
            entry_pages: mode.entry_size(level) / PAGE_SIZE,
            // The addresses of a root's two halves may lie far apart.
            seam: mode
                .scheme()
                .filter(|scheme| scheme.root_level == level)
                .filter(|scheme| scheme.high_bits == HighBits::SignExtended)
                .map(|_| entries.len() / 2),
            runs: Vec::with_capacity(entries.len()),
            links: Vec::new(),
            expected: 0,
        };
        let (strides, rest) = entries.as_chunks::<STRIDE>();
        for (number, stride) in strides.iter().enumerate() {
            if stride.iter().fold(0, |any, entry| any | entry) == 0 {
                decoding.expected = 0;
                continue;
            }
            for (offset, entry) in stride.iter().enumerate() {
                decoding.entry(number * STRIDE + offset, *entry);
            }
        }
        for (offset, entry) in rest.iter().enumerate() {
            decoding.entry(strides.len() * STRIDE + offset, *entry);
        }
        Self {
            runs: decoding.runs.into(),
            links: decoding.links.into(),
        }
    }
}

/// A table half decoded.
struct Decoding {
    level: Level,
    entry_pages: u64,
    seam: Option<usize>,
    runs: Vec<LeafRun>,
    links: Vec<TableLink>,
    /// The entry that would go on the last run, bit for bit; 0 where there is none.
    expected: u64,
}

impl Decoding {
    fn entry(&mut self, index: usize, bits: u64) {
        if bits & 1 == 0 {
            self.expected = 0;
            return;
        }
        if bits == self.expected
            && self.seam != Some(index)
            && let Some(last) = self.runs.last_mut()
        {
            last.count += 1;
            self.expected = self.after(bits);
            return;
        }
        let pte = Pte::from_bits(bits);
        match pte.classify_as(self.level, self.entry_pages * PAGE_SIZE) {
            PteKind::Leaf(leaf) => {
                let is_napot = pte.is_napot();
                let offset = if is_napot { index as u64 % 16 } else { 0 };
                let page = PhysPage::from_truncated(leaf.page.number() + offset);
                self.leaf(index, page, leaf.flags, is_napot);
                // The sixteen entries of a group are equal and lead to pages that go on.
                self.expected = if is_napot { 0 } else { self.after(bits) };
            }
            PteKind::Pointer(table) => {
                self.links.push(TableLink {
                    index: index as u16,
                    flags: pte.flags(),
                    table,
                });
                self.expected = 0;
            }
            PteKind::Invalid | PteKind::Reserved(_) => self.expected = 0,
        }
    }

    fn leaf(&mut self, index: usize, page: PhysPage, flags: LeafFlags, is_napot: bool) {
        let pages = self.entry_pages;
        match self.runs.last_mut() {
            Some(last)
                if usize::from(last.first + last.count) == index
                    && (last.flags, last.is_napot) == (flags, is_napot)
                    && last.page().number() + pages * u64::from(last.count) == page.number()
                    && self.seam != Some(index) =>
            {
                last.count += 1;
            }
            _ => self
                .runs
                .push(LeafRun::of_leaf(index, page, flags, is_napot)),
        }
    }

    /// The entry like this one for the next frame; 0 where its number does not fit.
    fn after(&self, bits: u64) -> u64 {
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
}

#[derive(Debug)]
struct Known {
    mode: TranslationMode,
    entries: Arc<[u64]>,
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
            && (Arc::ptr_eq(&known.entries, entries) || known.entries == *entries)
        {
            known.round = self.round;
            return Arc::clone(&known.table);
        }
        self.decoded += 1;
        let table = Arc::new(DecodedTable::of(mode, level, entries));
        let known = Known {
            mode,
            entries: Arc::clone(entries),
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
        let table = DecodedTable::of(TranslationMode::Sv39, level, &words);
        let runs = table.runs().iter();
        runs.map(|run| (run.page().number(), run.first(), run.count()))
            .collect()
    }

    const RW: u64 = 0b0111;

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

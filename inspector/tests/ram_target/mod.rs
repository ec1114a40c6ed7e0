//! A machine that is nothing but RAM and a satp, for captures without QEMU; it counts what is asked of it.
//!
//! ```text
//!  0x80000000   frames that leaves lead to
//!  0x84000000   root, then the other tables in the order in which a walk meets them
//! ```
#![allow(
    dead_code,
    unreachable_pub,
    reason = "each program that has it is a crate of its own and uses its part"
)]

use std::sync::Arc;
use std::time::Duration;

use pagescope::link::{
    Address, FoundState, HartId, LinkError, PhysicalAccess, Registers, StopReason, Stub, Target,
    TargetFacts,
};
use pagescope_protocol::walk::TableWords;
use pagescope_protocol::{
    LeafFlags, PhysAddr, PhysPage, PhysRange, Pte, Satp, TranslationMode, VirtAddr,
};

/// Where its RAM begins.
pub const RAM_START: u64 = 0x8000_0000;

/// How much RAM it has: what Pagescope takes a machine to have that does not say it.
pub const RAM_SIZE: u64 = 128 << 20;

/// Where the root table lies.
pub const ROOT: u64 = 0x8400_0000;

/// What may be done through each leaf.
const LEAF_FLAGS: LeafFlags = LeafFlags::READ
    .union(LeafFlags::WRITE)
    .union(LeafFlags::ACCESSED)
    .union(LeafFlags::DIRTY);

/// Entries of a table.
const ENTRIES: usize = 512;

/// Sv39 tables for `leaves` pages of 4 KiB from address 0 on, of which no two go on in physical memory, as the words
/// from [`ROOT`] on.
pub fn scattered(leaves: usize) -> Vec<u64> {
    let last = leaves.div_ceil(ENTRIES);
    let middle = last.div_ceil(ENTRIES);
    assert!(middle <= ENTRIES, "Sv39 has no room for {leaves} leaves");
    let mut words = vec![0; (1 + middle + last) * ENTRIES];
    let pointer = |table: usize| Pte::pointer(frame(ROOT + (table * 4096) as u64)).bits();
    for (table, word) in words.iter_mut().take(middle).enumerate() {
        *word = pointer(1 + table);
    }
    for (table, word) in words.iter_mut().skip(ENTRIES).take(last).enumerate() {
        *word = pointer(1 + middle + table);
    }
    for leaf in 0..leaves {
        words[(1 + middle) * ENTRIES + leaf] = scattered_leaf(leaf).bits();
    }
    words
}

/// The leaf that page `number` of [`scattered`] has.
pub fn scattered_leaf(number: usize) -> Pte {
    // Downwards by three, over the first 64 MiB.
    let frames = (ROOT - RAM_START) / 4096;
    let offset = (3 * number as u64) % frames;
    Pte::leaf(frame(ROOT - (offset + 1) * 4096), LEAF_FLAGS)
}

/// Tables as [`scattered`] makes, with pages as most kernels have them: beside each other in physical memory too, and
/// the upper half of each table empty.
pub fn ordinary(leaves: usize) -> Vec<u64> {
    let mut words = scattered(leaves);
    let first = words.len() - leaves.div_ceil(ENTRIES) * ENTRIES;
    for (number, word) in words[first..].iter_mut().enumerate() {
        let leaf = Pte::leaf(frame(RAM_START + number as u64 * 4096), LEAF_FLAGS);
        let is_mapped = number < leaves && number % ENTRIES < ENTRIES / 2;
        *word = if is_mapped { leaf.bits() } else { 0 };
    }
    words
}

/// How many tables [`scattered`] makes.
pub const fn tables_of(leaves: usize) -> usize {
    let last = leaves.div_ceil(ENTRIES);
    1 + last.div_ceil(ENTRIES) + last
}

fn frame(address: u64) -> PhysPage {
    PhysPage::from_truncated(address / 4096)
}

/// The machine.
#[derive(Debug)]
pub struct RamTarget {
    ram: Vec<u64>,
    satp: Satp,
    facts: TargetFacts,
    /// How often memory was asked for.
    pub rounds: usize,
    /// How many frames were asked for.
    pub frames: usize,
    /// How many of them were copied, because they were not as they had been.
    pub copied: usize,
}

impl RamTarget {
    /// A machine whose only hart runs in the tables that `words` are, from [`ROOT`] on.
    pub fn new(words: &[u64]) -> Self {
        let mut ram = vec![0; (RAM_SIZE / 8) as usize];
        let at = ((ROOT - RAM_START) / 8) as usize;
        ram[at..at + words.len()].copy_from_slice(words);
        Self {
            ram,
            satp: Satp::new(TranslationMode::Sv39, 0, frame(ROOT)),
            facts: TargetFacts {
                address: Address::Unix("nowhere".into()),
                stub: Stub::Other,
                packet_size_bytes: 4096,
                architecture: "riscv:rv64".into(),
                xlen_bits: 64,
                physical: PhysicalAccess::MappedRam,
                found: FoundState::Stopped,
            },
            rounds: 0,
            frames: 0,
            copied: 0,
        }
    }

    /// The word at a physical address.
    pub fn word(&mut self, address: u64) -> &mut u64 {
        &mut self.ram[((address - RAM_START) / 8) as usize]
    }

    /// The entry of page `number` in tables that [`scattered`] made for `leaves` pages.
    pub fn leaf(&mut self, leaves: usize, number: usize) -> &mut u64 {
        let tables = 1 + leaves.div_ceil(ENTRIES).div_ceil(ENTRIES);
        self.word(ROOT + (tables * 4096 + number * 8) as u64)
    }

    /// Forgets what was counted.
    pub fn reset(&mut self) {
        (self.rounds, self.frames, self.copied) = (0, 0, 0);
    }

    fn bytes(&self, range: PhysRange) -> Option<Vec<u8>> {
        let from = range
            .start()
            .checked_offset_from(PhysAddr::new(RAM_START))?;
        let to = from.checked_add(range.size())?;
        if to > RAM_SIZE {
            return None;
        }
        let byte = |at: u64| (self.ram[(at / 8) as usize] >> (at % 8 * 8)) as u8;
        Some((from..to).map(byte).collect())
    }

    fn frame(&self, frame: PhysPage) -> Option<&TableWords> {
        let offset = frame
            .start()
            .checked_offset_from(PhysAddr::new(RAM_START))?;
        let from = usize::try_from(offset / 8).ok()?;
        self.ram
            .get(from..from.checked_add(ENTRIES)?)?
            .try_into()
            .ok()
    }
}

impl Target for RamTarget {
    fn harts(&mut self) -> Result<Vec<HartId>, LinkError> {
        Ok(vec![HartId::new(0)])
    }

    fn registers(&mut self, _hart: HartId) -> Result<Registers, LinkError> {
        Ok(Registers {
            satp: Some(self.satp),
            ..Registers::default()
        })
    }

    fn register(&mut self, _hart: HartId, name: &str) -> Result<Option<u64>, LinkError> {
        Ok((name == "satp").then_some(self.satp.bits()))
    }

    fn read_physical(&mut self, ranges: &[PhysRange]) -> Result<Vec<Option<Vec<u8>>>, LinkError> {
        Ok(ranges.iter().map(|range| self.bytes(*range)).collect())
    }

    fn read_frames_again(
        &mut self,
        frames: &[PhysPage],
        known: &[Option<Arc<TableWords>>],
    ) -> Result<Vec<Option<Arc<TableWords>>>, LinkError> {
        self.rounds += 1;
        self.frames += frames.len();
        let mut answers = Vec::with_capacity(frames.len());
        for (frame, known) in frames.iter().zip(known) {
            let words = self.frame(*frame);
            answers.push(match known {
                Some(known) if words == Some(&**known) => Some(Arc::clone(known)),
                _ => words.map(|words| Arc::new(*words)),
            });
            let is_shared = answers.last().is_some_and(|answer| {
                let both = answer.as_ref().zip(known.as_ref());
                both.is_some_and(|(answer, known)| Arc::ptr_eq(answer, known))
            });
            self.copied += usize::from(!is_shared);
        }
        Ok(answers)
    }

    fn set_breakpoint(&mut self, _address: VirtAddr) -> Result<(), LinkError> {
        Ok(())
    }

    fn clear_breakpoint(&mut self, _address: VirtAddr) -> Result<(), LinkError> {
        Ok(())
    }

    fn resume(&mut self) -> Result<(), LinkError> {
        Ok(())
    }

    fn step(&mut self, _hart: HartId) -> Result<(), LinkError> {
        Ok(())
    }

    fn interrupt(&mut self) -> Result<(), LinkError> {
        Ok(())
    }

    fn wait_for_stop(&mut self, _limit: Duration) -> Result<Option<StopReason>, LinkError> {
        Ok(None)
    }

    fn is_running(&self) -> bool {
        false
    }

    fn monitor(&mut self, _command: &str) -> Result<Option<String>, LinkError> {
        Ok(None)
    }

    fn facts(&self) -> &TargetFacts {
        &self.facts
    }

    fn detach(self: Box<Self>) -> Result<(), LinkError> {
        Ok(())
    }
}

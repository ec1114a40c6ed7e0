//! Scans of memory that is built here; live guests are in `tests/live_guests.rs`.

use super::*;
use crate::link::{
    Address, FoundState, HartId, PhysicalAccess, Registers, StopReason, Stub, TargetFacts,
};
use std::time::Duration;

const RAM: u64 = 0x8000_0000;

/// A guest that is nothing but its memory.
struct Memory {
    bytes: Vec<u8>,
    facts: TargetFacts,
}

impl Memory {
    fn new() -> Self {
        Self {
            bytes: vec![0; 128 << 20],
            facts: TargetFacts {
                address: "127.0.0.1:1".parse::<Address>().expect("an address"),
                stub: Stub::Other,
                packet_size_bytes: 4096,
                architecture: "riscv:rv64".into(),
                xlen_bits: 64,
                physical: PhysicalAccess::GdbPort,
                found: FoundState::Stopped,
            },
        }
    }

    fn put(&mut self, table: u64, index: usize, word: u64) {
        let at = (table - RAM) as usize + index * 8;
        self.bytes[at..at + 8].copy_from_slice(&word.to_le_bytes());
    }

    fn put32(&mut self, table: u64, index: usize, word: u32) {
        let at = (table - RAM) as usize + index * 4;
        self.bytes[at..at + 4].copy_from_slice(&word.to_le_bytes());
    }
}

impl Target for Memory {
    fn harts(&mut self) -> Result<Vec<HartId>, LinkError> {
        Ok(Vec::new())
    }
    fn registers(&mut self, _: HartId) -> Result<Registers, LinkError> {
        Ok(Registers::default())
    }
    fn register(&mut self, _: HartId, _: &str) -> Result<Option<u64>, LinkError> {
        Ok(None)
    }
    fn read_physical(&mut self, ranges: &[PhysRange]) -> Result<Vec<Option<Vec<u8>>>, LinkError> {
        let answers = ranges.iter().map(|range| {
            let from = range.start().as_u64().checked_sub(RAM)? as usize;
            let end = from.checked_add(range.size() as usize)?;
            Some(self.bytes.get(from..end)?.to_vec())
        });
        Ok(answers.collect())
    }
    fn set_breakpoint(&mut self, _: VirtAddr) -> Result<(), LinkError> {
        Ok(())
    }
    fn clear_breakpoint(&mut self, _: VirtAddr) -> Result<(), LinkError> {
        Ok(())
    }
    fn resume(&mut self) -> Result<(), LinkError> {
        Ok(())
    }
    fn step(&mut self, _: HartId) -> Result<(), LinkError> {
        Ok(())
    }
    fn interrupt(&mut self) -> Result<(), LinkError> {
        Ok(())
    }
    fn wait_for_stop(&mut self, _: Duration) -> Result<Option<StopReason>, LinkError> {
        Ok(None)
    }
    fn is_running(&self) -> bool {
        false
    }
    fn monitor(&mut self, _: &str) -> Result<Option<String>, LinkError> {
        Ok(None)
    }
    fn facts(&self) -> &TargetFacts {
        &self.facts
    }
    fn detach(self: Box<Self>) -> Result<(), LinkError> {
        Ok(())
    }
}

fn pointer(to: u64) -> u64 {
    (to >> 12) << 10 | 1
}

fn leaf(to: u64, flags: u64) -> u64 {
    (to >> 12) << 10 | flags
}

/// A space of `mode` with a chain of tables from `root` up through `below`, and leaves at its end.
fn build(memory: &mut Memory, root: u64, below: &[u64], data: u64) {
    let mut table = root;
    for next in below {
        memory.put(table, 0, pointer(*next));
        table = *next;
    }
    for page in 0..16 {
        memory.put(table, page, leaf(data + page as u64 * 4096, 0xd7));
    }
}

fn scanned(memory: &mut Memory, hints: &Hints) -> Vec<Candidate> {
    let machine = MachineMap::virt_128_mib();
    let mut seen = 0;
    let mut progress = |progress: Progress| seen = progress.done;
    let found = scan(memory, &machine, hints, &Cancel::new(), &mut progress).expect("memory");
    assert_eq!(seen, 128 << 20);
    found
}

#[test]
fn roots_of_each_mode_are_found_and_nothing_below_them() {
    let mut memory = Memory::new();
    let at = |number: u64| RAM + 0x10_0000 + number * 4096;
    build(&mut memory, at(0), &[at(1), at(2)], RAM + 0x20_0000);
    build(
        &mut memory,
        at(8),
        &[at(9), at(10), at(11)],
        RAM + 0x20_0000,
    );
    build(
        &mut memory,
        at(16),
        &[at(17), at(18), at(19), at(20)],
        RAM + 0x20_0000,
    );
    // What looks a little like it: text, pointers of a program, a freed page's fill.
    for index in 0..512 {
        memory.put(at(32), index, 0x6f6c_6c65_6820_6968 + index as u64);
        memory.put(at(33), index, RAM + index as u64 * 16);
        memory.put(at(34), index, 0x0101_0101_0101_0101);
    }
    let found = scanned(&mut memory, &Hints::default());
    let mut roots: Vec<(u64, TranslationMode)> = found
        .iter()
        .map(|one| (one.root.start().as_u64(), one.mode))
        .collect();
    roots.sort_by_key(|(root, _)| *root);
    assert_eq!(
        roots,
        [
            (at(0), TranslationMode::Sv39),
            (at(8), TranslationMode::Sv48),
            (at(16), TranslationMode::Sv57),
        ]
    );
}

#[test]
fn what_harts_say_comes_first_and_is_the_reason() {
    let mut memory = Memory::new();
    let at = |number: u64| RAM + 0x10_0000 + number * 4096;
    build(&mut memory, at(0), &[at(1), at(2)], RAM + 0x20_0000);
    build(&mut memory, at(8), &[at(9), at(10)], RAM + 0x20_0000);
    build(&mut memory, at(16), &[at(17), at(18)], RAM + 0x40_0000);
    let page = |number| PhysAddr::new(at(number)).page().expect("a page");
    let hints = Hints {
        running: vec![(TranslationMode::Sv39, page(0), "hart 0".into())],
        anchors: vec![(
            VirtAddr::new(0x3004),
            PhysAddr::new(RAM + 0x20_3004),
            "pc of hart 0".into(),
        )],
        ..Hints::default()
    };
    let found = scanned(&mut memory, &hints);
    let roots: Vec<PhysPage> = found.iter().map(|one| one.root).collect();
    // The second maps the pc where the hart's own tables do, the third elsewhere.
    assert_eq!(roots, [page(0), page(8), page(16)]);
    assert_eq!(found[0].evidence[0], Evidence::Satp("hart 0".into()));
    let has_pc = |one: &Candidate| {
        let is_it = |one: &Evidence| matches!(one, Evidence::SameAddresses(_));
        one.evidence.iter().any(is_it)
    };
    assert!(has_pc(&found[1]) && !has_pc(&found[2]));
    assert!(found[1].score > found[2].score);
}

#[test]
fn an_rv32_machine_has_sv32_roots() {
    let mut memory = Memory::new();
    memory.facts.xlen_bits = 32;
    let (root, table) = (RAM + 0x10_0000, RAM + 0x10_1000);
    memory.put32(root, 5, pointer(table) as u32);
    for page in 0..16 {
        memory.put32(
            table,
            page,
            leaf(RAM + 0x20_0000 + page as u64 * 4096, 0xd7) as u32,
        );
    }
    let hints = Hints {
        xlen: Xlen::Rv32,
        ..Hints::default()
    };
    let found = scanned(&mut memory, &hints);
    assert_eq!(found.len(), 1);
    assert_eq!(found[0].mode, TranslationMode::Sv32);
    assert_eq!(found[0].root.start().as_u64(), root);
}

#[test]
fn a_scan_is_cancelled_between_chunks() {
    let mut memory = Memory::new();
    let cancel = Cancel::new();
    let machine = MachineMap::virt_128_mib();
    let mut calls = 0;
    let flag = cancel.clone();
    let mut progress = |_: Progress| {
        calls += 1;
        flag.cancel();
    };
    let result = scan(
        &mut memory,
        &machine,
        &Hints::default(),
        &cancel,
        &mut progress,
    );
    assert!(matches!(result, Err(LinkError::Cancelled)));
    assert_eq!(calls, 1);
}

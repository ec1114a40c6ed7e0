//! Scans of memory that is built here; live guests are in `tests/live_guests.rs`.

use super::*;
use crate::link::bare_ram::BareRam;

const RAM: u64 = 0x8000_0000;

impl BareRam {
    fn put_entry(&mut self, table: u64, index: usize, word: u64) {
        self.put(table + index as u64 * 8, &word.to_le_bytes());
    }

    fn put_entry32(&mut self, table: u64, index: usize, word: u32) {
        self.put(table + index as u64 * 4, &word.to_le_bytes());
    }
}

fn pointer(to: u64) -> u64 {
    (to >> 12) << 10 | 1
}

fn leaf(to: u64, flags: u64) -> u64 {
    (to >> 12) << 10 | flags
}

/// A space of `mode` with a chain of tables from `root` up through `below`, and leaves at its end.
fn build(memory: &mut BareRam, root: u64, below: &[u64], data: u64) {
    let mut table = root;
    for next in below {
        memory.put_entry(table, 0, pointer(*next));
        table = *next;
    }
    for page in 0..16 {
        memory.put_entry(table, page, leaf(data + page as u64 * 4096, 0xd7));
    }
}

fn scanned(memory: &mut BareRam, hints: &Hints) -> Vec<Candidate> {
    let machine = MachineMap::virt_128_mib();
    let mut seen = 0;
    let mut progress = |progress: Progress| seen = progress.done;
    let found = scan(memory, &machine, hints, &Cancel::new(), &mut progress).expect("memory");
    assert_eq!(seen, 128 << 20);
    found
}

#[test]
fn roots_of_each_mode_are_found_and_nothing_below_them() {
    let mut memory = BareRam::new(128 << 20);
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
        memory.put_entry(at(32), index, 0x6f6c_6c65_6820_6968 + index as u64);
        memory.put_entry(at(33), index, RAM + index as u64 * 16);
        memory.put_entry(at(34), index, 0x0101_0101_0101_0101);
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
    let mut memory = BareRam::new(128 << 20);
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
    let mut memory = BareRam::new(128 << 20);
    memory.facts.xlen_bits = 32;
    let (root, table) = (RAM + 0x10_0000, RAM + 0x10_1000);
    memory.put_entry32(root, 5, pointer(table) as u32);
    for page in 0..16 {
        memory.put_entry32(
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
    let mut memory = BareRam::new(128 << 20);
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

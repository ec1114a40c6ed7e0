//! The pseudos layout, looked at from outside over QEMU's gdb port: each requirement that can be seen there, by
//! its id. The numbers are the requirements' own.

mod support;

use std::sync::Arc;

use pagescope::capture::step::CallStepper;
use pagescope::guest::ElfFile;
use pagescope::link::{Cancel, Target as _};
use pagescope_protocol::snapshot::{Region, Snapshot, Space};
use pagescope_protocol::{LeafFlags, PhysAddr, PhysPage, PteKind, TranslationMode, VirtAddr};
use support::{HANG_GUARD, Machine, monitor};

/// The guest at its first call of kalloc after boot, and what QEMU's monitor says then.
fn booted(commands: &[&str]) -> (Arc<Snapshot>, Vec<String>) {
    let machine = Machine::boot("tables=pool pace=1", false);
    let (mut target, mut capturer, _) = machine.attach_booted();
    let snapshot = capturer.capture(&mut target, "test").expect("a capture");
    let answers = commands
        .iter()
        .map(|command| monitor(&mut target, command))
        .collect();
    Box::new(target).detach().expect("the guest goes on");
    (snapshot, answers)
}

fn space(snapshot: &Snapshot) -> &Space {
    snapshot.space_of_hart(0).expect("hart 0 has a space")
}

fn region<'a>(snapshot: &'a Snapshot, name: &str) -> &'a Region {
    let mut found = snapshot.regions.iter().filter(|region| region.name == name);
    let region = found.next().unwrap_or_else(|| panic!("no region {name}"));
    assert!(found.next().is_none(), "two regions {name}");
    region
}

/// What `virt` is mapped to, and how: `None` where it is not.
fn leaf(space: &Space, virt: u64) -> Option<(PhysAddr, LeafFlags)> {
    let mapped = space.translate(VirtAddr::new(virt)).mapped()?;
    Some((mapped.address, mapped.flags))
}

fn flags(letters: &str) -> LeafFlags {
    LeafFlags::from_letters(letters).expect("letters")
}

#[test]
fn s0_1_ram_and_entry() {
    let (snapshot, answers) = booted(&["info mtree -f"]);
    let ram: Vec<_> = snapshot.ram().collect();
    let [ram] = ram[..] else {
        panic!("{ram:?}");
    };
    assert_eq!(ram.start().as_u64(), 0x8000_0000);
    assert_eq!(ram.end().as_u64(), 0x8800_0000);
    assert!(
        answers[0].contains("0000000080000000-0000000087ffffff (prio 0, ram)"),
        "{}",
        answers[0]
    );
    let machine = region(&snapshot, "machine program");
    assert_eq!(machine.start, 0x8000_0000);
}

#[test]
fn s0_2_sections_ascend_each_with_its_permissions() {
    let (snapshot, _) = booted(&[]);
    let mut lowest = 0x8000_0000;
    for (name, letters) in [
        (".text", "r-x--ad"),
        (".rodata", "r----ad"),
        (".data", "rw---ad"),
        (".bss", "rw---ad"),
        ("guard", ""),
        ("stack", "rw---ad"),
    ] {
        let Region { start, size, .. } = *region(&snapshot, name);
        assert!(start >= lowest && size > 0, "{name} lies at {start:#x}");
        lowest = start + size;
        for page in (start..lowest).step_by(4096) {
            let found = leaf(space(&snapshot), page);
            let expected = (!letters.is_empty()).then(|| (PhysAddr::new(page), flags(letters)));
            assert_eq!(found, expected, "{name} at {page:#x}");
        }
    }
    let heap = region(&snapshot, "heap");
    assert!(heap.start >= lowest, "free memory begins in the image");
}

#[test]
fn s0_3_the_heap_counter_is_in_the_top_256_bytes() {
    let (snapshot, answers) = booted(&["xp /1gx 0x87fffff8"]);
    let heap = snapshot.heap.expect("a heap");
    let address = heap.counter_address.as_u64();
    assert!(
        (0x87ff_ff00..0x8800_0000).contains(&address),
        "{address:#x}"
    );
    assert_eq!(address, 0x87ff_fff8);
    let word = answers[0].split_whitespace().last().expect("a word");
    let word = u64::from_str_radix(word.trim_start_matches("0x"), 16).expect("a number");
    assert_eq!(heap.counter, word, "{}", answers[0]);
}

#[test]
fn s0_4_kalloc_descends_by_a_page_a_call() {
    let machine = Machine::boot("tables=pool pace=1", false);
    let (mut target, mut capturer, stepper) = machine.attach_booted();
    let before = capturer.capture(&mut target, "before").expect("a capture");
    let before = before.heap.expect("a heap").counter;
    let returned = stepper
        .step(&mut target, &Cancel::new(), HANG_GUARD)
        .expect("kalloc returns");
    assert_eq!(returned.value, 0x87ff_e000 - before * 4096);
    let after = capturer.capture(&mut target, "after").expect("a capture");
    assert_eq!(after.heap.expect("a heap").counter, before + 1);
    Box::new(target).detach().expect("the guest goes on");
}

#[test]
fn s0_5_devices_are_mapped_where_they_are() {
    let (snapshot, _) = booted(&[]);
    for address in [0x1000_0000, 0x3000_0000, 0x3fff_f000] {
        let found = leaf(space(&snapshot), address);
        assert_eq!(found, Some((PhysAddr::new(address), flags("rw---ad"))));
    }
}

#[test]
fn s0_6_l2_to_l1_to_l0_which_holds_their_leaves() {
    let (snapshot, _) = booted(&[]);
    let space = space(&snapshot);
    let table = |frame: u64| {
        let frame = PhysPage::from_truncated(frame / 4096);
        space.table(frame).expect("a table")
    };
    let entry = |frame: u64, index: usize| {
        let table = table(frame);
        table
            .entry(index)
            .expect("it was read")
            .classify(table.level)
    };
    let page = |frame: u64| PhysPage::from_truncated(frame / 4096);
    assert_eq!(space.root.start().as_u64(), 0x87ff_c000);
    assert_eq!(entry(0x87ff_c000, 2), PteKind::Pointer(page(0x87ff_d000)));
    assert_eq!(entry(0x87ff_d000, 63), PteKind::Pointer(page(0x87ff_e000)));
    for (index, frame) in [(508, 0x87ff_c000), (509, 0x87ff_d000), (510, 0x87ff_e000)] {
        let PteKind::Leaf(leaf) = entry(0x87ff_e000, index) else {
            panic!("entry {index} is no leaf");
        };
        assert_eq!((leaf.page, leaf.flags), (page(frame), flags("rw---ad")));
    }
}

#[test]
fn s0_8_the_boot_map_has_counter_and_first_pages_where_they_are_drawn() {
    let (snapshot, answers) = booted(&["gva2gpa 0x87fff000", "gva2gpa 0x87ffe000"]);
    for page in [0x87ff_f000, 0x87ff_e000, 0x87ff_d000, 0x87ff_c000] {
        let found = leaf(space(&snapshot), page);
        assert_eq!(found, Some((PhysAddr::new(page), flags("rw---ad"))));
    }
    for (answer, page) in answers.iter().zip(["0x87fff000", "0x87ffe000"]) {
        assert!(answer.contains(&format!("gpa: {page}")), "{answer}");
    }
}

#[test]
fn s1_4_the_root_is_mapped_before_s_mode_starts() {
    let machine = Machine::boot("tables=pool", true);
    let mut target = machine.attach();
    let elf = ElfFile::open(&machine.elf).expect("our own ELF");
    let first = CallStepper {
        symbol: "_start".into(),
        entry: elf.address_of("_start").expect("the supervisor program's"),
    };
    let hart = first
        .run_to_entry(&mut target, &Cancel::new(), HANG_GUARD)
        .expect("S-mode starts");
    let satp = target.registers(hart).expect("registers").satp;
    let satp = satp.expect("QEMU shows satp");
    assert_eq!(satp.mode(), TranslationMode::Sv39);
    assert_eq!(satp.root().start().as_u64(), 0x87ff_c000);
    // Its own first instruction is fetched through these tables.
    let answer = monitor(&mut target, &format!("gva2gpa {}", first.entry));
    assert!(
        answer.contains(&format!("gpa: {}", first.entry)),
        "{answer}"
    );
    Box::new(target).detach().expect("the guest goes on");
}

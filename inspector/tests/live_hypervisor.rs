//! The hypervisor layout, looked at from outside over QEMU's gdb port: each requirement that can be seen there,
//! by its id, on every hart. The numbers are the requirements' own.

mod support;

use std::collections::BTreeSet;
use std::ops::Range;
use std::sync::Arc;
use std::time::Instant;

use pagescope::capture::Capturer;
use pagescope::capture::step::CallStepper;
use pagescope::guest::ElfFile;
use pagescope::link::{Cancel, GdbTarget, HartId, Target as _};
use pagescope::model::space_difference::SpaceDifference;
use pagescope_protocol::snapshot::{Snapshot, Space, SpaceKind, TraceEvent, TraceKind};
use pagescope_protocol::{
    LeafFlags, Level, PhysAddr, PhysPage, PhysRange, Pte, PteKind, TranslationMode, VirtAddr,
};
use support::console::Console;
use support::{HANG_GUARD, Machine, monitor};

const HARTS: u32 = 4;

/// Where S2.1 puts everything.
const KERNEL_IMAGE: u64 = 0xffff_ffc0_0000_0000;
const CPU_STRUCT: u64 = 0xffff_ffc0_4000_0000;
const LINEAR_MAP: u64 = 0xffff_ffe0_0000_0000;

/// RAM; and the part of it that is the machine program's, which is mapped nowhere.
const RAM: Range<u64> = 0x8000_0000..0x8800_0000;
const MACHINE_SIZE: u64 = 2 << 20;

/// The address of a function of the guest's.
fn stepper(elf: &ElfFile, symbol: &str) -> CallStepper {
    CallStepper {
        symbol: symbol.into(),
        entry: elf.address_of(symbol).expect("a real symbol"),
    }
}

/// The guest from reset to the entry of this function; the hart that came there.
fn run_to(symbol: &str) -> (Machine, GdbTarget, Capturer, HartId) {
    let machine = Machine::boot_layout("hypervisor", "pace=1", HARTS, true);
    let mut target = machine.attach();
    let elf = Arc::new(ElfFile::open(&machine.elf).expect("our own ELF"));
    let stepper = stepper(&elf, symbol);
    let capturer = Capturer::new(&mut target, Some(elf)).expect("QEMU says what it has");
    let hart = stepper
        .run_to_entry(&mut target, &Cancel::new(), HANG_GUARD)
        .expect("our kernel boots");
    (machine, target, capturer, hart)
}

/// The guest at its idle loop, all harts under their final tables.
fn booted() -> Arc<Snapshot> {
    let (_machine, mut target, mut capturer, _) = run_to("idle");
    let snapshot = capturer.capture(&mut target, "test").expect("a capture");
    Box::new(target).detach().expect("the guest goes on");
    snapshot
}

fn space(snapshot: &Snapshot, hart: u32) -> &Space {
    snapshot.space_of_hart(hart).expect("the hart has a space")
}

fn spaces(snapshot: &Snapshot) -> impl Iterator<Item = (u32, &Space)> {
    (0..HARTS).map(|hart| (hart, space(snapshot, hart)))
}

/// What `virt` is mapped to, and how: `None` where it is not.
fn leaf(space: &Space, virt: u64) -> Option<(PhysAddr, LeafFlags)> {
    let mapped = space.translate(VirtAddr::new(virt)).mapped()?;
    Some((mapped.address, mapped.flags))
}

/// What stands in the space at `virt`, as an address and letters.
fn seen(space: &Space, virt: u64) -> Option<(u64, String)> {
    leaf(space, virt).map(|(phys, flags)| (phys.as_u64(), flags.to_string()))
}

fn at(phys: u64, letters: &str) -> Option<(u64, String)> {
    Some((phys, letters.into()))
}

/// The region of this name that counts in this space, at virtual addresses.
fn region(snapshot: &Snapshot, name: &str, space: &Space) -> Range<u64> {
    let named = snapshot.regions.iter().filter(|region| {
        region.name == name && region.virtual_range().is_some() && region.counts_in(&space.name)
    });
    let found: Vec<_> = named.collect();
    let [region] = found[..] else {
        panic!("{} regions {name} in {}", found.len(), space.name);
    };
    region.start..region.start + region.size
}

fn is_cpu_struct(virt: u64) -> bool {
    (CPU_STRUCT..CPU_STRUCT + (1 << 30)).contains(&virt)
}

/// Eight bytes of RAM.
fn word(target: &mut GdbTarget, phys: u64) -> u64 {
    let range = PhysRange::new(PhysAddr::new(phys), 8).expect("a word");
    let read = target.read_physical(&[range]).expect("the link stands");
    let bytes = read[0].as_deref().expect("RAM is read");
    u64::from_le_bytes(bytes.try_into().expect("eight bytes"))
}

#[test]
fn s2_1_image_cpu_struct_and_linear_map() {
    let snapshot = booted();
    for (hart, space) in spaces(&snapshot) {
        assert_eq!(space.mode, TranslationMode::Sv39);
        let first = KERNEL_IMAGE + MACHINE_SIZE;
        assert_eq!(region(&snapshot, ".text", space).start, first);
        assert_eq!(seen(space, first), at(RAM.start + MACHINE_SIZE, "r-x-gad"));
        assert_eq!(region(&snapshot, "cpu info", space).start, CPU_STRUCT);
        let (_, letters) = seen(space, CPU_STRUCT).expect("the cpu info page");
        assert_eq!(letters, "rw---ad", "hart {hart}");
        let linear = region(&snapshot, "linear map", space);
        assert_eq!(linear, LINEAR_MAP..LINEAR_MAP + (RAM.end - RAM.start));
        let last = LINEAR_MAP + (RAM.end - RAM.start) - 0x1000;
        assert_eq!(seen(space, last), at(RAM.end - 0x1000, "rw--gad"));
        for hole in [
            KERNEL_IMAGE,
            first - 1,
            LINEAR_MAP,
            LINEAR_MAP + MACHINE_SIZE - 1,
            last + 0x1000,
        ] {
            assert_eq!(leaf(space, hole), None, "{hole:#x} on hart {hart}");
        }
    }
}

/// The image's permissions, and that the linear map is no way around them.
#[test]
fn s2_1_each_section_has_its_permissions_by_every_address() {
    let snapshot = booted();
    for (hart, space) in spaces(&snapshot) {
        let mut image_end = 0;
        for (name, letters) in [
            (".text", "r-x-gad"),
            (".rodata", "r---gad"),
            (".data", "rw--gad"),
            (".bss", "rw--gad"),
        ] {
            let section = region(&snapshot, name, space);
            assert!(section.start >= image_end && !section.is_empty(), "{name}");
            image_end = section.end;
            for page in section.step_by(0x1000) {
                let offset = page - KERNEL_IMAGE;
                let phys = RAM.start + offset;
                assert_eq!(seen(space, page), at(phys, letters), "{name}, hart {hart}");
                let alias = seen(space, LINEAR_MAP + offset);
                assert_eq!(alias, at(phys, "r---gad"), "{name}, hart {hart}");
            }
        }
        assert_eq!(leaf(space, image_end), None);
        let behind = LINEAR_MAP + (image_end - KERNEL_IMAGE);
        let (_, letters) = seen(space, behind).expect("memory behind the image");
        assert_eq!(letters, "rw--gad");
    }
}

#[test]
fn s2_2_devices_at_their_own_addresses() {
    let snapshot = booted();
    for (_, space) in spaces(&snapshot) {
        for address in [0x1000_0000, 0x3000_0000, 0x3fff_f000] {
            assert_eq!(seen(space, address), at(address, "rw--gad"));
        }
        let low = space.mappings.iter();
        let low: Vec<_> = low
            .filter(|mapping| mapping.virt.as_u64() < 1 << 38)
            .map(|mapping| (mapping.virt.as_u64(), mapping.size))
            .collect();
        assert_eq!(low, [(0x1000_0000, 0x1000), (0x3000_0000, 256 << 20)]);
    }
}

/// At the first address of the high half: the tables are one page of gigapages, in the image.
#[test]
fn s2_3_four_gigapages_and_nothing_allocated() {
    let (_machine, mut target, mut capturer, hart) = run_to("in_high_half");
    assert_eq!(hart, HartId::new(0));
    let satp = target.registers(hart).expect("registers").satp;
    let satp = satp.expect("QEMU shows satp");
    assert_eq!(satp.mode(), TranslationMode::Sv39);
    let root = satp.root().start();
    let entries: Vec<_> = (0..512)
        .map(|index| Pte::from_bits(word(&mut target, root.as_u64() + index * 8)))
        .enumerate()
        .filter(|(_, entry)| entry.is_valid())
        .map(|(index, entry)| match entry.classify(Level::L2) {
            PteKind::Leaf(leaf) => (index, leaf.page.start().as_u64(), leaf.flags.to_string()),
            kind => panic!("entry {index} is {kind:?}"),
        })
        .collect();
    let expected = [
        (0, 0, "rw---ad"),
        (2, RAM.start, "rwx--ad"),
        (256, RAM.start, "rwx--ad"),
        (384, RAM.start, "rw---ad"),
    ];
    let expected = expected.map(|(index, start, letters)| (index, start, letters.to_owned()));
    assert_eq!(entries, expected);
    let elf = capturer.elf().expect("it was given").clone();
    let data = ["__data_start", "__data_end"]
        .map(|symbol| elf.address_of(symbol).expect("a symbol").as_u64() - KERNEL_IMAGE);
    let offset = root.as_u64() - RAM.start;
    assert!((data[0]..data[1]).contains(&offset), "it lies at {root}");
    // The heap counter's page has not been touched yet: QEMU's RAM begins as zeros.
    assert_eq!(word(&mut target, RAM.end - 8), 0);
    let snapshot = capturer.capture(&mut target, "boot").expect("a capture");
    assert_eq!(space(&snapshot, 0).tables.len(), 1);
    Box::new(target).detach().expect("the guest goes on");
}

/// Hart after hart comes to the same address, under the boot table, and says in tp which it is (S2.6).
#[test]
fn s2_4_s2_6_every_hart_jumps_high_with_its_number_in_tp() {
    let (machine, mut target, mut capturer, first) = run_to("in_high_half");
    let elf = ElfFile::open(&machine.elf).expect("our own ELF");
    let high = stepper(&elf, "in_high_half");
    let mut hart = first;
    for number in 0..HARTS {
        if number > 0 {
            hart = high
                .run_to_entry(&mut target, &Cancel::new(), HANG_GUARD)
                .expect("the next hart comes");
        }
        assert_eq!(hart, HartId::new(number));
        let pc = target.register(hart, "pc").expect("QEMU").expect("pc");
        assert!((KERNEL_IMAGE..CPU_STRUCT).contains(&pc), "{pc:#x}");
        let tp = target.register(hart, "tp").expect("QEMU").expect("tp");
        assert_eq!(tp, u64::from(number));
        // Once hart 0 has said so, the boot table's space has a name; those before are in their own.
        if number > 0 {
            let snapshot = capturer.capture(&mut target, "test").expect("a capture");
            let boot = snapshot.space_named("boot").expect("the boot space");
            assert_eq!(boot.harts, [number]);
            assert_eq!(
                space(&snapshot, number - 1).name,
                format!("hart {}", number - 1)
            );
        }
    }
    Box::new(target).detach().expect("the guest goes on");
}

/// The list as it lies in RAM, before anything was ever freed: from the next page down to the image, each link a
/// linear pointer.
#[test]
fn s2_5_all_memory_is_linked_through_linear_pointers() {
    let (_machine, mut target, mut capturer, _) = run_to("idle");
    let snapshot = capturer.capture(&mut target, "test").expect("a capture");
    let heap = snapshot.heap.expect("the kernel says where");
    let (next, bottom) = (heap.next.as_u64(), heap.bottom.as_u64());
    let top = heap.top.as_u64();
    assert_eq!(top, RAM.end - 0x2000);
    assert_eq!(heap.counter, (top - next) / 0x1000, "nothing was freed");
    let pages: Vec<u64> = (bottom..=next).step_by(0x1000).collect();
    let words: Vec<_> = pages
        .iter()
        .map(|page| PhysRange::new(PhysAddr::new(*page), 16).expect("two words"))
        .collect();
    let read = target.read_physical(&words).expect("the link stands");
    assert!(pages.len() > 30_000, "{} pages", pages.len());
    for (page, bytes) in pages.iter().zip(read) {
        let bytes = bytes.expect("RAM is read");
        let (link, fill) = bytes.split_at(8);
        let link = u64::from_le_bytes(link.try_into().expect("eight bytes"));
        let below = LINEAR_MAP + (page - 0x1000 - RAM.start);
        let expected = if *page == bottom { 0 } else { below };
        assert_eq!(link, expected, "in {page:#x}");
        assert_eq!(fill, [0x5a; 8], "in {page:#x}");
    }
    Box::new(target).detach().expect("the guest goes on");
}

/// Once the cpu struct is there, tp says nothing any more, and the struct says which hart it is.
#[test]
fn s2_6_the_cpu_struct_says_which_hart_it_is() {
    let (_machine, mut target, mut capturer, _) = run_to("idle");
    let snapshot = capturer.capture(&mut target, "test").expect("a capture");
    for (hart, space) in spaces(&snapshot) {
        let id = HartId::new(hart);
        let tp = target.register(id, "tp").expect("QEMU").expect("tp");
        assert!(tp >= u64::from(HARTS), "tp of hart {hart} is {tp}");
        let sp = target.register(id, "sp").expect("QEMU").expect("sp");
        assert!(is_cpu_struct(sp), "sp of hart {hart} is {sp:#x}");
        let (info, _) = leaf(space, CPU_STRUCT).expect("the cpu info page");
        assert_eq!(word(&mut target, info.as_u64()), u64::from(hart));
    }
    Box::new(target).detach().expect("the guest goes on");
}

#[test]
fn s2_7_the_same_address_reaches_another_frame_on_each_hart() {
    let snapshot = booted();
    let mut roots = BTreeSet::new();
    for (hart, space) in spaces(&snapshot) {
        assert!(roots.insert(space.root), "hart {hart} shares its root");
        assert_eq!(space.harts, [hart]);
        assert_eq!(space.name, format!("hart {hart}"));
        assert_eq!(space.kind, Some(SpaceKind::Hart));
        // Tables and all: nothing of one hart's is another's.
        assert_eq!(space.tables.len(), 9, "hart {hart}");
    }
    let frames: BTreeSet<PhysPage> = spaces(&snapshot)
        .flat_map(|(_, space)| space.tables.iter().map(|table| table.frame))
        .collect();
    assert_eq!(frames.len(), 9 * HARTS as usize);
    for page in (CPU_STRUCT..CPU_STRUCT + 0xf000).step_by(0x1000) {
        let found: Vec<_> = spaces(&snapshot)
            .filter_map(|(_, space)| leaf(space, page))
            .collect();
        let frames: BTreeSet<PhysAddr> = found.iter().map(|(phys, _)| *phys).collect();
        assert_eq!(frames.len(), found.len(), "{page:#x} shares a frame");
        assert!(found.is_empty() || found.len() == HARTS as usize);
    }
    for hart in 1..HARTS {
        let difference =
            SpaceDifference::between(&snapshot, space(&snapshot, 0), space(&snapshot, hart));
        assert!(!difference.ranges.is_empty());
        for range in &difference.ranges {
            assert!(is_cpu_struct(range.start), "{:#x} differs", range.start);
            assert_eq!(range.kind.word(), "frame");
        }
        let differs: u64 = difference.ranges.iter().map(|range| range.size).sum();
        assert_eq!(differs, 13 * 0x1000, "info, 8 of stack, 4 of trap stack");
    }
}

#[test]
fn s2_8_all_global_but_the_cpu_struct() {
    let snapshot = booted();
    for (hart, space) in spaces(&snapshot) {
        for mapping in &space.mappings {
            let is_global = mapping.flags.contains(LeafFlags::GLOBAL);
            let virt = mapping.virt;
            let is_own = is_cpu_struct(virt.as_u64());
            assert_eq!(is_global, !is_own, "{virt} on hart {hart}");
            assert!(!mapping.flags.contains(LeafFlags::USER), "{virt}");
            let both = LeafFlags::WRITE | LeafFlags::EXECUTE;
            assert!(!mapping.flags.contains(both), "{virt}");
        }
    }
}

#[test]
fn s2_9_a_guard_between_the_info_page_and_the_stack() {
    let snapshot = booted();
    for (hart, space) in spaces(&snapshot) {
        let pieces = ["cpu info", "guard", "cpu stack", "trap guard", "trap stack"];
        let mut end = CPU_STRUCT;
        for name in pieces {
            let piece = region(&snapshot, name, space);
            assert_eq!(piece.start, end, "{name} on hart {hart}");
            end = piece.end;
            let letters = (!name.ends_with("guard")).then_some("rw---ad");
            for page in piece.step_by(0x1000) {
                let found = seen(space, page).map(|(_, letters)| letters);
                assert_eq!(found.as_deref(), letters, "{page:#x} on hart {hart}");
            }
        }
        assert_eq!(leaf(space, end), None);
    }
}

/// A hart that overflows its stack: its own registers say where the fault was.
#[test]
fn s2_9_an_overflow_faults_in_the_guard() {
    let machine = Machine::boot_layout("hypervisor", "pace=0", HARTS, false);
    let mut console = Console::open(&machine);
    for hart in [3, 1] {
        let answer = console.ask(&format!("fault guard {hart}"));
        assert!(answer.contains(&format!("hart {hart} goes on")), "{answer}");
        let mut target = machine.attach();
        let mut register = |name| {
            let found = target.register(HartId::new(hart), name);
            found.expect("QEMU").expect(name)
        };
        // A store page fault, reported on the trap stack; the hart is back on its own.
        assert_eq!(register("scause"), 15);
        let guard = CPU_STRUCT + 0x1000..CPU_STRUCT + 0x2000;
        assert!(guard.contains(&register("stval")), "hart {hart}");
        assert!((guard.end..CPU_STRUCT + 0xa000).contains(&register("sp")));
        Box::new(target).detach().expect("the guest goes on");
    }
}

/// RAM's own addresses lead nowhere, in our walk and in QEMU's.
#[test]
fn s2_10_no_identity_mapping_of_ram() {
    let (_machine, mut target, mut capturer, _) = run_to("idle");
    let snapshot = capturer.capture(&mut target, "test").expect("a capture");
    for (hart, space) in spaces(&snapshot) {
        for mapping in &space.mappings {
            let start = mapping.virt.as_u64();
            let overlaps = start < RAM.end && start + mapping.size > RAM.start;
            assert!(
                !overlaps || start >= LINEAR_MAP,
                "{start:#x} on hart {hart}"
            );
        }
        for address in [RAM.start, RAM.start + MACHINE_SIZE, RAM.end - 0x1000] {
            assert_eq!(leaf(space, address), None, "{address:#x} on hart {hart}");
        }
    }
    for address in [RAM.start, RAM.start + MACHINE_SIZE, RAM.end - 0x1000] {
        let answer = monitor(&mut target, &format!("gva2gpa {address:#x}"));
        assert!(answer.contains("Unmapped"), "{address:#x}: {answer}");
    }
    let answer = monitor(&mut target, &format!("gva2gpa {LINEAR_MAP:#x}+0x200000"));
    assert!(answer.contains("gpa: 0x80200000"), "{answer}");
    Box::new(target).detach().expect("the guest goes on");
}

#[test]
fn s2_11_the_kernel_says_what_a_pointer_is() {
    let machine = Machine::boot_layout("hypervisor", "pace=0", HARTS, false);
    let mut console = Console::open(&machine);
    for (address, class) in [
        ("0xffffffc000200000", "image"),
        ("0xffffffc040000000", "cpu"),
        ("0xffffffe000200000", "linear"),
        ("0x10000000", "device"),
        ("0x80200000", "user"),
        ("0", "none"),
        ("0x8000000000", "none"),
    ] {
        let answer = console.ask(&format!("class {address}"));
        assert!(answer.contains(&format!("is {class}: ")), "{answer}");
    }
}

/// RAM is seen at two distances only: the image's and the linear map's.
#[test]
fn s2_12_ram_is_seen_at_two_distances_only() {
    let snapshot = booted();
    let distances = [KERNEL_IMAGE, LINEAR_MAP].map(|base| base.wrapping_sub(RAM.start));
    for (hart, space) in spaces(&snapshot) {
        let of_ram = space.mappings.iter().filter(|mapping| {
            RAM.contains(&mapping.phys.as_u64()) && !is_cpu_struct(mapping.virt.as_u64())
        });
        let found: BTreeSet<u64> = of_ram
            .map(|mapping| mapping.virt.as_u64().wrapping_sub(mapping.phys.as_u64()))
            .collect();
        assert_eq!(found, BTreeSet::from(distances), "hart {hart}");
    }
}

/// The events of boot say of each hart what was mapped for it, how, and by whom: every page that is mapped, once.
#[test]
fn every_mapping_of_boot_has_an_event_with_its_caller() {
    let snapshot = booted();
    for (hart, space) in spaces(&snapshot) {
        let is_its = |event: &&Arc<TraceEvent>| {
            event.kind == TraceKind::Map && event.space.as_deref() == Some(&*space.name)
        };
        let mut told = 0;
        for event in snapshot.trace.iter().filter(is_its) {
            told += event.size;
            assert_eq!(event.hart, u64::from(hart));
            for offset in (0..event.size).step_by(0x1000) {
                let found = leaf(space, event.address + offset);
                let phys = PhysAddr::new(event.argument + offset);
                let flags = event.flags.expect("a mapping has flags");
                assert_eq!(found, Some((phys, flags)), "{:#x}", event.address);
            }
            assert!(!event.symbol.contains("build"), "{}", event.symbol);
            let text = region(&snapshot, ".text", space);
            assert!(text.contains(&event.caller.as_u64()), "{}", event.caller);
        }
        let mapped: u64 = space.mappings.iter().map(|mapping| mapping.size).sum();
        assert_eq!(told, mapped, "hart {hart}");
    }
}

/// What four harts did at once is read from the kernel's memory afterwards.
#[test]
fn s2_13_as_many_pages_are_handed_out_after_the_stress() {
    let machine = Machine::boot_layout("hypervisor", "pace=0", HARTS, false);
    let mut console = Console::open(&machine);
    let look = || {
        let mut target = machine.attach();
        let elf = ElfFile::open(&machine.elf).expect("our own ELF");
        let mut capturer = Capturer::new(&mut target, Some(Arc::new(elf))).expect("QEMU");
        let snapshot = capturer.capture(&mut target, "test").expect("a capture");
        Box::new(target).detach().expect("the guest goes on");
        snapshot
    };
    let before = look();
    let begun = Instant::now();
    let answer = console.ask("stress 20000");
    assert!(
        answer.contains("4 harts, 80000 kallocs, 80000 kfrees"),
        "{answer}"
    );
    assert!(answer.contains("; 0 errors"), "{answer}");
    assert!(begun.elapsed() < HANG_GUARD);
    let after = look();
    let counter = |snapshot: &Snapshot| snapshot.heap.expect("a heap").counter;
    assert_eq!(counter(&before), counter(&after));
    // Each did its part: of a run that the ring holds from end to end, the events are counted.
    let answer = console.ask("stress 100");
    assert!(answer.contains("400 kallocs"), "{answer}");
    let last = |snapshot: &Snapshot| snapshot.trace.iter().map(|event| event.sequence).max();
    let first = last(&after).expect("events");
    let shorter = look();
    for hart in 0..HARTS {
        let kallocs = shorter
            .trace
            .iter()
            .filter(|event| {
                event.sequence > first
                    && event.kind == TraceKind::Kalloc
                    && event.hart == u64::from(hart)
            })
            .count();
        assert_eq!(kallocs, 100, "hart {hart}");
    }
}

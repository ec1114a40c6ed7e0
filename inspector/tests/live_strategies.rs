//! The four ways of self-mapping, looked at from outside over QEMU's gdb port: what the kernel claims
//! about its tables counts when it is found in them.

mod support;

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use pagescope::link::{GdbTarget, HartId, Target as _};
use pagescope_protocol::snapshot::{KernelFacts, Snapshot, Space};
use pagescope_protocol::{LeafFlags, Level, PhysPage, PhysRange, VirtAddr};
use support::console::Console;
use support::{HANG_GUARD, Machine, monitor};

/// A strategy, the tables that it has at boot, and those after [`LINES`].
const STRATEGIES: [(&str, usize, usize); 4] = [
    ("pool", 6, 12),
    ("self-leaf", 6, 12),
    ("mirror", 11, 20),
    ("demand", 11, 20),
];

/// What is done to the space before it is looked at: three fresh GiB, with a leaf of each size, and
/// two 2 MiB of one GiB.
const LINES: [&str; 5] = [
    "map 0x100000000",
    "map 0x100200000 3",
    "map 0x140000000 2M",
    "map 0x2000001000",
    "map 0x180000000 1G",
];

/// Our kernel at its console, with nobody attached.
struct AtConsole {
    machine: Machine,
    console: Console,
}

impl AtConsole {
    fn boot(strategy: &str) -> Self {
        let machine = Machine::boot(&format!("tables={strategy} pace=0"), false);
        let console = Console::open(&machine);
        Self { machine, console }
    }

    /// Types a line; gives what is answered.
    fn ask(&mut self, line: &str) -> String {
        self.console.ask(line)
    }

    /// Attaches when the hart is in S-mode: in M-mode, which it enters for each byte of the console,
    /// QEMU translates nothing.
    fn attach_in_s_mode(&self) -> GdbTarget {
        const SUPERVISOR: u64 = 1;
        let deadline = Instant::now() + HANG_GUARD;
        while Instant::now() < deadline {
            let mut target = self.machine.attach();
            let mode = target.register(HartId::new(0), "priv").expect("QEMU");
            if mode == Some(SUPERVISOR) {
                return target;
            }
            Box::new(target).detach().expect("the guest goes on");
            // It is given the time to come to where it waits.
            std::thread::sleep(Duration::from_millis(20));
        }
        panic!("the hart is in M-mode all the time");
    }

    /// Looks at everything, and leaves the guest running.
    fn look(&self) -> std::sync::Arc<Snapshot> {
        let mut target = self.machine.attach();
        let elf = pagescope::guest::ElfFile::open(&self.machine.elf).expect("our own ELF");
        let mut capturer =
            pagescope::capture::Capturer::new(&mut target, Some(elf.into())).expect("QEMU answers");
        let snapshot = capturer.capture(&mut target, "test").expect("a capture");
        Box::new(target).detach().expect("the guest goes on");
        snapshot
    }
}

fn space(snapshot: &Snapshot) -> &Space {
    snapshot.space_of_hart(0).expect("hart 0 has a space")
}

fn facts(snapshot: &Snapshot) -> &KernelFacts {
    snapshot.kernel.as_ref().expect("our kernel says so")
}

/// Every frame that is a table, with its highest level and what it covers there.
fn tables(space: &Space) -> BTreeMap<PhysPage, (Level, VirtAddr)> {
    let mut tables = BTreeMap::new();
    for table in &space.tables {
        let place = (table.level, table.covers_from);
        let known = tables.entry(table.frame).or_insert(place);
        if table.level > known.0 {
            *known = place;
        }
    }
    tables
}

/// Every address at which the first byte of `frame` is seen, and the flags there.
fn windows(space: &Space, frame: PhysPage) -> Vec<(VirtAddr, LeafFlags)> {
    let seen = space.mappings.iter().filter_map(|mapping| {
        let offset = frame.start().checked_offset_from(mapping.phys)?;
        let inside = offset < mapping.size;
        inside.then(|| (mapping.virt.wrapping_add(offset), mapping.flags))
    });
    seen.collect()
}

/// An address by its three indices.
fn at(root: u64, l1: u64, l0: u64) -> VirtAddr {
    let bits = root << 30 | l1 << 21 | l0 << 12;
    VirtAddr::new((bits << 25).cast_signed().wrapping_shr(25).cast_unsigned())
}

/// Where the documents say that a table is seen.
fn expected_window(strategy: &str, frame: PhysPage, level: Level, covers: VirtAddr) -> VirtAddr {
    let (i, j) = (covers.as_u64() >> 30 & 511, covers.as_u64() >> 21 & 511);
    match (strategy, level) {
        ("pool", _) => VirtAddr::new(frame.start().as_u64()),
        ("self-leaf", Level::L0) => at(i, j, 510),
        ("self-leaf", Level::L1) => at(511, i, 510),
        ("self-leaf", _) => at(511, 511, 510),
        (_, Level::L0) => at(511, i, j),
        (_, Level::L1) => at(511, 510, i),
        _ => at(511, 510, 510),
    }
}

/// Holds 1: all tables found, one window each that translates to its frame, by our walk and by QEMU's.
#[test]
fn every_table_has_one_window_and_it_leads_there() {
    for (strategy, at_boot, later) in STRATEGIES {
        let mut guest = AtConsole::boot(strategy);
        for count in [at_boot, later] {
            let snapshot = guest.look();
            assert_eq!(facts(&snapshot).strategy, strategy);
            let space = space(&snapshot);
            let tables = tables(space);
            assert_eq!(tables.len(), count, "{strategy}: {tables:#x?}");
            let mut target = guest.attach_in_s_mode();
            for (frame, (level, covers)) in &tables {
                let expected = expected_window(strategy, *frame, *level, *covers);
                let found = windows(space, *frame);
                let writable: Vec<_> = found
                    .iter()
                    .filter(|(_, flags)| flags.contains(LeafFlags::WRITE))
                    .collect();
                let [(virt, flags)] = writable[..] else {
                    panic!("{strategy}: {frame} is seen at {found:?}");
                };
                assert_eq!(*virt, expected, "{strategy}: {level} {frame}");
                assert_eq!(flags.to_string(), "rw---ad");
                let answer = monitor(&mut target, &format!("gva2gpa {virt}"));
                let gpa = format!("gpa: {:#x}", frame.start().as_u64());
                assert_eq!(answer.trim(), gpa, "{strategy}: {virt}");
            }
            Box::new(target).detach().expect("the guest goes on");
            if count == at_boot {
                for line in LINES {
                    let answer = guest.ask(line);
                    assert!(answer.contains(" -> 0x8"), "{strategy}: {answer}");
                }
            }
        }
        // And back again: no table is left over, no page lost.
        for line in [
            "unmap 0x100000000",
            "unmap 0x100200000 3",
            "unmap 0x140000000",
        ] {
            guest.ask(line);
        }
        guest.ask("unmap 0x180000000");
        guest.ask("unmap 0x2000001000");
        assert_eq!(tables(space(&guest.look())).len(), at_boot, "{strategy}");
    }
}

/// Holds 1: the kernel flips a bit of an entry through the entry's window, and it is there when the
/// frame is read physically.
#[test]
fn a_bit_flipped_through_the_window_is_in_the_frame() {
    for (strategy, ..) in STRATEGIES {
        let mut guest = AtConsole::boot(strategy);
        guest.ask("map 0x100000000");
        let rsw_of = |guest: &AtConsole| {
            let snapshot = guest.look();
            let translation = space(&snapshot).translate(VirtAddr::new(0x1_0000_0000));
            let step = *translation.trail.last().expect("it is mapped");
            let mut target = guest.machine.attach();
            let entry = PhysRange::new(step.pte_address, 8).expect("an entry");
            let read = target.read_physical(&[entry]).expect("the link stands");
            let bytes = read[0].as_deref().expect("RAM is read");
            Box::new(target).detach().expect("the guest goes on");
            let word = u64::from_le_bytes(bytes.try_into().expect("eight bytes"));
            assert_eq!(word, step.pte.bits());
            (step.pte_address, word >> 8 & 3)
        };
        let (entry, before) = rsw_of(&guest);
        assert_eq!(before, 0);
        let answer = guest.ask("rsw 0x100000000");
        // The kernel says by which address it wrote; that address leads to the entry.
        let digits = answer.split("written at 0x").nth(1).expect("an address");
        let digits = digits.split_whitespace().next().expect("an address");
        let window = VirtAddr::new(u64::from_str_radix(digits, 16).expect("hexadecimal"));
        let seen = space(&guest.look()).translate(window).mapped();
        assert_eq!(seen.map(|mapped| mapped.address), Some(entry), "{strategy}");
        assert!(strategy == "pool" || window.as_u64() != entry.as_u64());
        assert_eq!(rsw_of(&guest), (entry, 1), "{strategy}");
        guest.ask("rsw 0x100000000");
        assert_eq!(rsw_of(&guest), (entry, 0), "{strategy}");
    }
}

/// Holds 3: 0, 1 and 2 traps, counted by the kernel and read from its memory; and as many tables,
/// found in the tables.
#[test]
fn demand_traps_once_for_each_level() {
    let mut guest = AtConsole::boot("demand");
    let mut before = guest.look();
    for (line, traps, frames) in [
        ("map 0x100000000", 2, 3),
        ("map 0x100001000", 0, 0),
        ("map 0x100200000", 1, 1),
        ("map 0x140000000 2M", 1, 2),
        ("map 0x180000000 1G", 0, 0),
        ("lookup 0x3f00000000", 0, 0),
    ] {
        guest.ask(line);
        let after = guest.look();
        let counted = |snapshot: &Snapshot| facts(snapshot).machine_table_traps;
        assert_eq!(counted(&after) - counted(&before), traps, "{line}");
        let known = |snapshot: &Snapshot| -> BTreeSet<PhysPage> {
            tables(space(snapshot)).into_keys().collect()
        };
        assert_eq!(
            known(&after).difference(&known(&before)).count(),
            frames,
            "{line}"
        );
        before = after;
    }
}

/// Holds 3: what is no table's is S-mode's own, with its registers as the hardware leaves them.
#[test]
fn a_fault_outside_the_region_reaches_s_mode() {
    for (strategy, ..) in STRATEGIES {
        let mut guest = AtConsole::boot(strategy);
        // The handler prints what it found, and stops the hart.
        guest.console.type_line("crash");
        let said = guest.console.read_until("hart 0 has stopped");
        let snapshot = guest.look();
        let registers = &snapshot.harts[0].registers;
        let register = |name: &str| {
            let found = registers.iter().find(|register| register.name == name);
            found.map(|register| register.value)
        };
        assert_eq!(register("scause"), Some(13), "{strategy}: {registers:?}");
        assert_eq!(register("stval"), Some(0x10), "{strategy}");
        let sepc = register("sepc").expect("sepc");
        assert!(said.contains(&format!("sepc   {sepc:#018x}")), "{said}");
        let text = snapshot
            .regions
            .iter()
            .find(|region| region.name == ".text");
        let text = text.expect("the kernel names its sections");
        let range = text.start..text.start + text.size;
        assert!(range.contains(&sepc), "{strategy}: {sepc:#x}");
    }
}

//! Our walks against QEMU's own, in every mode, on tables that no kernel built; and what is shown of a
//! hypervisor's guest.
//!
//! # Where QEMU is known to be wrong, or asks something else
//! Its monitor's `gva2gpa` is `riscv_cpu_get_phys_page_debug`, which calls `get_physical_address`, both in
//! `target/riscv/cpu_helper.c`; `info mem` is `walk_pte` in `target/riscv/monitor.c`.
//!
//! ```text
//!  what                                                      where it is             since/until
//!  bits 60..54 do not fault once Svnapot or Svpbmt is on     "ppn = (pte & (target_  in 7.2; later
//!                                                            ulong)PTE_PPN_MASK)"    PTE_RESERVED
//!  PBMT 3 does not fault with Svpbmt                         "!pbmte && (pte &       all
//!                                                            PTE_PBMT)"
//!  a guest physical address with its highest bit set         "masked_msbs != 0 &&    in 7.2; later
//!  faults: the G-stage asks for signs, not for zeros         masked_msbs != mask"    by stage
//!  on RV32 a guest physical address loses bits 33..32        "target_ulong addr"     in 7.2
//!  it asks as a load: a leaf without R is "Unmapped"         "MMU_DATA_LOAD"/0       all, by design
//!  asking sets A in the entry                                "updated_pte"           7.2; later not
//!                                                                                    "is_debug"
//!  `info mem` shows reserved encodings as mappings, does     walk_pte                all
//!  not mask N and PBMT, and knows nothing of NAPOT, of a
//!  superpage's alignment and of two stages
//! ```
//!
//! [`Verdict`] says of each answer whether one of these is in the way; all others have to agree.
#![allow(clippy::unwrap_used, reason = "a test stops where a step fails")]

mod bare_machine;
#[path = "../../protocol/tests/independent/mod.rs"]
mod independent;

use std::collections::BTreeSet;

use bare_machine::{BareMachine, TABLES, Wanted};
use independent::*;
use pagescope::capture::Capturer;
use pagescope::link::Target;
use pagescope_protocol::pte::MemoryType;
use pagescope_protocol::snapshot::{SpaceKind, SpaceTranslation};
use pagescope_protocol::translate::{Outcome, TranslationFault};
use pagescope_protocol::two_stage::{StagedOutcome, StagedTranslation};
use pagescope_protocol::{LeafFlags, Pte, ReservedReason, VirtAddr};

/// Addresses asked about on each machine.
const ADDRESSES: usize = 2_000;

/// What QEMU has to answer.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Verdict {
    /// This address, or `None` for "Unmapped".
    Says(Option<u64>),
    /// Anything: one of its known faults is in the way.
    KnownFault,
}

/// `gva2gpa` as a number; `None` for "Unmapped".
fn gva2gpa(target: &mut dyn Target, address: u64) -> Option<u64> {
    let answer = target.monitor(&format!("gva2gpa {address:#x}"));
    let answer = answer.unwrap().unwrap();
    if answer.trim() == "Unmapped" {
        return None;
    }
    let number = answer.trim().strip_prefix("gpa:").map(str::trim).unwrap();
    Some(u64::from_str_radix(number.trim_start_matches("0x"), 16).unwrap())
}

/// What QEMU makes of one stage's end.
fn of_stage(outcome: Outcome, leaf: Option<Pte>, extensions: bool) -> Verdict {
    use ReservedReason::{HighBits, MemoryType as ReservedType};
    match outcome {
        Outcome::Mapped(mapped) => {
            let needs = leaf.is_some_and(needs_extension);
            let readable = mapped.flags.contains(LeafFlags::READ);
            let is_seen = readable && (extensions || !needs);
            Verdict::Says(is_seen.then(|| mapped.address.as_u64()))
        }
        Outcome::Fault(TranslationFault::Reserved(_, HighBits | ReservedType)) if extensions => {
            Verdict::KnownFault
        }
        Outcome::Fault(_) | Outcome::Unreadable(_) => Verdict::Says(None),
    }
}

/// Whether a machine without Svnapot and Svpbmt faults at this leaf.
fn needs_extension(leaf: Pte) -> bool {
    leaf.is_napot() || leaf.memory_type() != MemoryType::Platform
}

/// What QEMU makes of both stages.
fn of_both(staged: &StagedTranslation, second: &Mode, extensions: bool) -> Verdict {
    // What it takes for a guest physical address that the G-stage can translate.
    let bits = if second.is_rv32() {
        32
    } else {
        second.address_bits() - 1
    };
    let asked = staged
        .steps
        .iter()
        .map(|step| step.step.pte_address.as_u64());
    let last = staged.last.as_ref().map(|last| last.address.as_u64());
    if asked.chain(last).any(|guest| guest >> bits != 0) {
        return Verdict::KnownFault;
    }
    let first = staged.steps.last().map(|step| step.step.pte);
    let Some(last) = &staged.last else {
        let refused = first.is_some_and(|pte| {
            let bits = pte.reserved_bits() != 0 || pte.memory_type() == MemoryType::Reserved;
            bits && extensions
        });
        return if refused {
            Verdict::KnownFault
        } else {
            Verdict::Says(None)
        };
    };
    if let StagedOutcome::Unreadable(_) = staged.outcome {
        return Verdict::Says(None);
    }
    let leaf = last.trail.last().map(|step| step.pte);
    match (staged.mapped(), of_stage(last.outcome, leaf, extensions)) {
        (Some(mapped), says) => {
            let is_seen = mapped.first_flags.contains(LeafFlags::READ)
                && (extensions || !first.is_some_and(needs_extension));
            if is_seen { says } else { Verdict::Says(None) }
        }
        (None, says) => says,
    }
}

/// Compares, and says how many answers could be.
#[derive(Debug, Default)]
struct Tally {
    compared: usize,
    mapped: usize,
    known_faults: usize,
}

impl Tally {
    fn take(&mut self, what: &str, verdict: Verdict, theirs: Option<u64>) {
        match verdict {
            Verdict::KnownFault => self.known_faults += 1,
            Verdict::Says(expected) => {
                assert_eq!(expected, theirs, "{what}");
                self.compared += 1;
                self.mapped += usize::from(theirs.is_some());
            }
        }
    }

    fn check(&self, what: &str) {
        println!("{what}: {self:?}");
        assert!(self.compared >= ADDRESSES / 2, "{what}: {self:?}");
        assert!(self.mapped >= 20, "{what}: {self:?}");
    }
}

fn program(mode: &Mode) -> &'static str {
    if mode.is_rv32() {
        "qemu-system-riscv32"
    } else {
        "qemu-system-riscv64"
    }
}

fn one_stage(mode: &'static Mode, cpu: &str, extensions: bool) {
    let mut random = Random::new(11 + mode.number);
    let mut arena = Arena::new(TABLES);
    let mut tables = Tables::new(mode, &mut arena);
    let physical_bits = mode.ppn_bits + 12;
    fill(
        &mut tables,
        &mut arena,
        &mut random,
        1500,
        Loops::Some,
        &mut |random, size| random.below(1 << physical_bits) & !(size - 1),
    );
    let machine = BareMachine::start(&Wanted {
        program: program(mode),
        cpu,
        tables: &arena.bytes,
        registers: &[("satp", mode.register(tables.root))],
        virtualized: false,
    });
    let mut target = machine.qemu.connect();
    let mut capturer = Capturer::new(&mut target, None).unwrap();
    let snapshot = capturer.capture(&mut target, "test").unwrap();
    let space = snapshot.space_of_hart(0).unwrap();
    assert_eq!(space.mode.to_string(), mode.name);
    assert_eq!(space.root.start().as_u64(), tables.root);
    // What the processor was started with is found out.
    let known = snapshot.provenance.extensions;
    assert_eq!(known.svnapot, Some(extensions), "{cpu}");
    assert_eq!(known.svpbmt, Some(extensions), "{cpu}");
    assert!(known.ad.is_some(), "{cpu}");
    let mut tally = Tally::default();
    for _ in 0..ADDRESSES {
        let address = probe(&tables, &mut random);
        let ours = space.translate(VirtAddr::new(address));
        let leaf = ours.trail.last().map(|step| step.pte);
        let what = format!("{} on {cpu}, {address:#x}: {ours:x?}", mode.name);
        let theirs = gva2gpa(&mut target, address);
        tally.take(&what, of_stage(ours.outcome, leaf, extensions), theirs);
        // And the specification's algorithm, which knows no known faults.
        let mut read = |at, bytes| arena.read(at, bytes);
        let reference = match look_up(mode, tables.root, address, Access::Map, &mut read) {
            Answer::Mapped(found) => Some(found.address),
            _ => None,
        };
        let ours = ours.mapped().map(|mapped| mapped.address.as_u64());
        assert_eq!(ours, reference, "{what}");
    }
    tally.check(&format!("{} on {cpu}", mode.name));
}

#[test]
fn one_stage_on_64_bits() {
    for mode in [&SV39, &SV48, &SV57] {
        one_stage(mode, "rv64", false);
        one_stage(mode, "rv64,svnapot=on,svpbmt=on", true);
    }
}

#[test]
fn one_stage_on_32_bits() {
    one_stage(&SV32, "rv32", false);
}

fn two_stages(first: &'static Mode, second: &'static Mode, cpu: &str, extensions: bool) {
    let mut random = Random::new(5 + first.number);
    // Guest physical addresses that QEMU translates, too: see the list of its faults.
    let bits = if second.is_rv32() {
        32
    } else {
        second.address_bits() - 1
    };
    let guest = TwoStage::build_within(first, second, TABLES, &mut random, 1500, bits);
    let vmid = if second.is_rv32() { 3 << 22 } else { 3 << 44 };
    let machine = BareMachine::start(&Wanted {
        program: program(first),
        cpu,
        tables: &guest.arena.bytes,
        registers: &[
            ("vsatp", first.register(guest.first.root)),
            ("hgatp", second.register(guest.second.root) | vmid),
        ],
        virtualized: true,
    });
    let mut target = machine.qemu.connect();
    let mut capturer = Capturer::new(&mut target, None).unwrap();
    let snapshot = capturer.capture(&mut target, "test").unwrap();
    let names: Vec<&str> = snapshot.spaces.iter().map(|space| &*space.name).collect();
    assert_eq!(names, ["hart 0 guest", "VMID 3 physical"]);
    assert_eq!(snapshot.harts[0].privilege.as_deref(), Some("VS"));
    let space = snapshot.space_of_hart(0).unwrap();
    assert_eq!(space.kind, Some(SpaceKind::Guest));
    let stage = snapshot.guest_stage_of(space).unwrap();
    assert_eq!(stage.kind, Some(SpaceKind::GuestPhysical));
    assert_eq!(stage.mode.to_string(), second.name);

    let roots = ((first, guest.first.root), (second, guest.second.root));
    let mut tally = Tally::default();
    let mut refusals = BTreeSet::new();
    for _ in 0..ADDRESSES {
        let address = probe(&guest.first, &mut random);
        let ours = snapshot.translate(space, VirtAddr::new(address));
        let SpaceTranslation::Staged(ours) = ours else {
            panic!("{} has two stages", space.name);
        };
        let what = format!(
            "{} {} on {cpu}, {address:#x}: {ours:x?}",
            first.name, second.name
        );
        let theirs = gva2gpa(&mut target, address);
        tally.take(&what, of_both(&ours, second, extensions), theirs);
        let reference = look_up_both(roots.0, roots.1, address, &guest.arena);
        let expected = match &reference {
            BothAnswer::Mapped { second, .. } => Some(second.address),
            BothAnswer::First(_) => None,
            BothAnswer::Second(access, _, _) => {
                refusals.insert(*access);
                None
            }
        };
        let found = ours.mapped().map(|mapped| mapped.address.as_u64());
        assert_eq!(found, expected, "{what}");
    }
    tally.check(&format!("{} through {} on {cpu}", first.name, second.name));
    assert!(
        refusals.len() >= 2,
        "the G-stage refuses more than one kind: {refusals:?}"
    );
}

#[test]
fn two_stages_on_64_bits() {
    two_stages(&SV39, &SV39X4, "rv64", false);
    two_stages(&SV48, &SV57X4, "rv64,svnapot=on,svpbmt=on", true);
    two_stages(&SV57, &SV48X4, "rv64", false);
}

#[test]
fn two_stages_on_32_bits() {
    two_stages(&SV32, &SV32X4, "rv32,h=on", false);
}

/// One line of `info mem`, or of ours: first address, what it leads to, bytes, flags.
type Line = (u64, u64, u64, u64);

fn merged(lines: impl IntoIterator<Item = Line>) -> Vec<Line> {
    let mut merged: Vec<Line> = Vec::new();
    for line in lines {
        match merged.last_mut() {
            Some(last)
                if last.0 + last.2 == line.0 && last.1 + last.2 == line.1 && last.3 == line.3 =>
            {
                last.2 += line.2;
            }
            _ => merged.push(line),
        }
    }
    merged
}

/// `info mem` is right where nothing is reserved: tables of leaves and pointers alone.
#[test]
fn mappings_agree_with_info_mem() {
    for mode in [&SV32, &SV39, &SV48, &SV57] {
        let mut random = Random::new(3);
        let mut arena = Arena::new(TABLES);
        let mut tables = Tables::new(mode, &mut arena);
        let places: Vec<u64> = (0..8)
            .map(|_| mode.address(random.below(1 << mode.address_bits())))
            .collect();
        for _ in 0..800 {
            let level = random.below(u64::from(mode.levels).min(3)) as u32;
            let size = mode.page_size(level);
            let near = random.below(1 << mode.index_bits) * size;
            let address = mode.address(random.pick(&places).wrapping_add(near));
            let target = random.below(64) * size;
            let flags = *random.pick(&[0xc7u64, 0x4b, 0x43, 0xd7, 0x49, 0xe7]);
            tables.set(&mut arena, address, level, What::Leaf, target >> 2 | flags);
        }
        let machine = BareMachine::start(&Wanted {
            program: program(mode),
            cpu: if mode.is_rv32() { "rv32" } else { "rv64" },
            tables: &arena.bytes,
            registers: &[("satp", mode.register(tables.root))],
            virtualized: false,
        });
        let mut target = machine.qemu.connect();
        let text = target.monitor("info mem").unwrap().unwrap();
        let number = |word: &str| u64::from_str_radix(word, 16).ok();
        let theirs = text.lines().filter_map(|line| {
            let words: Vec<&str> = line.split_whitespace().collect();
            let [virt, phys, size, flags] = words.as_slice() else {
                return None;
            };
            let flags = LeafFlags::from_letters(flags)?.bits();
            Some((
                number(virt)?,
                number(phys)?,
                number(size)?,
                u64::from(flags),
            ))
        });
        let theirs = merged(theirs);
        let mut capturer = Capturer::new(&mut target, None).unwrap();
        let snapshot = capturer.capture(&mut target, "test").unwrap();
        let space = snapshot.space_of_hart(0).unwrap();
        let ours = merged(space.mappings.ranges().map(|range| {
            let (virt, phys) = (range.virt.as_u64(), range.phys.as_u64());
            (virt, phys, range.size, u64::from(range.flags.bits()))
        }));
        assert!(ours.len() > 100, "{}: {}", mode.name, ours.len());
        assert_eq!(ours, theirs, "{}", mode.name);
    }
}

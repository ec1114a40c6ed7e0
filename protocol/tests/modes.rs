//! Every mode against tables of numbers and the specification's own algorithm: 100,000 addresses each
//! for one stage, and for two.
#![allow(clippy::unwrap_used, reason = "a test that panics has failed")]

mod independent;

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::sync::Arc;

use independent::{
    Access, Answer, Arena, BothAnswer, Found, GAccess, Loops, MODES, Memory as _, Mode, Random,
    SV32, SV32X4, SV39, SV39X4, SV48, SV48X4, SV57, SV57X4, Tables, TwoStage, Why, fill, look_up,
    look_up_both, probe,
};
use pagescope_protocol::coalesce::{self, coalesce};
use pagescope_protocol::translate::{Mapped, Outcome, TranslationFault, translate};
use pagescope_protocol::two_stage::{
    GuestAccess, StagedMapped, StagedOutcome, Stages, translate_staged,
};
use pagescope_protocol::walk::{self, TableReader, TableWords, walk_space};
use pagescope_protocol::{PhysAddr, PhysPage, Pte, ReservedReason, TranslationMode, VirtAddr};

/// Addresses asked about in each mode.
const ADDRESSES: usize = 100_000;

fn ours(mode: &Mode) -> TranslationMode {
    TranslationMode::from_name(mode.name).unwrap()
}

fn page(address: u64) -> PhysPage {
    PhysPage::from_truncated(address >> 12)
}

fn entry(arena: &Arena, mode: TranslationMode, at: PhysAddr) -> Option<Pte> {
    let bits = arena.read(at.as_u64(), mode.entry_bytes())?;
    Some(Pte::from_bits(bits))
}

/// Whether `fault` says what the reference says.
fn same_fault(fault: TranslationFault, level: u32, why: &[Why]) -> bool {
    use ReservedReason as Reserved;
    let (our_level, reason) = match fault {
        TranslationFault::Invalid(level) => (level, Why::Invalid),
        TranslationFault::GuestLeafWithoutUser(level) => (level, Why::NotUser),
        TranslationFault::GuestLeafNotReadable(level) => (level, Why::NotReadable),
        TranslationFault::Reserved(level, reason) => (
            level,
            match reason {
                Reserved::HighBits => Why::HighBits,
                Reserved::WriteWithoutRead => Why::WriteOnly,
                Reserved::PointerAtLastLevel => Why::PointerAtLast,
                Reserved::PointerWithAccessedDirtyUser => Why::PointerFlags,
                Reserved::PointerWithNapotOrMemoryType => Why::PointerAttributes,
                Reserved::MisalignedSuperpage => Why::Misaligned,
                Reserved::MemoryType => Why::MemoryType,
                Reserved::Napot => Why::Napot,
            },
        ),
        TranslationFault::NonCanonical(_) | TranslationFault::ReservedMode(_) => return false,
    };
    u32::from(our_level.number()) == level && why.contains(&reason)
}

fn same(outcome: Outcome, answer: &Answer) -> bool {
    match (outcome, answer) {
        (Outcome::Mapped(mapped), Answer::Mapped(found)) => same_mapping(mapped, found),
        (Outcome::Fault(TranslationFault::NonCanonical(_)), Answer::BadAddress) => true,
        (Outcome::Fault(fault), Answer::Fault(level, why)) => same_fault(fault, *level, why),
        (Outcome::Unreadable(at), Answer::Unreadable(_, wanted)) => at.as_u64() == *wanted,
        _ => false,
    }
}

fn same_mapping(mapped: Mapped, found: &Found) -> bool {
    (
        mapped.address.as_u64(),
        mapped.page_size,
        u64::from(mapped.flags.bits()),
    ) == (found.address, found.page_size, found.flags)
}

/// Says of an answer what a test must have met.
fn kind(answer: &Answer) -> String {
    match answer {
        Answer::Mapped(found) => format!("mapped {:#x}", found.page_size),
        Answer::BadAddress => "bad address".into(),
        Answer::Fault(_, why) => format!("{:?}", why[0]),
        Answer::Unreadable(..) => "unreadable".into(),
    }
}

fn filled(mode: &'static Mode, seed: u64, count: usize, loops: Loops) -> (Arena, Tables, Random) {
    let mut random = Random::new(seed);
    let mut arena = Arena::new(0x8020_0000);
    let mut tables = Tables::new(mode, &mut arena);
    let physical_bits = mode.ppn_bits + 12;
    fill(
        &mut tables,
        &mut arena,
        &mut random,
        count,
        loops,
        &mut |random, size| random.below(1 << physical_bits) & !(size - 1),
    );
    (arena, tables, random)
}

#[test]
fn one_stage_in_every_mode() {
    for mode in MODES {
        let (arena, tables, mut random) = filled(mode, 7, 3000, Loops::Some);
        let our_mode = ours(mode);
        let mut met: BTreeMap<String, usize> = BTreeMap::new();
        for _ in 0..ADDRESSES {
            let address = probe(&tables, &mut random);
            let mut read = |at, bytes| arena.read(at, bytes);
            let answer = look_up(mode, tables.root, address, Access::Map, &mut read);
            let Ok(translation) =
                translate(our_mode, page(tables.root), VirtAddr::new(address), |at| {
                    Ok::<_, Infallible>(entry(&arena, our_mode, at))
                });
            assert!(
                same(translation.outcome, &answer),
                "{} {address:#x}: {:?}, but the specification says {answer:x?}",
                mode.name,
                translation.outcome
            );
            *met.entry(kind(&answer)).or_default() += 1;
        }
        // Nothing of what there is was missed.
        let mut wanted = vec![
            "Invalid",
            "WriteOnly",
            "PointerAtLast",
            "PointerFlags",
            "Misaligned",
            "unreadable",
        ];
        if !mode.is_rv32() {
            wanted.extend([
                "HighBits",
                "MemoryType",
                "Napot",
                "PointerAttributes",
                "bad address",
            ]);
            wanted.push("mapped 0x10000");
        }
        if mode.is_g_stage() {
            wanted.push("NotUser");
        }
        let mut wanted: Vec<String> = wanted.into_iter().map(String::from).collect();
        wanted.extend((0..mode.levels).map(|level| format!("mapped {:#x}", mode.page_size(level))));
        for wanted in wanted {
            let count = met.get(&wanted).copied().unwrap_or(0);
            assert!(
                count >= 20,
                "{}: {wanted} was met {count} times: {met:?}",
                mode.name
            );
        }
    }
}

/// A first stage's implicit reads through a G-stage that refuses them in each way.
#[test]
fn two_stages_in_every_mode() {
    for (first, second) in [
        (&SV32, &SV32X4),
        (&SV39, &SV39X4),
        (&SV39, &SV57X4),
        (&SV48, &SV48X4),
        (&SV57, &SV39X4),
        (&SV57, &SV57X4),
    ] {
        let mut random = Random::new(5);
        let guest = TwoStage::build(first, second, 0x8020_0000, &mut random, 2000);
        let arena = &guest.arena;
        let roots = ((first, guest.first.root), (second, guest.second.root));
        let stages = Stages {
            first_mode: ours(first),
            first_root: page(guest.first.root),
            guest_mode: ours(second),
            guest_root: page(guest.second.root),
        };
        let mut met: BTreeMap<String, usize> = BTreeMap::new();
        for _ in 0..ADDRESSES {
            let address = probe(&guest.first, &mut random);
            let answer = look_up_both(roots.0, roots.1, address, arena);
            let Ok(translation) = translate_staged(stages, VirtAddr::new(address), |mode, at| {
                Ok::<_, Infallible>(entry(arena, mode, at))
            });
            assert!(
                same_staged(translation.outcome, &answer),
                "{} {} {address:#x}: {:?}, but the specification says {answer:x?}",
                first.name,
                second.name,
                translation.outcome
            );
            let kind = match &answer {
                BothAnswer::Mapped { .. } => "mapped".into(),
                BothAnswer::First(answer) => format!("first {}", kind(answer)),
                BothAnswer::Second(GAccess::Final, _, answer) => format!("final {}", kind(answer)),
                BothAnswer::Second(GAccess::EntryAt(_), _, answer) => {
                    format!("implicit {}", kind(answer))
                }
            };
            *met.entry(kind).or_default() += 1;
        }
        for wanted in [
            "mapped",
            "first Invalid",
            "first WriteOnly",
            "final Invalid",
            "implicit Invalid",
        ] {
            let count = met.get(wanted).copied().unwrap_or(0);
            assert!(
                count >= 20,
                "{} {}: {wanted}: {met:?}",
                first.name,
                second.name
            );
        }
        let implicit = met.keys().filter(|kind| kind.starts_with("implicit"));
        assert!(implicit.count() >= 2, "{met:?}");
    }
}

fn same_staged(outcome: StagedOutcome, answer: &BothAnswer) -> bool {
    match (outcome, answer) {
        (StagedOutcome::Mapped(mapped), BothAnswer::Mapped { first, second }) => {
            let StagedMapped {
                guest_address,
                address,
                first_page_size,
                guest_page_size,
                first_flags,
                guest_flags,
            } = mapped;
            let by_first = Mapped {
                address: guest_address,
                page_size: first_page_size,
                flags: first_flags,
            };
            let by_guest = Mapped {
                address,
                page_size: guest_page_size,
                flags: guest_flags,
            };
            same_mapping(by_first, first) && same_mapping(by_guest, second)
        }
        (StagedOutcome::FirstStage(fault), BothAnswer::First(answer)) => {
            same(Outcome::Fault(fault), answer)
        }
        (StagedOutcome::Unreadable(at), BothAnswer::First(answer)) => {
            same(Outcome::Unreadable(at), answer)
        }
        (StagedOutcome::Unreadable(at), BothAnswer::Second(_, _, answer)) => {
            same(Outcome::Unreadable(at), answer)
        }
        (
            StagedOutcome::GuestStage {
                address,
                access,
                fault,
            },
            BothAnswer::Second(wanted, at, answer),
        ) => {
            let same_access = match (access, wanted) {
                (GuestAccess::Final, GAccess::Final) => true,
                (GuestAccess::TableEntry(level), GAccess::EntryAt(wanted)) => {
                    u32::from(level.number()) == *wanted
                }
                _ => false,
            };
            same_access && address.as_u64() == *at && same(Outcome::Fault(fault), answer)
        }
        _ => false,
    }
}

/// Whole frames of an arena.
struct Frames<'a>(&'a Arena);

impl TableReader for Frames<'_> {
    type Error = Infallible;

    fn read_tables(
        &mut self,
        frames: &[PhysPage],
    ) -> Result<Vec<Option<Arc<TableWords>>>, Infallible> {
        let read = |frame: &PhysPage| {
            let bytes = self.0.frame(frame.start().as_u64())?;
            let mut words = [0; 512];
            for (word, bytes) in words.iter_mut().zip(bytes.as_chunks::<8>().0) {
                *word = u64::from_le_bytes(*bytes);
            }
            Some(Arc::new(words))
        };
        Ok(frames.iter().map(read).collect())
    }
}

/// What a whole space's mappings say of an address is what its translation says.
#[test]
fn mappings_of_whole_spaces_in_every_mode() {
    for mode in MODES {
        let (arena, tables, mut random) = filled(mode, 13, 2000, Loops::None);
        let Ok(walk) = walk_space(
            ours(mode),
            page(tables.root),
            walk::Limits::default(),
            &mut Frames(&arena),
        );
        assert!(!walk.truncated);
        let mappings = coalesce(&walk, coalesce::Limits::default());
        assert!(!mappings.truncated);
        let ends: Vec<u64> = mappings
            .ranges
            .iter()
            .map(|range| range.virt.as_u64())
            .collect();
        assert!(ends.is_sorted(), "{}: in address order", mode.name);
        for _ in 0..20_000 {
            let address = probe(&tables, &mut random);
            let mut read = |at, bytes| arena.read(at, bytes);
            let answer = look_up(mode, tables.root, address, Access::Map, &mut read);
            let place = ends.partition_point(|start| *start <= address);
            let range = place.checked_sub(1).map(|place| mappings.ranges[place]);
            let found = range.and_then(|range| {
                let offset = address - range.virt.as_u64();
                (offset < range.size).then(|| {
                    let flags = u64::from(range.flags.bits());
                    (range.phys.as_u64() + offset, range.page_size, flags)
                })
            });
            // A G-stage leaf without U refuses everybody, and is listed as the leaf that it is.
            if matches!(&answer, Answer::Fault(_, why) if *why == [Why::NotUser]) {
                continue;
            }
            let wanted = match answer {
                Answer::Mapped(found) => Some((found.address, found.page_size, found.flags)),
                _ => None,
            };
            assert_eq!(found, wanted, "{} {address:#x}", mode.name);
        }
    }
}

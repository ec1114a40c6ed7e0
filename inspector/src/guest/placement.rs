//! Where a guest's ELF really lies: at its link address, or moved.
//!
//! ```text
//!  samples of the file's constants and code
//!    1  at the addresses they are linked at, physical      as linked
//!    2  through the harts' tables, at the linked address    loaded elsewhere, mapped as linked
//!    3  anywhere in RAM, at steps of 2 MiB, then 4 KiB      loaded elsewhere; the tables say mapped where
//! ```
//!
//! Linux lies where its loader put it, and with KASLR is mapped elsewhere too; xv6 and our own lie where
//! they are linked. Nothing is believed but bytes that are the same.

use std::fmt;

use pagescope_protocol::coalesce::{Limits as MappingLimits, MappedRange, coalesce};
use pagescope_protocol::walk::{Limits, walk_space};
use pagescope_protocol::{PAGE_SIZE, PhysAddr, PhysPage, PhysRange, TranslationMode, VirtAddr};

use super::elf::{Moved, Sample};
use super::memory::GuestMemory;
use super::{ElfFile, MachineMap};
use crate::capture::tables::FreshTables;
use crate::link::{LinkError, PhysicalAccess, Target};

/// Most places in RAM that are looked at: 4 KiB apart, those of 1 GiB.
const MAX_PROBES: u64 = 1 << 18;

/// Places that are asked for in one round.
const PROBES_A_ROUND: usize = 4096;

/// Most samples that are looked for in all of RAM.
const MAX_SEARCHED: usize = 3;

/// Steps at which a kernel may lie: RISC-V's Linux asks for 2 MiB (Documentation/arch/riscv/boot.rst),
/// anything else is loaded at a page.
const STEPS: [u64; 2] = [2 << 20, PAGE_SIZE];

/// Where a file lies.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Placement {
    /// How far from where it is linked.
    pub moved: Moved,
    /// How that is known.
    pub how: How,
}

/// How it is known where a file lies.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum How {
    /// The user said it.
    Told,
    /// Its bytes are where they are linked: so many samples of so many.
    AsLinked(usize, usize),
    /// These bytes of it were found in memory.
    Found(String),
    /// Its bytes are nowhere in RAM: it may not be the guest's.
    Nowhere,
}

impl fmt::Display for Placement {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Moved { virt, phys } = self.moved;
        match &self.how {
            How::AsLinked(same, of) => write!(
                f,
                "the ELF lies where it is linked ({same} of {of} samples)"
            ),
            How::Nowhere => f.write_str(
                "nothing of the ELF is in the guest's memory: its names may be another kernel's",
            ),
            How::Told => write!(f, "the ELF lies {} its link address, as told", signed(virt)),
            How::Found(of) if virt == 0 => write!(
                f,
                "the ELF's bytes of {of} are in memory, physically {} where it is linked, mapped as linked",
                signed(phys)
            ),
            How::Found(of) => write!(
                f,
                "the ELF's bytes of {of} are in memory, mapped {} its link address, physically {}",
                signed(virt),
                signed(phys)
            ),
        }
    }
}

/// `0x200000 above`, `0x1000 below`.
fn signed(offset: u64) -> String {
    match offset.cast_signed() {
        0 => "at".into(),
        up @ 1.. => format!("{up:#x} above"),
        down => format!("{:#x} below", down.unsigned_abs()),
    }
}

/// Looks for `elf` in the guest's memory, whose harts' tables are at `roots`; `told` is what the user
/// says is to be added to its addresses. `None`: the file has nothing to look for.
///
/// # Errors
/// When the target is lost.
pub fn find(
    target: &mut dyn Target,
    machine: &MachineMap,
    elf: &ElfFile,
    roots: &[(TranslationMode, PhysPage)],
    told: Option<u64>,
) -> Result<Option<Placement>, LinkError> {
    let samples = elf.samples();
    let identity = |virt: u64| {
        let is_identity = |sample: &Sample| sample.virt == sample.phys;
        let phys = if samples.iter().all(is_identity) {
            virt
        } else {
            0
        };
        Moved { virt, phys }
    };
    if samples.is_empty() || target.facts().physical == PhysicalAccess::Unavailable {
        return Ok(told.map(|virt| Placement {
            moved: identity(virt),
            how: How::Told,
        }));
    }
    let start = told.map(identity).unwrap_or_default();
    let same = matching(target, machine, samples, start.phys)?;
    if same > 0 {
        return Ok(Some(Placement {
            moved: start,
            how: match told {
                Some(_) => How::Told,
                None => How::AsLinked(same, samples.len()),
            },
        }));
    }
    if let Some(found) = mapped_as_linked(target, machine, samples, roots, start.virt)? {
        return Ok(Some(found));
    }
    for step in STEPS {
        let Some((sample, phys)) = search(target, machine, samples, step)? else {
            continue;
        };
        let virt = match told {
            Some(virt) => Some(virt),
            None => mapped_at(target, machine, sample, phys, roots)?,
        };
        return Ok(Some(Placement {
            moved: Moved {
                virt: virt.unwrap_or(0),
                phys,
            },
            how: How::Found(sample.of.clone()),
        }));
    }
    Ok(Some(match told {
        Some(_) => Placement {
            moved: start,
            how: How::Told,
        },
        None => Placement {
            moved: Moved::default(),
            how: How::Nowhere,
        },
    }))
}

/// How many samples lie `phys` above their physical addresses.
fn matching(
    target: &mut dyn Target,
    machine: &MachineMap,
    samples: &[Sample],
    phys: u64,
) -> Result<usize, LinkError> {
    let places = samples
        .iter()
        .map(|sample| (sample, sample.phys.wrapping_add(phys)));
    let places: Vec<(&Sample, u64)> = places.collect();
    Ok(same(target, machine, &places)?
        .into_iter()
        .flatten()
        .count())
}

/// Which of these samples lie at these physical addresses; asked in one round.
fn same(
    target: &mut dyn Target,
    machine: &MachineMap,
    places: &[(&Sample, u64)],
) -> Result<Vec<Option<usize>>, LinkError> {
    let mut asked = Vec::new();
    let mut ranges = Vec::new();
    for (number, (sample, at)) in places.iter().enumerate() {
        let range = PhysRange::new(PhysAddr::new(*at), sample.bytes.len() as u64);
        if let Some(range) = range.filter(|range| machine.is_ram(*range)) {
            asked.push(number);
            ranges.push(range);
        }
    }
    if ranges.is_empty() {
        return Ok(Vec::new());
    }
    let answers = target.read_physical(&ranges)?;
    let found = asked.into_iter().zip(answers).map(|(number, bytes)| {
        let is_same = bytes.is_some_and(|bytes| bytes == places[number].0.bytes);
        is_same.then_some(number)
    });
    Ok(found.collect())
}

/// The file where it is mapped as it is linked, and loaded somewhere else.
fn mapped_as_linked(
    target: &mut dyn Target,
    machine: &MachineMap,
    samples: &[Sample],
    roots: &[(TranslationMode, PhysPage)],
    virt: u64,
) -> Result<Option<Placement>, LinkError> {
    for root in roots {
        let mut memory = GuestMemory::new(target, machine, None, vec![*root]);
        for sample in samples {
            let at = sample.virt.wrapping_add(virt);
            let bytes = memory.read(at, sample.bytes.len() as u64)?;
            if bytes.as_ref() != Some(&sample.bytes) {
                continue;
            }
            if let Some(phys) = memory.physical(at)? {
                return Ok(Some(Placement {
                    moved: Moved {
                        virt,
                        phys: phys.as_u64().wrapping_sub(sample.phys),
                    },
                    how: How::Found(sample.of.clone()),
                }));
            }
        }
    }
    Ok(None)
}

/// A sample, and how far above its physical address it lies in RAM, at multiples of `step`.
fn search<'a>(
    target: &mut dyn Target,
    machine: &MachineMap,
    samples: &'a [Sample],
    step: u64,
) -> Result<Option<(&'a Sample, u64)>, LinkError> {
    for sample in samples.iter().take(MAX_SEARCHED) {
        let ram: Vec<PhysRange> = machine.ram().collect();
        let places = ram.iter().flat_map(|ram| {
            let start = ram.start().as_u64();
            // The first place in this RAM at which the file can lie.
            let first = start + (sample.phys.wrapping_sub(start)) % step;
            let end = start.saturating_add(ram.size());
            (0..).map_while(move |number: u64| {
                let at = first.checked_add(number.checked_mul(step)?)?;
                (at < end).then_some(at)
            })
        });
        let places: Vec<(&Sample, u64)> = places
            .take(MAX_PROBES as usize)
            .map(|at| (sample, at))
            .collect();
        for round in places.chunks(PROBES_A_ROUND) {
            let found = same(target, machine, round)?.into_iter().flatten().next();
            if let Some(number) = found {
                return Ok(Some((sample, round[number].1.wrapping_sub(sample.phys))));
            }
        }
    }
    Ok(None)
}

/// How far above its link address the sample is mapped that lies `phys` above its physical one: the
/// nearest, since a linear map shows it as well.
fn mapped_at(
    target: &mut dyn Target,
    machine: &MachineMap,
    sample: &Sample,
    phys: u64,
    roots: &[(TranslationMode, PhysPage)],
) -> Result<Option<u64>, LinkError> {
    let at = sample.phys.wrapping_add(phys);
    let mut nearest: Option<u64> = None;
    for (mode, root) in roots {
        let mut reader = FreshTables::new(target, machine);
        let walk = walk_space(*mode, *root, Limits::default(), &mut reader)?;
        let ranges = coalesce(&walk, MappingLimits::default()).ranges;
        for range in ranges {
            let Some(address) = address_of(&range, at) else {
                continue;
            };
            let virt = address.as_u64().wrapping_sub(sample.virt);
            let distance = |offset: u64| offset.cast_signed().unsigned_abs();
            if nearest.is_none_or(|known| distance(virt) < distance(known)) {
                nearest = Some(virt);
            }
        }
    }
    Ok(nearest)
}

/// The virtual address by which `range` leads to `at`.
fn address_of(range: &MappedRange, at: u64) -> Option<VirtAddr> {
    let offset = at.checked_sub(range.phys.as_u64())?;
    (offset < range.size).then(|| range.virt.wrapping_add(offset))
}

//! The machine's RAM, without asking the machine for it: the files that hold it, or QEMU's own memory.
//!
//! ```text
//!  info mtree -f, qom-get, gpa2hva ──▶ where it lies (memory::find) ──▶ open ──▶ compare ──▶ believed
//!  xp /64xg 0x80000000 ─────────────── what QEMU has there ──────────────────────┘
//! ```
//!
//! The machine runs meanwhile: a place is compared when it was the same before and after QEMU was asked.

use pagescope_protocol::{PhysAddr, PhysRange};

use super::Monitor;
use crate::link::memory::PhysicalMemory;
use crate::link::memory::find::{self, Backing};
use crate::link::memory::mapped::{MappedRam, RamFile};
use crate::link::memory::peer::Peer;
use crate::link::memory::process::ProcessMemory;
use crate::link::qemu::{MTREE, MemoryMap, MemoryRegion};
use crate::link::{LinkError, PhysicalAccess};

/// Words that are compared, at the start, middle and end of each stretch of RAM.
const PROBE_WORDS: u64 = 64;

/// How often a place that changes while it is compared is compared again.
const PROBE_ATTEMPTS: usize = 8;

/// What makes QEMU put its RAM into a file, for the words that say how.
pub const RAM_FILE_OPTIONS: &str = "-object memory-backend-file,id=ram,size=128M,mem-path=/dev/shm/guest.ram,share=on \
     -machine memory-backend=ram";

/// RAM that can be read at any time.
type Memory = Box<dyn PhysicalMemory>;

impl Monitor {
    /// Opens the machine's RAM: the file that is named, else the files that QEMU names, else QEMU's own memory; by
    /// `wanted` alone where one is.
    ///
    /// # Errors
    /// When none of them can be used, each with its reason, or the monitor is lost.
    pub(super) fn open_ram(
        &mut self,
        named: Option<&RamFile>,
        wanted: Option<PhysicalAccess>,
    ) -> Result<Memory, LinkError> {
        let map = MemoryMap::from_mtree(&self.command(MTREE)?).unwrap_or_default();
        let mut regions = map.ram;
        regions.truncate(find::MAX_BANKS);
        if let Some(file) = named.filter(|_| is_wanted(wanted, PhysicalAccess::MappedRam)) {
            let memory = MappedRam::open(file)?;
            let ram: Vec<PhysRange> = regions.iter().map(|region| region.range).collect();
            let why = memory.shortage(&ram);
            let why = why.or_else(|| memory.why_not_of(self.stream.peer()));
            let why = match why {
                Some(why) => Some(why),
                None => self.difference(&memory, &regions)?,
            };
            return match why {
                None => Ok(Box::new(memory)),
                Some(why) => Err(LinkError::RamFile {
                    path: file.path.clone(),
                    why,
                }),
            };
        }
        let mut backings = Vec::new();
        for region in &regions {
            let mut answers = Vec::new();
            for question in find::questions(region) {
                answers.push(self.command(&question)?);
            }
            backings.push(Backing::from_answers(region, &answers));
        }
        let mut why_not = Vec::new();
        let files = open_files(self.stream.peer(), &backings);
        let ways = [
            (PhysicalAccess::MappedRam, files),
            (PhysicalAccess::ProcessMemory, self.open_process(&backings)),
        ];
        let ways = ways.into_iter().filter(|(way, _)| is_wanted(wanted, *way));
        for (_, opened) in ways {
            match opened {
                Ok(memory) => match self.difference(memory.as_ref(), &regions)? {
                    None => return Ok(memory),
                    Some(why) => why_not.push(format!("{}: {why}", memory.way())),
                },
                Err(why) => why_not.push(why),
            }
        }
        Err(LinkError::NotMapped {
            why: why_not.join("; "),
            options: RAM_FILE_OPTIONS,
        })
    }

    fn open_process(&self, backings: &[Backing]) -> Result<Memory, String> {
        let pid = match self.stream.peer() {
            Peer::Process(pid) => pid,
            Peer::Hidden => return Err("QEMU's process is another user's".to_owned()),
            Peer::Elsewhere => return Err("QEMU runs on another machine".to_owned()),
        };
        let places = backings.iter().filter_map(|backing| backing.host).collect();
        ProcessMemory::open(pid, places).map(|memory| Box::new(memory) as Memory)
    }

    /// Where `memory` holds something else than the machine, in words.
    fn difference(
        &mut self,
        memory: &dyn PhysicalMemory,
        regions: &[MemoryRegion],
    ) -> Result<Option<String>, LinkError> {
        let covered = memory.ranges();
        let is_covered = |range: &PhysRange| covered.iter().any(|part| part.contains_range(*range));
        let is_ram = |range: &PhysRange| {
            let mut ram = regions.iter();
            ram.any(|region| region.range.contains_range(*range))
        };
        let ranges = regions.iter().map(|region| region.range);
        let probes: Vec<PhysRange> = ranges
            .chain(covered.iter().copied())
            .flat_map(probes_of)
            .filter(|probe| is_covered(probe) && is_ram(probe))
            .collect();
        if probes.is_empty() {
            return Ok(Some("it covers nothing that QEMU says is RAM".to_owned()));
        }
        for probe in probes {
            if !self.agrees(memory, probe)? {
                let start = probe.start();
                return Ok(Some(format!(
                    "at {start} it holds something else than the guest's memory"
                )));
            }
        }
        Ok(None)
    }

    /// Whether memory and machine hold the same there, at a moment when it does not change.
    fn agrees(&mut self, memory: &dyn PhysicalMemory, probe: PhysRange) -> Result<bool, LinkError> {
        for _ in 0..PROBE_ATTEMPTS {
            let before = memory.read(probe);
            let words = probe.size() / 8;
            let printed = self.command(&format!("xp /{words}xg {:#x}", probe.start()))?;
            if memory.read(probe) == before {
                return Ok(before.is_some_and(|bytes| {
                    let (ours, _) = bytes.as_chunks::<8>();
                    let ours = ours.iter().copied().map(u64::from_le_bytes);
                    ours.eq(words_in(&printed, probe.start()))
                }));
            }
        }
        // It changes under our hands: so it is somebody's memory, and the other places tell whose.
        Ok(true)
    }
}

/// Whether this way may be taken.
fn is_wanted(wanted: Option<PhysicalAccess>, way: PhysicalAccess) -> bool {
    wanted.is_none_or(|wanted| wanted == way)
}

/// The files, where each stretch of RAM that QEMU says has one.
fn open_files(peer: Peer, backings: &[Backing]) -> Result<Memory, String> {
    let mut places = Vec::new();
    for backing in backings {
        places.push(backing.file.clone()?.seen_by(peer));
    }
    if places.is_empty() {
        return Err("QEMU does not say what is RAM".to_owned());
    }
    let opened = MappedRam::open_banks(&places).map_err(|error| error.to_string())?;
    match opened.why_not_of(peer) {
        Some(why) => Err(why),
        None => Ok(Box::new(opened)),
    }
}

/// Its first, middle and last words.
fn probes_of(range: PhysRange) -> impl Iterator<Item = PhysRange> {
    let size = (PROBE_WORDS * 8).min(range.size() & !7);
    let last = (range.size() - size) & !7;
    [0, (last / 2) & !7, last]
        .into_iter()
        .filter_map(move |offset| PhysRange::new(range.start().checked_add(offset)?, size))
        .filter(|probe| !probe.is_empty())
}

/// The words in what `xp` prints, in order: `0000000080000000: 0x0000000c0000006f 0x…`.
fn words_in(printed: &str, start: PhysAddr) -> Vec<u64> {
    let hex = |text: &str| u64::from_str_radix(text.trim_start_matches("0x"), 16).ok();
    let mut words = Vec::new();
    for line in printed.lines() {
        let Some((at, values)) = line.split_once(':') else {
            continue;
        };
        let expected = start.as_u64() + words.len() as u64 * 8;
        if hex(at.trim()) != Some(expected) {
            continue;
        }
        words.extend(values.split_whitespace().map_while(hex));
    }
    words
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_words_that_xp_prints() {
        let printed = "0000000080000000: 0x0000000c0000006f 0x4f464e4945474150\n\
                       0000000080000010: 0x0000000080045000 0x0000000000000000\n";
        let start = PhysAddr::new(0x8000_0000);
        assert_eq!(words_in(printed, start).len(), 4);
        assert_eq!(words_in(printed, start)[2], 0x8004_5000);
        assert!(words_in("Cannot access memory", start).is_empty());
    }

    #[test]
    fn probes_lie_inside() {
        for size in [0, 7, 8, 511, 512, 4096] {
            let range = PhysRange::new(PhysAddr::new(0x8000_0000), size).unwrap();
            assert!(
                probes_of(range).all(|probe| range.contains_range(probe)),
                "{size}"
            );
        }
    }
}

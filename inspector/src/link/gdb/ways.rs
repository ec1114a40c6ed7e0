//! Which ways there are to this target's memory, and which one is used.
//!
//! ```text
//!  --ram-file ──────────────────────────────────────▶ open ─┐
//!  QEMU, on this machine: info mtree, qom-get ──────▶ open ─┼─▶ compare with the port ─▶ a way
//!                         gpa2hva, the peer's pid ──▶ open ─┘
//! ```
//!
//! What QEMU, or a user, says of a file is not believed before the file holds at many places what the port
//! answers there. Another guest's file, one of an earlier run, and one that the guest's writes do not
//! reach all fail that. A copy of the file does not, so it must be one that QEMU's process has mapped.

use std::collections::BTreeMap;
use std::iter;
use std::sync::Arc;

use pagescope_protocol::walk::TableWords;
use pagescope_protocol::{PhysPage, PhysRange};

use super::{GdbTarget, printed_text};
use crate::link::memory::find::{self, Backing};
use crate::link::memory::mapped::{MappedRam, RamFile};
use crate::link::memory::peer::Peer;
use crate::link::memory::process::ProcessMemory;
use crate::link::memory::{PhysicalMemory, port};
use crate::link::qemu::{self, MemoryMap, MemoryRegion};
use crate::link::rsp::client::Question;
use crate::link::{LinkError, PhysicalAccess, Stub, Target as _, WayOffer};

/// Places of each stretch of RAM that are compared.
const PROBES: u64 = 16;

/// Bytes of each of them.
const PROBE_BYTES: u64 = 256;

/// Why a process's memory is gone.
const PROCESS_ENDED: &str = "the process that emulates the guest has ended";

/// Ways besides the port, the fastest first.
const DIRECT: [PhysicalAccess; 2] = [PhysicalAccess::MappedRam, PhysicalAccess::ProcessMemory];

impl GdbTarget {
    /// Finds the ways, and takes `wanted`, or else the fastest.
    pub(super) fn find_ways(
        &mut self,
        ram_file: Option<&RamFile>,
        wanted: Option<PhysicalAccess>,
    ) -> Result<(), LinkError> {
        let over_port = self.facts.physical;
        for way in [PhysicalAccess::GdbPort, PhysicalAccess::Monitor] {
            let why = (way != over_port).then(|| not_this_port(way, over_port));
            self.offer(way, why);
        }
        if let Some(file) = ram_file {
            let ram = MappedRam::open(file)?;
            let probes = self.probe(&ram.ranges())?;
            let is_elsewhere = probes.is_empty() && self.physical.is_there();
            let nothing = is_elsewhere.then(|| "the guest has no RAM there".to_owned());
            let why = nothing.or_else(|| ram.shortage(&self.ram));
            let why = why.or_else(|| difference(&ram, &probes));
            if let Some(why) = why.or_else(|| ram.why_not_of(self.client.peer())) {
                return Err(LinkError::RamFile {
                    path: file.path.clone(),
                    why,
                });
            }
            self.add(Box::new(ram));
        }
        let needs_no_more = match wanted {
            None | Some(PhysicalAccess::MappedRam) => ram_file.is_some(),
            Some(way) => !DIRECT.contains(&way),
        };
        if !needs_no_more {
            self.look_around()?;
        }
        match wanted {
            Some(way) => self.take_way(way),
            None => {
                let fastest = DIRECT.into_iter().find(|way| self.has_direct(*way));
                self.facts.physical = fastest.unwrap_or(over_port);
                self.mark_used();
                Ok(())
            }
        }
    }

    /// Reads memory by `way` from now on.
    pub(super) fn take_way(&mut self, way: PhysicalAccess) -> Result<(), LinkError> {
        if DIRECT.contains(&way) && !self.has_direct(way) && !self.is_running() {
            self.look_around()?;
        }
        let offer = self.offers.iter().find(|offer| offer.way == way);
        let why = match offer {
            Some(WayOffer { why_not: None, .. }) => None,
            Some(WayOffer {
                why_not: Some(why), ..
            }) => Some(why.clone()),
            None => Some("this target has no such way".to_owned()),
        };
        if let Some(why) = why {
            return Err(LinkError::NoWay { way, why });
        }
        self.facts.physical = way;
        self.mark_used();
        Ok(())
    }

    /// Looks for ways besides the port, once.
    pub(super) fn look_around(&mut self) -> Result<(), LinkError> {
        if std::mem::replace(&mut self.looked_around, true) {
            return Ok(());
        }
        let place = match (&self.facts.stub, self.client.peer()) {
            (Stub::Other | Stub::Dump { .. }, _) => {
                Err("the stub is not QEMU's, which alone says where RAM lies")
            }
            (_, Peer::Elsewhere) => Err("QEMU runs on another machine, or behind one"),
            (_, Peer::Hidden) => Ok(None),
            (_, Peer::Process(pid)) => Ok(Some(pid)),
        };
        let pid = match place {
            Ok(pid) => pid,
            Err(why) => {
                for way in DIRECT {
                    self.refuse(way, why);
                }
                return Ok(());
            }
        };
        let regions = self.ram_regions()?;
        let backings = self.ask_about(&regions)?;
        let ranges: Vec<PhysRange> = regions.iter().map(|region| region.range).collect();
        let probes = self.probe(&ranges)?;
        if !self.has_direct(PhysicalAccess::MappedRam) {
            match open_files(self.client.peer(), &backings, &probes) {
                Ok(ram) => self.add(Box::new(ram)),
                Err(why) => self.refuse(PhysicalAccess::MappedRam, &why),
            }
        }
        match open_process(pid, &backings, &probes) {
            Ok(memory) => self.add(Box::new(memory)),
            Err(why) => self.refuse(PhysicalAccess::ProcessMemory, &why),
        }
        self.mark_used();
        Ok(())
    }

    /// What QEMU says is RAM. A stub that cannot say it, says nothing.
    fn ram_regions(&mut self) -> Result<Vec<MemoryRegion>, LinkError> {
        let text = self.ask_monitor(qemu::MTREE)?.unwrap_or_default();
        let mut regions = MemoryMap::from_mtree(&text).unwrap_or_default().ram;
        regions.truncate(find::MAX_BANKS);
        self.ram = regions.iter().map(|region| region.range).collect();
        Ok(regions)
    }

    /// What QEMU says of each stretch of RAM, all asked in one round.
    fn ask_about(&mut self, regions: &[MemoryRegion]) -> Result<Vec<Backing>, LinkError> {
        let commands: Vec<String> = regions.iter().flat_map(find::questions).collect();
        let texts = self.ask_monitor_all(&commands)?;
        let texts: Vec<String> = texts.into_iter().map(Option::unwrap_or_default).collect();
        let backings = regions.iter().zip(texts.chunks(find::QUESTIONS));
        Ok(backings
            .map(|(region, answers)| Backing::from_answers(region, answers))
            .collect())
    }

    /// What the monitor prints for each command, all asked in one round.
    pub(super) fn ask_monitor_all(
        &mut self,
        commands: &[String],
    ) -> Result<Vec<Option<String>>, LinkError> {
        let questions = commands.iter().map(|command| Question::Monitor(command));
        let questions: Vec<Question<'_>> = questions.collect();
        let answers = self.client.ask(&questions)?;
        let answers = commands.iter().zip(answers);
        Ok(answers
            .map(|(command, answer)| printed_text(command, answer).ok().flatten())
            .collect())
    }

    /// What the port answers at places all over `ranges`, as far as they are RAM.
    fn probe(&mut self, ranges: &[PhysRange]) -> Result<Probes, LinkError> {
        if !self.physical.is_there() {
            return Ok(Probes::new());
        }
        let ram = self.ram_regions()?;
        let is_ram = |probe: &PhysRange| {
            ram.is_empty() || ram.iter().any(|region| region.range.contains_range(*probe))
        };
        let places: Vec<PhysRange> = ranges.iter().flat_map(|range| probes_of(*range)).collect();
        let places: Vec<PhysRange> = places.into_iter().filter(is_ram).collect();
        let answers = self.read_over_port(&places)?;
        let read = places.into_iter().zip(answers);
        Ok(read
            .filter_map(|(place, bytes)| Some(((place.start(), place.size()), (place, bytes?))))
            .collect())
    }

    fn has_direct(&self, way: PhysicalAccess) -> bool {
        self.direct.iter().any(|memory| memory.way() == way)
    }

    /// The way besides the port that is in use.
    fn direct(&self) -> Option<&dyn PhysicalMemory> {
        let mut ways = self.direct.iter();
        ways.find(|memory| memory.way() == self.facts.physical)
            .map(AsRef::as_ref)
    }

    fn add(&mut self, memory: Box<dyn PhysicalMemory>) {
        self.offer(memory.way(), None);
        self.direct.push(memory);
    }

    fn refuse(&mut self, way: PhysicalAccess, why: &str) {
        if !self.has_direct(way) {
            self.offer(way, Some(why.to_owned()));
        }
    }

    fn offer(&mut self, way: PhysicalAccess, why_not: Option<String>) {
        self.offers.retain(|offer| offer.way != way);
        self.offers.push(WayOffer {
            way,
            why_not,
            is_used: false,
        });
        self.offers.sort_by_key(|offer| offer.way);
    }

    fn mark_used(&mut self) {
        for offer in &mut self.offers {
            offer.is_used = offer.way == self.facts.physical;
        }
        let covered = self
            .direct()
            .map(PhysicalMemory::ranges)
            .unwrap_or_default();
        // A stretch that is covered in part is asked for as well, where the way has no answer.
        let is_rest = |range: &PhysRange| {
            let mut covered = covered.iter();
            !covered.any(|covered| covered.contains_range(*range))
        };
        self.rest_of_ram = self.ram.iter().copied().filter(is_rest).collect();
    }

    /// Reads by the way in use. What that does not cover is read over the port, while that answers.
    pub(super) fn read_by_way(
        &mut self,
        ranges: &[PhysRange],
    ) -> Result<Vec<Option<Vec<u8>>>, LinkError> {
        let Some(memory) = self.direct() else {
            return self.read_over_port(ranges);
        };
        let mut answers: Vec<Option<Vec<u8>>> =
            ranges.iter().map(|range| memory.read(*range)).collect();
        let is_lost = answers.iter().any(Option::is_none) && memory.is_lost();
        if is_lost {
            return Err(self.client.lost(PROCESS_ENDED));
        }
        let outside = self.only_over_port(&answers, |place| ranges[place]);
        let rest: Vec<PhysRange> = outside.iter().map(|place| ranges[*place]).collect();
        for (place, answer) in outside.into_iter().zip(self.read_over_port(&rest)?) {
            answers[place] = answer;
        }
        Ok(answers)
    }

    /// As [`read_by_way`](Self::read_by_way), whole frames as words; shared with those of `known` that are the same.
    pub(super) fn read_frames_by_way(
        &mut self,
        frames: &[PhysPage],
        known: &[Option<Arc<TableWords>>],
    ) -> Result<Vec<Option<Arc<TableWords>>>, LinkError> {
        let Some(memory) = self.direct() else {
            return self.read_frames_over_port(frames);
        };
        let known = known.iter().map(Option::as_ref).chain(iter::repeat(None));
        let mut answers: Vec<Option<Arc<TableWords>>> = frames
            .iter()
            .zip(known)
            .map(|(frame, known)| memory.read_frame_again(*frame, known))
            .collect();
        let is_lost = answers.iter().any(Option::is_none) && memory.is_lost();
        if is_lost {
            return Err(self.client.lost(PROCESS_ENDED));
        }
        let outside = self.only_over_port(&answers, |place| frames[place].range());
        let rest: Vec<PhysPage> = outside.iter().map(|place| frames[*place]).collect();
        for (place, answer) in outside.into_iter().zip(self.read_frames_over_port(&rest)?) {
            answers[place] = answer;
        }
        Ok(answers)
    }

    /// Of what has no answer yet, the places that QEMU says are RAM, that the way in use does not cover, and
    /// that the port can be asked for now.
    fn only_over_port<T>(
        &self,
        answers: &[Option<T>],
        range: impl Fn(usize) -> PhysRange,
    ) -> Vec<usize> {
        if self.is_running() || self.rest_of_ram.is_empty() {
            return Vec::new();
        }
        let is_rest = |place: &usize| {
            let rest = self.rest_of_ram.iter();
            answers[*place].is_none() && { rest }.any(|rest| rest.contains_range(range(*place)))
        };
        (0..answers.len()).filter(is_rest).collect()
    }

    /// Reads physical memory over the gdb port, also where there is a faster way.
    ///
    /// # Errors
    /// When the target as a whole cannot be read.
    pub fn read_over_port(
        &mut self,
        ranges: &[PhysRange],
    ) -> Result<Vec<Option<Vec<u8>>>, LinkError> {
        if ranges.is_empty() {
            return Ok(Vec::new());
        }
        self.need_stopped("memory")?;
        let switch = self.physical_before_reading()?;
        let size = self.facts.packet_size_bytes;
        port::read(&mut self.client, size, switch, ranges)
    }

    fn read_frames_over_port(
        &mut self,
        frames: &[PhysPage],
    ) -> Result<Vec<Option<Arc<TableWords>>>, LinkError> {
        if frames.is_empty() {
            return Ok(Vec::new());
        }
        self.need_stopped("memory")?;
        let switch = self.physical_before_reading()?;
        let size = self.facts.packet_size_bytes;
        port::read_frames(&mut self.client, size, switch, frames)
    }
}

/// What the port answers at some places, by their start and size.
type Probes = BTreeMap<(pagescope_protocol::PhysAddr, u64), (PhysRange, Vec<u8>)>;

/// Places all over `range`, its first and last bytes among them.
fn probes_of(range: PhysRange) -> impl Iterator<Item = PhysRange> {
    let size = PROBE_BYTES.min(range.size());
    let last = range.size() - size;
    (0..PROBES).filter_map(move |number| {
        let offset = (last / (PROBES - 1)).saturating_mul(number) & !7;
        let offset = if number == PROBES - 1 { last } else { offset };
        PhysRange::new(range.start().checked_add(offset)?, size)
    })
}

/// Where `memory` holds something else than the port answers, in words.
fn difference(memory: &dyn PhysicalMemory, probes: &Probes) -> Option<String> {
    let differs = probes.values().find(|(place, bytes)| {
        let ours = memory.read(*place);
        let covers = memory
            .ranges()
            .iter()
            .any(|range| range.contains_range(*place));
        covers && ours.as_ref() != Some(bytes)
    });
    differs.map(|(place, _)| {
        format!(
            "at {} it holds something else than the guest's memory",
            place.start()
        )
    })
}

fn open_files(peer: Peer, backings: &[Backing], probes: &Probes) -> Result<MappedRam, String> {
    let places: Vec<_> = backings
        .iter()
        .filter_map(|backing| Some(backing.file.as_ref().ok()?.seen_by(peer)))
        .collect();
    if places.is_empty() {
        let mut whys = backings
            .iter()
            .filter_map(|backing| backing.file.as_ref().err());
        let why = whys.next().cloned();
        return Err(why.unwrap_or_else(|| "QEMU does not say what is RAM".to_owned()));
    }
    let ram = MappedRam::open_banks(&places).map_err(|error| error.to_string())?;
    match difference(&ram, probes).or_else(|| ram.why_not_of(peer)) {
        Some(why) => Err(format!("{}: {why}", places[0].path.display())),
        None => Ok(ram),
    }
}

fn open_process(
    pid: Option<u32>,
    backings: &[Backing],
    probes: &Probes,
) -> Result<ProcessMemory, String> {
    let pid = pid.ok_or(
        "QEMU's process is not among those that we may look at; run Pagescope as the user who \
         started QEMU",
    )?;
    let places = backings.iter().filter_map(|backing| backing.host).collect();
    let memory = ProcessMemory::open(pid, places)?;
    match difference(&memory, probes) {
        Some(why) => Err(format!("process {pid}: {why}")),
        None => Ok(memory),
    }
}

/// Why the other kind of port is not this target's.
fn not_this_port(way: PhysicalAccess, there: PhysicalAccess) -> String {
    match (way, there) {
        (_, PhysicalAccess::Unavailable) => {
            "the stub has neither Qqemu.PhyMemMode nor a monitor command `physical`".to_owned()
        }
        (PhysicalAccess::Monitor, _) => {
            "this is QEMU's own gdb port; the channel is the serial port of Pagescope's kernel"
                .to_owned()
        }
        _ => "this is a debug channel, not QEMU's gdb port".to_owned(),
    }
}

//! From a target to an immutable snapshot.
//!
//! Nothing is read but RAM. A walk of tables takes one round for each level, pipelined; a table
//! whose words are the same as in the last capture is shared with it.

mod ahead;
pub mod extensions;
mod guests;
pub mod live;
pub mod run_until;
pub mod scan;
mod seen;
pub mod settle;
mod spaces;
pub mod step;
pub mod table_watch;
pub(crate) mod tables;
pub mod watches;

use std::sync::Arc;

use pagescope_protocol::snapshot::{
    FORMAT_VERSION, FrameContents, Hart, KernelFacts, Provenance, Region, Register, Snapshot,
    SpaceKind, TableEntries, TraceEvent, Watch,
};
use pagescope_protocol::{PAGE_SIZE, PhysPage, PhysRange, Satp, TranslationMode, VirtAddr, Xlen};

use crate::guest::info::{InfoPlace, KernelSpace};
use crate::guest::knowledge::roots;
use crate::guest::memory::GuestMemory;
use crate::guest::processes::Found;
use crate::guest::{
    ElfFile, GuestOptions, KernelInfo, Knowledge, MachineMap, RamSource, placement,
};
use crate::link::{
    Cancel, HartId, LinkError, PhysicalAccess, Registers, Stub, Target, virtualized,
};

use crate::model::in_machine_terms;
use extensions::Processor;
use seen::Seen;
use tables::{Kept, RamTables};
use watches::{MOST_WATCHES, WatchSpec};

/// How many mapped frames `--full` keeps at most: 512 MiB of them.
const MAX_FULL_FRAMES: usize = 1 << 17;

/// Captures one guest again and again.
#[derive(Debug)]
pub struct Capturer {
    elf: Option<Arc<ElfFile>>,
    machine: MachineMap,
    info: Option<InfoPlace>,
    knowledge: Knowledge,
    /// Where harts ran at earlier stops.
    seen: Seen,
    /// What the profile's list of processes said at the last capture.
    told: Found,
    last: Option<Arc<Snapshot>>,
    /// What the machine's processor said, once it was asked.
    processor: Option<Processor>,
    kept: Kept,
    /// What somebody wants to watch.
    watches: Vec<WatchSpec>,
}

impl Capturer {
    /// Learns what the machine is.
    ///
    /// # Errors
    /// When the target cannot be asked.
    pub fn new(target: &mut dyn Target, elf: Option<Arc<ElfFile>>) -> Result<Self, LinkError> {
        Self::with(target, elf, GuestOptions::default())
    }

    /// Learns what the machine is, and what its kernel, of which the user says this.
    ///
    /// # Errors
    /// When the target cannot be asked.
    pub fn with(
        target: &mut dyn Target,
        elf: Option<Arc<ElfFile>>,
        options: GuestOptions,
    ) -> Result<Self, LinkError> {
        let machine = MachineMap::ask(target)?;
        let mut capturer = Self {
            elf,
            machine,
            info: None,
            knowledge: Knowledge::new(options),
            seen: Seen::default(),
            told: Found::default(),
            last: None,
            processor: None,
            kept: Kept::default(),
            watches: Vec::new(),
        };
        if (capturer.elf.is_some() || capturer.machine.ram_source() == RamSource::BuiltIn)
            && target.facts().physical != PhysicalAccess::Unavailable
        {
            capturer.ask_kernel(target)?;
        }
        if capturer.info.is_none() {
            capturer.place_elf(target)?;
        }
        Ok(capturer)
    }

    /// Finds where the ELF of a kernel that is not ours lies, and what kernel it is.
    fn place_elf(&mut self, target: &mut dyn Target) -> Result<(), LinkError> {
        if let Some(elf) = &self.elf {
            let mut satps = Vec::new();
            for hart in target.harts()? {
                satps.extend(target.registers(hart)?.satp);
            }
            let told = self.knowledge.options.load_offset;
            let roots = roots(satps.iter());
            let placed = placement::find(target, &self.machine, elf, &roots, told)?;
            if let Some(placed) = placed {
                if placed.moved != Default::default() {
                    self.elf = Some(Arc::new(elf.moved_by(placed.moved)));
                }
                self.knowledge.placement = Some(placed);
            }
        }
        self.recognise(None);
        Ok(())
    }

    /// Chooses the profile, for a kernel that says that it is `layout`.
    fn recognise(&mut self, layout: Option<&str>) {
        let elf = self.elf.as_deref();
        self.knowledge.recognise(elf, layout);
        if let Some(elf) = elf {
            self.knowledge.follow_lines(elf);
        }
    }

    /// What is known of the guest besides its memory.
    pub const fn knowledge(&self) -> &Knowledge {
        &self.knowledge
    }

    /// Walks this root too from now on.
    pub fn add_root(&mut self, mode: Option<TranslationMode>, root: PhysPage) {
        let roots = &mut self.knowledge.options.roots;
        roots.retain(|known| known.1 != root);
        roots.push((mode, root));
    }

    /// Reads these numbers too, from the next capture on.
    pub fn set_watches(&mut self, mut watches: Vec<WatchSpec>) {
        watches.truncate(MOST_WATCHES);
        self.watches = watches;
    }

    /// What somebody wants to see.
    fn watched(
        &self,
        target: &mut dyn Target,
        harts: &[(HartId, Registers)],
        snapshot: &mut Snapshot,
    ) -> Result<(), LinkError> {
        if self.watches.is_empty() {
            return Ok(());
        }
        let satps = harts
            .iter()
            .filter_map(|(_, registers)| registers.satp.as_ref());
        let elf = self.elf.as_deref();
        let mut memory = GuestMemory::new(target, &self.machine, elf, roots(satps));
        for watch in &self.watches {
            let read = watch.read(elf, &self.machine, &mut memory)?;
            snapshot.watches.push(read);
        }
        Ok(())
    }

    /// Takes our kernel's word for which layout it is, and for where RAM is, where nobody else says it.
    fn ask_kernel(&mut self, target: &mut dyn Target) -> Result<(), LinkError> {
        let place = InfoPlace::find(target, &self.machine, self.elf.as_deref())?;
        let info = match place {
            Some(place) => place.read(target, &self.machine)?,
            None => None,
        };
        if let Some(info) = info {
            self.info = place;
            self.believe_about_ram(&info);
            self.see_layout(&info);
        }
        Ok(())
    }

    /// Takes the ELF's names of the layout that the guest says it runs.
    fn see_layout(&mut self, info: &KernelInfo) {
        let layout = info.facts().layout;
        let seen = self.elf.as_ref().and_then(|elf| elf.seen_from(&layout));
        if let Some(seen) = seen {
            self.elf = Some(Arc::new(seen));
        }
        self.recognise(Some(&layout));
    }

    fn believe_about_ram(&mut self, info: &KernelInfo) {
        if self.machine.ram_source() != RamSource::BuiltIn {
            return;
        }
        let (start, size) = info.ram();
        if let Some(machine) = self.machine.with_kernel_ram(start, size) {
            self.machine = machine;
        }
    }

    /// What lies where.
    pub const fn machine(&self) -> &MachineMap {
        &self.machine
    }

    /// The guest's ELF.
    pub fn elf(&self) -> Option<&Arc<ElfFile>> {
        self.elf.as_ref()
    }

    /// The last capture.
    pub const fn last(&self) -> Option<&Arc<Snapshot>> {
        self.last.as_ref()
    }

    /// How many tables had to be decoded so far: those that were as in the capture before were not.
    pub const fn tables_decoded(&self) -> u64 {
        self.kept.decoder.decoded()
    }

    /// Reads everything. `stop` says why the guest stands still.
    ///
    /// # Errors
    /// When the target is lost on the way: nothing half is ever returned.
    pub fn capture(
        &mut self,
        target: &mut dyn Target,
        stop: impl Into<String>,
    ) -> Result<Arc<Snapshot>, LinkError> {
        self.capture_named(target, |_| stop.into())
    }

    /// Reads everything; `stop` says of what was read why the guest stands still.
    ///
    /// # Errors
    /// When the target is lost on the way: nothing half is ever returned.
    pub fn capture_named(
        &mut self,
        target: &mut dyn Target,
        stop: impl FnOnce(&Snapshot) -> String,
    ) -> Result<Arc<Snapshot>, LinkError> {
        let mut snapshot = self.read_everything(target)?;
        snapshot.stop = stop(&snapshot);
        Ok(self.remember(snapshot))
    }

    /// What the next capture shares with.
    fn remember(&mut self, snapshot: Snapshot) -> Arc<Snapshot> {
        let snapshot = Arc::new(snapshot);
        self.last = Some(Arc::clone(&snapshot));
        snapshot
    }

    /// Reads everything once.
    fn read_everything(&mut self, target: &mut dyn Target) -> Result<Snapshot, LinkError> {
        let mut harts = target.all_registers()?;
        virtualized::find_out(target, &mut harts)?;
        let mut snapshot = Snapshot {
            version: FORMAT_VERSION,
            physical: self.machine.regions().to_vec().into(),
            harts: harts
                .iter()
                .map(|(id, registers)| hart_of(*id, registers))
                .collect(),
            ..Snapshot::default()
        };
        let mut published = self.kernel(target, &mut snapshot)?;
        if snapshot.kernel.is_none() {
            self.profiled(target, &harts, &mut snapshot, &mut published)?;
        }
        self.watched(target, &harts, &mut snapshot)?;
        let hidden = (harts.iter()).filter(|(_, registers)| virtualized::is_hidden(registers));
        for (hart, _) in hidden {
            snapshot.warnings.push(format!(
                "{hart} runs a guest (V=1), and the monitor does not show hgatp: attach over the gdb port to see it."
            ));
        }
        self.add_told(&harts, &mut published);
        self.tell_places(&mut snapshot);
        snapshot.provenance = self.provenance(target, snapshot.kernel.as_ref());
        let registers = harts.first().map(|(_, registers)| registers);
        snapshot.provenance.extensions = self.processor(target)?.extensions(registers);
        let is_asked = target.facts().physical.asks_the_stub();
        let (mut reader, decoder) = RamTables::new(target, &self.machine, &mut self.kept);
        if is_asked {
            let satps = harts.iter().filter_map(|(_, registers)| registers.satp);
            let satps = satps.chain(published.iter().map(|space| space.satp));
            let roots = satps.map(|satp| (satp.mode(), satp.root()));
            ahead::read_ahead(&mut reader, roots, RamTables::begin)?;
        }
        let listed = spaces::list(&harts, &published);
        let last = self.last.as_deref();
        snapshot.spaces = spaces::walk_all(listed, &mut reader, decoder, last)?;
        let read = reader.into_read();
        self.kept.keep(read);
        if let Some(last) = &self.last {
            snapshot.physical.share_with(&last.physical);
            snapshot.regions.share_with(&last.regions);
            snapshot.trace.share_with(&last.trace);
        }
        self.seen.remember(&snapshot);
        Ok(snapshot)
    }

    /// What the profile knows of a kernel that publishes nothing: regions, watches, spaces.
    fn profiled(
        &mut self,
        target: &mut dyn Target,
        harts: &[(HartId, Registers)],
        snapshot: &mut Snapshot,
        published: &mut Vec<KernelSpace>,
    ) -> Result<(), LinkError> {
        let satps = harts.iter().filter_map(|(_, registers)| registers.satp);
        let satps: Vec<Satp> = satps.collect();
        let roots = roots(satps.iter());
        self.told = self.processes(target, &satps)?;
        let found = self.told.clone();
        let elf = self.elf.as_deref();
        let mut memory = GuestMemory::new(target, &self.machine, elf, roots.clone());
        let named = self.knowledge.named(elf, &mut memory)?;
        snapshot.regions.extend(named.regions);
        snapshot
            .regions
            .sort_by_key(|region| (region.start, region.size));
        snapshot.watches.extend(named.watches);
        let mut warnings = found.notes;
        if found.spaces.len() > spaces::MAX_RESTING {
            warnings.push(format!(
                "there are {} spaces; those without a hart are shown up to {}",
                found.spaces.len(),
                spaces::MAX_RESTING
            ));
        }
        let sentences = warnings.iter().map(|warning| format!("{warning}."));
        snapshot.warnings.extend(sentences);
        let is_told = !found.spaces.is_empty();
        published.extend(found.spaces);
        // Whoever tells all its spaces tells which are gone as well.
        if !is_told {
            published.extend(self.seen.spaces(target, &self.machine, &roots, published)?);
        }
        Ok(())
    }

    /// What the profile's list of processes says now, of a machine whose harts have these satps.
    fn processes(&self, target: &mut dyn Target, satps: &[Satp]) -> Result<Found, LinkError> {
        let roots = roots(satps.iter());
        let mode = usual_mode(&roots, target.facts().xlen_bits);
        let elf = self.elf.as_deref();
        let mut memory = GuestMemory::new(target, &self.machine, elf, roots);
        self.knowledge.spaces(elf, &mut memory, mode)
    }

    /// The roots that somebody told, where nobody else has them.
    fn add_told(&self, harts: &[(HartId, Registers)], published: &mut Vec<KernelSpace>) {
        let satps = harts.iter().filter_map(|(_, registers)| registers.satp);
        let satps: Vec<Satp> = satps.collect();
        let running = roots(satps.iter());
        for (mode, root) in &self.knowledge.options.roots {
            let bits = match satps.first().map(|satp| satp.xlen()) {
                Some(Xlen::Rv32) => 32,
                _ => 64,
            };
            let mode = mode.unwrap_or_else(|| usual_mode(&running, bits));
            let satp = Satp::new(mode, 0, *root);
            let place = |satp: Satp| (satp.mode(), satp.root());
            let is_known = published
                .iter()
                .any(|space| place(space.satp) == place(satp))
                || running.contains(&place(satp));
            if !is_known {
                published.push(KernelSpace {
                    name: seen::root_name("root", published, *root),
                    kind: SpaceKind::Found,
                    number: None,
                    satp,
                });
            }
        }
    }

    /// What lies at each hart's pc.
    fn tell_places(&self, snapshot: &mut Snapshot) {
        let of = |hart: &Hart| hart.pc.map_or(0, VirtAddr::as_u64);
        let addresses: Vec<u64> = snapshot.harts.iter().map(of).collect();
        let places = self.knowledge.places(self.elf.as_deref(), &addresses);
        for (hart, place) in snapshot.harts.iter_mut().zip(places) {
            hart.place = place;
        }
        if self.knowledge.options.line_patience.is_none() || self.knowledge.lines().is_none() {
            return;
        }
        let of = |event: &Arc<TraceEvent>| event.caller.as_u64();
        let addresses: Vec<u64> = snapshot.trace.iter().map(of).collect();
        let places = self.knowledge.places(self.elf.as_deref(), &addresses);
        for (event, place) in snapshot.trace.iter_mut().zip(places) {
            if !place.is_empty() && !event.symbol.is_empty() && event.symbol != place {
                Arc::make_mut(event).symbol = place;
            }
        }
    }

    /// Looks for root tables in all of RAM; captures first where nothing was captured yet.
    ///
    /// # Errors
    /// When the target is lost, or [`LinkError::Cancelled`].
    pub fn scan(
        &mut self,
        target: &mut dyn Target,
        cancel: &Cancel,
        progress: &mut dyn FnMut(scan::Progress),
    ) -> Result<Vec<scan::Candidate>, LinkError> {
        let snapshot = match &self.last {
            Some(last) => Arc::clone(last),
            None => self.capture(target, "scanned")?,
        };
        let hints = scan::hints::of(&snapshot, target.facts().xlen_bits);
        scan::scan(target, &self.machine, &hints, cancel, progress)
    }

    /// The contents of every frame that a space of `snapshot` maps in 4 KiB leaves, for `--full`;
    /// and how many there are, where that is more than are kept.
    ///
    /// # Errors
    /// When the target is lost.
    pub fn contents(
        &self,
        target: &mut dyn Target,
        snapshot: &Snapshot,
    ) -> Result<(Vec<FrameContents>, usize), LinkError> {
        // The machine's frames: a guest's own numbers are other ones.
        let spaces = snapshot.spaces.iter();
        let machine = spaces.map(|space| in_machine_terms(snapshot, space));
        let mapped = machine.flat_map(|space| space.mappings.iter().collect::<Vec<_>>());
        let mut frames: Vec<PhysPage> = mapped
            .filter(|mapping| mapping.page_size == PAGE_SIZE)
            .flat_map(|mapping| {
                let first = mapping.phys.as_u64() / PAGE_SIZE;
                (first..first + mapping.size / PAGE_SIZE)
                    .take(MAX_FULL_FRAMES)
                    .map(PhysPage::from_truncated)
            })
            .filter(|frame| self.machine.is_ram(frame.range()))
            .collect();
        frames.sort_unstable();
        frames.dedup();
        let mapped = frames.len();
        frames.truncate(MAX_FULL_FRAMES);
        let read = target.read_frames(&frames)?;
        let words = frames.into_iter().zip(read);
        let contents = words.filter_map(|(frame, words)| {
            let words = TableEntries::new(words? as Arc<[u64]>);
            Some(FrameContents { frame, words })
        });
        Ok((contents.collect(), mapped))
    }

    /// One frame's bytes; `None` where it is not RAM or cannot be read.
    ///
    /// # Errors
    /// When the target is lost.
    pub fn frame(
        &self,
        target: &mut dyn Target,
        frame: PhysPage,
    ) -> Result<Option<Arc<[u8; PAGE_SIZE as usize]>>, LinkError> {
        if !self.machine.is_ram(frame.range()) {
            return Ok(None);
        }
        let answer = target
            .read_physical(&[frame.range()])?
            .into_iter()
            .next()
            .flatten();
        Ok(answer.and_then(|bytes| bytes.try_into().ok()).map(Arc::new))
    }

    /// What the kernel says of itself, and what its ELF says; gives the spaces that it publishes.
    fn kernel(
        &mut self,
        target: &mut dyn Target,
        snapshot: &mut Snapshot,
    ) -> Result<Vec<KernelSpace>, LinkError> {
        if let Some(elf) = &self.elf {
            snapshot.regions = elf.sections().to_vec().into();
        }
        if self.info.is_none() {
            self.info = InfoPlace::find(target, &self.machine, self.elf.as_deref())?;
        }
        let Some(place) = self.info else {
            return Ok(Vec::new());
        };
        let Some(info) = place.read(target, &self.machine)? else {
            if let Some(why) = place.refusal(target, &self.machine)? {
                let words = format!("Nothing is known of the kernel's own numbers: {why}.");
                snapshot.warnings.push(words);
            }
            // Or the guest was reset: look again next time.
            self.info = None;
            return Ok(Vec::new());
        };
        // We may have come before it had published the block.
        self.believe_about_ram(&info);
        self.see_layout(&info);
        if let Some(elf) = &self.elf {
            snapshot.regions = elf.sections().to_vec().into();
        }
        snapshot.physical = self.machine.regions().to_vec().into();
        snapshot.kernel = Some(info.facts());
        snapshot.heap = info.heap(&self.machine);
        if let Some(heap) = snapshot.heap {
            snapshot.watches.push(Watch {
                name: "heap counter".into(),
                address: heap.counter_address,
                value: Some(heap.counter),
                bytes: 8,
            });
        }
        let before = self.last.as_deref().map_or(&[][..], |last| &last.trace);
        let trace = info.trace(target, &self.machine, self.elf.as_deref(), before)?;
        snapshot.trace = trace.into();
        // The kernel's own names win over the ELF's sections of the same place.
        let told: Vec<PhysRange> = info.regions.iter().filter_map(Region::physical).collect();
        snapshot.regions.retain(|section| {
            let range = section.physical();
            !range.is_some_and(|range| told.iter().any(|told| told.overlaps(range)))
        });
        snapshot.regions.extend(info.regions);
        snapshot
            .regions
            .sort_by_key(|region| (region.start, region.size));
        Ok(info.spaces)
    }

    /// What the machine's processor says of itself; it is asked once.
    ///
    /// # Errors
    /// When the target is lost.
    pub fn processor(&mut self, target: &mut dyn Target) -> Result<Processor, LinkError> {
        if let Some(processor) = self.processor {
            return Ok(processor);
        }
        let processor = Processor::ask(target)?;
        self.processor = Some(processor);
        Ok(processor)
    }

    fn provenance(&self, target: &mut dyn Target, kernel: Option<&KernelFacts>) -> Provenance {
        let facts = target.facts();
        let machine = match &facts.stub {
            Stub::Qemu {
                version: Some(version),
            } => {
                let number = version.split_whitespace().next().unwrap_or(version);
                format!("QEMU {number}, {}", facts.architecture)
            }
            Stub::Qemu { version: None } => format!("QEMU, {}", facts.architecture),
            Stub::Other => format!("{}, {}", facts.architecture, self.machine.ram_source()),
            Stub::Dump { kind } => format!("{kind}, {}", facts.architecture),
        };
        let guest = match (kernel, &self.elf) {
            (Some(kernel), _) => format!("{}, {}", kernel.layout, kernel.strategy),
            (None, Some(elf)) => elf.name(),
            (None, None) => "unknown kernel".into(),
        };
        let guest = match self.knowledge.summary() {
            summary if summary.is_empty() || kernel.is_some() => guest,
            summary => format!("{guest}, {summary}"),
        };
        Provenance {
            tool: concat!("pagescope ", env!("CARGO_PKG_VERSION")).into(),
            guest,
            machine,
            link: facts.physical.to_string(),
            captured_at: jiff::Timestamp::now()
                .strftime("%Y-%m-%dT%H:%M:%SZ")
                .to_string(),
            ..Provenance::default()
        }
    }
}

/// The mode that harts translate in, as most do; else the least that a machine of this width has.
fn usual_mode(roots: &[(TranslationMode, PhysPage)], xlen_bits: u32) -> TranslationMode {
    let running = roots.first().map(|(mode, _)| *mode);
    running.unwrap_or(match xlen_bits {
        32 => TranslationMode::Sv32,
        _ => TranslationMode::Sv39,
    })
}

fn hart_of(id: HartId, registers: &Registers) -> Hart {
    Hart {
        id: id.number(),
        pc: registers.pc.map(VirtAddr::new),
        place: String::new(),
        privilege: registers.privilege.map(|privilege| {
            // VS, VU: the names of the modes of a guest.
            let prefix = if registers.virtualized == Some(true) {
                "V"
            } else {
                ""
            };
            format!("{prefix}{privilege}")
        }),
        satp: registers.satp,
        registers: registers
            .named
            .iter()
            .map(|(name, value)| Register {
                name: name.clone(),
                value: *value,
            })
            .collect(),
    }
}

//! A guest's memory in a file: QEMU's `dump-guest-memory`, or a raw image of RAM.
//!
//! ```text
//!  dump.elf   ELF header ─▶ PT_NOTE   CORE, NT_PRSTATUS: pc and x1…x31, a note for each hart
//!                       └─▶ PT_LOAD   p_paddr, p_offset, p_filesz: what lies where     ─▶ DumpTarget
//!  ram.bin    no header: it lies at --ram-base
//! ```
//!
//! Neither has satp, so whoever asks says it (`--satp`), or has it found. A dump is a target that stands
//! still for ever: whatever reads a guest reads it; nothing lets it run.
//!
//! The file is hostile until checked: see `elf`.

mod elf;

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use pagescope_protocol::walk::TableWords;
use pagescope_protocol::{PhysAddr, PhysPage, PhysRange, Satp, VirtAddr, Xlen};

use super::memory::guard::GuardedMap;
use super::memory::{RAM_START, mapped};
use super::{
    Address, FoundState, HartId, LinkError, PhysicalAccess, Registers, StopReason, Stub, Target,
    TargetFacts,
};
use elf::{Core, Form};

/// Most harts that `--satp` is believed to be about; RISC-V's `virt` has 512.
const MAX_HARTS: usize = 4096;

/// The names of x0 to x31 (RISC-V ABIs specification, "Integer Register Convention").
const X_NAMES: [&str; 32] = [
    "zero", "ra", "sp", "gp", "tp", "t0", "t1", "t2", "fp", "s1", "a0", "a1", "a2", "a3", "a4",
    "a5", "a6", "a7", "s2", "s3", "s4", "s5", "s6", "s7", "s8", "s9", "s10", "s11", "t3", "t4",
    "t5", "t6",
];

/// What to open.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct DumpOptions {
    /// The file.
    pub path: PathBuf,
    /// Of a raw image, the physical address of its first byte; `None` is where `virt` has its RAM.
    pub ram_base: Option<PhysAddr>,
    /// satp of hart 0, 1 and so on, which a dump does not have.
    pub satps: Vec<u64>,
}

/// What a file looks like, from its first bytes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum FileKind {
    /// An ELF core.
    Core,
    /// An ELF of another kind: a program, which has no memory in it.
    Program,
    /// A form of dump that is compressed.
    Compressed,
    /// Text, as snapshots are.
    Text,
    /// Anything else: perhaps an image of RAM.
    Other,
}

impl FileKind {
    /// Looks at a file's first bytes.
    ///
    /// # Errors
    /// When it cannot be read.
    pub fn of(path: &Path) -> Result<Self, LinkError> {
        use std::os::unix::fs::FileExt as _;
        let file = mapped::open_plain(path).map_err(|error| as_dump(path, &error))?;
        let mut head = [0; 64];
        let count = file.read_at(&mut head, 0);
        let count = count.map_err(|error| wrong(path, error.to_string()))?;
        Ok(elf::kind(&head[..count]))
    }
}

/// A guest's memory in a file.
#[derive(Debug)]
pub struct DumpTarget {
    facts: TargetFacts,
    /// In address order; they do not overlap.
    banks: Vec<Bank>,
    map: GuardedMap,
    harts: Vec<Registers>,
}

#[derive(Debug)]
struct Bank {
    range: PhysRange,
    /// Where it begins in the file.
    offset: u64,
}

impl DumpTarget {
    /// Opens a dump.
    ///
    /// # Errors
    /// When it cannot be opened, or is no dump.
    pub fn open(options: &DumpOptions) -> Result<Self, LinkError> {
        let path = &options.path;
        let file = mapped::open_plain(path).map_err(|error| as_dump(path, &error))?;
        let facts = file.metadata();
        let size = facts.map_err(|error| wrong(path, error.to_string()))?.len();
        let form = Form::read(&file, size).map_err(|why| wrong(path, why))?;
        let (core, kind) = match form {
            Form::Core(core) => (core, "core dump"),
            Form::Raw => (raw(options, size), "raw RAM image"),
        };
        let banks = banks_of(core.segments, size).map_err(|why| wrong(path, why))?;
        let xlen = core.xlen;
        let mut harts: Vec<Registers> = core.harts.iter().map(registers).collect();
        let (told, known) = (options.satps.len(), harts.len());
        if known > 0 && told > known {
            return Err(wrong(
                path,
                format!(
                    "it has {known} harts, and --satp is given {told} times: once for each hart at most"
                ),
            ));
        }
        let needed = options.satps.len().clamp(1, MAX_HARTS);
        harts.resize_with(harts.len().max(needed), Registers::default);
        for (hart, satp) in harts.iter_mut().zip(&options.satps) {
            hart.satp = Some(Satp::from_bits_of(*satp, xlen));
            hart.named.push(("satp".to_owned(), *satp));
        }
        let bits = match xlen {
            Xlen::Rv32 => 32,
            Xlen::Rv64 => 64,
        };
        Ok(Self {
            facts: TargetFacts {
                address: Address::File(path.clone()),
                stub: Stub::Dump { kind },
                packet_size_bytes: 0,
                architecture: format!("riscv:rv{bits}"),
                xlen_bits: bits,
                physical: PhysicalAccess::Dump,
                found: FoundState::Stopped,
            },
            banks,
            map: GuardedMap::new(file, 0, size),
            harts,
        })
    }

    /// Where in the file all of `range` lies.
    fn offset(&self, range: PhysRange) -> Option<u64> {
        let after = self
            .banks
            .partition_point(|bank| bank.range.start() <= range.start());
        let bank = self.banks.get(after.checked_sub(1)?)?;
        let at = range.start().checked_offset_from(bank.range.start())?;
        bank.range.contains_range(range).then_some(())?;
        bank.offset.checked_add(at)
    }

    fn hart(&self, hart: HartId) -> Result<&Registers, LinkError> {
        let registers = self.harts.get(hart.number() as usize);
        registers.ok_or_else(|| LinkError::Refused {
            packet: format!("selecting {hart}"),
            code: "no such hart in this dump".to_owned(),
        })
    }

    fn refuse(&self, what: &'static str) -> LinkError {
        let kind = match &self.facts.stub {
            Stub::Dump { kind } => kind,
            _ => "dump",
        };
        LinkError::Offline { kind, what }
    }
}

/// Where memory lies in the file, sorted and without overlaps: where two parts tell of the same memory, the
/// one that begins lower counts.
fn banks_of(mut segments: Vec<elf::Segment>, file_size: u64) -> Result<Vec<Bank>, String> {
    segments.sort_by_key(|segment| segment.start);
    let mut banks: Vec<Bank> = Vec::new();
    let mut covered_to = 0;
    for segment in segments {
        let ends = segment.offset.checked_add(segment.size);
        if ends.is_none_or(|ends| ends > file_size) {
            return Err(format!(
                "its memory at {:#x} is behind the file's end: it was cut short; dump again, with room for \
                 all of it",
                segment.start
            ));
        }
        // Behind the last address is nothing.
        let whole = PhysRange::new(PhysAddr::new(segment.start), segment.size);
        let Some(whole) = whole.filter(|range| !range.is_empty()) else {
            continue;
        };
        let from = segment.start.max(covered_to);
        let end = whole.end().as_u64();
        let rest = PhysRange::from_bounds(PhysAddr::new(from), PhysAddr::new(end));
        if let Some(range) = rest.filter(|range| !range.is_empty()) {
            let offset = segment.offset + (from - segment.start);
            banks.push(Bank { range, offset });
            covered_to = end;
        }
    }
    if banks.is_empty() {
        return Err("it has no memory in it".to_owned());
    }
    Ok(banks)
}

/// What is known of an image that says nothing of itself: what the user says.
fn raw(options: &DumpOptions, size: u64) -> Core {
    let base = options.ram_base.unwrap_or(RAM_START);
    // On RV64 a satp that fits into 32 bits translates nothing; on RV32 bit 31 is Sv32.
    let is_sv32 = |satp: &u64| *satp >> 31 == 1;
    let is_short = |satp: &u64| *satp >> 32 == 0;
    let satps = &options.satps;
    let is_rv32 = satps.iter().all(is_short) && satps.iter().any(is_sv32);
    Core {
        xlen: if is_rv32 { Xlen::Rv32 } else { Xlen::Rv64 },
        segments: vec![elf::Segment {
            start: base.as_u64(),
            offset: 0,
            size,
        }],
        harts: Vec::new(),
    }
}

fn registers(hart: &elf::HartState) -> Registers {
    let mut registers = Registers {
        pc: Some(hart.pc),
        ..Registers::default()
    };
    let x = [0].into_iter().chain(hart.x.iter().copied());
    for ((slot, name), value) in registers.x.iter_mut().zip(X_NAMES).zip(x) {
        *slot = Some(value);
        registers.named.push((name.to_owned(), value));
    }
    registers.named.push(("pc".to_owned(), hart.pc));
    registers
}

impl Target for DumpTarget {
    fn harts(&mut self) -> Result<Vec<HartId>, LinkError> {
        let numbers = 0..self.harts.len() as u32;
        Ok(numbers.map(HartId::new).collect())
    }

    fn registers(&mut self, hart: HartId) -> Result<Registers, LinkError> {
        self.hart(hart).cloned()
    }

    fn register(&mut self, hart: HartId, name: &str) -> Result<Option<u64>, LinkError> {
        Ok(self.hart(hart)?.get(name))
    }

    fn read_physical(&mut self, ranges: &[PhysRange]) -> Result<Vec<Option<Vec<u8>>>, LinkError> {
        let read = |range: &PhysRange| self.map.copy(self.offset(*range)?, range.size());
        Ok(ranges.iter().map(read).collect())
    }

    fn read_frames(
        &mut self,
        frames: &[PhysPage],
    ) -> Result<Vec<Option<Arc<TableWords>>>, LinkError> {
        let read = |frame: &PhysPage| self.map.copy_frame(self.offset(frame.range())?);
        Ok(frames.iter().map(read).collect())
    }

    fn set_breakpoint(&mut self, _address: VirtAddr) -> Result<(), LinkError> {
        Err(self.refuse("stop at an address"))
    }

    fn clear_breakpoint(&mut self, _address: VirtAddr) -> Result<(), LinkError> {
        Ok(())
    }

    fn resume(&mut self) -> Result<(), LinkError> {
        Err(self.refuse("run"))
    }

    fn step(&mut self, _hart: HartId) -> Result<(), LinkError> {
        Err(self.refuse("step"))
    }

    fn interrupt(&mut self) -> Result<(), LinkError> {
        Ok(())
    }

    fn wait_for_stop(&mut self, _limit: Duration) -> Result<Option<StopReason>, LinkError> {
        Ok(Some(StopReason::Interrupted { hart: None }))
    }

    fn is_running(&self) -> bool {
        false
    }

    fn monitor(&mut self, _command: &str) -> Result<Option<String>, LinkError> {
        Ok(None)
    }

    fn facts(&self) -> &TargetFacts {
        &self.facts
    }

    fn known_ram(&self) -> Option<Vec<PhysRange>> {
        let mut ranges: Vec<PhysRange> = Vec::new();
        for bank in &self.banks {
            // What lies side by side is one stretch, wherever it is in the file.
            let before = ranges.last_mut().filter(|before| {
                before.start().checked_add(before.size()) == Some(bank.range.start())
            });
            let size = before
                .as_ref()
                .map(|before| before.size() + bank.range.size());
            match (before, size) {
                (Some(before), Some(size)) => {
                    *before = PhysRange::new(before.start(), size).unwrap_or(*before);
                }
                _ => ranges.push(bank.range),
            }
        }
        Some(ranges)
    }

    fn detach(self: Box<Self>) -> Result<(), LinkError> {
        Ok(())
    }
}

fn wrong(path: &Path, why: String) -> LinkError {
    LinkError::Dump {
        path: path.to_owned(),
        why,
    }
}

/// The same, of a file that could not be opened.
fn as_dump(path: &Path, error: &LinkError) -> LinkError {
    match error {
        LinkError::RamFile { why, .. } => wrong(path, why.clone()),
        other => wrong(path, other.to_string()),
    }
}

#[cfg(test)]
mod tests;

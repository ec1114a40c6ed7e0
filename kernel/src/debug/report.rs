//! What `monitor` answers.

use core::fmt::{self, Write};

use pagescope_protocol::info::{
    EVERY_SPACE, InfoBlock, InfoError, Region, SpaceRecord, name_text, region_kind, region_space,
};
use pagescope_protocol::translate::{Outcome, pte_address};
use pagescope_protocol::{
    ENTRIES_PER_TABLE, Level, PhysAddr, PhysPage, Pte, PteKind, Satp, TranslationMode, VirtAddr,
};

use super::view::{Physical, walk};

/// Most tables that `tables` lists: damaged tables must not make it endless.
const MAX_TABLES: usize = 1024;

/// What there is.
pub const HELP: &str = "\
heap                the heap: its counter, the next page, what was freed, the reserve
layout              which layout this is, and what it is made of
regions             named stretches of memory
spaces              the address spaces that the kernel knows
tables              every page table of the selected hart's space
translate ADDRESS   how the selected hart translates an address, step by step
kalloc              has the kernel hand out a page, on the selected hart
physical [on|off]   whether m and M, x and set, take addresses for physical ones
help                this
";

/// A `monitor` command.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Command {
    /// What there is.
    Help,
    /// The heap.
    Heap,
    /// The layout.
    Layout,
    /// The regions.
    Regions,
    /// The address spaces.
    Spaces,
    /// The tables.
    Tables,
    /// One translation.
    Translate(u64),
    /// Says how addresses are meant, or changes it.
    Physical(Option<bool>),
    /// Not one of them, or not so.
    Unknown,
}

impl Command {
    /// What these bytes say.
    pub fn parse(text: &[u8]) -> Self {
        let text = core::str::from_utf8(text).unwrap_or("");
        let mut words = text.split_ascii_whitespace();
        let words = [words.next(), words.next(), words.next()];
        match words {
            [Some("help") | None, None, _] => Self::Help,
            [Some("heap"), None, _] => Self::Heap,
            [Some("layout"), None, _] => Self::Layout,
            [Some("regions"), None, _] => Self::Regions,
            [Some("spaces"), None, _] => Self::Spaces,
            [Some("tables"), None, _] => Self::Tables,
            [Some("physical"), None, _] => Self::Physical(None),
            [Some("physical"), Some("on"), None] => Self::Physical(Some(true)),
            [Some("physical"), Some("off"), None] => Self::Physical(Some(false)),
            [Some("translate"), Some(address), None] => {
                let digits = address.strip_prefix("0x").unwrap_or(address);
                let address = super::screen::number(digits.as_bytes());
                address.map_or(Self::Unknown, Self::Translate)
            }
            _ => Self::Unknown,
        }
    }
}

/// The information block at `address`, as far as it can be believed.
fn block(memory: &impl Physical, address: PhysAddr) -> Result<InfoBlock, InfoError> {
    let mut bytes = [0; InfoBlock::SIZE];
    let given = if memory.try_read(address, &mut bytes) {
        &bytes[..]
    } else {
        &[]
    };
    InfoBlock::parse(given)
}

/// `heap`.
///
/// # Errors
/// As `out`; so do all below.
pub fn heap(out: &mut impl Write, memory: &impl Physical, info: PhysAddr) -> fmt::Result {
    let block = match block(memory, info) {
        Ok(block) => block,
        Err(error) => return writeln!(out, "{error}"),
    };
    match memory.word(PhysAddr::new(block.heap_counter)) {
        Some(count) => writeln!(out, "heap counter {count} at {:#x}", block.heap_counter)?,
        None => writeln!(out, "heap counter unreadable at {:#x}", block.heap_counter)?,
    }
    writeln!(out, "  first page       {:#x}", block.heap_top)?;
    writeln!(out, "  next fresh page  {:#x}", block.heap_next)?;
    writeln!(out, "  lowest page      {:#x}", block.heap_bottom)?;
    writeln!(out, "  freed, waiting   {}", block.freed_pages)?;
    writeln!(
        out,
        "  in reserve       {}; never fewer than {} between calls, {} are kept",
        block.reserve, block.reserve_low, block.reserve_mark
    )?;
    writeln!(
        out,
        "  kalloc in kalloc at most {} deep",
        block.kalloc_depth_max
    )
}

/// `layout`.
pub fn layout(out: &mut impl Write, memory: &impl Physical, info: PhysAddr) -> fmt::Result {
    let block = match block(memory, info) {
        Ok(block) => block,
        Err(error) => return writeln!(out, "{error}"),
    };
    writeln!(
        out,
        "layout {}, tables {}",
        name_text(&block.layout),
        name_text(&block.strategy)
    )?;
    writeln!(
        out,
        "RAM {:#x} to {:#x}",
        block.ram_start,
        block.ram_start.saturating_add(block.ram_size)
    )?;
    writeln!(
        out,
        "{} map calls; traps into M-mode: {} for page tables, {} others",
        block.map_calls, block.machine_table_traps, block.machine_other_traps
    )
}

/// `regions`.
pub fn regions(out: &mut impl Write, memory: &impl Physical, info: PhysAddr) -> fmt::Result {
    let block = match block(memory, info) {
        Ok(block) => block,
        Err(error) => return writeln!(out, "{error}"),
    };
    for index in 0..block.region_count {
        let offset = index * Region::SIZE as u64;
        let address = PhysAddr::new(block.regions).wrapping_add(offset);
        let mut bytes = [0; Region::SIZE];
        let region = if memory.try_read(address, &mut bytes) {
            Region::parse(&bytes)
        } else {
            None
        };
        let Some(region) = region else {
            return writeln!(out, "region {index} at {address} cannot be read");
        };
        writeln!(
            out,
            "{:#018x} to {:#018x}  {:8}  {:12}  {}{}",
            region.address,
            region.address.saturating_add(region.size),
            match region.space {
                region_space::PHYSICAL => "physical",
                region_space::VIRTUAL => "virtual",
                _ => "?",
            },
            kind_name(region.kind),
            name_text(&region.name),
            Owner(region.owner),
        )?;
    }
    Ok(())
}

/// In which space alone a region counts.
struct Owner(u64);

impl fmt::Display for Owner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            EVERY_SPACE => Ok(()),
            space => write!(f, "  (space {space})"),
        }
    }
}

/// `spaces`.
pub fn spaces(out: &mut impl Write, memory: &impl Physical, info: PhysAddr) -> fmt::Result {
    let block = match block(memory, info) {
        Ok(block) => block,
        Err(error) => return writeln!(out, "{error}"),
    };
    for index in 0..block.space_count {
        let offset = index * SpaceRecord::SIZE as u64;
        let address = PhysAddr::new(block.spaces).wrapping_add(offset);
        let mut bytes = [0; SpaceRecord::SIZE];
        let space = if memory.try_read(address, &mut bytes) {
            SpaceRecord::parse(&bytes)
        } else {
            None
        };
        let Some(space) = space else {
            return writeln!(out, "space {index} at {address} cannot be read");
        };
        let satp = Satp::from_bits(space.satp);
        writeln!(
            out,
            "{:3}  {:24}  {}, ASID {}, root {}",
            space.id,
            name_text(&space.name),
            satp.mode(),
            satp.asid(),
            satp.root()
        )?;
    }
    Ok(())
}

const fn kind_name(kind: u64) -> &'static str {
    match kind {
        region_kind::TEXT => "text",
        region_kind::RODATA => "rodata",
        region_kind::DATA => "data",
        region_kind::STACK => "stack",
        region_kind::GUARD => "guard",
        region_kind::HEAP => "heap",
        region_kind::HEAP_COUNTER => "heap counter",
        region_kind::TABLES => "tables",
        region_kind::DEVICE => "device",
        region_kind::MACHINE => "machine",
        region_kind::CPU => "cpu",
        region_kind::LINEAR_MAP => "linear map",
        region_kind::SHARED_DATA => "shared data",
        region_kind::RESERVED => "reserved",
        region_kind::USER => "user",
        _ => "other",
    }
}

/// `tables`: each before the tables that it points to. A table that is met again at the same
/// level is not listed again.
pub fn tables(out: &mut impl Write, memory: &impl Physical, satp: Satp) -> fmt::Result {
    let mode = satp.mode();
    let Some(level) = mode.root_level() else {
        return writeln!(
            out,
            "satp {:#x}: {mode}, so there are no tables",
            satp.bits()
        );
    };
    let mut listing = Listing {
        out,
        memory,
        mode,
        seen: [None; MAX_TABLES],
        count: 0,
    };
    listing.table(satp.root(), level, 0)?;
    let count = listing.count;
    match count {
        MAX_TABLES => writeln!(out, "the first {MAX_TABLES} tables; there may be more"),
        _ => writeln!(out, "{count} tables"),
    }
}

struct Listing<'a, W, P> {
    out: &'a mut W,
    memory: &'a P,
    mode: TranslationMode,
    seen: [Option<(Level, PhysPage)>; MAX_TABLES],
    count: usize,
}

impl<W: Write, P: Physical> Listing<'_, W, P> {
    fn entry(&self, table: PhysPage, index: usize) -> Option<Pte> {
        let word = self.memory.word(pte_address(table, index));
        word.map(Pte::from_bits)
    }

    /// As deep as there are levels.
    fn table(&mut self, frame: PhysPage, level: Level, covers_from: u64) -> fmt::Result {
        let found = Some((level, frame));
        if self.seen[..self.count].contains(&found) {
            return Ok(());
        }
        let Some(place) = self.seen.get_mut(self.count) else {
            return Ok(());
        };
        *place = found;
        self.count += 1;
        let from = self.mode.canonical(covers_from);
        if self.entry(frame, 0).is_none() {
            return writeln!(self.out, "{level} {frame}  from {from:#}  is not in RAM");
        }
        let valid = |index: &usize| self.entry(frame, *index).is_some_and(Pte::is_valid);
        let used = (0..ENTRIES_PER_TABLE).filter(valid).count();
        writeln!(
            self.out,
            "{level} {frame}  from {from:#}  {used:3} entries used"
        )?;
        let Some(next) = level.next() else {
            return Ok(());
        };
        for index in 0..ENTRIES_PER_TABLE {
            let entry = self.entry(frame, index).unwrap_or(Pte::from_bits(0));
            if let PteKind::Pointer(table) = entry.classify(level) {
                let from = covers_from + index as u64 * level.entry_size();
                self.table(table, next, from)?;
            }
        }
        Ok(())
    }
}

/// `translate`.
pub fn translation(
    out: &mut impl Write,
    memory: &impl Physical,
    satp: Satp,
    address: u64,
) -> fmt::Result {
    let address = VirtAddr::new(address);
    let walked = walk(memory, satp, address);
    writeln!(out, "satp {:#018x}: {}", satp.bits(), satp.mode())?;
    for step in walked.trail.iter() {
        writeln!(
            out,
            "{} {}[{:3}] = {:#018x}  {}",
            step.level,
            step.table,
            step.index,
            step.pte.bits(),
            step.kind.name()
        )?;
    }
    match walked.outcome {
        Outcome::Mapped(mapped) => {
            writeln!(out, "{address} -> {} {}", mapped.address, mapped.flags)
        }
        Outcome::Fault(fault) => writeln!(out, "{address}: {fault}"),
        Outcome::Unreadable(entry) => {
            writeln!(out, "{address}: the entry at {entry} is not in RAM")
        }
    }
}

#[cfg(test)]
mod tests;

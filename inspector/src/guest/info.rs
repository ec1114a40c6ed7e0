//! Finding and believing our kernel's information block.

mod trace;
mod words;

use std::sync::Arc;

use pagescope_protocol::info::{
    INFO_SYMBOL, InfoBlock, InfoError, InfoPointer, POINTER_OFFSET, Region as RawRegion,
    SpaceRecord, name_text,
};
use pagescope_protocol::snapshot::{Heap, KernelFacts, Region, SpaceKind, TraceEvent};
use pagescope_protocol::{PAGE_SIZE, PhysAddr, PhysRange, Satp};

use super::{ElfFile, MachineMap};
use crate::link::{LinkError, Target};

/// What our kernel says about itself; every address in it is in RAM.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct KernelInfo {
    block: InfoBlock,
    /// The heap counter, where it is in RAM.
    counter: Option<u64>,
    /// Named stretches of memory.
    pub regions: Vec<Region>,
    /// The address spaces that can be walked, in the kernel's order; no two have the same name.
    pub spaces: Vec<KernelSpace>,
    /// Ids and names of all spaces, for what speaks of them by id.
    names: words::SpaceNames,
}

/// An address space that the kernel knows.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct KernelSpace {
    /// Its name.
    pub name: String,
    /// Whose it is.
    pub kind: SpaceKind,
    /// Which hart's, or which process's; `None` for the kernel's own.
    pub number: Option<u64>,
    /// What satp is when a hart runs in it.
    pub satp: Satp,
}

/// Where the block is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct InfoPlace(PhysAddr);

impl InfoPlace {
    /// Looks for the block: by the machine program's pointer to it, then by symbol. `None` where
    /// the guest is not our kernel, or has not come far enough.
    ///
    /// # Errors
    /// When the target cannot be read.
    pub fn find(
        target: &mut dyn Target,
        machine: &MachineMap,
        elf: Option<&ElfFile>,
    ) -> Result<Option<Self>, LinkError> {
        let entry = elf.map(|elf| PhysAddr::new(elf.entry()));
        let starts = [machine.ram_start(), entry].into_iter().flatten();
        let size = size_of::<InfoPointer>() as u64;
        let places: Vec<(PhysAddr, u64)> = starts
            .filter_map(|start| Some((start.checked_add(POINTER_OFFSET)?, size)))
            .collect();
        for bytes in read_all(target, machine, &places)? {
            if let Some(pointer) = bytes.as_deref().and_then(InfoPointer::parse) {
                return Ok(Some(Self(PhysAddr::new(pointer.block))));
            }
        }
        // An identity-mapped kernel's symbol is a physical address; another's fails the check of
        // what lies there.
        let symbol = elf.and_then(|elf| elf.address_of(INFO_SYMBOL));
        let place = symbol.map(|address| Self(PhysAddr::new(address.as_u64())));
        let Some(place) = place else {
            return Ok(None);
        };
        let is_there = match place.parse_block(target, machine)? {
            Some(parsed) => !matches!(parsed, Err(InfoError::Magic(_))),
            None => false,
        };
        Ok(is_there.then_some(place))
    }

    /// The block, or why what lies there is none; `None` where it is not RAM.
    fn parse_block(
        self,
        target: &mut dyn Target,
        machine: &MachineMap,
    ) -> Result<Option<Result<InfoBlock, InfoError>>, LinkError> {
        let bytes = read(target, machine, self.0, InfoBlock::SIZE as u64)?;
        Ok(bytes.map(|bytes| InfoBlock::parse(&bytes)))
    }

    /// Why a block that is there is not believed: the kernel is of another version than this program.
    /// `None` where it is believed, or where there is none yet.
    ///
    /// # Errors
    /// When the target cannot be read.
    pub fn refusal(
        self,
        target: &mut dyn Target,
        machine: &MachineMap,
    ) -> Result<Option<InfoError>, LinkError> {
        let parsed = self.parse_block(target, machine)?;
        let error = parsed.and_then(Result::err);
        Ok(error.filter(|error| !matches!(error, InfoError::Magic(_))))
    }

    fn read_block(
        self,
        target: &mut dyn Target,
        machine: &MachineMap,
    ) -> Result<Option<InfoBlock>, LinkError> {
        Ok(self.parse_block(target, machine)?.and_then(Result::ok))
    }

    /// Reads the block and its tables of regions and spaces; `None` while the block is not valid.
    ///
    /// # Errors
    /// When the target cannot be read.
    pub fn read(
        self,
        target: &mut dyn Target,
        machine: &MachineMap,
    ) -> Result<Option<KernelInfo>, LinkError> {
        let Some(block) = self.read_block(target, machine)? else {
            return Ok(None);
        };
        let places = [
            place(block.spaces, block.space_count, SpaceRecord::SIZE),
            place(block.regions, block.region_count, RawRegion::SIZE),
            place(block.heap_counter, 1, size_of::<u64>()),
        ];
        let mut read = read_all(target, machine, &places)?.into_iter();
        let mut next = || read.next().flatten();
        let records = items(next(), SpaceRecord::SIZE, SpaceRecord::parse);
        let names = words::SpaceNames::new(&records);
        let regions = items(next(), RawRegion::SIZE, RawRegion::parse);
        let counter = next().and_then(|bytes| Some(u64::from_le_bytes(bytes.try_into().ok()?)));
        let regions = regions.iter().map(|raw| words::region(raw, &names));
        Ok(Some(KernelInfo {
            block,
            counter,
            regions: regions.collect(),
            spaces: words::spaces(&records, &names),
            names,
        }))
    }
}

impl KernelInfo {
    /// Where the kernel says that RAM is: first byte and bytes. A claim, as all of it is.
    pub const fn ram(&self) -> (PhysAddr, u64) {
        (PhysAddr::new(self.block.ram_start), self.block.ram_size)
    }

    /// The layout, the strategy and the counters.
    pub fn facts(&self) -> KernelFacts {
        KernelFacts {
            layout: name_text(&self.block.layout).into(),
            strategy: name_text(&self.block.strategy).into(),
            kalloc_depth_max: self.block.kalloc_depth_max,
            reserve: self.block.reserve,
            reserve_low: self.block.reserve_low,
            reserve_mark: Some(self.block.reserve_mark),
            map_calls: Some(self.block.map_calls),
            machine_table_traps: self.block.machine_table_traps,
            changing: self.block.changing,
        }
    }

    /// What the kernel did last, oldest first. Of what is in `before`, from the capture before, nothing
    /// is read again.
    ///
    /// # Errors
    /// When the target cannot be read.
    pub fn trace(
        &self,
        target: &mut dyn Target,
        machine: &MachineMap,
        elf: Option<&ElfFile>,
        before: &[Arc<TraceEvent>],
    ) -> Result<Vec<Arc<TraceEvent>>, LinkError> {
        trace::Ring::new(&self.block, &self.names, elf).read(target, machine, before)
    }

    /// The allocator's state; `None` where its numbers cannot be: outside RAM, or out of order.
    pub fn heap(&self, machine: &MachineMap) -> Option<Heap> {
        let block = &self.block;
        let counter_address = PhysAddr::new(block.heap_counter);
        let is_page_in_ram = |address: u64| {
            let page = PhysRange::new(PhysAddr::new(address), PAGE_SIZE);
            page.is_some_and(|page| machine.is_ram(page))
        };
        let is_sound = block.heap_bottom <= block.heap_top
            && block.heap_next <= block.heap_top
            && is_page_in_ram(block.heap_top)
            && is_page_in_ram(block.heap_bottom);
        if !is_sound {
            return None;
        }
        self.counter.map(|counter| Heap {
            counter,
            counter_address,
            top: PhysAddr::new(block.heap_top),
            bottom: PhysAddr::new(block.heap_bottom),
            next: PhysAddr::new(block.heap_next),
            freed: block.freed_pages,
        })
    }
}

/// Where a table of `count` items is that the guest claims to have at `address`, and its size in bytes.
const fn place(address: u64, count: u64, item_size: usize) -> (PhysAddr, u64) {
    (
        PhysAddr::new(address),
        count.saturating_mul(item_size as u64),
    )
}

/// The items of a table; none where it could not be read.
fn items<T>(
    bytes: Option<Vec<u8>>,
    item_size: usize,
    parse: impl Fn(&[u8]) -> Option<T>,
) -> Vec<T> {
    let bytes = bytes.unwrap_or_default();
    bytes.chunks_exact(item_size).filter_map(parse).collect()
}

/// Bytes that the guest claims to have somewhere: read only where that is RAM.
fn read(
    target: &mut dyn Target,
    machine: &MachineMap,
    start: PhysAddr,
    size: u64,
) -> Result<Option<Vec<u8>>, LinkError> {
    let read = read_all(target, machine, &[(start, size)])?;
    Ok(read.into_iter().next().flatten())
}

/// The same for several places at once, in their order.
fn read_all(
    target: &mut dyn Target,
    machine: &MachineMap,
    places: &[(PhysAddr, u64)],
) -> Result<Vec<Option<Vec<u8>>>, LinkError> {
    let ranges = places.iter().map(|(start, size)| {
        let range = PhysRange::new(*start, *size).filter(|range| !range.is_empty());
        range.filter(|range| machine.is_ram(*range))
    });
    let ranges: Vec<Option<PhysRange>> = ranges.collect();
    let wanted: Vec<PhysRange> = ranges.iter().copied().flatten().collect();
    if wanted.is_empty() {
        return Ok(vec![None; places.len()]);
    }
    let mut answers = target.read_physical(&wanted)?.into_iter();
    Ok(ranges
        .into_iter()
        .map(|range| range.and_then(|_| answers.next().flatten()))
        .collect())
}

#[cfg(test)]
mod tests;

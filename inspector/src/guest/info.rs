//! Finding and believing our kernel's information block.

use pagescope_protocol::info::{
    INFO_SYMBOL, InfoBlock, InfoPointer, POINTER_OFFSET, Region as RawRegion, name_text,
    region_kind, region_space,
};
use pagescope_protocol::snapshot::{Heap, KernelFacts, Region, RegionKind, RegionSpace};
use pagescope_protocol::{PAGE_SIZE, PhysAddr, PhysRange};

use super::{ElfFile, MachineMap};
use crate::link::{LinkError, Target};

/// What our kernel says about itself; every address in it is in RAM.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct KernelInfo {
    block: InfoBlock,
    /// Named stretches of memory.
    pub regions: Vec<Region>,
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
        for start in [machine.ram_start(), entry].into_iter().flatten() {
            if let Some(at) = start.checked_add(POINTER_OFFSET)
                && let Some(bytes) = read(target, machine, at, size_of::<InfoPointer>() as u64)?
                && let Some(pointer) = InfoPointer::parse(&bytes)
            {
                return Ok(Some(Self(PhysAddr::new(pointer.block))));
            }
        }
        // An identity-mapped kernel's symbol is a physical address; another's fails the check of
        // what lies there.
        let symbol = elf.and_then(|elf| elf.address_of(INFO_SYMBOL));
        let place = symbol.map(|address| Self(PhysAddr::new(address.as_u64())));
        match place {
            Some(place) if place.read_block(target, machine)?.is_some() => Ok(Some(place)),
            _ => Ok(None),
        }
    }

    fn read_block(
        self,
        target: &mut dyn Target,
        machine: &MachineMap,
    ) -> Result<Option<InfoBlock>, LinkError> {
        let bytes = read(target, machine, self.0, InfoBlock::SIZE as u64)?;
        Ok(bytes.and_then(|bytes| InfoBlock::parse(&bytes).ok()))
    }

    /// Reads the block and its table of regions; `None` while the block is not valid.
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
        let size = block.region_count * RawRegion::SIZE as u64;
        let table = read(target, machine, PhysAddr::new(block.regions), size)?.unwrap_or_default();
        let regions = table
            .chunks_exact(RawRegion::SIZE)
            .filter_map(RawRegion::parse);
        Ok(Some(KernelInfo {
            block,
            regions: regions.map(region).collect(),
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
        }
    }

    /// The allocator's state; `None` where its numbers cannot be: outside RAM, or out of order.
    ///
    /// # Errors
    /// When the target cannot be read.
    pub fn heap(
        &self,
        target: &mut dyn Target,
        machine: &MachineMap,
    ) -> Result<Option<Heap>, LinkError> {
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
            return Ok(None);
        }
        let counter = read(target, machine, counter_address, 8)?;
        let counter = counter.and_then(|bytes| Some(u64::from_le_bytes(bytes.try_into().ok()?)));
        Ok(counter.map(|counter| Heap {
            counter,
            counter_address,
            top: PhysAddr::new(block.heap_top),
            bottom: PhysAddr::new(block.heap_bottom),
            next: PhysAddr::new(block.heap_next),
            freed: block.freed_pages,
        }))
    }
}

/// Bytes that the guest claims to have somewhere: read only where that is RAM.
fn read(
    target: &mut dyn Target,
    machine: &MachineMap,
    start: PhysAddr,
    size: u64,
) -> Result<Option<Vec<u8>>, LinkError> {
    match PhysRange::new(start, size).filter(|range| !range.is_empty() && machine.is_ram(*range)) {
        Some(range) => Ok(target.read_physical(&[range])?.into_iter().next().flatten()),
        None => Ok(None),
    }
}

fn region(raw: RawRegion) -> Region {
    let kind = match raw.kind {
        region_kind::TEXT => RegionKind::Text,
        region_kind::RODATA => RegionKind::Rodata,
        region_kind::DATA => RegionKind::Data,
        region_kind::STACK => RegionKind::Stack,
        region_kind::GUARD => RegionKind::Guard,
        region_kind::HEAP => RegionKind::Heap,
        region_kind::HEAP_COUNTER => RegionKind::HeapCounter,
        region_kind::TABLES => RegionKind::Tables,
        region_kind::DEVICE => RegionKind::Device,
        region_kind::MACHINE => RegionKind::Machine,
        _ => RegionKind::Other,
    };
    let space = match raw.space {
        region_space::VIRTUAL => RegionSpace::Virtual,
        _ => RegionSpace::Physical,
    };
    let name = name_text(&raw.name).into();
    Region {
        start: raw.address,
        size: raw.size,
        space,
        kind,
        name,
    }
}

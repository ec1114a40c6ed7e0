//! The machine's physical address space: what is RAM, and may be read, and what is a device.
//!
//! Asked of QEMU (`info mtree -f`), else read in the device tree. Where there is none either, the devices are those of QEMU's
//! `virt`, as built in, and RAM is what our kernel says it is, else what `virt` has with 128 MiB.
//! [`RamSource`] says which. Names follow QEMU's hw/riscv/virt.c.

use std::fmt;

use pagescope_protocol::snapshot::{PhysicalKind, PhysicalRegion};
use pagescope_protocol::{PAGE_SIZE, PhysAddr, PhysRange};

use super::device_tree;
use crate::link::qemu::MemoryMap;
use crate::link::{LinkError, Target};

/// The devices of QEMU's `virt`, and what QEMU's own names for them mean.
const VIRT_DEVICES: &str = include_str!("../../../assets/machines/qemu-virt.ron");

/// The most RAM that a kernel is believed to have: `virt`'s high PCI window comes no lower than
/// 16 GiB (hw/riscv/virt.c, `VIRT64_HIGH_PCIE_MMIO_BASE`).
const MOST_RAM: u64 = 14 << 30;

/// What lies where.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct MachineMap {
    regions: Vec<PhysicalRegion>,
    source: RamSource,
}

/// Who says where RAM is.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
pub enum RamSource {
    /// Nobody: it is what QEMU's `virt` has with 128 MiB.
    #[default]
    BuiltIn,
    /// Our kernel, in its information block.
    Kernel,
    /// The device tree.
    DeviceTree,
    /// QEMU, in `info mtree`.
    Qemu,
    /// The dump, by what it holds.
    Dump,
}

impl fmt::Display for RamSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::BuiltIn => "RAM as in QEMU's virt",
            Self::Kernel => "RAM as the kernel says",
            Self::DeviceTree => "RAM as the device tree says",
            Self::Qemu => "RAM as QEMU says",
            Self::Dump => "RAM as far as it was dumped",
        })
    }
}

/// A device in `assets/machines`.
#[derive(serde::Deserialize)]
struct KnownDevice {
    name: String,
    start: u64,
    size: u64,
}

impl MachineMap {
    /// Asks the target; the built-in map of `virt` with `ram` where it cannot say.
    ///
    /// # Errors
    /// When the target cannot be asked.
    pub fn ask(target: &mut dyn Target) -> Result<Self, LinkError> {
        if let Some(ram) = target.known_ram() {
            return Ok(Self::from_dump(&ram));
        }
        let answer = target.monitor("info mtree -f")?;
        let map = answer.as_deref().and_then(MemoryMap::from_mtree);
        if let Some(map) = map {
            return Ok(Self::from_qemu(&map));
        }
        let built_in = Self::virt_128_mib();
        let told = device_tree::find(target, &built_in)?;
        Ok(told.map_or(built_in, Self::from_device_tree))
    }

    /// What a device tree tells. Where RAM and something else overlap it is not RAM: reading it could
    /// change a device.
    pub fn from_device_tree(regions: Vec<PhysicalRegion>) -> Self {
        let devices: Vec<PhysRange> = regions
            .iter()
            .filter(|region| region.kind != PhysicalKind::Ram)
            .filter_map(PhysicalRegion::range)
            .collect();
        let is_sound = |region: &PhysicalRegion| {
            let range = region.range();
            region.kind != PhysicalKind::Ram
                || range.is_some_and(|ram| !devices.iter().any(|device| device.overlaps(ram)))
        };
        let regions = regions.into_iter().filter(is_sound).collect();
        Self::sorted(regions, RamSource::DeviceTree)
    }

    /// What a dump holds: all of it can be read, and nothing is known of devices.
    fn from_dump(ranges: &[PhysRange]) -> Self {
        let regions = ranges.iter().map(|range| PhysicalRegion {
            start: range.start(),
            size: range.size(),
            kind: PhysicalKind::Ram,
            name: "RAM".into(),
        });
        Self::sorted(regions.collect(), RamSource::Dump)
    }

    /// QEMU's `virt` with 128 MiB, for a target that cannot say what it has.
    pub fn virt_128_mib() -> Self {
        let ram = PhysicalRegion {
            start: PhysAddr::new(0x8000_0000),
            size: 128 << 20,
            kind: PhysicalKind::Ram,
            name: "RAM".into(),
        };
        let devices = known_devices().into_iter().map(|known| PhysicalRegion {
            start: PhysAddr::new(known.start),
            size: known.size,
            kind: PhysicalKind::Device,
            name: known.name,
        });
        Self::sorted(devices.chain([ram]).collect(), RamSource::BuiltIn)
    }

    /// The built-in machine with RAM where our kernel says it is. `None` where that cannot be: it is
    /// empty, does not begin where `virt`'s does, or has a device in it. To believe it there could
    /// mean to read that device.
    pub fn with_kernel_ram(&self, start: PhysAddr, size: u64) -> Option<Self> {
        let ram = PhysRange::new(start, size).filter(|range| !range.is_empty())?;
        let ours = self.regions.iter().find(|r| r.kind == PhysicalKind::Ram)?;
        let is_device = |region: &PhysicalRegion| {
            let range = region.range();
            region.kind != PhysicalKind::Ram && range.is_some_and(|range| range.overlaps(ram))
        };
        let is_sound = start == ours.start
            && start.is_aligned(PAGE_SIZE)
            && size.is_multiple_of(PAGE_SIZE)
            && size <= MOST_RAM
            && !self.regions.iter().any(is_device);
        is_sound.then(|| {
            let mut regions = self.regions.clone();
            for region in &mut regions {
                if region.kind == PhysicalKind::Ram {
                    region.size = size;
                }
            }
            Self::sorted(regions, RamSource::Kernel)
        })
    }

    /// Who says where RAM is.
    pub const fn ram_source(&self) -> RamSource {
        self.source
    }

    fn from_qemu(map: &MemoryMap) -> Self {
        // The names are `virt`'s; another machine's devices keep QEMU's own.
        let all = map.ram.iter().chain(&map.devices);
        let is_virt = all.into_iter().any(|region| region.name.contains("virt"));
        let known = if is_virt { known_devices() } else { Vec::new() };
        let ram = map.ram.iter().map(|region| PhysicalRegion {
            start: region.range.start(),
            size: region.range.size(),
            kind: if region.name.contains("rom") || region.name.contains("flash") {
                PhysicalKind::Rom
            } else {
                PhysicalKind::Ram
            },
            name: region.name.clone(),
        });
        // QEMU cuts devices into pieces and numbers them; the known names are what people say.
        let mut devices: Vec<PhysicalRegion> = Vec::new();
        for device in &map.devices {
            let start = device.range.start().as_u64();
            let around = known
                .iter()
                .find(|k| start >= k.start && start - k.start < k.size);
            let region = PhysicalRegion {
                start: around.map_or(device.range.start(), |k| PhysAddr::new(k.start)),
                size: around.map_or(device.range.size(), |k| k.size),
                kind: PhysicalKind::Device,
                name: around.map_or_else(|| device.name.clone(), |k| k.name.clone()),
            };
            if !devices
                .iter()
                .any(|other| other.name == region.name && other.start == region.start)
            {
                devices.push(region);
            }
        }
        Self::sorted(ram.chain(devices).collect(), RamSource::Qemu)
    }

    fn sorted(mut regions: Vec<PhysicalRegion>, source: RamSource) -> Self {
        regions.sort_by_key(|region| region.start);
        Self { regions, source }
    }

    /// The regions in address order.
    pub fn regions(&self) -> &[PhysicalRegion] {
        &self.regions
    }

    /// Whether all of `range` is RAM, so that reading it changes nothing.
    pub fn is_ram(&self, range: PhysRange) -> bool {
        self.ram().any(|ram| ram.contains_range(range))
    }

    /// The RAM's ranges.
    pub fn ram(&self) -> impl Iterator<Item = PhysRange> + '_ {
        let ram = self
            .regions
            .iter()
            .filter(|region| region.kind == PhysicalKind::Ram);
        ram.filter_map(PhysicalRegion::range)
    }

    /// The first byte of the largest RAM.
    pub fn ram_start(&self) -> Option<PhysAddr> {
        self.ram()
            .max_by_key(|range| range.size())
            .map(PhysRange::start)
    }
}

fn known_devices() -> Vec<KnownDevice> {
    // The file is part of the program; a test reads it.
    ron::from_str(VIRT_DEVICES).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_built_in_machine_reads() {
        assert!(
            known_devices()
                .iter()
                .any(|device| device.start == 0x1000_0000)
        );
        let map = MachineMap::virt_128_mib();
        assert_eq!(map.ram_start(), Some(PhysAddr::new(0x8000_0000)));
        let past = PhysRange::new(PhysAddr::new(0x87ff_f000), 0x2000).unwrap();
        assert!(!map.is_ram(past));
    }

    #[test]
    fn a_kernel_is_believed_about_ram_only_where_no_device_can_be() {
        let map = MachineMap::virt_128_mib();
        let told = |start, size| map.with_kernel_ram(PhysAddr::new(start), size);
        let small = told(0x8000_0000, 64 << 20).unwrap();
        assert_eq!(small.ram_source(), RamSource::Kernel);
        let past = PhysRange::new(PhysAddr::new(0x8400_0000), 4096).unwrap();
        assert!(map.is_ram(past) && !small.is_ram(past));
        assert!(told(0x8000_0000, 2 << 30).unwrap().is_ram(past));
        for (start, size) in [
            (0x8000_0000, 0),
            (0x8000_0000, 4097),
            (0x8000_0000, 15 << 30),
            (0x8000_0000, u64::MAX),
            (0x1000_0000, 0x1000),
            (0, 1 << 40),
        ] {
            assert_eq!(told(start, size), None, "{start:#x} {size:#x}");
        }
    }
}

//! The machine's map from its device tree, for a target that has no `info mtree`.
//!
//! ```text
//!  0xd00dfeed, bytes in all, …      big-endian (Devicetree Specification, section 5.2)
//!  /memory@80000000  reg            RAM, one or more banks
//!  /soc/serial@…     reg            devices
//! ```
//!
//! Looked for where RAM is sure to be: where a hart's a1 points at reset (the boot protocol of
//! RISC-V), and in the last 2 MiB of what `virt` has at least, where QEMU puts it.

use dtoolkit::fdt::{Fdt, FdtNode};
use dtoolkit::{Node as _, Property as _};
use pagescope_protocol::snapshot::{PhysicalKind, PhysicalRegion};
use pagescope_protocol::{PAGE_SIZE, PhysAddr, PhysRange};

use super::MachineMap;
use crate::link::{HartId, LinkError, PhysicalAccess, Target};

/// The first word (Devicetree Specification, section 5.2).
const MAGIC: u32 = 0xd00d_feed;

/// The largest tree that is read, in bytes.
const MAX_BYTES: u32 = 2 << 20;

/// Deepest node that is looked at.
const MAX_DEPTH: usize = 8;

/// Most regions that are kept.
const MAX_REGIONS: usize = 512;

/// QEMU aligns the tree to this (hw/riscv/boot.c, `riscv_compute_fdt_addr`).
const ALIGNMENT: u64 = 2 << 20;

/// The regions that the tree in `bytes` tells; `None` where it is no tree or tells no RAM.
pub fn regions(bytes: &[u8]) -> Option<Vec<PhysicalRegion>> {
    let tree = Fdt::new(bytes).ok()?;
    let mut regions = Vec::new();
    collect(tree.root(), 0, &mut regions);
    let has_ram = regions
        .iter()
        .any(|region: &PhysicalRegion| region.kind == PhysicalKind::Ram);
    has_ram.then_some(regions)
}

fn collect(node: FdtNode<'_>, depth: usize, regions: &mut Vec<PhysicalRegion>) {
    if depth > MAX_DEPTH {
        return;
    }
    for child in node.children() {
        let name = child.name_without_address();
        // What a cpu or a reserved stretch says is no device.
        if depth == 0 && matches!(name, "cpus" | "chosen" | "reserved-memory" | "aliases") {
            continue;
        }
        let kind = match depth == 0 && (name == "memory" || says_memory(&child)) {
            true => PhysicalKind::Ram,
            false => PhysicalKind::Device,
        };
        let reg = child.reg().ok().flatten();
        for reg in reg.into_iter().flatten() {
            let (Ok(start), Ok(size)) = (reg.address::<u64>(), reg.size::<u64>()) else {
                continue;
            };
            let start = PhysAddr::new(start);
            let is_sound = PhysRange::new(start, size).is_some_and(|range| !range.is_empty());
            if is_sound && regions.len() < MAX_REGIONS {
                regions.push(PhysicalRegion {
                    start,
                    size,
                    kind,
                    name: match kind {
                        PhysicalKind::Ram => "RAM".into(),
                        _ => name.to_owned(),
                    },
                });
            }
        }
        collect(child, depth + 1, regions);
    }
}

/// Whether its `device_type` says that it is memory (Devicetree Specification, section 3.4).
fn says_memory(node: &FdtNode<'_>) -> bool {
    let mut properties = node.properties();
    properties.any(|property| property.name() == "device_type" && property.value() == b"memory\0")
}

/// Looks for the tree where `sure` has RAM.
///
/// # Errors
/// When the target is lost.
pub fn find(
    target: &mut dyn Target,
    sure: &MachineMap,
) -> Result<Option<Vec<PhysicalRegion>>, LinkError> {
    if matches!(target.facts().physical, PhysicalAccess::Unavailable) {
        return Ok(None);
    }
    let mut places = Vec::new();
    for hart in target.harts()?.into_iter().take(1) {
        places.extend(at_reset(target, hart)?);
    }
    for ram in sure.ram() {
        let end = ram.start().as_u64().saturating_add(ram.size());
        let last = end.saturating_sub(ALIGNMENT).max(ram.start().as_u64());
        // Over a serial line each look costs: there only where QEMU aligns it to.
        let step = match target.facts().physical {
            PhysicalAccess::Monitor => ALIGNMENT,
            _ => PAGE_SIZE,
        };
        let top = (last..end).step_by(step as usize);
        let others = (ram.start().as_u64()..last).step_by(ALIGNMENT as usize);
        places.extend(top.chain(others));
    }
    let headers: Vec<PhysRange> = places
        .iter()
        .filter_map(|at| PhysRange::new(PhysAddr::new(*at), 8))
        .filter(|range| sure.is_ram(*range))
        .collect();
    let answers = target.read_physical(&headers)?;
    for (header, bytes) in headers.iter().zip(answers) {
        let Some(size) = bytes.as_deref().and_then(size_of_tree) else {
            continue;
        };
        let whole = PhysRange::new(header.start(), u64::from(size));
        let Some(whole) = whole.filter(|whole| sure.is_ram(*whole)) else {
            continue;
        };
        let bytes = target.read_physical(&[whole])?.into_iter().next().flatten();
        if let Some(regions) = bytes.as_deref().and_then(regions) {
            return Ok(Some(regions));
        }
    }
    Ok(None)
}

/// a1 of a hart, where the boot protocol has it point to the tree.
fn at_reset(target: &mut dyn Target, hart: HartId) -> Result<Option<u64>, LinkError> {
    let a1 = target.register(hart, "a1")?;
    Ok(a1.filter(|at| at.is_multiple_of(8)))
}

/// Bytes of the tree that begins so.
fn size_of_tree(header: &[u8]) -> Option<u32> {
    let (words, _) = header.as_chunks::<4>();
    let [magic, size] = words else { return None };
    let size = u32::from_be_bytes(*size);
    (u32::from_be_bytes(*magic) == MAGIC && (40..=MAX_BYTES).contains(&size)).then_some(size)
}

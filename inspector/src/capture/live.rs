//! One translation on a live target, without walking the whole space.

use pagescope_protocol::translate::{Translation, translate};
use pagescope_protocol::{PhysAddr, PhysRange, Pte, Satp, VirtAddr};

use crate::guest::MachineMap;
use crate::link::{LinkError, Target};

/// Translates `address` as a hart with this `satp` would. An entry outside RAM is unreadable.
///
/// # Errors
/// When the target is lost.
pub fn translate_live(
    target: &mut dyn Target,
    machine: &MachineMap,
    satp: Satp,
    address: VirtAddr,
) -> Result<Translation, LinkError> {
    translate(satp.mode(), satp.root(), address, |at| {
        read_entry(target, machine, at)
    })
}

fn read_entry(
    target: &mut dyn Target,
    machine: &MachineMap,
    at: PhysAddr,
) -> Result<Option<Pte>, LinkError> {
    let Some(range) = PhysRange::new(at, 8).filter(|range| machine.is_ram(*range)) else {
        return Ok(None);
    };
    let bytes = target.read_physical(&[range])?.into_iter().next().flatten();
    let word = bytes
        .and_then(|bytes| bytes.try_into().ok())
        .map(u64::from_le_bytes);
    Ok(word.map(Pte::from_bits))
}

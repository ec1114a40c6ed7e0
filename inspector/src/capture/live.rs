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
        read_entry(target, machine, at, satp.mode().entry_bytes())
    })
}

fn read_entry(
    target: &mut dyn Target,
    machine: &MachineMap,
    at: PhysAddr,
    size_bytes: u64,
) -> Result<Option<Pte>, LinkError> {
    let Some(range) = PhysRange::new(at, size_bytes).filter(|range| machine.is_ram(*range)) else {
        return Ok(None);
    };
    let bytes = target.read_physical(&[range])?.into_iter().next().flatten();
    let bytes = bytes.filter(|bytes| bytes.len() as u64 == size_bytes);
    Ok(bytes.map(|bytes| {
        // Four bytes on RV32, eight on RV64, the lowest first.
        let digits = bytes.iter().rev();
        Pte::from_bits(digits.fold(0, |bits, byte| bits << 8 | u64::from(*byte)))
    }))
}

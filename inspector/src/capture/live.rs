//! One translation on a live target, without walking the whole space.

use pagescope_protocol::snapshot::SpaceTranslation;
use pagescope_protocol::translate::{Translation, translate};
use pagescope_protocol::two_stage::{Stages, translate_staged};
use pagescope_protocol::{Hgatp, PhysAddr, PhysRange, Pte, Satp, TranslationMode, VirtAddr};

use crate::guest::MachineMap;
use crate::link::{HartId, LinkError, Registers, Target, virtualized};

/// How a hart translates now.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct HartTranslation {
    /// satp; of a hart that runs virtualized, vsatp.
    pub first: Satp,
    /// hgatp, where the hart runs virtualized and has one.
    pub stage: Option<Hgatp>,
}

impl HartTranslation {
    /// Asks a hart, and gives all its registers, too. `None`: the stub does not show the one that says it.
    ///
    /// # Errors
    /// When the target is lost.
    pub fn ask(
        target: &mut dyn Target,
        hart: HartId,
    ) -> Result<(Option<Self>, Registers), LinkError> {
        let mut harts = [(hart, target.registers(hart)?)];
        virtualized::find_out(target, &mut harts)?;
        let [(_, registers)] = harts;
        Ok((Self::of(&registers), registers))
    }

    /// What these registers, each as [`virtualized`] has left it, say.
    fn of(registers: &Registers) -> Option<Self> {
        if registers.virtualized != Some(true) {
            return registers.satp.map(|first| Self { first, stage: None });
        }
        let is_on = |hgatp: &Hgatp| hgatp.mode() != TranslationMode::Bare;
        registers.vsatp.map(|first| Self {
            first,
            stage: registers.hgatp.filter(is_on),
        })
    }
}

/// Translates `address` as a hart does that translates so. An entry outside RAM is unreadable.
///
/// # Errors
/// When the target is lost.
pub fn translate_on_hart(
    target: &mut dyn Target,
    machine: &MachineMap,
    hart: HartTranslation,
    address: VirtAddr,
) -> Result<SpaceTranslation, LinkError> {
    let Some(stage) = hart.stage else {
        let translation = translate_live(target, machine, hart.first, address)?;
        return Ok(SpaceTranslation::Single(translation));
    };
    let stages = Stages {
        first_mode: hart.first.mode(),
        first_root: hart.first.root(),
        guest_mode: stage.mode(),
        guest_root: stage.root(),
    };
    let staged = translate_staged(stages, address, |mode, at| {
        read_entry(target, machine, at, mode.entry_bytes())
    })?;
    Ok(SpaceTranslation::Staged(Box::new(staged)))
}

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

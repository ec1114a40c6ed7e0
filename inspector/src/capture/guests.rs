//! The spaces of a hypervisor's guests: what vsatp and hgatp select.
//!
//! ```text
//!  hart 0: vsatp A, hgatp G   hart 1: vsatp B, hgatp G        spaces
//!  "hart 0 guest", through "VMID 3 physical"                  first stage, guest physical frames
//!  "hart 1 guest", through "VMID 3 physical"
//!  "VMID 3 physical"                                          G-stage
//! ```

use pagescope_protocol::{Hgatp, Satp, TranslationMode};

use crate::link::{HartId, Registers, virtualized};

/// A first stage, with the G-stage that it goes through.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Guest {
    /// vsatp.
    pub(super) first: Satp,
    /// hgatp; `None` where the G-stage is off.
    pub(super) stage: Option<Hgatp>,
    /// The harts that have it.
    pub(super) harts: Vec<HartId>,
    /// Those of them that run in it.
    pub(super) running: Vec<HartId>,
}

/// The guests that harts have, in the order of their first hart.
pub(super) fn guests_of(harts: &[(HartId, Registers)]) -> Vec<Guest> {
    let mut guests: Vec<Guest> = Vec::new();
    let shown = (harts.iter()).filter(|(_, registers)| !virtualized::is_hidden(registers));
    for (id, registers) in shown {
        let is_on = |mode| mode != TranslationMode::Bare;
        let stage = registers.hgatp.filter(|hgatp| is_on(hgatp.mode()));
        let first = registers.vsatp.unwrap_or_default();
        let runs = registers.virtualized == Some(true);
        if stage.is_none() && !is_on(first.mode()) && !runs {
            continue;
        }
        let first = if is_on(first.mode()) {
            first
        } else {
            Satp::default()
        };
        let same = |guest: &&mut Guest| (guest.first, guest.stage) == (first, stage);
        let guest = match guests.iter_mut().find(same) {
            Some(guest) => guest,
            None => {
                guests.push(Guest {
                    first,
                    stage,
                    harts: Vec::new(),
                    running: Vec::new(),
                });
                let last = guests.len() - 1;
                &mut guests[last]
            }
        };
        guest.harts.push(*id);
        if runs {
            guest.running.push(*id);
        }
    }
    guests
}

/// The G-stages of these guests, each once, with a name that no other has.
pub(super) fn stages_of(guests: &[Guest]) -> Vec<(Hgatp, String)> {
    let mut stages: Vec<(Hgatp, String)> = Vec::new();
    for stage in guests.iter().filter_map(|guest| guest.stage) {
        if stages.iter().any(|(known, _)| *known == stage) {
            continue;
        }
        let mut name = format!("VMID {} physical", stage.vmid());
        if stages.iter().any(|(_, other)| *other == name) {
            name = format!("{name} ({})", stage.root());
        }
        stages.push((stage, name));
    }
    stages
}

#[cfg(test)]
mod tests {
    use pagescope_protocol::Xlen;

    use super::*;

    fn hart(number: u32, vsatp: u64, hgatp: u64, virtualized: bool) -> (HartId, Registers) {
        let registers = Registers {
            vsatp: Some(Satp::from_bits(vsatp)),
            hgatp: Some(Hgatp::from_bits_of(hgatp, Xlen::Rv64)),
            virtualized: Some(virtualized),
            ..Registers::default()
        };
        (HartId::new(number), registers)
    }

    #[test]
    fn a_guest_whose_stage_is_not_shown_is_none() {
        let mut harts = [hart(0, (8 << 60) | 1, 0, true)];
        assert_eq!(guests_of(&harts).len(), 1);
        harts[0].1.hgatp = None;
        assert_eq!(guests_of(&harts), []);
    }

    #[test]
    fn guests_share_a_stage() {
        let stage = (8 << 60) | (3 << 44) | 0x90000;
        let first = |root: u64| (8 << 60) | root;
        let harts = [
            hart(0, first(1), stage, true),
            hart(1, first(2), stage, false),
            hart(2, first(1), stage, false),
            hart(3, 0, 0, false),
            hart(4, first(1), (8 << 60) | (3 << 44) | 0xa0000, false),
        ];
        let guests = guests_of(&harts);
        let numbers: Vec<Vec<u32>> = (guests.iter())
            .map(|guest| guest.harts.iter().map(|hart| hart.number()).collect())
            .collect();
        assert_eq!(numbers, [vec![0, 2], vec![1], vec![4]]);
        assert_eq!(guests[0].running, [HartId::new(0)]);
        let names: Vec<String> = stages_of(&guests)
            .into_iter()
            .map(|(_, name)| name)
            .collect();
        assert_eq!(names, ["VMID 3 physical", "VMID 3 physical (0xa0000000)"]);
    }
}

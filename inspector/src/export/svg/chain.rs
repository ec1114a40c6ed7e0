//! What the drawing is about: one address, and the tables that translate it.

use pagescope_protocol::snapshot::{Snapshot, Space, SpaceTranslation};
use pagescope_protocol::translate::{Outcome, Translation};
use pagescope_protocol::two_stage::StagedOutcome;
use pagescope_protocol::{PAGE_SIZE, PhysAddr, VirtAddr};

use crate::model::bands::fresh_ranges;
use crate::model::{Change, ChangeKind, Difference};

/// The address that the unbroken line shows: `at`, where it is given; else the newest page of the heap where it can be told, else
/// what has just been mapped, else what is mapped last.
pub(super) fn selected(
    snapshot: &Snapshot,
    space: &Space,
    difference: &Difference,
    at: Option<VirtAddr>,
) -> Option<Translation> {
    space.mode.root_level()?;
    if let Some(address) = at {
        return Some(to_the_machine(snapshot, space, address));
    }
    let newest = snapshot.heap.and_then(|heap| {
        let handed_out = heap.next < heap.top || heap.counter > 0;
        handed_out.then(|| heap.next.wrapping_add(PAGE_SIZE))
    });
    let fresh = fresh_ranges(space, difference);
    let added = difference
        .changes
        .iter()
        .rev()
        .find_map(|change| match change {
            Change::Entry {
                kind: ChangeKind::Added,
                virt,
                ..
            } if fresh.iter().any(|(start, _)| *start == virt.as_u64()) => Some(*virt),
            _ => None,
        });
    let newest_at = newest.and_then(|phys| address_of(space, phys));
    let is_fresh = |at: &VirtAddr| {
        let inside = |(start, last): &(u64, u64)| (*start..=*last).contains(&at.as_u64());
        fresh.iter().any(inside)
    };
    let address = newest_at
        .filter(is_fresh)
        .or(added)
        .or_else(|| fresh.first().map(|(start, _)| VirtAddr::new(*start)))
        .or(newest_at)
        .or_else(|| space.mappings.last().map(|mapping| mapping.virt))
        .unwrap_or_default();
    Some(to_the_machine(snapshot, space, address))
}

/// The space's own steps, ending where the machine's memory is: for a guest's space beyond the G-stage.
fn to_the_machine(snapshot: &Snapshot, space: &Space, address: VirtAddr) -> Translation {
    let mut translation = space.translate(address);
    if let SpaceTranslation::Staged(staged) = snapshot.translate(space, address)
        && let Outcome::Mapped(mapped) = &mut translation.outcome
    {
        match staged.outcome {
            StagedOutcome::Mapped(both) => mapped.address = both.address,
            StagedOutcome::FirstStage(fault) | StagedOutcome::GuestStage { fault, .. } => {
                translation.outcome = Outcome::Fault(fault);
            }
            StagedOutcome::Unreadable(at) => translation.outcome = Outcome::Unreadable(at),
        }
    }
    translation
}

/// The first address that leads to `phys`.
fn address_of(space: &Space, phys: PhysAddr) -> Option<VirtAddr> {
    space.mappings.iter().find_map(|mapping| {
        let offset = phys.checked_offset_from(mapping.phys)?;
        (offset < mapping.size).then(|| mapping.virt.wrapping_add(offset))
    })
}

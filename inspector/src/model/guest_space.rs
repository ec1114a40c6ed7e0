//! A guest's first stage in the machine's terms.
//!
//! Its tables' frames and what its mappings lead to are guest physical. Whatever speaks of the machine's
//! memory (the physical map, who maps a frame, which frame is a table) has to take them through the
//! G-stage first:
//!
//! ```text
//!  first stage   0x1000 … 0x4fff  →  guest 0x8000_0000 …          rw-
//!  G-stage       guest 0x8000_0000 … 0x8000_1fff  →  0x9000_0000  rw-u
//!                guest 0x8000_2000 … 0x8000_5fff  →  0x9400_0000  r--u
//!  both          0x1000 … 0x2fff  →  0x9000_0000                  rw-
//!                0x3000 … 0x4fff  →  0x9400_0000                  r--
//! ```

use std::borrow::Cow;
use std::sync::Arc;

use pagescope_protocol::coalesce::MappedRange;
use pagescope_protocol::snapshot::{Mapping, Snapshot, Space, TableIndex};
use pagescope_protocol::{LeafFlags, VirtAddr};

/// Most pieces that both stages' mappings are cut into: each leads to others than its neighbours.
const MOST_PIECES: usize = 1 << 18;

/// `space` with the machine's frames and addresses: itself, where it has one stage.
///
/// Of a guest's space that leaves out what the G-stage does not map, and all of it where the snapshot
/// has not got the G-stage.
pub fn in_machine_terms<'a>(snapshot: &Snapshot, space: &'a Space) -> Cow<'a, Space> {
    if space.through.is_none() {
        return Cow::Borrowed(space);
    }
    let mut machine = Space {
        tables: Vec::new().into(),
        mappings: Vec::new().into(),
        ..space.clone()
    };
    let Some(stage) = snapshot.guest_stage_of(space) else {
        return Cow::Owned(machine);
    };
    let index = TableIndex::of(stage);
    if let Some(root) = index.frame_of(space.root) {
        machine.root = root;
    }
    let tables = space.tables.iter().filter_map(|table| {
        let mut table = (**table).clone();
        table.frame = index.frame_of(table.frame)?;
        table.parent = table.parent.and_then(|parent| index.frame_of(parent));
        Some(Arc::new(table))
    });
    machine.tables = tables.collect();
    let mut pieces = Vec::new();
    for first in space.mappings.iter() {
        through(&first, stage, &mut pieces);
        if pieces.len() >= MOST_PIECES {
            machine.truncated = true;
            break;
        }
    }
    machine.mappings = pieces.into();
    Cow::Owned(machine)
}

/// Cuts a first stage's mapping at what the G-stage makes of it.
fn through(first: &Mapping, stage: &Space, pieces: &mut Vec<Mapping>) {
    let start = first.phys.as_u64();
    let Some(last) = start.checked_add(first.size.saturating_sub(1)) else {
        return;
    };
    for second in stage.mappings.ranges_from(VirtAddr::new(start)) {
        let begins = second.virt.as_u64();
        if begins > last || pieces.len() >= MOST_PIECES {
            return;
        }
        let ends = begins.saturating_add(second.size.saturating_sub(1));
        let (from, to) = (begins.max(start), ends.min(last));
        if from > to || !second.flags.contains(LeafFlags::USER) {
            continue;
        }
        pieces.push(Mapping {
            virt: first.virt.wrapping_add(from - start),
            phys: second.phys.wrapping_add(from - begins),
            size: to - from + 1,
            page_size: first.page_size.min(second.page_size),
            flags: both(first.flags, &second),
            name: first.name.clone(),
        });
    }
}

/// What both stages allow.
fn both(first: LeafFlags, second: &MappedRange) -> LeafFlags {
    let permissions = LeafFlags::READ | LeafFlags::WRITE | LeafFlags::EXECUTE;
    first - (permissions - second.flags)
}

#[cfg(test)]
mod tests {
    use pagescope_protocol::{PAGE_SIZE, PhysAddr, PhysPage, TranslationMode};

    use super::*;

    fn mapping(virt: u64, phys: u64, pages: u64, flags: &str) -> Mapping {
        Mapping {
            virt: VirtAddr::new(virt),
            phys: PhysAddr::new(phys),
            size: pages * PAGE_SIZE,
            page_size: PAGE_SIZE,
            flags: LeafFlags::from_letters(flags).unwrap(),
            name: String::new(),
        }
    }

    fn space(name: &str, mode: TranslationMode, mappings: Vec<Mapping>) -> Space {
        Space {
            name: name.into(),
            mode,
            asid: 0,
            root: PhysPage::from_truncated(0x90000),
            kind: None,
            number: None,
            harts: Vec::new(),
            through: None,
            truncated: false,
            tables: Vec::new().into(),
            mappings: mappings.into(),
        }
    }

    #[test]
    fn mappings_are_cut_where_the_guest_stage_changes() {
        let mut guest = space(
            "guest",
            TranslationMode::Sv39,
            vec![mapping(0x1000, 0x8000_0000, 5, "rw---ad")],
        );
        guest.through = Some("stage".into());
        let stage = space(
            "stage",
            TranslationMode::Sv39x4,
            vec![
                mapping(0x7fff_e000, 0x9000_0000, 4, "rwxu-ad"),
                mapping(0x8000_2000, 0x9400_0000, 1, "r--u-ad"),
                // Without U nobody gets through.
                mapping(0x8000_3000, 0x9500_0000, 1, "rwx--ad"),
                mapping(0x8000_4000, 0x9600_0000, 9, "rw-u-ad"),
            ],
        );
        let snapshot = Snapshot {
            spaces: vec![guest.clone(), stage],
            ..Snapshot::default()
        };
        let machine = in_machine_terms(&snapshot, &guest);
        let found: Vec<Mapping> = machine.mappings.iter().collect();
        assert_eq!(
            found,
            [
                mapping(0x1000, 0x9000_2000, 2, "rw---ad"),
                mapping(0x3000, 0x9400_0000, 1, "r----ad"),
                mapping(0x5000, 0x9600_0000, 1, "rw---ad"),
            ]
        );
        // Without the G-stage nothing is known of the machine's frames.
        guest.through = Some("gone".into());
        assert!(in_machine_terms(&snapshot, &guest).mappings.is_empty());
    }
}

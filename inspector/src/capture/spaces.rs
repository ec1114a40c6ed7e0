//! Which address spaces there are, and each of them walked.
//!
//! Those that a hart runs in, and those that the kernel publishes; where the two are the same, the
//! kernel's name is its name.
//!
//! ```text
//!  harts' satp         the kernel's records          spaces
//!  hart 0 ─ A          A "process 3 init"            "process 3 init", hart 0
//!  hart 1 ─ off        B "process 4 loop"            "hart 1", mode Bare
//!                                                    "process 4 loop", no hart
//! ```

use std::sync::Arc;

use pagescope_protocol::coalesce::Limits as MappingLimits;
use pagescope_protocol::decode::Decoder;
use pagescope_protocol::snapshot::{
    MappingList, Snapshot, Space, SpaceKind, Table, TableEntries, TableIndex, TableList,
};
use pagescope_protocol::two_stage::GuestTables;
use pagescope_protocol::walk::{Limits as WalkLimits, SpaceWalk, walk_space_again};
use pagescope_protocol::{Hgatp, PhysPage, Satp, TranslationMode};

use super::guests;
use super::tables::RamTables;
use crate::guest::info::KernelSpace;
use crate::link::{HartId, LinkError, Registers};

/// Most spaces without a hart that are walked: each of them costs reads, and a guest may claim many.
pub(super) const MAX_RESTING: usize = 128;

/// A space that is to be walked.
#[derive(Debug)]
pub(super) struct Listed {
    name: String,
    tables: Tables,
    harts: Vec<HartId>,
    kind: Option<SpaceKind>,
    number: Option<u64>,
    /// The G-stage that a guest's first stage goes through, by name.
    through: Option<String>,
}

/// What selects its tables.
#[derive(Clone, Copy, Debug)]
enum Tables {
    /// satp or vsatp.
    First(Satp),
    /// hgatp.
    GuestStage(Hgatp),
}

impl Tables {
    fn mode(self) -> TranslationMode {
        match self {
            Self::First(satp) => satp.mode(),
            Self::GuestStage(hgatp) => hgatp.mode(),
        }
    }

    fn root(self) -> PhysPage {
        match self {
            Self::First(satp) => satp.root(),
            Self::GuestStage(hgatp) => hgatp.root(),
        }
    }

    /// ASID or VMID.
    fn identifier(self) -> u16 {
        match self {
            Self::First(satp) => satp.asid(),
            Self::GuestStage(hgatp) => hgatp.vmid(),
        }
    }
}

/// The spaces: first those that harts run in, in the order of their first hart, then the kernel's others;
/// then what harts have for a hypervisor's guests.
pub(super) fn list(harts: &[(HartId, Registers)], published: &[KernelSpace]) -> Vec<Listed> {
    let mut taken = vec![false; published.len()];
    let mut listed = Vec::new();
    for (satp, harts) in group_by_satp(harts) {
        // An early or careless kernel may run with another ASID than it publishes.
        let same = |exact: bool| {
            let mut places = published.iter().zip(&taken);
            places.position(|(record, taken)| {
                let place = |satp: Satp| (satp.mode(), satp.root());
                !taken && place(record.satp) == place(satp) && (!exact || record.satp == satp)
            })
        };
        let record = same(true).or_else(|| same(false)).map(|place| {
            taken[place] = true;
            &published[place]
        });
        listed.push(Listed {
            name: record.map_or_else(
                || unlike(space_name(&harts), satp.mode(), published),
                |record| record.name.clone(),
            ),
            tables: Tables::First(satp),
            harts,
            kind: record.map(|record| record.kind),
            number: record.and_then(|record| record.number),
            through: None,
        });
    }
    let resting = published.iter().zip(taken).filter(|(_, taken)| !taken);
    listed.extend(resting.take(MAX_RESTING).map(|(record, _)| Listed {
        name: record.name.clone(),
        tables: Tables::First(record.satp),
        harts: Vec::new(),
        kind: Some(record.kind),
        number: record.number,
        through: None,
    }));
    list_guests(harts, &mut listed);
    listed
}

/// What harts have for guests: first stages, and the G-stages that those go through.
fn list_guests(harts: &[(HartId, Registers)], listed: &mut Vec<Listed>) {
    let guests = guests::guests_of(harts);
    let stages = guests::stages_of(&guests);
    for guest in guests {
        let through = guest.stage.and_then(|stage| {
            let known = stages.iter().find(|(known, _)| *known == stage);
            known.map(|(_, name)| name.clone())
        });
        listed.push(Listed {
            name: format!("{} guest", space_name(&guest.harts)),
            tables: Tables::First(guest.first),
            harts: guest.running,
            kind: Some(SpaceKind::Guest),
            number: guest.stage.map(|stage| u64::from(stage.vmid())),
            through,
        });
    }
    listed.extend(stages.into_iter().map(|(stage, name)| Listed {
        name,
        tables: Tables::GuestStage(stage),
        harts: Vec::new(),
        kind: Some(SpaceKind::GuestPhysical),
        number: Some(u64::from(stage.vmid())),
        through: None,
    }));
}

/// Walks them all; the answers stand in their order. Tables that are as in `last` are shared with it.
///
/// # Errors
/// When the target is lost.
pub(super) fn walk_all(
    listed: Vec<Listed>,
    reader: &mut RamTables<'_>,
    decoder: &mut Decoder,
    last: Option<&Snapshot>,
) -> Result<Vec<Space>, LinkError> {
    // A guest's tables are found through its G-stage, which is therefore walked before.
    let (stages, others): (Vec<_>, Vec<_>) =
        (listed.into_iter()).partition(|listed| matches!(listed.tables, Tables::GuestStage(_)));
    let mut walked = Vec::new();
    for stage in stages {
        walked.push(stage.walk(None, reader, decoder, last)?);
    }
    let mut spaces = Vec::new();
    for other in others {
        let named = |name: &String| walked.iter().find(|stage| stage.name == *name);
        let stage = other.through.as_ref().and_then(named);
        spaces.push(other.walk(stage, reader, decoder, last)?);
    }
    spaces.append(&mut walked);
    Ok(spaces)
}

impl Listed {
    /// Walks it, through the G-stage if there is one.
    fn walk(
        self,
        stage: Option<&Space>,
        reader: &mut RamTables<'_>,
        decoder: &mut Decoder,
        last: Option<&Snapshot>,
    ) -> Result<Space, LinkError> {
        let (mode, root) = (self.tables.mode(), self.tables.root());
        let limits = WalkLimits::default();
        let walk = match stage {
            None => walk_space_again(mode, root, limits, reader, decoder)?,
            Some(stage) => {
                let stage = TableIndex::of(stage);
                let mut reader = GuestTables {
                    reader,
                    guest_stage: |frame| stage.frame_of(frame),
                };
                walk_space_again(mode, root, limits, &mut reader, decoder)?
            }
        };
        let before = last.and_then(|last| last.space_named(&self.name));
        let (mappings, mappings_cut) = MappingList::of_walk(
            &walk,
            MappingLimits::default(),
            decoder,
            before.map(|space| &space.mappings),
        );
        Ok(Space {
            name: self.name,
            mode,
            asid: self.tables.identifier(),
            root,
            kind: self.kind,
            number: self.number,
            harts: self.harts.iter().map(|hart| hart.number()).collect(),
            through: self.through,
            truncated: walk.truncated || mappings_cut,
            tables: tables_of(walk, before.map(|space| &space.tables)),
            mappings,
        })
    }
}

/// `hart 0`, `harts 1, 2, 3`.
fn space_name(harts: &[HartId]) -> String {
    match harts {
        [one] => one.to_string(),
        several => {
            let numbers: Vec<String> = several.iter().map(|id| id.number().to_string()).collect();
            format!("harts {}", numbers.join(", "))
        }
    }
}

/// `name`, or where the kernel calls another space so, `hart 3 (Bare)`: each space can be reached by its name.
fn unlike(mut name: String, mode: TranslationMode, published: &[KernelSpace]) -> String {
    while published.iter().any(|record| record.name == name) {
        name = format!("{name} ({mode})");
    }
    name
}

/// Harts that run in the same space, in the order of their first hart. A hart whose satp the stub
/// does not show is in none: nothing is known of its tables.
fn group_by_satp(harts: &[(HartId, Registers)]) -> Vec<(Satp, Vec<HartId>)> {
    let mut groups: Vec<(Satp, Vec<HartId>)> = Vec::new();
    for (id, registers) in harts {
        let Some(satp) = registers.satp else { continue };
        // In mode Bare the other fields mean nothing.
        let satp = if satp.mode() == TranslationMode::Bare {
            Satp::default()
        } else {
            satp
        };
        match groups.iter_mut().find(|(known, _)| *known == satp) {
            Some((_, ids)) => ids.push(*id),
            None => groups.push((satp, vec![*id])),
        }
    }
    groups
}

/// The walk's tables as a snapshot holds them; those that are as before are shared.
fn tables_of(walk: SpaceWalk, before: Option<&TableList>) -> TableList {
    let tables = walk.tables.into_iter().map(|walked| Table {
        level: walked.level,
        frame: walked.page,
        covers_from: walked.covers_from,
        parent: walked.parent.map(|slot| slot.table),
        parent_index: walked.parent.map_or(0, |slot| slot.index as u16),
        other_parents: u32::try_from(walked.other_parents).unwrap_or(u32::MAX),
        entries: walked.words.map(TableEntries::new),
    });
    let tables = tables.map(Arc::new).collect();
    match before {
        Some(before) => TableList::sharing(tables, before),
        None => tables.into(),
    }
}

#[cfg(test)]
mod tests {
    use pagescope_protocol::snapshot::SpaceKind;

    use super::*;

    /// A hart that has not switched to its own space yet runs in another one than that.
    #[test]
    fn no_two_spaces_have_one_name() {
        let hart = |number: u64, satp: u64| {
            let registers = Registers {
                satp: Some(Satp::from_bits(satp)),
                ..Registers::default()
            };
            (HartId::new(number as u32), registers)
        };
        let record = |name: &str, satp: u64| KernelSpace {
            name: name.into(),
            kind: SpaceKind::Hart,
            number: Some(3),
            satp: Satp::from_bits(satp),
        };
        let sv39 = |root: u64| (8 << 60) | root;
        let published = [record("hart 0", sv39(1)), record("hart 3", sv39(2))];
        let harts = [hart(0, sv39(1)), hart(3, 0)];
        let names = |published: &[KernelSpace]| -> Vec<String> {
            let listed = list(&harts, published);
            listed.into_iter().map(|space| space.name).collect()
        };
        assert_eq!(names(&published), ["hart 0", "hart 3 (Bare)", "hart 3"]);
        // Where nobody else has the name, it is the hart's.
        assert_eq!(names(&published[..1]), ["hart 0", "hart 3"]);
    }
}

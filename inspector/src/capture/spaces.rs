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

use pagescope_protocol::coalesce::{Limits as MappingLimits, coalesce};
use pagescope_protocol::snapshot::{Mapping, Snapshot, Space, Table, TableEntries};
use pagescope_protocol::walk::{Limits as WalkLimits, SpaceWalk, walk_space};
use pagescope_protocol::{Satp, TranslationMode};

use super::tables::RamTables;
use crate::guest::info::KernelSpace;
use crate::link::{HartId, LinkError, Registers};

/// Most spaces without a hart that are walked: each of them costs reads, and a guest may claim many.
pub(super) const MAX_RESTING: usize = 128;

/// A space that is to be walked.
pub(super) struct Listed<'a> {
    name: String,
    satp: Satp,
    harts: Vec<HartId>,
    record: Option<&'a KernelSpace>,
}

/// The spaces: first those that harts run in, in the order of their first hart, then the kernel's others.
pub(super) fn list<'a>(
    harts: &[(HartId, Registers)],
    published: &'a [KernelSpace],
) -> Vec<Listed<'a>> {
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
            satp,
            harts,
            record,
        });
    }
    let resting = published.iter().zip(taken).filter(|(_, taken)| !taken);
    listed.extend(resting.take(MAX_RESTING).map(|(record, _)| Listed {
        name: record.name.clone(),
        satp: record.satp,
        harts: Vec::new(),
        record: Some(record),
    }));
    listed
}

impl Listed<'_> {
    /// Walks it. Tables that are as in `last` are shared with it.
    pub(super) fn walk(
        self,
        reader: &mut RamTables<'_>,
        last: Option<&Snapshot>,
    ) -> Result<Space, LinkError> {
        let satp = self.satp;
        let walk = walk_space(satp.mode(), satp.root(), WalkLimits::default(), reader)?;
        let mappings = coalesce(&walk, MappingLimits::default());
        let before = last.and_then(|last| last.space_named(&self.name));
        Ok(Space {
            name: self.name,
            mode: satp.mode(),
            asid: satp.asid(),
            root: satp.root(),
            kind: self.record.map(|record| record.kind),
            number: self.record.and_then(|record| record.number),
            harts: self.harts.iter().map(|hart| hart.number()).collect(),
            truncated: walk.truncated || mappings.truncated,
            tables: tables_of(walk, before),
            mappings: mappings.ranges.into_iter().map(Mapping::from).collect(),
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
fn tables_of(walk: SpaceWalk, before: Option<&Space>) -> Vec<Arc<Table>> {
    let tables = walk.tables.into_iter().map(|walked| Table {
        level: walked.level,
        frame: walked.page,
        covers_from: walked.covers_from,
        parent: walked.parent.map(|slot| slot.table),
        parent_index: walked.parent.map_or(0, |slot| slot.index as u16),
        other_parents: u32::try_from(walked.other_parents).unwrap_or(u32::MAX),
        entries: walked.words.map(TableEntries::new),
    });
    tables
        .map(|table| {
            let same = before.and_then(|space| space.table_at(table.frame, table.level));
            match same {
                Some(same) if **same == table => Arc::clone(same),
                _ => Arc::new(table),
            }
        })
        .collect()
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

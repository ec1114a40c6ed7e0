//! The kernel's numbers as the words of a snapshot: regions, spaces, and the names of spaces.

use std::collections::{BTreeMap, BTreeSet};

use pagescope_protocol::info::{
    EVERY_SPACE, Region as RawRegion, SpaceRecord, name_text, region_kind, region_space, space_kind,
};
use pagescope_protocol::snapshot::{Region, RegionKind, RegionSpace, SpaceKind};
use pagescope_protocol::{Satp, TranslationMode};

use super::KernelSpace;

/// What each space's id is called. No two spaces have the same name, whatever the guest says.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub(super) struct SpaceNames(BTreeMap<u64, String>);

impl SpaceNames {
    /// The names of `records`; of two with the same id the first one counts.
    pub(super) fn new(records: &[SpaceRecord]) -> Self {
        let mut names = BTreeMap::new();
        let mut taken = BTreeSet::new();
        for record in records.iter().filter(|record| record.id != EVERY_SPACE) {
            if names.contains_key(&record.id) {
                continue;
            }
            let told = name_text(&record.name).trim();
            let name = match told {
                "" => format!("space {}", record.id),
                told if taken.contains(told) => format!("{told} (space {})", record.id),
                told => told.to_owned(),
            };
            taken.insert(name.clone());
            names.insert(record.id, name);
        }
        Self(names)
    }

    /// The name of `id`: `None` for all spaces, and a word for one that is no longer there.
    pub(super) fn name(&self, id: u64) -> Option<String> {
        match self.0.get(&id) {
            Some(name) => Some(name.clone()),
            None if id == EVERY_SPACE => None,
            None => Some(format!("space {id}, gone")),
        }
    }
}

/// The spaces that a walk can begin in: those whose satp translates.
pub(super) fn spaces(records: &[SpaceRecord], names: &SpaceNames) -> Vec<KernelSpace> {
    let mut seen = BTreeSet::new();
    let mut spaces = Vec::new();
    for record in records {
        let satp = Satp::from_bits(record.satp);
        let translates = !matches!(
            satp.mode(),
            TranslationMode::Bare | TranslationMode::Reserved(_)
        );
        if !translates || record.id == EVERY_SPACE || !seen.insert(record.id) {
            continue;
        }
        let Some(name) = names.name(record.id) else {
            continue;
        };
        let (kind, number) = match record.kind {
            space_kind::KERNEL => (SpaceKind::Kernel, None),
            space_kind::HART => (SpaceKind::Hart, Some(record.number)),
            space_kind::PROCESS => (SpaceKind::Process, Some(record.number)),
            _ => (SpaceKind::Other, Some(record.number)),
        };
        spaces.push(KernelSpace {
            name,
            kind,
            number,
            satp,
        });
    }
    spaces
}

/// A region in words.
pub(super) fn region(raw: &RawRegion, names: &SpaceNames) -> Region {
    let kind = match raw.kind {
        region_kind::TEXT => RegionKind::Text,
        region_kind::RODATA => RegionKind::Rodata,
        region_kind::DATA => RegionKind::Data,
        region_kind::STACK => RegionKind::Stack,
        region_kind::GUARD => RegionKind::Guard,
        region_kind::HEAP => RegionKind::Heap,
        region_kind::HEAP_COUNTER => RegionKind::HeapCounter,
        region_kind::TABLES => RegionKind::Tables,
        region_kind::DEVICE => RegionKind::Device,
        region_kind::MACHINE => RegionKind::Machine,
        region_kind::CPU => RegionKind::Cpu,
        region_kind::LINEAR_MAP => RegionKind::LinearMap,
        region_kind::SHARED_DATA => RegionKind::SharedData,
        region_kind::RESERVED => RegionKind::Reserved,
        region_kind::USER => RegionKind::User,
        _ => RegionKind::Other,
    };
    Region {
        start: raw.address,
        size: raw.size,
        space: match raw.space {
            region_space::VIRTUAL => RegionSpace::Virtual,
            _ => RegionSpace::Physical,
        },
        kind,
        name: name_text(&raw.name).into(),
        owner: names.name(raw.owner),
        tag: name_text(&raw.tag).into(),
        description: name_text(&raw.description).into(),
    }
}

#[cfg(test)]
mod tests {
    use pagescope_protocol::info::name;

    use super::*;

    fn record(id: u64, satp: u64, text: &str) -> SpaceRecord {
        SpaceRecord {
            id,
            satp,
            kind: space_kind::PROCESS,
            number: 3,
            name: name(text),
        }
    }

    const SV39: u64 = 8 << 60;

    #[test]
    fn names_are_told_apart() {
        let records = [
            record(1, SV39, "kernel"),
            record(2, SV39 | 5, "kernel"),
            record(2, SV39 | 6, "again"),
            record(7, SV39 | 7, ""),
            record(0, SV39, "nobody"),
        ];
        let names = SpaceNames::new(&records);
        assert_eq!(names.name(EVERY_SPACE), None);
        assert_eq!(names.name(1).as_deref(), Some("kernel"));
        assert_eq!(names.name(9).as_deref(), Some("space 9, gone"));
        let spaces = spaces(&records, &names);
        let told: Vec<_> = spaces.iter().map(|space| space.name.as_str()).collect();
        assert_eq!(told, ["kernel", "kernel (space 2)", "space 7"]);
    }

    #[test]
    fn a_space_that_does_not_translate_is_none() {
        let records = [record(1, 0, "bare"), record(2, 5 << 60, "odd")];
        assert!(spaces(&records, &SpaceNames::new(&records)).is_empty());
    }

    #[test]
    fn an_owner_is_named() {
        let names = SpaceNames::new(&[record(4, SV39, "process 3 init")]);
        let raw = RawRegion {
            owner: 4,
            space: region_space::VIRTUAL,
            kind: region_kind::SHARED_DATA,
            name: name("shared"),
            ..RawRegion::EMPTY
        };
        let region = region(&raw, &names);
        assert_eq!(region.owner.as_deref(), Some("process 3 init"));
        assert_eq!(region.kind, RegionKind::SharedData);
        assert!(region.counts_in("process 3 init") && !region.counts_in("kernel"));
    }
}

//! The regions as a list: what counts in a space, and how much of each is mapped there.

use pagescope_protocol::snapshot::{Region, RegionSpace, Snapshot, Space};

/// Whether a region is mapped.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Mapped {
    /// Not at all.
    No,
    /// Some of it.
    Partly,
    /// All of it.
    Yes,
    /// The space in which it counts is not known, or not translated.
    Unknown,
}

impl Mapped {
    /// Its name on the screen and in answers.
    pub const fn word(self) -> &'static str {
        match self {
            Self::No => "no",
            Self::Partly => "partly",
            Self::Yes => "yes",
            Self::Unknown => "unknown",
        }
    }
}

/// One region of the list.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct RegionRow<'a> {
    /// Its place in [`Snapshot::regions`].
    pub place: usize,
    /// The region.
    pub region: &'a Region,
    /// Whether it is mapped in the space in which it counts.
    pub mapped: Mapped,
    /// Bytes of it that are mapped.
    pub mapped_bytes: u64,
}

impl RegionRow<'_> {
    /// Where it counts: `physical`, `every space`, or its owner's name.
    pub fn place_words(&self) -> &str {
        match (self.region.space, self.region.owner.as_deref()) {
            (_, Some(owner)) => owner,
            (RegionSpace::Physical, None) => "physical",
            (RegionSpace::Virtual, None) => "every space",
        }
    }

    /// Whether any of its words contains `filter`, however it is written.
    pub fn matches(&self, filter: &str) -> bool {
        let filter = filter.trim().to_lowercase();
        let region = self.region;
        let address = format!("{:#x}", region.start);
        let words = [
            region.name.as_str(),
            region.kind.name(),
            self.place_words(),
            &region.tag,
            &region.description,
            &address,
            match self.mapped {
                Mapped::No => "unmapped",
                Mapped::Unknown => "unknown",
                Mapped::Partly | Mapped::Yes => "mapped",
            },
        ];
        filter.is_empty()
            || words
                .iter()
                .any(|word| word.to_lowercase().contains(&filter))
    }
}

/// All regions, in their order. What counts in every space is looked for in `space`; what counts in one,
/// there.
pub fn region_rows<'a>(snapshot: &'a Snapshot, space: Option<&Space>) -> Vec<RegionRow<'a>> {
    let rows = snapshot.regions.iter().enumerate();
    rows.map(|(place, region)| {
        let owner = match &region.owner {
            Some(owner) => snapshot.space_named(owner),
            None => space,
        };
        // Without tables nothing is mapped, and nothing is unmapped either.
        let owner = owner.filter(|space| space.mode.root_level().is_some());
        let bytes = owner.map(|space| mapped_bytes(space, region));
        RegionRow {
            place,
            region,
            mapped: match bytes {
                None => Mapped::Unknown,
                Some(0) => Mapped::No,
                Some(bytes) if bytes >= region.size => Mapped::Yes,
                Some(_) => Mapped::Partly,
            },
            mapped_bytes: bytes.unwrap_or(0),
        }
    })
    .collect()
}

/// How many bytes of `region` are mapped in `space`: of a virtual one its addresses, of a physical one
/// what any address leads to.
fn mapped_bytes(space: &Space, region: &Region) -> u64 {
    let Some(last) = region.last() else { return 0 };
    let mut parts: Vec<(u64, u64)> = space
        .mappings
        .iter()
        .filter_map(|mapping| {
            let start = match region.space {
                RegionSpace::Virtual => mapping.virt.as_u64(),
                RegionSpace::Physical => mapping.phys.as_u64(),
            };
            let end = start.saturating_add(mapping.size - mapping.size.min(1));
            let part = (start.max(region.start), end.min(last));
            (mapping.size > 0 && part.0 <= part.1).then_some(part)
        })
        .collect();
    parts.sort_unstable();
    let mut free_from = Some(0);
    let mut bytes = 0u64;
    for (start, last) in parts {
        let Some(from) = free_from.map(|free: u64| free.max(start)) else {
            break;
        };
        if from <= last {
            bytes = bytes.saturating_add((last - from).saturating_add(1));
            free_from = last.checked_add(1);
        }
    }
    bytes
}

#[cfg(test)]
mod tests {
    use pagescope_protocol::TranslationMode;

    use super::*;
    use crate::model::fixture;

    #[test]
    fn a_guard_is_not_mapped_and_text_is() {
        let snapshot = fixture::pseudos(2);
        let rows = region_rows(&snapshot, snapshot.spaces.first());
        let mapped = |name: &str| {
            let row = rows.iter().find(|row| row.region.name == name);
            row.map(|row| row.mapped)
        };
        assert_eq!(mapped("guard"), Some(Mapped::No));
        assert_eq!(mapped(".text"), Some(Mapped::Yes));
        assert_eq!(mapped("machine program"), Some(Mapped::No));
        let unknown = region_rows(&snapshot, None);
        assert!(unknown.iter().all(|row| row.mapped == Mapped::Unknown));
        let mut bare = snapshot.spaces[0].clone();
        bare.mode = TranslationMode::Bare;
        bare.mappings = pagescope_protocol::snapshot::MappingList::default();
        let rows = region_rows(&snapshot, Some(&bare));
        assert!(rows.iter().all(|row| row.mapped == Mapped::Unknown));
    }

    #[test]
    fn a_region_is_found_by_any_of_its_words() {
        let snapshot = fixture::pseudos(2);
        let rows = region_rows(&snapshot, snapshot.spaces.first());
        let found = |filter: &str| -> Vec<&str> {
            let rows = rows.iter().filter(|row| row.matches(filter));
            rows.map(|row| row.region.name.as_str()).collect()
        };
        assert_eq!(found("GUARD"), ["guard"]);
        assert_eq!(found("unmapped"), ["machine program", "guard"]);
        assert_eq!(found("0x80200000"), [".text"]);
        assert_eq!(found("").len(), snapshot.regions.len());
    }
}

//! What a mapping is called: the names of all that it leads to.
//!
//! Names follow from the rest of a snapshot. A capture leaves them out, since most of its mappings are as they were;
//! they are found where they are shown or written.

use pagescope_protocol::coalesce::MappedRange;
use pagescope_protocol::snapshot::{MappingList, Snapshot, Space};

use super::{Band, BandKind, Difference, virtual_bands};

/// How many names a mapping has at most.
const MOST_NAMES: usize = 12;

/// What several windows are called: which is whose, the tables themselves say.
const WINDOWS: &str = "table windows";

/// The mappings of a space of `snapshot`, each with its name. Where a file gave names, those stay.
pub fn named_mappings(snapshot: &Snapshot, space: &Space) -> MappingList {
    if space.mappings.has_names() {
        return space.mappings.clone();
    }
    let bands = virtual_bands(snapshot, space, &Difference::default());
    space.mappings.named(|mapping| name(&bands, mapping))
}

/// The same snapshot, its mappings with names.
pub fn named(snapshot: &Snapshot) -> Snapshot {
    let mut named = snapshot.clone();
    for (space, new) in snapshot.spaces.iter().zip(&mut named.spaces) {
        new.mappings = named_mappings(snapshot, space);
    }
    named
}

/// The same moments, their mappings with names; what two of them share before, they share after.
pub fn named_moments<'a>(moments: impl Iterator<Item = &'a Snapshot>) -> Vec<Snapshot> {
    let mut done: Vec<Snapshot> = Vec::new();
    for snapshot in moments {
        let mut new = named(snapshot);
        if let Some(last) = done.last() {
            for space in &mut new.spaces {
                let old = last.space_named(&space.name);
                if let Some(old) = old {
                    space.mappings = space.mappings.sharing(&old.mappings);
                }
            }
        }
        done.push(new);
    }
    done
}

/// The names of the bands that lie in `mapping`, in address order, each once. A band may have begun before it:
/// leaves of another size lead on to it.
fn name(bands: &[Band], mapping: &MappedRange) -> String {
    let start = mapping.virt.as_u64();
    let last = start.saturating_add(mapping.size.saturating_sub(1));
    let first = bands.partition_point(|band| band.last() < start);
    let inside = bands[first..].iter().take_while(|band| band.start <= last);
    let mut names: Vec<&str> = Vec::new();
    // Where the first window's name stands.
    let mut window = None;
    for band in inside.filter(|band| !band.name.is_empty()) {
        if matches!(band.kind, BandKind::Table(_)) {
            match window {
                Some(place) => names[place] = WINDOWS,
                None => {
                    window = Some(names.len());
                    names.push(&band.name);
                }
            }
        } else if !names.contains(&band.name.as_str()) {
            // One more than is shown says that there are more.
            if names.len() <= MOST_NAMES {
                names.push(&band.name);
            }
        }
    }
    let more = names.len() > MOST_NAMES;
    names.truncate(MOST_NAMES);
    names.join(", ") + if more { ", …" } else { "" }
}

#[cfg(test)]
mod tests {
    use pagescope_protocol::snapshot::{Mapping, Region, RegionKind, RegionSpace, Table};
    use pagescope_protocol::{LeafFlags, Level, PAGE_SIZE, PhysAddr, PhysPage, VirtAddr};

    use super::*;

    const MIB: u64 = 1 << 20;
    const RAM: u64 = 0x8000_0000;

    fn mapping(offset: u64, size: u64, page_size: u64) -> Mapping {
        Mapping {
            virt: VirtAddr::new(0x4000_0000 + offset),
            phys: PhysAddr::new(RAM + offset),
            size,
            page_size,
            flags: LeafFlags::from_letters("rw---ad").expect("flags"),
            name: String::new(),
        }
    }

    fn table(frame: u64) -> Table {
        Table {
            level: Level::L0,
            frame: PhysPage::from_truncated(frame / PAGE_SIZE),
            covers_from: VirtAddr::new(0),
            parent: None,
            parent_index: 0,
            other_parents: 0,
            entries: None,
        }
    }

    fn named(tables: &[u64]) -> Vec<String> {
        let snapshot = Snapshot {
            regions: vec![Region {
                start: 0x4000_0000,
                size: 16 * MIB,
                space: RegionSpace::Virtual,
                kind: RegionKind::Heap,
                name: "kernel heap".into(),
                ..Region::default()
            }]
            .into(),
            spaces: vec![Space {
                name: "kernel".into(),
                mode: pagescope_protocol::TranslationMode::Sv39,
                asid: 0,
                root: PhysPage::from_truncated(1),
                kind: None,
                number: None,
                harts: Vec::new(),
                through: None,
                truncated: false,
                tables: tables.iter().map(|frame| table(*frame).into()).collect(),
                mappings: vec![
                    mapping(0, 2 * MIB, PAGE_SIZE),
                    mapping(2 * MIB, 14 * MIB, 2 * MIB),
                ]
                .into(),
            }],
            ..Snapshot::default()
        };
        let mappings = named_mappings(&snapshot, &snapshot.spaces[0]);
        mappings.iter().map(|mapping| mapping.name).collect()
    }

    /// Superpages go on where 4 KiB pages end: it is one band, and both mappings have its name.
    #[test]
    fn a_mapping_that_begins_inside_a_band_has_its_name() {
        assert_eq!(named(&[]), ["kernel heap", "kernel heap"]);
    }

    #[test]
    fn each_name_is_there_once() {
        let tables = [RAM + 4 * MIB, RAM + 6 * MIB, RAM + 8 * MIB];
        assert_eq!(
            named(&tables),
            ["kernel heap", "kernel heap, table windows"]
        );
        let window = format!("kernel heap, window of root L0 {:#x}", RAM + 4 * MIB);
        assert_eq!(named(&tables[..1])[1], window);
    }
}

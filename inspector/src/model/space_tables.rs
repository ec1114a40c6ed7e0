//! The tables of a space, each frame once, as what it is; and the windows onto each.
//!
//! A walk meets a frame at every level that some path reads it at. With a recursive root (its own
//! pointer to itself) that is all of them: the root is met as L2, as L1 and as L0.
//!
//! ```text
//!  root[511] ─▶ root        recursion: slot 511
//!  root[510] ═▶ root        self-leaf: slot 510, a leaf in shape whose frame is the table's own
//!  root[i]   ─▶ L1_i        read as L1 this is a pointer; read as L1's entry, through root[511],
//!                           it makes L1_i an L0, in which L1_i[510] is the window onto L1_i
//! ```
//!
//! What a frame *is*, is the highest level that it is met at: a path through the recursion only
//! ever lowers it. Its other levels are roles, told apart from it. All links and entries are judged
//! at the level that the table is.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};
use std::convert::Infallible;
use std::sync::Arc;

use pagescope_protocol::access::AdUpdate;
use pagescope_protocol::coalesce::{Limits, coalesce};
use pagescope_protocol::snapshot::{Snapshot, Space, Table};
use pagescope_protocol::translate::translate;
use pagescope_protocol::walk::{SpaceWalk, WalkedTable};
use pagescope_protocol::{
    LeafFlags, Level, PhysAddr, PhysPage, Pte, PteKind, TranslationMode, VirtAddr,
};

/// The most windows onto one table that are told apart.
pub const MOST_WINDOWS: usize = 64;

/// How many paths to each table are followed, on the average: a table that is shared, or read at several
/// levels, is met more than once.
const VISITS_PER_TABLE: usize = 16;

/// Paths that are followed whatever the number of tables.
const FREE_VISITS: usize = 4096;

/// The tables of a space.
#[derive(Clone, Debug)]
pub struct SpaceTables {
    /// Each frame once, root first, then level by level in the order of frames.
    pub tables: Vec<TableFacts>,
    /// The root's pointer to itself, if it has one.
    pub recursion: Option<Recursion>,
    /// Whether a limit cut the tables or the windows short.
    pub truncated: bool,
    mode: TranslationMode,
    by_frame: BTreeMap<PhysPage, usize>,
}

/// One table, as what it is.
#[derive(Clone, Debug)]
pub struct TableFacts {
    /// The table at its highest level.
    pub table: Arc<Table>,
    /// How its space is translated.
    pub mode: TranslationMode,
    /// Lower levels that it is read at, highest first.
    pub also_read_as: Vec<Level>,
    /// The entries that lead to it, except for the recursion: one for every table but the root.
    pub links: Vec<EntryPlace>,
    /// The leaves that lead to it: the best first, then by address.
    pub windows: Vec<Window>,
    /// Whether there are more windows than are told apart.
    pub has_more_windows: bool,
}

/// A recursive root.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Recursion {
    /// The root's entry that points to the root.
    pub slot: usize,
    /// The entry in which tables hold a leaf to themselves, where any does.
    pub self_slot: Option<usize>,
}

/// An entry of a table.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct EntryPlace {
    /// The table's level.
    pub level: Level,
    /// The table's frame.
    pub table: PhysPage,
    /// The entry's place.
    pub index: usize,
}

/// A leaf that leads to a table's frame.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Window {
    /// The address at which the table is seen.
    pub virt: VirtAddr,
    /// What may be done there, G from the path included.
    pub flags: LeafFlags,
    /// Bytes of the leaf.
    pub page_size: u64,
    /// The leaf's place, at the level that the walk reads it at.
    pub leaf: EntryPlace,
}

impl Window {
    /// Whether stores work there.
    pub fn is_writable(&self) -> bool {
        self.flags.contains(LeafFlags::WRITE)
    }

    /// What is wrong with its flags: a window is read and written by the supervisor alone, never
    /// executed, and has A and D set, so that no machine faults on the first access.
    pub fn wrong_flags(&self) -> Vec<&'static str> {
        let wanted = LeafFlags::READ | LeafFlags::WRITE | LeafFlags::ACCESSED | LeafFlags::DIRTY;
        let unwanted = LeafFlags::EXECUTE | LeafFlags::USER;
        [
            (LeafFlags::READ, "R is clear"),
            (LeafFlags::WRITE, "W is clear"),
            (LeafFlags::EXECUTE, "X is set"),
            (LeafFlags::USER, "U is set"),
            (LeafFlags::ACCESSED, SET_BY_HARDWARE[0]),
            (LeafFlags::DIRTY, SET_BY_HARDWARE[1]),
        ]
        .into_iter()
        .filter(|(flag, _)| {
            (wanted - self.flags).contains(*flag) || (unwanted & self.flags).contains(*flag)
        })
        .map(|(_, words)| words)
        .collect()
    }

    /// Whether nothing is wrong with its flags but what this machine's hardware sets by itself (Svadu). Our own
    /// kernel promises to set A and D for any machine.
    pub fn lacks_only_what_hardware_sets(&self, snapshot: &Snapshot) -> bool {
        let wrong = self.wrong_flags();
        !wrong.is_empty()
            && snapshot.kernel.is_none()
            && snapshot.provenance.extensions.ad == Some(AdUpdate::ByHardware)
            && wrong.iter().all(|words| SET_BY_HARDWARE.contains(words))
    }
}

/// What [`Window::wrong_flags`] says of A and D, which a machine with Svadu sets by itself.
const SET_BY_HARDWARE: [&str; 2] = ["A is clear", "D is clear"];

impl TableFacts {
    /// Its level.
    pub fn level(&self) -> Level {
        self.table.level
    }

    /// Bytes that it translates.
    pub fn covers_bytes(&self) -> u64 {
        self.mode.table_size(self.level())
    }

    /// Its frame.
    pub fn frame(&self) -> PhysPage {
        self.table.frame
    }

    /// The window onto it, if there is one.
    pub fn window(&self) -> Option<&Window> {
        self.windows.first()
    }

    /// Whether it has one window, with the flags that a window has.
    pub fn is_sound(&self) -> bool {
        self.verdict() == "sound"
    }

    /// Whether the way in which the kernel reaches it is a fault.
    pub fn is_fault(&self, snapshot: &Snapshot) -> bool {
        let is_left_to_hardware = matches!(
            self.windows.as_slice(),
            [window] if window.is_writable() && window.lacks_only_what_hardware_sets(snapshot)
        );
        !self.is_sound() && !is_left_to_hardware
    }

    /// How the kernel reaches it, in a word or two.
    pub fn verdict(&self) -> &'static str {
        match self.windows.as_slice() {
            [] => "no window",
            [window] if window.flags.contains(LeafFlags::USER) => "user can reach",
            [window] if !window.is_writable() => "read-only",
            [window] => match window.wrong_flags().as_slice() {
                [] => "sound",
                ["A is clear", "D is clear"] => "A, D clear",
                ["A is clear"] => "A clear",
                ["D is clear"] => "D clear",
                _ => "wrong flags",
            },
            [first, rest @ ..] if first.is_writable() && rest.iter().any(Window::is_writable) => {
                "writable twice"
            }
            _ => "further alias",
        }
    }

    /// What the table is, where it is drawn at `level`: `None` at its own.
    pub fn role_at(&self, level: Level) -> Option<String> {
        (level != self.level()).then(|| match self.table.parent {
            None => format!("the root, read as {level}"),
            Some(_) => format!("an {}, read as {level}", self.level()),
        })
    }

    /// `root L2 0x87ffc000`, `L1 0x87ffd000`.
    pub fn name(&self) -> String {
        match self.table.parent {
            None => format!("root {} {}", self.level(), self.frame()),
            Some(_) => format!("{} {}", self.level(), self.frame()),
        }
    }
}

impl SpaceTables {
    /// Looks at `space`.
    pub fn new(space: &Space) -> Self {
        let mut found = Self {
            tables: Vec::new(),
            recursion: None,
            truncated: space.truncated,
            mode: space.mode,
            by_frame: BTreeMap::new(),
        };
        if space.mode.root_level().is_none() {
            return found;
        }
        let mut frames: BTreeMap<PhysPage, Vec<&Arc<Table>>> = BTreeMap::new();
        for table in &space.tables {
            frames.entry(table.frame).or_default().push(table);
        }
        for tables in frames.into_values() {
            let mut levels: Vec<Level> = tables.iter().map(|table| table.level).collect();
            levels.sort_unstable_by_key(|level| Reverse(*level));
            levels.dedup();
            let Some(highest) = levels.first().copied() else {
                continue;
            };
            let Some(table) = tables.into_iter().find(|table| table.level == highest) else {
                continue;
            };
            found.tables.push(TableFacts {
                table: Arc::clone(table),
                mode: space.mode,
                also_read_as: levels.split_off(1),
                links: Vec::new(),
                windows: Vec::new(),
                has_more_windows: false,
            });
        }
        found
            .tables
            .sort_by_key(|facts| (Reverse(facts.level()), facts.frame()));
        found.by_frame = found
            .tables
            .iter()
            .enumerate()
            .map(|(place, facts)| (facts.frame(), place))
            .collect();
        found.recursion = found.find_recursion(space);
        found.find_links(space);
        found.find_windows(space);
        found
    }

    /// What is known of the table in `frame`.
    pub fn get(&self, frame: PhysPage) -> Option<&TableFacts> {
        self.by_frame
            .get(&frame)
            .and_then(|place| self.tables.get(*place))
    }

    /// Whether an entry is a leaf to its own table that hurts nobody: above L0, misaligned, in the
    /// slot where tables of a recursive space have theirs.
    pub fn is_own_window(&self, table: &Table, index: usize, pte: Pte) -> bool {
        self.recursion
            .is_some_and(|found| found.self_slot == Some(index))
            && is_self_leaf(table.frame, pte)
            && matches!(self.mode.classify(pte, table.level), PteKind::Reserved(_))
    }

    /// The highest of the root's pointers to itself; and the entry in which more than half of the tables
    /// above L0 hold a leaf to themselves.
    fn find_recursion(&self, space: &Space) -> Option<Recursion> {
        let root = &self.get(space.root)?.table;
        let slot = recursive_slot(space.mode, root)?;
        let mut votes: BTreeMap<usize, usize> = BTreeMap::new();
        let upper = || {
            let tables = self.tables.iter();
            tables.filter(|facts| facts.level() > Level::L0)
        };
        for facts in upper() {
            for (index, pte) in facts.table.iter() {
                if index != slot && is_self_leaf(facts.frame(), pte) {
                    *votes.entry(index).or_default() += 1;
                }
            }
        }
        let half = upper().count() / 2;
        let self_slot = votes.into_iter().find(|(_, votes)| *votes > half);
        Some(Recursion {
            slot,
            self_slot: self_slot.map(|(index, _)| index),
        })
    }

    fn find_links(&mut self, space: &Space) {
        let mut links: Vec<(usize, EntryPlace)> = Vec::new();
        for facts in &self.tables {
            let level = facts.level();
            for (index, pte) in facts.table.iter() {
                let PteKind::Pointer(to) = space.mode.classify(pte, level) else {
                    continue;
                };
                let is_recursion = facts.frame() == space.root
                    && to == space.root
                    && self.recursion.is_some_and(|found| found.slot == index);
                if let Some(place) = self.by_frame.get(&to).filter(|_| !is_recursion) {
                    let table = facts.frame();
                    links.push((
                        *place,
                        EntryPlace {
                            level,
                            table,
                            index,
                        },
                    ));
                }
            }
        }
        for (place, link) in links {
            self.tables[place].links.push(link);
        }
    }

    fn find_windows(&mut self, space: &Space) {
        let frames = self.by_frame.keys().copied().collect();
        let found = windows_onto(space, frames);
        self.truncated |= found.truncated;
        for (frame, windows) in found.windows {
            if let Some(facts) = self.by_frame.get(&frame).map(|at| &mut self.tables[*at]) {
                facts.has_more_windows = found.full.contains(&frame);
                facts.windows = windows;
            }
        }
    }
}

/// The addresses of one space that lead to certain frames.
#[derive(Clone, Debug, Default)]
pub struct WindowsOnto {
    /// By frame: the best first, then by address. At most [`MOST_WINDOWS`] each.
    pub windows: BTreeMap<PhysPage, Vec<Window>>,
    /// Frames that have more.
    pub full: BTreeSet<PhysPage>,
    /// Whether a limit cut the space's mappings short.
    pub truncated: bool,
}

/// The leaves of `space` that lead to `frames`, found in its tables; each address is translated
/// again, by itself, before it is believed.
pub fn windows_onto(space: &Space, frames: BTreeSet<PhysPage>) -> WindowsOnto {
    let mut tables: BTreeMap<PhysPage, &Arc<Table>> = BTreeMap::new();
    for table in &space.tables {
        tables.entry(table.frame).or_insert(table);
    }
    // A table may be linked many times, and a hostile one so often that the paths outgrow all time.
    let limits = Limits {
        visits: VISITS_PER_TABLE * space.tables.len() + FREE_VISITS,
        ..Limits::default()
    };
    let mappings = coalesce(&walk_of(space), limits);
    let mut found = WindowsOnto {
        truncated: mappings.truncated,
        ..WindowsOnto::default()
    };
    // A frame leaves this set when it has enough.
    let mut open = frames;
    for mapping in mappings.ranges {
        let last = mapping.phys.checked_add(mapping.size.saturating_sub(1));
        let (Some(first), Some(last)) = (mapping.phys.page(), last.and_then(PhysAddr::page)) else {
            continue;
        };
        let inside: Vec<PhysPage> = open.range(first..=last).copied().collect();
        for frame in inside {
            let Some(offset) = frame.start().checked_offset_from(mapping.phys) else {
                continue;
            };
            let virt = mapping.virt.wrapping_add(offset);
            let windows = found.windows.entry(frame).or_default();
            if windows.len() == MOST_WINDOWS {
                found.full.insert(frame);
                open.remove(&frame);
            } else {
                windows.extend(confirm(space, &tables, frame, virt));
            }
        }
    }
    for windows in found.windows.values_mut() {
        // What the kernel would use: writable, the supervisor's, on a page of its own.
        windows.sort_by_key(|window| {
            (
                !window.is_writable(),
                window.flags.contains(LeafFlags::USER),
                window.page_size,
                window.virt,
            )
        });
    }
    found
}

/// The window at `virt`, if that address leads to `frame`.
fn confirm(
    space: &Space,
    tables: &BTreeMap<PhysPage, &Arc<Table>>,
    frame: PhysPage,
    virt: VirtAddr,
) -> Option<Window> {
    let read = |at: PhysAddr| {
        let table = at.page().and_then(|frame| tables.get(&frame));
        let index = (at.page_offset() / 8) as usize;
        Ok::<_, Infallible>(table.and_then(|table| table.entry(index)))
    };
    let Ok(translation) = translate(space.mode, space.root, virt, read);
    let mapped = translation.mapped()?;
    let step = translation.trail.last()?;
    (mapped.address == frame.start()).then_some(Window {
        virt,
        flags: mapped.flags,
        page_size: mapped.page_size,
        leaf: EntryPlace {
            level: step.level,
            table: step.table,
            index: step.index,
        },
    })
}

/// The highest of a root table's pointers to itself.
pub fn recursive_slot(mode: TranslationMode, root: &Table) -> Option<usize> {
    let to_root = |pte: Pte| mode.classify(pte, root.level) == PteKind::Pointer(root.frame);
    let found = root.iter().filter(|(_, pte)| to_root(*pte)).last();
    found.map(|(slot, _)| slot)
}

/// Whether `pte`, in the table in `frame`, has the shape of a leaf for that frame itself.
pub fn is_self_leaf(frame: PhysPage, pte: Pte) -> bool {
    let is_leaf_shaped = pte
        .flags()
        .intersects(LeafFlags::READ | LeafFlags::WRITE | LeafFlags::EXECUTE);
    pte.is_valid() && is_leaf_shaped && pte.page() == frame
}

/// A space as the walk that found it.
fn walk_of(space: &Space) -> SpaceWalk {
    let tables = space.tables.iter().map(|table| WalkedTable {
        page: table.frame,
        level: table.level,
        covers_from: table.covers_from,
        parent: None,
        other_parents: 0,
        words: table
            .entries
            .as_ref()
            .map(|entries| Arc::clone(entries.shared())),
    });
    SpaceWalk {
        mode: space.mode,
        root: space.root,
        tables: tables.collect(),
        truncated: space.truncated,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::fixture;

    #[test]
    fn s0_6_the_pool_layout_reaches_all_its_tables() {
        let snapshot = fixture::pseudos(3);
        let found = SpaceTables::new(&snapshot.spaces[0]);
        assert_eq!(found.tables.len(), 6);
        assert_eq!(found.recursion, None);
        for facts in &found.tables {
            assert_eq!(facts.windows.len(), 1, "{}", facts.name());
            let window = facts.windows[0];
            assert_eq!(window.virt.as_u64(), facts.frame().start().as_u64());
            assert_eq!(window.wrong_flags(), [""; 0]);
        }
        let root = &found.tables[0];
        assert_eq!(root.level(), Level::L2);
        let leaf = root.windows[0].leaf;
        assert_eq!((leaf.level, leaf.index), (Level::L0, 508));
        assert_eq!(root.links, []);
        assert_eq!(found.tables[1].links.len(), 1);
    }
}

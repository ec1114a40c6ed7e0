//! What is selected, and what that means in one snapshot: an address on the left, entries in the
//! middle, a frame on the right. Selecting any of them selects all.

use pagescope_protocol::snapshot::{RegionSpace, Snapshot, Space, SpaceTranslation};
use pagescope_protocol::translate::{Outcome, Step, Translation};
use pagescope_protocol::two_stage::StagedTranslation;
use pagescope_protocol::{
    Level, PhysAddr, PhysPage, PteKind, TranslationMode, VirtAddr, walk::entry_address,
};

use super::{Change, ChangeKind, Difference, ReverseIndex};

/// What somebody pointed at.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Selection {
    /// Nothing.
    #[default]
    Nothing,
    /// A virtual address.
    Virtual(VirtAddr),
    /// A physical address.
    Physical(PhysAddr),
    /// An entry of a table.
    Entry {
        /// The table's level.
        level: Level,
        /// The table's frame.
        table: PhysPage,
        /// The entry's place.
        index: usize,
    },
    /// A whole table.
    Table {
        /// Its level.
        level: Level,
        /// Its frame.
        frame: PhysPage,
    },
    /// A stretch of one of the maps: a band, a region, a mapping.
    Range(Stretch),
}

/// A stretch of virtual or of physical addresses.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Stretch {
    /// Which map it is of.
    pub space: RegionSpace,
    /// First address.
    pub start: u64,
    /// Bytes, at least one; the last address does not pass 2^64.
    pub size: u64,
}

impl Stretch {
    /// The last address.
    pub const fn last(&self) -> u64 {
        self.start.saturating_add(self.size.saturating_sub(1))
    }

    /// Whether `address` lies in it.
    pub const fn contains(&self, address: u64) -> bool {
        self.start <= address && address <= self.last()
    }
}

/// A selection in one space of one snapshot.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Focus {
    /// The virtual address, where there is one.
    pub virt: Option<VirtAddr>,
    /// The entries from the root to what was pointed at.
    pub steps: Vec<Step>,
    /// Where the translation ends; `None` without a virtual address, and where what was pointed at
    /// stands in the middle of one.
    pub outcome: Option<Outcome>,
    /// The physical address that the line ends at.
    pub phys: Option<PhysAddr>,
    /// A table that was pointed at as such.
    pub table: Option<(Level, PhysPage)>,
    /// In a guest's space: the same translation with every step of the G-stage.
    pub staged: Option<Box<StagedTranslation>>,
    /// A stretch that was pointed at as such; what else stands here is about its first address.
    pub stretch: Option<Stretch>,
}

impl Focus {
    /// What `selection` means in `space`.
    pub fn resolve(space: Option<&Space>, index: &ReverseIndex, selection: Selection) -> Self {
        let translating = space.filter(|space| space.mode != TranslationMode::Bare);
        match (selection, translating) {
            (Selection::Nothing, _) => Self::default(),
            (Selection::Virtual(virt), None) => Self {
                virt: Some(virt),
                phys: Some(PhysAddr::new(virt.as_u64())),
                ..Self::default()
            },
            (Selection::Virtual(virt), Some(space)) => Self::of_address(space, virt),
            (Selection::Physical(phys), Some(space)) => {
                let aliases = index.aliases_of(phys, 64);
                // The address that a person would use: the identity where there is one.
                let same = aliases
                    .iter()
                    .find(|alias| alias.virt.as_u64() == phys.as_u64());
                match same.or(aliases.first()) {
                    Some(alias) => Self::of_address(space, alias.virt),
                    None => Self::of_frame(phys),
                }
            }
            (Selection::Physical(phys), None) => Self::of_frame(phys),
            (
                Selection::Entry {
                    level,
                    table,
                    index,
                },
                Some(space),
            ) => Self::of_entry(space, level, table, index),
            (Selection::Entry { table, index, .. }, None) => {
                Self::of_frame(TranslationMode::Bare.entry_address(table, index))
            }
            (Selection::Table { level, frame }, Some(space)) => {
                let mut focus = match space.table_at(frame, level) {
                    Some(table) => Self::of_address(space, table.covers_from),
                    None => Self::of_frame(frame.start()),
                };
                focus.steps.retain(|step| step.level > level);
                focus.table = Some((level, frame));
                focus.phys = Some(frame.start());
                focus.outcome = None;
                focus
            }
            (Selection::Table { frame, .. }, None) => Self::of_frame(frame.start()),
            (Selection::Range(stretch), _) => {
                let first = match stretch.space {
                    RegionSpace::Virtual => Selection::Virtual(VirtAddr::new(stretch.start)),
                    RegionSpace::Physical => Selection::Physical(PhysAddr::new(stretch.start)),
                };
                Self {
                    stretch: Some(stretch),
                    ..Self::resolve(space, index, first)
                }
            }
        }
        .checked()
    }

    /// Goes on through the G-stage that `space` goes through, if there is one: what the first stage gave
    /// is a guest physical address, and the line ends where that leads.
    pub fn follow_guest_stage(&mut self, snapshot: &Snapshot, space: &Space) {
        let Some(stage) = snapshot.guest_stage_of(space) else {
            return;
        };
        if let Some(virt) = self.virt
            && self.table.is_none()
            && let SpaceTranslation::Staged(staged) = snapshot.translate(space, virt)
        {
            self.staged = Some(staged);
        }
        // With nothing translated it was pointed at in the physical map, and is the machine's.
        if !self.steps.is_empty() || self.table.is_some() {
            let guest = self.phys.map(|phys| VirtAddr::new(phys.as_u64()));
            let found = guest.and_then(|guest| stage.translate(guest).mapped());
            self.phys = found.map(|mapped| mapped.address);
        }
        let reached = self.staged.as_ref().map(|staged| staged.steps.len());
        if let Some(reached) = reached
            && self.outcome.is_some()
        {
            self.steps.truncate(reached);
        }
    }

    fn of_frame(phys: PhysAddr) -> Self {
        Self {
            phys: Some(phys),
            ..Self::default()
        }
    }

    fn of_address(space: &Space, virt: VirtAddr) -> Self {
        let Translation { trail, outcome, .. } = space.translate(virt);
        let phys = match outcome {
            Outcome::Mapped(mapped) => Some(mapped.address),
            Outcome::Fault(_) | Outcome::Unreadable(_) => None,
        };
        Self {
            virt: Some(virt),
            steps: trail.iter().copied().collect(),
            outcome: Some(outcome),
            phys,
            ..Self::default()
        }
    }

    fn of_entry(space: &Space, level: Level, table: PhysPage, index: usize) -> Self {
        let Some(found) = space.table_at(table, level) else {
            return Self::of_frame(space.mode.entry_address(table, index));
        };
        let virt = entry_address(space.mode, found.covers_from, level, index);
        let mut focus = Self::of_address(space, virt);
        focus.steps.retain(|step| step.level >= level);
        if let Some(step) = focus.steps.last()
            && let PteKind::Pointer(next) = step.kind
        {
            focus.phys = Some(next.start());
            focus.outcome = None;
        }
        focus
    }

    /// Drops what no physical address can be.
    fn checked(mut self) -> Self {
        self.phys = self.phys.filter(|phys| phys.page().is_some());
        self
    }

    /// The entry that was pointed at, or the last one of the walk.
    pub fn entry(&self) -> Option<&Step> {
        self.steps.last()
    }

    /// The frame that the line ends at.
    pub fn frame(&self) -> Option<PhysPage> {
        self.phys.and_then(PhysAddr::page)
    }

    /// The step at `level`.
    pub fn step_at(&self, level: Level) -> Option<&Step> {
        self.steps.iter().find(|step| step.level == level)
    }

    /// Whether nothing is selected.
    pub fn is_empty(&self) -> bool {
        self.virt.is_none() && self.phys.is_none() && self.steps.is_empty()
    }
}

/// The thing to look at after a stop, when nobody has pointed at anything: the page that the
/// function returned, else the first new leaf, else the newest heap page.
pub fn newest(snapshot: &Snapshot, difference: &Difference) -> Selection {
    if let Some(returned) = returned_address(&snapshot.stop)
        && snapshot.ram().any(|ram| ram.contains(returned))
    {
        return Selection::Physical(returned);
    }
    let leaf = difference.changes.iter().find_map(|change| match change {
        Change::Entry {
            kind: ChangeKind::Added,
            mode,
            level,
            virt,
            after,
            ..
        } if matches!(mode.classify(*after, *level), PteKind::Leaf(_)) => Some(*virt),
        _ => None,
    });
    if let Some(virt) = leaf {
        return Selection::Virtual(virt);
    }
    match snapshot.heap {
        Some(heap) if heap.counter > 0 => {
            Selection::Physical(heap.next.wrapping_add(pagescope_protocol::PAGE_SIZE))
        }
        _ => Selection::Nothing,
    }
}

/// The address in "kalloc(7) → 0x87ff7000".
pub fn returned_address(stop: &str) -> Option<PhysAddr> {
    let (_, after) = stop.rsplit_once("→ ")?;
    let word = after.split([' ', ';', ',']).next()?;
    let digits = word.strip_prefix("0x")?;
    u64::from_str_radix(digits, 16).ok().map(PhysAddr::new)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::fixture;

    fn focus(selection: Selection) -> Focus {
        let snapshot = fixture::pseudos(4);
        let space = &snapshot.spaces[0];
        Focus::resolve(Some(space), &ReverseIndex::new(space), selection)
    }

    #[test]
    fn address_entry_and_frame_select_the_same() {
        let by_address = focus(Selection::Virtual(VirtAddr::new(0x87ff_3000)));
        let by_frame = focus(Selection::Physical(PhysAddr::new(0x87ff_3000)));
        let step = *by_address.entry().unwrap();
        let by_entry = focus(Selection::Entry {
            level: step.level,
            table: step.table,
            index: step.index,
        });
        assert_eq!(by_address, by_frame);
        assert_eq!(by_address, by_entry);
        assert_eq!((step.level, step.index), (Level::L0, 499));
        assert_eq!(by_address.steps.len(), 3);
    }

    #[test]
    fn a_pointer_ends_the_line_at_the_table_that_it_leads_to() {
        let root = PhysPage::new(0x87ffc).unwrap();
        let focus = focus(Selection::Entry {
            level: Level::L2,
            table: root,
            index: 2,
        });
        assert_eq!(focus.steps.len(), 1);
        assert_eq!(focus.phys, Some(PhysAddr::new(0x87ff_d000)));
    }

    #[test]
    fn an_unmapped_frame_has_no_address() {
        let focus = focus(Selection::Physical(PhysAddr::new(0x8400_0000)));
        assert_eq!(focus.virt, None);
        assert_eq!(focus.frame(), PhysPage::new(0x84000));
    }

    #[test]
    fn what_a_stop_returned_is_looked_at() {
        assert_eq!(
            returned_address("kalloc(7) → 0x87ff7000; +1 leaf"),
            Some(PhysAddr::new(0x87ff_7000))
        );
        assert_eq!(returned_address("stopped"), None);
    }
}

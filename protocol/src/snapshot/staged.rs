//! Translating in a snapshot: through one stage, or through both of a hypervisor's guest.
//!
//! ```text
//!  space "hart 0 guest"        through: "VMID 3 physical"        a guest's first stage: its tables'
//!                                                                frames are guest physical
//!  space "VMID 3 physical"     mode Sv39x4                       the G-stage that says where they are
//! ```

use alloc::boxed::Box;
use alloc::collections::BTreeMap;
use core::convert::Infallible;

use super::{Snapshot, Space, Table};
use crate::addr::{PAGE_SIZE, PhysAddr, PhysPage, VirtAddr};
use crate::mode::TranslationMode;
use crate::pte::Pte;
use crate::translate::{Mapped, Outcome, Translation, TranslationFault, translate};
use crate::two_stage::{StagedOutcome, StagedTranslation, Stages, translate_staged};

/// What became of an address, in as many stages as its space has.
#[derive(Clone, PartialEq, Eq, Debug)]
#[expect(
    clippy::large_enum_variant,
    reason = "one answer at a time, for a moment: not worth an allocation"
)]
pub enum SpaceTranslation {
    /// One stage; its result is a physical address.
    Single(Translation),
    /// A guest's first stage and the G-stage.
    Staged(Box<StagedTranslation>),
}

/// Where a [`SpaceTranslation`] ended, told the same way for one stage and for two.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum SpaceOutcome {
    /// The address leads to this physical one.
    Mapped(PhysAddr),
    /// It is not mapped, for a reason in words.
    Fault(SpaceFault),
    /// The entry at this physical address could not be read, so nothing is known.
    Unreadable(PhysAddr),
}

/// Why an address is not mapped: [`Display`](core::fmt::Display) says it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum SpaceFault {
    /// In a space of one stage.
    Single(TranslationFault),
    /// In a guest's: which stage refuses, and for what it was asked.
    Staged(StagedOutcome),
}

impl core::fmt::Display for SpaceFault {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        match self {
            Self::Single(fault) => fault.fmt(f),
            Self::Staged(outcome) => outcome.fmt(f),
        }
    }
}

impl SpaceTranslation {
    /// The address asked about.
    pub const fn address(&self) -> VirtAddr {
        match self {
            Self::Single(translation) => translation.address,
            Self::Staged(staged) => staged.address,
        }
    }

    /// Where it ended.
    pub const fn outcome(&self) -> SpaceOutcome {
        match self {
            Self::Single(translation) => match translation.outcome {
                Outcome::Mapped(mapped) => SpaceOutcome::Mapped(mapped.address),
                Outcome::Fault(fault) => SpaceOutcome::Fault(SpaceFault::Single(fault)),
                Outcome::Unreadable(at) => SpaceOutcome::Unreadable(at),
            },
            Self::Staged(staged) => match staged.outcome {
                StagedOutcome::Mapped(mapped) => SpaceOutcome::Mapped(mapped.address),
                StagedOutcome::Unreadable(at) => SpaceOutcome::Unreadable(at),
                refused => SpaceOutcome::Fault(SpaceFault::Staged(refused)),
            },
        }
    }

    /// What it means for one stage alone: page size and flags are the smaller and the fewer of both.
    pub fn mapped(&self) -> Option<Mapped> {
        match self {
            Self::Single(translation) => translation.mapped(),
            Self::Staged(staged) => {
                let mapped = staged.mapped()?;
                let sizes = [mapped.first_page_size, mapped.guest_page_size];
                let sizes = sizes.into_iter().filter(|size| *size != 0);
                Some(Mapped {
                    address: mapped.address,
                    page_size: sizes.min().unwrap_or(0),
                    flags: mapped.first_flags,
                })
            }
        }
    }
}

/// A space's tables by the frames they fill: for many translations in one space.
#[derive(Clone, Debug)]
pub struct TableIndex<'a> {
    mode: TranslationMode,
    root: PhysPage,
    by_frame: BTreeMap<PhysPage, &'a Table>,
}

impl<'a> TableIndex<'a> {
    /// The tables of `space`.
    pub fn of(space: &'a Space) -> Self {
        let mut by_frame = BTreeMap::new();
        for table in &space.tables {
            // A frame at two levels is the same words: the first will do.
            by_frame.entry(table.frame).or_insert(&**table);
        }
        Self {
            mode: space.mode,
            root: space.root,
            by_frame,
        }
    }

    /// The entry that lies at `at`; `None` where no table that was read does.
    pub fn entry_at(&self, at: PhysAddr) -> Option<Pte> {
        // A G-stage root goes on for four frames, and is found by its first.
        let (_, table) = self.by_frame.range(..=at.page()?).next_back()?;
        let offset = at.checked_offset_from(table.frame.start())?;
        table.entry(usize::try_from(offset / self.mode.entry_bytes()).ok()?)
    }

    /// What `address` leads to in this stage.
    pub fn translate(&self, address: VirtAddr) -> Translation {
        let read = |at| Ok::<_, Infallible>(self.entry_at(at));
        match translate(self.mode, self.root, address, read) {
            Ok(translation) => translation,
            Err(never) => match never {},
        }
    }

    /// Where a guest physical frame lies, for an implicit load: the leaf needs R. `None` where the stage
    /// refuses, or is not known.
    pub fn frame_of(&self, guest: PhysPage) -> Option<PhysPage> {
        let translation = self.translate(VirtAddr::new(guest.start().as_u64()));
        let mapped = translation.mapped()?;
        let readable = mapped.page_size == 0 || mapped.flags.contains(crate::LeafFlags::READ);
        mapped.address.page().filter(|_| readable)
    }
}

impl Snapshot {
    /// The G-stage that the tables and results of `space` go through; `None` for a space of one stage,
    /// and where the file does not have it.
    pub fn guest_stage_of(&self, space: &Space) -> Option<&Space> {
        let name = space.through.as_deref()?;
        let stage = self.space_named(name)?;
        stage.mode.is_guest_stage().then_some(stage)
    }

    /// Translates `address` in `space`, through both stages where it has two.
    pub fn translate(&self, space: &Space, address: VirtAddr) -> SpaceTranslation {
        match self.guest_stage_of(space) {
            None => SpaceTranslation::Single(space.translate(address)),
            Some(stage) => {
                SpaceTranslation::Staged(Box::new(translate_through(space, stage, address)))
            }
        }
    }
}

fn translate_through(first: &Space, second: &Space, address: VirtAddr) -> StagedTranslation {
    let (entries, stage) = (TableIndex::of(first), TableIndex::of(second));
    // The first stage's tables are kept under guest physical frames, and are asked for by physical ones.
    let mut guest_frames: BTreeMap<PhysPage, PhysPage> = BTreeMap::new();
    for guest in entries.by_frame.keys() {
        if let Some(frame) = stage.frame_of(*guest) {
            guest_frames.entry(frame).or_insert(*guest);
        }
    }
    let stages = Stages {
        first_mode: first.mode,
        first_root: first.root,
        guest_mode: second.mode,
        guest_root: second.root,
    };
    let read = |mode: TranslationMode, at: PhysAddr| {
        if mode == second.mode {
            return Ok::<_, Infallible>(stage.entry_at(at));
        }
        let guest = at.page().and_then(|frame| guest_frames.get(&frame));
        let place = guest.map(|guest| guest.start().wrapping_add(at.as_u64() % PAGE_SIZE));
        Ok(place.and_then(|place| entries.entry_at(place)))
    };
    match translate_staged(stages, address, read) {
        Ok(staged) => staged,
        Err(never) => match never {},
    }
}

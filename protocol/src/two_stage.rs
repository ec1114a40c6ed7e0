//! Translation through both stages of the hypervisor extension.
//!
//! ```text
//!  guest virtual address
//!     │ vsatp: the guest's own tables. Each lies at a guest physical address, so reading an
//!     │ entry is an access of its own, which the G-stage translates first:
//!     ▼
//!   L2 entry at gpa ──G-stage──▶ pa     ┐
//!   L1 entry at gpa ──G-stage──▶ pa     │ first-stage steps, each with its G-stage trail
//!   L0 entry at gpa ──G-stage──▶ pa     ┘
//!   guest physical address ──G-stage──▶ physical address
//! ```
//!
//! A first stage that refuses is the guest's page fault; a G-stage that refuses is a guest-page fault,
//! which the hypervisor takes, with the guest physical address in htval.
//!
//! Source: privileged specification, chapter "H extension", section "Two-Stage Address Translation".

use alloc::sync::Arc;
use alloc::vec::Vec;
use core::fmt;

use crate::addr::{PhysAddr, PhysPage, VirtAddr};
use crate::level::Level;
use crate::mode::TranslationMode;
use crate::pte::{LeafFlags, Pte};
use crate::translate::{
    Descent, Mapped, Needs, Outcome, Step, Translation, TranslationFault, translate,
};
use crate::walk::{TableReader, TableWords};

/// Which tables translate a guest's addresses. Mode Bare in either place means that the stage passes
/// addresses on as they are.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Stages {
    /// vsatp's mode.
    pub first_mode: TranslationMode,
    /// The first stage's root: a guest physical frame.
    pub first_root: PhysPage,
    /// hgatp's mode.
    pub guest_mode: TranslationMode,
    /// The first of the G-stage root's four frames.
    pub guest_root: PhysPage,
}

/// Reading one entry of the first stage.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct GuestStep {
    /// The entry; its table's frame and its address are guest physical ones.
    pub step: Step,
    /// How the G-stage translates that address.
    pub guest: Translation,
}

/// For what the G-stage was asked.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum GuestAccess {
    /// To read the first stage's entry at this level: an implicit access.
    TableEntry(Level),
    /// For the access itself.
    Final,
}

impl fmt::Display for GuestAccess {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::TableEntry(level) => write!(f, "to read the first stage's {level} entry"),
            Self::Final => f.write_str("for the access itself"),
        }
    }
}

/// Where a translation through both stages ended.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum StagedOutcome {
    /// The address is mapped.
    Mapped(StagedMapped),
    /// The first stage refuses: a page fault, which the guest takes.
    FirstStage(TranslationFault),
    /// The G-stage refuses a guest physical address: a guest-page fault, which the hypervisor takes.
    GuestStage {
        /// The address it refuses.
        address: PhysAddr,
        /// For what it was asked.
        access: GuestAccess,
        /// Why it refuses.
        fault: TranslationFault,
    },
    /// The entry at this physical address could not be read, so nothing is known.
    Unreadable(PhysAddr),
}

impl fmt::Display for StagedOutcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Mapped(mapped) => write!(f, "mapped to {}", mapped.address),
            Self::FirstStage(fault) => write!(f, "page fault in the guest: {fault}"),
            Self::GuestStage {
                address,
                access,
                fault,
            } => write!(
                f,
                "guest-page fault at guest physical {address}, {access}: {fault}"
            ),
            Self::Unreadable(at) => write!(f, "not known: the entry at {at} could not be read"),
        }
    }
}

/// What a guest's address leads to.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct StagedMapped {
    /// The guest physical address.
    pub guest_address: PhysAddr,
    /// The physical address.
    pub address: PhysAddr,
    /// The first stage's leaf's size in bytes; 0 where it does not translate.
    pub first_page_size: u64,
    /// The G-stage's leaf's size in bytes; 0 where it does not translate.
    pub guest_page_size: u64,
    /// The first stage's flags; none where it does not translate.
    pub first_flags: LeafFlags,
    /// The G-stage's flags; none where it does not translate.
    pub guest_flags: LeafFlags,
}

/// One guest address's translation, with every step of each stage.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct StagedTranslation {
    /// The address asked about.
    pub address: VirtAddr,
    /// The first stage's steps, from the root down, each with the G-stage's trail to its entry.
    pub steps: Vec<GuestStep>,
    /// The G-stage's last translation: of the entry that it refused, or of the guest physical address
    /// that the first stage gave. `None` where the first stage refused.
    pub last: Option<Translation>,
    /// Where it ended.
    pub outcome: StagedOutcome,
}

impl StagedTranslation {
    /// What it is mapped to, if it is.
    pub const fn mapped(&self) -> Option<StagedMapped> {
        match self.outcome {
            StagedOutcome::Mapped(mapped) => Some(mapped),
            _ => None,
        }
    }
}

/// Translates a guest's virtual address through both stages.
///
/// `read_entry` reads one entry of that mode at a physical address; `Ok(None)` says that it cannot be read.
///
/// # Errors
/// Whatever `read_entry` fails with.
pub fn translate_staged<E>(
    stages: Stages,
    address: VirtAddr,
    mut read_entry: impl FnMut(TranslationMode, PhysAddr) -> Result<Option<Pte>, E>,
) -> Result<StagedTranslation, E> {
    let mut first = Descent::new(stages.first_mode, stages.first_root, address);
    let mut steps = Vec::new();
    let (last, outcome) = loop {
        let (level, at) = match first.needs() {
            Needs::Entry { level, at } => (level, at),
            Needs::Nothing(Outcome::Fault(fault)) => {
                break (None, StagedOutcome::FirstStage(fault));
            }
            Needs::Nothing(Outcome::Unreadable(at)) => {
                break (None, StagedOutcome::Unreadable(at));
            }
            Needs::Nothing(Outcome::Mapped(mapped)) => {
                let guest = through_guest_stage(stages, mapped.address, &mut read_entry)?;
                let outcome = mapped_outcome(mapped, &guest);
                break (Some(guest), outcome);
            }
        };
        let mut guest = through_guest_stage(stages, at, &mut read_entry)?;
        ask_for_read(stages, &mut guest);
        let Some(mapped) = guest.mapped() else {
            let outcome = refusal(&guest, GuestAccess::TableEntry(level));
            break (Some(guest), outcome);
        };
        let entry = read_entry(stages.first_mode, mapped.address)?;
        first.give(entry);
        let step = first.trail().last().copied().filter(|_| entry.is_some());
        let Some(step) = step else {
            break (Some(guest), StagedOutcome::Unreadable(mapped.address));
        };
        steps.push(GuestStep { step, guest });
    };
    Ok(StagedTranslation {
        address,
        steps,
        last,
        outcome,
    })
}

fn mapped_outcome(first: Mapped, guest: &Translation) -> StagedOutcome {
    match guest.mapped() {
        Some(found) => StagedOutcome::Mapped(StagedMapped {
            guest_address: first.address,
            address: found.address,
            first_page_size: first.page_size,
            guest_page_size: found.page_size,
            first_flags: first.flags,
            guest_flags: found.flags,
        }),
        None => refusal(guest, GuestAccess::Final),
    }
}

fn refusal(guest: &Translation, access: GuestAccess) -> StagedOutcome {
    match guest.outcome {
        Outcome::Unreadable(at) => StagedOutcome::Unreadable(at),
        Outcome::Fault(fault) => StagedOutcome::GuestStage {
            address: PhysAddr::new(guest.address.as_u64()),
            access,
            fault,
        },
        // Not asked for one that is mapped.
        Outcome::Mapped(mapped) => StagedOutcome::Unreadable(mapped.address),
    }
}

/// Refuses a leaf that an implicit load may not pass: the first stage's tables are read as data.
fn ask_for_read(stages: Stages, guest: &mut Translation) {
    let Outcome::Mapped(mapped) = guest.outcome else {
        return;
    };
    let level = guest.trail.last().map(|step| step.level);
    if let Some(level) = level
        && stages.guest_mode.scheme().is_some()
        && !mapped.flags.contains(LeafFlags::READ)
    {
        guest.outcome = Outcome::Fault(TranslationFault::GuestLeafNotReadable(level));
    }
}

fn through_guest_stage<E>(
    stages: Stages,
    address: PhysAddr,
    read_entry: &mut impl FnMut(TranslationMode, PhysAddr) -> Result<Option<Pte>, E>,
) -> Result<Translation, E> {
    let virt = VirtAddr::new(address.as_u64());
    translate(stages.guest_mode, stages.guest_root, virt, |at| {
        read_entry(stages.guest_mode, at)
    })
}

/// Reads a guest's tables: frames are guest physical, and found through the G-stage.
///
/// With it, [`walk_space`](crate::walk::walk_space) walks a guest's first stage. A frame that the G-stage
/// does not map is answered as one that cannot be read.
#[derive(Debug)]
pub struct GuestTables<'a, R, T> {
    /// Reads physical frames.
    pub reader: &'a mut R,
    /// Gives the physical frame of a guest physical one.
    pub guest_stage: T,
}

impl<R: TableReader, T: FnMut(PhysPage) -> Option<PhysPage>> TableReader for GuestTables<'_, R, T> {
    type Error = R::Error;

    fn read_tables(
        &mut self,
        frames: &[PhysPage],
    ) -> Result<Vec<Option<Arc<TableWords>>>, R::Error> {
        let physical: Vec<Option<PhysPage>> = frames
            .iter()
            .map(|frame| (self.guest_stage)(*frame))
            .collect();
        let mapped: Vec<PhysPage> = physical.iter().copied().flatten().collect();
        let mut answers = self.reader.read_tables(&mapped)?.into_iter();
        let in_place = physical.into_iter();
        Ok(in_place
            .map(|frame| frame.and_then(|_| answers.next().flatten()))
            .collect())
    }
}

#[cfg(test)]
mod tests {
    use alloc::collections::BTreeMap;
    use core::convert::Infallible;

    use super::*;
    use crate::pte::ReservedReason;

    const READ_WRITE: LeafFlags = LeafFlags::READ.union(LeafFlags::WRITE);

    fn page(number: u64) -> PhysPage {
        PhysPage::from_truncated(number)
    }

    /// Entries by their physical address. The G-stage maps guest physical 1 GiB to physical 2 GiB and on.
    fn machine() -> (Stages, BTreeMap<u64, Pte>) {
        let stages = Stages {
            first_mode: TranslationMode::Sv39,
            first_root: page(0x40001),
            guest_mode: TranslationMode::Sv39x4,
            guest_root: page(0x90000),
        };
        let guest_leaf = Pte::leaf(page(0x80000), READ_WRITE | LeafFlags::USER);
        let mut entries = BTreeMap::new();
        entries.insert(0x9000_0000 + 8, guest_leaf);
        // The first stage, at 0x40001000 for the guest: a pointer to a table the G-stage maps, one to
        // a table it does not map, and a gigapage beyond what it maps.
        entries.insert(0x8000_1000, Pte::pointer(page(0x40002)));
        entries.insert(0x8000_1008, Pte::pointer(page(0x80000)));
        entries.insert(0x8000_1010, Pte::leaf(page(0xc0000), READ_WRITE));
        entries.insert(0x8000_2000, Pte::leaf(page(0x40200), READ_WRITE));
        (stages, entries)
    }

    fn staged(address: u64) -> StagedTranslation {
        let (stages, entries) = machine();
        let read = |_, at: PhysAddr| {
            let entry = entries.get(&at.as_u64()).copied();
            Ok::<_, Infallible>(Some(entry.unwrap_or_default()))
        };
        let Ok(translation) = translate_staged(stages, VirtAddr::new(address), read);
        translation
    }

    #[test]
    fn both_stages_are_followed() {
        let found = staged(0x1234);
        let mapped = found.mapped().unwrap();
        assert_eq!(mapped.guest_address, PhysAddr::new(0x4020_1234));
        assert_eq!(mapped.address, PhysAddr::new(0x8020_1234));
        assert_eq!(mapped.first_page_size, 2 << 20);
        assert_eq!(mapped.guest_page_size, 1 << 30);
        let entries = found
            .steps
            .iter()
            .map(|step| step.guest.mapped().unwrap().address);
        let entries: Vec<u64> = entries.map(PhysAddr::as_u64).collect();
        assert_eq!(entries, [0x8000_1000, 0x8000_2000]);
        assert_eq!(found.last.unwrap().trail.len(), 1);
    }

    #[test]
    fn each_stage_refuses_for_itself() {
        let implicit = staged(1 << 30);
        assert_eq!(
            implicit.outcome,
            StagedOutcome::GuestStage {
                address: PhysAddr::new(0x8000_0000),
                access: GuestAccess::TableEntry(Level::L1),
                fault: TranslationFault::Invalid(Level::L2),
            }
        );
        assert_eq!(implicit.steps.len(), 1);
        let last = staged((2 << 30) + 5);
        assert_eq!(
            last.outcome,
            StagedOutcome::GuestStage {
                address: PhysAddr::new(0xc000_0005),
                access: GuestAccess::Final,
                fault: TranslationFault::Invalid(Level::L2),
            }
        );
        let first = staged(3 << 30);
        let invalid = TranslationFault::Invalid(Level::L2);
        assert_eq!(first.outcome, StagedOutcome::FirstStage(invalid));
        assert!(first.last.is_none());
    }

    /// A G-stage leaf without U refuses everybody.
    #[test]
    fn the_guest_stage_asks_for_user_leaves() {
        let (mut stages, mut entries) = machine();
        entries.insert(0x9000_0008, Pte::leaf(page(0x80000), READ_WRITE));
        let read = |entries: &BTreeMap<u64, Pte>, at: PhysAddr| {
            Ok::<_, Infallible>(Some(entries.get(&at.as_u64()).copied().unwrap_or_default()))
        };
        let Ok(found) = translate_staged(stages, VirtAddr::new(0), |_, at| read(&entries, at));
        let without_user = TranslationFault::GuestLeafWithoutUser(Level::L2);
        assert!(
            matches!(found.outcome, StagedOutcome::GuestStage { fault, .. } if fault == without_user)
        );
        // With the first stage off, guest virtual is guest physical.
        stages.first_mode = TranslationMode::Bare;
        entries.insert(0x9000_0008, Pte::from_bits(1 << 54 | 0x2000_00df));
        let Ok(found) =
            translate_staged(stages, VirtAddr::new(1 << 30), |_, at| read(&entries, at));
        let reserved = TranslationFault::Reserved(Level::L2, ReservedReason::HighBits);
        assert!(
            matches!(found.outcome, StagedOutcome::GuestStage { fault, access: GuestAccess::Final, .. } if fault == reserved)
        );
    }
}

//! Translating one virtual address, with the whole trail.
//!
//! The answer tells "not mapped, at this level, for this reason" from "that memory could not be
//! read": the first is knowledge, the second is the lack of it. Follows the algorithm of the
//! privileged specification, section "Virtual Address Translation Process", without the access
//! checks, which are about an access and not about a mapping.

use core::fmt;

use crate::addr::{PhysAddr, PhysPage, VirtAddr};
use crate::level::Level;
use crate::mode::TranslationMode;
use crate::pte::{LeafFlags, Pte, PteKind, ReservedReason};
use crate::scheme::{HighBits, Scheme, Stage};

/// One entry looked at on the way.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Step {
    /// The table's level.
    pub level: Level,
    /// The table's frame.
    pub table: PhysPage,
    /// The entry's place in the table, 0 to 511 or whatever the mode has.
    pub index: usize,
    /// Where the entry lies: the table's address + index · 8, or · 4 on RV32.
    pub pte_address: PhysAddr,
    /// The entry.
    pub pte: Pte,
    /// What it is.
    pub kind: PteKind,
}

/// Where entry `index` of the table in `table` lies, on RV64. For any mode:
/// [`TranslationMode::entry_address`].
pub const fn pte_address(table: PhysPage, index: usize) -> PhysAddr {
    table.start().wrapping_add(index as u64 * 8)
}

/// The entries looked at, from the root down: at most five.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Trail {
    steps: [Option<Step>; 5],
}

impl Trail {
    /// The steps, from the root down.
    pub fn iter(&self) -> impl DoubleEndedIterator<Item = &Step> {
        self.steps.iter().flatten()
    }

    /// The last entry looked at.
    pub fn last(&self) -> Option<&Step> {
        self.iter().next_back()
    }

    /// How many entries were looked at.
    pub fn len(&self) -> usize {
        self.iter().count()
    }

    /// Whether no entry was looked at: no translation, or a non-canonical address.
    pub fn is_empty(&self) -> bool {
        self.steps[0].is_none()
    }

    fn push(&mut self, step: Step) {
        if let Some(place) = self.steps.iter_mut().find(|place| place.is_none()) {
            *place = Some(step);
        }
    }
}

/// Where a translation ended.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Outcome {
    /// The address is mapped.
    Mapped(Mapped),
    /// The address is not mapped.
    Fault(TranslationFault),
    /// The entry at this address could not be read, so nothing is known.
    Unreadable(PhysAddr),
}

/// What a mapped address leads to.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Mapped {
    /// The physical address.
    pub address: PhysAddr,
    /// The leaf's size in bytes; 0 where there is no translation.
    pub page_size: u64,
    /// The leaf's flags, with G where any pointer on the path has it.
    pub flags: LeafFlags,
}

/// Why an address is not mapped.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum TranslationFault {
    /// The bits above the translated ones are not as the mode asks: equal to the highest translated
    /// one, or zero.
    NonCanonical(TranslationMode),
    /// The MODE field has a value that the specification reserves.
    ReservedMode(u8),
    /// The entry at this level is not valid.
    Invalid(Level),
    /// The entry at this level is valid and reserved.
    Reserved(Level, ReservedReason),
    /// The G-stage leaf at this level has U clear, and every access to it counts as one from U-mode
    /// (privileged specification, section "Guest physical address translation").
    GuestLeafWithoutUser(Level),
    /// The G-stage leaf at this level has R clear, and a first stage's entry is read through it by an
    /// implicit load (section "Guest-physical address translation": permissions "are checked as though
    /// for an implicit load or store").
    GuestLeafNotReadable(Level),
}

impl fmt::Display for TranslationFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NonCanonical(mode) => {
                let bits = mode.address_bits();
                match mode.scheme().map(|scheme| scheme.high_bits) {
                    Some(HighBits::Zero) => {
                        write!(f, "not a {mode} address: it has more than {bits} bits")
                    }
                    _ => write!(
                        f,
                        "not a canonical {mode} address: bits 63..{bits} must all equal bit {top}",
                        top = bits - 1,
                    ),
                }
            }
            Self::ReservedMode(mode) => write!(f, "satp has the reserved mode {mode}"),
            Self::GuestLeafWithoutUser(level) => {
                write!(
                    f,
                    "not mapped: the {level} leaf has no U, which the G-stage asks for"
                )
            }
            Self::GuestLeafNotReadable(level) => {
                write!(
                    f,
                    "not readable: the {level} leaf has no R, and a table is read through it"
                )
            }
            Self::Invalid(level) => write!(f, "not mapped: the {level} entry is invalid"),
            Self::Reserved(level, reason) => {
                write!(f, "not mapped: the {level} entry is reserved ({reason})")
            }
        }
    }
}

/// One address's translation.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Translation {
    /// The address asked about.
    pub address: VirtAddr,
    /// The entries looked at.
    pub trail: Trail,
    /// Where it ended.
    pub outcome: Outcome,
}

impl Translation {
    /// What it is mapped to, if it is.
    pub const fn mapped(&self) -> Option<Mapped> {
        match self.outcome {
            Outcome::Mapped(mapped) => Some(mapped),
            Outcome::Fault(_) | Outcome::Unreadable(_) => None,
        }
    }
}

/// A translation on its way down: it says which entry it needs next, and is given it.
///
/// For whoever has to do more for an entry than read it: the G-stage has to translate its address first.
#[derive(Clone, Debug)]
pub struct Descent {
    mode: TranslationMode,
    address: VirtAddr,
    trail: Trail,
    state: State,
}

/// What a [`Descent`] needs.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Needs {
    /// The entry of a table at this level that lies there.
    Entry {
        /// The table's level.
        level: Level,
        /// Where the entry lies.
        at: PhysAddr,
    },
    /// It has ended.
    Nothing(Outcome),
}

#[derive(Clone, Copy, Debug)]
enum State {
    /// Before the entry of `table` for the address.
    At {
        scheme: &'static Scheme,
        level: Level,
        table: PhysPage,
        inherited: LeafFlags,
    },
    /// At its end.
    Done(Outcome),
}

impl Descent {
    /// At the root.
    pub fn new(mode: TranslationMode, root: PhysPage, address: VirtAddr) -> Self {
        let state = match (mode, mode.scheme()) {
            (TranslationMode::Bare, _) => State::Done(Outcome::Mapped(Mapped {
                address: PhysAddr::new(address.as_u64()),
                page_size: 0,
                flags: LeafFlags::empty(),
            })),
            (mode, None) => State::fault(TranslationFault::ReservedMode(mode.code())),
            (_, Some(scheme)) if !scheme.is_canonical(address) => {
                State::fault(TranslationFault::NonCanonical(mode))
            }
            (_, Some(scheme)) => State::At {
                scheme,
                level: scheme.root_level,
                table: root,
                inherited: LeafFlags::empty(),
            },
        };
        Self {
            mode,
            address,
            trail: Trail::default(),
            state,
        }
    }

    /// What it needs next, or where it ended.
    pub const fn needs(&self) -> Needs {
        match self.state {
            State::At {
                scheme,
                level,
                table,
                ..
            } => {
                let index = scheme.index_of(level, self.address);
                let at = self.mode.entry_address(table, index);
                Needs::Entry { level, at }
            }
            State::Done(outcome) => Needs::Nothing(outcome),
        }
    }

    /// Gives it the entry that it needs; `None` where that could not be read. Nothing happens at the end.
    pub fn give(&mut self, entry: Option<Pte>) {
        let State::At {
            scheme,
            level,
            table,
            inherited,
        } = self.state
        else {
            return;
        };
        let index = scheme.index_of(level, self.address);
        let pte_address = self.mode.entry_address(table, index);
        let Some(pte) = entry else {
            self.state = State::Done(Outcome::Unreadable(pte_address));
            return;
        };
        let kind = self.mode.classify(pte, level);
        self.trail.push(Step {
            level,
            table,
            index,
            pte_address,
            pte,
            kind,
        });
        self.state = match (kind, level.next()) {
            (PteKind::Pointer(table), Some(level)) => State::At {
                scheme,
                level,
                table,
                inherited: inherited | (pte.flags() & LeafFlags::GLOBAL),
            },
            (PteKind::Leaf(leaf), _)
                if scheme.stage == Stage::Guest && !leaf.flags.contains(LeafFlags::USER) =>
            {
                State::fault(TranslationFault::GuestLeafWithoutUser(level))
            }
            (PteKind::Leaf(leaf), _) => {
                let offset = self.address.as_u64() & (leaf.size - 1);
                State::Done(Outcome::Mapped(Mapped {
                    address: leaf.page.start().wrapping_add(offset),
                    page_size: leaf.size,
                    flags: leaf.flags | inherited,
                }))
            }
            (PteKind::Reserved(reason), _) => {
                State::fault(TranslationFault::Reserved(level, reason))
            }
            // `classify` says Pointer only above L0, where `next` is Some.
            (PteKind::Invalid | PteKind::Pointer(_), _) => {
                State::fault(TranslationFault::Invalid(level))
            }
        };
    }

    /// The entries looked at so far.
    pub const fn trail(&self) -> &Trail {
        &self.trail
    }
}

impl State {
    const fn fault(fault: TranslationFault) -> Self {
        Self::Done(Outcome::Fault(fault))
    }
}

/// Translates `address` through the tables under `root`.
///
/// `read_entry` reads one entry of physical memory, of as many bytes as the mode's entries have;
/// `Ok(None)` says that it cannot be read.
///
/// # Errors
/// Whatever `read_entry` fails with, a lost connection for example.
pub fn translate<E>(
    mode: TranslationMode,
    root: PhysPage,
    address: VirtAddr,
    mut read_entry: impl FnMut(PhysAddr) -> Result<Option<Pte>, E>,
) -> Result<Translation, E> {
    let mut descent = Descent::new(mode, root, address);
    loop {
        match descent.needs() {
            Needs::Entry { at, .. } => descent.give(read_entry(at)?),
            Needs::Nothing(outcome) => {
                return Ok(Translation {
                    address,
                    trail: descent.trail,
                    outcome,
                });
            }
        }
    }
}

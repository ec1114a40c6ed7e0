//! Translating one virtual address, with the whole trail.
//!
//! The answer tells "not mapped, at this level, for this reason" from "that memory could not be
//! read": the first is knowledge, the second is the lack of it. Follows the algorithm of the
//! privileged specification, section "Virtual Address Translation Process", without the access
//! checks, which are about an access and not about a mapping.

use core::fmt;

use crate::addr::{PhysAddr, PhysPage, VirtAddr};
use crate::level::{Level, TranslationMode};
use crate::pte::{LeafFlags, Pte, PteKind, ReservedReason};

/// One entry looked at on the way.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Step {
    /// The table's level.
    pub level: Level,
    /// The table's frame.
    pub table: PhysPage,
    /// The entry's place in the table, 0 to 511.
    pub index: usize,
    /// The entry.
    pub pte: Pte,
    /// What it is.
    pub kind: PteKind,
}

impl Step {
    /// Where the entry lies: the table's address + index · 8.
    pub const fn pte_address(&self) -> PhysAddr {
        pte_address(self.table, self.index)
    }
}

/// Where entry `index` of the table in `table` lies.
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
    /// The bits above the translated ones do not all equal the highest translated one.
    NonCanonical(TranslationMode),
    /// satp's MODE is one that the specification reserves.
    ReservedMode(u8),
    /// The entry at this level is not valid.
    Invalid(Level),
    /// The entry at this level is valid and reserved.
    Reserved(Level, ReservedReason),
}

impl fmt::Display for TranslationFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NonCanonical(mode) => write!(
                f,
                "not a canonical {mode} address: bits 63..{bits} must all equal bit {top}",
                bits = mode.address_bits(),
                top = mode.address_bits() - 1,
            ),
            Self::ReservedMode(mode) => write!(f, "satp has the reserved mode {mode}"),
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

/// Translates `address` through the tables under `root`.
///
/// `read_entry` reads eight bytes of physical memory; `Ok(None)` says that they cannot be read.
///
/// # Errors
/// Whatever `read_entry` fails with, a lost connection for example.
pub fn translate<E>(
    mode: TranslationMode,
    root: PhysPage,
    address: VirtAddr,
    mut read_entry: impl FnMut(PhysAddr) -> Result<Option<Pte>, E>,
) -> Result<Translation, E> {
    let mut trail = Trail::default();
    let outcome = 'walk: {
        let mut level = match (mode, mode.root_level()) {
            (TranslationMode::Bare, _) => {
                let address = PhysAddr::new(address.as_u64());
                break 'walk Outcome::Mapped(Mapped {
                    address,
                    page_size: 0,
                    flags: LeafFlags::empty(),
                });
            }
            (_, Some(level)) => level,
            (mode, None) => {
                break 'walk Outcome::Fault(TranslationFault::ReservedMode(mode.satp_mode()));
            }
        };
        if !mode.is_canonical(address) {
            break 'walk Outcome::Fault(TranslationFault::NonCanonical(mode));
        }
        let mut table = root;
        let mut inherited = LeafFlags::empty();
        loop {
            let index = level.index_of(address);
            let Some(pte) = read_entry(pte_address(table, index))? else {
                break 'walk Outcome::Unreadable(pte_address(table, index));
            };
            let kind = pte.classify(level);
            trail.push(Step {
                level,
                table,
                index,
                pte,
                kind,
            });
            match (kind, level.next()) {
                (PteKind::Pointer(next_table), Some(next_level)) => {
                    inherited |= pte.flags() & LeafFlags::GLOBAL;
                    table = next_table;
                    level = next_level;
                }
                (PteKind::Leaf(leaf), _) => {
                    let offset = address.as_u64() & (leaf.size - 1);
                    break 'walk Outcome::Mapped(Mapped {
                        address: leaf.page.start().wrapping_add(offset),
                        page_size: leaf.size,
                        flags: leaf.flags | inherited,
                    });
                }
                (PteKind::Reserved(reason), _) => {
                    break 'walk Outcome::Fault(TranslationFault::Reserved(level, reason));
                }
                // `classify` says Pointer only above L0, where `next` is Some.
                (PteKind::Invalid | PteKind::Pointer(_), _) => {
                    break 'walk Outcome::Fault(TranslationFault::Invalid(level));
                }
            }
        }
    };
    Ok(Translation {
        address,
        trail,
        outcome,
    })
}

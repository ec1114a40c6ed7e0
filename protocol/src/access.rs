//! Whether one access may happen through a leaf, which is another question than whether the address
//! is mapped.
//!
//! ```text
//!            R W X U A D      and U against the mode:
//!  load      1 . . . 1 .      U-mode needs U = 1
//!  store     1 1 . . 1 1      S-mode: U = 1 only for loads and stores, and only with sstatus.SUM
//!  fetch     . . 1 . 1 .      sstatus.MXR lets a load pass where X = 1 and R = 0
//! ```
//!
//! A and D: a machine with Svade faults where they are clear and would have to be set; one with Svadu
//! sets them itself (menvcfg.ADUE, for a guest's stage henvcfg.ADUE).
//!
//! Source: privileged specification, section "Virtual Address Translation Process", steps 6 to 9;
//! sections Svade, Svadu.

use core::fmt;

use crate::pte::{LeafFlags, MemoryType, Pte};

/// What is done.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum AccessKind {
    /// A load.
    Load,
    /// A store or an AMO.
    Store,
    /// An instruction fetch.
    Fetch,
}

impl AccessKind {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Load, Self::Store, Self::Fetch];
}

impl fmt::Display for AccessKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Load => "load",
            Self::Store => "store",
            Self::Fetch => "fetch",
        })
    }
}

/// An access, and what of the hart's state decides about it.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Access {
    /// What is done.
    pub kind: AccessKind,
    /// Whether it counts as one from U-mode. Every access through the G-stage does.
    pub from_user: bool,
    /// sstatus.SUM: S-mode may load and store where U = 1.
    pub sum: bool,
    /// sstatus.MXR: a load may read what is executable.
    pub mxr: bool,
}

/// What happens to A and D.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
#[cfg_attr(feature = "snapshot", derive(serde::Serialize, serde::Deserialize))]
pub enum AdUpdate {
    /// Svade: a page fault where one of them would have to be set.
    Faults,
    /// Svadu: the hardware sets them.
    ByHardware,
}

/// What of the extensions a machine has; `None` where that is not known.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
#[cfg_attr(feature = "snapshot", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "snapshot", serde(default))]
pub struct Extensions {
    /// Svnapot: N, bit 63.
    pub svnapot: Option<bool>,
    /// Svpbmt: PBMT, bits 62..61.
    pub svpbmt: Option<bool>,
    /// Svade or Svadu.
    pub ad: Option<AdUpdate>,
}

impl Extensions {
    /// Whether nothing is known.
    pub fn is_unknown(&self) -> bool {
        *self == Self::default()
    }

    /// The extension that `pte` needs and this machine lacks: there the entry is reserved, and faults.
    pub fn missing_for(&self, pte: Pte) -> Option<&'static str> {
        if !pte.is_valid() {
            return None;
        }
        if pte.is_napot() && self.svnapot == Some(false) {
            return Some("Svnapot");
        }
        let needs_types = pte.memory_type() != MemoryType::Platform;
        (needs_types && self.svpbmt == Some(false)).then_some("Svpbmt")
    }
}

/// Which of A and D an access that may happen sets.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
pub struct Sets {
    /// A.
    pub accessed: bool,
    /// D.
    pub dirty: bool,
}

/// Why an access gives a page fault.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum AccessFault {
    /// R is clear, and MXR does not help.
    NotReadable,
    /// W is clear.
    NotWritable,
    /// X is clear.
    NotExecutable,
    /// U is clear, and the access is U-mode's.
    NotForUser,
    /// U is set, and the access is S-mode's, without SUM.
    UserWithoutSum,
    /// U is set, and S-mode never fetches from there.
    UserFetchedBySupervisor,
    /// A is clear, and this machine does not set it.
    AccessedClear,
    /// D is clear, and this machine does not set it.
    DirtyClear,
}

impl fmt::Display for AccessFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::NotReadable => "R is clear",
            Self::NotWritable => "W is clear",
            Self::NotExecutable => "X is clear",
            Self::NotForUser => "U is clear",
            Self::UserWithoutSum => "U is set, and sstatus.SUM is not",
            Self::UserFetchedBySupervisor => "U is set, and S-mode never fetches there",
            Self::AccessedClear => "A is clear, and the hardware does not set it (Svade)",
            Self::DirtyClear => "D is clear, and the hardware does not set it (Svade)",
        })
    }
}

/// Whether `access` may happen through a leaf with these flags, and which of A and D it sets.
///
/// # Errors
/// The first thing that forbids it, in the specification's order.
pub fn check(flags: LeafFlags, access: Access, ad: AdUpdate) -> Result<Sets, AccessFault> {
    let is_fetch = access.kind == AccessKind::Fetch;
    let is_store = access.kind == AccessKind::Store;
    match (access.from_user, flags.contains(LeafFlags::USER)) {
        (true, false) => return Err(AccessFault::NotForUser),
        (false, true) if is_fetch => return Err(AccessFault::UserFetchedBySupervisor),
        (false, true) if !access.sum => return Err(AccessFault::UserWithoutSum),
        _ => {}
    }
    let readable =
        flags.contains(LeafFlags::READ) || (access.mxr && flags.contains(LeafFlags::EXECUTE));
    match access.kind {
        AccessKind::Load if !readable => return Err(AccessFault::NotReadable),
        AccessKind::Store if !flags.contains(LeafFlags::WRITE) => {
            return Err(AccessFault::NotWritable);
        }
        AccessKind::Fetch if !flags.contains(LeafFlags::EXECUTE) => {
            return Err(AccessFault::NotExecutable);
        }
        _ => {}
    }
    let sets = Sets {
        accessed: !flags.contains(LeafFlags::ACCESSED),
        dirty: is_store && !flags.contains(LeafFlags::DIRTY),
    };
    match (ad, sets) {
        (AdUpdate::Faults, Sets { accessed: true, .. }) => Err(AccessFault::AccessedClear),
        (AdUpdate::Faults, Sets { dirty: true, .. }) => Err(AccessFault::DirtyClear),
        _ => Ok(sets),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn checked(flags: &str, kind: AccessKind, from_user: bool) -> Result<Sets, AccessFault> {
        let access = Access {
            kind,
            from_user,
            sum: false,
            mxr: false,
        };
        let flags = LeafFlags::from_letters(flags).unwrap();
        check(flags, access, AdUpdate::Faults)
    }

    #[test]
    fn permissions_are_about_an_access() {
        use AccessFault as Why;
        use AccessKind::{Fetch, Load, Store};
        let none = Ok(Sets::default());
        for (flags, kind, from_user, answer) in [
            ("rw---ad", Load, false, none),
            ("rw---ad", Store, false, none),
            ("rw---ad", Fetch, false, Err(Why::NotExecutable)),
            ("rw---ad", Load, true, Err(Why::NotForUser)),
            ("r----a-", Store, false, Err(Why::NotWritable)),
            ("--x--a-", Load, false, Err(Why::NotReadable)),
            ("rwxu-ad", Load, true, none),
            ("rwxu-ad", Load, false, Err(Why::UserWithoutSum)),
            ("rwxu-ad", Fetch, false, Err(Why::UserFetchedBySupervisor)),
            ("rw-----", Load, false, Err(Why::AccessedClear)),
            ("rw---a-", Load, false, none),
            ("rw---a-", Store, false, Err(Why::DirtyClear)),
        ] {
            assert_eq!(checked(flags, kind, from_user), answer, "{flags} {kind}");
        }
    }

    #[test]
    fn sum_and_mxr_open_what_they_open() {
        let flags = LeafFlags::from_letters("--xu-a-").unwrap();
        let access = |kind, sum, mxr| {
            let from_user = false;
            let access = Access {
                kind,
                from_user,
                sum,
                mxr,
            };
            check(flags, access, AdUpdate::Faults)
        };
        assert_eq!(access(AccessKind::Load, true, true), Ok(Sets::default()));
        assert_eq!(
            access(AccessKind::Load, true, false),
            Err(AccessFault::NotReadable)
        );
        assert_eq!(
            access(AccessKind::Fetch, true, true),
            Err(AccessFault::UserFetchedBySupervisor)
        );
    }

    #[test]
    fn svadu_sets_what_svade_faults_for() {
        let flags = LeafFlags::from_letters("rw-----").unwrap();
        let access = Access {
            kind: AccessKind::Store,
            from_user: false,
            sum: false,
            mxr: false,
        };
        let sets = Sets {
            accessed: true,
            dirty: true,
        };
        assert_eq!(check(flags, access, AdUpdate::ByHardware), Ok(sets));
    }

    #[test]
    fn an_entry_needs_what_it_uses() {
        let without = Extensions {
            svnapot: Some(false),
            svpbmt: Some(false),
            ad: None,
        };
        let napot = Pte::from_bits(1 << 63 | 0x2001 | 0xcf);
        let typed = Pte::from_bits(1 << 61 | 0xcf);
        assert_eq!(without.missing_for(napot), Some("Svnapot"));
        assert_eq!(without.missing_for(typed), Some("Svpbmt"));
        assert_eq!(without.missing_for(Pte::from_bits(0xcf)), None);
        assert_eq!(Extensions::default().missing_for(napot), None);
    }
}

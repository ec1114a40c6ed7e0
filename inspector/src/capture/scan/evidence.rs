//! What speaks for a frame being a root table, and against it.

use std::fmt;

use pagescope_protocol::PhysPage;

/// One piece of evidence.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Evidence {
    /// It is in the satp of these harts.
    Satp(String),
    /// The kernel or its profile names it so.
    Named(String),
    /// It maps these addresses where a hart's own tables map them: pc, stvec.
    SameAddresses(Vec<String>),
    /// Its tree is sound: so many tables, so many leaves, nothing reserved, all in RAM.
    Sound {
        /// Tables.
        tables: usize,
        /// Runs of leaves.
        ranges: usize,
    },
    /// Harts translate in this mode.
    UsualMode,
    /// It has so many entries of its upper half in common with this root that is known.
    SharedUpperHalf(usize, PhysPage),
    /// Its entries are all those of this root that is known: what a kernel leaves when it frees one.
    Copy(PhysPage),
    /// An entry of it leads to itself.
    SelfMap,
    /// A pointer of another table leads to it: it may be a table of a lower level.
    Linked,
    /// So many entries in its tree are reserved.
    Reserved(usize),
    /// So many of its leaves lead neither to RAM nor to a device.
    Nowhere(usize),
    /// Its tree was not looked at any more: too many candidates.
    NotWalked,
}

impl Evidence {
    /// What it counts.
    pub fn points(&self) -> i32 {
        match self {
            Self::Satp(_) => 100,
            Self::Named(_) => 90,
            Self::SameAddresses(_) => 25,
            Self::Sound { tables, ranges } => {
                // Larger trees are there by accident less often; a table alone may be any page of leaves.
                let tree = if *tables > 1 { 15 } else { 0 };
                tree + (*tables).min(10) as i32 + (*ranges).min(10) as i32
            }
            Self::UsualMode => 10,
            Self::SharedUpperHalf(count, _) => (5 + count).min(20) as i32,
            Self::Copy(_) => -40,
            Self::SelfMap => 5,
            Self::Linked => -30,
            Self::Reserved(count) => -(10 + (*count).min(30) as i32),
            Self::Nowhere(count) => -(5 + (*count).min(20) as i32),
            Self::NotWalked => 0,
        }
    }
}

impl fmt::Display for Evidence {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Satp(harts) => write!(f, "satp of {harts}"),
            Self::Named(name) => write!(f, "named {name:?}"),
            Self::SameAddresses(what) => {
                write!(f, "maps {} as the hart's own tables do", what.join(", "))
            }
            Self::Sound { tables, ranges } => {
                write!(f, "{tables} sound tables, {ranges} mappings")
            }
            Self::UsualMode => f.write_str("the mode that harts use"),
            Self::SharedUpperHalf(count, root) => {
                write!(f, "{count} upper entries as in {root}")
            }
            Self::Copy(root) => write!(
                f,
                "nothing but the entries of {root}: freed, or not used yet"
            ),
            Self::SelfMap => f.write_str("leads to itself"),
            Self::Linked => f.write_str("another table leads to it"),
            Self::Reserved(1) => f.write_str("1 reserved entry"),
            Self::Reserved(count) => write!(f, "{count} reserved entries"),
            Self::Nowhere(count) => write!(f, "{count} mappings lead nowhere"),
            Self::NotWalked => f.write_str("not walked: too many candidates"),
        }
    }
}

//! Whether a guest stood still while it was captured, and what moved where it did not.
//!
//! A running guest is read twice. What is the same both times was so at one moment between the two; what
//! differs is *unsettled*: it is kept, and said to be so, and is never to be drawn as if it were known.

use alloc::vec::Vec;
use core::fmt;

use serde::{Deserialize, Serialize};

use super::{Space, hex};
use crate::addr::{PhysPage, VirtAddr};

/// How a snapshot was taken.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub enum Taken {
    /// The guest stood still. So is every snapshot from before this was asked.
    #[default]
    Stopped,
    /// It ran on; this was still moving when it had been read twice, as often as was tried.
    Running(Unsettled),
}

/// What moved while it was read.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct Unsettled {
    /// Tables whose words were others the second time, in the order of their frames.
    #[serde(
        default,
        with = "hex::phys_pages",
        skip_serializing_if = "Vec::is_empty"
    )]
    pub tables: Vec<PhysPage>,
    /// Harts whose satp was another the second time.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub harts: Vec<u32>,
    /// Whether the kernel was changing what it says of regions, spaces or its heap.
    #[serde(default, skip_serializing_if = "is_false")]
    pub kernel: bool,
}

// serde's `skip_serializing_if` hands a reference.
fn is_false(flag: &bool) -> bool {
    !*flag
}

impl Taken {
    /// Whether the guest stood still.
    pub const fn is_stopped(&self) -> bool {
        matches!(self, Self::Stopped)
    }

    /// What moved; nothing where the guest stood still.
    pub fn unsettled(&self) -> Option<&Unsettled> {
        match self {
            Self::Running(unsettled) if !unsettled.is_empty() => Some(unsettled),
            _ => None,
        }
    }

    /// Whether the table in `frame` moved while it was read.
    pub fn is_torn(&self, frame: PhysPage) -> bool {
        self.unsettled()
            .is_some_and(|unsettled| unsettled.tables.binary_search(&frame).is_ok())
    }
}

impl Unsettled {
    /// Whether nothing moved.
    pub const fn is_empty(&self) -> bool {
        self.tables.is_empty() && self.harts.is_empty() && !self.kernel
    }

    /// The addresses of `space` that torn tables translate: first address and bytes of each, in order of the
    /// tables. What lies there may be half old and half new.
    pub fn ranges<'a>(&'a self, space: &'a Space) -> impl Iterator<Item = (VirtAddr, u64)> + 'a {
        let torn = space
            .tables
            .iter()
            .filter(|table| self.tables.binary_search(&table.frame).is_ok());
        torn.map(|table| (table.covers_from, space.mode.table_size(table.level)))
    }
}

/// `2 tables (0x87ffb000, 0x87ffe000), satp of hart 1`.
impl fmt::Display for Unsettled {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        /// How many of a kind are named.
        const MOST: usize = 4;
        let mut separator = "";
        if !self.tables.is_empty() {
            let plural = if self.tables.len() == 1 { "" } else { "s" };
            write!(f, "{} table{plural} (", self.tables.len())?;
            for (place, frame) in self.tables.iter().take(MOST).enumerate() {
                write!(f, "{}{frame}", if place == 0 { "" } else { ", " })?;
            }
            let more = self.tables.len() > MOST;
            f.write_str(if more { ", …)" } else { ")" })?;
            separator = ", ";
        }
        for hart in self.harts.iter().take(MOST) {
            write!(f, "{separator}satp of hart {hart}")?;
            separator = ", ";
        }
        if self.kernel {
            write!(f, "{separator}what the kernel says of itself")?;
        }
        Ok(())
    }
}

//! What colours, letters and patterns mean, once for all views; and a filter by any of them.

use pagescope_protocol::Level;

use super::{Band, BandKind};

/// Something that the maps tell apart.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Sign {
    /// Can be executed.
    Code,
    /// Can be read only.
    ReadOnly,
    /// Can be written.
    Data,
    /// A stack.
    Stack,
    /// A device's registers.
    Device,
    /// Tables of this level, and what points to them.
    Table(Level),
    /// A leaf through which a table is written.
    Window,
    /// Frames that more than one address leads to.
    Shared,
    /// New or changed since the moment before.
    Fresh,
    /// Can be written and executed.
    WriteExecute,
    /// Never mapped, kept free, or an encoding that the specification reserves.
    Forbidden,
    /// The machine-mode program.
    Machine,
    /// Moving while it was read.
    Unsure,
    /// What could not be read.
    Unread,
    /// All of it: the guest may be another by now.
    Stale,
}

/// What is known of a thing that is drawn, as far as a [`Sign`] asks.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Seen {
    /// What it is.
    pub kind: BandKind,
    /// Whether it is mapped: in the virtual map, or by a leaf.
    pub is_mapped: bool,
    /// Whether it is new or changed.
    pub is_fresh: bool,
    /// Whether more than one address leads there.
    pub is_shared: bool,
    /// Whether it was moving while it was read.
    pub is_unsure: bool,
    /// Whether it, or the table that it points to, could not be read.
    pub is_unread: bool,
}

impl Seen {
    /// A band, without what others know of it.
    pub const fn of(band: &Band) -> Self {
        Self {
            kind: band.kind,
            is_mapped: band.flags.is_some(),
            is_fresh: band.fresh,
            is_shared: false,
            is_unsure: false,
            is_unread: false,
        }
    }
}

impl Sign {
    /// All signs, in the legend's order.
    pub const ALL: [Self; 19] = [
        Self::Code,
        Self::ReadOnly,
        Self::Data,
        Self::Stack,
        Self::Device,
        Self::Table(Level::L4),
        Self::Table(Level::L3),
        Self::Table(Level::L2),
        Self::Table(Level::L1),
        Self::Table(Level::L0),
        Self::Window,
        Self::Shared,
        Self::Fresh,
        Self::WriteExecute,
        Self::Forbidden,
        Self::Machine,
        Self::Unsure,
        Self::Unread,
        Self::Stale,
    ];

    /// Those that one thing has and another has not: all but the last.
    pub const OF_ONE: &'static [Self] = Self::ALL.split_at(Self::ALL.len() - 1).0;

    /// The letter that stands beside its colour.
    pub const fn letter(self) -> &'static str {
        match self {
            Self::Code => "X",
            Self::ReadOnly => "R",
            Self::Data => "W",
            Self::Stack => "S",
            Self::Device => "D",
            Self::Table(Level::L0) => "0",
            Self::Table(Level::L1) => "1",
            Self::Table(Level::L2) => "2",
            Self::Table(Level::L3) => "3",
            Self::Table(Level::L4) => "4",
            Self::Window => "o",
            Self::Shared => "=",
            Self::Fresh => "+",
            Self::WriteExecute => "!",
            Self::Forbidden => "/",
            Self::Machine => "M",
            Self::Unsure => "*",
            Self::Unread => "?",
            Self::Stale => "~",
        }
    }

    /// Its name in the legend.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Code => "code",
            Self::ReadOnly => "read-only",
            Self::Data => "data",
            Self::Stack => "stack",
            Self::Device => "device",
            Self::Table(Level::L0) => "L0",
            Self::Table(Level::L1) => "L1",
            Self::Table(Level::L2) => "L2",
            Self::Table(Level::L3) => "L3",
            Self::Table(Level::L4) => "L4",
            Self::Window => "window",
            Self::Shared => "shared",
            Self::Fresh => "new",
            Self::WriteExecute => "W and X",
            Self::Forbidden => "forbidden",
            Self::Machine => "machine",
            Self::Unsure => "moving",
            Self::Unread => "unreadable",
            Self::Stale => "stale",
        }
    }

    /// What it means, in a sentence.
    pub const fn about(self) -> &'static str {
        match self {
            Self::Code => "Can be executed.",
            Self::ReadOnly => "Can be read, and neither written nor executed.",
            Self::Data => "Can be written: data, and pages that the allocator handed out.",
            Self::Stack => "A stack.",
            Self::Device => "A device’s registers.",
            Self::Table(_) => "Tables of this level, and the entries that point to one.",
            Self::Window => "A leaf that leads to a table: through it the table is written.",
            Self::Shared => "Frames that more than one address of this space leads to.",
            Self::Fresh => "New or changed since the moment before.",
            Self::WriteExecute => "Can be written and executed: whoever writes there runs code.",
            Self::Forbidden => "Hatched: guards, what is kept free, reserved encodings.",
            Self::Machine => "The machine-mode program: it uses no tables.",
            Self::Unsure => "Hatched: moving while it was read, and may be half old and half new.",
            Self::Unread => "Hatched: what could not be read, and what depends on it.",
            Self::Stale => {
                "All of the picture: the guest has moved on since, or the link to it is lost."
            }
        }
    }

    /// Whether it stands for `seen`.
    pub fn takes(self, seen: &Seen) -> bool {
        let is_table = matches!(seen.kind, BandKind::Table(_));
        match self {
            Self::Code => seen.kind == BandKind::Code,
            Self::ReadOnly => seen.kind == BandKind::ReadOnly,
            Self::Data => matches!(
                seen.kind,
                BandKind::Data | BandKind::Heap | BandKind::HeapCounter
            ),
            Self::Stack => seen.kind == BandKind::Stack,
            Self::Device => seen.kind == BandKind::Device,
            Self::Table(level) => seen.kind == BandKind::Table(level),
            Self::Window => is_table && seen.is_mapped,
            Self::Shared => seen.is_shared,
            Self::Fresh => seen.is_fresh,
            Self::WriteExecute => seen.kind == BandKind::WriteExecute,
            Self::Forbidden => matches!(seen.kind, BandKind::Guard | BandKind::Reserved),
            Self::Machine => seen.kind == BandKind::Machine,
            Self::Unsure => seen.is_unsure,
            Self::Unread => seen.is_unread || seen.kind == BandKind::Unread,
            // It is said of the whole picture.
            Self::Stale => true,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn letters_and_names_are_there_once() {
        let letters: BTreeSet<&str> = Sign::ALL.iter().map(|sign| sign.letter()).collect();
        let names: BTreeSet<&str> = Sign::ALL.iter().map(|sign| sign.name()).collect();
        assert_eq!(
            (letters.len(), names.len()),
            (Sign::ALL.len(), Sign::ALL.len())
        );
    }

    #[test]
    fn a_leaf_to_a_table_is_a_window_and_of_its_level() {
        let mut seen = Seen {
            kind: BandKind::Table(Level::L0),
            is_mapped: true,
            is_fresh: true,
            is_shared: false,
            is_unsure: false,
            is_unread: false,
        };
        let taken = |seen: &Seen| -> Vec<Sign> {
            let all = Sign::OF_ONE.iter().copied();
            all.filter(|sign| sign.takes(seen)).collect()
        };
        assert_eq!(
            taken(&seen),
            [Sign::Table(Level::L0), Sign::Window, Sign::Fresh]
        );
        seen.is_mapped = false;
        seen.is_fresh = false;
        assert_eq!(taken(&seen), [Sign::Table(Level::L0)]);
    }
}

//! Are the tables of a space sound? A pure function from a snapshot to findings.
//!
//! ```text
//!  snapshot ─▶ SpaceTables ─▶ windows   unreachable, window-flags, further-alias, writable-alias,
//!                             │         alias-in-other-space
//!                             entries   pointer-flags, superpage-alignment, reserved-encoding,
//!                             │         self-entry, aligned-self-entry
//!                             links     shared-table, cyclic-table
//!                             frames    outside-ram, unread-table
//!  snapshot ─▶ kernel facts ─▶ kernel   reserve-mark, table-traps
//! ```
//!
//! # What is a fault, and what a note
//! - A **fault** is something that the tables themselves show to be wrong.
//! - A space in which *no* table has a window is not wrong: it does not map its own tables. Most
//!   kernels have such spaces (a user's), and some have no other. That is one note,
//!   `no-self-map`, unless the kernel publishes a strategy by which it maps them: then each table is
//!   `unreachable`. Where some tables have a window, each that has none is `unreachable`, too.
//! - A recursive root reads tables at levels that they are not. What an entry looks like there is no
//!   fault: entries and links are judged at the level that the table *is* (see
//!   [`space_tables`](super::space_tables)). So is a leaf to the table itself above L0: the walk
//!   that gets there finds a misaligned superpage, which faults and hurts nobody. It is taken for
//!   on purpose only in a space with a recursive root, at the slot in which most tables hold such
//!   a leaf, and is then one note, `self-entry`. Anywhere else it is `superpage-alignment`.
//! - Another space may show the same tables at the *same* addresses: spaces that share a kernel half
//!   do. That is one note for each such space, `shared-window`. A writable address that differs
//!   is `alias-in-other-space`.
//! - What was not read, or cut short by a limit, is **unknown**: such a space is not called sound.

mod entries;
mod frames;
mod kernel;
mod links;
mod windows;

use pagescope_protocol::snapshot::{Snapshot, Space};
use pagescope_protocol::{Level, PhysPage, TranslationMode, VirtAddr};

use super::space_tables::{EntryPlace, SpaceTables};

/// How much a finding weighs.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Severity {
    /// The tables are wrong.
    Fault,
    /// It could not be found out.
    Unknown,
    /// Worth knowing, and right.
    Note,
}

impl Severity {
    /// Its name: `fault`, `unknown`, `note`.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Fault => "fault",
            Self::Unknown => "unknown",
            Self::Note => "note",
        }
    }
}

/// What is asked of the tables. The names are stable: scripts may rely on them.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Rule {
    /// Each table has a window.
    Unreachable,
    /// A window is read-write for the supervisor, with A and D set, and not executable.
    WindowFlags,
    /// A table has one window, not several.
    FurtherAlias,
    /// A table has no writable address beside its window.
    WritableAlias,
    /// No other space can write the table at another address.
    AliasInOtherSpace,
    /// A pointer has A, D and U clear.
    PointerFlags,
    /// A superpage's frame is a multiple of its size.
    SuperpageAlignment,
    /// No entry has an encoding that the specification reserves.
    ReservedEncoding,
    /// A table above L0 that holds a leaf to itself lies where that is no superpage.
    AlignedSelfEntry,
    /// One entry links a table, not several.
    SharedTable,
    /// No entry leads back up, but for the recursion of the root.
    CyclicTable,
    /// Tables lie in RAM.
    OutsideRam,
    /// The reserve is never below its mark.
    ReserveMark,
    /// A `map` costs at most two traps of the machine program.
    TableTraps,
    /// All tables could be read.
    UnreadTable,
    /// No limit cut the tables short.
    Truncated,
    /// The mode is one that translates.
    ReservedMode,
    /// The space does not map its own tables.
    NoSelfMap,
    /// Tables hold a leaf to themselves, on purpose.
    SelfEntry,
    /// Another space shows the tables at the same addresses.
    SharedWindow,
    /// Translation is off.
    NoTranslation,
    /// The snapshot does not say where RAM is.
    NoRamKnown,
}

impl Rule {
    /// All rules, those that faults are found by first.
    pub const ALL: [Self; 22] = [
        Self::Unreachable,
        Self::WindowFlags,
        Self::FurtherAlias,
        Self::WritableAlias,
        Self::AliasInOtherSpace,
        Self::PointerFlags,
        Self::SuperpageAlignment,
        Self::ReservedEncoding,
        Self::AlignedSelfEntry,
        Self::SharedTable,
        Self::CyclicTable,
        Self::OutsideRam,
        Self::ReserveMark,
        Self::TableTraps,
        Self::UnreadTable,
        Self::Truncated,
        Self::ReservedMode,
        Self::NoSelfMap,
        Self::SelfEntry,
        Self::SharedWindow,
        Self::NoTranslation,
        Self::NoRamKnown,
    ];

    /// Its name: `writable-alias`.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Unreachable => "unreachable",
            Self::WindowFlags => "window-flags",
            Self::FurtherAlias => "further-alias",
            Self::WritableAlias => "writable-alias",
            Self::AliasInOtherSpace => "alias-in-other-space",
            Self::PointerFlags => "pointer-flags",
            Self::SuperpageAlignment => "superpage-alignment",
            Self::ReservedEncoding => "reserved-encoding",
            Self::AlignedSelfEntry => "aligned-self-entry",
            Self::SharedTable => "shared-table",
            Self::CyclicTable => "cyclic-table",
            Self::OutsideRam => "outside-ram",
            Self::ReserveMark => "reserve-mark",
            Self::TableTraps => "table-traps",
            Self::UnreadTable => "unread-table",
            Self::Truncated => "truncated",
            Self::ReservedMode => "reserved-mode",
            Self::NoSelfMap => "no-self-map",
            Self::SelfEntry => "self-entry",
            Self::SharedWindow => "shared-window",
            Self::NoTranslation => "no-translation",
            Self::NoRamKnown => "no-ram-known",
        }
    }

    /// What a finding by it weighs.
    pub const fn severity(self) -> Severity {
        match self {
            Self::UnreadTable | Self::Truncated | Self::ReservedMode => Severity::Unknown,
            Self::NoSelfMap
            | Self::SelfEntry
            | Self::SharedWindow
            | Self::NoTranslation
            | Self::NoRamKnown => Severity::Note,
            _ => Severity::Fault,
        }
    }

    /// What a finding by it means, or what to do about it.
    pub const fn meaning(self) -> &'static str {
        match self {
            Self::Unreachable => {
                "The kernel cannot write this table while it runs in this space. Map its frame, \
                 in a leaf of its own, before the table is linked."
            }
            Self::WindowFlags => {
                "A window is rw- for the supervisor alone, with A and D set: without them a machine \
                 that does not set them itself faults on the first access."
            }
            Self::FurtherAlias => {
                "One window is enough, and each further address has to be unmapped and fenced, \
                 too, when the table goes. Take this leaf away."
            }
            Self::WritableAlias => {
                "Whoever writes there changes translations without knowing it. Take this leaf \
                 away, or split the superpage around the table."
            }
            Self::AliasInOtherSpace => {
                "Code that runs in that space can change these translations. Take the leaf away \
                 there, or share the kernel's half of both spaces."
            }
            Self::PointerFlags => {
                "A, D and U are reserved in a pointer, so the walk faults here. Store the frame's \
                 number with V alone (and G)."
            }
            Self::SuperpageAlignment => {
                "A superpage begins at a multiple of its size; the walk faults here. Align the \
                 frame, or map it in smaller leaves."
            }
            Self::ReservedEncoding => "The walk faults here. Write the entry again, or clear it.",
            Self::AlignedSelfEntry => {
                "The leaf to itself was to be a misaligned superpage, which faults. Here it is a \
                 whole one: do not place an L1 at a multiple of 2 MiB, nor a root at one of 1 GiB."
            }
            Self::SharedTable => {
                "A change through one path shows on the other, and whoever frees the table by one \
                 path leaves the other pointing at it. Give each path a table of its own."
            }
            Self::CyclicTable => {
                "The walk reads a table at a level that it was not made for. Only the root may \
                 point to itself, once, so that all tables can be read."
            }
            Self::OutsideRam => {
                "The walk reads whatever answers there, a device's registers perhaps. The entry \
                 holds a wrong frame, or a virtual address in place of a physical one."
            }
            Self::ReserveMark => {
                "A map that needs more tables than there are in reserve has to allocate while it \
                 maps. Fill the reserve up after every use."
            }
            Self::TableTraps => {
                "A map needs at most an L1 and an L0, so at most two traps. More say that the \
                 machine program maps what is mapped already, or that a fence is missing."
            }
            Self::UnreadTable => "What it maps is not known.",
            Self::Truncated => "What lies past the limit is not known.",
            Self::ReservedMode => "No hardware translates with it. Look at satp.",
            Self::NoSelfMap => {
                "Code that runs in this space cannot reach its tables; it would have to change \
                 them from another space, or with translation off. For a user's space that is \
                 usual."
            }
            Self::SelfEntry => {
                "Read at the table's own level it is a misaligned superpage, which faults. The \
                 recursive root makes the walk read the table as an L0, and there it is the leaf \
                 that makes the table's window."
            }
            Self::SharedWindow => "Spaces that share the kernel's half show its tables alike.",
            Self::NoTranslation => "There are no tables to look at until satp turns paging on.",
            Self::NoRamKnown => "Whether the tables lie in RAM was not looked at.",
        }
    }
}

/// One thing that was found.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Finding {
    /// By which rule.
    pub rule: Rule,
    /// How much it weighs.
    pub severity: Severity,
    /// The table that it is about, at the level that it is.
    pub table: Option<(Level, PhysPage)>,
    /// The entry that it is about.
    pub entry: Option<EntryPlace>,
    /// The virtual address that it is about.
    pub address: Option<VirtAddr>,
    /// What is so.
    pub text: String,
}

impl Finding {
    fn new(rule: Rule, text: String) -> Self {
        Self {
            rule,
            severity: rule.severity(),
            table: None,
            entry: None,
            address: None,
            text,
        }
    }

    fn at_table(mut self, level: Level, frame: PhysPage) -> Self {
        self.table = Some((level, frame));
        self
    }

    fn at_entry(mut self, entry: EntryPlace) -> Self {
        self.entry = Some(entry);
        self
    }

    fn at_address(mut self, address: VirtAddr) -> Self {
        self.address = Some(address);
        self
    }
}

/// The answer.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Verdict {
    /// There is nothing to ask about: translation is off.
    Nothing,
    /// No rule is broken.
    Sound,
    /// No rule is seen to be broken, and not all could be looked at.
    Unknown,
    /// A rule is broken.
    Unsound,
}

impl Verdict {
    fn of(findings: &[Finding]) -> Self {
        match findings.iter().map(|finding| finding.severity).min() {
            Some(Severity::Fault) => Self::Unsound,
            Some(Severity::Unknown) => Self::Unknown,
            Some(Severity::Note) | None => Self::Sound,
        }
    }

    /// Its name: `sound`, `unsound`, `unknown`, `nothing`.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Sound => "sound",
            Self::Unsound => "unsound",
            Self::Unknown => "unknown",
            Self::Nothing => "nothing",
        }
    }
}

/// What was found in one space.
#[derive(Clone, Debug)]
pub struct SpaceReport {
    /// The space's name.
    pub space: String,
    /// How it is translated.
    pub mode: TranslationMode,
    /// The root's frame.
    pub root: PhysPage,
    /// The answer.
    pub verdict: Verdict,
    /// The tables, with their windows.
    pub tables: SpaceTables,
    /// Faults first, then what is not known, then notes; each in the order of the tables.
    pub findings: Vec<Finding>,
}

impl SpaceReport {
    /// How many tables have exactly one window.
    pub fn with_one_window(&self) -> usize {
        let tables = self.tables.tables.iter();
        tables.filter(|facts| facts.windows.len() == 1).count()
    }

    /// How many findings are faults.
    pub fn faults(&self) -> usize {
        let findings = self.findings.iter();
        findings
            .filter(|finding| finding.severity == Severity::Fault)
            .count()
    }
}

/// Everything that was found.
#[derive(Clone, Debug)]
pub struct Report {
    /// The answer for all of it.
    pub verdict: Verdict,
    /// The spaces that were asked about.
    pub spaces: Vec<SpaceReport>,
    /// What the kernel's own numbers say.
    pub kernel: Vec<Finding>,
}

impl Report {
    /// Checks these spaces of `snapshot`, and what its kernel says of itself.
    pub fn new<'a>(snapshot: &Snapshot, spaces: impl IntoIterator<Item = &'a Space>) -> Self {
        let spaces: Vec<SpaceReport> = spaces
            .into_iter()
            .map(|space| check_space(snapshot, space))
            .collect();
        let kernel = check_kernel(snapshot);
        let verdicts = spaces.iter().map(|report| report.verdict);
        let verdict = verdicts.max().unwrap_or(Verdict::Nothing);
        let verdict = match Verdict::of(&kernel) {
            // That nothing speaks against the kernel makes nothing sound.
            Verdict::Sound => verdict,
            worse => verdict.max(worse),
        };
        Self {
            verdict,
            spaces,
            kernel,
        }
    }

    /// All findings: the spaces' in order, then the kernel's.
    pub fn findings(&self) -> impl Iterator<Item = &Finding> {
        let spaces = self.spaces.iter().flat_map(|report| &report.findings);
        spaces.chain(&self.kernel)
    }
}

/// What one space's rules look at.
struct Subject<'a> {
    snapshot: &'a Snapshot,
    space: &'a Space,
    tables: &'a SpaceTables,
}

/// Checks one space.
pub fn check_space(snapshot: &Snapshot, space: &Space) -> SpaceReport {
    let tables = SpaceTables::new(space);
    let mut findings = Vec::new();
    match space.mode {
        TranslationMode::Bare => findings.push(Finding::new(
            Rule::NoTranslation,
            "translation is off (satp mode Bare): virtual addresses are physical".into(),
        )),
        TranslationMode::Reserved(mode) => findings.push(Finding::new(
            Rule::ReservedMode,
            format!("satp holds the reserved mode {mode}"),
        )),
        _ => {
            let subject = Subject {
                snapshot,
                space,
                tables: &tables,
            };
            frames::check(&subject, &mut findings);
            links::check(&subject, &mut findings);
            entries::check(&subject, &mut findings);
            windows::check(&subject, &mut findings);
            if tables.truncated {
                findings.push(Finding::new(
                    Rule::Truncated,
                    "a limit cut this space's tables or mappings short".into(),
                ));
            }
        }
    }
    findings.sort_by_key(|finding| finding.severity);
    let verdict = match space.mode {
        TranslationMode::Bare => Verdict::Nothing,
        _ => Verdict::of(&findings),
    };
    SpaceReport {
        space: space.name.clone(),
        mode: space.mode,
        root: space.root,
        verdict,
        tables,
        findings,
    }
}

/// Checks what the kernel says of itself.
pub fn check_kernel(snapshot: &Snapshot) -> Vec<Finding> {
    let mut findings = Vec::new();
    if let Some(facts) = &snapshot.kernel {
        let pages = snapshot.heap.map(|heap| heap.counter);
        kernel::check(facts, pages, &mut findings);
    }
    findings
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn names_are_unique_and_every_rule_is_listed() {
        let names: BTreeSet<&str> = Rule::ALL.iter().map(|rule| rule.name()).collect();
        assert_eq!(names.len(), Rule::ALL.len());
        for name in names {
            assert!(
                name.bytes().all(|b| b.is_ascii_lowercase() || b == b'-'),
                "{name}"
            );
        }
    }
}

//! What is known about a kernel that cannot say it itself: a profile.
//!
//! ```text
//!  assets/profiles/xv6-riscv.ron ─┐
//!  a file of the user's ──────────┴▶ text::read ──▶ Profile ──▶ choose ──▶ Chosen
//!                                    (checked, with line and remedy)
//! ```
//!
//! It names symbols and members; the guest's ELF says where they are. `assets/profiles/README.md`
//! documents every field. A profile is input like any other: everything in it has a bound.

pub mod choose;
pub mod expression;
pub mod field;
pub mod text;

use std::fmt;

use pagescope_protocol::TranslationMode;
use pagescope_protocol::snapshot::RegionKind;
use serde::Deserialize;

pub use choose::{Choice, Chosen, Why};
pub use expression::Expression;
pub use field::Field;
pub use text::ProfileError;

/// The version of the format that is read.
pub const FORMAT_VERSION: u64 = 1;

/// Most entries of any list in a profile.
const MAX_LIST: usize = 256;

/// Most processes that an array of them is believed to have.
pub const MAX_PROCESSES: u64 = 65_536;

/// What is known about a kernel.
#[derive(Clone, PartialEq, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Profile {
    /// The format's version, [`FORMAT_VERSION`].
    pub profile: Version,
    /// What the kernel is called.
    pub name: Name,
    /// A sentence for people.
    #[serde(default)]
    pub description: String,
    /// How the kernel is known.
    pub recognise: Recognise,
    /// Functions that allocate pages; the first is what `step` steps.
    #[serde(default)]
    pub allocate: List<Allocate>,
    /// Functions that take pages back.
    #[serde(default)]
    pub free: List<Free>,
    /// Numbers to watch.
    #[serde(default)]
    pub watches: List<Watch>,
    /// Named stretches of memory.
    #[serde(default)]
    pub regions: List<Region>,
    /// The kernel's own address space.
    #[serde(default)]
    pub kernel_space: Option<KernelSpace>,
    /// Where its processes are.
    #[serde(default)]
    pub processes: Option<Processes>,
}

/// How a kernel is known.
#[derive(Clone, PartialEq, Eq, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Recognise {
    /// The layout in the information block of a kernel of ours.
    #[serde(default)]
    pub layout: Option<Name>,
    /// Symbols that its ELF has, all of them.
    #[serde(default)]
    pub symbols: List<Name>,
}

/// A function that allocates.
#[derive(Clone, PartialEq, Eq, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Allocate {
    /// Its symbol.
    pub symbol: Name,
    /// What it returns.
    #[serde(default)]
    pub returns: Returns,
}

/// What an allocating function returns.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Returns {
    /// In which register.
    pub register: Argument,
    /// As what address.
    pub address: PageAddress,
    /// The value that means that there was nothing to give.
    pub none: Option<u64>,
}

impl Default for Returns {
    fn default() -> Self {
        Self {
            register: Argument::A0,
            address: PageAddress::Virtual,
            none: Some(0),
        }
    }
}

/// A function that takes back.
#[derive(Clone, PartialEq, Eq, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Free {
    /// Its symbol.
    pub symbol: Name,
    /// What is given back.
    #[serde(default)]
    pub argument: FreeArgument,
}

/// What a freeing function is given.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct FreeArgument {
    /// In which register.
    pub register: Argument,
    /// As what address.
    pub address: PageAddress,
}

impl Default for FreeArgument {
    fn default() -> Self {
        Self {
            register: Argument::A0,
            address: PageAddress::Virtual,
        }
    }
}

/// An argument register of the calling convention (RISC-V psABI, section 2.1).
#[derive(Clone, Copy, PartialEq, Eq, Debug, Deserialize)]
#[serde(rename_all = "lowercase")]
#[allow(missing_docs)]
pub enum Argument {
    A0,
    A1,
    A2,
    A3,
    A4,
    A5,
    A6,
    A7,
}

impl Argument {
    /// Its name in a target's description.
    pub const fn name(self) -> &'static str {
        match self {
            Self::A0 => "a0",
            Self::A1 => "a1",
            Self::A2 => "a2",
            Self::A3 => "a3",
            Self::A4 => "a4",
            Self::A5 => "a5",
            Self::A6 => "a6",
            Self::A7 => "a7",
        }
    }
}

/// How a kernel says which page it means.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum PageAddress {
    /// By an address of its own space.
    #[default]
    Virtual,
    /// By its physical address.
    Physical,
    /// By the number of its frame.
    Frame,
}

/// Where an address counts.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum AddressKind {
    /// In the kernel's address space.
    #[default]
    Virtual,
    /// In physical memory.
    Physical,
}

/// A number to watch.
#[derive(Clone, PartialEq, Eq, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Watch {
    /// What it is called.
    pub name: Name,
    /// Where it is.
    pub at: Expression,
    /// Its bytes.
    #[serde(default)]
    pub size: WatchSize,
    /// What it means.
    #[serde(default)]
    pub meaning: String,
}

/// A named stretch of memory: from `start` to `end`, or `size` bytes.
#[derive(Clone, PartialEq, Eq, Debug, Deserialize)]
#[serde(try_from = "RegionText")]
pub struct Region {
    /// What it is called.
    pub name: Name,
    /// Its first byte.
    pub start: Expression,
    /// How far it goes.
    pub extent: Extent,
    /// Where its addresses count.
    pub space: AddressKind,
    /// What it is for.
    pub kind: Kind,
    /// A sentence for people.
    pub description: String,
}

/// How far a region goes.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Extent {
    /// Up to this address, without it.
    End(Expression),
    /// So many bytes.
    Size(u64),
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RegionText {
    name: Name,
    start: Expression,
    #[serde(default)]
    end: Option<Expression>,
    #[serde(default)]
    size: Option<u64>,
    #[serde(default)]
    space: AddressKind,
    #[serde(default)]
    kind: Kind,
    #[serde(default)]
    description: String,
}

impl TryFrom<RegionText> for Region {
    type Error = String;

    fn try_from(text: RegionText) -> Result<Self, String> {
        let extent = match (text.end, text.size) {
            (Some(end), None) => Extent::End(end),
            (None, Some(0)) => return Err("a region of 0 bytes; leave it out".into()),
            (None, Some(size)) => Extent::Size(size),
            (Some(_), Some(_)) => return Err("a region with `end` and `size`; write one".into()),
            (None, None) => return Err("a region without `end` or `size`; write one".into()),
        };
        Ok(Self {
            name: text.name,
            start: text.start,
            extent,
            space: text.space,
            kind: text.kind,
            description: text.description,
        })
    }
}

/// The kernel's own address space.
#[derive(Clone, PartialEq, Eq, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct KernelSpace {
    /// What it is called.
    pub name: Name,
    /// Where its root is said.
    pub root: Expression,
    /// What is there.
    pub is: RootKind,
}

/// What says where a root table is.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum RootKind {
    /// The table itself.
    Table,
    /// A pointer to it, of the kernel's address space.
    #[default]
    Virtual,
    /// Its physical address.
    Physical,
    /// The number of its frame.
    Frame,
    /// What satp is when a hart runs in it.
    Satp,
}

/// Where a kernel's processes are, and what of them is known.
#[derive(Clone, PartialEq, Eq, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Processes {
    /// The struct that describes one, as the debug information calls it.
    #[serde(rename = "struct")]
    pub of: Name,
    /// Where they are.
    pub place: Place,
    /// Where one's root table is said.
    pub page_table: Field,
    /// What is there.
    #[serde(default)]
    pub page_table_is: RootKind,
    /// How its tables are walked; as harts walk theirs where it is not said.
    #[serde(default)]
    pub mode: Option<Mode>,
    /// Its state.
    #[serde(default)]
    pub state: Option<Field>,
    /// States that mean that nobody is there.
    #[serde(default)]
    pub unused_states: List<u64>,
    /// Its number.
    #[serde(default)]
    pub pid: Option<Field>,
    /// Its name, up to the first 0.
    #[serde(default)]
    pub name: Option<Field>,
    /// What its space is called: `{pid}`, `{name}` and `{index}` stand for what they say.
    #[serde(default)]
    pub called: Called,
}

/// Where processes are.
#[derive(Clone, PartialEq, Eq, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub enum Place {
    /// One after the other.
    Array {
        /// The first.
        start: Expression,
        /// How many, where the ELF does not tell.
        #[serde(default)]
        count: Option<Count>,
        /// Bytes from one to the next, where the ELF does not tell.
        #[serde(default)]
        stride: Option<field::Offset>,
        /// Whether each entry is a pointer to one, 0 for none.
        #[serde(default)]
        pointers: bool,
    },
    /// Each leads to the next, until one leads back to the first or to none.
    List {
        /// The first.
        head: Expression,
        /// Whether `head` is a pointer to the first, and not the first itself.
        #[serde(default)]
        head_is_pointer: bool,
        /// The pointer to the next.
        next: Field,
        /// The member of the next that it points to; its start where it is not said.
        #[serde(default)]
        next_points_to: Option<Field>,
    },
}

macro_rules! checked {
    ($(#[$doc:meta])* $name:ident($inner:ty) from $from:ty, $check:expr) => {
        $(#[$doc])*
        #[derive(Clone, PartialEq, Eq, Debug)]
        pub struct $name(pub $inner);

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: serde::Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
                Self::try_from(<$from>::deserialize(from)?).map_err(serde::de::Error::custom)
            }
        }

        impl TryFrom<$from> for $name {
            type Error = String;

            fn try_from(value: $from) -> Result<Self, String> {
                let check: fn($from) -> Result<$inner, String> = $check;
                check(value).map(Self)
            }
        }
    };
}

checked!(
    /// The format's version.
    Version(u64) from u64,
    |version| match version {
        FORMAT_VERSION => Ok(version),
        other => Err(format!("profile version {other}; this program reads version {FORMAT_VERSION}")),
    }
);

checked!(
    /// A name: of a symbol, a profile, a region.
    Name(String) from String,
    |name| match name.chars().count() {
        1..=100 if !name.chars().any(char::is_control) => Ok(name),
        0 => Err("an empty name; write one".into()),
        _ => Err(format!("the name {:?}…; write at most 100 plain characters",
            name.chars().take(20).collect::<String>())),
    }
);

checked!(
    /// How many processes an array has room for.
    Count(u64) from u64,
    |count| match count {
        1..=MAX_PROCESSES => Ok(count),
        other => Err(format!("{other} processes; write 1 to {MAX_PROCESSES}")),
    }
);

checked!(
    /// Bytes of a number.
    WatchSize(u64) from u64,
    |size| match size {
        1 | 2 | 4 | 8 => Ok(size),
        other => Err(format!("a number of {other} bytes; write 1, 2, 4 or 8")),
    }
);

impl Default for WatchSize {
    fn default() -> Self {
        Self(8)
    }
}

checked!(
    /// What a process's space is called.
    Called(String) from String,
    |text| match text.chars().count() {
        1..=60 if !text.chars().any(char::is_control) => Ok(text),
        _ => Err(format!("{text:?} is no name for spaces; write 1 to 60 characters such as \"proc {{pid}} {{name}}\"")),
    }
);

impl Default for Called {
    fn default() -> Self {
        Self("proc {pid} {name}".into())
    }
}

checked!(
    /// What a region is for, in the words of the screen.
    Kind(RegionKind) from String,
    |word| RegionKind::ALL.into_iter().find(|kind| kind.name() == word).ok_or_else(|| {
        let all: Vec<&str> = RegionKind::ALL.iter().map(|kind| kind.name()).collect();
        format!("the kind {word:?}; write one of: {}", all.join(", "))
    })
);

impl Default for Kind {
    fn default() -> Self {
        Self(RegionKind::Other)
    }
}

checked!(
    /// A translation mode by its name.
    Mode(TranslationMode) from String,
    |word| TranslationMode::from_name(&word)
        .filter(|mode| mode.scheme().is_some() && !mode.is_guest_stage())
        .ok_or_else(|| format!("the mode {word:?}; write Sv32, Sv39, Sv48 or Sv57"))
);

/// A list with a bound.
#[derive(Clone, PartialEq, Eq, Debug, Deserialize)]
#[serde(try_from = "Vec<T>", bound(deserialize = "T: Deserialize<'de>"))]
pub struct List<T>(Vec<T>);

impl<T> TryFrom<Vec<T>> for List<T> {
    type Error = String;

    fn try_from(items: Vec<T>) -> Result<Self, String> {
        match items.len() {
            0..=MAX_LIST => Ok(Self(items)),
            count => Err(format!("a list of {count}; write at most {MAX_LIST}")),
        }
    }
}

impl<T> Default for List<T> {
    fn default() -> Self {
        Self(Vec::new())
    }
}

impl<T> std::ops::Deref for List<T> {
    type Target = [T];

    fn deref(&self) -> &[T] {
        &self.0
    }
}

impl std::ops::Deref for Name {
    type Target = str;

    fn deref(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl Profile {
    /// The function that `step` steps where none is named.
    pub fn step_symbol(&self) -> Option<&Allocate> {
        self.allocate.first()
    }

    /// What is wrong in it beyond what each field says of itself, and the remedy.
    fn contradiction(&self) -> Option<String> {
        if self.recognise.layout.is_none() && self.recognise.symbols.is_empty() {
            return Some(
                "field `recognise` names neither `layout` nor `symbols`; name symbols that only \
                 this kernel has"
                    .into(),
            );
        }
        let processes = self.processes.as_ref()?;
        let mut fields = vec![("page_table", &processes.page_table)];
        let others = [
            ("state", &processes.state),
            ("pid", &processes.pid),
            ("name", &processes.name),
        ];
        fields.extend(
            others
                .into_iter()
                .filter_map(|(name, field)| Some((name, field.as_ref()?))),
        );
        if let Place::List {
            next,
            next_points_to,
            ..
        } = &processes.place
        {
            fields.push(("next", next));
            fields.extend(next_points_to.iter().map(|field| ("next_points_to", field)));
        }
        for (name, field) in fields {
            let hops = field.path.hops().len();
            if !field.offsets.is_empty() && field.offsets.len() != hops {
                return Some(format!(
                    "field `{name}` has {} offsets for {:?}; write {hops}, one and one more for each `->`",
                    field.offsets.len(),
                    field.path.text()
                ));
            }
        }
        if !processes.unused_states.is_empty() && processes.state.is_none() {
            return Some("field `unused_states` without `state`; say where the state is".into());
        }
        None
    }
}

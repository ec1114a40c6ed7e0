//! Address-space tracking: every virtual allocation has a tag and a description, and a dump lists them
//! all (S4.11).
//!
//! ```text
//!  0x0000000100000000 + 0x100000000   virtual_huge   virtual_page      virtual_page's addresses
//!  0x0000000100000000 + 0x200000      virtual_page   table pool        pages that become tables
//!  0x0000000100200000 + 0x1000        virtual_page   UART0             the console's registers
//! ```
//!
//! Sorted by address, and what holds another before it. An allocation that cannot be tracked is refused: nothing that
//! is handed out is missing here.

use pagescope_protocol::VirtRange;
use pagescope_protocol::info::{
    Description, EVERY_SPACE, Name, Region, description, name, region_space,
};
use pagescope_protocol::{VirtAddr, info::name_text};

/// Most records.
pub const CAPACITY: usize = 480;

/// Where a virtual allocation came from.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Tag {
    /// No heap: it lies where the document puts it.
    Fixed,
    /// Units of 2^32 bytes.
    VirtualHuge,
    /// Pages of address space.
    VirtualPage,
    /// Pages with memory behind them.
    Backed,
    /// A page of the general heap's small objects.
    General,
    /// Pages of one object of the general heap's.
    GeneralLarge,
    /// Address space that kalloc's pages come from.
    Kalloc,
    /// The application's.
    Application,
}

impl Tag {
    /// All of them.
    pub const ALL: [Self; 8] = [
        Self::Fixed,
        Self::VirtualHuge,
        Self::VirtualPage,
        Self::Backed,
        Self::General,
        Self::GeneralLarge,
        Self::Kalloc,
        Self::Application,
    ];

    /// Those that have memory behind them, which is theirs.
    pub const MAPPED: [Self; 3] = [Self::Backed, Self::General, Self::GeneralLarge];

    /// The heap's name.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Fixed => "fixed",
            Self::VirtualHuge => "virtual_huge",
            Self::VirtualPage => "virtual_page",
            Self::Backed => "backed",
            Self::General => "general",
            Self::GeneralLarge => "general, large",
            Self::Kalloc => "kalloc",
            Self::Application => "application",
        }
    }
}

/// What an allocation is for, in words.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Label<'a> {
    /// Its name, as maps show it.
    pub name: &'a str,
    /// What it is for.
    pub description: &'a str,
    /// One of [`region_kind`](pagescope_protocol::info::region_kind).
    pub kind: u64,
}

/// An allocation of address space.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Record {
    /// First address.
    pub start: u64,
    /// Bytes.
    pub size: u64,
    /// Where it came from.
    pub tag: Tag,
    /// One of [`region_kind`](pagescope_protocol::info::region_kind).
    pub kind: u64,
    /// Its name.
    pub name: Name,
    /// What it is for.
    pub description: Description,
}

impl Record {
    /// What unused places hold: zeros.
    const NONE: Self = Self {
        start: 0,
        size: 0,
        tag: Tag::Fixed,
        kind: 0,
        name: [0; 24],
        description: [0; 48],
    };

    /// The record of `size_bytes` from `start` on.
    pub fn new(start: VirtAddr, size_bytes: u64, tag: Tag, label: Label<'_>) -> Self {
        Self {
            start: start.as_u64(),
            size: size_bytes,
            tag,
            kind: label.kind,
            name: name(label.name),
            description: description(label.description),
        }
    }

    /// Its addresses.
    pub fn range(&self) -> Option<VirtRange> {
        VirtRange::new(VirtAddr::new(self.start), self.size)
    }

    /// Its name.
    pub fn name(&self) -> &str {
        name_text(&self.name)
    }

    /// As the inspector reads it.
    pub fn region(&self) -> Region {
        Region {
            address: self.start,
            size: self.size,
            space: region_space::VIRTUAL,
            kind: self.kind,
            owner: EVERY_SPACE,
            name: self.name,
            tag: name(self.tag.name()),
            description: self.description,
        }
    }

    /// By address; what holds another comes before it.
    fn order(&self) -> (u64, core::cmp::Reverse<u64>, u8) {
        (self.start, core::cmp::Reverse(self.size), self.tag as u8)
    }
}

/// Where the records lie.
#[derive(Debug)]
pub struct Records([Record; CAPACITY]);

impl Records {
    /// None.
    pub const EMPTY: Self = Self([Record::NONE; CAPACITY]);
}

/// All virtual allocations.
#[derive(Debug)]
pub struct Tracking<'a> {
    records: &'a mut [Record],
    count: usize,
}

impl<'a> Tracking<'a> {
    /// Nothing tracked yet.
    pub const fn new(records: &'a mut Records) -> Self {
        Self {
            records: &mut records.0,
            count: 0,
        }
    }

    /// Everything, in ascending order: the dump.
    pub fn records(&self) -> &[Record] {
        self.records.get(..self.count).unwrap_or(&[])
    }

    /// Whether `count` more can be tracked.
    pub const fn has_place(&self, count: usize) -> bool {
        self.records.len() - self.count >= count
    }

    /// Tracks an allocation; `false` where there is no place.
    pub fn add(&mut self, record: Record) -> bool {
        if !self.has_place(1) {
            return false;
        }
        let before = |other: &Record| other.order() <= record.order();
        let place = self.records().partition_point(before);
        self.count += 1;
        if let Some(moved) = self.records.get_mut(place..self.count) {
            moved.rotate_right(1);
            if let Some(first) = moved.first_mut() {
                *first = record;
            }
        }
        true
    }

    /// Forgets the allocation of `tag` that begins at `start`, and gives it.
    pub fn remove(&mut self, start: VirtAddr, tag: Tag) -> Option<Record> {
        let index = self.index_of(start, tag)?;
        let moved = self.records.get_mut(index..self.count)?;
        let record = *moved.first()?;
        moved.rotate_left(1);
        self.count -= 1;
        Some(record)
    }

    /// The allocation of `tag` that begins at `start`.
    pub fn find(&self, start: VirtAddr, tag: Tag) -> Option<&Record> {
        self.records().get(self.index_of(start, tag)?)
    }

    /// The smallest allocation that `address` lies in.
    pub fn innermost(&self, address: VirtAddr) -> Option<&Record> {
        let holds = |record: &&Record| record.range().is_some_and(|range| range.contains(address));
        let holding = self.records().iter().filter(holds);
        holding.min_by_key(|record| record.size)
    }

    fn index_of(&self, start: VirtAddr, tag: Tag) -> Option<usize> {
        let is_it = |record: &Record| record.start == start.as_u64() && record.tag == tag;
        self.records().iter().position(is_it)
    }
}

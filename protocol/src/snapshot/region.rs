//! Named stretches of memory: what the kernel published, and what its ELF says.

use alloc::string::String;

use serde::{Deserialize, Serialize};

use super::hex;
use crate::addr::{PhysAddr, PhysRange, VirtAddr, VirtRange};

/// A named stretch of memory.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct Region {
    /// First byte.
    #[serde(with = "hex::word")]
    pub start: u64,
    /// Bytes.
    #[serde(with = "hex::word")]
    pub size: u64,
    /// Whether the address is virtual or physical.
    pub space: RegionSpace,
    /// What it is for.
    pub kind: RegionKind,
    /// Its name.
    pub name: String,
    /// The name of the only address space in which it counts; `None` where it counts in every one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub owner: Option<String>,
    /// Which allocator it came from, where it came from one: `virtual_page`.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub tag: String,
    /// What it is for, in a sentence.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub description: String,
}

impl Region {
    /// Its addresses, where it is a physical region.
    pub fn physical(&self) -> Option<PhysRange> {
        match self.space {
            RegionSpace::Physical => PhysRange::new(PhysAddr::new(self.start), self.size),
            RegionSpace::Virtual => None,
        }
    }

    /// Its addresses, where it is a virtual region.
    pub fn virtual_range(&self) -> Option<VirtRange> {
        match self.space {
            RegionSpace::Virtual => VirtRange::new(VirtAddr::new(self.start), self.size),
            RegionSpace::Physical => None,
        }
    }

    /// Whether it counts in the space of this name.
    pub fn counts_in(&self, space: &str) -> bool {
        self.owner.as_deref().is_none_or(|owner| owner == space)
    }

    /// Its last address; `None` where it is empty or claims more than there is.
    pub const fn last(&self) -> Option<u64> {
        match self.size.checked_sub(1) {
            Some(rest) => self.start.checked_add(rest),
            None => None,
        }
    }
}

/// Where a region's address counts.
#[derive(
    Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default, Serialize, Deserialize,
)]
pub enum RegionSpace {
    /// In physical memory.
    #[default]
    Physical,
    /// In address spaces: its owner's, or all of them.
    Virtual,
}

/// What a region is for.
#[derive(
    Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default, Serialize, Deserialize,
)]
pub enum RegionKind {
    /// Instructions.
    Text,
    /// Constants.
    Rodata,
    /// Variables.
    Data,
    /// A stack.
    Stack,
    /// Never mapped, so that overflow faults.
    Guard,
    /// Pages from the allocator.
    Heap,
    /// The heap counter.
    HeapCounter,
    /// Page tables.
    Tables,
    /// A device's registers.
    Device,
    /// The machine-mode program.
    Machine,
    /// A hart's own struct.
    Cpu,
    /// RAM seen at an offset.
    LinearMap,
    /// Variables that every process has its own copy of.
    SharedData,
    /// Address space that is kept free for something: it may become mapped.
    Reserved,
    /// A user program's own.
    User,
    /// Anything else, and what a newer version has a word for.
    #[default]
    #[serde(other)]
    Other,
}

impl RegionKind {
    /// Every kind, in the order of their declaration.
    pub const ALL: [Self; 16] = [
        Self::Text,
        Self::Rodata,
        Self::Data,
        Self::Stack,
        Self::Guard,
        Self::Heap,
        Self::HeapCounter,
        Self::Tables,
        Self::Device,
        Self::Machine,
        Self::Cpu,
        Self::LinearMap,
        Self::SharedData,
        Self::Reserved,
        Self::User,
        Self::Other,
    ];

    /// What it is called on the screen and in answers.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Text => "code",
            Self::Rodata => "read-only",
            Self::Data => "data",
            Self::Stack => "stack",
            Self::Guard => "guard",
            Self::Heap => "heap",
            Self::HeapCounter => "heap counter",
            Self::Tables => "tables",
            Self::Device => "device",
            Self::Machine => "machine mode",
            Self::Cpu => "cpu struct",
            Self::LinearMap => "linear map",
            Self::SharedData => "shared data",
            Self::Reserved => "reserved",
            Self::User => "user",
            Self::Other => "other",
        }
    }
}

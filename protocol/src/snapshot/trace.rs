//! What the kernel did, event by event, as far as its ring still held them.

use alloc::string::String;

use serde::{Deserialize, Serialize};

use super::hex;
use crate::addr::VirtAddr;
use crate::pte::LeafFlags;

/// Most events of a kernel's ring that a snapshot keeps: the last ones.
pub const MAX_TRACE_EVENTS: usize = 2048;

/// One thing that the kernel did.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct TraceEvent {
    /// Its number since boot, from 0.
    pub sequence: u64,
    /// What was done.
    pub kind: TraceKind,
    /// What it was done to.
    #[serde(with = "hex::word")]
    pub address: u64,
    /// Bytes; 0 where it is about none.
    #[serde(default, with = "hex::word", skip_serializing_if = "is_zero")]
    pub size: u64,
    /// What more there is to say: of `Map` the physical address, of `Kalloc` the heap counter, of
    /// `Fault` scause, of `Spawn` and `Exit` the process.
    #[serde(default, with = "hex::word", skip_serializing_if = "is_zero")]
    pub argument: u64,
    /// The leaves' flags, where it is about leaves.
    #[serde(
        default,
        with = "hex::option_flags",
        skip_serializing_if = "Option::is_none"
    )]
    pub flags: Option<LeafFlags>,
    /// The return address of the call; of `Fault`, sepc.
    #[serde(default, with = "hex::virt_addr")]
    pub caller: VirtAddr,
    /// The function that lies there, `map_range+0x1c`; empty where it is not known.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub symbol: String,
    /// The hart that did it.
    #[serde(default)]
    pub hart: u64,
    /// The name of the space that was changed; `None` where it is about none, or about all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub space: Option<String>,
    /// `time` when it happened, in ticks.
    #[serde(default)]
    pub time: u64,
}

// serde's `skip_serializing_if` hands a reference.
fn is_zero(number: &u64) -> bool {
    *number == 0
}

/// What an event says was done.
#[derive(
    Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default, Serialize, Deserialize,
)]
pub enum TraceKind {
    /// `kalloc` returned a page.
    Kalloc,
    /// `kfree` took a page back.
    Kfree,
    /// Something was mapped.
    Map,
    /// Something was unmapped.
    Unmap,
    /// Leaves have other flags now.
    Protect,
    /// A hart runs in another space from then on.
    Switch,
    /// An access faulted.
    Fault,
    /// A process began.
    Spawn,
    /// A process ended.
    Exit,
    /// Address space was handed out, with nothing mapped there.
    Reserve,
    /// Address space was given back.
    Release,
    /// Anything else, and what a newer version has a word for.
    #[default]
    #[serde(other)]
    Other,
}

impl TraceKind {
    /// Every kind, in the order of their declaration.
    pub const ALL: [Self; 12] = [
        Self::Kalloc,
        Self::Kfree,
        Self::Map,
        Self::Unmap,
        Self::Protect,
        Self::Switch,
        Self::Fault,
        Self::Spawn,
        Self::Exit,
        Self::Reserve,
        Self::Release,
        Self::Other,
    ];

    /// What it is called on the screen and in answers.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Kalloc => "kalloc",
            Self::Kfree => "kfree",
            Self::Map => "map",
            Self::Unmap => "unmap",
            Self::Protect => "protect",
            Self::Switch => "switch",
            Self::Fault => "fault",
            Self::Spawn => "spawn",
            Self::Exit => "exit",
            Self::Reserve => "reserve",
            Self::Release => "release",
            Self::Other => "other",
        }
    }
}

//! Numbers that somebody wants to see at every stop: anywhere in memory, of one to eight bytes.

use pagescope_protocol::snapshot::Watch;
use pagescope_protocol::{PAGE_SIZE, PhysAddr, PhysRange, VirtAddr};

use crate::guest::memory::GuestMemory;
use crate::guest::{ElfFile, MachineMap};
use crate::link::LinkError;

/// Most numbers that are watched.
pub const MOST_WATCHES: usize = 64;

/// Where a watched number lies.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum WatchAt {
    /// At an address of the harts' spaces, the first in which it is mapped.
    Virtual(VirtAddr),
    /// In physical memory.
    Physical(PhysAddr),
    /// Where the guest's ELF has this symbol.
    Symbol(String),
}

/// A number to watch.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct WatchSpec {
    /// What it is called.
    pub name: String,
    /// Where it lies.
    pub at: WatchAt,
    /// Its bytes: 1, 2, 4 or 8.
    pub bytes: u8,
}

impl WatchSpec {
    /// Whether it can be watched at all.
    ///
    /// # Errors
    /// In words, with the remedy.
    pub fn check(&self, elf: Option<&ElfFile>) -> Result<(), String> {
        if !matches!(self.bytes, 1 | 2 | 4 | 8) {
            return Err(format!(
                "{} bytes are no number: watch 1, 2, 4 or 8",
                self.bytes
            ));
        }
        let WatchAt::Symbol(symbol) = &self.at else {
            return Ok(());
        };
        match elf {
            None => Err(format!(
                "where {symbol} is, only the guest's ELF knows: attach with --elf FILE, or give an address"
            )),
            Some(elf) => match elf.address_of(symbol) {
                Some(_) => Ok(()),
                None => Err(format!(
                    "{} has no symbol {symbol}: check the spelling, or give an address",
                    elf.name()
                )),
            },
        }
    }

    /// What stands there now; without a value where it is not mapped, or no RAM.
    ///
    /// # Errors
    /// When the target is lost.
    pub(super) fn read(
        &self,
        elf: Option<&ElfFile>,
        machine: &MachineMap,
        memory: &mut GuestMemory<'_>,
    ) -> Result<Watch, LinkError> {
        let address = match &self.at {
            WatchAt::Physical(address) => Some(*address),
            WatchAt::Virtual(address) => memory.physical(address.as_u64())?,
            WatchAt::Symbol(symbol) => match elf.and_then(|elf| elf.address_of(symbol)) {
                Some(address) => memory.physical(address.as_u64())?,
                None => None,
            },
        };
        let value = match address {
            Some(address) => self.value(address, machine, memory)?,
            None => None,
        };
        Ok(Watch {
            name: self.name.clone(),
            address: address.unwrap_or(PhysAddr::new(0)),
            value,
            bytes: self.bytes,
        })
    }

    fn value(
        &self,
        address: PhysAddr,
        machine: &MachineMap,
        memory: &mut GuestMemory<'_>,
    ) -> Result<Option<u64>, LinkError> {
        let size = u64::from(self.bytes);
        let is_ram = PhysRange::new(address, size).is_some_and(|range| machine.is_ram(range));
        // A number that lies across two frames may go on elsewhere.
        if !is_ram || address.page_offset() + size > PAGE_SIZE {
            return Ok(None);
        }
        Ok(memory.read_physical(address, size)?.map(|bytes| {
            bytes
                .iter()
                .rev()
                .fold(0, |value, byte| value << 8 | u64::from(*byte))
        }))
    }
}

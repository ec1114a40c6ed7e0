//! A guest's memory by the addresses that its kernel uses.
//!
//! ```text
//!  address ──▶ the ELF's image, where the file was found     (needs no tables)
//!          ──▶ the tables of the harts, one after the other
//!          ──▶ itself, where no hart translates
//! ```
//!
//! Reads whole frames of RAM and keeps them for as long as the guest stands still, so that a list of
//! a hundred processes costs a few reads. What is read is bounded.

use std::collections::{BTreeMap, BTreeSet};

use pagescope_protocol::translate::translate;
use pagescope_protocol::{PAGE_SIZE, PhysAddr, PhysPage, Pte, TranslationMode, VirtAddr};

use super::{ElfFile, MachineMap};
use crate::link::{LinkError, Target};

/// Most frames that are read: 32 MiB.
const MAX_FRAMES: usize = 1 << 13;

/// Most bytes of one read.
const MAX_READ: u64 = 1 << 16;

/// A guest's memory, while it stands still.
pub struct GuestMemory<'a> {
    target: &'a mut dyn Target,
    machine: &'a MachineMap,
    elf: Option<&'a ElfFile>,
    /// Where the harts' tables are, each once.
    roots: Vec<(TranslationMode, PhysPage)>,
    frames: BTreeMap<PhysPage, Option<Vec<u8>>>,
}

impl<'a> GuestMemory<'a> {
    /// The memory of `target`, whose harts translate so.
    pub fn new(
        target: &'a mut dyn Target,
        machine: &'a MachineMap,
        elf: Option<&'a ElfFile>,
        roots: Vec<(TranslationMode, PhysPage)>,
    ) -> Self {
        Self {
            target,
            machine,
            elf,
            roots,
            frames: BTreeMap::new(),
        }
    }

    /// Another root, for what no hart's tables map.
    pub fn add_root(&mut self, mode: TranslationMode, root: PhysPage) {
        if !self.roots.contains(&(mode, root)) {
            self.roots.push((mode, root));
        }
    }

    /// Where the kernel's tables are, as far as is known.
    pub fn roots(&self) -> &[(TranslationMode, PhysPage)] {
        &self.roots
    }

    /// Bytes of a pointer.
    pub fn pointer_bytes(&self) -> u64 {
        match self.target.facts().xlen_bits {
            32 => 4,
            _ => 8,
        }
    }

    /// Whether a root table can be here.
    pub fn can_be_root(&self, at: u64) -> bool {
        let page = PhysAddr::new(at).page();
        page.is_some_and(|page| {
            at.is_multiple_of(PAGE_SIZE) && at != 0 && self.machine.is_ram(page.range())
        })
    }

    /// The physical address of `address`; `None` where it is mapped nowhere that is known.
    ///
    /// # Errors
    /// When the target is lost.
    pub fn physical(&mut self, address: u64) -> Result<Option<PhysAddr>, LinkError> {
        if let Some(at) = self.elf.and_then(|elf| elf.physical(address)) {
            let at = PhysAddr::new(at);
            if at
                .page()
                .is_some_and(|page| self.machine.is_ram(page.range()))
            {
                return Ok(Some(at));
            }
        }
        for (mode, root) in self.roots.clone() {
            let read = |at: PhysAddr| {
                let bytes = self.read_physical(at, mode.entry_bytes())?;
                Ok::<_, LinkError>(bytes.map(|bytes| Pte::from_bits(number(&bytes))))
            };
            let translated = translate(mode, root, VirtAddr::new(address), read)?;
            if let Some(mapped) = translated.mapped() {
                return Ok(Some(mapped.address));
            }
        }
        Ok(self.roots.is_empty().then_some(PhysAddr::new(address)))
    }

    /// `size` bytes at `address`; `None` where not all of them are mapped RAM, or too many were read.
    ///
    /// # Errors
    /// When the target is lost.
    pub fn read(&mut self, address: u64, size: u64) -> Result<Option<Vec<u8>>, LinkError> {
        if size > MAX_READ {
            return Ok(None);
        }
        let mut bytes = Vec::new();
        let mut at = address;
        let mut left = size;
        while left > 0 {
            let here = left.min(PAGE_SIZE - at % PAGE_SIZE);
            let Some(physical) = self.physical(at)? else {
                return Ok(None);
            };
            let Some(part) = self.read_physical(physical, here)? else {
                return Ok(None);
            };
            bytes.extend(part);
            at = at.wrapping_add(here);
            left -= here;
        }
        Ok(Some(bytes))
    }

    /// The number in `size` bytes at `address`, the lowest first.
    ///
    /// # Errors
    /// When the target is lost.
    pub fn read_number(&mut self, address: u64, size: u64) -> Result<Option<u64>, LinkError> {
        Ok(self.read(address, size.min(8))?.map(|bytes| number(&bytes)))
    }

    /// The pointer at `address`.
    ///
    /// # Errors
    /// When the target is lost.
    pub fn read_pointer(&mut self, address: u64) -> Result<Option<u64>, LinkError> {
        self.read_number(address, self.pointer_bytes())
    }

    /// Reads ahead what is at these addresses, in one round where the tables are known.
    ///
    /// # Errors
    /// When the target is lost.
    pub fn prefetch(&mut self, addresses: impl Iterator<Item = u64>) -> Result<(), LinkError> {
        let mut pages = BTreeSet::new();
        let mut frames = BTreeSet::new();
        for address in addresses {
            // Addresses of one page are translated once.
            if frames.len() >= MAX_FRAMES || !pages.insert(address / PAGE_SIZE) {
                continue;
            }
            let frame = self.physical(address)?.and_then(PhysAddr::page);
            frames.extend(frame);
        }
        self.fetch(frames.into_iter())
    }

    /// `size` bytes of a physical address, within a frame.
    ///
    /// # Errors
    /// When the target is lost.
    pub fn read_physical(&mut self, at: PhysAddr, size: u64) -> Result<Option<Vec<u8>>, LinkError> {
        let Some(page) = at.page() else {
            return Ok(None);
        };
        self.fetch(std::iter::once(page))?;
        let from = at.page_offset() as usize;
        let bytes = self.frames.get(&page).and_then(Option::as_ref);
        let part = bytes.and_then(|bytes| bytes.get(from..from + size as usize));
        Ok(part.map(<[u8]>::to_vec))
    }

    /// Reads frames that are RAM and not known yet, in one round.
    fn fetch(&mut self, frames: impl Iterator<Item = PhysPage>) -> Result<(), LinkError> {
        let room = MAX_FRAMES.saturating_sub(self.frames.len());
        let wanted: Vec<PhysPage> = frames
            .filter(|page| !self.frames.contains_key(page) && self.machine.is_ram(page.range()))
            .take(room)
            .collect();
        if wanted.is_empty() {
            return Ok(());
        }
        let ranges: Vec<_> = wanted.iter().map(|page| page.range()).collect();
        let answers = self.target.read_physical(&ranges)?;
        let whole = answers
            .into_iter()
            .map(|bytes| bytes.filter(|bytes| bytes.len() as u64 == PAGE_SIZE));
        self.frames.extend(wanted.into_iter().zip(whole));
        Ok(())
    }
}

/// Bytes as a number, the lowest first.
fn number(bytes: &[u8]) -> u64 {
    let digits = bytes.iter().take(8).rev();
    digits.fold(0, |number, byte| number << 8 | u64::from(*byte))
}

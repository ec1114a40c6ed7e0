//! Memory as a stopped hart sees it, without touching the hart: a walk in software over physical
//! reads.
//!
//! Loads of M-mode's own through the tables (mstatus.MPRV) would do the same in hardware, and would
//! fault in M-mode where an address is not mapped. So the tables are read like any other memory,
//! and whatever they say is an answer and never a trap. Only RAM is read or written: reading a
//! device's register can change the device (the UART's would eat a byte).

use core::convert::Infallible;

use pagescope_protocol::translate::{Translation, translate};
use pagescope_protocol::{PAGE_SIZE, PhysAddr, PhysRange, Pte, Satp, VirtAddr};

/// Physical memory, as far as it may be looked at.
pub trait Physical {
    /// Whether all of `range` is memory that may be read.
    fn is_readable(&self, range: PhysRange) -> bool;

    /// Whether all of `range` may be written.
    fn is_writable(&self, range: PhysRange) -> bool;

    /// Reads; the range at `from` was found readable.
    fn read(&self, from: PhysAddr, bytes: &mut [u8]);

    /// Writes; the range at `to` was found writable.
    fn write(&mut self, to: PhysAddr, bytes: &[u8]);

    /// Reads if it may be read; `false` where not, and nothing is read.
    fn try_read(&self, from: PhysAddr, bytes: &mut [u8]) -> bool {
        let range = PhysRange::new(from, bytes.len() as u64);
        let readable = range.is_some_and(|range| self.is_readable(range));
        if readable {
            self.read(from, bytes);
        }
        readable
    }

    /// Writes if it may be written; `false` where not, and nothing is written.
    fn try_write(&mut self, to: PhysAddr, bytes: &[u8]) -> bool {
        let range = PhysRange::new(to, bytes.len() as u64);
        let writable = range.is_some_and(|range| self.is_writable(range));
        if writable {
            self.write(to, bytes);
        }
        writable
    }

    /// Eight bytes.
    fn word(&self, from: PhysAddr) -> Option<u64> {
        let mut bytes = [0; 8];
        self.try_read(from, &mut bytes)
            .then_some(u64::from_le_bytes(bytes))
    }
}

/// How addresses are meant.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum View {
    /// As they are.
    Physical,
    /// Through these tables.
    Translated(Satp),
}

impl View {
    /// Where `address` leads; `None` where it is not mapped, or the tables cannot be read.
    pub fn locate(self, memory: &impl Physical, address: u64) -> Option<PhysAddr> {
        match self {
            Self::Physical => Some(PhysAddr::new(address)),
            Self::Translated(satp) => {
                let walked = walk(memory, satp, VirtAddr::new(address));
                Some(walked.mapped()?.address)
            }
        }
    }

    /// Reads from `address` on, as far as it goes; how many bytes were read.
    pub fn read(self, memory: &impl Physical, address: u64, bytes: &mut [u8]) -> usize {
        let mut done = 0;
        while done < bytes.len() {
            let Some((from, size)) = self.next_piece(memory, address, done, bytes.len()) else {
                break;
            };
            if !memory.try_read(from, &mut bytes[done..done + size]) {
                break;
            }
            done += size;
        }
        done
    }

    /// Writes to `address` on, all or nothing.
    pub fn write(self, memory: &mut impl Physical, address: u64, bytes: &[u8]) -> bool {
        let mut done = 0;
        while done < bytes.len() {
            let piece = self.next_piece(memory, address, done, bytes.len());
            let writable = piece.and_then(|(to, size)| {
                let range = PhysRange::new(to, size as u64)?;
                memory.is_writable(range).then_some(size)
            });
            match writable {
                Some(size) => done += size,
                None => return false,
            }
        }
        let mut done = 0;
        while let Some((to, size)) = self.next_piece(memory, address, done, bytes.len()) {
            // Where the first write has changed the tables that lead to the second, that fails.
            if !memory.try_write(to, &bytes[done..done + size]) {
                return false;
            }
            done += size;
        }
        done == bytes.len()
    }

    /// Two bytes of an instruction.
    pub fn halfword(self, memory: &impl Physical, address: u64) -> Option<u16> {
        let mut bytes = [0; 2];
        (self.read(memory, address, &mut bytes) == 2).then_some(u16::from_le_bytes(bytes))
    }

    /// Where byte `done` of `size` from `address` lies, and how many follow it on its page.
    fn next_piece(
        self,
        memory: &impl Physical,
        address: u64,
        done: usize,
        size: usize,
    ) -> Option<(PhysAddr, usize)> {
        let left = size.checked_sub(done).filter(|left| *left > 0)?;
        let here = address.checked_add(done as u64)?;
        let on_page = PAGE_SIZE - here % PAGE_SIZE;
        Some((self.locate(memory, here)?, left.min(on_page as usize)))
    }
}

/// Translates `address` under `satp`, with every step.
pub fn walk(memory: &impl Physical, satp: Satp, address: VirtAddr) -> Translation {
    let read = |entry| Ok::<_, Infallible>(memory.word(entry).map(Pte::from_bits));
    match translate(satp.mode(), satp.root(), address, read) {
        Ok(translation) => translation,
        Err(never) => match never {},
    }
}

#[cfg(test)]
pub(super) mod tests;

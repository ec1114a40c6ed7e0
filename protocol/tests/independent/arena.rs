//! Physical memory of a test: one stretch of bytes.

/// Memory that tables are built in. Addresses are those that entries hold.
pub(crate) trait Memory {
    /// Takes `bytes` of fresh memory, aligned to their number, all zero.
    fn take(&mut self, bytes: u64) -> u64;
    /// Writes an entry of `bytes`.
    fn write(&mut self, address: u64, bytes: u64, value: u64);
    /// An entry of `bytes`; `None` where no memory answers.
    fn read(&self, address: u64, bytes: u64) -> Option<u64>;
}

/// Bytes from `base` on.
#[derive(Clone, Debug)]
pub(crate) struct Arena {
    pub(crate) base: u64,
    pub(crate) bytes: Vec<u8>,
}

impl Arena {
    pub(crate) const fn new(base: u64) -> Self {
        Self {
            base,
            bytes: Vec::new(),
        }
    }

    /// The 4 KiB at `address`; `None` outside.
    pub(crate) fn frame(&self, address: u64) -> Option<&[u8]> {
        let start = usize::try_from(address.checked_sub(self.base)?).ok()?;
        self.bytes.get(start..start.checked_add(4096)?)
    }
}

impl Memory for Arena {
    fn take(&mut self, bytes: u64) -> u64 {
        let end = self.base + self.bytes.len() as u64;
        let at = end.next_multiple_of(bytes);
        self.bytes.resize((at + bytes - self.base) as usize, 0);
        at
    }

    fn write(&mut self, address: u64, bytes: u64, value: u64) {
        let at = (address - self.base) as usize;
        let bytes = bytes as usize;
        self.bytes[at..at + bytes].copy_from_slice(&value.to_le_bytes()[..bytes]);
    }

    fn read(&self, address: u64, bytes: u64) -> Option<u64> {
        let at = usize::try_from(address.checked_sub(self.base)?).ok()?;
        let stored = self.bytes.get(at..at.checked_add(bytes as usize)?)?;
        let mut word = [0; 8];
        word[..stored.len()].copy_from_slice(stored);
        Some(u64::from_le_bytes(word))
    }
}

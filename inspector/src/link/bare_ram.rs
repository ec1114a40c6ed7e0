//! A target for tests that is nothing but RAM, from 0x80000000 on.

use std::time::Duration;

use pagescope_protocol::{PhysRange, VirtAddr};

use super::{
    Address, FoundState, HartId, LinkError, PhysicalAccess, Registers, StopReason, Stub, Target,
    TargetFacts,
};

const RAM: u64 = 0x8000_0000;

/// A guest that is nothing but its memory.
pub(crate) struct BareRam {
    pub(crate) bytes: Vec<u8>,
    pub(crate) facts: TargetFacts,
    /// How often it was read.
    pub(crate) rounds: usize,
    /// How many bytes of it were given.
    pub(crate) bytes_read: u64,
}

impl BareRam {
    pub(crate) fn new(size: usize) -> Self {
        Self {
            bytes: vec![0; size],
            facts: TargetFacts {
                address: "127.0.0.1:1".parse::<Address>().expect("an address"),
                stub: Stub::Other,
                packet_size_bytes: 4096,
                architecture: "riscv:rv64".into(),
                xlen_bits: 64,
                physical: PhysicalAccess::GdbPort,
                found: FoundState::Stopped,
            },
            rounds: 0,
            bytes_read: 0,
        }
    }

    pub(crate) fn put(&mut self, at: u64, bytes: &[u8]) {
        let from = (at - RAM) as usize;
        self.bytes[from..from + bytes.len()].copy_from_slice(bytes);
    }
}

impl Target for BareRam {
    fn harts(&mut self) -> Result<Vec<HartId>, LinkError> {
        Ok(Vec::new())
    }
    fn registers(&mut self, _: HartId) -> Result<Registers, LinkError> {
        Ok(Registers::default())
    }
    fn register(&mut self, _: HartId, _: &str) -> Result<Option<u64>, LinkError> {
        Ok(None)
    }
    fn read_physical(&mut self, ranges: &[PhysRange]) -> Result<Vec<Option<Vec<u8>>>, LinkError> {
        self.rounds += 1;
        let answers = ranges.iter().map(|range| {
            let from = range.start().as_u64().checked_sub(RAM)? as usize;
            let end = from.checked_add(range.size() as usize)?;
            Some(self.bytes.get(from..end)?.to_vec())
        });
        let answers: Vec<Option<Vec<u8>>> = answers.collect();
        let bytes = answers.iter().flatten().map(|bytes| bytes.len() as u64);
        self.bytes_read += bytes.sum::<u64>();
        Ok(answers)
    }
    fn set_breakpoint(&mut self, _: VirtAddr) -> Result<(), LinkError> {
        Ok(())
    }
    fn clear_breakpoint(&mut self, _: VirtAddr) -> Result<(), LinkError> {
        Ok(())
    }
    fn resume(&mut self) -> Result<(), LinkError> {
        Ok(())
    }
    fn step(&mut self, _: HartId) -> Result<(), LinkError> {
        Ok(())
    }
    fn interrupt(&mut self) -> Result<(), LinkError> {
        Ok(())
    }
    fn wait_for_stop(&mut self, _: Duration) -> Result<Option<StopReason>, LinkError> {
        Ok(None)
    }
    fn is_running(&self) -> bool {
        false
    }
    fn monitor(&mut self, _: &str) -> Result<Option<String>, LinkError> {
        Ok(None)
    }
    fn facts(&self) -> &TargetFacts {
        &self.facts
    }
    fn detach(self: Box<Self>) -> Result<(), LinkError> {
        Ok(())
    }
}

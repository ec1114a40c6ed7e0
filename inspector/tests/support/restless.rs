//! A target whose memory changes while it is read.

use std::time::Duration;

use pagescope::link::{HartId, LinkError, Registers, StopReason, Target, TargetFacts};
use pagescope_protocol::{PhysRange, VirtAddr};

/// A live target whose first space's root table is another one at each reading.
pub(crate) struct Restless<T> {
    inner: T,
    /// The root's frame, once hart 0's satp is known.
    root: Option<PhysRange>,
    /// How often the root has been read.
    reads: u64,
    /// From which reading on it stays.
    rests_at: u64,
}

impl<T: Target> Restless<T> {
    pub(crate) fn new(inner: T) -> Self {
        Self {
            inner,
            root: None,
            reads: 0,
            rests_at: u64::MAX,
        }
    }

    /// How often everything was read: each capture reads the root twice.
    pub(crate) fn captures(&self) -> u64 {
        self.reads / 2
    }

    /// It stays as it is after so many more readings.
    pub(crate) fn rest_after(&mut self, more: u64) {
        self.rests_at = self.reads + more;
    }
}

impl<T: Target> Target for Restless<T> {
    fn harts(&mut self) -> Result<Vec<HartId>, LinkError> {
        self.inner.harts()
    }

    fn registers(&mut self, hart: HartId) -> Result<Registers, LinkError> {
        let registers = self.inner.registers(hart)?;
        if hart.number() == 0 {
            self.root = registers.satp.map(|satp| satp.root().range());
        }
        Ok(registers)
    }

    fn register(&mut self, hart: HartId, name: &str) -> Result<Option<u64>, LinkError> {
        self.inner.register(hart, name)
    }

    fn read_physical(&mut self, ranges: &[PhysRange]) -> Result<Vec<Option<Vec<u8>>>, LinkError> {
        let mut answers = self.inner.read_physical(ranges)?;
        for (range, bytes) in ranges.iter().zip(&mut answers) {
            if Some(*range) == self.root
                && let Some(bytes) = bytes
            {
                self.reads += 1;
                // A reserved bit of an entry that is not valid: no walk depends on it.
                bytes[1] = bytes[1].wrapping_add(self.reads.min(self.rests_at) as u8);
            }
        }
        Ok(answers)
    }

    fn set_breakpoint(&mut self, address: VirtAddr) -> Result<(), LinkError> {
        self.inner.set_breakpoint(address)
    }

    fn clear_breakpoint(&mut self, address: VirtAddr) -> Result<(), LinkError> {
        self.inner.clear_breakpoint(address)
    }

    fn resume(&mut self) -> Result<(), LinkError> {
        self.inner.resume()
    }

    fn step(&mut self, hart: HartId) -> Result<(), LinkError> {
        self.inner.step(hart)
    }

    fn interrupt(&mut self) -> Result<(), LinkError> {
        self.inner.interrupt()
    }

    fn wait_for_stop(&mut self, limit: Duration) -> Result<Option<StopReason>, LinkError> {
        self.inner.wait_for_stop(limit)
    }

    fn is_running(&self) -> bool {
        self.inner.is_running()
    }

    fn monitor(&mut self, command: &str) -> Result<Option<String>, LinkError> {
        self.inner.monitor(command)
    }

    fn facts(&self) -> &TargetFacts {
        self.inner.facts()
    }

    fn detach(self: Box<Self>) -> Result<(), LinkError> {
        Box::new(self.inner).detach()
    }
}

//! A target behind a gdb port.

use std::path::PathBuf;
use std::time::Duration;

use pagescope_protocol::{PhysRange, VirtAddr};

use super::{
    Address, Cancel, FoundState, HartId, LinkError, Registers, StopReason, Target, TargetFacts,
};

/// How to connect.
#[derive(Clone, Debug)]
pub struct ConnectOptions {
    /// How long a reply may take.
    pub timeout: Duration,
    /// Ends every wait of the link.
    pub cancel: Cancel,
    /// The file that holds the guest's RAM, mapped at 0x80000000, if there is one.
    pub ram_file: Option<PathBuf>,
    /// Whether the machine ran, where the caller knows better than the port can.
    pub found: Option<FoundState>,
}

impl Default for ConnectOptions {
    fn default() -> Self {
        Self {
            timeout: Duration::from_secs(5),
            cancel: Cancel::new(),
            ram_file: None,
            found: None,
        }
    }
}

/// A target behind a gdb port.
#[derive(Debug)]
pub struct GdbTarget {}

impl GdbTarget {
    /// Connects, which stops the machine.
    ///
    /// # Errors
    /// When nobody is there, or somebody who is no gdb stub of a 64-bit RISC-V machine.
    pub fn connect(_address: &Address, _options: ConnectOptions) -> Result<Self, LinkError> {
        todo!()
    }
}

impl Target for GdbTarget {
    fn harts(&mut self) -> Result<Vec<HartId>, LinkError> {
        todo!()
    }
    fn registers(&mut self, _hart: HartId) -> Result<Registers, LinkError> {
        todo!()
    }
    fn register(&mut self, _hart: HartId, _name: &str) -> Result<Option<u64>, LinkError> {
        todo!()
    }
    fn read_physical(&mut self, _ranges: &[PhysRange]) -> Result<Vec<Option<Vec<u8>>>, LinkError> {
        todo!()
    }
    fn set_breakpoint(&mut self, _address: VirtAddr) -> Result<(), LinkError> {
        todo!()
    }
    fn clear_breakpoint(&mut self, _address: VirtAddr) -> Result<(), LinkError> {
        todo!()
    }
    fn resume(&mut self) -> Result<(), LinkError> {
        todo!()
    }
    fn step(&mut self, _hart: HartId) -> Result<(), LinkError> {
        todo!()
    }
    fn interrupt(&mut self) -> Result<(), LinkError> {
        todo!()
    }
    fn wait_for_stop(&mut self, _limit: Duration) -> Result<Option<StopReason>, LinkError> {
        todo!()
    }
    fn is_running(&self) -> bool {
        todo!()
    }
    fn monitor(&mut self, _command: &str) -> Result<Option<String>, LinkError> {
        todo!()
    }
    fn facts(&self) -> &TargetFacts {
        todo!()
    }
    fn detach(self: Box<Self>) -> Result<(), LinkError> {
        todo!()
    }
}

//! Leaving a target as it was found.

use std::time::Duration;

use super::{FoundState, GdbTarget, Motion, Stub, Target};
use crate::link::LinkError;
use crate::link::StopReason;

/// How long each answer may take when nobody waits for the outcome. A host that is busy takes more than a second, and a
/// guest that is not told to go on stands still for ever.
const HURRY: Duration = Duration::from_secs(5);

/// How long a running machine may take to stop.
const STOP_LIMIT: Duration = Duration::from_secs(5);

impl GdbTarget {
    /// Takes back breakpoints and the physical switch, and lets the machine run if it ran.
    /// Afterwards the connection can only be closed.
    pub(super) fn leave(&mut self) -> Result<(), LinkError> {
        if std::mem::replace(&mut self.left, true) || !self.client.is_alive() {
            return Ok(());
        }
        if matches!(self.motion, Motion::Stopped(StopReason::Exited { .. })) {
            return Ok(());
        }
        // A cancelled link has still to be left in order.
        self.client.hurry(HURRY);
        if !self.found_is_known {
            self.find_out_state()?;
        }
        let stays_stopped = self.facts.found == FoundState::Stopped;
        if self.is_running() {
            // Before each resume the switch was put back. QEMU goes on when we just close
            // (`gdb_chr_event` does nothing then), so a machine without breakpoints of ours need
            // not be stopped.
            let is_qemu = matches!(self.facts.stub, Stub::Qemu { .. });
            if !stays_stopped && is_qemu && self.breakpoints.is_empty() && self.watched.is_empty() {
                return Ok(());
            }
            self.interrupt()?;
            if self.wait_for_stop(STOP_LIMIT)?.is_none() {
                return Err(self.client.protocol("the machine does not stop"));
            }
        }
        while let Some(address) = self.breakpoints.pop_first() {
            self.breakpoint('z', address)?;
        }
        self.watch(&[])?;
        self.restore_physical()?;
        if stays_stopped {
            return Ok(());
        }
        self.client.farewell(b"D")
    }
}

impl Drop for GdbTarget {
    fn drop(&mut self) {
        if let Err(error) = self.leave() {
            tracing::warn!(%error, "the target could not be left as it was found");
        }
    }
}

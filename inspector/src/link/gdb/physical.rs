//! The switch that makes `m` physical, in the two forms that stubs have it.
//!
//! ```text
//!  QEMU     qqemu.PhyMemMode            → 0 | 1        Qqemu.PhyMemMode:1      → OK
//!  monitor  qRcmd help                  → a line that begins with "physical"
//!           qRcmd physical              → physical off  qRcmd physical on      → physical on
//! ```
//!
//! The second is our kernel's, on its debug channel. Both are one switch for all clients, and survive
//! them: it is put back before the machine moves and when we leave.
//!
//! A monitor's texts are for people, and another stub's may say anything: the switch is believed only
//! where `help` has a line whose first word is `physical`, and where the state that it tells is
//! plainly on or plainly off, before as well as after it was set.

use super::GdbTarget;
use crate::link::LinkError;
use crate::link::rsp::escaped;

/// How the switch is set.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Way {
    /// A packet of QEMU's.
    Qemu,
    /// A command of the monitor's.
    Monitor,
}

/// The switch that makes `m` physical.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct PhysicalSwitch {
    /// How it is set, and how it was found. `None`: the stub has no such switch.
    known: Option<(Way, bool)>,
    is_on: bool,
}

impl PhysicalSwitch {
    pub(super) const fn found(way: Way, is_on: bool) -> Self {
        Self {
            known: Some((way, is_on)),
            is_on,
        }
    }

    pub(super) const fn is_there(self) -> bool {
        self.known.is_some()
    }
}

const HELP: &str = "help";
const ASK: &str = "physical";
const ON: &str = "physical on";
const OFF: &str = "physical off";

impl GdbTarget {
    /// Whether the monitor has the switch, and whether it is on.
    pub(super) fn ask_monitor_for_physical(&mut self) -> Result<Option<bool>, LinkError> {
        let help = self.ask_monitor(HELP)?.unwrap_or_default();
        if !offers_switch(&help) {
            return Ok(None);
        }
        let answer = self.ask_monitor(ASK)?.unwrap_or_default();
        Ok(state(&answer))
    }

    /// Makes `m` physical from here on. What it returns has to go out ahead of the reads, and be
    /// answered `OK`.
    pub(super) fn physical_before_reading(&mut self) -> Result<Option<&'static [u8]>, LinkError> {
        let Some((way, _)) = self.physical.known else {
            return Err(LinkError::NoPhysicalMemory {
                address: self.facts.address.clone(),
            });
        };
        if self.physical.is_on {
            return Ok(None);
        }
        // On from here on, whatever becomes of it: then it is put back.
        self.physical.is_on = true;
        match way {
            Way::Qemu => Ok(Some(b"Qqemu.PhyMemMode:1")),
            Way::Monitor => self.set_by_monitor(true).map(|()| None),
        }
    }

    /// Puts the switch back to how it was found.
    pub(super) fn restore_physical(&mut self) -> Result<(), LinkError> {
        let Some((way, found)) = self.physical.known else {
            return Ok(());
        };
        if found == self.physical.is_on {
            return Ok(());
        }
        match (way, found) {
            (Way::Qemu, true) => self.command(b"Qqemu.PhyMemMode:1")?,
            (Way::Qemu, false) => self.command(b"Qqemu.PhyMemMode:0")?,
            (Way::Monitor, on) => self.set_by_monitor(on)?,
        }
        self.physical.is_on = found;
        Ok(())
    }

    fn set_by_monitor(&mut self, on: bool) -> Result<(), LinkError> {
        use crate::link::Target as _;
        let command = if on { ON } else { OFF };
        let answer = self.monitor(command)?.unwrap_or_default();
        if state(&answer) == Some(on) {
            return Ok(());
        }
        let shown: String = answer.chars().take(60).collect();
        Err(LinkError::Refused {
            packet: format!("monitor {command}"),
            code: match escaped(shown.trim_end().as_bytes()).as_str() {
                "" => "silence".to_owned(),
                shown => shown.to_owned(),
            },
        })
    }
}

/// Whether a monitor's help has the command: a line whose first word is `physical`.
fn offers_switch(help: &str) -> bool {
    let mut lines = help.lines();
    lines.any(|line| line.split_whitespace().next() == Some(ASK))
}

/// What `physical off` says; `None` where it says neither, or both.
fn state(answer: &str) -> Option<bool> {
    let mut words = answer.split(|c: char| !c.is_alphanumeric());
    let has_on = words.clone().any(|word| word == "on");
    let has_off = words.any(|word| word == "off");
    match (has_on, has_off) {
        (true, false) => Some(true),
        (false, true) => Some(false),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn helps_and_states() {
        assert!(offers_switch(
            "heap   the heap\nphysical [on|off]   what addresses mean\n"
        ));
        assert!(!offers_switch(
            "mdw ['phys'] address\nread physical memory\n"
        ));
        assert!(!offers_switch(""));
        assert_eq!(state("physical on\n"), Some(true));
        assert_eq!(state("physical: off"), Some(false));
        for neither in ["", "physical [on|off]", "once", "offset", "unknown command"] {
            assert_eq!(state(neither), None, "{neither}");
        }
    }
}

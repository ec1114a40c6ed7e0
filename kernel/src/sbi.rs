//! The Supervisor Binary Interface: numbers that both programs mean.
//!
//! Source: RISC-V SBI specification 2.0. Extensions that the machine program has: Base, TIME, IPI,
//! HSM, SRST, DBCN. The legacy ones it has not.

/// Base: what there is.
pub const EXT_BASE: u64 = 0x10;
/// TIME: the timer.
pub const EXT_TIME: u64 = 0x5449_4d45;
/// sPI: interrupts to other harts.
pub const EXT_IPI: u64 = 0x0073_5049;
/// HSM: starting and stopping harts.
pub const EXT_HSM: u64 = 0x0048_534d;
/// SRST: ending or restarting the machine.
pub const EXT_SRST: u64 = 0x5352_5354;
/// DBCN: the debug console.
pub const EXT_DBCN: u64 = 0x4442_434e;

/// All extensions that the machine program has.
pub const EXTENSIONS: [u64; 6] = [EXT_BASE, EXT_TIME, EXT_IPI, EXT_HSM, EXT_SRST, EXT_DBCN];

/// Function numbers of Base.
pub mod base {
    /// The specification's version.
    pub const GET_SPEC_VERSION: u64 = 0;
    /// Who implements it.
    pub const GET_IMPL_ID: u64 = 1;
    /// In which version.
    pub const GET_IMPL_VERSION: u64 = 2;
    /// Whether an extension exists.
    pub const PROBE_EXTENSION: u64 = 3;
    /// mvendorid.
    pub const GET_MVENDORID: u64 = 4;
    /// marchid.
    pub const GET_MARCHID: u64 = 5;
    /// mimpid.
    pub const GET_MIMPID: u64 = 6;
}

/// Function numbers of HSM, and the states of a hart.
pub mod hsm {
    /// Starts a hart.
    pub const HART_START: u64 = 0;
    /// Stops the calling hart.
    pub const HART_STOP: u64 = 1;
    /// A hart's state.
    pub const HART_GET_STATUS: u64 = 2;

    /// It runs in S-mode.
    pub const STARTED: u64 = 0;
    /// It waits to be started.
    pub const STOPPED: u64 = 1;
    /// It has been told to start.
    pub const START_PENDING: u64 = 2;
}

/// Function numbers of DBCN.
pub mod dbcn {
    /// Writes bytes of memory.
    pub const CONSOLE_WRITE: u64 = 0;
    /// Reads bytes into memory.
    pub const CONSOLE_READ: u64 = 1;
    /// Writes one byte.
    pub const CONSOLE_WRITE_BYTE: u64 = 2;
}

/// Arguments of SRST's `system_reset`.
pub mod srst {
    /// End the machine.
    pub const SHUTDOWN: u64 = 0;
    /// Switch it off and on.
    pub const COLD_REBOOT: u64 = 1;
    /// Restart it.
    pub const WARM_REBOOT: u64 = 2;

    /// All is well.
    pub const NO_REASON: u64 = 0;
    /// Something failed.
    pub const SYSTEM_FAILURE: u64 = 1;
}

/// The specification's version 2.0, as `get_spec_version` says it.
pub const SPEC_VERSION: u64 = 2 << 24;

/// Why a call failed.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(i64)]
pub enum SbiError {
    /// It did not work.
    Failed = -1,
    /// There is no such extension or function.
    NotSupported = -2,
    /// An argument cannot be.
    InvalidParam = -3,
    /// Memory that the caller may not use.
    InvalidAddress = -5,
    /// The hart runs already.
    AlreadyAvailable = -6,
}

/// What a call returns: a0 and a1.
pub type SbiResult = Result<u64, SbiError>;

/// The harts that a mask and its base select, of `harts` that there are; `None` where it names one
/// that there is not. A base of all ones selects every hart.
pub fn select_harts(mask: u64, base: u64, harts: u64) -> Option<u64> {
    let existing = 1u64
        .checked_shl(harts as u32)
        .map_or(u64::MAX, |bit| bit - 1);
    if base == u64::MAX {
        return Some(existing);
    }
    let selected = u32::try_from(base)
        .ok()
        .and_then(|base| mask.checked_shl(base))?;
    let lost = selected >> base != mask;
    (!lost && selected & !existing == 0).then_some(selected)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn harts_are_selected_or_refused() {
        assert_eq!(select_harts(0b11, 0, 4), Some(0b11));
        assert_eq!(select_harts(0b11, 2, 4), Some(0b1100));
        assert_eq!(select_harts(0b11, 3, 4), None);
        assert_eq!(select_harts(0, u64::MAX, 4), Some(0b1111));
        assert_eq!(select_harts(0b11, 63, 64), None);
        assert_eq!(select_harts(1, 64, 64), None);
    }
}

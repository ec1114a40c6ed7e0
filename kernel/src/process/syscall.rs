//! System calls: the interface between user programs and the kernel.
//!
//! `ecall` with the number in a7 and arguments in a0 to a2; the answer is in a0. Every other register is
//! kept. [`FAILED`] says that it could not be done.

/// The answer to a call that could not be done, or that there is not.
pub const FAILED: u64 = u64::MAX;

/// `write(text, bytes)`: prints; gives how many bytes.
pub const WRITE: u64 = 1;
/// `brk(address)`: has the heap end there or in the page above; 0 changes nothing. Gives where it ends
/// now, in whole pages.
pub const BRK: u64 = 2;
/// `yield()`: lets the others run.
pub const YIELD: u64 = 3;
/// `exit(code)`: ends the process.
pub const EXIT: u64 = 4;
/// `spawn(name, bytes, argument)`: begins another program; gives the process's number.
pub const SPAWN: u64 = 5;
/// `getpid()`: the process's own number.
pub const GETPID: u64 = 6;
/// `wait(pid)`: waits until that process has ended; gives how, as [`End`] has it.
pub const WAIT: u64 = 7;
/// `sleep(milliseconds)`.
pub const SLEEP: u64 = 8;

/// Bytes that one `write` prints at most, and that a program's name has at most.
pub const MAX_TEXT: u64 = 256;

/// How a process ended.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum End {
    /// It called exit, with this code.
    Exited(u32),
    /// A fault ended it: scause.
    Fault(u64),
    /// Somebody at the console did.
    Killed,
}

/// Bit 32 and up of what `wait` gives: a fault.
const FAULT: u64 = 1 << 32;

/// Bit 33: killed.
const KILLED: u64 = 1 << 33;

impl End {
    /// As `wait` gives it.
    pub const fn to_word(self) -> u64 {
        match self {
            Self::Exited(code) => code as u64,
            Self::Fault(cause) => FAULT | (cause & 0xffff_ffff),
            Self::Killed => KILLED,
        }
    }

    /// What `wait` gave; `None` for what is no end: [`FAILED`], above all.
    pub const fn from_word(word: u64) -> Option<Self> {
        let low = word & 0xffff_ffff;
        match word & !0xffff_ffff {
            0 => Some(Self::Exited(low as u32)),
            FAULT => Some(Self::Fault(low)),
            KILLED if low == 0 => Some(Self::Killed),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ends_come_back() {
        for end in [
            End::Exited(0),
            End::Exited(u32::MAX),
            End::Fault(15),
            End::Killed,
        ] {
            assert_eq!(End::from_word(end.to_word()), Some(end));
            assert_ne!(end.to_word(), FAILED);
        }
    }

    #[test]
    fn a_refused_wait_is_no_end() {
        for word in [FAILED, FAULT | KILLED, KILLED | 1, 1 << 34, 1 << 63] {
            assert_eq!(End::from_word(word), None, "{word:#x}");
        }
    }
}

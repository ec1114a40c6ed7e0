//! Stop replies: what a stub says when the machine stops.
//!
//! ```text
//!  S05                    signal 5
//!  T05thread:02;…         signal 5 on thread 2, with further facts
//!  W00  X09               ended with code 0; ended by signal 9
//! ```

use super::hex;

/// gdb's number of SIGINT: somebody asked the machine to stop.
pub const SIGNAL_INTERRUPT: u8 = 2;

/// gdb's number of SIGTRAP: a breakpoint, or the end of a step.
pub const SIGNAL_TRAP: u8 = 5;

/// A stop reply.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum StopPacket {
    /// A signal stopped it.
    Signal {
        /// gdb's number.
        signal: u8,
        /// The thread that it is about, from 1.
        thread: Option<u32>,
        /// The watched address that was, or is about to be, written.
        wrote: Option<u64>,
    },
    /// It is gone.
    Exited {
        /// With this code.
        code: u8,
    },
}

impl StopPacket {
    /// Whether `payload` begins as a stop reply does. No reply to anything we ask begins so:
    /// those are hexadecimal in lower case, `OK`, `E`, `O`, `m`, `l`, `QC` or a list of features.
    pub fn is_one(payload: &[u8]) -> bool {
        matches!(payload.first(), Some(b'T' | b'S' | b'W' | b'X'))
    }

    /// Reads a stop reply.
    pub fn parse(payload: &[u8]) -> Option<Self> {
        let (kind, rest) = payload.split_first()?;
        let (code, rest) = rest.split_at_checked(2)?;
        let code = hex::number(code)? as u8;
        match kind {
            b'S' => Some(Self::Signal {
                signal: code,
                thread: None,
                wrote: None,
            }),
            b'T' => Some(Self::Signal {
                signal: code,
                thread: thread_of(rest),
                wrote: watched_in(rest),
            }),
            b'W' => Some(Self::Exited { code }),
            // As a shell shows a process that a signal ended.
            b'X' => Some(Self::Exited {
                code: code.saturating_add(128),
            }),
            _ => None,
        }
    }
}

fn thread_of(pairs: &[u8]) -> Option<u32> {
    let mut pairs = pairs.split(|byte| *byte == b';');
    pairs.find_map(|pair| thread_id(pair.strip_prefix(b"thread:")?))
}

/// `watch:87ffe000`; `awatch` serves a stub that knows no other kind.
fn watched_in(pairs: &[u8]) -> Option<u64> {
    let mut pairs = pairs.split(|byte| *byte == b';');
    pairs.find_map(|pair| {
        let address = pair.strip_prefix(b"watch:");
        hex::number(address.or_else(|| pair.strip_prefix(b"awatch:"))?)
    })
}

/// A thread's number, from 1; of `pPROCESS.THREAD` the thread. `None` for "any" and "all".
pub fn thread_id(text: &[u8]) -> Option<u32> {
    let text = match text.strip_prefix(b"p") {
        Some(both) => both.splitn(2, |byte| *byte == b'.').nth(1)?,
        None => text,
    };
    let number = u32::try_from(hex::number(text)?).ok()?;
    (number != 0).then_some(number)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn every_form() {
        for (payload, stop) in [
            (
                &b"T05thread:02;"[..],
                StopPacket::Signal {
                    signal: 5,
                    thread: Some(2),
                    wrote: None,
                },
            ),
            (
                b"T02thread:p1.1f;20:00;",
                StopPacket::Signal {
                    signal: 2,
                    thread: Some(31),
                    wrote: None,
                },
            ),
            (
                b"T05swbreak:;",
                StopPacket::Signal {
                    signal: 5,
                    thread: None,
                    wrote: None,
                },
            ),
            (
                b"S05",
                StopPacket::Signal {
                    signal: 5,
                    thread: None,
                    wrote: None,
                },
            ),
            (
                b"T05thread:01;watch:87ffe000;",
                StopPacket::Signal {
                    signal: 5,
                    thread: Some(1),
                    wrote: Some(0x87ff_e000),
                },
            ),
            (b"W00", StopPacket::Exited { code: 0 }),
            (b"X09", StopPacket::Exited { code: 137 }),
        ] {
            assert_eq!(StopPacket::parse(payload), Some(stop));
        }
        assert_eq!(StopPacket::parse(b"T0"), None);
        assert_eq!(thread_id(b"0"), None);
        assert_eq!(thread_id(b"-1"), None);
    }

    proptest! {
        #[test]
        fn anything_is_survived(payload: Vec<u8>) {
            let _ = StopPacket::parse(&payload);
        }
    }
}

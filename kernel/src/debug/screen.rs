//! Packets that are answered, changed or refused before gdbstub sees them.
//!
//! gdbstub gives up its whole state on a packet that makes no sense, or goes on with it where
//! refusing is better. What it does with the packets that are passed on is an answer or an error
//! reply; the session begins anew after the few that still make it fail.

use super::listen::PACKET_SIZE;

/// Most bytes that one `m` may ask for: their digits fill a packet.
pub const MAX_READ: usize = (PACKET_SIZE - 4) / 2;

/// An error reply: EINVAL.
pub const REFUSED: &[u8] = b"E16";

/// An error reply: ESRCH, no such thread.
pub const NO_THREAD: &[u8] = b"E03";

/// What to do with a packet.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Screened {
    /// gdbstub answers.
    Pass,
    /// gdbstub answers this instead, which means the same.
    As(&'static [u8]),
    /// This is the answer.
    Reply(&'static [u8]),
    /// A debugger begins: the state of an earlier one is dropped, then gdbstub answers.
    Attach,
    /// `monitor kalloc`: its answer takes the guest's help.
    Kalloc,
}

/// Looks at a packet's text, where there are `threads` threads, from 1 on.
pub fn screen(text: &[u8], threads: usize) -> Screened {
    match text {
        [b'q', rest @ ..] if rest.starts_with(b"Supported") => Screened::Attach,
        [b'q', rest @ ..] if rest.starts_with(b"Rcmd,") => {
            let mut command = [0; 16];
            match unhex(&rest[5..], &mut command) {
                Some(b"kalloc") => Screened::Kalloc,
                _ => Screened::Pass,
            }
        }
        [b'm', rest @ ..] => match split(rest, b',') {
            Some((address, size)) if number(address).is_some() => match number(size) {
                Some(size) if size <= MAX_READ as u64 => Screened::Pass,
                _ => Screened::Reply(REFUSED),
            },
            _ => Screened::Reply(REFUSED),
        },
        // Nobody ends the machine from here: the debugger leaves.
        [b'v', rest @ ..] if rest.starts_with(b"Kill") => Screened::As(b"D"),
        [b'H', b'g' | b'c', rest @ ..] | [b'T', rest @ ..] => thread(rest, threads),
        // Nobody would go on, and nothing would be said.
        b"vCont" | b"vCont;" => Screened::Reply(REFUSED),
        // The signals are nobody's here: a kernel has none.
        [b'C', signal @ ..] if number(signal).is_some() => Screened::As(b"c"),
        [b'S', signal @ ..] if number(signal).is_some() => Screened::As(b"s"),
        // From another address than pc: gdb writes pc instead, and gdbstub would overlook it.
        [b'c' | b's' | b'C' | b'S', _, ..] => Screened::Reply(REFUSED),
        _ => Screened::Pass,
    }
}

fn thread(id: &[u8], threads: usize) -> Screened {
    let thread = match id {
        [b'p', rest @ ..] => match split(rest, b'.') {
            Some((_, thread)) => thread,
            None => return Screened::Reply(REFUSED),
        },
        thread => thread,
    };
    match (thread, number(thread)) {
        (b"-1", _) => Screened::Pass,
        (_, Some(number)) if number <= threads as u64 => Screened::Pass,
        (_, Some(_)) => Screened::Reply(NO_THREAD),
        (_, None) => Screened::Reply(REFUSED),
    }
}

/// The hart that a thread's id names; `None` for all of them, or for any.
pub fn hart(id: &[u8]) -> Option<usize> {
    let thread = match id {
        [b'p', rest @ ..] => split(rest, b'.')?.1,
        thread => thread,
    };
    usize::try_from(number(thread)?).ok()?.checked_sub(1)
}

fn split(text: &[u8], at: u8) -> Option<(&[u8], &[u8])> {
    let place = text.iter().position(|byte| *byte == at)?;
    Some((&text[..place], &text[place + 1..]))
}

/// A number in hexadecimal, of at most sixteen digits.
pub fn number(digits: &[u8]) -> Option<u64> {
    if digits.is_empty() || digits.len() > 16 {
        return None;
    }
    digits.iter().try_fold(0, |number, digit| {
        let digit = char::from(*digit).to_digit(16)?;
        Some(number << 4 | u64::from(digit))
    })
}

/// The bytes that these digits stand for; `None` where they are no pairs of digits, or more than
/// `bytes` holds.
fn unhex<'a>(digits: &[u8], bytes: &'a mut [u8]) -> Option<&'a [u8]> {
    if !digits.len().is_multiple_of(2) {
        return None;
    }
    let pairs = digits.chunks_exact(2);
    let bytes = bytes.get_mut(..pairs.len())?;
    for (pair, byte) in pairs.zip(bytes.iter_mut()) {
        *byte = number(pair)? as u8;
    }
    Some(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn absurd_lengths_and_threads_that_there_are_not_are_refused() {
        for (text, answer) in [
            (&b"m80200000,800"[..], Screened::Pass),
            (b"m80200000,ffffffff", Screened::Reply(REFUSED)),
            (b"m80200000,ffffffffffffffffff", Screened::Reply(REFUSED)),
            (b"m80200000", Screened::Reply(REFUSED)),
            (b"mxyz,4", Screened::Reply(REFUSED)),
            (b"Hg1", Screened::Pass),
            (b"Hg0", Screened::Pass),
            (b"Hc-1", Screened::Pass),
            (b"Hgp1.4", Screened::Pass),
            (b"Hgp1.5", Screened::Reply(NO_THREAD)),
            (b"Hg5", Screened::Reply(NO_THREAD)),
            (b"Hgq", Screened::Reply(REFUSED)),
            (b"T9", Screened::Reply(NO_THREAD)),
            (b"c", Screened::Pass),
            (b"C05", Screened::As(b"c")),
            (b"S05", Screened::As(b"s")),
            (b"c80200000", Screened::Reply(REFUSED)),
            (b"C05;80200000", Screened::Reply(REFUSED)),
            (b"vCont", Screened::Reply(REFUSED)),
            (b"vCont;c", Screened::Pass),
            (b"qSupported:swbreak+", Screened::Attach),
            (b"qRcmd,6b616c6c6f63", Screened::Kalloc),
            (b"qRcmd,68656170", Screened::Pass),
            (b"qRcmd,6b6", Screened::Pass),
            (b"", Screened::Pass),
        ] {
            assert_eq!(screen(text, 4), answer, "{text:?}");
        }
    }

    proptest! {
        #[test]
        fn any_packet_is_survived(text: std::vec::Vec<u8>, threads in 0usize..9) {
            let _ = screen(&text, threads);
        }
    }
}

//! Framing: bytes to packets and back, without I/O.
//!
//! ```text
//!  $ payload # cc      a packet; cc is the sum of the payload's bytes modulo 256, in hexadecimal
//!  % payload # cc      a notification: a packet that is not acknowledged
//!  + -                 the last packet was received well, or not
//!
//!  in a payload        } x      the byte x ^ 0x20: an escaped # $ } or *
//!                      c * n    c, and then n − 29 times c again (n from ' ' to '~')
//! ```
//!
//! Invariants, whatever arrives: no panic; at most [`MAX_RAW_BYTES`] are kept of a packet that does
//! not end, and at most [`MAX_PAYLOAD_BYTES`] come out of one; after rubbish, the next `$` is the
//! start of a packet again.

use super::hex;

/// The longest packet that is waited for, in bytes as sent. QEMU's are 4 KiB up to version 10 and
/// 128 KiB at most.
pub const MAX_RAW_BYTES: usize = 1 << 20;

/// The longest payload that is unfolded. A run is at most 98 bytes long for three sent.
pub const MAX_PAYLOAD_BYTES: usize = 4 << 20;

/// The least that a run's count stands for, subtracted from its character.
const RUN_BIAS: u8 = 29;

/// What came.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Incoming {
    /// `+`.
    Ack,
    /// `-`.
    Nak,
    /// A packet; [`Decoder::payload`] is what it says.
    Packet,
    /// A notification; [`Decoder::payload`] is what it says.
    Notification,
    /// Something that was a packet, before it was damaged.
    Damaged,
    /// A packet that did not end within [`MAX_RAW_BYTES`]; it was thrown away.
    TooLong,
}

/// Finds packets in a stream of bytes.
#[derive(Debug, Default)]
pub struct Decoder {
    /// Bytes that are not understood yet, from `start` on.
    buffer: Vec<u8>,
    start: usize,
    /// How many bytes after `start` are known not to end the packet that begins there.
    scanned: usize,
    payload: Vec<u8>,
}

impl Decoder {
    /// A decoder that has seen nothing.
    pub fn new() -> Self {
        Self::default()
    }

    /// Takes bytes as they came.
    pub fn extend(&mut self, bytes: &[u8]) {
        if self.start > 0 {
            self.buffer.drain(..self.start);
            self.start = 0;
        }
        self.buffer.extend_from_slice(bytes);
    }

    /// What the last [`Incoming::Packet`] or [`Incoming::Notification`] says.
    pub fn payload(&self) -> &[u8] {
        &self.payload
    }

    /// The next thing that came; `None` where more bytes are needed.
    pub fn next_incoming(&mut self) -> Option<Incoming> {
        loop {
            let first = *self.buffer.get(self.start)?;
            match first {
                b'$' | b'%' => match self.frame(first) {
                    Step::Need => return None,
                    Step::Again => {}
                    Step::Got(incoming) => return Some(incoming),
                },
                b'+' => {
                    self.start += 1;
                    return Some(Incoming::Ack);
                }
                b'-' => {
                    self.start += 1;
                    return Some(Incoming::Nak);
                }
                _rubbish => self.start += 1,
            }
        }
    }

    /// Looks for the end of the packet that begins at `start`.
    fn frame(&mut self, first: u8) -> Step {
        let bytes = &self.buffer[self.start..];
        let from = self.scanned.max(1);
        let Some(end) = position(&bytes[from..], |b| b == b'#' || b == b'$') else {
            if bytes.len() > MAX_RAW_BYTES {
                self.consume(bytes.len());
                return Step::Got(Incoming::TooLong);
            }
            self.scanned = bytes.len();
            return Step::Need;
        };
        let end = from + end;
        if bytes[end] == b'$' {
            // A payload escapes `$`: the packet was cut off, and this is the next one.
            self.consume(end);
            return Step::Again;
        }
        let Some(&[high, low]) = bytes.get(end + 1..end + 3) else {
            self.scanned = end;
            return Step::Need;
        };
        let sum = bytes[1..end]
            .iter()
            .fold(0u8, |sum, byte| sum.wrapping_add(*byte));
        let announced = hex::digit(high).zip(hex::digit(low));
        let whole =
            announced == Some((sum >> 4, sum & 0xf)) && unfold(&bytes[1..end], &mut self.payload);
        self.consume(end + 3);
        match (whole, first) {
            (true, b'%') => Step::Got(Incoming::Notification),
            (true, _) => Step::Got(Incoming::Packet),
            // Nobody waits for a notification: a damaged one is rubbish.
            (false, b'%') => Step::Again,
            (false, _) => Step::Got(Incoming::Damaged),
        }
    }

    fn consume(&mut self, count: usize) {
        self.start += count;
        self.scanned = 0;
    }
}

/// How far [`Decoder::frame`] came.
enum Step {
    Need,
    Again,
    Got(Incoming),
}

/// Where the first byte is that is `wanted`. Memory arrives through here, so it is looked at in groups, which
/// the compiler compares all at once.
fn position(bytes: &[u8], wanted: impl Fn(u8) -> bool) -> Option<usize> {
    let (groups, _) = bytes.as_chunks::<32>();
    let has = |group: &[u8; 32]| group.iter().fold(false, |has, byte| has | wanted(*byte));
    let skipped = groups.iter().take_while(|group| !has(group)).count() * 32;
    let found = bytes[skipped..].iter().position(|byte| wanted(*byte));
    found.map(|place| skipped + place)
}

/// Undoes escapes and runs. `false` where they make no sense or too much.
fn unfold(raw: &[u8], payload: &mut Vec<u8>) -> bool {
    payload.clear();
    if position(raw, |byte| byte == b'}' || byte == b'*').is_none() {
        payload.extend_from_slice(raw);
        return true;
    }
    let mut bytes = raw.iter().copied();
    while let Some(byte) = bytes.next() {
        match byte {
            b'}' => match bytes.next() {
                Some(escaped) => payload.push(escaped ^ 0x20),
                None => return false,
            },
            b'*' => {
                let (Some(&last), Some(count)) = (payload.last(), bytes.next()) else {
                    return false;
                };
                if !(b' '..=b'~').contains(&count) {
                    return false;
                }
                payload.resize(payload.len() + usize::from(count - RUN_BIAS), last);
                if payload.len() > MAX_PAYLOAD_BYTES {
                    return false;
                }
            }
            plain => payload.push(plain),
        }
    }
    true
}

/// Appends `payload` as a packet. `*` is escaped too: QEMU unfolds runs in what it receives
/// (`gdb_read_byte`).
pub fn push_packet(payload: &[u8], out: &mut Vec<u8>) {
    out.push(b'$');
    let start = out.len();
    for &byte in payload {
        if matches!(byte, b'#' | b'$' | b'}' | b'*') {
            out.extend([b'}', byte ^ 0x20]);
        } else {
            out.push(byte);
        }
    }
    let sum = out[start..]
        .iter()
        .fold(0u8, |sum, byte| sum.wrapping_add(*byte));
    let digit = |value: u8| b"0123456789abcdef"[usize::from(value & 0xf)];
    out.extend([b'#', digit(sum >> 4), digit(sum)]);
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn all(bytes: &[u8]) -> Vec<(Incoming, Vec<u8>)> {
        let mut decoder = Decoder::new();
        decoder.extend(bytes);
        drain(&mut decoder)
    }

    fn drain(decoder: &mut Decoder) -> Vec<(Incoming, Vec<u8>)> {
        let mut found = Vec::new();
        while let Some(incoming) = decoder.next_incoming() {
            let payload = match incoming {
                Incoming::Packet | Incoming::Notification => decoder.payload().to_vec(),
                _ => Vec::new(),
            };
            found.push((incoming, payload));
        }
        found
    }

    #[test]
    fn packets_acks_and_runs() {
        assert_eq!(
            all(b"+$OK#9a-$0* #7a%Stop:T05#00$OK#9b"),
            [
                (Incoming::Ack, vec![]),
                (Incoming::Packet, b"OK".to_vec()),
                (Incoming::Nak, vec![]),
                (Incoming::Packet, b"0000".to_vec()),
                (Incoming::Damaged, vec![]),
            ]
        );
    }

    #[test]
    fn damage_does_not_reach_the_next_packet() {
        for damaged in [
            &b"$OK#00"[..],
            b"$OK#zz",
            b"$*~#a8",
            b"$}#7d",
            b"$a*\x01#8c",
        ] {
            let bytes = [damaged, b"$OK#9a"].concat();
            let found = all(&bytes);
            assert_eq!(found[0].0, Incoming::Damaged, "{damaged:?}");
            assert_eq!(found[1], (Incoming::Packet, b"OK".to_vec()));
        }
        // Cut off: the next `$` starts afresh.
        assert_eq!(all(b"HTTP$OK$OK#9a"), [(Incoming::Packet, b"OK".to_vec())]);
    }

    #[test]
    fn endless_packets_and_endless_runs_are_bounded() {
        let mut decoder = Decoder::new();
        decoder.extend(b"$");
        let mut too_long = false;
        for _ in 0..40 {
            decoder.extend(&[b'a'; 1 << 15]);
            too_long |= drain(&mut decoder)
                .iter()
                .any(|(i, _)| *i == Incoming::TooLong);
        }
        assert!(too_long);
        assert!(decoder.buffer.len() <= MAX_RAW_BYTES + (1 << 16));
        let bomb = b"0"
            .iter()
            .copied()
            .chain(b"*~".repeat(60_000))
            .collect::<Vec<u8>>();
        let mut framed = vec![b'$'];
        framed.extend(&bomb);
        let sum = bomb.iter().fold(0u8, |sum, byte| sum.wrapping_add(*byte));
        framed.extend(format!("#{sum:02x}").bytes());
        assert_eq!(all(&framed)[0].0, Incoming::Damaged);
    }

    #[test]
    fn a_byte_is_found_wherever_it_is() {
        for place in 0..100 {
            let mut bytes = [b'0'; 100];
            assert_eq!(position(&bytes, |byte| byte == b'#'), None);
            bytes[place] = b'#';
            bytes[99] = b'#';
            assert_eq!(position(&bytes, |byte| byte == b'#'), Some(place));
        }
        assert_eq!(position(&[], |_| true), None);
    }

    proptest! {
        #[test]
        fn what_is_framed_is_found_however_it_is_cut(
            payloads in proptest::collection::vec(proptest::collection::vec(any::<u8>(), 0..80), 0..6),
            cut in 1usize..20,
        ) {
            let mut bytes = Vec::new();
            for payload in &payloads {
                push_packet(payload, &mut bytes);
            }
            let mut decoder = Decoder::new();
            let mut found = Vec::new();
            for piece in bytes.chunks(cut) {
                decoder.extend(piece);
                found.extend(drain(&mut decoder));
            }
            let expected: Vec<_> = payloads.into_iter().map(|p| (Incoming::Packet, p)).collect();
            prop_assert_eq!(found, expected);
        }

        #[test]
        fn rubbish_is_survived(bytes in proptest::collection::vec(
            prop_oneof![any::<u8>(), Just(b'$'), Just(b'#'), Just(b'*'), Just(b'}'), Just(b'%')], 0..400,
        )) {
            let mut decoder = Decoder::new();
            decoder.extend(&bytes);
            drain(&mut decoder);
            // One packet may be swallowed by an unfinished end; never two.
            decoder.extend(b"$OK#9a$OK#9a");
            let found = drain(&mut decoder);
            prop_assert_eq!(found.last(), Some(&(Incoming::Packet, b"OK".to_vec())));
        }
    }
}

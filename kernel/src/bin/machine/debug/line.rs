//! The UART, which M-mode owns: what the supervisor program's console reads and writes, and what a
//! debugger does.

use core::fmt;

use pagescope_kernel::arch;
use pagescope_kernel::debug::listen::{Heard, Listener, Mode};
use pagescope_kernel::debug::ring::Ring;

use super::lock::Lock;
use crate::out;

/// Bytes that are kept for the console until the supervisor program reads them. What comes when it
/// is full is dropped.
const TYPED: usize = 1024;

/// Bytes of console output in one `O` packet.
const OUTPUT: usize = 64;

struct Line {
    listener: Listener,
    typed: Ring<TYPED>,
}

static LINE: Lock<Line> = Lock::new(Line {
    listener: Listener::new(),
    typed: Ring::new(),
});

/// Sets how many ticks make a second.
pub(crate) fn set_timebase(ticks: u64) {
    // A second: longer than any debugger pauses within a packet, not too long for a person who
    // has typed `$`.
    LINE.with(|line| line.listener.set_pause(ticks));
}

/// Who is at the other end.
pub(crate) fn mode() -> Mode {
    LINE.with(|line| line.listener.mode())
}

/// Says who is at the other end from now on.
pub(crate) fn set_mode(mode: Mode) {
    LINE.with(|line| line.listener.set_mode(mode));
}

/// Listens to what has come, at most `most` bytes, up to the first thing to act on.
pub(crate) fn listen(most: usize) -> Heard {
    LINE.with(|line| {
        let mut uart = out::uart();
        for _ in 0..most {
            let Some(byte) = uart.receive() else { break };
            let Line { listener, typed } = line;
            let heard = listener.hear(byte, arch::time(), &mut |byte| {
                typed.push(byte);
            });
            if heard != Heard::Nothing {
                return heard;
            }
        }
        Heard::Nothing
    })
}

/// Copies the packet that was heard last; how many bytes it has.
pub(crate) fn copy_packet(to: &mut [u8]) -> usize {
    LINE.with(|line| {
        let packet = line.listener.packet();
        match to.get_mut(..packet.len()) {
            Some(place) => place.copy_from_slice(packet),
            None => return 0,
        }
        packet.len()
    })
}

/// The next byte that was typed, for the console.
pub(crate) fn read() -> Option<u8> {
    LINE.with(|line| {
        let Line { listener, typed } = line;
        listener.pass(arch::time(), &mut |byte| {
            typed.push(byte);
        });
        typed.pop()
    })
}

/// Writes for the console: as it is to a person, and in `O` packets to a debugger.
pub(crate) fn write(bytes: &[u8]) {
    for part in bytes.chunks(OUTPUT) {
        LINE.with(|line| line.write(part));
    }
}

/// What is said when nothing can be waited for: the machine is about to end.
pub(crate) fn write_last(arguments: fmt::Arguments<'_>) {
    use fmt::Write as _;
    let mut last = Last;
    // It takes every byte.
    let _ = last.write_fmt(arguments);
}

struct Last;

impl fmt::Write for Last {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        for part in text.as_bytes().chunks(OUTPUT) {
            if LINE.try_with(|line| line.write_text(part)).is_none() {
                for byte in part {
                    out::uart().send(*byte);
                }
            }
        }
        Ok(())
    }
}

impl Line {
    fn write(&mut self, bytes: &[u8]) {
        match self.listener.mode() {
            Mode::Console | Mode::Called => {
                for byte in bytes {
                    out::uart().send(*byte);
                }
            }
            Mode::Running | Mode::Stopped => packet(b"O", bytes),
        }
    }

    /// With a carriage return before each newline, where a person reads it.
    fn write_text(&mut self, bytes: &[u8]) {
        for part in bytes.split_inclusive(|byte| *byte == b'\n') {
            match part.split_last() {
                Some((b'\n', text)) => {
                    self.write(text);
                    self.write(b"\r\n");
                }
                _ => self.write(part),
            }
        }
    }
}

/// Sends a packet that begins with `head` and goes on with `bytes` in hexadecimal.
pub(crate) fn packet(head: &[u8], bytes: &[u8]) {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    let mut uart = out::uart();
    let mut sum = 0u8;
    uart.send(b'$');
    let digits = bytes.iter().flat_map(|byte| {
        [
            DIGITS[usize::from(byte >> 4)],
            DIGITS[usize::from(byte & 15)],
        ]
    });
    for byte in head.iter().copied().chain(digits) {
        uart.send(byte);
        sum = sum.wrapping_add(byte);
    }
    uart.send(b'#');
    uart.send(DIGITS[usize::from(sum >> 4)]);
    uart.send(DIGITS[usize::from(sum & 15)]);
}

//! gdbstub's way to the UART, and what a debugger that did not understand gets again.

use core::convert::Infallible;
use core::fmt::{self, Write as _};
use core::sync::atomic::{AtomicBool, Ordering};

use gdbstub::conn::Connection;
use pagescope_kernel::debug::listen::PACKET_SIZE;

use super::lock::Lock;
use crate::out;

struct Last {
    bytes: [u8; PACKET_SIZE],
    length: usize,
}

/// The last packet that was sent. One that is longer is not kept whole, and not sent again.
static LAST: Lock<Last> = Lock::new(Last {
    bytes: [0; PACKET_SIZE],
    length: 0,
});

/// gdbstub has acknowledged the packet that it was given last.
static ACKNOWLEDGED: AtomicBool = AtomicBool::new(false);

/// Another packet is to be answered.
pub(crate) fn begin() {
    ACKNOWLEDGED.store(false, Ordering::Relaxed);
}

/// The UART's sending side.
pub(crate) struct Wire {
    /// Nothing is sent: packets are played to gdbstub whose answers the debugger has had.
    pub(crate) muted: bool,
}

impl Connection for Wire {
    type Error = Infallible;

    fn write(&mut self, byte: u8) -> Result<(), Infallible> {
        if self.muted {
            return Ok(());
        }
        out::uart().send(byte);
        LAST.with(|last| {
            if byte == b'+' {
                // No reply has this byte in it.
                ACKNOWLEDGED.store(true, Ordering::Relaxed);
            }
            if byte == b'$' {
                last.length = 0;
            }
            match last.bytes.get_mut(last.length) {
                Some(place) => {
                    *place = byte;
                    last.length += 1;
                }
                // Too long to be kept: nothing is.
                None => last.bytes[0] = 0,
            }
        });
        Ok(())
    }

    fn flush(&mut self) -> Result<(), Infallible> {
        Ok(())
    }
}

/// Sends the last packet again.
pub(crate) fn send_again() {
    LAST.with(|last| {
        if last.bytes[0] == b'$' {
            let mut uart = out::uart();
            for byte in &last.bytes[..last.length] {
                uart.send(*byte);
            }
        }
    });
}

fn acknowledge() {
    if !ACKNOWLEDGED.swap(true, Ordering::Relaxed) {
        out::uart().send(b'+');
    }
}

/// Answers a packet that gdbstub has not seen, or has not answered.
pub(crate) fn reply(answer: &[u8]) {
    acknowledge();
    send(answer);
}

fn send(answer: &[u8]) {
    let mut wire = Wire { muted: false };
    let sum = answer.iter().fold(0u8, |sum, byte| sum.wrapping_add(*byte));
    let digit = |value: u8| b"0123456789abcdef"[usize::from(value & 15)];
    let tail = [b'#', digit(sum >> 4), digit(sum)];
    for byte in [b'$'].iter().chain(answer).chain(&tail) {
        match wire.write(*byte) {
            Ok(()) => {}
            Err(never) => match never {},
        }
    }
}

/// Answers a `monitor` command that gdbstub has not seen with this text.
pub(crate) fn say(text: fmt::Arguments<'_>) {
    acknowledge();
    let mut line = Line {
        bytes: [0; 128],
        length: 0,
    };
    // What does not fit is left out.
    let _ = line.write_fmt(text);
    super::line::packet(b"O", &line.bytes[..line.length]);
    send(b"OK");
}

/// A line of text.
struct Line {
    bytes: [u8; 128],
    length: usize,
}

impl fmt::Write for Line {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        let end = self.length + text.len();
        let place = self.bytes.get_mut(self.length..end).ok_or(fmt::Error)?;
        place.copy_from_slice(text.as_bytes());
        self.length = end;
        Ok(())
    }
}

//! The kernel's UART as both of its speakers use it: a person's console, and a debugger's packets.

use std::io::{Read as _, Write as _};
use std::os::unix::net::UnixStream;
use std::time::{Duration, Instant};

/// A connection to the UART.
pub(crate) struct Line {
    stream: UnixStream,
    seen: String,
    deadline: Instant,
}

impl Line {
    pub(crate) fn new(stream: UnixStream, deadline: Instant) -> Self {
        let short = Some(Duration::from_millis(100));
        stream.set_read_timeout(short).unwrap();
        Self {
            stream,
            seen: String::new(),
            deadline,
        }
    }

    /// Sends bytes as they are.
    pub(crate) fn send(&mut self, bytes: &[u8]) {
        self.stream.write_all(bytes).unwrap();
    }

    /// Waits for `text`, and gives what came before it and with it. Carriage returns are left out.
    pub(crate) fn expect(&mut self, text: &str) -> String {
        loop {
            if let Some(place) = self.seen.find(text) {
                let rest = self.seen.split_off(place + text.len());
                return std::mem::replace(&mut self.seen, rest);
            }
            self.receive();
        }
    }

    /// Types a line and gives what is answered, up to the next prompt.
    pub(crate) fn ask(&mut self, line: &str) -> String {
        self.send(format!("{line}\n").as_bytes());
        self.expect(&format!("{line}\n")) + &self.expect("\n> ")
    }

    /// Sends a packet and gives the reply's text.
    pub(crate) fn packet(&mut self, text: &str) -> String {
        self.start(text);
        self.answer()
    }

    /// Sends a packet that is answered later.
    pub(crate) fn start(&mut self, text: &str) {
        let sum = text.bytes().fold(0u8, u8::wrapping_add);
        self.send(format!("${text}#{sum:02x}").as_bytes());
    }

    /// The next packet's text, with its runs written out.
    pub(crate) fn answer(&mut self) -> String {
        self.expect("$");
        let packed = self.expect("#");
        while self.seen.len() < 2 {
            self.receive();
        }
        let sum = self.seen.drain(..2).collect::<String>();
        let packed = &packed[..packed.len() - 1];
        let right = packed.bytes().fold(0u8, u8::wrapping_add);
        assert_eq!(sum, format!("{right:02x}"), "the sum of {packed}");
        self.send(b"+");
        unpack(packed)
    }

    /// The stop reply; what the console prints meanwhile is passed over.
    pub(crate) fn stop(&mut self) -> String {
        loop {
            let text = self.answer();
            if !text.starts_with('O') || text == "OK" {
                return text;
            }
        }
    }

    fn receive(&mut self) {
        let mut buffer = [0; 4096];
        match self.stream.read(&mut buffer) {
            Ok(0) => panic!("the machine has ended; it said:\n{}", self.seen),
            Ok(size) => {
                let bytes = buffer[..size].iter().filter(|byte| **byte != b'\r');
                self.seen.extend(bytes.map(|byte| char::from(*byte)));
            }
            Err(_) if Instant::now() < self.deadline => {}
            Err(_) => panic!("the machine hangs; it said:\n{}", self.seen),
        }
    }
}

/// `a*X` stands for a run of `a`: X − 29 more of them (GDB manual, appendix E.1 "Overview").
fn unpack(packed: &str) -> String {
    let mut text = String::new();
    let mut bytes = packed.bytes();
    while let Some(byte) = bytes.next() {
        match byte {
            b'*' => {
                let last = text.chars().next_back().unwrap();
                let count = bytes.next().unwrap() - 29;
                text.extend((0..count).map(|_| last));
            }
            byte => text.push(byte.into()),
        }
    }
    text
}

//! As much of GDB's remote protocol as stepping from breakpoint to breakpoint takes.

use std::io::{BufReader, Read as _, Write as _};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::{Duration, Instant};

/// A connection to QEMU's debug port; the machine stands still unless it is told to run.
pub(crate) struct Debugger {
    input: BufReader<UnixStream>,
    output: UnixStream,
}

impl Debugger {
    /// Connects to the socket, which may have yet to appear.
    pub(crate) fn connect(socket: &Path) -> Self {
        let deadline = Instant::now() + Duration::from_secs(30);
        let stream = loop {
            match UnixStream::connect(socket) {
                Ok(stream) => break stream,
                Err(error) if Instant::now() > deadline => panic!("{}: {error}", socket.display()),
                Err(_) => std::thread::sleep(Duration::from_millis(20)),
            }
        };
        stream
            .set_read_timeout(Some(Duration::from_secs(60)))
            .unwrap();
        let mut debugger = Self {
            output: stream.try_clone().unwrap(),
            input: BufReader::new(stream),
        };
        // QEMU 7.2 greets with a stop reply of its own. Whatever came is over once this answer is
        // here, which no stop reply can be.
        debugger.send("qAttached");
        while debugger.receive().starts_with('T') {}
        debugger
    }

    /// Runs until the program counter is `address`.
    pub(crate) fn run_to(&mut self, address: u64) {
        assert_eq!(self.ask(&format!("Z0,{address:x},2")), "OK");
        let stopped = self.ask("c");
        assert!(
            stopped.starts_with('T') || stopped.starts_with('S'),
            "{stopped}"
        );
        assert_eq!(self.ask(&format!("z0,{address:x},2")), "OK");
    }

    /// A general register.
    pub(crate) fn register(&mut self, number: u8) -> u64 {
        // `g` gives x0 to x31 and pc, sixteen digits each.
        let all = self.ask("g");
        let first = usize::from(number) * 16;
        u64::from_str_radix(&all[first..first + 16], 16)
            .unwrap()
            .swap_bytes()
    }

    /// From here on, addresses of memory are physical.
    pub(crate) fn physical(&mut self) {
        assert_eq!(self.ask("Qqemu.PhyMemMode:1"), "OK");
    }

    /// From here on, addresses of memory are virtual again.
    pub(crate) fn virtually(&mut self) {
        assert_eq!(self.ask("Qqemu.PhyMemMode:0"), "OK");
    }

    /// Bytes of memory.
    pub(crate) fn bytes(&mut self, address: u64, size: usize) -> Vec<u8> {
        let mut bytes = Vec::new();
        while bytes.len() < size {
            // Half of the smallest packet size that QEMU announces is 2048.
            let next = (size - bytes.len()).min(1024);
            let text = self.ask(&format!("m{:x},{next:x}", address + bytes.len() as u64));
            assert_eq!(text.len(), next * 2, "{text} for {address:#x}");
            let digits = text.as_bytes().chunks(2);
            bytes.extend(digits.map(|pair| {
                let pair = std::str::from_utf8(pair).unwrap();
                u8::from_str_radix(pair, 16).unwrap()
            }));
        }
        bytes
    }

    /// Eight bytes of memory, as a number.
    pub(crate) fn word(&mut self, address: u64) -> u64 {
        u64::from_le_bytes(self.bytes(address, 8).try_into().unwrap())
    }

    /// Stores eight bytes of memory.
    pub(crate) fn store(&mut self, address: u64, value: u64) {
        let digits = value.to_be_bytes().map(|byte| format!("{byte:02x}"));
        let digits: String = digits.into_iter().rev().collect();
        assert_eq!(self.ask(&format!("M{address:x},8:{digits}")), "OK");
    }

    /// How many entries of the table at `address` are valid.
    pub(crate) fn valid_entries(&mut self, address: u64) -> usize {
        let table = self.bytes(address, 4096);
        table.chunks(8).filter(|entry| entry[0] & 1 != 0).count()
    }

    /// Leaves the machine, which goes on.
    pub(crate) fn detach(mut self) {
        assert_eq!(self.ask("D"), "OK");
    }

    fn ask(&mut self, packet: &str) -> String {
        self.send(packet);
        self.receive()
    }

    fn send(&mut self, packet: &str) {
        let sum = packet.bytes().fold(0u8, u8::wrapping_add);
        write!(self.output, "${packet}#{sum:02x}").unwrap();
    }

    /// The next packet's text.
    fn receive(&mut self) -> String {
        while self.byte() != b'$' {}
        let mut text = String::new();
        loop {
            match self.byte() {
                b'#' => break,
                byte => text.push(byte.into()),
            }
        }
        self.byte();
        self.byte();
        self.output.write_all(b"+").unwrap();
        text
    }

    fn byte(&mut self) -> u8 {
        let mut byte = [0];
        self.input.read_exact(&mut byte).unwrap();
        byte[0]
    }
}

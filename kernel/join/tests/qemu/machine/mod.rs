//! A kernel in QEMU, with its console and its debug port at hand.
#![expect(clippy::unwrap_used, reason = "a test ends at its first surprise")]

mod image;
pub(crate) mod line;
pub(crate) mod rsp;
pub(crate) mod selftest;

use std::io::{Read as _, Write as _};
use std::process::{Child, ChildStdin, Command, ExitStatus, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::time::{Duration, Instant};

pub(crate) use self::image::{address_of, kernel};

/// Longer than any of this takes on a slow machine.
const PATIENCE: Duration = Duration::from_secs(120);

/// A running machine; ended when this is dropped.
pub(crate) struct Machine {
    child: Child,
    input: ChildStdin,
    output: Receiver<Vec<u8>>,
    seen: String,
    deadline: Instant,
}

impl Machine {
    /// Boots the kernel with this command line and these further arguments.
    pub(crate) fn boot(command_line: &str, arguments: &[&str]) -> Self {
        let mut child = Command::new("qemu-system-riscv64")
            .args(["-machine", "virt", "-m", "128M", "-bios", "none", "-kernel"])
            .arg(kernel())
            .args(["-append", command_line])
            .args(["-display", "none", "-serial", "stdio", "-monitor", "none"])
            .args(arguments)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap_or_else(|error| {
                panic!("qemu-system-riscv64: {error}; `cargo xtask test` installs it")
            });
        let input = child.stdin.take().unwrap();
        let mut stdout = child.stdout.take().unwrap();
        let (sender, output) = channel();
        std::thread::spawn(move || {
            let mut buffer = [0; 4096];
            while let Ok(size @ 1..) = stdout.read(&mut buffer) {
                if sender.send(buffer[..size].to_vec()).is_err() {
                    break;
                }
            }
        });
        Self {
            child,
            input,
            output,
            seen: String::new(),
            deadline: Instant::now() + PATIENCE,
        }
    }

    /// Types a line.
    pub(crate) fn type_line(&mut self, line: &str) {
        writeln!(self.input, "{line}").unwrap();
    }

    /// Waits until `text` is on the console, and gives what came with it and before it, since the
    /// last time.
    pub(crate) fn expect(&mut self, text: &str) -> String {
        let mut searched = 0;
        loop {
            if let Some(place) = self.seen[searched..].find(text) {
                let place = searched + place;
                let rest = self.seen.split_off(place + text.len());
                return std::mem::replace(&mut self.seen, rest);
            }
            // QEMU sends byte by byte: what was searched is not searched again. All is ASCII.
            searched = self.seen.len().saturating_sub(text.len());
            if !self.receive() {
                panic!(
                    "the machine ended without saying `{text}`; it said:\n{}",
                    self.seen
                );
            }
        }
    }

    /// Waits until each of `texts` is on the console, and gives all of it. Their letters may be mixed up with each
    /// other's, as those of a hart are that says its last words without the console's lock.
    pub(crate) fn expect_mixed(&mut self, texts: &[&str]) -> String {
        while !texts.iter().all(|text| is_among(text, &self.seen)) {
            assert!(
                self.receive(),
                "the machine ended without saying {texts:?}; it said:\n{}",
                self.seen
            );
        }
        std::mem::take(&mut self.seen)
    }

    /// Types a line and gives what is answered, up to the next prompt.
    pub(crate) fn ask(&mut self, line: &str) -> String {
        self.type_line(line);
        self.expect(line);
        self.expect("\n> ")
    }

    /// Waits until the machine has ended by itself; gives what it said last, and how it ended.
    pub(crate) fn end(mut self) -> (String, ExitStatus) {
        while self.receive() {}
        let status = self.child.wait().unwrap();
        (std::mem::take(&mut self.seen), status)
    }

    /// Takes some output in; `false` after the last.
    fn receive(&mut self) -> bool {
        let left = self.deadline.saturating_duration_since(Instant::now());
        match self.output.recv_timeout(left) {
            Ok(bytes) => {
                let shown = |byte: &u8| byte.is_ascii() && *byte != b'\r';
                let text = bytes.into_iter().filter(shown);
                self.seen.extend(text.map(char::from));
                true
            }
            Err(RecvTimeoutError::Disconnected) => false,
            Err(RecvTimeoutError::Timeout) => panic!("the machine hangs; it said:\n{}", self.seen),
        }
    }
}

/// Whether the letters of `text` come one after another in `all`, whatever stands between them.
fn is_among(text: &str, all: &str) -> bool {
    let mut all = all.bytes();
    text.bytes().all(|byte| all.any(|other| other == byte))
}

impl Drop for Machine {
    fn drop(&mut self) {
        // It may have ended by itself; either way it is gone afterwards.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

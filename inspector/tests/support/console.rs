//! The guest's console, as a person types at it.

use std::io::{Read as _, Write as _};
use std::os::unix::net::UnixStream;
use std::time::{Duration, Instant};

use super::{HANG_GUARD, Machine};

/// What every line of the kernel's console ends with.
const PROMPT: &str = "\n> ";

/// How long a prompt is waited for before a line is typed for another.
const SILENCE: Duration = Duration::from_millis(200);

/// A console that has answered.
pub(crate) struct Console {
    stream: UnixStream,
}

impl Console {
    /// Waits for a prompt. What is typed while the machine boots can be lost, and what it prints before
    /// somebody listens is: so empty lines are typed until one is answered.
    pub(crate) fn open(machine: &Machine) -> Self {
        let stream = machine.guest.connect_console().expect("a console");
        let mut console = Self { stream };
        console.set_timeout(SILENCE);
        let deadline = Instant::now() + HANG_GUARD;
        let mut said = Vec::new();
        let mut buffer = [0; 256];
        while !said.ends_with(PROMPT.as_bytes()) {
            assert!(Instant::now() < deadline, "no prompt");
            match console.stream.read(&mut buffer) {
                Ok(count) => said.extend_from_slice(&buffer[..count]),
                Err(_) => console.type_line(""),
            }
        }
        console.set_timeout(HANG_GUARD);
        console
    }

    /// Types a line; gives what is answered, up to the next prompt.
    pub(crate) fn ask(&mut self, line: &str) -> String {
        self.type_line(line);
        // Prompts before the line's echo are older.
        self.read_until(line);
        self.read_until(PROMPT)
    }

    /// Types a line.
    pub(crate) fn type_line(&mut self, line: &str) {
        writeln!(self.stream, "{line}").expect("the console takes it");
    }

    /// What is said up to `end`.
    pub(crate) fn read_until(&mut self, end: &str) -> String {
        let mut said = String::new();
        let mut byte = [0];
        while !said.ends_with(end) {
            if let Err(error) = self.stream.read_exact(&mut byte) {
                panic!("no `{end}` ({error}) after:\n{said}");
            }
            said.push(char::from(byte[0]));
        }
        said
    }

    fn set_timeout(&self, time: Duration) {
        let set = self.stream.set_read_timeout(Some(time));
        set.expect("a socket takes a timeout");
    }
}

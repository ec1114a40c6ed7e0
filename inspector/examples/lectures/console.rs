//! The guest's console, as a person types at it.

use std::error::Error;
use std::io::{Read as _, Write as _};
use std::os::unix::net::UnixStream;
use std::time::{Duration, Instant};

use pagescope::link::Guest;

/// What every line of the kernel's console ends with.
const PROMPT: &str = "\n> ";
const SILENCE: Duration = Duration::from_millis(200);
const HANG_GUARD: Duration = Duration::from_secs(120);

/// A console that has answered.
pub(crate) struct Console {
    stream: UnixStream,
}

impl Console {
    /// Waits for a prompt: empty lines are typed until one is answered.
    pub(crate) fn open(guest: &Guest) -> Result<Self, Box<dyn Error>> {
        let mut stream = guest.connect_console()?;
        stream.set_read_timeout(Some(SILENCE))?;
        let deadline = Instant::now() + HANG_GUARD;
        let mut said = Vec::new();
        let mut buffer = [0; 256];
        while !said.ends_with(PROMPT.as_bytes()) {
            if Instant::now() > deadline {
                return Err("the console has no prompt".into());
            }
            match stream.read(&mut buffer) {
                Ok(count) => said.extend_from_slice(&buffer[..count]),
                Err(_) => writeln!(stream)?,
            }
        }
        stream.set_read_timeout(Some(HANG_GUARD))?;
        Ok(Self { stream })
    }

    /// Types a line; gives what is answered, up to the next prompt.
    pub(crate) fn ask(&mut self, line: &str) -> Result<String, Box<dyn Error>> {
        writeln!(self.stream, "{line}")?;
        // Prompts before the line's echo are older.
        self.read_until(line)?;
        let said = self.read_until(PROMPT)?;
        Ok(said.trim_end_matches(PROMPT).to_owned())
    }

    fn read_until(&mut self, end: &str) -> Result<String, Box<dyn Error>> {
        let mut said = String::new();
        let mut byte = [0];
        while !said.ends_with(end) {
            self.stream.read_exact(&mut byte)?;
            said.push(char::from(byte[0]));
        }
        Ok(said)
    }
}

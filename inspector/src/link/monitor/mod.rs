//! QEMU's monitor on a socket of its own: what can be asked of a machine *while it runs*.
//!
//! ```text
//!  -qmp unix:PATH,server=on,wait=off      {"QMP": {"version": …}}      JSON lines      qmp
//!  -monitor unix:PATH,server=on,wait=off  QEMU 7.2.22 monitor - type…  a prompt        hmp
//!                                                 │
//!                        who speaks first, and so ▼ how    Monitor ──▶ registers, RAM's file, status
//! ```
//!
//! Connecting to it does not touch the machine, as connecting to the gdb port does. Both forms serve one
//! client at a time; a second one waits unheard until the first has gone.
//!
//! # What `info registers -a` tells of a running machine
//! Measured on QEMU 7.2.22 and read in `monitor/hmp-cmds.c`, `target/riscv/cpu.c` and
//! `accel/tcg/tcg-accel-ops.c`: the command runs on QEMU's main thread with the big lock held, and
//! `cpu_synchronize_state` does nothing under TCG. So no hart is stopped or kicked; one that comes to a device
//! waits for the lock, about half a millisecond a call. It also means that harts run on while they are
//! printed:
//! - satp is one 64-bit store of `csrw satp`, which ends its translation block: it is never half written, but
//!   can be old or new by the time it is read;
//! - pc and the integer registers are those of the last block's end, and need not fit each other;
//! - the privilege mode is not printed, and in 7.2 neither are vsatp and hgatp. With V = 1 the satp that is
//!   printed is the guest's own ([`super::virtualized`]).
//!
//! So a capture of a running guest reads twice and believes what stayed ([`crate::capture::settle`]).
//!
//! Invariants: what the other side says is bounded in length and in time, and never trusted to be in order;
//! every wait ends within 50 ms of a [`Cancel`].

mod hmp;
mod qmp;
mod ram;
pub mod registers;
mod stream;
mod target;

use std::time::{Duration, Instant};

use super::memory::peer::Peer;
use super::{Address, Cancel, LinkError};
use stream::Stream;

pub use ram::RAM_FILE_OPTIONS;
pub use target::{MonitorOptions, MonitorTarget};

/// Longest answer that is taken, in bytes: registers of 512 harts are a tenth of it.
const MAX_ANSWER_BYTES: usize = 16 << 20;

/// Longest greeting, in bytes.
const MAX_GREETING_BYTES: usize = 4096;

/// How a gdb port greets whoever has just stopped its machine by connecting (QEMU before 8.1).
const STOP_REPLY: &[u8] = b"$T";

/// What lets that machine run again: the greeting acknowledged, and gdb's `D`.
const DETACH: &[u8] = b"+$D#44";

/// Most lines of QMP that may pass before the one that answers: events, and answers to nobody.
const MAX_PASSED_LINES: usize = 10_000;

/// The two forms.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Form {
    /// Lines of JSON.
    Qmp,
    /// A prompt for people.
    Hmp,
}

/// A connection to QEMU's monitor.
#[derive(Debug)]
pub struct Monitor {
    stream: Stream,
    form: Form,
    timeout: Duration,
    /// The number of the last QMP command.
    last_id: u64,
}

/// What the machine does, as QEMU says it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Status {
    /// Whether its harts run.
    pub is_running: bool,
    /// In QEMU's word: `running`, `paused`, `prelaunch`, `debug`, `shutdown`.
    pub word: String,
}

impl Monitor {
    /// Connects, which leaves the machine as it is.
    ///
    /// # Errors
    /// When nobody is there, or somebody who is no monitor, or who serves another client.
    pub fn connect(
        address: &Address,
        timeout: Duration,
        cancel: Cancel,
    ) -> Result<Self, LinkError> {
        let stream = Stream::connect(address, timeout, cancel)?;
        let mut monitor = Self {
            stream,
            form: Form::Hmp,
            timeout,
            last_id: 0,
        };
        monitor.greet()?;
        Ok(monitor)
    }

    /// Where it is.
    pub fn address(&self) -> &Address {
        self.stream.address()
    }

    /// Who is at the other end.
    pub fn peer(&self) -> Peer {
        self.stream.peer()
    }

    /// Whether it can still be asked.
    pub fn is_alive(&self) -> bool {
        self.stream.is_alive()
    }

    /// From now on each answer may take this long and nothing cancels it: for leaving.
    pub fn hurry(&mut self, timeout: Duration) {
        self.timeout = self.timeout.min(timeout);
        self.stream.ignore_cancel();
    }

    /// Who speaks first says how to go on.
    fn greet(&mut self) -> Result<(), LinkError> {
        let deadline = self.deadline();
        self.stream
            .wait_until(deadline, MAX_GREETING_BYTES, |heard| {
                qmp::is_greeting(heard).is_some()
            })?;
        if qmp::is_greeting(self.stream.heard()) == Some(true) {
            self.stream.take_line(deadline, MAX_GREETING_BYTES)?;
            self.form = Form::Qmp;
            return self
                .ask_qmp(qmp::CAPABILITIES, deadline)?
                .map(drop)
                .map_err(|why| self.refused("qmp_capabilities", why));
        }
        self.stream
            .wait_until(deadline, MAX_GREETING_BYTES, |heard| {
                hmp::ends_with_prompt(heard) || !hmp::may_be_greeting(heard)
            })?;
        let greeting = self.stream.take();
        if hmp::may_be_greeting(&greeting) && hmp::ends_with_prompt(&greeting) {
            return Ok(());
        }
        if greeting.starts_with(STOP_REPLY) {
            // It runs on, if only it is asked to; what becomes of that, the error below does not depend on.
            let _ = self.stream.send(DETACH, deadline);
            let _ = self
                .stream
                .wait_until(deadline, MAX_GREETING_BYTES, |heard| {
                    heard.ends_with(b"$OK#9a")
                });
        }
        Err(LinkError::NotAMonitor {
            address: self.address().clone(),
            what: super::rsp::escaped(&greeting[..greeting.len().min(48)]),
        })
    }

    /// What the monitor prints for this command, which is one for people: `info mtree -f`.
    ///
    /// # Errors
    /// When the monitor is lost, silent or refuses.
    pub fn command(&mut self, command: &str) -> Result<String, LinkError> {
        let deadline = self.deadline();
        match self.form {
            Form::Qmp => {
                let answer = self.ask_qmp(qmp::Execute::for_people(command), deadline)?;
                let answer = answer.map_err(|why| self.refused(command, why))?;
                let text = answer.as_str().unwrap_or_default();
                Ok(text.replace("\r\n", "\n"))
            }
            Form::Hmp => {
                // A control character would be taken for an editing key.
                let line: String = command.chars().filter(|c| !c.is_control()).collect();
                self.stream.send(format!("{line}\n").as_bytes(), deadline)?;
                self.stream
                    .wait_until(deadline, MAX_ANSWER_BYTES, hmp::is_whole)?;
                Ok(hmp::answer(&self.stream.take()))
            }
        }
    }

    /// What the machine does.
    ///
    /// # Errors
    /// When the monitor is lost or its answer makes no sense.
    pub fn status(&mut self) -> Result<Status, LinkError> {
        let status = match self.form {
            Form::Qmp => {
                let deadline = self.deadline();
                let answer = self.ask_qmp(qmp::QUERY_STATUS, deadline)?;
                answer.ok().as_ref().and_then(qmp::status)
            }
            Form::Hmp => hmp::status(&self.command("info status")?),
        };
        status.ok_or_else(|| {
            self.stream
                .nonsense("it does not say whether the machine runs")
        })
    }

    /// Sends a QMP command and waits for its answer: what it returns, or why it is refused.
    fn ask_qmp(
        &mut self,
        execute: qmp::Execute<'_>,
        deadline: Instant,
    ) -> Result<Result<serde_json::Value, String>, LinkError> {
        self.last_id += 1;
        let line = execute.line(self.last_id);
        self.stream.send(line.as_bytes(), deadline)?;
        for _ in 0..MAX_PASSED_LINES {
            let line = self.stream.take_line(deadline, MAX_ANSWER_BYTES)?;
            match qmp::answer(&line, self.last_id) {
                Ok(Some(answer)) => return Ok(answer),
                Ok(None) => {}
                Err(what) => return Err(self.stream.nonsense(&what)),
            }
        }
        Err(self.stream.nonsense("it speaks and does not answer"))
    }

    fn deadline(&self) -> Instant {
        Instant::now() + self.timeout
    }

    fn refused(&self, command: &str, answer: String) -> LinkError {
        LinkError::MonitorRefused {
            command: command.to_owned(),
            answer,
        }
    }
}

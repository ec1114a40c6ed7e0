//! The byte stream of a monitor, with its deadlines and its ends.

use std::io::{self, Read, Write};
use std::time::{Duration, Instant};

use crate::link::memory::peer::Peer;
use crate::link::transport::Transport;
use crate::link::{Address, Cancel, LinkError};

/// Bytes read at once.
const READ_BYTES: usize = 1 << 14;

/// One connection.
#[derive(Debug)]
pub(super) struct Stream {
    transport: Transport,
    address: Address,
    cancel: Cancel,
    timeout: Duration,
    /// What has come and was not asked for yet.
    heard: Vec<u8>,
    is_dead: bool,
}

impl Stream {
    pub(super) fn connect(
        address: &Address,
        timeout: Duration,
        cancel: Cancel,
    ) -> Result<Self, LinkError> {
        let transport =
            Transport::connect(address, timeout, &cancel).map_err(|error| match error {
                LinkError::ConnectionRefused { address } => LinkError::NoMonitor { address },
                LinkError::NoAnswer { address, waited } => {
                    LinkError::MonitorSilent { address, waited }
                }
                other => other,
            })?;
        Ok(Self {
            transport,
            address: address.clone(),
            cancel,
            timeout,
            heard: Vec::new(),
            is_dead: false,
        })
    }

    pub(super) fn address(&self) -> &Address {
        &self.address
    }

    pub(super) fn is_alive(&self) -> bool {
        !self.is_dead
    }

    pub(super) fn ignore_cancel(&mut self) {
        self.cancel = Cancel::new();
    }

    /// Sends all of `bytes`. What comes meanwhile is kept, so that two sides that both send cannot wait for
    /// each other.
    pub(super) fn send(&mut self, bytes: &[u8], deadline: Instant) -> Result<(), LinkError> {
        let mut rest = bytes;
        while !rest.is_empty() {
            self.check()?;
            match self.transport.write(rest) {
                Ok(0) => return Err(self.lost("it takes nothing more")),
                Ok(count) => rest = &rest[count..],
                Err(error) if waits(&error) => {
                    self.read_some(super::MAX_ANSWER_BYTES)?;
                    self.wait(true, deadline)?;
                }
                Err(error) => return Err(self.lost(&error.to_string())),
            }
        }
        Ok(())
    }

    /// Waits until what has come is enough; `is_enough` is asked with all of it. At most `most` bytes.
    pub(super) fn wait_until(
        &mut self,
        deadline: Instant,
        most: usize,
        is_enough: impl Fn(&[u8]) -> bool,
    ) -> Result<(), LinkError> {
        while !is_enough(&self.heard) {
            self.hear_more(deadline, most)?;
        }
        Ok(())
    }

    /// What has come.
    pub(super) fn heard(&self) -> &[u8] {
        &self.heard
    }

    /// What has come, which is used up by that.
    pub(super) fn take(&mut self) -> Vec<u8> {
        std::mem::take(&mut self.heard)
    }

    /// The next line, of at most `most` bytes. Each byte is looked at once.
    pub(super) fn take_line(
        &mut self,
        deadline: Instant,
        most: usize,
    ) -> Result<Vec<u8>, LinkError> {
        let mut looked_at = 0;
        loop {
            let new = self.heard[looked_at..].iter();
            if let Some(end) = { new }.position(|byte| *byte == b'\n') {
                return Ok(self.heard.drain(..=looked_at + end).collect());
            }
            looked_at = self.heard.len();
            self.hear_more(deadline, most)?;
        }
    }

    fn hear_more(&mut self, deadline: Instant, most: usize) -> Result<(), LinkError> {
        if self.heard.len() >= most {
            return Err(self.nonsense("its answer does not end"));
        }
        self.check()?;
        if !self.read_some(most)? {
            self.wait(false, deadline)?;
        }
        Ok(())
    }

    /// Which process is at the other end.
    pub(super) fn peer(&self) -> Peer {
        self.transport.peer()
    }

    /// Reads what is there; whether anything was.
    fn read_some(&mut self, most: usize) -> Result<bool, LinkError> {
        let mut buffer = [0; READ_BYTES];
        match self.transport.read(&mut buffer) {
            Ok(0) => Err(self.lost("it was closed")),
            Ok(count) if self.heard.len() + count > most + READ_BYTES => {
                Err(self.nonsense("it says more than anybody asked for"))
            }
            Ok(count) => {
                self.heard.extend_from_slice(&buffer[..count]);
                Ok(true)
            }
            Err(error) if waits(&error) => Ok(false),
            Err(error) => Err(self.lost(&error.to_string())),
        }
    }

    fn check(&self) -> Result<(), LinkError> {
        if self.is_dead {
            return Err(LinkError::Lost {
                address: self.address.clone(),
                why: "it had ended before".to_owned(),
            });
        }
        if self.cancel.is_cancelled() {
            return Err(LinkError::Cancelled);
        }
        Ok(())
    }

    fn wait(&mut self, wants_write: bool, deadline: Instant) -> Result<(), LinkError> {
        let left = deadline.saturating_duration_since(Instant::now());
        if left.is_zero() {
            // An answer that comes later would be taken for the next one's.
            self.is_dead = true;
            return Err(LinkError::MonitorSilent {
                address: self.address.clone(),
                waited: self.timeout,
            });
        }
        match self.transport.wait(wants_write, left) {
            Ok(()) => Ok(()),
            Err(error) => Err(self.lost(&error.to_string())),
        }
    }

    fn lost(&mut self, why: &str) -> LinkError {
        self.is_dead = true;
        LinkError::Lost {
            address: self.address.clone(),
            why: why.to_owned(),
        }
    }

    /// The other side's words make no sense, and nothing later will.
    pub(super) fn nonsense(&mut self, what: &str) -> LinkError {
        self.is_dead = true;
        LinkError::MonitorNonsense {
            address: self.address.clone(),
            what: what.to_owned(),
        }
    }
}

fn waits(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted
    )
}

//! The byte stream of one connection, with its deadlines and its ends.
//!
//! Invariants: writing never keeps reading from happening, so two sides that both send cannot wait
//! for each other; nothing waits past its deadline or a [`Cancel`]; once the stream has ended,
//! everything fails at once.

use std::io::{self, Read, Write};
use std::time::{Duration, Instant};

use super::packet::{Decoder, Incoming, push_packet};
use crate::link::memory::peer::Peer;
use crate::link::traffic::{Traffic, Way};
use crate::link::transport::Transport;
use crate::link::{Address, Cancel, LinkError};

/// Most bytes that wait to be sent. A window of requests is far below it; only acknowledgements of
/// packets that nobody asked for can pile up.
const MAX_UNSENT_BYTES: usize = 1 << 20;

/// Bytes of a foreign server's answer that are shown.
const SHOWN_BYTES: usize = 48;

/// Bytes read at once.
const READ_BYTES: usize = 1 << 16;

/// How servers begin that are often mistaken for a stub.
const FOREIGN: [&[u8]; 2] = [b"HTTP/", b"SSH-"];

/// One connection.
#[derive(Debug)]
pub(super) struct Wire {
    transport: Transport,
    address: Address,
    decoder: Decoder,
    out: Vec<u8>,
    buffer: Box<[u8]>,
    timeout: Duration,
    cancel: Cancel,
    heard: Vec<u8>,
    spoke: bool,
    dead: bool,
    traffic: Traffic,
}

impl Wire {
    pub(super) fn connect(
        address: &Address,
        timeout: Duration,
        cancel: Cancel,
    ) -> Result<Self, LinkError> {
        Ok(Self {
            transport: Transport::connect(address, timeout, &cancel)?,
            address: address.clone(),
            decoder: Decoder::new(),
            out: Vec::new(),
            buffer: vec![0; READ_BYTES].into_boxed_slice(),
            timeout,
            cancel,
            heard: Vec::new(),
            spoke: false,
            dead: false,
            traffic: Traffic::new(),
        })
    }

    pub(super) fn is_lossy(&self) -> bool {
        self.transport.is_lossy()
    }

    pub(super) fn peer(&self) -> Peer {
        self.transport.peer()
    }

    /// Whether the stream can still be used.
    pub(super) fn is_alive(&self) -> bool {
        !self.dead
    }

    /// Whether a packet has come: then the other side is a stub.
    pub(super) fn spoke(&self) -> bool {
        self.spoke
    }

    pub(super) fn is_cancelled(&self) -> bool {
        self.cancel.is_cancelled()
    }

    pub(super) fn hurry(&mut self, timeout: Duration) {
        self.timeout = self.timeout.min(timeout);
        self.cancel = Cancel::new();
    }

    /// When a reply that is asked for now has to be there.
    pub(super) fn deadline(&self) -> Instant {
        Instant::now() + self.timeout
    }

    /// Adds a packet to what goes out next.
    pub(super) fn queue(&mut self, request: &[u8]) {
        self.traffic.note(Way::Sent, request);
        push_packet(request, &mut self.out);
    }

    /// Adds one byte to what goes out next.
    pub(super) fn queue_byte(&mut self, byte: u8) {
        self.out.push(byte);
    }

    /// What the last packet says.
    pub(super) fn payload(&self) -> &[u8] {
        self.decoder.payload()
    }

    /// What went over it.
    pub(super) fn traffic(&mut self) -> &mut Traffic {
        &mut self.traffic
    }

    /// The next thing among the bytes that are here.
    pub(super) fn ready(&mut self) -> Option<Incoming> {
        let incoming = self.decoder.next_incoming();
        if incoming == Some(Incoming::Packet) {
            self.spoke = true;
            self.traffic.note(Way::Came, self.decoder.payload());
        }
        incoming
    }

    /// Ends the connection, without sending what still waits.
    pub(super) fn close(&mut self) {
        self.out.clear();
        self.dead = true;
    }

    /// Waits for the next thing that comes.
    pub(super) fn next_incoming(&mut self, deadline: Instant) -> Result<Incoming, LinkError> {
        loop {
            if let Some(incoming) = self.ready() {
                return Ok(incoming);
            }
            if !self.pump(deadline)? {
                return Err(self.silence());
            }
            if !self.spoke && FOREIGN.iter().any(|banner| self.heard.starts_with(banner)) {
                return Err(self.foreign());
            }
        }
    }

    /// Moves bytes, or waits a slice for the chance to. `false` once the deadline has passed.
    pub(super) fn pump(&mut self, deadline: Instant) -> Result<bool, LinkError> {
        if self.cancel.is_cancelled() {
            return Err(LinkError::Cancelled);
        }
        let wrote = self.write_some()?;
        if self.read_some()? || wrote {
            return Ok(true);
        }
        let left = deadline.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Ok(false);
        }
        let waited = self.transport.wait(!self.out.is_empty(), left);
        waited.map_err(|error| self.lost(&error.to_string()))?;
        Ok(true)
    }

    /// Sends what waits.
    pub(super) fn send_all(&mut self) -> Result<(), LinkError> {
        let deadline = Instant::now() + self.timeout;
        while !self.out.is_empty() {
            if !self.pump(deadline)? {
                return Err(self.silence());
            }
        }
        Ok(())
    }

    /// Writes what the peer takes; whether that was anything.
    pub(super) fn write_some(&mut self) -> Result<bool, LinkError> {
        if self.dead {
            return Err(self.lost("it had ended before"));
        }
        if self.out.is_empty() {
            return Ok(false);
        }
        if self.out.len() > MAX_UNSENT_BYTES {
            return Err(self.ended("it sends without reading"));
        }
        match self.transport.write(&self.out) {
            Ok(count) => {
                self.out.drain(..count);
                Ok(count > 0)
            }
            Err(error) if is_momentary(&error) => Ok(false),
            Err(error) => Err(self.ended(&error.to_string())),
        }
    }

    /// Reads what there is; whether that was anything.
    fn read_some(&mut self) -> Result<bool, LinkError> {
        match self.transport.read(&mut self.buffer) {
            // A terminal in raw mode reads as nothing when it has nothing.
            Ok(0) if self.transport.is_lossy() => Ok(false),
            Ok(0) => Err(self.ended("the other side closed it")),
            Ok(count) => {
                let bytes = &self.buffer[..count];
                let room = SHOWN_BYTES.saturating_sub(self.heard.len());
                self.heard.extend(bytes.iter().take(room));
                self.decoder.extend(bytes);
                Ok(true)
            }
            Err(error) if is_momentary(&error) => Ok(false),
            Err(error) => Err(self.ended(&error.to_string())),
        }
    }

    /// The connection ended, or somebody who is no stub ended it.
    fn ended(&mut self, why: &str) -> LinkError {
        if !self.spoke && self.heard.iter().any(|byte| *byte != b'+') {
            return self.foreign();
        }
        self.lost(why)
    }

    /// The error for a peer that does not answer.
    pub(super) fn silence(&mut self) -> LinkError {
        if !self.spoke && self.heard.iter().any(|byte| *byte != b'+') {
            // It may be a console on a serial port: the connection can be used on.
            return self.not_a_stub();
        }
        LinkError::NoAnswer {
            address: self.address.clone(),
            waited: self.timeout,
        }
    }

    fn foreign(&mut self) -> LinkError {
        self.dead = true;
        self.not_a_stub()
    }

    fn not_a_stub(&self) -> LinkError {
        LinkError::NotAStub {
            address: self.address.clone(),
            what: escaped(&self.heard),
        }
    }

    /// Ends the connection; the error says why.
    pub(super) fn lost(&mut self, why: &str) -> LinkError {
        self.dead = true;
        LinkError::Lost {
            address: self.address.clone(),
            why: why.to_owned(),
        }
    }

    /// The error for a stub that does `what`.
    pub(super) fn protocol(&self, what: &str) -> LinkError {
        LinkError::Protocol {
            address: self.address.clone(),
            what: what.to_owned(),
        }
    }
}

fn is_momentary(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted
    )
}

/// `bytes` as text that can be shown, however they came.
pub fn escaped(bytes: &[u8]) -> String {
    bytes.escape_ascii().to_string()
}

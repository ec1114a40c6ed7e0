//! Requests and the replies that belong to them.
//!
//! ```text
//!  pipeline ──▶ $m80000000,800#xx $m80000800,800#xx …  ──▶ stub      at most `window` outstanding
//!           ◀── + $…#xx + $…#xx …                      ◀──           in the order of the requests
//! ```
//!
//! A stub answers in order, so the n-th reply is the n-th request's. What would break this:
//! - Stop replies that nobody waits for. QEMU before 8.1 sends one when connecting stops the
//!   machine (`gdb_vm_state_change`). They are told from replies by their first letter and kept.
//! - A batch that is given up, by [`Cancel`] or timeout, leaves replies on their way: they are
//!   counted as owed, and thrown away when they come.
//! - A damaged reply still takes its place; its request is sent again later, alone. (Asking for it
//!   with `-` would give the stub's newest packet, which may be another.)
//!
//! QEMU's thread blocks while it sends, so this side reads while it writes. Acknowledgements go out
//! with the next requests; QEMU takes a `$` for one (`gdb_read_byte`).

use std::io::{self, Read, Write};
use std::time::{Duration, Instant};

use super::hex;
use super::packet::{Decoder, Incoming, push_packet};
use super::stop::StopPacket;
use crate::link::transport::Transport;
use crate::link::{Address, Cancel, LinkError};

/// Most requests outstanding. Measured on QEMU 7.2: no faster beyond it.
const WINDOW: usize = 16;

/// Most damaged packets in a row until the link is given up.
const MAX_DAMAGED: u32 = 8;

/// Most console output that is kept until somebody takes it, in bytes.
const MAX_CONSOLE_BYTES: usize = 1 << 16;

/// Most text that a monitor command may print, in bytes.
const MAX_MONITOR_BYTES: usize = 4 << 20;

/// Most bytes that wait to be sent. A window of requests is far below it; only acknowledgements of
/// packets that nobody asked for can pile up.
const MAX_UNSENT_BYTES: usize = 1 << 20;

/// Bytes of a foreign server's answer that are shown.
const SHOWN_BYTES: usize = 48;

/// Bytes read at once.
const READ_BYTES: usize = 1 << 16;

/// The client's side of one connection.
#[derive(Debug)]
pub struct Client {
    transport: Transport,
    address: Address,
    decoder: Decoder,
    out: Vec<u8>,
    buffer: Box<[u8]>,
    window: usize,
    timeout: Duration,
    cancel: Cancel,
    owed: usize,
    damaged: u32,
    console: Vec<u8>,
    stopped: Option<StopPacket>,
    heard: Vec<u8>,
    spoke: bool,
    dead: bool,
}

impl Client {
    /// Connects. Says nothing yet.
    ///
    /// # Errors
    /// When nobody is there.
    pub fn connect(
        address: &Address,
        timeout: Duration,
        cancel: Cancel,
    ) -> Result<Self, LinkError> {
        let transport = Transport::connect(address, timeout, &cancel)?;
        Ok(Self {
            window: if transport.is_lossy() { 1 } else { WINDOW },
            transport,
            address: address.clone(),
            decoder: Decoder::new(),
            out: Vec::new(),
            buffer: vec![0; READ_BYTES].into_boxed_slice(),
            timeout,
            cancel,
            owed: 0,
            damaged: 0,
            console: Vec::new(),
            stopped: None,
            heard: Vec::new(),
            spoke: false,
            dead: false,
        })
    }

    /// Where the stub is.
    pub fn address(&self) -> &Address {
        &self.address
    }

    /// Whether the connection can still be used.
    pub fn is_alive(&self) -> bool {
        !self.dead
    }

    /// Whether a stub has answered.
    pub fn is_stub(&self) -> bool {
        self.spoke
    }

    /// From here on waits at most `timeout` for a reply, whatever the [`Cancel`] says: for leaving.
    pub fn hurry(&mut self, timeout: Duration) {
        self.timeout = self.timeout.min(timeout);
        self.cancel = Cancel::new();
    }

    /// The stop reply that came without being waited for, if one did.
    pub fn take_unsolicited_stop(&mut self) -> Option<StopPacket> {
        self.stopped.take()
    }

    /// Console output since the last call.
    pub fn take_console(&mut self) -> Vec<u8> {
        std::mem::take(&mut self.console)
    }

    /// Sends one request and returns its reply.
    ///
    /// # Errors
    /// When no reply comes.
    pub fn request(&mut self, request: &[u8]) -> Result<Vec<u8>, LinkError> {
        let mut reply = Vec::new();
        self.pipeline(
            1,
            |_, out| out.extend_from_slice(request),
            |_, payload| {
                reply = payload.to_vec();
                Ok(())
            },
        )?;
        Ok(reply)
    }

    /// Sends `count` requests, a window of them at a time. `encode` writes the request with the
    /// given number; `take` gets its reply, and says what is wrong with it. Replies come in order,
    /// except that a request whose reply was damaged is asked again at the end.
    ///
    /// # Errors
    /// When not all replies come, or one makes no sense.
    pub fn pipeline(
        &mut self,
        count: usize,
        mut encode: impl FnMut(usize, &mut Vec<u8>),
        mut take: impl FnMut(usize, &[u8]) -> Result<(), String>,
    ) -> Result<(), LinkError> {
        let mut numbers: Vec<usize> = (0..count).collect();
        let mut again = Vec::new();
        self.batch(&numbers, &mut encode, &mut take, &mut again, None)?;
        while !again.is_empty() {
            numbers = std::mem::take(&mut again);
            for number in &numbers {
                let number = std::slice::from_ref(number);
                self.batch(number, &mut encode, &mut take, &mut again, None)?;
            }
        }
        Ok(())
    }

    /// Gives a command to the stub's monitor: what it prints, and its reply.
    ///
    /// # Errors
    /// When no reply comes.
    pub fn monitor(&mut self, command: &str) -> Result<(Vec<u8>, Vec<u8>), LinkError> {
        let mut printed = Vec::new();
        let mut reply = Vec::new();
        let request = format!("qRcmd,{}", hex::encode(command.as_bytes()));
        // Not asked again when damaged: a command can have effects.
        let mut again = Vec::new();
        self.batch(
            &[0],
            &mut |_, out: &mut Vec<u8>| out.extend_from_slice(request.as_bytes()),
            &mut |_, payload: &[u8]| {
                reply = payload.to_vec();
                Ok(())
            },
            &mut again,
            Some(&mut printed),
        )?;
        if !again.is_empty() {
            return Err(self.protocol("what its monitor prints arrives damaged"));
        }
        Ok((printed, reply))
    }

    /// One batch of [`pipeline`](Self::pipeline). Numbers whose reply was damaged go to `again`.
    fn batch(
        &mut self,
        numbers: &[usize],
        encode: &mut dyn FnMut(usize, &mut Vec<u8>),
        take: &mut dyn FnMut(usize, &[u8]) -> Result<(), String>,
        again: &mut Vec<usize>,
        mut printed: Option<&mut Vec<u8>>,
    ) -> Result<(), LinkError> {
        let mut request = Vec::new();
        let mut unsent = numbers.iter();
        let mut outstanding = 0;
        for &number in numbers {
            while outstanding < self.window
                && let Some(&next) = unsent.next()
            {
                request.clear();
                encode(next, &mut request);
                push_packet(&request, &mut self.out);
                outstanding += 1;
            }
            let reply = self.reply(&request, outstanding, printed.as_deref_mut());
            match reply {
                Ok(true) => {
                    outstanding -= 1;
                    if let Err(what) = take(number, self.decoder.payload()) {
                        self.owed += outstanding;
                        return Err(self.protocol(&what));
                    }
                }
                Ok(false) => {
                    outstanding -= 1;
                    again.push(number);
                }
                Err(error) => {
                    self.owed += outstanding;
                    return Err(error);
                }
            }
        }
        // The last acknowledgement has no request to go out with.
        self.write_some().map(drop)
    }

    /// Waits for the reply to the oldest of `outstanding` requests, the newest of which is
    /// `request`. `false`: it came damaged.
    fn reply(
        &mut self,
        request: &[u8],
        outstanding: usize,
        mut printed: Option<&mut Vec<u8>>,
    ) -> Result<bool, LinkError> {
        let mut deadline = Instant::now() + self.timeout;
        loop {
            match self.next_incoming(deadline)? {
                Incoming::Ack | Incoming::Notification => {}
                Incoming::Nak => {
                    self.count_damage("our packets arrive damaged")?;
                    if outstanding != 1 {
                        return Err(self.protocol("it refuses a packet, without saying which"));
                    }
                    push_packet(request, &mut self.out);
                }
                Incoming::TooLong => return Err(self.protocol("a packet does not end")),
                Incoming::Damaged => {
                    self.count_damage("its packets arrive damaged")?;
                    // Before the first packet it is more likely something else altogether, such as
                    // a console's output.
                    if self.spoke {
                        self.out.push(b'+');
                        if self.owed == 0 {
                            return Ok(false);
                        }
                        self.owed -= 1;
                    }
                }
                Incoming::Packet => {
                    self.out.push(b'+');
                    self.damaged = 0;
                    self.spoke = true;
                    let payload = self.decoder.payload();
                    if StopPacket::is_one(payload) {
                        self.stopped = StopPacket::parse(payload).or(self.stopped);
                    } else if is_console(payload) {
                        let text = hex::decode(&payload[1..]).unwrap_or_default();
                        match printed.as_deref_mut().filter(|_| self.owed == 0) {
                            None => self.note_console(&text),
                            Some(printed) if printed.len() > MAX_MONITOR_BYTES => {
                                return Err(self.protocol("its monitor does not stop printing"));
                            }
                            Some(printed) => {
                                printed.extend(text);
                                deadline = Instant::now() + self.timeout;
                            }
                        }
                    } else if self.owed > 0 {
                        self.owed -= 1;
                    } else {
                        return Ok(true);
                    }
                }
            }
            // A peer that talks without answering is as good as silent.
            if Instant::now() > deadline {
                return Err(self.silence());
            }
        }
    }

    /// Sends a request that lets the machine run; it is answered when the machine stops.
    ///
    /// # Errors
    /// When the connection is lost.
    pub fn start(&mut self, request: &[u8]) -> Result<(), LinkError> {
        self.stopped = None;
        push_packet(request, &mut self.out);
        self.send_all()
    }

    /// Sends the byte that stops a running machine.
    ///
    /// # Errors
    /// When the connection is lost.
    pub fn interrupt(&mut self) -> Result<(), LinkError> {
        self.out.push(INTERRUPT);
        self.send_all()
    }

    /// Sends the last request of a connection. Its reply is not acknowledged: the machine may run
    /// by then, and any byte would stop it.
    ///
    /// # Errors
    /// When no reply comes.
    pub fn farewell(&mut self, request: &[u8]) -> Result<(), LinkError> {
        push_packet(request, &mut self.out);
        self.reply(request, 1, None)?;
        self.out.clear();
        self.dead = true;
        Ok(())
    }

    /// Waits for the machine to stop, at most `limit`. `None`: it runs, or the wait was cancelled.
    ///
    /// # Errors
    /// When the connection is lost, or the stub refuses what [`start`](Self::start) sent.
    pub fn wait_for_stop(&mut self, limit: Duration) -> Result<Option<StopPacket>, LinkError> {
        let deadline = Instant::now() + limit;
        loop {
            if let Some(stop) = self.stopped.take() {
                self.write_some()?;
                return Ok(Some(stop));
            }
            let Some(incoming) = self.decoder.next_incoming() else {
                match self.pump(deadline) {
                    Ok(true) => continue,
                    Ok(false) | Err(LinkError::Cancelled) => return Ok(None),
                    Err(error) => return Err(error),
                }
            };
            match incoming {
                Incoming::Ack | Incoming::Notification => {}
                Incoming::Nak => return Err(self.protocol("it refuses to resume")),
                Incoming::TooLong => return Err(self.protocol("a packet does not end")),
                Incoming::Damaged => {
                    self.count_damage("its packets arrive damaged")?;
                    self.out.push(b'-');
                }
                Incoming::Packet => {
                    self.out.push(b'+');
                    self.damaged = 0;
                    let payload = self.decoder.payload();
                    if StopPacket::is_one(payload) {
                        self.stopped = StopPacket::parse(payload);
                    } else if is_console(payload) {
                        let text = hex::decode(&payload[1..]).unwrap_or_default();
                        self.note_console(&text);
                    } else if self.owed > 0 {
                        self.owed -= 1;
                    } else if payload.first().is_none_or(|first| *first == b'E') {
                        return Err(LinkError::Refused {
                            packet: "resuming".to_owned(),
                            code: escaped(payload),
                        });
                    }
                }
            }
            if self.stopped.is_none() && Instant::now() > deadline {
                return Ok(None);
            }
        }
    }

    fn next_incoming(&mut self, deadline: Instant) -> Result<Incoming, LinkError> {
        loop {
            if let Some(incoming) = self.decoder.next_incoming() {
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
    fn pump(&mut self, deadline: Instant) -> Result<bool, LinkError> {
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

    fn send_all(&mut self) -> Result<(), LinkError> {
        let deadline = Instant::now() + self.timeout;
        while !self.out.is_empty() {
            if !self.pump(deadline)? {
                return Err(self.silence());
            }
        }
        Ok(())
    }

    /// Writes what the peer takes; whether that was anything.
    fn write_some(&mut self) -> Result<bool, LinkError> {
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

    fn note_console(&mut self, text: &[u8]) {
        self.console.extend_from_slice(text);
        let excess = self.console.len().saturating_sub(MAX_CONSOLE_BYTES);
        self.console.drain(..excess);
    }

    fn count_damage(&mut self, what: &str) -> Result<(), LinkError> {
        self.damaged += 1;
        if self.damaged > MAX_DAMAGED {
            return Err(self.protocol(what));
        }
        Ok(())
    }

    /// The connection ended, or somebody who is no stub ended it.
    fn ended(&mut self, why: &str) -> LinkError {
        if !self.spoke && self.heard.iter().any(|byte| *byte != b'+') {
            return self.foreign();
        }
        self.lost(why)
    }

    fn silence(&mut self) -> LinkError {
        if !self.spoke && self.heard.iter().any(|byte| *byte != b'+') {
            return self.foreign();
        }
        LinkError::NoAnswer {
            address: self.address.clone(),
            waited: self.timeout,
        }
    }

    fn foreign(&mut self) -> LinkError {
        self.dead = true;
        LinkError::NotAStub {
            address: self.address.clone(),
            what: escaped(&self.heard),
        }
    }

    fn lost(&mut self, why: &str) -> LinkError {
        self.dead = true;
        LinkError::Lost {
            address: self.address.clone(),
            why: why.to_owned(),
        }
    }

    /// The error for a stub that does `what`.
    pub fn protocol(&self, what: &str) -> LinkError {
        LinkError::Protocol {
            address: self.address.clone(),
            what: what.to_owned(),
        }
    }
}

/// The byte that stops a running machine.
const INTERRUPT: u8 = 0x03;

/// How servers begin that are often mistaken for a stub.
const FOREIGN: [&[u8]; 2] = [b"HTTP/", b"SSH-"];

/// Whether `payload` is console output: `O` and hexadecimal, so never `OK`.
fn is_console(payload: &[u8]) -> bool {
    payload.first() == Some(&b'O') && payload != b"OK"
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

//! Requests and the replies that belong to them.
//!
//! ```text
//!  pipeline ──▶ $m80000000,800#xx $m80000800,800#xx …  ──▶ stub      at most a window outstanding
//!           ◀── + $…#xx + $…#xx …                      ◀──           in the order of the requests
//! ```
//!
//! A stub answers in order, so the n-th reply is the n-th request's. What would break this:
//! - Stop replies that nobody waits for. QEMU before 8.1 sends one when connecting stops the
//!   machine (`gdb_vm_state_change`). They are told from replies by their first letter and kept.
//! - A batch that is given up, by [`Cancel`] or timeout, leaves replies on their way: they are
//!   counted as owed, and thrown away when they come.
//! - A serial port on which a console speaks until a debugger does: what comes before the first
//!   whole packet is rubbish, its `+` and `-` included.
//! - A damaged reply still takes its place; its request is sent again later, alone. (Asking for it
//!   with `-` would give the stub's newest packet, which may be another.)
//!
//! QEMU's thread blocks while it sends, so this side reads while it writes. Acknowledgements go out
//! with the next requests; QEMU takes a `$` for one (`gdb_read_byte`).

use std::time::{Duration, Instant};

use super::hex;
use super::packet::Incoming;
use super::stop::StopPacket;
use super::window::Window;
use super::wire::{Wire, escaped};
use crate::link::memory::peer::Peer;
use crate::link::progress::Progress;
use crate::link::traffic::{Packet, Way};
use crate::link::{Address, Cancel, LinkError};

/// Most damaged packets in a row until the link is given up.
const MAX_DAMAGED: u32 = 8;

/// How long the first request waits for its reply until it is sent again.
const FIRST_PATIENCE: Duration = Duration::from_secs(1);

/// A request whose answer is no list of features, for telling replies apart.
const AFTER_FIRST: &[u8] = b"qC";

/// Most console output that is kept until somebody takes it, in bytes.
const MAX_CONSOLE_BYTES: usize = 1 << 16;

/// Most text that a monitor command may print, in bytes.
const MAX_MONITOR_BYTES: usize = 4 << 20;

/// The client's side of one connection.
#[derive(Debug)]
pub struct Client {
    wire: Wire,
    window: Window,
    progress: Progress,
    /// Replies on their way that nobody waits for any more.
    owed: usize,
    /// Damaged packets in a row.
    damaged: u32,
    console: Vec<u8>,
    stopped: Option<StopPacket>,
}

/// Writes the request with a number.
type Encode<'a> = dyn FnMut(usize, &mut Vec<u8>) + 'a;

/// Takes the reply to the request with a number, and says what is wrong with it.
type Take<'a> = dyn FnMut(usize, &[u8]) -> Result<(), String> + 'a;

/// Where it goes what a monitor prints.
struct Printed<'a> {
    questions: &'a [Question<'a>],
    texts: &'a mut [Vec<u8>],
}

impl Printed<'_> {
    /// Where it goes while the reply with this number is waited for. `None`: that is no question to a
    /// monitor, and what comes is the guest's console.
    fn of(&mut self, number: usize) -> Option<&mut Vec<u8>> {
        match self.questions.get(number)? {
            Question::Monitor(_) => self.texts.get_mut(number),
            Question::Packet(_) => None,
        }
    }
}

/// One of several questions that go out together.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Question<'a> {
    /// A packet.
    Packet(&'a [u8]),
    /// A command to the stub's monitor.
    Monitor(&'a str),
}

/// The answer to a [`Question`].
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Answer {
    /// What the monitor printed.
    pub printed: Vec<u8>,
    /// The reply that ended it.
    pub reply: Vec<u8>,
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
        let wire = Wire::connect(address, timeout, cancel)?;
        Ok(Self {
            window: Window::new(wire.is_lossy()),
            progress: Progress::default(),
            wire,
            owed: 0,
            damaged: 0,
            console: Vec::new(),
            stopped: None,
        })
    }

    /// Who is at the other end.
    pub fn peer(&self) -> Peer {
        self.wire.peer()
    }

    /// How far reads have come.
    pub(in crate::link) fn progress(&mut self) -> &mut Progress {
        &mut self.progress
    }

    /// Whether the connection can still be used.
    pub fn is_alive(&self) -> bool {
        self.wire.is_alive()
    }

    /// Whether its waits are ended now.
    pub fn is_cancelled(&self) -> bool {
        self.wire.is_cancelled()
    }

    /// From here on waits at most `timeout` for a reply, whatever the [`Cancel`] says: for leaving.
    pub fn hurry(&mut self, timeout: Duration) {
        self.wire.hurry(timeout);
    }

    /// The stop reply that came without being waited for, if one did.
    pub fn take_unsolicited_stop(&mut self) -> Option<StopPacket> {
        self.stopped.take()
    }

    /// Console output since the last call.
    pub fn take_console(&mut self) -> Vec<u8> {
        std::mem::take(&mut self.console)
    }

    /// The packets since the last call, at most the last 512.
    pub fn take_traffic(&mut self) -> Vec<Packet> {
        self.wire.traffic().take()
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

    /// Sends the first request of a connection, and again where no answer comes: a stub on a serial
    /// port may not have listened yet, and a machine that boots throws away what came too early.
    ///
    /// # Errors
    /// When no reply comes.
    pub fn first_request(&mut self, request: &[u8]) -> Result<Vec<u8>, LinkError> {
        let end = self.wire.deadline();
        let mut sent = 0;
        loop {
            self.wire.queue(request);
            sent += 1;
            let until = end.min(Instant::now() + FIRST_PATIENCE);
            match self.reply_until(request, 1, None, Some(until)) {
                Ok(true) => break,
                Ok(false) => {}
                Err(LinkError::NoAnswer { .. } | LinkError::NotAStub { .. })
                    if Instant::now() >= until && until < end => {}
                Err(error) => return Err(error),
            }
            if Instant::now() >= end {
                return Err(self.wire.silence());
            }
        }
        let reply = self.wire.payload().to_vec();
        if sent > 1 {
            // Perhaps each was heard, only late: what is the same again answers the others.
            self.wire.queue(AFTER_FIRST);
            while !self.reply(AFTER_FIRST, 1, None)? || self.wire.payload() == reply {}
        }
        Ok(reply)
    }

    /// Gives up a connection that nobody has answered on. A port that is busy takes it later, which stops
    /// its machine: what lies there to be read then lets it run again.
    pub fn abandon(&mut self) {
        if self.wire.spoke() || !self.wire.is_alive() {
            return;
        }
        self.wire.queue_byte(b'+');
        self.wire.queue(b"D");
        // Nobody can be told whether it went out; the error is that nobody answers.
        let _ = self.wire.write_some();
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

    /// Sends several questions at once, as one round, and returns their answers in order.
    ///
    /// # Errors
    /// When not all replies come.
    pub fn ask(&mut self, questions: &[Question<'_>]) -> Result<Vec<Answer>, LinkError> {
        let numbers: Vec<usize> = (0..questions.len()).collect();
        let mut printed: Vec<Vec<u8>> = vec![Vec::new(); questions.len()];
        let mut replies: Vec<Vec<u8>> = vec![Vec::new(); questions.len()];
        let mut again = Vec::new();
        self.batch(
            &numbers,
            &mut |number, out: &mut Vec<u8>| match &questions[number] {
                Question::Packet(packet) => out.extend_from_slice(packet),
                Question::Monitor(command) => {
                    out.extend_from_slice(b"qRcmd,");
                    out.extend_from_slice(hex::encode(command.as_bytes()).as_bytes());
                }
            },
            &mut |number, payload: &[u8]| {
                replies[number] = payload.to_vec();
                Ok(())
            },
            &mut again,
            Some(Printed {
                questions,
                texts: &mut printed,
            }),
        )?;
        for number in again {
            match &questions[number] {
                Question::Packet(packet) => replies[number] = self.request(packet)?,
                // Not asked again: a command can have effects.
                Question::Monitor(_) => {
                    return Err(self
                        .wire
                        .protocol("what its monitor prints arrives damaged"));
                }
            }
        }
        let answers = printed.into_iter().zip(replies);
        Ok(answers
            .map(|(printed, reply)| Answer { printed, reply })
            .collect())
    }

    /// Gives a command to the stub's monitor: what it prints, and its reply.
    ///
    /// # Errors
    /// When no reply comes.
    pub fn monitor(&mut self, command: &str) -> Result<Answer, LinkError> {
        let answers = self.ask(&[Question::Monitor(command)])?;
        Ok(answers.into_iter().next().unwrap_or_default())
    }

    /// One batch of [`pipeline`](Self::pipeline). Numbers whose reply was damaged go to `again`.
    fn batch(
        &mut self,
        numbers: &[usize],
        encode: &mut Encode<'_>,
        take: &mut Take<'_>,
        again: &mut Vec<usize>,
        mut printed: Option<Printed<'_>>,
    ) -> Result<(), LinkError> {
        let mut request = Vec::new();
        let mut unsent = numbers.iter();
        let mut outstanding = 0;
        let began = Instant::now();
        // Since when this window's replies are waited for, and how many of them have come.
        let (mut since, mut came) = (began, 0);
        let is_alone = self.owed == 0;
        for (place, &number) in numbers.iter().enumerate() {
            while outstanding < self.window.size()
                && let Some(&next) = unsent.next()
            {
                request.clear();
                encode(next, &mut request);
                self.wire.queue(&request);
                outstanding += 1;
            }
            let text = printed.as_mut().and_then(|printed| printed.of(number));
            let reply = self.reply(&request, outstanding, text);
            if place == 0 && is_alone && reply.is_ok() {
                self.window.note_round_trip(began.elapsed());
            }
            match reply {
                Ok(true) => {
                    outstanding -= 1;
                    self.progress.add(self.wire.payload().len() as u64 / 2);
                    came += 1;
                    if came >= self.window.size() && unsent.len() > 0 {
                        self.window.note_full(since.elapsed());
                        (since, came) = (Instant::now(), 0);
                    }
                    if let Err(what) = take(number, self.wire.payload()) {
                        self.owed += outstanding;
                        return Err(self.wire.protocol(&what));
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
        self.wire.write_some().map(drop)
    }

    /// Waits for the reply to the oldest of `outstanding` requests, the newest of which is
    /// `request`. `false`: it came damaged.
    fn reply(
        &mut self,
        request: &[u8],
        outstanding: usize,
        printed: Option<&mut Vec<u8>>,
    ) -> Result<bool, LinkError> {
        self.reply_until(request, outstanding, printed, None)
    }

    /// As [`reply`](Self::reply), with a time limit of its own. Without one it has a reply's, from when there
    /// is something to wait for: most replies are here already, and looking at the clock costs.
    fn reply_until(
        &mut self,
        request: &[u8],
        outstanding: usize,
        mut printed: Option<&mut Vec<u8>>,
        mut deadline: Option<Instant>,
    ) -> Result<bool, LinkError> {
        loop {
            let incoming = match self.wire.ready() {
                Some(incoming) => incoming,
                None => {
                    let until = *deadline.get_or_insert_with(|| self.wire.deadline());
                    self.wire.next_incoming(until)?
                }
            };
            match incoming {
                Incoming::Ack | Incoming::Notification => {}
                // Before the first packet it is a hyphen in a console's output: to send the request
                // again would bring two replies.
                Incoming::Nak if !self.wire.spoke() => {}
                Incoming::Nak => {
                    self.count_damage("our packets arrive damaged")?;
                    if outstanding != 1 {
                        return Err(self
                            .wire
                            .protocol("it refuses a packet, without saying which"));
                    }
                    self.wire.queue(request);
                }
                Incoming::TooLong => return Err(self.wire.protocol("a packet does not end")),
                Incoming::Damaged => {
                    self.count_damage("its packets arrive damaged")?;
                    // Before the first packet it is more likely something else altogether, such as
                    // a console's output.
                    if self.wire.spoke() {
                        self.wire.queue_byte(b'+');
                        if self.owed == 0 {
                            return Ok(false);
                        }
                        self.owed -= 1;
                    }
                }
                Incoming::Packet => {
                    self.wire.queue_byte(b'+');
                    self.damaged = 0;
                    let payload = self.wire.payload();
                    if StopPacket::is_one(payload) {
                        self.stopped = StopPacket::parse(payload).or(self.stopped);
                    } else if is_console(payload) {
                        let text = hex::decode(&payload[1..]).unwrap_or_default();
                        match printed.as_deref_mut().filter(|_| self.owed == 0) {
                            None => self.note_console(&text),
                            Some(printed) if printed.len() > MAX_MONITOR_BYTES => {
                                return Err(self
                                    .wire
                                    .protocol("its monitor does not stop printing"));
                            }
                            Some(printed) => {
                                printed.extend(text);
                                deadline = None;
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
            if deadline.is_some_and(|deadline| Instant::now() > deadline) {
                return Err(self.wire.silence());
            }
        }
    }

    /// Sends a request that lets the machine run; it is answered when the machine stops.
    ///
    /// # Errors
    /// When the connection is lost.
    pub fn start(&mut self, request: &[u8]) -> Result<(), LinkError> {
        self.take_owed()?;
        self.stopped = None;
        self.wire.queue(request);
        self.wire.send_all()
    }

    /// Takes the replies that nobody waited for, before the machine may run: acknowledging them then would stop it,
    /// as any byte does.
    fn take_owed(&mut self) -> Result<(), LinkError> {
        if self.owed > 0 {
            self.request(b"qC")?;
        }
        Ok(())
    }

    /// Sends the byte that stops a running machine.
    ///
    /// # Errors
    /// When the connection is lost.
    pub fn interrupt(&mut self) -> Result<(), LinkError> {
        self.wire.traffic().note(Way::Sent, &[INTERRUPT]);
        self.wire.queue_byte(INTERRUPT);
        self.wire.send_all()
    }

    /// Sends the last request of a connection. Its reply is not acknowledged: the machine may run
    /// by then, and any byte would stop it.
    ///
    /// # Errors
    /// When no reply comes.
    pub fn farewell(&mut self, request: &[u8]) -> Result<(), LinkError> {
        self.take_owed()?;
        self.wire.queue(request);
        self.reply(request, 1, None)?;
        self.wire.close();
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
                self.wire.write_some()?;
                return Ok(Some(stop));
            }
            let Some(incoming) = self.wire.ready() else {
                match self.wire.pump(deadline) {
                    Ok(true) => continue,
                    Ok(false) | Err(LinkError::Cancelled) => return Ok(None),
                    Err(error) => return Err(error),
                }
            };
            match incoming {
                Incoming::Ack | Incoming::Notification => {}
                Incoming::Nak => return Err(self.wire.protocol("it refuses to resume")),
                Incoming::TooLong => return Err(self.wire.protocol("a packet does not end")),
                Incoming::Damaged => {
                    self.count_damage("its packets arrive damaged")?;
                    self.wire.queue_byte(b'-');
                }
                Incoming::Packet => {
                    self.wire.queue_byte(b'+');
                    self.damaged = 0;
                    let payload = self.wire.payload();
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

    fn note_console(&mut self, text: &[u8]) {
        self.console.extend_from_slice(text);
        let excess = self.console.len().saturating_sub(MAX_CONSOLE_BYTES);
        self.console.drain(..excess);
    }

    fn count_damage(&mut self, what: &str) -> Result<(), LinkError> {
        self.damaged += 1;
        if self.damaged > MAX_DAMAGED {
            return Err(self.wire.protocol(what));
        }
        Ok(())
    }

    /// The error for a connection that is of no use any more.
    pub fn lost(&mut self, why: &str) -> LinkError {
        self.wire.lost(why)
    }

    /// The error for a stub that does `what`.
    pub fn protocol(&self, what: &str) -> LinkError {
        self.wire.protocol(what)
    }
}

/// The byte that stops a running machine.
const INTERRUPT: u8 = 0x03;

/// Whether `payload` is console output: `O` and hexadecimal, so never `OK`.
fn is_console(payload: &[u8]) -> bool {
    payload.first() == Some(&b'O') && payload != b"OK"
}

//! One line, two speakers: telling a debugger's bytes from what a person types.
//!
//! ```text
//!             a packet, 0x03                     D (detach)
//!  Console ──────────────────▶ Stopped ◀──────────────────────────────▶ Running
//!     ▲                           ▲        vCont ─▶, ◀─ stop, 0x03, a packet   │
//!     │                           │ a packet                                  │
//!     └────── a typed line ──── Called ◀─ 0x03 from Console                    │
//!     └─────────────────────────────────── a typed line ───────────────────────┘
//! ```
//!
//! A packet is `$text#cc`, where `cc` is the sum of the text's bytes modulo 256, in hexadecimal
//! (GDB manual, appendix E.1 "Overview"). With no debugger there, what may become a packet is
//! held back: `$` and what follows it, and any `+` before it, with which gdb begins. It ends up at
//! the console after all as soon as it can be no packet: a byte that is not printable, a wrong sum,
//! too great a length, or a pause.
//!
//! A debugger may vanish without a word. While the guest stands still, it goes on standing still,
//! until somebody attaches. While the guest runs, a debugger sends nothing but 0x03 and
//! acknowledgements; so a *line* of anything else was typed by a person, and gives the console
//! back, that line included.

/// Most bytes of a packet, with its `$`, `#` and sum: room for a page in hexadecimal.
pub const PACKET_SIZE: usize = 0x2400;

/// Most bytes of the packet with which a debugger begins: `qSupported` and the like.
const FIRST_PACKET_SIZE: usize = 1024;

/// Most bytes of a line that is typed while a debugger is there.
const TYPED_SIZE: usize = 120;

/// The byte that interrupts.
pub const INTERRUPT: u8 = 0x03;

/// Who is at the other end, and what they wait for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Mode {
    /// A person.
    Console,
    /// Whoever sent 0x03 out of nowhere: a debugger that is about to attach, or a person who
    /// pressed Ctrl-C. The guest stands still.
    Called,
    /// A debugger; the guest stands still.
    Stopped,
    /// A debugger; the guest runs.
    Running,
}

/// What a byte was the end of.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Heard {
    /// Nothing yet, or only the console's.
    Nothing,
    /// A packet with the right sum: [`Listener::packet`].
    Packet,
    /// 0x03.
    Interrupt,
    /// A debugger's packet with a wrong sum.
    Damaged,
    /// A debugger's packet that is longer than [`PACKET_SIZE`].
    TooLong,
    /// The debugger asks for the last reply again.
    Again,
    /// A line typed by a person where a debugger was thought to be; it went to the console.
    Line,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum State {
    /// Between packets; in `Console`, `held` may begin with `+`.
    Between,
    /// In a packet's text.
    Text,
    /// After `#`.
    Sum(Option<u8>),
    /// In a line that a person types, in `Called` and `Running`.
    Typed,
    /// A packet is complete, and stays in place until the next byte.
    Complete,
}

/// Listens to the line.
#[derive(Debug)]
pub struct Listener {
    held: [u8; PACKET_SIZE],
    length: usize,
    /// Where in `held` the packet's `$` is.
    start: usize,
    too_long: bool,
    /// A debugger that has gone may send one more acknowledgement.
    owed: bool,
    /// When a debugger's first packet came, until its reply is acknowledged.
    begun: Option<u64>,
    state: State,
    mode: Mode,
    /// When the last byte came, in ticks.
    last: u64,
    /// How long a packet may pause, in ticks.
    pause: u64,
}

impl Listener {
    /// A line with a person at its end.
    pub const fn new() -> Self {
        Self {
            held: [0; PACKET_SIZE],
            length: 0,
            start: 0,
            too_long: false,
            owed: false,
            begun: None,
            state: State::Between,
            mode: Mode::Console,
            last: 0,
            pause: u64::MAX,
        }
    }

    /// Sets how many ticks a packet may pause before it is none.
    pub const fn set_pause(&mut self, ticks: u64) {
        self.pause = ticks;
    }

    /// Who is at the other end.
    pub const fn mode(&self) -> Mode {
        self.mode
    }

    /// Says who is at the other end from now on. What is held was heard before.
    pub const fn set_mode(&mut self, mode: Mode) {
        // The reply to its last packet is acknowledged after it has gone.
        self.owed = matches!((self.mode, mode), (Mode::Stopped, Mode::Console));
        self.mode = mode;
    }

    /// The last packet, with its `$`, `#` and sum, until the next byte is heard.
    pub fn packet(&self) -> &[u8] {
        self.held.get(self.start..self.length).unwrap_or(&[])
    }

    /// The last packet's text.
    pub fn text(&self) -> &[u8] {
        let packet = self.packet();
        packet.get(1..packet.len().saturating_sub(3)).unwrap_or(&[])
    }

    /// Looks at the time: what has been held for too long is no packet.
    pub fn pass(&mut self, now: u64, console: &mut impl FnMut(u8)) {
        let holds = match self.state {
            State::Between => self.mode == Mode::Console && self.length > 0,
            State::Text | State::Sum(_) => true,
            State::Typed | State::Complete => false,
        };
        if holds && now.saturating_sub(self.last) > self.pause {
            self.give_up(console);
        }
    }

    /// Takes a byte that came at `now`. What turns out to be the console's goes to `console`.
    pub fn hear(&mut self, byte: u8, now: u64, console: &mut impl FnMut(u8)) -> Heard {
        self.pass(now, console);
        self.last = now;
        if self.state == State::Complete {
            self.reset();
        }
        match self.state {
            State::Between | State::Complete => self.hear_between(byte, console),
            State::Typed => self.hear_typed(byte, console),
            State::Text | State::Sum(_) => self.hear_in_packet(byte, console),
        }
    }

    fn hear_between(&mut self, byte: u8, console: &mut impl FnMut(u8)) -> Heard {
        let owed = core::mem::take(&mut self.owed);
        if byte == b'+' && self.mode != Mode::Console {
            self.begun = None;
        }
        match (byte, self.mode) {
            (b'+', Mode::Console) if owed => Heard::Nothing,
            (b'$', _) => {
                self.begin();
                Heard::Nothing
            }
            (INTERRUPT, Mode::Console) => {
                self.give_up(console);
                Heard::Interrupt
            }
            (INTERRUPT, Mode::Running) => Heard::Interrupt,
            (INTERRUPT, Mode::Called | Mode::Stopped) => Heard::Nothing,
            // gdb's first byte. More of them than this are nobody's habit.
            (b'+', Mode::Console) if self.length < 4 => {
                self.push(byte);
                Heard::Nothing
            }
            (_, Mode::Console) => {
                self.give_up(console);
                console(byte);
                Heard::Nothing
            }
            (b'-', Mode::Stopped) => Heard::Again,
            (_, Mode::Stopped) | (b'+' | b'-', _) => Heard::Nothing,
            (_, Mode::Called | Mode::Running) => {
                self.state = State::Typed;
                self.hear_typed(byte, console)
            }
        }
    }

    fn hear_typed(&mut self, byte: u8, console: &mut impl FnMut(u8)) -> Heard {
        match byte {
            b'$' => {
                self.length = 0;
                self.begin();
                Heard::Nothing
            }
            INTERRUPT => {
                self.reset();
                match self.mode {
                    Mode::Running => Heard::Interrupt,
                    _ => Heard::Nothing,
                }
            }
            b'\r' | b'\n' => {
                self.give_up(console);
                console(byte);
                Heard::Line
            }
            _ => {
                if self.length < TYPED_SIZE {
                    self.push(byte);
                }
                Heard::Nothing
            }
        }
    }

    fn hear_in_packet(&mut self, byte: u8, console: &mut impl FnMut(u8)) -> Heard {
        let is_first = self.mode == Mode::Console;
        if byte == b'$' {
            // No packet has this byte in it: another one begins.
            self.give_up(console);
            self.begin();
            return Heard::Nothing;
        }
        if is_first && (self.length >= FIRST_PACKET_SIZE || !matches!(byte, b' '..=b'~')) {
            self.give_up(console);
            // 0x03 interrupts, a line's end belongs to the line.
            return self.hear_between(byte, console);
        }
        self.push(byte);
        match self.state {
            State::Sum(None) => match digit(byte) {
                None if is_first => {
                    self.give_up(console);
                    Heard::Nothing
                }
                digit => {
                    // A debugger's bad digit makes a sum that is no byte's.
                    self.state = State::Sum(Some(digit.unwrap_or(0xff)));
                    Heard::Nothing
                }
            },
            State::Sum(Some(high)) => self.complete(high, byte, console),
            _ => {
                if byte == b'#' {
                    self.state = State::Sum(None);
                }
                Heard::Nothing
            }
        }
    }

    fn complete(&mut self, high: u8, low: u8, console: &mut impl FnMut(u8)) -> Heard {
        let sum = digit(low).filter(|_| high < 16).map(|low| high << 4 | low);
        let text = self.text().iter().fold(0u8, |sum, b| sum.wrapping_add(*b));
        if core::mem::take(&mut self.too_long) {
            self.reset();
            return Heard::TooLong;
        }
        if sum == Some(text) {
            if self.is_said_again() {
                self.reset();
                return Heard::Nothing;
            }
            self.state = State::Complete;
            return Heard::Packet;
        }
        if self.mode == Mode::Console {
            self.give_up(console);
            return Heard::Nothing;
        }
        self.reset();
        Heard::Damaged
    }

    /// Whether this is a debugger's first packet once more, which it sends when it takes a `-` of what the
    /// console just printed for a refusal. The first one is being answered; a second answer would be taken for the
    /// next packet's. One that waited for an answer in vain comes again later than this.
    fn is_said_again(&mut self) -> bool {
        if !self.text().starts_with(b"qSupported") {
            return false;
        }
        let again = self
            .begun
            .is_some_and(|begun| self.last.saturating_sub(begun) < self.pause);
        self.begun = Some(self.last);
        again
    }

    fn begin(&mut self) {
        self.start = self.length;
        self.too_long = false;
        self.push(b'$');
        self.state = State::Text;
    }

    fn push(&mut self, byte: u8) {
        match self.held.get_mut(self.length) {
            Some(place) => {
                *place = byte;
                self.length += 1;
            }
            None => self.too_long = true,
        }
    }

    /// What is held is no packet: it is the console's, unless a debugger sent it.
    fn give_up(&mut self, console: &mut impl FnMut(u8)) {
        if self.mode == Mode::Console || self.state == State::Typed {
            for byte in &self.held[..self.length] {
                console(*byte);
            }
        }
        self.reset();
    }

    const fn reset(&mut self) {
        self.length = 0;
        self.start = 0;
        self.too_long = false;
        self.state = State::Between;
    }
}

impl Default for Listener {
    fn default() -> Self {
        Self::new()
    }
}

fn digit(byte: u8) -> Option<u8> {
    char::from(byte).to_digit(16).map(|digit| digit as u8)
}

#[cfg(test)]
mod tests;

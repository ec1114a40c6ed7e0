use super::*;
use proptest::prelude::*;
use std::string::String;
use std::vec::Vec;

/// A listener with what it has given to the console, and what it has heard.
struct Ear {
    listener: Listener,
    console: Vec<u8>,
    now: u64,
}

impl Ear {
    fn new(mode: Mode) -> Self {
        let mut listener = Listener::new();
        listener.set_pause(100);
        listener.set_mode(mode);
        Self {
            listener,
            console: Vec::new(),
            now: 0,
        }
    }

    /// All that the bytes were the end of.
    fn hear(&mut self, bytes: &[u8]) -> Vec<Heard> {
        let mut all = Vec::new();
        for byte in bytes {
            self.now += 1;
            let console = &mut self.console;
            let heard = self
                .listener
                .hear(*byte, self.now, &mut |byte| console.push(byte));
            if heard != Heard::Nothing {
                all.push(heard);
            }
        }
        all
    }

    fn wait(&mut self) {
        self.now += 101;
        let console = &mut self.console;
        self.listener.pass(self.now, &mut |byte| console.push(byte));
    }

    fn console(&mut self) -> String {
        String::from_utf8_lossy(&std::mem::take(&mut self.console)).into_owned()
    }
}

fn packet(text: &[u8]) -> Vec<u8> {
    let sum = text.iter().fold(0u8, |sum, byte| sum.wrapping_add(*byte));
    [b"$", text, std::format!("#{sum:02x}").as_bytes()].concat()
}

#[test]
fn a_packet_attaches_and_leaves_nothing_at_the_console() {
    let mut ear = Ear::new(Mode::Console);
    assert_eq!(ear.hear(b"+"), []);
    assert_eq!(ear.hear(&packet(b"qSupported:swbreak+")), [Heard::Packet]);
    assert_eq!(ear.listener.text(), b"qSupported:swbreak+");
    assert_eq!(ear.console(), "");
    // The mode changes after the packet was heard; its text is there all the same.
    ear.listener.set_mode(Mode::Stopped);
    assert_eq!(ear.listener.packet(), packet(b"qSupported:swbreak+"));
    assert_eq!(ear.hear(&packet(b"D")), [Heard::Packet]);
    ear.listener.set_mode(Mode::Console);
    // The last acknowledgement is gdb's, the next one a person's.
    assert_eq!(ear.hear(b"+heap+\n"), []);
    assert_eq!(ear.console(), "heap+\n");
}

#[test]
fn what_makes_no_packet_is_the_consoles() {
    for text in [
        "price: $5\n",
        "$$$\r",
        "$abc#00\n",
        "$abc#zz\n",
        "$abc#1\n",
        "+\n",
        "a+b\n",
        "++++++$?#3e\n",
        "$a\x08b\n",
    ] {
        let mut ear = Ear::new(Mode::Console);
        assert_eq!(ear.hear(text.as_bytes()), [], "{text:?}");
        assert_eq!(ear.console(), text);
    }
    let mut ear = Ear::new(Mode::Console);
    let long = [b"$".as_slice(), &[b'x'; 3000]].concat();
    assert_eq!(ear.hear(&long), []);
    ear.wait();
    assert_eq!(ear.console().len(), 3001);
}

#[test]
fn a_pause_ends_what_was_held() {
    let mut ear = Ear::new(Mode::Console);
    ear.hear(b"+$he");
    assert_eq!(ear.console(), "");
    ear.wait();
    assert_eq!(ear.console(), "+$he");
    ear.hear(b"llo");
    assert_eq!(ear.console(), "llo");
    // A debugger that vanished within a packet.
    let mut ear = Ear::new(Mode::Running);
    ear.hear(b"$m802");
    ear.wait();
    assert_eq!(ear.hear(b"help\n"), [Heard::Line]);
    assert_eq!(ear.console(), "help\n");
}

#[test]
fn interrupts_count_where_the_guest_runs() {
    let mut ear = Ear::new(Mode::Console);
    assert_eq!(ear.hear(b"ab\x03"), [Heard::Interrupt]);
    assert_eq!(ear.hear(b"$ab\x03"), [Heard::Interrupt]);
    assert_eq!(ear.console(), "ab$ab");
    assert_eq!(Ear::new(Mode::Running).hear(b"+\x03"), [Heard::Interrupt]);
    assert_eq!(Ear::new(Mode::Running).hear(b"he\x03"), [Heard::Interrupt]);
    assert_eq!(Ear::new(Mode::Stopped).hear(b"\x03"), []);
    assert_eq!(Ear::new(Mode::Called).hear(b"\x03"), []);
    // In a packet it is data.
    let mut ear = Ear::new(Mode::Running);
    assert_eq!(ear.hear(&packet(b"X80200000,1:\x03")), [Heard::Packet]);
}

#[test]
fn a_typed_line_gives_the_console_back_only_where_the_guest_runs_or_was_called() {
    for (mode, heard, console) in [
        (Mode::Running, &[Heard::Line][..], "help\n"),
        (Mode::Called, &[Heard::Line], "help\n"),
        (Mode::Stopped, &[], ""),
    ] {
        let mut ear = Ear::new(mode);
        assert_eq!(ear.hear(b"++help\n"), heard);
        assert_eq!(ear.console(), console);
    }
    // Noise before a packet is no line.
    let mut ear = Ear::new(Mode::Running);
    assert_eq!(
        ear.hear(&[b"xyz", &packet(b"?")[..]].concat()),
        [Heard::Packet]
    );
    assert_eq!(ear.listener.text(), b"?");
}

#[test]
fn damage_is_told_from_silence() {
    let mut ear = Ear::new(Mode::Stopped);
    assert_eq!(ear.hear(b"$?#00"), [Heard::Damaged]);
    assert_eq!(ear.hear(b"$?#z0"), [Heard::Damaged]);
    assert_eq!(ear.hear(b"-"), [Heard::Again]);
    let long = packet(&[b'a'; PACKET_SIZE]);
    assert_eq!(ear.hear(&long), [Heard::TooLong]);
    let longest = packet(&[b'a'; PACKET_SIZE - 4]);
    assert_eq!(ear.hear(&longest), [Heard::Packet]);
    // Another packet begins within one.
    assert_eq!(
        ear.hear(&[b"$abc", &packet(b"?")[..]].concat()),
        [Heard::Packet]
    );
    assert_eq!(ear.listener.text(), b"?");
}

proptest! {
    /// Nothing that a person can type is lost, and nothing is added.
    #[test]
    fn the_console_gets_every_byte_that_is_in_no_packet(
        text in proptest::collection::vec(
            prop_oneof![any::<u8>(), Just(b'$'), Just(b'#'), Just(b'+'), b'0'..=b'9'],
            0..200,
        ),
    ) {
        let text: Vec<u8> = text.into_iter().filter(|byte| *byte != INTERRUPT).collect();
        let mut ear = Ear::new(Mode::Console);
        let heard = ear.hear(&text);
        ear.wait();
        if heard.is_empty() {
            prop_assert_eq!(&ear.console, &text);
        }
    }

    #[test]
    fn a_packet_is_heard_whatever_came_before(
        before in proptest::collection::vec(any::<u8>(), 0..100),
        text in proptest::collection::vec(b'a'..=b'z', 0..100),
        mode in prop_oneof![Just(Mode::Console), Just(Mode::Stopped), Just(Mode::Running)],
    ) {
        let mut ear = Ear::new(mode);
        ear.hear(&before);
        let heard = ear.hear(&packet(&text));
        prop_assert_eq!(heard.last(), Some(&Heard::Packet));
        prop_assert_eq!(ear.listener.text(), &text[..]);
    }
}

/// A debugger that takes a `-` of the boot's own words for a refusal says its first packet twice, and expects one
/// answer.
#[test]
fn a_first_packet_that_is_said_twice_is_heard_once() {
    let first = packet(b"qSupported:swbreak+");
    let mut ear = Ear::new(Mode::Console);
    assert_eq!(ear.hear(&first), [Heard::Packet]);
    ear.listener.set_mode(Mode::Stopped);
    assert_eq!(ear.hear(&first), []);
    // Once the answer has arrived, a debugger that begins anew is heard.
    assert_eq!(ear.hear(b"+"), []);
    assert_eq!(ear.hear(&first), [Heard::Packet]);
    // So is one that has waited in vain.
    ear.now += 101;
    assert_eq!(ear.hear(&first), [Heard::Packet]);
    // Any other packet is heard as often as it is said.
    assert_eq!(ear.hear(&packet(b"g")), [Heard::Packet]);
    assert_eq!(ear.hear(&packet(b"g")), [Heard::Packet]);
}

//! What went over a link, in short: for its log.
//!
//! ```text
//!   1.204 s → m87ffc000,1000
//!   1.206 s ← 8192 bytes: 01f8ff2100000000…
//! ```

use std::collections::VecDeque;
use std::fmt;
use std::time::{Duration, Instant};

use super::rsp::hex;

/// Most packets that are kept until somebody takes them. A walk of thousands of tables sends more: the last ones
/// tell most.
const MOST: usize = 512;

/// Most bytes of a packet that are kept.
const KEPT: usize = 96;

/// Most bytes of a longer packet that are shown.
const SHOWN: usize = 48;

/// Which way a packet went.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Way {
    /// To the target.
    Sent,
    /// From the target.
    Came,
}

/// One packet, in short. Its `Display` is a line of the log.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Packet {
    /// When, since the link was opened.
    pub at: Duration,
    /// Which way it went.
    pub way: Way,
    /// Its length in bytes.
    pub length: usize,
    /// How it begins.
    head: Box<[u8]>,
}

impl fmt::Display for Packet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let arrow = match self.way {
            Way::Sent => "→",
            Way::Came => "←",
        };
        write!(f, "{:8.3} s {arrow} ", self.at.as_secs_f64())?;
        // A monitor's command travels as hexadecimal; what it says is of more use.
        let command = self.head.strip_prefix(b"qRcmd,");
        if let Some(words) = command.and_then(hex::decode) {
            return write!(f, "qRcmd: {}", words.escape_ascii());
        }
        if self.length <= KEPT {
            return write!(f, "{}", self.head.escape_ascii());
        }
        let head = &self.head[..SHOWN.min(self.head.len())];
        write!(f, "{} bytes: {}…", self.length, head.escape_ascii())
    }
}

/// The last packets of a link.
#[derive(Debug)]
pub struct Traffic {
    since: Instant,
    packets: VecDeque<Packet>,
}

impl Traffic {
    /// Of a link that is opened now.
    pub fn new() -> Self {
        Self {
            since: Instant::now(),
            packets: VecDeque::new(),
        }
    }

    /// Notes a packet.
    pub fn note(&mut self, way: Way, bytes: &[u8]) {
        if self.packets.len() == MOST {
            self.packets.pop_front();
        }
        self.packets.push_back(Packet {
            at: self.since.elapsed(),
            way,
            length: bytes.len(),
            head: bytes[..bytes.len().min(KEPT)].into(),
        });
    }

    /// The packets since the last call.
    pub fn take(&mut self) -> Vec<Packet> {
        self.packets.drain(..).collect()
    }
}

impl Default for Traffic {
    fn default() -> Self {
        Self::new()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(way: Way, bytes: &[u8]) -> String {
        let mut traffic = Traffic::new();
        traffic.note(way, bytes);
        let mut packet = traffic.take().remove(0);
        packet.at = Duration::from_millis(1204);
        packet.to_string()
    }

    #[test]
    fn short_packets_are_shown_whole_and_long_ones_by_their_beginning() {
        assert_eq!(
            line(Way::Sent, b"m87ffc000,1000"),
            "   1.204 s → m87ffc000,1000"
        );
        let long = line(Way::Came, &[b'0'; 8192]);
        assert_eq!(
            long,
            format!("   1.204 s ← 8192 bytes: {}…", "0".repeat(48))
        );
        assert_eq!(line(Way::Sent, b"\x03"), "   1.204 s → \\x03");
    }

    #[test]
    fn what_a_monitor_is_asked_is_shown_as_words() {
        let command = format!("qRcmd,{}", hex::encode(b"info mem"));
        assert_eq!(
            line(Way::Sent, command.as_bytes()),
            "   1.204 s → qRcmd: info mem"
        );
        // Half a digit is shown as it came.
        assert_eq!(line(Way::Sent, b"qRcmd,6"), "   1.204 s → qRcmd,6");
    }

    #[test]
    fn only_the_last_are_kept() {
        let mut traffic = Traffic::new();
        for number in 0..10 * MOST {
            traffic.note(Way::Sent, number.to_string().as_bytes());
        }
        let packets = traffic.take();
        assert_eq!(packets.len(), MOST);
        assert!(packets.last().unwrap().to_string().ends_with("→ 5119"));
        assert!(traffic.take().is_empty());
    }
}

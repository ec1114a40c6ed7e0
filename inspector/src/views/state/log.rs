//! What the link says, and what goes over it.

use std::collections::VecDeque;

/// Most lines that are kept.
const LOG_LINES: usize = 4000;

/// A line of the log.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct LogLine {
    /// What it says.
    pub text: String,
    /// Whether it is a packet, and no words.
    pub is_packet: bool,
}

/// The log: words of the session, and packets between them.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Log {
    lines: VecDeque<LogLine>,
}

impl Log {
    /// Adds words.
    pub fn say(&mut self, text: String) {
        self.push(text, false);
    }

    /// Adds a packet.
    pub fn note(&mut self, text: String) {
        self.push(text, true);
    }

    /// Packets make room first: words are few, and tell what the packets were for.
    fn push(&mut self, text: String, is_packet: bool) {
        if self.lines.len() == LOG_LINES {
            let oldest = self.lines.iter().position(|line| line.is_packet);
            self.lines.remove(oldest.unwrap_or(0));
        }
        self.lines.push_back(LogLine { text, is_packet });
    }

    /// Its lines, the oldest first.
    pub const fn lines(&self) -> &VecDeque<LogLine> {
        &self.lines
    }

    /// Forgets everything.
    pub fn clear(&mut self) {
        self.lines.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_stays_small_and_packets_make_room_for_words() {
        let mut log = Log::default();
        log.say("connected".into());
        for number in 0..2 * LOG_LINES {
            log.note(number.to_string());
        }
        assert_eq!(log.lines().len(), LOG_LINES);
        assert_eq!(log.lines()[0].text, "connected");
        for number in 0..2 * LOG_LINES {
            log.say(number.to_string());
        }
        assert_eq!(log.lines().len(), LOG_LINES);
        assert!(log.lines().iter().all(|line| !line.is_packet));
        assert_eq!(
            log.lines()[LOG_LINES - 1].text,
            (2 * LOG_LINES - 1).to_string()
        );
    }
}

//! The monitor for people: a prompt, an echo, a text.
//!
//! ```text
//!  ◀ QEMU 7.2.22 monitor - type 'help' for more information␍␊(qemu) ▁
//!  ▶ info status␊
//!  ◀ i␛[K␛[Din␛[K␛[D␛[D…info status␛[K␍␊VM status: running␍␊(qemu) ▁
//!    └── each letter redraws the line ──┘└──── the answer ────┘
//! ```
//! The echo is one line, however long (`util/readline.c`): the answer begins after it, and ends before a prompt
//! that nothing follows.

use super::Status;

/// What QEMU waits with.
const PROMPT: &[u8] = b"(qemu) ";

/// How its greeting begins (`monitor/hmp.c`, `monitor_event`).
const GREETING: &[u8] = b"QEMU ";

/// Whether what was heard first may become a greeting.
pub(super) fn may_be_greeting(heard: &[u8]) -> bool {
    let length = heard.len().min(GREETING.len());
    heard[..length] == GREETING[..length]
}

/// Whether QEMU waits for a command: its prompt stands at the beginning of the last line.
pub(super) fn ends_with_prompt(heard: &[u8]) -> bool {
    let before = heard.strip_suffix(PROMPT);
    before.is_some_and(|before| before.last().is_none_or(|last| *last == b'\n'))
}

/// Whether an echo and an answer have come.
pub(super) fn is_whole(heard: &[u8]) -> bool {
    ends_with_prompt(heard) && heard.contains(&b'\n')
}

/// The answer in what has come: without the echo, the prompt, and keys that move a cursor.
pub(super) fn answer(heard: &[u8]) -> String {
    let echo = heard.iter().position(|byte| *byte == b'\n');
    let after = &heard[echo.map_or(0, |at| at + 1)..];
    let text = after.strip_suffix(PROMPT).unwrap_or(after);
    without_escapes(&String::from_utf8_lossy(text)).replace("\r\n", "\n")
}

/// Takes `ESC [ … letter` out.
fn without_escapes(text: &str) -> String {
    let mut plain = String::with_capacity(text.len());
    let mut letters = text.chars();
    while let Some(letter) = letters.next() {
        if letter != '\u{1b}' {
            plain.push(letter);
        } else if letters.next() == Some('[') {
            letters.by_ref().find(char::is_ascii_alphabetic);
        }
    }
    plain
}

/// What `info status` printed: `VM status: paused (prelaunch)`.
pub(super) fn status(text: &str) -> Option<Status> {
    let state = text.trim().strip_prefix("VM status: ")?;
    let (first, more) = state.split_once(' ').unwrap_or((state, ""));
    let reason = more.trim_start_matches('(').trim_end_matches(')');
    let word = if reason.is_empty() { first } else { reason };
    Some(Status {
        is_running: first == "running",
        word: word.to_owned(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn the_echo_is_no_answer() {
        let heard = b"i\x1b[K\x1b[Din\x1b[K\r\nVM status: running\r\n(qemu) ";
        assert!(is_whole(heard));
        assert_eq!(answer(heard), "VM status: running\n");
        assert_eq!(answer(b"stop\x1b[K\r\n(qemu) "), "");
        // Keys that move a cursor, wherever they come.
        assert_eq!(answer(b"x\r\na\x1b[12;3Hb\x1b[Kc\r\n(qemu) "), "abc\n");
        assert!(!is_whole(b"info status\r\nVM status: run"));
        // A prompt that stands inside an answer's line is none.
        assert!(!is_whole(b"x\r\nsays (qemu) "));
        assert!(!is_whole(b"(qemu) "));
    }

    #[test]
    fn greetings() {
        assert!(may_be_greeting(b"QE") && may_be_greeting(b"QEMU 10.0.2 monitor"));
        assert!(!may_be_greeting(b"HTTP/1.1 400") && !may_be_greeting(b"+$#00"));
    }

    #[test]
    fn statuses() {
        let of = |text: &str| status(text).map(|status| (status.is_running, status.word));
        assert_eq!(of("VM status: running\n"), Some((true, "running".into())));
        assert_eq!(
            of("VM status: paused (prelaunch)\n"),
            Some((false, "prelaunch".into()))
        );
        assert_eq!(of("VM status: paused"), Some((false, "paused".into())));
        assert_eq!(of("unknown command: 'info'"), None);
    }

    proptest! {
        #[test]
        fn any_bytes_are_survived(heard in proptest::collection::vec(any::<u8>(), 0..200), text in "\\PC{0,60}") {
            let _ = (may_be_greeting(&heard), is_whole(&heard), answer(&heard), status(&text));
            let mut echoed = b"echo\n".to_vec();
            echoed.extend_from_slice(text.as_bytes());
            echoed.extend_from_slice(b"\n(qemu) ");
            prop_assert_eq!(answer(&echoed), without_escapes(&text) + "\n");
        }
    }
}

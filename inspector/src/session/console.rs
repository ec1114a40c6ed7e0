//! Our own guest's console: what it writes is read from the first byte on, whoever listens; what is typed goes to it.
//!
//! QEMU's socket takes a few hundred bytes that nobody reads; then the guest waits in the middle of a word.
//! So a thread reads all the time, keeps what came last until somebody listens, and ends with the guest. Another one
//! writes what is typed, so that it arrives while the link's thread waits for the guest, and nobody waits for a guest
//! that stands still and reads nothing.

use std::io::{Read as _, Write as _};
use std::os::unix::net::UnixStream;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;

use crossbeam_channel::{Sender, TrySendError, bounded};

/// Bytes that are kept while nobody listens: what came last.
const KEPT: usize = 64 << 10;

/// Typed lines that may wait for a guest that reads nothing.
const TYPED: usize = 64;

/// Most bytes that are typed at once.
const MOST_TYPED: usize = 4096;

/// Where what is typed goes. The console's thread ends when the last of these is gone.
#[derive(Clone, Debug)]
pub struct ConsoleInput(Sender<Vec<u8>>);

impl PartialEq for ConsoleInput {
    fn eq(&self, other: &Self) -> bool {
        self.0.same_channel(&other.0)
    }
}

impl ConsoleInput {
    /// An input whose bytes come out at the other end, and that end.
    pub fn channel() -> (Self, crossbeam_channel::Receiver<Vec<u8>>) {
        let (sender, receiver) = bounded(TYPED);
        (Self(sender), receiver)
    }

    /// Types these bytes; never waits.
    ///
    /// # Errors
    /// In words, with the remedy.
    pub fn type_bytes(&self, bytes: &[u8]) -> Result<(), &'static str> {
        if bytes.len() > MOST_TYPED {
            return Err("That is too much to type at once: send 4096 bytes at most.");
        }
        match self.0.try_send(bytes.to_vec()) {
            Ok(()) => Ok(()),
            Err(TrySendError::Full(_)) => {
                Err("The guest reads nothing that is typed: let it run (F5).")
            }
            Err(TrySendError::Disconnected(_)) => Err("The guest's console is gone: reconnect."),
        }
    }
}

/// Takes text; `false` where it wants no more.
type Listener = Box<dyn FnMut(String) -> bool + Send>;

#[derive(Default)]
struct State {
    kept: Vec<u8>,
    /// The beginning of a letter whose end has not come yet: at most three bytes.
    cut: Vec<u8>,
    listener: Option<Listener>,
}

impl State {
    fn take(&mut self, bytes: &[u8]) {
        let Some(listener) = &mut self.listener else {
            self.kept.extend_from_slice(bytes);
            let surplus = self.kept.len().saturating_sub(KEPT);
            self.kept.drain(..surplus);
            return;
        };
        self.cut.extend_from_slice(bytes);
        let rest = self.cut.split_off(whole_letters(&self.cut));
        let text = std::mem::replace(&mut self.cut, rest);
        if !text.is_empty() && !listener(String::from_utf8_lossy(&text).into_owned()) {
            self.listener = None;
        }
    }
}

/// How many of these bytes come before a letter that is not whole yet.
fn whole_letters(bytes: &[u8]) -> usize {
    let last = bytes.utf8_chunks().last();
    let begun = last.map_or(&[][..], |chunk| chunk.invalid());
    // Bytes that no letter begins with are wrong already, whatever follows.
    let may_go_on = std::str::from_utf8(begun).is_err_and(|error| error.error_len().is_none());
    bytes.len() - if may_go_on { begun.len() } else { 0 }
}

/// A console that is read, and typed at.
pub struct Console {
    state: Arc<Mutex<State>>,
    input: ConsoleInput,
}

impl Console {
    /// Reads `stream` from now on.
    ///
    /// # Errors
    /// Where no thread can be started.
    pub fn follow(mut stream: UnixStream) -> std::io::Result<Self> {
        let (input, typed) = ConsoleInput::channel();
        let mut keyboard = stream.try_clone()?;
        let write = move || {
            for bytes in typed {
                if keyboard.write_all(&bytes).is_err() {
                    break;
                }
            }
        };
        thread::Builder::new()
            .name("keyboard".into())
            .spawn(write)?;
        let state = Arc::new(Mutex::new(State::default()));
        let shared = Arc::clone(&state);
        let read = move || {
            let mut buffer = [0; 4096];
            while let Ok(length @ 1..) = stream.read(&mut buffer) {
                lock(&shared).take(&buffer[..length]);
            }
        };
        thread::Builder::new().name("console".into()).spawn(read)?;
        Ok(Self { state, input })
    }

    /// Where what is typed goes.
    pub fn input(&self) -> ConsoleInput {
        self.input.clone()
    }

    /// Gives `listener` what has been kept, and from now on everything, until it answers `false`.
    pub fn listen(&self, listener: impl FnMut(String) -> bool + Send + 'static) {
        let mut state = lock(&self.state);
        let kept = std::mem::take(&mut state.kept);
        state.listener = Some(Box::new(listener));
        if !kept.is_empty() {
            state.take(&kept);
        }
    }
}

/// A listener that panicked has left nothing half done here.
fn lock(state: &Mutex<State>) -> MutexGuard<'_, State> {
    state.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::mpsc::channel;
    use std::time::Duration;

    #[test]
    fn nothing_is_lost_before_somebody_listens() {
        let (mut guest, stream) = UnixStream::pair().unwrap();
        let console = Console::follow(stream).unwrap();
        // More than a socket holds of bytes written one by one.
        for _ in 0..2000 {
            guest.write_all(b"x").unwrap();
        }
        let (sender, receiver) = channel();
        console.listen(move |text| sender.send(text).is_ok());
        guest.write_all(b"end").unwrap();
        let mut text = String::new();
        while !text.ends_with("end") {
            text.push_str(&receiver.recv_timeout(Duration::from_secs(60)).unwrap());
        }
        assert_eq!(text.len(), 2003);
    }

    #[test]
    fn what_is_typed_arrives_and_never_blocks() {
        let (mut guest, stream) = UnixStream::pair().unwrap();
        let input = Console::follow(stream).unwrap().input();
        input.type_bytes(b"kalloc\n").unwrap();
        let mut read = [0; 7];
        guest.read_exact(&mut read).unwrap();
        assert_eq!(&read, b"kalloc\n");
        // Nobody reads any more: in the end it is said, and nobody waits.
        let line = vec![b'x'; MOST_TYPED];
        let refused = (0..10_000).find_map(|_| input.type_bytes(&line).err());
        assert!(refused.unwrap().contains("let it run"));
        assert!(input.type_bytes(&vec![0; MOST_TYPED + 1]).is_err());
    }

    #[test]
    fn a_letter_that_comes_in_two_pieces_is_one() {
        let (sender, receiver) = channel();
        let mut state = State {
            listener: Some(Box::new(move |text| sender.send(text).is_ok())),
            ..State::default()
        };
        let mut said = |bytes: &[u8]| {
            state.take(bytes);
            receiver.try_iter().collect::<String>()
        };
        let arrow = "→".as_bytes();
        assert_eq!(said(&[b"a", &arrow[..1]].concat()), "a");
        assert_eq!(said(&arrow[1..2]), "");
        assert_eq!(said(&[&arrow[2..], b"b"].concat()), "→b");
        // What no letter is made of waits for nothing.
        assert_eq!(said(b"c\xff"), "c\u{fffd}");
        assert_eq!(said(&arrow[..2]), "");
        assert_eq!(said(b"d"), "\u{fffd}d");
    }

    #[test]
    fn only_the_last_is_kept() {
        let mut state = State::default();
        for number in 0..20_000 {
            state.take(format!("{number:8}\n").as_bytes());
        }
        assert_eq!(state.kept.len(), KEPT);
        assert!(state.kept.ends_with(b"   19999\n"));
    }
}

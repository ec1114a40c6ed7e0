//! What our own guest writes on its console: read from the first byte on, whoever listens.
//!
//! QEMU's socket takes a few hundred bytes that nobody reads; then the guest waits in the middle of a word.
//! So a thread reads all the time, keeps what came last until somebody listens, and ends with the guest.

use std::io::Read as _;
use std::os::unix::net::UnixStream;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;

/// Bytes that are kept while nobody listens: what came last.
const KEPT: usize = 64 << 10;

/// Takes text; `false` where it wants no more.
type Listener = Box<dyn FnMut(String) -> bool + Send>;

#[derive(Default)]
struct State {
    kept: Vec<u8>,
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
        if !listener(String::from_utf8_lossy(bytes).into_owned()) {
            self.listener = None;
        }
    }
}

/// A console that is read.
pub struct Console(Arc<Mutex<State>>);

impl Console {
    /// Reads `stream` from now on.
    ///
    /// # Errors
    /// Where no thread can be started.
    pub fn follow(mut stream: UnixStream) -> std::io::Result<Self> {
        let state = Arc::new(Mutex::new(State::default()));
        let shared = Arc::clone(&state);
        let read = move || {
            let mut buffer = [0; 4096];
            while let Ok(length @ 1..) = stream.read(&mut buffer) {
                lock(&shared).take(&buffer[..length]);
            }
        };
        thread::Builder::new().name("console".into()).spawn(read)?;
        Ok(Self(state))
    }

    /// Gives `listener` what has been kept, and from now on everything, until it answers `false`.
    pub fn listen(&self, listener: impl FnMut(String) -> bool + Send + 'static) {
        let mut state = lock(&self.0);
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
    use std::io::Write as _;
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
    fn only_the_last_is_kept() {
        let mut state = State::default();
        for number in 0..20_000 {
            state.take(format!("{number:8}\n").as_bytes());
        }
        assert_eq!(state.kept.len(), KEPT);
        assert!(state.kept.ends_with(b"   19999\n"));
    }
}

//! How far a long read has come, told to whoever waits for it.

use std::fmt;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// What is told of one read.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Report {
    /// What is being read, in words: `tables, level 1`.
    pub what: String,
    /// Bytes of memory that are here.
    pub done_bytes: u64,
    /// Bytes that were asked for.
    pub total_bytes: u64,
}

impl fmt::Display for Report {
    /// `reading tables, level 1: 12 of 280 KiB`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let what = match self.what.as_str() {
            "" => "memory",
            what => what,
        };
        let (done, total) = (self.done_bytes >> 10, self.total_bytes.div_ceil(1 << 10));
        write!(f, "reading {what}: {done} of {total} KiB")
    }
}

/// Takes reports; called on the thread that reads, so it must not wait.
pub type Listener = Arc<dyn Fn(&Report) + Send + Sync>;

/// How long a read takes before anybody is told of it, and from one report to the next.
const PATIENCE: Duration = Duration::from_millis(150);

/// The progress of one connection's reads.
#[derive(Default)]
pub(super) struct Progress {
    listener: Option<Listener>,
    what: String,
    /// The read that goes on: bytes here, bytes in all, when it was last told of.
    current: Option<(u64, u64, Instant)>,
}

impl fmt::Debug for Progress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Progress")
            .field("what", &self.what)
            .finish_non_exhaustive()
    }
}

impl Progress {
    /// Tells `listener` from now on.
    pub(super) fn listen(&mut self, listener: Listener) {
        self.listener = Some(listener);
    }

    /// What is read next.
    pub(super) fn begin(&mut self, what: &str) {
        if self.what != what {
            what.clone_into(&mut self.what);
        }
    }

    /// A read of so many bytes begins.
    pub(super) fn start(&mut self, total_bytes: u64) {
        if self.listener.is_some() {
            self.current = Some((0, total_bytes, Instant::now()));
        }
    }

    /// So many bytes more are here.
    pub(super) fn add(&mut self, bytes: u64) {
        let Some((done, total, told)) = &mut self.current else {
            return;
        };
        *done = (*done + bytes).min(*total);
        let now = Instant::now();
        if now.duration_since(*told) < PATIENCE {
            return;
        }
        *told = now;
        let report = Report {
            what: self.what.clone(),
            done_bytes: *done,
            total_bytes: *total,
        };
        if let Some(listener) = &self.listener {
            listener(&report);
        }
    }

    /// The read has ended.
    pub(super) fn end(&mut self) {
        self.current = None;
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;
    use std::thread::sleep;

    use super::*;

    #[test]
    fn only_what_takes_long_is_told() {
        let told = Arc::new(Mutex::new(Vec::new()));
        let ours = Arc::clone(&told);
        let mut progress = Progress::default();
        progress.add(5);
        progress.listen(Arc::new(move |report: &Report| {
            ours.lock().unwrap().push(report.to_string());
        }));
        progress.begin("tables, level 1");
        progress.start(280 << 10);
        progress.add(4096);
        assert_eq!(told.lock().unwrap().len(), 0);
        sleep(PATIENCE);
        progress.add(8192);
        progress.add(4096);
        progress.end();
        sleep(PATIENCE);
        progress.add(4096);
        let told = told.lock().unwrap();
        assert_eq!(*told, ["reading tables, level 1: 12 of 280 KiB"]);
    }
}

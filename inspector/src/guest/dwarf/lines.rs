//! File and line of an address, from a thread that reads the debug information when it is first
//! asked, and keeps it.
//!
//! ```text
//!  Lines::ask ──▶ thread "lines": read .debug_*, look up ──▶ answer, kept
//!  Lines::at_within the same, and waits for it               the command line
//!  Lines::known     only what has been answered              whoever must not wait
//! ```

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

use addr2line::{Context, LookupResult};
use crossbeam_channel::{Receiver, Sender, bounded};

use super::Sections;
use crate::guest::demangle::demangled;

/// Most answers that are kept.
const MAX_KEPT: usize = 1 << 14;

/// Questions that may wait.
const MAX_WAITING: usize = 1 << 12;

/// Most functions that are told for one address: inlined ones come first.
const MAX_FRAMES: usize = 16;

/// Where an address comes from.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct SourceLine {
    /// The source file, as the compiler was given it.
    pub file: String,
    /// The line, from 1.
    pub line: u32,
    /// The function; of inlined ones the innermost.
    pub function: Option<String>,
    /// The functions that it is inlined into, innermost first, each with its file and line.
    pub inlined_into: Vec<String>,
}

impl SourceLine {
    /// `kernel/kalloc.c:70`, without the folders that all of a kernel's files are in.
    pub fn text(&self) -> String {
        let mut parts: Vec<&str> = self.file.rsplit('/').take(3).collect();
        // `..` says nothing without what is before it.
        if let Some(up) = parts
            .iter()
            .position(|part| *part == ".." || part.is_empty())
        {
            parts.truncate(up);
        }
        parts.truncate(2);
        parts.reverse();
        format!("{}:{}", parts.join("/"), self.line)
    }
}

/// The lines of a file.
#[derive(Debug)]
pub struct Lines {
    questions: Sender<Question>,
    shared: Arc<Mutex<Kept>>,
    /// What is taken from an address of the guest's to have the file's.
    offset: u64,
}

#[derive(Debug, Default)]
struct Kept {
    answers: BTreeMap<u64, Option<Arc<SourceLine>>>,
}

/// Called on the thread, once.
type Answer = Box<dyn FnOnce(Option<Arc<SourceLine>>) + Send>;

struct Question {
    address: u64,
    answer: Option<Answer>,
}

impl Lines {
    /// The lines of the file at `path`, which lies `offset` further up than it is linked. Nothing is
    /// read before somebody asks.
    ///
    /// # Errors
    /// When the system gives no thread.
    pub fn new(path: PathBuf, offset: u64) -> std::io::Result<Self> {
        let (questions, inbox) = bounded::<Question>(MAX_WAITING);
        let shared: Arc<Mutex<Kept>> = Arc::default();
        let kept = Arc::clone(&shared);
        thread::Builder::new().name("lines".into()).spawn(move || {
            // The first question is what the file is read for.
            let Ok(first) = inbox.recv() else { return };
            let sections = Sections::read(&path);
            let dwarf = sections.as_ref().map(Sections::dwarf);
            let context = dwarf.and_then(|dwarf| Context::from_dwarf(dwarf).ok());
            let look = |address| {
                let line = context.as_ref().and_then(|context| find(context, address));
                line.map(Arc::new)
            };
            serve(first, &inbox, &kept, look);
        })?;
        Ok(Self {
            questions,
            shared,
            offset,
        })
    }

    /// What is known of `address` already; `None` where nobody has asked yet.
    pub fn known(&self, address: u64) -> Option<Option<Arc<SourceLine>>> {
        let address = address.wrapping_sub(self.offset);
        lock(&self.shared).answers.get(&address).cloned()
    }

    /// Has `answer` called with the line of `address`, on another thread, soon. Where too many wait
    /// it is not called at all.
    pub fn ask(&self, address: u64, answer: impl FnOnce(Option<Arc<SourceLine>>) + Send + 'static) {
        let question = Question {
            address: address.wrapping_sub(self.offset),
            answer: Some(Box::new(answer)),
        };
        // Full: whoever draws it asks again.
        let _ = self.questions.try_send(question);
    }

    /// The line of `address`; waits for it, at most `patience`.
    pub fn at_within(&self, address: u64, patience: Duration) -> Option<Arc<SourceLine>> {
        if let Some(known) = self.known(address) {
            return known;
        }
        let (sender, receiver) = bounded(1);
        self.ask(address, move |line| {
            let _ = sender.send(line);
        });
        receiver.recv_timeout(patience).ok().flatten()
    }
}

fn serve(
    first: Question,
    inbox: &Receiver<Question>,
    kept: &Mutex<Kept>,
    look: impl Fn(u64) -> Option<Arc<SourceLine>>,
) {
    let rest = std::iter::from_fn(|| inbox.recv().ok());
    for question in std::iter::once(first).chain(rest) {
        let known = lock(kept).answers.get(&question.address).cloned();
        let line = known.unwrap_or_else(|| {
            let line = look(question.address);
            let mut kept = lock(kept);
            if kept.answers.len() >= MAX_KEPT {
                kept.answers.clear();
            }
            kept.answers.insert(question.address, line.clone());
            line
        });
        if let Some(answer) = question.answer {
            answer(line);
        }
    }
}

fn find(context: &Context<super::Reader<'_>>, address: u64) -> Option<SourceLine> {
    let LookupResult::Output(frames) = context.find_frames(address) else {
        // The rest is in another file, which is not opened.
        return None;
    };
    let mut frames = frames.ok()?;
    let mut found: Option<SourceLine> = None;
    for _ in 0..MAX_FRAMES {
        let Ok(Some(frame)) = frames.next() else {
            break;
        };
        let function = frame.function.as_ref().and_then(|function| {
            let raw = function.raw_name().ok()?;
            Some(demangled(&raw).into_owned())
        });
        let place = frame.location.as_ref().and_then(|location| {
            Some((
                location.file?.to_owned(),
                location.line.filter(|line| *line > 0)?,
            ))
        });
        match (&mut found, place) {
            (None, Some((file, line))) => {
                found = Some(SourceLine {
                    file,
                    line,
                    function,
                    inlined_into: Vec::new(),
                });
            }
            (Some(inner), Some((file, line))) => {
                let outer = SourceLine {
                    file,
                    line,
                    ..SourceLine::default()
                };
                let name = function.unwrap_or_else(|| "?".into());
                inner.inlined_into.push(format!("{name} {}", outer.text()));
            }
            (_, None) => {}
        }
    }
    found
}

/// What a thread that panicked has left is whole.
fn lock(kept: &Mutex<Kept>) -> MutexGuard<'_, Kept> {
    kept.lock().unwrap_or_else(PoisonError::into_inner)
}

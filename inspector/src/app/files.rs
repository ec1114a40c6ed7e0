//! Saving and opening, on threads of their own: a file dialog may stay open for minutes, and a
//! recording may be large. The window goes on meanwhile.

use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crossbeam_channel::{Receiver, Sender, unbounded};
use pagescope_protocol::snapshot::text;

use crate::assets::Lecture;
use crate::export::file::{read_document, write_atomically};
use crate::export::html::lecture_html;
use crate::export::text::{Order, layout_text, schematic_text};
use crate::export::view::{view_png, view_svg};
use crate::guest::ElfFile;
use crate::link::Address;
use crate::link::dump::FileKind;
use crate::link::local::LocalGuest;
use crate::model::History;
use crate::views::FilePurpose;
use crate::views::state::State;

use super::outside::{Named, Outside, ThisMachine};

/// What a job has come to.
#[derive(Debug)]
pub(super) enum Done {
    /// Written here.
    Saved(FilePurpose, PathBuf),
    /// Read: where, its name and its moments.
    Opened(Option<PathBuf>, String, Box<History>),
    /// Found: the guests of this machine that can be attached to.
    Guests(Vec<LocalGuest>),
    /// Read: the ELF of the guest at this address.
    Elf(Address, Arc<ElfFile>),
    /// The desktop has no file dialog: a path has to be typed.
    NoDialog(FilePurpose),
    /// It did not work; why, and what to do.
    Failed(String),
}

/// The jobs.
pub(super) struct Files {
    sender: Sender<Done>,
    done: Receiver<Done>,
    waker: Option<egui::Context>,
    /// Who names files.
    outside: Arc<dyn Outside>,
}

impl Default for Files {
    fn default() -> Self {
        // Each job sends once: what waits here is bounded by what the user asked for.
        let (sender, done) = unbounded();
        Self {
            sender,
            done,
            waker: None,
            outside: Arc::new(ThisMachine),
        }
    }
}

impl Files {
    /// The window to wake when a job is done.
    pub(super) fn set_waker(&mut self, ctx: egui::Context) {
        self.waker = Some(ctx);
    }

    /// Has `outside` name files.
    pub(super) fn set_outside(&mut self, outside: Arc<dyn Outside>) {
        self.outside = outside;
    }

    /// What is around the window.
    pub(super) fn outside(&self) -> Arc<dyn Outside> {
        Arc::clone(&self.outside)
    }

    /// What has been done since the last time.
    pub(super) fn take_done(&self) -> Vec<Done> {
        self.done.try_iter().collect()
    }

    /// Writes the moment being looked at to `path`, or to a place that the user names.
    pub(super) fn save_snapshot(&self, history: History, path: Option<PathBuf>) {
        self.with_path(FilePurpose::SaveSnapshot, path, move |path| {
            let snapshot = history.for_file(history.cursor()).ok_or(None)?;
            Ok(save(
                FilePurpose::SaveSnapshot,
                &path,
                &text::snapshot_to_text(&snapshot),
            ))
        });
    }

    /// Writes all moments to `path`, or to a place that the user names.
    pub(super) fn save_recording(&self, history: History, path: Option<PathBuf>) {
        self.with_path(FilePurpose::SaveRecording, path, move |path| {
            let recording = history.to_recording().ok_or(None)?;
            Ok(save(
                FilePurpose::SaveRecording,
                &path,
                &text::recording_to_text(&recording),
            ))
        });
    }

    /// Writes the lecture as a page for a browser to `path`, or to a place that the user names.
    pub(super) fn export_html(&self, history: History, title: String, path: Option<PathBuf>) {
        self.with_path(FilePurpose::ExportHtml, path, move |path| {
            Ok(save(
                FilePurpose::ExportHtml,
                &path,
                &lecture_html(&history, &title),
            ))
        });
    }

    /// Draws what is looked at, and writes it to `path`, or to a place that the user names.
    pub(super) fn export(&self, purpose: FilePurpose, state: State, path: Option<PathBuf>) {
        self.with_path(purpose, path, move |path| {
            let failed = |error: &dyn std::fmt::Display| Some(Done::Failed(format!("{error}.")));
            let picture = &state.guest.picture;
            let bytes = match purpose {
                FilePurpose::ExportPng => {
                    view_png(&state, picture).map_err(|error| failed(&error))?
                }
                FilePurpose::ExportSchematic => {
                    let snapshot = state.snapshot().ok_or(None)?;
                    let space = state.space().ok_or(None)?;
                    schematic_text(snapshot, space, Order::LowFirst).into_bytes()
                }
                FilePurpose::ExportText => {
                    let snapshot = state.snapshot().ok_or(None)?;
                    layout_text(snapshot, state.space()).into_bytes()
                }
                _ => view_svg(&state, picture)
                    .map_err(|error| failed(&error))?
                    .into_bytes(),
            };
            Ok(save_bytes(purpose, &path, &bytes))
        });
    }

    /// Reads `path`, or a file that the user names.
    pub(super) fn open(&self, path: Option<PathBuf>) {
        self.with_path(FilePurpose::Open, path, |path| Ok(read(&path)));
    }

    /// Reads a lecture that the program carries.
    pub(super) fn open_lecture(&self, lecture: &'static Lecture) {
        self.run(move || {
            opened(
                lecture.title.to_owned(),
                None,
                History::from_text(lecture.text),
            )
        });
    }

    /// Reads the ELF of a guest that is to be attached to.
    pub(super) fn read_elf(&self, address: Address, path: PathBuf) {
        self.run(move || match ElfFile::open(&path) {
            Ok(elf) => Done::Elf(address, Arc::new(elf)),
            Err(error) => Done::Failed(format!("{error}.")),
        });
    }

    /// Does something that takes longer than a frame.
    pub(super) fn run(&self, work: impl FnOnce() -> Done + Send + 'static) {
        self.job(move || Ok(work()));
    }

    /// The same, for what nobody waits for.
    pub(super) fn run_quietly(&self, work: impl FnOnce() + Send + 'static) {
        let thread = std::thread::Builder::new().name("pagescope-file".into());
        // Where there is no thread for it, it is done the next time.
        let _ = thread.spawn(work);
    }

    /// Does something with `path`, or with a file that the user names: that may take minutes. An error is the end of it:
    /// `None` where the user changed their mind.
    fn with_path(
        &self,
        purpose: FilePurpose,
        path: Option<PathBuf>,
        work: impl FnOnce(PathBuf) -> Result<Done, Option<Done>> + Send + 'static,
    ) {
        let outside = self.outside();
        self.job(move || {
            let named = path.map_or_else(|| outside.path(purpose), Named::Path);
            match named {
                Named::Path(path) => work(path),
                Named::Nothing => Err(None),
                Named::NoDialog => Err(Some(Done::NoDialog(purpose))),
            }
        });
    }

    /// Runs `work` on its own thread.
    fn job(&self, work: impl FnOnce() -> Result<Done, Option<Done>> + Send + 'static) {
        let sender = self.sender.clone();
        let waker = self.waker.clone();
        let run = move || {
            if let Some(done) = work().map_or_else(|end| end, Some) {
                // The window may be closed by now; then nobody waits for this.
                let _ = sender.send(done);
            }
            if let Some(waker) = waker {
                waker.request_repaint();
            }
        };
        let thread = std::thread::Builder::new().name("pagescope-file".into());
        if let Err(error) = thread.spawn(run) {
            let _ = self.sender.send(Done::Failed(format!(
                "No thread for the file could be started: {error}."
            )));
        }
    }
}

fn save(purpose: FilePurpose, path: &Path, text: &str) -> Done {
    save_bytes(purpose, path, text.as_bytes())
}

fn save_bytes(purpose: FilePurpose, path: &Path, bytes: &[u8]) -> Done {
    match write_atomically(path, bytes) {
        Ok(()) => Done::Saved(purpose, path.to_owned()),
        Err(error) => Done::Failed(format!("{error}.")),
    }
}

fn read(path: &Path) -> Done {
    let name = path.file_name().map_or_else(
        || path.display().to_string(),
        |name| name.display().to_string(),
    );
    if let Some(why) = no_moments(path) {
        return Done::Failed(why);
    }
    match read_document(path) {
        Ok(document) => opened(name, Some(path), History::from_document(document)),
        Err(error) => Done::Failed(format!("{error}.")),
    }
}

/// Why a file holds no moments, and what opens it: its first bytes say so, and it may be as large as a machine's RAM.
fn no_moments(path: &Path) -> Option<String> {
    if !path.is_file() {
        return None;
    }
    let shown = path.display();
    match FileKind::of(path).ok()? {
        FileKind::Text => None,
        FileKind::Other if begins_as_text(path) => None,
        FileKind::Core => Some(format!(
            "{shown} is a core dump, and here snapshots and recordings are opened. In a terminal: \
             pagescope open {shown}"
        )),
        FileKind::Program => Some(format!(
            "{shown} is a program, which holds no guest's memory. Give it with a guest: \
             pagescope attach HOST:PORT --elf {shown}"
        )),
        FileKind::Compressed => Some(format!(
            "{shown} is a compressed dump, which cannot be read: have QEMU write it with dump-guest-memory, without -z."
        )),
        FileKind::Other => Some(format!(
            "{shown} is no text, so neither a snapshot nor a recording. If it is an image of RAM, in a terminal: \
             pagescope open {shown} --ram-base 0x80000000 --satp 0x…"
        )),
    }
}

/// Whether a file's first bytes are letters of any language, or a byte-order mark.
fn begins_as_text(path: &Path) -> bool {
    let mut head = Vec::new();
    let file = std::fs::File::open(path);
    let read = file.and_then(|file| file.take(64).read_to_end(&mut head));
    // A letter may be cut at the end.
    let is_utf8 =
        std::str::from_utf8(&head).map_or_else(|error| error.error_len().is_none(), |_| true);
    read.is_ok() && is_utf8 && !head.contains(&0)
}

/// What a text that the program carries, or a file, has come to.
fn opened(name: String, path: Option<&Path>, history: Result<History, String>) -> Done {
    match history {
        Ok(history) => Done::Opened(path.map(Path::to_owned), name, Box::new(history)),
        Err(why) => Done::Failed(format!("{name}: {why}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::fixture;

    #[test]
    fn what_is_saved_can_be_opened() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("lecture.ron");
        let history = fixture::history(3);
        let recording = history.to_recording().unwrap();
        let saved = save(
            FilePurpose::SaveRecording,
            &path,
            &text::recording_to_text(&recording),
        );
        assert!(matches!(saved, Done::Saved(..)), "{saved:?}");
        match read(&path) {
            Done::Opened(_, name, read) => {
                assert_eq!(name, "lecture.ron");
                assert_eq!(read.moments().len(), 4);
            }
            other => panic!("{other:?}"),
        }
        // Only the file itself is left in the folder.
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1);
    }

    #[test]
    fn what_holds_no_moments_says_what_opens_it() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("guest.core");
        // The head of a RISC-V core: class, order, version; its type and its machine.
        let mut core = b"\x7fELF\x02\x01\x01".to_vec();
        core.resize(16, 0);
        core.extend([4, 0, 243, 0, 1, 0, 0, 0]);
        core.resize(64, 0);
        for (bytes, says) in [
            (&core[..], "pagescope open"),
            (&[0xff; 64], "--ram-base"),
            (&[0; 64], "--ram-base"),
            ("\u{feff}Schnappschüsse".as_bytes(), "begins with"),
            (&[], "guest.core"),
        ] {
            std::fs::write(&path, bytes).unwrap();
            let Done::Failed(why) = read(&path) else {
                panic!()
            };
            assert!(why.contains(says) && why.contains("guest.core"), "{why}");
            assert!(!why.contains("UTF-8"), "{why}");
        }
    }

    #[test]
    fn a_damaged_file_is_named_with_its_line() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("bad.ron");
        std::fs::write(
            &path,
            "Snapshot(\n  version: 1,\n  provenance: (tool: 5),\n",
        )
        .unwrap();
        let Done::Failed(why) = read(&path) else {
            panic!()
        };
        assert!(why.contains("bad.ron") && why.contains("line 3"), "{why}");
        let nowhere = save(
            FilePurpose::SaveSnapshot,
            Path::new("/nonexistent/x.ron"),
            "",
        );
        assert!(matches!(nowhere, Done::Failed(_)));
    }
}

//! What the window asks of the machine that it runs on: a session on a guest, the guests that there are, a path from the
//! desktop's dialog. A test answers in the machine's place.

use std::io;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use crate::link::local::{LocalGuest, local_guests};
use crate::session::{Session, Source, Waker};
use crate::views::FilePurpose;

/// A dialog that is gone this soon was never there: no hand is that quick.
const NO_DIALOG: Duration = Duration::from_millis(350);

/// What is around the window.
pub trait Outside: Send + Sync {
    /// Starts a session on `source`.
    ///
    /// # Errors
    /// When the system gives no thread.
    fn start(&self, source: Source, waker: Waker) -> io::Result<Session>;

    /// The guests of this machine that can be attached to. It may take a while.
    fn guests(&self) -> Vec<LocalGuest>;

    /// Has the user name a file. It takes as long as the user does.
    fn path(&self, purpose: FilePurpose) -> Named;
}

/// What has come of asking for a path.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Named {
    /// This one.
    Path(PathBuf),
    /// The user changed their mind.
    Nothing,
    /// The desktop has no file dialog: a path has to be typed.
    NoDialog,
}

/// The machine itself.
pub(super) struct ThisMachine;

impl Outside for ThisMachine {
    fn start(&self, source: Source, waker: Waker) -> io::Result<Session> {
        Session::start(source, waker)
    }

    fn guests(&self) -> Vec<LocalGuest> {
        local_guests()
    }

    fn path(&self, purpose: FilePurpose) -> Named {
        let asked = Instant::now();
        let (kind, ending) = match purpose {
            FilePurpose::ExportHtml => ("Pages for a browser", "html"),
            FilePurpose::ExportSvg => ("Pictures (SVG)", "svg"),
            FilePurpose::ExportPng => ("Pictures (PNG)", "png"),
            FilePurpose::ExportText | FilePurpose::ExportSchematic => ("Text", "txt"),
            FilePurpose::SaveSnapshot | FilePurpose::SaveRecording | FilePurpose::Open => {
                ("Snapshots and recordings", "ron")
            }
        };
        let dialog = rfd::FileDialog::new()
            .set_title(purpose.title())
            .add_filter(kind, &[ending]);
        let path = match purpose {
            FilePurpose::Open => dialog.pick_file(),
            _ => dialog.set_file_name(purpose.default_name()).save_file(),
        };
        match path {
            Some(path) => Named::Path(path),
            None if asked.elapsed() < NO_DIALOG => Named::NoDialog,
            None => Named::Nothing,
        }
    }
}

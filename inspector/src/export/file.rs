//! Files, written whole or not at all, and read with errors that name file and remedy.
//!
//! Writing makes a temporary file beside the wanted one, and renames it once everything is on the
//! disk: whoever looks sees the old file or the new one, never half of it. A file that exists keeps
//! its permissions; a link stays a link. What is not a regular file (`/dev/stdout`, a pipe) cannot
//! be replaced, and is written straight.

use std::fs::{self, File, Metadata, OpenOptions};
use std::io::{self, Read as _, Write as _};
use std::path::{Path, PathBuf};

use pagescope_protocol::snapshot::text::{Document, TextError, from_text};

/// The largest file that is read: past the contents of every frame of a 128 MiB machine.
pub const SIZE_LIMIT: u64 = 1 << 30;

/// Why a file could not be written or read.
#[derive(Debug, thiserror::Error)]
pub enum FileError {
    /// There is no such file.
    #[error("there is no file {}: check its name, or make it with pagescope snapshot", .0.display())]
    Missing(PathBuf),
    /// The folder that the file should go to does not exist.
    #[error("cannot write {}: there is no folder {}; make it first, or choose another", .path.display(), .folder.display())]
    NoFolder {
        /// The file.
        path: PathBuf,
        /// The folder.
        folder: PathBuf,
    },
    /// A folder stands where a file is meant.
    #[error("{} is a folder: name a file in it", .0.display())]
    Folder(PathBuf),
    /// Not allowed.
    #[error("may not {action} {}: check its permissions and its folder's, or choose another place", .path.display())]
    Denied {
        /// `read` or `write`.
        action: &'static str,
        /// The file.
        path: PathBuf,
    },
    /// The disk is full.
    #[error("cannot write {}: no space is left there; what was there before is unchanged", .0.display())]
    Full(PathBuf),
    /// Too large to be one of ours.
    #[error("{} is larger than {} bytes, which no snapshot is: is it the right file?", .0.display(), SIZE_LIMIT)]
    TooLarge(PathBuf),
    /// Not text.
    #[error("{} is no text from line {line} on: a snapshot is RON, which is UTF-8 text", .path.display())]
    NotText {
        /// The file.
        path: PathBuf,
        /// The first line that is not text, from 1.
        line: usize,
    },
    /// Text, but no snapshot.
    #[error("{}: {error}", .path.display())]
    Text {
        /// The file.
        path: PathBuf,
        /// What is wrong in it.
        error: TextError,
    },
    /// Anything else that the system says.
    #[error("cannot {action} {}: {error}", .path.display())]
    System {
        /// `read` or `write`.
        action: &'static str,
        /// The file.
        path: PathBuf,
        /// What the system says.
        error: io::Error,
    },
}

impl FileError {
    fn new(action: &'static str, path: &Path, error: io::Error) -> Self {
        let path = path.to_owned();
        match error.kind() {
            io::ErrorKind::NotFound if action == "read" => Self::Missing(path),
            io::ErrorKind::PermissionDenied | io::ErrorKind::ReadOnlyFilesystem => {
                Self::Denied { action, path }
            }
            io::ErrorKind::IsADirectory => Self::Folder(path),
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => Self::Full(path),
            _ => Self::System {
                action,
                path,
                error,
            },
        }
    }
}

/// Makes `bytes` the contents of the file at `path`, wholly or not at all.
///
/// # Errors
/// [`FileError`], which names the file and what to do. What was there before is then unchanged.
pub fn write_atomically(path: &Path, bytes: &[u8]) -> Result<(), FileError> {
    let failed = |error| FileError::new("write", path, error);
    let there = match fs::metadata(path) {
        Ok(metadata) => Some(metadata),
        Err(error) if error.kind() == io::ErrorKind::NotFound => None,
        Err(error) => return Err(failed(error)),
    };
    match there {
        Some(metadata) if metadata.is_dir() => Err(FileError::Folder(path.to_owned())),
        Some(metadata) if metadata.is_file() => {
            // A link stays: the file that it leads to is replaced.
            let real = fs::canonicalize(path).map_err(failed)?;
            replace(&real, Some(&metadata), bytes).map_err(failed)
        }
        Some(_) => {
            let special = OpenOptions::new().write(true).open(path);
            special
                .and_then(|mut file| file.write_all(bytes))
                .map_err(failed)
        }
        None => {
            let folder = folder_of(path);
            if !folder.is_dir() {
                let (path, folder) = (path.to_owned(), folder.to_owned());
                return Err(FileError::NoFolder { path, folder });
            }
            // A path such as `folder/..` or `new/` names no file.
            if path.file_name().is_none() || path.as_os_str().as_encoded_bytes().ends_with(b"/") {
                return Err(FileError::Folder(path.to_owned()));
            }
            replace(path, None, bytes).map_err(failed)
        }
    }
}

fn folder_of(path: &Path) -> &Path {
    path.parent()
        .filter(|parent| !parent.as_os_str().is_empty())
        .unwrap_or(Path::new("."))
}

fn replace(path: &Path, there: Option<&Metadata>, bytes: &[u8]) -> io::Result<()> {
    let mut builder = tempfile::Builder::new();
    builder.prefix(".pagescope-").suffix(".part");
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt as _;
        // As for any new file: the umask takes away what the user wants taken away.
        builder.permissions(fs::Permissions::from_mode(0o666));
    }
    let mut file = builder.tempfile_in(folder_of(path))?;
    file.write_all(bytes)?;
    if let Some(metadata) = there {
        file.as_file().set_permissions(metadata.permissions())?;
    }
    file.as_file().sync_all()?;
    file.persist(path).map_err(|error| error.error)?;
    Ok(())
}

/// The snapshot or recording in the file at `path`.
///
/// # Errors
/// [`FileError`], which names the file, and line and field where its text is at fault.
pub fn read_document(path: &Path) -> Result<Document, FileError> {
    let failed = |error| FileError::new("read", path, error);
    let file = File::open(path).map_err(failed)?;
    if file.metadata().map_err(failed)?.is_dir() {
        return Err(FileError::Folder(path.to_owned()));
    }
    let mut bytes = Vec::new();
    // A pipe says nothing of its length beforehand.
    file.take(SIZE_LIMIT + 1)
        .read_to_end(&mut bytes)
        .map_err(failed)?;
    if bytes.len() as u64 > SIZE_LIMIT {
        return Err(FileError::TooLarge(path.to_owned()));
    }
    let text = std::str::from_utf8(&bytes).map_err(|error| {
        let before = &bytes[..error.valid_up_to()];
        FileError::NotText {
            path: path.to_owned(),
            line: 1 + before.iter().filter(|byte| **byte == b'\n').count(),
        }
    })?;
    // Some editors begin a file with a byte-order mark.
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    from_text(text).map_err(|error| FileError::Text {
        path: path.to_owned(),
        error,
    })
}

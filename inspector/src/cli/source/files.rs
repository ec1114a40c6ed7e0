//! Files of moments: read, and written.

use std::path::Path;
use std::sync::Arc;

use pagescope_protocol::snapshot::Snapshot;

use super::place::no_file;
use crate::cli::Failure;
use crate::export::file::read_document;
use crate::model::History;

/// The moments in a file.
pub(in crate::cli) fn history(path: &Path) -> Result<History, Failure> {
    let file =
        |error: &dyn std::fmt::Display| Failure::Usage(format!("{}: {error}", path.display()));
    if let Some(failure) = no_file(path) {
        return Err(failure);
    }
    let document = read_document(path).map_err(Failure::usage)?;
    History::from_document(document).map_err(|error| file(&error))
}

/// The last moment in a file.
pub(in crate::cli) fn last_moment(path: &Path) -> Result<Arc<Snapshot>, Failure> {
    let history = history(path)?;
    let last = history
        .moments()
        .last()
        .map(|moment| Arc::clone(&moment.snapshot));
    last.ok_or_else(|| Failure::Usage(format!("{} holds no moment", path.display())))
}

/// An error where a file could not be written later, after the guest has done its work.
pub(in crate::cli) fn can_write(path: &Path) -> Result<(), Failure> {
    let folder = path
        .parent()
        .filter(|folder| !folder.as_os_str().is_empty());
    match folder {
        Some(folder) if !folder.is_dir() => Err(Failure::Usage(format!(
            "cannot write {}: there is no folder {}; make it first",
            path.display(),
            folder.display()
        ))),
        _ => Ok(()),
    }
}

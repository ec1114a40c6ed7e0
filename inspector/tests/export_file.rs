//! Files: whole or not at all, and errors that name file and remedy.
#![allow(clippy::unwrap_used, reason = "a test that panics has failed")]

use std::fs;
use std::path::Path;

use pagescope::export::file::{FileError, read_document, write_atomically};
use pagescope::model::fixture;
use pagescope_protocol::snapshot::text::{Document, TextError, snapshot_to_text};

fn names(folder: &Path) -> Vec<String> {
    let entries = fs::read_dir(folder).unwrap();
    entries
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect()
}

#[test]
fn a_file_is_written_and_replaced_whole() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("snapshot.ron");
    write_atomically(&path, b"one").unwrap();
    write_atomically(&path, b"two").unwrap();
    assert_eq!(fs::read(&path).unwrap(), b"two");
    assert_eq!(
        names(folder.path()),
        ["snapshot.ron"],
        "nothing is left over"
    );
}

#[test]
fn a_snapshot_comes_back_from_its_file() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("snapshot.ron");
    let snapshot = fixture::pseudos(20);
    let text = snapshot_to_text(&snapshot);
    write_atomically(&path, text.as_bytes()).unwrap();
    assert_eq!(
        read_document(&path).unwrap(),
        Document::Snapshot(snapshot.clone())
    );
    write_atomically(&path, format!("\u{feff}{text}").as_bytes()).unwrap();
    assert_eq!(read_document(&path).unwrap(), Document::Snapshot(snapshot));
}

#[cfg(unix)]
#[test]
fn permissions_links_and_pipes_stay_what_they_are() {
    use std::os::unix::fs::{PermissionsExt as _, symlink};
    let folder = tempfile::tempdir().unwrap();
    let [path, link] = ["real", "link"].map(|name| folder.path().join(name));
    write_atomically(&path, b"one").unwrap();
    let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(&path) & 0o600, 0o600);
    fs::set_permissions(&path, fs::Permissions::from_mode(0o640)).unwrap();
    symlink(&path, &link).unwrap();
    write_atomically(&link, b"two").unwrap();
    assert!(fs::symlink_metadata(&link).unwrap().is_symlink());
    assert_eq!(
        (fs::read(&path).unwrap(), mode(&path)),
        (b"two".to_vec(), 0o640)
    );
    // Not replaced by a file, which as root it would be.
    write_atomically(Path::new("/dev/null"), b"gone").unwrap();
    assert!(!fs::metadata("/dev/null").unwrap().is_file());
}

#[test]
fn what_cannot_be_written_is_named_with_a_remedy() {
    let folder = tempfile::tempdir().unwrap();
    let missing = folder.path().join("nowhere/snapshot.ron");
    let error = write_atomically(&missing, b"x").unwrap_err();
    assert!(matches!(&error, FileError::NoFolder { path, .. } if *path == missing));
    let text = error.to_string();
    assert!(
        text.contains("nowhere") && text.contains("make it first"),
        "{text}"
    );

    let error = write_atomically(folder.path(), b"x").unwrap_err();
    assert!(matches!(error, FileError::Folder(_)), "{error}");
    let error = write_atomically(&folder.path().join("new/"), b"x").unwrap_err();
    assert!(matches!(error, FileError::Folder(_)), "{error}");
    let under_file = folder.path().join("file");
    write_atomically(&under_file, b"x").unwrap();
    let error = write_atomically(&under_file.join("below"), b"x").unwrap_err();
    assert!(error.to_string().contains("below"), "{error}");
    assert_eq!(names(folder.path()), ["file"]);
}

#[test]
fn what_cannot_be_read_is_named_with_a_remedy() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("snapshot.ron");
    let error = read_document(&path).unwrap_err();
    assert!(matches!(error, FileError::Missing(_)));
    assert!(error.to_string().contains("snapshot.ron"));
    assert!(matches!(
        read_document(folder.path()),
        Err(FileError::Folder(_))
    ));

    let text = snapshot_to_text(&fixture::pseudos(1));
    fs::write(&path, &text.as_bytes()[..text.len() / 2]).unwrap();
    let error = read_document(&path).unwrap_err();
    let says = error.to_string();
    assert!(matches!(
        error,
        FileError::Text {
            error: TextError::Damaged { .. },
            ..
        }
    ));
    assert!(says.contains("snapshot.ron: line "), "{says}");

    fs::write(&path, "").unwrap();
    assert!(matches!(
        read_document(&path),
        Err(FileError::Text {
            error: TextError::Empty,
            ..
        })
    ));
    fs::write(&path, b"\x7fELF\n\xff\xfe").unwrap();
    assert!(matches!(
        read_document(&path),
        Err(FileError::NotText { line: 2, .. })
    ));
}

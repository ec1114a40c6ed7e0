//! The directory that a guest lives in.

use std::fs::{self, File};
use std::path::{Path, PathBuf};

use tempfile::TempDir;

use super::{LaunchError, io_error};

/// Files in memory: RAM in it is never written to a disk.
const SHARED_MEMORY: &str = "/dev/shm";

/// How directories of ours begin.
const PREFIX: &str = "pagescope-";

/// The file in it that its owner has locked. The lock goes with the process, however that ends,
/// and unlike a process id it means the same in every container that sees the directory.
const LOCK: &str = "lock";

/// Room that stays free beside a guest's RAM, in bytes: its kernel and log.
const SPARE_BYTES: u64 = 32 << 20;

/// The longest path of a Unix socket, without its final zero (`sockaddr_un.sun_path`).
const MAX_SOCKET_PATH_BYTES: usize = 107;

/// The longest name that is put into the directory, with its slash.
const LONGEST_NAME_BYTES: usize = "/kernel.elf".len();

/// A new directory.
pub(super) struct Place {
    pub(super) directory: TempDir,
    pub(super) lock: File,
    /// Whether it has room for the RAM that was asked for.
    pub(super) has_room: bool,
}

/// Makes a private directory with room for `ram_bytes`: in shared memory if it can be, else where
/// temporary files go.
pub(super) fn make(ram_bytes: u64) -> Result<Place, LaunchError> {
    let candidates = [PathBuf::from(SHARED_MEMORY), std::env::temp_dir()];
    for parent in &candidates {
        remove_leftovers(parent);
    }
    let roomy = candidates
        .iter()
        .find(|parent| has_room(parent, ram_bytes) && is_usable(parent));
    // The system's own, where neither has room: a socket's path must stay short.
    let parent = roomy.map_or(Path::new("/tmp"), PathBuf::as_path);
    let directory = tempfile::Builder::new()
        .prefix(PREFIX)
        .tempdir_in(parent)
        .map_err(io_error("create a directory in", parent))?;
    let lock = hold(directory.path())?;
    Ok(Place {
        directory,
        lock,
        has_room: roomy.is_some(),
    })
}

/// Locks `directory` as ours. The lock gets its name once it is held: whoever finds it free under
/// that name may remove the directory.
fn hold(directory: &Path) -> Result<File, LaunchError> {
    let (unheld, held) = (directory.join("lock.new"), directory.join(LOCK));
    let lock = File::create(&unheld).map_err(io_error("create", &unheld))?;
    lock.lock().map_err(io_error("lock", &unheld))?;
    fs::rename(&unheld, &held).map_err(io_error("create", &held))?;
    Ok(lock)
}

/// A guest that touches RAM which its file has no room for dies of SIGBUS, so look first.
fn has_room(parent: &Path, ram_bytes: u64) -> bool {
    let Ok(facts) = rustix::fs::statvfs(parent) else {
        return false;
    };
    let free = facts.f_bavail.saturating_mul(facts.f_frsize);
    free >= ram_bytes.saturating_add(SPARE_BYTES)
}

/// Whether a directory can be made in it whose sockets have paths that are short enough.
fn is_usable(parent: &Path) -> bool {
    let name = PREFIX.len() + "XXXXXX".len() + LONGEST_NAME_BYTES;
    parent.as_os_str().len() + name <= MAX_SOCKET_PATH_BYTES
        && tempfile::Builder::new().tempfile_in(parent).is_ok()
}

/// Removes what applications left behind that were killed. Best effort: a directory that is not
/// ours to remove stays, and so does one whose owner still holds its lock.
fn remove_leftovers(parent: &Path) {
    for entry in fs::read_dir(parent).into_iter().flatten().flatten() {
        let is_ours = entry
            .file_name()
            .to_str()
            .is_some_and(|name| name.starts_with(PREFIX));
        let is_directory = entry.file_type().is_ok_and(|kind| kind.is_dir());
        if !is_ours || !is_directory {
            continue;
        }
        let Ok(lock) = File::open(entry.path().join(LOCK)) else {
            continue;
        };
        if lock.try_lock().is_ok() {
            let _ = fs::remove_dir_all(entry.path());
        }
    }
}

/// Whether somebody listens on the Unix socket at `path`, found out without connecting: connecting
/// to QEMU's gdb port would stop the machine.
pub(super) fn is_listening(path: &Path) -> bool {
    /// `__SO_ACCEPTCON` in the kernel's `include/linux/net.h`: the socket takes connections.
    const LISTENS: u32 = 1 << 16;
    if !path.exists() {
        return false;
    }
    let Ok(sockets) = fs::read("/proc/net/unix") else {
        return true;
    };
    // Num RefCount Protocol Flags Type St Inode Path
    String::from_utf8_lossy(&sockets).lines().any(|line| {
        let mut fields = line.split_ascii_whitespace();
        let flags = fields.nth(3).and_then(|f| u32::from_str_radix(f, 16).ok());
        line.ends_with(&path.display().to_string())
            && flags.is_some_and(|flags| flags & LISTENS != 0)
    })
}

/// Whether a program of this name can be found.
pub(super) fn is_in_path(program: &str) -> bool {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path).any(|directory| directory.join(program).is_file())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::net::UnixListener;

    #[test]
    fn sockets_fit_and_the_directory_goes() {
        let place = make(1 << 20).unwrap();
        let path = place.directory.path().to_owned();
        assert!(path.as_os_str().len() + LONGEST_NAME_BYTES <= MAX_SOCKET_PATH_BYTES);
        let socket = path.join("gdb");
        assert!(!is_listening(&socket));
        let _listener = UnixListener::bind(&socket).unwrap();
        assert!(is_listening(&socket));
        drop(place);
        assert!(!path.exists());
    }

    #[test]
    fn leftovers_of_the_dead_are_removed_and_no_others() {
        let parent = tempfile::tempdir().unwrap();
        let [dead, alive, foreign] =
            ["pagescope-dead", "pagescope-alive", "pagescope-notes"].map(|n| parent.path().join(n));
        for directory in [&dead, &alive, &foreign] {
            fs::create_dir(directory).unwrap();
        }
        File::create(dead.join(LOCK)).unwrap();
        let held = File::create(alive.join(LOCK)).unwrap();
        held.lock().unwrap();
        remove_leftovers(parent.path());
        assert!(!dead.exists() && alive.exists() && foreign.exists());
    }

    #[test]
    fn nothing_has_room_for_everything() {
        assert!(!has_room(Path::new("/tmp"), u64::MAX));
        assert!(!has_room(Path::new("/no such place"), 0));
    }
}

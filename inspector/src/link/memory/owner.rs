//! Whether a file is the RAM of this very QEMU, and not a copy of it.
//!
//! A copy holds the same bytes until the guest writes: comparing places with the port cannot tell it from the RAM of
//! a guest that stands still. `/proc/PID/maps` can: it has a line for each file that the process has mapped, with
//! its inode, and says which the process shares (proc(5)).
//!
//! Inodes are compared without their devices: for some file systems (btrfs, overlays) the two places that tell
//! the device tell different ones. A copy that has the same inode on another device is not met by chance.

use std::fs;
use std::path::{Path, PathBuf};

use super::peer::Peer;

/// Why the file with this inode is not the RAM of the QEMU at the other end, in words. `None` where it is, and where that
/// cannot be known: the process is another user's, on another machine, or no QEMU but what passes its bytes on.
pub fn why_not_of(peer: Peer, inode: u64) -> Option<String> {
    let Peer::Process(pid) = peer else {
        return None;
    };
    let name = fs::read_to_string(format!("/proc/{pid}/comm")).ok()?;
    let maps = fs::read_to_string(format!("/proc/{pid}/maps")).ok()?;
    let is_its_own = !name.starts_with("qemu") || shares(&maps, inode);
    (!is_its_own).then(|| {
        format!(
            "QEMU (process {pid}) does not have this file as its RAM: it is a copy, or of another run; name the \
             file of QEMU's mem-path"
        )
    })
}

/// The path as the process at the other end means it: QEMU's mem-path may count from its own folder.
pub fn seen_by(peer: Peer, path: &Path) -> PathBuf {
    match peer {
        Peer::Process(pid) if path.is_relative() => {
            let folder = fs::read_link(format!("/proc/{pid}/cwd"));
            folder.map_or_else(|_| path.to_owned(), |folder| folder.join(path))
        }
        _ => path.to_owned(),
    }
}

/// Whether the text of `/proc/PID/maps` has a shared mapping of this inode.
fn shares(maps: &str, inode: u64) -> bool {
    // from-to rwxs offset device inode path
    maps.lines().any(|line| {
        let mut fields = line.split_ascii_whitespace();
        let is_shared = fields
            .nth(1)
            .is_some_and(|rights| rights.as_bytes().get(3) == Some(&b's'));
        let found = fields.nth(2).and_then(|text| text.parse().ok());
        is_shared && found == Some(inode)
    })
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::MetadataExt as _;

    use super::*;

    const MAPS: &str = "\
7f0000000000-7f0008000000 rw-s 00000000 00:19 4711                       /dev/shm/guest.ram
7f0010000000-7f0010001000 rw-p 00000000 00:19 4712                       /dev/shm/private
7f0020000000-7f0020001000 rw-p 00000000 00:00 0
";

    #[test]
    fn only_what_is_shared_is_the_guests() {
        assert!(shares(MAPS, 4711));
        assert!(!shares(MAPS, 4712), "private");
        assert!(!shares(MAPS, 4713));
        assert!(!shares("garbage\n\nx y z", 4711));
    }

    #[test]
    fn what_cannot_be_known_is_not_held_against_a_file() {
        let inode = fs::metadata("/proc/self/exe").unwrap().ino();
        assert_eq!(why_not_of(Peer::Elsewhere, inode), None);
        assert_eq!(why_not_of(Peer::Hidden, inode), None);
        // This process is no QEMU: it may be what passes QEMU's bytes on.
        assert_eq!(why_not_of(Peer::Process(std::process::id()), 1), None);
        assert_eq!(why_not_of(Peer::Process(u32::MAX), inode), None);
    }

    #[test]
    fn relative_paths_count_from_qemus_folder() {
        let here = std::env::current_dir().unwrap();
        let us = Peer::Process(std::process::id());
        assert_eq!(seen_by(us, Path::new("guest.ram")), here.join("guest.ram"));
        let whole = Path::new("/dev/shm/guest.ram");
        assert_eq!(seen_by(us, whole), whole);
        assert_eq!(seen_by(Peer::Elsewhere, Path::new("x")), Path::new("x"));
    }
}

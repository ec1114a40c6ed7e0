//! The memory of the process that emulates the guest: `/proc/PID/mem`.
//!
//! ```text
//!  physical 0x8000_0000 ──gpa2hva──▶ 0x7f68_97ff_f000 in QEMU ──▶ the same offset in /proc/PID/mem
//! ```
//!
//! The system lets us read it where we could also debug that process (ptrace(2), "Ptrace access mode
//! checking"): the same user, and with Yama's `ptrace_scope` 1 only our own children. Reads of what the
//! process has not mapped fail; nothing is changed by them.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt as _;
use std::sync::Arc;

use pagescope_protocol::walk::TableWords;
use pagescope_protocol::{PAGE_SIZE, PhysPage, PhysRange};

use super::{PhysicalMemory, words_of};
use crate::link::PhysicalAccess;

/// Where Yama says who may look into whom.
const PTRACE_SCOPE: &str = "/proc/sys/kernel/yama/ptrace_scope";

/// A stretch of RAM, and where it is in the emulator.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct HostPlace {
    /// Where it is in physical memory.
    pub range: PhysRange,
    /// The host's virtual address of its first byte.
    pub host: u64,
}

/// A guest's RAM in the process that emulates it.
#[derive(Debug)]
pub struct ProcessMemory {
    memory: File,
    pid: u32,
    places: Vec<HostPlace>,
}

impl ProcessMemory {
    /// Opens the memory of `pid`; an error says why it may not be read, and what to do.
    ///
    /// # Errors
    /// A sentence for people.
    pub fn open(pid: u32, mut places: Vec<HostPlace>) -> Result<Self, String> {
        places.retain(|place| place.host.checked_add(place.range.size()).is_some());
        places.sort_by_key(|place| place.range.start());
        if places.is_empty() {
            return Err("QEMU does not say where the guest's RAM is in its process".to_owned());
        }
        let memory =
            File::open(format!("/proc/{pid}/mem")).map_err(|error| why_not(pid, &error))?;
        let opened = Self {
            memory,
            pid,
            places,
        };
        // With some rules the file can be opened, and only reading it is refused.
        let mut byte = [0];
        let first = opened.places[0].host;
        match opened.memory.read_exact_at(&mut byte, first) {
            Ok(()) => Ok(opened),
            Err(error) => Err(why_not(pid, &error)),
        }
    }

    /// The process.
    pub const fn pid(&self) -> u32 {
        self.pid
    }

    /// The host's address of `range`, where all of that is RAM.
    fn host(&self, range: PhysRange) -> Option<u64> {
        let after = self
            .places
            .partition_point(|place| place.range.start() <= range.start());
        let place = self.places.get(after.checked_sub(1)?)?;
        let at = range.start().checked_offset_from(place.range.start())?;
        let is_inside = place.range.contains_range(range);
        is_inside.then_some(place.host + at)
    }
}

impl PhysicalMemory for ProcessMemory {
    fn way(&self) -> PhysicalAccess {
        PhysicalAccess::ProcessMemory
    }

    fn ranges(&self) -> Vec<PhysRange> {
        self.places.iter().map(|place| place.range).collect()
    }

    /// Once the process has ended nothing of it can be read (`fs/proc/base.c`, `mem_rw`).
    fn is_lost(&self) -> bool {
        let mut byte = [0];
        let first = self.places[0].host;
        self.memory.read_exact_at(&mut byte, first).is_err()
    }

    fn read(&self, range: PhysRange) -> Option<Vec<u8>> {
        let at = self.host(range)?;
        let mut bytes = vec![0; usize::try_from(range.size()).ok()?];
        let read = self.memory.read_exact_at(&mut bytes, at);
        read.is_ok().then_some(bytes)
    }

    fn read_frame(&self, frame: PhysPage) -> Option<Arc<TableWords>> {
        let at = self.host(frame.range())?;
        let mut bytes = [0; PAGE_SIZE as usize];
        self.memory.read_exact_at(&mut bytes, at).ok()?;
        words_of(&bytes)
    }
}

/// Why a process's memory cannot be read, and what to do about it.
fn why_not(pid: u32, error: &io::Error) -> String {
    if error.kind() != io::ErrorKind::PermissionDenied {
        return format!("/proc/{pid}/mem cannot be read: {error}");
    }
    let scope = std::fs::read_to_string(PTRACE_SCOPE).unwrap_or_default();
    let scope = scope.trim();
    let remedy = match scope {
        "" | "0" => "run Pagescope as the user who started QEMU, or start QEMU with \
             memory-backend-file,share=on"
            .to_owned(),
        "3" => "the system forbids it to everybody (ptrace_scope 3); start QEMU with \
                memory-backend-file,share=on"
            .to_owned(),
        scope => format!(
            "ptrace_scope is {scope}: allow it with `sudo sysctl kernel.yama.ptrace_scope=0`, or \
             start QEMU with memory-backend-file,share=on"
        ),
    };
    format!("the system does not let us read the memory of process {pid}; {remedy}")
}

#[cfg(test)]
mod tests {
    use pagescope_protocol::PhysAddr;

    use super::*;

    fn range(start: u64, size: u64) -> PhysRange {
        PhysRange::new(PhysAddr::new(start), size).unwrap()
    }

    /// A process may always read its own memory.
    #[test]
    fn memory_is_read_where_it_is_said_to_be() {
        let bytes: Vec<u8> = (0..8192).map(|place| (place / 9) as u8).collect();
        let place = HostPlace {
            range: range(0x8000_0000, 8192),
            host: bytes.as_ptr() as u64,
        };
        let memory = ProcessMemory::open(std::process::id(), vec![place]).unwrap();
        assert_eq!(memory.ranges(), [place.range]);
        let read = |start, size| memory.read(range(start, size));
        assert_eq!(read(0x8000_0001, 8191).as_deref(), Some(&bytes[1..]));
        assert_eq!(read(0x8000_0001, 8192), None);
        assert_eq!(read(0x7fff_ffff, 2), None);
        let frame = memory.read_frame(PhysPage::from_truncated(0x8_0001));
        assert_eq!(frame, words_of(&bytes[4096..]));
    }

    #[test]
    fn what_cannot_be_read_says_why() {
        let place = |host| HostPlace {
            range: range(0x8000_0000, 4096),
            host,
        };
        let open = |pid, places| ProcessMemory::open(pid, places).unwrap_err();
        let us = std::process::id();
        assert!(open(us, vec![]).contains("does not say"));
        assert!(open(us, vec![place(u64::MAX - 5)]).contains("does not say"));
        assert!(open(us, vec![place(0x10)]).contains("cannot be read"));
        // Process ids end below 2^22.
        assert!(open(u32::MAX, vec![place(0x1000)]).contains("/proc/4294967295/mem"));
        let denied = io::Error::from(io::ErrorKind::PermissionDenied);
        assert!(why_not(7, &denied).contains("process 7"));
    }
}

//! Where a machine's RAM lies: the file behind it, asked of QEMU, and compared before it is believed.
//!
//! ```text
//!  info mtree -f                    0000000080000000-0000000087ffffff (prio 0, ram): ram
//!                                                                                    │ a backend's name
//!  qom-get /objects/ram mem-path    "/dev/shm/guest.ram"  ◀──────────────────────────┘
//!  qom-get /objects/ram share       true
//!  xp /64xg 0x80000000              what QEMU has there, which the file must have too
//! ```

use std::path::{Path, PathBuf};

use pagescope_protocol::{PhysAddr, PhysRange};

use super::Monitor;
use crate::link::LinkError;
use crate::link::memory::mapped::{MappedRam, RamFile};
use crate::link::memory::{PhysicalMemory as _, RAM_START};
use crate::link::qemu::{MTREE, MemoryMap};

/// Words that are compared, at the RAM's start, middle and end.
const PROBE_WORDS: u64 = 64;

/// How often a probe that changes while it is read is read again.
const PROBE_ATTEMPTS: usize = 8;

/// What makes QEMU put its RAM into a file, for the words that say how.
pub const RAM_FILE_OPTIONS: &str = "-object memory-backend-file,id=ram,size=128M,mem-path=/dev/shm/guest.ram,share=on \
     -machine memory-backend=ram";

impl Monitor {
    /// The file that holds the machine's RAM; `Err` in words where there is none that can be used.
    ///
    /// # Errors
    /// When the monitor is lost.
    pub(super) fn find_ram_file(&mut self) -> Result<Result<PathBuf, String>, LinkError> {
        let Some(map) = MemoryMap::from_mtree(&self.command(MTREE)?) else {
            return Ok(Err("QEMU does not say where its RAM is".to_owned()));
        };
        let Some(region) = map
            .ram
            .iter()
            .find(|region| region.range.start() == RAM_START)
        else {
            return Ok(Err(format!("it has no RAM at {RAM_START}")));
        };
        // The name goes into a command: nothing but an identifier is asked for.
        let is_name = |c: char| c.is_ascii_alphanumeric() || "-_.".contains(c);
        if region.name.is_empty() || !region.name.chars().all(is_name) {
            return Ok(Err("its RAM has a name that no backend has".to_owned()));
        }
        let path = self.command(&format!("qom-get /objects/{} mem-path", region.name))?;
        let Some(path) = quoted(&path) else {
            return Ok(Err("its RAM is in no file".to_owned()));
        };
        let share = self.command(&format!("qom-get /objects/{} share", region.name))?;
        if share.trim() != "true" {
            return Ok(Err(format!(
                "its RAM is a private copy of {path}: it lacks share=on"
            )));
        }
        Ok(Ok(PathBuf::from(path)))
    }

    /// Opens the file at `path` if it holds what the machine has.
    ///
    /// # Errors
    /// When the file cannot be used, or the monitor is lost.
    pub(super) fn open_ram_file(&mut self, path: &Path) -> Result<MappedRam, LinkError> {
        let ram = MappedRam::open(&RamFile::new(path))?;
        let range = ram.ranges().first().copied();
        let range = range.ok_or_else(|| LinkError::RamFile {
            path: path.to_owned(),
            why: "it is empty".to_owned(),
        })?;
        let size = (PROBE_WORDS * 8).min(range.size() & !7);
        let last = (range.size() - size) & !7;
        let probes = [0, (last / 2) & !7, last]
            .into_iter()
            .filter_map(|offset| PhysRange::new(range.start().checked_add(offset)?, size));
        for probe in probes {
            if !self.agrees(&ram, probe)? {
                return Err(LinkError::RamFile {
                    path: path.to_owned(),
                    why: format!(
                        "at {} it holds something else than the guest",
                        probe.start()
                    ),
                });
            }
        }
        Ok(ram)
    }

    /// Whether file and machine hold the same there, at a moment when it does not change.
    fn agrees(&mut self, ram: &MappedRam, probe: PhysRange) -> Result<bool, LinkError> {
        for _ in 0..PROBE_ATTEMPTS {
            let before = ram.read(probe);
            let command = format!("xp /{}xg {:#x}", probe.size() / 8, probe.start().as_u64());
            let printed = words(&self.command(&command)?, probe.start());
            if ram.read(probe) == before {
                return Ok(before.is_some_and(|bytes| {
                    let (file, _) = bytes.as_chunks::<8>();
                    file.iter().copied().map(u64::from_le_bytes).eq(printed)
                }));
            }
        }
        // It never stands still: then it cannot be told, and a file that changes with it is its own.
        Ok(true)
    }
}

/// The text in what `qom-get` prints of a string.
fn quoted(printed: &str) -> Option<&str> {
    let text = printed.trim().strip_prefix('"')?.strip_suffix('"')?;
    // What JSON escapes is in no path of ours.
    (!text.is_empty() && !text.contains(['\\', '"'])).then_some(text)
}

/// The words in what `xp` prints, in order: `0000000080000000: 0x0000000c0000006f 0x…`.
fn words(printed: &str, start: PhysAddr) -> Vec<u64> {
    let hex = |text: &str| u64::from_str_radix(text.trim_start_matches("0x"), 16).ok();
    let mut words = Vec::new();
    for line in printed.lines() {
        let Some((at, values)) = line.split_once(':') else {
            continue;
        };
        let expected = start.as_u64() + words.len() as u64 * 8;
        if hex(at.trim()) != Some(expected) {
            continue;
        }
        words.extend(values.split_whitespace().map_while(hex));
    }
    words
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_of_qom_and_xp() {
        assert_eq!(
            quoted("\"/dev/shm/guest.ram\"\n"),
            Some("/dev/shm/guest.ram")
        );
        assert_eq!(quoted("Error: Property 'x.mem-path' not found\n"), None);
        assert_eq!(quoted("\"\"\n"), None);
        assert_eq!(quoted("\"a\\u0000b\""), None);
        let printed = "0000000080000000: 0x0000000c0000006f 0x4f464e4945474150\n\
                       0000000080000010: 0x0000000080045000 0x0000000000000000\n";
        let start = PhysAddr::new(0x8000_0000);
        assert_eq!(words(printed, start).len(), 4);
        assert_eq!(words(printed, start)[2], 0x8004_5000);
        assert!(words("Cannot access memory", start).is_empty());
    }
}

//! The file or files that hold a guest's RAM (`-object memory-backend-file,share=on`).
//!
//! ```text
//!  physical   0x8000_0000 ┌────────┐ ───▶ file A, from its byte 0 on     one bank for each stretch of RAM:
//!                         └────────┘                                     NUMA nodes have a file each, and one
//!           0x1_0000_0000 ┌────────┐ ───▶ file A, from its byte X on     file may lie in several places
//!                         └────────┘
//! ```

use std::fs::File;
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use pagescope_protocol::walk::TableWords;
use pagescope_protocol::{PhysAddr, PhysPage, PhysRange};
use rustix::fs::OFlags;

use super::guard::GuardedMap;
use super::peer::Peer;
use super::{PhysicalMemory, RAM_START, owner};
use crate::link::{LinkError, PhysicalAccess};

/// Where a file of RAM lies in physical memory: `PATH`, or `PATH@0xADDR`.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct RamFile {
    /// The file.
    pub path: PathBuf,
    /// The physical address of its first byte.
    pub start: PhysAddr,
}

impl RamFile {
    /// `path`, where QEMU's `virt` has its RAM.
    pub fn new(path: impl Into<PathBuf>) -> Self {
        Self {
            path: path.into(),
            start: RAM_START,
        }
    }

    /// Reads `PATH` or `PATH@0xADDR`. What follows an `@` and is no address belongs to the path.
    pub fn parse(text: &str) -> Self {
        let parts = text.rsplit_once("@0x");
        let known = parts.and_then(|(path, digits)| {
            let start = u64::from_str_radix(digits, 16).ok()?;
            (!path.is_empty()).then(|| Self {
                path: path.into(),
                start: PhysAddr::new(start),
            })
        });
        known.unwrap_or_else(|| Self::new(text))
    }
}

/// One stretch of RAM and the part of a file that holds it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct BankPlace {
    /// Where it is in physical memory.
    pub range: PhysRange,
    /// The file.
    pub path: PathBuf,
    /// Where in the file it begins, in bytes.
    pub offset: u64,
}

impl BankPlace {
    /// With its path as the process at the other end means it.
    #[must_use]
    pub fn seen_by(&self, peer: Peer) -> Self {
        Self {
            path: owner::seen_by(peer, &self.path),
            ..self.clone()
        }
    }
}

/// A guest's RAM, in files that are mapped.
#[derive(Debug)]
pub struct MappedRam {
    /// In address order; they do not overlap.
    banks: Vec<Bank>,
}

#[derive(Debug)]
struct Bank {
    range: PhysRange,
    map: GuardedMap,
    /// The file's.
    inode: u64,
}

impl MappedRam {
    /// A file that holds all of RAM; its length is the RAM's.
    ///
    /// # Errors
    /// When it cannot be opened, is no plain file, or has no bytes.
    pub fn open(file: &RamFile) -> Result<Self, LinkError> {
        let opened = open_plain(&file.path)?;
        let size = length(&opened, &file.path)?;
        let range = PhysRange::new(file.start, size).filter(|range| !range.is_empty());
        let range = range.ok_or_else(|| {
            let start = file.start;
            wrong(
                &file.path,
                format!("it has {size} bytes, which cannot lie at {start}"),
            )
        })?;
        let inode = inode(&opened);
        let map = GuardedMap::new(opened, 0, size);
        Ok(Self {
            banks: vec![Bank { range, map, inode }],
        })
    }

    /// RAM that lies in several parts of files.
    ///
    /// # Errors
    /// When a file cannot be opened, is no plain file, or is too short; when banks overlap.
    pub fn open_banks(places: &[BankPlace]) -> Result<Self, LinkError> {
        let mut banks = Vec::new();
        for place in places {
            let file = open_plain(&place.path)?;
            let has = length(&file, &place.path)?;
            let needs = place.offset.checked_add(place.range.size());
            if needs.is_none_or(|needs| needs > has) {
                let needs = place.range.size();
                let why = format!("it has {has} bytes, too few for {needs} bytes of RAM");
                return Err(wrong(&place.path, why));
            }
            let inode = inode(&file);
            let map = GuardedMap::new(file, place.offset, place.range.size());
            banks.push(Bank {
                range: place.range,
                map,
                inode,
            });
        }
        banks.sort_by_key(|bank| bank.range.start());
        let overlap = banks
            .windows(2)
            .find(|two| two[0].range.overlaps(two[1].range));
        match (overlap, places.first()) {
            (Some(two), Some(place)) => {
                let why = format!("two parts of RAM lie at {}", two[1].range.start());
                Err(wrong(&place.path, why))
            }
            _ => Ok(Self { banks }),
        }
    }

    /// Which of these stretches of RAM the files hold a part of only, in words.
    pub fn shortage(&self, ram: &[PhysRange]) -> Option<String> {
        ram.iter().find_map(|region| {
            let mut banks = self.banks.iter().map(|bank| bank.range);
            let bank = banks.find(|bank| bank.overlaps(*region))?;
            let (has, needs, start) = (bank.size(), region.size(), region.start());
            (!bank.contains_range(*region)).then(|| {
                format!(
                    "its {has} bytes from {} on do not hold all {needs} bytes of the RAM at {start}; \
                     name the file that QEMU's mem-path names, and where it lies (FILE@{start:#x})",
                    bank.start()
                )
            })
        })
    }

    /// Why one of the files is not the RAM of the QEMU at the other end, in words; `None` where all are, or nobody can
    /// say.
    pub fn why_not_of(&self, peer: Peer) -> Option<String> {
        let mut banks = self.banks.iter();
        banks.find_map(|bank| owner::why_not_of(peer, bank.inode))
    }

    /// The bank that holds all of `range`, and where in it that begins.
    fn bank(&self, range: PhysRange) -> Option<(&GuardedMap, u64)> {
        let after = self
            .banks
            .partition_point(|bank| bank.range.start() <= range.start());
        let bank = self.banks.get(after.checked_sub(1)?)?;
        let at = range.start().checked_offset_from(bank.range.start())?;
        bank.range.contains_range(range).then_some((&bank.map, at))
    }
}

impl PhysicalMemory for MappedRam {
    fn way(&self) -> PhysicalAccess {
        PhysicalAccess::MappedRam
    }

    fn ranges(&self) -> Vec<PhysRange> {
        self.banks.iter().map(|bank| bank.range).collect()
    }

    fn read(&self, range: PhysRange) -> Option<Vec<u8>> {
        let (map, at) = self.bank(range)?;
        map.copy(at, range.size())
    }

    fn read_frame(&self, frame: PhysPage) -> Option<Arc<TableWords>> {
        let (map, at) = self.bank(frame.range())?;
        map.copy_frame(at)
    }

    fn read_frame_again(
        &self,
        frame: PhysPage,
        known: Option<&Arc<TableWords>>,
    ) -> Option<Arc<TableWords>> {
        let (map, at) = self.bank(frame.range())?;
        match known.filter(|known| map.holds(at, known)) {
            Some(known) => Some(Arc::clone(known)),
            None => map.copy_frame(at),
        }
    }
}

/// The file's number in its file system; 0, which no file has, where that is not told.
fn inode(file: &File) -> u64 {
    file.metadata().map_or(0, |facts| facts.ino())
}

/// Opens a file of RAM. Its name may come from a stub: so nothing is waited for, as a pipe would make us,
/// and no device is touched.
pub(in crate::link) fn open_plain(path: &Path) -> Result<File, LinkError> {
    let flags = OFlags::NONBLOCK | OFlags::NOCTTY;
    let mut options = File::options();
    options.read(true).custom_flags(flags.bits().cast_signed());
    let is_plain = std::fs::metadata(path).map(|facts| facts.is_file());
    match is_plain {
        Ok(true) => {}
        Ok(false) => return Err(wrong(path, "it is no plain file".to_owned())),
        Err(error) => return Err(wrong(path, error.to_string())),
    }
    let opened = options.open(path);
    opened.map_err(|error| wrong(path, error.to_string()))
}

fn length(file: &File, path: &Path) -> Result<u64, LinkError> {
    let facts = file.metadata();
    let facts = facts.map_err(|error| wrong(path, error.to_string()))?;
    if !facts.is_file() {
        return Err(wrong(path, "it is no plain file".to_owned()));
    }
    Ok(facts.len())
}

fn wrong(path: &Path, why: String) -> LinkError {
    LinkError::RamFile {
        path: path.to_owned(),
        why,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn range(start: u64, size: u64) -> PhysRange {
        PhysRange::new(PhysAddr::new(start), size).unwrap()
    }

    #[test]
    fn a_file_and_where_it_lies() {
        for (text, path, start) in [
            ("/dev/shm/ram", "/dev/shm/ram", 0x8000_0000),
            ("a@0x40000000", "a", 0x4000_0000),
            ("a@home", "a@home", 0x8000_0000),
            ("a@0xhome", "a@0xhome", 0x8000_0000),
            ("a@0x1@0x2000", "a@0x1", 0x2000),
            ("@0x10", "@0x10", 0x8000_0000),
        ] {
            let file = RamFile::parse(text);
            assert_eq!(file.path, Path::new(path));
            assert_eq!(file.start, PhysAddr::new(start));
        }
    }

    #[test]
    fn a_ram_file_refuses_what_it_does_not_hold() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let place = RamFile::new(file.path());
        let refused =
            |result: Result<MappedRam, _>| matches!(result, Err(LinkError::RamFile { .. }));
        assert!(refused(MappedRam::open(&place)));
        std::fs::write(file.path(), [7; 4096]).unwrap();
        let ram = MappedRam::open(&place).unwrap();
        let read = |start, size| ram.read(range(start, size));
        assert_eq!(read(0x8000_0ff0, 16), Some(vec![7; 16]));
        assert_eq!(read(0x8000_0ff0, 17), None);
        assert_eq!(read(0x7fff_ffff, 1), None);
        assert_eq!(read(0x7fff_ffff, 2), None);
        // All of a smaller machine's RAM, and a part of a larger one's.
        assert_eq!(ram.shortage(&[range(0x8000_0000, 4096)]), None);
        assert_eq!(ram.shortage(&[range(0x9000_0000, 8192)]), None);
        let short = ram.shortage(&[range(0x8000_0000, 8192)]).unwrap();
        assert!(short.contains("4096 bytes") && short.contains("8192 bytes"));
        file.as_file().set_len(0).unwrap();
        assert_eq!(read(0x8000_0000, 16), None);
        let absurd = RamFile {
            start: PhysAddr::new(u64::MAX),
            ..place
        };
        assert!(refused(MappedRam::open(&absurd)));
        assert!(refused(MappedRam::open(&RamFile::new("/dev/null"))));
        assert!(refused(MappedRam::open(&RamFile::new("/"))));
    }

    #[test]
    fn banks_are_told_apart() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("ram");
        let bytes: Vec<u8> = (0..4 * 4096).map(|place| (place >> 12) as u8).collect();
        std::fs::write(&path, &bytes).unwrap();
        let place = |start, size, offset| BankPlace {
            range: range(start, size),
            path: path.clone(),
            offset,
        };
        let low = place(0x8000_0000, 0x2000, 0);
        let high = place(0x1_0000_0000, 0x2000, 0x2000);
        let ram = MappedRam::open_banks(&[high.clone(), low.clone()]).unwrap();
        assert_eq!(ram.ranges(), [low.range, high.range]);
        let first = |start| ram.read(range(start, 1)).map(|bytes| bytes[0]);
        assert_eq!(first(0x8000_1000), Some(1));
        assert_eq!(first(0x1_0000_1fff), Some(3));
        assert_eq!(first(0x8000_2000), None);
        assert_eq!(ram.read(range(0x8000_1fff, 2)), None);
        let frame = ram.read_frame(PhysPage::from_truncated(0x10_0000)).unwrap();
        assert_eq!(frame[0], 0x0202_0202_0202_0202);
        // Too short, beyond all, over each other.
        for wrong in [
            vec![place(0x8000_0000, 0x5000, 0)],
            vec![place(0x8000_0000, 0x1000, u64::MAX)],
            vec![low, place(0x8000_1000, 0x1000, 0)],
        ] {
            assert!(MappedRam::open_banks(&wrong).is_err(), "{wrong:?}");
        }
    }
}

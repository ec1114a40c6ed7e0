//! Debug information: where structs have their members, and which line an address comes from.
//!
//! ```text
//!  ELF ──▶ Sections (bytes of .debug_*, read when they are first needed, bounded)
//!            ├──▶ types   offsets of members, counts of arrays       once for a guest
//!            └──▶ lines   file and line of an address                on a thread of its own
//! ```
//!
//! A file is hostile: what does not fit together is "not known", never a panic.

pub mod lines;
pub mod types;

use std::fs::File;
use std::io::BufReader;
use std::path::Path;

use addr2line::gimli::{Dwarf, EndianSlice, LittleEndian, SectionId};
use object::{Object as _, ObjectSection as _, ReadCache};

/// The most debug information that is read, in bytes: a Linux with all of it has 400 MiB.
const MAX_BYTES: u64 = 1 << 30;

/// A reader of debug information.
type Reader<'a> = EndianSlice<'a, LittleEndian>;

/// The bytes of a file's debug sections.
pub(crate) struct Sections {
    parts: Vec<(&'static str, Vec<u8>)>,
}

impl Sections {
    /// Reads what `path` has; `None` where that is nothing, too much, or cannot be read.
    pub(crate) fn read(path: &Path) -> Option<Self> {
        let file = File::open(path).ok()?;
        let cache = ReadCache::new(BufReader::new(file));
        let file = object::File::parse(&cache).ok()?;
        let ids = [
            SectionId::DebugAbbrev,
            SectionId::DebugAddr,
            SectionId::DebugAranges,
            SectionId::DebugInfo,
            SectionId::DebugLine,
            SectionId::DebugLineStr,
            SectionId::DebugRanges,
            SectionId::DebugRngLists,
            SectionId::DebugStr,
            SectionId::DebugStrOffsets,
        ];
        let mut left = MAX_BYTES;
        let mut parts = Vec::new();
        for id in ids {
            let Some(section) = file.section_by_name(id.name()) else {
                continue;
            };
            left = left.checked_sub(section.size())?;
            parts.push((id.name(), section.uncompressed_data().ok()?.into_owned()));
        }
        let has_units = parts
            .iter()
            .any(|(name, bytes)| *name == ".debug_info" && !bytes.is_empty());
        has_units.then_some(Self { parts })
    }

    /// The sections to look things up in.
    pub(crate) fn dwarf(&self) -> Dwarf<Reader<'_>> {
        let load = |id: SectionId| {
            let part = self.parts.iter().find(|(name, _)| *name == id.name());
            let bytes = part.map_or(&[][..], |(_, bytes)| bytes);
            Ok::<_, std::convert::Infallible>(EndianSlice::new(bytes, LittleEndian))
        };
        match Dwarf::load(load) {
            Ok(dwarf) => dwarf,
            Err(never) => match never {},
        }
    }

    #[cfg(test)]
    pub(crate) fn of(parts: Vec<(&'static str, Vec<u8>)>) -> Self {
        Self { parts }
    }
}

#[cfg(test)]
mod tests;

//! Where an ELF's bytes are meant to lie in memory, and a few of them to look for there.
//!
//! ```text
//!  segment   p_vaddr ─────▶ p_paddr          where the linker put them
//!  sample    64 bytes of .rodata or .text    which a guest's memory has where the file really lies
//! ```
//!
//! A sample tells one place from another, so its bytes are of many kinds: padding is none.

use object::elf::{FileHeader32, FileHeader64, PT_LOAD, SHF_ALLOC, SHF_EXECINSTR, SHF_WRITE};
use object::read::elf::{FileHeader, ProgramHeader as _};
use object::{
    Endianness, FileKind, Object as _, ObjectSection as _, ObjectSymbol as _, ReadRef, SectionFlags,
};

/// Most samples that are kept.
const MAX_SAMPLES: usize = 12;

/// Bytes of a sample.
const SAMPLE_BYTES: u64 = 64;

/// Fewest different bytes in a sample: runs of padding have fewer.
const MIN_DISTINCT: usize = 12;

/// The banner that every Linux has, never patched: what `/proc/version` prints (init/version.c).
const LINUX_BANNER: &str = "linux_banner";

/// A loaded segment: where the linker put it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Segment {
    /// Its first virtual address.
    pub virt: u64,
    /// Its first physical address.
    pub phys: u64,
    /// Its bytes in memory.
    pub size: u64,
}

/// Bytes that memory holds where the file lies.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Sample {
    /// Where they are linked.
    pub virt: u64,
    /// Where the linker loads them.
    pub phys: u64,
    /// What they are.
    pub bytes: Vec<u8>,
    /// What they are of: a section or a symbol.
    pub of: String,
}

/// The loaded segments; none where the file has none that can be read.
pub(super) fn segments<'a, R: ReadRef<'a>>(data: R) -> Vec<Segment> {
    let read = match FileKind::parse(data) {
        Ok(FileKind::Elf64) => loads::<FileHeader64<Endianness>, R>(data),
        Ok(FileKind::Elf32) => loads::<FileHeader32<Endianness>, R>(data),
        _ => return Vec::new(),
    };
    // A file without segments has no other addresses than its sections'.
    read.unwrap_or_default()
}

fn loads<'a, H, R>(data: R) -> object::Result<Vec<Segment>>
where
    H: FileHeader<Endian = Endianness>,
    R: ReadRef<'a>,
{
    let header = H::parse(data)?;
    let endian = header.endian()?;
    let segments = header.program_headers(endian, data)?.iter();
    let loads = segments.filter(|segment| segment.p_type(endian) == PT_LOAD);
    let all = loads.map(|segment| Segment {
        virt: segment.p_vaddr(endian).into(),
        phys: segment.p_paddr(endian).into(),
        size: segment.p_memsz(endian).into(),
    });
    Ok(all.filter(|segment| segment.size > 0).collect())
}

/// The physical address that the linker gives `address`; `None` outside of the segments.
pub(super) fn physical(segments: &[Segment], address: u64) -> Option<u64> {
    segments.iter().find_map(|segment| {
        let offset = address.checked_sub(segment.virt)?;
        (offset < segment.size).then(|| segment.phys.wrapping_add(offset))
    })
}

/// A few samples of what is not written while the guest runs: constants first, which nobody patches.
pub(super) fn samples<'a, R: ReadRef<'a>>(
    file: &object::File<'a, R>,
    segments: &[Segment],
) -> Vec<Sample> {
    let banner = file
        .symbols()
        .find(|symbol| symbol.name() == Ok(LINUX_BANNER))
        .map(|symbol| symbol.address());
    let mut sections: Vec<_> = file
        .sections()
        .filter_map(|section| {
            let SectionFlags::Elf { sh_flags, .. } = section.flags() else {
                return None;
            };
            let has = |flag: object::elf::SectionFlags| sh_flags.0 & flag.0 != 0;
            let name = section.name().ok()?.to_owned();
            let is_constant = name.starts_with(".rodata") || !has(SHF_WRITE);
            // The machine program is not what is being looked at, and a carried one is moved.
            let is_ours = !name.starts_with(".machine") && !name.starts_with(".carried");
            let rank = match (name.starts_with(".rodata"), has(SHF_EXECINSTR)) {
                (true, _) => 0,
                (false, true) => 1,
                (false, false) => 2,
            };
            let wanted =
                has(SHF_ALLOC) && is_constant && is_ours && section.size() >= 4 * SAMPLE_BYTES;
            wanted.then_some((rank, name, section))
        })
        .collect();
    sections.sort_by_key(|(rank, ..)| *rank);
    let mut samples = Vec::new();
    for (_, name, section) in &sections {
        let start = section.address();
        let mut places: Vec<(u64, &str)> = [1, 3, 5, 7]
            .map(|eighth| (start + section.size() / 8 * eighth, name.as_str()))
            .to_vec();
        if let Some(banner) = banner.filter(|at| *at >= start && *at - start < section.size()) {
            places.insert(0, (banner, LINUX_BANNER));
        }
        for (at, of) in places {
            if samples.len() == MAX_SAMPLES {
                return samples;
            }
            // A page holds it whole, so that one translation finds it.
            let at = at - at % SAMPLE_BYTES;
            let bytes = section.data_range(at, SAMPLE_BYTES).ok().flatten();
            let Some(bytes) = bytes.filter(|bytes| is_telling(bytes)) else {
                continue;
            };
            samples.push(Sample {
                virt: at,
                phys: physical(segments, at).unwrap_or(at),
                bytes: bytes.to_vec(),
                of: of.to_owned(),
            });
        }
    }
    samples
}

/// Whether these bytes are of enough kinds to be known again.
fn is_telling(bytes: &[u8]) -> bool {
    let mut distinct = [false; 256];
    bytes
        .iter()
        .for_each(|byte| distinct[usize::from(*byte)] = true);
    distinct.iter().filter(|is_there| **is_there).count() >= MIN_DISTINCT
}

//! Reading an ELF core as QEMU writes it (`dump/dump.c`, `target/riscv/arch_dump.c`).
//!
//! ```text
//!  PT_NOTE  namesz descsz type "CORE\0" …   NT_PRSTATUS of one hart:
//!                                           RV64  pid at 32, pc at 112, x1…x31 after it, 8 bytes each
//!                                           RV32  pid at 24, pc at  72, x1…x31 after it, 4 bytes each
//!  PT_LOAD  p_paddr p_offset p_filesz       what lies where; with `-p` also p_vaddr, which is not used
//! ```
//!
//! Invariants: at most [`MAX_HEADERS`] headers and [`MAX_NOTE_BYTES`] of notes are read, whatever the file
//! says; a length that leads out of the file is refused; nothing is believed to be in order or apart.

use std::fs::File;
use std::os::unix::fs::FileExt as _;

use object::elf::{
    EM_RISCV, ET_CORE, FileHeader32, FileHeader64, NT_PRSTATUS, PN_XNUM, PT_LOAD, PT_NOTE,
    ProgramHeader32, ProgramHeader64, SectionHeader32, SectionHeader64,
};
use object::read::elf::{FileHeader, ProgramHeader, SectionHeader};
use object::{LittleEndian, pod};
use pagescope_protocol::Xlen;

use super::FileKind;

/// Most program headers. A guest has one for each stretch of RAM; with `-p` one for each mapping.
const MAX_HEADERS: u64 = 1 << 16;

/// Most bytes of notes: 4096 harts have 1.6 MB.
const MAX_NOTE_BYTES: u64 = 16 << 20;

/// Most harts.
const MAX_HARTS: usize = 4096;

const ENDIAN: LittleEndian = LittleEndian;

/// What a file turned out to be.
pub(super) enum Form {
    /// An ELF core.
    Core(Core),
    /// Nothing that says what it is.
    Raw,
}

/// What an ELF core says.
pub(super) struct Core {
    pub(super) xlen: Xlen,
    pub(super) segments: Vec<Segment>,
    pub(super) harts: Vec<HartState>,
}

/// A stretch of physical memory that is in the file.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Segment {
    /// Its physical address.
    pub(super) start: u64,
    /// Where it is in the file, in bytes.
    pub(super) offset: u64,
    /// Its bytes in the file.
    pub(super) size: u64,
}

/// A hart's registers, as a note has them.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct HartState {
    pub(super) pc: u64,
    /// x1 to x31.
    pub(super) x: [u64; 31],
}

/// What a file looks like, from its first bytes.
pub(super) fn kind(head: &[u8]) -> FileKind {
    let is_core = || {
        let kind = head.get(16..18).and_then(|bytes| bytes.try_into().ok());
        kind.map(u16::from_le_bytes) == Some(ET_CORE.0)
    };
    match head {
        _ if head.starts_with(b"\x7fELF") && is_core() => FileKind::Core,
        _ if head.starts_with(b"\x7fELF") => FileKind::Program,
        // makedumpfile's own header, and its form without seeking, which QEMU writes.
        _ if head.starts_with(b"KDUMP   ") || head.starts_with(b"makedumpfile") => {
            FileKind::Compressed
        }
        // What QEMU writes with -w.
        _ if head.starts_with(b"PAGEDU") => FileKind::Compressed,
        _ if head.starts_with(&[0x1f, 0x8b]) || head.starts_with(b"\x28\xb5\x2f\xfd") => {
            FileKind::Compressed
        }
        _ if !head.is_empty()
            && head
                .iter()
                .all(|b| b.is_ascii_graphic() || b.is_ascii_whitespace()) =>
        {
            FileKind::Text
        }
        _ => FileKind::Other,
    }
}

impl Form {
    /// Reads what the file says about itself; an error says what is wrong and what to do.
    pub(super) fn read(file: &File, size: u64) -> Result<Self, String> {
        let mut head = [0; 64];
        let count = file
            .read_at(&mut head, 0)
            .map_err(|error| error.to_string())?;
        match kind(&head[..count]) {
            FileKind::Core => match head[4] {
                1 => core::<FileHeader32<LittleEndian>, ProgramHeader32<LittleEndian>, SectionHeader32<LittleEndian>>(file, size, Xlen::Rv32),
                _ => core::<FileHeader64<LittleEndian>, ProgramHeader64<LittleEndian>, SectionHeader64<LittleEndian>>(file, size, Xlen::Rv64),
            }
            .map(Self::Core),
            FileKind::Program => Err(
                "it is an ELF, but no core: a program has no memory in it; name it with --elf, and \
                 dump the guest's memory with QEMU's `dump-guest-memory FILE`"
                    .to_owned(),
            ),
            FileKind::Compressed => Err(
                "it is a compressed dump, which is not read; dump again with QEMU's \
                 `dump-guest-memory FILE`, without -z, -l, -s or -w, or unpack it"
                    .to_owned(),
            ),
            FileKind::Text | FileKind::Other => Ok(Self::Raw),
        }
    }
}

fn core<H, P, S>(file: &File, size: u64, xlen: Xlen) -> Result<Core, String>
where
    H: FileHeader<Endian = LittleEndian>,
    P: ProgramHeader<Endian = LittleEndian>,
    S: SectionHeader<Endian = LittleEndian>,
    u64: From<H::Word> + From<P::Word> + From<S::Word>,
{
    let read =
        |offset: u64, size_wanted: u64, what: &str| read(file, size, offset, size_wanted, what);
    let bytes = read(0, size_of::<H>() as u64, "header")?;
    let (header, _) = pod::from_bytes::<H>(&bytes).map_err(|()| misread("header"))?;
    if !header.is_little_endian() || header.e_machine(ENDIAN) != EM_RISCV {
        return Err(format!(
            "it is a dump of another architecture (ELF machine {}); Pagescope reads RISC-V's",
            header.e_machine(ENDIAN).0
        ));
    }
    let entry = size_of::<P>() as u64;
    if u64::from(header.e_phentsize(ENDIAN)) != entry {
        return Err("its program headers have a size that they cannot have".to_owned());
    }
    // More headers than fit the field are counted in the first section's sh_info.
    let count = match header.e_phnum(ENDIAN) {
        PN_XNUM => {
            let at = header.e_shoff(ENDIAN).into();
            let bytes = read(at, size_of::<S>() as u64, "section header")?;
            let (section, _) = pod::from_bytes::<S>(&bytes).map_err(|()| misread("section"))?;
            u64::from(section.sh_info(ENDIAN))
        }
        count => u64::from(count),
    };
    if count > MAX_HEADERS {
        return Err(format!(
            "it has {count} program headers, more than are read"
        ));
    }
    let bytes = read(
        header.e_phoff(ENDIAN).into(),
        count * entry,
        "program headers",
    )?;
    let (headers, _) = pod::slice_from_bytes::<P>(&bytes, count as usize)
        .map_err(|()| misread("program headers"))?;
    let mut core = Core {
        xlen,
        segments: Vec::new(),
        harts: Vec::new(),
    };
    let mut notes_left = MAX_NOTE_BYTES;
    for header in headers {
        let offset: u64 = header.p_offset(ENDIAN).into();
        let filesz: u64 = header.p_filesz(ENDIAN).into();
        match header.p_type(ENDIAN) {
            PT_LOAD => core.segments.push(Segment {
                start: header.p_paddr(ENDIAN).into(),
                offset,
                size: filesz,
            }),
            PT_NOTE => {
                let wanted = filesz.min(notes_left);
                notes_left -= wanted;
                harts_of(&read(offset, wanted, "notes")?, xlen, &mut core.harts);
            }
            _ => {}
        }
    }
    Ok(core)
}

fn misread(what: &str) -> String {
    format!("its {what} cannot be read")
}

/// `wanted` bytes of the file; an error where they are not in it.
fn read(file: &File, size: u64, offset: u64, wanted: u64, what: &str) -> Result<Vec<u8>, String> {
    if offset.checked_add(wanted).is_none_or(|end| end > size) {
        return Err(format!(
            "it is cut short: its {what} is behind its end; dump again"
        ));
    }
    let mut bytes = vec![0; usize::try_from(wanted).map_err(|_| misread(what))?];
    let done = file.read_exact_at(&mut bytes, offset);
    done.map_err(|error| format!("its {what} cannot be read: {error}"))?;
    Ok(bytes)
}

/// The harts that notes tell of, in the notes' order. Notes that make no sense end it.
fn harts_of(notes: &[u8], xlen: Xlen, harts: &mut Vec<HartState>) {
    let mut rest = notes;
    while let Some(note) = note(rest) {
        if note.name == b"CORE\0" && note.kind == NT_PRSTATUS.0 {
            harts.extend(hart(note.description, xlen));
        }
        if harts.len() >= MAX_HARTS {
            return;
        }
        rest = note.after;
    }
}

/// A note, and what comes after it.
struct Note<'a> {
    name: &'a [u8],
    kind: u32,
    description: &'a [u8],
    after: &'a [u8],
}

/// The note that begins here.
fn note(bytes: &[u8]) -> Option<Note<'_>> {
    let word = |at: usize| Some(u32::from_le_bytes(bytes.get(at..at + 4)?.try_into().ok()?));
    let (namesz, descsz, kind) = (word(0)? as usize, word(4)? as usize, word(8)?);
    let body = bytes.get(12..)?;
    let name = body.get(..namesz)?;
    let body = body.get(namesz.checked_next_multiple_of(4)?..)?;
    let description = body.get(..descsz)?;
    // The last one need not be filled up.
    let after = descsz.checked_next_multiple_of(4)?.min(body.len());
    Some(Note {
        name,
        kind,
        description,
        after: &body[after..],
    })
}

fn hart(status: &[u8], xlen: Xlen) -> Option<HartState> {
    let (at, bytes) = match xlen {
        Xlen::Rv32 => (72, 4),
        Xlen::Rv64 => (112, 8),
    };
    let registers = status.get(at..at + 32 * bytes)?;
    let mut values = registers.chunks_exact(bytes).map(|value| {
        let digits = value.iter().rev();
        digits.fold(0u64, |sum, byte| (sum << 8) | u64::from(*byte))
    });
    let pc = values.next()?;
    let mut x = [0; 31];
    for (slot, value) in x.iter_mut().zip(values) {
        *slot = value;
    }
    Some(HartState { pc, x })
}

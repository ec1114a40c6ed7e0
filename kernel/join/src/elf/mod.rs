//! One ELF of several.
//!
//! ```text
//!  file header        entry of the machine program
//!  program headers    the PT_LOADs of the machine program and of the supervisor program that boots by
//!                     default, in the order of their physical addresses; one with all that is carried
//!  segments           bytes as they were
//!  other sections     that supervisor program's: DWARF, attributes
//!  .symtab .strtab    all programs' symbols
//!  section headers    .machine.text …, then .text …: the supervisor program's have the plain names
//! ```
//!
//! Symbols keep value, size, type and section. The supervisor program's keep their names; the
//! machine program's get `machine.` before them, so that `kalloc`, `memcpy` and `_start` mean one
//! thing each; those of a program that is carried get its layout's name: `process.kalloc`. Rust's mangled names stay, for tools to demangle. Compiler-made names (`.L…`,
//! `anon.…`) and mapping symbols (`$x`) are left out. The machine program's DWARF is left out, too: offsets in
//! it would have to be rewritten, and it is the supervisor program that people step through.

use std::fmt;

use object::elf::{PF_R, PT_LOAD};
use object::write::elf::ProgramHeader;
use pagescope_kernel::{board, carried};
use thiserror::Error;

mod input;
mod write;

use input::{Input, Segment};

/// Which of the two programs.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Program {
    /// The one in M-mode.
    Machine,
    /// The one in S-mode.
    Supervisor,
}

impl fmt::Display for Program {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Machine => "machine program",
            Self::Supervisor => "supervisor program",
        })
    }
}

/// Why two programs cannot be joined.
#[derive(Debug, Error)]
pub enum JoinError {
    /// One is no ELF, or damaged.
    #[error("the {0} cannot be read: {1}")]
    Read(Program, object::read::Error),
    /// One is not a whole linked program for 64-bit RISC-V.
    #[error("the {0} is no whole executable for 64-bit little-endian RISC-V")]
    Kind(Program),
    /// One has nothing to load.
    #[error("the {0} has no bytes to load")]
    Empty(Program),
    /// The machine program does not begin with its entry.
    #[error(
        "the machine program begins at {start:#x} and its entry is {entry:#x}: it must be first"
    )]
    Entry {
        /// Its lowest physical address.
        start: u64,
        /// Its entry.
        entry: u64,
    },
    /// A supervisor program lies where none can.
    #[error("a supervisor program has a segment at {0:#x}, which is not its place")]
    Place(u64),
    /// What is carried does not fit.
    #[error("{programs} programs of {bytes} bytes are more than can be carried")]
    Carried {
        /// How many there are.
        programs: usize,
        /// How large they are together.
        bytes: usize,
    },
    /// They would lie on top of each other.
    #[error("two segments overlap in physical memory, at {0:#x} and at {1:#x}")]
    Overlap(u64, u64),
    /// The result could not be written.
    #[error("the joined program could not be written: {0}")]
    Write(object::write::Error),
}

/// A supervisor program that is not in its place: [`pagescope_kernel::carried`].
#[derive(Clone, Copy, Debug)]
pub struct Carried<'a> {
    /// The layout that it implements.
    pub layout: &'a str,
    /// Its ELF.
    pub elf: &'a [u8],
}

/// Makes one ELF of the machine program and supervisor programs: segments, sections and symbols of the
/// first two, and what debuggers read of the supervisor program; of those that are `carried`, the bytes and
/// the symbols.
///
/// # Errors
/// [`JoinError`].
pub fn join(
    machine: &[u8],
    supervisor: &[u8],
    carried: &[Carried<'_>],
) -> Result<Vec<u8>, JoinError> {
    let machine = Input::parse(Program::Machine, machine)?;
    let mut supervisor = Input::parse(Program::Supervisor, supervisor)?;
    let archive = archive(&mut supervisor, carried)?;
    let archive = archive.as_deref().map(carried_segment);
    let mut segments: Vec<&Segment<'_>> = Vec::new();
    segments.extend(&machine.segments);
    segments.extend(&supervisor.segments);
    segments.extend(&archive);
    segments.sort_by_key(|segment| segment.header.p_paddr);
    for pair in segments.windows(2) {
        let (lower, upper) = (&pair[0].header, &pair[1].header);
        let end = lower.p_paddr.checked_add(lower.p_memsz);
        if end.is_none_or(|end| end > upper.p_paddr) {
            return Err(JoinError::Overlap(lower.p_paddr, upper.p_paddr));
        }
    }
    let start = segments.first().map_or(0, |segment| segment.header.p_paddr);
    let entry = machine.header.e_entry;
    if start != entry {
        return Err(JoinError::Entry { start, entry });
    }
    write::write(&machine, &supervisor, &segments).map_err(JoinError::Write)
}

/// What is carried, as it lies in memory; its symbols join those of the program in its place.
fn archive(
    supervisor: &mut Input<'_>,
    carried: &[Carried<'_>],
) -> Result<Option<Vec<u8>>, JoinError> {
    if carried.is_empty() {
        return Ok(None);
    }
    let start = board::SUPERVISOR_START.as_u64();
    let limit = carried::PLACE.start().as_u64() - start;
    let mut images = Vec::new();
    for program in carried {
        let input = Input::parse(Program::Supervisor, program.elf)?;
        images.push((program.layout, input.image(start, limit)?));
        supervisor
            .symbols
            .extend(input.carried_symbols(program.layout));
    }
    let mut archive = Vec::new();
    let sizes = images.iter().map(|(layout, image)| (*layout, image.len()));
    carried::write_table(sizes, |part| archive.extend_from_slice(part));
    for (_, image) in &images {
        archive.extend_from_slice(image);
    }
    let fits = archive.len() as u64 <= carried::PLACE.size();
    if !fits || carried.len() > carried::MAX_PROGRAMS {
        return Err(JoinError::Carried {
            programs: carried.len(),
            bytes: archive.len(),
        });
    }
    Ok(Some(archive))
}

fn carried_segment(archive: &[u8]) -> Segment<'_> {
    let start = carried::PLACE.start().as_u64();
    let size = archive.len() as u64;
    Segment {
        program: Program::Machine,
        header: ProgramHeader {
            p_type: PT_LOAD,
            p_flags: PF_R,
            p_offset: 0,
            p_vaddr: start,
            p_paddr: start,
            p_filesz: size,
            p_memsz: size,
            p_align: 4096,
        },
        bytes: archive,
    }
}

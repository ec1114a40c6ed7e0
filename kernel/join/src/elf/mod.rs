//! One ELF of two.
//!
//! ```text
//!  file header        entry of the machine program
//!  program headers    the PT_LOADs of both, in the order of their physical addresses
//!  segments           bytes as they were
//!  other sections     the supervisor program's: DWARF, attributes
//!  .symtab .strtab    both programs' symbols
//!  section headers    .machine.text …, then .text …: the supervisor program's have the plain names
//! ```
//!
//! Symbols keep value, size, type and section. The supervisor program's keep their names; the
//! machine program's get `machine.` before them, so that `kalloc`, `memcpy` and `_start` mean one
//! thing each. Rust's mangled names stay, for tools to demangle. Compiler-made names (`.L…`,
//! `anon.…`) and mapping symbols (`$x`) are left out. The machine program's DWARF is left out, too: offsets in
//! it would have to be rewritten, and it is the supervisor program that people step through.

use std::fmt;

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
    /// They would lie on top of each other.
    #[error("two segments overlap in physical memory, at {0:#x} and at {1:#x}")]
    Overlap(u64, u64),
    /// The result could not be written.
    #[error("the joined program could not be written: {0}")]
    Write(object::write::Error),
}

/// Makes one ELF of the two programs: the segments, sections and symbols of both, and what
/// debuggers read of the supervisor program. The machine program's names get `machine` before them,
/// except Rust's mangled ones.
///
/// # Errors
/// [`JoinError`].
pub fn join(machine: &[u8], supervisor: &[u8]) -> Result<Vec<u8>, JoinError> {
    let machine = Input::parse(Program::Machine, machine)?;
    let supervisor = Input::parse(Program::Supervisor, supervisor)?;
    let mut segments: Vec<&Segment<'_>> = Vec::new();
    segments.extend(&machine.segments);
    segments.extend(&supervisor.segments);
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

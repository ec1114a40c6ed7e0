//! One of the two programs, read and checked.

use object::LittleEndian;
use object::elf;
use object::read::elf::{FileHeader as _, ProgramHeader as _, SectionHeader as _};
use object::write::elf::{FileHeader, ProgramHeader, SectionHeader, Sym};

use super::{JoinError, Program};

type Header = elf::FileHeader64<LittleEndian>;

const LITTLE: LittleEndian = LittleEndian;

/// A PT_LOAD.
pub(super) struct Segment<'a> {
    pub(super) program: Program,
    pub(super) header: ProgramHeader,
    /// Its bytes in the file.
    pub(super) bytes: &'a [u8],
}

/// A section that is kept.
pub(super) struct Section<'a> {
    /// Its index in the program that it comes from.
    pub(super) index: usize,
    pub(super) header: SectionHeader,
    /// Its name in the joined program.
    pub(super) name: Vec<u8>,
    /// Its bytes, where they lie outside every segment.
    pub(super) bytes: Option<&'a [u8]>,
}

/// A symbol that is kept.
pub(super) struct Symbol {
    /// Its name in the joined program.
    pub(super) name: Vec<u8>,
    /// `section` is its section's index in the program that it comes from.
    pub(super) symbol: Sym,
}

/// A program.
pub(super) struct Input<'a> {
    pub(super) program: Program,
    pub(super) header: FileHeader,
    pub(super) segments: Vec<Segment<'a>>,
    pub(super) sections: Vec<Section<'a>>,
    pub(super) symbols: Vec<Symbol>,
}

impl<'a> Input<'a> {
    pub(super) fn parse(program: Program, bytes: &'a [u8]) -> Result<Self, JoinError> {
        let read = Self::read(program, bytes);
        let input = read.map_err(|error| JoinError::Read(program, error))?;
        let input = input.ok_or(JoinError::Kind(program))?;
        if input.segments.is_empty() {
            return Err(JoinError::Empty(program));
        }
        Ok(input)
    }

    /// `None` where it is an ELF, and not one of the right kind.
    fn read(program: Program, bytes: &'a [u8]) -> object::read::Result<Option<Self>> {
        let header = Header::parse(bytes)?;
        let right_kind = header.is_little_endian()
            && header.e_machine(LITTLE) == elf::EM_RISCV
            && header.e_type(LITTLE) == elf::ET_EXEC;
        if !right_kind {
            return Ok(None);
        }
        let mut input = Self {
            program,
            header: FileHeader::from_raw(LITTLE, header),
            segments: Vec::new(),
            sections: Vec::new(),
            symbols: Vec::new(),
        };
        for segment in header.program_headers(LITTLE, bytes)? {
            if segment.p_type(LITTLE) == elf::PT_LOAD && segment.p_memsz(LITTLE) != 0 {
                // One that says it lies outside the file is not what a linker made.
                let Ok(data) = segment.data(LITTLE, bytes) else {
                    return Ok(None);
                };
                input.segments.push(Segment {
                    program,
                    header: ProgramHeader::from_raw(LITTLE, segment),
                    bytes: data,
                });
            }
        }
        let sections = header.sections(LITTLE, bytes)?;
        for (index, section) in sections.enumerate() {
            let name = sections.section_name(LITTLE, section)?;
            let mut header = SectionHeader::from_raw(LITTLE, section);
            // An order to linkers, and this was the last one.
            header.sh_flags.0 &= !elf::SHF_GNU_RETAIN.0;
            let allocated = header.sh_flags.contains(elf::SHF_ALLOC);
            if keeps_section(program, &header, allocated) {
                input.sections.push(Section {
                    index: index.0,
                    bytes: if allocated {
                        None
                    } else {
                        Some(section.data(LITTLE, bytes)?)
                    },
                    name: match program {
                        Program::Machine => [b".machine", name].concat(),
                        Program::Supervisor => name.to_vec(),
                    },
                    header,
                });
            }
        }
        let symbols = sections.symbols(LITTLE, bytes, elf::SHT_SYMTAB)?;
        for (index, symbol) in symbols.enumerate() {
            let name = symbols.symbol_name(LITTLE, symbol)?;
            if keeps_symbol(program, name, symbol.st_type()) {
                let section = symbols.symbol_section(LITTLE, symbol, index)?;
                let section = section.map(|section| section.0 as u32);
                input.symbols.push(Symbol {
                    name: symbol_name(program, name),
                    symbol: Sym::from_raw(LITTLE, symbol, section),
                });
            }
        }
        Ok(Some(input))
    }
}

impl Input<'_> {
    /// What lies in memory from `start` on once it is loaded, but for the zeros at the end.
    ///
    /// # Errors
    /// [`JoinError::Place`] where a segment lies outside of `limit` bytes from there.
    pub(super) fn image(&self, start: u64, limit: u64) -> Result<Vec<u8>, JoinError> {
        let mut image = Vec::new();
        for segment in &self.segments {
            let address = segment.header.p_paddr;
            let end = address.checked_add(segment.header.p_memsz);
            let outside = address < start || end.is_none_or(|end| end - start > limit);
            if outside || segment.bytes.len() as u64 > segment.header.p_memsz {
                return Err(JoinError::Place(address));
            }
            let offset = (address - start) as usize;
            let end = offset + segment.bytes.len();
            if image.len() < end {
                image.resize(end, 0);
            }
            image[offset..end].copy_from_slice(segment.bytes);
        }
        Ok(image)
    }

    /// The symbols as they stand in a file which carries this program apart from its place: all that
    /// is left of each is an address. `layout.` comes before every name that is not mangled, and local
    /// names of files are left out.
    pub(super) fn carried_symbols(&self, layout: &str) -> impl Iterator<Item = Symbol> {
        let kept = self
            .symbols
            .iter()
            .filter(|symbol| symbol.symbol.st_info.st_type() != elf::STT_FILE);
        kept.map(move |symbol| {
            let mut absolute = symbol.symbol.clone();
            if absolute.section.take().is_some() {
                absolute.st_shndx = elf::SHN_ABS;
            }
            Symbol {
                name: prefixed(&format!("{layout}."), &symbol.name),
                symbol: absolute,
            }
        })
    }
}

/// Sections in memory; and of the supervisor program what debuggers read.
fn keeps_section(program: Program, header: &SectionHeader, allocated: bool) -> bool {
    let described = matches!(
        header.sh_type,
        elf::SHT_PROGBITS | elf::SHT_RISCV_ATTRIBUTES
    );
    allocated || (program == Program::Supervisor && described)
}

/// No compiler-made labels, no mapping symbols, no names of sections; of the machine program, no
/// names of source files.
fn keeps_symbol(program: Program, name: &[u8], kind: elf::SymbolType) -> bool {
    let is_label = name.is_empty()
        || [&b".L"[..], b"$", b"anon."]
            .iter()
            .any(|start| name.starts_with(start));
    let is_file = kind == elf::STT_FILE;
    !is_label && kind != elf::STT_SECTION && !(is_file && program == Program::Machine)
}

fn symbol_name(program: Program, name: &[u8]) -> Vec<u8> {
    match program {
        Program::Machine => prefixed("machine.", name),
        Program::Supervisor => name.to_vec(),
    }
}

/// With `prefix` before it, unless it is mangled: what a compiler made is unlike all others as it is.
fn prefixed(prefix: &str, name: &[u8]) -> Vec<u8> {
    let mangled = name.starts_with(b"_ZN") || name.starts_with(b"_R");
    if mangled {
        name.to_vec()
    } else {
        [prefix.as_bytes(), name].concat()
    }
}

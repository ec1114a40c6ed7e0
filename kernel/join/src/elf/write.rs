//! The joined program, written.

use object::Endianness;
use object::elf;
use object::write::elf::{ProgramHeader, SectionHeader, SectionIndex, Sym, Writer};
use object::write::{Result, StringId};

use super::Program;
use super::input::{Input, Section, Segment};

/// A section with its place in the joined file.
struct Placed<'a> {
    program: Program,
    section: &'a Section<'a>,
    name: StringId,
    index: SectionIndex,
    offset: u64,
}

pub(super) fn write(
    machine: &Input<'_>,
    supervisor: &Input<'_>,
    segments: &[&Segment<'_>],
) -> Result<Vec<u8>> {
    let mut joined = Vec::new();
    let mut writer = Writer::new(Endianness::Little, true, &mut joined);

    // First everything gets its place …
    writer.reserve_file_header();
    writer.reserve_program_headers(segments.len() as u32);
    let mut headers = Vec::new();
    for segment in segments {
        let offset = congruent(writer.reserved_len(), &segment.header);
        writer.reserve_until(offset);
        writer.reserve(segment.bytes.len() as u64, 1);
        headers.push(ProgramHeader {
            p_offset: offset,
            ..segment.header.clone()
        });
    }
    let mut placed = Vec::new();
    for input in [machine, supervisor] {
        for section in &input.sections {
            let offset = match section.bytes {
                Some(bytes) => {
                    let alignment = section.header.sh_addralign.max(1);
                    writer.reserve(bytes.len() as u64, alignment)
                }
                None => offset_in_segments(input.program, section, segments, &headers),
            };
            placed.push(Placed {
                program: input.program,
                section,
                name: writer.add_section_name(&section.name),
                index: writer.reserve_section_index(),
                offset,
            });
        }
    }
    let mut symbols: Vec<(StringId, Sym)> = Vec::new();
    for input in [machine, supervisor] {
        for symbol in &input.symbols {
            let index_of = |index| {
                let same = |placed: &&Placed<'_>| {
                    placed.program == input.program && placed.section.index == index as usize
                };
                placed.iter().find(same).map(|placed| placed.index.0)
            };
            let section = symbol.symbol.section.and_then(index_of);
            let mut joined = symbol.symbol.clone();
            if section.is_none() && joined.section.is_some() {
                // Its section is left out: its address is all that remains.
                joined.st_shndx = elf::SHN_ABS;
            }
            joined.section = section;
            symbols.push((writer.add_string(&symbol.name), joined));
        }
    }
    // Local symbols come first, and sh_info says how many there are.
    symbols.sort_by_key(|(_, symbol)| symbol.st_info.st_bind() != elf::STB_LOCAL);
    let is_local = |symbol: &&(StringId, Sym)| symbol.1.st_info.st_bind() == elf::STB_LOCAL;
    let locals = symbols.iter().filter(is_local).count() as u32 + 1;
    for (_, symbol) in &symbols {
        writer.reserve_symbol_index(symbol.section.map(SectionIndex));
    }
    writer.reserve_symtab_section_index();
    writer.reserve_symtab();
    writer.reserve_strtab_section_index();
    writer.reserve_strtab()?;
    writer.reserve_shstrtab_section_index();
    writer.reserve_shstrtab()?;
    writer.reserve_section_headers();

    // … and then it is written in that order.
    writer.write_file_header(&machine.header)?;
    writer.write_align_program_headers();
    for header in &headers {
        writer.write_program_header(header);
    }
    for (segment, header) in segments.iter().zip(&headers) {
        writer.pad_until(header.p_offset);
        writer.write(segment.bytes);
    }
    for placed in &placed {
        if let Some(bytes) = placed.section.bytes {
            writer.pad_until(placed.offset);
            writer.write(bytes);
        }
    }
    writer.write_null_symbol();
    for (name, symbol) in &symbols {
        let st_name = writer.string_offset(Some(*name));
        writer.write_symbol(&Sym {
            st_name,
            ..symbol.clone()
        });
    }
    writer.write_strtab();
    writer.write_shstrtab();
    writer.write_null_section_header();
    for placed in &placed {
        let sh_name = writer.section_name_offset(Some(placed.name));
        writer.write_section_header(&SectionHeader {
            sh_name,
            sh_offset: placed.offset,
            // None of the kept kinds refers to another section.
            sh_link: 0,
            sh_info: 0,
            ..placed.section.header.clone()
        });
    }
    writer.write_symtab_section_header(locals);
    writer.write_strtab_section_header();
    writer.write_shstrtab_section_header();
    Ok(joined)
}

/// The first offset from `from` on that is where a loader wants it: congruent to the address,
/// modulo the alignment.
fn congruent(from: u64, segment: &ProgramHeader) -> u64 {
    let alignment = segment.p_align.max(1);
    let wanted = segment.p_vaddr % alignment;
    let lowest = from - from % alignment + wanted;
    if lowest < from {
        lowest + alignment
    } else {
        lowest
    }
}

/// Where an allocated section's bytes have come to lie: in its program's segment that has its
/// address.
fn offset_in_segments(
    program: Program,
    section: &Section<'_>,
    segments: &[&Segment<'_>],
    headers: &[ProgramHeader],
) -> u64 {
    let address = section.header.sh_addr;
    let holds = |(segment, header): &(&&Segment<'_>, &ProgramHeader)| {
        segment.program == program
            && (header.p_vaddr..header.p_vaddr.saturating_add(header.p_memsz)).contains(&address)
    };
    let mut pairs = segments.iter().zip(headers);
    let found = pairs.find(holds);
    found.map_or(0, |(_, header)| {
        header.p_offset + (address - header.p_vaddr).min(header.p_filesz)
    })
}

//! Joining, with small programs made for the purpose.
#![expect(clippy::unwrap_used, reason = "a test ends at its first surprise")]

use object::elf::{
    EF_RISCV_FLOAT_ABI_DOUBLE, EM_RISCV, EM_X86_64, ET_EXEC, Machine, PF_R, PF_X, PT_LOAD,
    SHF_ALLOC, SHF_EXECINSTR, SHT_PROGBITS, STB_GLOBAL, STT_FUNC, SectionFlags, SymbolInfo,
};
use object::read::elf::{ElfFile64, FileHeader as _, ProgramHeader as _};
use object::write::elf::{FileHeader, ProgramHeader, SectionHeader, Sym, Writer};
use object::{Endianness, LittleEndian, Object as _, ObjectSection as _, ObjectSymbol as _};
use pagescope_kernel::carried::programs;
use pagescope_kernel_join::{Carried, JoinError, Program, join};
use proptest::prelude::*;

/// A program of one segment with one section at `address`, one function `name` in it, and a
/// section that is not loaded.
fn program(machine: Machine, address: u64, bytes: &[u8], name: &'static str) -> Vec<u8> {
    let mut elf = Vec::new();
    let mut writer = Writer::new(Endianness::Little, true, &mut elf);
    let debug = format!("lines of {name}");
    writer.reserve_file_header();
    writer.reserve_program_headers(1);
    let offset = writer.reserve(bytes.len() as u64, 4096);
    let debug_offset = writer.reserve(debug.len() as u64, 1);
    let text_name = writer.add_section_name(b".text");
    let text = writer.reserve_section_index();
    let debug_name = writer.add_section_name(b".debug_line");
    writer.reserve_section_index();
    let symbol_name = writer.add_string(name.as_bytes());
    writer.reserve_symbol_index(Some(text));
    writer.reserve_symtab_section_index();
    writer.reserve_symtab();
    writer.reserve_strtab_section_index();
    writer.reserve_strtab().unwrap();
    writer.reserve_shstrtab_section_index();
    writer.reserve_shstrtab().unwrap();
    writer.reserve_section_headers();
    let header = FileHeader {
        os_abi: object::elf::ELFOSABI_NONE,
        abi_version: 0,
        e_type: ET_EXEC,
        e_machine: machine,
        e_entry: address,
        e_flags: EF_RISCV_FLOAT_ABI_DOUBLE,
    };
    writer.write_file_header(&header).unwrap();
    writer.write_align_program_headers();
    let size = bytes.len() as u64;
    writer.write_program_header(&ProgramHeader {
        p_type: PT_LOAD,
        p_flags: PF_R | PF_X,
        p_offset: offset,
        p_vaddr: address,
        p_paddr: address,
        p_filesz: size,
        p_memsz: size + 0x100,
        p_align: 4096,
    });
    writer.pad_until(offset);
    writer.write(bytes);
    writer.write(debug.as_bytes());
    writer.write_null_symbol();
    let st_name = writer.string_offset(Some(symbol_name));
    writer.write_symbol(&Sym {
        section: Some(text.0),
        st_name,
        st_info: SymbolInfo::new(STB_GLOBAL, STT_FUNC),
        st_other: Default::default(),
        st_shndx: Default::default(),
        st_value: address + 4,
        st_size: 4,
    });
    writer.write_strtab();
    writer.write_shstrtab();
    writer.write_null_section_header();
    let mut section = |name, flags: SectionFlags, address, offset, size| {
        let sh_name = writer.section_name_offset(Some(name));
        writer.write_section_header(&SectionHeader {
            sh_name,
            sh_type: SHT_PROGBITS,
            sh_flags: flags,
            sh_addr: address,
            sh_offset: offset,
            sh_size: size,
            sh_link: 0,
            sh_info: 0,
            sh_addralign: 1,
            sh_entsize: 0,
        });
    };
    section(text_name, SHF_ALLOC | SHF_EXECINSTR, address, offset, size);
    let debug_size = debug.len() as u64;
    section(debug_name, SectionFlags(0), 0, debug_offset, debug_size);
    writer.write_symtab_section_header(1);
    writer.write_strtab_section_header();
    writer.write_shstrtab_section_header();
    elf
}

fn riscv(address: u64, bytes: &[u8], name: &'static str) -> Vec<u8> {
    program(EM_RISCV, address, bytes, name)
}

const MACHINE: u64 = 0x8000_0000;
const SUPERVISOR: u64 = 0x8020_0000;

#[test]
fn both_are_in_the_result() {
    let machine = riscv(MACHINE, b"machine code", "_start");
    let supervisor = riscv(SUPERVISOR, b"supervisor code", "_start");
    let joined = join(&machine, &supervisor, &[]).unwrap();
    let file = ElfFile64::<LittleEndian>::parse(&*joined).unwrap();
    assert_eq!(file.entry(), MACHINE);
    let segments: Vec<_> = file
        .elf_program_headers()
        .iter()
        .map(|header| header.p_paddr.get(LittleEndian))
        .collect();
    assert_eq!(segments, [MACHINE, SUPERVISOR]);

    let data = |name| file.section_by_name(name).unwrap().data().unwrap();
    assert_eq!(data(".machine.text"), b"machine code");
    assert_eq!(data(".text"), b"supervisor code");
    assert_eq!(data(".debug_line"), b"lines of _start");
    assert!(file.section_by_name(".machine.debug_line").is_none());

    let symbol = |name| {
        let symbol = file.symbol_by_name(name).unwrap();
        let section = symbol.section_index().unwrap();
        let section = file.section_by_index(section).unwrap();
        (
            symbol.address(),
            symbol.size(),
            section.name().unwrap().to_owned(),
        )
    };
    assert_eq!(
        symbol("machine._start"),
        (MACHINE + 4, 4, ".machine.text".into())
    );
    assert_eq!(symbol("_start"), (SUPERVISOR + 4, 4, ".text".into()));
}

#[test]
fn what_cannot_be_joined_is_refused() {
    let machine = riscv(MACHINE, &[0; 0x1000], "a");
    let supervisor = riscv(SUPERVISOR, &[0; 16], "b");
    let inside = riscv(MACHINE + 0x800, &[0; 16], "b");
    let below = riscv(MACHINE - 0x2000, &[0; 16], "b");
    let foreign = program(EM_X86_64, SUPERVISOR, &[0; 16], "b");
    assert!(matches!(
        join(b"", &supervisor, &[]),
        Err(JoinError::Read(Program::Machine, _))
    ));
    assert!(matches!(
        join(&machine, &foreign, &[]),
        Err(JoinError::Kind(Program::Supervisor))
    ));
    assert!(matches!(
        join(&machine, &inside, &[]),
        Err(JoinError::Overlap(MACHINE, 0x8000_0800))
    ));
    assert!(matches!(
        join(&machine, &below, &[]),
        Err(JoinError::Entry { entry: MACHINE, .. })
    ));
}

#[test]
fn other_programs_are_carried_with_their_symbols() {
    let machine = riscv(MACHINE, b"machine code", "_start");
    let first = riscv(SUPERVISOR, b"supervisor code", "kalloc");
    let second = riscv(SUPERVISOR, b"another program", "kalloc");
    let carried = Carried {
        layout: "process",
        elf: &second,
    };
    let joined = join(&machine, &first, &[carried]).unwrap();
    let file = ElfFile64::<LittleEndian>::parse(&*joined).unwrap();
    let last = file.elf_program_headers().last().unwrap();
    assert_eq!(last.p_paddr.get(LittleEndian), 0x8400_0000);
    let archive = last.data(LittleEndian, &*joined).unwrap();
    let found: Vec<_> = programs(archive).map(|p| (p.layout, p.image)).collect();
    assert_eq!(found, [("process", &b"another program"[..])]);
    let address = |name| file.symbol_by_name(name).unwrap().address();
    assert_eq!(address("kalloc"), SUPERVISOR + 4);
    assert_eq!(address("process.kalloc"), SUPERVISOR + 4);

    let elsewhere = riscv(SUPERVISOR - 0x1000, b"x", "a");
    let carried = Carried {
        elf: &elsewhere,
        ..carried
    };
    assert!(matches!(
        join(&machine, &first, &[carried]),
        Err(JoinError::Place(0x801f_f000))
    ));
}

proptest! {
    #[test]
    fn damaged_programs_never_panic(place in 0usize..2000, byte: u8, length in 0usize..6000) {
        let machine = riscv(MACHINE, b"machine code", "a");
        let mut supervisor = riscv(SUPERVISOR, b"supervisor code", "b");
        // The interesting bytes are the headers': the first and the last of the file.
        let size = supervisor.len();
        let place = if place < 200 { place } else { size - 1 - (place - 200) % 1000 };
        supervisor[place] = byte;
        if let Ok(joined) = join(&machine, &supervisor, &[]) {
            prop_assert!(object::elf::FileHeader64::<LittleEndian>::parse(&*joined).is_ok());
        }
        supervisor.truncate(length);
        let _ = join(&machine, &supervisor, &[]);
        let whole = riscv(SUPERVISOR, b"supervisor code", "b");
        let carried = Carried { layout: "process", elf: &supervisor };
        let _ = join(&machine, &whole, &[carried]);
    }
}

//! A guest's ELF.

use std::path::Path;

use pagescope::guest::ElfFile;

pub(crate) fn run(data: &[u8]) {
    let Ok(elf) = ElfFile::parse(Path::new("kernel.elf"), data) else {
        return;
    };
    for name in ["kalloc", "PAGESCOPE_INFO", "idle", ""] {
        let _ = elf.address_of(name);
        let _ = elf.require(name);
    }
    for address in [0, 0x8020_0000, u64::MAX] {
        let _ = elf.symbol_at(address);
    }
    let _ = elf.seen_from("process");
}

//! A guest's ELF: symbols, and what its debug information says of lines and types.

use std::fs;
use std::time::Duration;

use pagescope::guest::profile::Choice;
use pagescope::guest::{ElfFile, GuestOptions, Knowledge};

/// How long lines are waited for. Far more than an input of this size takes.
const PATIENCE: Duration = Duration::from_secs(20);

pub(crate) fn run(data: &[u8]) {
    let Ok(folder) = tempfile::tempdir() else {
        return;
    };
    let path = folder.path().join("kernel.elf");
    if fs::write(&path, data).is_err() {
        return;
    }
    let Ok(elf) = ElfFile::open(&path) else {
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
    // A profile that asks the debug information for structures.
    let mut knowledge = Knowledge::new(GuestOptions {
        profile: Choice::parse("xv6-riscv").unwrap_or_default(),
        line_patience: Some(PATIENCE),
        ..GuestOptions::default()
    });
    knowledge.recognise(Some(&elf), None);
    knowledge.follow_lines(&elf);
    let _ = knowledge.places(
        Some(&elf),
        &[0x8020_0000, 0x8020_0004, elf.symbols().len() as u64],
    );
}

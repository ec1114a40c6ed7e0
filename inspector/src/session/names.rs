//! What the window is told of the guest's ELF: its names, and source lines when it asks for one.

use std::sync::Arc;

use crate::guest::ElfFile;
use crate::guest::demangle::demangled;
use crate::model::{Symbol, Symbols};

/// The names of `elf`, as people write them.
pub(super) fn symbols_of(elf: &ElfFile) -> Symbols {
    Symbols::new(elf.symbols().iter().map(|symbol| Symbol {
        name: demangled(&symbol.name).into_owned(),
        address: symbol.address,
        size: symbol.size,
    }))
}

/// Whether these are the same file in the same place.
pub(super) fn is_same(told: Option<&Arc<ElfFile>>, now: Option<&Arc<ElfFile>>) -> bool {
    match (told, now) {
        (None, None) => true,
        (Some(told), Some(now)) => Arc::ptr_eq(told, now),
        _ => false,
    }
}

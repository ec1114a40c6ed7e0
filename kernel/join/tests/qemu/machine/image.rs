//! The kernel that is booted.

use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use object::LittleEndian;
use object::elf::{FileHeader64, SHT_SYMTAB, STT_FUNC, Sym64};
use object::read::elf::{FileHeader as _, Sym as _};

/// The kernel's ELF, built once.
pub(crate) fn kernel() -> &'static Path {
    static KERNEL: OnceLock<PathBuf> = OnceLock::new();
    KERNEL.get_or_init(|| {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
        let folder = Path::new(env!("CARGO_TARGET_TMPDIR"));
        let elf = pagescope_kernel_join::build_kernel(&root, &folder.join("kernel"), "pseudos")
            .unwrap_or_else(|error| panic!("{error}"));
        let path = folder.join("kernel.elf");
        std::fs::write(&path, elf).unwrap();
        path
    })
}

/// The address of a function of the joined program.
pub(crate) fn address_of(name: &str) -> u64 {
    let bytes = std::fs::read(kernel()).unwrap();
    let header = FileHeader64::<LittleEndian>::parse(&*bytes).unwrap();
    let sections = header.sections(LittleEndian, &*bytes).unwrap();
    let symbols = sections.symbols(LittleEndian, &*bytes, SHT_SYMTAB).unwrap();
    let is_named = |symbol: &&Sym64<LittleEndian>| {
        symbols.symbol_name(LittleEndian, symbol) == Ok(name.as_bytes())
    };
    let found: Vec<_> = symbols.iter().filter(is_named).collect();
    let [symbol] = found[..] else {
        panic!("{} symbols are named {name}", found.len());
    };
    assert_eq!(symbol.st_type(), STT_FUNC);
    symbol.st_value(LittleEndian)
}

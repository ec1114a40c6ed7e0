//! A guest's ELF: its symbols and sections. The file is hostile until it has been read.

mod image;

use std::fs;
use std::path::{Path, PathBuf};

use object::elf::{SHF_ALLOC, SHF_EXECINSTR, SHF_WRITE};
use object::{
    Object as _, ObjectSection as _, ObjectSymbol as _, ReadCache, ReadRef, SectionFlags,
    SymbolKind, SymbolSection,
};
use pagescope_protocol::VirtAddr;
use pagescope_protocol::snapshot::{Region, RegionKind, RegionSpace};
use thiserror::Error;

use super::demangle::demangled;

pub use image::{Sample, Segment};

/// The largest file that is read: kernels with all their debug information are smaller.
const MAX_BYTES: u64 = 4 << 30;

/// Why an ELF is of no use.
#[derive(Debug, Error)]
pub enum ElfError {
    /// The file cannot be read.
    #[error("cannot read {path}: {source}")]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// What the system says.
        source: std::io::Error,
    },
    /// The file is larger than any kernel.
    #[error("{path} has {bytes} bytes; that is no kernel's ELF")]
    TooLarge {
        /// The file.
        path: PathBuf,
        /// Its size.
        bytes: u64,
    },
    /// Not an ELF, or a damaged one.
    #[error("{path} is not an ELF that can be read ({what}); name the kernel's ELF, with symbols")]
    NotElf {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        what: String,
    },
    /// For another machine.
    #[error("{path} is for {found}, not for RISC-V; name the guest kernel's own ELF")]
    OtherMachine {
        /// The file.
        path: PathBuf,
        /// The machine.
        found: String,
    },
    /// A symbol that is not there.
    #[error("{path} has no symbol {symbol:?}{hint}")]
    NoSymbol {
        /// The file.
        path: PathBuf,
        /// The symbol.
        symbol: String,
        /// Names that look like it.
        hint: String,
    },
}

/// A symbol with an address.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Symbol {
    /// Its address, as linked.
    pub address: u64,
    /// Its size in bytes; 0 where the file does not say.
    pub size: u64,
    /// Its name.
    pub name: String,
}

/// What is kept of an ELF.
#[derive(Clone, Debug)]
pub struct ElfFile {
    path: PathBuf,
    entry: u64,
    /// Sorted by address.
    symbols: Vec<Symbol>,
    sections: Vec<Region>,
    segments: Vec<Segment>,
    samples: Vec<Sample>,
    moved: Moved,
    /// Whether `path` is the file that this was read from, and tells of this program.
    has_debug_file: bool,
}

/// How far a file lies from where it is linked.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Moved {
    /// What is added to virtual addresses, in bytes, round the end.
    pub virt: u64,
    /// What is added to physical addresses, in bytes, round the end.
    pub phys: u64,
}

impl ElfFile {
    /// Reads the file at `path`.
    ///
    /// # Errors
    /// [`ElfError`] where it cannot be read or is not a RISC-V ELF.
    pub fn open(path: &Path) -> Result<Self, ElfError> {
        let unreadable = |source| ElfError::Unreadable {
            path: path.into(),
            source,
        };
        let bytes = fs::metadata(path).map_err(unreadable)?.len();
        if bytes > MAX_BYTES {
            return Err(ElfError::TooLarge {
                path: path.into(),
                bytes,
            });
        }
        // Only what is looked at is read: debug information can be larger than all the rest.
        let file = fs::File::open(path).map_err(unreadable)?;
        let elf = Self::parse_data(path, &ReadCache::new(std::io::BufReader::new(file)))?;
        Ok(Self {
            has_debug_file: true,
            ..elf
        })
    }

    /// Reads `bytes`, which are said to come from `path`.
    ///
    /// # Errors
    /// [`ElfError`] where they are not a RISC-V ELF.
    pub fn parse(path: &Path, bytes: &[u8]) -> Result<Self, ElfError> {
        Self::parse_data(path, bytes)
    }

    fn parse_data<'a, R: ReadRef<'a>>(path: &Path, bytes: R) -> Result<Self, ElfError> {
        let not_elf = |what: String| ElfError::NotElf {
            path: path.into(),
            what,
        };
        let file = object::File::parse(bytes).map_err(|error| not_elf(error.to_string()))?;
        if file.format() != object::BinaryFormat::Elf {
            return Err(not_elf(format!("it is {:?}", file.format())));
        }
        if !matches!(
            file.architecture(),
            object::Architecture::Riscv64 | object::Architecture::Riscv32
        ) {
            let found = format!("{:?}", file.architecture());
            return Err(ElfError::OtherMachine {
                path: path.into(),
                found,
            });
        }
        let mut symbols: Vec<Symbol> = file
            .symbols()
            .filter(|symbol| {
                // An absolute one has no section, and an address all the same.
                symbol.is_definition() || symbol.section() == SymbolSection::Absolute
            })
            .filter(|symbol| {
                matches!(
                    symbol.kind(),
                    SymbolKind::Text | SymbolKind::Data | SymbolKind::Unknown | SymbolKind::Label
                )
            })
            .filter_map(|symbol| {
                let name = symbol.name().ok().filter(|name| !name.is_empty())?;
                // Mapping symbols ($x, $d) mark what bytes are, and name nothing.
                (!name.starts_with('$') && !name.starts_with(".L")).then(|| Symbol {
                    address: symbol.address(),
                    size: symbol.size(),
                    name: name.into(),
                })
            })
            .collect();
        symbols.sort_by(|a, b| (a.address, &a.name).cmp(&(b.address, &b.name)));
        let segments = image::segments(bytes);
        Ok(Self {
            path: path.into(),
            entry: file.entry(),
            symbols,
            sections: sections(&file, &segments),
            samples: image::samples(&file, &segments),
            segments,
            moved: Moved::default(),
            has_debug_file: false,
        })
    }

    /// The file's path.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The file's name without folders.
    pub fn name(&self) -> String {
        self.path
            .file_name()
            .unwrap_or(self.path.as_os_str())
            .to_string_lossy()
            .into_owned()
    }

    /// Where the machine begins to execute it.
    pub const fn entry(&self) -> u64 {
        self.entry
    }

    /// Its sections that take up memory, by physical address.
    pub fn sections(&self) -> &[Region] {
        &self.sections
    }

    /// Every symbol, by address.
    pub fn symbols(&self) -> &[Symbol] {
        &self.symbols
    }

    /// The file as it is meant where the guest runs the program of `layout`, which the file only carries, apart
    /// from its place: that program's names stand with its layout before them (`process.kalloc`), and
    /// mean what is plain `kalloc` there. The plain names and the sections, another program's, are left
    /// out. `None` where the file carries no such program.
    pub fn seen_from(&self, layout: &str) -> Option<Self> {
        const CARRIES: &str = ".kalloc";
        let carried = |name: &str| name.strip_suffix(CARRIES).map(str::to_owned);
        let layouts: Vec<String> = self
            .symbols
            .iter()
            .filter_map(|symbol| carried(&symbol.name))
            .chain(["machine".to_owned()])
            .collect();
        layouts.iter().find(|known| *known == layout)?;
        let belongs = |name: &str| {
            let is_mangled = name.starts_with("_ZN") || name.starts_with("_R");
            let whose = name.split_once('.').map(|(whose, _)| whose);
            is_mangled || whose.is_some_and(|whose| layouts.iter().any(|known| known == whose))
        };
        let prefix = format!("{layout}.");
        let symbols = self.symbols.iter().filter(|symbol| belongs(&symbol.name));
        let mut symbols: Vec<Symbol> = symbols
            .map(|symbol| {
                let name = symbol.name.strip_prefix(&prefix);
                Symbol {
                    name: name.unwrap_or(&symbol.name).to_owned(),
                    ..*symbol
                }
            })
            .collect();
        symbols.sort_by(|a, b| (a.address, &a.name).cmp(&(b.address, &b.name)));
        Some(Self {
            path: self.path.clone(),
            entry: self.entry,
            symbols,
            sections: Vec::new(),
            segments: Vec::new(),
            samples: Vec::new(),
            moved: self.moved,
            // Its debug information is that of the program in its place.
            has_debug_file: false,
        })
    }

    /// The file as it is where it lies so far from where it is linked: everything that this tells
    /// is where the guest has it.
    pub fn moved_by(&self, moved: Moved) -> Self {
        let mut there = self.clone();
        for symbol in &mut there.symbols {
            symbol.address = symbol.address.wrapping_add(moved.virt);
        }
        there
            .symbols
            .sort_by(|a, b| (a.address, &a.name).cmp(&(b.address, &b.name)));
        for section in &mut there.sections {
            section.start = section.start.wrapping_add(moved.phys);
        }
        for segment in &mut there.segments {
            segment.virt = segment.virt.wrapping_add(moved.virt);
            segment.phys = segment.phys.wrapping_add(moved.phys);
        }
        for sample in &mut there.samples {
            sample.virt = sample.virt.wrapping_add(moved.virt);
            sample.phys = sample.phys.wrapping_add(moved.phys);
        }
        there.entry = there.entry.wrapping_add(moved.phys);
        there.moved.virt = there.moved.virt.wrapping_add(moved.virt);
        there.moved.phys = there.moved.phys.wrapping_add(moved.phys);
        there
    }

    /// The file that tells of structs and source lines; `None` where there is none for this program.
    pub fn debug_file(&self) -> Option<&Path> {
        self.has_debug_file.then_some(self.path.as_path())
    }

    /// How far it lies from where it is linked, as far as is known.
    pub const fn moved(&self) -> Moved {
        self.moved
    }

    /// Its loaded segments.
    pub fn segments(&self) -> &[Segment] {
        &self.segments
    }

    /// Bytes that a guest's memory holds where the file lies.
    pub fn samples(&self) -> &[Sample] {
        &self.samples
    }

    /// The physical address of what is linked at `address`; `None` outside of its segments.
    pub fn physical(&self, address: u64) -> Option<u64> {
        image::physical(&self.segments, address)
    }

    /// The address of `symbol`; of one with `::` in it also as Rust mangles it.
    pub fn address_of(&self, symbol: &str) -> Option<VirtAddr> {
        let by_name = self.symbols.iter().find(|known| known.name == symbol);
        let mut all = self.symbols.iter();
        let found = by_name.or_else(|| {
            let is_path = symbol.contains("::");
            all.find(|known| is_path && demangled(&known.name) == symbol)
        })?;
        Some(VirtAddr::new(found.address))
    }

    /// The address of `symbol`, or an error that names symbols like it.
    ///
    /// # Errors
    /// [`ElfError::NoSymbol`].
    pub fn require(&self, symbol: &str) -> Result<VirtAddr, ElfError> {
        self.address_of(symbol).ok_or_else(|| {
            let lower = symbol.to_lowercase();
            let alike = self
                .symbols
                .iter()
                .filter(|known| known.name.to_lowercase().contains(&lower));
            let mut alike: Vec<&str> = alike.map(|known| known.name.as_str()).collect();
            alike.sort_by_key(|name| (name.len(), *name));
            alike.dedup();
            alike.truncate(5);
            let hint = match alike.as_slice() {
                [] if self.symbols.is_empty() => "; it is stripped: build it with symbols".into(),
                [] => "; see its names with `nm`".into(),
                names => format!("; like it: {}", names.join(", ")),
            };
            ElfError::NoSymbol {
                path: self.path.clone(),
                symbol: symbol.into(),
                hint,
            }
        })
    }

    /// The symbol that `address` lies in, and how far into it.
    pub fn symbol_at(&self, address: u64) -> Option<(&Symbol, u64)> {
        let after = self
            .symbols
            .partition_point(|symbol| symbol.address <= address);
        let before = self.symbols[..after].iter().rev();
        // A symbol without a size reaches to the next one.
        before
            .take(64)
            .map(|symbol| (symbol, address - symbol.address))
            .find(|(symbol, offset)| {
                symbol.size > *offset || (symbol.size == 0 && *offset < (1 << 20))
            })
    }
}

/// Sections that take up memory, at the physical addresses that their segments are loaded to.
fn sections<'a, R: ReadRef<'a>>(file: &object::File<'a, R>, segments: &[Segment]) -> Vec<Region> {
    let mut regions: Vec<Region> = file
        .sections()
        .filter_map(|section| {
            let SectionFlags::Elf { sh_flags, .. } = section.flags() else {
                return None;
            };
            let name = section.name().ok()?;
            let is_memory = has(sh_flags, SHF_ALLOC) && section.size() > 0;
            // The machine program stands as one region: it is not what is being looked at.
            if !is_memory || name.starts_with(".machine") {
                return None;
            }
            let kind = match (has(sh_flags, SHF_EXECINSTR), has(sh_flags, SHF_WRITE)) {
                (false, false) => RegionKind::Rodata,
                (false, _) if name.contains("stack") => RegionKind::Stack,
                (false, _) => RegionKind::Data,
                (true, _) => RegionKind::Text,
            };
            let address = section.address();
            Some(Region {
                start: image::physical(segments, address).unwrap_or(address),
                size: section.size(),
                space: RegionSpace::Physical,
                kind,
                name: name.into(),
                ..Region::default()
            })
        })
        .collect();
    regions.sort_by_key(|region| region.start);
    regions
}

fn has(flags: object::elf::SectionFlags, flag: object::elf::SectionFlags) -> bool {
    flags.0 & flag.0 != 0
}

/// A file with nothing but these symbols, in the order of their addresses.
#[cfg(test)]
pub(crate) fn file(symbols: &[(&str, u64)]) -> ElfFile {
    let symbols = symbols.iter().map(|(name, address)| Symbol {
        address: *address,
        size: 0,
        name: (*name).into(),
    });
    ElfFile {
        path: "kernel.elf".into(),
        entry: 0x8000_0000,
        symbols: symbols.collect(),
        sections: Vec::new(),
        segments: Vec::new(),
        samples: Vec::new(),
        moved: Moved::default(),
        has_debug_file: false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_program_that_is_carried_has_the_plain_names_once_it_runs() {
        let file = file(&[
            ("machine._start", 0x8000_0000),
            ("kalloc", 0x8020_0100),
            ("_ZN4core3fmt5write17hE", 0x8020_0200),
            ("process.kalloc", 0x300),
            ("nanos.kalloc", 0x7f00_0100),
        ]);
        let process = file.seen_from("process").unwrap();
        let address = |name| process.address_of(name).map(VirtAddr::as_u64);
        assert_eq!(address("kalloc"), Some(0x300));
        assert_eq!(address("nanos.kalloc"), Some(0x7f00_0100));
        assert_eq!(address("machine._start"), Some(0x8000_0000));
        assert_eq!(address("_ZN4core3fmt5write17hE"), Some(0x8020_0200));
        // The program in its place is no other's.
        assert!(file.seen_from("pseudos").is_none());
        assert!(
            file.seen_from("machine")
                .is_none_or(|seen| seen.address_of("kalloc").is_none())
        );
    }
}

//! What an ADDR or a file's name turned out to be.

use std::path::Path;
use std::str::FromStr as _;

use pagescope_protocol::PhysAddr;

use super::files::history;
use crate::cli::Failure;
use crate::cli::arguments::{MemoryArguments, MemoryWay, WatchChoice};
use crate::link::dump::FileKind;
use crate::link::memory::mapped::RamFile;
use crate::link::{Address, DumpOptions, PhysicalAccess};
use crate::model::History;
use crate::session::{MemoryChoice, Source, Watch};

/// What an ADDR begins with that is a monitor's.
const MONITOR: &str = "monitor:";

/// What an ADDR turned out to be.
pub(in crate::cli) enum Place {
    /// A guest, which is stopped while it is looked at, or a dump of one.
    Live(Source),
    /// A guest that is looked at while it runs.
    Watch(Watch),
    /// A file with moments in it.
    File(History),
}

impl Place {
    /// A snapshot or a dump where there is a file of that name or it is called `….ron`, else an address.
    pub(in crate::cli) fn parse(text: &str, from: &MemoryArguments) -> Result<Self, Failure> {
        if let Some(monitor) = text.strip_prefix(MONITOR) {
            return look_on(monitor, from).map(Self::Watch);
        }
        let path = Path::new(text);
        let looks_like_file = path.extension().is_some_and(|extension| extension == "ron");
        if looks_like_file || path.is_file() {
            return Self::file(path, from);
        }
        let address = Address::from_str(text).map_err(|error| {
            Failure::Usage(format!(
                "{error}; and there is no snapshot or dump {text:?}"
            ))
        })?;
        live(address, from).map(Self::Live)
    }

    /// A snapshot or a dump.
    pub(in crate::cli) fn file(path: &Path, from: &MemoryArguments) -> Result<Self, Failure> {
        let says_dump = from.ram_base.is_some() || !from.satp.is_empty();
        let kind = match path.is_file() {
            true => FileKind::of(path).map_err(Failure::usage)?,
            // The reader of snapshots says best what is wrong with the name.
            false => FileKind::Text,
        };
        if kind == FileKind::Text && from.ram_base.is_none() && says_dump {
            return Err(Failure::Usage(format!(
                "{} is a text file, and --satp is for dumps and images of RAM: leave it out for a snapshot",
                path.display()
            )));
        }
        if kind == FileKind::Text
            && !says_dump
            && (from.memory != MemoryWay::Auto || from.ram_file.is_some())
        {
            return Err(Failure::Usage(format!(
                "--memory and --ram-file are for guests, and {} is a snapshot: leave them out",
                path.display()
            )));
        }
        match kind {
            FileKind::Text if !says_dump => Ok(Self::File(history(path)?)),
            FileKind::Other if !says_dump => Err(Failure::Usage(format!(
                "{} is neither a snapshot nor a core dump; if it is an image of RAM, say where that begins \
                 (--ram-base 0x80000000) and what satp is (--satp 0x…)",
                path.display()
            ))),
            _ => Ok(Self::Live(Source::Dump {
                dump: dump(path, from)?,
                elf: None,
            })),
        }
    }

    /// The same, with the options that say how to look.
    pub(in crate::cli) fn chosen(
        text: &str,
        choice: &WatchChoice,
        from: &MemoryArguments,
    ) -> Result<Self, Failure> {
        if choice.running {
            return Self::looked_at(text, choice.monitor.as_deref(), from);
        }
        match (Self::parse(text, from)?, &choice.monitor) {
            (Self::Live(live @ Source::Attach { .. }), Some(monitor)) => {
                Ok(Self::Live(live.with_watch(Some(watch(monitor, from)?))))
            }
            (Self::File(_) | Self::Live(Source::Dump { .. }), Some(_)) => Err(Failure::Usage(
                format!("{text} is a file, which has no monitor: leave --monitor out"),
            )),
            (place, _) => Ok(place),
        }
    }

    /// A guest that is looked at while it runs: through `monitor` where it is named.
    pub(in crate::cli) fn looked_at(
        text: &str,
        monitor: Option<&str>,
        from: &MemoryArguments,
    ) -> Result<Self, Failure> {
        match monitor {
            Some(monitor) => look_on(monitor, from).map(Self::Watch),
            None => Self::parse(text, from),
        }
    }
}

/// A guest, with what was said about its memory.
pub(in crate::cli) fn live(address: Address, from: &MemoryArguments) -> Result<Source, Failure> {
    if from.ram_base.is_some() || !from.satp.is_empty() {
        return Err(Failure::Usage(format!(
            "--ram-base and --satp are for dumps, and {address} is a guest, which says both itself"
        )));
    }
    let way = match from.memory {
        MemoryWay::Auto => None,
        MemoryWay::File => Some(PhysicalAccess::MappedRam),
        MemoryWay::Process => Some(PhysicalAccess::ProcessMemory),
        MemoryWay::Gdb => Some(PhysicalAccess::GdbPort),
        MemoryWay::Channel => Some(PhysicalAccess::Monitor),
    };
    let ram_file = from.ram_file.as_deref().map(RamFile::parse);
    Ok(Source::Attach {
        address,
        elf: None,
        memory: MemoryChoice { way, ram_file },
        watch: None,
    })
}

fn dump(path: &Path, from: &MemoryArguments) -> Result<DumpOptions, Failure> {
    if from.memory != MemoryWay::Auto || from.ram_file.is_some() {
        return Err(Failure::Usage(format!(
            "--memory and --ram-file are for guests, and {} is a file with memory in it",
            path.display()
        )));
    }
    let number = |option: &str, text: &String| {
        let digits = text.trim().replace('_', "");
        let digits = digits.strip_prefix("0x").unwrap_or(&digits);
        u64::from_str_radix(digits, 16).map_err(|_| {
            Failure::Usage(format!(
                "{option} {text:?} is no number: write hexadecimal such as 0x80000000"
            ))
        })
    };
    let base = from.ram_base.as_ref();
    let base = base.map(|text| number("--ram-base", text)).transpose()?;
    let satps = from.satp.iter().map(|text| number("--satp", text));
    Ok(DumpOptions {
        path: path.to_owned(),
        ram_base: base.map(PhysAddr::new),
        satps: satps.collect::<Result<_, _>>()?,
    })
}

/// QEMU's monitor without a gdb port beside it: memory is read by a way that works while the guest runs.
fn look_on(monitor: &str, from: &MemoryArguments) -> Result<Watch, Failure> {
    match from.memory {
        MemoryWay::Gdb | MemoryWay::Channel => Err(Failure::Usage(
            "a debugger's port shows a guest only while it stands still: leave --memory out, or write --memory file \
             or --memory process"
                .into(),
        )),
        _ => watch(monitor, from),
    }
}

/// QEMU's monitor at this address, with what was said about the guest's memory.
pub(in crate::cli) fn watch(monitor: &str, from: &MemoryArguments) -> Result<Watch, Failure> {
    let monitor = monitor.strip_prefix(MONITOR).unwrap_or(monitor);
    if from.ram_base.is_some() || !from.satp.is_empty() {
        return Err(Failure::Usage(format!(
            "--ram-base and --satp are for dumps, and {monitor} is a guest's monitor, which says both itself"
        )));
    }
    Ok(Watch {
        monitor: Address::from_str(monitor).map_err(Failure::usage)?,
        ram_file: from.ram_file.as_deref().map(RamFile::parse),
        way: match from.memory {
            MemoryWay::File => Some(PhysicalAccess::MappedRam),
            MemoryWay::Process => Some(PhysicalAccess::ProcessMemory),
            MemoryWay::Auto | MemoryWay::Gdb | MemoryWay::Channel => None,
        },
    })
}

/// Why `what` does not go over the gdb port alone, and what to do.
pub(in crate::cli) fn needs_monitor(what: &str) -> String {
    format!(
        "{what} needs QEMU's monitor, because the gdb port stops the guest: start QEMU with {} -qmp \
         unix:/tmp/qmp,server=on,wait=off and give monitor:unix:/tmp/qmp as ADDR",
        crate::link::RAM_FILE_OPTIONS
    )
}

/// The gdb port of a command that does `what` with a guest: no file and no monitor, which can only be looked at.
pub(in crate::cli) fn port(text: &str, what: &str) -> Result<Address, Failure> {
    if text.starts_with(MONITOR) {
        return Err(Failure::Usage(format!(
            "{what} needs the guest's gdb port, and {text} is its monitor: start QEMU with -s and give :1234"
        )));
    }
    if is_file(text) {
        return Err(Failure::Usage(format!(
            "{what} needs a guest, and {text} is a file: look at it with pagescope open {text}"
        )));
    }
    Address::from_str(text).map_err(Failure::usage)
}

/// Whether a file was meant: there is one, or it is called like one.
pub(in crate::cli) fn is_file(text: &str) -> bool {
    let path = Path::new(text);
    path.is_file() || path.extension().is_some_and(|extension| extension == "ron")
}

/// What to do where the name of a file is a guest's address.
pub(super) fn no_file(path: &Path) -> Option<Failure> {
    let text = path.to_str().filter(|_| !path.exists())?;
    let address = text.strip_prefix(MONITOR).unwrap_or(text);
    Address::from_str(address).ok()?;
    Some(Failure::Usage(format!(
        "{text} is a guest's address, and here a file is read: write one with pagescope snapshot {text} -o \
         layout.ron, or see the guest with pagescope attach {text}"
    )))
}

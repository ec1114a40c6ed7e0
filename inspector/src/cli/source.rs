//! Where a command reads from: a live guest, or a file of one.

use std::path::Path;
use std::str::FromStr as _;
use std::sync::Arc;
use std::time::Duration;

use pagescope_protocol::snapshot::text::Document;
use pagescope_protocol::snapshot::{Snapshot, Space};
use pagescope_protocol::{PhysAddr, PhysPage, TranslationMode, VirtAddr};

use super::arguments::{GuestArguments, MemoryArguments, MemoryWay, SpaceChoice, WatchChoice};
use super::{Failure, format, interrupt};
use crate::export::file::read_document;
use crate::guest::profile::Choice;
use crate::guest::{ElfError, ElfFile, GuestOptions};
use crate::link::dump::FileKind;
use crate::link::memory::mapped::RamFile;
use crate::link::{Address, DumpOptions, LinkError, PhysicalAccess};
use crate::model::History;
use crate::session::{MemoryChoice, OpenError, Opened, Source, Watch};

/// What an ADDR begins with that is a monitor's.
const MONITOR: &str = "monitor:";

/// What an ADDR turned out to be.
pub(super) enum Place {
    /// A guest, which is stopped while it is looked at, or a dump of one.
    Live(Source),
    /// A guest that is looked at while it runs.
    Watch(Watch),
    /// A file with moments in it.
    File(History),
}

impl Place {
    /// A snapshot or a dump where there is a file of that name or it is called `….ron`, else an address.
    pub(super) fn parse(text: &str, from: &MemoryArguments) -> Result<Self, Failure> {
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
    pub(super) fn file(path: &Path, from: &MemoryArguments) -> Result<Self, Failure> {
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
    pub(super) fn chosen(
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
    pub(super) fn looked_at(
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
pub(super) fn live(address: Address, from: &MemoryArguments) -> Result<Source, Failure> {
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
pub(super) fn watch(monitor: &str, from: &MemoryArguments) -> Result<Watch, Failure> {
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
pub(super) fn needs_monitor(what: &str) -> String {
    format!(
        "{what} needs QEMU's monitor, because the gdb port stops the guest: start QEMU with {} -qmp \
         unix:/tmp/qmp,server=on,wait=off and give monitor:unix:/tmp/qmp as ADDR",
        crate::link::RAM_FILE_OPTIONS
    )
}

/// The moments in a file.
pub(super) fn history(path: &Path) -> Result<History, Failure> {
    let file =
        |error: &dyn std::fmt::Display| Failure::Usage(format!("{}: {error}", path.display()));
    match read_document(path).map_err(Failure::usage)? {
        Document::Snapshot(snapshot) => {
            let mut history = History::new();
            history.push(Arc::new(snapshot));
            Ok(history)
        }
        Document::Recording(recording) => {
            History::from_recording(&recording).map_err(|error| file(&error))
        }
    }
}

/// The last moment in a file.
pub(super) fn last_moment(path: &Path) -> Result<Arc<Snapshot>, Failure> {
    let history = history(path)?;
    let last = history
        .moments()
        .last()
        .map(|moment| Arc::clone(&moment.snapshot));
    last.ok_or_else(|| Failure::Usage(format!("{} holds no moment", path.display())))
}

/// An error where a file could not be written later, after the guest has done its work.
pub(super) fn can_write(path: &Path) -> Result<(), Failure> {
    let folder = path
        .parent()
        .filter(|folder| !folder.as_os_str().is_empty());
    match folder {
        Some(folder) if !folder.is_dir() => Err(Failure::Usage(format!(
            "cannot write {}: there is no folder {}; make it first",
            path.display(),
            folder.display()
        ))),
        _ => Ok(()),
    }
}

/// What the user says of a guest.
#[derive(Clone, Debug, Default)]
pub(super) struct Known {
    /// Its ELF.
    pub(super) elf: Option<Arc<ElfFile>>,
    /// All else.
    pub(super) options: GuestOptions,
}

/// How long a command waits for the debug information of a large kernel.
const LINE_PATIENCE: Duration = Duration::from_secs(60);

impl Known {
    /// What these arguments say.
    pub(super) fn of(arguments: &GuestArguments) -> Result<Self, Failure> {
        let profile = arguments.profile.as_deref().map(Choice::parse).transpose();
        let load_offset = arguments.load_offset.as_deref().map(|text| {
            let offset = match text.strip_prefix('-') {
                Some(digits) => parse_number(digits).map(u64::wrapping_neg),
                None => parse_number(text),
            };
            offset.ok_or_else(|| {
                Failure::Usage(format!(
                    "{text:?} is no offset: write hexadecimal such as 0x200000, or -0x200000"
                ))
            })
        });
        Ok(Self {
            elf: elf(arguments.elf.as_deref())?,
            options: GuestOptions {
                profile: profile.map_err(Failure::usage)?.unwrap_or_default(),
                load_offset: load_offset.transpose()?,
                ..GuestOptions::default()
            },
        })
    }

    /// With the root table that is chosen, where one is told by its address.
    pub(super) fn with_root(mut self, choice: &SpaceChoice) -> Result<Self, Failure> {
        self.options.roots.extend(root_chosen(choice)?);
        Ok(self)
    }

    /// A guest, or a dump of one.
    pub(super) fn with_source(self, source: Source) -> Source {
        Source::With {
            source: Box::new(source.with_elf(self.elf)),
            guest: self.options,
        }
    }

    /// A guest that is never stopped.
    pub(super) fn look_on(self, watch: Watch) -> Source {
        let elf = self.elf;
        Source::With {
            source: Box::new(Source::Watch { watch, elf }),
            guest: self.options,
        }
    }

    /// With source lines.
    pub(super) fn with_lines(mut self) -> Self {
        self.options.line_patience = Some(LINE_PATIENCE);
        self
    }
}

/// The root table that a choice tells by its address: `--root 0x87ffc000`, `--space "root 0x87ffc000"`.
fn root_chosen(
    choice: &SpaceChoice,
) -> Result<Option<(Option<TranslationMode>, PhysPage)>, Failure> {
    let mode = choice.mode.as_deref().map(|name| {
        let known = TranslationMode::WITH_TABLES.into_iter();
        let mut known = known.filter(|mode| !mode.is_guest_stage());
        known
            .find(|mode| mode.to_string().eq_ignore_ascii_case(name))
            .ok_or_else(|| {
                Failure::Usage(format!(
                    "there is no mode {name:?}; write Sv32, Sv39, Sv48 or Sv57"
                ))
            })
    });
    let mode = mode.transpose()?;
    let told = choice.root.as_deref().or_else(|| {
        let space = choice.space.as_deref()?;
        space.strip_prefix(ROOT_WORD)
    });
    let Some(text) = told else { return Ok(None) };
    let page = parse_number(text).and_then(|at| {
        let at = PhysAddr::new(at);
        at.page().filter(|page| page.start() == at)
    });
    match page {
        Some(page) => Ok(Some((mode, page))),
        None => Err(Failure::Usage(format!(
            "{text:?} is no root table's address: write the physical address of a page, such as 0x87ffc000"
        ))),
    }
}

/// What the name of a space begins with that is known by its root's address alone.
const ROOT_WORD: &str = "root ";

/// A number in hexadecimal, with or without `0x`, as addresses are always written.
pub(super) fn parse_number(text: &str) -> Option<u64> {
    let lower = text.trim().replace('_', "").to_lowercase();
    let digits = lower.strip_prefix("0x").unwrap_or(&lower);
    let is_hex = !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_hexdigit());
    // A bare word such as `face` is a symbol, not a number.
    let is_number =
        is_hex && (lower.starts_with("0x") || digits.starts_with(|c: char| c.is_ascii_digit()));
    is_number
        .then(|| u64::from_str_radix(digits, 16).ok())
        .flatten()
}

/// `0x80200000`, `kalloc`, `kalloc+0x10`.
pub(super) fn parse_address(text: &str, elf: Option<&ElfFile>) -> Result<VirtAddr, Failure> {
    let (base, offset) = text.split_once('+').unwrap_or((text, "0"));
    let bad = |part: &str| {
        Failure::Usage(format!(
            "{part:?} is no address: write hexadecimal such as 0x80200000, or a symbol with --elf"
        ))
    };
    let offset = parse_number(offset).ok_or_else(|| bad(offset))?;
    let base_address = match (parse_number(base), elf) {
        (Some(number), _) => VirtAddr::new(number),
        (None, Some(elf)) => elf.require(base).map_err(Failure::usage)?,
        (None, None) => return Err(bad(base)),
    };
    base_address.checked_add(offset).ok_or_else(|| bad(text))
}

/// The ELF, where one is named.
fn elf(path: Option<&Path>) -> Result<Option<Arc<ElfFile>>, Failure> {
    path.map(ElfFile::open)
        .transpose()
        .map(|elf| elf.map(Arc::new))
        .map_err(Failure::usage)
}

/// Attaches, or opens a dump, for one command.
pub(super) fn open(source: Source, known: Known) -> Result<Opened, Failure> {
    open_source(&known.with_source(source))
}

/// Opens any source, for one command.
pub(super) fn open_source(source: &Source) -> Result<Opened, Failure> {
    let cancel = interrupt::cancel();
    let opened = source.open(&cancel).map_err(|error| match error {
        _ if cancel.is_cancelled() => Failure::Cancelled,
        OpenError::Elf(error @ ElfError::NotElf { .. }) => Failure::usage(error),
        // A file that is of no use.
        OpenError::Link(error @ LinkError::Dump { .. }) => Failure::usage(error),
        other => Failure::target(other),
    })?;
    if let Some(why) = opened.capturer.knowledge().doubt() {
        format::tell(&why);
    }
    let xlen_bits = opened.target.facts().xlen_bits;
    let roots = &opened.capturer.knowledge().options.roots;
    let modes = roots.iter().filter_map(|(mode, _)| *mode);
    let other = { modes }.find(|mode| (mode.entry_bytes() == 4) != (xlen_bits == 32));
    if let Some(mode) = other {
        leave(opened);
        return Err(Failure::Usage(format!(
            "this machine has {xlen_bits} bits, and {mode} is not among its modes: {}",
            match xlen_bits {
                32 => "it has Sv32",
                _ => "it has Sv39, Sv48 and Sv57",
            }
        )));
    }
    Ok(opened)
}

/// Leaves the guest as it was found. A command's answer does not depend on how that went, but the
/// user must know.
pub(super) fn leave(opened: Opened) {
    let Opened {
        target, guest, eye, ..
    } = opened;
    drop(eye);
    if let Err(error) = target.detach() {
        format::tell(&format!("the guest may not be as it was found: {error}"));
    }
    drop(guest);
}

/// One moment of a guest or a file. What is not whole in it is said at once, whatever the answer's format.
pub(super) fn one_moment(place: Place, known: Known) -> Result<Arc<Snapshot>, Failure> {
    let snapshot = match place {
        Place::File(_) if known.options.load_offset.is_some() => {
            return Err(Failure::Usage(
                "--load-offset is for guests and dumps: a snapshot says itself where its names are"
                    .into(),
            ));
        }
        Place::File(history) => {
            let last = history
                .moments()
                .last()
                .map(|moment| Arc::clone(&moment.snapshot));
            last.ok_or_else(|| Failure::Usage("the file holds no moment".into()))
        }
        Place::Live(live) => captured(open(live, known)?),
        Place::Watch(watch) => captured(open_source(&known.look_on(watch))?),
    }?;
    mention_changing(&snapshot);
    Ok(snapshot)
}

/// One moment of a guest, which is left afterwards.
fn captured(mut opened: Opened) -> Result<Arc<Snapshot>, Failure> {
    let snapshot = capture(&mut opened);
    leave(opened);
    let snapshot = snapshot?;
    for warning in &snapshot.warnings {
        format::tell(warning);
    }
    Ok(snapshot)
}

/// One moment of a guest, whether it runs or stands still.
pub(super) fn capture(opened: &mut Opened) -> Result<Arc<Snapshot>, Failure> {
    if let Some(looked) = opened.look(&interrupt::cancel()).map_err(Failure::target)? {
        return Ok(looked);
    }
    let stop = opened.stop.clone();
    let target = opened.target.as_mut();
    opened
        .capturer
        .capture(target, stop)
        .map_err(Failure::target)
}

/// Says where the kernel was changing what it says of regions and spaces.
pub(super) fn mention_changing(snapshot: &Snapshot) {
    let changing = snapshot.kernel.as_ref().map_or(0, |kernel| kernel.changing);
    if let Some(unsettled) = snapshot.taken.unsettled() {
        format::tell(&format!(
            "taken while the guest ran, and did not settle: {unsettled}; what is said of that may be \
             half old and half new"
        ));
    } else if changing > 0 {
        format::tell(
            "the kernel was changing its regions or spaces at this moment; \
             some may be half changed",
        );
    }
}

/// The space that was chosen, by name or by hart.
pub(super) fn space_chosen<'a>(
    snapshot: &'a Snapshot,
    choice: &SpaceChoice,
) -> Result<&'a Space, Failure> {
    if let Some((mode, root)) = root_chosen(choice)? {
        let is_it = |space: &&Space| {
            space.root == root
                && mode.is_none_or(|mode| mode == space.mode)
                && space.mode.scheme().is_some()
        };
        let found = snapshot.spaces.iter().find(is_it);
        return found.ok_or_else(|| {
            Failure::Usage(format!(
                "there is no space with its root at {root} in this file; a live guest's can be walked"
            ))
        });
    }
    match &choice.space {
        Some(name) => space_named(snapshot, name),
        None => space_of(snapshot, choice.hart),
    }
}

/// The space of this name, or the only one whose name begins so.
pub(super) fn space_named<'a>(snapshot: &'a Snapshot, name: &str) -> Result<&'a Space, Failure> {
    if let Some(space) = snapshot.space_named(name) {
        return Ok(space);
    }
    // `process 3` is not `process 30 sh`, where there is a `process 3 init`.
    let whole_words = format!("{name} ");
    let mut spaces = snapshot.spaces.iter();
    let first = spaces.find(|space| space.name.starts_with(&whole_words));
    let another = spaces.any(|space| space.name.starts_with(&whole_words));
    if let (Some(space), false, false) = (first, another, name.is_empty()) {
        return Ok(space);
    }
    let alike: Vec<&Space> = match name {
        "" => Vec::new(),
        name => {
            let spaces = snapshot.spaces.iter();
            spaces
                .filter(|space| space.name.starts_with(name))
                .collect()
        }
    };
    match alike.as_slice() {
        [one] => Ok(one),
        [] => Err(Failure::Usage(match snapshot.spaces.as_slice() {
            [] => format!("there is no space {name:?}: no address space is known"),
            spaces => format!(
                "there is no space {name:?}; there are: {}",
                names(spaces.iter())
            ),
        })),
        several => Err(Failure::Usage(format!(
            "{name:?} may be any of: {}",
            names(several.iter().copied())
        ))),
    }
}

fn names<'a>(spaces: impl Iterator<Item = &'a Space>) -> String {
    let names: Vec<String> = spaces.map(|space| format!("{:?}", space.name)).collect();
    names.join(", ")
}

/// The space of a hart, or an error that says what there is instead.
pub(super) fn space_of(snapshot: &Snapshot, hart: u32) -> Result<&Space, Failure> {
    if let Some(space) = snapshot.space_of_hart(hart) {
        return Ok(space);
    }
    let known: Vec<String> = snapshot
        .harts
        .iter()
        .map(|hart| hart.id.to_string())
        .collect();
    if snapshot.harts.iter().any(|known| known.id == hart) {
        return Err(Failure::Target(format!(
            "satp of hart {hart} is not known, so neither are its tables; say it with --satp 0x… if this \
             is a dump, name a space of `pagescope spaces` with --space, or ask with --phys, which works \
             without"
        )));
    }
    Err(Failure::Usage(match known.as_slice() {
        [] => "this file tells of no hart, so of no address space".into(),
        known => format!("there is no hart {hart}; there are: {}", known.join(", ")),
    }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::fixture;

    /// `process 3` is the third process, also where there is a thirtieth.
    #[test]
    fn a_name_is_begun_by_whole_words_first() {
        let mut snapshot = fixture::pseudos(1);
        let space = snapshot.spaces[0].clone();
        snapshot.spaces = ["process 30 sh", "process 3 init", "process 31 ls"]
            .map(|name| Space {
                name: name.into(),
                ..space.clone()
            })
            .into();
        let named = |name| space_named(&snapshot, name).map(|space| space.name.clone());
        assert_eq!(named("process 3").ok().as_deref(), Some("process 3 init"));
        assert_eq!(named("process 31").ok().as_deref(), Some("process 31 ls"));
        assert!(named("process").is_err() && named("").is_err());
    }
}

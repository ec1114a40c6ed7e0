//! What is known about a guest besides its memory: its ELF where it lies, its profile, its lines.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use pagescope_protocol::snapshot::{Region, RegionSpace, Watch};
use pagescope_protocol::{PhysPage, TranslationMode};

use super::dwarf::lines::{Lines, SourceLine};
use super::memory::GuestMemory;
use super::placement::{How, Placement};
use super::processes::{self, Found, Plan};
use super::profile::{AddressKind, Choice, Chosen, Extent, Profile};
use super::{ElfFile, demangle::demangled};
use crate::link::LinkError;

/// What the user says about a guest.
#[derive(Clone, Debug, Default)]
pub struct GuestOptions {
    /// Its profile.
    pub profile: Choice,
    /// What is to be added to its ELF's addresses.
    pub load_offset: Option<u64>,
    /// Root tables that are to be walked besides those that are found; as harts walk theirs where no
    /// mode is told.
    pub roots: Vec<(Option<TranslationMode>, PhysPage)>,
    /// How long a capture waits for source lines; without it they are not looked for.
    pub line_patience: Option<Duration>,
}

/// What is known about a guest besides its memory.
#[derive(Debug, Default)]
pub struct Knowledge {
    /// What the user says.
    pub options: GuestOptions,
    /// Where the ELF lies, as far as it was looked for.
    pub placement: Option<Placement>,
    chosen: Option<Chosen>,
    /// What the choice was made by: whether there was an ELF, and the layout.
    recognised_by: Option<(bool, Option<String>)>,
    plan: Option<Result<Plan, String>>,
    lines: Option<Arc<Lines>>,
    /// The file whose lines are told, and how far it lies from where it is linked.
    lines_of: Option<(PathBuf, u64)>,
}

/// The places that a profile names, found in a guest.
#[derive(Debug, Default)]
pub(crate) struct Named {
    pub(crate) regions: Vec<Region>,
    pub(crate) watches: Vec<Watch>,
}

impl Knowledge {
    /// With what the user says.
    pub fn new(options: GuestOptions) -> Self {
        Self {
            options,
            ..Self::default()
        }
    }

    /// Chooses the profile of the kernel with this ELF, which says that it is `layout`, unless it was
    /// chosen for just that.
    pub fn recognise(&mut self, elf: Option<&ElfFile>, layout: Option<&str>) {
        let by = (elf.is_some(), layout.map(str::to_owned));
        if self.recognised_by.as_ref() == Some(&by) {
            return;
        }
        self.recognised_by = Some(by);
        let chosen = self.options.profile.choose(elf, layout);
        self.plan = match (&chosen, elf) {
            (Some(chosen), Some(elf)) => Plan::new(&chosen.profile, elf),
            _ => None,
        };
        self.chosen = chosen;
    }

    /// Gets ready to tell lines of `elf`. Nothing is read yet.
    pub fn follow_lines(&mut self, elf: &ElfFile) {
        let of = elf
            .debug_file()
            .map(|path| (path.to_owned(), elf.moved().virt));
        if of == self.lines_of {
            return;
        }
        self.lines_of = of;
        self.lines = elf.debug_file().and_then(|path| {
            let lines = Lines::new(path.to_owned(), elf.moved().virt);
            lines
                .inspect_err(|error| tracing::warn!(%error, "no thread for source lines"))
                .ok()
                .map(Arc::new)
        });
    }

    /// What lies at each of `addresses`, with the source line where somebody asked for lines: all of
    /// them together wait no longer than the user's patience.
    pub fn places(&self, elf: Option<&ElfFile>, addresses: &[u64]) -> Vec<String> {
        let patience = self.options.line_patience;
        let lines = self.lines.as_ref().zip(patience);
        let deadline = patience.and_then(|patience| Instant::now().checked_add(patience));
        let places = addresses.iter().map(|address| {
            let line = lines.and_then(|(lines, _)| {
                let left = deadline?.saturating_duration_since(Instant::now());
                lines.at_within(*address, left)
            });
            place_text(elf, line.as_deref(), *address)
        });
        places.collect()
    }

    /// What speaks against the ELF that the user named, and what was asked of it in vain, in words.
    pub fn doubt(&self) -> Option<String> {
        let placement = self.placement.as_ref();
        match placement.map(|placement| &placement.how) {
            Some(How::Nowhere) => placement.map(ToString::to_string),
            None if self.options.load_offset.is_some() => {
                Some("--load-offset is not used: the kernel says itself where it lies".to_owned())
            }
            _ => None,
        }
    }

    /// The profile, and why it is this one.
    pub const fn chosen(&self) -> Option<&Chosen> {
        self.chosen.as_ref()
    }

    /// The profile.
    pub fn profile(&self) -> Option<&Profile> {
        self.chosen.as_ref().map(|chosen| &*chosen.profile)
    }

    /// Who tells source lines; `None` where no file does.
    pub const fn lines(&self) -> Option<&Arc<Lines>> {
        self.lines.as_ref()
    }

    /// The processes' spaces, and the kernel's own before them, walked in `mode` where nothing else is
    /// said.
    ///
    /// # Errors
    /// When the target is lost.
    pub(crate) fn spaces(
        &self,
        elf: Option<&ElfFile>,
        memory: &mut GuestMemory<'_>,
        mode: TranslationMode,
    ) -> Result<Found, LinkError> {
        let mut found = Found::default();
        let (Some(profile), Some(elf)) = (self.profile(), elf) else {
            return Ok(found);
        };
        let kernel = processes::kernel_space(profile, elf, memory, mode)?;
        if let Some(kernel) = &kernel {
            memory.add_root(kernel.satp.mode(), kernel.satp.root());
        }
        match &self.plan {
            None => {}
            Some(Err(why)) => found
                .notes
                .push(format!("the processes are not known: {why}")),
            Some(Ok(plan)) => found = plan.find(memory, mode)?,
        }
        found.spaces.splice(0..0, kernel);
        Ok(found)
    }

    /// The regions and watches that the profile names; what the ELF does not have is left out.
    ///
    /// # Errors
    /// When the target is lost.
    pub(crate) fn named(
        &self,
        elf: Option<&ElfFile>,
        memory: &mut GuestMemory<'_>,
    ) -> Result<Named, LinkError> {
        let mut named = Named::default();
        let (Some(profile), Some(elf)) = (self.profile(), elf) else {
            return Ok(named);
        };
        for region in profile.regions.iter() {
            let Ok(start) = region.start.evaluate(elf) else {
                continue;
            };
            let size = match &region.extent {
                Extent::Size(size) => Some(*size),
                Extent::End(end) => end
                    .evaluate(elf)
                    .ok()
                    .and_then(|end| end.checked_sub(start)),
            };
            let Some(size) = size.filter(|size| *size > 0) else {
                continue;
            };
            let space = match region.space {
                AddressKind::Physical => RegionSpace::Physical,
                AddressKind::Virtual => RegionSpace::Virtual,
            };
            if start.checked_add(size - 1).is_none() {
                continue;
            }
            named.regions.push(Region {
                start,
                size,
                space,
                kind: region.kind.0,
                name: region.name.to_string(),
                description: region.description.clone(),
                ..Region::default()
            });
        }
        for watch in profile.watches.iter() {
            let Ok(at) = watch.at.evaluate(elf) else {
                continue;
            };
            let Some(address) = memory.physical(at)? else {
                continue;
            };
            named.watches.push(Watch {
                name: watch.name.to_string(),
                address,
                value: memory.read_number(at, watch.size.0)?,
                bytes: watch.size.0 as u8,
            });
        }
        Ok(named)
    }

    /// What is to be told of it in one line; empty where there is nothing.
    pub fn summary(&self) -> String {
        let mut parts = Vec::new();
        parts.extend(self.chosen.as_ref().map(ToString::to_string));
        if let Some(Ok(plan)) = &self.plan {
            parts.push(plan.origin().to_owned());
        }
        let moved = self.placement.as_ref();
        let is_news = |placement: &&Placement| !matches!(placement.how, How::AsLinked(..));
        parts.extend(moved.filter(is_news).map(ToString::to_string));
        parts.join("; ")
    }
}

/// What lies at an address: `kalloc+0x12`, and the source line where it is known.
pub fn place_text(elf: Option<&ElfFile>, line: Option<&SourceLine>, address: u64) -> String {
    let symbol = elf.and_then(|elf| elf.symbol_at(address));
    let mut text = match symbol {
        Some((symbol, 0)) => demangled(&symbol.name).into_owned(),
        Some((symbol, offset)) => format!("{}+{offset:#x}", demangled(&symbol.name)),
        None => String::new(),
    };
    if let Some(line) = line {
        if !text.is_empty() {
            text.push_str(", ");
        }
        text.push_str(&line.text());
    }
    text
}

/// Where harts' tables are, each once; those that translate.
pub(crate) fn roots<'a>(
    satps: impl Iterator<Item = &'a pagescope_protocol::Satp>,
) -> Vec<(TranslationMode, PhysPage)> {
    let mut roots = Vec::new();
    for satp in satps.filter(|satp| satp.mode().scheme().is_some()) {
        let root = (satp.mode(), satp.root());
        if !roots.contains(&root) {
            roots.push(root);
        }
    }
    roots
}

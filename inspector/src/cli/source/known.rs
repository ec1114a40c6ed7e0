//! What the user says of a guest beside its address.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use super::spaces::root_chosen;
use super::words::parse_number;
use crate::cli::Failure;
use crate::cli::arguments::{GuestArguments, SpaceChoice};
use crate::guest::profile::Choice;
use crate::guest::{ElfFile, GuestOptions};
use crate::session::{Source, Watch};

/// What the user says of a guest.
#[derive(Clone, Debug, Default)]
pub(in crate::cli) struct Known {
    /// Its ELF.
    pub(in crate::cli) elf: Option<Arc<ElfFile>>,
    /// All else.
    pub(in crate::cli) options: GuestOptions,
}

/// How long a command waits for the debug information of a large kernel.
const LINE_PATIENCE: Duration = Duration::from_secs(60);

impl Known {
    /// What these arguments say.
    pub(in crate::cli) fn of(arguments: &GuestArguments) -> Result<Self, Failure> {
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
    pub(in crate::cli) fn with_root(mut self, choice: &SpaceChoice) -> Result<Self, Failure> {
        self.options.roots.extend(root_chosen(choice)?);
        Ok(self)
    }

    /// A guest, or a dump of one.
    pub(in crate::cli) fn with_source(self, source: Source) -> Source {
        Source::With {
            source: Box::new(source.with_elf(self.elf)),
            guest: self.options,
        }
    }

    /// A guest that is never stopped.
    pub(in crate::cli) fn look_on(self, watch: Watch) -> Source {
        let elf = self.elf;
        Source::With {
            source: Box::new(Source::Watch { watch, elf }),
            guest: self.options,
        }
    }

    /// With source lines.
    pub(in crate::cli) fn with_lines(mut self) -> Self {
        self.options.line_patience = Some(LINE_PATIENCE);
        self
    }
}

/// The ELF, where one is named.
fn elf(path: Option<&Path>) -> Result<Option<Arc<ElfFile>>, Failure> {
    path.map(ElfFile::open)
        .transpose()
        .map(|elf| elf.map(Arc::new))
        .map_err(Failure::usage)
}

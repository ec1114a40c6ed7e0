//! What several commands take: where a guest's memory is read from, which space is meant, what is known of its kernel,
//! whether it is looked at while it runs.

use std::path::PathBuf;

use clap::Args;

use super::choices::MemoryWay;

/// Where a guest's memory is read from.
#[derive(Debug, Default, Args)]
#[command(next_help_heading = "Memory")]
pub struct MemoryArguments {
    /// How the guest's memory is read: by the fastest way there is, or by this one
    #[arg(long, value_enum, default_value_t, value_name = "WAY")]
    pub memory: MemoryWay,
    /// The file that holds the guest's RAM, and where that begins if not at 0x80000000
    #[arg(long, value_name = "PATH[@0xADDR]")]
    pub ram_file: Option<String>,
    /// Of a raw image of RAM: where it begins [default: 0x80000000]
    #[arg(long, value_name = "0xADDR")]
    pub ram_base: Option<String>,
    /// Of a dump, which does not have it: satp of hart 0; given again, of hart 1, and so on
    #[arg(long, value_name = "0xSATP")]
    pub satp: Vec<String>,
}

/// Which space is meant.
#[derive(Debug, Args)]
pub struct SpaceChoice {
    /// The hart whose address space is meant
    #[arg(long, default_value_t = 0, value_name = "N")]
    pub hart: u32,
    /// The address space by its name, or by as much of it as no other begins with: "process 3"
    #[arg(long, value_name = "NAME", conflicts_with = "hart")]
    pub space: Option<String>,
    /// The address space with its root table at this physical address
    #[arg(long, value_name = "ADDRESS", conflicts_with_all = ["hart", "space"])]
    pub root: Option<String>,
    /// With --root: Sv32, Sv39, Sv48 or Sv57 [default: as the harts translate]
    #[arg(long, value_name = "MODE", requires = "root")]
    pub mode: Option<String>,
}

/// What is known of a guest's kernel.
#[derive(Debug, Args, Default)]
pub struct GuestArguments {
    /// The guest kernel's ELF: names, source lines, and where its processes are
    #[arg(long, value_name = "FILE")]
    pub elf: Option<PathBuf>,
    /// What kernel it is: a built-in profile's name, a file, or none [default: by the ELF's symbols]
    #[arg(long, value_name = "NAME|FILE")]
    pub profile: Option<String>,
    /// What is to be added to the ELF's addresses [default: found by its bytes in memory]
    #[arg(
        long,
        value_name = "OFFSET",
        requires = "elf",
        allow_hyphen_values = true
    )]
    pub load_offset: Option<String>,
}

/// How a guest is looked at while it runs.
#[derive(Debug, Args)]
pub struct WatchChoice {
    /// QEMU's monitor (-qmp or -monitor): unix:PATH or HOST:PORT. It says whether the guest ran
    #[arg(long, value_name = "ADDR")]
    pub monitor: Option<String>,
    /// Look while the guest runs, through --monitor alone: ADDR is not connected to, nothing is stopped
    #[arg(long, requires = "monitor")]
    pub running: bool,
}

//! What each command takes.

use std::path::PathBuf;

use clap::Args;

use super::choices::{Format, Layout, PictureTheme, PictureView, Tables};
use super::reading::{GuestArguments, MemoryArguments, SpaceChoice, WatchChoice};

/// `demo`
#[derive(Debug, Args)]
pub struct Demo {
    /// The memory layout to boot
    #[arg(long, value_enum, default_value_t)]
    pub layout: Layout,
    /// How the kernel reaches its own page tables, with layout pseudos [default: pool]
    #[arg(long, value_enum)]
    pub tables: Option<Tables>,
    /// No window: step, write the files, print the drawing, end. The default without a display
    #[arg(long)]
    pub headless: bool,
    /// With --headless: how many calls of kalloc to step
    #[arg(long, default_value_t = 8, value_name = "N")]
    pub steps: u32,
    /// With --headless: the folder for snapshot.ron, recording.ron and layout.svg
    #[arg(long, default_value = "pagescope-demo", value_name = "DIR")]
    pub out: PathBuf,
    /// Milliseconds between two calls of kalloc in the guest; 0: only on command
    #[arg(long, default_value_t = 20, value_name = "MS")]
    pub pace: u32,
}

/// `follow`
#[derive(Debug, Args)]
pub struct Follow {
    /// QEMU's monitor: monitor:unix:PATH or monitor:HOST:PORT; or anything, with --monitor
    pub addr: String,
    /// QEMU's monitor (-qmp or -monitor): unix:PATH or HOST:PORT. ADDR is not connected to
    #[arg(long, value_name = "ADDR")]
    pub monitor: Option<String>,
    /// The file that holds the guest's RAM, where QEMU cannot say, and where that begins if not at 0x80000000
    #[arg(long, value_name = "PATH[@0xADDR]")]
    pub ram_file: Option<String>,
    /// How often to look, in times a second: 1 to 60
    #[arg(long, default_value_t = 10, value_name = "HZ")]
    pub rate: u32,
    /// End after so many seconds
    #[arg(long = "for", value_name = "SECONDS")]
    pub seconds: Option<u32>,
    /// End after so many looks
    #[arg(long, value_name = "N")]
    pub count: Option<u64>,
    #[command(flatten)]
    #[allow(missing_docs)]
    pub guest: GuestArguments,
    /// How to print: json and ron give one object a line
    #[arg(long, value_enum, default_value_t)]
    pub format: Format,
}

/// `attach`
#[derive(Debug, Args)]
pub struct Attach {
    /// The guest's gdb port: HOST:PORT, unix:PATH or serial:PATH. Without it, and with --monitor, the guest is
    /// looked at while it runs, and is not stopped
    #[arg(required_unless_present = "monitor")]
    pub addr: Option<String>,
    /// QEMU's monitor (-qmp or -monitor), to follow the guest while it runs: unix:PATH or HOST:PORT
    #[arg(long, value_name = "ADDR")]
    pub monitor: Option<String>,
    #[command(flatten)]
    #[allow(missing_docs)]
    pub guest: GuestArguments,
    #[command(flatten)]
    #[allow(missing_docs)]
    pub from: MemoryArguments,
}

/// `open`
#[derive(Debug, Args)]
pub struct Open {
    /// A snapshot, a recording, QEMU's dump-guest-memory or an image of RAM
    pub file: PathBuf,
    #[command(flatten)]
    #[allow(missing_docs)]
    pub guest: GuestArguments,
    #[command(flatten)]
    #[allow(missing_docs)]
    pub from: MemoryArguments,
}

/// `walk`
#[derive(Debug, Args)]
pub struct Walk {
    /// The guest's gdb port or monitor, or a file: a snapshot, a recording, a dump
    pub addr: String,
    /// The virtual address: 0x80200000, or a symbol of the ELF, or symbol+0x10
    pub va: String,
    #[command(flatten)]
    #[allow(missing_docs)]
    pub guest: GuestArguments,
    #[command(flatten)]
    #[allow(missing_docs)]
    pub space: SpaceChoice,
    /// How to print the answer
    #[arg(long, value_enum, default_value_t)]
    pub format: Format,
    #[command(flatten)]
    #[allow(missing_docs)]
    pub from: MemoryArguments,
    #[command(flatten)]
    #[allow(missing_docs)]
    pub watch: WatchChoice,
}

/// `map`
#[derive(Debug, Args)]
pub struct Map {
    /// The guest's gdb port or monitor, or a file: a snapshot, a recording, a dump
    pub addr: String,
    /// Physical memory: what lies where, and which addresses of any space lead there
    #[arg(long, conflicts_with_all = ["hart", "space"])]
    pub phys: bool,
    #[command(flatten)]
    #[allow(missing_docs)]
    pub guest: GuestArguments,
    #[command(flatten)]
    #[allow(missing_docs)]
    pub space: SpaceChoice,
    /// How to print the answer
    #[arg(long, value_enum, default_value_t)]
    pub format: Format,
    #[command(flatten)]
    #[allow(missing_docs)]
    pub from: MemoryArguments,
    #[command(flatten)]
    #[allow(missing_docs)]
    pub watch: WatchChoice,
}

/// `spaces`
#[derive(Debug, Args)]
pub struct Spaces {
    /// The guest's gdb port or monitor, or a file: a snapshot, a recording, a dump
    pub addr: String,
    /// Look for root tables in all of RAM, and rank what is found, with the reasons
    #[arg(long)]
    pub scan: bool,
    #[command(flatten)]
    #[allow(missing_docs)]
    pub guest: GuestArguments,
    /// How to print the answer
    #[arg(long, value_enum, default_value_t)]
    pub format: Format,
    #[command(flatten)]
    #[allow(missing_docs)]
    pub from: MemoryArguments,
    #[command(flatten)]
    #[allow(missing_docs)]
    pub watch: WatchChoice,
}

/// `regions`
#[derive(Debug, Args)]
pub struct Regions {
    /// The guest's gdb port or monitor, or a file: a snapshot, a recording, a dump
    pub addr: String,
    /// Only what counts in this space, and what of it is mapped there
    #[arg(long, value_name = "NAME")]
    pub space: Option<String>,
    #[command(flatten)]
    #[allow(missing_docs)]
    pub guest: GuestArguments,
    /// How to print the answer
    #[arg(long, value_enum, default_value_t)]
    pub format: Format,
    #[command(flatten)]
    #[allow(missing_docs)]
    pub from: MemoryArguments,
    #[command(flatten)]
    #[allow(missing_docs)]
    pub watch: WatchChoice,
}

/// `trace`
#[derive(Debug, Args)]
pub struct Trace {
    /// The guest's gdb port or monitor, or a file: a snapshot, a recording, a dump
    pub addr: String,
    /// Only events of this kind; may be given several times
    #[arg(long, value_name = "KIND")]
    pub kind: Vec<String>,
    /// Only events about this space
    #[arg(long, value_name = "NAME")]
    pub space: Option<String>,
    /// Only the last N of them
    #[arg(long, value_name = "N")]
    pub last: Option<usize>,
    #[command(flatten)]
    #[allow(missing_docs)]
    pub guest: GuestArguments,
    /// How to print the answer
    #[arg(long, value_enum, default_value_t)]
    pub format: Format,
    #[command(flatten)]
    #[allow(missing_docs)]
    pub from: MemoryArguments,
    #[command(flatten)]
    #[allow(missing_docs)]
    pub watch: WatchChoice,
}

/// `snapshot`
#[derive(Debug, Args)]
pub struct Snapshot {
    /// The guest's gdb port, or a snapshot or recording file
    pub addr: String,
    /// The file to write
    #[arg(short, long, value_name = "FILE.ron")]
    pub out: PathBuf,
    #[command(flatten)]
    #[allow(missing_docs)]
    pub guest: GuestArguments,
    /// Keep the contents of every page mapped in 4 KiB leaves too
    #[arg(long)]
    pub full: bool,
    #[command(flatten)]
    #[allow(missing_docs)]
    pub from: MemoryArguments,
    #[command(flatten)]
    #[allow(missing_docs)]
    pub watch: WatchChoice,
}

/// `step`
#[derive(Debug, Args)]
pub struct Step {
    /// The guest's gdb port
    pub addr: String,
    #[command(flatten)]
    #[allow(missing_docs)]
    pub guest: GuestArguments,
    /// The function whose returns are stepped to: a symbol, symbol+0x10, or an address of its first
    /// instruction, for which no ELF is needed [default: what the profile says allocates, or kalloc]
    #[arg(long, value_name = "NAME|ADDRESS")]
    pub symbol: Option<String>,
    /// Run to the next change of any page table instead. Needs a gdb port with watchpoints, as QEMU's is; bits that
    /// the hardware sets (A, D) stop nothing
    #[arg(long, conflicts_with_all = ["symbol", "until"])]
    pub table_change: bool,
    /// Run until this is so: 'heap>=40', 'mapped 0x40000000', 'mapped 0x1000 in SPACE', 'change 0x1000-0x2fff',
    /// of which both addresses count.
    /// Of a long run not all stops are kept: the first hundred, each tenth to a thousand, then each hundredth
    #[arg(long, value_name = "CONDITION", conflicts_with = "symbol")]
    pub until: Option<String>,
    /// How many returns, or changes
    #[arg(long, default_value_t = 1, value_name = "N")]
    pub count: u32,
    /// Save all moments as a recording
    #[arg(short, long, value_name = "RECORDING.ron")]
    pub out: Option<PathBuf>,
    /// Seconds to wait for each return
    #[arg(long, default_value_t = 60, value_name = "S")]
    pub timeout: u32,
    /// How to print the answer
    #[arg(long, value_enum, default_value_t)]
    pub format: Format,
    #[command(flatten)]
    #[allow(missing_docs)]
    pub from: MemoryArguments,
}

/// `check`
#[derive(Debug, Args)]
pub struct Check {
    /// The guest's gdb port or monitor, or a file: a snapshot, a recording, a dump
    pub addr: String,
    /// The hart whose address space is meant; all spaces where it is left out
    #[arg(long, value_name = "N")]
    pub hart: Option<u32>,
    /// The address space by its name, or by as much of it as no other begins with
    #[arg(long, value_name = "NAME", conflicts_with = "hart")]
    pub space: Option<String>,
    #[command(flatten)]
    #[allow(missing_docs)]
    pub guest: GuestArguments,
    /// How to print the answer
    #[arg(long, value_enum, default_value_t)]
    pub format: Format,
    #[command(flatten)]
    #[allow(missing_docs)]
    pub from: MemoryArguments,
    #[command(flatten)]
    #[allow(missing_docs)]
    pub watch: WatchChoice,
}

/// `diff`
#[derive(Debug, Args)]
pub struct Diff {
    /// The earlier snapshot; of a recording, its first moment. With --space: the gdb port or file
    pub before: String,
    /// The later snapshot; of a recording, its last moment
    #[arg(conflicts_with = "space")]
    pub after: Option<PathBuf>,
    /// Compare two spaces: give it twice
    #[arg(long, value_name = "NAME")]
    pub space: Vec<String>,
    #[command(flatten)]
    #[allow(missing_docs)]
    pub guest: GuestArguments,
    /// End with exit code 1 where the two differ, 3 where spaces could not be compared as a whole
    #[arg(long)]
    pub exit_code: bool,
    /// How to print the answer
    #[arg(long, value_enum, default_value_t)]
    pub format: Format,
    #[command(flatten)]
    #[allow(missing_docs)]
    pub from: MemoryArguments,
}

/// `export`
#[derive(Debug, Args)]
pub struct Export {
    /// A snapshot, a recording or a dump; of a recording, its last moment
    pub file: PathBuf,
    #[command(flatten)]
    #[allow(missing_docs)]
    pub guest: GuestArguments,
    #[command(flatten)]
    #[allow(missing_docs)]
    pub from: MemoryArguments,
    #[command(flatten)]
    #[allow(missing_docs)]
    pub kind: ExportKind,
    /// The file to write; text goes to the terminal without it
    #[arg(short, long, value_name = "OUT")]
    pub out: Option<PathBuf>,
    #[command(flatten)]
    #[allow(missing_docs)]
    pub space: SpaceChoice,
    /// Of a recording, the moment to draw, from 0
    #[arg(long, value_name = "N")]
    pub moment: Option<usize>,
    /// Dark colours instead of light ones
    #[arg(long, conflicts_with = "theme")]
    pub dark: bool,
    /// The colours
    #[arg(long, value_enum, value_name = "THEME")]
    pub theme: Option<PictureTheme>,
    /// With --svg or --png: draw this view as the window does, instead of the layout on paper
    #[arg(long, value_enum, value_name = "NAME")]
    pub view: Option<PictureView>,
    /// With --view: the picture's size in pixels [default: 1920x1080]
    #[arg(long, value_name = "WIDTHxHEIGHT", requires = "view")]
    pub size: Option<String>,
    /// With --view: how large everything in it is, compared with the window: 0.25 to 8 [default: 1.5]
    #[arg(long, value_name = "FACTOR", requires = "view")]
    pub scale: Option<f32>,
    /// With --view: select this address: 0x1000, p:0x80000000 for a physical one, or a region's name
    #[arg(long, value_name = "ADDRESS", requires = "view")]
    pub select: Option<String>,
    /// With --text: the regions, their order and who may do what there; without what differs from one
    /// build or run to the next, so that two exports can be compared
    #[arg(long, requires = "text")]
    pub schematic: bool,
    /// With --schematic: the highest address at the top
    #[arg(long, requires = "schematic")]
    pub high_first: bool,
}

/// What to draw as.
#[derive(Debug, Args)]
#[group(required = true, multiple = false)]
pub struct ExportKind {
    /// A picture that scales
    #[arg(long)]
    pub svg: bool,
    /// A picture
    #[arg(long)]
    pub png: bool,
    /// A drawing in characters
    #[arg(long)]
    pub text: bool,
    /// A page for a browser: every step of the lecture, its caption and its picture
    #[arg(long)]
    pub html: bool,
}

/// `lecture`
#[derive(Debug, Args)]
pub struct Lecture {
    /// A lecture that comes with the program, or a file
    #[arg(value_name = "NAME|FILE")]
    pub name: Option<String>,
    /// Write one page with every step, its caption and its picture, which needs no network
    #[arg(long, requires = "name")]
    pub html: bool,
    /// With --html: the file to write; the page goes to the terminal without it
    #[arg(short, long, value_name = "OUT.html", requires = "html")]
    pub out: Option<PathBuf>,
}

/// `kernel`
#[derive(Debug, Args)]
pub struct Kernel {
    /// The file to write
    #[arg(short, long, value_name = "FILE.elf")]
    pub out: PathBuf,
    /// The memory layout
    #[arg(long, value_enum, default_value_t)]
    pub layout: Layout,
}

//! What may be typed. The help is written for somebody who has never seen the program.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};

const AFTER_HELP: &str = "\
ADDR is where a target is: HOST:PORT or unix:PATH of a gdb port (start QEMU with -s for
127.0.0.1:1234), or serial:PATH. A snapshot file serves wherever an ADDR only needs reading, and so do a
dump of the guest's memory (QEMU's dump-guest-memory FILE) and an image of its RAM, with --satp.
monitor:unix:PATH or monitor:HOST:PORT is QEMU's monitor (-qmp or -monitor): the guest is looked at while it
runs, and never stopped. It is read from the file that holds its RAM (memory-backend-file, share=on), or from
QEMU's own memory where the system allows that.

Try it:
  pagescope                               a window that offers what to begin with
  pagescope demo                          a window on our kernel, in a QEMU of its own
  pagescope attach :1234 --elf kernel.elf a window on a guest that runs already
  pagescope walk :1234 0x80200000         one translation, every step
  pagescope map lecture.ron               the mappings in a snapshot
  pagescope spaces :1234                  every address space: the harts', the processes'
  pagescope regions :1234                 what the kernel names, mapped or not
  pagescope check :1234                   are the page tables sound, and where are their windows
  pagescope follow monitor:unix:/tmp/qmp  what changes while the guest runs

Exit codes: 0 success, 1 the answer is no (not mapped, not sound), 2 usage, 3 target not reached or
read.";

/// Shows the memory of a running RISC-V system: every page table, every mapping, every frame.
#[derive(Debug, Parser)]
#[command(name = "pagescope", version, about, after_help = AFTER_HELP, max_term_width = 100)]
pub struct Arguments {
    /// What to do; without it the window opens, and offers what to begin with
    #[command(subcommand)]
    pub command: Option<Command>,
}

/// The commands.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Start QEMU with our kernel and open the window on it
    Demo(Demo),
    /// Open the window on a guest that runs already
    ///
    /// The guest is stopped while it is looked at, and left as it was found: running if it ran.
    Attach(Attach),
    /// Open the window on a snapshot, a recording or a dump of a guest's memory, without QEMU
    #[command(
        after_help = "Examples:\n  pagescope open lecture.ron\n  pagescope open dump.elf --satp 0x8000000000080007\n  pagescope open ram.bin --ram-base 0x80000000 --satp 0x8000000000080007"
    )]
    Open(Open),
    /// Translate one virtual address, showing every step
    ///
    /// Exit code 1 says that the address is not mapped.
    #[command(
        after_help = "Examples:\n  pagescope walk :1234 0x80200000\n  pagescope walk :1234 kalloc+0x10 --elf kernel.elf\n  pagescope walk lecture.ron 0x1000 --space \"process 3\""
    )]
    Walk(Walk),
    /// List a space's mappings, or with --phys what lies in physical memory and who maps it
    #[command(
        after_help = "Examples:\n  pagescope map :1234\n  pagescope map lecture.ron --space \"process 3\" --format json\n  pagescope map :1234 --phys"
    )]
    Map(Map),
    /// Follow a guest while it runs: print what changes, line by line, without stopping it
    ///
    /// Each look reads twice; what moved in between is read anew, and said where it does not settle.
    #[command(
        after_help = "Start QEMU with its RAM in a file and a monitor:\n  qemu-system-riscv64 -M virt,memory-backend=ram -object memory-backend-file,id=ram,size=128M,mem-path=/dev/shm/guest.ram,share=on -qmp unix:/tmp/qmp,server=on,wait=off …\nExamples:\n  pagescope follow monitor:unix:/tmp/qmp\n  pagescope follow monitor:unix:/tmp/qmp --rate 30 --for 10 --format json"
    )]
    Follow(Follow),
    /// List the address spaces: whose they are, where a hart runs in them, how they are translated
    ///
    /// Besides those that harts run in now, the ones that our kernel publishes, or that a profile finds in
    /// another: every process's. With --scan also those that nobody names.
    #[command(
        after_help = "Examples:\n  pagescope spaces :1234\n  pagescope spaces :1234 --elf kernel/kernel --profile xv6-riscv\n  pagescope spaces :1234 --scan"
    )]
    Spaces(Spaces),
    /// List the regions that the kernel names, mapped or not, with their tags and descriptions
    #[command(
        after_help = "Examples:\n  pagescope regions :1234\n  pagescope regions lecture.ron --space \"process 3\" --format json"
    )]
    Regions(Regions),
    /// List what the kernel did last: map, unmap, kalloc, fault …, each with its caller
    ///
    /// With --elf the callers have names.
    #[command(
        after_help = "Examples:\n  pagescope trace :1234 --elf kernel.elf --last 20\n  pagescope trace lecture.ron --kind map --space kernel"
    )]
    Trace(Trace),
    /// Save everything that is known about a guest's memory as RON
    Snapshot(Snapshot),
    /// Run to the next returns of a function, to the next changes of page tables, or until something is so, and
    /// report what changed
    #[command(
        after_help = "Examples:\n  pagescope step :1234 --elf kernel.elf --count 3\n  pagescope step :1234 --elf kernel.elf --symbol kfree\n  pagescope step :1234 --elf kernel.elf --table-change\n  pagescope step :1234 --elf kernel.elf --until 'heap>=40' -o recording.ron"
    )]
    Step(Step),
    /// Say whether the page tables are sound, and through which window each is written
    ///
    /// Exit code 1 says that they are not; 3 that not all of them could be read.
    Check(Check),
    /// Say what changed between two snapshots, or how two spaces of one snapshot or guest differ
    ///
    /// Two files: what changed from the first to the second. One file or ADDR with --space twice: where
    /// the two spaces map different things.
    #[command(
        after_help = "Examples:\n  pagescope diff before.ron after.ron\n  pagescope diff :1234 --space \"hart 0\" --space \"hart 1\""
    )]
    Diff(Diff),
    /// Draw a snapshot: SVG, PNG or text
    #[command(
        after_help = "Examples:\n  pagescope export lecture.ron --svg -o layout.svg\n  pagescope export lecture.ron --text --space \"process 3\" --schematic --high-first"
    )]
    Export(Export),
    /// Show a lecture full screen, or write it as a page for a browser
    ///
    /// A lecture is a recording with captions, or with notes. Without a name, those that come with the program are listed.
    #[command(
        after_help = "Examples:\n  pagescope lecture self-map\n  pagescope lecture lecture.ron --html -o lecture.html"
    )]
    Lecture(Lecture),
    /// Write our kernel's ELF, to boot it yourself
    Kernel(Kernel),
}

/// How a command prints its answer.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, ValueEnum)]
pub enum Format {
    /// For people.
    #[default]
    Text,
    /// RON.
    Ron,
    /// JSON: addresses are strings of hexadecimal, sizes are numbers of bytes.
    Json,
}

/// A layout of our kernel.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, ValueEnum)]
pub enum Layout {
    /// PseudOS: Sv39, self-mapped tables, kalloc growing down, heap counter.
    #[default]
    Pseudos,
    /// A hypervisor: kernel image high, a cpu struct for each hart at one address, RAM at an offset.
    Hypervisor,
    /// Processes: kernel low, user high, a guard, a stack and a heap that grow.
    Process,
    /// Nanos: id heaps, a backed heap, an unmapped zero page, every allocation described.
    Nanos,
}

impl Layout {
    /// How many harts it is about.
    pub const fn harts(self) -> u32 {
        match self {
            Self::Hypervisor => 4,
            _ => 1,
        }
    }

    /// Its name, as `layout=` takes it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Pseudos => "pseudos",
            Self::Hypervisor => "hypervisor",
            Self::Process => "process",
            Self::Nanos => "nanos",
        }
    }
}

/// A way for the kernel to reach its own page tables.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, ValueEnum)]
pub enum Tables {
    /// Every page that kalloc returns is already mapped; a reserve page becomes the next table.
    #[default]
    Pool,
    /// The root points to itself, and every table holds a leaf to itself.
    SelfLeaf,
    /// A mirror table beside every L1 holds leaves where that holds pointers.
    Mirror,
    /// As mirror, and M-mode makes a table when the kernel stores where none is.
    Demand,
}

impl Tables {
    /// Its name, as `tables=` takes it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Pool => "pool",
            Self::SelfLeaf => "self-leaf",
            Self::Mirror => "mirror",
            Self::Demand => "demand",
        }
    }
}

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

/// A way to a guest's memory.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, ValueEnum)]
pub enum MemoryWay {
    /// The fastest that there is.
    #[default]
    Auto,
    /// The file that holds RAM (memory-backend-file,share=on).
    File,
    /// The memory of QEMU's process.
    Process,
    /// QEMU's gdb port.
    Gdb,
    /// The debug channel of Pagescope's kernel.
    Channel,
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
    /// Run until this is so: 'heap>=40', 'mapped 0x40000000', 'mapped 0x1000 in SPACE', 'change 0x1000-0x3000'.
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
    #[arg(required_unless_present = "space", conflicts_with = "space")]
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
    /// With --view: how large everything in it is, compared with the window [default: 1.5]
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

/// Colours of a picture.
#[derive(Clone, Copy, PartialEq, Eq, Debug, ValueEnum)]
#[allow(missing_docs)]
pub enum PictureTheme {
    Light,
    Dark,
}

/// A view of the window that a picture can be made of.
#[derive(Clone, Copy, PartialEq, Eq, Debug, ValueEnum)]
#[allow(missing_docs)]
pub enum PictureView {
    /// The three maps, and the line through them
    Whole,
    /// The virtual map
    Virtual,
    /// The page tables
    Tables,
    /// The physical map
    Physical,
    /// The grid of all frames
    Frames,
    /// What is selected
    Detail,
    /// The timeline, and what the moment changed
    Timeline,
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

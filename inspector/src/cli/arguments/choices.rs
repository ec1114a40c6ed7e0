//! What can be chosen by a word: formats, layouts, ways, views.

use clap::ValueEnum;

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

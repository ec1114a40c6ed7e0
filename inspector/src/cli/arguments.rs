//! What may be typed. The help is written for somebody who has never seen the program.

mod choices;
mod commands;
mod reading;

use clap::{Parser, Subcommand};

pub(super) use choices::*;
pub(super) use commands::*;
pub(super) use reading::*;

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

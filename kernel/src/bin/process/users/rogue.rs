//! `rogue`: touches what is the kernel's.

use core::arch::asm;

use pagescope_kernel::process::layout::IO_BASE;
use pagescope_kernel::process::syscall::End;
use pagescope_kernel::program::image::LinkAddress;
use pagescope_protocol::info::{Name, name};

use super::call::{Line, exit, spawn, wait};
use crate::entry;

/// Where the kind of an attempt lies in the argument; the address is below.
const KIND_SHIFT: u32 = 60;

/// What is tried.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Attempt {
    /// A load.
    Read = 1,
    /// A store.
    Write = 2,
    /// A jump.
    Execute = 3,
}

impl Attempt {
    /// All of them.
    pub(crate) const ALL: [Self; 3] = [Self::Read, Self::Write, Self::Execute];

    /// The argument with which `rogue` tries this at `address`, which is below 2^60.
    pub(crate) const fn argument(self, address: u64) -> u64 {
        (self as u64) << KIND_SHIFT | address & ((1 << KIND_SHIFT) - 1)
    }

    /// What a refusal is, in scause: a page fault of its own kind.
    pub(crate) const fn refusal(self) -> End {
        match self {
            Self::Read => End::Fault(13),
            Self::Write => End::Fault(15),
            Self::Execute => End::Fault(12),
        }
    }

    /// Its name, for a line of text.
    const fn word(self) -> [u8; 8] {
        match self {
            Self::Read => *b"read\0\0\0\0",
            Self::Write => *b"write\0\0\0",
            Self::Execute => *b"execute\0",
        }
    }
}

/// A region of the kernel's. The linker fills its address in: the kernel's address, which is what is wanted
/// here.
pub(super) struct Target {
    name: Name,
    address: LinkAddress,
}

impl Target {
    /// The kernel's address. Read from memory for sure: were it known to the compiler, it would be reached
    /// relative to the program counter, and what is there is the user's.
    pub(super) fn address(&self) -> u64 {
        // SAFETY: a field of a constant.
        unsafe { (&raw const self.address).read_volatile() }.0 as u64
    }
}

const fn target(text: &str, address: LinkAddress) -> Target {
    Target {
        name: name(text),
        address,
    }
}

/// One of each.
pub(super) static TARGETS: [Target; 8] = [
    target(".text", LinkAddress::NULL),
    target(".rodata", LinkAddress::of(&raw const entry::__rodata_start)),
    target(
        ".data/.bss",
        LinkAddress::of(&raw const entry::__data_start),
    ),
    target(
        "original shared data",
        LinkAddress::of(&raw const entry::__original_start),
    ),
    target(
        "kernel stack",
        LinkAddress::of(&raw const entry::__kernel_stack_start),
    ),
    target(
        "kernel shared data",
        LinkAddress::of(&raw const entry::__shared_start),
    ),
    target(
        "kernel heap",
        LinkAddress::of(&raw const entry::__heap_start),
    ),
    target(
        "device IO",
        LinkAddress(core::ptr::without_provenance(IO_BASE.as_u64() as usize)),
    ),
];

/// Does what `argument` says, or has children do all of it.
pub(super) extern "C" fn main(argument: u64, _pid: u64) -> ! {
    let kind = argument >> KIND_SHIFT;
    let address = argument & ((1 << KIND_SHIFT) - 1);
    if kind == 0 {
        exit(try_everything());
    }
    // SAFETY: each is what is to be refused; where it is not, this process alone has the damage.
    unsafe {
        if kind == Attempt::Read as u64 {
            asm!("lb zero, 0({})", in(reg) address, options(nostack));
        } else if kind == Attempt::Write as u64 {
            asm!("sb zero, 0({})", in(reg) address, options(nostack));
        } else {
            asm!("jalr ra, 0({})", in(reg) address, out("ra") _, options(nostack));
        }
    }
    exit(1)
}

/// Tries to read, write and execute each region; gives how often that was not refused, or could not be tried.
fn try_everything() -> u64 {
    let mut missed = 0;
    for target in &TARGETS {
        for attempt in Attempt::ALL {
            let child = spawn(b"rogue", attempt.argument(target.address()));
            let end = End::from_word(wait(child));
            let refused = end == Some(attempt.refusal());
            missed += u64::from(!refused);
            let mut line = Line::new();
            line.text(b"rogue: ").text(&attempt.word()).text(b" ");
            line.text(&target.name);
            if refused {
                line.text(b": refused");
            } else if matches!(end, None | Some(End::Killed)) {
                line.text(b": NOT TRIED");
            } else {
                line.text(b": ALLOWED");
            }
            line.print();
        }
    }
    missed
}

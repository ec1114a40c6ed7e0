//! The user programs. They are part of the image, as the document has it: "any applications are built-in
//! into the firmware itself and are part of the OS".
//!
//! A user program runs where users see .text, and reaches constants and shared data relative to the
//! program counter. So it must not follow a pointer that the linker has filled in, which would be the
//! kernel's address: no tables of functions or texts, no trait objects, no formatting. One that does
//! all the same faults, like any that touches what is the kernel's.

mod call;
mod count;
mod grow;
mod init;
mod liar;
mod rogue;
mod spin;

pub(crate) use liar::CALLS as LIES;
pub(crate) use rogue::Attempt;

use pagescope_kernel::process::layout::UserLimits;

/// A user program.
#[derive(Debug)]
pub(crate) struct Program {
    /// Its name.
    pub(crate) name: &'static str,
    /// Its first instruction, by the kernel's address: called with the argument and the process's number.
    pub(crate) entry: extern "C" fn(u64, u64) -> !,
    /// How large it may become.
    pub(crate) limits: UserLimits,
    /// What it does, for `programs`.
    pub(crate) about: &'static str,
}

const SMALL: UserLimits = UserLimits {
    stack_pages: 8,
    heap_pages: 16,
};

/// All programs.
pub(crate) static PROGRAMS: [Program; 6] = [
    Program {
        name: "init",
        entry: init::main,
        limits: SMALL,
        about: "spawns the others, and sleeps",
    },
    Program {
        name: "count",
        entry: count::main,
        limits: SMALL,
        about: "adds ARG to its own shared data, one by one, and exits with it; 0: for ever",
    },
    Program {
        name: "grow",
        entry: grow::main,
        // More than one table of the lowest level, for each.
        limits: UserLimits {
            stack_pages: 600,
            heap_pages: 1024,
        },
        about: "0: stack and heap come and go; 1: to the limits; 2: beyond the stack's; 3: reads there",
    },
    Program {
        name: "rogue",
        entry: rogue::main,
        limits: SMALL,
        about: "0: has children touch each region of the kernel's in each way; else: touches ARG",
    },
    Program {
        name: "spin",
        entry: spin::main,
        limits: SMALL,
        about: "never yields",
    },
    Program {
        name: "liar",
        entry: liar::main,
        limits: SMALL,
        about: "passes what cannot be to every system call; exits with how often it was refused",
    },
];

/// The program of this name.
pub(crate) fn by_name(name: &[u8]) -> Option<&'static Program> {
    PROGRAMS
        .iter()
        .find(|program| program.name.as_bytes() == name)
}

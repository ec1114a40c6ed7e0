//! What Pagescope makes of bytes that nobody has checked.
//!
//! Each target takes any bytes at all, as a stub, a guest's memory or a file may hold them. It has found something
//! where Pagescope panics, takes for ever, or grows without bound: an error is a right answer.
//!
//! ```text
//!  cargo xtask fuzz            libFuzzer, guided by coverage        bin/pagescope-fuzz.rs ─┐
//!  cargo test                  every input in corpus/, once         tests/corpus.rs ───────┴─▶ TARGETS
//! ```
//!
//! What a run finds goes to `fuzz/artifacts/TARGET/`. Once mended, it belongs in `fuzz/corpus/TARGET/`, so that
//! `cargo test` asks again.

mod bytes;
mod targets;

/// One kind of input.
#[derive(Clone, Copy, Debug)]
pub struct Target {
    /// Its name, and the folder of its corpus.
    pub name: &'static str,
    /// What the bytes are.
    pub what: &'static str,
    /// Gives them to Pagescope.
    pub run: fn(&[u8]),
}

/// All of them.
pub const TARGETS: &[Target] = &[
    Target {
        name: "replies",
        what: "a gdb stub's replies, from connecting to a capture",
        run: targets::replies::run,
    },
    Target {
        name: "description",
        what: "a gdb stub's target description",
        run: targets::description::run,
    },
    Target {
        name: "walk",
        what: "page tables of every mode, walked, translated and checked",
        run: targets::walk::run,
    },
    Target {
        name: "elf",
        what: "a guest's ELF, with its symbols and lines",
        run: targets::elf::run,
    },
    Target {
        name: "snapshot",
        what: "a snapshot or recording in RON, and everything drawn from it",
        run: targets::snapshot::run,
    },
    Target {
        name: "profile",
        what: "a guest's profile in RON",
        run: targets::profile::run,
    },
    Target {
        name: "core",
        what: "a dump of a guest's memory",
        run: targets::core::run,
    },
    Target {
        name: "monitor",
        what: "the texts of QEMU's monitor, and device trees",
        run: targets::monitor::run,
    },
    Target {
        name: "expression",
        what: "what is typed into the address box",
        run: targets::expression::run,
    },
];

/// The target of this name.
pub fn target(name: &str) -> Option<Target> {
    TARGETS.iter().copied().find(|target| target.name == name)
}

//! The repository's own commands.
//!
//! ```text
//!  cargo xtask demo ──▶ needs ──▶ install ──▶ cargo run … demo
//!  cargo xtask test ──▶ needs ──▶ install ──▶ format, clippy, doc, test ──▶ docs, window
//!  cargo xtask soak ──▶ needs ──▶ install ──▶ cargo test … soak, in full length
//!  cargo xtask docs ──▶ needs ──▶ install ──▶ cargo build ──▶ pictures and numbers in docs/
//!  cargo xtask bench ─▶ needs ──▶ install ──▶ cargo run --release --example bench
//!  cargo xtask fuzz ──▶ needs ──▶ install ──▶ cargo build with coverage ──▶ each target of fuzz/
//! ```
//!
//! Uses the standard library alone, so that it builds in a moment: it is what installs the rest.

mod bench;
mod command;
mod demo;
mod docs;
mod failure;
mod fuzz;
mod guests;
mod install;
mod lectures;
mod needs;
mod soak;
mod test;
mod window;

use std::process::ExitCode;

use failure::Failure;

const HELP: &str = "\
Pagescope's own commands. Each installs what is missing, builds, and runs.

  cargo xtask demo [OPTION…]
      Boot Pagescope's kernel in QEMU and open the window on it. The options are those of
      `pagescope demo`:
        --headless      no window: step kalloc, write the files, end
        --steps N       how many kallocs to step, headless
        --out DIR       where the files go, headless
        --layout L      the memory layout to boot
        --tables S      how page tables reach themselves
      Without a display it runs headless and says so.

  cargo xtask test [--quick] [STEP…]
      Everything that CI runs, quick checks first, stopping at the first failure:
        format          rustfmt finds nothing to change
        clippy          no warning in the workspace, on this machine
        clippy-kernel   no warning in the kernel, for RISC-V
        doc             no warning in the documentation
        test            unit, property, window-query and live QEMU tests; the kernel's self-test
        docs            the layouts' drawings in docs/ are as the guests are
        window          the real window, on a display without a screen, on a live guest
        fuzz            each fuzz target, for a short while
      STEP runs only the steps named. --quick leaves out what needs QEMU or a display.

  cargo xtask docs [--check]
      Draws the pictures, lists and numbers in docs/ again, from live guests. --check writes nothing, and
      says whether the layouts' drawings are as the guests are.

  cargo xtask bench [--quick] [--check] [--gdb-pt-dump PATH/pt.py]
      Measures what Pagescope costs and prints ratios, each side by side on the same guest: captures by each way to
      memory beside the bare link, beside QEMU's info mem and, where its script is given, beside gdb-pt-dump; and what
      is done with tables at four sizes. --check fails where something is slower than it is meant to be.

  cargo xtask bench ui [--check]
      Measures what a frame of the window costs: a quarter of a million mappings and four million frames, panned
      and zoomed. --check fails over 4 ms (median) and 12 ms (99th percentile), and where an idle window draws.

  cargo xtask bench follow [HZ] [PAIRS] [MILLISECONDS]
      Measures what following costs a running guest: a counter that it increments, with following off and on in
      turns. 30 times a second, 20 pairs of windows of a second each, unless other numbers are given.

  cargo xtask fuzz [--seconds N] [TARGET…]
      Gives Pagescope bytes that mean no good, for N seconds (60) a target: what a gdb stub replies, tables,
      ELFs, snapshots, profiles, core files, what is typed. The targets are the folders of fuzz/corpus.

  cargo xtask soak [NAME…]
      The long runs: 1,000 times attach, capture and detach leak nothing; QEMU is killed 200 times while it
      is looked at. `cargo xtask test` runs the same, shorter. NAME runs only the tests whose names have it.

  cargo xtask lectures [NAME…]
      Makes the lectures in assets/lectures again: what assets/lectures/scripts says is typed at our kernel's
      console, what is there then is captured, and the captions get the guest's numbers.

  cargo xtask guests [--xv6 DIR] [--linux DIR --initrd FILE]
      The checks of other people's kernels that were built on this machine: attach while they run, all spaces
      named and found, 20 steps of kalloc, still alive afterwards. FILE has an /init that starts processes.

What is missing is installed through rustup, and through apt-get as root or with a sudo that asks
for no password; otherwise the line to type is printed.
";

fn main() -> ExitCode {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let (name, rest) = match words.split_first() {
        Some((name, rest)) => (name.as_str(), rest),
        None => ("help", &[][..]),
    };
    let asks_for_help = rest.iter().any(|word| word == "--help" || word == "-h");
    let outcome = match name {
        "help" | "--help" | "-h" => {
            print!("{HELP}");
            Ok(())
        }
        "bench" | "demo" | "docs" | "fuzz" | "guests" | "lectures" | "soak" | "test"
            if asks_for_help =>
        {
            print!("{HELP}");
            Ok(())
        }
        "bench" => bench::run(rest),
        "demo" => demo::run(rest),
        "docs" => docs::run(rest),
        "fuzz" => fuzz::run(rest),
        "lectures" => lectures::run(rest),
        "guests" => guests::run(rest),
        "soak" => soak::run(rest),
        "test" => test::run(rest),
        other => Err(Failure::usage(format!(
            "there is no `cargo xtask {other}`; `cargo xtask` alone lists what there is"
        ))),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            eprintln!("\nxtask: {failure}");
            ExitCode::from(failure.exit_code())
        }
    }
}

//! `cargo xtask soak`: the long runs. `cargo xtask test` runs the same tests, shorter.

use crate::command::Line;
use crate::failure::Failure;
use crate::install;
use crate::needs::Work;

/// Installs, builds and runs the soak tests in their full length, or those that are named.
pub(crate) fn run(arguments: &[String]) -> Result<(), Failure> {
    install::kernel_target()?;
    install::system(&[Work::Guest])?;
    let line = Line::new("cargo test --package pagescope --test soak --")
        // One at a time: they count this process's threads and files.
        .args(["--nocapture", "--test-threads=1"])
        .args(arguments)
        .env("PAGESCOPE_SOAK", "full");
    eprintln!("{line}\n");
    line.run()
}

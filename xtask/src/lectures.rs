//! `cargo xtask lectures`: makes `assets/lectures/*.ron` again, from our kernel in QEMU.

use crate::command::Line;
use crate::failure::Failure;
use crate::install;
use crate::needs::Work;

/// Where what is typed, shown and said stands, and where the lectures go.
const PLACES: [&str; 2] = ["assets/lectures/scripts", "assets/lectures"];

/// Makes all lectures, or those that are named.
pub(crate) fn run(arguments: &[String]) -> Result<(), Failure> {
    install::kernel_target()?;
    install::system(&[Work::Guest])?;
    // The program lies beside the example, and writes the kernel.
    Line::new("cargo build --quiet --package pagescope --bin pagescope").run()?;
    Line::new("cargo run --quiet --package pagescope --example lectures --")
        .args(PLACES)
        .args(arguments)
        .run()
}

//! `cargo xtask bench`: what Pagescope costs, beside what it is compared with.
//!
//! The program that measures is an example of the inspector; it is built optimised, and given our kernel.

use std::env;
use std::os::unix::process::CommandExt as _;

use crate::command::{Line, root};
use crate::failure::Failure;
use crate::install;
use crate::needs::Work;

/// Builds, and becomes the program that measures; the arguments are its own. `follow` is another program: what
/// following costs a running guest. So is `ui`: what a frame of the window costs.
pub(crate) fn run(arguments: &[String]) -> Result<(), Failure> {
    if let Some((first, rest)) = arguments.split_first()
        && first == "ui"
    {
        // It draws without a display and knows no guest, but carries the kernel as each build does.
        install::kernel_target()?;
        let line =
            Line::new("cargo run --release --quiet --package pagescope --example ui_cost --");
        return line.args(rest).run();
    }
    install::kernel_target()?;
    install::system(&[Work::Guest])?;
    if let Some((first, rest)) = arguments.split_first()
        && first == "follow"
    {
        // It takes the kernel from the program that lies beside it.
        Line::new("cargo build --release --quiet --package pagescope --bin pagescope").run()?;
        let line =
            Line::new("cargo run --release --quiet --package pagescope --example follow_cost --");
        return line.args(rest).run();
    }
    let kernel = root().join("target").join("bench-kernel.elf");
    let kernel = kernel.display().to_string();
    Line::new("cargo run --release --quiet --package pagescope --bin pagescope -- kernel -o")
        .args([&kernel])
        .run()?;
    let line = Line::new("cargo run --release --quiet --package pagescope --example bench --")
        .args(["--kernel", kernel.as_str()])
        .args(arguments);
    eprintln!("{line}");
    // Paths among the arguments count from where the command was typed.
    let mut command = line.command();
    if let Ok(here) = env::current_dir() {
        command.current_dir(here);
    }
    Err(line.not_started(&command.exec()))
}

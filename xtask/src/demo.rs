//! `cargo xtask demo`: from a fresh clone to a window on a running guest.
//!
//! Builds with the `dev` profile. The workspace compiles its dependencies optimised there too, so
//! the window is quick enough; a release build takes twice as long to make, and whoever tries this
//! for the first time is waiting for it. `cargo run -- …` afterwards finds the same build ready.

use std::env;
use std::os::unix::process::CommandExt as _;

use crate::command::Line;
use crate::failure::Failure;
use crate::install;
use crate::needs::Work;

/// Installs, builds and becomes `pagescope demo` with these arguments.
pub(crate) fn run(arguments: &[String]) -> Result<(), Failure> {
    let display = ["DISPLAY", "WAYLAND_DISPLAY"].map(env::var_os);
    let has_display = display.iter().flatten().any(|name| !name.is_empty());
    let asked = arguments.iter().any(|word| word == "--headless");
    let headless = asked || !has_display;
    if headless && !asked {
        eprintln!(
            "There is no display here (neither DISPLAY nor WAYLAND_DISPLAY): running headless."
        );
    }
    install::kernel_target()?;
    if headless {
        install::system(&[Work::Guest])?;
    } else {
        install::system(&[Work::Guest, Work::Window])?;
    }
    let line = Line::new("cargo run --package pagescope --bin pagescope -- demo")
        .args(arguments)
        .args((headless && !asked).then_some("--headless"));
    eprintln!("{line}");
    // Paths among the arguments count from where the command was typed, not from the root. On
    // success this process is replaced, so that signals and the exit code are pagescope's own.
    let mut command = line.command();
    if let Ok(here) = env::current_dir() {
        command.current_dir(here);
    }
    Err(line.not_started(&command.exec()))
}

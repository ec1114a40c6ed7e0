//! `cargo xtask guests`: the checks of other people's kernels, which are built by the user and never are part of the
//! repository.

use std::path::Path;

use crate::command::Line;
use crate::failure::Failure;
use crate::install;
use crate::needs::Work;

/// Runs the checks of the kernels that are named.
pub(crate) fn run(arguments: &[String]) -> Result<(), Failure> {
    let mut line = Line::new("cargo test --package pagescope --test other_guests --").args([
        "--ignored",
        "--nocapture",
        "--test-threads=1",
    ]);
    let mut words = arguments.iter();
    let mut named = 0;
    while let Some(word) = words.next() {
        let (variable, filter, needs) = match word.as_str() {
            "--xv6" => ("PAGESCOPE_XV6", "xv6", "kernel/kernel"),
            "--linux" => ("PAGESCOPE_LINUX", "linux", "vmlinux"),
            "--initrd" => ("PAGESCOPE_INITRD", "", ""),
            other => {
                return Err(Failure::usage(format!(
                    "{other:?} is none of --xv6 DIR, --linux DIR, --initrd FILE"
                )));
            }
        };
        let Some(place) = words.next() else {
            return Err(Failure::usage(format!("{word} needs a place")));
        };
        let path = std::path::absolute(place)
            .map_err(|error| Failure::new(format!("{place}: {error}")))?;
        let must_be = path.join(Path::new(needs));
        if !must_be.exists() {
            return Err(Failure::new(format!("there is no {}", must_be.display()))
                .remedy("build it first: make, with TOOLPREFIX=riscv64-linux-gnu- for xv6"));
        }
        line = line.env(variable, path.to_string_lossy());
        if !filter.is_empty() {
            line = line.args([filter]);
            named += 1;
        }
    }
    if named == 0 {
        return Err(Failure::usage(
            "no kernel is named: --xv6 DIR, --linux DIR with --initrd FILE",
        ));
    }
    install::kernel_target()?;
    install::system(&[Work::Guest])?;
    eprintln!("{line}\n");
    line.run()
}

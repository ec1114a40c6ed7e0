//! Installing what is missing: through rustup, and through apt where that needs nobody's password.

use std::path::Path;

use crate::command::Line;
use crate::failure::Failure;
use crate::needs::{self, Need, Work};

/// What the kernel is compiled for.
pub(crate) const KERNEL_TARGET: &str = "riscv64gc-unknown-none-elf";

/// Makes sure that the kernel can be compiled.
pub(crate) fn kernel_target() -> Result<(), Failure> {
    let folder = Line::new("rustc --print target-libdir --target").args([KERNEL_TARGET]);
    let is_there = || {
        let folder = folder.output().unwrap_or_default();
        Path::new(folder.trim()).is_dir() && !folder.trim().is_empty()
    };
    rustup(
        is_there,
        &format!("the target {KERNEL_TARGET}"),
        &Line::new("rustup target add").args([KERNEL_TARGET]),
    )
}

/// Makes sure that rustfmt and clippy are there.
pub(crate) fn lint_tools() -> Result<(), Failure> {
    rustup(
        || {
            Line::new("cargo fmt --version").succeeds()
                && Line::new("cargo clippy --version").succeeds()
        },
        "rustfmt and clippy",
        &Line::new("rustup component add rustfmt clippy"),
    )
}

fn rustup(is_there: impl Fn() -> bool, what: &str, install: &Line) -> Result<(), Failure> {
    if is_there() {
        return Ok(());
    }
    eprintln!("Missing: {what}. Installing it: {install}");
    let outcome = install.run();
    if is_there() {
        return Ok(());
    }
    let failure = match outcome {
        Ok(()) => Failure::new(format!("{what} is still missing after `{install}`")),
        Err(failure) => failure,
    };
    Err(failure.remedy(format!(
        "Rust's compiler for this repository needs {what}; with rustup that is: {install}"
    )))
}

/// Makes sure that the programs and libraries that `works` need are there.
pub(crate) fn system(works: &[Work]) -> Result<(), Failure> {
    let missing = needs::missing(works);
    if missing.is_empty() {
        return Ok(());
    }
    let names: Vec<&str> = missing.iter().map(|need| need.name()).collect();
    let names = names.join(", ");
    if !Line::new("apt-get --version").succeeds() {
        return Err(Failure::new(format!("missing: {names}")).remedy(
            "There is no apt-get here: install these with your system's own package manager.",
        ));
    }
    let Some(apt) = Apt::allowed() else {
        return Err(Failure::new(format!("missing: {names}")).remedy(format!(
            "Type this, then run the same command again:\n       \
             sudo apt-get update && sudo apt-get install --yes {}",
            packages(&missing).join(" ")
        )));
    };
    eprintln!("Missing: {names}. Installing through apt-get:");
    apt.run(&["update"])?;
    // Which packages a release has is known only now, after the update.
    let packages = packages(&missing);
    apt.run(
        &["install", "--yes", "--no-install-recommends"]
            .map(String::from)
            .into_iter()
            .chain(packages.iter().map(|package| (*package).to_owned()))
            .collect::<Vec<_>>(),
    )?;
    let still: Vec<&str> = needs::missing(works)
        .iter()
        .map(|need| need.name())
        .collect();
    if still.is_empty() {
        Ok(())
    } else {
        Err(Failure::new(format!(
            "still missing after installing {}: {}",
            packages.join(" "),
            still.join(", ")
        )))
    }
}

/// The packages that bring `missing`, each once.
fn packages(missing: &[&Need]) -> Vec<&'static str> {
    let has_package = |package: &str| {
        Line::new("apt-cache show --no-all-versions")
            .args([package])
            .succeeds()
    };
    let mut packages: Vec<&str> = missing
        .iter()
        .filter_map(|need| need.package(has_package))
        .collect();
    packages.sort_unstable();
    packages.dedup();
    packages
}

/// apt-get, run as somebody who may install.
struct Apt {
    line: Line,
}

impl Apt {
    /// As root, or through a sudo that asks for nothing; `None` where neither works.
    fn allowed() -> Option<Self> {
        // A lock held by the system's own updates is waited for rather than failed on.
        let apt = "DEBIAN_FRONTEND=noninteractive apt-get -o DPkg::Lock::Timeout=300 \
                   -o Acquire::Retries=3 -o Dpkg::Use-Pty=0 -q";
        let is_root = Line::new("id -u").output()?.trim() == "0";
        let line = if is_root {
            Line::new("env").args(apt.split_whitespace())
        } else if Line::new("sudo -n true").succeeds() {
            Line::new("sudo -n env").args(apt.split_whitespace())
        } else {
            return None;
        };
        Some(Self { line })
    }

    fn run<S: AsRef<str>>(&self, arguments: &[S]) -> Result<(), Failure> {
        let line = self.line.clone().args(arguments);
        eprintln!("  {line}");
        line.run()
    }
}

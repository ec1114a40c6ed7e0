//! Building the programs with cargo, from anywhere: a shell, a test, another crate's build
//! script.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus};

use pagescope_kernel::bootargs::LAYOUTS;
use thiserror::Error;

use crate::elf::{Carried, JoinError, join};

/// The target that the programs are built for.
const TARGET: &str = "riscv64gc-unknown-none-elf";

/// The program that is part of every kernel.
const MACHINE: &str = "machine";

/// Variables that cargo gives to build scripts, and settings that are meant for the host's build:
/// any of them would change what is built here.
const FOREIGN_VARIABLES: [&str; 25] = [
    "CARGO_BUILD_RUSTFLAGS",
    "CARGO_BUILD_TARGET",
    "CARGO_BUILD_TARGET_DIR",
    "CARGO_ENCODED_RUSTFLAGS",
    "CARGO_INCREMENTAL",
    "CARGO_MAKEFLAGS",
    "CARGO_PRIMARY_PACKAGE",
    "CARGO_TARGET_DIR",
    "CARGO_TARGET_TMPDIR",
    "DEBUG",
    "HOST",
    "LD_LIBRARY_PATH",
    "MAKEFLAGS",
    "MFLAGS",
    "NUM_JOBS",
    "OPT_LEVEL",
    "OUT_DIR",
    "PROFILE",
    "RUSTC",
    "RUSTC_LINKER",
    "RUSTC_WORKSPACE_WRAPPER",
    "RUSTC_WRAPPER",
    "RUSTDOC",
    "RUSTFLAGS",
    "TARGET",
];

/// Beginnings of such variables.
const FOREIGN_PREFIXES: [&str; 7] = [
    "CARGO_BIN_",
    "CARGO_CFG_",
    "CARGO_FEATURE_",
    "CARGO_MANIFEST_",
    "CARGO_PKG_",
    "CARGO_PROFILE_",
    "DEP_",
];

/// Why there is no kernel.
#[derive(Debug, Error)]
pub enum BuildError {
    /// There is no such layout.
    #[error("there is no layout `{0}`; there are: {known}", known = LAYOUTS.join(", "))]
    Layout(String),
    /// Cargo could not be started.
    #[error("`{0}` could not be started: {1}")]
    Start(String, std::io::Error),
    /// Cargo failed.
    #[error("building the kernel failed ({status}){remedy}\n{messages}")]
    Cargo {
        /// How cargo ended.
        status: ExitStatus,
        /// What can be done about it, where that is known.
        remedy: &'static str,
        /// What cargo and the compiler said.
        messages: String,
    },
    /// A program that cargo has built could not be read.
    #[error("{path}: {1}", path = .0.display())]
    Read(PathBuf, std::io::Error),
    /// The programs do not fit together.
    #[error(transparent)]
    Join(#[from] JoinError),
}

/// Builds all programs, and joins them; `layout`'s supervisor program is the one that boots by default.
///
/// The workspace lies at `workspace_root`; everything that is built goes to `target_dir`, which
/// must not be the directory of a cargo that waits for this one (it would hold the lock).
///
/// # Errors
/// [`BuildError`].
pub fn build_kernel(
    workspace_root: &Path,
    target_dir: &Path,
    layout: &str,
) -> Result<Vec<u8>, BuildError> {
    if !LAYOUTS.contains(&layout) {
        return Err(BuildError::Layout(layout.into()));
    }
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| OsString::from("cargo"));
    let mut command = Command::new(&cargo);
    command
        .current_dir(workspace_root)
        .args(["build", "--release", "--package", "pagescope-kernel"])
        .args(["--bin", MACHINE, "--target", TARGET])
        .args(LAYOUTS.iter().flat_map(|layout| ["--bin", layout]))
        .arg("--target-dir")
        .arg(std::path::absolute(target_dir).unwrap_or_else(|_| target_dir.into()));
    for (name, _) in std::env::vars_os() {
        if name.to_str().is_some_and(is_foreign) {
            command.env_remove(name);
        }
    }
    let output = command
        .output()
        .map_err(|error| BuildError::Start(cargo.to_string_lossy().into_owned(), error))?;
    if !output.status.success() {
        let messages = String::from_utf8_lossy(&output.stderr).into_owned();
        let missing_target = messages.contains("can't find crate for `core`");
        return Err(BuildError::Cargo {
            status: output.status,
            remedy: if missing_target {
                ": run `rustup target add riscv64gc-unknown-none-elf`"
            } else {
                ""
            },
            messages,
        });
    }
    let read = |program: &str| {
        let path = target_dir.join(TARGET).join("release").join(program);
        std::fs::read(&path).map_err(|error| BuildError::Read(path, error))
    };
    let mut others = Vec::new();
    for other in LAYOUTS.into_iter().filter(|other| *other != layout) {
        others.push((other, read(other)?));
    }
    let carried: Vec<Carried<'_>> = others
        .iter()
        .map(|(layout, elf)| Carried { layout, elf })
        .collect();
    Ok(join(&read(MACHINE)?, &read(layout)?, &carried)?)
}

fn is_foreign(name: &str) -> bool {
    FOREIGN_VARIABLES.contains(&name)
        || FOREIGN_PREFIXES
            .iter()
            .any(|prefix| name.starts_with(prefix))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_layout_that_does_not_exist_is_refused() {
        for layout in ["", "../x", "Pseudos", "machine", "-o"] {
            let result = build_kernel(Path::new("."), Path::new("."), layout);
            assert!(matches!(result, Err(BuildError::Layout(_))), "{layout}");
        }
    }

    #[test]
    fn what_cargo_tells_build_scripts_is_not_passed_on() {
        assert!(is_foreign("CARGO_CFG_TARGET_OS") && is_foreign("RUSTFLAGS"));
        assert!(
            !is_foreign("CARGO_HOME") && !is_foreign("PATH") && !is_foreign("CARGO_NET_OFFLINE")
        );
    }
}

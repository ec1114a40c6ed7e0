//! `cargo xtask docs`: draws the documents' pictures, lists and numbers again, from live guests.
//!
//! The text around the markers is written by people.

mod document;
mod layouts;
#[cfg(test)]
mod requirements;
mod self_mapping;

use std::fs;
use std::path::{Path, PathBuf};

use crate::command::{Line, root};
use crate::failure::Failure;
use crate::install;
use crate::needs::Work;

/// Installs, builds, and writes everything again, or with `--check` only says whether what can be
/// compared is up to date.
pub(crate) fn run(arguments: &[String]) -> Result<(), Failure> {
    let only_check = match arguments {
        [] => false,
        [word] if word == "--check" => true,
        _ => {
            return Err(Failure::usage(
                "`cargo xtask docs` takes --check or nothing".to_owned(),
            ));
        }
    };
    install::kernel_target()?;
    install::system(&[Work::Guest])?;
    if only_check {
        return check();
    }
    build()?;
    self_mapping::draw()?;
    layouts::draw()
}

/// Builds, and says whether what can be compared is up to date.
pub(crate) fn check() -> Result<(), Failure> {
    build()?;
    layouts::check()
}

fn build() -> Result<(), Failure> {
    Line::new("cargo build --package pagescope").run()
}

/// Where files go on the way.
fn folder() -> Result<PathBuf, Failure> {
    let folder = root().join("target/docs");
    fs::create_dir_all(&folder)
        .map_err(|error| Failure::new(format!("{}: {error}", folder.display())))?;
    Ok(folder)
}

/// The program, as it was just built.
fn pagescope(words: &[&str]) -> Line {
    Line::new("target/debug/pagescope").args(words)
}

/// What a command prints.
fn said(line: &Line) -> Result<String, Failure> {
    line.output()
        .ok_or_else(|| Failure::new(format!("`{line}` failed")))
}

fn text(path: &Path) -> String {
    path.display().to_string()
}

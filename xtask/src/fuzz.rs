//! `cargo xtask fuzz`: gives Pagescope bytes that mean no good, guided by which of its code they reach.
//!
//! libFuzzer is linked into one program (`fuzz/`), and rustc is asked for the coverage that it looks at. Both
//! work with the pinned compiler; a C++ compiler is needed, because libFuzzer is built from its source.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Stdio;

use crate::command::{Line, root};
use crate::failure::Failure;
use crate::install;
use crate::needs::Work;

/// What libFuzzer looks at: which edges of the control flow were taken, and what was compared with what.
const COVERAGE: &str = "-Cpasses=sancov-module \
    -Cllvm-args=-sanitizer-coverage-level=4 \
    -Cllvm-args=-sanitizer-coverage-inline-8bit-counters \
    -Cllvm-args=-sanitizer-coverage-pc-table \
    -Cllvm-args=-sanitizer-coverage-trace-compares";

/// The longest input, in bytes.
const MOST_BYTES: u32 = 1 << 16;

/// The longest that one input may take before it counts as found, in seconds. A guard against what never ends, not
/// a measurement.
const HANG_SECONDS: u32 = 30;

/// The most memory that one input may take, in MiB.
const MOST_MEMORY: u32 = 2048;

/// Seconds for each target in CI.
pub(crate) const QUICK_SECONDS: u32 = 15;

/// Seconds for each target where none are said.
const SECONDS: u32 = 60;

/// What was asked for.
#[derive(Debug, PartialEq, Eq)]
struct Wish {
    targets: Vec<String>,
    seconds: u32,
    /// Where chance begins; by the clock where it is not said.
    seed: Option<u32>,
}

/// Runs the targets that the arguments name, or all.
pub(crate) fn run(arguments: &[String]) -> Result<(), Failure> {
    let wish = wish(arguments, &known()?)?;
    fuzz(&wish)
}

/// Runs all of them for a short while.
pub(crate) fn quick() -> Result<(), Failure> {
    fuzz(&Wish {
        targets: known()?,
        seconds: QUICK_SECONDS,
        // CI asks the same of the same program; what is new is looked for with time, by hand.
        seed: Some(1),
    })
}

/// The targets: each has a corpus, which a test sees to.
fn known() -> Result<Vec<String>, Failure> {
    let corpus = root().join("fuzz/corpus");
    let entries = fs::read_dir(&corpus)
        .map_err(|error| Failure::new(format!("cannot read {}: {error}", corpus.display())))?;
    let names = entries.filter_map(|entry| entry.ok()?.file_name().into_string().ok());
    let mut names: Vec<String> = names.collect();
    names.sort_unstable();
    Ok(names)
}

fn wish(arguments: &[String], known: &[String]) -> Result<Wish, Failure> {
    let mut wish = Wish {
        targets: Vec::new(),
        seconds: SECONDS,
        seed: None,
    };
    let mut words = arguments.iter();
    while let Some(word) = words.next() {
        if word == "--seconds" {
            let seconds = words.next().and_then(|text| text.parse().ok());
            wish.seconds = seconds.filter(|seconds| *seconds > 0).ok_or_else(|| {
                Failure::usage("--seconds takes a number of seconds for each target".to_owned())
            })?;
        } else if known.contains(word) {
            wish.targets.push(word.clone());
        } else {
            return Err(Failure::usage(format!(
                "`cargo xtask fuzz` has no target {word}; it has: {}",
                known.join(", ")
            )));
        }
    }
    if wish.targets.is_empty() {
        wish.targets = known.to_vec();
    }
    Ok(wish)
}

fn fuzz(wish: &Wish) -> Result<(), Failure> {
    install::kernel_target()?;
    install::system(&[Work::Fuzz])?;
    let program = build()?;
    for target in &wish.targets {
        eprintln!("\n── {target}, {} s", wish.seconds);
        one(&program, target, wish)?;
    }
    Ok(())
}

/// Builds the program, and says where it is.
fn build() -> Result<PathBuf, Failure> {
    // With a target named, build scripts and macros go without coverage.
    let host = host()?;
    let line =
        Line::new("cargo build --profile fuzz --package pagescope-fuzz --features libfuzzer")
            .args(["--target", &host, "--target-dir", "target/fuzz"])
            .env("RUSTFLAGS", COVERAGE);
    eprintln!("   {line}\n");
    line.run()?;
    Ok(root()
        .join("target/fuzz")
        .join(host)
        .join("fuzz/pagescope-fuzz"))
}

fn host() -> Result<String, Failure> {
    let version = Line::new("rustc --version --verbose").output();
    let version = version.unwrap_or_default();
    let host = version.lines().find_map(|line| line.strip_prefix("host: "));
    let host =
        host.ok_or_else(|| Failure::new("rustc does not say for which machine it builds"))?;
    Ok(host.to_owned())
}

/// Runs one target. What it learns stays in `target/fuzz/corpus`, for the next run.
fn one(program: &Path, target: &str, wish: &Wish) -> Result<(), Failure> {
    let learnt = root().join("target/fuzz/corpus").join(target);
    let artifacts = root().join("fuzz/artifacts").join(target);
    for folder in [&learnt, &artifacts] {
        fs::create_dir_all(folder)
            .map_err(|error| Failure::new(format!("cannot make {}: {error}", folder.display())))?;
    }
    let program = program.display().to_string();
    let line = Line::new("")
        .env("PAGESCOPE_FUZZ", target)
        .args([program.as_str()])
        .args([format!("-max_total_time={}", wish.seconds)])
        .args(wish.seed.map(|seed| format!("-seed={seed}")))
        .args([format!("-timeout={HANG_SECONDS}")])
        .args([format!("-rss_limit_mb={MOST_MEMORY}")])
        .args([format!("-max_len={MOST_BYTES}")])
        .args([format!("-artifact_prefix={}/", artifacts.display())])
        .args(["-print_final_stats=1", "-verbosity=0"])
        .args([learnt.display().to_string()])
        .args([root()
            .join("fuzz/corpus")
            .join(target)
            .display()
            .to_string()]);
    let status = line.command().stdin(Stdio::null()).status();
    match status {
        Ok(status) if status.success() => Ok(()),
        Ok(_) => Err(
            Failure::new(format!("{target}: an input was found")).remedy(format!(
                "It is in fuzz/artifacts/{target}. To give it again:\n       \
             PAGESCOPE_FUZZ={target} {program} fuzz/artifacts/{target}/NAME\n       \
             Once it is mended, keep it in fuzz/corpus/{target}: `cargo test` asks again then."
            )),
        ),
        Err(error) => Err(line.not_started(&error)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wished(words: &[&str]) -> Result<Wish, Failure> {
        let words: Vec<String> = words.iter().map(|word| (*word).to_owned()).collect();
        wish(&words, &["elf".to_owned(), "walk".to_owned()])
    }

    #[test]
    fn all_targets_run_where_none_is_named() {
        let all = wished(&["--seconds", "7"]).expect("fine");
        assert_eq!((all.targets.len(), all.seconds), (2, 7));
        assert_eq!(wished(&["walk"]).expect("fine").targets, ["walk"]);
    }

    #[test]
    fn what_is_not_there_is_refused() {
        for words in [
            &["none"][..],
            &["--seconds"],
            &["--seconds", "0"],
            &["--seconds", "x"],
        ] {
            assert_eq!(wished(words).expect_err("refused").exit_code(), 2);
        }
    }
}

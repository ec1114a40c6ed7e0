//! What Pagescope costs, beside what it is compared with: `cargo xtask bench` builds and runs it.
//!
//! Every line is a ratio, or a cost for each entry or leaf, measured in this one run; times of another machine say
//! nothing. docs/bench.md explains the lines.

mod allocations;
mod core;
mod guest;
mod live;
mod measure;
#[path = "../../tests/ram_target/mod.rs"]
mod ram_target;
mod report;

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use measure::Runs;
use report::Report;

const HELP: &str = "\
usage: bench [--quick] [--check] [--kernel FILE.elf] [--gdb-pt-dump PATH/pt.py]

  --quick            smaller spaces and fewer runs
  --check            end with 1 where something is slower than it is meant to be
  --kernel FILE.elf  our kernel, to measure its debug channel
  --gdb-pt-dump PATH the script of gdb-pt-dump, to be compared with
";

/// What was asked for.
#[derive(Debug, Default)]
struct Wish {
    quick: bool,
    check: bool,
    kernel: Option<PathBuf>,
    pt_dump: Option<PathBuf>,
}

impl Wish {
    fn parse(mut words: impl Iterator<Item = String>) -> Result<Self, String> {
        let mut wish = Self::default();
        while let Some(word) = words.next() {
            match word.as_str() {
                "--quick" => wish.quick = true,
                "--check" => wish.check = true,
                "--kernel" => {
                    wish.kernel = Some(words.next().ok_or("--kernel needs a file")?.into())
                }
                "--gdb-pt-dump" => {
                    let script = words
                        .next()
                        .ok_or("--gdb-pt-dump needs the script's path")?;
                    wish.pt_dump = Some(script.into());
                }
                other => return Err(format!("what is {other:?}?")),
            }
        }
        Ok(wish)
    }
}

fn main() -> ExitCode {
    let wish = match Wish::parse(std::env::args().skip(1)) {
        Ok(wish) => wish,
        Err(error) => {
            eprint!("{error}\n{HELP}");
            return ExitCode::from(2);
        }
    };
    match run(&wish) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) if wish.check => ExitCode::FAILURE,
        Ok(false) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("bench: {error}");
            ExitCode::from(3)
        }
    }
}

/// Measures and prints; whether everything was as quick as it is meant to be.
fn run(wish: &Wish) -> Result<bool, live::Trouble> {
    let runs = Runs {
        most: if wish.quick { 9 } else { 25 },
        budget: Duration::from_secs(if wish.quick { 2 } else { 6 }),
    };
    let sizes: &[usize] = match wish.quick {
        true => &[70, 4_096, 65_536],
        false => &[70, 4_096, 262_144, 1 << 20],
    };
    let mut report = Report::default();
    let mut costs = Vec::new();
    for leaves in sizes {
        eprintln!("bench: {leaves} leaves, without a guest");
        costs.push((*leaves, core::costs(*leaves, runs)));
    }
    report.costs(&costs);
    let (leaves, steps) = if wish.quick {
        (65_536, 500)
    } else {
        (262_144, 10_000)
    };
    eprintln!("bench: a history of {steps} steps");
    report.history(leaves, &core::history(leaves, steps));
    // 70 tables: a root, one below it, and 68 full ones.
    let guests: &[usize] = match wish.quick {
        true => &[68 * 512],
        false => &[70, 4_096, 68 * 512, 262_144, 1 << 20],
    };
    for leaves in guests {
        eprintln!("bench: {leaves} leaves, in QEMU");
        // QEMU prints a line for each leaf: a million of them would be another kind of measurement.
        let is_listed = *leaves <= 68 * 512;
        let script = wish.pt_dump.as_deref().filter(|_| is_listed);
        report.live(&live::measure(*leaves, runs, is_listed, script)?);
    }
    if let Some(kernel) = &wish.kernel {
        eprintln!("bench: our kernel's debug channel");
        report.channel(&live::channel(&std::fs::read(kernel)?, runs)?);
    }
    Ok(report.verdict())
}

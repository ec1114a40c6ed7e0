//! What a frame of the window costs: `cargo xtask bench ui` builds it optimised, and runs it.
//!
//! The whole window is driven without a display: input goes in, and what egui lays out and tessellates is thrown away.
//! What is counted is the time of the processor that this thread used, so that other work on the machine changes little.
//! Each scenario is a file; a new one is a line in `SCENARIOS`.

mod drive;
mod maps;
#[path = "../../tests/ram_target/mod.rs"]
mod ram_target;
mod scrub;

use std::process::ExitCode;

use drive::Cost;

/// What is measured, one after the other.
const SCENARIOS: &[fn() -> Vec<Cost>] = &[maps::costs];

fn main() -> ExitCode {
    let words: Vec<String> = std::env::args().skip(1).collect();
    // What the scenario with the recording runs as processes of their own.
    match &words[..] {
        [what, path] if what == "--make-recording" => return exit(scrub::make(path.as_ref())),
        [what, path] if what == "--scrub" => {
            let costs = scrub::costs(path.as_ref());
            for cost in &costs {
                println!("{cost}");
            }
            return exit(costs.iter().all(Cost::is_met));
        }
        _ => {}
    }
    let mut is_checked = false;
    for word in std::env::args().skip(1) {
        match word.as_str() {
            "--check" => is_checked = true,
            other => {
                eprintln!("what is {other:?}? usage: ui_cost [--check]");
                return ExitCode::from(2);
            }
        }
    }
    println!(
        "{:44} {:>8} {:>8} {:>8}  limits",
        "CPU time a frame, ms", "frames", "median", "p99"
    );
    let mut is_quick = true;
    for scenario in SCENARIOS {
        for cost in scenario() {
            println!("{cost}");
            is_quick &= cost.is_met();
        }
    }
    is_quick &= scrub::run();
    exit(is_quick || !is_checked)
}

fn exit(is_well: bool) -> ExitCode {
    match is_well {
        true => ExitCode::SUCCESS,
        false => ExitCode::FAILURE,
    }
}

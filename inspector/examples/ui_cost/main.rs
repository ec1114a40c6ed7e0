//! What a frame of the window costs: `cargo xtask bench ui` builds it optimised, and runs it.
//!
//! The whole window is driven without a display: input goes in, and what egui lays out and tessellates is thrown away.
//! What is counted is the time of the processor that this thread used, so that other work on the machine changes little.
//! Each scenario is a file; a new one is a line in `SCENARIOS`.

mod drive;
mod maps;
#[path = "../../tests/ram_target/mod.rs"]
mod ram_target;

use std::process::ExitCode;

use drive::Cost;

/// What is measured, one after the other.
const SCENARIOS: &[fn() -> Vec<Cost>] = &[
    maps::costs,
    // Scrubbing through a recording of many steps goes here: `scrub::costs`.
];

fn main() -> ExitCode {
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
    match is_quick || !is_checked {
        true => ExitCode::SUCCESS,
        false => ExitCode::FAILURE,
    }
}

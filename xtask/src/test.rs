//! `cargo xtask test`: everything that CI runs, quick checks first.

use std::time::{Duration, Instant};

use crate::command::Line;
use crate::docs;
use crate::failure::Failure;
use crate::fuzz;
use crate::install::{self, KERNEL_TARGET};
use crate::needs::Work;
use crate::window;

/// One thing that is checked.
struct Step {
    name: &'static str,
    what: &'static str,
    does: Does,
}

/// How it is checked.
enum Does {
    Run(Line),
    Docs,
    Window,
    Fuzz,
}

fn steps(quick: bool) -> Vec<Step> {
    let step = |name, what, line| Step {
        name,
        what,
        does: Does::Run(line),
    };
    let mut steps = vec![
        step(
            "format",
            "rustfmt finds nothing to change",
            Line::new("cargo fmt --all --check"),
        ),
        step(
            "clippy",
            "no warning in the workspace, on this machine",
            Line::new("cargo clippy --workspace --all-targets -- -D warnings"),
        ),
        step(
            "clippy-kernel",
            "no warning in the kernel, for RISC-V",
            Line::new("cargo clippy --package pagescope-kernel --bins --lib --target")
                .args([KERNEL_TARGET])
                .args(["--", "-D", "warnings"]),
        ),
        step(
            "doc",
            "no warning in the documentation",
            Line::new("cargo doc --workspace --no-deps").env("RUSTDOCFLAGS", "-D warnings"),
        ),
    ];
    if quick {
        steps.push(step(
            "test",
            "unit and property tests",
            Line::new("cargo test --workspace --lib --bins"),
        ));
    } else {
        steps.push(step(
            "test",
            "unit, property, window-query and live QEMU tests; the kernel's self-test",
            Line::new("cargo test --workspace"),
        ));
        steps.push(Step {
            name: "docs",
            what: "the layouts' drawings in docs/ are as the guests are",
            does: Does::Docs,
        });
        steps.push(Step {
            name: "window",
            what: "the real window, on a display without a screen, on a live guest",
            does: Does::Window,
        });
        steps.push(Step {
            name: "fuzz",
            what: "bytes that mean no good, for a short while",
            does: Does::Fuzz,
        });
    }
    steps
}

/// The steps that these arguments ask for.
fn chosen(arguments: &[String]) -> Result<Vec<Step>, Failure> {
    let quick = arguments.iter().any(|word| word == "--quick");
    let names: Vec<&String> = arguments.iter().filter(|word| *word != "--quick").collect();
    let mut steps = steps(quick);
    if let Some(unknown) = names
        .iter()
        .find(|name| !steps.iter().any(|step| step.name == name.as_str()))
    {
        let known: Vec<&str> = steps.iter().map(|step| step.name).collect();
        return Err(Failure::usage(format!(
            "`cargo xtask test` has no step {unknown}; it has: {}",
            known.join(", ")
        )));
    }
    if !names.is_empty() {
        steps.retain(|step| names.iter().any(|name| name.as_str() == step.name));
    }
    Ok(steps)
}

/// Installs, and runs the steps until one fails.
pub(crate) fn run(arguments: &[String]) -> Result<(), Failure> {
    let begun = Instant::now();
    let quick = arguments.iter().any(|word| word == "--quick");
    let steps = chosen(arguments)?;
    install::kernel_target()?;
    let named = |name: &str| steps.iter().any(|step| step.name == name);
    if named("format") || named("clippy") || named("clippy-kernel") {
        install::lint_tools()?;
    }
    let mut works = Vec::new();
    if named("test") && !quick {
        works.extend([Work::Guest, Work::GuestTest, Work::PageTest]);
    }
    if named("docs") {
        works.push(Work::Guest);
    }
    if named("window") {
        works.extend([Work::Guest, Work::Window, Work::WindowTest]);
    }
    if named("fuzz") {
        works.push(Work::Fuzz);
    }
    if !works.is_empty() {
        install::system(&works)?;
    }
    for (index, step) in steps.iter().enumerate() {
        let place = format!("{} of {}", index + 1, steps.len());
        eprintln!(
            "\n━━ {place} · {} · {} · {} so far",
            step.name,
            step.what,
            minutes(begun.elapsed())
        );
        let outcome = match &step.does {
            Does::Run(line) => {
                eprintln!("   {line}\n");
                line.run()
            }
            Does::Docs => docs::check(),
            Does::Window => window::run(),
            Does::Fuzz => fuzz::quick(),
        };
        outcome.map_err(|failure| {
            let mode = if quick { "--quick " } else { "" };
            let took = minutes(begun.elapsed());
            Failure::new(format!("{failure}")).remedy(format!(
                "Step {place}, {}, failed after {took}. To run it again: cargo xtask test {mode}{}",
                step.name, step.name
            ))
        })?;
    }
    let took = minutes(begun.elapsed());
    let count = steps.len();
    let all = if count == 1 { "step" } else { "steps" };
    eprintln!("\n━━ {count} {all} passed in {took}");
    Ok(())
}

/// A duration as minutes and seconds: `3:07`.
fn minutes(time: Duration) -> String {
    let seconds = time.as_secs();
    format!("{}:{:02}", seconds / 60, seconds % 60)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(words: &[&str]) -> Result<Vec<&'static str>, Failure> {
        let words: Vec<String> = words.iter().map(|word| (*word).to_owned()).collect();
        chosen(&words).map(|steps| steps.iter().map(|step| step.name).collect())
    }

    #[test]
    fn steps_run_in_their_own_order_whatever_order_they_are_named_in() {
        let all = names(&[]).expect("no arguments are fine");
        assert_eq!(
            all,
            [
                "format",
                "clippy",
                "clippy-kernel",
                "doc",
                "test",
                "docs",
                "window",
                "fuzz"
            ]
        );
        let two = names(&["test", "format"]).expect("both exist");
        assert_eq!(two, ["format", "test"]);
    }

    #[test]
    fn a_quick_run_has_no_window() {
        let quick = names(&["--quick"]).expect("the option exists");
        assert!(!quick.contains(&"window"));
        assert!(names(&["--quick", "window"]).is_err());
    }

    #[test]
    fn an_unknown_step_is_refused_by_name() {
        let failure = names(&["lint"]).expect_err("there is no such step");
        assert!(failure.to_string().contains("lint"));
        assert_eq!(failure.exit_code(), 2);
    }

    #[test]
    fn time_is_minutes_and_seconds() {
        assert_eq!(minutes(Duration::from_secs(187)), "3:07");
    }
}

//! The command line: everything the window can do to data, for scripts, tests and terminals.
//!
//! Exit codes: 0 success; 1 the question's answer is no; 2 the call cannot be understood, or a
//! file cannot be used; 3 the target could not be reached or read.

mod arguments;
mod check;
mod demo;
mod diff;
mod export;
mod follow;
mod format;
mod interrupt;
mod kernel;
mod lecture;
mod map;
mod open;
mod regions;
mod scan;
mod snapshot;
mod source;
mod spaces;
mod step;
mod step_until;
mod trace;
mod walk;
mod walk_answer;

use std::process::ExitCode;

use clap::Parser as _;

pub use arguments::Arguments;
use arguments::Command;

/// What became of a command.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Answer {
    /// Done, or yes.
    Yes,
    /// The question's answer is no.
    No,
}

/// Why a command failed.
#[derive(Debug, thiserror::Error)]
pub enum Failure {
    /// The call, or a file that it names, is of no use. Exit code 2.
    #[error("{0}")]
    Usage(String),
    /// The target could not be reached or read. Exit code 3.
    #[error("{0}")]
    Target(String),
    /// The user ended it; the guest was left as it was found. Exit code 130, as a shell has it.
    #[error("ended before its end; the guest is left as it was found")]
    Cancelled,
}

impl Failure {
    fn usage(error: impl std::fmt::Display) -> Self {
        Self::Usage(error.to_string())
    }

    fn target(error: impl std::fmt::Display) -> Self {
        Self::Target(error.to_string())
    }
}

fn obey(command: Command) -> Result<Answer, Failure> {
    match command {
        Command::Demo(options) => demo::run(&options),
        Command::Attach(options) => open::attach(&options),
        Command::Open(options) => open::open(&options),
        Command::Walk(options) => walk::run(&options),
        Command::Map(options) => map::run(&options),
        Command::Follow(options) => follow::run(&options),
        Command::Spaces(options) => spaces::run(&options),
        Command::Regions(options) => regions::run(&options),
        Command::Trace(options) => trace::run(&options),
        Command::Snapshot(options) => snapshot::run(&options),
        Command::Step(options) => step::run(&options),
        Command::Check(options) => check::run(&options),
        Command::Diff(options) => diff::run(&options),
        Command::Export(options) => export::run(&options),
        Command::Lecture(options) => lecture::run(&options),
        Command::Kernel(options) => kernel::run(&options),
    }
}

/// Does what the program's arguments say.
pub fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let filter = tracing_subscriber::EnvFilter::try_from_env("PAGESCOPE_LOG");
    let filter = filter.unwrap_or_else(|_| tracing_subscriber::EnvFilter::new("warn,winit=error"));
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        // Where the standard error is closed there is nobody to tell, and telling would panic.
        .log_internal_errors(false)
        .init();
    if let Err(error) = interrupt::install() {
        tracing::warn!(%error, "signals end the program at once");
    }
    let result = match arguments.command {
        Some(command) => obey(command),
        None => open::without_command(),
    };
    match result {
        Ok(Answer::Yes) => ExitCode::SUCCESS,
        Ok(Answer::No) => ExitCode::from(1),
        // Whoever reads has seen enough: `pagescope step … | head`.
        Err(Failure::Cancelled) if format::nobody_reads() => ExitCode::SUCCESS,
        Err(failure) => {
            format::tell(&failure.to_string());
            ExitCode::from(match failure {
                Failure::Usage(_) => 2,
                Failure::Target(_) => 3,
                Failure::Cancelled => 130,
            })
        }
    }
}

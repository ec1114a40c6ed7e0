//! A command line: shown as it could be typed, and run.

use std::fmt;
use std::path::Path;
use std::process::{Command, Stdio};

use crate::failure::Failure;

/// A program, its arguments, and what is added to its environment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Line {
    environment: Vec<(&'static str, String)>,
    words: Vec<String>,
}

impl Line {
    /// The words of `text`, split at spaces.
    pub(crate) fn new(text: &str) -> Self {
        Self {
            environment: Vec::new(),
            words: text.split_whitespace().map(String::from).collect(),
        }
    }

    /// The same with `name` set in its environment.
    pub(crate) fn env(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.environment.push((name, value.into()));
        self
    }

    /// The same with more arguments.
    pub(crate) fn args<S: AsRef<str>>(mut self, words: impl IntoIterator<Item = S>) -> Self {
        let words = words.into_iter().map(|word| word.as_ref().to_owned());
        self.words.extend(words);
        self
    }

    /// Ready to be run in the repository's root.
    pub(crate) fn command(&self) -> Command {
        let (program, arguments) = match self.words.split_first() {
            Some((program, arguments)) => (program.as_str(), arguments),
            None => ("true", &[][..]),
        };
        let mut command = Command::new(program);
        command
            .args(arguments)
            .envs(self.environment.iter().map(|(name, value)| (name, value)))
            .current_dir(root());
        command
    }

    /// Runs it, with what it says going where ours goes.
    pub(crate) fn run(&self) -> Result<(), Failure> {
        match self.command().stdin(Stdio::null()).status() {
            Ok(status) if status.success() => Ok(()),
            Ok(status) => Err(Failure::new(format!("`{self}` failed ({status})"))),
            Err(error) => Err(self.not_started(&error)),
        }
    }

    /// Whether it runs and succeeds. What it says is not shown.
    pub(crate) fn succeeds(&self) -> bool {
        self.output().is_some()
    }

    /// What it says, if it runs and succeeds.
    pub(crate) fn output(&self) -> Option<String> {
        let output = self.command().stdin(Stdio::null()).output().ok()?;
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        output.status.success().then_some(text)
    }

    /// The failure where it could not even be started.
    pub(crate) fn not_started(&self, error: &std::io::Error) -> Failure {
        Failure::new(format!("cannot start `{self}`: {error}"))
    }
}

impl fmt::Display for Line {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let settings = self.environment.iter();
        let settings = settings.map(|(name, value)| format!("{name}={}", quoted(value)));
        let words = self.words.iter().map(|word| quoted(word));
        let all: Vec<String> = settings.chain(words).collect();
        f.write_str(&all.join(" "))
    }
}

/// `word` as a shell takes it for one word.
fn quoted(word: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_=+./:,@%".contains(c);
    if !word.is_empty() && word.chars().all(plain) {
        word.to_owned()
    } else {
        format!("'{}'", word.replace('\'', r"'\''"))
    }
}

/// The repository's root.
pub(crate) fn root() -> &'static Path {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    here.parent().unwrap_or(here)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_shown_as_it_could_be_typed() {
        let line = Line::new("cargo doc --no-deps")
            .env("RUSTDOCFLAGS", "-D warnings")
            .args(["it's", ""]);
        assert_eq!(
            line.to_string(),
            r"RUSTDOCFLAGS='-D warnings' cargo doc --no-deps 'it'\''s' ''"
        );
    }

    #[test]
    fn a_program_that_is_not_there_does_not_succeed() {
        assert!(!Line::new("pagescope-no-such-program").succeeds());
        assert!(Line::new("pagescope-no-such-program").run().is_err());
    }
}

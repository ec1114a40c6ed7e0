//! What went wrong, and what to do about it.

use std::fmt;

/// One failure, told to a person.
#[derive(Debug)]
pub(crate) struct Failure {
    what: String,
    remedy: Option<String>,
    exit_code: u8,
}

impl Failure {
    /// A failure with nothing more to say.
    pub(crate) fn new(what: impl Into<String>) -> Self {
        Self {
            what: what.into(),
            remedy: None,
            exit_code: 1,
        }
    }

    /// A command line that is not understood.
    pub(crate) fn usage(what: impl Into<String>) -> Self {
        Self {
            exit_code: 2,
            ..Self::new(what)
        }
    }

    /// The same with what to do about it, as a line of its own.
    pub(crate) fn remedy(self, remedy: impl Into<String>) -> Self {
        Self {
            remedy: Some(remedy.into()),
            ..self
        }
    }

    /// The process's exit code.
    pub(crate) fn exit_code(&self) -> u8 {
        self.exit_code
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.what)?;
        match &self.remedy {
            Some(remedy) => write!(f, "\n       {remedy}"),
            None => Ok(()),
        }
    }
}

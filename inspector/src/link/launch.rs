//! A QEMU of our own.

use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::{Address, Cancel};

/// What to start.
#[derive(Clone, Debug)]
pub struct Launch<'a> {
    /// The kernel's ELF file.
    pub kernel: &'a [u8],
    /// RAM in MiB.
    pub memory_mib: u32,
    /// Harts.
    pub harts: u32,
    /// The kernel's command line (`-append`).
    pub append: String,
    /// Whether the machine stands still at reset until somebody resumes it (`-S`), so that nothing
    /// is missed.
    pub stopped: bool,
    /// Whether RAM lies in a file that we can read while the guest runs.
    pub ram_file: bool,
    /// How long QEMU may take to open its gdb port.
    pub timeout: Duration,
    /// Ends the wait for it.
    pub cancel: Cancel,
}

impl<'a> Launch<'a> {
    /// `kernel` on one hart with 128 MiB in a file, stopped at reset.
    pub fn new(kernel: &'a [u8]) -> Self {
        Self {
            kernel,
            memory_mib: 128,
            harts: 1,
            append: String::new(),
            stopped: true,
            ram_file: true,
            timeout: Duration::from_secs(20),
            cancel: Cancel::new(),
        }
    }

    /// Starts QEMU and waits until its gdb port is open.
    ///
    /// # Errors
    /// When QEMU is missing or ends at once.
    pub fn start(&self) -> Result<Guest, LaunchError> {
        todo!()
    }
}

/// A QEMU of our own; it ends with this handle.
#[derive(Debug)]
pub struct Guest {}

impl Guest {
    /// Its gdb port.
    pub fn address(&self) -> &Address {
        todo!()
    }
    /// The file that holds its RAM, for [`ConnectOptions`](super::ConnectOptions).
    pub fn ram_file(&self) -> Option<&Path> {
        todo!()
    }
    /// The Unix socket that its serial console is behind.
    pub fn console(&self) -> &Path {
        todo!()
    }
    /// Its process id.
    pub fn pid(&self) -> u32 {
        todo!()
    }
    /// The command line that started it, as it could be typed.
    pub fn command_line(&self) -> &str {
        todo!()
    }
    /// `Some` once it has ended: how, and what it said last.
    pub fn ended(&mut self) -> Option<String> {
        todo!()
    }
}

/// Why QEMU could not be started.
#[derive(Debug, thiserror::Error)]
pub enum LaunchError {
    /// It is not installed.
    #[error("qemu-system-riscv64 is not installed; type: {install}")]
    QemuMissing {
        /// The line that installs it.
        install: String,
    },
    /// It ended at once.
    #[error("QEMU ended at its start ({status}): {stderr}")]
    Ended {
        /// How.
        status: String,
        /// The end of what it said.
        stderr: String,
    },
    /// It runs, but its gdb port does not open.
    #[error("QEMU did not open its gdb port within {waited:?}; it said: {stderr}")]
    NoPort {
        /// For how long we waited.
        waited: Duration,
        /// The end of what it said.
        stderr: String,
    },
    /// A file or process of ours could not be made.
    #[error("cannot {what} {path}: {source}")]
    Io {
        /// What we wanted.
        what: &'static str,
        /// With which file.
        path: PathBuf,
        /// What the operating system says.
        source: io::Error,
    },
    /// The wait was cancelled.
    #[error("cancelled")]
    Cancelled,
}

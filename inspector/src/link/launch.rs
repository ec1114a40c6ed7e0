//! A QEMU of our own, which ends with us.
//!
//! ```text
//!  /dev/shm/pagescope-XXXXXX/         private (mode 700), removed with the guest
//!    kernel.elf                       what it boots
//!    ram                              its RAM, shared: readable while it runs
//!    gdb                              Unix socket of its gdb port
//!    monitor                          Unix socket of its monitor (QMP)
//!    console                          Unix socket of its serial console
//!    lock                             held while the guest lives
//!    qemu.log                         what it says on stdout and stderr
//! ```
//!
//! Invariants
//! - Dropping [`Guest`] ends QEMU, waits for it and removes the directory.
//! - When the application is killed, the kernel kills QEMU (`PR_SET_PDEATHSIG`). That signal comes
//!   when the *thread* ends that started QEMU, so QEMU is started on a thread that only ends with
//!   the guest. The directory is then left behind; the next launch removes it.

mod keeper;
mod place;

use std::fs::{self, File};
use std::io::{self, Read, Seek, SeekFrom};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use tempfile::TempDir;

use super::memory::mapped::RamFile;
use super::{Address, Cancel, ConnectOptions};
use keeper::Keeper;

/// The program.
const QEMU: &str = "qemu-system-riscv64";

/// How often a starting QEMU is looked at.
const START_POLL: Duration = Duration::from_millis(5);

/// Bytes of QEMU's last words that are shown.
const SHOWN_BYTES: u64 = 2000;

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
    /// The emulator; a name is looked for in PATH.
    pub program: PathBuf,
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
            program: PathBuf::from(QEMU),
            timeout: Duration::from_secs(20),
            cancel: Cancel::new(),
        }
    }

    /// Starts QEMU and waits until its gdb port is open.
    ///
    /// # Errors
    /// When QEMU is missing or ends at once.
    pub fn start(&self) -> Result<Guest, LaunchError> {
        let ram_bytes = u64::from(self.memory_mib) << 20;
        let place = place::make(if self.ram_file { ram_bytes } else { 0 })?;
        let directory = place.directory;
        let file = |name| directory.path().join(name);
        let (kernel, log) = (file("kernel.elf"), file("qemu.log"));
        let (gdb, console) = (file("gdb"), file("console"));
        let monitor = file("monitor");
        fs::write(&kernel, self.kernel).map_err(io_error("write", &kernel))?;
        let ram = (self.ram_file && place.has_room).then(|| file("ram"));
        let arguments = self.arguments(&kernel, [&gdb, &console, &monitor], ram.as_deref());

        let output = File::create(&log).map_err(io_error("create", &log))?;
        let errors = output.try_clone().map_err(io_error("share", &log))?;
        let mut command = Command::new(&self.program);
        command.args(&arguments).stdin(Stdio::null());
        command.stdout(output).stderr(errors);
        let (child, keeper) = keeper::spawn(command).map_err(|source| match source.kind() {
            io::ErrorKind::NotFound => LaunchError::QemuMissing {
                program: self.program.display().to_string(),
                install: install_line(),
            },
            _ => LaunchError::Io {
                what: "start",
                path: self.program.clone(),
                source,
            },
        })?;
        let mut guest = Guest {
            child,
            address: Address::Unix(gdb),
            ram,
            console,
            monitor,
            log,
            command_line: shell_line(&self.program, &arguments),
            _keeper: keeper,
            _lock: place.lock,
            _directory: directory,
        };
        self.wait_for_port(&mut guest)?;
        Ok(guest)
    }

    fn arguments(
        &self,
        kernel: &Path,
        [gdb, console, monitor]: [&Path; 3],
        ram: Option<&Path>,
    ) -> Vec<String> {
        let mut machine = "virt".to_owned();
        let mut arguments = Vec::new();
        if let Some(ram) = ram {
            machine.push_str(",memory-backend=ram");
            arguments.push("-object".to_owned());
            arguments.push(format!(
                "memory-backend-file,id=ram,size={}M,mem-path={},share=on",
                self.memory_mib,
                option_value(ram)
            ));
        }
        let pairs = [
            ("-machine", machine),
            ("-m", format!("{}M", self.memory_mib)),
            ("-smp", self.harts.to_string()),
            ("-bios", "none".to_owned()),
            ("-kernel", kernel.display().to_string()),
            ("-append", self.append.clone()),
            ("-display", "none".to_owned()),
            ("-monitor", "none".to_owned()),
            (
                "-qmp",
                format!("unix:{},server=on,wait=off", option_value(monitor)),
            ),
            (
                "-chardev",
                format!(
                    "socket,id=console,path={},server=on,wait=off",
                    option_value(console)
                ),
            ),
            ("-serial", "chardev:console".to_owned()),
            (
                "-gdb",
                format!("unix:{},server=on,wait=off", option_value(gdb)),
            ),
        ];
        for (option, value) in pairs {
            arguments.extend([option.to_owned(), value]);
        }
        if self.stopped {
            arguments.push("-S".to_owned());
        }
        arguments
    }

    /// Waits without connecting, because connecting would stop the machine.
    fn wait_for_port(&self, guest: &mut Guest) -> Result<(), LaunchError> {
        let began = Instant::now();
        let Address::Unix(socket) = guest.address.clone() else {
            return Ok(());
        };
        loop {
            if let Some(status) = guest.status() {
                return Err(LaunchError::Ended {
                    status: status.to_string(),
                    stderr: guest.last_words(),
                });
            }
            if place::is_listening(&socket) {
                return Ok(());
            }
            if self.cancel.is_cancelled() {
                return Err(LaunchError::Cancelled);
            }
            let waited = began.elapsed();
            if waited > self.timeout {
                return Err(LaunchError::NoPort {
                    waited,
                    stderr: guest.last_words(),
                });
            }
            thread::sleep(START_POLL);
        }
    }
}

/// A QEMU of our own; it ends with this handle.
#[derive(Debug)]
pub struct Guest {
    child: Child,
    address: Address,
    ram: Option<PathBuf>,
    console: PathBuf,
    monitor: PathBuf,
    log: PathBuf,
    command_line: String,
    _keeper: Keeper,
    _lock: File,
    /// Removed last: fields are dropped in this order, after [`Drop::drop`] has ended QEMU.
    _directory: TempDir,
}

impl Guest {
    /// Its gdb port.
    pub fn address(&self) -> &Address {
        &self.address
    }

    /// The file that holds its RAM, for [`ConnectOptions`]. `None` also where there was no room for
    /// one: then memory goes over the gdb port.
    pub fn ram_file(&self) -> Option<&Path> {
        self.ram.as_deref()
    }

    /// Its monitor, which serves one client at a time.
    pub fn monitor(&self) -> Address {
        Address::Unix(self.monitor.clone())
    }

    /// The options to connect to it with.
    pub fn connect_options(&self) -> ConnectOptions {
        ConnectOptions {
            ram_file: self.ram.clone().map(RamFile::new),
            ..ConnectOptions::default()
        }
    }

    /// The Unix socket that its serial console is behind.
    pub fn console(&self) -> &Path {
        &self.console
    }

    /// Connects to its serial console. What it printed before is lost, so do this before the
    /// machine is first resumed.
    ///
    /// # Errors
    /// When QEMU has ended.
    pub fn connect_console(&self) -> io::Result<UnixStream> {
        UnixStream::connect(&self.console)
    }

    /// Its process id.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// The command line that started it, as it could be typed.
    pub fn command_line(&self) -> &str {
        &self.command_line
    }

    /// `Some` once it has ended: how, and what it said last.
    pub fn ended(&mut self) -> Option<String> {
        let status = self.status()?;
        let words = self.last_words();
        Some(if words.is_empty() {
            format!("QEMU ended ({status})")
        } else {
            format!("QEMU ended ({status}): {words}")
        })
    }

    fn status(&mut self) -> Option<ExitStatus> {
        self.child.try_wait().ok().flatten()
    }

    fn last_words(&self) -> String {
        let read = || -> io::Result<Vec<u8>> {
            let mut log = File::open(&self.log)?;
            let length = log.metadata()?.len();
            log.seek(SeekFrom::Start(length.saturating_sub(SHOWN_BYTES)))?;
            let mut tail = Vec::new();
            log.take(SHOWN_BYTES).read_to_end(&mut tail)?;
            Ok(tail)
        };
        let tail = read().unwrap_or_default();
        String::from_utf8_lossy(&tail).trim().to_owned()
    }
}

impl Drop for Guest {
    fn drop(&mut self) {
        // Both fail only where it has ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Why QEMU could not be started.
#[derive(Debug, thiserror::Error)]
pub enum LaunchError {
    /// It is not installed.
    #[error("{program} is not installed; type: {install}")]
    QemuMissing {
        /// What was looked for.
        program: String,
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

fn io_error(what: &'static str, path: &Path) -> impl FnOnce(io::Error) -> LaunchError {
    let path = path.to_owned();
    move |source| LaunchError::Io { what, path, source }
}

/// How this machine installs QEMU. Debian 12 and Ubuntu up to 24.04 have it in
/// `qemu-system-misc`, Debian 13 and later in `qemu-system-riscv`.
fn install_line() -> String {
    for (manager, line) in [
        ("apt-get", "sudo apt-get install qemu-system-misc"),
        ("dnf", "sudo dnf install qemu-system-riscv"),
        ("pacman", "sudo pacman -S qemu-system-riscv"),
        ("zypper", "sudo zypper install qemu-extra"),
        ("brew", "brew install qemu"),
    ] {
        if place::is_in_path(manager) {
            let newer = match manager {
                "apt-get" => " (qemu-system-riscv on Debian 13 and later)",
                _ => "",
            };
            return format!("{line}{newer}");
        }
    }
    "your package manager's line for qemu-system-riscv64".to_owned()
}

/// A path inside a comma-separated option: QEMU reads `,,` as a comma.
fn option_value(path: &Path) -> String {
    path.display().to_string().replace(',', ",,")
}

/// The command as it could be typed into a shell.
fn shell_line(program: &Path, arguments: &[String]) -> String {
    let program = program.display().to_string();
    let words = std::iter::once(&program).chain(arguments);
    let quoted = words.map(|word| {
        let plain = |c: char| c.is_ascii_alphanumeric() || "-_./:,=+@".contains(c);
        if !word.is_empty() && word.chars().all(plain) {
            word.clone()
        } else {
            format!("'{}'", word.replace('\'', r"'\''"))
        }
    });
    quoted.collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_line_can_be_typed() {
        let arguments = ["-append", "it's a=1", ""].map(str::to_owned);
        let line = shell_line(Path::new("qemu"), &arguments);
        assert_eq!(line, r"qemu -append 'it'\''s a=1' ''");
    }

    #[test]
    fn commas_in_paths_are_doubled() {
        assert_eq!(option_value(Path::new("/tmp/a,b")), "/tmp/a,,b");
    }
}

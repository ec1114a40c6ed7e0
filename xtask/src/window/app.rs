//! A program that was started, and everything that it starts itself.
//!
//! It stays in our own process group, so that Ctrl-C on a terminal ends it along with us; otherwise
//! its handle ends it and its descendants, each by its number, and nothing else.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};

use super::Deadline;
use crate::failure::Failure;

/// A running program; it ends with this handle, and its descendants with it.
#[derive(Debug)]
pub(super) struct App {
    name: String,
    child: Child,
    log: PathBuf,
    guests: Vec<u32>,
}

impl App {
    /// Starts `command`, with what it says going to `log`.
    pub(super) fn start(name: &str, mut command: Command, log: PathBuf) -> Result<Self, Failure> {
        let failed = |what: &str, error: std::io::Error| {
            Failure::new(format!("cannot {what} {name}: {error}"))
        };
        let output = fs::File::create(&log).map_err(|error| failed("make the log of", error))?;
        let errors = output
            .try_clone()
            .map_err(|error| failed("make the log of", error))?;
        let child = command
            .stdin(Stdio::null())
            .stdout(output)
            .stderr(errors)
            .spawn()
            .map_err(|error| failed("start", error))?;
        Ok(Self {
            name: name.into(),
            child,
            log,
            guests: Vec::new(),
        })
    }

    /// Fails if it has ended, with the end of what it said.
    pub(super) fn still_runs(&mut self) -> Result<(), Failure> {
        match self.child.try_wait() {
            Ok(None) => Ok(()),
            Ok(Some(status)) => Err(self.failure(&format!("ended by itself ({status})"))),
            Err(error) => Err(self.failure(&format!("cannot be waited for: {error}"))),
        }
    }

    /// Waits for its end.
    pub(super) fn wait(&mut self, deadline: Deadline) -> Result<ExitStatus, Failure> {
        let status = deadline.poll(|| {
            self.child
                .try_wait()
                .map_err(|error| Failure::new(format!("cannot wait for {}: {error}", self.name)))
        })?;
        status.ok_or_else(|| self.failure("does not end"))
    }

    /// The QEMUs among its descendants; they are remembered, and end with this handle.
    pub(super) fn guests(&mut self) -> Vec<u32> {
        let found = descendants(self.child.id());
        let found = found.into_iter().filter(|pid| is_qemu(*pid));
        for pid in found.collect::<Vec<_>>() {
            if !self.guests.contains(&pid) {
                self.guests.push(pid);
            }
        }
        self.guests.clone()
    }

    /// A failure that says what it said last.
    pub(super) fn failure(&self, what: &str) -> Failure {
        let said = fs::read_to_string(&self.log).unwrap_or_default();
        let lines: Vec<&str> = said.lines().collect();
        let last = &lines[lines.len().saturating_sub(15)..];
        Failure::new(format!(
            "{} {what}; the end of {}:\n  {}",
            self.name,
            self.log.display(),
            last.join("\n  ")
        ))
    }
}

impl Drop for App {
    fn drop(&mut self) {
        let guests = self.guests();
        if matches!(self.child.try_wait(), Ok(None)) {
            // Its family is listed first: orphans are nobody's children that we know.
            let family = descendants(self.child.id());
            let _ = self.child.kill();
            family.into_iter().for_each(kill);
            let _ = self.child.wait();
        }
        guests
            .into_iter()
            .filter(|pid| is_qemu(*pid))
            .for_each(kill);
    }
}

/// Ends one process that is not our child. By the shell's own `kill`, because the standard library
/// ends children only, and the program of that name is not everywhere.
fn kill(pid: u32) {
    let _ = Command::new("sh")
        .args(["-c", "kill -KILL \"$0\"", &pid.to_string()])
        .stderr(Stdio::null())
        .status();
}

/// Whether this process is a QEMU that has not ended.
pub(super) fn is_qemu(pid: u32) -> bool {
    Process::of(pid).is_some_and(|process| process.name.starts_with("qemu-system") && process.lives)
}

/// All children of `ancestor`, their children, and so on.
fn descendants(ancestor: u32) -> Vec<u32> {
    let Ok(entries) = Path::new("/proc").read_dir() else {
        return Vec::new();
    };
    let pids = entries
        .flatten()
        .filter_map(|entry| entry.file_name().to_str()?.parse().ok());
    let parents: Vec<(u32, u32)> = pids
        .filter_map(|pid| Some((pid, Process::of(pid)?.parent)))
        .collect();
    let mut family = vec![ancestor];
    let mut next = 0;
    while let Some(parent) = family.get(next).copied() {
        let children = parents.iter().filter(|(_, of)| *of == parent);
        let children = children
            .map(|(pid, _)| *pid)
            .filter(|pid| !family.contains(pid));
        let children: Vec<u32> = children.collect();
        family.extend(children);
        next += 1;
    }
    family.split_off(1)
}

/// A line of `/proc/PID/stat`.
#[derive(Debug, PartialEq, Eq)]
struct Process {
    name: String,
    parent: u32,
    lives: bool,
}

impl Process {
    fn of(pid: u32) -> Option<Self> {
        Self::parse(&fs::read_to_string(format!("/proc/{pid}/stat")).ok()?)
    }

    /// `4242 (qemu-system-ris) S 4240 …`; the name may itself hold spaces and parentheses.
    fn parse(stat: &str) -> Option<Self> {
        let (before, after) = stat.rsplit_once(')')?;
        let (_, name) = before.split_once('(')?;
        let mut fields = after.split_whitespace();
        let state = fields.next()?;
        Some(Self {
            name: name.into(),
            parent: fields.next()?.parse().ok()?,
            lives: !matches!(state, "Z" | "X"),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_is_read_whatever_its_name() {
        let process = Process::parse("42 (a (b) c) S 7 42 42").expect("it is well formed");
        assert_eq!(
            process,
            Process {
                name: "a (b) c".into(),
                parent: 7,
                lives: true
            }
        );
        assert!(
            !Process::parse("42 (x) Z 7")
                .expect("it is well formed")
                .lives
        );
        assert_eq!(Process::parse("nonsense"), None);
    }

    #[test]
    fn a_child_is_a_descendant_and_ends_with_its_handle() {
        let mut sleeper = Command::new("sh");
        sleeper.args(["-c", "sleep 60 & sleep 60"]);
        let log = std::env::temp_dir().join(format!("xtask-app-{}.log", std::process::id()));
        let app = App::start("sleeper", sleeper, log.clone()).expect("there is a shell");
        let pid = app.child.id();
        let deadline = Deadline::after(std::time::Duration::from_secs(10));
        let children = deadline.poll(|| {
            let children = descendants(pid);
            Ok((children.len() == 2).then_some(children))
        });
        let children = children.expect("nothing fails here").expect("two sleeps");
        drop(app);
        let _ = fs::remove_file(log);
        let gone = deadline.poll(|| {
            let lives = |pid: &u32| Process::of(*pid).is_some_and(|process| process.lives);
            Ok((!children.iter().any(lives)).then_some(()))
        });
        assert_eq!(gone.expect("nothing fails here"), Some(()));
    }
}

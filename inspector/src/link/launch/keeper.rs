//! The thread that QEMU belongs to.

use std::io;
use std::os::unix::process::CommandExt;
use std::process::{Child, Command};
use std::sync::mpsc;
use std::thread;

use rustix::process::{Signal, getpid, getppid, set_parent_process_death_signal};

/// Keeps the thread alive that started a process; the process is killed when that thread ends.
#[derive(Debug)]
pub(super) struct Keeper {
    /// Closing it ends the thread.
    _alive: mpsc::Sender<()>,
}

/// Starts `command` so that it does not outlive us, however we end.
pub(super) fn spawn(mut command: Command) -> io::Result<(Child, Keeper)> {
    let (alive, ended) = mpsc::channel::<()>();
    let (send, receive) = mpsc::sync_channel(1);
    thread::Builder::new()
        .name("qemu-keeper".to_owned())
        .spawn(move || {
            die_with_parent(&mut command);
            let started = command.spawn();
            let failed = started.is_err();
            // The receiver waits below, for as long as it takes.
            let _ = send.send(started);
            if !failed {
                // Nothing is ever sent: this returns when the other end is gone.
                let _ = ended.recv();
            }
        })?;
    let lost = |_| io::Error::other("the thread that starts it has ended");
    let child = receive.recv().map_err(lost)??;
    Ok((child, Keeper { _alive: alive }))
}

fn die_with_parent(command: &mut Command) {
    let us = getpid();
    let in_child = move || {
        set_parent_process_death_signal(Some(Signal::KILL))?;
        // We may have ended between fork and here; then nobody will signal it.
        if getppid() != Some(us) {
            return Err(rustix::io::Errno::SRCH.into());
        }
        Ok(())
    };
    // SAFETY: between fork and exec only async-signal-safe calls are made: prctl and getppid are
    // single system calls, and neither path allocates (an `io::Error` from an errno is a number).
    unsafe {
        command.pre_exec(in_child);
    }
}

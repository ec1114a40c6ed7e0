//! What the live tests share: our kernel in a QEMU that ends with the test.
//!
//! Each test program uses a part of it.
#![allow(dead_code)]

pub(crate) mod console;
pub(crate) mod proxy;
pub(crate) mod restless;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::Arc;
use std::time::Duration;

use pagescope::capture::Capturer;
use pagescope::capture::step::CallStepper;
use pagescope::guest::ElfFile;
use pagescope::link::{Cancel, ConnectOptions, GdbTarget, Guest, Launch, Target};

/// A guard against a guest that hangs; nothing that works takes near as long.
pub(crate) const HANG_GUARD: Duration = Duration::from_secs(120);

/// Runs the program that is being tested.
pub(crate) fn pagescope(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_pagescope"))
        .args(arguments)
        .output()
        .expect("the program was built with the test")
}

/// What a run printed.
pub(crate) fn stdout(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned()
}

/// What a run complained about.
pub(crate) fn stderr(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

/// A folder of the test's own.
pub(crate) fn folder() -> tempfile::TempDir {
    tempfile::tempdir().expect("a folder for the test's files")
}

/// Our kernel's ELF, as `pagescope kernel` writes it.
pub(crate) fn kernel_in(folder: &Path) -> PathBuf {
    kernel_of_layout(folder, "pseudos")
}

/// Our kernel's ELF with this layout's program in its place.
pub(crate) fn kernel_of_layout(folder: &Path, layout: &str) -> PathBuf {
    let path = folder.join("kernel.elf");
    let output = pagescope(&["kernel", "--layout", layout, "-o", &path.to_string_lossy()]);
    assert!(output.status.success(), "{}", stderr(&output));
    path
}

/// A QEMU with our kernel, and nobody attached.
pub(crate) struct Machine {
    /// QEMU.
    pub(crate) guest: Guest,
    /// The kernel's ELF.
    pub(crate) elf: PathBuf,
    folder: tempfile::TempDir,
}

impl Machine {
    /// Boots our kernel with these arguments; `stopped` leaves it at reset.
    pub(crate) fn boot(append: &str, stopped: bool) -> Self {
        Self::boot_layout("pseudos", append, 1, stopped)
    }

    /// Boots this layout on so many harts.
    pub(crate) fn boot_layout(layout: &str, append: &str, harts: u32, stopped: bool) -> Self {
        let folder = folder();
        let elf = kernel_of_layout(folder.path(), layout);
        let kernel = fs::read(&elf).expect("the kernel was just written");
        let mut launch = Launch::new(&kernel);
        launch.append = append.into();
        launch.harts = harts;
        launch.stopped = stopped;
        let guest = launch.start().unwrap_or_else(|error| {
            panic!("{error} (`cargo xtask test` installs what is missing)")
        });
        Self { guest, elf, folder }
    }

    /// The gdb port as the command line takes it.
    pub(crate) fn address(&self) -> String {
        self.guest.address().to_string()
    }

    /// The kernel's debug channel as the command line takes it: the machine's serial port.
    pub(crate) fn channel(&self) -> String {
        format!("unix:{}", self.guest.console().display())
    }

    /// The ELF as the command line takes it.
    pub(crate) fn elf_text(&self) -> String {
        self.elf.to_string_lossy().into_owned()
    }

    /// A file in the test's folder.
    pub(crate) fn file(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Attaches over the gdb port.
    pub(crate) fn attach(&self) -> GdbTarget {
        GdbTarget::connect(self.guest.address(), ConnectOptions::default())
            .expect("QEMU serves its gdb port")
    }

    /// Attaches and runs to the first call of kalloc, where the boot's tables stand.
    pub(crate) fn attach_booted(&self) -> (GdbTarget, Capturer, CallStepper) {
        let mut target = self.attach();
        let elf = Arc::new(ElfFile::open(&self.elf).expect("our own ELF"));
        let entry = elf.address_of("kalloc").expect("kalloc is a real symbol");
        let stepper = CallStepper {
            symbol: "kalloc".into(),
            entry,
        };
        let capturer = Capturer::new(&mut target, Some(elf)).expect("QEMU says what it has");
        stepper
            .run_to_entry(&mut target, &Cancel::new(), HANG_GUARD)
            .expect("our kernel boots");
        (target, capturer, stepper)
    }
}

/// What QEMU's monitor answers.
pub(crate) fn monitor(target: &mut dyn Target, command: &str) -> String {
    target
        .monitor(command)
        .expect("QEMU answers")
        .expect("QEMU has a monitor")
}

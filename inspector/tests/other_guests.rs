//! Kernels that are not ours, built on this machine: `cargo xtask guests --xv6 DIR --linux DIR` runs these.
//!
//! ```text
//!  PAGESCOPE_XV6=DIR     a built xv6-riscv: kernel/kernel, fs.img
//!  PAGESCOPE_LINUX=DIR   a built Linux with debug information: vmlinux, arch/riscv/boot/Image;
//!                        PAGESCOPE_INITRD=FILE with an /init that starts processes
//! ```

mod support;

use std::io::{Read as _, Write as _};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;
use support::{HANG_GUARD, pagescope, stderr, stdout};

/// A QEMU that ends with the test.
struct Qemu {
    child: Child,
    folder: tempfile::TempDir,
}

impl Drop for Qemu {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Qemu {
    fn start(words: &[String]) -> Self {
        let folder = support::folder();
        let gdb = format!("unix:{}/gdb,server=on,wait=off", folder.path().display());
        let serial = format!(
            "unix:{}/console,server=on,wait=off",
            folder.path().display()
        );
        let child = Command::new("qemu-system-riscv64")
            .args(["-machine", "virt", "-display", "none", "-monitor", "none"])
            .args(["-gdb", &gdb, "-serial", &serial])
            .args(words)
            .stdin(Stdio::null())
            .spawn()
            .expect("QEMU is installed");
        Self { child, folder }
    }

    fn address(&self) -> String {
        format!("unix:{}/gdb", self.folder.path().display())
    }

    fn console(&self) -> UnixStream {
        let path = self.folder.path().join("console");
        let deadline = Instant::now() + HANG_GUARD;
        loop {
            match UnixStream::connect(&path) {
                Ok(stream) => {
                    let set = stream.set_read_timeout(Some(HANG_GUARD));
                    set.expect("a socket takes a timeout");
                    return stream;
                }
                Err(error) => assert!(Instant::now() < deadline, "no console: {error}"),
            }
            std::thread::sleep(Duration::from_millis(20));
        }
    }
}

fn read_until(stream: &mut UnixStream, end: &str) -> String {
    let mut said = String::new();
    let mut byte = [0];
    while !said.ends_with(end) {
        if let Err(error) = stream.read_exact(&mut byte) {
            panic!("no {end:?} ({error}) after:\n{said}");
        }
        said.push(char::from(byte[0]));
    }
    said
}

fn folder_in(variable: &str) -> PathBuf {
    let folder = std::env::var_os(variable);
    PathBuf::from(
        folder.unwrap_or_else(|| panic!("{variable} is not set: run `cargo xtask guests`")),
    )
}

fn json(words: &[&str]) -> Value {
    let mut all = words.to_vec();
    all.extend(["--format", "json"]);
    let output = pagescope(&all);
    assert_eq!(
        output.status.code(),
        Some(0),
        "{words:?}: {}",
        stderr(&output)
    );
    serde_json::from_str(&stdout(&output)).expect("JSON")
}

fn texts(list: &Value, key: &str) -> Vec<String> {
    let items = list.as_array().into_iter().flatten();
    items
        .filter_map(|item| Some(item[key].as_str()?.to_owned()))
        .collect()
}

/// Every space that is named has a root that a scan finds without being told of it.
fn scan_finds(address: &str, elf: &str) {
    // The guest goes on between the two: what is in both captures around the scan was there meanwhile.
    let roots = || {
        let all = json(&["spaces", address, "--elf", elf]);
        let all = all.as_array().into_iter().flatten();
        let all = all.filter(|space| space["mode"] != "Bare");
        let named = |space: &Value| {
            let text = |key: &str| space[key].as_str().unwrap_or_default().to_owned();
            (text("name"), text("root"))
        };
        all.map(named).collect::<Vec<_>>()
    };
    let before = roots();
    let found = texts(&json(&["spaces", address, "--scan"]), "root");
    let after = roots();
    let lasting: Vec<_> = before.iter().filter(|one| after.contains(one)).collect();
    assert!(lasting.len() >= 3, "{before:?} {after:?}");
    for (name, root) in lasting {
        assert!(found.contains(root), "{name} at {root} is not in {found:?}");
    }
}

#[test]
#[ignore = "needs an xv6 that was built here: cargo xtask guests --xv6 DIR"]
fn xv6_is_attached_to_while_it_runs() {
    let folder = folder_in("PAGESCOPE_XV6");
    let kernel = folder.join("kernel/kernel");
    let disk = support::folder();
    // It writes to its disk, which is the user's.
    let image = disk.path().join("fs.img");
    std::fs::copy(folder.join("fs.img"), &image).expect("a built xv6 has an fs.img");
    let text = |path: &Path| path.to_string_lossy().into_owned();
    let words = [
        "-bios",
        "none",
        "-m",
        "128M",
        "-smp",
        "3",
        "-global",
        "virtio-mmio.force-legacy=false",
        "-device",
        "virtio-blk-device,drive=x0,bus=virtio-mmio-bus.0",
        "-kernel",
        &text(&kernel),
        "-drive",
        &format!("file={},if=none,format=raw,id=x0", text(&image)),
    ];
    let qemu = Qemu::start(&words.map(str::to_owned));
    let mut reader = qemu.console();
    let mut typing = reader.try_clone().expect("a socket can be shared");
    writeln!(typing).expect("the console takes it");
    read_until(&mut reader, "$ ");
    let (address, elf) = (qemu.address(), text(&kernel));

    let spaces = json(&["spaces", &address, "--elf", &elf]);
    let names = texts(&spaces, "name");
    for name in ["kernel", "proc 1 init", "proc 2 sh"] {
        assert!(names.iter().any(|known| known == name), "{names:?}");
    }
    // Processes that come and go, and more than one of them.
    writeln!(typing, "grind &").expect("the console takes it");
    read_until(&mut reader, "$ ");
    let steps = json(&[
        "step", &address, "--elf", &elf, "--symbol", "kalloc", "--count", "20",
    ]);
    assert_eq!(texts(&steps, "returned").len(), 20);
    let callers = texts(&steps, "caller");
    assert!(callers.iter().all(|by| by.contains(".c:")), "{callers:?}");
    scan_finds(&address, &elf);

    // Each hart has registers of its own, and its own place in the source.
    let file = disk.path().join("xv6.ron");
    let output = pagescope(&["snapshot", &address, "--elf", &elf, "-o", &text(&file)]);
    assert!(output.status.success(), "{}", stderr(&output));
    let snapshot = std::fs::read_to_string(&file).expect("it was written");
    assert!(snapshot.contains("profile xv6-riscv"), "{snapshot:.600}");
    let harts: Vec<&str> = snapshot
        .lines()
        .filter(|line| line.contains("tp: \"0x"))
        .collect();
    assert_eq!(harts.len(), 3, "three harts have a tp");

    writeln!(typing, "echo alive").expect("the console takes it");
    read_until(&mut reader, "alive\n");
    read_until(&mut reader, "alive");
}

#[test]
#[ignore = "needs a Linux that was built here: cargo xtask guests --linux DIR"]
fn linux_is_attached_to_while_it_runs() {
    let folder = folder_in("PAGESCOPE_LINUX");
    let initrd = folder_in("PAGESCOPE_INITRD");
    let text = |path: &Path| path.to_string_lossy().into_owned();
    let words = [
        "-m",
        "256M",
        "-smp",
        "2",
        "-kernel",
        &text(&folder.join("arch/riscv/boot/Image")),
        "-initrd",
        &text(&initrd),
        "-append",
        "console=ttyS0 riscv_isa_fallback",
    ];
    let qemu = Qemu::start(&words.map(str::to_owned));
    let mut console = qemu.console();
    read_until(&mut console, "as init process");
    let (address, elf) = (qemu.address(), text(&folder.join("vmlinux")));
    let deadline = Instant::now() + HANG_GUARD;
    loop {
        let names = texts(&json(&["spaces", &address, "--elf", &elf]), "name");
        let processes = names.iter().filter(|name| name.starts_with("process "));
        if processes.count() >= 3 {
            assert!(names.iter().any(|name| name == "kernel"), "{names:?}");
            break;
        }
        assert!(Instant::now() < deadline, "{names:?}");
    }
    scan_finds(&address, &elf);
    let steps = json(&["step", &address, "--elf", &elf, "--count", "5"]);
    assert_eq!(texts(&steps, "returned").len(), 5);
}

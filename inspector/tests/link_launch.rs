//! QEMU of our own: it starts, is read by both ways alike, and ends with us, however we end.
#![allow(clippy::unwrap_used, reason = "a test stops where a step fails")]

mod link_support;

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};
use std::{fs, thread};

use link_support::*;
use pagescope::link::memory::mapped::RamFile;
use pagescope::link::{
    Cancel, ConnectOptions, GdbTarget, HartId, Launch, LaunchError, LinkError, PhysicalAccess,
    Target,
};

/// A kernel of two instructions, loaded at 0x80000000: `addi a2, a2, 1` and a jump back to it, in
/// front of a page of known bytes.
fn kernel() -> Vec<u8> {
    let mut code = vec![0x13, 0x06, 0x16, 0x00, 0x6f, 0xf0, 0xdf, 0xff];
    code.extend((8..8192u32).map(|n| (n * 7 + n / 256) as u8));
    let mut elf = vec![0x7f, b'E', b'L', b'F', 2, 1, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0];
    let start = 0x8000_0000u64;
    let header = 64 + 56u64;
    elf.extend([2, 0, 243, 0, 1, 0, 0, 0]);
    for word in [start, 64, 0] {
        elf.extend(word.to_le_bytes());
    }
    elf.extend([0, 0, 0, 0, 64, 0, 56, 0, 1, 0, 64, 0, 0, 0, 0, 0]);
    elf.extend([1, 0, 0, 0, 7, 0, 0, 0]);
    let size = code.len() as u64;
    for word in [header, start, start, size, size, 4096] {
        elf.extend(word.to_le_bytes());
    }
    elf.extend(code);
    elf
}

fn is_alive(pid: u32) -> bool {
    let Ok(stat) = fs::read_to_string(format!("/proc/{pid}/stat")) else {
        return false;
    };
    // A zombie is dead.
    !stat
        .rsplit(')')
        .next()
        .unwrap_or_default()
        .trim()
        .starts_with('Z')
}

fn until(what: &str, mut holds: impl FnMut() -> bool) {
    let guard = Instant::now() + HANG_GUARD;
    while !holds() {
        assert!(Instant::now() < guard, "{what}");
        thread::sleep(Duration::from_millis(10));
    }
}

#[test]
fn both_ways_to_memory_answer_alike() {
    let kernel = kernel();
    let mut launch = Launch::new(&kernel);
    launch.append = "layout=pseudos tables=pool, it's".to_owned();
    let guest = launch.start().unwrap();
    assert!(guest.command_line().contains("-kernel"));
    let mut target = GdbTarget::connect(guest.address(), guest.connect_options()).unwrap();
    assert_eq!(target.facts().physical, PhysicalAccess::MappedRam);
    assert_eq!(target.facts().physical.to_string(), "mapped RAM");
    let places = [
        range(0x8000_0000, 8192),
        range(0x8000_0003, 5),
        range(0x8123_4000, 4096),
        range(0x87ff_f000, 4096),
        range(0x8000_0000, 0),
        range(0x8000_0001, 70_000),
    ];
    for _ in 0..3 {
        let by_file = target.read_physical(&places).unwrap();
        let by_port = target.read_over_port(&places).unwrap();
        assert!(by_file == by_port);
        assert!(by_file.iter().all(Option::is_some));
        assert_eq!(&by_file[0].as_ref().unwrap()[..4], [0x13, 0x06, 0x16, 0x00]);
        target.resume().unwrap();
        thread::sleep(Duration::from_millis(20));
        // The file is readable while the guest runs; the port is not.
        assert!(target.read_physical(&places).unwrap()[0].is_some());
        assert!(matches!(
            target.read_over_port(&places),
            Err(LinkError::Running { .. })
        ));
        target.interrupt().unwrap();
        target.wait_for_stop(HANG_GUARD).unwrap().unwrap();
    }
    assert!(target.register(HartId::new(0), "a2").unwrap() > Some(0));
    let outside = [
        range(0x1000_0000, 8),
        range(0x87ff_ffff, 2),
        range(u64::MAX, 1),
    ];
    assert_eq!(target.read_physical(&outside).unwrap(), [None, None, None]);
}

#[test]
fn a_file_that_is_not_its_ram_is_refused() {
    let kernel = kernel();
    let guest = Launch::new(&kernel).start().unwrap();
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("ram");
    fs::write(&path, vec![1; 1 << 20]).unwrap();
    let connect = |path: PathBuf| {
        let options = ConnectOptions {
            ram_file: Some(RamFile::new(path)),
            ..ConnectOptions::default()
        };
        GdbTarget::connect(guest.address(), options).unwrap_err()
    };
    let error = connect(path.clone());
    assert!(error.to_string().contains("do not hold all"), "{error}");
    let file = fs::File::options().write(true).open(&path).unwrap();
    file.set_len(128 << 20).unwrap();
    let error = connect(path);
    assert!(error.to_string().contains("something else than"), "{error}");
    let error = connect(directory.path().join("missing"));
    assert!(matches!(error, LinkError::RamFile { .. }), "{error}");
}

#[test]
fn it_starts_running_when_asked_and_waiting_does_not_stop_it() {
    let kernel = kernel();
    let mut launch = Launch::new(&kernel);
    launch.stopped = false;
    launch.harts = 2;
    launch.memory_mib = 64;
    let guest = launch.start().unwrap();
    // Nobody has connected yet: the guest counts in a2.
    thread::sleep(Duration::from_millis(100));
    let mut target = GdbTarget::connect(guest.address(), guest.connect_options()).unwrap();
    assert_eq!(target.harts().unwrap().len(), 2);
    assert!(target.register(HartId::new(0), "a2").unwrap() > Some(0));
    assert!(!format!("{:?}", target.facts().found).contains("Stopped"));
}

#[test]
fn dropping_it_ends_qemu_and_leaves_nothing() {
    let kernel = kernel();
    let mut guest = Launch::new(&kernel).start().unwrap();
    let (pid, directory) = (guest.pid(), directory_of(guest.console()));
    assert!(is_alive(pid) && directory.exists());
    assert_eq!(guest.ended(), None);
    assert!(guest.connect_console().is_ok());
    drop(guest);
    assert!(!is_alive(pid));
    assert!(!directory.exists());
}

fn directory_of(path: &Path) -> PathBuf {
    path.parent().unwrap().to_owned()
}

#[test]
fn its_end_is_noticed() {
    let kernel = kernel();
    let mut guest = Launch::new(&kernel).start().unwrap();
    let mut target = GdbTarget::connect(guest.address(), guest.connect_options()).unwrap();
    let killed = Command::new("kill")
        .arg("-9")
        .arg(guest.pid().to_string())
        .status();
    assert!(killed.unwrap().success());
    until("its end is not noticed", || guest.ended().is_some());
    assert!(matches!(target.harts(), Err(LinkError::Lost { .. })));
}

#[test]
fn what_cannot_start_says_why() {
    let kernel = kernel();
    let mut launch = Launch::new(&kernel);
    launch.program = PathBuf::from("qemu-system-of-nowhere");
    let error = launch.start().unwrap_err();
    assert!(matches!(error, LaunchError::QemuMissing { .. }), "{error}");
    assert!(
        error
            .to_string()
            .contains("qemu-system-of-nowhere is not installed; type: ")
    );

    let error = Launch::new(b"no ELF at all").start().map(|mut guest| {
        // QEMU takes any file as a raw image; then it runs and is no error.
        assert_eq!(guest.ended(), None);
    });
    assert!(error.is_ok());

    let mut launch = Launch::new(&kernel);
    launch.harts = 100_000;
    let error = launch.start().unwrap_err();
    assert!(matches!(error, LaunchError::Ended { .. }), "{error}");
    assert!(error.to_string().to_lowercase().contains("cpus"), "{error}");

    let mut launch = Launch::new(&kernel);
    launch.program = PathBuf::from("/bin/cat");
    let error = launch.start().unwrap_err();
    assert!(matches!(error, LaunchError::Ended { .. }), "{error}");
}

#[test]
fn waiting_for_a_port_that_never_opens_ends() {
    let directory = tempfile::tempdir().unwrap();
    let program = directory.path().join("sleeps");
    fs::write(&program, "#!/bin/sh\necho a word\nexec sleep 1000\n").unwrap();
    Command::new("chmod")
        .arg("+x")
        .arg(&program)
        .status()
        .unwrap();
    let kernel = kernel();
    let mut launch = Launch::new(&kernel);
    launch.program = program;
    launch.timeout = Duration::from_millis(200);
    let error = launch.start().unwrap_err();
    assert!(matches!(error, LaunchError::NoPort { .. }), "{error}");
    assert!(error.to_string().contains("a word"), "{error}");
    launch.cancel = Cancel::new();
    launch.cancel.cancel();
    let error = launch.start().unwrap_err();
    assert!(matches!(error, LaunchError::Cancelled), "{error}");
}

/// Not a test of its own: the process that the next test kills.
#[test]
#[ignore = "started by an_application_that_is_killed_takes_qemu_with_it"]
fn an_application_with_a_guest() {
    let kernel = kernel();
    // On a thread that ends at once, as a task of an application may.
    let guest = thread::spawn(move || Launch::new(&kernel).start().unwrap())
        .join()
        .unwrap();
    thread::sleep(Duration::from_millis(300));
    let report = std::env::var("PAGESCOPE_TEST_REPORT").unwrap();
    let text = format!("{}\n{}", guest.pid(), guest.console().display());
    fs::write(format!("{report}.part"), text).unwrap();
    fs::rename(format!("{report}.part"), report).unwrap();
    thread::sleep(HANG_GUARD);
}

#[test]
fn an_application_that_is_killed_takes_qemu_with_it() {
    let directory = tempfile::tempdir().unwrap();
    let report = directory.path().join("report");
    let mut application = Command::new(std::env::current_exe().unwrap())
        .args(["--ignored", "--exact", "an_application_with_a_guest"])
        .env("PAGESCOPE_TEST_REPORT", &report)
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    until("the application does not start", || report.exists());
    let report = fs::read_to_string(&report).unwrap();
    let (pid, console) = report.split_once('\n').unwrap();
    let pid = pid.parse().unwrap();
    assert!(is_alive(pid), "it outlives the thread that launched it");
    let left = directory_of(Path::new(console));
    application.kill().unwrap();
    application.wait().unwrap();
    until("QEMU outlives the application", || !is_alive(pid));
    // The next launch clears up.
    let kernel = kernel();
    let _guest = Launch::new(&kernel).start().unwrap();
    assert!(!left.exists());
}

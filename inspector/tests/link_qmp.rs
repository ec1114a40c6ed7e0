//! QEMU's monitor as a peer: both forms live, and servers that misbehave.
#![allow(clippy::unwrap_used, reason = "a test that panics has failed")]

mod link_support;

use std::io::{Read as _, Write as _};
use std::os::unix::net::UnixListener;
use std::path::PathBuf;
use std::thread;
use std::time::{Duration, Instant};

use link_support::{HANG_GUARD, Qemu};
use pagescope::link::memory::mapped::RamFile;
use pagescope::link::{
    Address, Cancel, FoundState, HartId, LinkError, Monitor, MonitorOptions, MonitorTarget,
    PhysicalAccess, Target,
};
use pagescope_protocol::{PhysAddr, PhysRange};

/// A QEMU with its RAM in a file and both forms of monitor; it waits at reset.
struct Watched {
    qemu: Qemu,
    folder: tempfile::TempDir,
}

impl Watched {
    fn start(more: &[&str]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name).display().to_string();
        let backend = format!(
            "memory-backend-file,id=ram,size=128M,mem-path={},share=on",
            at("ram")
        );
        let qmp = format!("unix:{},server=on,wait=off", at("qmp"));
        let hmp = format!("socket,id=hmp,path={},server=on,wait=off", at("hmp"));
        let options = [
            &[
                "-machine",
                "memory-backend=ram",
                "-object",
                &backend,
                "-qmp",
                &qmp,
            ][..],
            &["-chardev", &hmp, "-mon", "chardev=hmp,mode=readline"],
            more,
        ];
        Self {
            qemu: Qemu::start(&options.concat()),
            folder,
        }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn monitor(&self, form: &str) -> Address {
        let socket = self.path(form);
        let guard = Instant::now() + HANG_GUARD;
        while !socket.exists() {
            assert!(Instant::now() < guard, "QEMU opens no monitor");
            thread::sleep(Duration::from_millis(5));
        }
        Address::Unix(socket)
    }

    fn connect(&self, form: &str) -> MonitorTarget {
        MonitorTarget::connect(&self.monitor(form), MonitorOptions::default()).unwrap()
    }
}

/// Both forms say the same, and neither touches the machine.
#[test]
fn both_forms_of_the_monitor_say_the_same() {
    let watched = Watched::start(&["-smp", "2", "-S"]);
    for form in ["qmp", "hmp"] {
        let mut monitor =
            Monitor::connect(&watched.monitor(form), HANG_GUARD, Cancel::new()).unwrap();
        let status = monitor.status().unwrap();
        assert_eq!(
            (status.is_running, status.word.as_str()),
            (false, "prelaunch")
        );
        assert!(
            monitor
                .command("info version")
                .unwrap()
                .starts_with(char::is_numeric)
        );
        let nonsense = monitor.command("no such thing").unwrap();
        assert!(nonsense.contains("unknown command"), "{nonsense:?}");
        assert!(
            monitor
                .command("info mtree -f")
                .unwrap()
                .contains("FlatView")
        );
        drop(monitor);

        // Its RAM's file is found by asking.
        let mut target = watched.connect(form);
        assert_eq!(target.facts().found, FoundState::Stopped);
        assert_eq!(target.harts().unwrap(), [0, 1].map(HartId::new));
        let registers = target.registers(HartId::new(1)).unwrap();
        assert_eq!(registers.pc, Some(0x1000), "{form}");
        assert_eq!(registers.get("mhartid"), Some(1));
        assert_eq!(registers.satp.map(|satp| satp.bits()), Some(0));
        // What a debugger does is refused, with the remedy.
        let refused = target.step(HartId::new(0)).unwrap_err();
        assert!(
            refused.to_string().contains("needs the gdb port"),
            "{refused}"
        );
    }
}

/// A machine is run and stopped through its monitor, and left as it was found.
#[test]
fn a_machine_is_left_as_it_was_found() {
    let watched = Watched::start(&["-S"]);
    let mut target = watched.connect("qmp");
    target.resume().unwrap();
    assert!(target.is_running());
    assert_eq!(target.wait_for_stop(Duration::ZERO), Ok(None));
    Box::new(target).detach().unwrap();
    let mut target = watched.connect("hmp");
    assert_eq!(target.facts().found, FoundState::Stopped);
    target.resume().unwrap();
    target.interrupt().unwrap();
    assert!(target.wait_for_stop(HANG_GUARD).unwrap().is_some());
    target.monitor("cont").unwrap();
    target.ask_running().unwrap();
    drop(target);

    let mut target = watched.connect("qmp");
    assert_eq!(target.facts().found, FoundState::Stopped);
    target.monitor("cont").unwrap();
    drop(target);
    let mut target = watched.connect("qmp");
    assert_eq!(target.facts().found, FoundState::Running);
    target.interrupt().unwrap();
    assert!(target.wait_for_stop(HANG_GUARD).unwrap().is_some());
    Box::new(target).detach().unwrap();
    assert_eq!(watched.connect("qmp").facts().found, FoundState::Running);
}

/// Somebody who names the gdb port for the monitor has stopped the machine by that; it runs on.
#[test]
fn a_gdb_port_taken_for_a_monitor_lets_its_machine_run_on() {
    let watched = Watched::start(&[]);
    let error = connect(&watched.qemu.address, Duration::from_secs(2)).unwrap_err();
    match error {
        LinkError::NotAMonitor { .. } => {
            let mut target = watched.connect("qmp");
            assert_eq!(target.ask_running(), Ok(true));
        }
        // QEMU from 8.1 on says nothing by itself.
        error => assert!(matches!(error, LinkError::MonitorSilent { .. }), "{error}"),
    }
}

/// Memory is the machine's, and only RAM that is in the file is read.
#[test]
fn memory_is_read_from_the_file_behind_it() {
    let watched = Watched::start(&["-S"]);
    let mut target = watched.connect("qmp");
    let range = |start, size| PhysRange::new(PhysAddr::new(start), size).unwrap();
    let read = target
        .read_physical(&[range(0x8000_0000, 8), range(0x1000_0000, 8)])
        .unwrap();
    assert_eq!(read[1], None);
    let word = read[0].clone().unwrap();
    let printed = target.monitor("xp /1xg 0x80000000").unwrap().unwrap();
    let value = u64::from_le_bytes(word.try_into().unwrap());
    assert!(printed.contains(&format!("{value:#018x}")), "{printed}");
}

/// Another machine's file is not believed, and a machine without one is told what to do.
#[test]
fn ram_that_is_another_machines_is_refused() {
    let watched = Watched::start(&["-S"]);
    let other = watched.path("other");
    std::fs::write(&other, vec![7; 128 << 20]).unwrap();
    let options = MonitorOptions {
        ram_file: Some(RamFile::new(other)),
        ..MonitorOptions::default()
    };
    let error = MonitorTarget::connect(&watched.monitor("qmp"), options).unwrap_err();
    assert!(matches!(error, LinkError::RamFile { .. }), "{error}");

    // Without a file there is QEMU's own memory, where the system lets us look into it.
    let folder = tempfile::tempdir().unwrap();
    let socket = folder.path().join("qmp");
    let qmp = format!("unix:{},server=on,wait=off", socket.display());
    let _qemu = Qemu::start(&["-S", "-qmp", &qmp]);
    match MonitorTarget::connect(&Address::Unix(socket), MonitorOptions::default()) {
        Ok(target) => assert_eq!(target.facts().physical, PhysicalAccess::ProcessMemory),
        Err(error) => {
            let words = error.to_string();
            assert!(matches!(error, LinkError::NotMapped { .. }), "{words}");
            assert!(words.contains("RAM is not in a file"), "{words}");
            assert!(words.contains("-object memory-backend-file"), "{words}");
        }
    }
}

/// A server that says `greeting`, and to each line that it hears the next of `answers`.
fn server(greeting: &'static [u8], answers: Vec<Vec<u8>>) -> (tempfile::TempDir, Address) {
    let folder = tempfile::tempdir().unwrap();
    let socket = folder.path().join("monitor");
    let listener = UnixListener::bind(&socket).unwrap();
    thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        let _ = stream.write_all(greeting);
        let mut byte = [0];
        for answer in answers {
            loop {
                match stream.read(&mut byte) {
                    Ok(1) if byte[0] != b'\n' => {}
                    Ok(1) => break,
                    _ => return,
                }
            }
            if stream.write_all(&answer).is_err() {
                return;
            }
        }
        // Silent, and there, until the other side goes.
        while matches!(stream.read(&mut byte), Ok(1)) {}
    });
    (folder, Address::Unix(socket))
}

fn connect(address: &Address, timeout: Duration) -> Result<Monitor, LinkError> {
    Monitor::connect(address, timeout, Cancel::new())
}

const SHORT: Duration = Duration::from_millis(200);
const QMP: &[u8] = b"{\"QMP\": {\"version\": {}, \"capabilities\": []}}\r\n";
const HMP: &[u8] = b"QEMU 10.0.2 monitor - type 'help' for more information\r\n(qemu) ";

#[test]
fn nobody_and_somebody_else_are_told_apart() {
    let folder = tempfile::tempdir().unwrap();
    let nobody = Address::Unix(folder.path().join("nobody"));
    let error = connect(&nobody, HANG_GUARD).unwrap_err();
    assert!(matches!(error, LinkError::NoMonitor { .. }), "{error}");
    assert!(error.to_string().contains("-qmp unix:"), "{error}");

    for greeting in [&b"SSH-2.0-OpenSSH_9.2\r\n"[..], b"$T02thread:01;#04", b"+"] {
        let (_folder, address) = server(greeting, Vec::new());
        let error = connect(&address, SHORT).unwrap_err();
        assert!(matches!(error, LinkError::NotAMonitor { .. }), "{error}");
    }
    // One that says nothing: a gdb port, or a monitor that serves somebody else.
    for greeting in [&b""[..], b"QEMU 10", b"{\"QMP\""] {
        let (_folder, address) = server(greeting, Vec::new());
        let error = connect(&address, SHORT).unwrap_err();
        assert!(matches!(error, LinkError::MonitorSilent { .. }), "{error}");
    }
}

#[test]
fn answers_that_make_no_sense_end_the_connection() {
    let (_folder, address) = server(
        QMP,
        vec![b"{\"return\": {}, \"id\": 1}\r\nhello\r\n".to_vec()],
    );
    let mut monitor = connect(&address, HANG_GUARD).unwrap();
    let error = monitor.command("info version").unwrap_err();
    assert!(
        matches!(error, LinkError::MonitorNonsense { .. }),
        "{error}"
    );
    assert!(!monitor.is_alive());
    assert!(matches!(monitor.command("x"), Err(LinkError::Lost { .. })));

    // Refused: the connection goes on.
    let ready = b"{\"return\": {}, \"id\": 1}\r\n".to_vec();
    let refused = b"{\"event\": \"STOP\"}\n{\"id\": 2, \"error\": {\"desc\": \"no\"}}\n".to_vec();
    let fine = b"{\"id\": 3, \"return\": \"yes\\r\\n\"}\n".to_vec();
    let (_folder, address) = server(QMP, vec![ready, refused, fine]);
    let mut monitor = connect(&address, HANG_GUARD).unwrap();
    let error = monitor.command("info x").unwrap_err();
    assert_eq!(error.to_string(), "QEMU's monitor refused `info x`: no");
    assert_eq!(monitor.command("info y").as_deref(), Ok("yes\n"));
}

/// An answer without an end is neither kept for ever nor waited for.
#[test]
fn an_endless_answer_is_ended() {
    let (_folder, address) = server(HMP, vec![vec![b'x'; 20 << 20]]);
    let mut monitor = connect(&address, HANG_GUARD).unwrap();
    let error = monitor.command("info x").unwrap_err();
    assert!(
        matches!(error, LinkError::MonitorNonsense { .. }),
        "{error}"
    );
    let (_folder, address) = server(HMP, vec![b"echo\r\nhalf an answer".to_vec()]);
    let mut monitor = connect(&address, SHORT).unwrap();
    let error = monitor.command("info x").unwrap_err();
    assert!(matches!(error, LinkError::MonitorSilent { .. }), "{error}");
    // What comes too late would be taken for the next one's answer.
    assert!(!monitor.is_alive());
}

#[test]
fn a_wait_ends_when_it_is_cancelled() {
    let (_folder, address) = server(HMP, Vec::new());
    let cancel = Cancel::new();
    let mut monitor = Monitor::connect(&address, HANG_GUARD, cancel.clone()).unwrap();
    let waiting = thread::spawn(move || monitor.command("info x"));
    thread::sleep(SHORT);
    cancel.cancel();
    assert_eq!(waiting.join().unwrap(), Err(LinkError::Cancelled));
}

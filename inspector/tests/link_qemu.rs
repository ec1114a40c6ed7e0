//! The client against live QEMU: reading, moving, and leaving it as it was found.
#![allow(clippy::unwrap_used, reason = "a test stops where a step fails")]

mod link_support;

use std::time::{Duration, Instant};

use link_support::*;
use pagescope::link::qemu::{MTREE, MemoryMap};
use pagescope::link::{
    FoundState, GdbTarget, HartId, LinkError, PhysicalAccess, Privilege, StopReason, Stub, Target,
};
use pagescope_protocol::{TranslationMode, VirtAddr};

const FIRMWARE: &[&str] = &["-bios", "default"];
const AT_RESET: &[&str] = &["-bios", "default", "-S"];

/// Whether the machine ran before this connection, as the target itself finds out; and leaves it so.
fn found(qemu: &Qemu) -> FoundState {
    let target = qemu.connect();
    let found = target.facts().found;
    Box::new(target).detach().unwrap();
    found
}

/// QEMU from 8.1 on cannot tell a guest that runs from one that was paused (see `link::gdb`).
fn expected(found: FoundState, target: &GdbTarget) -> Vec<FoundState> {
    let Stub::Qemu {
        version: Some(version),
    } = &target.facts().stub
    else {
        panic!("{:?} is not QEMU", target.facts().stub);
    };
    let release = pagescope::link::qemu::release(version).unwrap();
    if release < (8, 1) {
        vec![found]
    } else {
        vec![found, FoundState::Unknown]
    }
}

#[test]
fn a_guest_at_reset() {
    let qemu = Qemu::start(&[AT_RESET, &["-smp", "2"]].concat());
    let mut target = qemu.connect();
    let facts = target.facts().clone();
    assert_eq!(facts.found, FoundState::Stopped);
    assert_eq!(facts.architecture, "riscv:rv64");
    assert_eq!(facts.physical, PhysicalAccess::GdbPort);
    assert!(facts.packet_size_bytes >= 0x1000);
    let mut harts = target.harts().unwrap();
    harts.sort();
    assert_eq!(harts, [HartId::new(0), HartId::new(1)]);
    for hart in harts {
        let registers = target.registers(hart).unwrap();
        assert_eq!(registers.pc, Some(0x1000));
        assert_eq!(registers.privilege, Some(Privilege::Machine));
        assert_eq!(registers.satp.unwrap().mode(), TranslationMode::Bare);
        assert_eq!(registers.get("mhartid"), Some(u64::from(hart.number())));
        assert_eq!(target.register(hart, "pc").unwrap(), Some(0x1000));
        assert_eq!(target.register(hart, "nothing").unwrap(), None);
    }
    // The reset vector's first instruction, auipc t0, 0.
    let read = target.read_physical(&[range(0x1000, 4)]).unwrap();
    assert_eq!(read, [Some(vec![0x97, 0x02, 0, 0])]);
    target.step(HartId::new(1)).unwrap();
    let hart = HartId::new(1);
    let stopped = target.wait_for_stop(HANG_GUARD).unwrap();
    assert_eq!(stopped, Some(StopReason::Step { hart }));
    assert_eq!(target.register(hart, "pc").unwrap(), Some(0x1004));
    assert_eq!(target.register(HartId::new(0), "pc").unwrap(), Some(0x1000));
    let error = target.registers(HartId::new(7)).unwrap_err();
    assert!(matches!(error, LinkError::Refused { .. }), "{error}");
    let text = target.monitor(MTREE).unwrap().unwrap();
    let map = MemoryMap::from_mtree(&text).unwrap();
    assert_eq!(map.ram[0].range, range(0x8000_0000, 128 << 20));
    assert!(map.devices.iter().any(|device| device.name == "serial"));
}

#[test]
fn every_state_is_left_as_it_was_found() {
    let qemu = Qemu::start(FIRMWARE);
    let target = qemu.connect();
    let running = expected(FoundState::Running, &target);
    assert!(running.contains(&target.facts().found));
    Box::new(target).detach().unwrap();
    assert!(running.contains(&found(&qemu)), "detaching resumes");
    // Dropping does the same, with a breakpoint set, and while it runs.
    let mut target = qemu.connect();
    target.set_breakpoint(VirtAddr::new(0x10)).unwrap();
    target.read_physical(&[range(0x8000_0000, 64)]).unwrap();
    target.resume().unwrap();
    drop(target);
    let mut target = qemu.connect();
    assert!(running.contains(&target.facts().found));
    // Left running, without a breakpoint of ours.
    target.resume().unwrap();
    Box::new(target).detach().unwrap();
    assert!(running.contains(&found(&qemu)));

    let qemu = Qemu::start(AT_RESET);
    for _ in 0..2 {
        assert_eq!(found(&qemu), FoundState::Stopped);
    }
    // Found stopped, resumed by us: stopped again.
    let mut target = qemu.connect();
    target.resume().unwrap();
    Box::new(target).detach().unwrap();
    let target = qemu.connect();
    let stopped = expected(FoundState::Stopped, &target);
    assert!(stopped.contains(&target.facts().found));
}

#[test]
fn a_guest_that_another_debugger_left() {
    // It stopped at that debugger's breakpoint, and the debugger went without a word.
    let qemu = Qemu::start(AT_RESET);
    let mut other = qemu.connect();
    other.set_breakpoint(VirtAddr::new(0x8000_0000)).unwrap();
    other.resume().unwrap();
    let stopped = other.wait_for_stop(HANG_GUARD).unwrap();
    assert!(matches!(stopped, Some(StopReason::Breakpoint { .. })));
    drop(other);
    assert_eq!(found(&qemu), FoundState::Stopped);
    assert_eq!(found(&qemu), FoundState::Stopped);
}

#[test]
fn the_physical_switch_is_left_as_it_was_found() {
    use std::io::{Read, Write};
    let qemu = Qemu::start(AT_RESET);
    let pagescope::link::Address::Unix(socket) = &qemu.address else {
        unreachable!("its port is a Unix socket");
    };
    // Another tool left it on.
    drop(qemu.connect());
    for (value, reply) in [("0", "$0#30"), ("1", "$1#31")] {
        let mut other = std::os::unix::net::UnixStream::connect(socket).unwrap();
        let mut packet = Vec::new();
        let set = format!("Qqemu.PhyMemMode:{value}");
        pagescope::link::rsp::packet::push_packet(set.as_bytes(), &mut packet);
        other.write_all(&packet).unwrap();
        expect(&mut other, "$OK#9a");
        drop(other);
        let mut target = qemu.connect();
        target.read_physical(&[range(0x1000, 4)]).unwrap();
        Box::new(target).detach().unwrap();
        let mut other = std::os::unix::net::UnixStream::connect(socket).unwrap();
        let mut packet = Vec::new();
        pagescope::link::rsp::packet::push_packet(b"qqemu.PhyMemMode", &mut packet);
        other.write_all(&packet).unwrap();
        expect(&mut other, reply);
    }

    fn expect(stream: &mut std::os::unix::net::UnixStream, reply: &str) {
        stream.set_read_timeout(Some(HANG_GUARD)).unwrap();
        let mut heard = Vec::new();
        while !String::from_utf8_lossy(&heard).contains(reply) {
            let mut buffer = [0; 256];
            let count = stream.read(&mut buffer).unwrap();
            assert!(count > 0, "closed before {reply}");
            heard.extend(&buffer[..count]);
        }
    }
}

#[test]
fn running_pausing_and_breakpoints() {
    let qemu = Qemu::start(AT_RESET);
    let mut target = qemu.connect();
    let entry = VirtAddr::new(0x8000_0000);
    target.set_breakpoint(entry).unwrap();
    target.set_breakpoint(entry).unwrap();
    target.resume().unwrap();
    let hart = HartId::new(0);
    let stopped = target.wait_for_stop(HANG_GUARD).unwrap();
    assert_eq!(stopped, Some(StopReason::Breakpoint { hart }));
    assert_eq!(target.register(hart, "pc").unwrap(), Some(0x8000_0000));
    // It goes on from there, although the breakpoint stays.
    target.resume().unwrap();
    assert!(target.is_running());
    assert_eq!(
        target.wait_for_stop(Duration::from_millis(300)).unwrap(),
        None
    );
    target.interrupt().unwrap();
    let stopped = target.wait_for_stop(HANG_GUARD).unwrap();
    assert!(
        matches!(stopped, Some(StopReason::Interrupted { .. })),
        "{stopped:?}"
    );
    assert_ne!(target.register(hart, "pc").unwrap(), Some(0x8000_0000));
    target.clear_breakpoint(entry).unwrap();
    // Pausing and resuming many times never loses step.
    for _ in 0..200 {
        target.resume().unwrap();
        target.interrupt().unwrap();
        target.wait_for_stop(HANG_GUARD).unwrap().unwrap();
        let read = target.read_physical(&[range(0x1000, 4)]).unwrap();
        assert_eq!(read, [Some(vec![0x97, 0x02, 0, 0])]);
        assert!(target.register(hart, "pc").unwrap().is_some());
    }
}

#[test]
fn another_architecture_is_refused() {
    // Of the same Debian package as RISC-V's.
    let qemu = Qemu::program("qemu-system-loongarch64", &["-M", "virt", "-net", "none"]);
    let error = connect(&qemu.address).unwrap_err();
    assert!(
        error.to_string().contains("of architecture loongarch64"),
        "{error}"
    );
    assert!(
        matches!(error, LinkError::OtherArchitecture { .. }),
        "{error}"
    );
}

#[test]
fn a_32_bit_machine() {
    let qemu = Qemu::program(
        "qemu-system-riscv32",
        &["-M", "virt", "-bios", "none", "-S"],
    );
    let mut target = qemu.connect();
    assert_eq!(target.facts().architecture, "riscv:rv32");
    assert_eq!(target.facts().xlen_bits, 32);
    let registers = target.registers(HartId::new(0)).unwrap();
    assert_eq!(registers.pc, Some(0x1000));
    assert_eq!(registers.get("satp"), Some(0));
    assert_eq!(registers.privilege, Some(Privilege::Machine));
    let read = target.read_physical(&[range(0x8000_0000, 4)]).unwrap();
    assert_eq!(read, [Some(vec![0; 4])]);
}

#[test]
fn killed_in_the_middle_of_a_capture() {
    let mut qemu = Qemu::start(FIRMWARE);
    let mut target = qemu.connect();
    let ranges: Vec<_> = (0..16_384)
        .map(|n| range(0x8000_0000 + n * 4096, 4096))
        .collect();
    let reader = std::thread::spawn(move || {
        let guard = Instant::now() + HANG_GUARD;
        loop {
            if let Err(error) = target.read_physical(&ranges) {
                return error;
            }
            assert!(Instant::now() < guard, "a dead QEMU is still read");
        }
    });
    std::thread::sleep(Duration::from_millis(100));
    qemu.kill();
    let error = reader.join().unwrap();
    assert!(matches!(error, LinkError::Lost { .. }), "{error}");
    let error = connect_once(&qemu).unwrap_err();
    assert!(
        matches!(error, LinkError::ConnectionRefused { .. }),
        "{error}"
    );
}

fn connect_once(qemu: &Qemu) -> Result<GdbTarget, LinkError> {
    GdbTarget::connect(&qemu.address, pagescope::link::ConnectOptions::default())
}

#[test]
fn a_second_debugger_gets_no_answer() {
    let qemu = Qemu::start(AT_RESET);
    let _first = qemu.connect();
    let options = pagescope::link::ConnectOptions {
        timeout: Duration::from_millis(300),
        ..Default::default()
    };
    let error = GdbTarget::connect(&qemu.address, options).unwrap_err();
    assert!(matches!(error, LinkError::NoAnswer { .. }), "{error}");
}

#[test]
fn over_a_serial_line() {
    use std::io::{BufRead, BufReader};
    use std::process::{Command, Stdio};
    let mut qemu = Command::new("qemu-system-riscv64")
        .args([
            "-M", "virt", "-display", "none", "-serial", "null", "-monitor", "none", "-S",
        ])
        .args(["-chardev", "pty,id=port", "-gdb", "chardev:port"])
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .spawn()
        .expect("qemu-system-riscv64 cannot be started; type: apt-get install qemu-system-misc");
    // char device redirected to /dev/pts/0 (label port)
    let mut line = String::new();
    BufReader::new(qemu.stdout.take().unwrap())
        .read_line(&mut line)
        .unwrap();
    let path = line
        .split_whitespace()
        .find(|word| word.starts_with("/dev/"));
    let address = format!("serial:{}", path.unwrap()).parse().unwrap();
    let mut target = connect(&address).unwrap();
    assert_eq!(target.register(HartId::new(0), "pc").unwrap(), Some(0x1000));
    let read = target
        .read_physical(&[range(0x8000_0000, 64 << 10)])
        .unwrap();
    assert_eq!(read[0].as_ref().map(Vec::len), Some(64 << 10));
    qemu.kill().unwrap();
    qemu.wait().unwrap();
    let error = target.harts().unwrap_err();
    assert!(matches!(error, LinkError::Lost { .. }), "{error}");
}

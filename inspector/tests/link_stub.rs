//! The client against stubs that behave, misbehave, fall silent or are none.
#![allow(clippy::unwrap_used, reason = "a test stops where a step fails")]

mod link_support;

use std::io::{Read, Write};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use link_support::*;
use pagescope::link::{
    Address, Cancel, ConnectOptions, FoundState, GdbTarget, HartId, LinkError, PhysicalAccess,
    StopReason, Target,
};
use pagescope_protocol::VirtAddr;

#[test]
fn a_plain_session() {
    let stub = Stub::start(&[], |_| None);
    let mut target = stub.connect().unwrap();
    assert_eq!(target.facts().packet_size_bytes, 0x1000);
    assert_eq!(target.facts().physical, PhysicalAccess::GdbPort);
    assert_eq!(target.harts().unwrap(), [HartId::new(0)]);
    let registers = target.registers(HartId::new(0)).unwrap();
    assert_eq!(registers.x[1], Some(0x10));
    assert_eq!(registers.x[2], None);
    assert_eq!(registers.pc, Some(0x8000_0000));
    assert_eq!(registers.satp.unwrap().root().number(), 0x87ffc);
    assert_eq!(registers.get("scause"), None, "E14 is tolerated");
    assert_eq!(registers.get("satp"), Some(0x8000_0000_0008_7ffc));
    let read = target
        .read_physical(&[
            range(0x8000_0010, 0x1801),
            range(0x8000_0000, 0),
            range(5, 3),
        ])
        .unwrap();
    assert_eq!(
        read,
        [
            Some(bytes(0x8000_0010, 0x1801)),
            Some(vec![]),
            Some(vec![5, 6, 7])
        ]
    );
    Box::new(target).detach().unwrap();
    let asked = stub.asked();
    let place = |what: &str| asked.iter().position(|asked| asked == what).unwrap();
    assert!(place("Qqemu.PhyMemMode:1") < place("Qqemu.PhyMemMode:0"));
    assert!(place("Qqemu.PhyMemMode:0") < place("D"));
}

#[test]
fn the_switch_is_put_back_before_every_resume_and_costs_once_a_stop() {
    let stub = Stub::start(&[], |request| {
        (request == "vCont;c").then(|| vec!["T05thread:01;".into()])
    });
    let mut target = stub.connect().unwrap();
    target.read_physical(&[range(0, 8)]).unwrap();
    target.read_physical(&[range(8, 8)]).unwrap();
    target.set_breakpoint(VirtAddr::new(0x1000)).unwrap();
    target.resume().unwrap();
    let stopped = target.wait_for_stop(HANG_GUARD).unwrap();
    let hart = HartId::new(0);
    assert_eq!(stopped, Some(StopReason::Breakpoint { hart }));
    drop(target);
    let asked = stub.asked();
    let from = asked
        .iter()
        .position(|a| a == "Qqemu.PhyMemMode:1")
        .unwrap();
    assert_eq!(
        asked[from..],
        [
            "Qqemu.PhyMemMode:1",
            "m0,8",
            "m8,8",
            "Z0,1000,2",
            "Qqemu.PhyMemMode:0",
            "vCont;c",
            "z0,1000,2",
            "D"
        ]
    );
}

#[test]
fn a_hart_is_stepped_off_the_breakpoint_that_it_reported() {
    let stub = Stub::start(&[], |request| {
        request
            .starts_with("vCont;")
            .then(|| vec!["T05thread:01;".into()])
    });
    let mut target = stub.connect().unwrap();
    target.set_breakpoint(VirtAddr::new(0x8000_0000)).unwrap();
    for _ in 0..2 {
        target.resume().unwrap();
        target.wait_for_stop(HANG_GUARD).unwrap().unwrap();
    }
    let asked = stub.asked();
    let moves: Vec<&String> = asked.iter().filter(|a| a.starts_with("vCont;")).collect();
    assert_eq!(moves, ["vCont;c", "vCont;s:1", "vCont;c"]);
}

#[test]
fn a_silent_server_is_given_up_and_can_be_cancelled() {
    let address = serve(|mut stream| {
        let _ = stream.read_to_end(&mut Vec::new());
    });
    let options = ConnectOptions {
        timeout: Duration::from_millis(200),
        ..ConnectOptions::default()
    };
    let error = GdbTarget::connect(&address, options).unwrap_err();
    assert!(matches!(error, LinkError::NoAnswer { .. }), "{error}");
    assert!(error.to_string().contains("no other debugger"), "{error}");

    let cancel = Cancel::new();
    let options = ConnectOptions {
        timeout: HANG_GUARD * 10,
        cancel: cancel.clone(),
        ..ConnectOptions::default()
    };
    let began = Instant::now();
    thread::spawn(move || {
        thread::sleep(Duration::from_millis(100));
        cancel.cancel();
    });
    let error = GdbTarget::connect(&address, options).unwrap_err();
    assert_eq!(error, LinkError::Cancelled);
    assert!(began.elapsed() < HANG_GUARD);
}

#[test]
fn nobody_and_nowhere() {
    let address = {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        Address::Tcp {
            host: "127.0.0.1".to_owned(),
            port,
        }
    };
    let connect = |address: &Address| GdbTarget::connect(address, ConnectOptions::default());
    let error = connect(&address).unwrap_err();
    assert!(
        error
            .to_string()
            .starts_with("nobody listens on 127.0.0.1:"),
        "{error}"
    );
    for address in [
        "unix:/no/such/socket",
        "serial:/no/such/device",
        "serial:/dev/null",
    ] {
        let error = connect(&address.parse().unwrap()).unwrap_err();
        assert!(error.to_string().contains(address), "{error}");
    }
}

#[test]
fn servers_of_other_kinds() {
    for (banner, shown) in [
        (&b"HTTP/1.1 400 Bad Request\r\n\r\n"[..], "HTTP/1.1 400"),
        (b"SSH-2.0-OpenSSH_9.2\r\n", "SSH-2.0"),
        (b"220 mail ready\r\n", "220 mail"),
        (b"\x16\x03\x01$$$###\xff\n", "\\x16"),
    ] {
        // One closes, one keeps the line open.
        for closes in [true, false] {
            let address = serve(move |mut stream| {
                let _ = stream.write_all(banner);
                if !closes {
                    let _ = stream.read_to_end(&mut Vec::new());
                }
            });
            let options = ConnectOptions {
                timeout: Duration::from_millis(300),
                ..ConnectOptions::default()
            };
            let error = GdbTarget::connect(&address, options).unwrap_err();
            // A close with our request unread resets the connection, and may outrun the banner.
            if closes && matches!(error, LinkError::Lost { .. }) {
                continue;
            }
            assert!(matches!(error, LinkError::NotAStub { .. }), "{error}");
            assert!(error.to_string().contains(shown), "{error}");
        }
    }
    let echo = serve(|mut stream| {
        let mut buffer = [0; 100];
        while let Ok(count @ 1..) = stream.read(&mut buffer) {
            let _ = stream.write_all(&buffer[..count]);
        }
    });
    let error = connect(&echo).unwrap_err();
    assert!(matches!(error, LinkError::NotAStub { .. }), "{error}");
}

#[test]
fn other_architectures_are_named_and_left_alone() {
    for (xml, found) in [
        (
            "<target><architecture>i386:x86-64</architecture></target>",
            "i386:x86-64",
        ),
        ("<target/>", "does not name it"),
    ] {
        let stub = Stub::start(&["T02thread:01;"], move |request| {
            request
                .starts_with("qXfer")
                .then(|| vec![format!("l{xml}").as_str().into()])
        });
        let error = stub.connect().unwrap_err();
        assert!(
            matches!(error, LinkError::OtherArchitecture { .. }),
            "{error}"
        );
        assert!(error.to_string().contains(found), "{error}");
        assert_eq!(
            stub.asked().last().unwrap(),
            "D",
            "it ran, so it runs again"
        );
    }
    let stub = Stub::start(&[], |request| {
        request.starts_with("qSupported").then(|| vec!["".into()])
    });
    let error = stub.connect().unwrap_err();
    assert!(
        matches!(error, LinkError::OtherArchitecture { .. }),
        "{error}"
    );
}

#[test]
fn dying_in_the_middle_of_a_walk() {
    static READS: AtomicUsize = AtomicUsize::new(0);
    let stub = Stub::start(&[], |request| {
        let dies = request.starts_with('m') && READS.fetch_add(1, Ordering::Relaxed) == 50;
        dies.then(|| vec![Answer::Close])
    });
    let mut target = stub.connect().unwrap();
    let ranges: Vec<_> = (0..100).map(|n| range(n * 4096, 4096)).collect();
    let error = target.read_physical(&ranges).unwrap_err();
    assert!(matches!(error, LinkError::Lost { .. }), "{error}");
    // And it stays lost, without waiting.
    let error = target.read_physical(&ranges).unwrap_err();
    assert!(matches!(error, LinkError::Lost { .. }), "{error}");
    assert!(Box::new(target).detach().is_ok());
}

#[test]
fn what_comes_in_between_shifts_nothing() {
    // Stop replies, console output and notifications before every answer.
    let stub = Stub::start(&["T02thread:01;", "O6869"], |request| {
        Some(vec![
            "T05thread:01;".into(),
            "O68690a".into(),
            Answer::Raw(b"%Stop:T05#5f".to_vec()),
            plain(request),
        ])
    });
    let mut target = stub.connect().unwrap();
    assert_eq!(target.facts().found, FoundState::Running);
    let ranges: Vec<_> = (0..40).map(|n| range(n * 2048 + n, 2048)).collect();
    let read = target.read_physical(&ranges).unwrap();
    for (range, answer) in ranges.iter().zip(read) {
        assert_eq!(answer.unwrap(), bytes(range.start().as_u64(), range.size()));
    }
    assert!(target.take_console().starts_with(b"hi"));
}

#[test]
fn a_batch_that_was_given_up_shifts_nothing() {
    let cancel = Cancel::new();
    let theirs = cancel.clone();
    let stub = Stub::start(&[], move |request| {
        if request == "m1000,8" {
            // Cancelled with this answer and those behind it on their way.
            theirs.cancel();
            thread::sleep(Duration::from_millis(200));
        }
        None
    });
    let options = ConnectOptions {
        timeout: HANG_GUARD,
        cancel: cancel.clone(),
        ..ConnectOptions::default()
    };
    let mut target = GdbTarget::connect(&stub.address, options).unwrap();
    let ranges: Vec<_> = (0..8).map(|n| range(0x1000 + n, 8)).collect();
    let error = target.read_physical(&ranges).unwrap_err();
    assert_eq!(error, LinkError::Cancelled);
    cancel.reset();
    let read = target.read_physical(&[range(0x77, 4)]).unwrap();
    assert_eq!(read, [Some(bytes(0x77, 4))]);
}

#[test]
fn nothing_is_acknowledged_while_the_machine_runs() {
    // To QEMU any byte is a wish to stop, so what is owed is received before resuming.
    let cancel = Cancel::new();
    let theirs = cancel.clone();
    let stub = Stub::start(&[], move |request| {
        if request == "g" {
            theirs.cancel();
            thread::sleep(Duration::from_millis(200));
        }
        (request == "vCont;c").then(|| vec![Answer::Nothing])
    });
    let options = ConnectOptions {
        timeout: HANG_GUARD,
        cancel: cancel.clone(),
        ..ConnectOptions::default()
    };
    let mut target = GdbTarget::connect(&stub.address, options).unwrap();
    let error = target.registers(HartId::new(0)).unwrap_err();
    assert_eq!(error, LinkError::Cancelled);
    cancel.reset();
    target.resume().unwrap();
    target.wait_for_stop(Duration::from_millis(50)).unwrap();
    let asked = stub.asked();
    assert_eq!(asked[asked.len() - 2..], ["qC", "vCont;c"]);
}

#[test]
fn damaged_answers_are_asked_for_again() {
    static DAMAGED: AtomicUsize = AtomicUsize::new(0);
    let stub = Stub::start(&[], |request| {
        let spoils = request == "m800,800" || request == "m5,3";
        let first = spoils && DAMAGED.fetch_add(1, Ordering::Relaxed) < 2;
        first.then(|| vec![Answer::Raw(b"$00#11".to_vec())])
    });
    let mut target = stub.connect().unwrap();
    let read = target
        .read_physical(&[range(0, 4096), range(9, 2)])
        .unwrap();
    assert!(read == [Some(bytes(0, 4096)), Some(bytes(9, 2))]);
}

#[test]
fn damage_without_end_is_an_error() {
    let stub = Stub::start(&[], |request| {
        request
            .starts_with('m')
            .then(|| vec![Answer::Raw(b"$00#11".to_vec())])
    });
    let mut target = stub.connect().unwrap();
    let error = target.read_physical(&[range(0, 4096)]).unwrap_err();
    assert!(matches!(error, LinkError::Protocol { .. }), "{error}");
}

#[test]
fn refused_and_short_reads() {
    let stub = Stub::start(&[], |request| match request {
        "m1000,800" => Some(vec!["E14".into()]),
        "m2000,10" => Some(vec!["E22".into()]),
        // Less than was asked for: the rest is asked again.
        "m3000,10" => Some(vec![memory(0x3000, 6).as_str().into()]),
        _ => None,
    });
    let mut target = stub.connect().unwrap();
    let read = target
        .read_physical(&[
            range(0x1000, 0x1000),
            range(0x2000, 16),
            range(0x3000, 16),
            range(1, 1),
        ])
        .unwrap();
    assert_eq!(read, [None, None, Some(bytes(0x3000, 16)), Some(vec![1])]);
}

#[test]
fn nonsense_is_an_error_and_no_more() {
    let many = "0*~".repeat(60_000);
    let endless = format!("${}", "0".repeat(3 << 20));
    for (when, answer) in [
        ("m", Answer::from("not hexadecimal")),
        ("m", Answer::from(memory(0, 4096).as_str())),
        ("m", Answer::Raw(endless.clone().into_bytes())),
        ("m", Answer::Raw(format!("${many}#00").into_bytes())),
        ("g", Answer::from("0123")),
        ("g", Answer::from("zz")),
        ("qfThreadInfo", Answer::from("m")),
        ("qfThreadInfo", Answer::from("mffffffffffffffffff,-1,0")),
        ("Hg", Answer::from("E01")),
        (
            "qSupported",
            Answer::from("PacketSize=ffffffffffffffffffff;qXfer:features:read+"),
        ),
        (
            "qSupported",
            Answer::from("PacketSize=0;qXfer:features:read+"),
        ),
        ("qXfer", Answer::from("m")),
        ("qXfer", Answer::from("l<target><architecture>riscv:rv64")),
        ("qRcmd", Answer::from("what")),
        ("Qqemu", Answer::from("E22")),
    ] {
        let mut answer = Some(answer);
        let stub = Stub::start(&[], move |request| {
            let hit = request.starts_with(when);
            hit.then(|| answer.take().map(|answer| vec![answer]))?
        });
        let options = ConnectOptions {
            timeout: Duration::from_millis(500),
            ..ConnectOptions::default()
        };
        let Ok(mut target) = GdbTarget::connect(&stub.address, options) else {
            continue;
        };
        let _ = target.harts();
        let _ = target.registers(HartId::new(0));
        let _ = target.read_physical(&[range(0, 4096), range(3, 900)]);
    }
}

#[test]
fn a_flood_is_as_good_as_silence() {
    let address = serve(
        |mut stream| {
            while stream.write_all(&b"+$T05thread:01;#da".repeat(100)).is_ok() {}
        },
    );
    let options = ConnectOptions {
        timeout: Duration::from_millis(300),
        ..ConnectOptions::default()
    };
    assert!(GdbTarget::connect(&address, options).is_err());
}

#[test]
fn while_it_runs_only_waiting_and_interrupting_are_possible() {
    let stub = Stub::start(&[], |request| match request {
        "vCont;c" => Some(vec![Answer::Nothing]),
        _ => None,
    });
    let mut target = stub.connect().unwrap();
    target.resume().unwrap();
    assert!(target.is_running());
    assert_eq!(
        target.wait_for_stop(Duration::from_millis(20)).unwrap(),
        None
    );
    let error = target.read_physical(&[range(0, 8)]).unwrap_err();
    assert_eq!(error, LinkError::Running { what: "memory" });
    assert!(error.to_string().contains("pause it"));
    assert!(target.registers(HartId::new(0)).is_err());
}

#[test]
fn a_stub_that_refuses_to_resume_leaves_the_machine_stopped() {
    let stub = Stub::start(&[], |request| {
        (request == "vCont;c").then(|| vec!["E22".into()])
    });
    let mut target = stub.connect().unwrap();
    target.resume().unwrap();
    let error = target.wait_for_stop(HANG_GUARD).unwrap_err();
    assert!(matches!(error, LinkError::Refused { .. }), "{error}");
    assert!(!target.is_running());
    assert!(target.read_physical(&[range(0, 8)]).is_ok());
}

#[test]
fn a_stub_without_physical_memory_says_so() {
    let stub = Stub::start(&[], |request| {
        request.contains("qemu").then(|| vec!["".into()])
    });
    let mut target = stub.connect().unwrap();
    assert_eq!(target.facts().physical, PhysicalAccess::Unavailable);
    let error = target.read_physical(&[range(0, 8)]).unwrap_err();
    assert!(
        matches!(error, LinkError::NoPhysicalMemory { .. }),
        "{error}"
    );
}

#[test]
fn the_end_of_the_machine_is_a_reason_to_stop() {
    let stub = Stub::start(&[], |request| {
        (request == "vCont;c").then(|| vec!["W03".into()])
    });
    let mut target = stub.connect().unwrap();
    target.resume().unwrap();
    let stopped = target.wait_for_stop(HANG_GUARD).unwrap();
    assert_eq!(stopped, Some(StopReason::Exited { code: 3 }));
}

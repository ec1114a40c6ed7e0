//! Bad input: each gets an error that names the thing and the remedy, and the documented code.

mod support;

use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::sync::Arc;
use std::time::{Duration, Instant};
use std::{fs, thread};

use pagescope::model::fixture;
use pagescope::session::{Command, Connection, Event, Session, Source};
use pagescope_protocol::TranslationMode;
use pagescope_protocol::snapshot::text::snapshot_to_text;
use support::{HANG_GUARD, Machine, folder, pagescope, stderr};

/// Runs the program and checks its code and what it says.
#[track_caller]
fn fails(arguments: &[&str], code: i32, says: &[&str]) {
    let output = pagescope(arguments);
    let said = stderr(&output);
    assert_eq!(output.status.code(), Some(code), "{arguments:?}: {said}");
    for words in says {
        assert!(
            said.contains(words),
            "{arguments:?} should say {words:?}: {said}"
        );
    }
    assert!(!said.contains("panicked"), "{said}");
}

/// A server that does with each connection what it is told.
fn server(serve: impl Fn(TcpStream) + Send + 'static) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let address = listener.local_addr().expect("it has one").to_string();
    thread::spawn(move || listener.incoming().flatten().for_each(serve));
    address
}

#[test]
fn nobody_listening() {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let address = listener.local_addr().expect("it has one").to_string();
    drop(listener);
    fails(&["map", &address], 3, &[&address, "nobody listens", "-gdb"]);
    fails(
        &["map", "unix:/nonexistent/socket"],
        3,
        &["/nonexistent/socket"],
    );
}

#[test]
fn a_port_that_is_no_gdb_stub() {
    let address = server(|mut stream| {
        let mut request = [0; 64];
        let _ = stream.read(&mut request);
        let _ = stream.write_all(b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n");
    });
    fails(
        &["map", &address],
        3,
        &[&address, "no gdb stub", "HTTP/1.1 400"],
    );
}

#[test]
fn a_stub_of_another_architecture() {
    let target = "<?xml version=\"1.0\"?><!DOCTYPE target SYSTEM \"gdb-target.dtd\"><target><architecture>i386:x86-64</architecture></target>";
    let address = server(move |mut stream| {
        let mut buffer = [0; 4096];
        while let Ok(length @ 1..) = stream.read(&mut buffer) {
            let text = String::from_utf8_lossy(&buffer[..length]).into_owned();
            for request in text.split('$').skip(1) {
                let reply = if request.starts_with("qSupported") {
                    "PacketSize=1000;qXfer:features:read+".to_owned()
                } else if request.starts_with("qXfer:features:read:target.xml") {
                    format!("l{target}")
                } else if request.starts_with('?') {
                    "T05thread:01;".to_owned()
                } else {
                    String::new()
                };
                let sum = reply.bytes().fold(0_u8, u8::wrapping_add);
                let _ = stream.write_all(format!("+${reply}#{sum:02x}").as_bytes());
            }
        }
    });
    fails(&["map", &address], 3, &["i386:x86-64", "RISC-V"]);
}

#[test]
fn bad_files() {
    let folder = folder();
    let file = |name: &str, text: &str| {
        let path = folder.path().join(name);
        fs::write(&path, text).expect("a file of our own");
        path.to_string_lossy().into_owned()
    };
    let missing = folder
        .path()
        .join("missing.ron")
        .to_string_lossy()
        .into_owned();
    fails(&["map", &missing], 2, &["missing.ron"]);
    let foreign = file("foreign.ron", "Scene(objects: [])");
    fails(
        &["map", &foreign],
        2,
        &["foreign.ron", "neither a Snapshot", "Scene"],
    );
    let truncated = file(
        "truncated.ron",
        "Snapshot(\n    version: 1,\n    provenance: (tool: \"p",
    );
    fails(
        &["map", &truncated],
        2,
        &["truncated.ron", "line 3", "tool"],
    );
    let odd = file(
        "odd.ron",
        "Snapshot(\n    version: 1,\n    provenance: (),\n    harts: [(id: \"x\")],\n)",
    );
    fails(&["map", &odd], 2, &["odd.ron", "line 4", "id"]);
}

#[test]
fn an_elf_of_no_use() {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let address = listener.local_addr().expect("it has one").to_string();
    let own = std::env::current_exe()
        .expect("this test")
        .to_string_lossy()
        .into_owned();
    fails(
        &["step", &address, "--elf", &own],
        2,
        &["RISC-V", "own ELF"],
    );
    let folder = folder();
    let text = folder.path().join("notes.txt");
    fs::write(&text, "no ELF at all").expect("a file of our own");
    let text = text.to_string_lossy().into_owned();
    fails(
        &["step", &address, "--elf", &text],
        2,
        &["notes.txt", "not an ELF"],
    );
    let elf = support::kernel_in(folder.path())
        .to_string_lossy()
        .into_owned();
    let nothing = ["step", &address, "--elf", &elf, "--symbol", "kallok"];
    fails(&nothing, 2, &["kallok"]);
}

/// What the kernel was changing at that moment is not to be trusted, and scripts must know, too.
#[test]
fn a_moment_that_is_half_changed() {
    let folder = folder();
    let file = |name: &str, changing: u64| {
        let mut snapshot = fixture::several_spaces();
        if let Some(kernel) = &mut snapshot.kernel {
            kernel.changing = changing;
        }
        let path = folder.path().join(name);
        fs::write(&path, snapshot_to_text(&snapshot)).expect("a file of our own");
        path.to_string_lossy().into_owned()
    };
    let (quiet, half) = (file("quiet.ron", 0), file("half.ron", 1));
    let json = ["--format", "json"];
    let two = ["--space", "hart 0", "--space", "hart 1"];
    for words in [
        &["map"][..],
        &["map", "--phys"],
        &["regions"],
        &["spaces"],
        &["trace"],
        &["check"],
        &[&["diff"], &two[..]].concat(),
    ] {
        for format in [&json[..], &[]] {
            let said = |file: &str| {
                let arguments = [&words[..1], &[file], &words[1..], format].concat();
                stderr(&pagescope(&arguments))
            };
            let times = said(&half).matches("was changing its regions").count();
            assert_eq!(times, 1, "{words:?} {format:?}");
            assert!(!said(&quiet).contains("was changing"), "{words:?}");
        }
    }
}

/// Where nothing could be compared, nobody says that there is no difference.
#[test]
fn spaces_that_cannot_be_compared() {
    let folder = folder();
    let mut snapshot = fixture::several_spaces();
    snapshot.spaces[0].mode = TranslationMode::Bare;
    snapshot.spaces[2].truncated = true;
    let path = folder.path().join("bare.ron");
    fs::write(&path, snapshot_to_text(&snapshot)).expect("a file of our own");
    let file = path.to_string_lossy().into_owned();
    let diff = |one: &str, other: &str, rest: &[&str]| {
        let arguments = [&["diff", &file, "--space", one, "--space", other], rest].concat();
        pagescope(&arguments)
    };
    for (one, why) in [("hart 0", "not translated"), ("process 3", "cut process 3")] {
        let asked = diff(one, "hart 1", &["--exit-code"]);
        assert_eq!(asked.status.code(), Some(3));
        assert!(stderr(&asked).contains(why), "{}", stderr(&asked));
        let told = diff(one, "hart 1", &["--format", "json"]);
        let told = String::from_utf8_lossy(&told.stdout).into_owned();
        assert!(
            told.contains("\"unknown\": \"") && told.contains(why),
            "{told}"
        );
    }
    let same = diff("hart 1", "hart 1", &["--exit-code", "--format", "json"]);
    assert_eq!(same.status.code(), Some(0));
    assert!(String::from_utf8_lossy(&same.stdout).contains("\"unknown\": null"));
}

#[test]
fn words_that_are_no_address() {
    fails(&["walk", "127.0.0.1:99999", "0x1000"], 2, &["99999"]);
    fails(&["walk", ":1234", "kalloc"], 2, &["kalloc", "--elf"]);
    fails(&["map"], 2, &["ADDR"]);
}

#[test]
fn an_address_of_the_wrong_kind() {
    let folder = folder();
    let file = folder.path().join("layout.ron");
    fs::write(&file, snapshot_to_text(&fixture::pseudos(1))).unwrap();
    let file = file.to_str().unwrap();
    let open = format!("pagescope open {file}");
    fails(&["step", file], 2, &["is a file", &open]);
    fails(&["attach", file], 2, &["is a file", &open]);
    fails(&["follow", file], 2, &["does not move", &open]);
    fails(
        &["step", "monitor:unix:/tmp/qmp"],
        2,
        &["its monitor", ":1234"],
    );
    for command in [
        &["open", ":1234"][..],
        &["export", ":1234", "--svg"],
        &["diff", ":1234", file],
        &["diff", file, ":1234"],
    ] {
        fails(
            command,
            2,
            &["a guest's address", "pagescope snapshot :1234", "attach"],
        );
    }
    fails(&["diff", file], 2, &["a second file", "--space"]);
    fails(
        &["open", "nowhere.ron"],
        2,
        &["there is no file nowhere.ron"],
    );
}

#[test]
fn qemu_not_installed() {
    let folder = folder();
    let output = std::process::Command::new(env!("CARGO_BIN_EXE_pagescope"))
        .args([
            "demo",
            "--headless",
            "--out",
            &folder.path().to_string_lossy(),
        ])
        .env("PATH", folder.path())
        .output()
        .expect("the program was built with the test");
    let said = stderr(&output);
    assert_eq!(output.status.code(), Some(3), "{said}");
    assert!(
        said.contains("qemu-system-riscv64 is not installed"),
        "{said}"
    );
}

/// A guest that is killed while it is being read: an error, and what was captured stays.
#[test]
fn qemu_killed_while_it_is_looked_at() {
    let machine = Machine::boot("pace=1", false);
    let address = machine.guest.address().clone();
    let source = Source::attach(address, None);
    let session = Session::start(source, Arc::new(|| {})).expect("a thread");
    for _ in 0..100 {
        session
            .commands
            .send(Command::Capture)
            .expect("it takes commands");
    }
    let deadline = Instant::now() + HANG_GUARD;
    let mut moments = 0;
    let mut machine = Some(machine);
    loop {
        match session
            .events
            .recv_deadline(deadline)
            .expect("the loss is reported")
        {
            Event::Moment(_) => {
                moments += 1;
                // Dropping the machine kills QEMU while captures are under way.
                drop(machine.take());
            }
            Event::Connection(Connection::Lost { why }) => {
                assert!(why.contains("lost") || why.contains("ended"), "{why}");
                break;
            }
            _ => {}
        }
    }
    assert!(moments >= 1);
}

/// Holds 7: a server that says nothing leaves the session cancellable at once.
#[test]
fn a_silent_server_can_be_cancelled() {
    let address = server(|stream| {
        thread::sleep(HANG_GUARD);
        drop(stream);
    });
    let source = Source::attach(address.parse().expect("an address"), None);
    let session = Session::start(source, Arc::new(|| {})).expect("a thread");
    let deadline = Instant::now() + HANG_GUARD;
    let wait_for = |what: &dyn Fn(&Event) -> bool| {
        while !what(&session.events.recv_deadline(deadline).expect("an event")) {}
    };
    // It says that it is connecting, and takes commands without blocking.
    wait_for(&|event| matches!(event, Event::Connection(Connection::Connecting { .. })));
    assert!(session.commands.try_send(Command::Pause).is_ok());
    thread::sleep(Duration::from_millis(100));
    session.cancel.cancel();
    wait_for(&|event| match event {
        Event::Connection(Connection::Lost { why }) => {
            assert!(why.contains("cancelled"), "{why}");
            true
        }
        _ => false,
    });
}

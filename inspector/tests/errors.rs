//! Bad input: each gets an error that names the thing and the remedy, and the documented code.

mod support;

use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};
use std::{fs, thread};

use pagescope::model::fixture;
use pagescope::session::{Command as Asked, Connection, Event, Session, Source};
use pagescope_protocol::TranslationMode;
use pagescope_protocol::snapshot::text::snapshot_to_text;
use support::{HANG_GUARD, Machine, folder, kernel_in, pagescope, stderr};

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
    // A port that is in use, so that nobody else gets it, and not listened on: the near end of a connection.
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let there = listener.local_addr().expect("it has one");
    let held = TcpStream::connect(there).expect("somebody listens");
    let address = held.local_addr().expect("it has one").to_string();
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
    let elf = kernel_in(folder.path()).to_string_lossy().into_owned();
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
    let output = Command::new(env!("CARGO_BIN_EXE_pagescope"))
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
            .send(Asked::Capture)
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
    assert!(session.commands.try_send(Asked::Pause).is_ok());
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

/// An image of RAM with an empty root table, and what names its space on the command line.
fn empty_ram(folder: &std::path::Path) -> String {
    let path = folder.join("ram.bin");
    fs::write(&path, vec![0; 1 << 20]).expect("a file");
    path.to_string_lossy().into_owned()
}

/// satp for Sv39 tables at 0x80007000.
const SATP: &str = "0x8000000000080007";

/// The answer is given all the same, and whoever reads the names is told whose they may be.
#[test]
fn an_elf_that_is_nowhere_in_memory_is_said() {
    let folder = folder();
    let ram = empty_ram(folder.path());
    let elf = kernel_in(folder.path()).to_string_lossy().into_owned();
    let image = ["map", &ram, "--ram-base", "0x80000000", "--satp", SATP];
    let with = pagescope(&[&image[..], &["--elf", &elf]].concat());
    let said = stderr(&with);
    assert_eq!(with.status.code(), Some(0), "{said}");
    assert!(
        said.contains("nothing of the ELF is in the guest's memory: its names may be another"),
        "{said}"
    );
    // Nothing is said of an ELF that nobody named.
    let without = pagescope(&image);
    assert_eq!(stderr(&without), "");
    assert_eq!(with.stdout, without.stdout);
}

#[test]
fn a_load_offset_for_a_file_is_refused() {
    let folder = folder();
    let file = folder.path().join("moment.ron");
    fs::write(&file, snapshot_to_text(&fixture::pseudos(3))).expect("a file");
    let file = file.to_string_lossy();
    let elf = kernel_in(folder.path()).to_string_lossy().into_owned();
    fails(
        &["map", &file, "--elf", &elf, "--load-offset", "0x1000"],
        2,
        &["--load-offset is for guests and dumps"],
    );
}

/// A pipe that nobody reads, as after `| head -0`.
fn closed() -> Stdio {
    let (reader, writer) = std::io::pipe().expect("a pipe");
    drop(reader);
    writer.into()
}

/// Who reads no more has seen enough; nothing panics for it, whatever there was to say.
#[test]
fn answers_and_complaints_that_nobody_reads() {
    let folder = folder();
    let file = folder.path().join("moment.ron");
    fs::write(&file, snapshot_to_text(&fixture::pseudos(3))).expect("a file");
    let file = file.to_string_lossy().into_owned();
    let ram = empty_ram(folder.path());
    let elf = kernel_in(folder.path()).to_string_lossy().into_owned();
    let dump = [
        "map",
        &ram,
        "--ram-base",
        "0x80000000",
        "--satp",
        SATP,
        "--elf",
        &elf,
    ];
    let commands: [&[&str]; 8] = [
        &["map", &file],
        &["map", &file, "--format", "json"],
        &["walk", &file, "0x80200000"],
        &["check", &file],
        &["spaces", &file],
        &["export", &file, "--text"],
        &["--help"],
        &dump,
    ];
    for words in commands {
        let mut command = Command::new(env!("CARGO_BIN_EXE_pagescope"));
        let output = command.args(words).stdout(closed()).output();
        let output = output.expect("the program was built with the test");
        assert!(!stderr(&output).contains("panicked"), "{words:?}");
        assert_ne!(output.status.code(), Some(101), "{words:?}");
        // With the standard error closed, a panic is known by its code alone.
        for broken in [words, &["map", "/nonexistent.ron"], &["no such command"]] {
            let mut command = Command::new(env!("CARGO_BIN_EXE_pagescope"));
            command.args(broken).stdout(closed()).stderr(closed());
            let status = command
                .status()
                .expect("the program was built with the test");
            let code = status.code();
            assert!(matches!(code, Some(0..=3)), "{broken:?}: {status}");
        }
    }
}

/// A command that holds no guest has nothing to leave: the first signal ends it, whatever it is at.
#[test]
fn the_first_signal_ends_a_command_that_holds_no_guest() {
    let folder = folder();
    let path = folder.path().join("endless.ron");
    let made = Command::new("mkfifo").arg(&path).status().expect("mkfifo");
    assert!(made.success());
    let mut export = Command::new(env!("CARGO_BIN_EXE_pagescope"))
        .args(["export", "--text", &path.to_string_lossy()])
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .expect("the program was built with the test");
    // It opens once the command is at work, and is never at its end.
    let mut file = fs::File::create(&path).expect("somebody reads");
    file.write_all(b"Snapshot(").expect("somebody reads");
    let pid = rustix::process::Pid::from_raw(i32::try_from(export.id()).expect("a pid"));
    rustix::process::kill_process(pid.expect("a pid"), rustix::process::Signal::TERM)
        .expect("it runs");
    let deadline = Instant::now() + HANG_GUARD;
    let status = loop {
        if let Some(status) = export.try_wait().expect("it is our child") {
            break status;
        }
        if Instant::now() >= deadline {
            let _ = export.kill();
            panic!("it does not end");
        }
        thread::sleep(Duration::from_millis(20));
    };
    assert_eq!(status.code(), Some(130));
    drop(file);
}

#[test]
fn pictures_that_cannot_be_drawn() {
    let folder = folder();
    let path = folder.path().join("layout.ron");
    let text = snapshot_to_text(&fixture::pseudos(3));
    fs::write(&path, text).expect("a folder of our own");
    let path = path.to_string_lossy().into_owned();
    for scale in ["NaN", "inf", "0", "-1", "1e30", "0.2"] {
        let scale = format!("--scale={scale}");
        let arguments = ["export", "--svg", &path, "--view", "tables", &scale];
        fails(&arguments, 2, &["0.25 to 8"]);
    }
    for kind in ["--html", "--text"] {
        let arguments = ["export", kind, &path, "--view", "tables"];
        fails(&arguments, 2, &["--svg or --png"]);
    }
}

//! Stepping kalloc on our kernel: the contract that a lecture relies on.

mod support;

use std::collections::BTreeSet;
use std::fs;
use std::sync::Arc;
use std::time::Instant;

use pagescope::model::History;
use pagescope::session::{Command, Connection, Demo, Event, Session, Source};
use pagescope_protocol::snapshot::Snapshot;
use pagescope_protocol::{Level, PhysPage};
use support::{HANG_GUARD, Machine, folder, kernel_in, pagescope, stderr, stdout};

const STEPS: usize = 600;

fn l0_tables(snapshot: &Snapshot) -> BTreeSet<PhysPage> {
    let tables = snapshot.spaces.iter().flat_map(|space| &space.tables);
    tables
        .filter(|table| table.level == Level::L0)
        .map(|table| table.frame)
        .collect()
}

/// What 600 steps must show: the counter rises by one, addresses descend by a page, one new L0.
fn assert_lecture(history: &History) {
    let moments = history.moments();
    assert_eq!(moments.len(), STEPS + 1);
    let counter = |snapshot: &Snapshot| snapshot.heap.expect("our kernel has a heap").counter;
    let mut new_tables = Vec::new();
    for (step, pair) in moments.windows(2).enumerate() {
        let (before, after) = (&pair[0].snapshot, &pair[1].snapshot);
        assert_eq!(
            counter(after),
            counter(before) + 1,
            "step {}: {}",
            step + 1,
            after.stop
        );
        new_tables.extend(l0_tables(after).difference(&l0_tables(before)).copied());
    }
    assert_eq!(
        new_tables.len(),
        1,
        "exactly one new L0 at the 2 MiB boundary: {new_tables:?}"
    );
    let last = &moments[STEPS];
    assert!(
        last.snapshot.stop.starts_with("kalloc("),
        "{}",
        last.snapshot.stop
    );
    assert!(
        last.difference.summary().contains("+1 leaf in L0 0x"),
        "{:?}",
        last.difference
    );
}

/// Holds 2, through the window's command path: commands in, events out, on the link's thread.
#[test]
fn six_hundred_steps_through_the_session() {
    let folder = folder();
    let kernel: Arc<[u8]> = fs::read(kernel_in(folder.path()))
        .expect("the kernel")
        .into();
    let demo = Demo {
        kernel,
        append: "pace=1".into(),
        harts: 1,
    };
    let session = Session::start(Source::Demo(demo), Arc::new(|| {})).expect("a thread");
    let step = Command::StepCall {
        symbol: "kalloc".into(),
        count: STEPS as u32,
    };
    session
        .commands
        .send(step)
        .expect("the session takes commands");
    let mut history = History::new();
    let deadline = Instant::now() + HANG_GUARD * 4;
    while history.moments().len() <= STEPS {
        match session
            .events
            .recv_deadline(deadline)
            .expect("events until all steps are done")
        {
            Event::Moment(snapshot) => history.push(snapshot),
            Event::Failed(why) | Event::Connection(Connection::Lost { why }) => panic!("{why}"),
            _ => {}
        }
    }
    assert_lecture(&history);
    assert!(history.is_live());
}

/// Holds 2, through the program.
#[test]
fn six_hundred_steps_through_the_program() {
    let machine = Machine::boot("pace=1", true);
    // It is left where it was found: standing at its first call.
    drop(machine.attach_booted());
    let recording = machine.file("recording.ron");
    let output = pagescope(&[
        "step",
        &machine.address(),
        "--elf",
        &machine.elf_text(),
        "--count",
        &STEPS.to_string(),
        "--format",
        "json",
        "-o",
        &recording.to_string_lossy(),
    ]);
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    let steps: Vec<serde_json::Value> = serde_json::from_str(&stdout(&output)).expect("JSON");
    assert_eq!(steps.len(), STEPS);
    let returned = |step: &serde_json::Value| {
        let text = step["returned"].as_str().expect("a string");
        u64::from_str_radix(text.trim_start_matches("0x"), 16).expect("hexadecimal")
    };
    for (before, after) in steps.iter().zip(&steps[1..]) {
        assert_eq!(returned(after), returned(before) - 4096, "{after}");
        let counter = |step: &serde_json::Value| step["heap_counter"].as_u64();
        assert_eq!(
            counter(after),
            counter(before).map(|counter| counter + 1),
            "{after}"
        );
    }
    // kalloc(0) to kalloc(7) are the boot's tables and reserve.
    assert_eq!(returned(&steps[0]), 0x87ff_6000);

    // The recording holds the same, without QEMU.
    drop(machine.guest);
    let text = fs::read_to_string(&recording).expect("the recording was written");
    let document = pagescope_protocol::snapshot::text::from_text(&text).expect("it reads");
    let pagescope_protocol::snapshot::text::Document::Recording(recording) = document else {
        panic!("a recording was asked for");
    };
    assert_lecture(&History::from_recording(&recording).expect("its steps fit"));
}

/// A step that is cancelled leaves no breakpoint behind, and the guest as it was.
#[test]
fn a_signal_leaves_the_guest_as_it_was() {
    let machine = Machine::boot("pace=1", false);
    let counter = || {
        let output = pagescope(&["map", &machine.address(), "--phys", "--format", "json"]);
        assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
        stdout(&output)
    };
    let out = machine.file("half.ron");
    let mut stepping = std::process::Command::new(env!("CARGO_BIN_EXE_pagescope"))
        .args(["step", &machine.address(), "--elf", &machine.elf_text()])
        .args(["--count", "1000000", "-o", &out.to_string_lossy()])
        .stdout(std::process::Stdio::piped())
        .stderr(std::process::Stdio::null())
        .spawn()
        .expect("the program was built with the test");
    // It is at work once it has printed a step.
    let mut first = [0; 1];
    let mut printed = stepping.stdout.take().expect("a pipe");
    std::io::Read::read_exact(&mut printed, &mut first).expect("a first step");
    let drain = std::thread::spawn(move || std::io::copy(&mut printed, &mut std::io::sink()));
    let pid = rustix::process::Pid::from_raw(i32::try_from(stepping.id()).expect("a pid"));
    rustix::process::kill_process(pid.expect("a pid"), rustix::process::Signal::INT)
        .expect("it runs");
    let deadline = Instant::now() + HANG_GUARD;
    let status = loop {
        if let Some(status) = stepping.try_wait().expect("it is our child") {
            break status;
        }
        assert!(Instant::now() < deadline, "it does not end");
        std::thread::sleep(std::time::Duration::from_millis(20));
    };
    drop(drain.join());
    assert_eq!(status.code(), Some(130));
    assert!(out.is_file(), "what was stepped is kept");
    // It ran when it was found: it runs on, and no breakpoint of ours stops it.
    let before = counter();
    while counter() == before {
        assert!(Instant::now() < deadline, "the guest stands still");
    }
    let later = counter();
    while counter() == later {
        assert!(Instant::now() < deadline, "the guest was stopped again");
    }
}

/// Cancelling from the window: the guest stands still, and runs on without stopping again.
#[test]
fn a_cancelled_step_leaves_no_breakpoint() {
    let machine = Machine::boot("pace=1", true);
    drop(machine.attach_booted());
    let elf = pagescope::guest::ElfFile::open(&machine.elf).expect("our own ELF");
    let address = machine.guest.address().clone();
    let source = Source::attach(address, Some(Arc::new(elf)));
    let session = Session::start(source, Arc::new(|| {})).expect("a thread");
    let deadline = Instant::now() + HANG_GUARD;
    let next = || session.events.recv_deadline(deadline).expect("an event");
    while !matches!(next(), Event::Connection(Connection::Stopped)) {}
    let step = Command::StepCall {
        symbol: "kalloc".into(),
        count: 1_000_000,
    };
    session
        .commands
        .send(step)
        .expect("the session takes commands");
    while !matches!(next(), Event::Moment(_)) {}
    session.cancel.cancel();
    loop {
        match next() {
            Event::Connection(Connection::Stopped) => break,
            Event::Connection(Connection::Lost { why }) => panic!("{why}"),
            _ => {}
        }
    }
    let runs_on_quietly = || {
        session
            .commands
            .send(Command::Resume)
            .expect("the session takes commands");
        while !matches!(next(), Event::Connection(Connection::Running)) {}
        // kalloc is called every millisecond: a breakpoint left behind would stop the guest at once.
        let quiet_until = Instant::now() + std::time::Duration::from_millis(500);
        let mut events = std::iter::from_fn(|| session.events.recv_deadline(quiet_until).ok());
        let stopped = events.find(|event| matches!(event, Event::Moment(_)));
        stopped.is_none()
    };
    // QEMU may have met the breakpoint in the very moment of the interrupt; then it says so after the breakpoint
    // was taken away, on a busy machine once more. One that is left behind stops the guest each time.
    assert!(
        (0..4).any(|_| runs_on_quietly()),
        "a breakpoint was left behind"
    );
}

/// One instruction, running and pausing, through the window's command path.
#[test]
fn one_instruction_then_running_and_pausing() {
    let machine = Machine::boot("pace=1", true);
    drop(machine.attach_booted());
    let address = machine.guest.address().clone();
    let session = Session::start(Source::attach(address, None), Arc::new(|| {})).expect("a thread");
    let deadline = Instant::now() + HANG_GUARD;
    let next_moment = || loop {
        match session.events.recv_deadline(deadline).expect("an event") {
            Event::Moment(snapshot) => break snapshot,
            Event::Failed(why) | Event::Connection(Connection::Lost { why }) => panic!("{why}"),
            _ => {}
        }
    };
    let pc = |snapshot: &Snapshot| snapshot.harts[0].pc.expect("QEMU shows pc").as_u64();
    let attached = next_moment();
    session
        .commands
        .send(Command::StepInstruction { hart: 0 })
        .expect("it takes commands");
    let stepped = next_moment();
    let distance = pc(&stepped).wrapping_sub(pc(&attached));
    // kalloc begins with plain instructions, of two or four bytes.
    assert!(
        distance == 2 || distance == 4,
        "{:#x} → {:#x}",
        pc(&attached),
        pc(&stepped)
    );
    let counter = |snapshot: &Snapshot| snapshot.heap.expect("our kernel has a heap").counter;
    // Until it has called kalloc, which it does every millisecond.
    loop {
        for command in [Command::Resume, Command::Pause] {
            std::thread::sleep(std::time::Duration::from_millis(50));
            session.commands.send(command).expect("it takes commands");
        }
        let paused = next_moment();
        assert_eq!(paused.stop, "paused");
        if counter(&paused) > counter(&attached) {
            break;
        }
    }
}

//! Following live guests while they run: nothing is stopped, what moves is said, what stays is true.

mod support;

use std::sync::Arc;
use std::time::{Duration, Instant};

use pagescope::capture::Capturer;
use pagescope::capture::settle::ATTEMPTS;
use pagescope::link::{Cancel, FoundState, MonitorTarget, Target as _};
use pagescope::session::{Command, Connection, Event, FollowReport, Rate, Session, Source, Watch};
use pagescope_protocol::snapshot::{Snapshot, Taken};
use support::{HANG_GUARD, Machine, pagescope, stderr, stdout};

fn watch(machine: &Machine) -> Watch {
    Watch::of(&machine.guest).expect("its RAM is in a file")
}

fn look_on(machine: &Machine) -> (MonitorTarget, Capturer) {
    let mut target = watch(machine)
        .connect(&Cancel::new())
        .expect("our own QEMU has a monitor");
    let capturer = Capturer::new(&mut target, None).expect("QEMU says what it has");
    (target, capturer)
}

fn look(target: &mut MonitorTarget, capturer: &mut Capturer) -> Arc<Snapshot> {
    capturer
        .capture_running(target, ATTEMPTS, &Cancel::new())
        .expect("a look")
}

/// A look at a guest that has booted: its tables stand, and kalloc has been called by somebody else than the boot.
fn booted(target: &mut MonitorTarget, capturer: &mut Capturer) -> Arc<Snapshot> {
    let deadline = Instant::now() + HANG_GUARD;
    loop {
        let seen = look(target, capturer);
        let translates = seen
            .space_of_hart(0)
            .is_some_and(|space| !space.tables.is_empty());
        if translates && counter(&seen) > 8 {
            return seen;
        }
        assert!(Instant::now() < deadline, "our kernel does not boot");
    }
}

fn counter(snapshot: &Snapshot) -> u64 {
    snapshot.heap.map_or(0, |heap| heap.counter)
}

/// The heap grows from look to look, and the machine never stands still.
#[test]
fn a_running_guest_is_seen_to_move() {
    let machine = Machine::boot("pace=1", false);
    let (mut target, mut capturer) = look_on(&machine);
    assert_eq!(target.facts().found, FoundState::Running);
    let deadline = Instant::now() + HANG_GUARD;
    let mut risen = 0;
    let mut last = counter(&look(&mut target, &mut capturer));
    while risen < 10 {
        assert!(Instant::now() < deadline, "the heap counter stands still");
        let seen = look(&mut target, &mut capturer);
        assert!(!seen.taken.is_stopped());
        risen += u64::from(counter(&seen) > last);
        last = counter(&seen);
        assert_eq!(target.ask_running(), Ok(true));
    }
}

/// What settled is a moment that was: layout `pseudos` maps each page that kalloc returns, so the pages that the
/// heap counter counts are mapped, up to the newest.
#[test]
fn what_settled_was_so() {
    let machine = Machine::boot("pace=10", false);
    let (mut target, mut capturer) = look_on(&machine);
    booted(&mut target, &mut capturer);
    let deadline = Instant::now() + HANG_GUARD;
    let mut settled = 0;
    while settled < 100 {
        assert!(Instant::now() < deadline, "nothing settles");
        let seen = look(&mut target, &mut capturer);
        let Some(heap) = seen.heap.filter(|heap| heap.counter > 8 && heap.freed == 0) else {
            continue;
        };
        if seen.taken.unsettled().is_some() {
            continue;
        }
        settled += 1;
        let space = seen.space_of_hart(0).expect("hart 0 translates");
        let newest = heap
            .top
            .wrapping_add((heap.counter - 1).wrapping_mul(4096).wrapping_neg());
        let address = pagescope_protocol::VirtAddr::new(newest.as_u64());
        assert!(
            space.translate(address).mapped().is_some(),
            "heap counter {}, and {address} is not mapped in {:?}",
            heap.counter,
            seen.stop
        );
    }
}

/// A guest whose tables change all the time is not drawn as if it were known: under a target that changes a
/// table between two reads, each look says so.
#[test]
fn what_does_not_settle_is_said() {
    let machine = Machine::boot("pace=200", false);
    let (mut target, mut capturer) = look_on(&machine);
    booted(&mut target, &mut capturer);
    let mut restless = support::restless::Restless::new(target);
    let seen = capturer
        .capture_running(&mut restless, ATTEMPTS, &Cancel::new())
        .expect("a look");
    let Taken::Running(unsettled) = &seen.taken else {
        panic!("{:?}", seen.taken)
    };
    let root = seen.space_of_hart(0).expect("hart 0 translates").root;
    assert!(unsettled.tables.contains(&root), "{unsettled}");
    assert!(seen.stop.contains("not settled"), "{}", seen.stop);
    assert_eq!(restless.captures(), u64::from(ATTEMPTS));
    // One that settles at last is believed.
    restless.rest_after(1);
    let seen = capturer
        .capture_running(&mut restless, ATTEMPTS, &Cancel::new())
        .expect("a look");
    assert!(!seen.taken.is_torn(root), "{:?}", seen.taken);
}

fn session(source: Source) -> Session {
    Session::start(source, Arc::new(|| {})).expect("a thread")
}

/// The next event that `find` takes something from.
fn wait_for<T>(session: &Session, what: &str, mut find: impl FnMut(Event) -> Option<T>) -> T {
    let deadline = Instant::now() + HANG_GUARD;
    loop {
        let event = session.events.recv_deadline(deadline);
        let event = event.unwrap_or_else(|error| panic!("{what}: {error}"));
        if let Some(found) = find(event) {
            return found;
        }
    }
}

fn live(event: Event) -> Option<Arc<Snapshot>> {
    match event {
        Event::Live(snapshot) => Some(snapshot),
        _ => None,
    }
}

/// The window's path with a gdb port: follow, pause exactly, follow again, look no more.
#[test]
fn a_session_follows_and_pauses_exactly() {
    let machine = Machine::boot("pace=1", false);
    let session = session(Source::Attach {
        memory: Default::default(),
        address: machine.guest.address().clone(),
        elf: None,
        watch: Some(watch(&machine)),
    });
    let send = |command| session.commands.send(command).expect("it takes commands");
    wait_for(&session, "a stop", |event| match event {
        Event::Moment(moment) => Some(moment),
        _ => None,
    });
    send(Command::Follow(Rate::from_hz(60)));
    let mut last = 0;
    for _ in 0..5 {
        let seen = wait_for(&session, "a look", live);
        assert!(counter(&seen) >= last);
        last = counter(&seen);
    }
    let report = wait_for(&session, "a report", |event| match event {
        Event::Follow(report) if report.measured_hz > 0.0 => Some(report),
        _ => None,
    });
    assert_eq!(report.rate, Rate::from_hz(60));
    send(Command::Pause);
    let stopped = wait_for(&session, "an exact stop", |event| match event {
        Event::Moment(moment) => Some(moment),
        _ => None,
    });
    assert_eq!(stopped.taken, Taken::Stopped);
    assert!(counter(&stopped) >= last);
    // It stands still, though following is still on.
    send(Command::Capture);
    let again = wait_for(&session, "the same stop", |event| match event {
        Event::Moment(moment) => Some(moment),
        Event::Live(_) => panic!("a look at a guest that stands still"),
        _ => None,
    });
    assert_eq!(counter(&again), counter(&stopped));
    send(Command::Resume);
    wait_for(&session, "followed again", live);
    send(Command::Follow(None));
    let off = wait_for(&session, "an end", |event| match event {
        Event::Follow(report) if report.rate.is_none() => Some(report),
        _ => None,
    });
    assert_eq!(off, FollowReport::default());
    drop(session);
    // Left running, as it was found.
    let (mut target, _) = look_on(&machine);
    assert_eq!(target.ask_running(), Ok(true));
}

/// A monitor of another machine is refused, and both machines go on as they did.
#[test]
fn another_machine_s_monitor_is_refused() {
    let (ours, other) = (
        Machine::boot("pace=5", false),
        Machine::boot("pace=5", false),
    );
    let source = Source::attach(ours.guest.address().clone(), None);
    let with_monitor_of = |machine| source.clone().with_watch(Some(watch(machine)));
    let error = with_monitor_of(&other).open(&Cancel::new()).map(drop);
    let error = error.expect_err("it is another's").to_string();
    assert!(error.contains("is not of the machine at"), "{error}");
    for machine in [&ours, &other] {
        let (mut target, mut capturer) = look_on(machine);
        assert_eq!(target.facts().found, FoundState::Running, "{error}");
        booted(&mut target, &mut capturer);
    }
    let opened = with_monitor_of(&ours).open(&Cancel::new());
    let found = opened.map(|opened| opened.target.facts().found);
    assert_eq!(found.expect("it is its own"), FoundState::Running);
}

/// Through the monitor alone: it is followed at once, and never stopped but on request.
#[test]
fn a_session_looks_on_through_the_monitor_alone() {
    let machine = Machine::boot("pace=1", false);
    let session = session(Source::Watch {
        watch: watch(&machine),
        elf: None,
    });
    let first = wait_for(&session, "a look", live);
    assert!(!first.taken.is_stopped());
    session.commands.send(Command::Pause).expect("it takes it");
    wait_for(&session, "a stop", |event| match event {
        Event::Moment(moment) => Some(moment),
        _ => None,
    });
    let step = Command::StepInstruction { hart: 0 };
    session.commands.send(step).expect("it takes it");
    let why = wait_for(&session, "why not", |event| match event {
        Event::Failed(why) => Some(why),
        _ => None,
    });
    assert!(why.contains("needs the gdb port"), "{why}");
    // It was found running: leaving lets it run.
    drop(session);
    let (mut target, _) = look_on(&machine);
    assert_eq!(target.ask_running(), Ok(true));
}

/// Over the gdb port alone, the reason and the options stand in words.
#[test]
fn where_following_is_impossible_the_remedy_is_said() {
    let machine = Machine::boot("", false);
    let session = session(Source::Attach {
        memory: Default::default(),
        address: machine.guest.address().clone(),
        elf: None,
        watch: None,
    });
    let report = wait_for(&session, "a report", |event| match event {
        Event::Follow(report) => Some(report),
        _ => None,
    });
    let why = report.why_not.expect("there is no monitor");
    assert!(
        why.contains("-qmp unix:") && why.contains("--monitor"),
        "{why}"
    );
    let follow = Command::Follow(Some(Rate::default()));
    session.commands.send(follow).expect("it takes it");
    let said = wait_for(&session, "why not", |event| match event {
        Event::Failed(why) => Some(why),
        _ => None,
    });
    assert_eq!(said, why);
}

/// A guest that is killed under a follower is lost, and the last picture stays.
#[test]
fn a_guest_that_ends_while_it_is_followed_is_lost() {
    for has_gdb in [true, false] {
        let machine = Machine::boot("pace=1", false);
        let watch = watch(&machine);
        let session = session(match has_gdb {
            true => Source::Attach {
                memory: Default::default(),
                address: machine.guest.address().clone(),
                elf: None,
                watch: Some(watch),
            },
            false => Source::Watch { watch, elf: None },
        });
        let follow = Command::Follow(Rate::from_hz(60));
        session.commands.send(follow).expect("it takes it");
        wait_for(&session, "a look", live);
        drop(machine);
        let why = wait_for(&session, "the loss", |event| match event {
            Event::Connection(Connection::Lost { why }) => Some(why),
            _ => None,
        });
        assert!(why.contains("lost"), "{why}");
    }
}

/// The command line: map and walk while it runs, changes line by line.
#[test]
fn the_program_looks_without_stopping() {
    let machine = Machine::boot("pace=20", false);
    let (mut target, mut capturer) = look_on(&machine);
    booted(&mut target, &mut capturer);
    drop(target);
    let monitor = machine.guest.monitor().to_string();
    let place = format!("monitor:{monitor}");
    let map = pagescope(&["map", "nobody:1", "--monitor", &monitor, "--running"]);
    assert_eq!(map.status.code(), Some(0), "{}", stderr(&map));
    assert!(stdout(&map).contains("UART0"), "{}", stdout(&map));
    let walk = pagescope(&["walk", &place, "0x80200000"]);
    assert_eq!(walk.status.code(), Some(0), "{}", stderr(&walk));
    let file = machine.file("seen.ron");
    let saved = pagescope(&["snapshot", &place, "-o", &file.to_string_lossy()]);
    assert_eq!(saved.status.code(), Some(0), "{}", stderr(&saved));
    let text = std::fs::read_to_string(file).expect("it was written");
    assert!(text.contains("    taken: Running("), "{text}");

    let follow = ["follow", &place, "--rate", "50", "--count", "60"];
    let said = pagescope(&[&follow[..], &["--format", "json"]].concat());
    assert_eq!(said.status.code(), Some(0), "{}", stderr(&said));
    assert!(stderr(&said).contains("60 looks in"), "{}", stderr(&said));
    let looks: Vec<serde_json::Value> = stdout(&said)
        .lines()
        .map(|line| serde_json::from_str(line).expect("an object a line"))
        .collect();
    assert!(looks.len() > 1, "nothing changed: {}", stdout(&said));
    let counters = looks.iter().map(|look| look["heap_counter"].as_u64());
    assert!(counters.is_sorted(), "{}", stdout(&said));
    let text = stdout(&pagescope(&follow));
    assert!(text.contains("heap counter"), "{text}");

    let refused = pagescope(&["follow", &machine.address()]);
    assert_eq!(refused.status.code(), Some(2));
    assert!(
        stderr(&refused).contains("-qmp unix:"),
        "{}",
        stderr(&refused)
    );
    let refused = pagescope(&["follow", &place, "--rate", "61"]);
    assert_eq!(refused.status.code(), Some(2));
    // All that time it ran.
    let (mut target, _) = look_on(&machine);
    assert_eq!(target.ask_running(), Ok(true));
}

/// A rate is kept: ticks do not pile up, and none is taken of a guest that nobody sees.
#[test]
fn nobody_looks_and_nothing_is_read() {
    let machine = Machine::boot("pace=1", false);
    let session = session(Source::Watch {
        watch: watch(&machine),
        elf: None,
    });
    session
        .commands
        .send(Command::Follow(Rate::from_hz(60)))
        .expect("it takes it");
    // Events wait, and nobody takes them.
    std::thread::sleep(Duration::from_millis(1500));
    assert!(session.events.len() < 16, "{} wait", session.events.len());
    wait_for(&session, "a look", live);
}

/// What cannot be done through a monitor is refused with the reason, and what can is done as it was asked.
#[test]
fn a_monitor_takes_the_ways_that_work_while_it_runs() {
    let machine = Machine::boot("pace=20", false);
    let (mut target, mut capturer) = look_on(&machine);
    booted(&mut target, &mut capturer);
    drop(target);
    let place = format!("monitor:{}", machine.guest.monitor());
    let refused = |arguments: &[&str], words: &str| {
        let said = pagescope(arguments);
        assert_eq!(said.status.code(), Some(2), "{arguments:?}");
        assert!(stderr(&said).contains(words), "{}", stderr(&said));
    };
    refused(&["map", &place, "--memory", "gdb"], "--memory process");
    refused(&["spaces", &place, "--scan"], "gdb port as ADDR");
    refused(
        &["map", &place, "--root", "0x80000000", "--mode", "Sv32"],
        "64 bits",
    );
    let file = machine.file("full.ron");
    let file = file.to_string_lossy();
    refused(
        &["snapshot", &place, "--full", "-o", &file],
        "gdb port as ADDR",
    );
    // Our own QEMU has its RAM in a file, and its process may be read or not; either way it is said.
    let by_file = pagescope(&["regions", &place, "--memory", "file"]);
    assert_eq!(by_file.status.code(), Some(0), "{}", stderr(&by_file));
    assert!(stdout(&by_file).contains("stack"), "{}", stdout(&by_file));
    let by_process = pagescope(&["snapshot", &place, "--memory", "process", "-o", &file]);
    match by_process.status.code() {
        Some(0) => {
            let text = std::fs::read_to_string(&*file).expect("it was written");
            assert!(text.contains("process memory"), "{text}");
        }
        _ => assert!(
            stderr(&by_process).contains("process"),
            "{}",
            stderr(&by_process)
        ),
    }
}

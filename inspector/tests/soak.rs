//! Again and again: attaching leaks nothing, and a QEMU that is killed at any moment leaves a clear state.
//!
//! A short run by default; `PAGESCOPE_SOAK=full` makes it the long one, 1,000 cycles and 200 kills, which
//! `cargo xtask soak` asks for.

mod support;

use std::fs;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use pagescope::capture::Capturer;
use pagescope::link::{Cancel, ConnectOptions, GdbTarget, LinkError, Target as _};
use pagescope::session::{Command, Connection, Event, Rate, Session, Source, Watch};
use support::console::Console;
use support::{HANG_GUARD, Machine, pagescope, stderr};

/// Cycles that make everything that is made once: threads' stacks, caches, the allocator's arenas.
const WARM_UP: usize = 20;

/// How much memory may grow over all later cycles, in KiB: noise of the allocator's. A leak of one capture a
/// cycle (more than 40 KiB) is ten times that in the short run.
const FLAT_KIB: u64 = 1024;

/// The tests count this process's threads and files: one at a time.
static ALONE: Mutex<()> = Mutex::new(());

fn alone() -> MutexGuard<'static, ()> {
    ALONE.lock().unwrap_or_else(PoisonError::into_inner)
}

fn is_full() -> bool {
    std::env::var("PAGESCOPE_SOAK").is_ok_and(|value| value == "full")
}

fn cycles() -> usize {
    if is_full() { 1000 } else { 100 }
}

fn kills() -> usize {
    if is_full() { 200 } else { 20 }
}

/// What this process holds.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
struct Held {
    files: usize,
    threads: usize,
    resident_kib: u64,
}

fn held() -> Held {
    let count = |folder| fs::read_dir(folder).expect("Linux").count();
    let status = fs::read_to_string("/proc/self/status").expect("Linux");
    let resident = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let kib = resident.and_then(|text| text.trim().strip_suffix(" kB")?.trim().parse().ok());
    Held {
        files: count("/proc/self/fd"),
        threads: count("/proc/self/task"),
        resident_kib: kib.expect("VmRSS is in KiB"),
    }
}

/// Files and threads as before, once what is on its way out is gone; memory flat.
fn assert_nothing_leaked(before: Held) {
    let deadline = Instant::now() + HANG_GUARD;
    loop {
        let now = held();
        if (now.files, now.threads) == (before.files, before.threads) {
            break;
        }
        assert!(Instant::now() < deadline, "leaked: {before:?}, now {now:?}");
        thread::sleep(Duration::from_millis(20));
    }
    let grown = held().resident_kib.saturating_sub(before.resident_kib);
    println!("{before:?}, grown by {grown} KiB");
    assert!(grown <= FLAT_KIB, "memory grew by {grown} KiB: {before:?}");
}

/// The heap counter, read while the guest runs, and without stopping it.
fn heap_counter(machine: &Machine) -> u64 {
    let watch = Watch::of(&machine.guest).expect("its RAM is in a file");
    let mut target = watch.connect(&Cancel::new()).expect("a monitor");
    let mut capturer = Capturer::new(&mut target, None).expect("a machine");
    let seen = capturer
        .capture_running(&mut target, 4, &Cancel::new())
        .expect("a look");
    seen.heap.map_or(0, |heap| heap.counter)
}

/// The guest is well: it allocates by itself, and answers on its console.
fn assert_healthy(machine: &Machine) {
    let deadline = Instant::now() + HANG_GUARD;
    let before = heap_counter(machine);
    while heap_counter(machine) == before {
        assert!(Instant::now() < deadline, "its heap counter stands still");
        thread::sleep(Duration::from_millis(10));
    }
    let answer = Console::open(machine).ask("help");
    assert!(answer.contains("kalloc"), "{answer}");
}

fn running() -> Machine {
    let machine = Machine::boot_layout("pseudos", "pace=100", 2, false);
    // So that the console's answers are not lost on the way.
    assert_healthy(&machine);
    machine
}

/// Attach, capture, detach over the gdb port with mapped memory, as each command does.
#[test]
fn attaching_again_and_again_leaks_nothing() {
    let _alone = alone();
    let machine = running();
    let cycle = |options: ConnectOptions| {
        let mut target = GdbTarget::connect(machine.guest.address(), options).expect("it is there");
        let mut capturer = Capturer::new(&mut target, None).expect("a machine");
        let snapshot = capturer.capture(&mut target, "soak").expect("a capture");
        assert!(!snapshot.spaces.is_empty());
        Box::new(target).detach().expect("it is left");
    };
    let mut before = held();
    for number in 0..WARM_UP + cycles() {
        if number == WARM_UP {
            before = held();
        }
        // With mapped memory, and all of it over the port.
        cycle(match number % 2 {
            0 => machine.guest.connect_options(),
            _ => ConnectOptions::default(),
        });
    }
    assert_nothing_leaked(before);
    assert_healthy(&machine);
}

/// The same through the monitor, which never stops the guest.
#[test]
fn looking_again_and_again_leaks_nothing() {
    let _alone = alone();
    let machine = running();
    let mut before = held();
    for number in 0..WARM_UP + cycles() {
        if number == WARM_UP {
            before = held();
        }
        heap_counter(&machine);
    }
    assert_nothing_leaked(before);
    assert_healthy(&machine);
}

/// The same through the session's thread, as the window does, following in between.
#[test]
fn sessions_again_and_again_leak_nothing() {
    let _alone = alone();
    let machine = running();
    let mut before = held();
    for number in 0..WARM_UP + cycles() {
        if number == WARM_UP {
            before = held();
        }
        let source = Source::Attach {
            memory: Default::default(),
            address: machine.guest.address().clone(),
            elf: None,
            watch: Watch::of(&machine.guest),
        };
        let session = Session::start(source, Arc::new(|| {})).expect("a thread");
        wait_for(&session, |event| matches!(event, Event::Moment(_)));
        let follow = Command::Follow(Rate::from_hz(60));
        session.commands.send(follow).expect("it takes commands");
        wait_for(&session, |event| matches!(event, Event::Live(_)));
        drop(session);
    }
    assert_nothing_leaked(before);
    assert_healthy(&machine);
}

/// The program itself: each run leaves the guest running and well.
#[test]
fn the_program_again_and_again_leaves_the_guest_well() {
    let _alone = alone();
    let machine = running();
    let address = machine.address();
    let monitor = machine.guest.monitor().to_string();
    for number in 0..cycles() / 10 {
        let looks = ["map", &address, "--monitor", &monitor, "--running"];
        let arguments = if number % 2 == 0 { &looks[..2] } else { &looks };
        let output = pagescope(arguments);
        assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    }
    assert_healthy(&machine);
}

fn wait_for(session: &Session, mut is_it: impl FnMut(&Event) -> bool) {
    let deadline = Instant::now() + HANG_GUARD;
    loop {
        let event = session.events.recv_deadline(deadline);
        let event = event.expect("the session says something");
        if let Event::Connection(Connection::Lost { why }) = &event {
            panic!("lost: {why}");
        }
        if is_it(&event) {
            return;
        }
    }
}

/// Numbers that are the same in each run and look like chance (Steele and others, SplitMix64).
struct Chance(u64);

impl Chance {
    fn below(&mut self, end: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (mixed ^ (mixed >> 31)) % end
    }
}

/// Whatever was going on when QEMU was killed, the session says that the link is lost, and why, and ends when
/// it is told to.
#[test]
fn a_qemu_that_is_killed_at_any_moment_leaves_a_clear_state() {
    let _alone = alone();
    let mut chance = Chance(5);
    let mut seen = [0_usize; 3];
    for number in 0..kills() {
        let machine = Machine::boot("pace=1", false);
        let address = machine.guest.address().clone();
        let watch = Watch::of(&machine.guest);
        // The window's three ways: the gdb port, following beside it, the monitor alone.
        let source = match (number % 3, watch) {
            (1, watch) => Source::Attach {
                memory: Default::default(),
                address,
                elf: None,
                watch,
            },
            (2, Some(watch)) => Source::Watch { watch, elf: None },
            _ => Source::Attach {
                memory: Default::default(),
                address,
                elf: None,
                watch: None,
            },
        };
        let after = Duration::from_micros(chance.below(40_000));
        let killer = thread::spawn(move || {
            thread::sleep(after);
            drop(machine);
        });
        let session = Session::start(source, Arc::new(|| {})).expect("a thread");
        let busy = match number % 3 {
            1 => Command::Follow(Rate::from_hz(60)),
            2 => Command::Pause,
            _ => Command::Capture,
        };
        let deadline = Instant::now() + HANG_GUARD;
        let mut moments = 0;
        let why = loop {
            assert!(Instant::now() < deadline, "kill {number}: no loss is told");
            // Full, or ended: then there is enough to do.
            let _ = session.commands.try_send(busy.clone());
            match session.events.recv_deadline(deadline) {
                Ok(Event::Connection(Connection::Lost { why })) => break why,
                Ok(Event::Moment(_) | Event::Live(_)) => moments += 1,
                Ok(_) => {}
                Err(error) => panic!("kill {number}: it hangs, or its thread ended ({error})"),
            }
        };
        assert!(why.len() > 10 && !why.contains("panicked"), "{why}");
        seen[moments.min(2)] += 1;
        let leaving = Instant::now();
        drop(session);
        assert!(leaving.elapsed() < HANG_GUARD);
        killer.join().expect("it only kills");
    }
    println!("killed before the first moment, after one, after more: {seen:?}");
    assert!(
        seen[0] < kills(),
        "each was killed before anything was captured"
    );
}

/// The same on the command's path: an error that says what happened, at once.
#[test]
fn a_qemu_that_is_killed_while_a_command_looks_is_an_error() {
    let _alone = alone();
    let mut chance = Chance(55);
    for number in 0..kills() {
        let machine = Machine::boot("pace=1", false);
        let options = match number % 2 {
            0 => machine.guest.connect_options(),
            _ => ConnectOptions::default(),
        };
        let address = machine.guest.address().clone();
        let after = Duration::from_micros(chance.below(20_000));
        let killer = thread::spawn(move || {
            thread::sleep(after);
            drop(machine);
        });
        let look = || -> Result<(), LinkError> {
            let mut target = GdbTarget::connect(&address, options)?;
            let mut capturer = Capturer::new(&mut target, None)?;
            loop {
                capturer.capture(&mut target, "soak")?;
            }
        };
        let error = look().expect_err("it only ends by an error");
        assert!(
            matches!(
                error,
                LinkError::Lost { .. }
                    | LinkError::ConnectionRefused { .. }
                    | LinkError::RamFile { .. }
            ),
            "kill {number}: {error}"
        );
        killer.join().expect("it only kills");
    }
}

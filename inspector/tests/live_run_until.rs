//! Running our kernel until something is so: a table changes, the heap counter is high enough, an address is mapped.

mod support;

use std::sync::Arc;
use std::time::{Duration, Instant};

use pagescope::capture::Capturer;
use pagescope::capture::run_until::{Goal, Listener, RunProgress, Runner};
use pagescope::capture::step::{CallStepper, StepError};
use pagescope::link::{Cancel, GdbTarget, HartId, Target};
use pagescope::session::{Command, Connection, Event, Session, Source};
use pagescope_protocol::snapshot::Snapshot;
use pagescope_protocol::{PhysAddr, PhysRange, VirtAddr, VirtRange};
use support::{HANG_GUARD, Machine, console, pagescope, stderr, stdout};

#[derive(Default)]
struct Kept(Vec<Arc<Snapshot>>);

impl Listener for Kept {
    fn stop(&mut self, snapshot: Arc<Snapshot>) {
        self.0.push(snapshot);
    }

    fn progress(&mut self, _progress: &RunProgress) {}
}

fn run(
    (target, capturer, stepper): &mut (GdbTarget, Capturer, CallStepper),
    goal: &Goal,
) -> Result<Vec<Arc<Snapshot>>, StepError> {
    let cancel = Cancel::new();
    let mut runner = Runner {
        target,
        capturer,
        allocates: Some(stepper.clone()),
        cancel: &cancel,
        limit: Some(HANG_GUARD),
    };
    let mut kept = Kept::default();
    runner.run(goal, &mut kept).map(|_| kept.0)
}

const NEXT_CHANGE: Goal = Goal::TableChange {
    within: None,
    count: 1,
};

/// Entries that differ between two snapshots' tables, by their physical addresses.
fn differing(before: &Snapshot, after: &Snapshot) -> Vec<PhysAddr> {
    let mut found = Vec::new();
    for (old, new) in before.spaces.iter().zip(&after.spaces) {
        for table in new.tables.iter() {
            let Some(known) = old.tables.at_level(table.frame, table.level) else {
                continue;
            };
            for index in 0..512 {
                if known.entry(index) != table.entry(index) {
                    found.push(table.frame.start().wrapping_add(index as u64 * 8));
                }
            }
        }
    }
    found.sort_unstable();
    found.dedup();
    found
}

/// Where the store that ends at the hart's pc has written, taken apart by hand: `sd`, `c.sd` and `c.sdsp`
/// (unprivileged specification, chapters 4 and 28).
fn stored_at(target: &mut GdbTarget, snapshot: &Snapshot, hart: HartId) -> PhysAddr {
    let space = snapshot.space_of_hart(hart.number()).expect("its space");
    let physical = |address: u64| {
        let mapped = space.translate(VirtAddr::new(address)).mapped();
        mapped.expect("what the hart uses is mapped").address
    };
    let pc = target.register(hart, "pc").expect("pc").expect("pc");
    let code = PhysRange::new(physical(pc - 4), 4).expect("code");
    let bytes = target.read_physical(&[code]).expect("code")[0].clone();
    let bytes: [u8; 4] = bytes.expect("code").try_into().expect("4 bytes");
    let word = u32::from_le_bytes(bytes);
    let half = word >> 16;
    let (base, offset) = if word & 0x7f == 0x23 && word >> 12 & 7 == 3 {
        let high = (word as i32) >> 25 << 5;
        (word >> 15 & 31, i64::from(high | (word >> 7 & 31) as i32))
    } else if half & 0xe003 == 0xe000 {
        let offset = (half >> 10 & 7) << 3 | (half >> 5 & 3) << 6;
        ((half >> 7 & 7) + 8, i64::from(offset))
    } else {
        panic!("no store of 8 bytes stands before {pc:#x}: {word:#010x}");
    };
    let registers = target.registers(hart).expect("registers");
    let base = registers.x[base as usize].expect("its base");
    physical(base.wrapping_add_signed(offset))
}

/// Every stop is one entry of one table, and the instruction that was executed last is the store to it.
#[test]
fn each_table_change_is_one_store_to_one_entry() {
    let machine = Machine::boot("pace=1", true);
    let mut attached = machine.attach_booted();
    let mut before = attached.1.capture(&mut attached.0, "before").expect("RAM");
    for number in 0..12 {
        let kept = run(&mut attached, &NEXT_CHANGE).expect("tables change");
        assert_eq!(kept.len(), 1);
        let after = &kept[0];
        let entries = differing(&before, after);
        assert_eq!(entries.len(), 1, "change {number}: {}", after.stop);
        let stored = stored_at(&mut attached.0, after, HartId::new(0));
        assert_eq!(stored, entries[0], "change {number}: {}", after.stop);
        assert!(after.stop.contains(" written by "), "{}", after.stop);
        before = Arc::clone(after);
    }
}

/// Tables that appear on the way are watched too: past the 2 MiB boundary leaves stand in a new L0.
#[test]
fn a_table_that_is_new_is_watched() {
    let machine = Machine::boot("pace=1", true);
    let mut attached = machine.attach_booted();
    let first = attached.1.capture(&mut attached.0, "before").expect("RAM");
    // kalloc descends: this page is mapped by an L0 that is not there yet.
    let next = first.heap.expect("a heap").next.as_u64();
    let address = VirtAddr::new((next & !0x1f_ffff) - 3 * 4096);
    let covered = |snapshot: &Snapshot| {
        let tables = snapshot.spaces[0].tables.iter();
        let l0 = tables.filter(|table| table.level.number() == 0);
        l0.filter(|table| table.covers_from.as_u64() == address.as_u64() & !0x1f_ffff)
            .count()
    };
    assert_eq!(covered(&first), 0);
    let goal = Goal::Mapped {
        address,
        space: None,
    };
    let kept = run(&mut attached, &goal).expect("kalloc gets there");
    let last = kept.last().expect("a stop");
    assert_eq!(covered(last), 1);
    let mapped = |snapshot: &Snapshot| snapshot.spaces[0].translate(address).mapped().is_some();
    assert!(mapped(last));
    assert!(!kept[..kept.len() - 1].iter().any(|stop| mapped(stop)));
    // About 500 changes: the first hundred, and then each tenth.
    assert!((110..200).contains(&kept.len()), "{}", kept.len());

    let within = VirtRange::new(VirtAddr::new(address.as_u64() - 8 * 4096), 4096);
    let goal = Goal::TableChange { within, count: 1 };
    let kept = run(&mut attached, &goal).expect("kalloc gets there");
    let last = kept.last().expect("a stop");
    assert_eq!(kept.len(), 1, "what changes elsewhere was not asked for");
    let page = VirtAddr::new(address.as_u64() - 8 * 4096);
    assert!(last.spaces[0].translate(page).mapped().is_some());
}

#[test]
fn the_heap_counter_is_met_exactly() {
    let machine = Machine::boot("pace=1", true);
    let mut attached = machine.attach_booted();
    let goal = Goal::HeapCounter(40);
    let kept = run(&mut attached, &goal).expect("kalloc counts");
    let counters = kept.iter().map(|stop| stop.heap.expect("a heap").counter);
    let counters: Vec<u64> = counters.collect();
    assert_eq!(counters.last(), Some(&40));
    assert!(counters.is_sorted() && counters.len() > 25, "{counters:?}");
    let met = run(&mut attached, &goal).expect_err("it is 40");
    assert_eq!(met.to_string(), "heap counter 40 or more is so already");
}

/// What the window sees: numbers on the way, an end when it is cancelled, and a guest that runs on.
#[test]
fn a_cancelled_run_leaves_no_watchpoint() {
    let machine = Machine::boot("pace=1", true);
    drop(machine.attach_booted());
    let elf = pagescope::guest::ElfFile::open(&machine.elf).expect("our own ELF");
    let source = Source::attach(machine.guest.address().clone(), Some(Arc::new(elf)));
    let session = Session::start(source, Arc::new(|| {})).expect("a thread");
    let deadline = Instant::now() + HANG_GUARD;
    let next = || session.events.recv_deadline(deadline).expect("an event");
    while !matches!(next(), Event::Connection(Connection::Stopped)) {}
    let never = Goal::Mapped {
        address: VirtAddr::new(0x7000_0000),
        space: None,
    };
    let send = |command| session.commands.send(command).expect("it takes commands");
    send(Command::RunUntil(never));
    loop {
        if let Event::Connection(Connection::Busy { what }) = next()
            && what.contains(" stops, counter ")
        {
            break;
        }
    }
    session.cancel.cancel();
    loop {
        match next() {
            Event::Connection(Connection::Stopped) => break,
            Event::Connection(Connection::Lost { why }) | Event::Failed(why) => panic!("{why}"),
            _ => {}
        }
    }
    let runs_on_quietly = || {
        send(Command::Resume);
        while !matches!(next(), Event::Connection(Connection::Running)) {}
        // A leaf is written every millisecond: a watchpoint left behind would stop the guest at once.
        let quiet_until = Instant::now() + Duration::from_millis(500);
        let mut events = std::iter::from_fn(|| session.events.recv_deadline(quiet_until).ok());
        !events.any(|event| matches!(event, Event::Moment(_)))
    };
    // As after a breakpoint: QEMU may have met one in the very moment of the interrupt.
    assert!(
        runs_on_quietly() || runs_on_quietly(),
        "a watchpoint was left behind"
    );
}

/// Leaving while watchpoints are set takes them back.
#[test]
fn a_detached_guest_is_not_watched() {
    let machine = Machine::boot("pace=1", true);
    let (mut target, mut capturer, _) = machine.attach_booted();
    let snapshot = capturer.capture(&mut target, "before").expect("RAM");
    let watch = pagescope::capture::table_watch::TableWatch::of(&snapshot);
    target.watch_writes(&watch.ranges()).expect("QEMU watches");
    target.resume().expect("it runs");
    Box::new(target).detach().expect("it is left");
    // It stood still when we came: it does so now, and whoever comes next runs it without our watchpoints.
    let mut target = machine.attach();
    target.resume().expect("it runs");
    let stop = target.wait_for_stop(Duration::from_millis(500));
    assert_eq!(stop.expect("the link stands"), None, "it was stopped");
}

/// Our own stub has no watchpoints; where no ELF says which function allocates, it is said what to do.
#[test]
fn a_stub_without_watchpoints_says_so() {
    let machine = Machine::boot("pace=0", false);
    drop(console::Console::open(&machine));
    let address = machine.channel().parse().expect("an address");
    let session = Session::start(Source::attach(address, None), Arc::new(|| {})).expect("a thread");
    let deadline = Instant::now() + HANG_GUARD;
    let next = || session.events.recv_deadline(deadline).expect("an event");
    while !matches!(next(), Event::Connection(Connection::Stopped)) {}
    session
        .commands
        .send(Command::RunUntil(NEXT_CHANGE))
        .expect("it takes commands");
    let why = loop {
        match next() {
            Event::Failed(why) => break why,
            Event::Connection(Connection::Lost { why }) => panic!("{why}"),
            _ => {}
        }
    };
    assert!(
        why.contains("has no watchpoints") && why.contains("-s"),
        "{why}"
    );
    while !matches!(next(), Event::Connection(Connection::Stopped)) {}
}

/// kfree, called from the console, is stepped to its return, and named with the page that it took.
#[test]
fn kfree_is_stepped() {
    let machine = Machine::boot("pace=0", false);
    let mut console = console::Console::open(&machine);
    console.ask("kalloc 3");
    let stepping = std::thread::spawn({
        let (address, elf) = (machine.address(), machine.elf_text());
        move || {
            pagescope(&[
                "step", &address, "--elf", &elf, "--symbol", "kfree", "--count", "2", "--format",
                "json",
            ])
        }
    });
    while !stepping.is_finished() {
        console.type_line("kfree");
        std::thread::sleep(Duration::from_millis(100));
        console.type_line("kalloc");
        std::thread::sleep(Duration::from_millis(100));
    }
    let output = stepping.join().expect("it ends");
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    let steps: Vec<serde_json::Value> = serde_json::from_str(&stdout(&output)).expect("JSON");
    assert_eq!(steps.len(), 2);
    let stop = steps[0]["stop"].as_str().expect("a string");
    assert!(
        stop.starts_with("kfree(0x") && stop.ends_with(") returned"),
        "{stop}"
    );

    let caller = steps[0]["caller"].as_str().expect("a string");
    assert!(caller.contains("run_line"), "{caller}");
}

/// The program: changes of tables as scripts get them, and conditions.
#[test]
fn the_program_runs_to_changes_and_conditions() {
    let machine = Machine::boot("pace=1", true);
    drop(machine.attach_booted());
    let recording = machine.file("changes.ron");
    let (address, elf) = (machine.address(), machine.elf_text());
    let step = |arguments: &[&str]| {
        let mut all = vec!["step", &address, "--format", "json"];
        all.extend_from_slice(arguments);
        pagescope(&all)
    };
    let output = step(&[
        "--table-change",
        "--count",
        "3",
        "-o",
        &recording.to_string_lossy(),
    ]);
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    let steps: Vec<serde_json::Value> = serde_json::from_str(&stdout(&output)).expect("JSON");
    assert_eq!(steps.len(), 3);
    for step in &steps {
        let differences = ["added", "removed", "changed"];
        let lists = differences.map(|kind| step[kind].as_array().map_or(0, Vec::len));
        assert!(lists.iter().sum::<usize>() > 0, "{step}");
        let stop = step["stop"].as_str().expect("a string");
        assert!(stop.contains("] of 0x"), "{stop}");
    }
    assert!(recording.is_file());

    let output = step(&["--elf", &elf, "--until", "heap>=20"]);
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    let steps: Vec<serde_json::Value> = serde_json::from_str(&stdout(&output)).expect("JSON");
    let last = steps.last().expect("a step");
    assert_eq!(last["heap_counter"].as_u64(), Some(20));

    let output = step(&["--until", "soon"]);
    assert_eq!(output.status.code(), Some(2));
    assert!(stderr(&output).contains("heap>=40"), "{}", stderr(&output));
    let output = step(&["--until", "mapped 0x70000000", "--timeout", "1"]);
    assert_eq!(output.status.code(), Some(3));
}

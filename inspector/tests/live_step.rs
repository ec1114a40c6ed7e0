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

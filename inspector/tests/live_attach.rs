//! Attaching to guests that others started, and leaving them as they were.

mod support;

use std::time::{Duration, Instant};

use pagescope::link::{GdbTarget, Target as _};
use support::{HANG_GUARD, Machine, monitor, pagescope, stderr, stdout};

/// The heap counter, as a command line user sees it.
fn heap_counter(machine: &Machine) -> u64 {
    let file = machine.file("now.ron");
    let output = pagescope(&[
        "snapshot",
        &machine.address(),
        "-o",
        &file.to_string_lossy(),
    ]);
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    let text = std::fs::read_to_string(file).expect("it was written");
    let document = pagescope_protocol::snapshot::text::from_text(&text).expect("it reads");
    let pagescope_protocol::snapshot::text::Document::Snapshot(snapshot) = document else {
        panic!("a snapshot was asked for");
    };
    snapshot.heap.map_or(0, |heap| heap.counter)
}

/// Polls `holds` until it does, or the hang guard says that it never will.
fn eventually(what: &str, mut holds: impl FnMut() -> bool) {
    let deadline = Instant::now() + HANG_GUARD;
    while !holds() {
        assert!(Instant::now() < deadline, "{what}");
        std::thread::sleep(Duration::from_millis(50));
    }
}

/// Holds 4: without an ELF, our kernel is known by its block; a running guest goes on running.
#[test]
fn a_running_guest_goes_on_after_each_look() {
    let machine = Machine::boot("pace=1", false);
    eventually("our kernel allocates by itself", || {
        heap_counter(&machine) > 8
    });
    let before = heap_counter(&machine);
    // Nobody resumes it but our own leaving.
    eventually("it goes on allocating after we left", || {
        heap_counter(&machine) > before
    });
    let output = pagescope(&["map", &machine.address()]);
    assert!(stdout(&output).contains("kalloc("), "{}", stdout(&output));
    // With the ELF, names come from its sections and symbols.
    let elf = machine.elf_text();
    let output = pagescope(&["walk", &machine.address(), "kalloc", "--elf", &elf]);
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    let after = heap_counter(&machine);
    eventually("it still goes on", || heap_counter(&machine) > after);
}

/// Holds 4: stepping a running guest by its ELF, then leaving it running.
#[test]
fn stepping_leaves_a_running_guest_running() {
    let machine = Machine::boot("pace=1", false);
    eventually("our kernel allocates by itself", || {
        heap_counter(&machine) > 8
    });
    let elf = machine.elf_text();
    let address = machine.address();
    let output = pagescope(&["step", &address, "--elf", &elf, "--count", "5"]);
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    assert_eq!(stdout(&output).lines().count(), 5, "{}", stdout(&output));
    let before = heap_counter(&machine);
    eventually("no breakpoint of ours stops it", || {
        heap_counter(&machine) > before + 5
    });
}

/// Holds 4: a guest with paging off: the physical map only, said in words; it stays stopped.
#[test]
fn a_guest_without_paging_is_said_to_be_bare() {
    let machine = Machine::boot("", true);
    let address = machine.address();
    let output = pagescope(&["map", &address]);
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    assert!(
        stdout(&output).contains("translation is off (satp mode Bare)"),
        "{}",
        stdout(&output)
    );
    let output = pagescope(&["map", &address, "--phys"]);
    assert!(stdout(&output).contains("UART0"), "{}", stdout(&output));
    let mut target: GdbTarget = machine.attach();
    let status = monitor(&mut target, "info status");
    assert!(status.contains("paused"), "{status}");
    let pc = target
        .register(pagescope::link::HartId::new(0), "pc")
        .expect("QEMU answers");
    assert_eq!(pc, Some(0x1000), "it still stands at the reset vector");
}

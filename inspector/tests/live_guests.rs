//! Any guest: attached to while it runs, its spaces named and found, its allocation stepped, left running.
//!
//! Here with the four layouts of our own kernel, of which is known what must be found; `cargo xtask guests` does
//! the same with an xv6 or a Linux that was built on this machine.

mod support;

use std::time::{Duration, Instant};

use serde_json::Value;
use support::{HANG_GUARD, Machine, pagescope, stderr, stdout};

/// A layout, its harts, and the fewest spaces that it has once it is idle.
const LAYOUTS: [(&str, u32, usize); 4] = [
    ("pseudos", 1, 1),
    ("hypervisor", 4, 4),
    ("process", 1, 4),
    ("nanos", 1, 1),
];

fn json(words: &[&str]) -> Value {
    let mut all = words.to_vec();
    all.extend(["--format", "json"]);
    let output = pagescope(&all);
    assert_eq!(
        output.status.code(),
        Some(0),
        "{words:?}: {}",
        stderr(&output)
    );
    serde_json::from_str(&stdout(&output)).expect("JSON")
}

fn texts(list: &Value, key: &str) -> Vec<String> {
    let items = list.as_array().into_iter().flatten();
    items
        .filter_map(|item| Some(item[key].as_str()?.to_owned()))
        .collect()
}

/// Boots a layout, and waits until it calls kalloc by itself.
fn booted(layout: &str, harts: u32, least: usize) -> (Machine, Value) {
    let append = format!("layout={layout} pace=5");
    let machine = Machine::boot_layout(layout, &append, harts, false);
    let deadline = Instant::now() + HANG_GUARD;
    loop {
        let spaces = json(&["spaces", &machine.address()]);
        let translating = texts(&spaces, "mode")
            .iter()
            .filter(|m| *m != "Bare")
            .count();
        let idle = json(&[
            "trace",
            &machine.address(),
            "--kind",
            "kalloc",
            "--elf",
            &machine.elf_text(),
        ]);
        let is_idle = texts(&idle, "symbol").iter().any(|by| by.contains("idle"));
        if translating >= least && is_idle {
            return (machine, spaces);
        }
        assert!(Instant::now() < deadline, "{layout}: {spaces:#}");
        std::thread::sleep(Duration::from_millis(100));
    }
}

/// Whether the guest runs: its heap counter goes on while nobody is attached.
fn runs(machine: &Machine) -> bool {
    let counter = || {
        let all = json(&["trace", &machine.address(), "--last", "1"]);
        all[0]["sequence"].as_u64()
    };
    let before = counter();
    let deadline = Instant::now() + HANG_GUARD;
    while Instant::now() < deadline {
        std::thread::sleep(Duration::from_millis(50));
        if counter() > before {
            return true;
        }
    }
    false
}

#[test]
fn each_layout_is_attached_to_while_it_runs_and_left_running() {
    for (layout, harts, least) in LAYOUTS {
        let (machine, _) = booted(layout, harts, least);
        let address = machine.address();
        let elf = machine.elf_text();
        let steps = json(&[
            "step", &address, "--elf", &elf, "--symbol", "kalloc", "--count", "20",
        ]);
        let returned = texts(&steps, "returned");
        assert_eq!(returned.len(), 20, "{layout}");
        let callers = texts(&steps, "caller");
        assert!(
            callers.iter().all(|caller| !caller.is_empty()),
            "{layout}: {steps:#}"
        );
        // The same by its address, for which no ELF is needed.
        let walk = json(&["walk", &address, "kalloc", "--elf", &elf]);
        let entry = walk["va"].as_str().expect("an address");
        let by_address = json(&["step", &address, "--symbol", entry, "--count", "2"]);
        assert_eq!(texts(&by_address, "returned").len(), 2, "{layout}");
        assert!(runs(&machine), "{layout} does not run after detaching");
    }
}

/// Every root that the kernel publishes is found by a scan that is not told of it, but for those in
/// which harts run.
#[test]
fn a_scan_finds_the_roots_that_the_kernel_knows() {
    for (layout, harts, least) in LAYOUTS {
        let (machine, _) = booted(layout, harts, least);
        let address = machine.address();
        let found = json(&["spaces", &address, "--scan"]);
        let spaces = json(&["spaces", &address]);
        let roots = texts(&found, "root");
        for space in spaces.as_array().into_iter().flatten() {
            if space["mode"] == "Bare" {
                continue;
            }
            let root = space["root"].as_str().expect("a root");
            assert!(
                roots.iter().any(|found| found == root),
                "{layout}: {space:#} {found:#}"
            );
        }
        // Those with names and harts come first, with the reason.
        let first = &found[0]["evidence"][0];
        assert!(
            first
                .as_str()
                .is_some_and(|why| why.starts_with("satp of hart")),
            "{layout}: {found:#}"
        );
        // Walked by its address alone, it is what it is by its name.
        let space = spaces
            .as_array()
            .into_iter()
            .flatten()
            .find(|space| space["mode"] != "Bare")
            .expect("a space");
        let (root, name) = (
            space["root"].as_str().expect("a root"),
            space["name"].as_str().expect("a name"),
        );
        let by_name = json(&["map", &address, "--space", name]);
        let by_root = json(&["map", &address, "--root", root, "--mode", "Sv39"]);
        let first = |map: &Value| texts(map, "va").first().cloned();
        assert!(first(&by_root).is_some(), "{layout}");
        assert_eq!(first(&by_name), first(&by_root), "{layout}");
    }
}
